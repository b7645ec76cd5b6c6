/* layout: geometry of the packed layouts, and the packer. The picture of the bytes is in CONTRACT.md. */
#include "kern/layout.h"

#include "quant/half.h"

#include <assert.h>
#include <math.h>
#include <string.h>

const wh_layout_info wh_layout_table[WH_LAYOUT_COUNT] = {
#define WH_LAYOUT_X(name, family, bits, group, min) {#name, WH_FAMILY_##family, bits, group, min},
#include "kern/layout.def"
#undef WH_LAYOUT_X
};

wh_layout wh_layout_of(wh_type type)
{
    static const wh_layout of[WH_TYPE_COUNT] = {
        [WH_TYPE_F32] = WH_LAYOUT_f32,   [WH_TYPE_F16] = WH_LAYOUT_f16,      [WH_TYPE_BF16] = WH_LAYOUT_bf16,
        [WH_TYPE_Q4_0] = WH_LAYOUT_l4,   [WH_TYPE_Q4_1] = WH_LAYOUT_l4m,     [WH_TYPE_Q5_0] = WH_LAYOUT_l5,
        [WH_TYPE_Q5_1] = WH_LAYOUT_l5m,  [WH_TYPE_Q8_0] = WH_LAYOUT_l8,      [WH_TYPE_IQ4_NL] = WH_LAYOUT_l8,
        [WH_TYPE_Q2_K] = WH_LAYOUT_h4m,  [WH_TYPE_Q3_K] = WH_LAYOUT_h4m,     [WH_TYPE_Q4_K] = WH_LAYOUT_k4m,
        [WH_TYPE_Q5_K] = WH_LAYOUT_k5m,  [WH_TYPE_Q6_K] = WH_LAYOUT_h6,      [WH_TYPE_I8] = WH_LAYOUT_COUNT,
    };
    return of[type];
}

wh_layout wh_layout_fast(wh_type type, size_t k)
{
    wh_layout exact = wh_layout_of(type);
    return exact == WH_LAYOUT_COUNT || k % 64 != 0 ? exact : WH_LAYOUT_b8;
}

size_t wh_layout_groups(wh_layout layout, size_t k)
{
    size_t group = (size_t)wh_layout_table[layout].group;
    return k / group + (k % group != 0);
}

size_t wh_layout_head_bytes(wh_layout layout, size_t k)
{
    const wh_layout_info *f = &wh_layout_table[layout];
    size_t rows = WH_LAYOUT_ROWS, groups = wh_layout_groups(layout, k);
    switch (f->family) {
    case WH_FAMILY_LEGACY: return (groups * rows * 2 * (f->min ? 2 : 1) + 63) / 64 * 64;
    case WH_FAMILY_K:      return rows * 2 * 2 + groups * rows * (f->min ? 2 : 1);
    case WH_FAMILY_BLOCK:  return groups * rows * sizeof(float);
    case WH_FAMILY_FLOAT:  break;
    }
    return 0;
}

size_t wh_layout_body_bytes(wh_layout layout, size_t k)
{
    return k * WH_LAYOUT_ROWS / 8 * (size_t)wh_layout_table[layout].bits;
}

size_t wh_layout_panel_bytes(wh_layout layout, size_t k)
{
    size_t full = wh_layout_head_bytes(layout, WH_LAYOUT_BLOCK) + wh_layout_body_bytes(layout, WH_LAYOUT_BLOCK);
    size_t blocks = k / WH_LAYOUT_BLOCK, rest = k % WH_LAYOUT_BLOCK;
    if (blocks >= SIZE_MAX / full) return 0;
    size_t last = rest ? wh_layout_head_bytes(layout, rest) + wh_layout_body_bytes(layout, rest) : 0;
    return blocks * full + last;
}

/* Four consecutive k of one row: the unit that is interleaved. */
static uint32_t quad(const uint8_t *q, size_t row, size_t k, size_t i)
{
    uint32_t u;
    memcpy(&u, q + row * k + i * 4, sizeof u);
    return u;
}

static void put(uint8_t *atom, size_t row, uint32_t u) { memcpy(atom + row * 4, &u, sizeof u); }

/* 32 k of 16 rows: bits * 64 bytes. q: row r at q + r * k. */
static void pack_group(uint8_t *out, const uint8_t *q, size_t k, int bits)
{
    for (size_t r = 0; r < WH_LAYOUT_ROWS; r++) {
        uint32_t u[8];
        for (size_t i = 0; i < 8; i++) u[i] = quad(q, r, k, i);
        if (bits == 8) {
            for (size_t i = 0; i < 8; i++) put(out + i * 64, r, u[i]);
            continue;
        }
        for (size_t i = 0; i < 4; i++)
            put(out + i * 64, r, (u[2 * i] & 0x0f0f0f0f) | (u[2 * i + 1] & 0x0f0f0f0f) << 4);
        if (bits == 5) {
            uint32_t plane = 0;
            for (size_t i = 0; i < 8; i++) plane |= (u[i] >> 4 & 0x01010101) << i;
            put(out + 4 * 64, r, plane);
        }
        if (bits == 6)
            for (size_t half = 0; half < 2; half++) {
                uint32_t plane = 0;
                for (size_t i = 0; i < 4; i++) plane |= (u[4 * half + i] >> 4 & 0x03030303) << 2 * i;
                put(out + (4 + half) * 64, r, plane);
            }
    }
}

static void pack_floats(uint8_t *panel, const uint8_t *in, size_t row_bytes, size_t rows, size_t k, size_t size)
{
    memset(panel, 0, k * WH_LAYOUT_ROWS * size);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < k; i++)
            memcpy(panel + (i * WH_LAYOUT_ROWS + r) * size, in + r * row_bytes + i * size, size);
}

