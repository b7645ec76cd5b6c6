/* Q5_K: 256 weights in 176 bytes: f16 d, f16 dmin, 12 bytes of 6-bit sc and mn for 32 weights each, 32 bytes of
 * fifth bits (bit k of byte i: weight 32 k + i), 128 bytes of nibbles as in Q4_K. weight = d sc q - dmin mn. */
#include "quant/format.h"

enum { BYTES = 176 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    uint8_t *restrict q = out->q;
    for (size_t b = 0; b < blocks; b++, in += BYTES) {
        out->d[b] = wh_format_load_f16(in);
        out->m[b] = wh_format_load_f16(in + 2);
        wh_format_unpack_scales6(out->sc + 8 * b, out->mn + 8 * b, in + 4);
        const uint8_t *fifth = in + 16, *nibble = in + 48;
        for (int k = 0; k < 8; k += 2, q += 64, nibble += 32)
            for (int i = 0; i < 32; i++) {
                q[i] = (uint8_t)((nibble[i] & 15) | (fifth[i] >> k & 1) << 4);
                q[i + 32] = (uint8_t)(nibble[i] >> 4 | (fifth[i] >> (k + 1) & 1) << 4);
            }
    }
}

const wh_quant_ops wh_quant_ops_q5_k = {.unpack = unpack};
