/* search: the tree, parameters, the driver, and the strategies that sample whole answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search_run.h"

/* Sample i answers i % 3, in a text whose length has nothing to do with i. */
static const char *thirds(void *user, const char *path, uint64_t seed)
{
    (void)user;
    static char text[200];
    unsigned i = (unsigned)atoi(path);
    unsigned pad = (i * 7919u + (unsigned)seed * 31u) % 50;
    snprintf(text, sizeof text, "Let me think.\n\n%.*sSo it is \\boxed{%u}", (int)pad,
             "..................................................", i % 3);
    return text;
}

static void params_from_a_table(void **state)
{
    (void)state;
    const wh_strategy *s;
    wh_params p;
    run_parse(&s, &p, "best_of_n n=5 temperature=0.25 top-k=40");
    wh_buf b = {0};
    for (size_t i = 0; i < s->n_params; i++) {
        wh_buf_printf(&b, "%s=", s->params[i].name);
        wh_param_print(&b, &p, &s->params[i]);
        wh_buf_putc(&b, ' ');
    }
    assert_string_equal(wh_buf_str(&b), "n=5 temperature=0.25 top-p=1 top-k=40 min-p=0 max-tokens=2048 ");
    wh_buf_free(&b);
    wh_err err;
    assert_int_equal(wh_param_set(&p, s->params, s->n_params, "n", "0", &err), WH_ERR_ARG);
    assert_string_equal(err.msg, "--n is a whole number from 1 to 65536, not '0'");
    assert_int_equal(wh_param_set(&p, s->params, s->n_params, "n", "2.5", &err), WH_ERR_ARG);
    assert_int_equal(wh_param_set(&p, s->params, s->n_params, "n", "2x", &err), WH_ERR_ARG);
    assert_int_equal(wh_param_set(&p, s->params, s->n_params, "temperature", "nan", &err), WH_ERR_ARG);
    assert_int_equal(wh_param_set(&p, s->params, s->n_params, "breadth", "1", &err), WH_ERR_ARG);
}

static void registry_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < wh_strategy_count; i++) {
        const wh_strategy *s = wh_strategy_table[i];
        assert_ptr_equal(wh_strategy_find(s->name), s);
        assert_true(s->help[0] && s->source[0] && s->advance && s->flops);
        for (size_t k = 0; k < s->n_params; k++) {
            const wh_param *p = &s->params[k];
            size_t size = p->type == WH_PARAM_REAL ? sizeof(double) : sizeof(uint32_t);
            assert_true(p->offset + size <= sizeof(wh_params));
            assert_true(p->def >= p->min && p->def <= p->max);
            assert_ptr_equal(wh_param_find(s->params, s->n_params, p->name), p);
        }
    }
}

static void steps_of_a_text(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"\n\n\n\n", ""},
        {"one", "one|"},
        {"one\n\n", "one|"},
        {"  one \n\n\n two\nlines\t\n\n", "one|two\nlines|"},
        {"a\n\n\n\nb\n", "a|b|"},
        {"a\n \nb", "a\n \nb|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wh_buf b = {0};
        const char *step;
        size_t at = 0, n;
        while ((n = wh_tree_next_step(&step, &at, cases[i][0], strlen(cases[i][0])))) {
            wh_buf_put(&b, step, n);
            wh_buf_putc(&b, '|');
        }
        assert_string_equal(wh_buf_str(&b), cases[i][1]);
        wh_buf_free(&b);
    }
}

