#include "plan/meter.h"

#include "base/clock.h"

#include <math.h>

wh_code wh_meter_start(wh_meter *m, wh_engine *e, wh_err *err)
{
    m->engine = e;
    if (isfinite(m->joules)) WH_TRY(wh_energy_open(&m->energy, NULL, err));
    m->began = wh_clock_now();
    WH_TRY(wh_price_measure(&m->price, e, err));
    wh_engine_get_stats(e, &m->last);
    return WH_OK;
}

double wh_meter_seconds(const wh_meter *m) { return wh_clock_now() - m->began; }

double wh_meter_joules(wh_meter *m)
{
    double drawn;
    return wh_energy_read(&drawn, &m->energy, NULL) == WH_OK ? drawn : INFINITY;
}

/* Seconds that are left, at the power drawn so far. */
static double seconds_left(wh_meter *m)
{
    double passed = wh_meter_seconds(m), left = m->seconds - passed;
    if (!isfinite(m->joules)) return left;
    double drawn = wh_meter_joules(m);
    if (drawn >= m->joules) return 0;
    return drawn > 0 ? fmin(left, (m->joules - drawn) / drawn * passed) : left;
}

bool wh_meter_tick(wh_meter *m)
{
    wh_engine_stats now;
    double x[WH_PRICE_TERMS], took = 0;
    wh_engine_get_stats(m->engine, &now);
    if (wh_price_between(x, &took, &m->last, &now, wh_engine_cost(m->engine))) wh_price_observe(&m->price, x, took);
    m->last = now;
    return seconds_left(m) < took;
}

double wh_meter_left(void *user, const wh_view *v, double *round)
{
    wh_meter *m = user;
    double left = seconds_left(m);
    *round = wh_price_read_flops(&m->price) * v->answer;
    return left > 0 ? left * wh_price_rate(&m->price) : 0;
}
