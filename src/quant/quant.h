/* quant: the weight formats of GGUF files (quant.def), seen in two ways.
 *
 * Values.      wh_quant_dequantize_row gives f32, the same bits as the reference (PyPI gguf, quants.py).
 * Integers.    wh_quant_unpack_row takes a row apart, exactly, into unsigned integers q and scales; this is
 *              what kernels are packed from. For every format but the floats the value of weight i is
 *              defined, in this order of f32 operations, each rounded once, as
 *
 *   LEGACY32   d[i/32] * (float)(q[i] - offset)                            without a minimum
 *              d[i/32] * (float)q[i] + m[i/32]                             with one
 *   K16, K32   (d[i/256] * (float)sc[i/G]) * (float)(q[i] - offset)        without, G = 16 or 32
 *              (d[i/256] * (float)sc[i/G]) * (float)q[i] - m[i/256] * (float)mn[i/G]   with one
 *
 *              wh_quant_dequantize_row computes exactly these, so the two views cannot differ.
 *
 * A row is n weights, n a whole number of blocks. Rows need no alignment. Nothing here can fail or
 * allocates; all functions are pure and thread-safe on disjoint outputs. NaN scales give NaN weights, whose
 * payload is not defined.
 *
 * Source of the layouts: ggml-common.h and ggml-quants.c of llama.cpp (MIT).
 */
#ifndef WH_QUANT_QUANT_H
#define WH_QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wh_type {
#define WH_QUANT_X(NAME, file, id, block, bytes, kind, bits, offset, has_min) WH_TYPE_##NAME,
#include "quant/quant.def"
    WH_TYPE_COUNT
} wh_type;

typedef enum wh_quant_kind {
    WH_QUANT_FLOAT,    /* F32 F16 BF16 I8: one number each; wh_quant_unpack_row does not apply */
    WH_QUANT_LEGACY32, /* one scale d and minimum m for 32 weights */
    WH_QUANT_K16,      /* d and m for 256 weights, integer sc and mn for 16 */
    WH_QUANT_K32       /* d and m for 256 weights, integer sc and mn for 32 */
} wh_quant_kind;

typedef struct wh_quant_info {
    const char   *name;         /* "Q4_K" */
    uint32_t      gguf_id;      /* type number in the file */
    size_t        block;        /* weights in a block */
    size_t        block_bytes;
    wh_quant_kind kind;
    int           bits;         /* q < 1 << bits (integer kinds) */
    int           offset;       /* to be subtracted from q */
    bool          has_min;      /* false: m and mn are all zero */
} wh_quant_info;

/* Indexed by wh_type. */
extern const wh_quant_info wh_quant_table[WH_TYPE_COUNT];

/* false when Whet does not read that type. */
bool wh_quant_from_gguf_id(wh_type *out, uint32_t id);
/* The name of any type that GGUF defines, also of those Whet does not read; NULL for other numbers. */
const char *wh_quant_gguf_name(uint32_t id);

/* Bytes of a row of n weights; 0 when n is zero, is no whole number of blocks or overflows. */
size_t wh_quant_row_bytes(wh_type type, size_t n);

/* out[n] = the n weights of the row. */
void wh_quant_dequantize_row(wh_type type, float *out, const void *in, size_t n);

/* Take the row apart (integer kinds alone):
 *   q   n integers
 *   d   n/32 (LEGACY32) or n/256 (K16, K32) scales
 *   m   as many minima; zeros when the format has none
 *   sc  n/16 (K16) or n/32 (K32) integer scales, signed for Q3_K and Q6_K; LEGACY32: not touched, may be NULL
 *   mn  as many integer minima; zeros when the format has none; LEGACY32: not touched, may be NULL */
void wh_quant_unpack_row(wh_type type, uint8_t *q, float *d, float *m, int8_t *sc, uint8_t *mn, const void *in,
                         size_t n);

/* F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1. */
bool wh_quant_can_quantize(wh_type type);
/* Round n weights to the nearest values of the format's grid, the grid chosen from the extremes of each block:
 * the same bits as the reference for finite input. A NaN weight becomes the smallest integer (0 in Q8_0). */
void wh_quant_quantize_row(wh_type type, void *out, const float *in, size_t n);

#endif
