/* The transformer, as one function that all threads run together: each stage is divided among the threads,
 * and a barrier stands between a stage that writes and the stage that reads it.
 *
 * Shapes: n rows, d width, H query heads and K key-value heads of hd dimensions, f feed-forward width.
 */
#include "model/forward.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct wh_forward {
    const wh_model *model;
    wh_par         *par;
    size_t          layers, max_rows, context, qkv_width;
    wh_act          in;    /* (n, d) input of q k v, of gate and up, of the head */
    wh_act          attn;  /* (n, H*hd) input of o */
    wh_act          ffn;   /* (n, f) input of down */
    float          *x;     /* (n, d) the residual stream */
    float          *y;     /* (n, d) what a block adds to it */
    float          *ones;  /* (d) weights of a norm that has none */
    float          *qkv;   /* (n, (H + 2K)*hd) */
    float          *o, *ml; /* (n, H, hd) and (n, H, 2): softmax state of attention */
    float          *cosine, *sine; /* (context, hd/2) */
    wh_attn_query  *queries; /* (threads, QUERIES) */
    float          *tiles;   /* (threads, tile_floats): a tile of logits, or of gate and of up */
    size_t          tile_floats;
    char           *scratch; /* (threads, scratch_bytes) */
    size_t          scratch_bytes, bytes;

    /* the pass that runs now */
    wh_kv              *kv;
    const wh_batch     *batch;
    const wh_head_sink *sink;
};

enum {
    QUERIES = 256,  /* query vectors handed to attention at a time */
    PRODUCTS = 3,   /* most products in a stage */
    FFN_TILE = 512, /* columns of gate and up done together; 2 FFN_TILE <= WH_HEAD_TILE */
};

/* ---- buffers ----------------------------------------------------------------------------------------- */

static void *take(wh_forward *f, size_t n, size_t size, bool *ok)
{
    size_t bytes;
    void *p = wh_mem_mul(&bytes, n, size) ? wh_mem_alloc_aligned(n, size) : NULL;
    if (p) f->bytes += bytes;
    else *ok = false;
    return p;
}

/* The rotation angles of RoFormer (Su et al. 2021): position · base^(-2i/hd), slowed down by Llama 3's factor. */
static void fill_rope(wh_forward *f)
{
    const wh_config *c = &f->model->config;
    size_t half = c->head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        double turn = pow((double)c->rope_base, -2.0 * (double)i / (double)c->head_dim);
        if (f->model->rope_factors) turn /= (double)f->model->rope_factors[i];
        turn /= (double)c->rope_scale;
        for (size_t p = 0; p < f->context; p++) {
            f->cosine[p * half + i] = (float)cos((double)p * turn);
            f->sine[p * half + i] = (float)sin((double)p * turn);
        }
    }
}

static size_t scratch_of(const wh_model *m)
{
    size_t most = wh_mat_scratch(m->head);
    for (size_t i = 0; i < m->config.layers; i++) {
        const wh_layer *y = &m->layers[i];
        const wh_mat *mats[] = {y->q, y->k, y->v, y->o, y->gate, y->up, y->down};
        for (size_t j = 0; j < sizeof mats / sizeof mats[0]; j++)
            if (wh_mat_scratch(mats[j]) > most) most = wh_mat_scratch(mats[j]);
    }
    return (most + 63) / 64 * 64;
}

