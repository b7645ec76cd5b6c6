/* stat: how sure a measured share is, and whether two shares over the same problems differ.
 *
 * Everything is closed form, so a report says the same every time. Intervals have 95 %.
 */
#ifndef WH_BASE_STAT_H
#define WH_BASE_STAT_H

#include <stddef.h>

/* The interval of a share, k of n (Wilson 1927). n == 0: all of [0, 1]. */
void wh_stat_wilson(double *low, double *high, size_t k, size_t n);

/* Two results for each of n problems. */
typedef struct wh_stat_pairs {
    size_t both, first, second, none; /* right in both runs, in the first alone, in the second alone, in none */
} wh_stat_pairs;

/* share of the first - share of the second, and its interval: Newcombe 1998 (Stat. Med. 17:2635), method 10,
 * which is Wilson's for each share with the correlation of the pairs. No pairs: 0 and [-1, 1]. */
void wh_stat_difference(double *difference, double *low, double *high, const wh_stat_pairs *t);

/* The exact two-sided p of "neither is better" (McNemar 1947, binomial): 1 when no pair differs. */
double wh_stat_mcnemar(const wh_stat_pairs *t);

/* y at x on the line through n points with ascending x, from (0, 0) to the first of them, and flat after the last. */
double wh_stat_line(const double *xs, const double *ys, size_t n, double x);

#endif