static void tree_holds_paths(void **state)
{
    (void)state;
    wh_tree t;
    wh_err err;
    const int32_t prompt[] = {7, 8}, more[] = {9, 10, 11};
    const wh_mark marks[] = {{2, 0.5}, {3, 0.25}};
    const wh_gen_result x = {.tokens = more, .n_tokens = 1, .text = "x", .text_len = 1, .marks = marks, .n_marks = 1},
                        y = {.tokens = more + 1, .n_tokens = 1, .text = "y", .text_len = 1, .marks = marks + 1, .n_marks = 1},
                        z = {.tokens = more + 2, .n_tokens = 1, .text = "z", .text_len = 1};
    assert_int_equal(wh_tree_init(&t, "q", prompt, 0, 1, &err), WH_ERR_ARG);
    assert_int_equal(wh_tree_init(&t, "q", prompt, 2, 1, &err), WH_OK);
    uint32_t a, b, c;
    assert_int_equal(wh_tree_add(&t, &a, 0, 0, 0, 1, &err), WH_OK);
    assert_int_equal(wh_tree_write(&t, a, &x, &err), WH_OK);
    assert_int_equal(wh_tree_write(&t, a, &y, &err), WH_OK);
    assert_int_equal(wh_tree_add(&t, &b, 0, 1, 0, 1, &err), WH_OK);
    assert_int_equal(wh_tree_add(&t, &c, a, 0, 0, 2, &err), WH_OK);
    assert_int_equal(wh_tree_write(&t, c, &z, &err), WH_OK);
    assert_int_equal(t.nodes[c].parent, a);
    assert_int_equal(t.nodes[a].n_marks, 2);
    assert_memory_equal(t.nodes[a].marks, marks, sizeof marks);
    assert_int_equal(t.nodes[a].parent, 0);
    int32_t tokens[5];
    assert_int_equal(t.n_prompt + t.nodes[c].path_tokens, 5);
    wh_tree_tokens(&t, c, tokens);
    for (int i = 0; i < 5; i++) assert_int_equal(tokens[i], 7 + i);
    wh_buf text = {0};
    wh_tree_text(&t, c, &text);
    assert_string_equal(wh_buf_str(&text), "xyz");
    wh_buf_free(&text);
    assert_int_equal(t.nodes[0].first_child, a);
    assert_int_equal(t.nodes[a].next, b);
    assert_int_equal(t.nodes[b].next, WH_NONE);
    assert_true(t.nodes[a].stream != t.nodes[b].stream && t.nodes[a].stream != t.nodes[c].stream);
    wh_tree_reset(&t);
}

static void greedy_is_one_sample(void **state)
{
    (void)state;
    run r = {0};
    fake f = {.script = thirds};
    assert_int_equal(run_one(&r, &f, "cot", 0), WH_OK);
    assert_string_equal(wh_buf_str(&r.result), "0|eos|33||0|Let me think.~~So it is \\boxed{0}\n");
    assert_string_equal(r.winner, "0");
    assert_string_equal(wh_buf_str(&r.events), "! +0 =0 $ ");
    run_free(&r);
}

/* Sample i is the same for every N, every batch size and beside other problems. */
static void samples_do_not_depend_on_company(void **state)
{
    (void)state;
    run all = {0};
    fake f = {.script = thirds, .rows = 64};
    assert_int_equal(run_one(&all, &f, "best_of_n n=20", 5), WH_OK);
    assert_int_equal(all.n_samples, 20);
    assert_string_equal(all.winner, "0");
    assert_int_equal(f.most_running, 20);
    static const size_t ns[] = {1, 2, 7, 16, 20}, rows[] = {1, 2, 3, 64};
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 4; k++) {
            run r = {0};
            fake g = {.script = thirds, .rows = rows[k]};
            char command[40];
            snprintf(command, sizeof command, "best_of_n n=%zu", ns[i]);
            assert_int_equal(run_one(&r, &g, command, 5), WH_OK);
            assert_int_equal(r.n_samples, ns[i]);
            assert_memory_equal(r.result.data, all.result.data, r.result.len);
            run_free(&r);
        }
    run_free(&all);
}

/* Events find their run through the problem's user pointer. */
static void dispatch(void *user, const wh_event *e)
{
    (void)user;
    run_event(e->user, e);
}

