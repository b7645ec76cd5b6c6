/* sampler: truncation looks into few tiles of the logits, and draws what sorting all of them would draw. */
#include "base/rng.h"
#include "engine/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 5000, ROWS = 3 };

static float logits[ROWS][VOCAB], weight[VOCAB];

/* Logits of a row: a few tokens stand out of noise, here and there; with `coarse` many are equal. */
static void fill(float *x, uint64_t stream, float spread, bool coarse)
{
    for (uint64_t i = 0; i < VOCAB; i++) {
        double u = wh_rng_uniform(1, stream, i), peak = wh_rng_u64(2, stream, i) % 400 == 0 ? 6 * wh_rng_uniform(3, stream, i) : 0;
        x[i] = spread * (float)(u + peak);
        if (coarse) x[i] = floorf(2 * x[i]) / 2;
    }
}

static int by_weight(const void *a_, const void *b_)
{
    int32_t a = *(const int32_t *)a_, b = *(const int32_t *)b_;
    if (weight[a] != weight[b]) return weight[a] > weight[b] ? -1 : 1;
    return a < b ? -1 : 1;
}

/* The whole row sorted, and cut: top-k, top-p of all the mass, min-p relative to the best. */
static int32_t draw_by_sorting(const wh_ops *ops, const float *x, const wh_pick *want, size_t *kept)
{
    static int32_t order[VOCAB];
    double all = 0, mass = 0;
    float max = -INFINITY;
    for (size_t i = 0; i < VOCAB; i++) max = fmaxf(max, x[i] * (1.0f / want->temperature));
    ops->exps(weight, x, VOCAB, 1.0f / want->temperature, max);
    for (size_t i = 0; i < VOCAB; i++) {
        order[i] = (int32_t)i;
        all += (double)weight[i];
    }
    qsort(order, VOCAB, sizeof *order, by_weight);
    for (*kept = 0; *kept < VOCAB && (!want->top_k || *kept < (size_t)want->top_k) && (!*kept || mass < (double)want->top_p * all); ++*kept) {
        if (*kept && weight[order[*kept]] < want->min_p) break;
        mass += (double)weight[order[*kept]];
    }
    double left = want->uniform * mass;
    size_t i = 0;
    while (i + 1 < *kept && (left -= (double)weight[order[i]]) >= 0) i++;
    return order[i];
}

static void truncation_draws_what_sorting_would(void **state)
{
    (void)state;
    const wh_model model = {.ops = wh_ops_select(0), .config.vocab = VOCAB};
    static const wh_pick ways[] = {
        {.temperature = 0.7f, .top_k = 40, .top_p = 1},   {.temperature = 1, .top_k = 1, .top_p = 1},
        {.temperature = 1, .top_k = 5, .top_p = 0.9f},    {.temperature = 0.6f, .top_p = 0.95f},
        {.temperature = 2, .top_p = 0.999f},              {.temperature = 1, .top_p = 1, .min_p = 0.1f},
        {.temperature = 1, .top_k = 300, .top_p = 1, .min_p = 0.001f}, {.temperature = 1, .top_k = VOCAB + 7, .top_p = 1},
    };
    wh_sampler *s;
    assert_int_equal(wh_sampler_create(&s, NULL, &model, ROWS, 1, NULL), WH_OK);
    assert_int_equal(wh_sampler_allow_truncation(s, NULL), WH_OK);
    size_t most = 0, draws = 0;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
        for (uint64_t round = 0; round < 40; round++) {
            wh_pick picks[ROWS];
            const wh_head_sink *sink = wh_sampler_sink(s, picks);
            for (size_t row = 0; row < ROWS; row++) {
                fill(logits[row], 100 * w + round + 10000 * row, round % 5 ? 2.0f : 0.2f, round % 3 == 0);
                picks[row] = ways[w];
                picks[row].target = -1;
                picks[row].uniform = wh_rng_uniform(9, w, round * ROWS + row);
                for (size_t at = 0; at < VOCAB; at += WH_HEAD_TILE)
                    sink->tile(sink->ctx, 0, row, logits[row] + at, at, VOCAB - at < WH_HEAD_TILE ? VOCAB - at : WH_HEAD_TILE);
            }
            for (size_t row = 0; row < ROWS; row++) {
                size_t kept;
                sink->row(sink->ctx, 0, row);
                int32_t token = draw_by_sorting(model.ops, logits[row], &picks[row], &kept);
                if (kept > most) most = kept;
                draws++;
                if (picks[row].token != token)
                    fail_msg("way %zu, round %d, row %zu: token %d instead of %d of %zu", w, (int)round, row, picks[row].token, token, kept);
                assert_true(picks[row].logprob <= 0 && picks[row].logprob > -40);
            }
        }
    print_message("%zu draws of up to %zu tokens\n", draws, most);
    assert_true(most > 1000);
    wh_sampler_free(s);
}

/* Whatever a broken model makes of a row, some token comes out. */
static void no_numbers_are_no_crash(void **state)
{
    (void)state;
    const wh_model model = {.ops = wh_ops_select(0), .config.vocab = VOCAB};
    wh_pick pick = {.temperature = 1, .top_k = 40, .top_p = 0.9f, .uniform = 0.5, .target = -1};
    wh_sampler *s;
    assert_int_equal(wh_sampler_create(&s, NULL, &model, 1, 1, NULL), WH_OK);
    assert_int_equal(wh_sampler_allow_truncation(s, NULL), WH_OK);
    const wh_head_sink *sink = wh_sampler_sink(s, &pick);
    for (size_t i = 0; i < VOCAB; i++) logits[0][i] = NAN;
    for (size_t at = 0; at < VOCAB; at += WH_HEAD_TILE)
        sink->tile(sink->ctx, 0, 0, logits[0] + at, at, VOCAB - at < WH_HEAD_TILE ? VOCAB - at : WH_HEAD_TILE);
    sink->row(sink->ctx, 0, 0);
    assert_true(pick.token >= 0 && pick.token < VOCAB);
    wh_sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncation_draws_what_sorting_would),
        cmocka_unit_test(no_numbers_are_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