wh_code wh_forward_create(wh_forward **out, const wh_model *model, wh_par *par, size_t layers, size_t max_rows,
                          size_t context, wh_err *err)
{
    *out = NULL;
    const wh_config *c = &model->config;
    wh_forward *f = wh_mem_zalloc(1, sizeof *f);
    if (!f) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a forward pass");
    f->model = model;
    f->par = par;
    f->layers = layers;
    f->max_rows = max_rows;
    f->context = context;
    f->qkv_width = (c->heads + 2 * c->kv_heads) * c->head_dim;
    size_t threads = (size_t)wh_par_threads(par), q_width = c->heads * c->head_dim;
    f->scratch_bytes = scratch_of(model);
    bool ok = wh_act_create(&f->in, max_rows, c->d, model->ways_d, err) == WH_OK &&
              wh_act_create(&f->attn, max_rows, q_width, model->ways_attn, err) == WH_OK &&
              wh_act_create(&f->ffn, max_rows, c->ffn, model->ways_ffn, err) == WH_OK;
    f->x = take(f, max_rows * c->d, sizeof(float), &ok);
    f->y = take(f, max_rows * c->d, sizeof(float), &ok);
    f->ones = take(f, c->d, sizeof(float), &ok);
    f->qkv = take(f, max_rows * f->qkv_width, sizeof(float), &ok);
    f->o = take(f, max_rows * q_width, sizeof(float), &ok);
    f->ml = take(f, max_rows * c->heads * 2, sizeof(float), &ok);
    f->cosine = take(f, context * (c->head_dim / 2), sizeof(float), &ok);
    f->sine = take(f, context * (c->head_dim / 2), sizeof(float), &ok);
    f->queries = take(f, threads * QUERIES, sizeof *f->queries, &ok);
    f->tile_floats = max_rows * WH_HEAD_TILE;
    f->tiles = take(f, threads * f->tile_floats, sizeof(float), &ok);
    f->scratch = take(f, threads * f->scratch_bytes + 64, 1, &ok);
    if (!ok) {
        wh_forward_free(f);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for the buffers of a batch of %zu rows", max_rows);
    }
    for (size_t i = 0; i < c->d; i++) f->ones[i] = 1;
    fill_rope(f);
    *out = f;
    return WH_OK;
}

void wh_forward_free(wh_forward *f)
{
    if (!f) return;
    wh_act_free(&f->in);
    wh_act_free(&f->attn);
    wh_act_free(&f->ffn);
    void *all[] = {f->x, f->y, f->ones, f->qkv, f->o, f->ml, f->cosine, f->sine, f->queries, f->tiles, f->scratch};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    free(f);
}

size_t wh_forward_bytes(const wh_forward *f)
{
    return f->bytes + f->in.bytes + f->attn.bytes + f->ffn.bytes;
}

/* ---- stages ------------------------------------------------------------------------------------------ */

/* One matrix product among others of a stage: y (n, y_stride) columns [at, at + rows of w). */
typedef struct product {
    const wh_mat *w;
    float        *y;
    size_t        stride;
} product;

/* Panels of a piece, out of `total`: four pieces for each thread, or fewer where that leaves the busiest one clearly
 * less to do. An even number, as kernels for many rows take two panels at a time. */
static size_t piece_of(size_t total, size_t threads)
{
    enum { LEAST = 8 }; /* smaller pieces cost more than an idle thread */
    size_t best = total + total % 2, least = total;
    for (size_t each = 4; each > 0 && threads > 1; each--) {
        size_t piece = (total + 2 * threads * each - 1) / (2 * threads * each) * 2;
        if (piece < LEAST) piece = LEAST;
        size_t pieces = (total + piece - 1) / piece, most = (pieces + threads - 1) / threads * piece;
        if (most < least - least / 32) least = most, best = piece;
    }
    return best;
}

/* All products of a stage take the same rows of x. Their panels are cut into pieces that the threads take as
 * they get to them. */
static void multiply(wh_forward *f, int tid, const product *p, size_t count, const wh_act *x, size_t m)
{
    size_t panels[PRODUCTS], total = 0;
    for (size_t i = 0; i < count; i++) total += panels[i] = (wh_mat_rows(p[i].w) + WH_PANEL - 1) / WH_PANEL;
    size_t piece = piece_of(total, (size_t)wh_par_threads(f->par));
    void *scratch = f->scratch + (size_t)tid * f->scratch_bytes;
    for (size_t take; (take = wh_par_take(f->par)) * piece < total;) {
        size_t begin = take * piece, end = begin + piece, base = 0;
        for (size_t i = 0; i < count; base += panels[i++]) {
            size_t b = begin > base ? begin - base : 0, e = end > base ? end - base : 0;
            if (e > panels[i]) e = panels[i];
            if (b >= e) continue;
            size_t rows = wh_mat_rows(p[i].w), n0 = b * WH_PANEL, n1 = e * WH_PANEL < rows ? e * WH_PANEL : rows;
            wh_mat_mul(f->model->kern, p[i].w, p[i].y + n0, p[i].stride, x, 0, m, n0, n1, scratch);
        }
    }
}

