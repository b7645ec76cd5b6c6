/* lbfgs: the least value of a smooth function of many variables.
 *
 * Limited-memory BFGS with a backtracking search for the Armijo condition; pairs that would spoil positive
 * definiteness are left out (Nocedal and Wright 2006, algorithms 7.4 and 7.5). Deterministic; one thread.
 */
#ifndef WH_FIT_LBFGS_H
#define WH_FIT_LBFGS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The value at x (n); fills gradient (n). */
typedef double wh_lbfgs_value(void *user, const double *x, double *gradient);

typedef struct wh_lbfgs_opts {
    size_t iterations; /* at most; 0: 200 */
    double tolerance;  /* done when no component of the gradient is larger; 0: 1e-5 */
} wh_lbfgs_opts;

typedef struct wh_lbfgs_result {
    double value, gradient; /* gradient: largest component */
    size_t iterations;
    bool   converged; /* else: out of iterations, or no step makes the value less */
} wh_lbfgs_result;

/* From x, which becomes where it ends. WH_ERR_NOMEM. */
wh_code wh_lbfgs_minimize(wh_lbfgs_result *out, double *x, size_t n, wh_lbfgs_value *value, void *user,
                          const wh_lbfgs_opts *opts, wh_err *err);

#endif
