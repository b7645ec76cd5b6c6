/* estimator: how difficult a problem is for a policy model: its pass@1, from what is known of it so far. */
#ifndef WH_PLAN_ESTIMATOR_H
#define WH_PLAN_ESTIMATOR_H

#include "plan/policy.h"

/* What there is to go by. */
typedef struct wh_clues {
    const wh_view *view;   /* samples seen; prompt_pass */
    double         oracle; /* pass@1 of all samples of a bank; NAN: nobody knows */
} wh_clues;

typedef struct wh_estimator {
    const char *name, *help, *source;
    bool        samples; /* looks at samples: costs them, though they vote later */
    wh_estimate (*estimate)(const wh_clues *c); /* pass NAN: it has nothing to go by */
} wh_estimator;

#define WH_ESTIMATOR_X(id) extern const wh_estimator wh_estimator_##id;
#include "plan/estimator.def"
#undef WH_ESTIMATOR_X
extern const wh_estimator *const wh_estimator_table[];
extern const size_t              wh_estimator_count;

/* What the pilot's regression looks at: a constant, the leader's share, different answers per sample, samples without
 * an answer, mean and largest score and their spread (0 without a PRM), and how long samples are against the mean. */
enum { WH_PILOT_TERMS = WH_PROFILE_PILOT };
void wh_estimator_terms(const wh_view *v, double x[WH_PILOT_TERMS]);

#endif
