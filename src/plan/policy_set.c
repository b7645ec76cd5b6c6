/* Across the problems of a set: the next unit of compute goes where the expected gain per FLOP is largest, whatever
 * that problem is, until the budget of all is spent. Problems that are decided, and those on which samples never
 * agree, gain little and are left alone. Where there is a PRM samples are scored as they come: it could not go back to
 * a problem whose samples are no longer in memory. */
#include "plan/gain.h"

typedef struct params {
    double least;
} params;

static const wh_param table[] = {
    {"least", WH_PARAM_REAL, offsetof(params, least), 1e-5, 0, 1, NULL,
     "leave a problem alone when a sample is expected to gain less, in probability of the right answer"},
};

static void decide(wh_action *out, const wh_view *v, const void *params_)
{
    const params *p = params_;
    wh_ballot votes;
    wh_view_ballot(v, &votes);
    wh_gain_sample(out, v, &votes);
    wh_gain_stride(out, 0); /* one by one: the batch is filled by other problems */
    if (out->gain * v->sample >= p->least * out->cost) return;
    bool hopeless = wh_belief_best(v->belief, &votes, NULL) < wh_bin_bounds[WH_BIN_EASY];
    *out = (wh_action){.what = WH_DO_STOP, .why = hopeless ? WH_WHY_HOPELESS : WH_WHY_CERTAIN};
}

const wh_policy wh_policy_set = {
    .name = "set",
    .help = "one budget for all problems, spent where it gains most",
    .source = "Damani et al. 2024 (2410.04707), greedy by marginal gain; bandit elimination, 2506.12721",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .whole_set = true,
    .decide = decide,
};
