/* Accuracy for every n from one run. */
#include "app/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const wh_rule majority = {.vote = &wh_vote_majority};

static void test_levels(void **state)
{
    (void)state;
    wh_score s;
    wh_score_init(&s, 1, true, false, &majority);
    assert_int_equal(s.levels, 1);
    assert_int_equal(s.n[0], 1);
    wh_score_init(&s, 6, true, false, &majority);
    static const size_t six[] = {1, 2, 4, 6};
    assert_int_equal(s.levels, 4);
    assert_memory_equal(s.n, six, sizeof six);
    wh_score_init(&s, 65536, true, false, &majority);
    assert_int_equal(s.levels, 17);
    assert_int_equal(s.n[16], 65536);
}

/* Groups of 4 samples, which of them are right, and what the votes of 1, 2 and 4 come to. */
static void test_votes(void **state)
{
    (void)state;
    static const struct {
        int32_t group[4];
        bool    right[4], elected[3], passed[3];
    } problems[] = {
        {{0, 0, 0, 0}, {1, 1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
        {{0, 1, 1, 1}, {0, 1, 1, 1}, {0, 0, 1}, {0, 1, 1}}, /* a tie of two goes to the first */
        {{0, 1, 2, 0}, {0, 1, 0, 0}, {0, 0, 0}, {0, 1, 1}},
        {{-1, 0, -1, 0}, {0, 1, 0, 1}, {0, 1, 1}, {0, 1, 1}}, /* no answer, no vote */
        {{-1, -1, -1, -1}, {0, 0, 0, 0}, {0, 0, 0}, {0, 0, 0}},
    };
    enum { N = sizeof problems / sizeof problems[0] };
    wh_score s;
    wh_score_init(&s, 4, true, false, &majority);
    size_t elected[3] = {0}, passed[3] = {0};
    for (size_t p = 0; p < N; p++) {
        wh_sample samples[4];
        for (size_t i = 0; i < 4; i++) samples[i] = (wh_sample){.index = i, .group = problems[p].group[i], .answer = "x"};
        wh_err err;
        assert_int_equal(wh_score_add(&s, samples, problems[p].right, 4, &err), WH_OK);
        for (size_t k = 0; k < 3; k++) {
            elected[k] += problems[p].elected[k];
            passed[k] += problems[p].passed[k];
            assert_int_equal(s.right[0][k], elected[k]);
            assert_int_equal(s.passed[k], passed[k]);
        }
    }
    assert_int_equal(s.problems, N);
    assert_int_equal(s.samples, 4 * N);
    assert_int_equal(s.right_samples, 4 + 3 + 1 + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_votes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
