#include "app/trace.h"

#include "app/json.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wh_trace {
    FILE   *file;
    wh_buf  path;
    json_t *about;
    double  began;
    int     failed; /* errno of the first write that failed */
};

wh_code wh_trace_open(wh_trace **out, const char *path, json_t *about, wh_err *err)
{
    wh_trace *t = *out = wh_mem_zalloc(1, sizeof *t);
    if (t) wh_buf_puts(&t->path, path);
    if (!t || !about || !wh_buf_ok(&t->path)) {
        json_decref(about);
        (void)wh_trace_close(t, NULL);
        *out = NULL;
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a trace");
    }
    t->about = about;
    t->file = fopen(path, "w");
    if (t->file) return WH_OK;
    wh_code code = wh_err_errno(err, "cannot write the trace %s", path);
    (void)wh_trace_close(t, NULL);
    *out = NULL;
    return code;
}

static void put_line(wh_trace *t, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(line);
    errno = ENOMEM;
    bool good = text && fprintf(t->file, "%s\n", text) >= 0;
    if (!good && !t->failed) t->failed = errno;
    free(text);
}

static json_t *event_line(const wh_trace *t, const char *name, uint32_t node)
{
    return json_pack("{s:s, s:I, s:f}", "event", name, "node", (json_int_t)node, "seconds", wh_clock_now() - t->began);
}

static void put_step(wh_trace *t, const wh_tree *tree, uint32_t node)
{
    const wh_node *n = &tree->nodes[node];
    json_t *o = event_line(t, "step", node);
    json_object_set_new(o, "parent", json_integer(n->parent));
    json_object_set_new(o, "index", json_integer(n->index));
    json_object_set_new(o, "lane", json_integer(n->lane));
    json_object_set_new(o, "depth", json_integer(n->depth));
    json_object_set_new(o, "text", wh_json_text(n->text, n->text_len));
    json_object_set_new(o, "tokens", json_integer(n->n_tokens));
    json_object_set_new(o, "logprob", json_real(n->logprob));
    json_object_set_new(o, "end", json_string(wh_end_name(n->end)));
    json_object_set_new(o, "fate", json_string(wh_fate_name(n->fate)));
    put_line(t, o);
}

static void put_start(wh_trace *t, const wh_tree *tree)
{
    t->began = wh_clock_now();
    json_t *o = json_pack("{s:s, s:o, s:I}", "event", "start", "question", wh_json_text(tree->question, strlen(tree->question)),
                          "prompt_tokens", (json_int_t)tree->n_prompt);
    json_object_update(o, t->about);
    put_line(t, o);
}

void wh_trace_event(wh_trace *t, const wh_event *e)
{
    if (!t) return;
    const wh_node *n = &e->tree->nodes[e->node];
    json_t *o;
    switch (e->kind) {
    case WH_EVENT_START: put_start(t, e->tree); break;
    case WH_EVENT_STEP: put_step(t, e->tree, e->node); break;
    case WH_EVENT_SCORE:
        o = event_line(t, "score", e->node);
        json_object_set_new(o, "scores", wh_json_reals(n->scores, n->n_scores));
        json_object_set_new(o, "value", json_real(n->value));
        put_line(t, o);
        break;
    case WH_EVENT_FATE:
        o = event_line(t, "fate", e->node);
        json_object_set_new(o, "fate", json_string(wh_fate_name(n->fate)));
        put_line(t, o);
        break;
    case WH_EVENT_SAMPLE:
        o = event_line(t, "sample", e->node);
        json_object_set_new(o, "answer", wh_json_text(e->sample->answer, strlen(e->sample->answer)));
        put_line(t, o);
        break;
    case WH_EVENT_TEXT:
    case WH_EVENT_DONE: break;
    }
}

void wh_trace_done(wh_trace *t, const wh_event *e, json_t *result)
{
    if (!t) {
        json_decref(result);
        return;
    }
    const wh_tree *tree = e->tree;
    for (uint32_t i = 1; i < tree->n_nodes; i++)
        if (tree->nodes[i].fate == WH_FATE_SPECULATIVE && tree->nodes[i].n_tokens) put_step(t, tree, i);
    json_t *o = json_pack("{s:s}", "event", "done"), *nodes = json_array(), *samples = json_array();
    for (uint32_t i = 1; i < tree->n_nodes; i++) {
        const wh_node *n = &tree->nodes[i];
        json_array_append_new(nodes, json_pack("{s:I, s:s, s:f, s:f, s:o}", "node", (json_int_t)i, "fate", wh_fate_name(n->fate), "value",
                                               n->value, "visits", n->visits, "scores", wh_json_reals(n->scores, n->n_scores)));
    }
    for (size_t i = 0; i < e->result->n_samples; i++) {
        const wh_sample *s = &e->result->samples[i];
        json_array_append_new(samples, json_pack("{s:I, s:I, s:o, s:i}", "index", (json_int_t)s->index, "node", (json_int_t)s->node, "answer",
                                                 wh_json_text(s->answer, strlen(s->answer)), "group", (int)s->group));
    }
    json_object_update(o, result);
    json_object_set_new(o, "nodes", nodes);
    json_object_set_new(o, "samples", samples);
    json_decref(result);
    put_line(t, o);
}

wh_code wh_trace_close(wh_trace *t, wh_err *err)
{
    if (!t) return WH_OK;
    wh_code code = WH_OK;
    errno = 0;
    if (t->file && fclose(t->file) != 0 && !t->failed) t->failed = errno;
    if (t->failed) {
        errno = t->failed;
        code = wh_err_errno(err, "cannot write the trace %s", wh_buf_str(&t->path));
    }
    json_decref(t->about);
    wh_buf_free(&t->path);
    free(t);
    return code;
}
