/* A full KV block as int8 (kern/ops.h): K with a scale per channel, V with a scale per token. */
#include "kern/isa/vec.h"

enum { B = WH_KV_BLOCK };

static inline float magnitude_top(wh_v a)
{
    float r[16], top = 0;
    wh_v_store(r, a);
    for (int i = 0; i < 16; i++) {
        float x = fabsf(r[i]);
        top = x > top ? x : top;
    }
    return top;
}

/* r[0..16) = rint(x · inverse), as whole floats */
static inline void round_to(float r[16], const uint16_t *x, float inverse)
{
    wh_v_store(r, wh_v_rint(wh_v_mul(wh_v_load_f16(x), wh_v_set1(inverse))));
}

void WH_OP(kv_close)(const wh_kv8 *out, const uint16_t *k, const uint16_t *v, size_t hd)
{
    float r[16];
    for (size_t d = 0; d < hd; d++) {
        float top = 0;
        for (size_t j = 0; j < B; j += 16) {
            float t = magnitude_top(wh_v_load_f16(k + d * B + j));
            top = t > top ? t : top;
        }
        out->k_scale[d] = top / 127;
        for (size_t j = 0; j < B; j += 16) {
            round_to(r, k + d * B + j, top > 0 ? 127 / top : 0);
            for (size_t i = 0; i < 16; i++)
                out->k[(d / 4 * B + j + i) * 4 + d % 4] = (uint8_t)(wh_v_to_int(r[i]) + 128);
        }
    }
    for (size_t j = 0; j < B; j++) {
        float top = 0;
        for (size_t d = 0; d < hd; d += 16) {
            float t = magnitude_top(wh_v_load_f16(v + j * hd + d));
            top = t > top ? t : top;
        }
        out->v_scale[j] = top / 127;
        for (size_t d = 0; d < hd; d += 16) {
            round_to(r, v + j * hd + d, top > 0 ? 127 / top : 0);
            for (size_t i = 0; i < 16; i++) out->v[(j / 4 * hd + d + i) * 4 + j % 4] = (int8_t)wh_v_to_int(r[i]);
        }
    }
}
