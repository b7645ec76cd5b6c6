#include "base/par.h"

#include "base/cpu.h"
#include "base/mem.h"

#include <limits.h>
#include <linux/futex.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A sense-reversing barrier: the last to arrive resets the count and advances the generation. The counters
 * are on cache lines of their own, so that waiting reads do not disturb arriving writes. Who has waited for
 * `spins` turns sleeps on the generation; the last to arrive wakes sleepers, if there are any. */
struct wh_par {
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint generation;
    _Alignas(64) atomic_int sleepers;
    _Alignas(64) atomic_size_t taken;
    int threads, spins;
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
    atomic_init(&p->sleepers, 0);
    atomic_init(&p->taken, 0);
    p->threads = threads;
    /* A turn is some 50 ns. With a core for each thread the others are here soon; without, the core is better
     * given to a thread that is still to come. */
    p->spins = threads <= wh_cpu_cores() ? 4000 : 20;
    *out = p;
    return WH_OK;
}

void wh_par_free(wh_par *p) { free(p); }

int wh_par_threads(const wh_par *p) { return p->threads; }

void wh_par_run(wh_par *p, void (*fn)(void *ctx, int tid), void *ctx)
{
    atomic_store_explicit(&p->taken, 0, memory_order_relaxed);
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

static void sleep_while(wh_par *p, unsigned generation)
{
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->generation) == generation)
        syscall(SYS_futex, &p->generation, FUTEX_WAIT_PRIVATE, generation, NULL, NULL, 0);
    atomic_fetch_sub(&p->sleepers, 1);
}

size_t wh_par_take(wh_par *p) { return atomic_fetch_add_explicit(&p->taken, 1, memory_order_relaxed); }

void wh_par_barrier(wh_par *p)
{
    if (p->threads == 1) {
        atomic_store_explicit(&p->taken, 0, memory_order_relaxed);
        return;
    }
    unsigned generation = atomic_load_explicit(&p->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) == p->threads - 1) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&p->taken, 0, memory_order_relaxed);
        /* In one total order with the sleepers' count and their look at the generation: nobody is missed. */
        atomic_store(&p->generation, generation + 1);
        if (atomic_load(&p->sleepers)) syscall(SYS_futex, &p->generation, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return;
    }
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->generation, memory_order_acquire) != generation) return;
        relax();
    }
    sleep_while(p, generation);
}

void wh_par_range(size_t *begin, size_t *end, size_t n, size_t unit, int tid, int nth)
{
    size_t units = (n + unit - 1) / unit, t = (size_t)tid, k = (size_t)nth;
    size_t b = units * t / k * unit, e = units * (t + 1) / k * unit;
    *begin = b < n ? b : n;
    *end = e < n ? e : n;
}
