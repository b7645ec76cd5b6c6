/* answer: what a solution says in the end, and when two answers are the same.
 *
 * Three steps, each usable alone:
 *
 *   wh_extract_answer   solution text            -> the text of its final answer ("" : none)
 *   wh_answer_parse     text of one answer       -> normal form (a key)
 *   wh_answer_group     many texts of answers    -> group numbers, for a vote
 *   wh_answer_grade     reference and prediction -> equal or not
 *
 * Two notions of sameness, on purpose:
 *
 *   Grouping (wh_answer_equal, wh_answer_group) compares keys byte by byte, so it is reflexive, symmetric and
 *   transitive by construction and a tally does not depend on the order of the samples. Rational numbers are
 *   compared exactly, whatever their size; other numbers and expressions by their value to 8 digits (at fixed
 *   points, when they have variables).
 *
 *   Grading (wh_answer_grade) starts from the same keys and then forgives more, as the graders in use do
 *   (method.md 2.7); see there for what. It is not transitive: never vote with it.
 *
 * Conventions that both share: case of words, units, currency, degrees, words around a number, "x =" in front
 * of a value and a percent sign are dropped (50% is 50); "1, 2" and "{2, 1}" are one set; "(1, 2)" is ordered;
 * brackets of intervals count; 1 +- 2 is the set {3, -1}; inequalities in one variable are intervals;
 * equations are equal up to a constant factor; log is the decimal logarithm; x and X are two variables.
 *
 * Cost: extraction is linear in the text. An answer longer than WH_ANSWER_MAX bytes, nested deeper than
 * WH_ANSWER_DEPTH or too large to evaluate is compared as a text. No input makes any function slow, recurse
 * without bound or fail; the only error is WH_ERR_NOMEM. All functions are pure and thread-safe.
 */
#ifndef WH_ANSWER_ANSWER_H
#define WH_ANSWER_ANSWER_H

#include "base/buf.h"
#include "base/err.h"

#define WH_ANSWER_MAX 4096 /* bytes of an answer that is read as mathematics */
#define WH_ANSWER_DEPTH 48 /* brackets, fractions, exponents within one another */

/* Where the answer of a text was found, strongest first. */
typedef enum {
    WH_EXTRACT_NONE,       /* nothing that could be an answer: does not vote */
    WH_EXTRACT_FINAL,      /* "final answer is $...$. I hope" (Lewkowycz et al. 2022, Minerva) */
    WH_EXTRACT_BOXED,      /* the last \boxed{...}, \fbox{...} or \framebox{...} that is not empty */
    WH_EXTRACT_HASHES,     /* "#### N" (GSM8K) */
    WH_EXTRACT_ANSWER_IS,  /* "the answer is ...", "answer: ..." */
    WH_EXTRACT_LAST_MATH,  /* the last $...$ when it holds the last number; what follows its last "=" */
    WH_EXTRACT_LAST_NUMBER /* the last number */
} wh_extract_rule;

const char *wh_extract_rule_name(wh_extract_rule rule);

/* Where the thought of a model that thinks aloud (<think> ... </think>, as the R1 distills do) ends in text: behind the
 * last </think>; n while it lasts; 0 when there is none. open: the prompt has begun it already. */
size_t wh_extract_thought(const char *text, size_t n, bool open);

/* Append the final answer in text (n bytes, any bytes) to out, trimmed, and say which rule found it.
 * WH_EXTRACT_NONE appends nothing and is not an error. rule may be NULL. What follows a thought comes first; in a thought
 * itself only the rules down to ANSWER_IS look: its last number means nothing. */
wh_code wh_extract_answer(wh_buf *out, wh_extract_rule *rule, const char *text, size_t n, wh_err *err);

/* The same for a text that may be a bare answer ("12 apples", "\frac12") as well as a solution: the rules down
 * to ANSWER_IS are tried, then the text as a whole if it reads as one answer, then the last number. */
wh_code wh_extract_bare(wh_buf *out, const char *text, size_t n, wh_err *err);

/* The normal form of one answer. Owned by the caller; free it with wh_answer_free. */
typedef struct wh_answer {
    char *key; /* equal keys: equal answers. "" for an answer that says nothing, NULL before parse */
} wh_answer;

/* text: one answer, as wh_extract_answer gives it (not a whole solution). *out is overwritten. */
wh_code wh_answer_parse(wh_answer *out, const char *text, size_t n, wh_err *err);
void    wh_answer_free(wh_answer *a);
bool    wh_answer_is_empty(const wh_answer *a);
/* Same group in a vote. Two empty answers are not equal to anything, themselves included. */
bool wh_answer_equal(const wh_answer *a, const wh_answer *b);

/* group[i] = number of the group of texts[i], counted from 0 in order of first appearance, -1 for an empty
 * answer (NULL texts count as empty). *n_groups = how many. texts: n answers as wh_extract_answer gives them. */
wh_code wh_answer_group(int32_t *group, size_t *n_groups, const char *const *texts, size_t n, wh_err *err);

/* *equal = the prediction states the reference. Each side is a bare answer or a text that contains one (a
 * solution with \boxed{}, a GSM8K answer that ends in "#### N"). Beyond equal keys it accepts
 *   - a decimal within 1e-4, relative, of a number that differs from it; within 1e-3 where one side is an
 *     integer. At least one side must be written with a decimal point; two integers must be the same
 *   - a factor of 100 where one side carries a percent sign and the other does not
 *   - "1, 2" for "(1, 2)" and back, in the same order
 *   - "y = f" for "f" and back
 *   - "3:2" for "3/2" and back
 *   - the same letters in another case: "3r^2" for "3R^2"
 *   - the digits of "52_8" without their base, and back
 *   - the same inside tuples, intervals, sets and matrices, element by element.
 * An empty side is never equal. */
wh_code wh_answer_grade(bool *equal, const char *gold, size_t gold_n, const char *pred, size_t pred_n,
                        wh_err *err);

#endif
