/* A node's way: it is submitted, comes back as text, is judged by the rules of a step, goes on or is scored, and
 * is ready. Samples are made here, when the node at their end is. */
#include "search/driver_impl.h"

#include "answer/answer.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

static const char *const step_end[] = {"\n\n"};

void wh_driver_enqueue(wh_driver *d, wh_ticket *k)
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
    wh_driver_emit(k->s, WH_EVENT_TEXT, k->node, text, n);
}

static void on_generated(void *user, const wh_gen_result *r)
{
    wh_ticket *k = user;
    wh_search *s = k->s;
    wh_err err;
    wh_node *n = &s->tree.nodes[k->node];
    k->job = 0;
    k->stop = r->stop;
    k->written = n->text_len;
    s->flying--;
    n->logprob += r->logprob;
    wh_ledger_add(&n->policy, &r->ledger);
    wh_ledger_add(&s->result.policy, &r->ledger);
    n->prm.head += r->probe_flops;
    s->result.prm.head += r->probe_flops;
    if (wh_tree_write(&s->tree, k->node, r, &err) != WH_OK) wh_driver_fail(s, &err);
    wh_driver_enqueue(s->driver, k);
}

static void on_scored(void *user, const wh_prm_result *r)
{
    wh_ticket *k = user;
    wh_search *s = k->s;
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
            wh_driver_fail(s, &(wh_err){WH_ERR_NOMEM, "no memory for the scores of a step"});
        }
    }
    wh_driver_enqueue(s->driver, k);
}

/* ---- what goes to the backend --------------------------------------------------------------------------- */

/* Generate the node's next step, or its whole text. WH_ERR_BUDGET: the path has outgrown the context. */
wh_code wh_driver_generate(wh_ticket *k, wh_err *err)
{
    wh_search *s = k->s;
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
        .begin = s->tree.n_prompt,
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
    wh_search *s = k->s;
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
        .ended = n->end != WH_END_NONE,
        .prefix = d->prefix,
        .n_prefix = n_prefix,
        .n_prompt = t->n_prompt,
        .marks = n->marks,
        .n_marks = n->n_marks,
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
wh_code wh_driver_number_sample(wh_search *s, uint32_t node, wh_err *err)
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
wh_code wh_driver_finish_sample(wh_search *s, uint32_t node, uint32_t number, wh_err *err)
{
    wh_tree *t = &s->tree;
    wh_node *n = &t->nodes[node];
    static const char think[] = "<think>"; /* what the prompt began with, if it did */
    wh_buf all = {0}, answer = {0};
    if (s->driver->opts.thinks) wh_buf_puts(&all, think);
    size_t begin = all.len;
    wh_tree_text(t, node, &all);
    const struct {
        const char *data;
        size_t      len;
    } text = {wh_buf_str(&all) + begin, all.len - begin};
    wh_code code = wh_buf_ok(&all) ? wh_extract_answer(&answer, NULL, wh_buf_str(&all), all.len, err)
                                   : wh_err_set(err, WH_ERR_NOMEM, "no memory for the text of a sample");
    if (code == WH_OK) {
        wh_sample *x = wh_tree_alloc(t, 1, sizeof *x);
        const char *text_copy = wh_tree_strndup(t, text.data, text.len);
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
            wh_driver_emit(s, WH_EVENT_SAMPLE, node, NULL, 0);
        }
    }
    wh_buf_free(&all);
    wh_buf_free(&answer);
    return code;
}

/* ---- a ticket's way --------------------------------------------------------------------------------------- */

void wh_driver_leave(wh_search *s, uint32_t node, wh_fate fate)
{
    s->tree.nodes[node].fate = fate;
    wh_driver_emit(s, WH_EVENT_FATE, node, NULL, 0);
}

