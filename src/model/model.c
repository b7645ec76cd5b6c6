#include "model/model.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/pack.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char embedding_name[] = "token_embd.weight", head_name[] = "output.weight";
enum { LAYER_MATRICES = 7 };

/* A matrix to be packed: pieces of its panels that any thread takes. */
typedef struct item {
    wh_mat               *w;
    const wh_gguf_tensor *tensor;
    size_t                end; /* number of the piece after its last */
    size_t                pieces; /* it has */
    atomic_size_t         done;
} item;

typedef struct load {
    wh_model *m;
    wh_par   *par;
    wh_err   *err;
    item     *items; /* room for one for each matrix */
    size_t    n_items, most_work;
    char     *work;
} load;

/* A tensor that must exist with this shape; rows == 1: a vector of `cols`. NULL: WH_ERR_FORMAT, the sentence
 * is written. */
static const wh_gguf_tensor *find(const load *l, const char *name, size_t rows, size_t cols)
{
    const wh_gguf_tensor *t = wh_gguf_find_tensor(l->m->gguf, name);
    if (t && t->dims[0] == cols && t->dims[1] == rows && t->dims[2] == 1 && t->dims[3] == 1) return t;
    if (!t) wh_err_set(l->err, WH_ERR_FORMAT, "tensor '%s' is missing", name);
    else
        wh_err_set(l->err, WH_ERR_FORMAT, "tensor '%s' has shape [%llu, %llu]: expected [%zu, %zu]", name,
                   (unsigned long long)t->dims[0], (unsigned long long)t->dims[1], cols, rows);
    return NULL;
}

static wh_code load_vector(float **out, const load *l, const char *name, size_t n)
{
    const wh_gguf_tensor *t = find(l, name, 1, n);
    if (!t) return WH_ERR_FORMAT;
    *out = wh_mem_alloc_aligned(n, sizeof **out);
    if (!*out) return wh_err_set(l->err, WH_ERR_NOMEM, "no memory for tensor '%s'", name);
    wh_quant_dequantize_row(t->type, *out, t->data, n);
    return WH_OK;
}

/* Panels of a piece: some 256 kB, many more pieces than threads. */
static size_t piece_panels(const wh_mat *w)
{
    enum { PIECE = 256 << 10 };
    size_t panels = PIECE / (wh_mat_bytes(w) / wh_mat_panel_count(w));
    return panels ? panels : 1;
}

/* Its panels come later, with those of all others (pack_all). */
static wh_code pack_matrix(wh_mat **out, load *l, const char *name, size_t rows, size_t cols)
{
    const wh_gguf_tensor *t = find(l, name, rows, cols);
    if (!t) return WH_ERR_FORMAT;
    if (wh_mat_create(out, l->m->form, t->type, rows, cols, l->err) != WH_OK) return wh_err_wrap(l->err, "tensor '%s'", name);
    item *i = &l->items[l->n_items];
    *i = (item){.w = *out, .tensor = t, .pieces = (wh_mat_panel_count(*out) + piece_panels(*out) - 1) / piece_panels(*out)};
    atomic_init(&i->done, 0);
    i->end = i->pieces + (l->n_items ? i[-1].end : 0);
    l->n_items++;
    if (wh_mat_work(*out) > l->most_work) l->most_work = wh_mat_work(*out);
    return WH_OK;
}

static void pack_pieces(void *ctx, int tid)
{
    load *l = ctx;
    item *i = l->items, *end = i + l->n_items;
    char *work = l->work + (size_t)tid * l->most_work;
    for (size_t piece;;) {
        piece = wh_par_take(l->par); /* a thread's pieces ascend */
        while (i < end && piece >= i->end) i++;
        if (i == end) return;
        size_t panels = piece_panels(i->w), all = wh_mat_panel_count(i->w), begin = (piece - (i->end - i->pieces)) * panels;
        wh_mat_pack_panels(i->w, i->tensor->data, begin, begin + panels < all ? begin + panels : all, work);
        if (atomic_fetch_add(&i->done, 1) + 1 == i->pieces && i->tensor != l->m->embedding) wh_gguf_release(l->m->gguf, i->tensor);
    }
}

