/* A policy at work on a scripted engine: budgets, the numbering of samples, scores on request, parts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "plan/live.h"
#include "search_run.h"

enum { MAX_TOKENS = 300, PROMPT = 6 };

/* Sample i of seed s: some words of some length, and one of three answers. */
static const char *script(void *user, const char *path, uint64_t seed)
{
    static char text[MAX_TOKENS + 200];
    (void)user;
    uint64_t i = strtoull(path, NULL, 10), length = 20 + wh_rng_u64(seed, i, 1) % 120;
    if (wh_rng_u64(seed, i, 2) % 10 == 0) length += 150;
    int n = snprintf(text, sizeof text, "s%llu", (unsigned long long)i);
    while ((uint64_t)n < length) n += snprintf(text + n, sizeof text - (size_t)n, n % 40 < 20 ? " word" : "\n\nstep");
    snprintf(text + n, sizeof text - (size_t)n, " \\boxed{%llu}", (unsigned long long)(wh_rng_u64(seed, i, 3) % 3));
    return text;
}

static double judge(void *user, const char *question, const char *const *steps, size_t n)
{
    (void)user, (void)question;
    return strstr(steps[n - 1], "boxed{1}") ? 0.9 : 0.2;
}

typedef struct show {
    wh_live         live;
    wh_profile      profile;
    wh_params       params;
    wh_case         c;
    wh_strategy     strategy; /* a copy of the case's, to be run by run_one's code */
    run             r;
    fake            f;
    wh_driver      *d;
} show;

static void open_show(show *s, const char *policy, double budget, bool prm, size_t rows)
{
    wh_err err;
    memset(s, 0, sizeof *s);
    s->f = (fake){.script = script, .score = prm ? judge : NULL, .rows = rows};
    const wh_backend backend = fake_open(&s->f);
    const wh_driver_opts opts = {.on_event = run_event, .user = &s->r};
    assert_int_equal(wh_driver_create(&s->d, &backend, &opts, &err), WH_OK);
    s->r.driver = s->d;
    wh_profile_priors(&s->profile);
    s->profile.tokens = 90;
    s->live = (wh_live){.params = &s->params, .profile = &s->profile, .draw = {.temperature = 0.7, .top_p = 1, .max_tokens = MAX_TOKENS},
                        .task = {.policy = s->f.policy, .prm = s->f.prm, .has_prm = prm}, .around = 1, .most = WH_PLAN_MOST,
                        .budget = budget, .tokens = INFINITY};
    assert_int_equal(wh_policy_parse(&s->live.policy, &s->params, policy, &s->profile, &err), WH_OK);
    assert_int_equal(wh_outlook_create(&s->live.outlook, &s->profile, false, &err), WH_OK);
    wh_case_init(&s->c, &s->live, PROMPT, 9, NAN); /* the question and its marker */
}

static void close_show(show *s)
{
    wh_driver_free(s->d);
    fake_close(&s->f);
    wh_case_free(&s->c);
    wh_outlook_free(&s->live.outlook);
    run_free(&s->r);
}

static wh_code play_part(show *s, uint64_t seed)
{
    static const int32_t prompt[] = {'p', 'r', 'o', 'm', 'p', 't'};
    wh_params params;
    wh_err err;
    wh_live_params(&params, &s->c);
    const wh_problem p = {.question = "question", .prompt = prompt, .n_prompt = PROMPT, .seed = seed, .strategy = &wh_live_samples, .params = &params};
    wh_code code = wh_driver_add(s->d, NULL, &p, &err);
    for (bool idle = false; code == WH_OK && !idle;) code = wh_driver_step(s->d, &idle, &err);
    return code;
}

/* What best_of_n has to say, without its own ends and indices. */
static void best_of(run *r, size_t n, uint64_t seed)
{
    char command[60];
    fake f = {.script = script};
    memset(r, 0, sizeof *r);
    snprintf(command, sizeof command, "best_of_n n=%zu max-tokens=%d", n, MAX_TOKENS);
    assert_int_equal(run_one(r, &f, command, seed), WH_OK);
}

static void test_samples(void **state)
{
    (void)state;
    run want;
    show s;
    best_of(&want, 9, 5);
    open_show(&s, "fixed:n=9", INFINITY, false, 4);
    assert_int_equal(play_part(&s, 5), WH_OK);
    assert_string_equal(wh_buf_str(&s.r.result), wh_buf_str(&want.result));
    assert_int_equal(s.c.next.why, WH_WHY_DONE);
    /* Nominal costs are what the ledger counts. */
    assert_true(fabs(s.c.policy - (double)wh_ledger_total(&s.r.policy)) < 0.02 * s.c.policy);
    close_show(&s);
    /* In parts: 2, then 3, then 4. */
    open_show(&s, "set", INFINITY, false, 4);
    for (size_t n = 2; n <= 4; n++) {
        wh_live_grant(&s.c, &(wh_action){.what = WH_DO_SAMPLE, .n = n}, INFINITY);
        assert_int_equal(play_part(&s, 5), WH_OK);
        assert_int_equal(s.r.n_samples, n);
    }
    assert_int_equal(s.c.view.n, 9);
    wh_buf texts[2] = {{0}, {0}};
    for (int k = 0; k < 2; k++) { /* from the answer on */
        const char *line = wh_buf_str(k ? &want.result : &s.r.result);
        for (; *line; line = strchr(line, '\n') + 1) {
            const char *at = line;
            for (int bars = 0; bars < 4; at++) bars += *at == '|';
            wh_buf_put(&texts[k], at, (size_t)(strchr(at, '\n') - at));
        }
    }
    assert_string_equal(wh_buf_str(&texts[0]), wh_buf_str(&texts[1]));
    wh_buf_free(&texts[0]);
    wh_buf_free(&texts[1]);
    close_show(&s);
    run_free(&want);
}

