/* A search is a tree, its strategy's state, and its lanes. A ticket is one node's work in progress: first the
 * generation of its text (one job per step), then its scoring. Callbacks of the backend only put down what
 * came back and queue the ticket; decisions are made outside the backend, in wh_driver_step.
 *
 * Invariant: a lane's pending = its tickets that are neither finished nor speculative. A lane with pending 0
 * that is not done is ready: its strategy is asked.
 */
#include "search/driver.h"

#include "answer/answer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct lane {
    uint32_t pending;
    bool     done;
} lane;

typedef struct search {
    wh_driver         *driver;
    uint64_t           id;
    wh_tree            tree;
    const wh_strategy *strategy;
    wh_params          params;
    void              *state;
    wh_grouping        grouping;
    void              *user;
    lane              *lanes;
    uint32_t           n_lanes;
    uint32_t           n_expansions;
    size_t             flying; /* jobs in the backend */
    wh_sample        **samples; /* by number; NULL: not finished */
    size_t             cap_samples, last_sample;
    bool               started, cancel, cancelled, failed, closing;
    double             start;
    wh_result          result;
} search;

typedef struct wh_ticket {
    search           *s;
    uint32_t          node;
    const wh_expand  *spec;  /* shared by the samples of one wish */
    wh_job            job;   /* 0: not in the backend */
    bool              scoring;
    bool              parked, dropped; /* speculative: written before anybody asked for it; given up */
    wh_stop           stop;
    uint32_t          steps; /* written so far */
    uint32_t          written; /* text_len before the last job */
    struct wh_ticket *next;  /* in the queue */
} wh_ticket;

struct wh_driver {
    wh_backend     backend;
    wh_driver_opts opts;
    search       **searches;
    size_t         n, cap;
    uint64_t       last_id;
    wh_ticket     *queue, **queue_end;
    wh_wishes      wishes;
    int32_t       *prefix; /* of the job being submitted */
    size_t         cap_prefix;
};

static const char *const step_end[] = {"\n\n"};

/* ---- small things ------------------------------------------------------------------------------------- */

static void emit(search *s, wh_event_kind kind, uint32_t node, const char *text, size_t text_len)
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
static void fail(search *s, const wh_err *why)
{
    if (s->failed) return;
    s->failed = s->cancel = true;
    s->result.error = *why;
}

static bool ending(const search *s) { return s->cancel || s->cancelled; }

static void enqueue(wh_driver *d, wh_ticket *k)
{
    k->next = NULL;
    *d->queue_end = k;
    d->queue_end = &k->next;
}

static wh_code need_prefix(wh_driver *d, size_t n, wh_err *err)
{
    if (n <= d->cap_prefix) return WH_OK;
    int32_t *p = wh_mem_resize(d->prefix, n * 2, sizeof *p);
    if (!p) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a prefix of %zu tokens", n);
    d->prefix = p;
    d->cap_prefix = n * 2;
    return WH_OK;
}

/* ---- what comes back from the backend ------------------------------------------------------------------- */

static void on_text(void *user, const char *text, size_t n)
{
    wh_ticket *k = user;
    emit(k->s, WH_EVENT_TEXT, k->node, text, n);
}

static void on_generated(void *user, const wh_gen_result *r)
{
    wh_ticket *k = user;
    search *s = k->s;
    wh_err err;
    wh_node *n = &s->tree.nodes[k->node];
    k->job = 0;
    k->stop = r->stop;
    k->written = n->text_len;
    s->flying--;
    n->logprob += r->logprob;
    wh_ledger_add(&n->policy, &r->ledger);
    wh_ledger_add(&s->result.policy, &r->ledger);
    if (wh_tree_write(&s->tree, k->node, r->tokens, r->n_tokens, r->text, r->text_len, &err) != WH_OK) fail(s, &err);
    enqueue(s->driver, k);
}

