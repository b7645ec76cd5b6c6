/* Heads of our own: on any layers, on the policy itself, where their scores come in passing and have the same bits. */
#include "prm_run.h"

#include "reward/prm_impl.h"

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
    static const wh_prm_calibration typed = {.slope = 2, .offset = 0.25};
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
    const wh_prm_calibration wrong = {.slope = 0, .offset = 1};
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

/* One step holds, the next fails, the third has nothing to check; the 7 of the question is in none. */
enum { SUMS = 3 };
static const char *const sums[SUMS] = {"1 + 1 = 2", "2 + 2 = 5", "so 3"};
static const char        sums_text[] = "1 + 1 = 2\n\n2 + 2 = 5\n\nso 3";
static const char        sums_question[] = "Add 1, 2 and 7.";
static const wh_prm_calibration sums_count = {.slope = 1, .fails = -2, .holds = 0.5, .omits = -1};
static const double             sums_moved[SUMS] = {0.5, -2, -2}; /* log-odds; the last by -1 more where the solution has ended */

static double shift(double score, double plain) { return log(score / (1 - score)) - log(plain / (1 - plain)); }

static void score_sums_as_texts(outcome *out, const wh_prm_opts *o, bool ended)
{
    wh_err err;
    wh_prm *p;
    if (wh_prm_open(&p, FOLDER "judge.gguf", o, par, &err) != WH_OK) fail_msg("%s", err.msg);
    const wh_prm_spec s = {.question = sums_question, .steps = sums, .n_steps = SUMS, .n_new = SUMS, .ended = ended, .on_done = on_done, .user = out};
    submit(p, &s);
    run(p);
    wh_prm_free(p);
}

/* What the probe sees while these tokens are written; the third step has no end yet. */
static void look_at_sums(wh_prm *p, const wh_tok_ids *ids, size_t n_prompt, const double moved[2])
{
    const float hidden[64] = {1};
    double plain = wh_prm_score_state(p, hidden, (wh_prm_evidence){0}), looked;
    size_t seen = 0;
    for (size_t n = n_prompt; n < ids->len; n++)
        if (wh_prm_look(p, &looked, ids->data, n, n_prompt, ids->data[n], hidden)) assert_true(fabs(shift(looked, plain) - moved[seen++]) < 1e-9);
    assert_int_equal(seen, 2);
}

static void score_sums_as_tokens(outcome *out, const wh_prm_opts *o, bool ended, const double moved[2])
{
    policy q = open_policy();
    const wh_prm_policy on = {FOLDER "judge.gguf", q.model, q.tok, q.chat, q.engine};
    wh_err err;
    wh_prm *p;
    if (wh_prm_attach(&p, &on, o, par, &err) != WH_OK) fail_msg("%s", err.msg);
    wh_tok_ids ids = {0};
    assert_int_equal(wh_chat_encode_problem(q.chat, &ids, (wh_tok_str){"q", 1}, (wh_tok_str){"", 0}, NULL), WH_OK);
    size_t n_prompt = ids.len;
    assert_int_equal(wh_tok_encode(q.tok, &ids, sums_text, sizeof sums_text - 1, WH_TOK_NO_PREFIX, NULL), WH_OK);
    const wh_prm_spec s = {.question = sums_question, .steps = sums, .n_steps = SUMS, .n_new = SUMS, .ended = ended, .prefix = ids.data,
                           .n_prefix = ids.len, .n_prompt = n_prompt, .on_done = on_done, .user = out};
    submit(p, &s);
    run_policy(&q);
    look_at_sums(p, &ids, n_prompt, moved);
    wh_tok_ids_free(&ids);
    wh_prm_free(p);
    close_policy(&q);
}

/* By texts, by the policy's tokens, and in passing. */
static void evidence_moves_the_scores(void **state)
{
    (void)state;
    static const edit rules[] = {{.key = "whet.head.step", .text = "blank_line"}, {.key = "whet.head.step", .text = "before_blank_line"}};
    static const double still[SUMS] = {0};
    char path[] = "/tmp/test_prm_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t rule = 0; rule < 2; rule++) {
        outcome texts[3], tokens[3]; /* without evidence, with it, and with it at the end of a solution */
        memset(texts, 0, sizeof texts);
        memset(tokens, 0, sizeof tokens);
        write_edited(path, "head.gguf", &rules[rule]);
        for (size_t with = 0; with < 3; with++) {
            const wh_prm_opts o = {.head = path, .calibration = with ? &sums_count : NULL, .engine = {.memory = (size_t)64 << 20, .max_rows = 4, .chunk = 48}};
            score_sums_as_texts(&texts[with], &o, with == 2);
            score_sums_as_tokens(&tokens[with], &o, with == 2, with ? sums_moved : still);
        }
        for (size_t with = 1; with < 3; with++)
            for (size_t i = 0; i < SUMS; i++) {
                double moved = sums_moved[i] - (with == 2 && i + 1 == SUMS ? 1 : 0);
                assert_true(fabs(shift(texts[with].scores[i], texts[0].scores[i]) - moved) < 1e-9);
                assert_true(fabs(shift(tokens[with].scores[i], tokens[0].scores[i]) - moved) < 1e-9);
            }
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_reads_the_policys_own_tokens),
        cmocka_unit_test(heads_read_any_layers),
        cmocka_unit_test(calibration_bends_the_scores),
        cmocka_unit_test(evidence_moves_the_scores),
        cmocka_unit_test(a_prm_shares_the_policys_weights),
        cmocka_unit_test(a_head_on_the_policy_comes_in_passing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
