#include "app/machine.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading memory ------------------------------------------------------------------------------------------- */

typedef struct reading {
    wh_par         *par;
    const uint64_t *data;
    size_t          n;
    uint64_t        sums[64]; /* keeps the compiler from leaving the loop out */
} reading;

static void read_share(void *ctx, int tid)
{
    reading *r = ctx;
    size_t begin, end;
    wh_par_range(&begin, &end, r->n, 1024, tid, wh_par_threads(r->par));
    uint64_t s[8] = {0};
    for (size_t i = begin; i + 8 <= end; i += 8)
        for (size_t k = 0; k < 8; k++) s[k] += r->data[i + k];
    r->sums[tid & 63] = s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

double wh_machine_bandwidth(wh_par *par)
{
    enum { BYTES = 512 << 20, TIMES = 5 };
    reading r = {.par = par, .n = BYTES / sizeof(uint64_t)};
    uint64_t *data = wh_mem_alloc_aligned(r.n, sizeof *data);
    if (!data) return 0;
    memset(data, 1, BYTES);
    r.data = data;
    double best = 0;
    for (int i = 0; i < TIMES; i++) {
        double began = wh_clock_now();
        wh_par_run(par, read_share, &r);
        double speed = BYTES / (wh_clock_now() - began);
        best = speed > best ? speed : best;
    }
    free(data);
    return best;
}

/* ---- multiplying ------------------------------------------------------------------------------------------------ */

enum { ROWS_OUT = 128, WIDTH = 1024 }; /* the matrix stays in a core's own cache */

typedef struct multiplying {
    wh_par        *par;
    const wh_kern *kern;
    const wh_mat  *w;
    wh_act         x;
    size_t         rows;
    float         *y;       /* (threads, rows, ROWS_OUT) */
    char          *scratch; /* (threads, scratch_bytes) */
    size_t         scratch_bytes;
    double        *best;    /* (threads): seconds of one product */
} multiplying;

/* The best of many short products, so that a moment without interruptions is enough. */
static void multiply(void *ctx, int tid)
{
    enum { TIMES = 1000 };
    const double enough = 0.25;
    multiplying *m = ctx;
    double began = wh_clock_now(), last = began;
    m->best[tid] = HUGE_VAL;
    for (int i = 0; i < TIMES && last - began < enough; i++) {
        wh_mat_mul(m->kern, m->w, m->y + (size_t)tid * m->rows * ROWS_OUT, ROWS_OUT, &m->x, 0, m->rows, 0, ROWS_OUT,
                   m->scratch + (size_t)tid * m->scratch_bytes);
        double now = wh_clock_now();
        if (now - last < m->best[tid]) m->best[tid] = now - last;
        last = now;
    }
}

static double time_multiply(multiplying *m)
{
    double flops = 2.0 * (double)m->rows * ROWS_OUT * WIDTH, speed = 0;
    wh_par_run(m->par, multiply, m);
    for (int t = 0; t < wh_par_threads(m->par); t++) speed += flops / m->best[t];
    return speed;
}

double wh_machine_peak(wh_par *par, const wh_kern *kern, wh_mat_form form, wh_type type, size_t rows)
{
    multiplying m = {.par = par, .kern = kern, .rows = rows};
    size_t threads = (size_t)wh_par_threads(par), bytes = wh_quant_row_bytes(type, WIDTH);
    void *source = wh_mem_zalloc(ROWS_OUT, bytes);
    wh_mat *w = NULL;
    double speed = 0;
    if (source && bytes && wh_mat_pack(&w, form, type, source, ROWS_OUT, WIDTH, par, NULL) == WH_OK &&
        wh_act_create(&m.x, rows, WIDTH, wh_mat_way(w), NULL) == WH_OK) {
        m.w = w;
        m.scratch_bytes = (wh_mat_scratch(w) + 63) / 64 * 64;
        m.y = wh_mem_alloc(threads * rows * ROWS_OUT, sizeof *m.y);
        m.scratch = wh_mem_alloc_aligned(threads * m.scratch_bytes + 64, 1);
        m.best = wh_mem_alloc(threads, sizeof *m.best);
        for (size_t i = 0; i < rows * WIDTH; i++) m.x.f[i] = (float)(i % 17) - 8;
        wh_act_quantize(kern, &m.x, 0, rows, wh_mat_way(w));
        if (m.y && m.scratch && m.best) speed = time_multiply(&m);
    }
    free(m.best);
    free(m.y);
    free(m.scratch);
    wh_act_free(&m.x);
    wh_mat_free(w);
    free(source);
    return speed;
}
