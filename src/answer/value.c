/* value: see value.h. Invariant: exact implies rr, ri are the residues; an inexact value is finite or bad. */
#include "answer/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h> /* sin, fabs, ...: the function for the type */

#define P ((UINT64_C(1) << 61) - 1)
#define LARGEST_FACTORIAL 1000

static uint64_t mod_add(uint64_t a, uint64_t b)
{
    uint64_t s = a + b;
    return s >= P ? s - P : s;
}
static uint64_t mod_sub(uint64_t a, uint64_t b)
{
    return a >= b ? a - b : a + P - b;
}
static uint64_t mod_mul(uint64_t a, uint64_t b)
{
    unsigned __int128 t = (unsigned __int128)a * b;
    return mod_add((uint64_t)(t & P), (uint64_t)(t >> 61));
}
static uint64_t mod_pow(uint64_t a, uint64_t e)
{
    uint64_t r = 1;
    for (; e; e >>= 1, a = mod_mul(a, a))
        if (e & 1) r = mod_mul(r, a);
    return r;
}

wh_value wh_value_bad(void)
{
    return (wh_value){.bad = true};
}

wh_value wh_value_int(int64_t n)
{
    uint64_t m = n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n;
    uint64_t r = m % P;
    return (wh_value){.re = (long double)n, .rr = n < 0 ? mod_sub(0, r) : r, .exact = true};
}

/* re + i im; clang 14 has no CMPLX, and re + im * I would spoil infinities. C11 6.2.5: laid out as an array of two. */
static long double complex complex_of(long double re, long double im)
{
    long double         parts[2] = {re, im};
    long double complex z;
    memcpy(&z, parts, sizeof z);
    return z;
}

static wh_value inexact(long double complex z)
{
    wh_value v = {.re = creal(z), .im = cimag(z)};
    return isfinite(v.re) && isfinite(v.im) ? v : wh_value_bad();
}
static long double complex as_complex(wh_value a)
{
    return complex_of(a.re, a.im);
}

wh_value wh_value_real(long double x)
{
    return inexact(x);
}

wh_value wh_value_i(void)
{
    return (wh_value){.im = 1, .ri = 1, .exact = true};
}

wh_value wh_value_decimal(const char *digits, size_t n, size_t period)
{
    uint64_t whole = 0, head = 0; /* all digits; all but the repeating ones */
    uint64_t scale = 1;
    bool     fraction = false;
    char     text[64]; /* 60 digits are more than a long double sees; the residue sees them all */
    size_t   len = 0;
    int      dropped = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + period == n) head = whole;
        if (digits[i] == '.') {
            fraction = true;
        } else {
            whole = mod_add(mod_mul(whole, 10), (uint64_t)(digits[i] - '0'));
            if (fraction) scale = mod_mul(scale, 10);
            dropped += !fraction && len >= 60;
        }
        if (len < 60) text[len++] = digits[i];
    }
    for (size_t i = 0; period && i < 40 && len < 60; i++) text[len++] = digits[n - period + i % period];
    text[len] = '\0';
    wh_value v = {.re = strtold(text, NULL) * pow(10.0L, dropped), .exact = true};
    if (period) { /* 0.1(6) = (16 - 1) / (10^2 - 10^1) */
        uint64_t below = mod_mul(scale, mod_pow(mod_pow(10, period), P - 2));
        whole = mod_sub(whole, head);
        scale = mod_sub(scale, below);
    }
    v.rr = mod_mul(whole, mod_pow(scale, P - 2));
    return v;
}

/* A sum far smaller than its terms is what rounding left of zero. */
static long double cancel(long double sum, long double a, long double b)
{
    return fabs(sum) < 4e-14 * (fabs(a) + fabs(b)) ? 0 : sum;
}

