/* check_mm: matmul kernels on random and on adversarial panels.
 *
 * A case is written straight in the packed layout, so every value that a format can hold is reached.
 * Inputs and outputs end at forbidden pages; y is poisoned, also between its rows.
 */
#include "checkasm.h"

#include "base/clock.h"
#include "base/mem.h"
#include "quant/half.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM, LARGEST, SMALLEST, ALTERNATING, ZERO_SCALES, WILD_SCALES, STYLES };

typedef struct test {
    wh_layout layout;
    int       style, off;
    guarded   w, x, d, start, sum, y, scratch;
    wh_mm     a;
} test;

/* An integer in [lo, hi] in the style of the case. */
static int pick(const test *t, int lo, int hi)
{
    switch (t->style) {
    case LARGEST:     return hi;
    case SMALLEST:    return lo;
    case ALTERNATING: return random_u32() & 1 ? hi : lo;
    default:          return random_in(lo, hi);
    }
}

static uint16_t pick_f16(const test *t)
{
    static const float wild[] = {INFINITY, -INFINITY, NAN, 65504, -65504, 6e-8f, -6e-8f, 0, -0.0f, 1e-4f};
    if (t->style == ZERO_SCALES) return 0;
    if (t->style == WILD_SCALES) return wh_half_f32_to_f16(wild[random_u32() % (sizeof wild / sizeof *wild)]);
    return wh_half_f32_to_f16(random_float(-0.1f, 0.1f));
}

static void fill_f32_scales(const test *t, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = t->style < ZERO_SCALES ? random_float(-0.1f, 0.1f) : wh_half_f16_to_f32(pick_f16(t));
}

/* One group of 32 k: integers up to `most`, written by the description of the layout in CONTRACT.md. */
static void fill_group(const test *t, uint8_t *out, int bits, int most)
{
    memset(out, 0, (size_t)bits * 64);
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < 32; k++) {
            int u = pick(t, 0, most), quad = k / 4, at = row * 4 + k % 4;
            if (bits == 8) {
                out[quad * 64 + at] = (uint8_t)u;
                continue;
            }
            out[quad / 2 * 64 + at] |= (uint8_t)((u & 15) << quad % 2 * 4);
            if (bits == 5) out[256 + at] |= (uint8_t)(u >> 4 << quad);
            if (bits == 6) out[256 + quad / 4 * 64 + at] |= (uint8_t)(u >> 4 << quad % 4 * 2);
        }
}

static void fill_weights(test *t)
{
    const wh_layout_info *f = &wh_layout_table[t->layout];
    uint8_t *p = t->w.p;
    if (f->family == WH_FAMILY_FLOAT) {
        for (size_t i = 0; i < t->w.bytes / (size_t)(f->bits / 8); i++, p += f->bits / 8) {
            float    v = random_float(-1, 1);
            uint16_t h = t->layout == WH_LAYOUT_f16 ? wh_half_f32_to_f16(v) : wh_half_f32_to_bf16(v);
            if (t->style == WILD_SCALES && random_u32() % 64 == 0) v = wh_half_f16_to_f32(h = pick_f16(t));
            memcpy(p, f->bits == 32 ? (void *)&v : (void *)&h, (size_t)f->bits / 8);
        }
        return;
    }
    /* h4m holds two formats: Q3_K (offset 4) and Q2_K. */
    int most = (1 << f->bits) - 1, sc_lo = 0, sc_hi = 63, mn_hi = 63;
    if (t->layout == WH_LAYOUT_h4m && t->off) most = 7, sc_lo = -32, sc_hi = 31, mn_hi = 0;
    if (t->layout == WH_LAYOUT_h4m && !t->off) most = 3, sc_hi = 15, mn_hi = 15;
    if (t->layout == WH_LAYOUT_h6) sc_lo = -128, sc_hi = 127;
    for (size_t panel = 0; panel < t->a.panels; panel++)
        for (size_t k0 = 0; k0 < t->a.k; k0 += WH_LAYOUT_BLOCK) {
            size_t n = t->a.k - k0 < WH_LAYOUT_BLOCK ? t->a.k - k0 : WH_LAYOUT_BLOCK;
            size_t head = wh_layout_head_bytes(t->layout, n), scales = head, groups = wh_layout_groups(t->layout, n);
            if (f->family == WH_FAMILY_K) scales = 64;
            if (f->family == WH_FAMILY_BLOCK) scales = 0, fill_f32_scales(t, (float *)(void *)p, head / 4);
            for (size_t i = 0; i < scales; i += 2) {
                uint16_t h = pick_f16(t);
                memcpy(p + i, &h, 2);
            }
            for (size_t i = scales; i < head && f->family != WH_FAMILY_BLOCK; i++)
                p[i] = (uint8_t)(i < scales + groups * 16 ? pick(t, sc_lo, sc_hi) : pick(t, 0, mn_hi));
            p += head;
            for (size_t k = 0; k < n; k += 32, p += f->bits * 64) fill_group(t, p, f->bits, most);
        }
}