static void on_scored(void *user, const wh_prm_result *r)
{
    wh_ticket *k = user;
    search *s = k->s;
    wh_node *n = &s->tree.nodes[k->node];
    k->job = 0;
    s->flying--;
    wh_ledger_add(&n->prm, &r->ledger);
    wh_ledger_add(&s->result.prm, &r->ledger);
    if (!r->cancelled) {
        double *scores = wh_tree_alloc(&s->tree, r->n_new, sizeof *scores);
        if (scores) {
            memcpy(scores, r->scores, r->n_new * sizeof *scores);
            n->scores = scores;
            n->n_scores = (uint32_t)r->n_new;
            n->value = scores[r->n_new - 1];
            s->result.n_unscored += r->n_new - r->n_fit;
        } else {
            fail(s, &(wh_err){WH_ERR_NOMEM, "no memory for the scores of a step"});
        }
    }
    enqueue(s->driver, k);
}

/* ---- what goes to the backend --------------------------------------------------------------------------- */

/* Generate the node's next step, or its whole text. WH_ERR_BUDGET: the path has outgrown the context. */
static wh_code submit_generation(wh_ticket *k, wh_err *err)
{
    search *s = k->s;
    wh_driver *d = s->driver;
    const wh_expand *e = k->spec;
    wh_node *n = &s->tree.nodes[k->node];
    size_t n_prefix = s->tree.n_prompt + n->path_tokens;
    WH_TRY(need_prefix(d, n_prefix, err));
    wh_tree_tokens(&s->tree, k->node, d->prefix);
    size_t left = e->answer_tokens - n->path_tokens; /* > 0: a path that used its tokens up has ended */
    wh_gen_spec spec = {
        .prefix = d->prefix,
        .n_prefix = n_prefix,
        .sampling = e->sampling,
        /* Later steps of one node draw from streams that no child's sample number can reach. */
        .stream = k->steps ? wh_rng_substream(n->stream, (UINT64_C(1) << 32) + k->steps) : n->stream,
        .max_tokens = e->steps && e->step_tokens < left ? e->step_tokens : left,
        .stops = step_end,
        .n_stops = e->steps ? 1 : 0,
        .loop_guard = true,
        .on_text = d->opts.texts ? on_text : NULL,
        .on_done = on_generated,
        .user = k,
    };
    spec.sampling.seed = s->tree.seed;
    s->flying++;
    wh_code code = d->backend.generate(d->backend.self, &k->job, &spec, err);
    if (code != WH_OK) s->flying--;
    return code;
}

/* Score the steps of a node. WH_ERR_BUDGET: the PRM cannot read even the first step of the path. */
static wh_code submit_scoring(wh_ticket *k, wh_err *err)
{
    search *s = k->s;
    wh_driver *d = s->driver;
    wh_tree *t = &s->tree;
    const wh_node *n = &t->nodes[k->node];
    size_t n_prefix = t->n_prompt + n->path_tokens;
    WH_TRY(need_prefix(d, n_prefix, err));
    wh_tree_tokens(t, k->node, d->prefix);

    wh_buf text = {0};
    wh_tree_text(t, k->node, &text);
    size_t n_steps = wh_tree_count_steps(wh_buf_str(&text), text.len);
    const char **steps = wh_mem_alloc(n_steps, sizeof *steps);
    if (!wh_buf_ok(&text) || !steps) {
        wh_buf_free(&text);
        free(steps);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory to score a path of %zu steps", n_steps);
    }
    /* The end of a step is white space or the end of the text, so it can be overwritten. */
    size_t at = 0, len;
    const char *step;
    for (size_t i = 0; (len = wh_tree_next_step(&step, &at, text.data, text.len)) != 0; i++) {
        steps[i] = step;
        text.data[(size_t)(step - text.data) + len] = '\0';
    }
    wh_prm_spec spec = {
        .question = t->question,
        .steps = steps,
        .n_steps = n_steps,
        .n_new = wh_tree_count_steps(n->text, n->text_len),
        .prefix = d->prefix,
        .n_prefix = n_prefix,
        .n_prompt = t->n_prompt,
        .on_done = on_scored,
        .user = k,
    };
    s->flying++;
    wh_code code = d->backend.score(d->backend.self, &k->job, &spec, err);
    if (code != WH_OK) s->flying--;
    wh_buf_free(&text);
    free(steps);
    return code;
}

