/* mat: packed matrices against the dequantized weights, and the same bits for every way of cutting a product. */
#include "base/mem.h"
#include "base/rng.h"
#include "kern/mat.h"
#include "quant/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    wh_type type;
    int     d, m; /* where a block has its f16 scale and minimum; -1: nowhere */
    wh_mat_form form;
} formats[] = {
    {WH_TYPE_F32, -1, -1, WH_MAT_EXACT},    {WH_TYPE_F16, -1, -1, WH_MAT_EXACT}, {WH_TYPE_BF16, -1, -1, WH_MAT_EXACT}, {WH_TYPE_Q4_0, 0, -1, WH_MAT_EXACT}, {WH_TYPE_Q4_1, 0, 2, WH_MAT_EXACT},
    {WH_TYPE_Q5_0, 0, -1, WH_MAT_EXACT},    {WH_TYPE_Q5_1, 0, 2, WH_MAT_EXACT},  {WH_TYPE_Q8_0, 0, -1, WH_MAT_EXACT},  {WH_TYPE_IQ4_NL, 0, -1, WH_MAT_EXACT},
    {WH_TYPE_Q2_K, 80, 82, WH_MAT_EXACT},   {WH_TYPE_Q3_K, 108, -1, WH_MAT_EXACT}, {WH_TYPE_Q4_K, 0, 2, WH_MAT_EXACT}, {WH_TYPE_Q5_K, 0, 2, WH_MAT_EXACT},  {WH_TYPE_Q6_K, 208, -1, WH_MAT_EXACT},
    {WH_TYPE_F32, -1, -1, WH_MAT_FAST}, {WH_TYPE_Q5_0, 0, -1, WH_MAT_FAST}, {WH_TYPE_Q4_K, 0, 2, WH_MAT_FAST}, {WH_TYPE_Q6_K, 208, -1, WH_MAT_FAST},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static uint64_t seed;
static float    uniform(float lo, float hi) { return lo + (hi - lo) * (float)wh_rng_uniform(42, 0, seed++); }

static void put_f16(uint8_t *p, float f)
{
    uint16_t h = wh_half_f32_to_f16(f);
    memcpy(p, &h, sizeof h);
}

/* Random rows of a format: any integers, scales of a sensible size. */
static uint8_t *random_rows(int f, size_t n, size_t k)
{
    const wh_quant_info *t = &wh_quant_table[formats[f].type];
    size_t   bytes = n * wh_quant_row_bytes(formats[f].type, k);
    uint8_t *rows = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) rows[i] = (uint8_t)wh_rng_u64(42, 1, seed++);
    for (size_t at = 0; at < bytes; at += t->block_bytes) {
        float v = uniform(-1, 1);
        if (formats[f].type == WH_TYPE_F32) memcpy(rows + at, &v, 4);
        if (formats[f].type == WH_TYPE_F16) put_f16(rows + at, v);
        if (formats[f].type == WH_TYPE_BF16) {
            uint16_t h = wh_half_f32_to_bf16(v);
            memcpy(rows + at, &h, 2);
        }
        if (formats[f].d >= 0) put_f16(rows + at + formats[f].d, uniform(-0.01f, 0.01f));
        if (formats[f].m >= 0) put_f16(rows + at + formats[f].m, uniform(-0.01f, 0.01f));
    }
    return rows;
}

typedef struct fixture {
    const wh_kern *kern;
    wh_par        *par;
    wh_mat        *w;
    wh_act         x;
    uint8_t       *rows;
    void          *scratch;
    size_t         m, n, k;
} fixture;

static void set_up(fixture *t, int f, size_t m, size_t n, size_t k)
{
    wh_err err;
    t->kern = wh_kern_select(wh_cpu_detect());
    assert_int_equal(wh_par_create(&t->par, 2, &err), WH_OK);
    t->rows = random_rows(f, n, k);
    assert_int_equal(wh_mat_pack(&t->w, formats[f].form, formats[f].type, t->rows, n, k, t->par, &err), WH_OK);
    assert_int_equal(wh_mat_rows(t->w), n);
    assert_int_equal(wh_mat_cols(t->w), k);
    assert_int_equal(wh_act_create(&t->x, m, k, WH_ACT_FLOAT | WH_ACT_32 | WH_ACT_256, &err), WH_OK);
    for (size_t i = 0; i < m * k; i++) t->x.f[i] = uniform(-2, 2);
    wh_act_quantize(t->kern, &t->x, 0, m, (unsigned)wh_mat_way(t->w));
    t->scratch = wh_mem_alloc_aligned(wh_mat_scratch(t->w), 1);
    t->m = m;
    t->n = n;
    t->k = k;
}

static void tear_down(fixture *t)
{
    free(t->scratch);
    free(t->rows);
    wh_act_free(&t->x);
    wh_mat_free(t->w);
    wh_par_free(t->par);
}

