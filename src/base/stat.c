#include "base/stat.h"

#include <math.h>

void wh_stat_wilson(double *low, double *high, size_t k, size_t n)
{
    *low = 0;
    *high = 1;
    if (n == 0) return;
    const double z = 1.959964;
    double total = (double)n, p = (double)k / total, z2 = z * z / total;
    double middle = (p + z2 / 2) / (1 + z2), half = z / (1 + z2) * sqrt(p * (1 - p) / total + z2 / (4 * total));
    *low = k == 0 ? 0 : middle - half;
    *high = k == n ? 1 : middle + half;
}

/* The correlation of the two columns, drawn to 0 where it is positive (Newcombe's method 10). */
static double correlation(const wh_stat_pairs *t, double n)
{
    double a = (double)t->both, b = (double)t->first, c = (double)t->second, d = (double)t->none;
    double margins = (a + b) * (c + d) * (a + c) * (b + d), product = a * d - b * c;
    if (margins == 0) return 0;
    if (product > 0) product = fmax(product - n / 2, 0);
    return product / sqrt(margins);
}

/* The distance of a limit from the difference: two independent distances x and y, correlated by phi. */
static double reach(double x, double y, double phi) { return sqrt(fmax(x * x - 2 * phi * x * y + y * y, 0)); }

void wh_stat_difference(double *difference, double *low, double *high, const wh_stat_pairs *t)
{
    size_t n = t->both + t->first + t->second + t->none, k1 = t->both + t->first, k2 = t->both + t->second;
    *difference = 0;
    *low = -1;
    *high = 1;
    if (n == 0) return;
    double total = (double)n, p1 = (double)k1 / total, p2 = (double)k2 / total, phi = correlation(t, total), l1, h1, l2, h2;
    wh_stat_wilson(&l1, &h1, k1, n);
    wh_stat_wilson(&l2, &h2, k2, n);
    *difference = p1 - p2;
    *low = *difference - reach(p1 - l1, h2 - p2, phi);
    *high = *difference + reach(h1 - p1, p2 - l2, phi);
}

double wh_stat_mcnemar(const wh_stat_pairs *t)
{
    size_t n = t->first + t->second, k = t->first < t->second ? t->first : t->second;
    double p = 0;
    for (size_t i = 0; i <= k; i++)
        p += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) - (double)n * log(2));
    return fmin(2 * p, 1);
}

double wh_stat_line(const double *xs, const double *ys, size_t n, double x)
{
    double from_x = 0, from_y = 0;
    for (size_t k = 0; k < n; k++) {
        if (x <= xs[k]) return xs[k] > from_x ? from_y + (ys[k] - from_y) * (x - from_x) / (xs[k] - from_x) : ys[k];
        from_x = xs[k];
        from_y = ys[k];
    }
    return from_y;
}
