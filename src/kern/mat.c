/* mat: a packed matrix, and the wrapper that turns one product into kernel calls.
 *
 * A kernel takes whole panels and at most WH_MM_ROWS rows of x. The wrapper cuts m evenly, prepares what
 * depends on x and the format alone (wh_mm.start, wh_mm.sum), and deals with a last panel that is not full.
 * With more rows than one call takes, panels go in strips that stay in the L2 cache, so that memory is
 * read once for all rows; an even number of panels, as kernels for many rows take two at a time.
 */
#include "kern/mat.h"

#include "base/mem.h"
#include "kern/kern.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct wh_mat {
    wh_type        type;
    wh_layout      layout;
    size_t         n, k, panel_bytes;
    const uint8_t *panels;
    void          *own; /* panels, when they are ours to free */
};

enum { STRIP_BYTES = 256 << 10 };

size_t wh_mat_panel_count(const wh_mat *w) { return w->n / WH_PANEL + (w->n % WH_PANEL != 0); }

/* ---- packing ----------------------------------------------------------------------------------------- */

/* A matrix without its panels. */
static wh_code create(wh_mat **out, wh_mat_form form, wh_type type, size_t n, size_t k, wh_err *err)
{
    *out = NULL;
    const char *name = wh_quant_table[type].name;
    wh_layout   layout = form == WH_MAT_FAST ? wh_layout_fast(type, k) : wh_layout_of(type);
    if (layout == WH_LAYOUT_COUNT) return wh_err_set(err, WH_ERR_UNSUPPORTED, "a %zu x %zu matrix of %s: no kernel multiplies by it", n, k, name);
    if (n == 0 || k == 0 || k % 32 != 0 || wh_quant_row_bytes(type, k) == 0)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "a %zu x %zu matrix of %s: rows must be whole blocks and multiples of 32", n, k, name);
    size_t  panel_bytes = wh_layout_panel_bytes(layout, k);
    wh_mat *w = panel_bytes ? wh_mem_alloc(1, sizeof *w) : NULL;
    if (!w) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a %zu x %zu matrix of %s", n, k, name);
    *w = (wh_mat){.type = type, .layout = layout, .n = n, .k = k, .panel_bytes = panel_bytes};
    *out = w;
    return WH_OK;
}

wh_code wh_mat_create(wh_mat **out, wh_mat_form form, wh_type type, size_t n, size_t k, wh_err *err)
{
    wh_mat *w;
    *out = NULL;
    WH_TRY(create(&w, form, type, n, k, err));
    w->panels = w->own = wh_mem_alloc_aligned(wh_mat_panel_count(w), w->panel_bytes);
    if (!w->own) {
        wh_mat_free(w);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory to pack a %zu x %zu matrix of %s", n, k, wh_quant_table[type].name);
    }
    *out = w;
    return WH_OK;
}

size_t wh_mat_work(const wh_mat *w) { return w->k * WH_PANEL; }

void wh_mat_pack_panels(wh_mat *w, const void *rows, size_t begin, size_t end, void *work)
{
    size_t row_bytes = wh_quant_row_bytes(w->type, w->k);
    for (size_t p = begin; p < end; p++) {
        size_t row = p * WH_PANEL, n = w->n - row < WH_PANEL ? w->n - row : WH_PANEL;
        wh_layout_pack(w->layout, w->type, (uint8_t *)w->own + p * w->panel_bytes, (const uint8_t *)rows + row * row_bytes, row_bytes, n, w->k,
                       work);
    }
}

typedef struct pack_job {
    wh_mat     *w;
    const void *rows;
    uint8_t    *work; /* of each thread */
    int         threads;
} pack_job;

static void pack_part(void *ctx, int tid)
{
    const pack_job *job = ctx;
    size_t begin, end;
    wh_par_range(&begin, &end, wh_mat_panel_count(job->w), 1, tid, job->threads);
    wh_mat_pack_panels(job->w, job->rows, begin, end, job->work + (size_t)tid * wh_mat_work(job->w));
}

