/* engine: what a job computes does not depend on its company, the cache, preemption or threads; jobs end when
 * they should; the ledger counts what a hand counts; the token loop allocates nothing. */
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
static wh_tok *make_tok(void)
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

static int setup(void **state)
{
    (void)state;
    wh_err err;
    if (wh_par_create(&par, 2, &err) != WH_OK) return 1;
    if (wh_model_open(&model, "tests/golden/model/qwen2.gguf", 0, WH_MAT_EXACT, par, &err) != WH_OK) return 1;
    tok = make_tok();
    return 0;
}

static int teardown(void **state)
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

static void on_text(void *user, const char *text, size_t n)
{
    outcome *o = user;
    memcpy(o->streamed + o->streamed_len, text, n);
    o->streamed_len += n;
}

static void on_done(void *user, const wh_gen_result *r)
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

static void on_scores(void *user, const wh_score_result *r)
{
    scores *s = user;
    s->n = r->n_positions;
    s->width = r->width;
    memcpy(s->values, r->values, r->n_positions * r->width * sizeof *r->values);
    s->ledger = r->ledger;
    s->done++;
}

static wh_engine *make_engine(wh_engine_opts opts)
{
    wh_engine *e;
    wh_err err;
    if (wh_engine_create(&e, model, tok, par, &opts, &err) != WH_OK) fail_msg("%s", err.msg);
    return e;
}

static void run(wh_engine *e)
{
    bool idle = false;
    for (int steps = 0; !idle; steps++) {
        assert_int_equal(wh_engine_step(e, &idle, NULL), WH_OK);
        assert_true(steps < 100000);
    }
}

/* A prompt of n tokens; prompts of different kinds differ from token `common` on. */
static void fill_prompt(int32_t *prompt, size_t n, size_t common, int kind)
{
    for (size_t i = 0; i < n; i++) prompt[i] = (int32_t)((i * 37 + (i < common ? 0 : (size_t)kind * 11 + 5)) % 256);
}

static wh_gen_spec spec_of(const int32_t *prompt, size_t n, uint64_t stream, outcome *o)
{
    return (wh_gen_spec){.prefix = prompt, .n_prefix = n,
                         .sampling = {.temperature = 0.8f, .top_p = 1, .seed = 7},
                         .stream = stream, .max_tokens = 60, .ignore_eos = true,
                         .on_text = on_text, .on_done = on_done, .user = o};
}

static void submit(wh_engine *e, const wh_gen_spec *spec)
{
    wh_err err;
    if (wh_engine_generate(e, NULL, spec, &err) != WH_OK) fail_msg("%s", err.msg);
}

/* Three prompts (two share 100 tokens) times `each` samples; outcome[i * each + s]. */
static void run_samples(wh_engine *e, outcome *out, size_t each, bool backwards)
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

static void assert_same(const outcome *a, const outcome *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->tokens, b->tokens, a->n * sizeof *a->tokens);
    assert_int_equal(a->text_len, b->text_len);
    assert_memory_equal(a->text, b->text, a->text_len);
    assert_int_equal(a->stop, b->stop);
    assert_true(a->logprob == b->logprob);
}

static void tokens_do_not_depend_on_company(void **state)
{
    (void)state;
    enum { EACH = 6 };
    static outcome alone[3 * EACH], other[3 * EACH];
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 1, .chunk = 256, .context = 256});
    run_samples(e, alone, EACH, false);
    wh_engine_free(e);
    for (size_t i = 0; i < 3; i++) /* samples of one prompt differ */
        assert_memory_not_equal(alone[i * EACH].tokens, alone[i * EACH + 1].tokens, 60 * sizeof(int32_t));
    for (size_t i = 0; i < 3 * EACH; i++) {
        assert_int_equal(alone[i].stop, WH_STOP_LENGTH);
        assert_int_equal(alone[i].n, 60);
        assert_int_equal(alone[i].text_len, alone[i].streamed_len);
        assert_memory_equal(alone[i].text, alone[i].streamed, alone[i].text_len);
        assert_true(alone[i].logprob < 0);
    }
    static const wh_engine_opts shapes[] = {
        {.max_rows = 64, .context = 256},
        {.max_rows = 5, .chunk = 3, .context = 256},
        {.max_rows = 18, .chunk = 1000, .context = 512},
    };
    for (size_t k = 0; k < 3; k++)
        for (int backwards = 0; backwards < 2; backwards++) {
            e = make_engine(shapes[k]);
            for (int again = 0; again < 2; again++) { /* the second time from the cache */
                run_samples(e, other, EACH, backwards);
                for (size_t i = 0; i < 3 * EACH; i++) assert_same(&alone[i], &other[i]);
            }
            wh_engine_free(e);
        }
    for (int threads = 1; threads <= 4; threads += 3) {
        wh_par *keep = par;
        assert_int_equal(wh_par_create(&par, threads, NULL), WH_OK);
        e = make_engine((wh_engine_opts){.max_rows = 7, .context = 256});
        run_samples(e, other, EACH, false);
        for (size_t i = 0; i < 3 * EACH; i++) assert_same(&alone[i], &other[i]);
        wh_engine_free(e);
        wh_par_free(par);
        par = keep;
    }
}

