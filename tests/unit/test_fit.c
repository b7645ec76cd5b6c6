/* The algebra of fitting: measures of hand-made rankings, known least values, separable and noisy data. */
#include "base/mem.h"
#include "base/rng.h"
#include "fit/lbfgs.h"
#include "fit/measure.h"
#include "fit/net.h"
#include "fit/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static wh_err err;

static bool near(double a, double b, double by) { return fabs(a - b) <= by; }

/* ---- measures --------------------------------------------------------------------------------------------------- */

static wh_auc auc_of(const wh_point *points, size_t n)
{
    wh_auc a;
    assert_int_equal(wh_measure_auc(&a, points, n, &err), WH_OK);
    return a;
}

static void auc_counts_pairs(void **state)
{
    (void)state;
    /* Problem 0: right .9 .4, wrong .5 .1: 3 of 4 pairs won. Problem 1: right .2, wrong .2: a tie. Problem 2: no wrong one. */
    static const wh_point points[] = {
        {.score = .9, .problem = 0, .steps = 1, .right = true},  {.score = .5, .problem = 0, .steps = 1, .right = false},
        {.score = .4, .problem = 0, .steps = 1, .right = true},  {.score = .1, .problem = 0, .steps = 1, .right = false},
        {.score = .2, .problem = 1, .steps = 1, .right = false}, {.score = .2, .problem = 1, .steps = 1, .right = true},
        {.score = .8, .problem = 2, .steps = 1, .right = true},
    };
    wh_auc a = auc_of(points, 7);
    assert_int_equal(a.pairs, 5);
    assert_int_equal(a.problems, 2);
    assert_true(near(a.within, 3.5 / 5, 1e-12));
    /* Over all: right .9 .4 .2 .8 against wrong .5 .1 .2: 3 + 2 + 1.5 + 3 of 12. */
    assert_true(near(a.all, 9.5 / 12, 1e-12));
    assert_true(isnan(auc_of(points + 6, 1).all));
    assert_true(isnan(auc_of(points, 0).within));
}

static void auc_agrees_with_counting(void **state)
{
    (void)state;
    enum { N = 300 };
    wh_point points[N];
    for (size_t i = 0; i < N; i++)
        points[i] = (wh_point){.score = floor(10 * wh_rng_uniform(1, 0, i)) / 10, .problem = (uint32_t)(i / 7), .steps = 1,
                               .right = wh_rng_uniform(1, 1, i) < 0.4};
    double won = 0, pairs = 0, won_in = 0, pairs_in = 0;
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++) {
            if (!points[i].right || points[k].right) continue;
            double w = points[i].score > points[k].score ? 1 : points[i].score < points[k].score ? 0 : 0.5;
            won += w;
            pairs++;
            if (points[i].problem != points[k].problem) continue;
            won_in += w;
            pairs_in++;
        }
    wh_auc a = auc_of(points, N);
    assert_true(near(a.all, won / pairs, 1e-12) && near(a.within, won_in / pairs_in, 1e-12));
    assert_int_equal(a.pairs, (size_t)pairs_in);
}

static void probabilities_are_measured(void **state)
{
    (void)state;
    /* Bin .7-.8: .75 .75, one of two right: |1.5 - 1|. Bin 0-.1: 0 0, none right. Bin .9-1: 1, right. */
    static const double p[] = {.75, 0, .75, 0, 1}, y[] = {1, 0, 0, 0, 1};
    assert_true(near(wh_measure_ece(p, y, 5), .5 / 5, 1e-12));
    assert_true(near(wh_measure_brier(p, y, 5), (.0625 + .5625) / 5, 1e-12));
    assert_true(near(wh_measure_loss(p, y, 5), -(log(.75) + log(.25) + 3 * log(1 - 1e-6)) / 5, 1e-9));
    assert_true(isnan(wh_measure_ece(p, y, 0)));
    static const double half[] = {.5, .5}, soft[] = {.25, .75};
    assert_true(near(wh_measure_ece(half, soft, 2), 0, 1e-12));
}