typedef struct parts {
    uint8_t *q;         /* 16 rows of k */
    float    d[16], m[16];
    int8_t   sc[16];
    uint8_t  mn[16];
} parts;

static void put_f16(uint8_t *out, float f)
{
    uint16_t h = wh_half_f32_to_f16(f); /* the file's own f16: exact */
    memcpy(out, &h, sizeof h);
}

/* The scales of one row in one block: head is where the block starts. */
static void pack_head(wh_layout layout, uint8_t *head, const parts *p, size_t row, size_t k)
{
    const wh_layout_info *f = &wh_layout_table[layout];
    size_t groups = k / (size_t)f->group, rows = WH_LAYOUT_ROWS;
    if (f->family == WH_FAMILY_LEGACY) {
        size_t step = rows * 2 * (f->min ? 2 : 1);
        for (size_t g = 0; g < groups; g++) {
            put_f16(head + g * step + row * 2, p->d[g]);
            if (f->min) put_f16(head + g * step + rows * 2 + row * 2, p->m[g]);
        }
        return;
    }
    put_f16(head + row * 2, p->d[0]);
    put_f16(head + rows * 2 + row * 2, f->min ? p->m[0] : 0);
    uint8_t *sc = head + rows * 4, *mn = sc + groups * rows;
    for (size_t g = 0; g < groups; g++) {
        sc[g * rows + row] = (uint8_t)p->sc[g];
        if (f->min) mn[g / 2 * rows * 2 + row * 2 + g % 2] = p->mn[g];
    }
}

/* A block of n values of one row, rounded to d · (q - 128), d = amax / 127: the rule for activations (CONTRACT.md).
 * Rounding to nearest even is an addition that leaves the integer in the low bits, so the loops vectorize. */
static void requantize(uint8_t *q, float *d, const float *x, size_t n)
{
    uint32_t top = 0; /* the order of the magnitudes of floats is that of their bits; NaNs come out on top */
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = wh_half_bits(x[i]) & 0x7fffffff;
        top = bits > top ? bits : top;
    }
    float amax = wh_half_float(top), scale = 127.0f / amax;
    bool  finite = top < 0x7f800000, nothing = !finite || scale > 0x1.fffffep127f;
    *d = finite ? (nothing ? 0 : amax / 127.0f) : NAN;
    if (nothing) memset(q, 128, n);
    else
        for (size_t i = 0; i < n; i++) q[i] = (uint8_t)(wh_half_bits(x[i] * scale + 0x1.8p23f) + 128);
}

/* One row in the BLOCK family: integers to q, scales to the heads of the panel. */
static void pack_blocks(wh_layout layout, wh_type type, uint8_t *panel, uint8_t *q, const uint8_t *in, size_t row, size_t k)
{
    const wh_quant_info *t = &wh_quant_table[type];
    float x[WH_LAYOUT_BLOCK], d;
    for (size_t k0 = 0; k0 < k; k0 += WH_LAYOUT_BLOCK) {
        size_t n = k - k0 < WH_LAYOUT_BLOCK ? k - k0 : WH_LAYOUT_BLOCK;
        wh_quant_dequantize_row(type, x, in, n);
        requantize(q + k0, &d, x, n);
        memcpy(panel + row * sizeof d, &d, sizeof d);
        in += n / t->block * t->block_bytes;
        panel += wh_layout_head_bytes(layout, n) + wh_layout_body_bytes(layout, n);
    }
}

void wh_layout_pack(wh_layout layout, wh_type type, void *panel, const void *in, size_t row_bytes, size_t rows,
                    size_t k, void *work)
{
    const wh_layout_info *f = &wh_layout_table[layout];
    const wh_quant_info  *t = &wh_quant_table[type];
    assert(rows >= 1 && rows <= WH_LAYOUT_ROWS && k % 32 == 0 && (wh_layout_of(type) == layout || f->family == WH_FAMILY_BLOCK));
    if (f->family == WH_FAMILY_FLOAT) {
        pack_floats(panel, in, row_bytes, rows, k, (size_t)f->bits / 8);
        return;
    }
    uint8_t *q = work;
    memset(panel, 0, wh_layout_panel_bytes(layout, k));
    memset(q, f->family == WH_FAMILY_BLOCK ? 128 : 0, WH_LAYOUT_ROWS * k);
    parts p;
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *block = (const uint8_t *)in + r * row_bytes;
        uint8_t       *head = panel;
        if (f->family == WH_FAMILY_BLOCK) {
            pack_blocks(layout, type, panel, q + r * k, block, r, k);
            continue;
        }
        for (size_t k0 = 0; k0 < k; k0 += WH_LAYOUT_BLOCK) {
            size_t n = k - k0 < WH_LAYOUT_BLOCK ? k - k0 : WH_LAYOUT_BLOCK;
            wh_quant_unpack_row(type, q + r * k + k0, p.d, p.m, p.sc, p.mn, block, n);
            pack_head(layout, head, &p, r, n);
            block += n / t->block * t->block_bytes;
            head += wh_layout_head_bytes(layout, n) + wh_layout_body_bytes(layout, n);
        }
    }
    uint8_t *out = panel;
    for (size_t k0 = 0; k0 < k; k0 += WH_LAYOUT_BLOCK) {
        size_t n = k - k0 < WH_LAYOUT_BLOCK ? k - k0 : WH_LAYOUT_BLOCK;
        out += wh_layout_head_bytes(layout, n);
        for (size_t i = 0; i < n; i += 32, out += (size_t)f->bits * 64) pack_group(out, q + k0 + i, k, f->bits);
    }
}