/* A search leaves its paths and comes back to all of them later: with room for their last blocks every token of them is
 * found but the last. */
static void paths_are_found_again(void **state)
{
    (void)state;
    enum { PATHS = 40, PROMPT = 70, MORE = 30 };
    static outcome first[PATHS], then[2][PATHS];
    for (int room = 0; room < 2; room++) {
        wh_engine *e = make_engine((wh_engine_opts){.max_rows = 2, .chunk = 64, .context = 256, .paths = room ? PATHS : 0});
        wh_engine_stats before, after;
        memset(first, 0, sizeof first);
        memset(then[room], 0, sizeof then[room]);
        for (int round = 0; round < 2; round++) {
            outcome *out = round ? then[room] : first;
            wh_engine_get_stats(e, &before);
            for (int i = 0; i < PATHS; i++) {
                int32_t tokens[PROMPT + MORE];
                fill_prompt(tokens, PROMPT, 0, i);
                if (round) memcpy(tokens + PROMPT, first[i].tokens, MORE * sizeof *tokens);
                wh_gen_spec s = spec_of(tokens, round ? PROMPT + MORE : PROMPT, 0, &out[i]);
                s.max_tokens = MORE;
                submit(e, &s);
            }
            run(e);
        }
        wh_engine_get_stats(e, &after);
        uint64_t found = after.ledger.reused_tokens - before.ledger.reused_tokens;
        if (room) assert_int_equal(found, PATHS * (PROMPT + MORE - 1));
        else assert_true(found < PATHS * WH_KV_BLOCK);
        wh_engine_free(e);
    }
    for (int i = 0; i < PATHS; i++) assert_same(&then[0][i], &then[1][i]);
}

/* With room for little more than one sequence, jobs push each other out and still get the same tokens. */
static void tokens_do_not_depend_on_memory(void **state)
{
    (void)state;
    enum { EACH = 6 };
    static outcome wide[3 * EACH], tight[3 * EACH];
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 18, .context = 256});
    run_samples(e, wide, EACH, false);
    wh_engine_stats st;
    wh_engine_get_stats(e, &st);
    assert_int_equal(st.jobs_preempted, 0);
    size_t scratch = st.scratch_bytes, closed = wh_kv_closed_bytes(&model->config), n_open = 18 + 4 + 4 + 4;
    scratch += n_open * wh_kv_open_bytes(&model->config);
    wh_engine_free(e);
    e = make_engine((wh_engine_opts){.max_rows = 18, .context = 256, .memory = scratch + 6 * closed});
    run_samples(e, tight, EACH, false);
    wh_engine_get_stats(e, &st);
    assert_true(st.jobs_preempted > 0);
    for (size_t i = 0; i < 3 * EACH; i++) assert_same(&wide[i], &tight[i]);
    wh_engine_free(e);
    wh_err err;
    wh_engine_opts none = {.max_rows = 18, .context = 256, .memory = scratch + closed};
    assert_int_equal(wh_engine_create(&e, model, tok, par, &none, &err), WH_ERR_BUDGET);
    assert_non_null(strstr(err.msg, "MiB"));
}

static void a_shared_prompt_is_computed_once(void **state)
{
    (void)state;
    enum { N = 8 };
    static outcome out[N];
    static const size_t lengths[] = {130, 128, 129, 64, 101}; /* 128 and 64 end with a block */
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        size_t length = lengths[k];
        int32_t prompt[130];
        memset(out, 0, sizeof out);
        fill_prompt(prompt, length, length, 0);
        wh_engine *e = make_engine((wh_engine_opts){.max_rows = N / 2, .chunk = k % 2 ? 32 : 50, .context = 256});
        for (size_t i = 0; i < N; i++) { /* half of them start when others have ended */
            wh_gen_spec s = spec_of(prompt, length, i, &out[i]);
            s.max_tokens = 60 + i;
            submit(e, &s);
        }
        run(e);
        wh_engine_stats st;
        wh_engine_get_stats(e, &st);
        /* Each of the others computes the prompt's last token alone: its logits are drawn from. */
        assert_int_equal(st.ledger.prefill_tokens, length + N - 1);
        assert_int_equal(st.ledger.reused_tokens, (N - 1) * (length - 1));
        wh_engine_free(e);
    }
}