static float *multiply(fixture *t, size_t m_step, size_t n_step)
{
    float *y = malloc(t->m * t->n * sizeof *y);
    memset(y, 0xff, t->m * t->n * sizeof *y);
    for (size_t i = 0; i < t->m; i += m_step)
        for (size_t j = 0; j < t->n; j += n_step)
            wh_mat_mul(t->kern, t->w, y + i * t->n + j, t->n, &t->x, i, t->m - i < m_step ? t->m - i : m_step, j,
                       t->n - j < n_step ? t->n : j + n_step, t->scratch);
    return y;
}

/* x as the kernel saw it: the quantized values. */
static double activation(const fixture *t, size_t i, size_t j)
{
    wh_act_way way = wh_mat_way(t->w);
    if (way == WH_ACT_FLOAT) return t->x.f[i * t->k + j];
    const wh_act_q *q = way == WH_ACT_32 ? &t->x.by32 : &t->x.by256;
    return q->d[i * q->blocks + j / (way == WH_ACT_32 ? 32 : 256)] * (double)q->q[i * t->x.q_stride + j];
}

/* As WH_MAT_FAST keeps a row: integers in [-127, 127] times a scale for each 256 k. */
static void round_row(float *w, size_t k)
{
    for (size_t k0 = 0; k0 < k; k0 += 256) {
        size_t end = k - k0 < 256 ? k : k0 + 256;
        float  amax = 0;
        for (size_t i = k0; i < end; i++) amax = fmaxf(amax, fabsf(w[i]));
        for (size_t i = k0; i < end && amax > 0; i++) w[i] = amax / 127 * rintf(w[i] * (127 / amax));
    }
}

static void equals_the_dequantized_product(void **state)
{
    (void)state;
    for (int f = 0; f < FORMATS; f++) {
        fixture t;
        set_up(&t, f, 5, 37, wh_quant_table[formats[f].type].block == 256 ? 512 : formats[f].form == WH_MAT_FAST ? 320 : 352);
        float *y = multiply(&t, 5, 48), *w = malloc(t.k * sizeof *w);
        for (size_t j = 0; j < t.n; j++) {
            wh_quant_dequantize_row(formats[f].type, w, t.rows + j * wh_quant_row_bytes(formats[f].type, t.k), t.k);
            if (formats[f].form == WH_MAT_FAST) round_row(w, t.k);
            for (size_t i = 0; i < t.m; i++) {
                double sum = 0, size = 0;
                for (size_t l = 0; l < t.k; l++) {
                    double product = activation(&t, i, l) * w[l];
                    sum += product;
                    size += fabs(product);
                }
                if (fabs(sum - y[i * t.n + j]) > 2e-6 * size)
                    fail_msg("%s: y[%zu][%zu] is %g, should be %g", wh_quant_table[formats[f].type].name, i, j,
                             (double)y[i * t.n + j], sum);
            }
        }
        free(w);
        free(y);
        tear_down(&t);
    }
}

static void same_bits_however_it_is_cut(void **state)
{
    (void)state;
    for (int f = 0; f < FORMATS; f++) {
        fixture t;
        set_up(&t, f, 150, 68, 512);
        float *y = multiply(&t, 150, 80);
        static const size_t cuts[][2] = {{1, 80}, {7, 16}, {64, 32}, {129, 48}, {150, 16}};
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            float *z = multiply(&t, cuts[c][0], cuts[c][1]);
            assert_memory_equal(y, z, t.m * t.n * sizeof *y);
            free(z);
        }
        free(y);
        tear_down(&t);
    }
}

static void same_bits_on_every_instruction_set(void **state)
{
    (void)state;
    for (int f = 0; f < FORMATS; f++) {
        fixture t;
        set_up(&t, f, 33, 48, 768);
        float *y = multiply(&t, 33, 48);
        for (int i = 0; i < WH_ISA_COUNT; i++) {
            wh_isa mask;
            assert_int_equal(wh_cpu_parse_mask(&mask, wh_isa_table[i].word, NULL), WH_OK);
            t.kern = wh_kern_select(mask & wh_cpu_detect());
            wh_act_quantize(t.kern, &t.x, 0, t.m, (unsigned)wh_mat_way(t.w));
            float *z = multiply(&t, 33, 48);
            assert_memory_equal(y, z, t.m * t.n * sizeof *y);
            free(z);
        }
        free(y);
        tear_down(&t);
    }
}

