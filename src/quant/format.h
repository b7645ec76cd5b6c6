/* format: what a format's source file hands to quant.c, and the few moves they share.
 *
 * A file quant/<file>.c exports one wh_quant_ops and nothing else. The host is little-endian, as GGUF is.
 */
#ifndef WH_QUANT_FORMAT_H
#define WH_QUANT_FORMAT_H

#include "quant/half.h"
#include "quant/quant.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "GGUF data is read in place: a little-endian host is needed"
#endif

/* Where wh_quant_unpack_row writes. */
typedef struct wh_quant_parts {
    uint8_t *q;
    float   *d, *m;
    int8_t  *sc;
    uint8_t *mn;
} wh_quant_parts;

typedef struct wh_quant_ops {
    void (*widen)(float *restrict out, const uint8_t *restrict in, size_t n);   /* floats: values of n weights */
    void (*unpack)(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks);   /* integer kinds */
    void (*quantize)(uint8_t *restrict out, const float *restrict in, size_t blocks);       /* or NULL */
} wh_quant_ops;

#define WH_QUANT_X(NAME, file, id, block, bytes, kind, bits, offset, has_min)                                  \
    extern const wh_quant_ops wh_quant_ops_##file;
#include "quant/quant.def"

/* The f16 at p. */
static inline float wh_format_load_f16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return wh_half_f16_to_f32(h);
}

static inline void wh_format_store_f16(uint8_t *p, float f)
{
    uint16_t h = wh_half_f32_to_f16(f);
    memcpy(p, &h, sizeof h);
}

/* 32 weights whose 4-bit integers lie in 16 bytes: the low halves are the first 16, the high halves the rest. */
static inline void wh_format_unpack_nibbles(uint8_t *restrict q, const uint8_t *restrict in)
{
    for (int i = 0; i < 16; i++) {
        q[i] = in[i] & 15;
        q[i + 16] = in[i] >> 4;
    }
}

static inline void wh_format_pack_nibbles(uint8_t *restrict out, const uint8_t *restrict q)
{
    for (int i = 0; i < 16; i++) out[i] = (uint8_t)((q[i] & 15) | q[i + 16] << 4);
}

/* q[i] |= 16 where bit i of the 32 bits at `in` is set. Eight bits at a time: copy the byte to eight bytes,
 * keep bit i of byte i, carry it to the top of its byte (adding 127 cannot carry further), shift it down. */
static inline void wh_format_add_fifth_bits(uint8_t *restrict q, const uint8_t *restrict in)
{
    for (int i = 0; i < 4; i++) {
        uint64_t bits = in[i] * 0x0101010101010101u & 0x8040201008040201u, eight;
        bits = (bits + 0x7f7f7f7f7f7f7f7fu) >> 3 & 0x1010101010101010u;
        memcpy(&eight, q + 8 * i, sizeof eight);
        eight |= bits;
        memcpy(q + 8 * i, &eight, sizeof eight);
    }
}

static inline void wh_format_pack_fifth_bits(uint8_t *restrict out, const uint8_t *restrict q)
{
    uint32_t bits = 0;
    for (int i = 0; i < 32; i++) bits |= (uint32_t)(q[i] >> 4) << i;
    memcpy(out, &bits, sizeof bits);
}

/* Integers around zero: the extreme of the block (the first, of equals) becomes -half, q = x / d + half rounded
 * half up, at most 2 half - 1. Returns d. The order of operations is the reference's. */
static inline float wh_format_quantize_signed(uint8_t *restrict q, const float *restrict x, int half)
{
    float largest = 0, extreme = 0;
    for (int i = 0; i < 32; i++) {
        float magnitude = x[i] < 0 ? -x[i] : x[i];
        if (magnitude > largest) {
            largest = magnitude;
            extreme = x[i];
        }
    }
    float d = extreme / (float)-half, inverse = d != 0 ? 1 / d : 0, top = (float)(2 * half - 1);
    for (int i = 0; i < 32; i++) {
        float v = x[i] * inverse + ((float)half + 0.5f);
        q[i] = (uint8_t)(v > 0 ? v < top ? v : top : 0);
    }
    return d;
}

/* Integers above the minimum of the block: q = (x - m) / d rounded half up, 0 <= q <= top. Returns d. */
static inline float wh_format_quantize_above(uint8_t *restrict q, float *restrict m, const float *restrict x,
                                             float top)
{
    float lo = x[0], hi = x[0];
    for (int i = 1; i < 32; i++) {
        if (x[i] < lo) lo = x[i];
        if (x[i] > hi) hi = x[i];
    }
    float d = (hi - lo) / top, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; i++) {
        float v = (x[i] - lo) * inverse + 0.5f;
        q[i] = (uint8_t)(v > 0 ? v < top ? v : top : 0);
    }
    *m = lo;
    return d;
}

/* Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minima in 12 bytes. Bytes 0-3 hold sc 0-3, bytes 4-7 hold
 * mn 0-3, each with two high bits of the later four on top; bytes 8-11 hold the low nibbles of sc and mn 4-7. */
static inline void wh_format_unpack_scales6(int8_t *restrict sc, uint8_t *restrict mn, const uint8_t *restrict in)
{
    for (int i = 0; i < 4; i++) {
        sc[i] = (int8_t)(in[i] & 63);
        mn[i] = in[i + 4] & 63;
        sc[i + 4] = (int8_t)((in[i + 8] & 15) | (in[i] >> 6) << 4);
        mn[i + 4] = (uint8_t)(in[i + 8] >> 4 | (in[i + 4] >> 6) << 4);
    }
}

#endif
