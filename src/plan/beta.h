/* beta: the Beta distribution, as far as counting right and wrong answers needs it. */
#ifndef WH_PLAN_BETA_H
#define WH_PLAN_BETA_H

#include <stddef.h>

/* I_x(a, b), the probability that a Beta(a, b) variable is at most x; a, b > 0. Continued fraction (Abramowitz and
 * Stegun 26.5.8, evaluated by Lentz's method), about 14 digits. */
double wh_beta_cdf(double x, double a, double b);

/* ln B(a, b) */
double wh_beta_log(double a, double b);

/* The strength a + b of Beta distributions with given means under which `right` of n draws are most likely, problem by
 * problem (beta-binomial likelihood): how sure a judge of pass@1 may be. A weak prior holds it near 4; within 0.1 to 1000. */
typedef struct wh_beta_draws {
    double mean, right, n;
} wh_beta_draws;
double wh_beta_strength(const wh_beta_draws *draws, size_t count);

/* Adaptive-Consistency (Aggarwal et al. 2023, 2305.11860), Beta form: the probability that of the two most
 * frequent answers, with `first` >= `second` votes, the first would still lead if one went on for ever:
 * I_1/2(second + 1, first + 1). 4 : 0 gives 0.969. Votes may be weighted, so they need not be whole. */
double wh_beta_leader_stays(double first, double second);

#endif