wh_value wh_value_add(wh_value a, wh_value b)
{
    if (a.bad || b.bad) return wh_value_bad();
    if (a.exact && b.exact)
        return (wh_value){.re = a.re + b.re,
                          .im = a.im + b.im,
                          .rr = mod_add(a.rr, b.rr),
                          .ri = mod_add(a.ri, b.ri),
                          .exact = true};
    return inexact(complex_of(cancel(a.re + b.re, a.re, b.re), cancel(a.im + b.im, a.im, b.im)));
}

wh_value wh_value_neg(wh_value a)
{
    a.re = -a.re;
    a.im = -a.im;
    a.rr = mod_sub(0, a.rr);
    a.ri = mod_sub(0, a.ri);
    return a;
}

/* The field of residues with i, beside the floating point numbers. */
static void residue_mul(uint64_t *rr, uint64_t *ri, wh_value a, wh_value b)
{
    *rr = mod_sub(mod_mul(a.rr, b.rr), mod_mul(a.ri, b.ri));
    *ri = mod_add(mod_mul(a.rr, b.ri), mod_mul(a.ri, b.rr));
}

wh_value wh_value_mul(wh_value a, wh_value b)
{
    if (a.bad || b.bad) return wh_value_bad();
    wh_value v = {.re = a.re * b.re, .im = 0};
    if (a.im != 0 || b.im != 0) {
        v.re = a.re * b.re - a.im * b.im;
        v.im = a.re * b.im + a.im * b.re;
    }
    if (!a.exact || !b.exact) return inexact(complex_of(v.re, v.im));
    v.exact = true;
    residue_mul(&v.rr, &v.ri, a, b);
    return v;
}

wh_value wh_value_inv(wh_value a)
{
    if (a.bad || (a.exact ? !a.rr && !a.ri : a.re == 0 && a.im == 0)) return wh_value_bad();
    long double complex z = a.im == 0 ? complex_of(1 / a.re, 0) : 1 / as_complex(a);
    if (!a.exact) return inexact(z);
    uint64_t norm = mod_pow(mod_add(mod_mul(a.rr, a.rr), mod_mul(a.ri, a.ri)), P - 2);
    return (wh_value){.re = creal(z),
                      .im = cimag(z),
                      .rr = mod_mul(a.rr, norm),
                      .ri = mod_mul(mod_sub(0, a.ri), norm),
                      .exact = true};
}

bool wh_value_is_integer(wh_value a)
{
    return !a.bad && a.exact && a.im == 0 && !a.ri && fabs(a.re) < 0x1p53 && a.re == rint(a.re) &&
           wh_value_int((int64_t)a.re).rr == a.rr;
}

/* x as num/den: the first convergent of its continued fraction within the tolerance. The denominators that are tried
 * shrink as the tolerance grows: a random number passes with a chance of about tolerance * largest^2 = 1e-6. */
static bool small_rational(int64_t *num, int64_t *den, long double x, long double scale)
{
    long double tolerance = 1e-13 * scale;
    long double largest = fmin(1000, sqrt(1e-6 / tolerance));
    long double p0 = 1, q0 = 0, p1 = floor(x), q1 = 1, rest = x - p1;
    while (q1 <= largest && fabs(p1) < 0x1p53) {
        if (fabs(x - p1 / q1) <= tolerance) {
            *num = (int64_t)p1;
            *den = (int64_t)q1;
            return true;
        }
        if (rest == 0) return false;
        long double a = floor(1 / rest);
        rest = 1 / rest - a;
        long double p2 = a * p1 + p0, q2 = a * q1 + q0;
        p0 = p1, q0 = q1, p1 = p2, q1 = q2;
    }
    return false;
}

