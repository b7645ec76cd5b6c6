#include "search/stepwise.h"

#include <math.h>
#include <string.h>

wh_expand wh_stepwise_expand(const wh_stepwise *p, uint32_t node, uint32_t n, uint32_t lane)
{
    return (wh_expand){
        .node = node,
        .n = n,
        .lane = lane,
        .steps = p->granularity,
        .depth = p->depth,
        .step_tokens = p->step_tokens,
        .answer_tokens = p->draw.max_tokens,
        .sampling = wh_draw_sampling(&p->draw),
        .dedupe = true,
        .score = true,
    };
}

uint32_t wh_stepwise_child(const wh_tree *t, uint32_t node, uint32_t lane, uint32_t after)
{
    uint32_t i = after ? t->nodes[after].next : t->nodes[node].first_child;
    while (i && (t->nodes[i].fate != WH_FATE_IN_PLAY || t->nodes[i].lane != lane)) i = t->nodes[i].next;
    return i;
}

void wh_stepwise_check(wh_tree *t, uint32_t node, const wh_expand *again, bool *waiting, wh_wishes *out)
{
    enum { ATTEMPTS = 3 };
    wh_node *n = &t->nodes[node];
    if (n->end != WH_END_NONE || wh_stepwise_child(t, node, again->lane, WH_NONE)) return;
    if (!node) {
        for (uint32_t i = n->first_child; i; i = t->nodes[i].next)
            if (t->nodes[i].lane == again->lane && t->nodes[i].fate == WH_FATE_OVERLONG) {
                wh_wish_revive(out, i);
                *waiting = true;
            }
    } else if (n->visits < ATTEMPTS) {
        n->visits++;
        wh_wish_expand(out, again);
        *waiting = true;
    } else {
        n->end = WH_END_STUCK;
    }
}

void wh_stepwise_sort(const wh_tree *t, uint32_t *nodes, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t x = nodes[i];
        size_t k = i;
        for (; k && t->nodes[nodes[k - 1]].value < t->nodes[x].value; k--) nodes[k] = nodes[k - 1];
        nodes[k] = x;
    }
}

/* ---- beam search ------------------------------------------------------------------------------------------- */

static wh_expand widen(const wh_stepwise *p, const wh_beams_spec *spec, uint32_t node, uint32_t n, uint32_t lane)
{
    wh_expand e = wh_stepwise_expand(p, node, n, lane);
    if (!spec->rollout) { /* a rollout comes first there */
        e.survivors = spec->keep;
        e.branch = spec->branch;
    }
    return e;
}

/* Continue every candidate greedily for some steps: the value at the end says where it leads. */
static bool roll_out(wh_tree *t, uint32_t lane, const wh_stepwise *p, const wh_beams_spec *spec, const wh_beams *b,
                     wh_wishes *out)
{
    bool any = false;
    for (uint32_t i = 0; i < b->n; i++) {
        if (t->nodes[b->beam[i]].end != WH_END_NONE) continue;
        for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, b->beam[i], lane, c));) {
            if (t->nodes[c].end != WH_END_NONE) continue;
            wh_expand e = wh_stepwise_expand(p, c, 1, lane);
            e.steps = spec->rollout;
            e.sampling.temperature = 0;
            e.keep_overlong = true;
            wh_wish_expand(out, &e);
            any = true;
        }
    }
    return any;
}

static void take_values(wh_tree *t, uint32_t lane, const uint32_t *candidate, size_t n, wh_wishes *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t r = wh_stepwise_child(t, candidate[i], lane, WH_NONE);
        if (!r) continue;
        t->nodes[candidate[i]].value = t->nodes[r].value;
        wh_wish_prune(out, r);
    }
}

wh_code wh_beams_advance(wh_tree *t, uint32_t lane, const wh_stepwise *p, const wh_beams_spec *spec, wh_beams *b,
                         wh_wishes *out, wh_err *err)
{
    if (!b->beam) {
        b->beam = wh_tree_alloc(t, spec->keep, sizeof *b->beam);
        if (!b->beam) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u beams", spec->keep);
        b->n = 1; /* the root */
        b->slots = spec->keep;
        wh_expand e = widen(p, spec, 0, spec->first, lane);
        wh_wish_expand(out, &e);
        return WH_OK;
    }
    bool waiting = false;
    for (uint32_t i = 0; i < b->n; i++) {
        wh_expand again = widen(p, spec, b->beam[i], spec->branch, lane);
        wh_stepwise_check(t, b->beam[i], &again, &waiting, out);
    }
    if (waiting) return WH_OK;
    if (spec->rollout && !b->rolled) {
        b->rolled = true;
        if (roll_out(t, lane, p, spec, b, out)) return WH_OK;
    }

    /* A beam that ended last round occupies a slot for good; the others' children fill the rest. Chosen
     * children that have ended count in the next round, which is now when nothing has to be waited for. */
    for (;;) {
        size_t n = 0;
        for (uint32_t i = 0; i < b->n; i++)
            for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, b->beam[i], lane, c));) n++;
        uint32_t *candidate = wh_tree_alloc(t, n, sizeof *candidate);
        if (!candidate) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu candidates", n);
        n = 0;
        for (uint32_t i = 0; i < b->n; i++) {
            if (t->nodes[b->beam[i]].end != WH_END_NONE) {
                wh_wish_accept(out, b->beam[i]);
                b->slots--;
            } else {
                for (uint32_t c = WH_NONE; (c = wh_stepwise_child(t, b->beam[i], lane, c));) candidate[n++] = c;
            }
        }
        take_values(t, lane, candidate, b->rolled ? n : 0, out);
        b->rolled = false;
        wh_stepwise_sort(t, candidate, n);
        b->n = n < b->slots ? (uint32_t)n : b->slots;
        memcpy(b->beam, candidate, b->n * sizeof *b->beam);
        for (size_t i = b->n; i < n; i++) wh_wish_prune(out, candidate[i]);
        if (!b->n) {
            wh_wish_done(out, lane);
            return WH_OK;
        }
        bool any = false;
        for (uint32_t i = 0; i < b->n; i++) {
            wh_node *s = &t->nodes[b->beam[i]];
            if (s->end != WH_END_NONE) continue;
            s->visits = 1;
            wh_expand e = widen(p, spec, b->beam[i], spec->branch, lane);
            wh_wish_expand(out, &e);
            any = true;
        }
        if (any) return WH_OK;
    }
}

void wh_stepwise_flops(double *policy, double *prm, const wh_task *task, double samples)
{
    /* Every step is computed on top of what is kept of the path before it, so a round of steps costs what the
     * same tokens cost inside whole answers, and all rounds together cost that many whole answers. */
    wh_strategy_answer_flops(policy, prm, task, samples);
}

void wh_stepwise_flops_of_n(double *policy, double *prm, const wh_task *task, const void *params)
{
    wh_stepwise_flops(policy, prm, task, ((const wh_stepwise *)params)->n);
}

uint32_t wh_stepwise_survivors(const wh_stepwise *p) { return p->n > p->width ? p->n / p->width : 1; }
