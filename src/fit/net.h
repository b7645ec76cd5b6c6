/* net: the small network that a head is, while it is being fitted: a linear layer, or two with a ReLU between them.
 *
 *   logit(x) = w2 · x + b2                      hidden = 0
 *   logit(x) = w2 · max(0, w1 x + b1) + b2      hidden > 0
 */
#ifndef WH_FIT_NET_H
#define WH_FIT_NET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wh_net {
    size_t d, hidden;
    float *w1, *b1; /* (hidden, d), (hidden); NULL without a hidden layer */
    float *w2;      /* (hidden), or (d) */
    float  b2;
    float *memory;
} wh_net; /* starts as {0} */

/* All zero. */
wh_code wh_net_create(wh_net *out, size_t d, size_t hidden, wh_err *err);
void    wh_net_free(wh_net *net);

/* The logits of n rows of d features. scratch: wh_net_scratch floats. */
size_t wh_net_scratch(const wh_net *net);
void   wh_net_run(const wh_net *net, float *logits, const float *x, size_t n, float *scratch);

/* The net was fitted on (x - mean) / deviation: make it one that reads x. */
void wh_net_unstandardize(wh_net *net, const float *mean, const float *deviation);
/* Make its logit slope · logit + offset. */
void wh_net_calibrate(wh_net *net, double slope, double offset);

/* What is learnt from: n rows of d features, what is wanted of each (a probability), and how much it counts. A row of
 * weight 0 is left out. */
typedef struct wh_rows {
    const float *x, *y, *weight;
    size_t       n, d;
} wh_rows;

/* Fit a linear net from where it stands: the least  sum_i weight_i loss_i / sum_i weight_i + l2/2 |w2|²  by L-BFGS. */
wh_code wh_net_fit_linear(wh_net *net, const wh_rows *rows, double l2, wh_err *err);

/* Fit a net with a hidden layer epoch by epoch: Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and
 * Hutter 2019) on batches of 256 rows, in an order that the seed decides.
 * Deterministic; one thread. */
typedef struct wh_adam wh_adam;
typedef struct wh_adam_opts {
    double   rate;    /* of learning; 0: 0.0005 */
    double   decay;   /* of weights, per step: rate · decay */
    double   dropout; /* share of the inputs that are set to 0 in a row */
    uint64_t seed;
} wh_adam_opts;
/* Borrows all; starts from random weights (He et al. 2015). */
wh_code wh_adam_create(wh_adam **out, wh_net *net, const wh_rows *rows, const wh_adam_opts *opts, wh_err *err);
void    wh_adam_epoch(wh_adam *a);
void    wh_adam_free(wh_adam *a);

#endif
