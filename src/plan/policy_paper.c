/* The authors' own table, by the size of the policy model: "the strategy is fixed based on the model size". Below 7B
 * beam search; to 32B DVTS for easy and medium problems and beam search for hard ones; above, best-of-N. N is the
 * largest of the paper's 4, 16, 64, 256 that the budget is expected to pay for.
 *
 * The paper knows the difficulty from the answers. Here it is what the prompt lets expect; unknown counts as medium. */
#include "plan/policy.h"

#include <math.h>

typedef struct params {
    uint32_t n;
} params;

static const wh_param table[] = {
    {"n", WH_PARAM_INT, offsetof(params, n), 16, 1, WH_PLAN_MOST, NULL, "samples where no budget says how many"},
};

static const wh_strategy *choose(const wh_view *v)
{
    const double billion = 1e9, parameters = (double)v->task.policy.params;
    if (parameters < 7 * billion) return &wh_strategy_beam;
    if (parameters > 32 * billion) return &wh_strategy_best_of_n;
    bool hard = !isnan(v->prompt_pass) && wh_bin_of(v->prompt_pass) == WH_BIN_HARD;
    return hard ? &wh_strategy_beam : &wh_strategy_dvts;
}

static size_t how_many(const wh_view *v, const params *p)
{
    if (!isfinite(v->budget)) return p->n;
    size_t n = 4;
    while (n < WH_PLAN_MOST && (double)(4 * n) * (v->sample + v->score) <= wh_view_left(v)) n *= 4;
    return n;
}

static void decide(wh_action *out, const wh_view *v, const void *params_)
{
    const params *p = params_;
    const wh_strategy *s = choose(v);
    if (v->searched || (v->n && (!s->needs_prm || !v->can_search))) {
        *out = (wh_action){.what = WH_DO_STOP};
    } else if (s->needs_prm && v->can_search) {
        *out = (wh_action){.what = WH_DO_SEARCH, .strategy = s, .n = how_many(v, p)};
    } else {
        *out = (wh_action){.what = v->can_score && !v->scoring ? WH_DO_SCORE : WH_DO_SAMPLE, .n = how_many(v, p)};
    }
}

const wh_policy wh_policy_paper = {
    .name = "paper",
    .help = "the authors' table: a strategy by the size of the model",
    .source = "Liu et al. 2025 (2502.06703), MATH-500; the authors in issue #4 of RyanLiu112/compute-optimal-tts",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .decide = decide,
};
