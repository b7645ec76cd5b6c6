#include "engine/sampler.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct wh_sampler {
    wh_forward     *forward;
    const wh_model *model;
    size_t          max_rows, vocab, tiles, bytes;
    int             threads;
    wh_logit_sum   *sums;    /* (max_rows, tiles) */
    float          *target;  /* (max_rows) logit of the target token */
    float          *work;    /* (threads, WH_HEAD_TILE) */
    float          *weights; /* (threads, tiles): what the sum of each tile weighs */
    float          *rows;    /* (max_rows, vocab); NULL until truncation is allowed */
    int32_t        *order;   /* (threads, vocab): a heap of tokens, likewise */
    float          *tops;    /* (threads, tiles), and the tiles in their order, likewise */
    int32_t        *tile_order;
    wh_pick        *picks;
    wh_head_sink    sink;
};

static bool truncates(const wh_pick *s)
{
    return s->target < 0 && s->temperature > 0 && (s->top_k > 0 || s->top_p < 1 || s->min_p > 0);
}

static float inverse_temperature(const wh_pick *s)
{
    return s->target >= 0 || s->temperature <= 0 ? 1.0f : 1.0f / s->temperature;
}

static void take_tile(void *ctx, int tid, size_t row, const float *logits, size_t begin, size_t n)
{
    wh_sampler *s = ctx;
    (void)tid;
    const wh_pick *want = &s->picks[row];
    s->model->ops->logits(&s->sums[row * s->tiles + begin / WH_HEAD_TILE], logits, n, inverse_temperature(want));
    if (want->target >= 0 && (size_t)want->target >= begin && (size_t)want->target < begin + n)
        s->target[row] = logits[(size_t)want->target - begin];
    if (truncates(want)) memcpy(s->rows + row * s->vocab + begin, logits, n * sizeof *logits);
}

/* The largest scaled logit of the row, its token, and the sum of exponentials relative to it; weights[t]
 * becomes the part of tile t in that sum. */
static double total(const wh_sampler *s, size_t row, float *weights, float *max, int32_t *argmax)
{
    const wh_logit_sum *sums = s->sums + row * s->tiles;
    size_t best = 0;
    for (size_t t = 1; t < s->tiles; t++)
        if (sums[t].max > sums[best].max) best = t;
    *max = sums[best].max;
    *argmax = (int32_t)(best * WH_HEAD_TILE + sums[best].argmax);
    for (size_t t = 0; t < s->tiles; t++) weights[t] = sums[t].max;
    s->model->ops->exps(weights, weights, s->tiles, 1, *max);
    double z = 0;
    for (size_t t = 0; t < s->tiles; t++) {
        weights[t] *= sums[t].sum;
        z += (double)weights[t];
    }
    return z;
}

static void draw(wh_sampler *s, int tid, size_t row, wh_pick *want, const float *weights, float max, double z)
{
    double left = want->uniform * z;
    size_t t = 0;
    while (t + 1 < s->tiles && left >= (double)weights[t]) left -= (double)weights[t++];
    size_t begin = t * WH_HEAD_TILE, end = begin + WH_HEAD_TILE < s->vocab ? begin + WH_HEAD_TILE : s->vocab;
    float *p = s->work + (size_t)tid * WH_HEAD_TILE;
    wh_forward_logits(s->forward, tid, p, row, begin, end);
    s->model->ops->exps(p, p, end - begin, inverse_temperature(want), max);
    /* The last token with any weight takes what rounding leaves over. */
    size_t pick = 0;
    for (size_t i = 0; i < end - begin; i++) {
        if (p[i] > 0) pick = i;
        left -= (double)p[i];
        if (left < 0) break;
    }
    want->token = (int32_t)(begin + pick);
    want->logprob = log((double)p[pick] / z);
}

/* ---- truncation -------------------------------------------------------------------------------------- */

/* Order of tokens: larger weight first, then the smaller id. */
static bool before(const float *p, int32_t a, int32_t b) { return p[a] > p[b] || (p[a] == p[b] && a < b); }

