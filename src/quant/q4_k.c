/* Q4_K: 256 weights in 144 bytes: f16 d, f16 dmin, 12 bytes of 6-bit sc and mn for 32 weights each, 128 bytes of
 * nibbles. A run of 32 bytes holds 64 weights: low halves first. weight = d sc q - dmin mn. */
#include "quant/format.h"

enum { BYTES = 144 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    uint8_t *restrict q = out->q;
    for (size_t b = 0; b < blocks; b++, in += BYTES) {
        out->d[b] = wh_format_load_f16(in);
        out->m[b] = wh_format_load_f16(in + 2);
        wh_format_unpack_scales6(out->sc + 8 * b, out->mn + 8 * b, in + 4);
        for (const uint8_t *p = in + 16; p < in + BYTES; p += 32, q += 64)
            for (int i = 0; i < 32; i++) {
                q[i] = p[i] & 15;
                q[i + 32] = p[i] >> 4;
            }
    }
}

const wh_quant_ops wh_quant_ops_q4_k = {.unpack = unpack};
