/* half: binary16 and bfloat16 to and from f32, in integers and one exact subtraction, so that every
 * compiler and CPU gives the same bits. Widening is exact and keeps NaN payloads; narrowing rounds to
 * nearest, ties to even, overflows to infinity and quiets NaNs. Written as selects: loops vectorize.
 */
#ifndef WH_QUANT_HALF_H
#define WH_QUANT_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t wh_half_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float wh_half_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float wh_half_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h & 0x7c00;
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
    uint32_t normal = magnitude + ((127 - 15) << 23);
    uint32_t special = magnitude | 0x7f800000; /* infinity, NaN */
    /* 2^-14 + m 2^-24 is exact in f32, and so is taking 2^-14 away again. */
    const uint32_t smallest = (127 - 14) << 23;
    uint32_t subnormal = wh_half_bits(wh_half_float(smallest | magnitude) - wh_half_float(smallest));
    uint32_t u = exponent == 0x7c00 ? special : exponent == 0 ? subnormal : normal;
    return wh_half_float(sign | u);
}

static inline uint16_t wh_half_f32_to_f16(float f)
{
    uint32_t u = wh_half_bits(f);
    uint32_t sign = u >> 16 & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x1ff)); /* NaN */
    if (u >= 0x477ff000) return (uint16_t)(sign | 0x7c00);                   /* rounds to 2^16 or more */
    if (u < 0x38800000) {                                                    /* below 2^-14: a multiple of 2^-24 */
        /* 2^-1 has its last place at 2^-24: the addition rounds as needed (to nearest, ties to even). */
        const uint32_t half = 126u << 23;
        return (uint16_t)(sign | (wh_half_bits(wh_half_float(u) + wh_half_float(half)) - half));
    }
    uint32_t odd = u >> 13 & 1;
    return (uint16_t)(sign | ((u - ((127 - 15) << 23) + 0xfff + odd) >> 13));
}

static inline float wh_half_bf16_to_f32(uint16_t h) { return wh_half_float((uint32_t)h << 16); }

static inline uint16_t wh_half_f32_to_bf16(float f)
{
    uint32_t u = wh_half_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* NaN */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

#endif
