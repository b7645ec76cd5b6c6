/* vote: groups, scores of paths, and every rule with its ties. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "search/vote.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ballot {
    const char *answer;
    double      score;
} ballot;

enum { MAX = 64 };

static void fill(wh_sample *s, const ballot *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s[i] = (wh_sample){.index = i, .answer = b[i].answer, .scores = &b[i].score, .n_scores = 1, .end = WH_END_EOS};
}

/* The winner and its weight among the first n. */
static const char *winner(double *weight, const wh_vote *v, const wh_vote_opts *o, const wh_sample *s, size_t n)
{
    static char answer[64];
    wh_tally *t;
    size_t n_t;
    wh_err err;
    assert_int_equal(wh_vote_count(&t, &n_t, v, o, s, n, &err), WH_OK);
    for (size_t i = 1; i < n_t; i++) assert_true(t[i - 1].weight >= t[i].weight);
    strcpy(answer, n_t ? t[0].answer : "nobody");
    if (weight) *weight = n_t ? t[0].weight : 0;
    free(t);
    return answer;
}

static const char *elect(const wh_vote *v, const wh_vote_opts *o, wh_grouping g, const ballot *b, size_t n)
{
    wh_sample s[MAX];
    size_t groups;
    wh_err err;
    fill(s, b, n);
    assert_int_equal(wh_vote_group(s, n, &groups, g, &err), WH_OK);
    return winner(NULL, v, o, s, n);
}

#define ELECT(vote, opts, grouping, ...)                                                                      \
    elect(&wh_vote_##vote, &(wh_vote_opts)opts, WH_GROUP_##grouping, (const ballot[]){__VA_ARGS__},           \
          sizeof((const ballot[]){__VA_ARGS__}) / sizeof(ballot))
#define PLAIN     {.aggregate = WH_AGGREGATE_last}
#define OFFSET_50 {.slope = 1, .offset = 50}
#define ODDS_ALONE {.slope = 1}

static void aggregates_of_a_path(void **state)
{
    (void)state;
    const double r[] = {0.5, 0.25, 1.0};
    assert_true(wh_aggregate_scores(WH_AGGREGATE_last, r, 3) == 1.0);
    assert_true(wh_aggregate_scores(WH_AGGREGATE_min, r, 3) == 0.25);
    assert_true(wh_aggregate_scores(WH_AGGREGATE_avg, r, 3) == 1.75 / 3);
    assert_true(wh_aggregate_scores(WH_AGGREGATE_prod, r, 3) == 0.125);
    for (wh_aggregate a = 0; wh_aggregate_name(a); a++) assert_true(wh_aggregate_scores(a, r, 0) == -1.0);
    assert_string_equal(wh_aggregate_name(WH_AGGREGATE_min), "min");
}

static void majority_counts(void **state)
{
    (void)state;
    assert_string_equal(ELECT(majority, PLAIN, MATH, {"1", 0}, {"2", 0}, {"2", 0}), "2");
    /* A tie: the first seen. */
    assert_string_equal(ELECT(majority, PLAIN, MATH, {"1", 0}, {"2", 0}, {"2", 0}, {"1", 0}), "1");
    assert_string_equal(ELECT(majority, PLAIN, MATH, {"3", 0}, {"2", 0}, {"2", 0}, {"1", 0}, {"1", 0}), "2");
    /* Answers that mean the same vote together. */
    assert_string_equal(ELECT(majority, PLAIN, MATH, {"0.5", 0}, {"2", 0}, {"2", 0}, {"1/2", 0}, {"\\frac12", 0}), "0.5");
    assert_string_equal(ELECT(majority, PLAIN, STRING, {"0.5", 0}, {"2", 0}, {"2", 0}, {"1/2", 0}, {"\\frac12", 0}), "2");
    /* An empty answer does not vote, except where the official code lets it. */
    assert_string_equal(ELECT(majority, PLAIN, MATH, {"", 0}, {"", 0}, {"7", 0}), "7");
    assert_string_equal(ELECT(majority, PLAIN, STRING, {"", 0}, {"", 0}, {"7", 0}), "");
    assert_string_equal(ELECT(majority, PLAIN, MATH, {"", 0}), "nobody");
}

