/* act: the memory of rows of activations. */
#include "kern/act.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Members of the one allocation are cut from it in 64-byte units: first all sizes are added up, then,
 * with memory in hand, the same walk gives the addresses. */
typedef struct cut {
    char  *base;
    size_t used;
    bool   ok;
} cut;

static void *take(cut *c, size_t n, size_t size)
{
    size_t bytes, at = c->used;
    c->ok = c->ok && wh_mem_mul(&bytes, n, size) && wh_mem_add(&bytes, bytes, 63) &&
            wh_mem_add(&c->used, at, bytes / 64 * 64);
    return c->base ? c->base + at : NULL;
}

static void take_way(cut *c, wh_act_q *w, size_t rows, size_t q_stride, size_t k, size_t block)
{
    w->blocks = (k + block - 1) / block;
    w->q = take(c, rows, q_stride);
    w->d = take(c, rows, w->blocks * sizeof *w->d);
    w->sum = take(c, rows, k / WH_ACT_SUM * sizeof *w->sum);
    w->sum32 = take(c, rows, k / 32 * sizeof *w->sum32);
    if (block == 32) w->scaled = take(c, rows, w->blocks * sizeof *w->scaled);
}

static void lay_out(wh_act *a, cut *c, unsigned ways)
{
    a->f = take(c, a->rows, a->k * sizeof *a->f);
    if (ways & WH_ACT_32) take_way(c, &a->by32, a->rows, a->q_stride, a->k, 32);
    if (ways & WH_ACT_256) take_way(c, &a->by256, a->rows, a->q_stride, a->k, 256);
}

wh_code wh_act_create(wh_act *out, size_t rows, size_t k, unsigned ways, wh_err *err)
{
    memset(out, 0, sizeof *out);
    if (k % 32 != 0 || k == 0 || k > SIZE_MAX / 64)
        return wh_err_set(err, WH_ERR_ARG, "rows of %zu activations: not a multiple of 32", k);
    wh_act a = {.rows = rows, .k = k};
    /* An odd number of cache lines: the same place of all rows then falls on different cache sets. */
    a.q_stride = (k + 63) / 64 * 64 | 64;
    cut sizes = {.ok = true};
    lay_out(&a, &sizes, ways);
    cut real = {.base = sizes.ok ? wh_mem_alloc_aligned(sizes.used, 1) : NULL, .ok = true};
    if (!real.base) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu rows of %zu activations", rows, k);
    memset(real.base, 0, sizes.used);
    lay_out(&a, &real, ways);
    a.memory = real.base;
    a.bytes = sizes.used;
    *out = a;
    return WH_OK;
}

void wh_act_free(wh_act *a)
{
    free(a->memory);
    memset(a, 0, sizeof *a);
}
