/* Equations in solutions: which are checked, which hold, and what is left alone. */
#include "answer/arithmetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static wh_arithmetic check(const char *text)
{
    wh_arithmetic a = {0};
    wh_arithmetic_check(&a, text, strlen(text));
    return a;
}

typedef struct line {
    const char *text;
    unsigned    holds, fails;
} line;

static void expect(const line *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wh_arithmetic a = check(lines[i].text);
        if (a.holds != lines[i].holds || a.fails != lines[i].fails)
            fail_msg("'%s': %u hold and %u fail, not %u and %u", lines[i].text, a.holds, a.fails, lines[i].holds, lines[i].fails);
    }
}
#define EXPECT(lines) expect(lines, sizeof(lines) / sizeof((lines)[0]))

static void equations_are_computed(void **state)
{
    (void)state;
    static const line lines[] = {
        {"48 / 2 = 24", 1, 0},
        {"48 + 24 = 73", 0, 1},
        {"total = 5 + 3 = 8", 1, 0},
        {"8 - 3 * 2 = 2, and (8 - 3) * 2 = 10", 2, 0},
        {"3^2 = 9 = 8 + 2", 1, 1},
        {"2(3 + 4) = 15", 0, 1},
        {"-5 + 3 = -2", 1, 0},
        {"- 48 / 8 = 6", 1, 0}, /* a bullet */
        {"1,200 + 300 = 1,500 = 1{,}500", 2, 0},
        {"5 x 3 = 16", 0, 1},
        {"6 \xc3\x97 2 \xc3\xb7 3 = 4", 1, 0},
        {"((3 + 4) = 7", 1, 0},
        {"7 \xe2\x88\x92 3 = 4", 1, 0},
        {"2 + 3 = 5 * 4 = 20", 1, 0}, /* one runs on into the next: the first result is right */
        {".5 * 4 = 2", 1, 0},
    };
    EXPECT(lines);
}

static void layout_and_units_are_passed(void **state)
{
    (void)state;
    static const line lines[] = {
        {"5 apples * 3 = 15 apples", 1, 0},
        {"$5 + $3 = $9", 0, 1},
        {"60 miles/hour * 2 hours = 130 miles", 0, 1},
        {"**5 - 3 = 1**", 0, 1},
        {"48 / 2 = **24**", 1, 0},
        {"\\[ \\frac{48}{2} = 25 \\]", 0, 1},
        {"= \\frac{1}{2} \\times 48 = \\boxed{24}", 1, 0},
        {"48 \\text{ clips} + 24 \\text{ clips} = 70 \\text{ clips}", 0, 1},
        {"3 \\times (\\$2.50 + \\$0.50) &= \\$9.00", 1, 0},
        {"\\left(3 + 4\\right) \\cdot 2 = 14", 1, 0},
        {"\\text{Total} = \\dfrac{10 + 2}{3} = 5", 0, 1},
    };
    EXPECT(lines);
}

static void numbers_may_be_rounded(void **state)
{
    (void)state;
    static const line lines[] = {
        {"22 / 6 = 3.67", 1, 0}, {"22 / 6 = 3.66", 1, 0}, {"22 / 6 = 3.5", 0, 1},  {"22 / 6 = 4", 0, 0}, /* rounded? */
        {"22 / 6 = 5", 0, 1},    {"850 / 11 = 77", 1, 0}, {"109 / 3 = 33.33", 0, 1},
        {"20% of 50 = 10", 1, 0}, {"0.2 * 100 = 20%", 1, 0}, {"100 - 20% = 80", 0, 0}, /* of what? */
        {"20 / 100 = 20%", 1, 0},
    };
    EXPECT(lines);
}

static void doubt_counts_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "=", "x + 5 = 20", "5 + x = 20", "3x + 5 = 20", "5 x + 3 = 18", "2(x + 1) = 8", "tax + 3 = 5", "Day 2 = 10 + 5", "3 = 4",
        "10:30 + 45 = 11:15", "sqrt(16 + 9) = 5", "f(2 + 3) = 9", "\\frac{20}{3} = \\frac{1}{3} J", "\\frac{1}{4} \\text{ of the pens} = 15",
        "1 \\frac{1}{4} = 1 + \\frac{1}{4}", "w \\times \\left(\\frac{2}{3}\\right) = 18", "5! = 120", "1 / 0 = 3", "a == 3 + 4", "x = 3 + 4",
        "2 ** 3 = 9", "7 // 2 = 4", "x -= 3 + 4", "3 + = 9", "4 1/2 * 2 = 7", "\\text{3 + 4", "3 + 4\n= 9", "step_2 + 3 = 4",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        wh_arithmetic a = check(texts[i]);
        if (a.holds || a.fails) fail_msg("'%s': %u hold and %u fail", texts[i], a.holds, a.fails);
    }
}

static void a_verdict_is_one_word(void **state)
{
    (void)state;
    wh_arithmetic a = {0};
    assert_int_equal(wh_arithmetic_say(&a), WH_ARITHMETIC_NONE);
    static const char text[] = "1 + 1 = 2\n\n2 + 2 = 5\n\n3 + 3 = 6";
    wh_arithmetic_check(&a, text, 9);
    assert_int_equal(wh_arithmetic_say(&a), WH_ARITHMETIC_HOLDS);
    wh_arithmetic_check(&a, text + 9, sizeof text - 10); /* counts add up */
    assert_int_equal(wh_arithmetic_say(&a), WH_ARITHMETIC_FAILS);
    assert_true(a.holds == 2 && a.fails == 1);
}

/* Nothing that a model writes takes long, or goes deep. */
static void long_texts_are_read_once(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    static const char *const parts[] = {"1+", "(", "2(", "-", "\\frac{", "1 apples ", "9", "x ", "\\text{", "1,111", "3=", "((1)", "^2"};
    char *text = malloc(N);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t len = strlen(parts[i]);
        for (size_t at = 0; at < N; at++) text[at] = parts[i][at % len];
        wh_arithmetic a = {0};
        wh_arithmetic_check(&a, text, N);
        assert_true(a.holds == 0 || i == 10); /* 3=3=3 */
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equations_are_computed), cmocka_unit_test(layout_and_units_are_passed), cmocka_unit_test(numbers_may_be_rounded),
        cmocka_unit_test(doubt_counts_nothing),   cmocka_unit_test(a_verdict_is_one_word),       cmocka_unit_test(long_texts_are_read_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