static void prm_max_takes_the_best_sample(void **state)
{
    (void)state;
    assert_string_equal(ELECT(prm_max, PLAIN, MATH, {"1", .3}, {"1", .4}, {"2", .5}), "2");
    /* Equal scores: the earliest sample, even if the other group was seen before. */
    assert_string_equal(ELECT(prm_max, PLAIN, MATH, {"1", .3}, {"2", .9}, {"1", .9}), "2");
    assert_string_equal(ELECT(prm_max, PLAIN, MATH, {"1", .9}, {"2", .9}), "1");
}

static void prm_vote_sums(void **state)
{
    (void)state;
    assert_string_equal(ELECT(prm_vote, PLAIN, MATH, {"1", .9}, {"2", .5}, {"2", .5}), "2");
    assert_string_equal(ELECT(prm_vote, PLAIN, MATH, {"1", .9}, {"2", .25}, {"2", .5}), "1");
    /* Equal sums: the first seen. */
    assert_string_equal(ELECT(prm_vote, PLAIN, MATH, {"1", .25}, {"2", .75}, {"1", .5}), "1");
}

static void log_odds_finds_the_most_probable(void **state)
{
    (void)state;
    /* With independent samples: .9 has odds 9, twice .7 has odds 5.4, three times 12.7. */
    assert_string_equal(ELECT(log_odds, ODDS_ALONE, MATH, {"1", .9}, {"2", .7}, {"2", .7}), "1");
    assert_string_equal(ELECT(log_odds, ODDS_ALONE, MATH, {"1", .9}, {"2", .7}, {"2", .7}, {"2", .7}), "2");
    /* A sum of scores would choose 2; each of its samples is probably wrong. */
    assert_string_equal(ELECT(log_odds, ODDS_ALONE, MATH, {"1", .6}, {"2", .3}, {"2", .3}, {"2", .3}), "1");
    assert_string_equal(ELECT(prm_vote, PLAIN, MATH, {"1", .6}, {"2", .3}, {"2", .3}, {"2", .3}), "2");
    /* The usual weights: agreement counts too; a sample of .9 weighs less than two of .5, more than two of .1. */
    assert_string_equal(ELECT(log_odds, PLAIN, MATH, {"1", .9}, {"2", .5}, {"2", .5}), "2");
    assert_string_equal(ELECT(log_odds, PLAIN, MATH, {"1", .9}, {"2", .1}, {"2", .1}), "1");
    /* Scores that are all tiny, as products are, leave the number of votes. */
    assert_string_equal(ELECT(log_odds, PLAIN, MATH, {"2", .03}, {"1", .01}, {"1", .0001}), "1");
    /* A large offset makes it a majority, whatever the scores say. */
    assert_string_equal(ELECT(log_odds, OFFSET_50, MATH, {"1", .99}, {"2", .01}, {"2", .01}), "2");
    /* Scores of 0 and 1 stay finite: one certain sample does not outvote ten good ones. */
    assert_string_equal(ELECT(log_odds, PLAIN, MATH, {"1", 1}, {"2", .9}, {"2", .9}, {"2", .9}, {"2", .9}, {"2", .9},
                              {"2", .9}, {"2", .9}), "2");
}

static void cut_off_samples_do_not_vote(void **state)
{
    (void)state;
    const ballot b[] = {{"1", .5}, {"1", .5}, {"2", .5}};
    wh_sample s[3];
    size_t groups;
    wh_err err;
    fill(s, b, 3);
    s[0].end = s[1].end = WH_END_CANCELLED;
    for (int g = WH_GROUP_MATH; g <= WH_GROUP_STRING; g++) {
        assert_int_equal(wh_vote_group(s, 3, &groups, (wh_grouping)g, &err), WH_OK);
        assert_int_equal(groups, 1);
        assert_string_equal(winner(NULL, &wh_vote_majority, &(wh_vote_opts){0}, s, 3), "2");
    }
}