static void fill_activations(test *t)
{
    const wh_layout_info *f = &wh_layout_table[t->layout];
    bool legacy = f->family == WH_FAMILY_LEGACY;
    for (size_t i = 0; i < t->a.m; i++) {
        char *row = (char *)t->x.p + i * t->a.x_stride;
        for (size_t k = 0; k < t->a.k; k++)
            if (f->family == WH_FAMILY_FLOAT) ((float *)(void *)row)[k] = random_float(-1, 1);
            else row[k] = (char)pick(t, -127, 127);
        if (f->family == WH_FAMILY_FLOAT) continue;
        float *d = (float *)t->d.p + i * t->a.d_stride / 4;
        for (size_t b = 0; b < t->a.d_stride / 4; b++) d[b] = random_float(0, 0.1f);
        size_t group = (size_t)f->group;
        for (size_t g = 0; g < wh_layout_groups(t->layout, t->a.k); g++) {
            int sum = 0;
            for (size_t k = g * group; k < t->a.k && k < (g + 1) * group; k++) sum += (signed char)row[k];
            ((int16_t *)t->sum.p)[i * t->a.sum_stride / 2 + g] = (int16_t)sum;
            float   scaled = legacy && f->min ? d[g] * (float)sum : 0;
            int32_t start = t->layout == WH_LAYOUT_k4m ? -8 * sum : -t->off * sum;
            memcpy((char *)t->start.p + i * t->a.start_stride + g * 4, legacy && f->min ? (void *)&scaled : (void *)&start, 4);
        }
    }
}

static void set_up(test *t, wh_layout layout, int style, size_t m, size_t panels, size_t k)
{
    static const int offsets[WH_LAYOUT_COUNT] = {[WH_LAYOUT_l4] = 8, [WH_LAYOUT_l5] = 16, [WH_LAYOUT_l8] = 128, [WH_LAYOUT_h6] = 32, [WH_LAYOUT_b8] = 128};
    const wh_layout_info *f = &wh_layout_table[layout];
    bool is_float = f->family == WH_FAMILY_FLOAT;
    t->layout = layout;
    t->style = style;
    t->off = layout == WH_LAYOUT_h4m ? (int)(random_u32() & 1) * 4 : offsets[layout];
    size_t groups = wh_layout_groups(layout, k), blocks = f->family == WH_FAMILY_K || f->family == WH_FAMILY_BLOCK ? (k + 255) / 256 : k / 32;
    size_t x_bytes = is_float ? k * 4 : k, x_stride = x_bytes + (random_u32() & 1) * 64, y_stride = panels * 16 + random_u32() % 9;
    t->w = guarded_alloc(panels * wh_layout_panel_bytes(layout, k));
    t->x = guarded_alloc((m - 1) * x_stride + x_bytes);
    t->d = guarded_alloc(is_float ? 0 : m * blocks * 4);
    t->start = guarded_alloc(is_float ? 0 : m * groups * 4);
    t->sum = guarded_alloc(is_float ? 0 : m * groups * 2);
    t->y = guarded_alloc(((m - 1) * y_stride + panels * 16) * 4);
    t->scratch = guarded_alloc(WH_MM_SCRATCH);
    t->a = (wh_mm){.y = t->y.p, .y_stride = y_stride, .w = t->w.p, .panels = panels, .m = m, .k = k, .x = t->x.p,
                   .x_stride = x_stride, .d = t->d.p, .d_stride = blocks * 4, .start = t->start.p, .start_stride = groups * 4,
                   .sum = t->sum.p, .sum_stride = groups * 2, .scratch = t->scratch.p, .off = (size_t)t->off};
    fill_weights(t);
    fill_activations(t);
}

