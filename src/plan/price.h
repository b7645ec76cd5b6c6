/* price: how long a step of the engine takes, so that seconds can be traded for FLOPs.
 *
 *     seconds = read + row * rows + prefill * prompt tokens + key * keys attended to
 *
 * `read` is memory traffic: the weights are read once per step, however many samples advance in it. So 16 samples in
 * one batch cost less time than 16 in turn, which FLOPs do not show (Kinetics, Sadhukhan et al. 2025, 2506.05333:
 * eFLOPs = compute + memory traffic in FLOPs that could have been done meanwhile). The four numbers are fitted on
 * this machine in about a second, and go on learning from every step (recursive least squares that forget).
 */
#ifndef WH_PLAN_PRICE_H
#define WH_PLAN_PRICE_H

#include "engine/engine.h"

enum { WH_PRICE_READ, WH_PRICE_ROW, WH_PRICE_PREFILL, WH_PRICE_KEY, WH_PRICE_TERMS };

typedef struct wh_price {
    double seconds[WH_PRICE_TERMS]; /* per step, row, prompt token, key */
    double spread[WH_PRICE_TERMS][WH_PRICE_TERMS]; /* of the fit: its inverse information */
    double flops_row;               /* FLOPs of a row without attention */
    size_t observed;                /* steps */
} wh_price; /* starts as {0} */

/* Run a few steps of one sample and of several on the engine, which must be idle. Takes about a second. */
wh_code wh_price_measure(wh_price *p, wh_engine *e, wh_err *err);

/* A step took so long: x has 1, rows, prompt tokens, keys. */
void wh_price_observe(wh_price *p, const double x[WH_PRICE_TERMS], double seconds);

/* What wh_engine_get_stats says before and after some steps, as such an observation; false: nothing was computed. */
bool wh_price_between(double x[WH_PRICE_TERMS], double *seconds, const wh_engine_stats *before, const wh_engine_stats *after,
                      const wh_cost *cost);

double wh_price_step(const wh_price *p, double rows, double prefill, double keys);

/* FLOPs per second of rows that share a full batch: what a second is worth. */
double wh_price_rate(const wh_price *p);
/* What one more step costs whatever is in it, in FLOPs at that rate. */
double wh_price_read_flops(const wh_price *p);

#endif