/* tests/golden/model/qwen2: 2 layers, d 64, 6 heads and 2 key-value heads of 32, ffn 96, vocabulary 272. */
/* Samples that come to the same tokens end up with the same blocks, and who goes on from one finds all of it. */
static void the_same_tokens_share_their_blocks(void **state)
{
    (void)state;
    enum { N = 4, LENGTH = 60, WRITE = 100 };
    static outcome out[N];
    static scores s;
    memset(out, 0, sizeof out);
    int32_t path[LENGTH + WRITE];
    fill_prompt(path, LENGTH, 0, 3);
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = N, .context = 256});
    for (size_t i = 0; i < N; i++) {
        wh_gen_spec g = spec_of(path, LENGTH, i, &out[i]);
        g.sampling.temperature = i < N - 1 ? 0 : 0.8f;
        g.max_tokens = WRITE;
        submit(e, &g);
    }
    run(e);
    size_t same = 0;
    while (same < WRITE && out[0].tokens[same] == out[N - 1].tokens[same]) same++;
    assert_true(same < WRITE);
    wh_engine_stats st;
    wh_engine_get_stats(e, &st);
    /* two full blocks and a tail of each of two texts, the tails of the copies, the prompt's */
    assert_true(st.kv_blocks_used <= 2 * 2 + N + 1);
    for (size_t i = 0; i < N; i++) {
        memcpy(path + LENGTH, out[i].tokens, sizeof out[i].tokens[0] * WRITE);
        size_t at = LENGTH + WRITE - 1;
        wh_score_spec spec = {.prefix = path, .n_prefix = at + 1, .positions = &at, .n_positions = 1, .what = WH_SCORE_HIDDEN,
                              .on_done = on_scores, .user = &s};
        assert_int_equal(wh_engine_score(e, NULL, &spec, NULL), WH_OK);
        run(e);
        assert_int_equal(s.ledger.reused_tokens, at);
    }
    wh_engine_free(e);
}

static void ledger_counts_as_a_hand_does(void **state)
{
    (void)state;
    outcome o = {0};
    int32_t prompt[10];
    fill_prompt(prompt, 10, 10, 0);
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 1, .context = 256});
    wh_gen_spec s = spec_of(prompt, 10, 0, &o);
    s.max_tokens = 5;
    submit(e, &s);
    run(e);
    uint64_t q = 2 * 64 * 192, k = 2 * 64 * 64, v = k, out = 2 * 192 * 64, ffn = 3 * 2 * 64 * 96;
    uint64_t body = 2 * (q + k + v + out + ffn), head = 2 * 64 * 272, attn = 2 * (2 * 192 + 2 * 192);
    uint64_t keys = 0;
    for (uint64_t p = 1; p <= 14; p++) keys += p; /* 10 prompt tokens and the first 4 generated ones */
    assert_int_equal(o.ledger.linear, 14 * body);
    assert_int_equal(o.ledger.attention, attn * keys);
    assert_int_equal(o.ledger.head, 5 * head);
    assert_int_equal(wh_ledger_total(&o.ledger), 14 * body + attn * keys + 5 * head);
    assert_int_equal(o.ledger.prefill_tokens, 10);
    assert_int_equal(o.ledger.decode_tokens, 5);
    assert_int_equal(wh_ledger_paper(&o.ledger, wh_engine_cost(e)), 2 * ((body + head) / 2) * 5);
    wh_engine_free(e);
}

