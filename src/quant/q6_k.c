/* Q6_K: 256 weights in 210 bytes: 128 bytes of nibbles, 64 bytes of upper bit pairs, 16 signed scales for 16
 * weights each, f16 d. A half of 128 weights uses 64 bytes of nibbles (low halves: the first 64) and 32 bytes of
 * pairs (pair k of byte i: weight 32 k + i). weight = d sc (q - 32). */
#include "quant/format.h"

enum { BYTES = 210 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    uint8_t *restrict q = out->q;
    for (size_t b = 0; b < blocks; b++, in += BYTES) {
        out->d[b] = wh_format_load_f16(in + 208);
        out->m[b] = 0;
        memcpy(out->sc + 16 * b, in + 192, 16);
        memset(out->mn + 16 * b, 0, 16);
        for (int half = 0; half < 2; half++, q += 128) {
            const uint8_t *low = in + 64 * half, *high = in + 128 + 32 * half;
            for (int i = 0; i < 32; i++) {
                q[i] = (uint8_t)((low[i] & 15) | (high[i] & 3) << 4);
                q[i + 32] = (uint8_t)((low[i + 32] & 15) | (high[i] & 12) << 2);
                q[i + 64] = (uint8_t)(low[i] >> 4 | (high[i] & 48));
                q[i + 96] = (uint8_t)(low[i + 32] >> 4 | (high[i] >> 6) << 4);
            }
        }
    }
}

const wh_quant_ops wh_quant_ops_q6_k = {.unpack = unpack};