/* The same decisions and samples in any batch. */
static void test_batches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 12; seed++) {
        wh_buf first = {0};
        for (size_t rows = 1; rows <= 64; rows *= 8) {
            show s;
            open_show(&s, "adaptive:pilot=4", 1.5e6, seed % 2, rows);
            assert_int_equal(play_part(&s, seed), WH_OK);
            if (rows == 1) wh_buf_puts(&first, wh_buf_str(&s.r.result));
            assert_string_equal(wh_buf_str(&first), wh_buf_str(&s.r.result));
            close_show(&s);
        }
        wh_buf_free(&first);
    }
}

/* A budget is never overrun, in FLOPs counted or in tokens; there is an answer if the first sample could finish. */
static void test_budget(void **state)
{
    (void)state;
    static const char *const policies[] = {"adaptive:price=0", "fixed:n=16", "adaptive:pilot=5", "calibrated"};
    for (uint64_t k = 0; k < 240; k++) {
        show s;
        double budget = 20000 + 1.2e6 * wh_rng_uniform(1, k, 0) * wh_rng_uniform(1, k, 1);
        open_show(&s, policies[k % 4], budget, k % 3 == 0, 5);
        s.profile.tokens = k % 5 ? 90 : 400; /* expectations may be wrong */
        if (k % 7 == 0) s.live.tokens = (double)(30 + k);
        assert_int_equal(play_part(&s, k), WH_OK);
        double spent = (double)(wh_ledger_total(&s.r.policy) + wh_ledger_total(&s.r.prm));
        if (spent > budget) fail_msg("%s, %d: %g spent of %g", policies[k % 4], (int)k, spent, budget);
        if ((double)s.r.policy.decode_tokens > s.live.tokens) fail_msg("%d tokens", (int)s.r.policy.decode_tokens);
        double length = (double)strlen(script(NULL, "0", k)), prompt = wh_strategy_compute(&s.f.policy, 0, PROMPT, 0);
        bool scoring = k % 3 == 0; /* its price is kept back, so that the first sample has less */
        bool could = prompt + wh_view_cost(&s.c.view, length) <= budget && length <= s.live.tokens && length <= MAX_TOKENS;
        if (could && !scoring) assert_true(s.r.winner[0]);
        if (budget < prompt + wh_view_cost(&s.c.view, length / 2)) assert_false(s.r.winner[0] && s.r.n_samples == 1);
        close_show(&s);
    }
}

/* The PRM is asked after the samples, for all of them, and once. */
static void test_scores(void **state)
{
    (void)state;
    run want;
    show s;
    best_of(&want, 6, 3);
    open_show(&s, "adaptive:price=0.001,pilot=6", INFINITY, true, 8);
    s.profile.keen = 0.95;
    s.live.most = 6;
    assert_int_equal(play_part(&s, 3), WH_OK);
    assert_int_equal(s.r.n_samples, 6);
    assert_int_equal(s.f.n_scored, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(s.c.seen[i].scored);
        assert_true(s.c.seen[i].score == (strcmp(s.c.answers[i], "1") == 0 ? 0.9 : 0.2));
    }
    double counted = (double)wh_ledger_total(&s.r.prm);
    assert_true(s.c.prm >= counted && s.c.prm < 1.4 * counted); /* blank lines are not read, but counted */
    close_show(&s);
    run_free(&want);
    /* Nor is it asked when samples agree. */
    open_show(&s, "adaptive", INFINITY, true, 8);
    assert_int_equal(play_part(&s, 3), WH_OK);
    close_show(&s);
}

/* Stopped from outside at every event: what was finished is there, and nothing leaks. */
static void test_cancelled(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 60; at++) {
        show s;
        open_show(&s, "fixed:n=5", INFINITY, true, 2);
        s.r.cancel_at = at;
        assert_int_equal(play_part(&s, 4), WH_OK);
        assert_int_equal(s.r.n_done, 1);
        bool whole = s.r.n_events < at || !s.r.cancelled;
        if (whole) assert_int_equal(s.r.n_samples, 5);
        close_show(&s);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    bool reached = true;
    for (long k = 0; reached; k++) {
        show s;
        open_show(&s, "fixed:n=3", INFINITY, true, 2);
        size_t before = wh_mem_count();
        s.r.hook = NULL;
        wh_driver_free(s.d);
        const wh_backend backend = {.self = &s.f, .generate = fake_generate, .score = fake_score, .cancel = fake_cancel, .step = fake_step};
        wh_err err;
        wh_mem_fail_after(k);
        if (wh_driver_create(&s.d, &backend, &(wh_driver_opts){0}, &err) == WH_OK) {
            wh_code code = play_part(&s, 4);
            assert_true(code == WH_OK || code == WH_ERR_NOMEM);
        }
        wh_mem_fail_after(-1);
        reached = wh_mem_count() - before > (size_t)k;
        close_show(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_batches),   cmocka_unit_test(test_budget),
        cmocka_unit_test(test_scores),  cmocka_unit_test(test_cancelled), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