static void jobs_end_when_they_should(void **state)
{
    (void)state;
    outcome base = {0}, o = {0};
    int32_t prompt[20];
    fill_prompt(prompt, 20, 20, 0);
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256});
    wh_gen_spec s = spec_of(prompt, 20, 3, &base);
    submit(e, &s);
    run(e);

    /* A stop string made of the bytes of tokens 20 and 21, with a token that goes on after it. */
    char stop[3] = {0};
    size_t at = 0;
    for (; at + 2 < base.n && (base.tokens[at] >= 128 || base.tokens[at + 1] >= 128 || !base.tokens[at] || !base.tokens[at + 1]); at++) {}
    assert_true(at + 2 < base.n);
    stop[0] = (char)base.tokens[at], stop[1] = (char)base.tokens[at + 1];
    const char *stops[] = {"\x01\x02\x03\x04\x05", stop};
    s.stops = stops;
    s.n_stops = 2;
    s.user = &o;
    submit(e, &s);
    run(e);
    assert_int_equal(o.stop, WH_STOP_STRING);
    assert_int_equal(o.n, at + 2);
    assert_true(o.text_len >= 2 && memcmp(o.text + o.text_len - 2, stop, 2) == 0);

    /* The context is full. */
    int32_t longer[250];
    fill_prompt(longer, 250, 20, 0);
    s = spec_of(longer, 250, 0, &o);
    memset(&o, 0, sizeof o);
    submit(e, &s);
    run(e);
    assert_int_equal(o.stop, WH_STOP_CONTEXT);
    assert_int_equal(o.n, 6);

    /* Cancelled, active and waiting. */
    memset(&o, 0, sizeof o);
    outcome waiting[8] = {{.n = 0}};
    wh_job first, last = 0;
    s = spec_of(prompt, 20, 0, &o);
    assert_int_equal(wh_engine_generate(e, &first, &s, NULL), WH_OK);
    for (size_t i = 0; i < 8; i++) {
        s.user = &waiting[i];
        assert_int_equal(wh_engine_generate(e, &last, &s, NULL), WH_OK);
    }
    bool idle;
    for (int i = 0; i < 5; i++) assert_int_equal(wh_engine_step(e, &idle, NULL), WH_OK);
    wh_engine_cancel(e, first);
    wh_engine_cancel(e, last);
    wh_engine_cancel(e, 123456);
    run(e);
    assert_int_equal(o.stop, WH_STOP_CANCELLED);
    assert_true(o.n >= 3 && o.n < 60);
    assert_int_equal(waiting[7].stop, WH_STOP_CANCELLED);
    assert_int_equal(waiting[7].n, 0);
    for (size_t i = 0; i < 7; i++) assert_int_equal(waiting[i].stop, WH_STOP_LENGTH);
    wh_engine_free(e);
}

/* The guard against endless repetition, fed with tokens by hand. */
static void loops_are_noticed(void **state)
{
    (void)state;
    static const struct {
        size_t period, expected; /* tokens until the guard ends it; 0: it must not */
    } cases[] = {{1, 128}, {3, 128}, {16, 128}, {20, 160}, {64, 512}, {65, 0}, {1000, 0}};
    wh_kv kv;
    wh_cache *cache;
    assert_int_equal(wh_kv_create(&kv, &model->config, 4, 4, NULL), WH_OK);
    assert_int_equal(wh_cache_create(&cache, &kv, 1024, NULL), WH_OK);
    const job_host host = {.cache = cache, .tok = tok, .context = 1024, .d = model->config.d, .vocab = VOCAB, .layers = 1, .model_layers = 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t prompt[1] = {1};
        job *j;
        wh_gen_spec s = {.prefix = prompt, .n_prefix = 1, .sampling = {.top_p = 1}, .max_tokens = 900, .loop_guard = true};
        assert_int_equal(job_create_gen(&j, &s, &host, NULL), WH_OK);
        wh_stop stop = WH_STOP_EOS;
        size_t n = 0;
        bool over = false;
        while (!over) {
            int32_t token = (int32_t)((n % cases[i].period) * 7 % 250 + n % cases[i].period / 250);
            over = job_append(j, tok, token, 0, &stop);
            n++;
        }
        if (!cases[i].expected) {
            assert_int_equal(stop, WH_STOP_LENGTH);
        } else {
            assert_int_equal(stop, WH_STOP_LOOP);
            assert_true(n >= cases[i].expected && n < cases[i].expected + 16);
        }
        job_free(j);
    }
    wh_cache_free(cache);
    wh_kv_free(&kv);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    outcome o = {0};
    wh_err err;
    int32_t prompt[300] = {1, 2, 3};
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 2, .context = 256});
    wh_gen_spec s = spec_of(prompt, 3, 0, &o);
    s.n_prefix = 0;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_ARG);
    s.n_prefix = 300;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_BUDGET);
    assert_non_null(strstr(err.msg, "300"));
    s.n_prefix = 256;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_BUDGET);
    s.n_prefix = 3;
    prompt[1] = VOCAB;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_ARG);
    prompt[1] = -1;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_ARG);
    prompt[1] = 2;
    s.sampling.temperature = NAN;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_ARG);
    s.sampling.temperature = 1;
    s.sampling.top_p = 0;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_ARG);
    s.sampling.top_p = 1;
    s.max_tokens = 0;
    assert_int_equal(wh_engine_generate(e, NULL, &s, &err), WH_ERR_ARG);
    wh_engine_free(e);
    wh_engine_opts big = {.context = 1 << 20};
    assert_int_equal(wh_engine_create(&e, model, tok, par, &big, &err), WH_ERR_ARG);
}

