/* Q5_1: 32 weights in 24 bytes: f16 d, f16 m, 32 fifth bits, 16 bytes of nibbles. weight = d q + m. */
#include "quant/format.h"

enum { BYTES = 24 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, in += BYTES) {
        out->d[b] = wh_format_load_f16(in);
        out->m[b] = wh_format_load_f16(in + 2);
        wh_format_unpack_nibbles(out->q + 32 * b, in + 8);
        wh_format_add_fifth_bits(out->q + 32 * b, in + 4);
    }
}

static void quantize(uint8_t *restrict out, const float *restrict in, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, in += 32, out += BYTES) {
        uint8_t q[32];
        float m;
        wh_format_store_f16(out, wh_format_quantize_above(q, &m, in, 31));
        wh_format_store_f16(out + 2, m);
        wh_format_pack_fifth_bits(out + 4, q);
        wh_format_pack_nibbles(out + 8, q);
    }
}

const wh_quant_ops wh_quant_ops_q5_1 = {.unpack = unpack, .quantize = quantize};
