/* mm_float: y = x · wᵀ for unquantized weights, panels of [k][16] and f32 activations. Compiled once per
 * instruction set: acc = fma(w_k, x_k, acc), k ascending, one lane for each row of the panel.
 */
#include "kern/isa/vec.h"
#include "kern/kern.h"

/* Rows of x at once: their accumulators, a weight and a broadcast fit the registers. */
#if defined(__AVX512F__)
enum { TILE = 12 };
#else
enum { TILE = 6 };
#endif

static inline wh_v load_f32(const void *w, size_t k) { return wh_v_load((const float *)w + k * 16); }
static inline wh_v load_f16(const void *w, size_t k) { return wh_v_load_f16((const uint16_t *)w + k * 16); }
static inline wh_v load_bf16(const void *w, size_t k) { return wh_v_load_bf16((const uint16_t *)w + k * 16); }

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

#define WH_TILES_6(load) WH_TILE(load, 1) WH_TILE(load, 2) WH_TILE(load, 3) WH_TILE(load, 4) WH_TILE(load, 5) WH_TILE(load, 6)
#define WH_NAMES_6(load) tile_##load##_1, tile_##load##_2, tile_##load##_3, tile_##load##_4, tile_##load##_5, tile_##load##_6
#if defined(__AVX512F__)
#define WH_TILES(load)                                                                                       \
    WH_TILES_6(load)                                                                                         \
    WH_TILE(load, 7) WH_TILE(load, 8) WH_TILE(load, 9) WH_TILE(load, 10) WH_TILE(load, 11) WH_TILE(load, 12)
#define WH_NAMES(load)                                                                                       \
    WH_NAMES_6(load), tile_##load##_7, tile_##load##_8, tile_##load##_9, tile_##load##_10, tile_##load##_11, \
        tile_##load##_12
#else
#define WH_TILES(load) WH_TILES_6(load)
#define WH_NAMES(load) WH_NAMES_6(load)
#endif

#define WH_KERNEL(name, load, weight_bytes)                                                                  \
    WH_TILES(load)                                                                                           \
    void WH_OP(name)(const wh_mm *a)                                                                         \
    {                                                                                                        \
        static tile_fn *const tile[TILE] = {WH_NAMES(load)};                                                 \
        multiply(a, weight_bytes, tile);                                                                     \
    }

WH_KERNEL(mm_f32, load_f32, 4)
WH_KERNEL(mm_f16, load_f16, 2)
WH_KERNEL(mm_bf16, load_bf16, 2)