/* ---- samples ---------------------------------------------------------------------------------------------- */

/* Keep a place among the samples for a node. */
static wh_code number_sample(search *s, uint32_t node, wh_err *err)
{
    size_t number = s->tree.n_samples;
    if (number == s->cap_samples) {
        size_t cap = s->cap_samples ? s->cap_samples * 2 : 16;
        wh_sample **list = wh_mem_resize(s->samples, cap, sizeof *list);
        if (!list) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", cap);
        s->samples = list;
        s->cap_samples = cap;
    }
    s->samples[number] = NULL;
    if (s->tree.nodes[node].sample == WH_NO_SAMPLE) s->tree.nodes[node].sample = s->tree.n_samples;
    s->tree.n_samples++;
    return WH_OK;
}

/* The path to a node becomes that sample. */
static wh_code finish_sample(search *s, uint32_t node, uint32_t number, wh_err *err)
{
    wh_tree *t = &s->tree;
    wh_node *n = &t->nodes[node];
    wh_buf text = {0}, answer = {0};
    wh_tree_text(t, node, &text);
    wh_code code = wh_buf_ok(&text) ? wh_extract_answer(&answer, NULL, wh_buf_str(&text), text.len, err)
                                    : wh_err_set(err, WH_ERR_NOMEM, "no memory for the text of a sample");
    if (code == WH_OK) {
        wh_sample *x = wh_tree_alloc(t, 1, sizeof *x);
        const char *text_copy = wh_tree_strndup(t, wh_buf_str(&text), text.len);
        const char *answer_copy = wh_tree_strndup(t, wh_buf_str(&answer), answer.len);
        size_t n_scores = wh_tree_scores(t, node, NULL, 0);
        double *scores = n_scores ? wh_tree_alloc(t, n_scores, sizeof *scores) : NULL;
        if (!x || !text_copy || !answer_copy || (n_scores && !scores)) {
            code = wh_err_set(err, WH_ERR_NOMEM, "no memory for a sample");
        } else {
            wh_tree_scores(t, node, scores, n_scores);
            double logprob = 0;
            for (uint32_t i = node; i; i = t->nodes[i].parent) logprob += t->nodes[i].logprob;
            *x = (wh_sample){
                .index = number,
                .node = node,
                .text = text_copy,
                .text_len = text.len,
                .answer = answer_copy,
                .group = -1,
                .end = n->end,
                .tokens = n->path_tokens,
                .logprob = logprob,
                .scores = scores,
                .n_scores = n_scores,
            };
            n->fate = WH_FATE_SOLUTION;
            s->samples[number] = x;
            s->last_sample = number;
            emit(s, WH_EVENT_SAMPLE, node, NULL, 0);
        }
    }
    wh_buf_free(&text);
    wh_buf_free(&answer);
    return code;
}

/* ---- a ticket's way --------------------------------------------------------------------------------------- */

static void leave(search *s, uint32_t node, wh_fate fate)
{
    s->tree.nodes[node].fate = fate;
    emit(s, WH_EVENT_FATE, node, NULL, 0);
}

/* What was begun speculatively after a node is not wanted. */
static void drop_ahead(search *s, uint32_t node)
{
    wh_backend *b = &s->driver->backend;
    for (uint32_t i = s->tree.nodes[node].first_child; i; i = s->tree.nodes[i].next) {
        const wh_node *n = &s->tree.nodes[i];
        if (n->fate != WH_FATE_SPECULATIVE) continue;
        n->ticket->dropped = true;
        if (n->ticket->job) b->cancel(b->self, n->ticket->job, false);
    }
}

