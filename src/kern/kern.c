/* kern: which kernels a machine (or a mask) allows.
 *
 * A table depends on the set of instruction sets alone, so there is one for each set, filled the first
 * time it is asked for and never changed after that.
 */
#include "kern/kern.h"

#include <string.h>

#include <pthread.h>

const wh_mm_entry wh_mm_table[] = {
#define WH_MM_X(layout, isa, from_m)                                                                         \
    {wh_mm_##layout##_##isa, "wh_mm_" #layout "_" #isa, WH_LAYOUT_##layout, WH_ISA_INDEX_##isa, from_m},
#include "kern/kern_c.def"
#if defined(__x86_64__)
#include "kern/kern_x86.def"
#elif defined(__aarch64__)
#include "kern/kern_arm.def"
#endif
#undef WH_MM_X
};
const size_t wh_mm_count = sizeof wh_mm_table / sizeof *wh_mm_table;

static void fill(wh_kern *kern, wh_isa allowed)
{
    kern->allowed = allowed;
    for (size_t i = 0; i < wh_mm_count; i++) {
        const wh_mm_entry *e = &wh_mm_table[i];
        if (allowed >> e->isa & 1) kern->mm[e->layout].by_m[kern->mm[e->layout].count++] = e;
    }
    kern->act_quantize = wh_act_quantize_c;
    kern->act_starts = wh_act_starts_c;
#if defined(__x86_64__)
    if (allowed & WH_ISA_avx2) kern->act_quantize = wh_act_quantize_avx2, kern->act_starts = wh_act_starts_avx2;
    if (allowed & WH_ISA_avx512) kern->act_quantize = wh_act_quantize_avx512, kern->act_starts = wh_act_starts_avx512;
#endif
}

const wh_kern *wh_kern_select(wh_isa allowed)
{
    static wh_kern         tables[1 << WH_ISA_COUNT];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    allowed = (allowed | WH_ISA_c) & ((1u << WH_ISA_COUNT) - 1);
    wh_kern *kern = &tables[allowed];
    pthread_mutex_lock(&lock);
    if (!kern->allowed) fill(kern, allowed);
    pthread_mutex_unlock(&lock);
    return kern;
}

const wh_mm_entry *wh_kern_mm(const wh_kern *kern, wh_layout layout, size_t m)
{
    int i = kern->mm[layout].count - 1;
    while (i > 0 && kern->mm[layout].by_m[i]->from_m > m) i--;
    return kern->mm[layout].by_m[i];
}

const char *wh_kern_isa(const wh_kern *kern, wh_mat_form form, wh_type type, size_t m)
{
    wh_layout layout = form == WH_MAT_FAST ? wh_layout_fast(type, WH_LAYOUT_BLOCK) : wh_layout_of(type);
    return layout == WH_LAYOUT_COUNT ? NULL : wh_isa_table[wh_kern_mm(kern, layout, m)->isa].word;
}

void wh_act_quantize(const wh_kern *kern, wh_act *a, size_t r0, size_t r1, unsigned ways)
{
    kern->act_quantize(a, r0, r1, a->f + r0 * a->k, a->k, 0, a->k, ways);
}

void wh_act_quantize_part(const wh_kern *kern, wh_act *a, size_t r0, size_t r1, const float *x, size_t x_stride,
                          size_t k0, size_t n, unsigned ways)
{
    if (ways & WH_ACT_FLOAT)
        for (size_t r = r0; r < r1; r++) memcpy(a->f + r * a->k + k0, x + (r - r0) * x_stride, n * sizeof *x);
    kern->act_quantize(a, r0, r1, x, x_stride, k0, n, ways);
}
