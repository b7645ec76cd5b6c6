#include "fit/train.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <cblas.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void openblas_set_num_threads(int n);

/* Weight decay per row, from much to little: the linear head starts from the one before. */
static const double linear_grid[WH_TRAIN_GRID] = {3, 1, 0.3, 0.1, 0.03, 0.01, 0.003};
static const double hidden_grid[] = {1, 0.1};
enum { HIDDEN_GRID = sizeof hidden_grid / sizeof hidden_grid[0] };

size_t wh_train_fold(uint64_t hash, size_t folds) { return (size_t)(hash % folds); }

/* Is the problem among a part of all? Independent of its fold. */
static bool in_part(uint64_t hash, double part)
{
    return (double)(wh_rng_substream(hash, 0) >> 32) < part * 4294967296.0;
}

/* ---- the work ------------------------------------------------------------------------------------------------- */

typedef struct trainer {
    wh_train_set       *set;
    const wh_train_opts *o;
    size_t  n_grid, epochs; /* epochs: 1 for a linear head */
    const double *grid;
    double  part;    /* of the problems, for the curve */
    float  *weight;  /* (folds + 1, n): what each fit sees; the last: all */
    float  *logits;  /* (n_grid, epochs, n): of unseen data */
    float  *mean, *deviation;
    double *z, *y;   /* (n), and not less than (d) */
    wh_prm_evidence *evidence; /* (n) */
    wh_code code[WH_TRAIN_FOLDS];
    wh_err  why[WH_TRAIN_FOLDS];
    atomic_size_t done; /* of `all` fits */
    size_t  all;
    wh_par *par;
} trainer;

static void standardize(trainer *t)
{
    wh_train_set *s = t->set;
    double *sum = t->z, *square = t->y, total = 0;
    memset(sum, 0, s->d * sizeof *sum);
    memset(square, 0, s->d * sizeof *square);
    for (size_t i = 0; i < s->n; i++) {
        total += (double)s->weight[i];
        for (size_t k = 0; k < s->d; k++) {
            double v = (double)s->x[i * s->d + k];
            sum[k] += (double)s->weight[i] * v;
            square[k] += (double)s->weight[i] * v * v;
        }
    }
    for (size_t k = 0; k < s->d; k++) {
        double mean = sum[k] / total, variance = square[k] / total - mean * mean;
        t->mean[k] = (float)mean;
        t->deviation[k] = (float)sqrt(fmax(variance, 1e-12));
    }
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->d; k++) s->x[i * s->d + k] = (s->x[i * s->d + k] - t->mean[k]) / t->deviation[k];
}

/* The weights of a fit: those outside its fold, both outcomes alike if that is wanted. Fold `folds` is all data. */
static void weigh(const trainer *t, float *weight, size_t fold)
{
    const wh_train_set *s = t->set;
    double right = 0, wrong = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool out = wh_train_fold(s->hash[i], t->o->folds) == fold || !in_part(s->hash[i], t->part);
        weight[i] = out ? 0 : s->weight[i];
        right += (double)(weight[i] * s->y[i]);
        wrong += (double)(weight[i] * (1 - s->y[i]));
    }
    if (!t->o->balance || right == 0 || wrong == 0) return;
    for (size_t i = 0; i < s->n; i++) {
        double p = (double)s->y[i];
        weight[i] = (float)((double)weight[i] * (p / right + (1 - p) / wrong) * (right + wrong) / 2);
    }
}

/* The logits of the held-out rows of a fold. */
static void score_fold(const trainer *t, const wh_net *net, float *logits, size_t fold, float *scratch)
{
    const wh_train_set *s = t->set;
    for (size_t i = 0, end; i < s->n; i = end) {
        bool held = wh_train_fold(s->hash[i], t->o->folds) == fold;
        for (end = i; end < s->n && (wh_train_fold(s->hash[end], t->o->folds) == fold) == held;) end++;
        if (held) wh_net_run(net, logits + i, s->x + i * s->d, end - i, scratch);
    }
}

static float *logits_of(const trainer *t, size_t grid, size_t epoch) { return t->logits + (grid * t->epochs + epoch) * t->set->n; }

/* Progress is shown by the first thread of the team alone. */
static void report(trainer *t, int tid)
{
    size_t done = atomic_fetch_add(&t->done, 1) + 1;
    if (tid == 0 && t->o->progress) t->o->progress(t->o->user, done, t->all);
}

static wh_code fit_linear(trainer *t, size_t fold, int tid, wh_net *net, float *scratch, wh_err *err)
{
    const wh_train_set *s = t->set;
    const wh_rows rows = {.x = s->x, .y = s->y, .weight = t->weight + fold * s->n, .n = s->n, .d = s->d};
    for (size_t g = 0; g < t->n_grid; g++) {
        WH_TRY(wh_net_fit_linear(net, &rows, t->grid[g], err));
        if (fold < t->o->folds) score_fold(t, net, logits_of(t, g, 0), fold, scratch);
        report(t, tid);
    }
    return WH_OK;
}

