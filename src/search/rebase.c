/* Reward-balanced search: N samples in every round, shared among the open paths in proportion to
 * exp(score / T). A path that ends takes one from the budget for good; all of them vote.
 *
 * The paper rounds each share N·w_j / Σw by itself, which need not add up to N; here the shares are rounded
 * one after another, best first, each out of what is left, which does.
 */
#include "search/stepwise.h"

#include <math.h>

typedef struct params {
    wh_stepwise step;
    double      balance;
} params;

static const wh_param table[] = {
    WH_STEPWISE_PARAMS(params, step),
    {"balance", WH_PARAM_REAL, offsetof(params, balance), 0.2, 1e-3, 100, NULL,
     "temperature of the shares: low, the best path gets all; high, all get the same"},
};

typedef struct state {
    uint32_t *open, n; /* expanded last round; room for N */
    uint32_t  budget;
} state;

static void widen(const params *p, uint32_t node, uint32_t n, wh_wishes *out)
{
    wh_expand e = wh_stepwise_expand(&p->step, node, n, 0);
    e.dedupe = false;
    wh_wish_expand(out, &e);
}

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state_, wh_wishes *out, wh_err *err)
{
    const params *p = params_;
    state *s = state_;
    const uint32_t n = p->step.n;
    if (!s->open) {
        s->open = wh_tree_alloc(t, n, sizeof *s->open);
        if (!s->open) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u paths", n);
        s->n = 1; /* the root */
        s->budget = n;
        widen(p, 0, n, out);
        return WH_OK;
    }
    uint32_t *next = wh_tree_alloc(t, n, sizeof *next), n_next = 0;
    double *weight = wh_tree_alloc(t, n, sizeof *weight);
    if (!next || !weight) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u paths", n);

    bool waiting = false;
    for (uint32_t i = 0; i < s->n; i++) {
        wh_expand again = wh_stepwise_expand(&p->step, s->open[i], 1, lane);
        again.dedupe = false;
        wh_stepwise_check(t, s->open[i], &again, &waiting, out);
    }
    if (waiting) return WH_OK;
    for (uint32_t i = 0; i < s->n; i++) {
        if (t->nodes[s->open[i]].end != WH_END_NONE) { /* stuck: it is an end as it stands */
            wh_wish_accept(out, s->open[i]);
            s->budget -= s->budget > 0;
        }
        for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, s->open[i], lane, c));)
            if (t->nodes[c].end == WH_END_NONE) {
                next[n_next++] = c;
            } else {
                wh_wish_accept(out, c);
                s->budget -= s->budget > 0;
            }
    }
    wh_stepwise_sort(t, next, n_next);
    double left = 0;
    for (uint32_t i = 0; i < n_next; i++) {
        weight[i] = exp((t->nodes[next[i]].value - t->nodes[next[0]].value) / p->balance);
        left += weight[i];
    }
    s->n = 0;
    uint32_t budget = s->budget;
    for (uint32_t i = 0; i < n_next; i++) {
        /* The last one takes what is left exactly, whatever the sum has lost to rounding. */
        double share = i + 1 == n_next ? budget : round(budget * fmin(1, weight[i] / left));
        left -= weight[i];
        if (share < 1) {
            wh_wish_prune(out, next[i]);
            continue;
        }
        budget -= (uint32_t)share;
        t->nodes[next[i]].visits = 1;
        widen(p, next[i], (uint32_t)share, out);
        s->open[s->n++] = next[i];
    }
    if (!s->n) wh_wish_done(out, lane);
    return WH_OK;
}

const wh_strategy wh_strategy_rebase = {
    .name = "rebase",
    .help = "share N samples of each round among all paths by their scores",
    .source = "Wu et al. 2024 (2408.00724) §3, REBASE",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .state_size = sizeof(state),
    .needs_prm = true,
    .advance = advance,
    .flops = wh_stepwise_flops_of_n,
};
