/* Q5_0: 32 weights in 22 bytes: f16 d, 32 fifth bits, 16 bytes of nibbles. weight = d (q - 16). */
#include "quant/format.h"

enum { BYTES = 22 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, in += BYTES) {
        out->d[b] = wh_format_load_f16(in);
        out->m[b] = 0;
        wh_format_unpack_nibbles(out->q + 32 * b, in + 6);
        wh_format_add_fifth_bits(out->q + 32 * b, in + 2);
    }
}

static void quantize(uint8_t *restrict out, const float *restrict in, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, in += 32, out += BYTES) {
        uint8_t q[32];
        wh_format_store_f16(out, wh_format_quantize_signed(q, in, 16));
        wh_format_pack_fifth_bits(out + 2, q);
        wh_format_pack_nibbles(out + 6, q);
    }
}

const wh_quant_ops wh_quant_ops_q5_0 = {.unpack = unpack, .quantize = quantize};
