/* prm_mlp: the small network behind a trunk: one linear layer, or two with a ReLU between them; F32 throughout.
 *
 * The layers use the same kernels as the trunk, in their float form, so a score has the same bits on every machine.
 */
#include "base/mem.h"
#include "kern/mat.h"
#include "reward/prm_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LAYERS = 2 };

typedef struct layer {
    wh_mat *w;    /* (outputs, inputs) */
    float  *bias; /* (outputs) */
    wh_act  in;   /* one row */
    float  *out;  /* (outputs) */
} layer;

struct wh_prm_mlp {
    const wh_kern *kern;
    size_t n;
    layer  layers[LAYERS];
    void  *scratch;
};

typedef char name_buf[40];

static const wh_gguf_tensor *find(const wh_gguf *g, size_t i, const char *what, name_buf name)
{
    snprintf(name, sizeof(name_buf), "whet.prm.%zu.%s", i, what);
    return wh_gguf_find_tensor(g, name);
}

/* The tensor as (rows, cols) finite floats; cols 0: whatever it has; rows 1: a vector. */
static wh_code check(const wh_gguf_tensor *t, const char *name, size_t rows, size_t cols, wh_err *err)
{
    if (!t) return wh_err_set(err, WH_ERR_FORMAT, "tensor '%s' is missing", name);
    if (t->type != WH_TYPE_F32)
        return wh_err_set(err, WH_ERR_FORMAT, "tensor '%s' is %s: expected F32", name, wh_quant_table[t->type].name);
    if (t->dims[0] != cols || (rows && t->dims[1] != rows) || t->dims[2] != 1 || t->dims[3] != 1)
        return wh_err_set(err, WH_ERR_FORMAT, "tensor '%s' has shape [%llu, %llu]: expected rows of %zu", name,
                          (unsigned long long)t->dims[0], (unsigned long long)t->dims[1], cols);
    const float *x = t->data;
    for (size_t i = 0; i < t->bytes / sizeof *x; i++)
        if (!isfinite(x[i])) return wh_err_set(err, WH_ERR_FORMAT, "tensor '%s' holds what is not a number", name);
    return WH_OK;
}

static wh_code read_layer(layer *y, const wh_gguf *g, size_t i, size_t inputs, wh_par *par, wh_err *err)
{
    enum { MOST = 1 << 20 };
    name_buf name;
    const wh_gguf_tensor *w = find(g, i, "weight", name);
    WH_TRY(check(w, name, 0, inputs, err));
    if (w->dims[1] > MOST)
        return wh_err_set(err, WH_ERR_FORMAT, "tensor '%s' has %llu rows: at most %d are possible", name, (unsigned long long)w->dims[1], MOST);
    size_t outputs = (size_t)w->dims[1];
    if (wh_mat_pack(&y->w, WH_MAT_EXACT, w->type, w->data, outputs, inputs, par, err) != WH_OK) return wh_err_wrap(err, "tensor '%s'", name);
    WH_TRY(wh_act_create(&y->in, 1, inputs, wh_mat_way(y->w), err));
    const wh_gguf_tensor *b = find(g, i, "bias", name);
    WH_TRY(check(b, name, 1, outputs, err));
    y->bias = wh_mem_alloc(outputs, sizeof *y->bias);
    y->out = wh_mem_alloc(outputs, sizeof *y->out);
    if (!y->bias || !y->out) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a head of %zu outputs", outputs);
    wh_quant_dequantize_row(b->type, y->bias, b->data, outputs);
    return WH_OK;
}

static wh_code read_layers(wh_prm_mlp *h, const wh_gguf *g, size_t d, wh_par *par, wh_err *err)
{
    name_buf name;
    size_t width = d, scratch = 0;
    h->n = find(g, 1, "weight", name) ? 2 : 1;
    for (size_t i = 0; i < h->n; i++) {
        WH_TRY(read_layer(&h->layers[i], g, i, width, par, err));
        width = wh_mat_rows(h->layers[i].w);
        if (wh_mat_scratch(h->layers[i].w) > scratch) scratch = wh_mat_scratch(h->layers[i].w);
    }
    if (width > 2)
        return wh_err_set(err, WH_ERR_FORMAT, "the head has %zu outputs: expected 1 or 2", width);
    h->scratch = wh_mem_alloc_aligned(scratch + 1, 1);
    return h->scratch ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a head");
}

wh_code wh_prm_mlp_read(wh_prm_mlp **out, const wh_gguf *g, size_t d, const wh_kern *kern, wh_par *par, wh_err *err)
{
    *out = NULL;
    wh_prm_mlp *h = wh_mem_zalloc(1, sizeof *h);
    if (!h) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a head");
    h->kern = kern;
    wh_code code = read_layers(h, g, d, par, err);
    if (code == WH_OK) *out = h;
    else wh_prm_mlp_free(h);
    return code;
}

void wh_prm_mlp_free(wh_prm_mlp *h)
{
    if (!h) return;
    for (size_t i = 0; i < LAYERS; i++) {
        wh_mat_free(h->layers[i].w);
        wh_act_free(&h->layers[i].in);
        free(h->layers[i].bias);
        free(h->layers[i].out);
    }
    free(h->scratch);
    free(h);
}

size_t wh_prm_mlp_layers(const wh_prm_mlp *h) { return h->n; }
size_t wh_prm_mlp_outputs(const wh_prm_mlp *h) { return wh_mat_rows(h->layers[h->n - 1].w); }

uint64_t wh_prm_mlp_flops(const wh_prm_mlp *h)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < h->n; i++) sum += 2 * (uint64_t)wh_mat_rows(h->layers[i].w) * wh_mat_cols(h->layers[i].w);
    return sum;
}

const float *wh_prm_mlp_run(wh_prm_mlp *h, const float *x)
{
    for (size_t i = 0; i < h->n; i++) {
        layer *y = &h->layers[i];
        size_t inputs = wh_mat_cols(y->w), outputs = wh_mat_rows(y->w);
        for (size_t k = 0; k < inputs; k++) y->in.f[k] = i && x[k] < 0 ? 0 : x[k];
        wh_mat_mul(h->kern, y->w, y->out, outputs, &y->in, 0, 1, 0, outputs, h->scratch);
        for (size_t k = 0; k < outputs; k++) y->out[k] += y->bias[k];
        x = y->out;
    }
    return x;
}

void wh_prm_mlp_describe(wh_buf *out, const wh_gguf *g)
{
    name_buf name;
    const wh_gguf_tensor *w;
    for (size_t i = 0; i < LAYERS && (w = find(g, i, "weight", name)) != NULL; i++) {
        if (i == 0) wh_buf_printf(out, "%llu", (unsigned long long)w->dims[0]);
        wh_buf_printf(out, " -> %llu", (unsigned long long)w->dims[1]);
    }
}