/* With top_k 1, a tiny top_p or min_p 1 sampling is greedy. */
static void truncation_truncates(void **state)
{
    (void)state;
    outcome greedy = {0}, o;
    int32_t prompt[20];
    fill_prompt(prompt, 20, 20, 0);
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256});
    wh_gen_spec s = spec_of(prompt, 20, 3, &greedy);
    s.sampling.temperature = 0;
    submit(e, &s);
    run(e);
    const wh_sampling ways[] = {{.temperature = 1, .top_k = 1, .top_p = 1},
                                {.temperature = 1, .top_p = 1e-6f},
                                {.temperature = 1, .top_p = 1, .min_p = 1}};
    for (size_t i = 0; i < 3; i++) {
        memset(&o, 0, sizeof o);
        s.sampling = ways[i];
        s.user = &o;
        submit(e, &s);
        run(e);
        assert_memory_equal(o.tokens, greedy.tokens, sizeof(int32_t) * 60);
    }
    wh_engine_free(e);
}

/* A step scored on top of what is cached has the scores of the whole scored at once, and costs its own tokens. */
static void incremental_scores_are_the_same(void **state)
{
    (void)state;
    enum { LENGTH = 150, FIRST = 90 };
    int32_t prompt[LENGTH], ids[] = {5, 271, 40};
    size_t positions[] = {40, 89, 120, 148};
    fill_prompt(prompt, LENGTH, LENGTH, 0);
    static const wh_score_what whats[] = {WH_SCORE_LOGITS, WH_SCORE_LOGPROB, WH_SCORE_HIDDEN};
    const uint32_t both[] = {1, 2};
    for (size_t w = 0; w < 4; w++) { /* the last: hidden states of two layers */
        static scores whole, first, second;
        memset(&whole, 0, sizeof whole), memset(&first, 0, sizeof first), memset(&second, 0, sizeof second);
        wh_score_spec s = {.prefix = prompt, .n_prefix = LENGTH, .positions = positions, .n_positions = 4,
                           .what = whats[w < 3 ? w : 2], .ids = ids, .n_ids = 3, .layers = w == 3 ? both : NULL,
                           .n_layers = 2, .on_done = on_scores, .user = &whole};
        wh_engine *e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256, .chunk = 37});
        assert_int_equal(wh_engine_score(e, NULL, &s, NULL), WH_OK);
        run(e);
        wh_engine_free(e);
        e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256});
        s.n_prefix = FIRST + 1, s.n_positions = 2, s.user = &first;
        assert_int_equal(wh_engine_score(e, NULL, &s, NULL), WH_OK);
        run(e);
        s.n_prefix = LENGTH, s.positions = positions + 2, s.user = &second;
        assert_int_equal(wh_engine_score(e, NULL, &s, NULL), WH_OK);
        run(e);
        assert_true(whole.done == 1 && first.done == 1 && second.done == 1);
        size_t half = 2 * whole.width * sizeof(float);
        assert_memory_equal(whole.values, first.values, half);
        assert_memory_equal(whole.values + 2 * whole.width, second.values, half);
        assert_true(second.ledger.reused_tokens >= FIRST);
        assert_true(second.ledger.prefill_tokens <= LENGTH - FIRST);
        for (size_t i = 0; i < 4 * whole.width; i++) assert_true(isfinite(whole.values[i]));
        wh_engine_free(e);
    }
    wh_err err;
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256});
    size_t bad[] = {5, 5};
    wh_score_spec s = {.prefix = prompt, .n_prefix = LENGTH, .positions = bad, .n_positions = 2, .what = WH_SCORE_HIDDEN};
    assert_int_equal(wh_engine_score(e, NULL, &s, &err), WH_ERR_ARG);
    bad[1] = LENGTH;
    assert_int_equal(wh_engine_score(e, NULL, &s, &err), WH_ERR_ARG);
    wh_engine_free(e);
}