wh_code wh_mat_pack(wh_mat **out, wh_mat_form form, wh_type type, const void *rows, size_t n, size_t k, wh_par *par, wh_err *err)
{
    wh_mat *w;
    *out = NULL;
    WH_TRY(wh_mat_create(&w, form, type, n, k, err));
    pack_job job = {.w = w, .rows = rows, .threads = wh_par_threads(par)};
    job.work = wh_mem_alloc((size_t)job.threads, wh_mat_work(w));
    if (!job.work) {
        wh_mat_free(w);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory to pack a %zu x %zu matrix of %s", n, k, wh_quant_table[type].name);
    }
    wh_par_run(par, pack_part, &job);
    free(job.work);
    *out = w;
    return WH_OK;
}

wh_code wh_mat_borrow(wh_mat **out, wh_mat_form form, wh_type type, const void *panels, size_t bytes, size_t n, size_t k, wh_err *err)
{
    wh_mat *w;
    size_t  want;
    *out = NULL;
    WH_TRY(create(&w, form, type, n, k, err));
    if (!wh_mem_mul(&want, wh_mat_panel_count(w), w->panel_bytes) || bytes != want || (uintptr_t)panels % 64 != 0) {
        wh_mat_free(w);
        return wh_err_set(err, WH_ERR_FORMAT, "a %zu x %zu matrix of %s cannot be the %zu packed bytes at %p", n, k,
                          wh_quant_table[type].name, bytes, panels);
    }
    w->panels = panels;
    *out = w;
    return WH_OK;
}

void wh_mat_free(wh_mat *w)
{
    if (w) free(w->own);
    free(w);
}

wh_type wh_mat_type(const wh_mat *w) { return w->type; }
const void *wh_mat_panels(const wh_mat *w) { return w->panels; }
size_t wh_mat_rows(const wh_mat *w) { return w->n; }
size_t wh_mat_cols(const wh_mat *w) { return w->k; }
size_t wh_mat_bytes(const wh_mat *w) { return wh_mat_panel_count(w) * w->panel_bytes; }

wh_act_way wh_mat_way(const wh_mat *w)
{
    switch (wh_layout_table[w->layout].family) {
    case WH_FAMILY_LEGACY: return WH_ACT_32;
    case WH_FAMILY_K:
    case WH_FAMILY_BLOCK:  return WH_ACT_256;
    case WH_FAMILY_FLOAT:  break;
    }
    return WH_ACT_FLOAT;
}

/* ---- multiplying ------------------------------------------------------------------------------------- */

/* The scratch area: the kernel's own, one panel of y, and what prepare() writes. */
typedef struct scratch {
    char  *kernel;
    float *y;     /* WH_MM_ROWS x 16 */
    char  *start; /* WH_MM_ROWS x k / 16 int32 */
} scratch;

static size_t start_bytes(size_t k) { return k / WH_ACT_SUM * 4; }

static scratch lay_out(void *p)
{
    char *c = p, *y = c + WH_MM_SCRATCH;
    return (scratch){c, (float *)(void *)y, y + WH_MM_ROWS * WH_PANEL * sizeof(float)};
}

size_t wh_mat_scratch(const wh_mat *w)
{
    return (WH_MM_SCRATCH + WH_MM_ROWS * (WH_PANEL * sizeof(float) + start_bytes(w->k)) + 63) / 64 * 64;
}

/* Starts for the blocks of 256 k of a BLOCK layout, from the sums of 32 k. */
static void block_starts(int32_t *out, const int16_t *sum32, size_t k, int off)
{
    for (size_t k0 = 0; k0 < k; k0 += WH_ACT_BLOCK) {
        int sum = 0;
        for (size_t i = k0; i < k && i < k0 + WH_ACT_BLOCK; i += 32) sum += sum32[i / 32];
        *out++ = -off * sum;
    }
}

/* Set start and sum of the call for its m rows (layout.h says what a layout wants). AMX multiplies weights that have
 * lost their offset, so its products start at zero. */
