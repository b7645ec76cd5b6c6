/* whet fit difficulty: a head that says, before anything is written, how often a sample of this policy will be right. */
#include "app/fit.h"
#include "app/judged.h"
#include "app/out.h"
#include "base/mem.h"
#include "plan/beta.h"
#include "plan/profile.h"

#include <math.h>
#include <stdlib.h>

typedef struct outcome {
    double spearman, brier, ece, loss;
    double base_brier, base_loss; /* of the mean alone */
    double sure;                  /* strength of Beta round what it says */
    size_t confusion[WH_BINS][WH_BINS]; /* [true][said] */
} outcome;

static void fill_rows(wh_train_set *set, const wh_fit *f, const wh_features *features)
{
    for (size_t i = 0; i < set->n; i++) {
        const wh_fit_problem *p = &f->data.problems[i];
        size_t right = 0;
        for (size_t k = 0; k < p->n; k++) right += p->samples[k].right;
        wh_features_get(features, set->x + i * set->d, &features->list[i], 0, f->layers, f->n_layers);
        set->y[i] = (float)right / (float)p->n;
        set->weight[i] = (float)p->n; /* the likelihood of so many draws */
        set->points[i] = (wh_point){.problem = (uint32_t)i, .steps = 1, .right = 2 * right >= p->n};
        set->hash[i] = p->hash;
    }
}

static wh_code measure(outcome *out, const wh_train_set *set, wh_err *err)
{
    double *p = wh_mem_alloc(set->n, sizeof *p), *y = wh_mem_alloc(set->n, sizeof *y), mean = 0;
    wh_beta_draws *draws = wh_mem_alloc(set->n, sizeof *draws);
    *out = (outcome){0};
    wh_code code = p && y && draws ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory to measure %zu problems", set->n);
    for (size_t i = 0; code == WH_OK && i < set->n; i++) {
        p[i] = set->points[i].score;
        y[i] = (double)set->y[i];
        mean += y[i] / (double)set->n;
        draws[i] = (wh_beta_draws){p[i], y[i] * (double)set->weight[i], (double)set->weight[i]};
    }
    if (code == WH_OK) out->sure = wh_beta_strength(draws, set->n);
    for (size_t i = 0; code == WH_OK && i < set->n; i++) {
        const wh_estimate e = wh_estimate_of(p[i], out->sure);
        out->confusion[wh_bin_of(y[i])][wh_bin_likeliest(&e)]++;
    }
    if (code == WH_OK) code = wh_measure_spearman(&out->spearman, p, y, set->n, err);
    if (code == WH_OK) {
        out->brier = wh_measure_brier(p, y, set->n);
        out->ece = wh_measure_ece(p, y, set->n);
        out->loss = wh_measure_loss(p, y, set->n);
        for (size_t i = 0; i < set->n; i++) p[i] = mean;
        out->base_brier = wh_measure_brier(p, y, set->n);
        out->base_loss = wh_measure_loss(p, y, set->n);
    }
    free(p);
    free(y);
    free(draws);
    return code;
}

static wh_code train(wh_fit *f, outcome *out, wh_err *err)
{
    wh_features features = {0};
    wh_train_set set = {0};
    wh_code code = wh_fit_features(f, &features, &f->data, WH_FEATURES_PROMPT, err);
    if (code == WH_OK) code = wh_fit_set_create(&set, f->data.n, f->n_layers * f->config.d, err);
    if (code == WH_OK) {
        fill_rows(&set, f, &features);
        code = wh_fit_train(f, &set, WH_TRAIN_BY_LOSS, false, err);
    }
    if (code == WH_OK) code = measure(out, &set, err);
    if (code == WH_OK) code = wh_fit_unseen_passes(f, &set, err);
    wh_fit_set_free(&set);
    wh_err second;
    wh_code closing = wh_features_close(&features, code == WH_OK ? err : &second);
    return code == WH_OK ? closing : code;
}

static void print_text(const wh_fit *f, const outcome *x)
{
    const wh_train_result *r = &f->result;
    wh_out_printf("fitted on %zu problems of %zu samples in %.1f s; l2 %g\n\non problems that the fit had not seen (%lld folds):\n", f->data.n,
                  f->data.n_samples, r->seconds, r->l2, (long long)f->o->folds);
    wh_out_printf("Spearman %.3f, Brier %.4f (of the mean alone %.4f), ECE %.3f, loss %.4f (%.4f)\n\npass@1      said: easy  medium    hard\n",
                  x->spearman, x->brier, x->base_brier, x->ece, x->loss, x->base_loss);
    for (size_t i = 0; i < WH_BINS; i++)
        wh_out_printf("%-12s %9zu %7zu %7zu\n", wh_bin_name((wh_bin)i), x->confusion[i][WH_BIN_EASY], x->confusion[i][WH_BIN_MEDIUM],
                      x->confusion[i][WH_BIN_HARD]);
    if (r->n_curve) wh_out_puts("\nproblems    loss\n");
    for (size_t i = 0; i < r->n_curve; i++) wh_out_printf("%8zu  %.4f\n", r->curve[i].problems, r->curve[i].measure.loss);
}

static void print_json(const wh_fit *f, const outcome *x)
{
    json_t *confusion = json_array(), *curve = json_array();
    for (size_t i = 0; i < WH_BINS; i++)
        json_array_append_new(confusion, json_pack("[I, I, I]", (json_int_t)x->confusion[i][0], (json_int_t)x->confusion[i][1],
                                                   (json_int_t)x->confusion[i][2]));
    for (size_t i = 0; i < f->result.n_curve; i++)
        json_array_append_new(curve, json_pack("{s:I, s:f}", "problems", (json_int_t)f->result.curve[i].problems, "loss",
                                               f->result.curve[i].measure.loss));
    wh_out_json(json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:f}", "trunk", wh_buf_str(&f->trunk.name), "policy",
                          f->data.policy_name, "problems", (json_int_t)f->data.n, "samples", (json_int_t)f->data.n_samples, "l2", f->result.l2,
                          "spearman", x->spearman, "brier", x->brier, "brier_of_mean", x->base_brier, "ece", x->ece, "loss", x->loss,
                          "loss_of_mean", x->base_loss, "sure", x->sure, "confusion", confusion, "curve", curve, "seconds", f->result.seconds));
}

wh_code wh_fit_difficulty(wh_fit *f, wh_err *err)
{
    outcome x;
    WH_TRY(train(f, &x, err));
    const wh_head_metric metrics[] = {{"spearman", x.spearman}, {"brier", x.brier}, {"brier_of_mean", x.base_brier}, {"ece", x.ece}, {"loss", x.loss}};
    WH_TRY(wh_fit_write(f, WH_HEAD_DIFFICULTY, "prompt", "share of right samples", metrics, sizeof metrics / sizeof metrics[0], err));
    if (f->o->json) print_json(f, &x);
    else print_text(f, &x);
    return WH_OK;
}