/* An engine that stops early reads the same hidden states and pays for the blocks it computes. */
static void fewer_layers_are_cheaper(void **state)
{
    (void)state;
    enum { LENGTH = 100 };
    int32_t prompt[LENGTH], id = 5;
    size_t positions[] = {40, 99}, d = model->config.d;
    const uint32_t first[] = {1}, both[] = {1, 2}, wrong[][2] = {{2, 1}, {0, 1}, {1, 3}, {2, 2}};
    static scores deep, last, shallow;
    memset(&deep, 0, sizeof deep), memset(&last, 0, sizeof last), memset(&shallow, 0, sizeof shallow);
    fill_prompt(prompt, LENGTH, LENGTH, 0);
    wh_score_spec s = {.prefix = prompt, .n_prefix = LENGTH, .positions = positions, .n_positions = 2, .what = WH_SCORE_HIDDEN,
                       .layers = both, .n_layers = 2, .on_done = on_scores, .user = &deep};
    wh_err err;
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256});
    assert_int_equal(wh_engine_score(e, NULL, &s, NULL), WH_OK);
    s.layers = NULL, s.user = &last;
    assert_int_equal(wh_engine_score(e, NULL, &s, NULL), WH_OK);
    run(e);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        s.layers = wrong[i];
        assert_int_equal(wh_engine_score(e, NULL, &s, &err), WH_ERR_ARG);
        assert_non_null(strstr(err.msg, "expected ascending layers from 1 to 2"));
    }
    wh_engine_free(e);

    e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256, .layers = 1});
    s.layers = first, s.n_layers = 1, s.user = &shallow;
    assert_int_equal(wh_engine_score(e, NULL, &s, NULL), WH_OK);
    run(e);
    assert_true(deep.width == 2 * d && last.width == d && shallow.width == d);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(shallow.values + i * d, deep.values + i * 2 * d, d * sizeof(float));
        assert_memory_equal(last.values + i * d, deep.values + (i * 2 + 1) * d, d * sizeof(float));
    }
    assert_int_equal(2 * shallow.ledger.linear, deep.ledger.linear);
    assert_int_equal(2 * shallow.ledger.attention, deep.ledger.attention);
    s.layers = both, s.n_layers = 2;
    assert_int_equal(wh_engine_score(e, NULL, &s, &err), WH_ERR_ARG);
    s.layers = NULL;
    assert_int_equal(wh_engine_score(e, NULL, &s, &err), WH_ERR_ARG);
    s.what = WH_SCORE_LOGITS, s.ids = &id, s.n_ids = 1;
    assert_int_equal(wh_engine_score(e, NULL, &s, &err), WH_ERR_ARG);
    static outcome o;
    wh_gen_spec g = spec_of(prompt, LENGTH, 0, &o);
    assert_int_equal(wh_engine_generate(e, NULL, &g, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "only 1 of the 2 blocks"));
    wh_engine_free(e);
    const wh_engine_opts many = {.max_rows = 4, .layers = 3};
    assert_int_equal(wh_engine_create(&e, model, tok, par, &many, &err), WH_ERR_ARG);
}

/* A probe that marks every third token of a text with a sum over its state. */
enum { BEGIN = 3, PROBED = 40 };
static bool look(void *ctx, double *value, const int32_t *tokens, size_t n, size_t begin, int32_t next, const float *state)
{
    int *calls = ctx;
    assert_int_equal(begin, BEGIN);
    assert_true(tokens[n - 1] >= 0 && next >= 0);
    ++*calls;
    *value = 0;
    for (size_t i = 0; i < 2 * model->config.d; i++) *value += (double)(i % 7 + 1) * (double)state[i];
    return n % 3 == 0;
}

typedef struct probed {
    int32_t tokens[130 + PROBED];
    wh_mark marks[PROBED + 1];
    size_t  n_prefix, n_tokens, n_marks;
    uint64_t flops;
    wh_ledger ledger;
} probed;

static void on_probed(void *user, const wh_gen_result *r)
{
    probed *o = user;
    memcpy(o->tokens + o->n_prefix, r->tokens, r->n_tokens * sizeof *r->tokens);
    memcpy(o->marks, r->marks, r->n_marks * sizeof *r->marks);
    o->n_tokens = o->n_prefix + r->n_tokens;
    o->n_marks = r->n_marks;
    o->flops = r->probe_flops;
    o->ledger = r->ledger;
}

