#include "base/rng.h"

void wh_rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint64_t wh_rng_u64(uint64_t seed, uint64_t stream, uint64_t position)
{
    uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    wh_rng_philox(out, counter, key);
    return (uint64_t)out[1] << 32 | out[0];
}

double wh_rng_uniform(uint64_t seed, uint64_t stream, uint64_t position)
{
    return ((double)(wh_rng_u64(seed, stream, position) >> 11) + 0.5) * 0x1p-53;
}

uint64_t wh_rng_substream(uint64_t stream, uint64_t index)
{
    /* The key separates derived streams from the draws made for tokens. */
    return wh_rng_u64(0x737562737472u /* "substr" */, stream, index);
}