wh_value wh_value_pow(wh_value a, wh_value b)
{
    if (a.bad || b.bad) return wh_value_bad();
    bool zero = a.re == 0 && a.im == 0;
    if (zero && b.re <= 0 && !(b.re == 0 && b.im == 0)) return wh_value_bad();
    if (a.exact && wh_value_is_integer(b)) {
        if (b.re < 0) return wh_value_pow(wh_value_inv(a), wh_value_neg(b));
        wh_value r = wh_value_int(1), square = a;
        for (uint64_t e = (uint64_t)b.re; e; e >>= 1, square = wh_value_mul(square, square))
            if (e & 1) r = wh_value_mul(r, square);
        return r;
    }
    if (zero) return wh_value_int(0);
    int64_t num, den;
    if (a.im == 0 && a.re < 0 && b.exact && b.im == 0 && small_rational(&num, &den, b.re, 1) && den % 2 != 0)
        return inexact((num % 2 ? -1 : 1) *
                       pow(-a.re, b.re)); /* x^{2/3} of a real number, as schools have it */
    if (b.im == 0 && a.im == 0 && (a.re > 0 || b.re == rint(b.re))) return inexact(pow(a.re, b.re));
    return inexact(pow(as_complex(a), as_complex(b)));
}

wh_value wh_value_root(wh_value a, wh_value index)
{
    if (a.bad || !wh_value_is_integer(index) || index.re < 2) return wh_value_pow(a, wh_value_inv(index));
    if (a.exact && !a.rr && !a.ri) return a;
    if (index.re == 2) {
        long double r = rint(sqrt(fabs(a.re)));
        if (wh_value_is_integer(a) && r * r == fabs(a.re)) {
            wh_value v = wh_value_int((int64_t)r);
            return a.re < 0 ? wh_value_mul(v, wh_value_i()) : v;
        }
        if (a.im == 0) return a.re < 0 ? inexact(complex_of(0, sqrt(-a.re))) : inexact(sqrt(a.re));
        return inexact(sqrt(as_complex(a)));
    }
    return wh_value_pow(a, wh_value_inv(index));
}

/* sin pi comes out as 1e-16 or so: what is below the rounding of the argument is zero. */
static wh_value periodic(long double complex z, long double complex argument)
{
    long double noise = fabs(argument) > 1e-3 ? 2e-15 * (1 + fabs(argument)) : 0;
    return inexact(complex_of(fabs(creal(z)) < noise ? 0 : creal(z), fabs(cimag(z)) < noise ? 0 : cimag(z)));
}

wh_value wh_value_fn(wh_fn fn, wh_value a)
{
    if (a.bad) return a;
    long double complex z = as_complex(a);
    switch (fn) {
    case WH_FN_SIN: return periodic(sin(z), z);
    case WH_FN_COS: return periodic(cos(z), z);
    case WH_FN_TAN: return wh_value_mul(periodic(sin(z), z), wh_value_inv(periodic(cos(z), z)));
    case WH_FN_COT: return wh_value_mul(periodic(cos(z), z), wh_value_inv(periodic(sin(z), z)));
    case WH_FN_SEC: return wh_value_inv(periodic(cos(z), z));
    case WH_FN_CSC: return wh_value_inv(periodic(sin(z), z));
    case WH_FN_ASIN: return inexact(asin(z));
    case WH_FN_ACOS: return inexact(acos(z));
    case WH_FN_ATAN: return inexact(atan(z));
    case WH_FN_SINH: return inexact(sinh(z));
    case WH_FN_COSH: return inexact(cosh(z));
    case WH_FN_TANH: return inexact(tanh(z));
    case WH_FN_LN: return inexact(log(z));
    case WH_FN_LG: return inexact(log(z) / M_LN10l);
    case WH_FN_EXP: return inexact(exp(z));
    case WH_FN_ABS:
        if (a.exact && a.im == 0 && !a.ri) return a.re < 0 ? wh_value_neg(a) : a;
        return inexact(fabs(z));
    case WH_FN_FLOOR:
    case WH_FN_CEIL: {
        long double r = rint(a.re), whole = fn == WH_FN_FLOOR ? floor(a.re) : ceil(a.re);
        if (fabs(a.re - r) < 1e-12 * fabs(r)) whole = r;
        return a.im != 0 || fabs(whole) >= 0x1p53 ? wh_value_bad() : wh_value_int((int64_t)whole);
    }
    }
    return wh_value_bad();
}