static void prepare(wh_mm *a, const wh_kern *kern, const wh_mm_entry *e, const wh_mat *w, const wh_act_q *q, size_t row, const scratch *s)
{
    const wh_layout_info *f = &wh_layout_table[w->layout];
    size_t groups = wh_layout_groups(w->layout, w->k);
    a->start = s->start;
    a->start_stride = groups * 4;
    if (f->family == WH_FAMILY_BLOCK) {
        for (size_t i = 0; i < a->m; i++)
            block_starts((int32_t *)(void *)(s->start + i * groups * 4), q->sum32 + (row + i) * (w->k / 32), w->k, (int)a->off);
        return;
    }
    const int16_t *sum = (f->group == WH_ACT_SUM ? q->sum : q->sum32) + row * groups;
    a->sum = sum;
    a->sum_stride = groups * sizeof *sum;
    if (f->family == WH_FAMILY_LEGACY && f->min) a->start = q->scaled + row * groups;
    else if (e->isa != WH_ISA_INDEX_amx && w->layout != WH_LAYOUT_k5m)
        kern->act_starts((int32_t *)(void *)s->start, sum, a->m * groups, w->layout == WH_LAYOUT_k4m ? 8 : (int)a->off);
}

/* Panels [p0, p1) times rows [row, row + m) of x. */
static void mul_rows(const wh_kern *kern, const wh_mm_entry *e, const wh_mat *w, float *y, size_t y_stride, const wh_act *x, size_t row, size_t m,
                     size_t p0, size_t p1, const scratch *s)
{
    wh_act_way      way = wh_mat_way(w);
    const wh_act_q *q = way == WH_ACT_32 ? &x->by32 : &x->by256;
    wh_mm a = {.y = y, .y_stride = y_stride, .w = w->panels + p0 * w->panel_bytes, .m = m, .k = w->k,
               .scratch = s->kernel, .off = w->layout == WH_LAYOUT_b8 ? 128 : (size_t)wh_quant_table[w->type].offset};
    if (way == WH_ACT_FLOAT) {
        a.x = x->f + row * x->k;
        a.x_stride = x->k * sizeof(float);
    } else {
        a.x = q->q + row * x->q_stride;
        a.x_stride = x->q_stride;
        a.d = q->d + row * q->blocks;
        a.d_stride = q->blocks * sizeof(float);
        prepare(&a, kern, e, w, q, row, s);
    }
    size_t whole = p1 * WH_PANEL <= w->n ? p1 - p0 : p1 - p0 - 1;
    a.panels = whole;
    if (whole) e->fn(&a);
    if (whole == p1 - p0) return;
    /* The last panel has fewer than 16 rows: all 16 columns into the scratch area, the real ones to y. */
    size_t columns = w->n % WH_PANEL;
    a.panels = 1;
    a.w = w->panels + (p1 - 1) * w->panel_bytes;
    a.y = s->y;
    a.y_stride = WH_PANEL;
    e->fn(&a);
    for (size_t i = 0; i < m; i++)
        memcpy(y + i * y_stride + whole * WH_PANEL, s->y + i * WH_PANEL, columns * sizeof *y);
}

void wh_mat_mul(const wh_kern *kern, const wh_mat *w, float *y, size_t y_stride, const wh_act *x, size_t x0,
                size_t m, size_t n0, size_t n1, void *mem)
{
    assert(n0 % WH_PANEL == 0 && (n1 % WH_PANEL == 0 || n1 == w->n) && n1 <= w->n && x->k == w->k);
    if (m == 0 || n0 >= n1) return;
    scratch   s = lay_out(mem);
    size_t    begin = n0 / WH_PANEL, end = (n1 + WH_PANEL - 1) / WH_PANEL;
    size_t    chunks = (m + WH_MM_ROWS - 1) / WH_MM_ROWS, strip = end - begin;
    const wh_mm_entry *e = wh_kern_mm(kern, w->layout, m);
    if (chunks > 1 && strip > STRIP_BYTES / w->panel_bytes / 2 * 2 + 2) strip = STRIP_BYTES / w->panel_bytes / 2 * 2 + 2;
    for (size_t p0 = begin; p0 < end; p0 += strip) {
        size_t p1 = p0 + strip < end ? p0 + strip : end;
        for (size_t c = 0; c < chunks; c++) {
            size_t i0 = m * c / chunks, i1 = m * (c + 1) / chunks;
            mul_rows(kern, e, w, y + i0 * y_stride + (p0 - begin) * WH_PANEL, y_stride, x, x0 + i0, i1 - i0, p0, p1, &s);
        }
    }
}