/* Rows [*b, *e) of thread tid. */
static void my_rows(const wh_forward *f, int tid, size_t n, size_t *b, size_t *e)
{
    wh_par_range(b, e, n, 1, tid, wh_par_threads(f->par));
}

static void embed(wh_forward *f, size_t b, size_t e)
{
    const wh_gguf_tensor *t = f->model->embedding;
    size_t d = f->model->config.d, row_bytes = wh_quant_row_bytes(t->type, d);
    for (size_t r = b; r < e; r++) {
        const char *row = (const char *)t->data + (size_t)f->batch->tokens[r] * row_bytes;
        wh_quant_dequantize_row(t->type, f->x + r * d, row, d);
    }
}

/* x += y when there is a y, then the norm, quantized for the products that follow. */
static void add_norm(wh_forward *f, const float *y, const float *weight, size_t b, size_t e)
{
    const wh_config *c = &f->model->config;
    for (size_t r = b; r < e; r++) {
        if (y) f->model->ops->add(f->x + r * c->d, y + r * c->d, c->d);
        f->model->ops->rmsnorm(f->in.f + r * c->d, f->x + r * c->d, weight, c->d, c->rms_eps);
    }
    wh_act_quantize(f->model->kern, &f->in, b, e, f->model->ways_d);
}

/* Bias, norm and rotation of q and k; K and V go into their block. */
static void rotate_and_store(wh_forward *f, const wh_layer *y, size_t layer, size_t b, size_t e)
{
    const wh_config *c = &f->model->config;
    const wh_ops *ops = f->model->ops;
    size_t hd = c->head_dim, half = hd / 2;
    void (*rope)(float *, const float *, const float *, size_t) = c->arch->rope_pairs ? ops->rope_pairs : ops->rope_half;
    float q_scale = 1.0f / sqrtf((float)hd);
    for (size_t r = b; r < e; r++) {
        float *q = f->qkv + r * f->qkv_width, *k = q + c->heads * hd, *v = k + c->kv_heads * hd;
        size_t p = f->batch->positions[r], block = f->batch->open[r], slot = p % WH_KV_BLOCK;
        const float *cosine = f->cosine + p * half, *sine = f->sine + p * half;
        if (y->qkv_bias) ops->add(q, y->qkv_bias, f->qkv_width);
        for (size_t h = 0; h < c->heads; h++) {
            if (y->q_norm) ops->rmsnorm(q + h * hd, q + h * hd, y->q_norm, hd, c->rms_eps);
            rope(q + h * hd, cosine, sine, hd);
        }
        ops->scale(q, q_scale, c->heads * hd);
        for (size_t h = 0; h < c->kv_heads; h++) {
            if (y->k_norm) ops->rmsnorm(k + h * hd, k + h * hd, y->k_norm, hd, c->rms_eps);
            rope(k + h * hd, cosine, sine, hd);
            ops->store_f16(wh_kv_open_keys(f->kv, block, layer, h) + slot, k + h * hd, hd, WH_KV_BLOCK);
            ops->store_f16(wh_kv_open_values(f->kv, block, layer, h) + slot * hd, v + h * hd, hd, 1);
        }
    }
}

/* Blocks that are full now. */
static void close_blocks(wh_forward *f, int tid, size_t layer)
{
    size_t heads = f->kv->kv_heads, b, e;
    my_rows(f, tid, f->batch->n_close * heads, &b, &e);
    for (size_t i = b; i < e; i++) {
        size_t from = f->batch->close_from[i / heads], h = i % heads;
        wh_kv8 to = wh_kv_closed(f->kv, f->batch->close_to[i / heads], layer, h);
        f->model->ops->kv_close(&to, wh_kv_open_keys(f->kv, from, layer, h), wh_kv_open_values(f->kv, from, layer, h),
                                f->kv->head_dim);
    }
}