static void random_ballots(ballot *b, size_t n, uint64_t seed)
{
    static const char *const answers[] = {"1", "2", "3", "x+1", ""};
    for (size_t i = 0; i < n; i++) {
        b[i].answer = answers[wh_rng_u64(seed, 0, i) % 5];
        b[i].score = wh_rng_uniform(seed, 1, i); /* no two alike, no ties but in counts */
    }
}

static void every_rule_ignores_the_order(void **state)
{
    (void)state;
    for (size_t v = 0; v < wh_vote_table_size; v++)
        for (uint64_t seed = 0; seed < 200; seed++) {
            const wh_vote *vote = wh_vote_table[v];
            wh_vote_opts o = {.aggregate = WH_AGGREGATE_avg};
            ballot b[MAX];
            wh_sample s[MAX];
            size_t n = 1 + wh_rng_u64(seed, 2, 0) % 20, groups, again;
            wh_err err;
            random_ballots(b, n, seed);
            fill(s, b, n);
            assert_int_equal(wh_vote_group(s, n, &groups, WH_GROUP_MATH, &err), WH_OK);
            double w, u;
            wh_tally *t;
            size_t n_t;
            assert_int_equal(wh_vote_count(&t, &n_t, vote, &o, s, n, &err), WH_OK);
            bool tie = n_t > 1 && t[0].weight == t[1].weight;
            free(t);
            char before[64];
            strcpy(before, winner(&w, vote, &o, s, n));
            for (size_t i = n; i > 1; i--) {
                size_t k = wh_rng_u64(seed, 3, i) % i;
                ballot x = b[k];
                b[k] = b[i - 1];
                b[i - 1] = x;
            }
            fill(s, b, n);
            assert_int_equal(wh_vote_group(s, n, &again, WH_GROUP_MATH, &err), WH_OK);
            assert_int_equal(groups, again);
            const char *after = winner(&u, vote, &o, s, n);
            assert_true(fabs(w - u) < 1e-9);
            if (!tie) assert_string_equal(before, after);
        }
}

static void one_candidate_elects_itself(void **state)
{
    (void)state;
    for (size_t v = 0; v < wh_vote_table_size; v++)
        for (wh_aggregate a = 0; a < WH_AGGREGATE_COUNT; a++)
            for (int score = 0; score <= 4; score++) {
                const ballot b = {"42", score / 4.0};
                assert_string_equal(elect(wh_vote_table[v], &(wh_vote_opts){.aggregate = a}, WH_GROUP_MATH, &b, 1), "42");
                assert_ptr_equal(wh_vote_find(wh_vote_table[v]->name), wh_vote_table[v]);
            }
}

/* The vote of the first n of many is the vote of n alone. */
static void prefixes_vote_like_smaller_runs(void **state)
{
    (void)state;
    for (size_t v = 0; v < wh_vote_table_size; v++)
        for (uint64_t seed = 0; seed < 50; seed++) {
            ballot b[MAX];
            wh_sample all[MAX], few[MAX];
            size_t groups;
            wh_err err;
            wh_vote_opts o = {0};
            random_ballots(b, MAX, seed);
            fill(all, b, MAX);
            assert_int_equal(wh_vote_group(all, MAX, &groups, WH_GROUP_MATH, &err), WH_OK);
            for (size_t n = 1; n <= MAX; n *= 2) {
                fill(few, b, n);
                assert_int_equal(wh_vote_group(few, n, &groups, WH_GROUP_MATH, &err), WH_OK);
                double w, u;
                char first[64];
                strcpy(first, winner(&w, wh_vote_table[v], &o, all, n));
                assert_string_equal(first, winner(&u, wh_vote_table[v], &o, few, n));
                assert_true(w == u);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aggregates_of_a_path),
        cmocka_unit_test(majority_counts),
        cmocka_unit_test(prm_max_takes_the_best_sample),
        cmocka_unit_test(prm_vote_sums),
        cmocka_unit_test(log_odds_finds_the_most_probable),
        cmocka_unit_test(cut_off_samples_do_not_vote),
        cmocka_unit_test(every_rule_ignores_the_order),
        cmocka_unit_test(one_candidate_elects_itself),
        cmocka_unit_test(prefixes_vote_like_smaller_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
