#include "fit/measure.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ranks -------------------------------------------------------------------------------------------------- */

typedef struct item {
    double value;
    size_t at;
} item;

static int ascending(const void *a_, const void *b_)
{
    const item *a = a_, *b = b_;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Ranks from 1, equal values sharing their mean. scratch: n items. */
static void rank(double *ranks, item *scratch, size_t n)
{
    qsort(scratch, n, sizeof *scratch, ascending);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && scratch[end].value == scratch[i].value;) end++;
        for (size_t k = i; k < end; k++) ranks[scratch[k].at] = (double)(i + end + 1) / 2;
    }
}

/* ---- AUC ---------------------------------------------------------------------------------------------------- */

/* The sum over pairs (right, wrong) of 1, 1/2 or 0: Mann-Whitney's U from ranks. */
static double wins(double *ranks, item *scratch, const wh_point *points, size_t n, size_t *n_right)
{
    for (size_t i = 0; i < n; i++) scratch[i] = (item){points[i].score, i};
    rank(ranks, scratch, n);
    double sum = 0, r = 0;
    for (size_t i = 0; i < n; i++)
        if (points[i].right) {
            sum += ranks[i];
            r++;
        }
    *n_right = (size_t)r;
    return sum - r * (r + 1) / 2;
}

static double part_of(double a, double b) { return b > 0 ? a / b : NAN; }

wh_code wh_measure_auc(wh_auc *out, const wh_point *points, size_t n, wh_err *err)
{
    double *ranks = wh_mem_alloc(n, sizeof *ranks);
    item *scratch = wh_mem_alloc(n, sizeof *scratch);
    *out = (wh_auc){.n = n};
    if (!ranks || !scratch) {
        free(ranks);
        free(scratch);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory to rank %zu scores", n);
    }
    size_t right;
    double won = wins(ranks, scratch, points, n, &right), inside = 0, pairs = 0;
    out->all = part_of(won, (double)right * (double)(n - right));
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && points[end].problem == points[i].problem;) end++;
        won = wins(ranks, scratch, points + i, end - i, &right);
        size_t here = right * (end - i - right);
        inside += here ? won : 0;
        pairs += (double)here;
        out->problems += here > 0;
    }
    out->within = part_of(inside, pairs);
    out->pairs = (size_t)pairs;
    free(ranks);
    free(scratch);
    return WH_OK;
}

/* ---- probabilities --------------------------------------------------------------------------------------------- */

double wh_measure_ece(const double *p, const double *y, size_t n)
{
    enum { BINS = 10 };
    double sum_p[BINS] = {0}, sum_y[BINS] = {0}, error = 0;
    for (size_t i = 0; i < n; i++) {
        size_t b = p[i] >= 1 ? BINS - 1 : p[i] > 0 ? (size_t)(p[i] * BINS) : 0;
        sum_p[b] += p[i];
        sum_y[b] += y[i];
    }
    for (size_t b = 0; b < BINS; b++) error += fabs(sum_p[b] - sum_y[b]);
    return part_of(error, (double)n);
}

double wh_measure_brier(const double *p, const double *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (p[i] - y[i]) * (p[i] - y[i]);
    return part_of(sum, (double)n);
}

double wh_measure_loss(const double *p, const double *y, size_t n)
{
    const double least = 1e-6;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double q = fmin(fmax(p[i], least), 1 - least);
        sum -= y[i] * log(q) + (1 - y[i]) * log(1 - q);
    }
    return part_of(sum, (double)n);
}

static double correlation(const double *a, const double *b, size_t n)
{
    double mean_a = 0, mean_b = 0, ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        mean_a += a[i] / (double)n;
        mean_b += b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double x = a[i] - mean_a, y = b[i] - mean_b;
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return part_of(ab, sqrt(aa * bb));
}

wh_code wh_measure_spearman(double *out, const double *a, const double *b, size_t n, wh_err *err)
{
    double *ranks = wh_mem_alloc(2 * n, sizeof *ranks);
    item *scratch = wh_mem_alloc(n, sizeof *scratch);
    wh_code code = ranks && scratch ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory to rank %zu values", n);
    if (code == WH_OK) {
        for (size_t i = 0; i < n; i++) scratch[i] = (item){a[i], i};
        rank(ranks, scratch, n);
        for (size_t i = 0; i < n; i++) scratch[i] = (item){b[i], i};
        rank(ranks + n, scratch, n);
        *out = correlation(ranks, ranks + n, n);
    }
    free(ranks);
    free(scratch);
    return code;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static bool is_last(const wh_point *p) { return p->step + 1 == p->steps; }

/* The fifth in which the step ends: the last step of any sample is in the last. */
static size_t part_number(const wh_point *p) { return (((size_t)p->step + 1) * WH_MEASURE_PARTS + p->steps - 1) / p->steps - 1; }

typedef struct work {
    wh_point *some;
    double   *p, *y;
} work;

/* AUC of the last steps (part WH_MEASURE_PARTS) or of one part. */
static wh_code measure_some(wh_auc *out, const work *w, const wh_point *points, size_t n, size_t part, wh_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool in = part == WH_MEASURE_PARTS ? is_last(&points[i]) : part_number(&points[i]) == part;
        if (in) w->some[kept++] = points[i];
    }
    return wh_measure_auc(out, w->some, kept, err);
}

static wh_code measure(wh_measure *out, const work *w, const wh_point *points, size_t n, wh_err *err)
{
    WH_TRY(wh_measure_auc(&out->every, points, n, err));
    for (size_t part = 0; part < WH_MEASURE_PARTS; part++) WH_TRY(measure_some(&out->part[part], w, points, n, part, err));
    WH_TRY(measure_some(&out->last, w, points, n, WH_MEASURE_PARTS, err));
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        out->problems += i == 0 || points[i].problem != points[i - 1].problem;
        if (!is_last(&points[i])) continue;
        w->p[last] = points[i].score;
        w->y[last] = points[i].right;
        out->rate += points[i].right;
        last++;
    }
    out->samples = last;
    out->rate = part_of(out->rate, (double)last);
    out->ece = wh_measure_ece(w->p, w->y, last);
    out->brier = wh_measure_brier(w->p, w->y, last);
    out->loss = wh_measure_loss(w->p, w->y, last);
    for (size_t i = 0; i < n; i++) {
        w->p[i] = points[i].score;
        w->y[i] = points[i].right;
    }
    out->ece_every = wh_measure_ece(w->p, w->y, n);
    return WH_OK;
}

wh_code wh_measure_points(wh_measure *out, const wh_point *points, size_t n, wh_err *err)
{
    *out = (wh_measure){0};
    const work w = {wh_mem_alloc(n, sizeof *w.some), wh_mem_alloc(n, sizeof *w.p), wh_mem_alloc(n, sizeof *w.y)};
    wh_code code = w.some && w.p && w.y ? measure(out, &w, points, n, err)
                                        : wh_err_set(err, WH_ERR_NOMEM, "no memory to measure %zu scores", n);
    free(w.some);
    free(w.p);
    free(w.y);
    return code;
}
