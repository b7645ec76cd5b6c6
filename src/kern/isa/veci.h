/* veci: 16 lanes of int32 that gather products of bytes, four to a lane; the integer companion of vec.h.
 *
 * An atom is 64 bytes: 16 lanes of 4 (CONTRACT.md). One side of a product is unsigned, the other signed, and
 * the other operand is the same 4 bytes for every lane. Sums are exact, so how a machine gets them does not
 * matter: dpbusd where there is VNNI; elsewhere the even and the odd bytes widened to 16 bits and multiplied
 * in pairs (pmaddwd), which cannot saturate.
 */
#ifndef WH_KERN_ISA_VECI_H
#define WH_KERN_ISA_VECI_H

#include "kern/isa/vec.h"

static inline int32_t wh_vi_quad(const void *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

#if defined(__AVX512VNNI__)
typedef __m512i wh_vi;    /* sums */
typedef __m512i wh_atom;  /* 16 lanes of 4 bytes */
typedef __m512i wh_quad;  /* 4 bytes for every lane */
static inline wh_vi   wh_vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline wh_atom wh_atom_u8(const void *p) { return _mm512_loadu_si512(p); }
static inline wh_atom wh_atom_s8(const void *p) { return _mm512_loadu_si512(p); }
static inline wh_quad wh_quad_u8(const void *p) { return _mm512_set1_epi32(wh_vi_quad(p)); }
static inline wh_quad wh_quad_s8(const void *p) { return _mm512_set1_epi32(wh_vi_quad(p)); }
static inline wh_vi   wh_vi_dot_us(wh_vi c, wh_atom a, wh_quad b) { return _mm512_dpbusd_epi32(c, a, b); }
static inline wh_vi   wh_vi_dot_su(wh_vi c, wh_atom a, wh_quad b) { return _mm512_dpbusd_epi32(c, b, a); }
static inline wh_v    wh_vi_float(wh_vi a) { return _mm512_cvtepi32_ps(a); }
#elif defined(__AVX512BW__)
typedef __m512i wh_vi;
typedef struct {
    __m512i even, odd;
} wh_atom;
typedef wh_atom wh_quad;
static inline wh_atom wh_atom_split_u8(__m512i x)
{
    return (wh_atom){_mm512_and_si512(x, _mm512_set1_epi16(255)), _mm512_srli_epi16(x, 8)};
}
static inline wh_atom wh_atom_split_s8(__m512i x)
{
    return (wh_atom){_mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8), _mm512_srai_epi16(x, 8)};
}
static inline wh_vi   wh_vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline wh_atom wh_atom_u8(const void *p) { return wh_atom_split_u8(_mm512_loadu_si512(p)); }
static inline wh_atom wh_atom_s8(const void *p) { return wh_atom_split_s8(_mm512_loadu_si512(p)); }
static inline wh_quad wh_quad_u8(const void *p) { return wh_atom_split_u8(_mm512_set1_epi32(wh_vi_quad(p))); }
static inline wh_quad wh_quad_s8(const void *p) { return wh_atom_split_s8(_mm512_set1_epi32(wh_vi_quad(p))); }
static inline wh_vi   wh_vi_dot_us(wh_vi c, wh_atom a, wh_quad b)
{
    return _mm512_add_epi32(c, _mm512_add_epi32(_mm512_madd_epi16(a.even, b.even), _mm512_madd_epi16(a.odd, b.odd)));
}
#define wh_vi_dot_su wh_vi_dot_us
static inline wh_v wh_vi_float(wh_vi a) { return _mm512_cvtepi32_ps(a); }
#elif defined(__AVX2__)
typedef struct {
    __m256i a, b; /* lanes 0..7, 8..15 */
} wh_vi;
typedef struct {
    __m256i even[2], odd[2];
} wh_atom;
typedef struct {
    __m256i even, odd;
} wh_quad;
static inline __m256i wh_even_u8(__m256i x) { return _mm256_and_si256(x, _mm256_set1_epi16(255)); }
static inline __m256i wh_odd_u8(__m256i x) { return _mm256_srli_epi16(x, 8); }
static inline __m256i wh_even_s8(__m256i x) { return _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8); }
static inline __m256i wh_odd_s8(__m256i x) { return _mm256_srai_epi16(x, 8); }
static inline wh_vi   wh_vi_set1(int32_t x) { return (wh_vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
static inline wh_atom wh_atom_u8(const void *p)
{
    __m256i x = _mm256_loadu_si256(p), y = _mm256_loadu_si256((const __m256i *)p + 1);
    return (wh_atom){{wh_even_u8(x), wh_even_u8(y)}, {wh_odd_u8(x), wh_odd_u8(y)}};
}
static inline wh_atom wh_atom_s8(const void *p)
{
    __m256i x = _mm256_loadu_si256(p), y = _mm256_loadu_si256((const __m256i *)p + 1);
    return (wh_atom){{wh_even_s8(x), wh_even_s8(y)}, {wh_odd_s8(x), wh_odd_s8(y)}};
}
static inline wh_quad wh_quad_u8(const void *p)
{
    __m256i x = _mm256_set1_epi32(wh_vi_quad(p));
    return (wh_quad){wh_even_u8(x), wh_odd_u8(x)};
}
static inline wh_quad wh_quad_s8(const void *p)
{
    __m256i x = _mm256_set1_epi32(wh_vi_quad(p));
    return (wh_quad){wh_even_s8(x), wh_odd_s8(x)};
}
static inline __m256i wh_pairs(__m256i c, __m256i even, __m256i odd, wh_quad b)
{
    return _mm256_add_epi32(c, _mm256_add_epi32(_mm256_madd_epi16(even, b.even), _mm256_madd_epi16(odd, b.odd)));
}
static inline wh_vi wh_vi_dot_us(wh_vi c, wh_atom a, wh_quad b)
{
    return (wh_vi){wh_pairs(c.a, a.even[0], a.odd[0], b), wh_pairs(c.b, a.even[1], a.odd[1], b)};
}
#define wh_vi_dot_su wh_vi_dot_us
static inline wh_v wh_vi_float(wh_vi x) { return (wh_v){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
#elif defined(__aarch64__)
typedef struct {
    int32x4_t r[4];
} wh_vi;
typedef struct {
    int16x8_t r[8]; /* two lanes each */
} wh_atom;
typedef int16x4_t wh_quad;
static inline wh_vi wh_vi_set1(int32_t x)
{
    wh_vi v;
    WH_V_FOR v.r[i] = vdupq_n_s32(x);
    return v;
}
static inline wh_atom wh_atom_u8(const void *p)
{
    wh_atom a;
    for (int i = 0; i < 8; i++) a.r[i] = vreinterpretq_s16_u16(vmovl_u8(vld1_u8((const uint8_t *)p + 8 * i)));
    return a;
}
static inline wh_atom wh_atom_s8(const void *p)
{
    wh_atom a;
    for (int i = 0; i < 8; i++) a.r[i] = vmovl_s8(vld1_s8((const int8_t *)p + 8 * i));
    return a;
}
static inline wh_quad wh_quad_u8(const void *p)
{
    return vreinterpret_s16_u16(vget_low_u16(vmovl_u8(vcreate_u8((uint32_t)wh_vi_quad(p)))));
}
static inline wh_quad wh_quad_s8(const void *p)
{
    return vget_low_s16(vmovl_s8(vcreate_s8((uint32_t)wh_vi_quad(p))));
}
static inline wh_vi wh_vi_dot_us(wh_vi c, wh_atom a, wh_quad b)
{
    int16x8_t bb = vcombine_s16(b, b);
    WH_V_FOR
    {
        int16x8_t x = a.r[2 * i], y = a.r[2 * i + 1];
        int32x4_t xs = vpaddq_s32(vmull_s16(vget_low_s16(x), b), vmull_high_s16(x, bb));
        int32x4_t ys = vpaddq_s32(vmull_s16(vget_low_s16(y), b), vmull_high_s16(y, bb));
        c.r[i] = vaddq_s32(c.r[i], vpaddq_s32(xs, ys));
    }
    return c;
}
#define wh_vi_dot_su wh_vi_dot_us
static inline wh_v wh_vi_float(wh_vi a)
{
    wh_v v;
    WH_V_FOR v.r[i] = vcvtq_f32_s32(a.r[i]);
    return v;
}
#else
typedef struct {
    int32_t r[16];
} wh_vi;
typedef struct {
    int16_t r[64];
} wh_atom;
typedef struct {
    int16_t r[4];
} wh_quad;
static inline wh_vi wh_vi_set1(int32_t x)
{
    wh_vi v;
    WH_V_FOR v.r[i] = x;
    return v;
}
static inline wh_atom wh_atom_u8(const void *p)
{
    wh_atom a;
    for (int i = 0; i < 64; i++) a.r[i] = ((const uint8_t *)p)[i];
    return a;
}
static inline wh_atom wh_atom_s8(const void *p)
{
    wh_atom a;
    for (int i = 0; i < 64; i++) a.r[i] = ((const int8_t *)p)[i];
    return a;
}
static inline wh_quad wh_quad_u8(const void *p)
{
    const uint8_t *b = p;
    return (wh_quad){{b[0], b[1], b[2], b[3]}};
}
static inline wh_quad wh_quad_s8(const void *p)
{
    const int8_t *b = p;
    return (wh_quad){{b[0], b[1], b[2], b[3]}};
}
static inline wh_vi wh_vi_dot_us(wh_vi c, wh_atom a, wh_quad b)
{
    WH_V_FOR for (int j = 0; j < 4; j++) c.r[i] += a.r[4 * i + j] * b.r[j];
    return c;
}
#define wh_vi_dot_su wh_vi_dot_us
static inline wh_v wh_vi_float(wh_vi a)
{
    wh_v v;
    WH_V_FOR v.r[i] = (float)a.r[i];
    return v;
}
#endif

#endif