static wh_code fit_hidden(trainer *t, size_t fold, int tid, wh_net *net, float *scratch, wh_err *err)
{
    const wh_train_set *s = t->set;
    const wh_rows rows = {.x = s->x, .y = s->y, .weight = t->weight + fold * s->n, .n = s->n, .d = s->d};
    for (size_t g = 0; g < t->n_grid; g++) {
        const wh_adam_opts opts = {.rate = t->o->rate, .decay = t->grid[g], .dropout = t->o->dropout, .seed = t->o->seed * 64 + fold};
        wh_adam *adam;
        WH_TRY(wh_adam_create(&adam, net, &rows, &opts, err));
        for (size_t e = 0; e < t->epochs; e++) {
            wh_adam_epoch(adam);
            if (fold < t->o->folds) score_fold(t, net, logits_of(t, g, e), fold, scratch);
        }
        wh_adam_free(adam);
        report(t, tid);
    }
    return WH_OK;
}

static wh_code fit_one(trainer *t, size_t fold, int tid, wh_net *net, wh_err *err)
{
    WH_TRY(wh_net_create(net, t->set->d, t->o->hidden, err));
    float *scratch = wh_mem_alloc(wh_net_scratch(net), sizeof *scratch);
    if (!scratch) return wh_err_set(err, WH_ERR_NOMEM, "no memory to fit a head");
    wh_code code = t->o->hidden ? fit_hidden(t, fold, tid, net, scratch, err) : fit_linear(t, fold, tid, net, scratch, err);
    free(scratch);
    return code;
}

/* Inside the team: each thread takes folds. */
static void fit_folds(void *ctx, int tid)
{
    trainer *t = ctx;
    for (size_t fold; (fold = wh_par_take(t->par)) < t->o->folds;) {
        wh_net net = {0};
        weigh(t, t->weight + fold * t->set->n, fold);
        t->code[fold] = fit_one(t, fold, tid, &net, &t->why[fold]);
        wh_net_free(&net);
    }
}

/* The measure of one set of logits, calibrated; the points keep the scores. */
static wh_code measure(trainer *t, const float *logits, wh_prm_calibration *c, wh_measure *m, wh_err *err)
{
    wh_train_set *s = t->set;
    size_t last = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->points[i].step + 1 != s->points[i].steps) continue;
        t->z[last] = (double)logits[i];
        t->evidence[last] = s->evidence[i];
        t->y[last++] = (double)s->y[i];
    }
    wh_train_calibrate(c, t->z, t->evidence, t->y, last);
    for (size_t i = 0; i < s->n; i++) s->points[i].score = wh_prm_calibrate(c, (double)logits[i], s->evidence[i]);
    WH_TRY(wh_measure_points(m, s->points, s->n, err));
    /* What is wanted may be a probability, which points do not know. */
    for (size_t i = 0; i < last; i++) t->z[i] = wh_prm_calibrate(c, t->z[i], t->evidence[i]);
    m->loss = wh_measure_loss(t->z, t->y, last);
    m->brier = wh_measure_brier(t->z, t->y, last);
    m->ece = wh_measure_ece(t->z, t->y, last);
    return WH_OK;
}

static double merit(const trainer *t, const wh_measure *m)
{
    return t->o->by == WH_TRAIN_BY_WITHIN && m->last.pairs ? m->last.within : -m->loss;
}

static wh_code run_folds(trainer *t, wh_err *err)
{
    wh_par_run(t->par, fit_folds, t);
    for (size_t fold = 0; fold < t->o->folds; fold++)
        if (t->code[fold] != WH_OK) {
            *err = t->why[fold];
            return t->code[fold];
        }
    return WH_OK;
}

/* The best number of epochs for each point of the grid, and the best point. */
static wh_code choose(trainer *t, wh_train_result *out, size_t *best_grid, wh_err *err)
{
    double best = -INFINITY;
    out->n_grid = t->n_grid;
    for (size_t g = 0; g < t->n_grid; g++) {
        double here = -INFINITY;
        for (size_t e = 0; e < t->epochs; e++) {
            wh_prm_calibration calibration;
            wh_measure m;
            WH_TRY(measure(t, logits_of(t, g, e), &calibration, &m, err));
            if (!(merit(t, &m) > here)) continue;
            here = merit(t, &m);
            out->grid[g] = (struct wh_train_grid){t->grid[g], e + 1, m};
            if (!(here > best)) continue;
            best = here;
            *best_grid = g;
            out->l2 = t->grid[g];
            out->epochs = e + 1;
            out->calibration = calibration;
            out->measure = m;
        }
    }
    return WH_OK;
}

