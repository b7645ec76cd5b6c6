/* The same for every problem: one strategy, N samples. What the others are measured against. */
#include "plan/policy.h"

typedef struct params {
    uint32_t n, strategy;
} params;

#define WH_STRATEGY_X(id) #id "|"
static const char strategies[] =
#include "search/strategy.def"
    ;
#undef WH_STRATEGY_X

static const wh_param table[] = {
    {"n", WH_PARAM_INT, offsetof(params, n), 16, 1, WH_PLAN_MOST, NULL, "samples"},
    {"strategy", WH_PARAM_CHOICE, offsetof(params, strategy), 1, 0, 64, strategies, "how to search"},
};

static void decide(wh_action *out, const wh_view *v, const void *params_)
{
    const params *p = params_;
    const wh_strategy *s = wh_strategy_table[p->strategy];
    if (!s->needs_prm) {
        out->what = v->n < p->n ? WH_DO_SAMPLE : WH_DO_STOP;
        out->n = p->n - v->n;
        if (v->can_score && !v->scoring) out->what = WH_DO_SCORE;
    } else if (v->searched) {
        out->what = WH_DO_STOP;
    } else {
        *out = (wh_action){.what = WH_DO_SEARCH, .strategy = s, .n = p->n};
    }
}

const wh_policy wh_policy_fixed = {
    .name = "fixed",
    .help = "one strategy and one N for every problem",
    .source = "what the paper compares with: CoT, majority, best-of-N (Liu et al. 2025, Table 5)",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .decide = decide,
};
