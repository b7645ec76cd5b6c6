/* par: a team of threads that run the same function together (SPMD).
 *
 * One parallel region covers a whole forward pass; inside it the threads meet at barriers. A barrier
 * spins for a bounded time and then sleeps, so more threads than cores slow a team down but do not
 * make it collapse. par.c is the only file that knows of OpenMP.
 */
#ifndef WH_BASE_PAR_H
#define WH_BASE_PAR_H

#include "base/err.h"

typedef struct wh_par wh_par;

/* threads <= 0: one per physical core this process may run on. */
wh_code wh_par_create(wh_par **out, int threads, wh_err *err);
void    wh_par_free(wh_par *p);
int     wh_par_threads(const wh_par *p);

/* Run fn(ctx, tid) for tid = 0 .. threads-1 at the same time; returns when all have returned. Calls of
 * different threads on one team must not overlap. */
void wh_par_run(wh_par *p, void (*fn)(void *ctx, int tid), void *ctx);

/* Inside fn: wait until every thread of the team is here. */
void wh_par_barrier(wh_par *p);

/* Inside fn: the next piece of work nobody has taken since the last barrier (0, 1, 2, ...). Who is done early takes
 * more, so the team does not wait for its slowest core. */
size_t wh_par_take(wh_par *p);

/* The part [*begin, *end) of n items, in units of `unit`, that thread tid of nth takes. */
void wh_par_range(size_t *begin, size_t *end, size_t n, size_t unit, int tid, int nth);

#endif
