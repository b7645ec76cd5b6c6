/* mm_c: the C twins of the integer matmul kernels. Plain, and the definition of the right answer.
 *
 * A kernel walks its panels; for each block of 256 k it takes the integers of 16 rows apart once
 * (u[k][row]) and goes over all rows of x. The running sums of a panel live in the scratch area:
 * acc[i][row], i the row of x.
 */
#include "kern/kern.h"

#include "quant/half.h"

#include <math.h>
#include <string.h>

enum { ROWS = WH_LAYOUT_ROWS, BLOCK = WH_LAYOUT_BLOCK };

typedef struct block {
    uint8_t u[BLOCK][ROWS];
    float   d[8][ROWS], m[8][ROWS];             /* LEGACY: per group; K, BLOCK: [0] alone */
    int     sc[16][ROWS], mn[16][ROWS];
} block;

static inline void unpack_group(uint8_t u[32][ROWS], const uint8_t *in, int bits)
{
    for (int k = 0; k < 32; k++) {
        int quad = k / 4, byte = k % 4;
        for (int r = 0; r < ROWS; r++) {
            int at = r * 4 + byte;
            if (bits == 8) {
                u[k][r] = in[quad * 64 + at];
                continue;
            }
            int v = in[quad / 2 * 64 + at] >> quad % 2 * 4 & 15;
            if (bits == 5) v |= (in[4 * 64 + at] >> quad & 1) << 4;
            if (bits == 6) v |= (in[(4 + quad / 4) * 64 + at] >> quad % 4 * 2 & 3) << 4;
            u[k][r] = (uint8_t)v;
        }
    }
}

static inline void load_f16(float out[ROWS], const uint8_t *in)
{
    uint16_t h[ROWS];
    memcpy(h, in, sizeof h);
    for (int r = 0; r < ROWS; r++) out[r] = wh_half_f16_to_f32(h[r]);
}

/* Take a block of n k apart; returns the address after it. */
static inline const uint8_t *unpack(block *b, const uint8_t *in, size_t n, wh_layout layout)
{
    const wh_layout_info *f = &wh_layout_table[layout];
    size_t         groups = wh_layout_groups(layout, n);
    const uint8_t *body = in + wh_layout_head_bytes(layout, n);
    for (size_t i = 0; i < n; i += 32) unpack_group(b->u + i, body + i / 32 * 64 * (size_t)f->bits, f->bits);
    if (f->family == WH_FAMILY_LEGACY)
        for (size_t g = 0; g < groups; g++) {
            load_f16(b->d[g], in + g * ROWS * (f->min ? 4 : 2));
            if (f->min) load_f16(b->m[g], in + g * ROWS * 4 + ROWS * 2);
        }
    else if (f->family == WH_FAMILY_BLOCK) memcpy(b->d[0], in, sizeof b->d[0]);
    else {
        load_f16(b->d[0], in);
        load_f16(b->m[0], in + ROWS * 2);
        const uint8_t *sc = in + ROWS * 4, *mn = sc + groups * ROWS;
        for (size_t g = 0; g < groups; g++)
            for (size_t r = 0; r < ROWS; r++) {
                b->sc[g][r] = (int8_t)sc[g * ROWS + r];
                if (f->min) b->mn[g][r] = mn[g / 2 * ROWS * 2 + r * 2 + g % 2];
            }
    }
    return body + wh_layout_body_bytes(layout, n);
}

static inline void dot(int32_t out[ROWS], const uint8_t (*u)[ROWS], const int8_t *q, int n)
{
    for (int k = 0; k < n; k++)
        for (int r = 0; r < ROWS; r++) out[r] += q[k] * u[k][r];
}

