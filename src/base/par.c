#include "base/par.h"

#include "base/cpu.h"
#include "base/mem.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A sense-reversing barrier: the last to arrive resets the count and advances the generation. The two
 * counters are on cache lines of their own, so that waiting reads do not disturb arriving writes. */
struct wh_par {
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint generation;
    _Alignas(64) int threads;
};

wh_code wh_par_create(wh_par **out, int threads, wh_err *err)
{
    enum { MOST = 1024 };
    *out = NULL;
    if (threads > MOST) return wh_err_set(err, WH_ERR_ARG, "%d threads: at most %d are possible", threads, MOST);
    if (threads <= 0) threads = wh_cpu_cores();
    wh_par *p = wh_mem_alloc_aligned(1, sizeof *p);
    if (!p) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the thread team");
    atomic_init(&p->arrived, 0);
    atomic_init(&p->generation, 0);
    p->threads = threads;
    *out = p;
    return WH_OK;
}

void wh_par_free(wh_par *p) { free(p); }

int wh_par_threads(const wh_par *p) { return p->threads; }

void wh_par_run(wh_par *p, void (*fn)(void *ctx, int tid), void *ctx)
{
    if (p->threads == 1) {
        fn(ctx, 0);
        return;
    }
    int wanted = p->threads, got = 1;
#pragma omp parallel num_threads(wanted)
    {
#pragma omp single
        got = omp_get_num_threads();
        /* The system gave fewer threads than asked for (a limit on processes): the team shrinks. */
#pragma omp single
        p->threads = got;
        fn(ctx, omp_get_thread_num());
    }
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void wh_par_barrier(wh_par *p)
{
    enum { SPINS = 4000 }; /* some 40 to 100 us: longer than any imbalance between two stages */
    if (p->threads == 1) return;
    unsigned generation = atomic_load_explicit(&p->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) == p->threads - 1) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&p->generation, generation + 1, memory_order_release);
        return;
    }
    for (int i = 0; atomic_load_explicit(&p->generation, memory_order_acquire) == generation; i++) {
        if (i < SPINS) relax();
        else sched_yield();
    }
}

void wh_par_range(size_t *begin, size_t *end, size_t n, size_t unit, int tid, int nth)
{
    size_t units = (n + unit - 1) / unit, t = (size_t)tid, k = (size_t)nth;
    size_t b = units * t / k * unit, e = units * (t + 1) / k * unit;
    *begin = b < n ? b : n;
    *end = e < n ? e : n;
}
