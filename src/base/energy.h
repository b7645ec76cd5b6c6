/* energy: what the processors of this machine draw, where it says so (RAPL: Linux's powercap; Intel and AMD).
 *
 * The kernel counts microjoules for each package and starts again from 0 at a range of its own, after an hour or less
 * under load; a meter that is read more often than that goes on across it. */
#ifndef WH_BASE_ENERGY_H
#define WH_BASE_ENERGY_H

#include "base/err.h"

enum { WH_ENERGY_PACKAGES = 16 };

typedef struct wh_energy {
    size_t n; /* packages */
    struct {
        char   path[128]; /* of its counter */
        double last, range; /* microjoules */
    } package[WH_ENERGY_PACKAGES];
    double joules; /* since wh_energy_open */
} wh_energy;

/* Begin at 0. powercap: the folder of the zones; NULL: $WHET_POWERCAP (for containers that have it elsewhere), or
 * /sys/class/powercap. WH_ERR_UNSUPPORTED: no package has a counter there. WH_ERR_IO: it cannot be read. */
wh_code wh_energy_open(wh_energy *e, const char *powercap, wh_err *err);

/* All packages' joules since the beginning. WH_ERR_IO: a counter can no longer be read. */
wh_code wh_energy_read(double *joules, wh_energy *e, wh_err *err);

#endif
