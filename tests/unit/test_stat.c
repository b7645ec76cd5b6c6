/* Intervals and paired tests against published values and against sums that need no lgamma. */
#include "base/stat.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Values of scipy: binomtest(k, n).proportion_ci(0.95, method="wilson"). */
static void test_wilson(void **state)
{
    (void)state;
    static const struct {
        size_t k, n;
        double low, high;
    } known[] = {{0, 10, 0, 0.277533}, {10, 10, 0.722467, 1}, {5, 10, 0.236593, 0.763407}, {16, 100, 0.100953, 0.244203}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double low, high;
        wh_stat_wilson(&low, &high, known[i].k, known[i].n);
        assert_true(fabs(low - known[i].low) < 1e-6 && fabs(high - known[i].high) < 1e-6);
    }
    double low, high;
    wh_stat_wilson(&low, &high, 0, 0);
    assert_true(low == 0 && high == 1);
}

/* The first and the last are in Newcombe's table. */
static void test_difference(void **state)
{
    (void)state;
    static const struct {
        wh_stat_pairs t;
        double        difference, low, high;
    } known[] = {
        {{36, 12, 2, 0}, 0.2, 0.0569, 0.3404},
        {{20, 12, 2, 16}, 0.2, 0.0562, 0.3292},
        {{43, 0, 1, 6}, -0.02, -0.0979, 0.0518},
        {{0, 0, 0, 50}, 0, -0.0713, 0.0713},
        {{54, 0, 0, 0}, 0, -0.0664, 0.0664},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double difference, low, high;
        wh_stat_difference(&difference, &low, &high, &known[i].t);
        assert_true(fabs(difference - known[i].difference) < 1e-9);
        assert_true(fabs(low - known[i].low) < 1e-4 && fabs(high - known[i].high) < 1e-4);
        const wh_stat_pairs turned = {known[i].t.both, known[i].t.second, known[i].t.first, known[i].t.none};
        double other, below, above;
        wh_stat_difference(&other, &below, &above, &turned);
        assert_true(other == -difference && fabs(below + high) < 1e-12 && fabs(above + low) < 1e-12);
    }
    double difference, low, high;
    wh_stat_difference(&difference, &low, &high, &(wh_stat_pairs){0});
    assert_true(difference == 0 && low == -1 && high == 1);
}

static void test_mcnemar(void **state)
{
    (void)state;
    for (size_t first = 0; first <= 20; first++)
        for (size_t second = 0; second <= 20; second++) {
            size_t n = first + second, least = first < second ? first : second;
            double ways = 1, sum = 0; /* n over i */
            for (size_t i = 0; i <= least; i++) {
                sum += ways;
                ways = ways * (double)(n - i) / (double)(i + 1);
            }
            double p = fmin(1, 2 * sum / pow(2, (double)n));
            const wh_stat_pairs t = {7, first, second, 9};
            assert_true(fabs(wh_stat_mcnemar(&t) - p) < 1e-9);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wilson),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_mcnemar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