static void ranks_correlate(void **state)
{
    (void)state;
    /* scipy.stats.spearmanr */
    static const double a[] = {1, 2, 3, 4, 5}, up[] = {2, 3, 9, 10, 11}, down[] = {5, 4, 3, 2, 1}, ties[] = {1, 2, 2, 4, 3}, same[] = {1, 1, 1, 1, 1};
    double r;
    assert_int_equal(wh_measure_spearman(&r, a, up, 5, &err), WH_OK);
    assert_true(near(r, 1, 1e-12));
    assert_int_equal(wh_measure_spearman(&r, a, down, 5, &err), WH_OK);
    assert_true(near(r, -1, 1e-12));
    assert_int_equal(wh_measure_spearman(&r, a, ties, 5, &err), WH_OK);
    assert_true(near(r, 0.8720816, 1e-6));
    assert_int_equal(wh_measure_spearman(&r, a, same, 5, &err), WH_OK);
    assert_true(isnan(r));
}

static void steps_are_told_apart(void **state)
{
    (void)state;
    /* Two samples of one problem, of 5 steps and of 1: only last steps decide `last`, and both are in the last fifth. */
    wh_point points[6];
    for (uint32_t i = 0; i < 5; i++) points[i] = (wh_point){.score = i == 4 ? .9 : .1, .step = i, .steps = 5, .right = true};
    points[5] = (wh_point){.score = .5, .steps = 1, .right = false};
    wh_measure m;
    assert_int_equal(wh_measure_points(&m, points, 6, &err), WH_OK);
    assert_int_equal(m.samples, 2);
    assert_int_equal(m.problems, 1);
    assert_true(near(m.rate, .5, 1e-12));
    assert_true(m.last.within == 1 && m.last.pairs == 1);
    assert_true(near(m.every.within, .2, 1e-12));
    for (size_t i = 0; i < 4; i++) assert_true(m.part[i].n == 1 && isnan(m.part[i].all));
    assert_true(m.part[4].n == 2 && m.part[4].all == 1);
    assert_true(near(m.brier, (.01 + .25) / 2, 1e-12));
}

/* ---- least values -------------------------------------------------------------------------------------------------- */

static double rosenbrock(void *user, const double *x, double *g)
{
    ++*(int *)user;
    double a = 1 - x[0], b = x[1] - x[0] * x[0];
    g[0] = -2 * a - 400 * x[0] * b;
    g[1] = 200 * b;
    return a * a + 100 * b * b;
}

static double bowl(void *user, const double *x, double *g)
{
    size_t n = *(const size_t *)user;
    double f = 0;
    for (size_t i = 0; i < n; i++) {
        double scale = 1 + (double)i;
        f += scale * (x[i] - (double)i) * (x[i] - (double)i) / 2;
        g[i] = scale * (x[i] - (double)i);
    }
    return f;
}

static void lbfgs_finds_the_least(void **state)
{
    (void)state;
    double x[2] = {-1.2, 1};
    int calls = 0;
    wh_lbfgs_result r;
    assert_int_equal(wh_lbfgs_minimize(&r, x, 2, rosenbrock, &calls, &(wh_lbfgs_opts){.tolerance = 1e-8}, &err), WH_OK);
    assert_true(r.converged && near(x[0], 1, 1e-6) && near(x[1], 1, 1e-6));
    assert_true(calls < 100);
    enum { N = 100 };
    size_t n = N;
    double y[N] = {0};
    assert_int_equal(wh_lbfgs_minimize(&r, y, N, bowl, &n, &(wh_lbfgs_opts){0}, &err), WH_OK);
    assert_true(r.converged);
    for (size_t i = 0; i < N; i++) assert_true(near(y[i], (double)i, 1e-4));
    assert_int_equal(wh_lbfgs_minimize(&r, y, N, bowl, &n, &(wh_lbfgs_opts){.iterations = 3}, &err), WH_OK);
    assert_true(r.converged && r.iterations == 0); /* it was there */
}

/* ---- nets ---------------------------------------------------------------------------------------------------------------- */

