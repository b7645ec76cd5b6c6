/* engine: what was computed is found again, shared, and given up without a trace in the tokens. */
#include "engine_run.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_do_not_depend_on_memory),
        cmocka_unit_test(paths_are_found_again),
        cmocka_unit_test(a_shared_prompt_is_computed_once),
        cmocka_unit_test(the_same_tokens_share_their_blocks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
