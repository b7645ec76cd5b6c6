/* What the tests of process reward models share: the golden cases of tools/golden_prm.py, scorings and what they came
 * to, a policy that a head can be attached to, files with changes. */
#ifndef PRM_RUN_H
#define PRM_RUN_H

#include "base/mem.h"
#include "gguf/gguf_write.h"
#include "reward/prm.h"
#include "search/tree.h"
#include "text/tok_gguf.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER "tests/golden/prm/"
enum { MOST_STEPS = 16, MOST_TOKENS = 1024 };

static wh_par *par;
static json_t *golden;

static inline int setup(void **state)
{
    (void)state;
    golden = json_load_file(FOLDER "golden.json", 0, NULL);
    return wh_par_create(&par, 2, NULL) == WH_OK && golden ? 0 : 1;
}

static inline int teardown(void **state)
{
    (void)state;
    json_decref(golden);
    wh_par_free(par);
    return 0;
}

/* ---- golden cases ------------------------------------------------------------------------------------------- */

typedef struct example {
    const char *question, *steps[MOST_STEPS];
    size_t      n;
    int32_t     tokens[MOST_TOKENS];
    size_t      n_tokens, positions[MOST_STEPS];
    double      scores[MOST_STEPS];
} example;

static inline example read_case(const json_t *c)
{
    example x = {.question = json_string_value(json_object_get(c, "question"))};
    size_t i;
    json_t *v;
    json_array_foreach (json_object_get(c, "steps"), i, v) x.steps[x.n++] = json_string_value(v);
    json_array_foreach (json_object_get(c, "tokens"), i, v) x.tokens[x.n_tokens++] = (int32_t)json_integer_value(v);
    json_array_foreach (json_object_get(c, "positions"), i, v) x.positions[i] = (size_t)json_integer_value(v);
    json_array_foreach (json_object_get(c, "scores"), i, v) x.scores[i] = json_number_value(v);
    return x;
}

typedef char path_buf[64];
static inline const char *path_of(path_buf buf, const char *file)
{
    snprintf(buf, sizeof(path_buf), FOLDER "%s", file);
    return buf;
}

