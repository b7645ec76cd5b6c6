/* The scheduler's arithmetic: the Beta rule, the model of votes, budgets and their limits, policies. */
#include "base/rng.h"
#include "plan/beta.h"
#include "plan/budget.h"
#include "plan/gain.h"
#include "plan/minimize.h"
#include "plan/price.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within)) fail_msg("%.12g, not %.12g", got, want);
}

static void test_beta(void **state)
{
    (void)state;
    /* Adaptive-Consistency: 3 : 0 goes on at 0.95, 4 : 0 stops. Whole counts are binomial sums. */
    near(wh_beta_leader_stays(4, 0), 31.0 / 32, 1e-13);
    near(wh_beta_leader_stays(3, 0), 15.0 / 16, 1e-13);
    near(wh_beta_leader_stays(5, 5), 0.5, 1e-13);
    near(wh_beta_leader_stays(6, 2), 1 - (1 + 9 + 36) / 512.0, 1e-13);
    near(wh_beta_cdf(0.3, 1, 1), 0.3, 1e-13);
    near(wh_beta_cdf(0.2, 0.5, 0.5), 2 / M_PI * asin(sqrt(0.2)), 1e-12); /* the arcsine law */
    near(wh_beta_cdf(0.9, 2, 3) + wh_beta_cdf(0.1, 3, 2), 1, 1e-13);
    assert_true(wh_beta_cdf(-1, 2, 2) == 0 && wh_beta_cdf(2, 2, 2) == 1);
    near(wh_beta_cdf(0.5, 400, 380), 0.2366, 2e-3);
}

static wh_ballot ballot(uint32_t silent, const char *counts)
{
    wh_ballot v = {.n = silent};
    for (; *counts; counts++) {
        v.group[v.n_groups++].count = (uint16_t)(*counts - '0');
        v.n += (uint32_t)(*counts - '0');
    }
    return v;
}

static wh_belief *believe(double a, double b, double theta)
{
    wh_belief *x;
    wh_err err;
    assert_int_equal(wh_belief_create(&x, &(wh_belief_model){a, b, theta}, &err), WH_OK);
    return x;
}

/* The posterior against the definition of the model: the joint probability of the votes with each group as the right
 * one. */
static void test_belief_posterior(void **state)
{
    (void)state;
    const wh_belief_model m = {0.6, 1.1, 3};
    wh_belief *b = believe(m.a, m.b, m.theta);
    static const char *const cases[] = {"1", "21", "3311", "9", "11111"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint32_t silent = 0; silent < 3; silent++) {
            wh_ballot v = ballot(silent, cases[i]);
            double joint[WH_BALLOT_GROUPS + 1], sum = 0, p[WH_BALLOT_GROUPS];
            for (uint32_t g = 0; g <= v.n_groups; g++) sum += joint[g] = exp(wh_belief_likelihood(&m, &v, g < v.n_groups ? g : UINT32_MAX));
            near(wh_belief_right(b, &v, p), joint[v.n_groups] / sum, 1e-12);
            for (uint32_t g = 0; g < v.n_groups; g++) near(p[g], joint[g] / sum, 1e-12);
        }
    /* Nobody has voted: the prior. */
    wh_ballot none = ballot(0, "");
    double at_least[2];
    near(wh_belief_pass(b, &none, at_least, wh_bin_bounds, 2), m.a / (m.a + m.b), 1e-12);
    near(at_least[0], 1 - wh_beta_cdf(0.5, m.a, m.b), 1e-12);
    assert_true(wh_belief_best(b, &none, NULL) == 0);
    /* What the PRM says for the second group can make it the leader. */
    wh_ballot v = ballot(0, "32");
    uint32_t leader;
    wh_belief_best(b, &v, &leader);
    assert_int_equal(leader, 0);
    v.group[1].evidence = 64;
    wh_belief_best(b, &v, &leader);
    assert_int_equal(leader, 1);
    wh_belief_free(b);
}

