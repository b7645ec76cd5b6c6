/* F32, F16, BF16, I8: n numbers in a row, no blocks. */
#include "quant/format.h"

static void widen_f32(float *restrict out, const uint8_t *restrict in, size_t n) { memcpy(out, in, 4 * n); }

static void quantize_f32(uint8_t *restrict out, const float *restrict in, size_t n) { memcpy(out, in, 4 * n); }

const wh_quant_ops wh_quant_ops_f32 = {.widen = widen_f32, .quantize = quantize_f32};

static void widen_f16(float *restrict out, const uint8_t *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = wh_format_load_f16(in + 2 * i);
}

static void quantize_f16(uint8_t *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) wh_format_store_f16(out + 2 * i, in[i]);
}

const wh_quant_ops wh_quant_ops_f16 = {.widen = widen_f16, .quantize = quantize_f16};

static void widen_bf16(float *restrict out, const uint8_t *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, in + 2 * i, sizeof h);
        out[i] = wh_half_bf16_to_f32(h);
    }
}

static void quantize_bf16(uint8_t *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h = wh_half_f32_to_bf16(in[i]);
        memcpy(out + 2 * i, &h, sizeof h);
    }
}

const wh_quant_ops wh_quant_ops_bf16 = {.widen = widen_bf16, .quantize = quantize_bf16};

static void widen_i8(float *restrict out, const uint8_t *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)(int8_t)in[i];
}

const wh_quant_ops wh_quant_ops_i8 = {.widen = widen_i8};
