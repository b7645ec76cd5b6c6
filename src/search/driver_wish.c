/* Strategies are asked, and their wishes become nodes and jobs; rows that are free run ahead of the wishes. */
#include "search/driver_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

/* ---- wishes ------------------------------------------------------------------------------------------------- */

wh_code wh_driver_need_lane(wh_search *s, uint32_t number, wh_err *err)
{
    if (number < s->n_lanes) return WH_OK;
    wh_lane *lanes = wh_mem_resize(s->lanes, (size_t)number + 1, sizeof *lanes);
    if (!lanes) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u parts of a search", number + 1);
    memset(lanes + s->n_lanes, 0, (number + 1 - s->n_lanes) * sizeof *lanes);
    s->lanes = lanes;
    s->n_lanes = number + 1;
    return WH_OK;
}

/* The sample that was begun speculatively and is just what this wish wants, or WH_NONE. */
static uint32_t ahead(const wh_tree *t, const wh_expand *e, uint32_t index)
{
    for (uint32_t i = t->nodes[e->node].first_child; i; i = t->nodes[i].next) {
        const wh_node *n = &t->nodes[i];
        const wh_ticket *k = n->ticket;
        if (n->fate != WH_FATE_SPECULATIVE || n->index != index || n->lane != e->lane || k->dropped) continue;
        const wh_expand *o = k->spec;
        const wh_sampling *a = &e->sampling, *b = &o->sampling;
        if (o->steps == e->steps && o->step_tokens == e->step_tokens && o->answer_tokens == e->answer_tokens &&
            a->temperature == b->temperature && a->top_k == b->top_k && a->top_p == b->top_p && a->min_p == b->min_p)
            return i;
    }
    return WH_NONE;
}

static wh_code expand(wh_search *s, const wh_expand *wish, wh_err *err)
{
    wh_tree *t = &s->tree;
    WH_TRY(wh_driver_need_lane(s, wish->lane, err));
    wh_expand *e = wh_tree_alloc(t, 1, sizeof *e);
    wh_ticket *tickets = wh_tree_alloc(t, wish->n, sizeof *tickets);
    if (!e || !tickets) return wh_err_set(err, WH_ERR_NOMEM, "no memory to expand a node by %u samples", wish->n);
    *e = *wish;
    wh_lane *l = &s->lanes[e->lane];
    l->asked = (l->pending ? l->asked : 0) + e->n;
    uint32_t expansion = ++s->n_expansions;
    if (t->nodes[e->node].n_children < e->first) t->nodes[e->node].n_children = e->first;
    for (uint32_t i = 0; i < e->n; i++) {
        uint32_t index = t->nodes[e->node].n_children++;
        uint32_t id = ahead(t, e, index);
        s->lanes[e->lane].pending++;
        if (id) {
            wh_ticket *k = t->nodes[id].ticket;
            t->nodes[id].fate = WH_FATE_IN_PLAY;
            t->nodes[id].expansion = expansion;
            k->spec = e;
            if (e->accept) WH_TRY(wh_driver_number_sample(s, id, err));
            if (k->parked) wh_driver_enqueue(s->driver, k);
            continue;
        }
        WH_TRY(wh_tree_add(t, &id, e->node, index, e->lane, expansion, err));
        if (e->accept) WH_TRY(wh_driver_number_sample(s, id, err));
        wh_ticket *k = &tickets[i];
        *k = (wh_ticket){.s = s, .node = id, .spec = e};
        t->nodes[id].ticket = k;
        wh_code code = wh_driver_generate(k, err);
        if (code == WH_ERR_BUDGET && e->node) {
            t->nodes[id].end = WH_END_CONTEXT;
            wh_driver_leave(s, id, WH_FATE_OVERLONG);
            code = wh_driver_ready(k, err);
        }
        WH_TRY(code);
    }
    return WH_OK;
}

static wh_code revive(wh_search *s, uint32_t node, wh_err *err)
{
    wh_node *n = &s->tree.nodes[node];
    n->fate = WH_FATE_IN_PLAY;
    n->end = WH_END_LENGTH;
    s->lanes[n->lane].pending++;
    return n->ticket->spec->score ? wh_driver_score(n->ticket, err) : wh_driver_ready(n->ticket, err);
}

static wh_code score(wh_search *s, uint32_t node, wh_err *err)
{
    s->lanes[s->tree.nodes[node].lane].pending++;
    return wh_driver_score(s->tree.nodes[node].ticket, err);
}

wh_code wh_driver_accept(wh_search *s, uint32_t node, wh_err *err)
{
    if (s->tree.nodes[node].end == WH_END_NONE) s->tree.nodes[node].end = WH_END_STUCK;
    WH_TRY(wh_driver_number_sample(s, node, err));
    return wh_driver_finish_sample(s, node, s->tree.n_samples - 1, err);
}