/* What a probe sees is what a scoring job reads, also when jobs push each other out; the tokens stay the same. */
static void probes_see_what_scorings_read(void **state)
{
    (void)state;
    enum { N = 12 };
    const uint32_t both[] = {1, 2};
    int calls = 0;
    const wh_probe probe = {.layers = both, .n_layers = 2, .look = look, .ctx = &calls, .flops = 10};
    static probed wide[N], tight[N];
    for (int pass = 0; pass < 2; pass++) {
        probed *out = pass ? tight : wide;
        wh_engine_stats st;
        wh_engine *e = make_engine((wh_engine_opts){.max_rows = N, .context = 256});
        wh_engine_get_stats(e, &st);
        if (pass) {
            size_t n_open = N + N / 4 + 256 / WH_KV_BLOCK + 4;
            size_t least = st.scratch_bytes + n_open * wh_kv_open_bytes(&model->config) + 5 * wh_kv_closed_bytes(&model->config);
            wh_engine_free(e);
            e = make_engine((wh_engine_opts){.max_rows = N, .context = 256, .memory = least});
        }
        calls = 0;
        for (size_t i = 0; i < N; i++) {
            out[i].n_prefix = 130 - i % 2 * 67;
            fill_prompt(out[i].tokens, out[i].n_prefix, 60, (int)i % 2);
            wh_gen_spec s = spec_of(out[i].tokens, out[i].n_prefix, i, NULL);
            s.on_text = NULL, s.max_tokens = PROBED, s.probe = &probe, s.begin = BEGIN, s.on_done = on_probed, s.user = &out[i];
            submit(e, &s);
        }
        size_t before = wh_mem_count();
        run(e);
        assert_int_equal(wh_mem_count(), before); /* the token loop allocates nothing */
        wh_engine_get_stats(e, &st);
        assert_int_equal(st.jobs_preempted > 0, pass);
        assert_int_equal(calls, N * PROBED);
        wh_engine_free(e);
    }
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = N, .context = 256});
    for (size_t i = 0; i < N; i++) {
        static outcome plain;
        memset(&plain, 0, sizeof plain);
        wh_gen_spec g = spec_of(wide[i].tokens, wide[i].n_prefix, i, &plain);
        g.max_tokens = PROBED;
        submit(e, &g);
        run(e);
        assert_int_equal(wide[i].n_tokens, wide[i].n_prefix + PROBED);
        assert_memory_equal(wide[i].tokens + wide[i].n_prefix, plain.tokens, PROBED * sizeof(int32_t));
        assert_memory_equal(wide[i].tokens, tight[i].tokens, wide[i].n_tokens * sizeof(int32_t));
        assert_int_equal(wide[i].n_marks, tight[i].n_marks);
        assert_memory_equal(wide[i].marks, tight[i].marks, wide[i].n_marks * sizeof(wh_mark));
        assert_int_equal(wide[i].flops, wide[i].n_marks * 10);
        assert_true(wide[i].n_marks >= PROBED / 3);
        for (size_t k = 0; k < wide[i].n_marks; k++) {
            static scores s;
            size_t at = wide[i].marks[k].position;
            assert_true((at + 1) % 3 == 0 && at >= wide[i].n_prefix - 1 && at < wide[i].n_tokens - 1);
            wh_score_spec spec = {.prefix = wide[i].tokens, .n_prefix = at + 1, .positions = &at, .n_positions = 1,
                                  .what = WH_SCORE_HIDDEN, .layers = both, .n_layers = 2, .on_done = on_scores, .user = &s};
            assert_int_equal(wh_engine_score(e, NULL, &spec, NULL), WH_OK);
            run(e);
            double value = 0;
            for (size_t x = 0; x < s.width; x++) value += (double)(x % 7 + 1) * (double)s.values[x];
            assert_true(value == wide[i].marks[k].value);
        }
    }
    wh_err err;
    wh_gen_spec bad = spec_of(wide[0].tokens, 10, 0, NULL);
    bad.begin = 11;
    assert_int_equal(wh_engine_generate(e, NULL, &bad, &err), WH_ERR_ARG);
    const wh_probe nothing = {.layers = both, .n_layers = 0, .look = look};
    bad.begin = 0, bad.probe = &nothing;
    assert_int_equal(wh_engine_generate(e, NULL, &bad, &err), WH_ERR_ARG);
    wh_engine_free(e);
}

static void count_token(void *user, const wh_gen_result *r)
{
    size_t *counts = user;
    counts[r->tokens[0]]++;
}

static int by_probability(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return x[0] > y[0] ? -1 : x[0] < y[0];
}

