/* One pass over the problem for its numbers, one over the solution to cross them off. */
#include "answer/numbers.h"

#include <math.h>
#include <string.h>

typedef struct reader {
    const char *s;
    size_t      n, at;
} reader;

static bool digit_at(const reader *r, size_t i) { return i < r->n && r->s[i] >= '0' && r->s[i] <= '9'; }

/* The separator of thousands at the reader, plain or as TeX sets it: exactly three digits follow. Its length, or 0. */
static size_t separator(const reader *r)
{
    static const char *const marks[] = {",", "{,}", "\\,", ",\\!"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        size_t n = strlen(marks[i]), at = r->at + n;
        if (r->n - r->at < n || memcmp(r->s + r->at, marks[i], n) != 0) continue;
        if (digit_at(r, at) && digit_at(r, at + 1) && digit_at(r, at + 2) && !digit_at(r, at + 3)) return n;
    }
    return 0;
}

/* The next number from the reader on, which is left behind it. */
static bool next_number(double *out, reader *r)
{
    while (r->at < r->n && !digit_at(r, r->at) && !(r->s[r->at] == '.' && digit_at(r, r->at + 1))) r->at++;
    if (r->at == r->n) return false;
    double value = 0, place = 1;
    for (size_t group = 1, skip; digit_at(r, r->at); group++) {
        value = 10 * value + (r->s[r->at++] - '0');
        if (group > 3 || (skip = separator(r)) == 0) continue;
        r->at += skip;
        group = 0;
    }
    if (r->at < r->n && r->s[r->at] == '.' && digit_at(r, r->at + 1))
        for (r->at++; digit_at(r, r->at); r->at++) value += (place /= 10) * (r->s[r->at] - '0');
    *out = value;
    return true;
}

static bool at_ordinal(const reader *r)
{
    static const char *const ends[] = {"st", "nd", "rd", "th"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (r->n - r->at >= 2 && memcmp(r->s + r->at, ends[i], 2) == 0) return true;
    return false;
}

static bool same(double x, double y) { return x == y || fabs(x - y) <= 1e-9 * fmax(fabs(x), fabs(y)); }

static size_t list_numbers(double list[WH_NUMBERS_MAX], const char *problem, size_t n)
{
    reader r = {.s = problem, .n = n};
    size_t count = 0;
    double x;
    while (count < WH_NUMBERS_MAX && next_number(&x, &r)) {
        if (x == 0 || x == 1 || at_ordinal(&r)) continue;
        size_t i = 0;
        while (i < count && !same(list[i], x)) i++;
        if (i == count) list[count++] = x;
    }
    return count;
}

bool wh_numbers_left_out(const char *problem, size_t n_problem, const char *solution, size_t n_solution)
{
    double left[WH_NUMBERS_MAX], x;
    size_t n = list_numbers(left, problem, n_problem);
    reader r = {.s = solution, .n = n_solution};
    while (n && next_number(&x, &r))
        for (size_t i = 0; i < n;) {
            if (same(x, left[i]) || same(100 * x, left[i])) left[i] = left[--n];
            else i++;
        }
    return n > 0;
}
