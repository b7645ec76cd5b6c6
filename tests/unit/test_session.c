/* The public interface, on the model of known behaviour (tools/golden_markov.py): it boxes 3 half of the time. */
#include "whet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char model[] = "tests/golden/markov.gguf";

static wh_session *open_session(const wh_session_opts *opts)
{
    wh_session *s;
    wh_err err;
    if (wh_session_open(&s, model, opts, &err) != WH_OK) fail_msg("%s", err.msg);
    return s;
}

static void solves_by_vote(void **state)
{
    (void)state;
    wh_session *s = open_session(NULL);
    wh_solution sol;
    wh_err err;
    if (wh_session_solve(s, &sol, "What is 1 + 2?", NULL, &err) != WH_OK) fail_msg("%s", err.msg);
    assert_string_equal(sol.answer, "3");
    assert_int_equal(sol.n_samples, 16);
    size_t votes = 0;
    for (size_t i = 0; i < sol.n_votes; i++) votes += sol.votes[i].count;
    assert_int_equal(votes, 16);
    assert_true(sol.votes[0].count > sol.votes[1].count);
    for (size_t i = 0; i < sol.n_samples; i++) {
        char boxed[32];
        snprintf(boxed, sizeof boxed, "\\boxed{%s}", sol.samples[i].answer);
        assert_non_null(strstr(sol.samples[i].text, boxed));
    }
    assert_true(sol.flops > 0 && sol.tokens > 16 && sol.seconds > 0);
    wh_solution_free(&sol);
    wh_session_close(s);
}

static void same_seed_same_samples(void **state)
{
    (void)state;
    const wh_session_opts shapes[] = {{0}, {.threads = 1, .batch = 3}, {.cpu_mask = "c", .threads = 3}};
    char first[3][512] = {{0}};
    for (size_t i = 0; i < 3; i++) {
        wh_session *s = open_session(&shapes[i]);
        const wh_setting settings[] = {{"n", i == 0 ? "3" : "9"}, {"temperature", "1.1"}};
        const wh_solve_opts opts = {.settings = settings, .n_settings = 2, .seed = 4};
        wh_solution sol;
        assert_int_equal(wh_session_solve(s, &sol, "What is 1 + 2?", &opts, NULL), WH_OK);
        for (size_t k = 0; k < 3; k++) {
            if (i == 0) snprintf(first[k], sizeof first[k], "%s", sol.samples[k].text);
            assert_string_equal(sol.samples[k].text, first[k]);
        }
        wh_solution_free(&sol);
        wh_session_close(s);
    }
}

struct stream {
    char   text[512];
    size_t n;
    int    steps;
};

static void on_text(void *user, const char *text, size_t n)
{
    struct stream *t = user;
    memcpy(t->text + t->n, text, n);
    t->n += n;
}

static bool after_three_steps(void *user) { return ++((struct stream *)user)->steps > 3; }

static void streams_and_cancels(void **state)
{
    (void)state;
    wh_session *s = open_session(NULL);
    struct stream t = {{0}, 0, 0};
    wh_solve_opts opts = {.on_text = on_text, .user = &t};
    wh_solution sol;
    wh_err err;
    assert_int_equal(wh_session_solve(s, &sol, "What is 1 + 2?", &opts, NULL), WH_OK);
    assert_int_equal(t.n, strlen(sol.samples[0].text));
    assert_memory_equal(t.text, sol.samples[0].text, t.n);
    wh_solution_free(&sol);
    opts = (wh_solve_opts){.cancelled = after_three_steps, .user = &t};
    assert_int_equal(wh_session_solve(s, &sol, "What is 1 + 2?", &opts, &err), WH_ERR_CANCELLED);
    assert_true(err.msg[0] != '\0');
    wh_solution_free(&sol);
    assert_int_equal(wh_session_solve(s, &sol, "What is 1 + 2?", NULL, NULL), WH_OK); /* and goes on */
    assert_int_equal(sol.n_samples, 16);
    wh_solution_free(&sol);
    wh_session_close(s);
}

static void nonsense_gets_a_sentence(void **state)
{
    (void)state;
    wh_session *s;
    wh_err err;
    assert_int_equal(wh_session_open(&s, "/nonexistent.gguf", NULL, &err), WH_ERR_IO);
    assert_null(s);
    assert_non_null(strstr(err.msg, "/nonexistent.gguf"));
    assert_int_equal(wh_session_open(&s, model, &(wh_session_opts){.cpu_mask = "z80"}, &err), WH_ERR_ARG);
    s = open_session(NULL);
    wh_solution sol;
    assert_int_equal(wh_session_solve(s, &sol, " \n", NULL, &err), WH_ERR_ARG);
    wh_solution_free(&sol);
    assert_int_equal(wh_session_solve(s, &sol, "1?", &(wh_solve_opts){.strategy = "magic"}, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "magic"));
    wh_solution_free(&sol);
    const wh_setting bad = {"n", "many"};
    assert_int_equal(wh_session_solve(s, &sol, "1?", &(wh_solve_opts){.settings = &bad, .n_settings = 1}, &err), WH_ERR_ARG);
    wh_solution_free(&sol);
    wh_session_close(s);
    wh_session_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solves_by_vote),
        cmocka_unit_test(same_seed_same_samples),
        cmocka_unit_test(streams_and_cancels),
        cmocka_unit_test(nonsense_gets_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
