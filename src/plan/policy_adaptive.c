/* Pilot, estimate, route, and stop when more does not pay.
 *
 * Every round asks what the next unit of compute is best spent on: more samples, the PRM's opinion of those that are
 * there, or a search under it, and takes what gains most per FLOP. It stops when the leader will stay the leader
 * (Beta rule), or when nothing is worth its price. The price of a FLOP is set by the budget: what the whole of it
 * would have to gain to be worth spending, over the whole of it. A problem on which the samples never agree has no
 * leader that more of them could make probable: its gain falls below any price, and it is given up.
 */
#include "plan/gain.h"

#include <math.h>

typedef struct params {
    uint32_t pilot, least, weighted;
    double   sure, price, stride;
} params;

static const wh_param table[] = {
    {"pilot", WH_PARAM_INT, offsetof(params, pilot), 2, 1, WH_PLAN_MOST, NULL, "samples to begin with"},
    {"least", WH_PARAM_INT, offsetof(params, least), 1, 1, WH_PLAN_MOST, NULL,
     "samples drawn at once, at least: where no other problem fills the batch, four cost little more time than one"},
    {"sure", WH_PARAM_REAL, offsetof(params, sure), 0.95, 0.5, 1, NULL, "stop when the leader stays the leader with this probability"},
    {"price", WH_PARAM_REAL, offsetof(params, price), 0.1, 0, 1, NULL,
     "what the whole budget (without one: 16 samples) would have to gain to be worth spending, in probability of the right answer"},
    {"stride", WH_PARAM_REAL, offsetof(params, stride), 0, 0, 1, NULL,
     "how much of the samples that look best at once are drawn before looking again; 0: one by one (where time counts, not FLOPs: all)"},
    {"weighted", WH_PARAM_INT, offsetof(params, weighted), 0, 0, 1, NULL, "1: votes count as much as their scores in the rule of `sure`"},
};

/* FLOPs that `price` is about. */
static double whole_budget(const wh_view *v)
{
    enum { USUAL = 16 };
    return isfinite(v->budget) ? v->budget : USUAL * v->sample;
}

static void decide(wh_action *out, const wh_view *v, const void *params_)
{
    const params *p = params_;
    if (v->n < p->pilot) {
        *out = (wh_action){.what = WH_DO_SAMPLE, .n = p->pilot - v->n};
        return;
    }
    wh_ballot votes;
    wh_view_ballot(v, &votes);
    if (wh_gain_stays(v, p->weighted) >= p->sure) {
        *out = (wh_action){.what = WH_DO_STOP, .why = WH_WHY_CERTAIN};
        return;
    }
    wh_action score;
    wh_gain_sample(out, v, &votes);
    wh_gain_score(&score, v, &votes);
    wh_gain_stride(out, v->round > 0 ? 1 : p->stride);
    if (score.gain * out->cost > out->gain * score.cost) *out = score;
    if (out->gain >= p->price * out->cost / whole_budget(v)) {
        if (out->what == WH_DO_SAMPLE && out->n < p->least) out->n = p->least;
        return;
    }
    /* Not even a coin's chance of being right, and nothing to hope for. */
    bool hopeless = wh_belief_best(v->belief, &votes, NULL) < wh_bin_bounds[WH_BIN_EASY];
    *out = (wh_action){.what = WH_DO_STOP, .why = hopeless ? WH_WHY_HOPELESS : WH_WHY_PRICE};
}

const wh_policy wh_policy_adaptive = {
    .name = "adaptive",
    .help = "sample, look, and go on only while it pays",
    .source = "Aggarwal et al. 2023 (2305.11860) for the Beta rule; Damani et al. 2024 (2410.04707) for gain per cost",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .decide = decide,
};