/* One parallel region for all matrices: a team that meets after each of them waits longer than it works where a core is
 * busy with something else. */
static wh_code pack_all(load *l)
{
    if (!l->n_items) return WH_OK; /* it was packed before */
    l->work = wh_mem_alloc((size_t)wh_par_threads(l->par), l->most_work + 1);
    if (!l->work) return wh_err_set(l->err, WH_ERR_NOMEM, "no memory to pack matrices");
    wh_par_run(l->par, pack_pieces, l);
    free(l->work);
    return WH_OK;
}

static wh_code load_matrix(wh_mat **out, load *l, const char *name, size_t rows, size_t cols, unsigned *ways)
{
    wh_model *m = l->m;
    WH_TRY(m->packed ? wh_pack_find(out, m->gguf, name, rows, cols, l->err) : pack_matrix(out, l, name, rows, cols));
    const wh_gguf_tensor *t = wh_gguf_find_tensor(m->gguf, name);
    m->mats[m->n_mats++] = (wh_model_mat){t == m->embedding ? head_name : t->name, *out};
    *ways |= wh_mat_way(*out);
    m->packed_bytes += wh_mat_bytes(*out);
    return WH_OK;
}

static const char *layer_name(char buf[64], size_t layer, const char *what)
{
    snprintf(buf, 64, "blk.%zu.%s", layer, what);
    return buf;
}

static wh_code load_qkv_bias(float **out, const load *l, size_t layer)
{
    const wh_config *c = &l->m->config;
    size_t nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim;
    static const char *const names[] = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
    const size_t sizes[] = {nq, nk, nk};
    *out = wh_mem_alloc_aligned(nq + 2 * nk, sizeof **out);
    if (!*out) return wh_err_set(l->err, WH_ERR_NOMEM, "no memory for the biases of layer %zu", layer);
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        char buf[64];
        const wh_gguf_tensor *t = find(l, layer_name(buf, layer, names[i]), 1, sizes[i]);
        if (!t) return WH_ERR_FORMAT;
        wh_quant_dequantize_row(t->type, *out + at, t->data, sizes[i]);
        at += sizes[i];
    }
    return WH_OK;
}

static wh_code load_layer(wh_layer *y, load *l, size_t i)
{
    wh_model *m = l->m;
    const wh_config *c = &m->config;
    size_t d = c->d, nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim;
    char b[64];
    WH_TRY(load_vector(&y->attn_norm, l, layer_name(b, i, "attn_norm.weight"), d));
    WH_TRY(load_vector(&y->ffn_norm, l, layer_name(b, i, "ffn_norm.weight"), d));
    WH_TRY(load_matrix(&y->q, l, layer_name(b, i, "attn_q.weight"), nq, d, &m->ways_d));
    WH_TRY(load_matrix(&y->k, l, layer_name(b, i, "attn_k.weight"), nk, d, &m->ways_d));
    WH_TRY(load_matrix(&y->v, l, layer_name(b, i, "attn_v.weight"), nk, d, &m->ways_d));
    WH_TRY(load_matrix(&y->o, l, layer_name(b, i, "attn_output.weight"), d, nq, &m->ways_attn));
    WH_TRY(load_matrix(&y->gate, l, layer_name(b, i, "ffn_gate.weight"), c->ffn, d, &m->ways_d));
    WH_TRY(load_matrix(&y->up, l, layer_name(b, i, "ffn_up.weight"), c->ffn, d, &m->ways_d));
    WH_TRY(load_matrix(&y->down, l, layer_name(b, i, "ffn_down.weight"), d, c->ffn, &m->ways_ffn));
    if (c->arch->qkv_bias) {
        WH_TRY(load_qkv_bias(&y->qkv_bias, l, i));
    } else if (wh_gguf_find_tensor(m->gguf, layer_name(b, i, "attn_q.bias"))) {
        return wh_err_set(l->err, WH_ERR_UNSUPPORTED, "tensor '%s': biases are not supported in architecture '%s'", b,
                          c->arch->name);
    }
    if (c->arch->qk_norm) {
        WH_TRY(load_vector(&y->q_norm, l, layer_name(b, i, "attn_q_norm.weight"), c->head_dim));
        WH_TRY(load_vector(&y->k_norm, l, layer_name(b, i, "attn_k_norm.weight"), c->head_dim));
    }
    return WH_OK;
}

