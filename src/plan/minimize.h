/* minimize: the least value of a function of a few variables, without derivatives (Nelder and Mead 1965). */
#ifndef WH_PLAN_MINIMIZE_H
#define WH_PLAN_MINIMIZE_H

#include <stddef.h>

enum { WH_MINIMIZE_MOST = 8 };

/* x: n <= WH_MINIMIZE_MOST variables, where to start and then where the least value was found; step: the size of the
 * first simplex. Returns that value. At most `rounds` moves. */
double wh_minimize(double *x, size_t n, double step, size_t rounds, double (*f)(void *user, const double *x), void *user);

#endif
