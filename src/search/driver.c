#include "search/driver_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void wh_driver_emit(wh_search *s, wh_event_kind kind, uint32_t node, const char *text, size_t text_len)
{
    const wh_driver_opts *o = &s->driver->opts;
    if (!o->on_event) return;
    wh_event e = {
        .kind = kind,
        .problem = s->id,
        .user = s->user,
        .tree = &s->tree,
        .node = node,
        .text = text,
        .text_len = text_len,
        .sample = kind == WH_EVENT_SAMPLE ? s->samples[s->last_sample] : NULL,
        .result = kind == WH_EVENT_DONE ? &s->result : NULL,
    };
    o->on_event(o->user, &e);
}

/* The first error ends the problem; its jobs are cancelled at the next step. */
void wh_driver_fail(wh_search *s, const wh_err *why)
{
    if (s->failed) return;
    s->failed = s->cancel = true;
    s->result.error = *why;
}

bool wh_driver_ending(const wh_search *s) { return s->cancel || s->cancelled; }

/* ---- ends ------------------------------------------------------------------------------------------------- */

/* They come back during the backend's next step. */
static void cancel_jobs(wh_search *s)
{
    if (s->closing) return;
    s->closing = true;
    wh_backend *b = &s->driver->backend;
    for (uint32_t i = 1; i < s->tree.n_nodes; i++) {
        wh_ticket *k = s->tree.nodes[i].ticket;
        if (k && k->job) b->cancel(b->self, k->job, k->scoring);
    }
}

static bool all_lanes_done(const wh_search *s)
{
    for (uint32_t i = 0; i < s->n_lanes; i++)
        if (!s->lanes[i].done) return false;
    return true;
}

static wh_code make_result(wh_search *s, wh_err *err)
{
    wh_tree *t = &s->tree;
    /* Solutions that were finished but not yet chosen when the search was stopped. */
    if (s->cancelled)
        for (uint32_t i = 1; i < t->n_nodes; i++) {
            const wh_node *n = &t->nodes[i];
            if (n->fate == WH_FATE_IN_PLAY && n->sample == WH_NO_SAMPLE && n->state == WH_NODE_READY &&
                n->end != WH_END_NONE && n->end != WH_END_CANCELLED)
                WH_TRY(wh_driver_accept(s, i, err));
        }
    for (uint32_t i = 1; i < t->n_nodes; i++)
        if (t->nodes[i].fate == WH_FATE_SPECULATIVE) {
            wh_ledger_add(&s->result.speculative, &t->nodes[i].policy);
            wh_ledger_add(&s->result.speculative, &t->nodes[i].prm);
        }
    wh_sample *samples = wh_tree_alloc(t, t->n_samples, sizeof *samples);
    if (!samples) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %u samples", t->n_samples);
    /* Lanes finish in any order; samples come lane by lane, and within a lane as they were accepted. */
    for (uint32_t l = 0; l < s->n_lanes; l++)
        for (uint32_t i = 0; i < t->n_samples; i++)
            if (s->samples[i] && t->nodes[s->samples[i]->node].lane == l) {
                samples[s->result.n_samples] = *s->samples[i];
                if (s->n_lanes > 1) samples[s->result.n_samples].index = s->result.n_samples;
                s->result.n_samples++;
            }
    s->result.samples = samples;
    return wh_vote_group(samples, s->result.n_samples, &s->result.n_groups, s->grouping, err);
}

static void free_search(wh_search *s)
{
    wh_tree_reset(&s->tree);
    free(s->lanes);
    free(s->samples);
    free(s);
}

static void finish(wh_search *s)
{
    wh_err err;
    if (make_result(s, &err) != WH_OK) wh_driver_fail(s, &err);
    s->result.cancelled = s->cancelled && !s->failed;
    s->result.seconds = s->started ? wh_clock_now() - s->start : 0;
    wh_driver_emit(s, WH_EVENT_DONE, 0, NULL, 0);
    free_search(s);
}

/* ---- the driver -------------------------------------------------------------------------------------------- */

wh_code wh_driver_create(wh_driver **out, const wh_backend *backend, const wh_driver_opts *opts, wh_err *err)
{
    wh_driver *d = *out = wh_mem_zalloc(1, sizeof *d);
    if (!d) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a search driver");
    d->backend = *backend;
    d->opts = *opts;
    d->queue_end = &d->queue;
    return WH_OK;
}

