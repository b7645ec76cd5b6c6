/* calibrate: a profile from a bank.
 *
 * Everything is fitted by likelihood: the model of votes on the votes and which of them are right, the PRM's odds and
 * the pilot's regression by logistic regression. What is chosen by trying, the parameters of `adaptive`, is chosen by
 * two-fold cross-validation as in Snell et al. 2024: for each half of the problems those that do best on the other
 * half, and what they gain there is what is reported; the profile gets those that do best on all.
 */
#ifndef WH_PLAN_CALIBRATE_H
#define WH_PLAN_CALIBRATE_H

#include "plan/estimator.h"
#include "plan/replay.h"

/* What profiles are fitted with. */
typedef struct wh_calibrate_spec {
    const wh_vote *vote; /* that the samples are for: one that needs scores, or majority */
    wh_vote_opts   vote_opts;
    size_t         orders;
    uint64_t       seed;
} wh_calibrate_spec;

/* *out is the JSON of a profile (plan/profile.h). WH_ERR_ARG: too few problems, or none was ever solved. */
wh_code wh_calibrate(json_t **out, const wh_bank *bank, const wh_calibrate_spec *spec, wh_err *err);

/* What an estimator says of a problem, and pass@1 of the samples that it has not looked at. */
typedef struct wh_calibrate_said {
    wh_estimate estimate;
    double      pass;
} wh_calibrate_said;

/* The difficulty of every problem of the bank by an estimator, from its first `pilot` samples (of a small problem half of
 * them) in `orders` random orders; out[r * bank->n + i]. */
wh_code wh_calibrate_estimate(wh_calibrate_said *out, const wh_bank *bank, const wh_estimator *e, const wh_profile *profile,
                              const wh_vote_opts *opts, size_t pilot, size_t orders, uint64_t seed, wh_err *err);

#endif