static inline wh_prm *open_prm(const char *file, const char *kind, const char *head, size_t context)
{
    path_buf a, b;
    const wh_prm_opts o = {.kind = kind, .head = head ? path_of(b, head) : NULL,
                           .engine = {.memory = (size_t)64 << 20, .max_rows = 16, .chunk = 48, .context = context}};
    wh_prm *p;
    wh_err err;
    if (wh_prm_open(&p, path_of(a, file), &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
    return p;
}

static inline wh_prm *open_entry(const json_t *e)
{
    return open_prm(json_string_value(json_object_get(e, "file")), json_string_value(json_object_get(e, "kind")),
                    json_string_value(json_object_get(e, "head")), 0);
}

typedef struct outcome {
    double    scores[MOST_STEPS];
    size_t    n_new, n_fit;
    int       done;
    bool      cancelled;
    wh_ledger ledger;
} outcome;

static inline void on_done(void *user, const wh_prm_result *r)
{
    outcome *o = user;
    o->n_new = r->n_new;
    o->n_fit = r->n_fit;
    o->cancelled = r->cancelled;
    o->ledger = r->ledger;
    o->done++;
    if (!r->cancelled) memcpy(o->scores, r->scores, r->n_new * sizeof *r->scores);
}

static inline wh_prm_spec spec_of(const example *x, size_t n_steps, size_t n_new, outcome *o)
{
    return (wh_prm_spec){.question = x->question, .steps = x->steps, .n_steps = n_steps, .n_new = n_new, .on_done = on_done, .user = o};
}

static inline void run(wh_prm *p)
{
    wh_err err;
    for (bool idle = false; !idle;)
        if (wh_prm_step(p, &idle, &err) != WH_OK) fail_msg("%s", err.msg);
}

static inline void submit(wh_prm *p, const wh_prm_spec *spec)
{
    wh_err err;
    if (wh_prm_score(p, NULL, spec, &err) != WH_OK) fail_msg("%s", err.msg);
}

/* ---- a head on the policy ---------------------------------------------------------------------------------------- */

typedef struct policy {
    wh_model  *model;
    wh_tok    *tok;
    wh_chat   *chat;
    wh_engine *engine;
} policy;

static inline policy open_policy(void)
{
    policy q;
    const wh_engine_opts o = {.memory = (size_t)64 << 20, .max_rows = 8, .chunk = 64};
    assert_int_equal(wh_model_open(&q.model, FOLDER "judge.gguf", 0, WH_MAT_EXACT, par, NULL), WH_OK);
    assert_int_equal(wh_tok_gguf_create(&q.tok, q.model->gguf, NULL), WH_OK);
    assert_int_equal(wh_tok_gguf_create_chat(&q.chat, q.model->gguf, q.tok, NULL), WH_OK);
    assert_int_equal(wh_engine_create(&q.engine, q.model, q.tok, par, &o, NULL), WH_OK);
    return q;
}

static inline void close_policy(policy *q)
{
    wh_engine_free(q->engine);
    wh_chat_free(q->chat);
    wh_tok_free(q->tok);
    wh_model_free(q->model);
}

static inline void run_policy(policy *q)
{
    for (bool idle = false; !idle;) assert_int_equal(wh_engine_step(q->engine, &idle, NULL), WH_OK);
}

/* ---- wrong files --------------------------------------------------------------------------------------------------- */

/* A copy of a golden file with changes. */
typedef struct edit {
    const char *kind, *without_key, *without_tensor; /* NULL: as it is */
    const char *tensor;                              /* this one becomes (cols, rows) of `value` */
    uint64_t    cols, rows;
    float       value;
    wh_type     type;
    const char *key; /* this string key gets text; or, text NULL, this u32 key number */
    const char *text;
    uint32_t    number;
    uint32_t    list[3]; /* or, its first not 0, an array: as many as there are */
    float       slope, offset; /* calibration; slope 0: none, offset NAN: that key is left out */
} edit;

static inline void write_edited(const char *to, const char *from, const edit *d)
{
    path_buf path;
    wh_gguf *g;
    wh_gguf_writer *w;
    static float fill[4096];
    for (size_t i = 0; i < 4096; i++) fill[i] = d->value;
    assert_int_equal(wh_gguf_open(&g, path_of(path, from), NULL), WH_OK);
    assert_int_equal(wh_gguf_write_create(&w, to, 32, NULL), WH_OK);
    for (size_t i = 0; i < wh_gguf_key_count(g); i++) {
        const wh_gguf_key *k = wh_gguf_key_at(g, i);
        if (d->without_key && strcmp(k->name, d->without_key) == 0) continue;
        if (d->kind && strcmp(k->name, "whet.prm.kind") == 0) continue;
        if (d->key && strcmp(k->name, d->key) == 0) continue;
        assert_int_equal(wh_gguf_write_key(w, k, NULL), WH_OK);
    }
    if (d->kind) assert_int_equal(wh_gguf_write_str(w, "whet.prm.kind", d->kind, NULL), WH_OK);
    if (d->key && d->text) assert_int_equal(wh_gguf_write_str(w, d->key, d->text, NULL), WH_OK);
    else if (d->key && d->list[0]) assert_int_equal(wh_gguf_write_array(w, d->key, WH_GGUF_U32, d->list, d->list[2] ? 3 : 2, NULL), WH_OK);
    else if (d->key) assert_int_equal(wh_gguf_write_u32(w, d->key, d->number, NULL), WH_OK);
    if (d->slope != 0) assert_int_equal(wh_gguf_write_f32(w, "whet.prm.calibration.slope", d->slope, NULL), WH_OK);
    if (d->slope != 0 && !isnan(d->offset)) assert_int_equal(wh_gguf_write_f32(w, "whet.prm.calibration.offset", d->offset, NULL), WH_OK);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < wh_gguf_tensor_count(g); i++) {
            const wh_gguf_tensor *t = wh_gguf_tensor_at(g, i);
            uint64_t dims[4] = {t->dims[0], t->dims[1], t->dims[2], t->dims[3]};
            bool mine = d->tensor && strcmp(t->name, d->tensor) == 0;
            if (d->without_tensor && strcmp(t->name, d->without_tensor) == 0) continue;
            if (mine) dims[0] = d->cols, dims[1] = d->rows;
            size_t bytes = mine ? (size_t)(d->cols * d->rows) * (d->type == WH_TYPE_F32 ? 4 : 2) : t->bytes;
            if (pass == 0) assert_int_equal(wh_gguf_write_tensor(w, t->name, mine ? d->type : t->type, 2, dims, NULL), WH_OK);
            else assert_int_equal(wh_gguf_write_data(w, mine ? (const void *)fill : t->data, bytes, NULL), WH_OK);
        }
        if (pass == 0) assert_int_equal(wh_gguf_write_begin(w, NULL), WH_OK);
    }
    wh_err err;
    if (wh_gguf_write_finish(w, &err) != WH_OK) fail_msg("%s", err.msg);
    wh_gguf_close(g);
}

static inline void refuse(const char *path, const wh_prm_opts *o, wh_code code, const char *sentence)
{
    wh_prm *p = (wh_prm *)&p;
    wh_err err = {0};
    wh_code got = wh_prm_open(&p, path, o, par, &err);
    if (got != code || !strstr(err.msg, sentence)) fail_msg("%d: '%s' instead of %d: '%s'", got, err.msg, code, sentence);
    assert_null(p);
}

#endif
