/* vec: 16 lanes of f32, whatever the machine has: one zmm, two ymm, four NEON registers, or an array.
 *
 * Everything in kern/isa/ is written in these operations and is compiled once per instruction set. Each
 * operation rounds as IEEE 754 says, lane by lane, so all the copies compute the same bits; a sum across
 * lanes goes through wh_v_sum, a fixed tree. Only the files of kern/isa include this; WH_ISA is set there.
 */
#ifndef WH_KERN_ISA_VEC_H
#define WH_KERN_ISA_VEC_H

#include "kern/ops.h"
#include "quant/half.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define WH_ISA_NAME2(name, isa) name##_##isa
#define WH_ISA_NAME1(name, isa) WH_ISA_NAME2(name, isa)
/* WH_OP(rmsnorm) is wh_rmsnorm_avx2 in the copy compiled for avx2. */
#define WH_OP(name) WH_ISA_NAME1(wh_##name, WH_ISA)

#define WH_OP_X(name, best, params) void WH_OP(name) params;
#include "kern/ops.def"
#undef WH_OP_X

#if defined(__AVX512F__)
#include <immintrin.h>
typedef __m512 wh_v;
static inline wh_v wh_v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void wh_v_store(float *p, wh_v a) { _mm512_storeu_ps(p, a); }
static inline wh_v wh_v_set1(float x) { return _mm512_set1_ps(x); }
static inline wh_v wh_v_add(wh_v a, wh_v b) { return _mm512_add_ps(a, b); }
static inline wh_v wh_v_sub(wh_v a, wh_v b) { return _mm512_sub_ps(a, b); }
static inline wh_v wh_v_mul(wh_v a, wh_v b) { return _mm512_mul_ps(a, b); }
static inline wh_v wh_v_div(wh_v a, wh_v b) { return _mm512_div_ps(a, b); }
static inline wh_v wh_v_fma(wh_v a, wh_v b, wh_v c) { return _mm512_fmadd_ps(a, b, c); }
static inline wh_v wh_v_max(wh_v a, wh_v b) { return _mm512_max_ps(a, b); }
static inline wh_v wh_v_min(wh_v a, wh_v b) { return _mm512_min_ps(a, b); }
static inline wh_v wh_v_rint(wh_v a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline wh_v wh_v_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline wh_v wh_v_load_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline void wh_v_store_f16(uint16_t *p, wh_v a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* 2^n for whole n in [-126, 127] */
static inline wh_v wh_v_exp2i(wh_v n)
{
    __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}
/* the bits of the lanes, as integers, taken from c */
static inline wh_v wh_v_bits_from(uint32_t c, wh_v a)
{
    return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32((int32_t)c), _mm512_castps_si512(a)));
}
/* whole numbers within int8, stored as such; returns their sum */
static inline int32_t wh_v_store_s8(int8_t *p, wh_v a)
{
    __m512i n = _mm512_cvtps_epi32(a);
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(n));
    return _mm512_reduce_add_epi32(n);
}
/* whole numbers within uint8, stored as such */
static inline void wh_v_store_u8(uint8_t *p, wh_v a)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}
/* a in lanes below n, b in the others */
static inline wh_v wh_v_first(int n, wh_v a, wh_v b)
{
    return _mm512_mask_blend_ps((__mmask16)(n >= 16 ? 0xffffu : (1u << (n < 0 ? 0 : n)) - 1u), b, a);
}
#elif defined(__AVX2__)
#include <immintrin.h>
typedef struct {
    __m256 a, b;
} wh_v;
#define WH_V_EACH(f, x) ((wh_v){f((x).a), f((x).b)})
static inline wh_v wh_v_load(const float *p) { return (wh_v){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void wh_v_store(float *p, wh_v x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
static inline wh_v wh_v_set1(float x) { return (wh_v){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static inline wh_v wh_v_add(wh_v x, wh_v y) { return (wh_v){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
static inline wh_v wh_v_sub(wh_v x, wh_v y) { return (wh_v){_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
static inline wh_v wh_v_mul(wh_v x, wh_v y) { return (wh_v){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
static inline wh_v wh_v_div(wh_v x, wh_v y) { return (wh_v){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
static inline wh_v wh_v_fma(wh_v x, wh_v y, wh_v z)
{
    return (wh_v){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
static inline wh_v wh_v_max(wh_v x, wh_v y) { return (wh_v){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
static inline wh_v wh_v_min(wh_v x, wh_v y) { return (wh_v){_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
static inline wh_v wh_v_rint(wh_v x)
{
    return (wh_v){_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                  _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline wh_v wh_v_load_f16(const uint16_t *p)
{
    return (wh_v){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                  _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
static inline __m256 wh_v_load_bf16_half(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline wh_v wh_v_load_bf16(const uint16_t *p) { return (wh_v){wh_v_load_bf16_half(p), wh_v_load_bf16_half(p + 8)}; }
static inline void wh_v_store_f16(uint16_t *p, wh_v x)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline __m256 wh_v_exp2i_half(__m256 n)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
static inline wh_v wh_v_exp2i(wh_v n) { return WH_V_EACH(wh_v_exp2i_half, n); }
static inline wh_v wh_v_bits_from(uint32_t c, wh_v x)
{
    __m256i k = _mm256_set1_epi32((int32_t)c);
    return (wh_v){_mm256_castsi256_ps(_mm256_sub_epi32(k, _mm256_castps_si256(x.a))),
                  _mm256_castsi256_ps(_mm256_sub_epi32(k, _mm256_castps_si256(x.b)))};
}
static inline int32_t wh_v_store_s8(int8_t *p, wh_v x)
{
    __m256i a = _mm256_cvtps_epi32(x.a), b = _mm256_cvtps_epi32(x.b);
    __m128i lo = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    __m128i hi = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(lo, hi));
    __m128i sum = _mm_madd_epi16(_mm_add_epi16(lo, hi), _mm_set1_epi16(1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}
static inline void wh_v_store_u8(uint8_t *p, wh_v x)
{
    __m256i a = _mm256_cvtps_epi32(x.a), b = _mm256_cvtps_epi32(x.b);
    __m128i lo = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    __m128i hi = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi16(lo, hi));
}
static inline wh_v wh_v_first(int n, wh_v x, wh_v y)
{
    __m256i count = _mm256_set1_epi32(n), lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i ma = _mm256_cmpgt_epi32(count, lane), mb = _mm256_cmpgt_epi32(count, _mm256_add_epi32(lane, _mm256_set1_epi32(8)));
    return (wh_v){_mm256_blendv_ps(y.a, x.a, _mm256_castsi256_ps(ma)), _mm256_blendv_ps(y.b, x.b, _mm256_castsi256_ps(mb))};
}
#elif defined(__aarch64__)
#include <arm_neon.h>
typedef struct {
    float32x4_t r[4];
} wh_v;
#define WH_V_FOR for (int i = 0; i < 4; i++)
static inline wh_v wh_v_load(const float *p)
{
    wh_v x;
    WH_V_FOR x.r[i] = vld1q_f32(p + 4 * i);
    return x;
}
static inline void wh_v_store(float *p, wh_v x) { WH_V_FOR vst1q_f32(p + 4 * i, x.r[i]); }
static inline wh_v wh_v_set1(float s)
{
    wh_v x;
    WH_V_FOR x.r[i] = vdupq_n_f32(s);
    return x;
}
#define WH_V_BINARY(name, op)                                                                                \
    static inline wh_v name(wh_v x, wh_v y)                                                                  \
    {                                                                                                        \
        WH_V_FOR x.r[i] = op(x.r[i], y.r[i]);                                                                \
        return x;                                                                                            \
    }
WH_V_BINARY(wh_v_add, vaddq_f32)
WH_V_BINARY(wh_v_sub, vsubq_f32)
WH_V_BINARY(wh_v_mul, vmulq_f32)
WH_V_BINARY(wh_v_div, vdivq_f32)
/* x86 returns the second operand when either is a NaN; so do we: a > b ? a : b */
static inline wh_v wh_v_max(wh_v x, wh_v y)
{
    WH_V_FOR x.r[i] = vbslq_f32(vcgtq_f32(x.r[i], y.r[i]), x.r[i], y.r[i]);
    return x;
}
static inline wh_v wh_v_min(wh_v x, wh_v y)
{
    WH_V_FOR x.r[i] = vbslq_f32(vcltq_f32(x.r[i], y.r[i]), x.r[i], y.r[i]);
    return x;
}
static inline wh_v wh_v_fma(wh_v x, wh_v y, wh_v z)
{
    WH_V_FOR z.r[i] = vfmaq_f32(z.r[i], x.r[i], y.r[i]);
    return z;
}
static inline wh_v wh_v_rint(wh_v x)
{
    WH_V_FOR x.r[i] = vrndnq_f32(x.r[i]);
    return x;
}
static inline wh_v wh_v_load_f16(const uint16_t *p)
{
    wh_v x;
    WH_V_FOR x.r[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
    return x;
}
static inline wh_v wh_v_load_bf16(const uint16_t *p)
{
    wh_v x;
    WH_V_FOR x.r[i] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16));
    return x;
}
static inline void wh_v_store_f16(uint16_t *p, wh_v x)
{
    WH_V_FOR vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.r[i])));
}
static inline wh_v wh_v_exp2i(wh_v n)
{
    WH_V_FOR n.r[i] = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.r[i]), vdupq_n_s32(127)), 23));
    return n;
}
static inline wh_v wh_v_bits_from(uint32_t c, wh_v x)
{
    WH_V_FOR x.r[i] = vreinterpretq_f32_u32(vsubq_u32(vdupq_n_u32(c), vreinterpretq_u32_f32(x.r[i])));
    return x;
}
static inline int32_t wh_v_store_s8(int8_t *p, wh_v x)
{
    int16x4_t n[4];
    WH_V_FOR n[i] = vmovn_s32(vcvtnq_s32_f32(x.r[i]));
    int16x8_t lo = vcombine_s16(n[0], n[1]), hi = vcombine_s16(n[2], n[3]);
    vst1q_s8(p, vcombine_s8(vmovn_s16(lo), vmovn_s16(hi)));
    return vaddlvq_s16(vaddq_s16(lo, hi));
}
static inline void wh_v_store_u8(uint8_t *p, wh_v x)
{
    uint16x4_t n[4];
    WH_V_FOR n[i] = vmovn_u32(vcvtnq_u32_f32(x.r[i]));
    vst1q_u8(p, vcombine_u8(vmovn_u16(vcombine_u16(n[0], n[1])), vmovn_u16(vcombine_u16(n[2], n[3]))));
}
static inline wh_v wh_v_first(int n, wh_v x, wh_v y)
{
    static const int32_t lanes[4] = {0, 1, 2, 3};
    int32x4_t lane = vld1q_s32(lanes), count = vdupq_n_s32(n);
    WH_V_FOR
    {
        x.r[i] = vbslq_f32(vcgtq_s32(count, lane), x.r[i], y.r[i]);
        lane = vaddq_s32(lane, vdupq_n_s32(4));
    }
    return x;
}
#else
typedef struct {
    float r[16];
} wh_v;
#define WH_V_FOR for (int i = 0; i < 16; i++)
static inline wh_v wh_v_load(const float *p)
{
    wh_v x;
    memcpy(x.r, p, sizeof x.r);
    return x;
}
static inline void wh_v_store(float *p, wh_v x) { memcpy(p, x.r, sizeof x.r); }
static inline wh_v wh_v_set1(float s)
{
    wh_v x;
    WH_V_FOR x.r[i] = s;
    return x;
}
#define WH_V_BINARY(name, expr)                                                                              \
    static inline wh_v name(wh_v x, wh_v y)                                                                  \
    {                                                                                                        \
        WH_V_FOR x.r[i] = expr;                                                                              \
        return x;                                                                                            \
    }
WH_V_BINARY(wh_v_add, x.r[i] + y.r[i])
WH_V_BINARY(wh_v_sub, x.r[i] - y.r[i])
WH_V_BINARY(wh_v_mul, x.r[i] * y.r[i])
WH_V_BINARY(wh_v_div, x.r[i] / y.r[i])
WH_V_BINARY(wh_v_max, x.r[i] > y.r[i] ? x.r[i] : y.r[i])
WH_V_BINARY(wh_v_min, x.r[i] < y.r[i] ? x.r[i] : y.r[i])
static inline wh_v wh_v_fma(wh_v x, wh_v y, wh_v z)
{
    WH_V_FOR z.r[i] = fmaf(x.r[i], y.r[i], z.r[i]);
    return z;
}
static inline wh_v wh_v_rint(wh_v x)
{
    WH_V_FOR x.r[i] = rintf(x.r[i]);
    return x;
}
static inline wh_v wh_v_load_f16(const uint16_t *p)
{
    wh_v x;
    WH_V_FOR x.r[i] = wh_half_f16_to_f32(p[i]);
    return x;
}
static inline wh_v wh_v_load_bf16(const uint16_t *p)
{
    wh_v x;
    WH_V_FOR x.r[i] = wh_half_bf16_to_f32(p[i]);
    return x;
}
static inline void wh_v_store_f16(uint16_t *p, wh_v x) { WH_V_FOR p[i] = wh_half_f32_to_f16(x.r[i]); }
static inline wh_v wh_v_exp2i(wh_v n)
{
    WH_V_FOR
    {
        uint32_t bits = (uint32_t)((int32_t)n.r[i] + 127) << 23;
        memcpy(&n.r[i], &bits, sizeof bits);
    }
    return n;
}
static inline wh_v wh_v_bits_from(uint32_t c, wh_v x)
{
    WH_V_FOR
    {
        uint32_t bits;
        memcpy(&bits, &x.r[i], sizeof bits);
        bits = c - bits;
        memcpy(&x.r[i], &bits, sizeof bits);
    }
    return x;
}
static inline int32_t wh_v_store_s8(int8_t *p, wh_v x)
{
    int32_t sum = 0;
    WH_V_FOR
    {
        p[i] = (int8_t)x.r[i];
        sum += p[i];
    }
    return sum;
}
static inline void wh_v_store_u8(uint8_t *p, wh_v x) { WH_V_FOR p[i] = (uint8_t)x.r[i]; }
static inline wh_v wh_v_first(int n, wh_v x, wh_v y)
{
    WH_V_FOR if (i >= n) x.r[i] = y.r[i];
    return x;
}
#endif

/* The lanes folded by the tree of CONTRACT.md: lane j with lane j + half, for half = 8, 4, 2, 1. */
#if defined(__AVX2__)
#if defined(__AVX512F__)
#define WH_V_HALVES(x) _mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)
#else
#define WH_V_HALVES(x) (x).a, (x).b
#endif
#define WH_V_FOLD(name, op)                                                                                  \
    static inline float name##_halves(__m256 a, __m256 b)                                                    \
    {                                                                                                        \
        __m256 x = _mm256_##op##_ps(a, b);                                                                   \
        __m128 y = _mm_##op##_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));                    \
        y = _mm_##op##_ps(y, _mm_movehl_ps(y, y));                                                           \
        return _mm_cvtss_f32(_mm_##op##_ss(y, _mm_movehdup_ps(y)));                                          \
    }                                                                                                        \
    static inline float name(wh_v x) { return name##_halves(WH_V_HALVES(x)); }
#else
#define WH_V_FOLD_add(a, b) ((a) + (b))
#define WH_V_FOLD_max(a, b) ((a) > (b) ? (a) : (b))
#define WH_V_FOLD(name, op)                                                                                  \
    static inline float name(wh_v x)                                                                         \
    {                                                                                                        \
        float r[16];                                                                                         \
        wh_v_store(r, x);                                                                                    \
        for (int half = 8; half; half /= 2)                                                                  \
            for (int j = 0; j < half; j++) r[j] = WH_V_FOLD_##op(r[j], r[j + half]);                         \
        return r[0];                                                                                         \
    }
#endif
WH_V_FOLD(wh_v_sum, add)
WH_V_FOLD(wh_v_top, max)

/* The integer that stands for x: nearest, ties to even, within ±127 (also for what is not a number). */
static inline int32_t wh_v_to_int(float x)
{
    return x >= 127 ? 127 : x > -127 ? (int32_t)x : -127;
}

/* e^x, relative error below 2e-7 in [-87.3, 88.7]; clamped outside, so e^-inf is about 1e-38, not 0.
 * Cody and Waite's reduction x = n·ln 2 + r, |r| <= ln 2 / 2, then the Taylor polynomial to r^7. */
static inline wh_v wh_v_exp(wh_v x)
{
    x = wh_v_min(wh_v_max(x, wh_v_set1(-87.3f)), wh_v_set1(88.0f));
    wh_v n = wh_v_rint(wh_v_mul(x, wh_v_set1(1.44269504f)));
    wh_v r = wh_v_fma(n, wh_v_set1(-0.693359375f), x);
    r = wh_v_fma(n, wh_v_set1(2.12194440e-4f), r);
    wh_v p = wh_v_set1(1.0f / 5040);
    p = wh_v_fma(p, r, wh_v_set1(1.0f / 720));
    p = wh_v_fma(p, r, wh_v_set1(1.0f / 120));
    p = wh_v_fma(p, r, wh_v_set1(1.0f / 24));
    p = wh_v_fma(p, r, wh_v_set1(1.0f / 6));
    p = wh_v_fma(p, r, wh_v_set1(0.5f));
    p = wh_v_fma(p, r, wh_v_set1(1));
    p = wh_v_fma(p, r, wh_v_set1(1));
    return wh_v_mul(p, wh_v_exp2i(n));
}

/* 1 / x for x in [1, 2^126), relative error below 2e-7. A first guess from the bits (the
 * exponent negated, the mantissa about so), then Newton's steps: a third of the time of a division. */
static inline wh_v wh_v_reciprocal(wh_v x)
{
    wh_v r = wh_v_bits_from(0x7ef311c7u, x), two = wh_v_set1(2), minus = wh_v_sub(wh_v_set1(0), x);
    r = wh_v_mul(r, wh_v_fma(minus, r, two));
    r = wh_v_mul(r, wh_v_fma(minus, r, two));
    return wh_v_mul(r, wh_v_fma(minus, r, two));
}

#endif
