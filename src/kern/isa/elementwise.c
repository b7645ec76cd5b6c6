/* Norm, activation function, rotary embedding: see kern/ops.h. */
#include "kern/isa/vec.h"

void WH_OP(rmsnorm)(float *y, const float *x, const float *w, size_t d, float eps)
{
    wh_v sum = wh_v_set1(0);
    for (size_t i = 0; i < d; i += 16) {
        wh_v v = wh_v_load(x + i);
        sum = wh_v_fma(v, v, sum);
    }
    wh_v scale = wh_v_set1(1.0f / sqrtf(wh_v_sum(sum) / (float)d + eps));
    for (size_t i = 0; i < d; i += 16)
        wh_v_store(y + i, wh_v_mul(wh_v_mul(wh_v_load(x + i), scale), wh_v_load(w + i)));
}

void WH_OP(add)(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) wh_v_store(y + i, wh_v_add(wh_v_load(y + i), wh_v_load(x + i)));
    for (; i < n; i++) y[i] += x[i];
}

void WH_OP(scale)(float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] *= s;
}

/* SiLU(g)·u = g / (1 + e^-g) · u; below -80 the fraction counts as e^-80 */
void WH_OP(silu_mul)(float *y, const float *gate, const float *up, size_t n)
{
    wh_v one = wh_v_set1(1), zero = wh_v_set1(0);
    for (size_t i = 0; i < n; i += 16) {
        float tail[3][16] = {{0}};
        size_t left = n - i < 16 ? n - i : 16;
        const float *pg = gate + i, *pu = up + i;
        if (left < 16) {
            memcpy(tail[0], pg, left * sizeof(float));
            memcpy(tail[1], pu, left * sizeof(float));
            pg = tail[0];
            pu = tail[1];
        }
        wh_v g = wh_v_load(pg);
        wh_v e = wh_v_exp(wh_v_min(wh_v_sub(zero, g), wh_v_set1(80)));
        wh_v r = wh_v_mul(wh_v_mul(g, wh_v_reciprocal(wh_v_add(one, e))), wh_v_load(pu));
        if (left < 16) {
            wh_v_store(tail[2], r);
            memcpy(y + i, tail[2], left * sizeof(float));
        } else {
            wh_v_store(y + i, r);
        }
    }
}

void WH_OP(rope_half)(float *x, const float *cosine, const float *sine, size_t hd)
{
    wh_v zero = wh_v_set1(0);
    for (size_t i = 0; i < hd / 2; i += 16) {
        wh_v a = wh_v_load(x + i), b = wh_v_load(x + hd / 2 + i);
        wh_v c = wh_v_load(cosine + i), s = wh_v_load(sine + i);
        wh_v_store(x + i, wh_v_fma(a, c, wh_v_sub(zero, wh_v_mul(b, s))));
        wh_v_store(x + hd / 2 + i, wh_v_fma(a, s, wh_v_mul(b, c)));
    }
}

void WH_OP(rope_pairs)(float *x, const float *cosine, const float *sine, size_t hd)
{
    for (size_t i = 0; i < hd / 2; i++) {
        float a = x[2 * i], b = x[2 * i + 1], bs = b * sine[i], bc = b * cosine[i];
        x[2 * i] = fmaf(a, cosine[i], 0.0f - bs);
        x[2 * i + 1] = fmaf(a, sine[i], bc);
    }
}

void WH_OP(store_f16)(uint16_t *y, const float *x, size_t n, size_t stride)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        uint16_t h[16];
        wh_v_store_f16(stride == 1 ? y + i : h, wh_v_load(x + i));
        if (stride != 1)
            for (size_t j = 0; j < 16; j++) y[(i + j) * stride] = h[j];
    }
    for (; i < n; i++) y[i * stride] = wh_half_f32_to_f16(x[i]);
}

void WH_OP(logits)(wh_logit_sum *out, const float *x, size_t n, float inv_t)
{
    wh_v scale = wh_v_set1(inv_t), top = wh_v_set1(-INFINITY), sum = wh_v_set1(0);
    size_t whole = n / 16 * 16;
    float tail[16];
    for (size_t j = 0; j < 16; j++) tail[j] = whole + j < n ? x[whole + j] : -INFINITY;
    for (size_t i = 0; i < whole; i += 16) top = wh_v_max(wh_v_mul(wh_v_load(x + i), scale), top);
    if (whole < n) top = wh_v_max(wh_v_mul(wh_v_load(tail), scale), top);
    out->max = wh_v_top(top);
    wh_v max = wh_v_set1(out->max);
    for (size_t i = 0; i < whole; i += 16)
        sum = wh_v_add(sum, wh_v_exp(wh_v_sub(wh_v_mul(wh_v_load(x + i), scale), max)));
    if (whole < n) {
        wh_v e = wh_v_exp(wh_v_sub(wh_v_mul(wh_v_load(tail), scale), max));
        sum = wh_v_add(sum, wh_v_first((int)(n - whole), e, wh_v_set1(0)));
    }
    out->sum = wh_v_sum(sum);
    size_t at = 0;
    while (at < n && !(x[at] * inv_t == out->max)) at++;
    out->argmax = (uint32_t)(at < n ? at : 0);
}

void WH_OP(exps)(float *y, const float *x, size_t n, float inv_t, float max)
{
    wh_v scale = wh_v_set1(inv_t), m = wh_v_set1(max);
    size_t whole = n / 16 * 16;
    for (size_t i = 0; i < whole; i += 16)
        wh_v_store(y + i, wh_v_exp(wh_v_sub(wh_v_mul(wh_v_load(x + i), scale), m)));
    if (whole < n) {
        float tail[16] = {0};
        memcpy(tail, x + whole, (n - whole) * sizeof(float));
        wh_v_store(tail, wh_v_exp(wh_v_sub(wh_v_mul(wh_v_load(tail), scale), m)));
        memcpy(y + whole, tail, (n - whole) * sizeof(float));
    }
}
