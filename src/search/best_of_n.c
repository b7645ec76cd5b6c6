/* N whole answers, drawn independently; a vote picks one.
 *
 * Sample i is child i of the root, so sample i is the same for every N. Where there is a PRM each answer is
 * scored step by step when it is written. Answers cut by the token limit stay, as in the official code.
 */
#include "search/strategy.h"

typedef struct params {
    wh_draw  draw;
    uint32_t n;
} params;

static const wh_param table[] = {
    {"n", WH_PARAM_INT, offsetof(params, n), 16, 1, 65536, NULL, "how many answers to sample"},
    WH_DRAW_PARAMS(params, draw, 0.7),
};

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state, wh_wishes *out, wh_err *err)
{
    (void)state, (void)err;
    const params *p = params_;
    if (t->nodes[0].n_children)
        wh_wish_done(out, lane);
    else
        wh_wish_expand(out, &(wh_expand){
                                .n = p->n,
                                .answer_tokens = p->draw.max_tokens,
                                .sampling = wh_draw_sampling(&p->draw),
                                .score = true,
                                .accept = true,
                            });
    return WH_OK;
}

static void flops(double *policy, double *prm, const wh_task *task, const void *params_)
{
    const params *p = params_;
    wh_strategy_answer_flops(policy, prm, task, p->n);
}

const wh_strategy wh_strategy_best_of_n = {
    .name = "best_of_n",
    .help = "sample N whole answers and vote",
    .source = "Brown et al. 2024 (2407.21787); Wang et al. 2022 (2203.11171) for the vote; official "
              "evaluate.py, --method best_of_n",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .nested = true,
    .advance = advance,
    .flops = flops,
};