enum { ROWS = 600, D = 3 };
static float x[ROWS * D], y[ROWS], weight[ROWS];

static double gauss(uint64_t stream, uint64_t i)
{
    return sqrt(-2 * log(wh_rng_uniform(9, stream, 2 * i))) * cos(6.283185307179586 * wh_rng_uniform(9, stream, 2 * i + 1));
}

static void make_rows(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t k = 0; k < D; k++) x[i * D + k] = (float)gauss(k, i);
        double z = 2 * (double)x[i * D] - (double)x[i * D + 1] + 0.5;
        y[i] = wh_rng_uniform(9, 100, i) < 1 / (1 + exp(-z));
        weight[i] = 1;
    }
}

/* The optimum has a gradient of zero; with labels that are probabilities of a linear model it is that model. */
static void linear_fits_are_optimal(void **state)
{
    (void)state;
    make_rows();
    for (size_t i = 0; i < ROWS; i++) y[i] = (float)(1 / (1 + exp(-(2 * (double)x[i * D] - (double)x[i * D + 1] + 0.5))));
    wh_net net;
    assert_int_equal(wh_net_create(&net, D, 0, &err), WH_OK);
    const wh_rows rows = {x, y, weight, ROWS, D};
    assert_int_equal(wh_net_fit_linear(&net, &rows, 0, &err), WH_OK);
    assert_true(near((double)net.w2[0], 2, 2e-3) && near((double)net.w2[1], -1, 2e-3) && near((double)net.w2[2], 0, 2e-3));
    assert_true(near((double)net.b2, 0.5, 2e-3));
    /* Much regularization: no weights, and the offset says the base rate. */
    assert_int_equal(wh_net_fit_linear(&net, &rows, 1e4, &err), WH_OK);
    double rate = 0;
    for (size_t i = 0; i < ROWS; i++) rate += (double)y[i] / ROWS;
    assert_true(near((double)net.w2[0], 0, 1e-3) && near((double)net.b2, log(rate / (1 - rate)), 1e-3));
    /* Rows of weight 0 do not exist. */
    wh_net half;
    assert_int_equal(wh_net_create(&half, D, 0, &err), WH_OK);
    for (size_t i = ROWS / 2; i < ROWS; i++) weight[i] = 0;
    const wh_rows first = {x, y, weight, ROWS / 2, D};
    assert_int_equal(wh_net_fit_linear(&net, &rows, 0.1, &err), WH_OK);
    assert_int_equal(wh_net_fit_linear(&half, &first, 0.1, &err), WH_OK);
    for (size_t k = 0; k < D; k++) assert_true(near((double)net.w2[k], (double)half.w2[k], 1e-4));
    wh_net_free(&net);
    wh_net_free(&half);
}

static void separable_data_is_separated(void **state)
{
    (void)state;
    make_rows();
    for (size_t i = 0; i < ROWS; i++) y[i] = x[i * D] > 0;
    wh_net net;
    assert_int_equal(wh_net_create(&net, D, 0, &err), WH_OK);
    const wh_rows rows = {x, y, weight, ROWS, D};
    assert_int_equal(wh_net_fit_linear(&net, &rows, 1e-4, &err), WH_OK);
    float logits[ROWS], scratch[1];
    wh_net_run(&net, logits, x, ROWS, scratch);
    for (size_t i = 0; i < ROWS; i++)
        if (fabsf(x[i * D]) > 0.05f) assert_true((logits[i] > 0) == (y[i] > 0));
    wh_net_free(&net);
}

