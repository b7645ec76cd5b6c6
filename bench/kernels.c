/* bench/kernels: what the matmul kernels reach, beside the machine's peaks measured in the same run.
 *
 *   bench_kernels [--threads N] [WORD]      WORD: kernels whose name contains it
 *
 * CSV on standard output: one line for each kernel and batch size. A pass takes some milliseconds: the next 16 MiB
 * of 256 MiB of packed weights (or as many panels as 1 GOP needs), cut evenly among the threads, k = 1536 as in a
 * 1.5B model (legacy layouts: 896, a 0.5B model). The best pass counts, so that a busy machine does little harm.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/par.h"
#include "kern/kern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_BYTES = 256 << 20, PASS_BYTES = 16 << 20 };

typedef struct job {
    wh_mm_fn *fn;
    wh_par   *par;
    wh_mm     call;
    size_t    panel_bytes, window, windows; /* bytes of a pass, passes until weights repeat */
    int       threads;
    char     *scratch;
} job;

static void multiply(void *ctx, int tid, size_t pass)
{
    const job *j = ctx;
    size_t     begin, end;
    wh_par_range(&begin, &end, j->call.panels, 1, tid, j->threads);
    wh_mm a = j->call;
    a.w = (const char *)a.w + pass % j->windows * j->window + begin * j->panel_bytes;
    a.y += begin * WH_PANEL;
    a.panels = end - begin;
    a.scratch = j->scratch + (size_t)tid * WH_MM_SCRATCH;
    if (a.panels) j->fn(&a);
}

/* ---- the machine's peaks ------------------------------------------------------------------------------ */

typedef struct peak_job {
    const char  *data;
    int          threads, kind; /* kind: an ISA index, or -1: read memory */
    volatile uint64_t sink[64];
} peak_job;

#if defined(__x86_64__)
enum { LOOPS = 1 << 14 };
#define TEN(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9)
#define CLOBBER "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#define REPEAT(body)                                                                                         \
    for (int i = 0; i < LOOPS; i++) __asm__ volatile(body ::: CLOBBER)
#define DOT512(i) "vpdpbusd %%zmm10, %%zmm11, %%zmm" #i "\n"
#define DOT256(i) "%{vex%} vpdpbusd %%ymm10, %%ymm11, %%ymm" #i "\n"
#define CHAIN256(i) "vpmaddubsw %%ymm10, %%ymm11, %%ymm" #i "\n vpaddw %%ymm10, %%ymm11, %%ymm" #i "\n"