/* The queries of row r that share key-value head h. */
static size_t add_queries(const wh_forward *f, size_t r, size_t h, size_t keys, wh_attn_query *list)
{
    const wh_config *c = &f->model->config;
    size_t hd = c->head_dim, group = c->heads / c->kv_heads;
    for (size_t i = 0; i < group; i++) {
        size_t head = h * group + i, at = r * c->heads + head;
        list[i] = (wh_attn_query){.q = f->qkv + r * f->qkv_width + head * hd, .o = f->o + at * hd, .ml = f->ml + at * 2, .keys = keys};
    }
    return group;
}

/* Rows [b, e) and key-value head h over closed block column `column` of their tables. Neighbouring rows that
 * have the same block there are taken together: a block that sequences share is read once for all of them. */
static void attend_closed(wh_forward *f, size_t layer, size_t h, size_t column, size_t b, size_t e, wh_attn_query *list)
{
    const wh_batch *batch = f->batch;
    size_t group = f->model->config.heads / f->model->config.kv_heads, n = 0;
    uint32_t block = 0;
    for (size_t r = b; r <= e; r++) {
        if (r < e && batch->positions[r] / WH_KV_BLOCK <= column) continue;
        if (n && (r == e || batch->tables[r][column] != block || n + group > QUERIES)) {
            wh_kv8 kv = wh_kv_closed(f->kv, block, layer, h);
            f->model->ops->attn_close(list, n, &kv, f->kv->head_dim);
            n = 0;
        }
        if (r == e) break;
        block = batch->tables[r][column];
        n += add_queries(f, r, h, WH_KV_BLOCK, list + n);
    }
}

/* The same over the open block that each row stands in. */
static void attend_open(wh_forward *f, size_t layer, size_t h, size_t b, size_t e, wh_attn_query *list)
{
    const wh_batch *batch = f->batch;
    size_t group = f->model->config.heads / f->model->config.kv_heads, n = 0;
    for (size_t r = b; r < e; r++) {
        n += add_queries(f, r, h, batch->positions[r] % WH_KV_BLOCK + 1, list + n);
        if (r + 1 < e && batch->open[r + 1] == batch->open[r] && n + group <= QUERIES) continue;
        f->model->ops->attn_open(list, n, wh_kv_open_keys(f->kv, batch->open[r], layer, h),
                                 wh_kv_open_values(f->kv, batch->open[r], layer, h), f->kv->head_dim);
        n = 0;
    }
}

static void attend(wh_forward *f, int tid, size_t layer, size_t h, size_t b, size_t e)
{
    const wh_config *c = &f->model->config;
    size_t hd = c->head_dim, group = c->heads / c->kv_heads, columns = 0;
    wh_attn_query *list = f->queries + (size_t)tid * QUERIES;
    for (size_t r = b; r < e; r++) {
        size_t at = r * c->heads + h * group;
        memset(f->o + at * hd, 0, group * hd * sizeof(float));
        for (size_t i = 0; i < group; i++) {
            f->ml[(at + i) * 2] = -INFINITY;
            f->ml[(at + i) * 2 + 1] = 0;
        }
        size_t before = f->batch->positions[r] / WH_KV_BLOCK;
        if (before > columns) columns = before;
    }
    for (size_t column = 0; column < columns; column++) attend_closed(f, layer, h, column, b, e, list);
    attend_open(f, layer, h, b, e, list);
    for (size_t r = b; r < e; r++)
        for (size_t i = 0; i < group; i++) {
            size_t at = r * c->heads + h * group + i;
            wh_attn_query q = {.o = f->o + at * hd, .ml = f->ml + at * 2};
            f->model->ops->attn_end(f->attn.f + at * hd, &q, hd);
        }
}