/* Frequencies of a first token over many streams against the softmax of its logits, truncated by hand. */
static void samples_follow_the_distribution(void **state)
{
    (void)state;
    enum { DRAWS = 3000, LENGTH = 20 };
    int32_t prompt[LENGTH], ids[VOCAB];
    size_t last = LENGTH - 1;
    static scores logits;
    fill_prompt(prompt, LENGTH, LENGTH, 0);
    for (int32_t i = 0; i < VOCAB; i++) ids[i] = i;
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 32, .context = 256});
    wh_score_spec score = {.prefix = prompt, .n_prefix = LENGTH, .positions = &last, .n_positions = 1,
                           .what = WH_SCORE_LOGITS, .ids = ids, .n_ids = VOCAB, .on_done = on_scores, .user = &logits};
    assert_int_equal(wh_engine_score(e, NULL, &score, NULL), WH_OK);
    run(e);
    const wh_sampling ways[] = {{.temperature = 1.5f, .top_p = 1},
                                {.temperature = 1.5f, .top_k = 5, .top_p = 1},
                                {.temperature = 1.5f, .top_p = 0.8f},
                                {.temperature = 1.5f, .top_p = 1, .min_p = 0.2f}};
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        double p[VOCAB][2], mass = 0, kept = 0, chi = 0; /* probability, token */
        size_t counts[VOCAB] = {0}, n = 0, classes = 0;
        for (size_t i = 0; i < VOCAB; i++) {
            p[i][0] = exp((double)logits.values[i] / 1.5);
            p[i][1] = (double)i;
            mass += p[i][0];
        }
        qsort(p, VOCAB, sizeof p[0], by_probability);
        for (size_t i = 0; i < VOCAB; i++) p[i][0] /= mass;
        for (; n < VOCAB && (!ways[w].top_k || n < (size_t)ways[w].top_k) && kept < (double)ways[w].top_p &&
               p[n][0] >= (double)ways[w].min_p * p[0][0]; n++)
            kept += p[n][0];
        for (size_t i = 0; i < DRAWS; i++) {
            wh_gen_spec s = spec_of(prompt, LENGTH, i, NULL);
            s.sampling = ways[w];
            s.sampling.seed = 11 + w;
            s.max_tokens = 1;
            s.on_text = NULL;
            s.on_done = count_token;
            s.user = counts;
            submit(e, &s);
        }
        run(e);
        /* Chi-square over the tokens that are expected five times or more, the rest together. */
        double rest_expected = 0;
        size_t seen = 0, rest = 0;
        for (size_t i = 0; i < n; i++) {
            double expected = p[i][0] / kept * DRAWS, d;
            size_t got = counts[(size_t)p[i][1]];
            seen += got;
            if (expected < 5) {
                rest_expected += expected;
                rest += got;
                continue;
            }
            d = (double)got - expected;
            chi += d * d / expected;
            classes++;
        }
        assert_int_equal(seen, DRAWS); /* nothing outside of what is kept */
        if (rest_expected > 0) chi += ((double)rest - rest_expected) * ((double)rest - rest_expected) / rest_expected;
        double bound = (double)classes + 4 * sqrt(2.0 * (double)classes); /* four standard deviations */
        print_message("%zu tokens kept, chi-square %.1f over %zu classes\n", n, chi, classes);
        assert_true(n > 1 && classes > 1 && chi < bound);
    }
    wh_engine_free(e);
}

static void the_token_loop_allocates_nothing(void **state)
{
    (void)state;
    static outcome out[4];
    memset(out, 0, sizeof out);
    int32_t prompt[20];
    fill_prompt(prompt, 20, 20, 0);
    wh_engine *e = make_engine((wh_engine_opts){.max_rows = 4, .context = 256});
    for (size_t i = 0; i < 4; i++) {
        wh_gen_spec s = spec_of(prompt, 20, i, &out[i]);
        submit(e, &s);
    }
    size_t before = wh_mem_count();
    run(e);
    assert_int_equal(wh_mem_count(), before);
    wh_engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_do_not_depend_on_company),
        cmocka_unit_test(tokens_do_not_depend_on_memory),
        cmocka_unit_test(paths_are_found_again),
        cmocka_unit_test(a_shared_prompt_is_computed_once),
        cmocka_unit_test(the_same_tokens_share_their_blocks),
        cmocka_unit_test(ledger_counts_as_a_hand_does),
        cmocka_unit_test(jobs_end_when_they_should),
        cmocka_unit_test(loops_are_noticed),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(truncation_truncates),
        cmocka_unit_test(incremental_scores_are_the_same),
        cmocka_unit_test(fewer_layers_are_cheaper),
        cmocka_unit_test(probes_see_what_scorings_read),
        cmocka_unit_test(samples_follow_the_distribution),
        cmocka_unit_test(the_token_loop_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
