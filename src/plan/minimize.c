#include "plan/minimize.h"

#include <math.h>
#include <string.h>

typedef struct vertex {
    double x[WH_MINIMIZE_MOST], value;
} vertex;

/* The point `t` of the way from the worst vertex through the middle of the others. */
static vertex along(const vertex *worst, const double *middle, double t, size_t n, double (*f)(void *, const double *), void *user)
{
    vertex v;
    for (size_t i = 0; i < n; i++) v.x[i] = worst->x[i] + t * (middle[i] - worst->x[i]);
    v.value = f(user, v.x);
    return v;
}

static void insert(vertex *s, size_t n)
{
    for (size_t i = n; i > 0 && s[i].value < s[i - 1].value; i--) {
        vertex t = s[i];
        s[i] = s[i - 1];
        s[i - 1] = t;
    }
}

double wh_minimize(double *x, size_t n, double step, size_t rounds, double (*f)(void *user, const double *x), void *user)
{
    vertex s[WH_MINIMIZE_MOST + 1];
    for (size_t k = 0; k <= n; k++) {
        memcpy(s[k].x, x, n * sizeof *x);
        if (k) s[k].x[k - 1] += step;
        s[k].value = f(user, s[k].x);
        insert(s, k);
    }
    for (size_t r = 0; r < rounds && fabs(s[n].value - s[0].value) > 1e-10 * (fabs(s[0].value) + 1e-10); r++) {
        double middle[WH_MINIMIZE_MOST] = {0};
        for (size_t k = 0; k < n; k++)
            for (size_t i = 0; i < n; i++) middle[i] += s[k].x[i] / (double)n;
        vertex v = along(&s[n], middle, 2, n, f, user);
        if (v.value < s[0].value) {
            vertex further = along(&s[n], middle, 3, n, f, user);
            if (further.value < v.value) v = further;
        } else if (v.value >= s[n - 1].value) {
            v = along(&s[n], middle, v.value < s[n].value ? 1.5 : 0.5, n, f, user);
        }
        if (v.value < s[n].value) {
            s[n] = v;
            insert(s, n);
            continue;
        }
        for (size_t k = 1; k <= n; k++) {
            for (size_t i = 0; i < n; i++) s[k].x[i] = (s[k].x[i] + s[0].x[i]) / 2;
            s[k].value = f(user, s[k].x);
        }
        for (size_t k = 1; k <= n; k++) insert(s, k);
    }
    memcpy(x, s[0].x, n * sizeof *x);
    return s[0].value;
}
