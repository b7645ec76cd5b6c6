/* From logits to probabilities: a logistic regression on the logit and on what the text shows. */
#include "fit/train.h"

#include <math.h>
#include <string.h>

enum { SLOPE, OFFSET, FAILS, HOLDS, OMITS, PARTS };

/* Weak wishes: that the slope be 1, which constant logits leave open, and that evidence count nothing until some solutions
 * have shown that it does. */
static const double wish[PARTS] = {1e-3, 1e-9, 1, 1, 1}, wished[PARTS] = {1};

typedef struct platt {
    const double          *x; /* logits, less their mean */
    const wh_prm_evidence *evidence;
    const double          *y;
    size_t                 n;
    double                 middle;
} platt;

/* The parts of a row that its weights multiply. */
static void get_parts(double part[PARTS], const platt *p, size_t i)
{
    part[SLOPE] = p->x[i] - p->middle;
    part[OFFSET] = 1;
    part[FAILS] = p->evidence[i].equations == WH_ARITHMETIC_FAILS;
    part[HOLDS] = p->evidence[i].equations == WH_ARITHMETIC_HOLDS;
    part[OMITS] = p->evidence[i].omits;
}

static double dot(const double a[PARTS], const double b[PARTS])
{
    double sum = 0;
    for (size_t k = 0; k < PARTS; k++) sum += a[k] * b[k];
    return sum;
}

static double loss_at(const platt *p, const double w[PARTS])
{
    double sum = 0, part[PARTS];
    for (size_t k = 0; k < PARTS; k++) sum += wish[k] / 2 * (w[k] - wished[k]) * (w[k] - wished[k]);
    for (size_t i = 0; i < p->n; i++) {
        get_parts(part, p, i);
        double z = dot(w, part);
        sum += fmax(z, 0) + log1p(exp(-fabs(z))) - p->y[i] * z;
    }
    return sum;
}

/* h x = g for a positive definite h, by elimination; x replaces g. */
static void eliminate(double h[PARTS][PARTS], double g[PARTS])
{
    for (size_t k = 0; k < PARTS; k++)
        for (size_t r = k + 1; r < PARTS; r++) {
            double by = h[r][k] / h[k][k];
            for (size_t c = k; c < PARTS; c++) h[r][c] -= by * h[k][c];
            g[r] -= by * g[k];
        }
    for (size_t k = PARTS; k-- > 0;) {
        for (size_t c = k + 1; c < PARTS; c++) g[k] -= h[k][c] * g[c];
        g[k] /= h[k][k];
    }
}

/* Newton's step from w. A fixed slope stays as it is. */
static void newton(const platt *p, double step[PARTS], const double w[PARTS], bool fixed)
{
    double h[PARTS][PARTS] = {{0}}, part[PARTS];
    for (size_t k = 0; k < PARTS; k++) {
        step[k] = wish[k] * (w[k] - wished[k]);
        h[k][k] = wish[k];
    }
    for (size_t i = 0; i < p->n; i++) {
        get_parts(part, p, i);
        double q = 1 / (1 + exp(-dot(w, part))), r = q - p->y[i], v = q * (1 - q);
        for (size_t k = 0; k < PARTS; k++) {
            step[k] += r * part[k];
            for (size_t c = 0; c < PARTS; c++) h[k][c] += v * part[k] * part[c];
        }
    }
    if (fixed) {
        for (size_t c = 0; c < PARTS; c++) h[SLOPE][c] = h[c][SLOPE] = c == SLOPE;
        step[SLOPE] = 0;
    }
    eliminate(h, step);
}

/* Steps with halving. */
static void solve(const platt *p, double w[PARTS], bool fixed)
{
    for (int round = 0; round < 50; round++) {
        double step[PARTS], next[PARTS], now = loss_at(p, w), part = 1, moved = 0;
        newton(p, step, w, fixed);
        for (;; part /= 2) {
            for (size_t k = 0; k < PARTS; k++) next[k] = w[k] - part * step[k];
            if (loss_at(p, next) <= now) break;
            if (part <= 1e-6) return;
        }
        for (size_t k = 0; k < PARTS; k++) moved += fabs(next[k] - w[k]);
        memcpy(w, next, sizeof next);
        if (moved < 1e-9) return;
    }
}

void wh_train_calibrate(wh_prm_calibration *out, const double *logits, const wh_prm_evidence *evidence, const double *y, size_t n)
{
    platt p = {.x = logits, .evidence = evidence, .y = y, .n = n};
    double w[PARTS] = {1};
    for (size_t i = 0; i < n; i++) p.middle += logits[i] / (double)n;
    solve(&p, w, false);
    /* Separable scores would have no end, and a head that is worse than chance is not turned around. */
    double bounded = fmin(fmax(w[SLOPE], 0.01), 100);
    if (bounded != w[SLOPE]) {
        w[SLOPE] = bounded;
        solve(&p, w, true);
    }
    *out = (wh_prm_calibration){.slope = w[SLOPE], .offset = fmin(fmax(w[OFFSET] - w[SLOPE] * p.middle, -100), 100), .fails = w[FAILS],
                                .holds = w[HOLDS], .omits = w[OMITS]};
}
