/* kern: the table of kernels that a machine (or a mask) allows. Opaque to users of mat.h. */
#ifndef WH_KERN_KERN_H
#define WH_KERN_KERN_H

#include "base/cpu.h"
#include "kern/layout.h"
#include "kern/mat.h"

/* wh_act_quantize_part, but for WH_ACT_FLOAT (isa/act_quant.c). */
typedef void wh_act_quantize_fn(wh_act *a, size_t r0, size_t r1, const float *x, size_t x_stride, size_t k0, size_t n,
                                unsigned ways);
wh_act_quantize_fn wh_act_quantize_c;
/* out[i] = -off · sum[i]: wh_mm.start of integer layouts (same file). */
typedef void wh_act_starts_fn(int32_t *restrict out, const int16_t *restrict sum, size_t n, int off);
wh_act_starts_fn wh_act_starts_c;
#if defined(__x86_64__)
wh_act_quantize_fn wh_act_quantize_avx2, wh_act_quantize_avx512;
wh_act_starts_fn wh_act_starts_avx2, wh_act_starts_avx512;
#endif

/* One line of kern_c.def, kern_x86.def or kern_arm.def. */
typedef struct wh_mm_entry {
    wh_mm_fn   *fn;
    const char *name;   /* wh_mm_<layout>_<isa> */
    wh_layout   layout;
    int         isa;    /* WH_ISA_INDEX_<isa> */
    size_t      from_m; /* the batch size from which it is preferred over the lines above it */
} wh_mm_entry;

extern const wh_mm_entry wh_mm_table[];
extern const size_t      wh_mm_count;

struct wh_kern {
    wh_isa allowed;
    wh_act_quantize_fn *act_quantize;
    wh_act_starts_fn   *act_starts;
    /* Per layout, weakest first: the last one whose from_m <= m is used. */
    struct {
        const wh_mm_entry *by_m[WH_ISA_COUNT];
        int                count;
    } mm[WH_LAYOUT_COUNT];
};

const wh_mm_entry *wh_kern_mm(const wh_kern *kern, wh_layout layout, size_t m);

/* Every line declares its kernel. */
#define WH_MM_X(layout, isa, from_m) wh_mm_fn wh_mm_##layout##_##isa;
#include "kern/kern_c.def"
#if defined(__x86_64__)
#include "kern/kern_x86.def"
#elif defined(__aarch64__)
#include "kern/kern_arm.def"
#endif
#undef WH_MM_X

#endif
