/* IQ4_NL: 32 weights in 18 bytes: f16 d, 16 bytes of nibbles that index a table of 16 unevenly spaced values.
 * weight = d (q - 128), q the table's value plus 128: as integers these are 8-bit weights. */
#include "quant/format.h"

enum { BYTES = 18 };

static void unpack(const wh_quant_parts *out, const uint8_t *restrict in, size_t blocks)
{
    /* -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113 */
    static const uint8_t value[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
    uint8_t *restrict q = out->q;
    for (size_t b = 0; b < blocks; b++, in += BYTES, q += 32) {
        out->d[b] = wh_format_load_f16(in);
        out->m[b] = 0;
        for (int i = 0; i < 16; i++) {
            q[i] = value[in[i + 2] & 15];
            q[i + 16] = value[in[i + 2] >> 4];
        }
    }
}

const wh_quant_ops wh_quant_ops_iq4_nl = {.unpack = unpack};
