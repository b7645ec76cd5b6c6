/* measure: how good scores are that were given to the steps of graded solutions.
 *
 * AUC is the probability that a right one is scored above a wrong one, ties counting half (the Mann-Whitney statistic).
 * Over all pairs it also rewards knowing which problems are easy. Within a problem it counts the pairs of samples of the
 * same problem alone: that is what a vote among them can gain from, so it is the figure to watch.
 *
 * Undefined measures (one class is missing, nothing to compare) are NaN.
 */
#ifndef WH_FIT_MEASURE_H
#define WH_FIT_MEASURE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One step of one sample. */
typedef struct wh_point {
    double   score; /* a probability */
    uint32_t problem, step, steps; /* step: 0 .. steps - 1 of the sample */
    bool     right;                /* the sample's outcome */
} wh_point;

typedef struct wh_auc {
    double all, within;
    size_t n, pairs, problems; /* points; pairs inside a problem, and problems that have some */
} wh_auc;

enum { WH_MEASURE_PARTS = 5 };
typedef struct wh_measure {
    wh_auc last, every;             /* of the last steps alone; of every step */
    wh_auc part[WH_MEASURE_PARTS];  /* of the steps in that fifth of their sample: (0, 1/5], ... (4/5, 1] */
    double ece, ece_every, brier, loss; /* of the last steps, and of every step */
    double rate;                    /* share of right samples */
    size_t samples, problems;
} wh_measure;

/* points: those of a problem stand together. */
wh_code wh_measure_points(wh_measure *out, const wh_point *points, size_t n, wh_err *err);

/* The parts. n scores with their labels. */
wh_code wh_measure_auc(wh_auc *out, const wh_point *points, size_t n, wh_err *err);
/* Expected calibration error over ten equal bins of probability (Guo et al. 2017). */
double  wh_measure_ece(const double *p, const double *y, size_t n);
double  wh_measure_brier(const double *p, const double *y, size_t n);
/* Mean negative log-likelihood in nats; probabilities are kept 1e-6 away from 0 and 1. */
double  wh_measure_loss(const double *p, const double *y, size_t n);
/* Rank correlation, ties sharing their mean rank. */
wh_code wh_measure_spearman(double *out, const double *a, const double *b, size_t n, wh_err *err);

#endif
