/* Q3_K: 256 weights in 110 bytes: 32 bytes of third bits (bit k of byte i: weight 32 k + i), 64 bytes of bit
 * pairs as in Q2_K, 12 bytes of 6-bit scales plus 32, f16 d. weight = d sc (q - 4).
 * Scale i: nibbles 0-7 are the low nibbles of bytes 0-7, nibbles 8-15 the high ones; the upper bit pair of scale
 * i is pair i / 4 of byte 8 + i % 4. */
#include "quant/format.h"

enum { BYTES = 110 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    uint8_t *restrict q = out->q;
    for (size_t b = 0; b < blocks; b++, in += BYTES) {
        out->d[b] = wh_format_load_f16(in + 108);
        out->m[b] = 0;
        const uint8_t *scale = in + 96;
        for (size_t i = 0; i < 16; i++) {
            int low = i < 8 ? scale[i] & 15 : scale[i - 8] >> 4;
            out->sc[16 * b + i] = (int8_t)((low | (scale[8 + i % 4] >> 2 * (i / 4) & 3) << 4) - 32);
        }
        memset(out->mn + 16 * b, 0, 16);
        for (int k = 0; k < 8; k++, q += 32) {
            const uint8_t *pair = in + 32 + 32 * (k / 4);
            for (int i = 0; i < 32; i++)
                q[i] = (uint8_t)((pair[i] >> 2 * (k % 4) & 3) | (in[i] >> k & 1) << 2);
        }
    }
}

const wh_quant_ops wh_quant_ops_q3_k = {.unpack = unpack};
