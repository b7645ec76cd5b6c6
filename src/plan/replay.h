/* replay: runs that could have been, on the samples of a bank.
 *
 * A run gives every problem of the bank its samples in one random order and lets a policy spend a budget on them.
 * Orders are numbered: order r of a problem is the same whatever the policy, so that policies are compared on the
 * same luck. What a bank does not hold cannot be drawn: a policy that wants more samples than there are stops.
 */
#ifndef WH_PLAN_REPLAY_H
#define WH_PLAN_REPLAY_H

#include "plan/allot.h"
#include "plan/bank.h"
#include "plan/outlook.h"
#include "search/vote.h"

/* What one problem came to in one run. */
typedef struct wh_outcome {
    bool     right;
    uint8_t  why; /* wh_why */
    uint16_t n;   /* samples */
    double   policy, prm; /* FLOPs */
} wh_outcome;

typedef struct wh_replay_spec {
    const wh_policy  *policy;
    const wh_params  *params;
    const wh_profile *profile;
    const wh_vote    *vote; /* of the samples; where it needs scores and not all are scored: majority */
    wh_vote_opts      vote_opts;
    double            budget; /* FLOPs per problem, or of a set over the number of its problems; INFINITY: none */
    size_t            orders;
    uint64_t          seed;
} wh_replay_spec;

/* out[r * bank->n + i]: problem i in run r. */
wh_code wh_replay(wh_outcome *out, const wh_bank *bank, const wh_replay_spec *spec, wh_err *err);

/* ---- what outcomes amount to ---------------------------------------------------------------------------------------- */

typedef struct wh_interval {
    double mean, low, high; /* 95 % */
} wh_interval;

/* A table of outcomes as wh_replay writes them. */
typedef struct wh_runs {
    const wh_outcome *list;
    size_t            orders, n;
} wh_runs;

double wh_runs_accuracy(const wh_runs *r);
double wh_runs_flops(const wh_runs *r); /* mean per problem, policy and PRM */

/* Fixed N on the same problems and orders, as a curve: point k is best_of_n with n[k] samples. Between its points it
 * is a straight line (some problems get the lower N, some the higher). */
typedef struct wh_curve {
    const wh_runs *runs; /* ascending N */
    size_t         n;
} wh_curve;

/* Percentile bootstrap: each replicate draws problems with replacement, and for each an order. The same problems and
 * orders are drawn for everything that is compared, so differences are paired. */
typedef struct wh_versus {
    wh_interval accuracy, flops;
    wh_interval against;   /* accuracy minus that of `fixed` at the same FLOPs */
    wh_interval oracle;    /* regret: accuracy of the oracle allocation of `all` at the same FLOPs minus ours; only mean */
} wh_versus;
wh_code wh_replay_versus(wh_versus *out, const wh_runs *r, const wh_curve *fixed, const wh_curve *all, size_t replicates, uint64_t seed,
                         wh_err *err);

/* FLOPs at which a policy, run at several budgets, has the accuracy of `target`, relative to those of target: linear
 * between budgets. high is INFINITY where some replicates never reach it; mean where it does not. */
wh_code wh_replay_reach(wh_interval *out, const wh_runs *budgets, size_t n, const wh_runs *target, size_t replicates, uint64_t seed,
                        wh_err *err);

/* The accuracy of an allocation that knows how good every N would be on every problem: points of the curve, per
 * problem, by largest gain per FLOP on their concave hulls, until `flops` per problem are spent. No policy can know
 * as much, so this is a bound. */
wh_code wh_replay_oracle(double *accuracy, const wh_curve *fixed, double flops, wh_err *err);

#endif
