/* Beam search that looks ahead: every candidate step is continued greedily for k steps, and ranked by what the
 * PRM says at the end of that rollout, which is then thrown away. k = 0 is beam search. */
#include "search/stepwise.h"

#include <math.h>

typedef struct params {
    wh_stepwise step;
    uint32_t    ahead;
} params;

static const wh_param table[] = {
    WH_STEPWISE_PARAMS(params, step),
    WH_STEPWISE_WIDTH(params, step),
    {"ahead", WH_PARAM_INT, offsetof(params, ahead), 1, 0, 40, NULL, "steps of each rollout (k)"},
};

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state, wh_wishes *out, wh_err *err)
{
    const params *p = params_;
    uint32_t keep = wh_stepwise_survivors(&p->step);
    wh_beams_spec spec = {.first = p->step.n, .keep = keep, .branch = p->step.n / keep, .rollout = p->ahead};
    return wh_beams_advance(t, lane, &p->step, &spec, state, out, err);
}

static void flops(double *policy, double *prm, const wh_task *task, const void *params_)
{
    const params *p = params_;
    double steps = fmax(1, task->answer_tokens / task->step_tokens), computed = 0;
    double group = p->step.granularity ? p->step.granularity : steps;
    /* A candidate of group g of steps is followed by k more, as far as there are any. */
    double at = 0;
    while (at < steps) {
        computed += fmin(group, steps - at) + fmin(p->ahead, fmax(0, steps - at - group));
        at += group;
    }
    uint32_t keep = wh_stepwise_survivors(&p->step), each = p->step.n / keep;
    wh_stepwise_flops(policy, prm, task, (double)keep * each * computed / steps);
}

const wh_strategy wh_strategy_lookahead = {
    .name = "lookahead",
    .help = "beam search that scores steps by where they lead",
    .source = "Snell et al. 2024 (2408.03314) §5.1, lookahead search",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .state_size = sizeof(wh_beams),
    .needs_prm = true,
    .advance = advance,
    .flops = flops,
};