/* y = x0 and x1 have the same sign: nothing a line can say. */
static void a_hidden_layer_learns_what_a_line_cannot(void **state)
{
    (void)state;
    make_rows();
    for (size_t i = 0; i < ROWS; i++) y[i] = x[i * D] * x[i * D + 1] > 0;
    wh_net net, same;
    assert_int_equal(wh_net_create(&net, D, 16, &err), WH_OK);
    assert_int_equal(wh_net_create(&same, D, 16, &err), WH_OK);
    const wh_rows rows = {x, y, weight, ROWS, D};
    const wh_adam_opts opts = {.rate = 0.01, .seed = 3};
    wh_adam *a, *b;
    assert_int_equal(wh_adam_create(&a, &net, &rows, &opts, &err), WH_OK);
    assert_int_equal(wh_adam_create(&b, &same, &rows, &opts, &err), WH_OK);
    for (int e = 0; e < 200; e++) {
        wh_adam_epoch(a);
        wh_adam_epoch(b);
    }
    wh_adam_free(a);
    wh_adam_free(b);
    float logits[ROWS], again[ROWS], *scratch = wh_mem_alloc(wh_net_scratch(&net), sizeof *scratch);
    wh_net_run(&net, logits, x, ROWS, scratch);
    size_t right = 0;
    for (size_t i = 0; i < ROWS; i++) right += (logits[i] > 0) == (y[i] > 0);
    assert_true(right > ROWS * 95 / 100);
    wh_net_run(&same, again, x, ROWS, scratch);
    assert_memory_equal(logits, again, sizeof logits);
    /* Row by row is the same as together, up to rounding. */
    for (size_t i = 0; i < ROWS; i++) {
        wh_net_run(&net, again, x + i * D, 1, scratch);
        assert_true(near((double)again[0], (double)logits[i], 1e-4));
    }
    free(scratch);
    wh_net_free(&net);
    wh_net_free(&same);
}

static void nets_are_moved_to_raw_features(void **state)
{
    (void)state;
    static const float mean[D] = {3, -1, 0.5f}, deviation[D] = {2, 0.1f, 5};
    make_rows();
    for (size_t hidden = 0; hidden <= 8; hidden += 8) {
        wh_net net;
        assert_int_equal(wh_net_create(&net, D, hidden, &err), WH_OK);
        size_t n = hidden ? hidden * (D + 2) : D;
        for (size_t i = 0; i < n; i++) net.memory[i] = (float)gauss(50, i);
        float before[ROWS], after[ROWS], raw[ROWS * D], *scratch = wh_mem_alloc(wh_net_scratch(&net), sizeof *scratch);
        wh_net_run(&net, before, x, ROWS, scratch);
        for (size_t i = 0; i < ROWS * D; i++) raw[i] = x[i] * deviation[i % D] + mean[i % D];
        wh_net_unstandardize(&net, mean, deviation);
        wh_net_calibrate(&net, 0.5, -2);
        wh_net_run(&net, after, raw, ROWS, scratch);
        for (size_t i = 0; i < ROWS; i++) assert_true(near((double)after[i], 0.5 * (double)before[i] - 2, 2e-4));
        free(scratch);
        wh_net_free(&net);
    }
}

/* ---- training ---------------------------------------------------------------------------------------------------------- */

static void calibration_finds_slope_and_offset(void **state)
{
    (void)state;
    enum { N = 400 };
    double z[N], want[N];
    static const wh_prm_evidence none[N];
    wh_prm_calibration c;
    for (size_t i = 0; i < N; i++) {
        z[i] = gauss(60, i) * 3;
        want[i] = 1 / (1 + exp(-(0.4 * z[i] - 1)));
    }
    wh_train_calibrate(&c, z, none, want, N);
    assert_true(near(c.slope, 0.4, 1e-4) && near(c.offset, -1, 1e-4) && c.fails == 0 && c.holds == 0 && c.omits == 0);
    for (size_t i = 0; i < N; i++) want[i] = z[i] > 0; /* no end to it */
    wh_train_calibrate(&c, z, none, want, N);
    assert_true(c.slope > 1 && c.slope <= 100 && isfinite(c.offset));
    for (size_t i = 0; i < N; i++) want[i] = z[i] < 0; /* worse than chance: not turned around */
    wh_train_calibrate(&c, z, none, want, N);
    assert_true(c.slope > 0 && c.slope < 0.02);
    for (size_t i = 0; i < N; i++) { /* the same logit for all: the mean is what is left to say */
        z[i] = 3;
        want[i] = i % 4 == 0;
    }
    wh_train_calibrate(&c, z, none, want, N);
    assert_true(near(1 / (1 + exp(-(c.slope * 3 + c.offset))), 0.25, 1e-6));
}