/* Written and, if wanted, scored: nothing more to wait for. */
static wh_code ready(wh_ticket *k, wh_err *err)
{
    search *s = k->s;
    wh_node *n = &s->tree.nodes[k->node];
    n->state = WH_NODE_READY;
    s->lanes[n->lane].pending--;
    /* A sample that was cut off before it began is none. */
    if (n->sample == WH_NO_SAMPLE || (n->end == WH_END_CANCELLED && !n->n_tokens)) return WH_OK;
    return finish_sample(s, k->node, n->sample, err);
}

static bool same_text(const wh_node *a, const wh_node *b)
{
    const char *x, *y;
    size_t ax = 0, by = 0;
    for (;;) {
        size_t n = wh_tree_next_step(&x, &ax, a->text, a->text_len);
        size_t m = wh_tree_next_step(&y, &by, b->text, b->text_len);
        if (n != m || (n && memcmp(x, y, n) != 0)) return false;
        if (!n) return true;
    }
}

/* The sibling from the same wish that says the same and is already written, or WH_NONE. */
static uint32_t twin(const wh_tree *t, uint32_t node)
{
    const wh_node *n = &t->nodes[node];
    for (uint32_t i = t->nodes[n->parent].first_child; i; i = t->nodes[i].next) {
        const wh_node *b = &t->nodes[i];
        if (i != node && b->expansion == n->expansion && b->state != WH_NODE_RUNNING && b->fate == WH_FATE_IN_PLAY &&
            same_text(n, b))
            return i;
    }
    return WH_NONE;
}

/* The rules of method.md §2.3 for a step that came back; true: the node goes on with another step. */
static bool judge_step(wh_ticket *k)
{
    search *s = k->s;
    wh_node *n = &s->tree.nodes[k->node];
    const wh_expand *e = k->spec;
    n->depth++;
    k->steps++;
    bool boxed = !e->ignore_boxed && strstr(n->text + k->written, "\\boxed");
    bool spent = n->path_tokens >= e->answer_tokens;
    switch (k->stop) {
    case WH_STOP_EOS: n->end = WH_END_EOS; break;
    case WH_STOP_CONTEXT: n->end = WH_END_CONTEXT; break;
    case WH_STOP_CANCELLED: n->end = WH_END_CANCELLED; break;
    case WH_STOP_STRING:
        if (boxed) n->end = WH_END_BOXED;
        else if (spent) n->end = WH_END_LENGTH;
        else if (e->depth && n->depth >= e->depth) n->end = WH_END_DEPTH;
        return n->end == WH_END_NONE && k->steps < e->steps;
    case WH_STOP_LENGTH:
    case WH_STOP_LOOP:
        if (spent || e->keep_overlong) n->end = k->stop == WH_STOP_LOOP ? WH_END_LOOP : WH_END_LENGTH;
        else leave(s, k->node, WH_FATE_OVERLONG);
        break;
    }
    return false;
}

static void judge_answer(wh_ticket *k)
{
    static const wh_end ends[] = {
        [WH_STOP_EOS] = WH_END_EOS,         [WH_STOP_STRING] = WH_END_EOS, [WH_STOP_LENGTH] = WH_END_LENGTH,
        [WH_STOP_CONTEXT] = WH_END_CONTEXT, [WH_STOP_LOOP] = WH_END_LOOP,  [WH_STOP_CANCELLED] = WH_END_CANCELLED,
    };
    wh_node *n = &k->s->tree.nodes[k->node];
    n->end = ends[k->stop];
    n->depth += (uint32_t)wh_tree_count_steps(n->text, n->text_len);
}

static wh_code score_if_wanted(wh_ticket *k, wh_err *err)
{
    search *s = k->s;
    wh_node *n = &s->tree.nodes[k->node];
    if (!k->spec->score || !s->driver->backend.score) return ready(k, err);
    /* Nothing new to judge: it is worth what its parent is. */
    n->value = s->tree.nodes[n->parent].value;
    if (!wh_tree_count_steps(n->text, n->text_len)) return ready(k, err);
    n->state = WH_NODE_SCORING;
    k->scoring = true;
    wh_code code = submit_scoring(k, err);
    if (code != WH_ERR_BUDGET) return code;
    n->value = 0;
    s->result.n_unscored += wh_tree_count_steps(n->text, n->text_len);
    return ready(k, err);
}

