/* quant: conversions of half-width floats, every format against the reference, the integer view, rounding. */
#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "quant/half.h"
#include "quant/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The same bits; NaN payloads are not defined. */
static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void assert_same_floats(const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!same(got[i], want[i]))
            fail_msg("%s: weight %zu is %.9g (%08x) instead of %.9g (%08x)", what, i, (double)got[i],
                     wh_half_bits(got[i]), (double)want[i], wh_half_bits(want[i]));
}

/* ---- half ------------------------------------------------------------------------------------------- */

/* IEEE 754 binary16 from its definition. */
static float f16_by_definition(unsigned h)
{
    int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
    double sign = h & 0x8000 ? -1 : 1, magnitude;
    if (exponent == 31) magnitude = mantissa ? NAN : INFINITY;
    else if (exponent == 0) magnitude = ldexp(mantissa, -24);
    else magnitude = ldexp(1024 + mantissa, exponent - 25);
    return (float)copysign(magnitude, sign);
}

static void f16_widens_exactly(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x10000; h++) {
        float f = wh_half_f16_to_f32((uint16_t)h);
        assert_true(same(f, f16_by_definition(h)));
        if (!isnan(f)) assert_int_equal(wh_half_f32_to_f16(f), h);
    }
    assert_true(isnan(wh_half_f16_to_f32(wh_half_f32_to_f16(NAN))));
    assert_true(isnan(wh_half_f16_to_f32(wh_half_f32_to_f16(wh_half_float(0x7f800001)))));
    assert_int_equal(wh_half_f32_to_f16(wh_half_float(0xff800001)) & 0x8000, 0x8000);
}

/* Between two neighbours: the middle goes to the even one, anything off the middle to the nearer one. */
static void check_rounding(uint16_t (*narrow)(float), float lo, float hi, uint16_t h)
{
    float middle = (float)(((double)lo + (double)hi) / 2);
    uint16_t even = (uint16_t)(h + (h & 1));
    for (int negative = 0; negative < 2; negative++) {
        float s = negative ? -1.f : 1.f;
        uint16_t bit = negative ? 0x8000 : 0;
        assert_int_equal(narrow(s * middle), even | bit);
        assert_int_equal(narrow(s * nextafterf(middle, 0)), h | bit);
        assert_int_equal(narrow(s * nextafterf(middle, INFINITY)), (h + 1) | bit);
    }
}

static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t h = 0; h < 0x7bff; h++)
        check_rounding(wh_half_f32_to_f16, f16_by_definition(h), f16_by_definition(h + 1u), h);
    check_rounding(wh_half_f32_to_f16, 65504.f, 65536.f, 0x7bff); /* the next one would be 2^16: infinity */
    assert_int_equal(wh_half_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(wh_half_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(wh_half_f32_to_f16(1e-30f), 0);
    assert_int_equal(wh_half_f32_to_f16(-1e-40f), 0x8000);
}

static void bf16_both_ways(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x10000; h++) {
        float f = wh_half_bf16_to_f32((uint16_t)h);
        assert_int_equal(wh_half_bits(f), h << 16);
        if (!isnan(f)) assert_int_equal(wh_half_f32_to_bf16(f), h);
        else assert_true(isnan(wh_half_bf16_to_f32(wh_half_f32_to_bf16(f))));
    }
    for (uint16_t h = 0; h < 0x7f7f; h++)
        check_rounding(wh_half_f32_to_bf16, wh_half_bf16_to_f32(h), wh_half_bf16_to_f32((uint16_t)(h + 1)), h);
    assert_true(isnan(wh_half_bf16_to_f32(wh_half_f32_to_bf16(wh_half_float(0x7f800001)))));
}

/* ---- against the reference -------------------------------------------------------------------------- */

typedef struct record {
    wh_type        type;
    size_t         n, bytes;
    const uint8_t *blocks;
    float         *weights;
} record;

/* Calls check for every record of a golden file (tools/golden_quant.py) and returns the set of types seen. */
static unsigned each_record(const char *path, void (*check)(const record *))
{
    wh_buf file = {0};
    wh_err err;
    if (wh_file_read(&file, path, 1 << 24, &err) != WH_OK) fail_msg("%s", err.msg);
    unsigned seen = 0;
    for (size_t at = 0; at < file.len;) {
        uint32_t head[3];
        assert_true(at + sizeof head <= file.len);
        memcpy(head, file.data + at, sizeof head);
        record r = {.n = head[1], .bytes = head[2]};
        at += sizeof head;
        assert_true(at + r.bytes + 4 * r.n <= file.len);
        assert_true(wh_quant_from_gguf_id(&r.type, head[0]));
        assert_int_equal(wh_quant_row_bytes(r.type, r.n), r.bytes);
        /* copies of exactly the right size: the sanitizer sees a read past the end */
        uint8_t *blocks = malloc(r.bytes);
        r.weights = malloc(4 * r.n);
        memcpy(blocks, file.data + at, r.bytes);
        memcpy(r.weights, file.data + at + r.bytes, 4 * r.n);
        r.blocks = blocks;
        check(&r);
        at += r.bytes + 4 * r.n;
        seen |= 1u << r.type;
        free(blocks);
        free(r.weights);
    }
    wh_buf_free(&file);
    return seen;
}