/* Operations done by one thread: 2 for each product. */
static double spin(int kind)
{
    if (kind == WH_ISA_INDEX_avx512vnni) {
        REPEAT(TEN(DOT512));
        return 10.0 * 64 * 2 * LOOPS;
    }
    if (kind == WH_ISA_INDEX_avxvnni) {
        REPEAT(TEN(DOT256));
        return 10.0 * 32 * 2 * LOOPS;
    }
    if (kind == WH_ISA_INDEX_avx2) {
        REPEAT(TEN(CHAIN256));
        return 10.0 * 32 * 2 * LOOPS;
    }
    _Alignas(64) unsigned char config[64] = {1};
    for (int t = 0; t < 8; t++) {
        config[16 + 2 * t] = 64;
        config[48 + t] = 16;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
    for (int i = 0; i < LOOPS; i++)
        __asm__ volatile("tdpbssd %tmm6, %tmm4, %tmm0\n tdpbssd %tmm6, %tmm4, %tmm1\n"
                         "tdpbssd %tmm7, %tmm5, %tmm2\n tdpbssd %tmm7, %tmm5, %tmm3");
    __asm__ volatile("tilerelease");
    return 4.0 * 16 * 16 * 64 * 2 * LOOPS;
}
static const int spin_kinds[] = {WH_ISA_INDEX_avx2, WH_ISA_INDEX_avxvnni, WH_ISA_INDEX_avx512vnni, WH_ISA_INDEX_amx};
enum { SPIN_KINDS = 4 };
#else
static double    spin(int kind) { return (double)kind; }
static const int spin_kinds[1];
enum { SPIN_KINDS = 0 };
#endif

static void run_peak(void *ctx, int tid, size_t pass)
{
    peak_job *j = ctx;
    if (j->kind >= 0) {
        (void)spin(j->kind);
        return;
    }
    size_t begin, end;
    wh_par_range(&begin, &end, PASS_BYTES / 8, 8, tid, j->threads);
    const uint64_t *p = (const uint64_t *)(const void *)(j->data + pass % (WEIGHT_BYTES / PASS_BYTES) * PASS_BYTES);
    enum { STREAMS = 4, AHEAD = 512 };
    uint64_t sum[8] = {0};
    size_t   each = (end - begin) / STREAMS & ~(size_t)7; /* several streams, as the kernels' panels are: one alone waits for memory */
    for (size_t i = begin; i < begin + each; i += 8)
        for (size_t s = 0; s < STREAMS; s++) {
            const uint64_t *q = p + i + s * each;
            __builtin_prefetch(q + AHEAD);
            for (size_t lane = 0; lane < 8; lane++) sum[lane] += q[lane];
        }
    j->sink[tid % 64] = sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

typedef struct pass_job {
    void (*fn)(void *ctx, int tid, size_t pass);
    void  *ctx;
    size_t pass;
} pass_job;

static void run_pass(void *ctx, int tid)
{
    const pass_job *j = ctx;
    j->fn(j->ctx, tid, j->pass);
}

/* The shortest pass of about half a second of them. */
static double best_time(wh_par *par, void (*fn)(void *, int, size_t), void *ctx)
{
    pass_job j = {fn, ctx, 0};
    double   best = 1e9, began = wh_clock_now();
    for (; j.pass < 3 || wh_clock_now() - began < 0.5; j.pass++) {
        double start = wh_clock_now();
        wh_par_run(par, run_pass, &j);
        double s = wh_clock_now() - start;
        best = s < best ? s : best;
    }
    return best;
}

/* ---- the kernels --------------------------------------------------------------------------------------- */

static char *fill(size_t bytes, int seed)
{
    char *p = wh_mem_alloc_aligned(bytes, 1);
    if (!p) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(1);
    }
    uint32_t state = (uint32_t)seed;
    for (size_t i = 0; i < bytes; i++) {
        state = state * 1664525u + 1013904223u;
        p[i] = (char)((state >> 24 & 0x3b) | (i % 2 ? 0x38 : 0)); /* as f16, bf16 or f32: numbers of an ordinary size */
    }
    return p;
}

static void bench(const wh_mm_entry *e, const char *weights, wh_par *par, double ops_peak, double bytes_peak)
{
    static const size_t ms[] = {1, 2, 4, 8, 16, 32, 64, 128};
    const wh_layout_info *f = &wh_layout_table[e->layout];
    bool   is_float = f->family == WH_FAMILY_FLOAT;
    size_t k = f->family == WH_FAMILY_LEGACY ? 896 : 1536, groups = wh_layout_groups(e->layout, k);
    size_t x_stride = is_float ? k * 4 : k | 64; /* as wh_act lays rows out */
    size_t blocks = f->family == WH_FAMILY_K || f->family == WH_FAMILY_BLOCK ? k / 256 : k / 32, panel_bytes = wh_layout_panel_bytes(e->layout, k);
    int    threads = wh_par_threads(par);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        size_t m = ms[i], panels = PASS_BYTES / panel_bytes;
        double ops = 2.0 * (double)(m * WH_PANEL * k), most = e->isa == WH_ISA_INDEX_c ? 1e8 : 1e9;
        if ((double)panels * ops > most) panels = (size_t)(most / ops);
        char *x = fill(m * x_stride, 1), *d = fill(m * groups * 16, 2), *y = fill(m * panels * WH_PANEL * 4, 3);
        if (is_float)
            for (size_t v = 0; v < m * k; v++) ((float *)(void *)x)[v] = 0.5f;
        memset(d, 0, m * groups * 16);
        for (size_t v = 0; v < m * blocks; v++) ((float *)(void *)d)[v] = 0.01f;
        job j = {.fn = e->fn, .par = par, .panel_bytes = panel_bytes, .window = panels * panel_bytes,
                 .windows = WEIGHT_BYTES / (panels * panel_bytes), .threads = threads, .scratch = fill((size_t)threads * WH_MM_SCRATCH, 4)};
        char *start = d + m * groups * 4, *sum = start + m * groups * 4;
        j.call = (wh_mm){.y = (float *)(void *)y, .y_stride = panels * WH_PANEL, .w = weights, .panels = panels, .m = m, .k = k,
                         .x = x, .x_stride = x_stride, .d = (float *)(void *)d, .d_stride = blocks * 4, .start = start,
                         .start_stride = groups * 4, .sum = (int16_t *)(void *)sum, .sum_stride = groups * 2, .off = 8};
        double s = best_time(par, multiply, &j), gops = ops * (double)panels / s * 1e-9,
               gbs = (double)(panels * panel_bytes) / s * 1e-9;
        printf("%s,%zu,%d,%.3f,%.1f,%.2f,", e->name, m, threads, s * 1e3, gops, gbs);
        if (ops_peak > 0) printf("%.0f%%", 100 * gops / ops_peak);
        printf(",%.0f%%\n", 100 * gbs / bytes_peak);
        fflush(stdout);
        free(x);
        free(d);
        free(y);
        free(j.scratch);
    }
}

int main(int argc, char **argv)
{
    int         threads = 0;
    const char *word = "";
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) threads = atoi(argv[++i]);
        else word = argv[i];
    wh_par *par;
    wh_err  err;
    if (wh_par_create(&par, threads, &err) != WH_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.msg);
        return 1;
    }
    wh_isa have = wh_cpu_detect();
    char   model[128];
    wh_cpu_model(model, sizeof model);
    char    *weights = fill(WEIGHT_BYTES, 5);
    peak_job read = {.data = weights, .threads = wh_par_threads(par), .kind = -1};
    double   bytes_peak = PASS_BYTES / best_time(par, run_peak, &read) * 1e-9, ops_peak[WH_ISA_COUNT] = {0};
    printf("# %s, %d threads; peaks: read %.1f GB/s", model, wh_par_threads(par), bytes_peak);
    for (int i = 0; i < SPIN_KINDS; i++) {
        int kind = spin_kinds[i];
        if (!(have >> kind & 1)) continue;
        peak_job j = {.kind = kind, .threads = wh_par_threads(par)};
        double   ops = spin(kind);
        ops_peak[kind] = ops * j.threads / best_time(par, run_peak, &j) * 1e-9;
        printf(", %s %.0f GOP/s", wh_isa_table[kind].word, ops_peak[kind]);
    }
    printf("\nkernel,m,threads,ms,GOP/s,GB/s,of ops peak,of read peak\n");
    for (size_t i = 0; i < wh_mm_count; i++) {
        const wh_mm_entry *e = &wh_mm_table[i];
        bool is_float = wh_layout_table[e->layout].family == WH_FAMILY_FLOAT;
        if ((have >> e->isa & 1) && strstr(e->name, word)) bench(e, weights, par, is_float ? 0 : ops_peak[e->isa], bytes_peak);
    }
    free(weights);
    wh_par_free(par);
    return 0;
}