/* Draw from the model and look: the expectation after k samples is what looking on average finds. */
static void test_belief_ahead(void **state)
{
    (void)state;
    enum { RUNS = 60000, N = 4, AHEAD = 3 };
    wh_belief *b = believe(0.8, 0.8, 2);
    double sum[2] = {0}, expected = 0;
    for (uint64_t r = 0; r < RUNS; r++) {
        double p = -1;
        uint64_t at = 0;
        while (p < 0) { /* Beta(0.8, 0.8) by rejection (Jöhnk) */
            double x = pow(wh_rng_uniform(1, r, at), 1 / 0.8), y = pow(wh_rng_uniform(1, r, at + 1), 1 / 0.8);
            at += 2;
            if (x + y <= 1) p = x / (x + y);
        }
        wh_ballot v = {0};
        uint32_t right = UINT32_MAX, first_leader;
        for (int i = 0; i < N + AHEAD; i++) {
            if (i == N) {
                wh_belief_best(b, &v, &first_leader);
                expected += wh_belief_after(b, &v, AHEAD);
                sum[0] += first_leader == right;
            }
            uint32_t g = v.n_groups;
            if (wh_rng_uniform(2, r, (uint64_t)i) < p) {
                if (right == UINT32_MAX) right = g;
                g = right;
            } else {
                double guests = v.n - (right < v.n_groups ? v.group[right].count : 0), u = wh_rng_uniform(3, r, (uint64_t)i) * (guests + 2);
                for (uint32_t k = 0; k < v.n_groups && g == v.n_groups; k++)
                    if (k != right && (u -= v.group[k].count) < 0) g = k;
            }
            if (g == v.n_groups) v.n_groups++;
            v.group[g].count++;
            v.n++;
        }
        uint32_t leader;
        wh_belief_best(b, &v, &leader);
        sum[1] += leader == right;
    }
    near(sum[1] / RUNS, expected / RUNS, 0.006);
    assert_true(sum[1] > sum[0]);
    /* Looking costs nothing: the expectation never falls, and the order of the groups does not matter. */
    static const char *const cases[] = {"", "1", "11", "4", "321", "111111"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wh_ballot v = ballot(1, cases[i]);
        double before = wh_belief_best(b, &v, NULL);
        for (uint32_t k = 0; k <= WH_BELIEF_AHEAD; k++) {
            double after = wh_belief_after(b, &v, k);
            assert_true(after >= before - 1e-12 && after <= 1);
            before = after;
        }
    }
    wh_ballot x = ballot(0, "123"), y = ballot(0, "312");
    assert_true(wh_belief_after(b, &x, 5) == wh_belief_after(b, &y, 5));
    wh_belief_free(b);
}

/* Scores tell groups apart: what decisions ask for is rounded and bounded, and without scores it is exact. */
static void test_belief_gain(void **state)
{
    (void)state;
    wh_belief *b = believe(0.5, 0.8, 6);
    wh_ballot v = ballot(0, "321");
    for (uint32_t k = 1; k <= wh_belief_ahead(&v); k++)
        assert_true(wh_belief_gain(b, &v, k) == wh_belief_after(b, &v, k) - wh_belief_best(b, &v, NULL));
    /* Six single votes that look alike leave few futures; with six different scores fewer can be looked at. */
    wh_ballot alike = ballot(0, "111111"), apart = alike, close = alike;
    for (uint32_t i = 0; i < apart.n_groups; i++) {
        apart.group[i].evidence = (int16_t)(20 * (int)i - 50);
        close.group[i].evidence = (int16_t)(i % 3); /* less than half a nat */
    }
    assert_int_equal(wh_belief_ahead(&alike), WH_BELIEF_AHEAD);
    assert_int_equal(wh_belief_ahead(&close), WH_BELIEF_AHEAD);
    assert_true(wh_belief_ahead(&apart) >= 1 && wh_belief_ahead(&apart) < WH_BELIEF_AHEAD);
    assert_true(wh_belief_gain(b, &close, 2) == wh_belief_gain(b, &alike, 2));
    for (uint32_t k = 1; k <= wh_belief_ahead(&apart); k++) assert_true(wh_belief_gain(b, &apart, k) >= -1e-12);
    wh_belief_free(b);
}