static void activations_follow_the_contract(void **state)
{
    (void)state;
    wh_act a;
    assert_int_equal(wh_act_create(&a, 2, 288, WH_ACT_32 | WH_ACT_256, NULL), WH_OK);
    for (size_t i = 0; i < 2 * a.k; i++) a.f[i] = uniform(-3, 3);
    for (size_t i = 32; i < 64; i++) a.f[i] = 0;
    a.f[70] = INFINITY;
    a.f[100] = -NAN;
    a.f[130] = 1e-42f; /* among zeros: 127 / amax overflows, so it counts as zero */
    for (size_t i = 128; i < 160; i++)
        if (i != 130) a.f[i] = 0;
    for (int isa = 0; isa < WH_ISA_COUNT; isa++) {
        wh_act_quantize(wh_kern_select(1u << isa & wh_cpu_detect()), &a, 0, 2, WH_ACT_32 | WH_ACT_256);
        for (size_t b = 0; b < 18; b++) {
            size_t  row = b / 9, k0 = b % 9 * 32;
            float   amax = 0;
            int8_t *q = a.by32.q + row * a.q_stride + k0;
            float   d = a.by32.d[b];
            bool    bad = row == 0 && (b == 2 || b == 3);
            for (size_t i = 0; i < 32; i++) amax = fmaxf(amax, fabsf(a.f[row * a.k + k0 + i]));
            if (bad) assert_true(isnan(d));
            else if (row == 0 && (b == 1 || b == 4)) assert_true(d == 0);
            else assert_true(d == amax / 127);
            int both = 0;
            for (size_t half = 0; half < 2; half++) {
                int sum = 0;
                for (size_t i = half * 16; i < half * 16 + 16; i++) {
                    float scaled = a.f[row * a.k + k0 + i] * (127 / amax);
                    assert_int_equal(q[i], bad || d == 0 ? 0 : (int)rintf(scaled));
                    sum += q[i];
                }
                assert_int_equal(a.by32.sum[b * 2 + half], sum);
                both += sum;
            }
            assert_int_equal(a.by32.sum32[b], both);
            assert_true(bad ? isnan(a.by32.scaled[b]) : a.by32.scaled[b] == d * (float)both);
        }
        assert_true(isnan(a.by256.d[0]) && a.by256.d[1] > 0 && a.by256.d[2] > 0 && a.by256.blocks == 2);
        for (size_t i = 288; i < a.q_stride; i++) assert_int_equal(a.by32.q[i], 0);
    }
    wh_act_free(&a);
}

/* Nothing that a scale could carry, and columns that do not fit. */
static void fast_form_at_its_edges(void **state)
{
    (void)state;
    wh_par *par;
    wh_mat *w, *exact;
    float   rows[3 * 352], scales[16];
    for (size_t i = 0; i < 3 * 352; i++) rows[i] = uniform(-1, 1);
    assert_int_equal(wh_par_create(&par, 1, NULL), WH_OK);
    assert_int_equal(wh_mat_pack(&w, WH_MAT_FAST, WH_TYPE_F32, rows, 3, 352, par, NULL), WH_OK);
    assert_int_equal(wh_mat_pack(&exact, WH_MAT_EXACT, WH_TYPE_F32, rows, 3, 352, par, NULL), WH_OK);
    assert_int_equal(wh_mat_bytes(w), wh_mat_bytes(exact));
    assert_memory_equal(wh_mat_panels(w), wh_mat_panels(exact), wh_mat_bytes(w));
    wh_mat_free(w);
    wh_mat_free(exact);
    rows[5] = NAN;
    for (size_t i = 64; i < 128; i++) rows[i] = i == 70 ? 1e-42f : 0;
    assert_int_equal(wh_mat_pack(&w, WH_MAT_FAST, WH_TYPE_F32, rows, 3, 64, par, NULL), WH_OK);
    memcpy(scales, wh_mat_panels(w), sizeof scales);
    assert_true(isnan(scales[0]) && scales[1] == 0 && scales[2] > 0 && scales[3] == 0);
    wh_mat_free(w);
    wh_par_free(par);
}

static void bad_shapes_and_no_memory(void **state)
{
    (void)state;
    wh_err  err;
    wh_par *par;
    wh_mat *w;
    wh_act  a;
    uint8_t rows[4 * 34] = {0};
    assert_int_equal(wh_par_create(&par, 1, &err), WH_OK);
    assert_int_equal(wh_mat_pack(&w, WH_MAT_EXACT, WH_TYPE_Q4_K, rows, 1, 128, par, &err), WH_ERR_UNSUPPORTED);
    assert_int_equal(wh_mat_pack(&w, WH_MAT_EXACT, WH_TYPE_F32, rows, 1, 31, par, &err), WH_ERR_UNSUPPORTED);
    assert_int_equal(wh_act_create(&a, 1, 33, WH_ACT_32, &err), WH_ERR_ARG);
    assert_int_equal(wh_act_create(&a, SIZE_MAX / 8, 64, WH_ACT_32, &err), WH_ERR_NOMEM);
    for (long i = 0;; i++) {
        wh_mem_fail_after(i);
        wh_code code = wh_mat_pack(&w, WH_MAT_EXACT, WH_TYPE_Q8_0, rows, 2, 64, par, &err);
        wh_mem_fail_after(-1);
        if (code == WH_OK) break;
        assert_int_equal(code, WH_ERR_NOMEM);
        assert_null(w);
    }
    wh_mat_free(w);
    wh_mat_free(NULL);
    wh_par_free(par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_dequantized_product),
        cmocka_unit_test(same_bits_however_it_is_cut),
        cmocka_unit_test(same_bits_on_every_instruction_set),
        cmocka_unit_test(activations_follow_the_contract),
        cmocka_unit_test(fast_form_at_its_edges),
        cmocka_unit_test(bad_shapes_and_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