void wh_driver_free(wh_driver *d)
{
    if (!d) return;
    d->opts.on_event = NULL;
    size_t flying = 0;
    for (size_t i = 0; i < d->n; i++) {
        cancel_jobs(d->searches[i]);
        flying += d->searches[i]->flying;
    }
    bool idle;
    if (flying) (void)d->backend.step(d->backend.self, &idle, NULL); /* all jobs come back, even if it fails */
    for (size_t i = 0; i < d->n; i++) free_search(d->searches[i]);
    free(d->searches);
    free(d->wishes.list);
    free(d->prefix);
    free(d);
}

wh_code wh_driver_add(wh_driver *d, uint64_t *id, const wh_problem *p, wh_err *err)
{
    if (p->strategy->needs_prm && !d->backend.score)
        return wh_err_set(err, WH_ERR_ARG, "the strategy '%s' needs a process reward model", p->strategy->name);
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 16;
        wh_search **list = wh_mem_resize(d->searches, cap, sizeof *list);
        if (!list) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu problems", cap);
        d->searches = list;
        d->cap = cap;
    }
    wh_search *s = wh_mem_zalloc(1, sizeof *s);
    if (!s) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a problem");
    wh_code code = wh_tree_init(&s->tree, p->question, p->prompt, p->n_prompt, p->seed, err);
    if (code == WH_OK) code = wh_driver_need_lane(s, 0, err);
    if (code == WH_OK && !(s->state = wh_tree_alloc(&s->tree, 1, p->strategy->state_size)))
        code = wh_err_set(err, WH_ERR_NOMEM, "no memory for a problem");
    if (code != WH_OK) {
        free_search(s);
        return code;
    }
    s->driver = d;
    s->id = ++d->last_id;
    s->strategy = p->strategy;
    s->params = *p->params;
    s->grouping = p->grouping;
    s->user = p->user;
    d->searches[d->n++] = s;
    if (id) *id = s->id;
    return WH_OK;
}

size_t wh_driver_active(const wh_driver *d) { return d->n; }

void wh_driver_cancel(wh_driver *d, uint64_t id)
{
    for (size_t i = 0; i < d->n; i++)
        if (!id || d->searches[i]->id == id) d->searches[i]->cancel = true;
}

/* Let every search decide what can be decided now, and send those that are over home. */
static void settle(wh_driver *d)
{
    do {
        wh_driver_drain(d);
        /* Callbacks may add problems: the list may grow and move while we walk. */
        for (size_t i = 0; i < d->n;) {
            wh_search *s = d->searches[i];
            wh_err err;
            if (!wh_driver_ending(s) && wh_driver_advance(s, &err) != WH_OK) wh_driver_fail(s, &err);
            bool end = wh_driver_ending(s) || all_lanes_done(s);
            s->cancelled = s->cancelled || s->cancel;
            s->cancel = false;
            if (end && s->flying) {
                cancel_jobs(s); /* all of them, or what was speculative */
            } else if (end && !d->queue) {
                memmove(d->searches + i, d->searches + i + 1, (--d->n - i) * sizeof *d->searches);
                finish(s);
                continue;
            }
            i++;
        }
    } while (d->queue);
}

wh_code wh_driver_step(wh_driver *d, bool *idle, wh_err *err)
{
    if (d->opts.stop && *d->opts.stop) wh_driver_cancel(d, 0);
    settle(d);
    *idle = d->n == 0;
    if (*idle) return WH_OK;
    if (d->opts.speculate && d->backend.room)
        for (size_t room = d->backend.room(d->backend.self); room && wh_driver_speculate(d); room--) continue;
    wh_err why;
    bool nothing;
    wh_code code = d->backend.step(d->backend.self, &nothing, &why);
    if (code != WH_OK) {
        for (size_t i = 0; i < d->n; i++) wh_driver_fail(d->searches[i], &why);
        settle(d);
        /* One of two engines may have failed: the jobs of the other were cancelled and come back now. */
        if (d->n) (void)d->backend.step(d->backend.self, &nothing, NULL);
        settle(d);
        *idle = d->n == 0;
        return wh_err_set(err, code, "%s", why.msg);
    }
    assert(!nothing || d->queue); /* a backend that loses jobs would keep us here for ever */
    return WH_OK;
}
