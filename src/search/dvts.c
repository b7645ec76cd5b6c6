/* Diverse verifier tree search: N/M subtrees, each a greedy search that samples M steps and takes the best.
 * Subtrees never compare scores, which keeps the solutions diverse.
 *
 * official   N/M beam searches with one survivor: N/M solutions (method.md §2.4)
 * hf         the same walk without deduplication or second attempts; in the end all M steps of the last round
 *            are solutions, N in all (method.md §4; sal/search/diverse_verifier_tree_search.py)
 */
#include "search/stepwise.h"

typedef struct params {
    wh_stepwise step;
    uint32_t    variant;
} params;

static const wh_param table[] = {
    WH_STEPWISE_PARAMS(params, step),
    WH_STEPWISE_WIDTH(params, step),
    WH_STEPWISE_VARIANT(params, variant),
};

typedef struct subtree {
    wh_beams beams;       /* official */
    uint32_t at, rounds;  /* hf: the path so far */
} subtree;

typedef struct state {
    subtree *trees;
} state;

static void hf_round(const params *p, subtree *s, uint32_t lane, wh_wishes *out)
{
    wh_expand e = wh_stepwise_expand(&p->step, s->at, p->step.width, lane);
    e.dedupe = false;
    e.keep_overlong = true;
    if (s->rounds + 1 == p->step.depth) e.steps = 0;
    e.depth = 0;
    s->rounds++;
    wh_wish_expand(out, &e);
}

static void hf(wh_tree *t, const params *p, subtree *s, uint32_t lane, wh_wishes *out)
{
    if (s->rounds) {
        uint32_t best = WH_NONE;
        for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, s->at, lane, c));)
            if (!best || t->nodes[c].value > t->nodes[best].value) best = c;
        if (!best || t->nodes[best].end != WH_END_NONE) {
            for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, s->at, lane, c));) wh_wish_accept(out, c);
            if (!best && s->at) wh_wish_accept(out, s->at);
            wh_wish_done(out, lane);
            return;
        }
        for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, s->at, lane, c));)
            if (c != best) wh_wish_prune(out, c);
        s->at = best;
    }
    hf_round(p, s, lane, out);
}

static wh_code advance_subtree(wh_tree *t, uint32_t lane, const params *p, subtree *s, wh_wishes *out, wh_err *err)
{
    if (p->variant == WH_STEPWISE_HF) {
        hf(t, p, s, lane, out);
        return WH_OK;
    }
    wh_beams_spec spec = {.first = p->step.width, .keep = 1, .branch = p->step.width};
    return wh_beams_advance(t, lane, &p->step, &spec, &s->beams, out, err);
}

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state_, wh_wishes *out, wh_err *err)
{
    const params *p = params_;
    state *s = state_;
    if (s->trees) return advance_subtree(t, lane, p, &s->trees[lane], out, err);
    uint32_t n = wh_stepwise_survivors(&p->step);
    s->trees = wh_tree_alloc(t, n, sizeof *s->trees);
    if (!s->trees) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u subtrees", n);
    for (uint32_t i = 0; i < n; i++) {
        wh_code code = advance_subtree(t, i, p, &s->trees[i], out, err);
        if (code != WH_OK) return code;
    }
    return WH_OK;
}

static void flops(double *policy, double *prm, const wh_task *task, const void *params_)
{
    const params *p = params_;
    uint32_t n = wh_stepwise_survivors(&p->step);
    wh_stepwise_flops(policy, prm, task, (double)n * p->step.width);
}

const wh_strategy wh_strategy_dvts = {
    .name = "dvts",
    .help = "N/M independent subtrees, each follows the best of M steps",
    .source = "Beeching et al. 2024, Scaling test-time compute with open models; Liu et al. 2025 (2502.06703); "
              "official README (--num_q N/4 --width 4 --num_seq 1)",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .state_size = sizeof(state),
    .needs_prm = true,
    .advance = advance,
    .flops = flops,
};
