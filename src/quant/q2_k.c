/* Q2_K: 256 weights in 84 bytes: 16 bytes of scales for 16 weights each (low nibble sc, high nibble mn), 64 bytes
 * of bit pairs, f16 d, f16 dmin. A half of 128 weights uses 32 bytes (pair k of byte i: weight 32 k + i).
 * weight = d sc q - dmin mn. */
#include "quant/format.h"

enum { BYTES = 84 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    uint8_t *restrict q = out->q;
    for (size_t b = 0; b < blocks; b++, in += BYTES) {
        out->d[b] = wh_format_load_f16(in + 80);
        out->m[b] = wh_format_load_f16(in + 82);
        for (size_t i = 0; i < 16; i++) {
            out->sc[16 * b + i] = (int8_t)(in[i] & 15);
            out->mn[16 * b + i] = in[i] >> 4;
        }
        for (const uint8_t *p = in + 16; p < in + 80; p += 32)
            for (int shift = 0; shift < 8; shift += 2, q += 32)
                for (int i = 0; i < 32; i++) q[i] = p[i] >> shift & 3;
    }
}

const wh_quant_ops wh_quant_ops_q2_k = {.unpack = unpack};
