/* Q8_0: 32 weights in 34 bytes: f16 d, 32 signed bytes. weight = d (q - 128), q the byte plus 128. */
#include "quant/format.h"

enum { BYTES = 34 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    uint8_t *restrict q = out->q;
    for (size_t b = 0; b < blocks; b++, in += BYTES, q += 32) {
        out->d[b] = wh_format_load_f16(in);
        out->m[b] = 0;
        for (int i = 0; i < 32; i++) q[i] = in[i + 2] ^ 0x80; /* + 128 */
    }
}

static void quantize(uint8_t *restrict out, const float *restrict in, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, in += 32, out += BYTES) {
        float largest = 0;
        for (int i = 0; i < 32; i++) {
            float magnitude = in[i] < 0 ? -in[i] : in[i];
            if (magnitude > largest) largest = magnitude;
        }
        float d = largest / 127, inverse = d != 0 ? 1 / d : 0;
        wh_format_store_f16(out, d);
        for (int i = 0; i < 32; i++) {
            /* Half away from zero, as roundf: |v| < 2^8, and its fraction is exact. A NaN fails both tests. */
            float v = in[i] * inverse;
            int whole = v >= -127 && v <= 127 ? (int)v : v > 127 ? 127 : v < -127 ? -127 : 0;
            float rest = v - (float)whole;
            whole += rest >= 0.5f && whole < 127 ? 1 : rest <= -0.5f && whole > -127 ? -1 : 0;
            out[i + 2] = (uint8_t)whole;
        }
    }
}

const wh_quant_ops wh_quant_ops_q8_0 = {.unpack = unpack, .quantize = quantize};
