/* Particle filtering: N particles take a step each, then N are drawn from them with replacement, with
 * probabilities softmax(logit(score) / T). A particle that has ended stays as it is and can be drawn again.
 * Nothing is ever cut off for good by one bad score of a good path's twin, as in a beam. When all have ended
 * they are the solutions, drawn twice counting twice.
 */
#include "base/rng.h"
#include "search/stepwise.h"

#include <math.h>
#include <string.h>

typedef struct params {
    wh_stepwise step;
    double      sharpness;
} params;

static const wh_param table[] = {
    WH_STEPWISE_PARAMS(params, step),
    {"resample-temperature", WH_PARAM_REAL, offsetof(params, sharpness), 1, 0.01, 100, NULL,
     "low: the best particles are drawn again and again; high: all alike"},
};

typedef struct state {
    uint32_t *particle; /* N nodes, several may be the same */
    uint32_t  rounds;
} state;

static double log_odds(double p)
{
    const double least = 1e-6;
    p = fmin(fmax(p, least), 1 - least);
    return log(p / (1 - p));
}

/* Replace the particles by n draws from them. */
static void resample(const wh_tree *t, const params *p, state *s, double *cumulative, uint32_t *drawn)
{
    const uint32_t n = p->step.n;
    /* Draws of their own: no node's stream is derived from this one. */
    const uint64_t stream = wh_rng_substream(UINT64_C(0x7061727469636c65) /* "particle" */, s->rounds);
    double best = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) best = fmax(best, log_odds(t->nodes[s->particle[i]].value));
    for (uint32_t i = 0; i < n; i++)
        cumulative[i] = sum += exp((log_odds(t->nodes[s->particle[i]].value) - best) / p->sharpness);
    for (uint32_t i = 0; i < n; i++) {
        double u = wh_rng_uniform(t->seed, stream, i) * sum;
        uint32_t k = 0;
        while (k + 1 < n && cumulative[k] <= u) k++;
        drawn[i] = s->particle[k];
    }
    memcpy(s->particle, drawn, n * sizeof *drawn);
}

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state_, wh_wishes *out, wh_err *err)
{
    const params *p = params_;
    state *s = state_;
    const uint32_t n = p->step.n;
    uint32_t *drawn = wh_tree_alloc(t, n, sizeof *drawn);
    double *cumulative = wh_tree_alloc(t, n, sizeof *cumulative);
    if (!s->particle) s->particle = wh_tree_alloc(t, n, sizeof *s->particle); /* all at the root */
    if (!drawn || !cumulative || !s->particle) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u particles", n);

    if (s->rounds) {
        /* Each particle moves to its own child: the k-th copy of a node to the k-th sample after it. */
        bool open = false;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t copy = 0, c = WH_NONE;
            for (uint32_t k = 0; k < i; k++) copy += s->particle[k] == s->particle[i];
            drawn[i] = s->particle[i];
            if (t->nodes[drawn[i]].end != WH_END_NONE) continue;
            for (uint32_t k = 0; k <= copy; k++) c = wh_stepwise_child(t, drawn[i], lane, c);
            if (c) drawn[i] = c;
        }
        memcpy(s->particle, drawn, n * sizeof *drawn);
        for (uint32_t i = 0; i < n; i++) {
            wh_node *x = &t->nodes[s->particle[i]];
            if (x->end == WH_END_NONE && x->n_children) x->end = WH_END_STUCK; /* its step was refused */
            open = open || x->end == WH_END_NONE;
        }
        if (!open) {
            for (uint32_t i = 0; i < n; i++) wh_wish_accept(out, s->particle[i]);
            wh_wish_done(out, lane);
            return WH_OK;
        }
        uint32_t *before = drawn;
        memcpy(before, s->particle, n * sizeof *before);
        uint32_t *scratch = wh_tree_alloc(t, n, sizeof *scratch);
        if (!scratch) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u particles", n);
        resample(t, p, s, cumulative, scratch);
        for (uint32_t i = 0; i < n; i++) {
            bool stays = false;
            for (uint32_t k = 0; k < n; k++) stays = stays || s->particle[k] == before[i];
            if (!stays) wh_wish_prune(out, before[i]);
        }
    }
    s->rounds++;
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t copies = 0, earlier = 0;
        for (uint32_t k = 0; k < n; k++) {
            copies += s->particle[k] == s->particle[i];
            earlier += k < i && s->particle[k] == s->particle[i];
        }
        if (earlier || t->nodes[s->particle[i]].end != WH_END_NONE) continue;
        wh_expand e = wh_stepwise_expand(&p->step, s->particle[i], copies, lane);
        e.dedupe = false;
        e.keep_overlong = true;
        wh_wish_expand(out, &e);
        any = true;
    }
    if (!any) { /* only ended ones were drawn */
        for (uint32_t i = 0; i < n; i++) wh_wish_accept(out, s->particle[i]);
        wh_wish_done(out, lane);
    }
    return WH_OK;
}

const wh_strategy wh_strategy_particle = {
    .name = "particle",
    .help = "N particles, drawn anew after each step by their scores",
    .source = "Puri et al. 2025 (2502.01618), particle filtering",
    .params = table,
    .n_params = sizeof table / sizeof table[0],
    .state_size = sizeof(state),
    .needs_prm = true,
    .advance = advance,
    .flops = wh_stepwise_flops_of_n,
};