/* The same with fewer problems, with what was chosen for all. */
static wh_code draw_curve(trainer *t, wh_train_result *out, wh_err *err)
{
    static const double parts[WH_TRAIN_CURVE] = {1.0 / 16, 1.0 / 8, 1.0 / 4, 1.0 / 2, 1};
    t->grid = &out->l2;
    t->n_grid = 1;
    t->epochs = t->o->hidden ? out->epochs : 1;
    wh_code code = WH_OK;
    for (size_t i = 0; code == WH_OK && i < WH_TRAIN_CURVE; i++) {
        struct wh_train_curve *c = &out->curve[i];
        wh_prm_calibration calibration;
        size_t in = 0;
        t->part = parts[i];
        for (size_t k = 0; k < t->set->n; k++)
            in += (k == 0 || t->set->points[k].problem != t->set->points[k - 1].problem) && in_part(t->set->hash[k], t->part);
        c->problems = in * (t->o->folds - 1) / t->o->folds;
        code = run_folds(t, err);
        if (code == WH_OK) code = measure(t, logits_of(t, 0, t->epochs - 1), &calibration, &c->measure, err);
        if (code == WH_OK) out->n_curve++;
    }
    t->part = 1;
    return code;
}

static wh_code fit_all(trainer *t, wh_train_result *out, size_t best_grid, wh_err *err)
{
    wh_prm_calibration calibration;
    wh_measure again;
    /* The points keep the scores of what was chosen. */
    WH_TRY(measure(t, logits_of(t, best_grid, t->o->hidden ? out->epochs - 1 : 0), &calibration, &again, err));
    if (t->o->curve) WH_TRY(draw_curve(t, out, err));
    t->grid = &out->l2;
    t->n_grid = 1;
    t->epochs = t->o->hidden ? out->epochs : 1;
    weigh(t, t->weight + t->o->folds * t->set->n, t->o->folds);
    WH_TRY(fit_one(t, t->o->folds, 0, &out->net, err));
    wh_net_unstandardize(&out->net, t->mean, t->deviation);
    wh_net_calibrate(&out->net, out->calibration.slope, out->calibration.offset);
    return WH_OK;
}

static wh_code check(const trainer *t, wh_err *err)
{
    const wh_train_set *s = t->set;
    for (size_t fold = 0; fold < t->o->folds; fold++) {
        double right = 0, wrong = 0;
        for (size_t i = 0; i < s->n; i++) {
            if (wh_train_fold(s->hash[i], t->o->folds) != fold) continue;
            right += (double)s->y[i];
            wrong += 1 - (double)s->y[i];
        }
        if (right == 0 || wrong == 0)
            return wh_err_set(err, WH_ERR_ARG, "there are too few problems: part %zu of %zu has no %s solution", fold + 1, t->o->folds,
                              right == 0 ? "right" : "wrong");
    }
    return WH_OK;
}

static wh_code allocate(trainer *t, wh_err *err)
{
    size_t n = t->set->n, d = t->set->d, most = n > d ? n : d, weights, logits;
    if (!wh_mem_mul(&weights, n, t->o->folds + 1) || !wh_mem_mul(&logits, n, t->n_grid * t->epochs))
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu rows", n);
    t->weight = wh_mem_alloc(weights, sizeof *t->weight);
    t->logits = wh_mem_alloc(logits, sizeof *t->logits);
    t->mean = wh_mem_alloc(d, sizeof *t->mean);
    t->deviation = wh_mem_alloc(d, sizeof *t->deviation);
    t->z = wh_mem_alloc(most, sizeof *t->z);
    t->y = wh_mem_alloc(most, sizeof *t->y);
    t->evidence = wh_mem_alloc(n, sizeof *t->evidence);
    bool ok = t->weight && t->logits && t->mean && t->deviation && t->z && t->y && t->evidence;
    return ok ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu rows", n);
}

static wh_code train(trainer *t, wh_train_result *out, wh_err *err)
{
    size_t best = 0;
    WH_TRY(check(t, err));
    WH_TRY(allocate(t, err));
    standardize(t);
    t->all = t->n_grid * t->o->folds + (t->o->curve ? WH_TRAIN_CURVE * t->o->folds : 0) + 1;
    WH_TRY(run_folds(t, err));
    WH_TRY(choose(t, out, &best, err));
    return fit_all(t, out, best, err);
}

wh_code wh_train_fit(wh_train_result *out, wh_train_set *set, const wh_train_opts *opts, wh_par *par, wh_err *err)
{
    *out = (wh_train_result){0};
    double began = wh_clock_now();
    trainer t = {.set = set, .o = opts, .par = par, .part = 1, .grid = &opts->l2, .n_grid = 1, .epochs = opts->hidden ? opts->epochs : 1};
    if (opts->l2 < 0) {
        t.grid = opts->hidden ? hidden_grid : linear_grid;
        t.n_grid = opts->hidden ? HIDDEN_GRID : WH_TRAIN_GRID;
    }
    openblas_set_num_threads(1); /* the folds are the parallel work: so a fit has the same bits on any number of threads */
    wh_code code = train(&t, out, err);
    free(t.weight);
    free(t.logits);
    free(t.mean);
    free(t.deviation);
    free(t.z);
    free(t.y);
    free(t.evidence);
    if (code != WH_OK) wh_train_free(out);
    out->seconds = wh_clock_now() - began;
    return code;
}

void wh_train_free(wh_train_result *r) { wh_net_free(&r->net); }
