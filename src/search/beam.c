/* Beam search over steps, guided by the PRM: of all steps sampled in a round the best go on.
 *
 * official   N samples after the root; N/M survive each round and get M samples each; a survivor that has
 *            ended keeps its place, so N/M solutions come out (method.md §2.5)
 * hf         N beams take one step each; those that end leave the pool as solutions; of the others N/M
 *            survive and are copied up to N again; the round at the depth limit runs to the end. N solutions
 *            come out, repeated when there are fewer (method.md §4; sal/search/beam_search.py)
 */
#include "search/stepwise.h"

#include <string.h>

typedef struct params {
    wh_stepwise step;
    uint32_t    variant;
} params;

static const wh_param table[] = {
    WH_STEPWISE_PARAMS(params, step),
    WH_STEPWISE_WIDTH(params, step),
    WH_STEPWISE_VARIANT(params, variant),
};

typedef struct state {
    wh_beams  beams;           /* official */
    uint32_t *active, *ended;  /* hf: room for N each */
    uint32_t  n_active, n_ended, rounds;
} state;

/* Beam i of N is the (i / active)-th copy of survivor i mod active, as the list is repeated there. */
static void hf_round(const params *p, state *s, wh_wishes *out)
{
    for (uint32_t j = 0; j < s->n_active; j++) {
        uint32_t copies = p->step.n / s->n_active + (j < p->step.n % s->n_active);
        wh_expand e = wh_stepwise_expand(&p->step, s->active[j], copies, 0);
        e.dedupe = false;
        e.keep_overlong = e.ignore_boxed = true;
        if (s->rounds + 1 == p->step.depth) e.steps = 0;
        e.depth = 0;
        wh_wish_expand(out, &e);
    }
    s->rounds++;
}

static wh_code hf(wh_tree *t, const params *p, state *s, wh_wishes *out, wh_err *err)
{
    const uint32_t n = p->step.n;
    if (!s->active) {
        s->active = wh_tree_alloc(t, n, sizeof *s->active);
        s->ended = wh_tree_alloc(t, n, sizeof *s->ended);
        if (!s->active || !s->ended) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u beams", n);
        s->n_active = 1; /* the root */
        hf_round(p, s, out);
        return WH_OK;
    }
    uint32_t *beam = wh_tree_alloc(t, n, sizeof *beam), *rank = wh_tree_alloc(t, n, sizeof *rank);
    if (!beam || !rank) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u beams", n);
    uint32_t going = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t c = WH_NONE;
        for (uint32_t k = 0; k <= i / s->n_active; k++) c = wh_stepwise_child(t, s->active[i % s->n_active], 0, c);
        if (!c) continue;
        if (t->nodes[c].end == WH_END_NONE) beam[going++] = c;
        else if (s->n_ended < n) s->ended[s->n_ended++] = c;
    }
    if (!going || s->n_ended == n) {
        for (uint32_t i = 0; i < going; i++) wh_wish_prune(out, beam[i]);
        for (uint32_t i = 0; s->n_ended && i < n; i++) wh_wish_accept(out, s->ended[i % s->n_ended]);
        wh_wish_done(out, 0);
        return WH_OK;
    }
    /* numpy.argsort()[-keep:]: among equals the later ones stay; survivors keep the order of the pool. */
    uint32_t keep = wh_stepwise_survivors(&p->step);
    for (uint32_t i = 0; i < going; i++) rank[i] = beam[going - 1 - i];
    wh_stepwise_sort(t, rank, going);
    for (uint32_t i = keep; i < going; i++) wh_wish_prune(out, rank[i]);
    s->n_active = 0;
    for (uint32_t i = 0; i < going; i++)
        for (uint32_t k = 0; k < keep && k < going; k++)
            if (rank[k] == beam[i]) s->active[s->n_active++] = beam[i];
    hf_round(p, s, out);
    return WH_OK;
}

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state_, wh_wishes *out, wh_err *err)
{
    const params *p = params_;
    state *s = state_;
    if (p->variant == WH_STEPWISE_HF) return hf(t, p, s, out, err);
    uint32_t keep = wh_stepwise_survivors(&p->step);
    wh_beams_spec spec = {.first = p->step.n, .keep = keep, .branch = p->step.n / keep};
    return wh_beams_advance(t, lane, &p->step, &spec, &s->beams, out, err);
}

static void flops(double *policy, double *prm, const wh_task *task, const void *params_)
{
    const params *p = params_;
    uint32_t keep = wh_stepwise_survivors(&p->step);
    wh_stepwise_flops(policy, prm, task, p->variant == WH_STEPWISE_HF ? p->step.n : keep * (p->step.n / keep));
}

const wh_strategy wh_strategy_beam = {
    .name = "beam",
    .help = "keep the best N/M of N steps in every round",
    .source = "Snell et al. 2024 (2408.03314) §5; Liu et al. 2025 (2502.06703); official guided_search/tree.py "
              "beam_search; search-and-learn beam_search.py",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .state_size = sizeof(state),
    .needs_prm = true,
    .advance = advance,
    .flops = flops,
};
