/* One answer, by default the most probable token each time: the baseline. */
#include "search/strategy.h"

typedef struct params {
    wh_draw draw;
} params;

static const wh_param table[] = {
    WH_DRAW_PARAMS(params, draw, 0.0),
};

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state, wh_wishes *out, wh_err *err)
{
    (void)state, (void)err;
    const params *p = params_;
    if (t->nodes[0].n_children)
        wh_wish_done(out, lane);
    else
        wh_wish_expand(out, &(wh_expand){
                                .n = 1,
                                .answer_tokens = p->draw.max_tokens,
                                .sampling = wh_draw_sampling(&p->draw),
                                .accept = true,
                            });
    return WH_OK;
}

static void flops(double *policy, double *prm, const wh_task *task, const void *params_)
{
    (void)params_;
    wh_strategy_answer_flops(policy, prm, task, 1);
    *prm = 0;
}

const wh_strategy wh_strategy_cot = {
    .name = "cot",
    .help = "one answer, greedy",
    .source = "Wei et al. 2022 (2201.11903); official evaluate.py, --method cot",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .nested = true,
    .advance = advance,
    .flops = flops,
};
