#include "search/strategy.h"

#include "base/mem.h"

#include <string.h>

const wh_strategy *const wh_strategy_table[] = {
#define WH_STRATEGY_X(id) &wh_strategy_##id,
#include "search/strategy.def"
#undef WH_STRATEGY_X
};
const size_t wh_strategy_count = sizeof wh_strategy_table / sizeof wh_strategy_table[0];

const wh_strategy *wh_strategy_find(const char *name)
{
    for (size_t i = 0; i < wh_strategy_count; i++)
        if (strcmp(wh_strategy_table[i]->name, name) == 0) return wh_strategy_table[i];
    return NULL;
}

static wh_wish *add(wh_wishes *out, wh_wish_kind kind, uint32_t node)
{
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 16;
        wh_wish *list = wh_mem_resize(out->list, cap, sizeof *list);
        if (!list) {
            out->failed = true;
            return NULL;
        }
        out->list = list;
        out->cap = cap;
    }
    wh_wish *w = &out->list[out->n++];
    *w = (wh_wish){.kind = kind, .node = node};
    return w;
}

void wh_wish_expand(wh_wishes *out, const wh_expand *e)
{
    wh_wish *w = add(out, WH_WISH_EXPAND, e->node);
    if (w) w->expand = *e;
}

void wh_wish_revive(wh_wishes *out, uint32_t node) { add(out, WH_WISH_REVIVE, node); }
void wh_wish_score(wh_wishes *out, uint32_t node) { add(out, WH_WISH_SCORE, node); }
void wh_wish_prune(wh_wishes *out, uint32_t node) { add(out, WH_WISH_PRUNE, node); }
void wh_wish_accept(wh_wishes *out, uint32_t node) { add(out, WH_WISH_ACCEPT, node); }
void wh_wish_done(wh_wishes *out, uint32_t lane) { add(out, WH_WISH_DONE, lane); }

wh_sampling wh_draw_sampling(const wh_draw *d)
{
    return (wh_sampling){
        .temperature = (float)d->temperature,
        .top_k = (int)d->top_k,
        .top_p = (float)d->top_p,
        .min_p = (float)d->min_p,
    };
}

double wh_strategy_compute(const wh_cost *c, double past, double n, double logits)
{
    return n * (double)c->body + logits * (double)c->head +
           (double)c->attn_per_key * (past * n + n * (n + 1) / 2);
}

void wh_strategy_answer_flops(double *policy, double *prm, const wh_task *task, double n)
{
    /* The prompt is computed once, and so is the PRM's view of the question. */
    *policy = wh_strategy_compute(&task->policy, 0, task->prompt_tokens, 0) +
              n * wh_strategy_compute(&task->policy, task->prompt_tokens, task->answer_tokens, task->answer_tokens);
    double scores = task->step_tokens > 0 ? task->answer_tokens / task->step_tokens : 0;
    *prm = !task->has_prm ? 0
                          : wh_strategy_compute(&task->prm, 0, task->prm_prompt_tokens, 0) +
                                n * wh_strategy_compute(&task->prm, task->prm_prompt_tokens, task->prm_answer_tokens, scores);
}
