/* engine: what a job computes does not depend on its company; jobs end when they should; the ledger counts what a hand
 * counts; samples follow the distribution; the token loop allocates nothing. */
#include "engine_run.h"

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
        cmocka_unit_test(ledger_counts_as_a_hand_does),
        cmocka_unit_test(jobs_end_when_they_should),
        cmocka_unit_test(loops_are_noticed),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(truncation_truncates),
        cmocka_unit_test(samples_follow_the_distribution),
        cmocka_unit_test(the_token_loop_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
