/* A hidden layer by stochastic gradients: see net.h. */
#include "base/mem.h"
#include "base/rng.h"
#include "fit/net.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256 };
enum { STREAM_INIT, STREAM_ORDER, STREAM_DROP }; /* of random numbers */

struct wh_adam {
    wh_net        *net;
    const wh_rows *rows;
    wh_adam_opts   o;
    size_t         n_used, n_values, steps, epochs;
    size_t        *used;                 /* rows of weight > 0, in the order of this epoch */
    double         mean_weight;
    float         *memory, *x, *h, *dh, *z; /* a batch: (BATCH, d), (BATCH, hidden) twice, (BATCH) */
    float         *g, *m, *v;            /* (n_values): gradient and its moments, in the order of net->memory and b2 */
};

static float *weight_of(const wh_net *net, size_t i, size_t n) { return i + 1 == n ? (float *)&net->b2 : &net->memory[i]; }

/* A standard normal number (Box and Muller). */
static double normal(uint64_t seed, uint64_t position)
{
    double u = wh_rng_uniform(seed, STREAM_INIT, 2 * position), v = wh_rng_uniform(seed, STREAM_INIT, 2 * position + 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static void init_net(wh_net *net, uint64_t seed)
{
    size_t n1 = net->hidden * net->d;
    for (size_t i = 0; i < n1; i++) net->w1[i] = (float)(sqrt(2 / (double)net->d) * normal(seed, i));
    for (size_t k = 0; k < net->hidden; k++) {
        net->b1[k] = 0;
        net->w2[k] = (float)(sqrt(1 / (double)net->hidden) * normal(seed, n1 + k));
    }
    net->b2 = 0;
}

static bool allocate(wh_adam *a)
{
    const wh_net *net = a->net;
    size_t hidden = net->hidden, batch = BATCH * (net->d + 2 * hidden + 1), all;
    a->n_values = net->d * hidden + 2 * hidden + 1;
    if (!wh_mem_mul(&all, a->n_values, 3) || !wh_mem_add(&all, all, batch)) return false;
    a->memory = wh_mem_zalloc(all, sizeof *a->memory);
    a->used = wh_mem_alloc(a->rows->n, sizeof *a->used);
    if (!a->memory || !a->used) return false;
    a->x = a->memory;
    a->h = a->x + BATCH * net->d;
    a->dh = a->h + BATCH * hidden;
    a->z = a->dh + BATCH * hidden;
    a->g = a->z + BATCH;
    a->m = a->g + a->n_values;
    a->v = a->m + a->n_values;
    return true;
}

wh_code wh_adam_create(wh_adam **out, wh_net *net, const wh_rows *rows, const wh_adam_opts *opts, wh_err *err)
{
    *out = NULL;
    wh_adam *a = wh_mem_zalloc(1, sizeof *a);
    if (!a) return wh_err_set(err, WH_ERR_NOMEM, "no memory to fit a head");
    a->net = net;
    a->rows = rows;
    a->o = *opts;
    if (a->o.rate == 0) a->o.rate = 0.0005;
    if (!allocate(a)) {
        wh_adam_free(a);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory to fit a head of %zu by %zu", net->hidden, net->d);
    }
    for (size_t i = 0; i < rows->n; i++)
        if (rows->weight[i] > 0) {
            a->used[a->n_used++] = i;
            a->mean_weight += (double)rows->weight[i];
        }
    a->mean_weight /= a->n_used ? (double)a->n_used : 1;
    init_net(net, a->o.seed);
    *out = a;
    return WH_OK;
}

void wh_adam_free(wh_adam *a)
{
    if (!a) return;
    free(a->memory);
    free(a->used);
    free(a);
}

/* Fisher and Yates. */
static void shuffle(wh_adam *a)
{
    for (size_t i = a->n_used; i > 1; i--) {
        size_t k = (size_t)(wh_rng_u64(a->o.seed + a->epochs, STREAM_ORDER, i) % i), t = a->used[i - 1];
        a->used[i - 1] = a->used[k];
        a->used[k] = t;
    }
}

/* Rows into the batch, some of their inputs dropped and the rest raised so that the mean stays. Four inputs share the
 * bits of one draw. */
static void gather(wh_adam *a, const size_t *rows, size_t n)
{
    size_t d = a->net->d;
    float keep = (float)(1 / (1 - a->o.dropout));
    uint64_t limit = (uint64_t)(a->o.dropout * 65536);
    for (size_t i = 0; i < n; i++) {
        float *to = a->x + i * d;
        memcpy(to, a->rows->x + rows[i] * d, d * sizeof *to);
        if (!limit) continue;
        uint64_t bits = 0;
        for (size_t k = 0; k < d; k++) {
            bits = k % 4 ? bits >> 16 : wh_rng_u64(a->o.seed + a->epochs, STREAM_DROP, rows[i] * d + k);
            to[k] = (bits & 0xffff) < limit ? 0 : to[k] * keep;
        }
    }
}

/* The gradient of the mean loss of the batch. */
static void backward(wh_adam *a, const size_t *rows, size_t n)
{
    const wh_net *net = a->net;
    size_t d = net->d, hidden = net->hidden;
    float *g1 = a->g, *gb1 = g1 + hidden * d, *g2 = gb1 + hidden, *gb2 = g2 + hidden;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)hidden, (int)d, 1, a->x, (int)d, net->w1, (int)d, 0, a->h, (int)hidden);
    memset(gb1, 0, (2 * hidden + 1) * sizeof *gb1);
    for (size_t i = 0; i < n; i++) {
        float *h = a->h + i * hidden, *dh = a->dh + i * hidden;
        double z = (double)net->b2;
        for (size_t k = 0; k < hidden; k++) {
            h[k] += net->b1[k];
            if (h[k] < 0) h[k] = 0;
            z += (double)(h[k] * net->w2[k]);
        }
        double weight = (double)a->rows->weight[rows[i]] / (a->mean_weight * (double)n);
        float dz = (float)(weight * (1 / (1 + exp(-z)) - (double)a->rows->y[rows[i]]));
        *gb2 += dz;
        for (size_t k = 0; k < hidden; k++) {
            g2[k] += dz * h[k];
            dh[k] = h[k] > 0 ? dz * net->w2[k] : 0;
            gb1[k] += dh[k];
        }
    }
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)hidden, (int)d, (int)n, 1, a->dh, (int)hidden, a->x, (int)d, 0, g1, (int)d);
}

static void update(wh_adam *a)
{
    const float b1 = 0.9f, b2 = 0.999f, tiny = 1e-8f;
    a->steps++;
    float fix1 = (float)(1 / (1 - pow(0.9, (double)a->steps))), fix2 = (float)(1 / (1 - pow(0.999, (double)a->steps)));
    float rate = (float)a->o.rate, shrink = (float)(1 - a->o.rate * a->o.decay);
    for (size_t i = 0; i < a->n_values; i++) {
        float *w = weight_of(a->net, i, a->n_values), g = a->g[i];
        a->m[i] = b1 * a->m[i] + (1 - b1) * g;
        a->v[i] = b2 * a->v[i] + (1 - b2) * g * g;
        *w = *w * shrink - rate * a->m[i] * fix1 / (sqrtf(a->v[i] * fix2) + tiny);
    }
}

void wh_adam_epoch(wh_adam *a)
{
    shuffle(a);
    for (size_t at = 0; at < a->n_used; at += BATCH) {
        size_t n = a->n_used - at < BATCH ? a->n_used - at : BATCH;
        gather(a, a->used + at, n);
        backward(a, a->used + at, n);
        update(a);
    }
    a->epochs++;
}