static void many_problems_share_one_batch(void **state)
{
    (void)state;
    enum { PROBLEMS = 9 };
    run alone[PROBLEMS], together[PROBLEMS];
    memset(alone, 0, sizeof alone);
    memset(together, 0, sizeof together);
    wh_ledger sum = {0};
    for (unsigned i = 0; i < PROBLEMS; i++) {
        fake f = {.script = thirds};
        assert_int_equal(run_one(&alone[i], &f, "best_of_n n=5", i), WH_OK);
    }
    fake f = {.script = thirds, .rows = 7};
    wh_backend backend = fake_open(&f);
    wh_driver *d;
    wh_err err;
    wh_driver_opts opts = {.on_event = dispatch};
    assert_int_equal(wh_driver_create(&d, &backend, &opts, &err), WH_OK);
    for (unsigned i = 0; i < PROBLEMS; i++) run_add(&together[i], d, "best_of_n n=5", i);
    assert_int_equal(wh_driver_active(d), PROBLEMS);
    bool idle = false;
    size_t finished_early = 0;
    while (!idle) {
        assert_int_equal(wh_driver_step(d, &idle, &err), WH_OK);
        if (wh_driver_active(d) == PROBLEMS / 2) finished_early = f.n_steps;
    }
    assert_true(finished_early > 0 && finished_early < f.n_steps); /* no barrier between problems */
    assert_int_equal(f.most_running, 7);
    wh_driver_free(d);
    for (unsigned i = 0; i < PROBLEMS; i++) {
        assert_int_equal(together[i].n_done, 1);
        assert_string_equal(wh_buf_str(&together[i].result), wh_buf_str(&alone[i].result));
        wh_ledger_add(&sum, &together[i].policy);
        run_free(&alone[i]);
        run_free(&together[i]);
    }
    assert_memory_equal(&sum, &f.policy_total, sizeof sum);
    fake_close(&f);
}

static void limits_end_answers(void **state)
{
    (void)state;
    run r = {0};
    fake f = {.script = thirds};
    assert_int_equal(run_one(&r, &f, "cot max-tokens=10", 0), WH_OK);
    assert_string_equal(wh_buf_str(&r.result), "0|length|10|||Let me thi\n");
    assert_string_equal(r.winner, ""); /* no answer does not vote */
    run_free(&r);
    run c = {0};
    fake g = {.script = thirds, .context = 12};
    assert_int_equal(run_one(&c, &g, "cot", 0), WH_OK);
    assert_string_equal(wh_buf_str(&c.result), "0|context|6|||Let me\n");
    run_free(&c);
    run t = {0};
    fake h = {.script = thirds, .context = 6};
    assert_int_equal(run_one(&t, &h, "cot", 0), WH_OK);
    assert_int_equal(t.error.code, WH_ERR_BUDGET);
    assert_string_equal(t.error.msg, "a prefix of 6 tokens does not fit a context of 6");
    assert_false(t.cancelled);
    run_free(&t);
}

/* Wherever it is stopped, what was written by then is kept and no memory is lost. */
static void cancel_keeps_what_there_is(void **state)
{
    (void)state;
    run all = {0};
    fake f = {.script = thirds, .rows = 3};
    assert_int_equal(run_one(&all, &f, "best_of_n n=6", 5), WH_OK);
    size_t last_count = 0;
    for (uint64_t at = 1; at < all.n_events; at++) {
        run r = {.cancel_at = at};
        fake g = {.script = thirds, .rows = 3};
        assert_int_equal(run_one(&r, &g, "best_of_n n=6", 5), WH_OK);
        assert_int_equal(r.n_done, 1);
        assert_true(r.cancelled);
        assert_true(r.n_samples >= last_count);
        assert_memory_equal(&r.policy, &g.policy_total, sizeof r.policy);
        last_count = r.n_samples;
        run_free(&r);
    }
    assert_true(last_count >= 5);
    run_free(&all);

    static volatile sig_atomic_t stop;
    fake g = {.script = thirds, .rows = 3};
    wh_backend backend = fake_open(&g);
    run r = {0};
    wh_driver_opts opts = {.on_event = run_event, .user = &r, .stop = &stop};
    wh_driver *d;
    wh_err err;
    assert_int_equal(wh_driver_create(&d, &backend, &opts, &err), WH_OK);
    run_add(&r, d, "best_of_n n=6", 5);
    bool idle;
    for (int i = 0; i < 20; i++) assert_int_equal(wh_driver_step(d, &idle, &err), WH_OK);
    stop = 1;
    size_t steps = g.n_steps;
    do assert_int_equal(wh_driver_step(d, &idle, &err), WH_OK);
    while (!idle);
    assert_true(r.cancelled && g.n_steps == steps + 1);
    assert_int_equal(r.n_samples, 3); /* the three that had begun */
    assert_non_null(strstr(wh_buf_str(&r.result), "0|cancelled|20|||Let me think.~~....."));
    assert_string_equal(r.winner, "");
    wh_driver_free(d);
    fake_close(&g);
    run_free(&r);
}

