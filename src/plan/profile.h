/* profile: what is known of a policy model (and a PRM) from problems that were solved before.
 *
 * Without one the priors below stand in, and whoever shows a result says so. A profile is fitted by
 * `whet calibrate` and belongs to one model file, one PRM and one form of weights.
 */
#ifndef WH_PLAN_PROFILE_H
#define WH_PLAN_PROFILE_H

#include "plan/belief.h"

#include <jansson.h>

/* Difficulty by the policy's pass@1, with absolute bounds: easy from 50 %, medium from 10 %, hard below. Not by
 * quantiles as Snell et al. do: Qwen2.5-72B has a pass@1 above 80 % on 76.2 % of MATH-500, so that quantiles of a
 * strong model's problems would call easy ones hard (Liu et al. 2025, method.md §2.8). */
typedef enum { WH_BIN_EASY, WH_BIN_MEDIUM, WH_BIN_HARD, WH_BINS } wh_bin;
const char *wh_bin_name(wh_bin bin);
wh_bin      wh_bin_of(double pass);
extern const double wh_bin_bounds[2]; /* of easy, of medium: pass@1 at least */

/* What is known of a problem's pass@1: its expectation (NAN: nothing is known), and P(pass@1 >= wh_bin_bounds[i]). */
typedef struct wh_estimate {
    double pass, at_least[2];
} wh_estimate;
/* The bin with the largest probability, which is the best guess; that of the expectation is medium too often. */
wh_bin      wh_bin_likeliest(const wh_estimate *e);
/* Beta with this mean and strength a + b. */
wh_estimate wh_estimate_of(double mean, double strength);

/* What a way of answering came to, on the problems of a bin. */
typedef struct wh_profile_row {
    wh_bin bin;
    char   strategy[24];
    size_t n;
    double accuracy, low, high; /* with its 95 % interval */
    double flops;               /* mean, policy and PRM, relative to one sample with its prompt */
} wh_profile_row;

enum { WH_PROFILE_PILOT = 8 }; /* terms of the pilot's regression (plan/estimator.h) */

typedef struct wh_profile {
    bool            fitted; /* false: priors */
    wh_belief_model votes;
    double          tokens;           /* of an answer, mean */
    double          slope, offset;    /* a scored sample adds slope * logit(score) + offset to the log-odds of its answer */
    double          keen;             /* how often the PRM puts a right sample above a wrong one; 0.5: useless */
    double          pilot[WH_PROFILE_PILOT]; /* its coefficients */
    double          sure_prompt, sure_pilot; /* strength a + b of the Beta distribution round what each of them says */
    size_t          n;                /* problems it was fitted on */
    size_t          n_rows;
    wh_profile_row *rows;
    json_t         *json;             /* the whole file; NULL for priors */
} wh_profile;

/* The priors: a small model on grade-school problems. */
void    wh_profile_priors(wh_profile *out);
/* WH_ERR_FORMAT: no profile. */
wh_code wh_profile_take(wh_profile *out, json_t *json, const char *name, wh_err *err); /* steals json; name: for sentences */
wh_code wh_profile_read(wh_profile *out, const char *path, wh_err *err);
void    wh_profile_free(wh_profile *p);

/* What samples differ in from those it was fitted on, by the header of their bank: "policy" or, where scores count, "PRM";
 * NULL: nothing, or it does not say. */
const char *wh_profile_differs(const wh_profile *p, const json_t *header, bool scores);

/* The parameters it gives a policy of plan/policy.def, an object by name; NULL: none. */
const json_t *wh_profile_params(const wh_profile *p, const char *policy);

#endif
