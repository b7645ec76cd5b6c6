/* arithmetic: the equations in a solution that a pocket calculator can check.
 *
 * "48 / 2 = 24", "3 \times (\$2.50 + 50\%) = \$9", "20% of 50 apples = 10 apples": chains of sides between equals signs on
 * one line, each made of numbers, + - * /, powers and brackets, as small models write them, in plain text, Markdown or TeX,
 * with units. Of each neighbouring pair it is said whether it holds or fails. A model's arithmetic slips where its plan
 * does not, and no score has to guess what can be computed (Cobbe et al. 2021 give their models a calculator for the same
 * reason).
 *
 * In doubt nothing is counted: a side with a variable, a first side that is one number ("Step 2 = 3 + 4"), what follows an
 * operator that could not be read ("tax + 3 = 5"), a rounding to a whole number, a percentage that may be meant otherwise.
 * Decimals may be rounded or cut.
 */
#ifndef WH_ANSWER_ARITHMETIC_H
#define WH_ANSWER_ARITHMETIC_H

#include <stddef.h>
#include <stdint.h>

typedef struct wh_arithmetic {
    uint32_t holds, fails; /* equations so far */
} wh_arithmetic; /* starts as {0} */

/* What they say of the solution, in one word. */
typedef enum { WH_ARITHMETIC_NONE, WH_ARITHMETIC_HOLDS, WH_ARITHMETIC_FAILS } wh_arithmetic_verdict;
static inline wh_arithmetic_verdict wh_arithmetic_say(const wh_arithmetic *a)
{
    return a->fails ? WH_ARITHMETIC_FAILS : a->holds ? WH_ARITHMETIC_HOLDS : WH_ARITHMETIC_NONE;
}

/* Add those of text (n bytes, any bytes; whole lines). Linear in n but for brackets, which are read to a depth of 8. */
void wh_arithmetic_check(wh_arithmetic *a, const char *text, size_t n);

#endif
