/* Which numbers of a problem a solution leaves out. */
#include "answer/numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct pair {
    const char *problem, *solution;
    bool        left_out;
} pair;

static void expect(const pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const pair *p = &pairs[i];
        if (wh_numbers_left_out(p->problem, strlen(p->problem), p->solution, strlen(p->solution)) != p->left_out)
            fail_msg("'%s' by '%s' should leave %s out", p->problem, p->solution, p->left_out ? "a number" : "nothing");
    }
}
#define EXPECT(pairs) expect(pairs, sizeof(pairs) / sizeof((pairs)[0]))

static void numbers_are_looked_for(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"", "", false},
        {"no number", "4", false},
        {"3 cats and 4 dogs", "3 + 4 = 7", false},
        {"3 cats and 4 dogs", "so 4", true},
        {"3 cats and 4 dogs", "", true},
        {"3 cats and 4 dogs", "34", true},
        {"3 cats, 3 dogs", "2 x 3", false},
        {"0 or 1 of 5", "5", false}, /* nobody writes these down */
        {"the 10th of 12", "12", false},
        {"the 10 th of 12", "12", true},
        {"2-year-old", "2", false},
    };
    EXPECT(pairs);
}

static void values_are_compared(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"1,200 at $3.50", "1200 \\times 3.5", false},
        {"1200 at 3.5.", "\\$1{,}200.00 and 03.50", false},
        {"1,234,567", "1234567.0", false},
        {"1,234,567", "1,234", true},
        {"1,2,3", "2 and 3", false}, /* a list */
        {"12,3456", "12, 3456", false},
        {"1234,567", "1234 or 567", false},
        {".5 of it", "0.5", false},
        {"20% off", "0.20", false},
        {"20 cents", "$0.2", false},
        {"20% off", "0.8", true},
        {"0.2", "20", true},
        {"1.2.3", "1.2 and 0.3", false},
        {"99999999999999999999", "1e20 is 99999999999999999999", false},
    };
    EXPECT(pairs);
}

static void any_bytes_will_do(void **state)
{
    (void)state;
    char many[8192] = "", tail[] = "3\0" "4";
    size_t n = 0;
    for (unsigned i = 0; i < 2 * WH_NUMBERS_MAX; i++) n += (size_t)snprintf(many + n, sizeof many - n, "%u ", 1000 + i);
    assert_false(wh_numbers_left_out(many, n, many, n / 2)); /* the first 64 are all there */
    assert_true(wh_numbers_left_out(many, n, many, n / 2 - 5));
    assert_false(wh_numbers_left_out(tail, 3, tail, 3));
    assert_true(wh_numbers_left_out(tail, 3, tail, 2));
    memset(many, '9', sizeof many); /* more than a double holds */
    assert_false(wh_numbers_left_out(many, sizeof many, many, sizeof many));
    memset(many, 0xff, sizeof many);
    assert_false(wh_numbers_left_out(many, sizeof many, many, sizeof many));
    memset(many, ',', sizeof many);
    assert_true(wh_numbers_left_out("5", 1, many, sizeof many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_looked_for), cmocka_unit_test(values_are_compared),
                                       cmocka_unit_test(any_bytes_will_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
