/* engine: scoring jobs and probes: the same numbers however much of a text is cached, and at the price of what is new. */
#include "engine_run.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incremental_scores_are_the_same),
        cmocka_unit_test(fewer_layers_are_cheaper),
        cmocka_unit_test(probes_see_what_scorings_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
