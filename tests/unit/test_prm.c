/* Process reward models against transformers and the official formulas (tools/golden_prm.py): the same tokens, the
 * same places, the same scores; steps scored one by one on the cached prefix give the same bits as all at once; what
 * does not fit is said; broken and mistaken files are refused with a sentence. */
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

static int setup(void **state)
{
    (void)state;
    golden = json_load_file(FOLDER "golden.json", 0, NULL);
    return wh_par_create(&par, 2, NULL) == WH_OK && golden ? 0 : 1;
}

static int teardown(void **state)
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

static example read_case(const json_t *c)
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
static const char *path_of(path_buf buf, const char *file)
{
    snprintf(buf, sizeof(path_buf), FOLDER "%s", file);
    return buf;
}

static wh_prm *open_prm(const char *file, const char *kind, const char *head, size_t context)
{
    path_buf a, b;
    const wh_prm_opts o = {.kind = kind, .head = head ? path_of(b, head) : NULL,
                           .engine = {.memory = (size_t)64 << 20, .max_rows = 16, .chunk = 48, .context = context}};
    wh_prm *p;
    wh_err err;
    if (wh_prm_open(&p, path_of(a, file), &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
    return p;
}

static wh_prm *open_entry(const json_t *e)
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

static void on_done(void *user, const wh_prm_result *r)
{
    outcome *o = user;
    o->n_new = r->n_new;
    o->n_fit = r->n_fit;
    o->cancelled = r->cancelled;
    o->ledger = r->ledger;
    o->done++;
    if (!r->cancelled) memcpy(o->scores, r->scores, r->n_new * sizeof *r->scores);
}

static wh_prm_spec spec_of(const example *x, size_t n_steps, size_t n_new, outcome *o)
{
    return (wh_prm_spec){.question = x->question, .steps = x->steps, .n_steps = n_steps, .n_new = n_new, .on_done = on_done, .user = o};
}

static void run(wh_prm *p)
{
    wh_err err;
    for (bool idle = false; !idle;)
        if (wh_prm_step(p, &idle, &err) != WH_OK) fail_msg("%s", err.msg);
}

static void submit(wh_prm *p, const wh_prm_spec *spec)
{
    wh_err err;
    if (wh_prm_score(p, NULL, spec, &err) != WH_OK) fail_msg("%s", err.msg);
}

/* Tokens and places exactly, scores within what keys and values in f16 (the reference has f32) make of them. */
static void same_as_the_official_code(void **state)
{
    (void)state;
    size_t i, k;
    json_t *e, *c;
    assert_int_equal(json_array_size(golden), 7);
    json_array_foreach (golden, i, e) {
        wh_prm *p = open_entry(e);
        double worst = 0;
        size_t n_cases = json_array_size(json_object_get(e, "cases"));
        outcome *all = calloc(n_cases, sizeof *all);
        json_array_foreach (json_object_get(e, "cases"), k, c) {
            example x = read_case(c);
            wh_tok_ids ids = {0};
            size_t positions[MOST_STEPS];
            const wh_prm_spec s = spec_of(&x, x.n, x.n, &all[k]);
            assert_int_equal(wh_prm_render(p, &ids, positions, &s, NULL), WH_OK);
            assert_int_equal(ids.len, x.n_tokens);
            assert_memory_equal(ids.data, x.tokens, x.n_tokens * sizeof *x.tokens);
            assert_memory_equal(positions, x.positions, x.n * sizeof *positions);
            wh_tok_ids_free(&ids);
            submit(p, &s); /* all cases of a file go through together */
        }
        run(p);
        json_array_foreach (json_object_get(e, "cases"), k, c) {
            example x = read_case(c);
            assert_int_equal(all[k].done, 1);
            assert_int_equal(all[k].n_new, x.n);
            assert_int_equal(all[k].n_fit, x.n);
            for (size_t s = 0; s < x.n; s++) {
                double d = fabs(all[k].scores[s] - x.scores[s]);
                if (!(d <= worst)) worst = d;
            }
        }
        print_message("%-16s %-18s largest difference of a score %.5f\n", json_string_value(json_object_get(e, "file")), wh_prm_name(p), worst);
        assert_true(worst < 0.005);
        free(all);
        wh_prm_free(p);
    }
}

/* ---- on the cached prefix -------------------------------------------------------------------------------------- */

static void one_by_one_is_all_at_once(void **state)
{
    (void)state;
    size_t i, k;
    json_t *e, *c;
    json_array_foreach (golden, i, e) {
        uint64_t official = 0, ours = 0;
        json_array_foreach (json_object_get(e, "cases"), k, c) {
            example x = read_case(c);
            outcome whole = {0}, last = {0};
            for (size_t n = 1; n <= x.n; n++) { /* the official code: everything again for each step */
                wh_prm *fresh = open_entry(e);
                const wh_prm_spec s = spec_of(&x, n, n, &whole);
                submit(fresh, &s);
                run(fresh);
                official += wh_ledger_total(&whole.ledger);
                assert_int_equal(whole.ledger.reused_tokens, 0);
                wh_prm_free(fresh);
            }
            wh_prm *p = open_entry(e);
            for (size_t n = 1; n <= x.n; n++) {
                const wh_prm_spec s = spec_of(&x, n, 1, &last);
                submit(p, &s);
                run(p);
                ours += wh_ledger_total(&last.ledger);
                assert_int_equal(last.n_new, 1);
                assert_memory_equal(&last.scores[0], &whole.scores[n - 1], sizeof(double));
                /* Its own tokens, and at most the last ones of the step before. */
                size_t before = n > 1 ? x.positions[n - 2] + 1 : 0;
                assert_int_equal(last.ledger.reused_tokens, before);
                assert_int_equal(last.ledger.prefill_tokens, x.positions[n - 1] + 1 - before);
            }
            wh_engine_stats stats;
            wh_prm_get_stats(p, &stats);
            assert_int_equal(stats.jobs_done, x.n);
            wh_prm_free(p);
        }
        print_message("%-16s %5.1f MFLOP as the official code does it, %5.1f on the cached prefix: %.0f %% saved\n",
                      json_string_value(json_object_get(e, "file")), (double)official / 1e6, (double)ours / 1e6,
                      100 - 100 * (double)ours / (double)official);
        assert_true(ours < official);
    }
}

/* Children of one parent, submitted together, pay for their parent once. */
static void siblings_share_their_parent(void **state)
{
    (void)state;
    json_t *c = json_array_get(json_object_get(json_array_get(golden, 3), "cases"), 4);
    example x = read_case(c), y = x;
    outcome a = {0}, b = {0};
    y.steps[x.n - 1] = "Something else.";
    wh_prm *p = open_prm("skywork.gguf", NULL, NULL, 0);
    const wh_prm_spec s = spec_of(&x, x.n, 1, &a), t = spec_of(&y, y.n, 1, &b);
    submit(p, &s);
    submit(p, &t);
    run(p);
    assert_true(a.ledger.prefill_tokens >= x.positions[x.n - 1]);
    assert_true(b.ledger.reused_tokens >= x.positions[x.n - 2]);
    assert_true(b.ledger.prefill_tokens < 30);
    assert_true(a.scores[0] != b.scores[0]);
    wh_prm_free(p);
}

static void the_ledger_counts_bodies_rows_and_heads(void **state)
{
    (void)state;
    /* d 32, 2 layers, 2 heads of 32 with one key-value head, ffn 64; Llama: 4 heads of 16 with 2 */
    uint64_t qwen = 2 * (2 * 32 * 64 + 4 * 32 * 32 + 2 * 64 * 32 + 6 * 32 * 64);
    uint64_t llama = 2 * (2 * 32 * 64 + 4 * 32 * 32 + 2 * 64 * 32 + 6 * 32 * 64);
    const struct {
        size_t   entry;
        uint64_t body, per_score;
    } want[] = {{0, llama, 2 * 32 * 2}, {3, qwen, 2 * 32}, {4, qwen, 2 * 32 * 32 + 2 * 32 * 2}, {6, qwen, 2 * 32 * 64 + 2 * 64}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        json_t *e = json_array_get(golden, want[i].entry);
        example x = read_case(json_array_get(json_object_get(e, "cases"), 0));
        outcome o = {0};
        wh_prm *p = open_entry(e);
        const wh_prm_spec s = spec_of(&x, x.n, x.n, &o);
        submit(p, &s);
        run(p);
        uint64_t n = x.n_tokens;
        assert_int_equal(o.ledger.linear, n * want[i].body);
        assert_int_equal(o.ledger.attention, 4 * 2 * 64 * n * (n + 1) / 2);
        assert_int_equal(o.ledger.head, x.n * want[i].per_score);
        assert_int_equal(wh_prm_cost(p)->head, want[i].per_score);
        wh_engine_stats stats;
        wh_prm_get_stats(p, &stats);
        assert_int_equal(wh_ledger_total(&stats.ledger), wh_ledger_total(&o.ledger));
        wh_prm_free(p);
    }
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    wh_err err;
    json_t *e = json_array_get(golden, 4);
    example x = read_case(json_array_get(json_object_get(e, "cases"), 1));
    outcome whole = {0}, cut = {0}, beyond = {0};
    wh_prm *p = open_entry(e);
    wh_prm_spec s = spec_of(&x, x.n, x.n, &whole);
    submit(p, &s);
    run(p);
    wh_prm_free(p);

    p = open_prm("qwen.gguf", NULL, NULL, x.positions[1] + 1); /* just two steps fit */
    assert_int_equal(wh_prm_context(p), x.positions[1] + 1);
    s = spec_of(&x, x.n, x.n, &cut);
    submit(p, &s);
    run(p);
    assert_int_equal(cut.n_new, x.n);
    assert_int_equal(cut.n_fit, 2);
    assert_memory_equal(cut.scores, whole.scores, 2 * sizeof(double));
    for (size_t i = 2; i < x.n; i++) assert_true(cut.scores[i] == whole.scores[1]);
    s = spec_of(&x, x.n, 1, &beyond); /* none of the new steps does */
    submit(p, &s);
    run(p);
    assert_int_equal(beyond.n_fit, 0);
    assert_true(beyond.scores[0] == whole.scores[1]);
    s.whole = true;
    assert_int_equal(wh_prm_score(p, NULL, &s, &err), WH_ERR_BUDGET);
    assert_non_null(strstr(err.msg, "step 3 ends at token"));
    wh_prm_free(p);

    p = open_prm("qwen.gguf", NULL, NULL, x.positions[0]); /* none at all does */
    s = spec_of(&x, x.n, x.n, &cut);
    assert_int_equal(wh_prm_score(p, NULL, &s, &err), WH_ERR_BUDGET);
    assert_non_null(strstr(err.msg, "step 1 ends at token"));
    s.n_new = 0;
    assert_int_equal(wh_prm_score(p, NULL, &s, &err), WH_ERR_ARG);
    s.n_new = x.n + 1;
    assert_int_equal(wh_prm_score(p, NULL, &s, &err), WH_ERR_ARG);
    wh_prm_free(p);
}

static void cancelled_and_dropped_scorings(void **state)
{
    (void)state;
    wh_job job;
    outcome a = {0}, b = {0}, c = {0};
    example x = read_case(json_array_get(json_object_get(json_array_get(golden, 3), "cases"), 4));
    wh_prm *p = open_prm("skywork.gguf", NULL, NULL, 0);
    const wh_prm_spec s = spec_of(&x, x.n, x.n, &a), t = spec_of(&x, x.n, 1, &b), u = spec_of(&x, x.n, 2, &c);
    assert_int_equal(wh_prm_score(p, &job, &s, NULL), WH_OK);
    submit(p, &t);
    wh_prm_cancel(p, job);
    run(p);
    assert_true(a.done == 1 && a.cancelled);
    assert_true(b.done == 1 && !b.cancelled);
    submit(p, &u);
    submit(p, &s);
    wh_prm_free(p); /* the sanitizers would tell what was left */
    assert_int_equal(c.done, 0);
}

/* ---- a head on the policy ---------------------------------------------------------------------------------------- */

typedef struct policy {
    wh_model  *model;
    wh_tok    *tok;
    wh_chat   *chat;
    wh_engine *engine;
} policy;

static policy open_policy(void)
{
    policy q;
    const wh_engine_opts o = {.memory = (size_t)64 << 20, .max_rows = 8, .chunk = 64};
    assert_int_equal(wh_model_open(&q.model, FOLDER "judge.gguf", 0, WH_MAT_EXACT, par, NULL), WH_OK);
    assert_int_equal(wh_tok_gguf_create(&q.tok, q.model->gguf, NULL), WH_OK);
    assert_int_equal(wh_tok_gguf_create_chat(&q.chat, q.model->gguf, q.tok, NULL), WH_OK);
    assert_int_equal(wh_engine_create(&q.engine, q.model, q.tok, par, &o, NULL), WH_OK);
    return q;
}

static void close_policy(policy *q)
{
    wh_engine_free(q->engine);
    wh_chat_free(q->chat);
    wh_tok_free(q->tok);
    wh_model_free(q->model);
}

static void run_policy(policy *q)
{
    for (bool idle = false; !idle;) assert_int_equal(wh_engine_step(q->engine, &idle, NULL), WH_OK);
}

static void a_head_reads_the_policys_own_tokens(void **state)
{
    (void)state;
    json_t *e = json_array_get(golden, 6);
    example x = read_case(json_array_get(json_object_get(e, "cases"), 1));
    policy q = open_policy();
    const wh_prm_policy on = {FOLDER "judge.gguf", q.model, q.tok, q.chat, q.engine};
    const wh_prm_opts o = {.head = FOLDER "head.gguf"};
    wh_err err;
    wh_prm *p;
    if (wh_prm_attach(&p, &on, &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
    wh_tok_ids prompt = {0};
    assert_int_equal(wh_chat_encode_problem(q.chat, &prompt, (wh_tok_str){x.question, strlen(x.question)}, (wh_tok_str){"", 0}, NULL), WH_OK);

    /* As the policy would have written it; then without the last blank line, as when it ended its turn. */
    outcome all = {0}, ended = {0};
    wh_prm_spec s = spec_of(&x, x.n, x.n, &all);
    s.prefix = x.tokens;
    s.n_prefix = x.n_tokens;
    s.n_prompt = prompt.len;
    submit(p, &s);
    run_policy(&q);
    assert_int_equal(all.done, 1);
    for (size_t i = 0; i < x.n; i++) assert_true(fabs(all.scores[i] - x.scores[i]) < 0.005);
    s = (wh_prm_spec){.question = x.question, .steps = x.steps, .n_steps = 1, .n_new = 1, .prefix = x.tokens,
                      .n_prefix = x.positions[0], .n_prompt = prompt.len, .on_done = on_done, .user = &ended};
    submit(p, &s);
    run_policy(&q);
    assert_int_equal(ended.done, 1);
    assert_true(ended.ledger.prefill_tokens < WH_KV_BLOCK && ended.ledger.reused_tokens > x.positions[0] - WH_KV_BLOCK);

    s.n_steps = 2;
    assert_int_equal(wh_prm_score(p, NULL, &s, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "make 1 steps, but 2"));
    s.prefix = NULL;
    assert_int_equal(wh_prm_score(p, NULL, &s, &err), WH_ERR_ARG);
    bool idle;
    assert_int_equal(wh_prm_step(p, &idle, NULL), WH_OK);
    assert_true(idle);
    wh_prm_free(p);
    wh_tok_ids_free(&prompt);
    close_policy(&q);
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

static void write_edited(const char *to, const char *from, const edit *d)
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

static void refuse(const char *path, const wh_prm_opts *o, wh_code code, const char *sentence)
{
    wh_prm *p = (wh_prm *)&p;
    wh_err err = {0};
    wh_code got = wh_prm_open(&p, path, o, par, &err);
    if (got != code || !strstr(err.msg, sentence)) fail_msg("%d: '%s' instead of %d: '%s'", got, err.msg, code, sentence);
    assert_null(p);
}

static void broken_heads_are_refused(void **state)
{
    (void)state;
    static const struct {
        edit        change;
        const char *sentence;
    } cases[] = {
        {{.without_tensor = "whet.prm.0.weight"}, "tensor 'whet.prm.0.weight' is missing"},
        {{.without_tensor = "whet.prm.0.bias"}, "tensor 'whet.prm.0.bias' is missing"},
        {{.without_tensor = "whet.prm.1.bias"}, "tensor 'whet.prm.1.bias' is missing"},
        {{.without_tensor = "whet.prm.1.weight"}, "has 32 outputs: expected 1 or 2"},
        {{.tensor = "whet.prm.0.weight", .cols = 64, .rows = 32}, "shape [64, 32]: expected rows of 32"},
        {{.tensor = "whet.prm.0.bias", .cols = 16, .rows = 1}, "shape [16, 1]: expected rows of 32"},
        {{.tensor = "whet.prm.1.weight", .cols = 32, .rows = 3}, "tensor 'whet.prm.1.bias' has shape [2, 1]: expected rows of 3"},
        {{.tensor = "whet.prm.0.weight", .cols = 32, .rows = 32, .type = WH_TYPE_F16}, "is F16: expected F32"},
        {{.tensor = "whet.prm.0.weight", .cols = 32, .rows = 32, .value = NAN}, "holds what is not a number"},
        {{.tensor = "whet.prm.1.bias", .cols = 2, .rows = 1, .value = INFINITY}, "holds what is not a number"},
        {{.slope = 1, .offset = NAN}, "'whet.prm.calibration.offset'"},
        {{.slope = -1}, "a slope above 0 was expected"},
        {{.kind = "skywork"}, "the head has 2 layers and 2 outputs: a PRM of kind skywork has 1 and 1"},
        {{.kind = "judge-me"}, "'judge-me' is no kind of PRM that Whet knows"},
        {{.kind = "head"}, "it is a head file"},
        {{.without_key = "whet.prm.kind"}, "does not say that it is a PRM"},
        {{.without_key = "tokenizer.chat_template", .key = "tokenizer.chat_template", .text = "{{ messages }}"}, "no chat format that Whet knows"},
    };
    char path[] = "/tmp/test_prm_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_edited(path, "qwen.gguf", &cases[i].change);
        wh_prm *p;
        wh_err err = {0};
        wh_prm_opts o = {0};
        wh_code code = wh_prm_open(&p, path, &o, par, &err);
        if (code == WH_OK || !strstr(err.msg, cases[i].sentence) || strncmp(err.msg, path, strlen(path)) != 0)
            fail_msg("%zu: '%s' instead of '%s'", i, code == WH_OK ? "opened" : err.msg, cases[i].sentence);
        assert_null(p);
    }
    unlink(path);
}

static void mistaken_files_are_refused(void **state)
{
    (void)state;
    wh_prm_opts o = {.kind = "qwen"};
    refuse(FOLDER "skywork.gguf", &o, WH_ERR_ARG, "it is a PRM of kind skywork, not qwen");
    o.kind = "quen";
    refuse(FOLDER "skywork.gguf", &o, WH_ERR_UNSUPPORTED, "'quen' is no kind of PRM that Whet knows: math-shepherd, rlhflow-mistral");
    o.kind = "head";
    refuse(FOLDER "judge.gguf", &o, WH_ERR_ARG, "needs a head file");
    o.kind = "math-shepherd";
    refuse(FOLDER "judge.gguf", &o, WH_ERR_FORMAT, "of the vocabulary: a PRM of kind math-shepherd needs it to be one");
    o.kind = NULL;
    refuse(FOLDER "judge.gguf", &o, WH_ERR_ARG, "its kind must be named");
    refuse(FOLDER "head.gguf", &o, WH_ERR_ARG, "it is a head file: it needs a model as its trunk");
    refuse(FOLDER "none.gguf", &o, WH_ERR_IO, "none.gguf");
    o = (wh_prm_opts){.kind = "judge", .head = FOLDER "head.gguf"};
    refuse(FOLDER "judge.gguf", &o, WH_ERR_ARG, "a head file makes a PRM of kind head");
    o.kind = NULL;
    refuse(FOLDER "rlhflow.gguf", &o, WH_ERR_ARG, "the head was fitted on another model");
    o.head = FOLDER "skywork.gguf";
    refuse(FOLDER "judge.gguf", &o, WH_ERR_ARG, "does not say head");

    static const struct {
        edit        change;
        const char *sentence;
    } heads[] = {
        {{.without_key = "whet.head.trunk_sha256"}, "'whet.head.trunk_sha256'"},
        {{.without_key = "whet.head.layer"}, "'whet.head.layer'"},
        {{.without_key = "whet.head.step"}, "'whet.head.step'"},
        {{.key = "whet.head.layer", .number = 3}, "reads layer 3 of a model with 2"},
        {{.key = "whet.head.layer", .number = 0}, "reads layer 0 of a model with 2"},
        {{.key = "whet.head.layer", .list = {2, 1}}, "reads layer 1 of a model with 2: expected ascending layers"},
        {{.key = "whet.head.layer", .list = {1, 2}}, "shape [32, 64]: expected rows of 64"},
        {{.key = "whet.head.layer", .text = "last"}, "'whet.head.layer'"},
        {{.key = "whet.head.step", .text = "sentence"}, "by the rule 'sentence'"},
        {{.key = "whet.head.trunk_sha256", .text = "abc"}, "expected abc..."},
        {{.tensor = "whet.prm.1.weight", .cols = 64, .rows = 3}, "expected rows of 3"},
    };
    char path[] = "/tmp/test_prm_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    o.head = path;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        write_edited(path, "head.gguf", &heads[i].change);
        wh_prm *p;
        wh_err err = {0};
        if (wh_prm_open(&p, FOLDER "judge.gguf", &o, par, &err) == WH_OK || !strstr(err.msg, heads[i].sentence))
            fail_msg("%zu: '%s' instead of '%s'", i, err.msg, heads[i].sentence);
    }
    unlink(path);
}

/* A head on inner layers: its trunk stops at the highest of them; on the policy it has the same scores. */
static void heads_read_any_layers(void **state)
{
    (void)state;
    static const edit heads[] = {
        {.key = "whet.head.layer", .number = 1},
        {.key = "whet.head.layer", .list = {1, 2}, .tensor = "whet.prm.0.weight", .cols = 64, .rows = 64, .value = 0.05f},
    };
    example x = read_case(json_array_get(json_object_get(json_array_get(golden, 6), "cases"), 1));
    char path[] = "/tmp/test_prm_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < 2; i++) {
        write_edited(path, "head.gguf", &heads[i]);
        wh_err err;
        wh_prm *p;
        outcome own = {0}, attached = {0}, last = {0};
        wh_prm_opts o = {.head = path, .engine = {.memory = (size_t)64 << 20, .max_rows = 8, .chunk = 48}};
        if (wh_prm_open(&p, FOLDER "judge.gguf", &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
        wh_prm_spec s = spec_of(&x, x.n, x.n, &own);
        submit(p, &s);
        run(p);
        wh_prm_free(p);
        policy q = open_policy();
        const wh_prm_policy on = {FOLDER "judge.gguf", q.model, q.tok, q.chat, q.engine};
        if (wh_prm_attach(&p, &on, &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
        wh_tok_ids prompt = {0};
        assert_int_equal(wh_chat_encode_problem(q.chat, &prompt, (wh_tok_str){x.question, strlen(x.question)}, (wh_tok_str){"", 0}, NULL), WH_OK);
        s = spec_of(&x, x.n, x.n, &attached);
        s.prefix = x.tokens;
        s.n_prefix = x.n_tokens;
        s.n_prompt = prompt.len;
        submit(p, &s);
        run_policy(&q);
        wh_prm_free(p);
        close_policy(&q);
        wh_tok_ids_free(&prompt);
        p = open_prm("judge.gguf", NULL, "head.gguf", 0);
        s = spec_of(&x, x.n, x.n, &last);
        submit(p, &s);
        run(p);
        wh_prm_free(p);
        assert_true(own.done == 1 && attached.done == 1 && last.done == 1);
        assert_memory_equal(own.scores, attached.scores, x.n * sizeof(double));
        assert_int_equal((i ? 1 : 2) * own.ledger.linear, last.ledger.linear);
        for (size_t k = 0; k < x.n; k++) assert_true(own.scores[k] > 0 && own.scores[k] < 1 && own.scores[k] != last.scores[k]);
    }
    unlink(path);
}

/* Log-odds become slope times what they were, plus offset: by the keys of a file, by the options, which come first. */
static void calibration_bends_the_scores(void **state)
{
    (void)state;
    static const edit files[] = {{.slope = 0.5f, .offset = -1}, {.slope = 2, .offset = 0.25f}};
    static const wh_prm_calibration typed = {2, 0.25};
    char path[] = "/tmp/test_prm_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    example x = read_case(json_array_get(json_object_get(json_array_get(golden, 4), "cases"), 1));
    outcome plain = {0}, got[3];
    memset(got, 0, sizeof got);
    wh_prm *p = open_prm("qwen.gguf", NULL, NULL, 0);
    wh_prm_spec s = spec_of(&x, x.n, x.n, &plain);
    submit(p, &s);
    run(p);
    wh_prm_free(p);
    for (size_t i = 0; i < 3; i++) {
        wh_err err;
        const wh_prm_opts o = {.calibration = i == 2 ? &typed : NULL, .engine = {.memory = (size_t)64 << 20, .max_rows = 4, .chunk = 48}};
        write_edited(path, "qwen.gguf", &files[i % 2]);
        if (wh_prm_open(&p, path, &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
        s.user = &got[i];
        submit(p, &s);
        run(p);
        wh_prm_free(p);
        for (size_t k = 0; k < x.n; k++) {
            double slope = i ? 2 : 0.5, offset = i ? 0.25 : -1, odds = plain.scores[k] / (1 - plain.scores[k]);
            double want = pow(odds, slope) * exp(offset);
            assert_true(fabs(got[i].scores[k] - want / (1 + want)) < 1e-12);
        }
    }
    assert_memory_equal(got[1].scores, got[2].scores, x.n * sizeof(double)); /* file 0 bends by 0.5, but 2 was typed */
    const wh_prm_calibration wrong = {0, 1};
    const wh_prm_opts o = {.calibration = &wrong};
    refuse(path, &o, WH_ERR_ARG, "a slope above 0 is needed");
    wh_buf text = {0};
    wh_gguf *g;
    assert_int_equal(wh_gguf_open(&g, path, NULL), WH_OK);
    wh_prm_describe(&text, g);
    assert_string_equal(wh_buf_str(&text), "qwen, calibrated, head 32 -> 32 -> 2");
    wh_buf_free(&text);
    wh_gguf_close(g);
    unlink(path);
}

/* The policy's file as a PRM too: its weights, an engine of its own, the same scores. */
static void a_prm_shares_the_policys_weights(void **state)
{
    (void)state;
    size_t i, k;
    json_t *e, *c;
    policy q = open_policy();
    json_array_foreach (golden, i, e) {
        const char *head = json_string_value(json_object_get(e, "head")), *kind = json_string_value(json_object_get(e, "kind"));
        if (strcmp(json_string_value(json_object_get(e, "file")), "judge.gguf") != 0) continue;
        path_buf path;
        const wh_prm_policy on = {FOLDER "judge.gguf", q.model, q.tok, q.chat, NULL};
        wh_prm_opts o = {.kind = kind, .head = head ? path_of(path, head) : NULL,
                         .engine = {.memory = (size_t)64 << 20, .max_rows = 16, .chunk = 48}};
        wh_err err;
        wh_prm *shared, *own = open_entry(e);
        if (wh_prm_attach(&shared, &on, &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
        assert_string_equal(wh_prm_name(shared), wh_prm_name(own));
        assert_null(wh_prm_probe(shared));
        json_array_foreach (json_object_get(e, "cases"), k, c) {
            example x = read_case(c);
            outcome a = {0}, b = {0};
            wh_prm_spec s = spec_of(&x, x.n, x.n, &a);
            submit(own, &s);
            run(own);
            s.user = &b;
            submit(shared, &s);
            run(shared);
            assert_true(a.done == 1 && b.done == 1);
            assert_memory_equal(a.scores, b.scores, x.n * sizeof(double));
        }
        wh_prm_free(own);
        wh_prm_free(shared);
        o = (wh_prm_opts){.kind = "math-shepherd"};
        assert_int_equal(wh_prm_attach(&shared, &on, &o, par, &err), WH_ERR_FORMAT);
        assert_true(strncmp(err.msg, on.path, strlen(on.path)) == 0);
        o.kind = NULL;
        assert_int_equal(wh_prm_attach(&shared, &on, &o, par, &err), WH_ERR_ARG);
        assert_null(shared);
    }
    close_policy(&q);
}

enum { SAMPLES = 8, WRITTEN = 250 };

typedef struct sampled {
    int32_t   tokens[512];
    size_t    n, n_prompt, n_steps;
    wh_stop   stop;
    wh_mark   marks[WRITTEN + 1];
    size_t    n_marks;
    wh_ledger ledger;
    uint64_t  flops;
} sampled;

static void on_sampled(void *user, const wh_gen_result *r)
{
    sampled *o = user;
    memcpy(o->tokens + o->n_prompt, r->tokens, r->n_tokens * sizeof *r->tokens);
    memcpy(o->marks, r->marks, r->n_marks * sizeof *r->marks);
    o->n = o->n_prompt + r->n_tokens;
    o->n_steps = wh_tree_count_steps(r->text, r->text_len);
    o->stop = r->stop;
    o->n_marks = r->n_marks;
    o->ledger = r->ledger;
    o->flops = r->probe_flops;
}

/* The score of a sample's steps, from its marks or from nothing. */
static void score_sample(wh_prm *p, policy *q, const sampled *x, bool marked, wh_job *job, outcome *out)
{
    wh_prm_spec s = {.question = "q", .n_steps = x->n_steps, .n_new = x->n_steps, .prefix = x->tokens, .n_prefix = x->n,
                     .n_prompt = x->n_prompt, .on_done = on_done, .user = out};
    wh_err err;
    bool idle;
    if (marked) s.marks = x->marks, s.n_marks = x->n_marks;
    if (wh_prm_score(p, job, &s, &err) != WH_OK) fail_msg("%s", err.msg);
    assert_int_equal(out->done, 0);
    run_policy(q);
    assert_int_equal(wh_prm_step(p, &idle, NULL), WH_OK);
    assert_int_equal(out->done, 1);
    assert_int_equal(out->n_new, x->n_steps);
}

/* With its probe in the generation a head's scores cost no pass of the policy, and are the same bits. */
static void a_head_on_the_policy_comes_in_passing(void **state)
{
    (void)state;
    static const edit heads[] = {
        {.key = "whet.head.step", .text = "blank_line"},
        {.key = "whet.head.step", .text = "before_blank_line"},
        {.key = "whet.head.layer", .list = {1, 2}, .tensor = "whet.prm.0.weight", .cols = 64, .rows = 64, .value = 0.05f},
    };
    char path[] = "/tmp/test_prm_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t h = 0; h < sizeof heads / sizeof heads[0]; h++) {
        static sampled x[SAMPLES];
        memset(x, 0, sizeof x);
        write_edited(path, "head.gguf", &heads[h]);
        const wh_prm_opts o = {.head = path};
        wh_err err;
        wh_prm *p, *other;
        policy q = open_policy(), fresh = open_policy();
        const wh_prm_policy on = {FOLDER "judge.gguf", q.model, q.tok, q.chat, q.engine},
                            there = {FOLDER "judge.gguf", fresh.model, fresh.tok, fresh.chat, fresh.engine};
        if (wh_prm_attach(&p, &on, &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
        if (wh_prm_attach(&other, &there, &o, par, &err) != WH_OK) fail_msg("%s", err.msg);
        wh_tok_ids prompt = {0};
        assert_int_equal(wh_chat_encode_problem(q.chat, &prompt, (wh_tok_str){"What is 1 + 2?", 14}, (wh_tok_str){"", 0}, NULL), WH_OK);
        for (size_t i = 0; i < SAMPLES; i++) {
            memcpy(x[i].tokens, prompt.data, prompt.len * sizeof *prompt.data);
            x[i].n_prompt = prompt.len;
            const wh_gen_spec s = {.prefix = x[i].tokens, .n_prefix = prompt.len, .sampling = {.temperature = 4, .top_p = 1, .seed = 3},
                                   .stream = i, .max_tokens = WRITTEN, .probe = wh_prm_probe(p), .begin = prompt.len,
                                   .on_done = on_sampled, .user = &x[i]};
            assert_int_equal(wh_engine_generate(q.engine, NULL, &s, NULL), WH_OK);
        }
        run_policy(&q);
        size_t steps = 0, ended = 0;
        for (size_t i = 0; i < SAMPLES; i++) {
            if (!x[i].n_steps) continue;
            outcome marked = {0}, plain = {0};
            wh_job job = 1;
            score_sample(p, &q, &x[i], true, &job, &marked);
            score_sample(other, &fresh, &x[i], false, NULL, &plain);
            assert_memory_equal(marked.scores, plain.scores, x[i].n_steps * sizeof(double));
            assert_int_equal(plain.ledger.head, x[i].n_steps * wh_prm_cost(p)->head);
            /* Cut off, its last token was not read; by the rule blank_line nor was the line behind its last step. */
            bool rest = x[i].stop != WH_STOP_EOS || h != 1;
            assert_true(rest || x[i].n_marks == x[i].n_steps);
            if (!rest) assert_true(job == 0 && wh_ledger_total(&marked.ledger) == 0);
            assert_true(marked.ledger.prefill_tokens <= 2);
            assert_int_equal(x[i].flops, x[i].n_marks * wh_prm_cost(p)->head);
            assert_int_equal(x[i].flops + marked.ledger.head, plain.ledger.head);
            steps += x[i].n_steps;
            ended += x[i].stop == WH_STOP_EOS;
        }
        assert_true(steps > 2 * SAMPLES && ended > 1 && ended < SAMPLES);
        wh_prm_free(p);
        wh_prm_free(other);
        wh_tok_ids_free(&prompt);
        close_policy(&q);
        close_policy(&fresh);
    }
    unlink(path);
}

static void descriptions(void **state)
{
    (void)state;
    static const char *const want[][2] = {{"math_shepherd.gguf", "math-shepherd"}, {"skywork.gguf", "skywork, head 32 -> 1"},
                                          {"qwen.gguf", "qwen, head 32 -> 32 -> 2"}, {"judge.gguf", ""},
                                          {"head.gguf", "head, head 32 -> 64 -> 1"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        path_buf path;
        wh_buf text = {0};
        wh_gguf *g;
        assert_int_equal(wh_gguf_open(&g, path_of(path, want[i][0]), NULL), WH_OK);
        wh_prm_describe(&text, g);
        assert_string_equal(wh_buf_str(&text), want[i][1]);
        wh_buf_free(&text);
        wh_gguf_close(g);
    }
    const wh_prm_about *a, *b;
    for (size_t i = 0; (a = wh_prm_get_about(i)); i++) {
        assert_true(a->name[0] && a->models[0] && a->source[0]);
        for (size_t k = 0; k < i && (b = wh_prm_get_about(k)); k++) assert_string_not_equal(a->name, b->name);
    }
}

static void out_of_memory_is_reported(void **state)
{
    (void)state;
    const wh_prm_opts o = {.engine = {.memory = (size_t)64 << 20, .max_rows = 4, .chunk = 16}};
    wh_prm *p = NULL;
    for (long k = 0; !p && k < 20000; k++) {
        wh_err err = {0};
        wh_mem_fail_after(k);
        wh_code code = wh_prm_open(&p, FOLDER "qwen.gguf", &o, par, &err);
        wh_mem_fail_after(-1);
        if (code == WH_OK) break;
        assert_int_equal(code, WH_ERR_NOMEM);
        assert_null(p);
    }
    assert_non_null(p);
    example x = read_case(json_array_get(json_object_get(json_array_get(golden, 4), "cases"), 1));
    outcome got = {0};
    bool done = false;
    for (long k = 0; !done && k < 20000; k++) {
        const wh_prm_spec s = spec_of(&x, x.n, x.n, &got);
        wh_err err = {0};
        wh_mem_fail_after(k);
        done = wh_prm_score(p, NULL, &s, &err) == WH_OK;
        wh_mem_fail_after(-1);
        if (!done) assert_int_equal(err.code, WH_ERR_NOMEM);
    }
    assert_true(done);
    run(p);
    assert_int_equal(got.done, 1);
    wh_prm_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_the_official_code),
        cmocka_unit_test(one_by_one_is_all_at_once),
        cmocka_unit_test(siblings_share_their_parent),
        cmocka_unit_test(the_ledger_counts_bodies_rows_and_heads),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(cancelled_and_dropped_scorings),
        cmocka_unit_test(a_head_reads_the_policys_own_tokens),
        cmocka_unit_test(broken_heads_are_refused),
        cmocka_unit_test(mistaken_files_are_refused),
        cmocka_unit_test(heads_read_any_layers),
        cmocka_unit_test(calibration_bends_the_scores),
        cmocka_unit_test(a_prm_shares_the_policys_weights),
        cmocka_unit_test(a_head_on_the_policy_comes_in_passing),
        cmocka_unit_test(descriptions),
        cmocka_unit_test(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