static wh_code load_all(load *l)
{
    wh_model *m = l->m;
    WH_TRY(wh_pack_recognise(&m->packed, m->gguf, l->err));
    if (m->packed) {
        bool fast = m->form == WH_MAT_FAST;
        WH_TRY(wh_pack_form(&m->form, m->gguf, l->err));
        if (fast && m->form == WH_MAT_EXACT)
            return wh_err_set(l->err, WH_ERR_ARG, "it is packed already, with its exact values: pack its source with --fast");
    }
    WH_TRY(wh_config_read(&m->config, m->gguf, l->err));
    WH_TRY(wh_gguf_inflate(m->gguf, l->par, l->err));
    const wh_config *c = &m->config;
    m->embedding = find(l, embedding_name, c->vocab, c->d);
    if (!m->embedding) return WH_ERR_FORMAT;
    m->layers = wh_mem_zalloc(c->layers, sizeof *m->layers);
    m->mats = wh_mem_alloc(c->layers * LAYER_MATRICES + 1, sizeof *m->mats);
    l->items = wh_mem_alloc(c->layers * LAYER_MATRICES + 1, sizeof *l->items);
    if (!m->layers || !m->mats || !l->items) return wh_err_set(l->err, WH_ERR_NOMEM, "no memory for %zu layers", c->layers);
    for (size_t i = 0; i < c->layers; i++) WH_TRY(load_layer(&m->layers[i], l, i));
    WH_TRY(load_vector(&m->out_norm, l, "output_norm.weight", c->d));
    /* A file without a head uses its embedding for it (tied weights). */
    bool tied = !m->packed && !wh_gguf_find_tensor(m->gguf, head_name);
    WH_TRY(load_matrix(&m->head, l, tied ? embedding_name : head_name, c->vocab, c->d, &m->ways_d));
    if (wh_gguf_find_tensor(m->gguf, "rope_freqs.weight")) {
        WH_TRY(load_vector(&m->rope_factors, l, "rope_freqs.weight", c->head_dim / 2));
        for (size_t i = 0; i < c->head_dim / 2; i++)
            if (!(m->rope_factors[i] > 0) || !isfinite(m->rope_factors[i]))
                return wh_err_set(l->err, WH_ERR_FORMAT, "tensor 'rope_freqs.weight' holds %g: expected positive factors",
                                  (double)m->rope_factors[i]);
    }
    return pack_all(l);
}

wh_code wh_model_open(wh_model **out, const char *path, wh_isa allowed, wh_mat_form form, wh_par *par, wh_err *err)
{
    *out = NULL;
    double start = wh_clock_now();
    wh_model *m = wh_mem_zalloc(1, sizeof *m);
    if (!m) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a model");
    m->form = form;
    m->isa = wh_cpu_detect() & (allowed ? allowed : ~(wh_isa)0);
    m->kern = wh_kern_select(m->isa);
    m->ops = wh_ops_select(m->isa);
    wh_code code = wh_gguf_open(&m->gguf, path, err);
    if (code == WH_OK) {
        load l = {.m = m, .par = par, .err = err};
        code = load_all(&l);
        free(l.items);
        if (code != WH_OK) wh_err_wrap(err, "%s", path);
    }
    if (code != WH_OK) {
        wh_model_free(m);
        return code;
    }
    m->load_seconds = wh_clock_now() - start;
    *out = m;
    return WH_OK;
}

void wh_model_free(wh_model *m)
{
    if (!m) return;
    for (size_t i = 0; m->layers && i < m->config.layers; i++) {
        wh_layer *y = &m->layers[i];
        free(y->attn_norm);
        free(y->ffn_norm);
        free(y->q_norm);
        free(y->k_norm);
        free(y->qkv_bias);
    }
    free(m->layers);
    free(m->out_norm);
    for (size_t i = 0; i < m->n_mats; i++) wh_mat_free(m->mats[i].w);
    free(m->mats);
    free(m->rope_factors);
    wh_gguf_close(m->gguf);
    free(m);
}
