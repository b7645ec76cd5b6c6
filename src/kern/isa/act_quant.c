/* act_quant: rows of f32 to int8 with a scale per block (CONTRACT.md, Activations), and the starts of dot products
 * from their sums. Compiled once per instruction set; max, multiply, round to nearest even and integer sums give the
 * same bits in all of them.
 */
#include "kern/kern.h"
#include "kern/isa/vec.h"

static void quantize_row(int8_t *q, float *d, int16_t *sum, const float *x, size_t k, size_t block)
{
    for (size_t k0 = 0; k0 < k; k0 += block) {
        size_t n = k - k0 < block ? k - k0 : block; /* a multiple of 16 */
        /* The largest magnitude as an integer: the order of positive floats, and NaNs come out on top. */
        uint32_t top = 0;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, x + k0 + i, sizeof bits);
            bits &= 0x7fffffff;
            top = bits > top ? bits : top;
        }
        float amax;
        memcpy(&amax, &top, sizeof amax);
        bool  finite = top < 0x7f800000;
        float scale = 127.0f / amax;
        /* Zeros, or so small that 127 / amax overflows: nothing that an f32 scale could carry. */
        bool  nothing = !finite || scale > 0x1.fffffep127f;
        *d++ = finite ? (nothing ? 0 : amax / 127.0f) : NAN;
        wh_v s = wh_v_set1(nothing ? 0 : scale);
        for (size_t i = 0; i < n; i += 16) {
            if (nothing) {
                memset(q + k0 + i, 0, 16);
                *sum++ = 0;
            } else { /* |x · (127 / amax)| <= 127.00001 */
                *sum++ = (int16_t)wh_v_store_s8(q + k0 + i, wh_v_rint(wh_v_mul(wh_v_load(x + k0 + i), s)));
            }
        }
    }
}

/* Row r in one way, from column k0 on. */
static void quantize_way(wh_act_q *w, size_t q_stride, size_t k, size_t r, const float *x, size_t k0, size_t n,
                          size_t block)
{
    int16_t *sum = w->sum + r * (k / WH_ACT_SUM) + k0 / WH_ACT_SUM, *sum32 = w->sum32 + r * (k / 32) + k0 / 32;
    float   *d = w->d + r * w->blocks + k0 / block;
    quantize_row(w->q + r * q_stride + k0, d, sum, x, n, block);
    for (size_t g = 0; g < n / 32; g++) sum32[g] = (int16_t)(sum[2 * g] + sum[2 * g + 1]);
    if (block == 32)
        for (size_t g = 0; g < n / 32; g++) w->scaled[r * (k / 32) + k0 / 32 + g] = d[g] * (float)sum32[g];
}

void WH_OP(act_quantize)(wh_act *a, size_t r0, size_t r1, const float *x, size_t x_stride, size_t k0, size_t n,
                         unsigned ways)
{
    for (size_t r = r0; r < r1; r++, x += x_stride) {
        if (ways & WH_ACT_32) quantize_way(&a->by32, a->q_stride, a->k, r, x, k0, n, 32);
        if (ways & WH_ACT_256) quantize_way(&a->by256, a->q_stride, a->k, r, x, k0, n, WH_ACT_BLOCK);
    }
}

void WH_OP(act_starts)(int32_t *restrict out, const int16_t *restrict sum, size_t n, int off)
{
    for (size_t i = 0; i < n; i++) out[i] = -off * sum[i];
}