static void a_broken_backend_ends_everything(void **state)
{
    (void)state;
    run r = {0};
    fake f = {.script = thirds, .rows = 3, .fail_after = 60};
    assert_int_equal(run_one(&r, &f, "best_of_n n=6", 5), WH_ERR_NOMEM);
    assert_int_equal(r.n_done, 1);
    assert_int_equal(r.error.code, WH_ERR_NOMEM);
    assert_string_equal(r.error.msg, "the fake broke");
    assert_non_null(strstr(wh_buf_str(&r.result), "|eos|"));
    run_free(&r);
}

/* Every allocation fails once: an error or a result, never a crash or a leak. */
static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    for (long k = 0;; k++) {
        fake f = {.script = thirds, .rows = 3};
        if (!run_out_of_memory(&f, "best_of_n n=20", false, k)) break;
    }
}

static double by_length(void *user, const char *question, const char *const *steps, size_t n)
{
    (void)user;
    assert_string_equal(question, "question");
    return 1.0 / (double)strlen(steps[n - 1]);
}

static void whole_answers_are_scored_step_by_step(void **state)
{
    (void)state;
    run r = {.vote = &wh_vote_prm_max};
    fake f = {.script = thirds, .score = by_length, .rows = 2};
    assert_int_equal(run_one(&r, &f, "best_of_n n=2", 0), WH_OK);
    assert_string_equal(wh_buf_str(&r.result), "0|eos|33|0.07692,0.05556|0|Let me think.~~So it is \\boxed{0}\n"
                                               "1|eos|52|0.07692,0.02703|1|Let me think.~~..................."
                                               "So it is \\boxed{1}\n");
    assert_string_equal(r.winner, "0");
    assert_memory_equal(&r.prm, &f.prm_total, sizeof r.prm);
    assert_true(wh_ledger_total(&r.prm) > 0);
    run_free(&r);
    /* Too long for the PRM: said, not silently scored. */
    run u = {0};
    fake g = {.script = thirds, .score = by_length, .judge_steps = 1};
    assert_int_equal(run_one(&u, &g, "best_of_n n=2", 0), WH_OK);
    assert_int_equal(u.n_unscored, 2);
    assert_non_null(strstr(wh_buf_str(&u.result), "0|eos|33|0.07692,0.07692|0|"));
    run_free(&u);
    run b = {0};
    fake h = {.script = thirds, .score = by_length, .judge_blind = true};
    assert_int_equal(run_one(&b, &h, "best_of_n n=2", 0), WH_OK);
    assert_int_equal(b.n_unscored, 4);
    assert_non_null(strstr(wh_buf_str(&b.result), "0|eos|33||0|"));
    run_free(&b);
}

static void collect(run *r, const wh_event *e)
{
    if (e->kind == WH_EVENT_TEXT) wh_buf_put(r->user, e->text, e->text_len);
}

static void texts_are_streamed_in_pieces(void **state)
{
    (void)state;
    wh_buf text = {0};
    run r = {.hook = collect, .user = &text};
    fake f = {.script = thirds};
    wh_backend backend = fake_open(&f);
    wh_driver_opts opts = {.on_event = run_event, .user = &r, .texts = true};
    wh_driver *d;
    wh_err err;
    assert_int_equal(wh_driver_create(&d, &backend, &opts, &err), WH_OK);
    run_add(&r, d, "cot", 0);
    bool idle = false;
    while (!idle) assert_int_equal(wh_driver_step(d, &idle, &err), WH_OK);
    assert_string_equal(wh_buf_str(&text), "Let me think.\n\nSo it is \\boxed{0}");
    wh_driver_free(d);
    fake_close(&f);
    wh_buf_free(&text);
    run_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_from_a_table),
        cmocka_unit_test(registry_is_complete),
        cmocka_unit_test(steps_of_a_text),
        cmocka_unit_test(tree_holds_paths),
        cmocka_unit_test(greedy_is_one_sample),
        cmocka_unit_test(samples_do_not_depend_on_company),
        cmocka_unit_test(many_problems_share_one_batch),
        cmocka_unit_test(limits_end_answers),
        cmocka_unit_test(cancel_keeps_what_there_is),
        cmocka_unit_test(a_broken_backend_ends_everything),
        cmocka_unit_test(out_of_memory_is_an_error),
        cmocka_unit_test(whole_answers_are_scored_step_by_step),
        cmocka_unit_test(texts_are_streamed_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
