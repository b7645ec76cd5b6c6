/* What the tests of the engine share: a tiny model with a byte-level vocabulary, jobs and what they came to. */
#ifndef ENGINE_RUN_H
#define ENGINE_RUN_H

#include "base/mem.h"
#include "engine/engine.h"
#include "engine/job.h"
#include "text/tok.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 272, EOS = 256, MOST = 256 };

static wh_par   *par;
static wh_model *model;
static wh_tok   *tok;

/* Byte-level vocabulary: one token for each byte, spelled as GPT-2 spells bytes, then control tokens. */
static inline wh_tok *make_tok(void)
{
    static char spell[VOCAB][8];
    wh_tok_str tokens[VOCAB];
    int32_t types[VOCAB];
    int next = 256;
    for (int b = 0; b < VOCAB; b++) {
        types[b] = b < 256 ? WH_TOK_NORMAL : WH_TOK_CONTROL;
        bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
        int code = printable ? b : next++;
        if (b >= 256) snprintf(spell[b], sizeof spell[b], "<|%d|>", b);
        else if (code < 0x80) snprintf(spell[b], sizeof spell[b], "%c", code);
        else snprintf(spell[b], sizeof spell[b], "%c%c", 0xc0 | code >> 6, 0x80 | (code & 0x3f));
        tokens[b] = (wh_tok_str){spell[b], strlen(spell[b])};
    }
    wh_tok_vocab v;
    wh_tok_vocab_init(&v);
    v.model = "gpt2";
    v.pre = "qwen2";
    v.tokens = tokens;
    v.n_tokens = VOCAB;
    v.types = types;
    v.n_types = VOCAB;
    v.merges = tokens; /* none */
    v.n_merges = 0;
    v.eos = EOS;
    wh_tok *t;
    wh_err err;
    if (wh_tok_create(&t, &v, &err) != WH_OK) fail_msg("%s", err.msg);
    return t;
}

static inline int setup(void **state)
{
    (void)state;
    wh_err err;
    if (wh_par_create(&par, 2, &err) != WH_OK) return 1;
    if (wh_model_open(&model, "tests/golden/model/qwen2.gguf", 0, WH_MAT_EXACT, par, &err) != WH_OK) return 1;
    tok = make_tok();
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    wh_tok_free(tok);
    wh_model_free(model);
    wh_par_free(par);
    return 0;
}

typedef struct outcome {
    int32_t tokens[MOST];
    size_t  n;
    wh_stop stop;
    char    text[4 * MOST + 1], streamed[4 * MOST + 1]; /* may hold zeros */
    size_t  text_len, streamed_len;
    double  logprob;
    wh_ledger ledger;
    int     done;
} outcome;

static inline void on_text(void *user, const char *text, size_t n)
{
    outcome *o = user;
    memcpy(o->streamed + o->streamed_len, text, n);
    o->streamed_len += n;
}

static inline void on_done(void *user, const wh_gen_result *r)
{
    outcome *o = user;
    assert_true(r->n_tokens <= MOST);
    memcpy(o->tokens, r->tokens, r->n_tokens * sizeof *r->tokens);
    o->n = r->n_tokens;
    o->stop = r->stop;
    memcpy(o->text, r->text, r->text_len + 1);
    o->text_len = r->text_len;
    o->logprob = r->logprob;
    o->ledger = r->ledger;
    o->done++;
}

typedef struct scores {
    float values[512];
    size_t n, width;
    int done;
    wh_ledger ledger;
} scores;

static inline void on_scores(void *user, const wh_score_result *r)
{
    scores *s = user;
    s->n = r->n_positions;
    s->width = r->width;
    memcpy(s->values, r->values, r->n_positions * r->width * sizeof *r->values);
    s->ledger = r->ledger;
    s->done++;
}

static inline wh_engine *make_engine(wh_engine_opts opts)
{
    wh_engine *e;
    wh_err err;
    if (wh_engine_create(&e, model, tok, par, &opts, &err) != WH_OK) fail_msg("%s", err.msg);
    return e;
}

static inline void run(wh_engine *e)
{
    bool idle = false;
    for (int steps = 0; !idle; steps++) {
        assert_int_equal(wh_engine_step(e, &idle, NULL), WH_OK);
        assert_true(steps < 100000);
    }
}

/* A prompt of n tokens; prompts of different kinds differ from token `common` on. */
static inline void fill_prompt(int32_t *prompt, size_t n, size_t common, int kind)
{
    for (size_t i = 0; i < n; i++) prompt[i] = (int32_t)((i * 37 + (i < common ? 0 : (size_t)kind * 11 + 5)) % 256);
}

static inline wh_gen_spec spec_of(const int32_t *prompt, size_t n, uint64_t stream, outcome *o)
{
    return (wh_gen_spec){.prefix = prompt, .n_prefix = n,
                         .sampling = {.temperature = 0.8f, .top_p = 1, .seed = 7},
                         .stream = stream, .max_tokens = 60, .ignore_eos = true,
                         .on_text = on_text, .on_done = on_done, .user = o};
}

static inline void submit(wh_engine *e, const wh_gen_spec *spec)
{
    wh_err err;
    if (wh_engine_generate(e, NULL, spec, &err) != WH_OK) fail_msg("%s", err.msg);
}

/* Three prompts (two share 100 tokens) times `each` samples; outcome[i * each + s]. */
static inline void run_samples(wh_engine *e, outcome *out, size_t each, bool backwards)
{
    static const size_t lengths[] = {130, 110, 9};
    size_t total = 3 * each;
    memset(out, 0, total * sizeof *out);
    for (size_t k = 0; k < total; k++) {
        size_t at = backwards ? total - 1 - k : k, kind = at / each;
        int32_t prompt[130];
        fill_prompt(prompt, lengths[kind], kind < 2 ? 100 : 0, (int)kind);
        wh_gen_spec s = spec_of(prompt, lengths[kind], at % each, &out[at]);
        submit(e, &s);
    }
    run(e);
    for (size_t k = 0; k < total; k++) assert_int_equal(out[k].done, 1);
}

static inline void assert_same(const outcome *a, const outcome *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->tokens, b->tokens, a->n * sizeof *a->tokens);
    assert_int_equal(a->text_len, b->text_len);
    assert_memory_equal(a->text, b->text, a->text_len);
    assert_int_equal(a->stop, b->stop);
    assert_true(a->logprob == b->logprob);
}

#endif