/* Rows so divided that all threads look at about as many keys. */
static void attention_rows(const wh_forward *f, int tid, size_t *b, size_t *e)
{
    const wh_batch *batch = f->batch;
    uint64_t total = 0, sum = 0, nth = (uint64_t)wh_par_threads(f->par), t = (uint64_t)tid;
    for (size_t r = 0; r < batch->n; r++) total += batch->positions[r] + 32;
    *b = *e = batch->n;
    for (size_t r = 0; r < batch->n; r++) {
        if (*b == batch->n && sum >= total * t / nth) *b = r;
        if (sum >= total * (t + 1) / nth) {
            *e = r;
            break;
        }
        sum += batch->positions[r] + 32;
    }
    if (*b > *e) *b = *e;
}

/* Attention of all rows, quantized for the product with o. */
static void attention(wh_forward *f, int tid, size_t layer)
{
    size_t n = f->batch->n, threads = (size_t)wh_par_threads(f->par), kv_heads = f->model->config.kv_heads, b, e;
    if (n >= 2 * threads) {
        attention_rows(f, tid, &b, &e);
        for (size_t h = 0; h < kv_heads; h++) attend(f, tid, layer, h, b, e);
    } else {
        my_rows(f, tid, n * kv_heads, &b, &e);
        for (size_t i = b; i < e; i++) attend(f, tid, layer, i % kv_heads, i / kv_heads, i / kv_heads + 1);
        wh_par_barrier(f->par);
        my_rows(f, tid, n, &b, &e);
    }
    wh_act_quantize(f->model->kern, &f->attn, b, e, f->model->ways_attn);
}

/* SiLU(gate)·up, quantized for the product with down: some columns at a time, while they are in the cache. */
static void feed_forward(wh_forward *f, int tid, const wh_layer *y, size_t m)
{
    const wh_model *model = f->model;
    size_t width = model->config.ffn;
    float *gate = f->tiles + (size_t)tid * f->tile_floats, *up = gate + f->max_rows * FFN_TILE;
    void *scratch = f->scratch + (size_t)tid * f->scratch_bytes;
    for (size_t n0; (n0 = wh_par_take(f->par) * FFN_TILE) < width;) {
        size_t n1 = n0 + FFN_TILE < width ? n0 + FFN_TILE : width, n = n1 - n0;
        wh_mat_mul(model->kern, y->gate, gate, n, &f->in, 0, m, n0, n1, scratch);
        wh_mat_mul(model->kern, y->up, up, n, &f->in, 0, m, n0, n1, scratch);
        model->ops->silu_mul(gate, gate, up, m * n);
        wh_act_quantize_part(model->kern, &f->ffn, 0, m, gate, n, n0, n, model->ways_ffn);
    }
}

/* The residual stream of row r behind the last block that runs, normed, to `to`; x stays as it is. */
static void norm_end(wh_forward *f, float *to, size_t r, const float *weight)
{
    const wh_config *c = &f->model->config;
    memcpy(to, f->x + r * c->d, c->d * sizeof *to);
    f->model->ops->add(to, f->y + r * c->d, c->d);
    f->model->ops->rmsnorm(to, to, weight, c->d, c->rms_eps);
}

/* Final norm of the out rows into the first rows of in. */
static void final_norm(wh_forward *f, size_t b, size_t e)
{
    for (size_t i = b; i < e; i++) norm_end(f, f->in.f + i * f->model->config.d, f->batch->out_rows[i], f->model->out_norm);
    wh_act_quantize(f->model->kern, &f->in, b, e, f->model->ways_d);
}

/* Where tap t keeps the state behind block `layer`; NULL: it does not want it. */
static float *tapped(const wh_forward *f, const wh_tap *t, size_t layer)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->layers[i] == layer) return t->to + i * f->model->config.d;
    return NULL;
}

/* The taps of rows [b, e) behind an inner block, whose sum is in x already. */
static void tap_inner(wh_forward *f, size_t layer, size_t b, size_t e)
{
    const wh_config *c = &f->model->config;
    const wh_tap *t = f->batch->taps, *end = t + f->batch->n_taps;
    while (t < end && t->row < b) t++;
    for (; t < end && t->row < e; t++) {
        float *to = tapped(f, t, layer);
        if (to) f->model->ops->rmsnorm(to, f->x + t->row * c->d, f->ones, c->d, c->rms_eps);
    }
}

