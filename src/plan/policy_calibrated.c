/* Compute-optimal as Snell et al. and Liu et al. mean it, with what one can know at run time: the difficulty is
 * estimated, and per bin and budget comes the strategy that a profile says is the most accurate (Eq. 3 of the paper).
 * The prompt's estimate is used where there is one; else a few samples are drawn, which vote with the rest. */
#include "plan/gain.h"

#include <math.h>
#include <string.h>

typedef struct params {
    uint32_t pilot;
} params;

static const wh_param table[] = {
    {"pilot", WH_PARAM_INT, offsetof(params, pilot), 4, 1, WH_PLAN_MOST, NULL, "samples to estimate the difficulty from, where the prompt does not say it"},
};

/* The most accurate row for the bin that the budget pays for; among equals the cheapest. */
static const wh_profile_row *choose(const wh_view *v, wh_bin bin)
{
    const wh_profile_row *best = NULL;
    for (size_t i = 0; i < v->profile->n_rows; i++) {
        const wh_profile_row *r = &v->profile->rows[i];
        const wh_strategy *s = wh_strategy_find(r->strategy);
        if (r->bin != bin || !s || (s->needs_prm && !v->can_search) || r->flops * v->sample > v->budget) continue;
        if (!best || r->accuracy > best->accuracy || (r->accuracy == best->accuracy && r->flops < best->flops)) best = r;
    }
    return best;
}

static void decide(wh_action *out, const wh_view *v, const void *params_)
{
    const params *p = params_;
    *out = (wh_action){.what = WH_DO_STOP};
    double pass = v->prompt_pass;
    if (isnan(pass)) {
        if (v->n < p->pilot) {
            *out = (wh_action){.what = WH_DO_SAMPLE, .n = p->pilot - v->n};
            return;
        }
        wh_ballot votes;
        wh_view first = *v; /* the bin is decided once, by the pilot */
        if (first.n > p->pilot) first.n = p->pilot;
        wh_view_ballot(&first, &votes);
        pass = wh_belief_pass(v->belief, &votes, NULL, NULL, 0);
    }
    const wh_profile_row *r = choose(v, wh_bin_of(pass));
    if (!r || v->searched) return;
    const wh_strategy *s = wh_strategy_find(r->strategy);
    if (s->needs_prm) *out = (wh_action){.what = WH_DO_SEARCH, .strategy = s, .n = r->n};
    else if (v->n < r->n) *out = (wh_action){.what = WH_DO_SAMPLE, .n = r->n - v->n};
}

const wh_policy wh_policy_calibrated = {
    .name = "calibrated",
    .help = "per difficulty bin, what a profile says is best under the budget",
    .source = "Snell et al. 2024 (2408.03314); Liu et al. 2025 (2502.06703), Eq. 3",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .decide = decide,
};
