/* blas: unquantized weights, our kernels against OpenBLAS, in turn.
 *
 *   bench_blas [-t THREADS] [-r ROUNDS]
 *
 * y (m, n) = x (m, k) · wᵀ (n, k) in f32 for two matrices of a 1.5B model, for prompts (512 rows) and for batches.
 * Also: does a row's result depend on how many rows are computed with it? That decides which of the two may
 * serve the engine, whatever the speed. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kern/mat.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void openblas_set_num_threads(int n);

enum { MOST_ROUNDS = 64 };

typedef struct work {
    const wh_kern *kern;
    const wh_mat  *w;
    wh_act         x;
    float         *y;
    size_t         m;
    char          *scratch;
    wh_par        *par;
} work;

static void ours(void *ctx, int tid)
{
    work *k = ctx;
    size_t n = wh_mat_rows(k->w), begin, end;
    wh_par_range(&begin, &end, n, WH_PANEL, tid, wh_par_threads(k->par));
    if (begin < end)
        wh_mat_mul(k->kern, k->w, k->y + begin, n, &k->x, 0, k->m, begin, end,
                   k->scratch + (size_t)tid * (wh_mat_scratch(k->w) + 63) / 64 * 64);
}

static void theirs(const work *k, const float *w, size_t m, float *y)
{
    int n = (int)wh_mat_rows(k->w), width = (int)k->x.k;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, n, width, 1, k->x.f, width, w, width, 0, y, n);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *t, int n)
{
    qsort(t, (size_t)n, sizeof *t, ascending);
    return t[n / 2];
}

static void compare(wh_par *par, size_t n, size_t k, int rounds)
{
    static const size_t batches[] = {1, 4, 16, 64, 512};
    enum { MOST = 512 };
    float *w = wh_mem_alloc_aligned(n * k, sizeof *w), *y = wh_mem_alloc_aligned(MOST * n, sizeof *y);
    float *alone = wh_mem_alloc_aligned(n, sizeof *alone);
    wh_mat *packed = NULL;
    work job = {.kern = wh_kern_select(wh_cpu_detect()), .par = par, .y = y};
    for (size_t i = 0; w && i < n * k; i++) w[i] = (float)(wh_rng_uniform(1, 0, i) - 0.5);
    if (!w || !y || !alone || wh_mat_pack(&packed, WH_MAT_EXACT, WH_TYPE_F32, w, n, k, par, NULL) != WH_OK ||
        wh_act_create(&job.x, MOST, k, WH_ACT_FLOAT, NULL) != WH_OK) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    job.w = packed;
    job.scratch = wh_mem_alloc_aligned((size_t)wh_par_threads(par), (wh_mat_scratch(packed) + 127) / 64 * 64);
    for (size_t i = 0; i < MOST * k; i++) job.x.f[i] = (float)(wh_rng_uniform(2, 0, i) - 0.5);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        double mine[MOST_ROUNDS], blas[MOST_ROUNDS], flop = 2.0 * (double)batches[b] * (double)n * (double)k;
        job.m = batches[b];
        for (int r = 0; r < rounds; r++) {
            double start = wh_clock_now();
            wh_par_run(par, ours, &job);
            mine[r] = wh_clock_now() - start;
            start = wh_clock_now();
            theirs(&job, w, job.m, y);
            blas[r] = wh_clock_now() - start;
        }
        theirs(&job, w, 1, alone);
        double a = flop / median(mine, rounds) * 1e-9, o = flop / median(blas, rounds) * 1e-9;
        printf("| %zu x %zu | %zu | %.1f | %.1f | %.2f | %s |\n", n, k, job.m, a, o, a / o,
               memcmp(alone, y, n * sizeof *y) == 0 ? "the same" : "other bits");
    }
    wh_act_free(&job.x);
    wh_mat_free(packed);
    free(job.scratch);
    free(alone);
    free(w);
    free(y);
}

int main(int argc, char **argv)
{
    int threads = 0, rounds = 9;
    for (int c; (c = getopt(argc, argv, "t:r:")) != -1;) {
        if (c == 't') threads = atoi(optarg);
        else if (c == 'r') rounds = atoi(optarg);
        else return 2;
    }
    if (rounds < 1 || rounds > MOST_ROUNDS) rounds = 9;
    wh_par *par;
    if (wh_par_create(&par, threads, NULL) != WH_OK) return 1;
    openblas_set_num_threads(wh_par_threads(par));
    printf("| w | rows of x | whet GFLOP/s | OpenBLAS GFLOP/s | ratio | OpenBLAS: first row alone |\n|---|---|---|---|---|---|\n");
    compare(par, 1536, 1536, rounds);
    compare(par, 8960, 1536, rounds);
    wh_par_free(par);
    return 0;
}