/* The taps [b, e) behind the last block that runs. */
static void tap_end(wh_forward *f, size_t b, size_t e)
{
    const float *weight = f->layers == f->model->config.layers ? f->model->out_norm : f->ones;
    for (size_t i = b; i < e; i++) {
        const wh_tap *t = &f->batch->taps[i];
        float *to = tapped(f, t, f->layers);
        if (to) norm_end(f, to, t->row, weight);
    }
}

static void make_logits(wh_forward *f, int tid)
{
    size_t vocab = f->model->config.vocab, n = f->batch->n_logits, b, e;
    float *tile = f->tiles + (size_t)tid * f->tile_floats;
    void *scratch = f->scratch + (size_t)tid * f->scratch_bytes;
    for (size_t n0; (n0 = wh_par_take(f->par) * WH_HEAD_TILE) < vocab;) {
        size_t n1 = n0 + WH_HEAD_TILE < vocab ? n0 + WH_HEAD_TILE : vocab;
        wh_mat_mul(f->model->kern, f->model->head, tile, WH_HEAD_TILE, &f->in, 0, n, n0, n1, scratch);
        for (size_t row = 0; row < n; row++) f->sink->tile(f->sink->ctx, tid, row, tile + row * WH_HEAD_TILE, n0, n1 - n0);
    }
    wh_par_barrier(f->par);
    my_rows(f, tid, n, &b, &e);
    for (size_t row = b; row < e; row++) f->sink->row(f->sink->ctx, tid, row);
}

static void run(void *ctx, int tid)
{
    wh_forward *f = ctx;
    const wh_model *m = f->model;
    const wh_config *c = &m->config;
    size_t n = f->batch->n, q_width = c->heads * c->head_dim, k_width = c->kv_heads * c->head_dim, b, e;
    my_rows(f, tid, n, &b, &e);

    embed(f, b, e);
    for (size_t i = 0; i < f->layers; i++) {
        const wh_layer *y = &m->layers[i];
        const product qkv[] = {{y->q, f->qkv, f->qkv_width},
                               {y->k, f->qkv + q_width, f->qkv_width},
                               {y->v, f->qkv + q_width + k_width, f->qkv_width}};
        const product out[] = {{y->o, f->y, c->d}};
        const product down[] = {{y->down, f->y, c->d}};

        add_norm(f, i ? f->y : NULL, y->attn_norm, b, e);
        if (i) tap_inner(f, i, b, e);
        wh_par_barrier(f->par);
        multiply(f, tid, qkv, 3, &f->in, n);
        wh_par_barrier(f->par);
        rotate_and_store(f, y, i, b, e);
        wh_par_barrier(f->par);
        if (f->batch->n_close) {
            close_blocks(f, tid, i);
            wh_par_barrier(f->par);
        }
        attention(f, tid, i);
        wh_par_barrier(f->par);
        multiply(f, tid, out, 1, &f->attn, n);
        wh_par_barrier(f->par);
        add_norm(f, f->y, y->ffn_norm, b, e);
        wh_par_barrier(f->par);
        feed_forward(f, tid, y, n);
        wh_par_barrier(f->par);
        multiply(f, tid, down, 1, &f->ffn, n);
        wh_par_barrier(f->par);
    }
    my_rows(f, tid, f->batch->n_taps, &b, &e);
    tap_end(f, b, e);
    my_rows(f, tid, f->batch->n_out, &b, &e);
    final_norm(f, b, e);
    wh_par_barrier(f->par);
    if (f->batch->n_logits) make_logits(f, tid);
}

void wh_forward_run(wh_forward *f, wh_kv *kv, const wh_batch *batch, const wh_head_sink *sink)
{
    f->kv = kv;
    f->batch = batch;
    f->sink = sink;
    wh_par_run(f->par, run, f);
}

void wh_forward_logits(wh_forward *f, int tid, float *logits, size_t row, size_t begin, size_t end)
{
    wh_mat_mul(f->model->kern, f->model->head, logits, end - begin, &f->in, row, 1, begin, end,
               f->scratch + (size_t)tid * f->scratch_bytes);
}
