/* Process reward models against transformers and the official formulas (tools/golden_prm.py): the same tokens, the
 * same places, the same scores; steps scored one by one on the cached prefix give the same bits as all at once; what
 * does not fit is said; broken and mistaken files are refused with a sentence. */
#include "prm_run.h"

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
        {{.slope = -1}, "a slope above 0 is needed"},
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
        cmocka_unit_test(broken_heads_are_refused),
        cmocka_unit_test(mistaken_files_are_refused),
        cmocka_unit_test(descriptions),
        cmocka_unit_test(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
