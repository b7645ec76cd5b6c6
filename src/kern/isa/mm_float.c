/* mm_float: y = x · wᵀ for unquantized weights, panels of [k][16] and f32 activations. Compiled once per
 * instruction set: acc = fma(w_k, x_k, acc), k ascending, one lane for each row of the panel.
 */
#include "kern/isa/vec.h"
#include "kern/kern.h"

enum { TILE = 6 }; /* rows of x at once: 6 accumulators and a weight fit AVX2's 16 registers */

static inline wh_v load_f32(const void *w, size_t k) { return wh_v_load((const float *)w + k * 16); }
static inline wh_v load_f16(const void *w, size_t k) { return wh_v_load_f16((const uint16_t *)w + k * 16); }
static inline wh_v load_bf16(const void *w, size_t k)
{
    float    f[16];
    uint16_t h[16];
    memcpy(h, (const uint16_t *)w + k * 16, sizeof h);
    for (int i = 0; i < 16; i++) f[i] = wh_half_bf16_to_f32(h[i]);
    return wh_v_load(f);
}

#define WH_TILE(load, rows)                                                                                  \
    static void tile_##load##_##rows(float *y, size_t y_stride, const void *w, const float *x, size_t stride, \
                                     size_t k)                                                               \
    {                                                                                                        \
        wh_v acc[rows];                                                                                      \
        for (size_t i = 0; i < rows; i++) acc[i] = wh_v_set1(0);                                             \
        for (size_t j = 0; j < k; j++) {                                                                     \
            wh_v v = load(w, j);                                                                             \
            for (size_t i = 0; i < rows; i++) acc[i] = wh_v_fma(v, wh_v_set1(x[i * stride + j]), acc[i]);    \
        }                                                                                                    \
        for (size_t i = 0; i < rows; i++) wh_v_store(y + i * y_stride, acc[i]);                              \
    }

typedef void tile_fn(float *y, size_t y_stride, const void *w, const float *x, size_t stride, size_t k);

static void multiply(const wh_mm *a, size_t weight_bytes, tile_fn *const tile[TILE])
{
    size_t stride = a->x_stride / sizeof(float);
    for (size_t p = 0; p < a->panels; p++) {
        const char *w = (const char *)a->w + p * a->k * 16 * weight_bytes;
        for (size_t i = 0; i < a->m;) {
            size_t rows = a->m - i < TILE ? a->m - i : TILE;
            tile[rows - 1](a->y + i * a->y_stride + p * 16, a->y_stride, w, (const float *)a->x + i * stride,
                           stride, a->k);
            i += rows;
        }
    }
}

#define WH_KERNEL(name, load, weight_bytes)                                                                  \
    WH_TILE(load, 1) WH_TILE(load, 2) WH_TILE(load, 3) WH_TILE(load, 4) WH_TILE(load, 5) WH_TILE(load, 6)    \
    void WH_OP(name)(const wh_mm *a)                                                                         \
    {                                                                                                        \
        static tile_fn *const tile[TILE] = {tile_##load##_1, tile_##load##_2, tile_##load##_3,               \
                                            tile_##load##_4, tile_##load##_5, tile_##load##_6};              \
        multiply(a, weight_bytes, tile);                                                                     \
    }

WH_KERNEL(mm_f32, load_f32, 4)
WH_KERNEL(mm_f16, load_f16, 2)
WH_KERNEL(mm_bf16, load_bf16, 2)