static wh_code after_generation(wh_ticket *k, wh_err *err)
{
    search *s = k->s;
    wh_tree *t = &s->tree;
    bool more = false;
    if (k->spec->steps) more = judge_step(k);
    else judge_answer(k);
    if (ending(s)) {
        if (t->nodes[k->node].end == WH_END_NONE) t->nodes[k->node].end = WH_END_CANCELLED;
        emit(s, WH_EVENT_STEP, k->node, NULL, 0);
        return ready(k, err);
    }
    if (more) {
        wh_code code = submit_generation(k, err);
        if (code != WH_ERR_BUDGET) return code;
        t->nodes[k->node].end = WH_END_CONTEXT;
    }
    emit(s, WH_EVENT_STEP, k->node, NULL, 0);
    if (t->nodes[k->node].fate == WH_FATE_OVERLONG) return ready(k, err);
    if (k->spec->dedupe) {
        uint32_t other = twin(t, k->node);
        wh_node *n = &t->nodes[k->node], *o = &t->nodes[other];
        if (other && o->index < n->index) {
            leave(s, k->node, WH_FATE_DUPLICATE);
            return ready(k, err);
        }
        if (other) {
            /* The earlier sample came back later: it takes over the scores, which are the same. */
            leave(s, other, WH_FATE_DUPLICATE);
            drop_ahead(s, other);
            n->scores = o->scores;
            n->n_scores = o->n_scores;
            n->value = o->value;
            if (o->state == WH_NODE_SCORING) {
                wh_ticket *theirs = o->ticket;
                theirs->node = k->node;
                n->ticket = theirs;
                n->state = WH_NODE_SCORING;
                k->node = other;
                o->ticket = k;
            }
            return ready(k, err);
        }
    }
    return score_if_wanted(k, err);
}

static wh_code after_scoring(wh_ticket *k, wh_err *err)
{
    if (k->s->tree.nodes[k->node].scores) emit(k->s, WH_EVENT_SCORE, k->node, NULL, 0);
    return ready(k, err);
}

static void drain(wh_driver *d)
{
    while (d->queue) {
        wh_ticket *k = d->queue;
        d->queue = k->next;
        if (!d->queue) d->queue_end = &d->queue;
        wh_err err;
        if (k->s->tree.nodes[k->node].fate == WH_FATE_SPECULATIVE) k->parked = true;
        else if ((k->scoring ? after_scoring(k, &err) : after_generation(k, &err)) != WH_OK) fail(k->s, &err);
    }
}

/* ---- wishes ------------------------------------------------------------------------------------------------- */