static void sift(const float *p, int32_t *heap, size_t n, size_t i)
{
    for (;;) {
        size_t top = i, left = 2 * i + 1, right = left + 1;
        if (left < n && before(p, heap[left], heap[top])) top = left;
        if (right < n && before(p, heap[right], heap[top])) top = right;
        if (top == i) return;
        int32_t swap = heap[i];
        heap[i] = heap[top];
        heap[top] = swap;
        i = top;
    }
}

static void heapify(const float *p, int32_t *heap, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) sift(p, heap, n, i);
}

static void push(const float *p, int32_t *heap, size_t n, int32_t token)
{
    size_t i = n;
    for (; i && before(p, token, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = token;
}

/* Tiles from the largest of their best weights down; tops[t] becomes no less than any weight in tile t. */
static void order_tiles(const wh_sampler *s, size_t row, float *tops, int32_t *tiles, float max)
{
    const float slack = 1.0001f; /* for rounding, so that it is a bound */
    const wh_logit_sum *sums = s->sums + row * s->tiles;
    for (size_t t = 0; t < s->tiles; t++) tops[t] = sums[t].max;
    s->model->ops->exps(tops, tops, s->tiles, 1, max);
    for (size_t t = 0; t < s->tiles; t++) {
        tops[t] *= slack;
        tiles[t] = (int32_t)t;
    }
    heapify(tops, tiles, s->tiles);
    for (size_t n = s->tiles; n-- > 1;) { /* the best goes behind the rest, which leaves the order backwards */
        int32_t best = tiles[0];
        tiles[0] = tiles[n];
        sift(tops, tiles, n, 0);
        tiles[n] = best;
    }
    for (size_t a = 0, b = s->tiles - 1; a < b; a++, b--) {
        int32_t swap = tiles[a];
        tiles[a] = tiles[b];
        tiles[b] = swap;
    }
}

/* The weights of a tile are made, and those of at least `least` join the heap; returns its new size. */
static size_t open_tile(const wh_sampler *s, float *p, int32_t *heap, size_t n, size_t tile, float least, const wh_pick *want, float max)
{
    size_t begin = tile * WH_HEAD_TILE, end = begin + WH_HEAD_TILE < s->vocab ? begin + WH_HEAD_TILE : s->vocab;
    s->model->ops->exps(p + begin, p + begin, end - begin, inverse_temperature(want), max);
    for (size_t i = begin; i < end; i++)
        if (p[i] >= least) push(p, heap, n++, (int32_t)i);
    return n;
}

/* Tokens leave a heap in order of probability until one of the limits is reached; they are moved to the free end of
 * the array. Then the number picks among them. top-k first, then top-p of all the mass, then min-p relative to the
 * best. A tile is looked into only when something in it may be next. */
static void draw_truncated(wh_sampler *s, int tid, size_t row, wh_pick *want, float max, int32_t argmax, double z)
{
    float *p = s->rows + row * s->vocab, *tops = s->tops + (size_t)tid * s->tiles, least = want->min_p;
    int32_t *heap = s->order + (size_t)tid * s->vocab, *tiles = s->tile_order + (size_t)tid * s->tiles;
    size_t n = 0, kept = 0, next = 0, most = want->top_k > 0 ? (size_t)want->top_k : s->vocab;
    order_tiles(s, row, tops, tiles, max);
    if (most <= s->tiles) { /* so many tiles have a token of at least this weight */
        float kth = 0.999f * tops[tiles[most - 1]];
        if (kth > least) least = kth;
    }
    double mass = 0;
    while (kept < most && (kept == 0 || mass < (double)want->top_p * z)) {
        while (next < s->tiles && tops[tiles[next]] >= least && (!n || tops[tiles[next]] >= p[heap[0]]))
            n = open_tile(s, p, heap, n, (size_t)tiles[next++], least, want, max);
        if (!n) break;
        int32_t token = heap[0];
        if (kept && p[token] < want->min_p) break; /* the best has weight 1 */
        heap[0] = heap[--n];
        sift(p, heap, n, 0);
        heap[s->vocab - 1 - kept++] = token;
        mass += (double)p[token];
    }
    if (!kept) { /* logits that are no numbers */
        want->token = argmax;
        want->logprob = NAN;
        return;
    }
    double left = want->uniform * mass;
    size_t i = s->vocab - 1;
    while (i > s->vocab - kept && (left -= (double)p[heap[i]]) >= 0) i--;
    want->token = heap[i];
    want->logprob = log((double)p[heap[i]] / z);
}

static void finish_row(void *ctx, int tid, size_t row)
{
    wh_sampler *s = ctx;
    wh_pick *want = &s->picks[row];
    float *weights = s->weights + (size_t)tid * s->tiles, max;
    int32_t argmax;
    double z = total(s, row, weights, &max, &argmax);
    if (want->target >= 0) {
        want->token = want->target;
        want->logprob = (double)s->target[row] - (double)max - log(z);
    } else if (want->temperature <= 0) {
        want->token = argmax;
        want->logprob = -log(z);
    } else if (truncates(want)) {
        draw_truncated(s, tid, row, want, max, argmax, z);
    } else {
        draw(s, tid, row, want, weights, max, z);
    }
}

/* ---- life -------------------------------------------------------------------------------------------- */

static void free_truncation(wh_sampler *s)
{
    free(s->rows);
    free(s->order);
    free(s->tops);
    free(s->tile_order);
    s->rows = s->tops = NULL;
    s->order = s->tile_order = NULL;
}

wh_code wh_sampler_create(wh_sampler **out, wh_forward *forward, const wh_model *model, size_t max_rows, int threads,
                          wh_err *err)
{
    *out = NULL;
    wh_sampler *s = wh_mem_zalloc(1, sizeof *s);
    if (!s) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a sampler");
    size_t nth = (size_t)threads;
    s->forward = forward;
    s->model = model;
    s->max_rows = max_rows;
    s->threads = threads;
    s->vocab = model->config.vocab;
    s->tiles = (s->vocab + WH_HEAD_TILE - 1) / WH_HEAD_TILE;
    s->sums = wh_mem_alloc(max_rows * s->tiles, sizeof *s->sums);
    s->target = wh_mem_alloc(max_rows, sizeof *s->target);
    s->work = wh_mem_alloc_aligned(nth * WH_HEAD_TILE, sizeof *s->work);
    s->weights = wh_mem_alloc(nth * s->tiles, sizeof *s->weights);
    s->sink = (wh_head_sink){take_tile, finish_row, s};
    s->bytes = max_rows * (s->tiles * sizeof *s->sums + sizeof *s->target) +
               nth * (WH_HEAD_TILE * sizeof *s->work + s->tiles * sizeof *s->weights);
    if (!s->sums || !s->target || !s->work || !s->weights) {
        wh_sampler_free(s);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory to sample %zu rows", max_rows);
    }
    *out = s;
    return WH_OK;
}

wh_code wh_sampler_allow_truncation(wh_sampler *s, wh_err *err)
{
    size_t nth = (size_t)s->threads;
    if (s->rows) return WH_OK;
    s->order = wh_mem_alloc(nth * s->vocab, sizeof *s->order);
    s->tops = wh_mem_alloc(nth * s->tiles, sizeof *s->tops);
    s->tile_order = wh_mem_alloc(nth * s->tiles, sizeof *s->tile_order);
    bool ok = s->order && s->tops && s->tile_order;
    s->rows = ok ? wh_mem_alloc(s->max_rows * s->vocab, sizeof *s->rows) : NULL;
    if (!s->rows) {
        free_truncation(s);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for the logits of %zu rows", s->max_rows);
    }
    s->bytes += s->max_rows * s->vocab * sizeof *s->rows + nth * s->vocab * sizeof *s->order +
                nth * s->tiles * (sizeof *s->tops + sizeof *s->tile_order);
    return WH_OK;
}

void wh_sampler_free(wh_sampler *s)
{
    if (!s) return;
    free(s->sums);
    free(s->target);
    free(s->work);
    free(s->weights);
    free_truncation(s);
    free(s);
}

size_t wh_sampler_bytes(const wh_sampler *s) { return s->bytes; }

const wh_head_sink *wh_sampler_sink(wh_sampler *s, wh_pick *picks)
{
    s->picks = picks;
    return &s->sink;
}
