/* meter: a budget in seconds or joules, measured while it is spent.
 *
 * Unlike FLOPs these depend on the machine and its mood, so runs under them are not repeatable, and they end by the
 * clock: what is being written when they are used up has no vote.
 */
#ifndef WH_PLAN_METER_H
#define WH_PLAN_METER_H

#include "base/energy.h"
#include "plan/policy.h"
#include "plan/price.h"

typedef struct wh_meter {
    double    seconds, joules; /* limits; INFINITY: none */
    wh_price  price;
    wh_engine *engine;
    double    began;
    wh_energy energy; /* where joules are limited */
    wh_engine_stats last; /* of the engine, when it was looked at last */
} wh_meter; /* starts as {.seconds, .joules} */

/* The clock starts. Measures the price first. Where joules are limited, also the errors of wh_energy_open: this machine
 * may not say what it draws. */
wh_code wh_meter_start(wh_meter *m, wh_engine *e, wh_err *err);

/* After each step: learn from it. true: another one would overrun the limit. */
bool wh_meter_tick(wh_meter *m);

/* For wh_live.left; user is the meter. */
double wh_meter_left(void *user, const wh_view *v, double *round);

double wh_meter_seconds(const wh_meter *m); /* since the start */
/* Joules since the start, where they are limited. INFINITY: they can no longer be read, and the budget counts as spent. */
double wh_meter_joules(wh_meter *m);

#endif
