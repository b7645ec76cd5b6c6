/* value: a complex number known in two ways at once.
 *
 * re, im: long double, which leaves digits to lose where terms cancel. rr, ri: the same number modulo the prime 2^61 - 1, as long as it is made from
 * rational numbers and i by + - * / and whole powers (exact == true). The residue has no overflow, so
 * 3^1000 + 1 and 3^1000 differ though their doubles are both infinite or equal, and two such numbers with
 * one residue are the same up to a chance of 2^-61 (Schwartz 1980, Zippel 1979: identity testing over a field).
 * 2^61 - 1 is 3 modulo 4, so -1 has no root there and rr + i ri lives in a field: every number but 0 divides.
 *
 * bad: no value (division by zero, overflow of an inexact number, nothing to evaluate); it is contagious.
 */
#ifndef WH_ANSWER_VALUE_H
#define WH_ANSWER_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wh_value {
    long double re, im;
    uint64_t    rr, ri;
    bool        exact, bad;
} wh_value;

typedef enum {
    WH_FN_SIN,
    WH_FN_COS,
    WH_FN_TAN,
    WH_FN_COT,
    WH_FN_SEC,
    WH_FN_CSC,
    WH_FN_ASIN,
    WH_FN_ACOS,
    WH_FN_ATAN,
    WH_FN_SINH,
    WH_FN_COSH,
    WH_FN_TANH,
    WH_FN_LN,
    WH_FN_LG,
    WH_FN_EXP,
    WH_FN_ABS,
    WH_FN_FLOOR,
    WH_FN_CEIL
} wh_fn;

wh_value wh_value_bad(void);
wh_value wh_value_int(int64_t n);
wh_value wh_value_real(long double x); /* inexact */
wh_value wh_value_i(void);
/* Decimal digits with at most one '.', n of them. period: this many last digits repeat for ever. */
wh_value wh_value_decimal(const char *digits, size_t n, size_t period);

wh_value wh_value_add(wh_value a, wh_value b);
wh_value wh_value_neg(wh_value a);
wh_value wh_value_mul(wh_value a, wh_value b);
wh_value wh_value_inv(wh_value a);
wh_value wh_value_pow(wh_value a, wh_value b);
wh_value wh_value_root(wh_value a, wh_value index); /* real for odd roots of negative numbers */
wh_value wh_value_fn(wh_fn fn, wh_value a);
wh_value wh_value_factorial(wh_value a);
wh_value wh_value_binomial(wh_value n, wh_value k);

bool wh_value_is_integer(wh_value a); /* exact and an integer below 2^53 in magnitude */
/* An inexact number that is, to 1e-13, a rational number with a small denominator becomes that number. */
wh_value wh_value_snap(wh_value a);

/* Text that is the same for equal numbers, and only for them up to 8 digits: "q..." exact, "~..." inexact. */
#define WH_VALUE_KEY 96
void wh_value_key(char out[WH_VALUE_KEY], wh_value a);

#endif
