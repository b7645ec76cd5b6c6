/* What the outcomes of replays amount to: means, intervals, comparisons. */
#include "plan/replay.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"

#include <math.h>
#include <stdlib.h>

static double flops_of(const wh_outcome *o) { return o->policy + o->prm; }

double wh_runs_accuracy(const wh_runs *r)
{
    double sum = 0;
    for (size_t i = 0; i < r->orders * r->n; i++) sum += r->list[i].right;
    return sum / (double)(r->orders * r->n);
}

double wh_runs_flops(const wh_runs *r)
{
    double sum = 0;
    for (size_t i = 0; i < r->orders * r->n; i++) sum += flops_of(&r->list[i]);
    return sum / (double)(r->orders * r->n);
}

/* ---- points and curves ------------------------------------------------------------------------------------------- */

typedef struct point {
    double accuracy, flops;
} point;

/* Which outcome each problem of a replicate is: problem and order. NULL: all of them. */
typedef struct drawn {
    const uint32_t *problem, *order;
} drawn;

static point mean_of(const wh_runs *r, const drawn *d)
{
    if (!d->problem) return (point){wh_runs_accuracy(r), wh_runs_flops(r)};
    point p = {0, 0};
    for (size_t i = 0; i < r->n; i++) {
        const wh_outcome *o = &r->list[d->order[i] * r->n + d->problem[i]];
        p.accuracy += o->right;
        p.flops += flops_of(o);
    }
    p.accuracy /= (double)r->n;
    p.flops /= (double)r->n;
    return p;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the list. */
static void percentiles(wh_interval *out, double *list, size_t n)
{
    qsort(list, n, sizeof *list, by_value);
    out->low = list[(size_t)(0.025 * (double)(n - 1))];
    out->high = list[(size_t)ceil(0.975 * (double)(n - 1))];
}

static void draw(uint32_t *problem, uint32_t *order, const wh_runs *r, uint64_t seed, size_t replicate)
{
    for (size_t i = 0; i < r->n; i++) {
        problem[i] = (uint32_t)(wh_rng_u64(seed, replicate, 2 * i) % r->n);
        order[i] = (uint32_t)(wh_rng_u64(seed, replicate, 2 * i + 1) % r->orders);
    }
}

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory for a bootstrap"); }

wh_code wh_replay_versus(wh_versus *out, const wh_runs *r, const wh_curve *fixed, const wh_curve *all, size_t replicates, uint64_t seed,
                         wh_err *err)
{
    uint32_t *problem = wh_mem_alloc(r->n, sizeof *problem), *order = wh_mem_alloc(r->n, sizeof *order);
    double *xs = wh_mem_alloc(fixed->n, sizeof *xs), *ys = wh_mem_alloc(fixed->n, sizeof *ys);
    double *list[3] = {wh_mem_alloc(replicates, sizeof **list), wh_mem_alloc(replicates, sizeof **list), wh_mem_alloc(replicates, sizeof **list)};
    bool ok = problem && order && xs && ys && list[0] && list[1] && list[2];
    wh_code code = ok ? WH_OK : no_memory(err);
    for (size_t b = 0; ok && b <= replicates; b++) { /* the last is no replicate, but all */
        drawn d = {problem, order};
        if (b == replicates) d = (drawn){NULL, NULL};
        else draw(problem, order, r, seed, b);
        point p = mean_of(r, &d);
        for (size_t k = 0; k < fixed->n; k++) {
            point f = mean_of(&fixed->runs[k], &d);
            xs[k] = f.flops;
            ys[k] = f.accuracy;
        }
        double against = p.accuracy - wh_stat_line(xs, ys, fixed->n, p.flops);
        if (b == replicates) {
            out->accuracy.mean = p.accuracy;
            out->flops.mean = p.flops;
            out->against.mean = against;
        } else {
            list[0][b] = p.accuracy;
            list[1][b] = p.flops;
            list[2][b] = against;
        }
    }
    if (ok) {
        percentiles(&out->accuracy, list[0], replicates);
        percentiles(&out->flops, list[1], replicates);
        percentiles(&out->against, list[2], replicates);
        double best;
        code = wh_replay_oracle(&best, all, out->flops.mean, err);
        if (code == WH_OK) out->oracle = (wh_interval){best - out->accuracy.mean, NAN, NAN};
    }
    for (int i = 0; i < 3; i++) free(list[i]);
    free(problem);
    free(order);
    free(xs);
    free(ys);
    return code;
}

static int by_flops(const void *a, const void *b)
{
    double x = ((const point *)a)->flops, y = ((const point *)b)->flops;
    return (x > y) - (x < y);
}

/* Where the curve first has that accuracy. */
static double reach(point *curve, size_t n, double accuracy)
{
    qsort(curve, n, sizeof *curve, by_flops);
    point from = {0, 0};
    for (size_t k = 0; k < n; k++) {
        if (curve[k].accuracy >= accuracy)
            return from.flops + (curve[k].flops - from.flops) * (accuracy - from.accuracy) / (curve[k].accuracy - from.accuracy);
        from = curve[k];
    }
    return INFINITY;
}

wh_code wh_replay_reach(wh_interval *out, const wh_runs *budgets, size_t n, const wh_runs *target, size_t replicates, uint64_t seed,
                        wh_err *err)
{
    uint32_t *problem = wh_mem_alloc(target->n, sizeof *problem), *order = wh_mem_alloc(target->n, sizeof *order);
    point *curve = wh_mem_alloc(n, sizeof *curve);
    double *list = wh_mem_alloc(replicates, sizeof *list);
    bool ok = problem && order && curve && list;
    for (size_t b = 0; ok && b <= replicates; b++) {
        drawn d = {problem, order};
        if (b == replicates) d = (drawn){NULL, NULL};
        else draw(problem, order, target, seed, b);
        point goal = mean_of(target, &d);
        for (size_t k = 0; k < n; k++) curve[k] = mean_of(&budgets[k], &d);
        double ratio = reach(curve, n, goal.accuracy) / goal.flops;
        if (b == replicates) out->mean = ratio;
        else list[b] = ratio;
    }
    if (ok) percentiles(out, list, replicates);
    free(problem);
    free(order);
    free(curve);
    free(list);
    return ok ? WH_OK : no_memory(err);
}

/* ---- the oracle ---------------------------------------------------------------------------------------------------- */

/* One step up a problem's concave hull. */
typedef struct rise {
    double gain, cost;
} rise;

static int steeper(const void *a_, const void *b_)
{
    const rise *a = a_, *b = b_;
    double x = a->gain * b->cost, y = b->gain * a->cost;
    return x > y ? -1 : x < y;
}

/* The steps of problem i's hull, from nothing; returns how many. */
static size_t climb(rise *out, const wh_curve *c, size_t i)
{
    size_t n = 0;
    point from = {0, 0};
    for (size_t k = 0; k < c->n;) {
        size_t best = c->n;
        point top = from;
        for (size_t j = k; j < c->n; j++) {
            point p = {0, 0};
            for (size_t r = 0; r < c->runs[j].orders; r++) {
                const wh_outcome *o = &c->runs[j].list[r * c->runs[j].n + i];
                p.accuracy += o->right;
                p.flops += flops_of(o);
            }
            p.accuracy /= (double)c->runs[j].orders;
            p.flops /= (double)c->runs[j].orders;
            double gain = (p.accuracy - from.accuracy) * (best == c->n ? 1 : top.flops - from.flops);
            if (p.accuracy > from.accuracy && (best == c->n || gain > (top.accuracy - from.accuracy) * (p.flops - from.flops))) {
                best = j;
                top = p;
            }
        }
        if (best == c->n) break;
        out[n++] = (rise){top.accuracy - from.accuracy, top.flops - from.flops};
        from = top;
        k = best + 1;
    }
    return n;
}

wh_code wh_replay_oracle(double *accuracy, const wh_curve *fixed, double flops, wh_err *err)
{
    size_t problems = fixed->n ? fixed->runs[0].n : 0, n = 0;
    rise *list = wh_mem_alloc(problems * fixed->n, sizeof *list);
    if (!list) return no_memory(err);
    for (size_t i = 0; i < problems; i++) n += climb(list + n, fixed, i);
    qsort(list, n, sizeof *list, steeper);
    double left = flops * (double)problems, sum = 0;
    for (size_t k = 0; k < n && left > 0; k++) {
        sum += list[k].cost <= left ? list[k].gain : list[k].gain * left / list[k].cost;
        left -= list[k].cost;
    }
    *accuracy = sum / (double)problems;
    free(list);
    return WH_OK;
}
