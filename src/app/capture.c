#include "app/capture.h"

#include "base/file.h"
#include "base/mem.h"
#include "fit/features.h"
#include "quant/half.h"
#include "reward/prm_impl.h"

#include <stdlib.h>
#include <string.h>

/* States live in slots until their problem is done; a mark's value is the number of its slot. */
struct wh_capture {
    const wh_loaded *policy;
    wh_store_head    head;
    wh_store        *store;
    wh_backend       inner;
    wh_probe         probe;
    size_t           width; /* numbers of a state */
    uint16_t        *states;
    uint32_t        *free_slots;
    size_t           n_free, n_slots;
    uint16_t        *rows; /* of one sample, as they are stored */
    size_t           cap_rows;
    bool             no_memory;
};

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory for hidden states"); }

static bool more_slots(wh_capture *c)
{
    size_t n = 2 * c->n_slots + 256, bytes;
    if (!wh_mem_mul(&bytes, n, c->width)) return false;
    uint16_t *states = wh_mem_resize(c->states, bytes, sizeof *states);
    if (states) c->states = states;
    uint32_t *slots = states ? wh_mem_resize(c->free_slots, n, sizeof *slots) : NULL;
    if (!slots) return false;
    c->free_slots = slots;
    while (c->n_slots < n) c->free_slots[c->n_free++] = (uint32_t)c->n_slots++;
    return true;
}

/* A wh_probe's look. */
static bool look(void *ctx, double *value, const int32_t *tokens, size_t n, size_t begin, int32_t next, const float *state)
{
    wh_capture *c = ctx;
    if (n != begin && !wh_prm_head_reads(tokens, n, begin, next, true, c->policy->tok)) return false;
    if (!c->n_free && !more_slots(c)) {
        c->no_memory = true;
        return false;
    }
    uint32_t slot = c->free_slots[--c->n_free];
    for (size_t i = 0; i < c->width; i++) c->states[slot * c->width + i] = wh_half_f32_to_f16(state[i]);
    *value = slot;
    return true;
}

static wh_code generate(void *self, wh_job *job, const wh_gen_spec *spec, wh_err *err)
{
    wh_capture *c = self;
    wh_gen_spec probed = *spec;
    probed.probe = &c->probe;
    return c->inner.generate(c->inner.self, job, &probed, err);
}

static void cancel(void *self, wh_job job, bool scoring)
{
    wh_capture *c = self;
    c->inner.cancel(c->inner.self, job, scoring);
}

static wh_code step(void *self, bool *idle, wh_err *err)
{
    wh_capture *c = self;
    WH_TRY(c->inner.step(c->inner.self, idle, err));
    return c->no_memory ? no_memory(err) : WH_OK;
}

void wh_capture_backend(wh_capture *c, wh_backend *backend)
{
    c->inner = *backend;
    *backend = (wh_backend){.self = c, .generate = generate, .cancel = cancel, .step = step};
}

wh_code wh_capture_open(wh_capture **out, const char *path, const wh_opt_ints *layers, const wh_loaded *policy, wh_err *err)
{
    const wh_config *config = &policy->model->config;
    wh_capture *c = *out = wh_mem_zalloc(1, sizeof *c);
    if (!c) return no_memory(err);
    c->policy = policy;
    c->head.d = config->d;
    WH_TRY(wh_load_layers(c->head.layers, &c->head.n_layers, layers, config->layers, wh_buf_str(&policy->name), err));
    WH_TRY(wh_load_identity(c->head.trunk_sha256, wh_buf_str(&policy->path), err));
    WH_TRY(wh_store_open(&c->store, path, &c->head, err));
    c->width = c->head.n_layers * c->head.d;
    c->probe = (wh_probe){.layers = c->head.layers, .n_layers = c->head.n_layers, .look = look, .ctx = c};
    return WH_OK;
}

wh_code wh_capture_close(wh_capture *c, wh_err *err)
{
    if (!c) return WH_OK;
    wh_code code = wh_store_close(c->store, err);
    free(c->states);
    free(c->free_slots);
    free(c->rows);
    free(c);
    return code;
}

/* ---- what goes to the file --------------------------------------------------------------------------------------------- */

static wh_code gather(wh_capture *c, const wh_mark *marks, size_t n, wh_err *err)
{
    if (n > c->cap_rows) {
        uint16_t *rows = wh_mem_resize(c->rows, n * c->width, sizeof *rows);
        if (!rows) return no_memory(err);
        c->rows = rows;
        c->cap_rows = n;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(c->rows + i * c->width, c->states + (size_t)marks[i].value * c->width, c->width * sizeof *c->rows);
    return WH_OK;
}

/* Are the marks where the finished sample's steps are read? */
static wh_code all_read(bool *yes, const wh_capture *c, const wh_mark *marks, size_t n, wh_tok_ids *ids, size_t n_prompt, wh_err *err)
{
    size_t most = ids->len - n_prompt + 1, found;
    size_t *positions = wh_mem_alloc(most, sizeof *positions);
    if (!positions) return no_memory(err);
    wh_code code = wh_prm_head_find_steps(&found, positions, most, ids, n_prompt, true, c->policy->tok, err);
    *yes = code == WH_OK && found <= most && wh_features_places(positions, found) == n;
    for (size_t i = 0; *yes && i < n; i++) *yes = marks[i].position == positions[i];
    free(positions);
    return code;
}

static wh_code put(wh_capture *c, wh_features_what what, const char *problem, const int32_t *ids, size_t n_ids, const wh_mark *marks, size_t n,
                   wh_err *err)
{
    char key[WH_STORE_KEY];
    WH_TRY(wh_features_key(key, what, true, problem, ids, n_ids * sizeof *ids, err));
    WH_TRY(gather(c, marks, n, err));
    return wh_store_put(c->store, key, c->rows, n, err);
}

static wh_code take_sample(wh_capture *c, const wh_tree *t, const wh_sample *s, bool first, const char *problem, wh_err *err)
{
    const wh_node *node = &t->nodes[s->node];
    const wh_mark *marks = node->marks;
    size_t n = node->n_marks;
    wh_tok_ids ids = {0};
    bool whole = false, begun = n && marks[0].position + 1 == t->n_prompt;
    if (begun && first) WH_TRY(put(c, WH_FEATURES_PROMPT, problem, node->tokens, 0, marks, 1, err));
    marks += begun;
    n -= begun;
    wh_code code = WH_OK;
    for (size_t i = 0; code == WH_OK && i < t->n_prompt; i++) code = wh_tok_ids_push(&ids, t->prompt[i], err);
    for (size_t i = 0; code == WH_OK && i < node->n_tokens; i++) code = wh_tok_ids_push(&ids, node->tokens[i], err);
    if (code == WH_OK) code = all_read(&whole, c, marks, n, &ids, t->n_prompt, err);
    wh_tok_ids_free(&ids);
    if (code == WH_OK && whole) code = put(c, WH_FEATURES_BEFORE, problem, node->tokens, node->n_tokens, marks, n, err);
    return code;
}

wh_code wh_capture_take(wh_capture *c, const wh_tree *t, const wh_result *r, wh_err *err)
{
    char problem[65];
    wh_file_sha256(problem, t->question, strlen(t->question));
    for (size_t i = 0; i < r->n_samples; i++) WH_TRY(take_sample(c, t, &r->samples[i], i == 0, problem, err));
    for (uint32_t i = 0; i < t->n_nodes; i++)
        for (uint32_t k = 0; k < t->nodes[i].n_marks; k++) c->free_slots[c->n_free++] = (uint32_t)t->nodes[i].marks[k].value;
    return WH_OK;
}