/* What the text counts is found beside the logit; a few solutions are not believed. */
static void calibration_weighs_evidence(void **state)
{
    (void)state;
    enum { N = 6000, FEW = 4 };
    static double z[N], want[N];
    static wh_prm_evidence shown[N];
    wh_prm_calibration c;
    for (size_t i = 0; i < N; i++) {
        z[i] = gauss(61, i);
        shown[i] = (wh_prm_evidence){(wh_arithmetic_verdict)(i % 3), i % 5 == 0};
        double shifted = z[i] - 0.5 + (i % 3 == WH_ARITHMETIC_FAILS ? -2 : i % 3 == WH_ARITHMETIC_HOLDS ? 0.7 : 0) - (i % 5 ? 0 : 1.5);
        want[i] = 1 / (1 + exp(-shifted));
    }
    wh_train_calibrate(&c, z, shown, want, N);
    assert_true(near(c.slope, 1, 0.02) && near(c.offset, -0.5, 0.02) && near(c.fails, -2, 0.02) && near(c.holds, 0.7, 0.02));
    assert_true(near(c.omits, -1.5, 0.02));
    for (size_t i = 0; i < N; i++) {
        shown[i] = (wh_prm_evidence){i < FEW ? WH_ARITHMETIC_FAILS : WH_ARITHMETIC_NONE, i < FEW};
        want[i] = i < FEW ? 0 : 1 / (1 + exp(-z[i]));
    }
    wh_train_calibrate(&c, z, shown, want, N);
    assert_true(c.fails < -0.25 && c.fails > -2 && near(c.omits, c.fails, 1e-6) && c.holds == 0);
    assert_true(near(wh_prm_calibrate(&c, 1, shown[0]), 1 / (1 + exp(-(c.slope + c.offset + c.fails + c.omits))), 1e-12));
}

enum { PROBLEMS = 120, SAMPLES = 6, STEPS = 2, ALL = PROBLEMS * SAMPLES * STEPS };
static float    set_x[ALL * D], set_y[ALL], set_weight[ALL];
static wh_point set_points[ALL];
static uint64_t set_hash[ALL];
static wh_prm_evidence set_evidence[ALL];

/* A problem's difficulty is in feature 0, a sample's quality in feature 1 of its last step, feature 2 is noise. */
static wh_train_set make_set(void)
{
    for (size_t i = 0; i < ALL; i++) {
        size_t sample = i / STEPS, problem = sample / SAMPLES, step = i % STEPS;
        double hard = gauss(70, problem), quality = gauss(71, sample);
        bool right = wh_rng_uniform(9, 72, sample) < 1 / (1 + exp(-(2 * quality - hard)));
        set_x[i * D] = (float)(5 + 3 * hard);
        set_x[i * D + 1] = (float)(step + 1 == STEPS ? quality / 100 : 0);
        set_x[i * D + 2] = (float)gauss(73, i);
        set_y[i] = right;
        set_weight[i] = 1;
        set_points[i] = (wh_point){.problem = (uint32_t)problem, .step = (uint32_t)step, .steps = STEPS, .right = right};
        set_hash[i] = wh_rng_u64(9, 74, problem);
    }
    return (wh_train_set){set_x, ALL, D, set_y, set_weight, set_points, set_hash, set_evidence};
}

static void train_with(wh_train_result *r, const wh_train_opts *opts, int threads)
{
    wh_par *par;
    wh_train_set set = make_set();
    assert_int_equal(wh_par_create(&par, threads, &err), WH_OK);
    if (wh_train_fit(r, &set, opts, par, &err) != WH_OK) fail_msg("%s", err.msg);
    wh_par_free(par);
}

