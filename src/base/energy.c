#include "base/energy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number that a file of the kernel begins with. */
static wh_code read_number(double *out, const char *path, wh_err *err)
{
    unsigned long long v = 0;
    errno = 0;
    FILE *f = fopen(path, "re");
    bool ok = f && fscanf(f, "%llu", &v) == 1;
    int why = errno;
    if (f) fclose(f);
    *out = (double)v;
    return ok ? WH_OK : wh_err_set(err, WH_ERR_IO, "the energy this machine draws cannot be read: %s: %s", path, why ? strerror(why) : "not a number");
}

/* Is the zone a processor? psys, where it exists, counts the whole machine, packages included. */
static bool is_package(const char *zone)
{
    char path[160], name[16] = "";
    snprintf(path, sizeof path, "%s/name", zone);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool ok = fgets(name, sizeof name, f) && strncmp(name, "package", 7) == 0;
    fclose(f);
    return ok;
}

wh_code wh_energy_open(wh_energy *e, const char *powercap, wh_err *err)
{
    const char *named = getenv("WHET_POWERCAP");
    if (!powercap) powercap = named && *named ? named : "/sys/class/powercap";
    *e = (wh_energy){.n = 0};
    for (int i = 0; i < WH_ENERGY_PACKAGES; i++) {
        char zone[100], range[160], *path = e->package[e->n].path;
        int len = snprintf(zone, sizeof zone, "%s/intel-rapl:%d", powercap, i);
        if (len < 0 || (size_t)len >= sizeof zone) return wh_err_set(err, WH_ERR_ARG, "the folder's name is too long: %s", powercap);
        if (!is_package(zone)) continue;
        snprintf(path, sizeof e->package->path, "%s/energy_uj", zone);
        snprintf(range, sizeof range, "%s/max_energy_range_uj", zone);
        WH_TRY(read_number(&e->package[e->n].last, path, err));
        WH_TRY(read_number(&e->package[e->n].range, range, err));
        e->n++;
    }
    if (!e->n) return wh_err_set(err, WH_ERR_UNSUPPORTED, "this machine does not say what energy it draws (no processor in %s)", powercap);
    return WH_OK;
}

wh_code wh_energy_read(double *joules, wh_energy *e, wh_err *err)
{
    for (size_t i = 0; i < e->n; i++) {
        double now;
        WH_TRY(read_number(&now, e->package[i].path, err));
        double drawn = now - e->package[i].last;
        if (drawn < 0) drawn += e->package[i].range;
        e->joules += drawn * 1e-6;
        e->package[i].last = now;
    }
    *joules = e->joules;
    return WH_OK;
}