/* Draws from Beta distributions of a strength are fitted by it; the extremes end where they should. */
static void test_strength(void **state)
{
    (void)state;
    enum { PROBLEMS = 4000, DRAWS = 8 };
    static wh_beta_draws d[PROBLEMS];
    for (uint64_t i = 0; i < PROBLEMS; i++) { /* Beta(1.5, 1.5), by rejection */
        double p = 0;
        for (uint64_t at = 0;; at += 2) {
            p = wh_rng_uniform(1, i, at);
            if (wh_rng_uniform(1, i, at + 1) < 2 * sqrt(p * (1 - p))) break;
        }
        d[i] = (wh_beta_draws){.mean = 0.5, .n = DRAWS};
        for (uint64_t k = 0; k < DRAWS; k++) d[i].right += wh_rng_uniform(2, i, k) < p;
    }
    near(wh_beta_strength(d, PROBLEMS), 3, 0.25);
    for (size_t i = 0; i < PROBLEMS; i++) d[i].right = DRAWS / 2;
    assert_true(wh_beta_strength(d, PROBLEMS) > 100); /* as the judge said, every time */
    for (size_t i = 0; i < PROBLEMS; i++) d[i].right = i % 2 ? DRAWS : 0;
    assert_true(wh_beta_strength(d, PROBLEMS) < 0.2); /* always or never */
}

static double bowl(void *user, const double *x)
{
    ++*(int *)user;
    return pow(x[0] - 3, 2) + 10 * pow(x[1] + x[0] * x[0], 2) + 7;
}

static void test_minimize(void **state)
{
    (void)state;
    double x[2] = {0, 0};
    int calls = 0;
    near(wh_minimize(x, 2, 0.5, 2000, bowl, &calls), 7, 1e-6);
    near(x[0], 3, 1e-3);
    near(x[1], -9, 1e-2);
    assert_true(calls < 2000);
}

/* Steps of a machine whose prices are known, with noise; then it becomes slower. */
static void test_price(void **state)
{
    (void)state;
    double truth[WH_PRICE_TERMS] = {0.010, 0.002, 0.001, 1e-7};
    wh_price p = {.flops_row = 1e9};
    for (int i = 0; i < WH_PRICE_TERMS; i++) p.spread[i][i] = 1;
    for (uint64_t k = 0; k < 3000; k++) {
        double x[WH_PRICE_TERMS] = {1, (double)(1 + wh_rng_u64(1, k, 0) % 16), k % 3 ? 0 : (double)(wh_rng_u64(1, k, 1) % 64), 0}, seconds = 0;
        x[WH_PRICE_KEY] = x[WH_PRICE_ROW] * (double)(50 + wh_rng_u64(1, k, 2) % 2000);
        if (k == 1500)
            for (int i = 0; i < WH_PRICE_TERMS; i++) truth[i] *= 1.5;
        for (int i = 0; i < WH_PRICE_TERMS; i++) seconds += truth[i] * x[i];
        wh_price_observe(&p, x, seconds * (1 + 0.02 * (wh_rng_uniform(1, k, 3) - 0.5)));
        if (k != 1499 && k != 2999) continue;
        for (int i = 0; i < WH_PRICE_TERMS; i++) near(p.seconds[i] / truth[i], 1, 0.1);
        near(wh_price_step(&p, 16, 0, 16 * 500) / (truth[0] + 16 * truth[1] + 8000 * truth[3]), 1, 0.02);
    }
    /* 16 samples in one batch take less time than 16 in turn. */
    assert_true(wh_price_step(&p, 16, 0, 8000) < 0.5 * 16 * wh_price_step(&p, 1, 0, 500));
    near(wh_price_rate(&p), 1e9 / (truth[1] + truth[0] / 16), 1e9 / truth[1] * 0.1);
    near(wh_price_read_flops(&p) / wh_price_rate(&p), truth[0], truth[0] * 0.1);
}

