#include "plan/meter.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* RAPL counts microjoules per package in intel-rapl:0, intel-rapl:1 ... (AMD too). The counters wrap after hours. */
wh_code wh_meter_joules(double *out, wh_err *err)
{
    enum { PACKAGES = 16 };
    size_t found = 0;
    *out = 0;
    for (int i = 0; i < PACKAGES; i++) {
        char path[80];
        unsigned long long microjoules;
        snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/energy_uj", i);
        FILE *f = fopen(path, "r");
        if (!f && errno == ENOENT) break;
        if (!f) return wh_err_set(err, WH_ERR_UNSUPPORTED, "the energy this machine draws cannot be read: %s: %s", path, strerror(errno));
        if (fscanf(f, "%llu", &microjoules) == 1) {
            *out += (double)microjoules * 1e-6;
            found++;
        }
        fclose(f);
    }
    if (!found) return wh_err_set(err, WH_ERR_UNSUPPORTED, "this machine does not say what energy it draws (no /sys/class/powercap/intel-rapl:0)");
    return WH_OK;
}

wh_code wh_meter_start(wh_meter *m, wh_engine *e, wh_err *err)
{
    m->engine = e;
    m->joules_began = 0;
    if (isfinite(m->joules)) WH_TRY(wh_meter_joules(&m->joules_began, err));
    m->began = wh_clock_now();
    WH_TRY(wh_price_measure(&m->price, e, err));
    wh_engine_get_stats(e, &m->last);
    return WH_OK;
}

double wh_meter_seconds(const wh_meter *m) { return wh_clock_now() - m->began; }

/* Seconds that are left, at the power drawn so far. */
static double seconds_left(const wh_meter *m)
{
    double passed = wh_meter_seconds(m), left = m->seconds - passed, joules;
    if (isfinite(m->joules) && wh_meter_joules(&joules, NULL) == WH_OK) {
        double drawn = joules - m->joules_began, power = drawn / fmax(passed, 1e-3);
        if (power > 0) left = fmin(left, (m->joules - drawn) / power);
    }
    return left;
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
    const wh_meter *m = user;
    double left = seconds_left(m);
    *round = wh_price_read_flops(&m->price) * v->answer;
    return left > 0 ? left * wh_price_rate(&m->price) : 0;
}