static void check_dequantize(const record *r)
{
    float *out = malloc(4 * r->n);
    wh_quant_dequantize_row(r->type, out, r->blocks, r->n);
    assert_same_floats(wh_quant_table[r->type].name, out, r->weights, r->n);
    free(out);
}

static void dequantizes_like_the_reference(void **state)
{
    (void)state;
    assert_int_equal(each_record("tests/golden/quant_dequantize.bin", check_dequantize), ((1u << WH_TYPE_COUNT) - 1) & ~(1u << WH_TYPE_I8));
    const int8_t in[] = {0, 1, -1, 127, -128}; /* the reference leaves I8 out */
    float out[5];
    wh_quant_dequantize_row(WH_TYPE_I8, out, in, 5);
    for (int i = 0; i < 5; i++) assert_true(out[i] == (float)in[i]);
}

static void check_quantize(const record *r)
{
    uint8_t *out = malloc(r->bytes);
    assert_true(wh_quant_can_quantize(r->type));
    wh_quant_quantize_row(r->type, out, r->weights, r->n);
    for (size_t i = 0; i < r->bytes; i++)
        if (out[i] != r->blocks[i])
            fail_msg("%s: byte %zu is %02x instead of %02x", wh_quant_table[r->type].name, i, out[i], r->blocks[i]);
    free(out);
}

static void quantizes_like_the_reference(void **state)
{
    (void)state;
    unsigned want = 0;
    for (unsigned t = 0; t < WH_TYPE_COUNT; t++)
        if (wh_quant_can_quantize((wh_type)t)) want |= 1u << t;
    assert_int_equal(each_record("tests/golden/quant_quantize.bin", check_quantize), want);
}

/* ---- the integer view ------------------------------------------------------------------------------- */

enum { N = 4 * 256 };

static void random_bytes(uint8_t *out, size_t n, uint64_t stream)
{
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)wh_rng_u64(7, stream, i);
}

/* Weight i from the parts, by the definition in quant.h. */
static float weight(const wh_quant_info *f, size_t i, const uint8_t *q, const float *d, const float *m,
                    const int8_t *sc, const uint8_t *mn)
{
    if (f->kind == WH_QUANT_LEGACY32)
        return f->has_min ? d[i / 32] * (float)q[i] + m[i / 32] : d[i / 32] * (float)(q[i] - f->offset);
    size_t group = f->kind == WH_QUANT_K16 ? i / 16 : i / 32;
    float scale = d[i / 256] * (float)sc[group];
    return f->has_min ? scale * (float)q[i] - m[i / 256] * (float)mn[group] : scale * (float)(q[i] - f->offset);
}

static void parts_make_the_weights(void **state)
{
    (void)state;
    for (unsigned t = 0; t < WH_TYPE_COUNT; t++) {
        const wh_quant_info *f = &wh_quant_table[t];
        if (f->kind == WH_QUANT_FLOAT) continue;
        size_t n_d = N / f->block, n_sc = f->kind == WH_QUANT_LEGACY32 ? 0 : f->kind == WH_QUANT_K16 ? N / 16 : N / 32;
        /* exact sizes, and an odd address: no alignment may be assumed */
        size_t bytes = wh_quant_row_bytes((wh_type)t, N);
        uint8_t *raw = malloc(bytes + 1), *q = malloc(N), *mn = n_sc ? malloc(n_sc) : NULL;
        int8_t *sc = n_sc ? malloc(n_sc) : NULL;
        float *d = malloc(4 * n_d), *m = malloc(4 * n_d), *row = malloc(4 * N), *made = malloc(4 * N);
        for (uint64_t round = 0; round < 20; round++) {
            random_bytes(raw + 1, bytes, round);
            wh_quant_unpack_row((wh_type)t, q, d, m, sc, mn, raw + 1, N);
            wh_quant_dequantize_row((wh_type)t, row, raw + 1, N);
            for (size_t i = 0; i < N; i++) {
                assert_true(q[i] < 1 << f->bits);
                made[i] = weight(f, i, q, d, m, sc, mn);
            }
            assert_same_floats(f->name, row, made, N);
            for (size_t i = 0; i < n_d && !f->has_min; i++) assert_true(same(m[i], 0));
            for (size_t i = 0; i < n_sc && !f->has_min; i++) assert_int_equal(mn[i], 0);
        }
        free(raw), free(q), free(mn), free(sc), free(d), free(m), free(row), free(made);
    }
}