/* Where time counts, what every round costs makes the policy draw several samples at once. */
static void test_rounds(void **state)
{
    (void)state;
    enum { DIFFERENT = 2 };
    wh_seen seen[DIFFERENT] = {{.group = 0, .tokens = 100}, {.group = 1, .tokens = 100}};
    wh_profile profile;
    wh_profile_priors(&profile);
    wh_belief *b;
    wh_err err;
    assert_int_equal(wh_belief_create(&b, &profile.votes, &err), WH_OK);
    wh_view v = {.seen = seen, .n = DIFFERENT, .n_groups = DIFFERENT, .most = WH_PLAN_MOST, .sample = 100, .budget = INFINITY, .profile = &profile, .belief = b};
    wh_ballot votes;
    wh_action in_turn, together;
    wh_view_ballot(&v, &votes);
    wh_gain_sample(&in_turn, &v, &votes);
    v.round = 1000;
    wh_gain_sample(&together, &v, &votes);
    assert_true(together.n > in_turn.n);
    assert_true(together.cost == 1000 + 100 * (double)together.n);
    wh_belief_free(b);
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double      value; /* 0: refused */
    } cases[] = {{"20T", 20e12}, {"1.5P", 1.5e15}, {"300", 300}, {"2e12", 2e12}, {"7k", 7000}, {"", 0}, {"T", 0}, {"-1T", 0},
                 {"0", 0},       {"20TT", 0},      {"nan", 0},   {"inf", 0},     {"20 T", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double v = 0;
        wh_err err;
        wh_code code = wh_budget_parse(&v, cases[i].text, "--budget", &err);
        assert_int_equal(code, cases[i].value > 0 ? WH_OK : WH_ERR_ARG);
        if (code == WH_OK) near(v, cases[i].value, cases[i].value * 1e-12);
        else assert_non_null(strstr(err.msg, "--budget"));
    }
    wh_profile priors;
    wh_profile_priors(&priors);
    const wh_policy *policy;
    wh_params params;
    wh_err err;
    assert_int_equal(wh_policy_parse(&policy, &params, "fixed:n=3,strategy=beam", &priors, &err), WH_OK);
    assert_ptr_equal(policy, &wh_policy_fixed);
    assert_int_equal(wh_policy_parse(&policy, &params, "fixd", &priors, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "adaptive"));
    assert_int_equal(wh_policy_parse(&policy, &params, "fixed:m=3", &priors, &err), WH_ERR_ARG);
    assert_int_equal(wh_policy_parse(&policy, &params, "fixed:n", &priors, &err), WH_ERR_ARG);
    assert_int_equal(wh_policy_parse(&policy, &params, "adaptive:sure=2", &priors, &err), WH_ERR_ARG);
}

/* ---- policies ------------------------------------------------------------------------------------------------------ */

typedef struct scene {
    wh_view    view;
    wh_seen    seen[WH_PLAN_MOST];
    wh_profile profile;
    wh_params  params;
    const wh_policy *policy;
} scene;

static void stage(scene *s, const char *policy, double budget)
{
    wh_err err;
    memset(s, 0, sizeof *s);
    wh_profile_priors(&s->profile);
    s->profile.tokens = 100;
    assert_int_equal(wh_policy_parse(&s->policy, &s->params, policy, &s->profile, &err), WH_OK);
    s->view = (wh_view){.seen = s->seen, .most = WH_PLAN_MOST, .budget = budget, .tokens_left = INFINITY, .profile = &s->profile, .prompt_pass = NAN,
                        .belief = believe(s->profile.votes.a, s->profile.votes.b, s->profile.votes.theta),
                        .task = {.prompt_tokens = 50, .answer_tokens = 1, .step_tokens = 20, .policy = {.body = 700, .head = 300, .attn_per_key = 1, .params = 500}}};
    wh_view_expect(&s->view);
}

static void strike(scene *s) { wh_belief_free(s->view.belief); }