static wh_code need_lane(search *s, uint32_t number, wh_err *err)
{
    if (number < s->n_lanes) return WH_OK;
    lane *lanes = wh_mem_resize(s->lanes, (size_t)number + 1, sizeof *lanes);
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

static wh_code expand(search *s, const wh_expand *wish, wh_err *err)
{
    wh_tree *t = &s->tree;
    WH_TRY(need_lane(s, wish->lane, err));
    wh_expand *e = wh_tree_alloc(t, 1, sizeof *e);
    wh_ticket *tickets = wh_tree_alloc(t, wish->n, sizeof *tickets);
    if (!e || !tickets) return wh_err_set(err, WH_ERR_NOMEM, "no memory to expand a node by %u samples", wish->n);
    *e = *wish;
    uint32_t expansion = ++s->n_expansions;
    for (uint32_t i = 0; i < e->n; i++) {
        uint32_t index = t->nodes[e->node].n_children++;
        uint32_t id = ahead(t, e, index);
        s->lanes[e->lane].pending++;
        if (id) {
            wh_ticket *k = t->nodes[id].ticket;
            t->nodes[id].fate = WH_FATE_IN_PLAY;
            t->nodes[id].expansion = expansion;
            k->spec = e;
            if (e->accept) WH_TRY(number_sample(s, id, err));
            if (k->parked) enqueue(s->driver, k);
            continue;
        }
        WH_TRY(wh_tree_add(t, &id, e->node, index, e->lane, expansion, err));
        if (e->accept) WH_TRY(number_sample(s, id, err));
        wh_ticket *k = &tickets[i];
        *k = (wh_ticket){.s = s, .node = id, .spec = e};
        t->nodes[id].ticket = k;
        wh_code code = submit_generation(k, err);
        if (code == WH_ERR_BUDGET && e->node) {
            t->nodes[id].end = WH_END_CONTEXT;
            leave(s, id, WH_FATE_OVERLONG);
            code = ready(k, err);
        }
        WH_TRY(code);
    }
    return WH_OK;
}

static wh_code revive(search *s, uint32_t node, wh_err *err)
{
    wh_node *n = &s->tree.nodes[node];
    n->fate = WH_FATE_IN_PLAY;
    n->end = WH_END_LENGTH;
    s->lanes[n->lane].pending++;
    return score_if_wanted(n->ticket, err);
}

static wh_code accept(search *s, uint32_t node, wh_err *err)
{
    if (s->tree.nodes[node].end == WH_END_NONE) s->tree.nodes[node].end = WH_END_STUCK;
    WH_TRY(number_sample(s, node, err));
    return finish_sample(s, node, s->tree.n_samples - 1, err);
}

static void prune(search *s, uint32_t node)
{
    drop_ahead(s, node);
    for (uint32_t i = s->tree.nodes[node].first_child; i; i = s->tree.nodes[i].next) prune(s, i);
    if (s->tree.nodes[node].fate == WH_FATE_IN_PLAY) leave(s, node, WH_FATE_PRUNED);
}

static wh_code fulfil(search *s, const wh_wish *w, wh_err *err)
{
    switch (w->kind) {
    case WH_WISH_EXPAND: return expand(s, &w->expand, err);
    case WH_WISH_REVIVE: return revive(s, w->node, err);
    case WH_WISH_ACCEPT: return accept(s, w->node, err);
    case WH_WISH_PRUNE: prune(s, w->node); break;
    case WH_WISH_DONE: s->lanes[w->node].done = true; break;
    }
    return WH_OK;
}

/* Ask the strategy for every lane that waits for nothing, until all wait or are done. */
static wh_code advance(search *s, wh_err *err)
{
    if (!s->started) {
        s->started = true;
        s->start = wh_clock_now();
        emit(s, WH_EVENT_START, 0, NULL, 0);
    }
    wh_wishes *w = &s->driver->wishes;
    for (uint32_t i = 0; i < s->n_lanes; i++)
        while (!ending(s) && !s->lanes[i].done && !s->lanes[i].pending) {
            w->n = 0;
            WH_TRY(s->strategy->advance(&s->tree, i, &s->params, s->state, w, err));
            if (w->failed) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the wishes of a search");
            assert(w->n); /* a strategy that wishes nothing would wait for ever */
            for (size_t k = 0; k < w->n; k++) WH_TRY(fulfil(s, &w->list[k], err));
        }
    return WH_OK;
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

/* They come back during the backend's next step. */
static void cancel_jobs(search *s)
{
    if (s->closing) return;
    s->closing = true;
    wh_backend *b = &s->driver->backend;
    for (uint32_t i = 1; i < s->tree.n_nodes; i++) {
        wh_ticket *k = s->tree.nodes[i].ticket;
        if (k && k->job) b->cancel(b->self, k->job, k->scoring);
    }
}

static bool all_lanes_done(const search *s)
{
    for (uint32_t i = 0; i < s->n_lanes; i++)
        if (!s->lanes[i].done) return false;
    return true;
}

static wh_code make_result(search *s, wh_err *err)
{
    wh_tree *t = &s->tree;
    /* Solutions that were finished but not yet chosen when the search was stopped. */
    if (s->cancelled)
        for (uint32_t i = 1; i < t->n_nodes; i++) {
            const wh_node *n = &t->nodes[i];
            if (n->fate == WH_FATE_IN_PLAY && n->sample == WH_NO_SAMPLE && n->state == WH_NODE_READY &&
                n->end != WH_END_NONE && n->end != WH_END_CANCELLED)
                WH_TRY(accept(s, i, err));
        }
    for (uint32_t i = 1; i < t->n_nodes; i++)
        if (t->nodes[i].fate == WH_FATE_SPECULATIVE) wh_ledger_add(&s->result.speculative, &t->nodes[i].policy);
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

static void free_search(search *s)
{
    wh_tree_reset(&s->tree);
    free(s->lanes);
    free(s->samples);
    free(s);
}

static void finish(search *s)
{
    wh_err err;
    if (make_result(s, &err) != WH_OK) fail(s, &err);
    s->result.cancelled = s->cancelled && !s->failed;
    s->result.seconds = s->started ? wh_clock_now() - s->start : 0;
    emit(s, WH_EVENT_DONE, 0, NULL, 0);
    free_search(s);
}

/* ---- speculation ----------------------------------------------------------------------------------------- */

static uint32_t count_ahead(const wh_tree *t, uint32_t node)
{
    uint32_t n = 0;
    for (uint32_t i = t->nodes[node].first_child; i; i = t->nodes[i].next) n += t->nodes[i].fate == WH_FATE_SPECULATIVE;
    return n;
}

/* A node that waits for its round to end and will probably go on. */
static bool promising(const search *s, uint32_t node)
{
    const wh_tree *t = &s->tree;
    const wh_node *n = &t->nodes[node];
    if (n->state != WH_NODE_READY || n->fate != WH_FATE_IN_PLAY || n->end != WH_END_NONE || n->n_children ||
        !s->lanes[n->lane].pending || !n->ticket->spec->branch)
        return false;
    uint32_t better = 0;
    for (uint32_t i = 1; i < t->n_nodes; i++) {
        const wh_node *o = &t->nodes[i];
        better += o->lane == n->lane && o->state == WH_NODE_READY && o->fate == WH_FATE_IN_PLAY && !o->n_children &&
                  (o->value > n->value || (o->value == n->value && i < node));
    }
    return better < n->ticket->spec->survivors;
}

/* Begin one more sample after the most promising node that has the fewest begun; false: there is none. */
static bool speculate_one(wh_driver *d)
{
    search *where = NULL;
    uint32_t best = WH_NONE, begun = 0;
    for (size_t k = 0; k < d->n; k++) {
        search *s = d->searches[k];
        if (ending(s)) continue;
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
    if (submit_generation(k, &err) == WH_OK) return true;
    k->dropped = true;
    return false;
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
        search **list = wh_mem_resize(d->searches, cap, sizeof *list);
        if (!list) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu problems", cap);
        d->searches = list;
        d->cap = cap;
    }
    search *s = wh_mem_zalloc(1, sizeof *s);
    if (!s) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a problem");
    wh_code code = wh_tree_init(&s->tree, p->question, p->prompt, p->n_prompt, p->seed, err);
    if (code == WH_OK) code = need_lane(s, 0, err);
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
        drain(d);
        /* Callbacks may add problems: the list may grow and move while we walk. */
        for (size_t i = 0; i < d->n;) {
            search *s = d->searches[i];
            wh_err err;
            if (!ending(s) && advance(s, &err) != WH_OK) fail(s, &err);
            bool end = ending(s) || all_lanes_done(s);
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
        for (size_t room = d->backend.room(d->backend.self); room && speculate_one(d); room--) continue;
    wh_err why;
    bool nothing;
    wh_code code = d->backend.step(d->backend.self, &nothing, &why);
    if (code != WH_OK) {
        for (size_t i = 0; i < d->n; i++) fail(d->searches[i], &why);
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