static void prune(wh_search *s, uint32_t node)
{
    wh_driver_drop_ahead(s, node);
    for (uint32_t i = s->tree.nodes[node].first_child; i; i = s->tree.nodes[i].next) prune(s, i);
    if (s->tree.nodes[node].fate == WH_FATE_IN_PLAY) wh_driver_leave(s, node, WH_FATE_PRUNED);
}

static wh_code fulfil(wh_search *s, const wh_wish *w, wh_err *err)
{
    switch (w->kind) {
    case WH_WISH_EXPAND: return expand(s, &w->expand, err);
    case WH_WISH_REVIVE: return revive(s, w->node, err);
    case WH_WISH_SCORE: return score(s, w->node, err);
    case WH_WISH_ACCEPT: return wh_driver_accept(s, w->node, err);
    case WH_WISH_PRUNE: prune(s, w->node); break;
    case WH_WISH_DONE: s->lanes[w->node].done = true; break;
    }
    return WH_OK;
}

/* Ask the strategy for every lane that waits for nothing, until all wait or are done. */
wh_code wh_driver_advance(wh_search *s, wh_err *err)
{
    if (!s->started) {
        s->started = true;
        s->start = wh_clock_now();
        wh_driver_emit(s, WH_EVENT_START, 0, NULL, 0);
    }
    wh_wishes *w = &s->driver->wishes;
    for (uint32_t i = 0; i < s->n_lanes; i++)
        while (!wh_driver_ending(s) && !s->lanes[i].done && !s->lanes[i].pending) {
            w->n = 0;
            WH_TRY(s->strategy->advance(&s->tree, i, &s->params, s->state, w, err));
            if (w->failed) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the wishes of a search");
            assert(w->n); /* a strategy that wishes nothing would wait for ever */
            for (size_t k = 0; k < w->n; k++) WH_TRY(fulfil(s, &w->list[k], err));
        }
    return WH_OK;
}

/* ---- speculation ----------------------------------------------------------------------------------------- */

static uint32_t count_ahead(const wh_tree *t, uint32_t node)
{
    uint32_t n = 0;
    for (uint32_t i = t->nodes[node].first_child; i; i = t->nodes[i].next) n += t->nodes[i].fate == WH_FATE_SPECULATIVE;
    return n;
}

/* A node that waits for its round to end and will probably go on: it is among the best, and so much of the round
 * is finished that this means something. */
static bool promising(const wh_search *s, uint32_t node)
{
    const wh_tree *t = &s->tree;
    const wh_node *n = &t->nodes[node];
    if (n->state != WH_NODE_READY || n->fate != WH_FATE_IN_PLAY || n->end != WH_END_NONE || n->n_children ||
        !n->ticket->spec->branch)
        return false;
    const wh_lane *l = &s->lanes[n->lane];
    if (!l->pending || l->pending > l->asked / 2) return false;
    uint32_t better = 0;
    for (uint32_t i = 1; i < t->n_nodes; i++) {
        const wh_node *o = &t->nodes[i];
        better += o->lane == n->lane && o->state == WH_NODE_READY && o->fate == WH_FATE_IN_PLAY && !o->n_children &&
                  (o->value > n->value || (o->value == n->value && i < node));
    }
    return better < n->ticket->spec->survivors;
}

/* Begin one more sample after the most promising node that has the fewest begun; false: there is none. */
bool wh_driver_speculate(wh_driver *d)
{
    wh_search *where = NULL;
    uint32_t best = WH_NONE, begun = 0;
    for (size_t k = 0; k < d->n; k++) {
        wh_search *s = d->searches[k];
        if (wh_driver_ending(s)) continue;
        for (uint32_t i = 1; i < s->tree.n_nodes; i++) {
            if (!promising(s, i)) continue;
            uint32_t n = count_ahead(&s->tree, i);
            if (n >= s->tree.nodes[i].ticket->spec->branch) continue;
            if (!where || n < begun ||
                (n == begun && s->tree.nodes[i].value > where->tree.nodes[best].value)) {
                where = s;
                best = i;
                begun = n;
            }
        }
    }
    if (!where) return false;
    wh_tree *t = &where->tree;
    wh_err err;
    uint32_t id;
    wh_expand *e = wh_tree_alloc(t, 1, sizeof *e);
    wh_ticket *k = wh_tree_alloc(t, 1, sizeof *k);
    if (!e || !k || wh_tree_add(t, &id, best, begun, t->nodes[best].lane, 0, &err) != WH_OK) return false;
    *e = *t->nodes[best].ticket->spec;
    *k = (wh_ticket){.s = where, .node = id, .spec = e};
    t->nodes[id].ticket = k;
    t->nodes[id].fate = WH_FATE_SPECULATIVE;
    /* Refused: it stays, begun and never written, and the same refusal meets who asks for it. */
    if (wh_driver_generate(k, &err) == WH_OK) return true;
    k->dropped = true;
    return false;
}