/* "aab-": who said what. */
static wh_action see(scene *s, const char *groups)
{
    s->view.n = s->view.n_groups = 0;
    for (; *groups; groups++) {
        int32_t g = *groups == '-' ? -1 : *groups - 'a';
        s->seen[s->view.n++] = (wh_seen){.group = g, .tokens = 100};
        if (g + 1 > (int32_t)s->view.n_groups) s->view.n_groups = (size_t)g + 1;
    }
    wh_view_expect(&s->view);
    wh_action a;
    wh_policy_decide(&a, s->policy, &s->view, &s->params);
    return a;
}

static void test_adaptive(void **state)
{
    (void)state;
    scene s;
    stage(&s, "adaptive", INFINITY);
    assert_int_equal(see(&s, "").n, 2);
    assert_int_equal(see(&s, "aaaa").what, WH_DO_STOP);
    assert_int_equal(see(&s, "aaaa").why, WH_WHY_CERTAIN);
    assert_int_equal(see(&s, "ab").what, WH_DO_SAMPLE);
    wh_action a = see(&s, "abcdefghijklmnopqrst--------------------------------------------");
    assert_int_equal(a.what, WH_DO_STOP);
    assert_int_equal(a.why, WH_WHY_HOPELESS);
    /* The larger the budget, the longer it goes on. */
    s.view.budget = 3 * s.view.sample;
    assert_int_equal(see(&s, "aa").what, WH_DO_STOP);
    s.view.budget = 1000 * s.view.sample;
    assert_int_equal(see(&s, "aab").what, WH_DO_SAMPLE);
    strike(&s);
    stage(&s, "fixed:n=5", INFINITY);
    assert_int_equal(see(&s, "").n, 5);
    assert_int_equal(see(&s, "ab").n, 3);
    assert_int_equal(see(&s, "ababa").what, WH_DO_STOP);
    s.view.most = 4;
    assert_int_equal(see(&s, "ab").n, 2);
    assert_int_equal(see(&s, "abab").why, WH_WHY_MOST);
    strike(&s);
}

/* The PRM is asked when that can change the decision, and not for what votes have decided. */
static void test_adaptive_scores(void **state)
{
    (void)state;
    scene s;
    stage(&s, "adaptive", INFINITY);
    s.view.task.has_prm = s.view.can_score = true;
    s.view.task.prm = (wh_cost){.body = 70, .head = 1, .attn_per_key = 1};
    s.view.task.prm_answer_tokens = 1;
    s.profile.keen = 0.9;
    assert_int_equal(see(&s, "aabb").what, WH_DO_SCORE);
    assert_int_equal(see(&s, "aaaaaa").what, WH_DO_STOP);
    s.view.task.prm.body = 7000000; /* not at that price */
    assert_int_not_equal(see(&s, "aabb").what, WH_DO_SCORE);
    s.view.task.prm.body = 70;
    s.profile.keen = 0.5; /* nor for a coin's opinion */
    assert_int_not_equal(see(&s, "aabb").what, WH_DO_SCORE);
    strike(&s);
}

