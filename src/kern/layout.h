/* layout: the packed layouts of weights and what a matmul kernel is called with.
 *
 * The bytes of a layout are described in CONTRACT.md; this is for the packer, the kernels and their
 * tests. Users of matrices need mat.h alone.
 */
#ifndef WH_KERN_LAYOUT_H
#define WH_KERN_LAYOUT_H

#include "quant/quant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wh_layout {
#define WH_LAYOUT_X(name, family, bits, group, min) WH_LAYOUT_##name,
#include "kern/layout.def"
#undef WH_LAYOUT_X
    WH_LAYOUT_COUNT
} wh_layout;

typedef enum { WH_FAMILY_LEGACY, WH_FAMILY_K, WH_FAMILY_BLOCK, WH_FAMILY_FLOAT } wh_family;

typedef struct wh_layout_info {
    const char *name;
    wh_family   family;
    int         bits, group;
    bool        min;
} wh_layout_info;

extern const wh_layout_info wh_layout_table[WH_LAYOUT_COUNT];

/* Raised whenever the bytes of a layout change: files of packed matrices (model/pack.h) say which they hold. */
enum { WH_LAYOUT_VERSION = 1 };

enum {
    WH_LAYOUT_ROWS = 16,   /* rows of a panel */
    WH_LAYOUT_BLOCK = 256, /* k of a block; the last block of a LEGACY or BLOCK panel may be shorter */
    WH_MM_ROWS = 128,      /* most rows of x in one kernel call */
    WH_MM_SCRATCH = 64 << 10 /* bytes of scratch a kernel call may use */
};

/* The layout that holds the values of the type exactly. WH_LAYOUT_COUNT: the type is not one for matrices. */
wh_layout wh_layout_of(wh_type type);
/* The layout for a matrix of k columns in the faster form: b8, but the exact one where k % 64 != 0. */
wh_layout wh_layout_fast(wh_type type, size_t k);
/* Groups of k values, a shorter last one included. */
size_t wh_layout_groups(wh_layout layout, size_t k);

/* Bytes of a block's scales and of its integers, for a block of k values (k % 32 == 0, k <= 256). */
size_t wh_layout_head_bytes(wh_layout layout, size_t k);
size_t wh_layout_body_bytes(wh_layout layout, size_t k);
/* Bytes of a panel of k values: a multiple of 64. 0 when it overflows. */
size_t wh_layout_panel_bytes(wh_layout layout, size_t k);

/* Pack one panel: `rows` (1 .. 16) rows of a file, row_bytes apart; missing rows become zeros. layout: that of the
 * type, or b8.
 * work: 16 * k bytes. */
void wh_layout_pack(wh_layout layout, wh_type type, void *panel, const void *in, size_t row_bytes, size_t rows,
                    size_t k, void *work);

/* The call of a matmul kernel: m rows of x times `panels` panels. Kernels in assembly know these offsets
 * (asm/wh_asm.h), so the order of members is part of the contract.
 *
 *   layouts      x      d                 start (one per group)          sum (int16, one per group)
 *   l4 l5 l8     int8   scale per 32 k    int32: -off · Σq               Σq
 *   l4m l5m      int8   scale per 32 k    f32: d · float(Σq)             Σq
 *   k4m          int8   scale per 256 k   int32: -8 · Σq                 Σq
 *   k5m          int8   scale per 256 k   not set                        Σq
 *   h4m h6       int8   scale per 256 k   int32: -off · Σq               Σq
 *   b8           int8   scale per 256 k   int32: -128 · Σq                not set
 *   f32 f16 bf16 f32    not set           not set                        not set
 *
 * Of a legacy layout and of b8 d_stride == start_stride: both have one number per group.
 */
typedef struct wh_mm {
    float         *y;            /* row i starts at y + i * y_stride */
    size_t         y_stride;     /* floats */
    const void    *w;            /* panels one after another */
    size_t         panels;
    size_t         m;            /* 1 .. WH_MM_ROWS */
    size_t         k;            /* k % 32 == 0, K: k % 256 == 0, BLOCK: k % 64 == 0 */
    const void    *x;
    size_t         x_stride;     /* bytes */
    const float   *d;
    size_t         d_stride;     /* bytes */
    const void    *start;
    size_t         start_stride; /* bytes */
    const int16_t *sum;
    size_t         sum_stride;   /* bytes */
    void          *scratch;      /* WH_MM_SCRATCH bytes, 64-byte aligned */
    size_t         off;          /* the offset of the format */
} wh_mm;

typedef void wh_mm_fn(const wh_mm *a);

#endif