static inline void legacy(float acc[ROWS], const block *b, const wh_mm *a, size_t i, size_t k0, size_t n, bool min)
{
    const int8_t  *q = (const int8_t *)a->x + i * a->x_stride + k0;
    const float   *d = (const float *)((const char *)a->d + i * a->d_stride) + k0 / 32;
    const char    *start = (const char *)a->start + i * a->start_stride + k0 / 32 * 4;
    for (size_t g = 0; g < n / 32; g++) {
        int32_t s[ROWS] = {0}, from = 0;
        float   dsum = 0;
        if (min) memcpy(&dsum, start + g * 4, sizeof dsum);
        else memcpy(&from, start + g * 4, sizeof from);
        dot(s, b->u + g * 32, q + g * 32, 32);
        for (int r = 0; r < ROWS; r++) {
            acc[r] = fmaf(b->d[g][r] * d[g], (float)(s[r] + from), acc[r]);
            if (min) acc[r] = fmaf(b->m[g][r], dsum, acc[r]);
        }
    }
}

static inline void k_family(float acc[ROWS], const block *b, const wh_mm *a, size_t i, size_t k0, int group, bool min)
{
    const int8_t  *q = (const int8_t *)a->x + i * a->x_stride + k0;
    float          d = ((const float *)((const char *)a->d + i * a->d_stride))[k0 / BLOCK];
    size_t         g0 = k0 / (size_t)group;
    const int16_t *sum = (const int16_t *)((const char *)a->sum + i * a->sum_stride) + g0;
    int32_t        big[ROWS] = {0}, mins[ROWS] = {0};
    for (int g = 0; g < BLOCK / group; g++) {
        int32_t s[ROWS] = {0}, off = (int32_t)a->off * sum[g];
        dot(s, b->u + g * group, q + g * group, group);
        for (int r = 0; r < ROWS; r++) big[r] += b->sc[g][r] * (s[r] - off);
        if (min)
            for (int r = 0; r < ROWS; r++) mins[r] += b->mn[g][r] * sum[g];
    }
    for (int r = 0; r < ROWS; r++) {
        float t = b->d[0][r] * (float)big[r];
        if (min) t = fmaf(-b->m[0][r], (float)mins[r], t);
        acc[r] = fmaf(d, t, acc[r]);
    }
}

static inline void block_family(float acc[ROWS], const block *b, const wh_mm *a, size_t i, size_t k0, size_t n)
{
    float   d = ((const float *)((const char *)a->d + i * a->d_stride))[k0 / BLOCK];
    int32_t s[ROWS] = {0}, from = ((const int32_t *)((const char *)a->start + i * a->start_stride))[k0 / BLOCK];
    dot(s, b->u, (const int8_t *)a->x + i * a->x_stride + k0, (int)n);
    for (int r = 0; r < ROWS; r++) acc[r] = fmaf(d, b->d[0][r] * (float)(s[r] + from), acc[r]);
}

static inline void multiply(const wh_mm *a, wh_layout layout)
{
    const wh_layout_info *f = &wh_layout_table[layout];
    float (*acc)[ROWS] = a->scratch;
    const uint8_t *w = a->w;
    for (size_t p = 0; p < a->panels; p++) {
        memset(acc, 0, a->m * sizeof *acc);
        for (size_t k0 = 0; k0 < a->k; k0 += BLOCK) {
            size_t n = a->k - k0 < BLOCK ? a->k - k0 : BLOCK;
            block  b;
            w = unpack(&b, w, n, layout);
            for (size_t i = 0; i < a->m; i++)
                if (f->family == WH_FAMILY_LEGACY) legacy(acc[i], &b, a, i, k0, n, f->min);
                else if (f->family == WH_FAMILY_BLOCK) block_family(acc[i], &b, a, i, k0, n);
                else k_family(acc[i], &b, a, i, k0, f->group, f->min);
        }
        for (size_t i = 0; i < a->m; i++) memcpy(a->y + i * a->y_stride + p * ROWS, acc[i], sizeof *acc);
    }
}

#define WH_TWIN(layout)                                                                                      \
    void wh_mm_##layout##_c(const wh_mm *a) { multiply(a, WH_LAYOUT_##layout); }
WH_TWIN(l4)
WH_TWIN(l4m)
WH_TWIN(l5)
WH_TWIN(l5m)
WH_TWIN(l8)
WH_TWIN(k4m)
WH_TWIN(k5m)
WH_TWIN(h4m)
WH_TWIN(h6)
WH_TWIN(b8)