/* ---- rounding --------------------------------------------------------------------------------------- */

/* Largest distance from a weight to the grid, in units of the block's largest magnitude: half a step, or a whole
 * one where the end of the range opposite to the extreme is cut off, plus the rounding of d and m to f16 (both
 * large enough to be normal there). */
static double bound(wh_type t)
{
    const double f16 = 1.0 / 2048;
    switch (t) {
    case WH_TYPE_F32: return 0;
    case WH_TYPE_F16: return f16;
    case WH_TYPE_BF16: return 1.0 / 256;
    case WH_TYPE_Q8_0: return 0.5 / 127 + f16;
    case WH_TYPE_Q4_0: return 1.0 / 8 + f16;
    case WH_TYPE_Q5_0: return 1.0 / 16 + f16;
    case WH_TYPE_Q4_1: return 0.5 * 2 / 15 + 3 * f16; /* the range is at most twice the magnitude */
    case WH_TYPE_Q5_1: return 0.5 * 2 / 31 + 3 * f16;
    default: fail_msg("no bound for %s", wh_quant_table[t].name); return 0;
    }
}

static void round_trips_within_the_bound(void **state)
{
    (void)state;
    float x[N], y[N];
    uint8_t raw[4 * N];
    for (unsigned t = 0; t < WH_TYPE_COUNT; t++) {
        if (!wh_quant_can_quantize((wh_type)t)) continue;
        for (uint64_t round = 0; round < 20; round++) {
            for (size_t i = 0; i < N; i++)
                x[i] = (float)((wh_rng_uniform(3, round, i) - 0.5) * exp2((double)(i / 32 % 16) - 4));
            wh_quant_quantize_row((wh_type)t, raw, x, N);
            wh_quant_dequantize_row((wh_type)t, y, raw, N);
            for (size_t b = 0; b < N; b += 32) {
                double largest = 0;
                for (size_t i = b; i < b + 32; i++) largest = fmax(largest, fabs((double)x[i]));
                for (size_t i = b; i < b + 32; i++)
                    if (fabs((double)x[i] - (double)y[i]) > bound((wh_type)t) * largest)
                        fail_msg("%s: %.9g became %.9g", wh_quant_table[t].name, (double)x[i], (double)y[i]);
            }
        }
    }
}

/* Weights that are no numbers must not be undefined behaviour (the sanitizer watches). */
static void quantizes_anything(void **state)
{
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e38f, -1e38f, 1e-45f, 0.f, 1.f};
    float x[64];
    uint8_t raw[4 * 64];
    for (unsigned t = 0; t < WH_TYPE_COUNT; t++) {
        if (!wh_quant_can_quantize((wh_type)t)) continue;
        for (uint64_t round = 0; round < 200; round++) {
            for (size_t i = 0; i < 64; i++) x[i] = odd[wh_rng_u64(5, round, i) % (1 + round % 8)];
            wh_quant_quantize_row((wh_type)t, raw, x, 64);
        }
    }
}

static void sizes_and_names(void **state)
{
    (void)state;
    wh_type t;
    assert_int_equal(wh_quant_row_bytes(WH_TYPE_Q4_K, 512), 288);
    assert_int_equal(wh_quant_row_bytes(WH_TYPE_Q4_K, 128), 0);
    assert_int_equal(wh_quant_row_bytes(WH_TYPE_Q5_0, 0), 0);
    assert_int_equal(wh_quant_row_bytes(WH_TYPE_F32, SIZE_MAX / 2), 0);
    assert_true(wh_quant_from_gguf_id(&t, 30) && t == WH_TYPE_BF16);
    assert_false(wh_quant_from_gguf_id(&t, 16));
    assert_string_equal(wh_quant_gguf_name(16), "IQ2_XXS");
    assert_string_equal(wh_quant_gguf_name(12), "Q4_K");
    assert_null(wh_quant_gguf_name(4));
    assert_null(wh_quant_gguf_name(UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_widens_exactly),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_both_ways),
        cmocka_unit_test(dequantizes_like_the_reference),
        cmocka_unit_test(quantizes_like_the_reference),
        cmocka_unit_test(parts_make_the_weights),
        cmocka_unit_test(round_trips_within_the_bound),
        cmocka_unit_test(quantizes_anything),
        cmocka_unit_test(sizes_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
