#include "fit/net.h"

#include "base/mem.h"
#include "fit/lbfgs.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256 }; /* rows that are computed together: their features stay in the cache */

wh_code wh_net_create(wh_net *out, size_t d, size_t hidden, wh_err *err)
{
    *out = (wh_net){.d = d, .hidden = hidden};
    size_t first, all;
    if (!wh_mem_mul(&first, d, hidden ? hidden : 1) || !wh_mem_add(&all, first, 2 * hidden) ||
        !(out->memory = wh_mem_zalloc(all, sizeof *out->memory)))
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a head of %zu by %zu", hidden, d);
    if (hidden) {
        out->w1 = out->memory;
        out->b1 = out->w1 + first;
        out->w2 = out->b1 + hidden;
    } else {
        out->w2 = out->memory;
    }
    return WH_OK;
}

void wh_net_free(wh_net *net)
{
    free(net->memory);
    *net = (wh_net){0};
}

size_t wh_net_scratch(const wh_net *net) { return BLOCK * net->hidden + 1; }

static void add_bias_relu(float *h, const float *bias, size_t rows, size_t hidden)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < hidden; k++) {
            float v = h[i * hidden + k] + bias[k];
            h[i * hidden + k] = v > 0 ? v : 0;
        }
}

static void run_hidden(const wh_net *net, float *h, const float *x, size_t n)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)net->hidden, (int)net->d, 1, x, (int)net->d, net->w1, (int)net->d, 0,
                h, (int)net->hidden);
    add_bias_relu(h, net->b1, n, net->hidden);
}

/* out = m (n, d) · w + b */
static void run_last(const wh_net *net, float *out, const float *m, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) out[i] = net->b2;
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)n, (int)d, 1, m, (int)d, net->w2, 1, 1, out, 1);
}

void wh_net_run(const wh_net *net, float *logits, const float *x, size_t n, float *scratch)
{
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t rows = n - at < BLOCK ? n - at : BLOCK;
        const float *from = x + at * net->d;
        if (net->hidden) run_hidden(net, scratch, from, rows);
        run_last(net, logits + at, net->hidden ? scratch : from, rows, net->hidden ? net->hidden : net->d);
    }
}

void wh_net_unstandardize(wh_net *net, const float *mean, const float *deviation)
{
    size_t rows = net->hidden ? net->hidden : 1;
    float *w = net->hidden ? net->w1 : net->w2;
    for (size_t r = 0; r < rows; r++) {
        double shift = 0;
        for (size_t k = 0; k < net->d; k++) {
            w[r * net->d + k] /= deviation[k];
            shift += (double)w[r * net->d + k] * (double)mean[k];
        }
        if (net->hidden) net->b1[r] -= (float)shift;
        else net->b2 -= (float)shift;
    }
}

void wh_net_calibrate(wh_net *net, double slope, double offset)
{
    size_t n = net->hidden ? net->hidden : net->d;
    for (size_t k = 0; k < n; k++) net->w2[k] = (float)(slope * (double)net->w2[k]);
    net->b2 = (float)(slope * (double)net->b2 + offset);
}

/* ---- linear ------------------------------------------------------------------------------------------------- */

typedef struct problem {
    wh_net        *net;
    const wh_rows *rows;
    double         l2, total; /* total: of the weights */
    float         *logits;    /* (BLOCK); then the derivative by them */
    float         *partial;   /* (d) of one block */
} problem;

static bool is_left_out(const wh_rows *r, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (r->weight[at + i] > 0) return false;
    return true;
}

/* The weighted loss of a block; its logits become the derivatives by them. */
static double block_loss(float *logits, const float *y, const float *weight, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double z = (double)logits[i], want = (double)y[i], w = (double)weight[i];
        /* log(1 + e^z) - y z, without overflow */
        sum += w * (fmax(z, 0) + log1p(exp(-fabs(z))) - want * z);
        logits[i] = (float)(w * (1 / (1 + exp(-z)) - want));
    }
    return sum;
}

static double linear_value(void *user, const double *x, double *gradient)
{
    problem *p = user;
    const wh_rows *r = p->rows;
    size_t d = r->d;
    for (size_t k = 0; k < d; k++) p->net->w2[k] = (float)x[k];
    p->net->b2 = (float)x[d];
    memset(gradient, 0, (d + 1) * sizeof *gradient);
    double sum = 0, squares = 0;
    for (size_t at = 0; at < r->n; at += BLOCK) {
        size_t n = r->n - at < BLOCK ? r->n - at : BLOCK;
        if (is_left_out(r, at, n)) continue;
        const float *from = r->x + at * d;
        run_last(p->net, p->logits, from, n, d);
        sum += block_loss(p->logits, r->y + at, r->weight + at, n);
        cblas_sgemv(CblasRowMajor, CblasTrans, (int)n, (int)d, 1, from, (int)d, p->logits, 1, 0, p->partial, 1);
        for (size_t k = 0; k < d; k++) gradient[k] += (double)p->partial[k];
        for (size_t i = 0; i < n; i++) gradient[d] += (double)p->logits[i];
    }
    for (size_t k = 0; k < d; k++) {
        gradient[k] = gradient[k] / p->total + p->l2 * x[k];
        squares += x[k] * x[k];
    }
    gradient[d] /= p->total;
    return sum / p->total + p->l2 / 2 * squares;
}

wh_code wh_net_fit_linear(wh_net *net, const wh_rows *rows, double l2, wh_err *err)
{
    size_t d = rows->d;
    problem p = {.net = net, .rows = rows, .l2 = l2, .logits = wh_mem_alloc(BLOCK, sizeof *p.logits), .partial = wh_mem_alloc(d, sizeof *p.partial)};
    double *x = wh_mem_alloc(d + 1, sizeof *x);
    wh_code code = p.logits && p.partial && x ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory to fit %zu numbers", d);
    if (code == WH_OK) {
        for (size_t i = 0; i < rows->n; i++) p.total += (double)rows->weight[i];
        for (size_t k = 0; k < d; k++) x[k] = (double)net->w2[k];
        x[d] = (double)net->b2;
        wh_lbfgs_result result;
        const wh_lbfgs_opts opts = {.iterations = 150, .tolerance = 2e-5}; /* what f32 features still show */
        code = wh_lbfgs_minimize(&result, x, d + 1, linear_value, &p, &opts, err);
        for (size_t k = 0; k < d; k++) net->w2[k] = (float)x[k];
        net->b2 = (float)x[d];
    }
    free(p.logits);
    free(p.partial);
    free(x);
    return code;
}