static void test_calibrated_and_paper(void **state)
{
    (void)state;
    scene s;
    stage(&s, "calibrated", INFINITY);
    wh_profile_row rows[] = {{WH_BIN_EASY, "best_of_n", 1, .9, 0, 1, 1},   {WH_BIN_EASY, "best_of_n", 4, .9, 0, 1, 4},
                             {WH_BIN_MEDIUM, "best_of_n", 8, .4, 0, 1, 8}, {WH_BIN_MEDIUM, "beam", 8, .6, 0, 1, 20}};
    s.profile.rows = rows;
    s.profile.n_rows = sizeof rows / sizeof rows[0];
    s.view.prompt_pass = 0.8;
    assert_int_equal(see(&s, "").n, 1);
    assert_int_equal(see(&s, "a").what, WH_DO_STOP);
    s.view.prompt_pass = 0.3;
    assert_int_equal(see(&s, "").n, 8);
    s.view.can_search = true;
    wh_action a = see(&s, "");
    assert_int_equal(a.what, WH_DO_SEARCH);
    assert_string_equal(a.strategy->name, "beam");
    s.view.budget = 10 * s.view.sample; /* the search is too dear */
    assert_int_equal(see(&s, "").what, WH_DO_SAMPLE);
    s.view.prompt_pass = NAN; /* a pilot of 4 */
    assert_int_equal(see(&s, "a").n, 3);
    strike(&s);
    stage(&s, "paper", INFINITY);
    assert_int_equal(see(&s, "").n, 16);
    s.view.can_search = true;
    assert_string_equal(see(&s, "").strategy->name, "beam");
    s.view.task.policy.params = UINT64_C(14000000000);
    assert_string_equal(see(&s, "").strategy->name, "dvts");
    s.view.prompt_pass = 0.01;
    assert_string_equal(see(&s, "").strategy->name, "beam");
    s.view.task.policy.params = UINT64_C(72000000000);
    s.view.budget = 70 * s.view.sample;
    assert_int_equal(see(&s, "").n, 64);
    strike(&s);
}

/* Whatever samples say, and however long they are, a budget is kept; and one sample that could finish may. */
static void test_limits(void **state)
{
    (void)state;
    enum { MAX_TOKENS = 400, RUNS = 2000 };
    for (uint64_t r = 0; r < RUNS; r++) {
        scene s;
        stage(&s, r % 2 ? "fixed:n=12" : "adaptive:price=0", 0);
        double unit = s.view.sample, prompt = wh_strategy_compute(&s.view.task.policy, 0, 50, 0);
        s.view.budget = prompt + unit * 20 * wh_rng_uniform(7, r, 0);
        s.view.spent = prompt;
        uint32_t first = 1 + (uint32_t)(MAX_TOKENS * wh_rng_uniform(7, r, 1)); /* what the first sample needs */
        bool finished = false;
        for (uint64_t at = 2;;) {
            wh_action a;
            wh_view_expect(&s.view);
            wh_policy_decide(&a, s.policy, &s.view, &s.params);
            if (a.what == WH_DO_STOP) break;
            assert_int_equal(a.what, WH_DO_SAMPLE);
            wh_limits l = wh_policy_limits(&s.view, &a, MAX_TOKENS);
            assert_true(l.n >= 1 && l.n <= a.n);
            for (size_t i = 0; i < l.n; i++) {
                uint32_t limit = i ? l.others : l.first, want = s.view.n ? 1 + (uint32_t)(MAX_TOKENS * pow(wh_rng_uniform(7, r, at++), 3)) : first;
                assert_true(limit <= MAX_TOKENS);
                bool whole = want <= limit;
                finished = finished || (whole && !s.view.n);
                int32_t group = (int32_t)(wh_rng_u64(7, r, at++) % 3);
                if (group > (int32_t)s.view.n_groups) group = (int32_t)s.view.n_groups;
                s.seen[s.view.n++] = (wh_seen){.group = whole ? group : -1, .tokens = whole ? want : limit};
                if (whole && group == (int32_t)s.view.n_groups) s.view.n_groups++;
                s.view.spent += wh_view_cost(&s.view, whole ? want : limit);
            }
            if (s.view.spent > s.view.budget * (1 + 1e-12)) fail_msg("run %d: %g of %g spent", (int)r, s.view.spent, s.view.budget);
        }
        bool could = prompt + wh_view_cost(&s.view, first) <= s.view.budget;
        assert_int_equal(finished, could);
        strike(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beta),           cmocka_unit_test(test_belief_posterior), cmocka_unit_test(test_belief_gain), cmocka_unit_test(test_strength),
        cmocka_unit_test(test_belief_ahead),   cmocka_unit_test(test_minimize),
        cmocka_unit_test(test_price),          cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_parse),          cmocka_unit_test(test_adaptive),
        cmocka_unit_test(test_adaptive_scores), cmocka_unit_test(test_calibrated_and_paper),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