wh_value wh_value_factorial(wh_value a)
{
    if (a.bad || a.im != 0) return wh_value_bad();
    if (!wh_value_is_integer(a)) return inexact(tgamma(a.re + 1));
    if (a.re < 0 || a.re > LARGEST_FACTORIAL) return wh_value_bad();
    wh_value v = wh_value_int(1);
    for (int64_t k = 2; k <= (int64_t)a.re; k++) v = wh_value_mul(v, wh_value_int(k));
    return v;
}

wh_value wh_value_binomial(wh_value n, wh_value k)
{
    if (n.bad || k.bad || n.im != 0 || k.im != 0) return wh_value_bad();
    if (wh_value_is_integer(n) && n.re >= 0 && k.re > n.re / 2) k = wh_value_add(n, wh_value_neg(k));
    if (!wh_value_is_integer(k))
        return inexact(tgamma(n.re + 1) / (tgamma(k.re + 1) * tgamma(n.re - k.re + 1)));
    if (k.re < 0) return wh_value_int(0);
    if (k.re > LARGEST_FACTORIAL) return wh_value_bad();
    wh_value v =
        wh_value_int(1); /* n (n-1) ... (n-k+1) / k!, the rounded value divided on the way lest it overflow */
    uint64_t factorial = 1;
    for (int64_t j = 0; j < (int64_t)k.re; j++) {
        v = wh_value_mul(v, wh_value_add(n, wh_value_int(-j)));
        v.re /= (long double)(j + 1);
        v.im /= (long double)(j + 1);
        factorial = mod_mul(factorial, (uint64_t)(j + 1));
    }
    uint64_t inverse = mod_pow(factorial, P - 2);
    v.rr = mod_mul(v.rr, inverse);
    v.ri = mod_mul(v.ri, inverse);
    return v;
}

wh_value wh_value_snap(wh_value a)
{
    int64_t     n, d, ni, di;
    long double size = hypot(a.re, a.im);
    if (size == 0 && !a.bad) return wh_value_int(0);
    if (a.bad || a.exact || !small_rational(&n, &d, a.re, size) || !small_rational(&ni, &di, a.im, size))
        return a;
    wh_value re = wh_value_mul(wh_value_int(n), wh_value_inv(wh_value_int(d)));
    wh_value im = wh_value_mul(wh_value_int(ni), wh_value_inv(wh_value_int(di)));
    return wh_value_add(re, wh_value_mul(im, wh_value_i()));
}

/* The step of the grid is relative to the magnitude. Decade and grid are shifted by arbitrary constants so that
 * the numbers people write (1, 10, 0.5, cis of round angles) do not lie on a border, where two ways of
 * computing one number could fall to different sides. */
void wh_value_key(char out[WH_VALUE_KEY], wh_value a)
{
    if (a.exact) {
        if (a.ri) snprintf(out, WH_VALUE_KEY, "q%llx,%llx", (unsigned long long)a.rr, (unsigned long long)a.ri);
        else snprintf(out, WH_VALUE_KEY, "q%llx", (unsigned long long)a.rr);
        return;
    }
    long double size = hypot(a.re, a.im);
    if (size < 1e-300) {
        snprintf(out, WH_VALUE_KEY, "q0");
        return;
    }
    long double decade = floor(log10(size) + 0.2718281828);
    long double mantissa_re = a.re / size * pow(10.0L, log10(size) - decade),
                mantissa_im = a.im / size * pow(10.0L, log10(size) - decade);
    snprintf(out, WH_VALUE_KEY, "~%.0f,%.0fe%.0f", (double)floor(mantissa_re * 1e8 + 0.3819660113),
             (double)floor(mantissa_im * 1e8 + 0.3819660113), (double)decade);
}