static void tear_down(test *t)
{
    guarded *all[] = {&t->w, &t->x, &t->d, &t->start, &t->sum, &t->y, &t->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

static const wh_mm_entry *twin(wh_layout layout)
{
    for (size_t i = 0; i < wh_mm_count; i++)
        if (wh_mm_table[i].layout == layout && wh_mm_table[i].isa == WH_ISA_INDEX_c) return &wh_mm_table[i];
    return NULL;
}

static bool same(uint32_t a, uint32_t b)
{
    bool nan_a = (a & 0x7fffffff) > 0x7f800000, nan_b = (b & 0x7fffffff) > 0x7f800000;
    return a == b || (nan_a && nan_b);
}

/* The kernel's y against the twin's; poison must have stayed where y has no columns. */
static bool compare(const wh_mm_entry *e, test *t)
{
    uint32_t *y = t->y.p, *expected = malloc(t->y.bytes);
    bool      ok = true;
    memset(y, 0xa5, t->y.bytes);
    memset(t->scratch.p, 0xff, WH_MM_SCRATCH);
    twin(t->layout)->fn(&t->a);
    memcpy(expected, y, t->y.bytes);
    memset(y, 0xa5, t->y.bytes);
    memset(t->scratch.p, 0xff, WH_MM_SCRATCH);
    const char *broken = checked_call(e->fn, &t->a);
    if (broken) {
        printf("%s %s (m %zu, %zu panels, k %zu)\n", e->name, broken, t->a.m, t->a.panels, t->a.k);
        ok = false;
    }
    for (size_t i = 0; i < t->y.bytes / 4 && ok; i++)
        if (!same(y[i], expected[i])) {
            printf("%s: m %zu, %zu panels, k %zu, style %d: y[%zu][%zu] is %g (%08x), should be %g (%08x)\n", e->name, t->a.m,
                   t->a.panels, t->a.k, t->style, i / t->a.y_stride, i % t->a.y_stride, (double)wh_half_float(y[i]), y[i],
                   (double)wh_half_float(expected[i]), expected[i]);
            ok = false;
        }
    free(expected);
    return ok;
}

bool check_mm(const wh_mm_entry *e)
{
    static const size_t ms[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 23, 31, 32, 33, 47, 64, 100, 127, 128};
    wh_family family = wh_layout_table[e->layout].family;
    bool ok = true;
    for (int style = 0; style < STYLES && ok; style++)
        for (size_t i = 0; i < sizeof ms / sizeof *ms && ok; i++) {
            /* One block, whole blocks, tails of 128, 64 and 32 k, less than a block. */
            static const size_t ks[] = {256, 512, 896, 576, 288, 32, 64, 96};
            size_t k = family == WH_FAMILY_K ? 256 * (1 + random_u32() % 3) : ks[random_u32() % 8];
            if (family == WH_FAMILY_BLOCK) k = (k + 63) / 64 * 64;
            test   t;
            set_up(&t, e->layout, style, ms[i], 1 + random_u32() % 6, k);
            ok = compare(e, &t);
            tear_down(&t);
        }
    return ok;
}

void bench_mm(const wh_mm_entry *e)
{
    static const size_t ms[] = {1, 4, 16, 64};
    printf("   ");
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        test t;
        set_up(&t, e->layout, RANDOM, ms[i], 8, 1536);
        double best = 1e9, began = wh_clock_now();
        for (int run = 0; run < 1000 && wh_clock_now() - began < 0.2; run++) {
            double start = wh_clock_now();
            e->fn(&t.a);
            double s = wh_clock_now() - start;
            best = s < best ? s : best;
        }
        printf("  m=%zu %.1f GOP/s", ms[i], 2e-9 * (double)(ms[i] * 8 * 16 * 1536) / best);
        tear_down(&t);
    }
    printf("\n");
}
