#include "fit/lbfgs.h"

#include "base/mem.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 10 };

/* The last `n_pairs` differences of x (s) and of the gradient (y), in a ring. */
typedef struct state {
    size_t  n, n_pairs, next;
    double *memory;
    double *s[PAIRS], *y[PAIRS], rho[PAIRS];
    double *gradient, *direction, *x_new, *gradient_new;
} state;

static double dot(const state *t, const double *a, const double *b) { return cblas_ddot((int)t->n, a, 1, b, 1); }
static void add(const state *t, double *to, double factor, const double *a) { cblas_daxpy((int)t->n, factor, a, 1, to, 1); }

static double largest(const double *a, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(a[i]));
    return most;
}

/* direction = -H gradient, by the two loops. */
static void find_direction(state *t)
{
    double alpha[PAIRS] = {0}, *q = t->direction;
    memcpy(q, t->gradient, t->n * sizeof *q);
    for (size_t k = 0; k < t->n_pairs; k++) {
        size_t i = (t->next + PAIRS - 1 - k) % PAIRS;
        alpha[i] = t->rho[i] * dot(t, t->s[i], q);
        add(t, q, -alpha[i], t->y[i]);
    }
    if (t->n_pairs) {
        size_t i = (t->next + PAIRS - 1) % PAIRS;
        cblas_dscal((int)t->n, 1 / (t->rho[i] * dot(t, t->y[i], t->y[i])), q, 1);
    }
    for (size_t k = t->n_pairs; k-- > 0;) {
        size_t i = (t->next + PAIRS - 1 - k) % PAIRS;
        add(t, q, alpha[i] - t->rho[i] * dot(t, t->y[i], q), t->s[i]);
    }
    cblas_dscal((int)t->n, -1, q, 1);
}

static void keep_pair(state *t, const double *x)
{
    double *s = t->s[t->next], *y = t->y[t->next];
    for (size_t i = 0; i < t->n; i++) {
        s[i] = t->x_new[i] - x[i];
        y[i] = t->gradient_new[i] - t->gradient[i];
    }
    double sy = dot(t, s, y);
    if (sy <= 1e-12 * dot(t, y, y)) return;
    t->rho[t->next] = 1 / sy;
    t->next = (t->next + 1) % PAIRS;
    if (t->n_pairs < PAIRS) t->n_pairs++;
}

/* A step along the direction that lowers the value enough; false when there is none. */
static bool search(state *t, const double *x, double *f, wh_lbfgs_value *value, void *user, double first)
{
    const double armijo = 1e-4;
    double slope = dot(t, t->gradient, t->direction), step = first;
    if (!(slope < 0)) return false;
    for (int tries = 0; tries < 30; tries++, step /= 2) {
        memcpy(t->x_new, x, t->n * sizeof *x);
        add(t, t->x_new, step, t->direction);
        double f_new = value(user, t->x_new, t->gradient_new);
        if (f_new <= *f + armijo * step * slope) {
            *f = f_new;
            return true;
        }
    }
    return false;
}

static void minimize(state *t, wh_lbfgs_result *out, double *x, wh_lbfgs_value *value, void *user, size_t iterations, double tolerance)
{
    out->value = value(user, x, t->gradient);
    for (;; out->iterations++) {
        out->gradient = largest(t->gradient, t->n);
        out->converged = out->gradient <= tolerance;
        if (out->converged || out->iterations == iterations) return;
        find_direction(t);
        double first = t->n_pairs ? 1 : fmin(1, 1 / out->gradient);
        if (!search(t, x, &out->value, value, user, first)) {
            if (!t->n_pairs) return;
            t->n_pairs = 0; /* once more from the steepest descent */
            continue;
        }
        keep_pair(t, x);
        memcpy(x, t->x_new, t->n * sizeof *x);
        memcpy(t->gradient, t->gradient_new, t->n * sizeof *x);
    }
}

wh_code wh_lbfgs_minimize(wh_lbfgs_result *out, double *x, size_t n, wh_lbfgs_value *value, void *user,
                          const wh_lbfgs_opts *opts, wh_err *err)
{
    enum { OTHERS = 4 };
    *out = (wh_lbfgs_result){0};
    state t = {.n = n};
    size_t all;
    t.memory = wh_mem_mul(&all, n, 2 * PAIRS + OTHERS) ? wh_mem_alloc(all, sizeof *t.memory) : NULL;
    if (!t.memory) return wh_err_set(err, WH_ERR_NOMEM, "no memory to fit %zu numbers", n);
    for (size_t i = 0; i < PAIRS; i++) {
        t.s[i] = t.memory + i * n;
        t.y[i] = t.memory + (PAIRS + i) * n;
    }
    t.gradient = t.memory + 2 * PAIRS * n;
    t.direction = t.gradient + n;
    t.x_new = t.direction + n;
    t.gradient_new = t.x_new + n;
    minimize(&t, out, x, value, user, opts->iterations ? opts->iterations : 200, opts->tolerance > 0 ? opts->tolerance : 1e-5);
    free(t.memory);
    return WH_OK;
}