/* What was begun speculatively after a node is not wanted. */
void wh_driver_drop_ahead(wh_search *s, uint32_t node)
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
wh_code wh_driver_ready(wh_ticket *k, wh_err *err)
{
    wh_search *s = k->s;
    wh_node *n = &s->tree.nodes[k->node];
    n->state = WH_NODE_READY;
    s->lanes[n->lane].pending--;
    /* A sample that was cut off before it began is none. */
    if (n->sample == WH_NO_SAMPLE || (n->end == WH_END_CANCELLED && !n->n_tokens)) return WH_OK;
    return wh_driver_finish_sample(s, k->node, n->sample, err);
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

/* Does what was written last hold \boxed, and not as a thought? */
static bool holds_answer(const wh_ticket *k)
{
    static const char boxed[] = "\\boxed";
    const wh_node *n = &k->s->tree.nodes[k->node];
    if (!strstr(n->text + k->written, boxed)) return false;
    wh_buf path = {0};
    bool found = true; /* without memory to look further */
    wh_tree_text(&k->s->tree, k->node, &path);
    if (wh_buf_ok(&path)) {
        size_t begin = path.len - (n->text_len - k->written), thought = wh_extract_thought(path.data, path.len, k->s->driver->opts.thinks);
        found = strstr(path.data + (begin > thought ? begin : thought), boxed) != NULL;
    }
    wh_buf_free(&path);
    return found;
}

/* The rules of method.md §2.3 for a step that came back; true: the node goes on with another step. */
static bool judge_step(wh_ticket *k)
{
    wh_search *s = k->s;
    wh_node *n = &s->tree.nodes[k->node];
    const wh_expand *e = k->spec;
    n->depth++;
    k->steps++;
    bool boxed = !e->ignore_boxed && holds_answer(k);
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
        else wh_driver_leave(s, k->node, WH_FATE_OVERLONG);
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

wh_code wh_driver_score(wh_ticket *k, wh_err *err)
{
    wh_search *s = k->s;
    wh_node *n = &s->tree.nodes[k->node];
    if (!s->driver->backend.score) return wh_driver_ready(k, err);
    /* Nothing new to judge: it is worth what its parent is. */
    n->value = s->tree.nodes[n->parent].value;
    if (!wh_tree_count_steps(n->text, n->text_len)) return wh_driver_ready(k, err);
    n->state = WH_NODE_SCORING;
    k->scoring = true;
    wh_code code = submit_scoring(k, err);
    if (code != WH_ERR_BUDGET) return code;
    n->value = 0;
    s->result.n_unscored += wh_tree_count_steps(n->text, n->text_len);
    return wh_driver_ready(k, err);
}

static wh_code after_generation(wh_ticket *k, wh_err *err)
{
    wh_search *s = k->s;
    wh_tree *t = &s->tree;
    bool more = false;
    if (k->spec->steps) more = judge_step(k);
    else judge_answer(k);
    if (wh_driver_ending(s)) {
        if (t->nodes[k->node].end == WH_END_NONE) t->nodes[k->node].end = WH_END_CANCELLED;
        wh_driver_emit(s, WH_EVENT_STEP, k->node, NULL, 0);
        return wh_driver_ready(k, err);
    }
    if (more) {
        wh_code code = wh_driver_generate(k, err);
        if (code != WH_ERR_BUDGET) return code;
        t->nodes[k->node].end = WH_END_CONTEXT;
    }
    wh_driver_emit(s, WH_EVENT_STEP, k->node, NULL, 0);
    if (t->nodes[k->node].fate == WH_FATE_OVERLONG) return wh_driver_ready(k, err);
    if (k->spec->dedupe) {
        uint32_t other = twin(t, k->node);
        wh_node *n = &t->nodes[k->node], *o = &t->nodes[other];
        if (other && o->index < n->index) {
            wh_driver_leave(s, k->node, WH_FATE_DUPLICATE);
            return wh_driver_ready(k, err);
        }
        if (other) {
            /* The earlier sample came back later: it takes over the scores, which are the same. */
            wh_driver_leave(s, other, WH_FATE_DUPLICATE);
            wh_driver_drop_ahead(s, other);
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
            return wh_driver_ready(k, err);
        }
    }
    return k->spec->score ? wh_driver_score(k, err) : wh_driver_ready(k, err);
}

static wh_code after_scoring(wh_ticket *k, wh_err *err)
{
    if (k->s->tree.nodes[k->node].scores) wh_driver_emit(k->s, WH_EVENT_SCORE, k->node, NULL, 0);
    return wh_driver_ready(k, err);
}

void wh_driver_drain(wh_driver *d)
{
    while (d->queue) {
        wh_ticket *k = d->queue;
        d->queue = k->next;
        if (!d->queue) d->queue_end = &d->queue;
        wh_err err;
        if (k->s->tree.nodes[k->node].fate == WH_FATE_SPECULATIVE) k->parked = true;
        else if ((k->scoring ? after_scoring(k, &err) : after_generation(k, &err)) != WH_OK) wh_driver_fail(k->s, &err);
    }
}