static void training_finds_what_is_there(void **state)
{
    (void)state;
    for (size_t hidden = 0; hidden <= 8; hidden += 8) {
        wh_train_result r, again;
        const wh_train_opts opts = {.hidden = hidden, .folds = 5, .epochs = 30, .rate = 0.01, .l2 = -1, .seed = 1, .balance = true, .curve = true};
        train_with(&r, &opts, 2);
        assert_int_equal(r.measure.samples, PROBLEMS * SAMPLES);
        assert_true(r.measure.last.within > 0.8 && r.measure.last.all > 0.8);
        assert_true(r.measure.part[2].within < 0.6); /* the first step shows no quality */
        assert_true(r.measure.ece < 0.1);
        assert_int_equal(r.n_curve, WH_TRAIN_CURVE);
        assert_true(r.curve[WH_TRAIN_CURVE - 1].problems > 3 * r.curve[1].problems);
        assert_true(near(r.curve[WH_TRAIN_CURVE - 1].measure.last.all, r.measure.last.all, 1e-9));
        /* The net reads raw features and gives probabilities near those of the folds. */
        float logits[ALL], *scratch = wh_mem_alloc(wh_net_scratch(&r.net), sizeof *scratch);
        wh_point scored[ALL];
        memcpy(scored, set_points, sizeof scored);
        (void)make_set();
        wh_net_run(&r.net, logits, set_x, ALL, scratch);
        double far = 0;
        for (size_t i = 0; i < ALL; i++) far += fabs(scored[i].score - 1 / (1 + exp(-(double)logits[i]))) / ALL;
        assert_true(far < 0.1);
        free(scratch);
        /* The same bits on any number of threads. */
        train_with(&again, &opts, 1);
        assert_memory_equal(again.net.w2, r.net.w2, (hidden ? hidden : D) * sizeof(float));
        assert_true(again.measure.last.within == r.measure.last.within);
        wh_train_free(&r);
        wh_train_free(&again);
    }
}

static void too_few_problems_are_refused(void **state)
{
    (void)state;
    wh_train_set set = make_set();
    wh_train_result r;
    wh_par *par;
    assert_int_equal(wh_par_create(&par, 1, &err), WH_OK);
    set.n = 2 * SAMPLES * STEPS;
    const wh_train_opts opts = {.folds = 5, .l2 = 1};
    assert_int_equal(wh_train_fit(&r, &set, &opts, par, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "too few problems"));
    wh_par_free(par);
}

static void memory_can_end(void **state)
{
    (void)state;
    wh_par *par;
    assert_int_equal(wh_par_create(&par, 1, &err), WH_OK);
    for (size_t hidden = 0; hidden <= 4; hidden += 4) {
        const wh_train_opts opts = {.hidden = hidden, .folds = 2, .epochs = 1, .l2 = 1};
        wh_code code = WH_ERR_NOMEM;
        for (long k = 0; code != WH_OK && k < 1000; k++) {
            wh_train_set set = make_set();
            wh_train_result r;
            wh_mem_fail_after(k);
            code = wh_train_fit(&r, &set, &opts, par, &err);
            wh_mem_fail_after(-1);
            if (code == WH_OK) wh_train_free(&r);
            else assert_int_equal(code, WH_ERR_NOMEM);
        }
        assert_int_equal(code, WH_OK);
    }
    wh_par_free(par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auc_counts_pairs),
        cmocka_unit_test(auc_agrees_with_counting),
        cmocka_unit_test(probabilities_are_measured),
        cmocka_unit_test(ranks_correlate),
        cmocka_unit_test(steps_are_told_apart),
        cmocka_unit_test(lbfgs_finds_the_least),
        cmocka_unit_test(linear_fits_are_optimal),
        cmocka_unit_test(separable_data_is_separated),
        cmocka_unit_test(a_hidden_layer_learns_what_a_line_cannot),
        cmocka_unit_test(nets_are_moved_to_raw_features),
        cmocka_unit_test(calibration_finds_slope_and_offset),
        cmocka_unit_test(calibration_weighs_evidence),
        cmocka_unit_test(training_finds_what_is_there),
        cmocka_unit_test(too_few_problems_are_refused),
        cmocka_unit_test(memory_can_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
