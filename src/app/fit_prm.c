/* whet fit prm: a head that says how right a solution is so far. Its labels are outcomes: a step of a solution that ends
 * right is right (Cobbe et al. 2021, token-level verifiers; an estimate of the soft labels of Math-Shepherd with one
 * completion, the sample itself). */
#include "app/fit.h"
#include "app/judged.h"
#include "app/json.h"
#include "app/out.h"
#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A sample counts as much as any other, however many steps it has. */
static void fill_rows(wh_train_set *set, const wh_fit *f, const wh_features *features, const wh_fit_mc *mc, bool last_only)
{
    size_t at = 0, label = 0;
    bool evidence = strcmp(f->o->evidence, "yes") == 0;
    for (size_t i = 0; i < features->n; label += features->list[i++].rows) {
        const wh_feature *x = &features->list[i];
        const wh_fit_problem *p = &f->data.problems[x->problem];
        const wh_fit_sample *s = &p->samples[x->sample];
        for (size_t row = last_only && x->rows ? x->rows - 1 : 0; row < x->rows; row++, at++) {
            wh_features_get(features, set->x + at * set->d, x, row, f->layers, f->n_layers);
            bool drawn = mc->n && mc->right[label + row] >= 0;
            set->y[at] = drawn ? mc->right[label + row] : s->right;
            set->evidence[at] = evidence ? wh_features_evidence(p, s, row, row + 1 == x->rows) : (wh_prm_evidence){0};
            set->weight[at] = last_only ? 1 : 1 / (float)x->rows;
            set->points[at] = (wh_point){.problem = x->problem, .step = (uint32_t)row, .steps = (uint32_t)x->rows, .right = s->right};
            set->hash[at] = p->hash;
        }
    }
}

static size_t count_rows(const wh_features *features, bool last_only)
{
    size_t n = 0;
    for (size_t i = 0; i < features->n; i++) n += last_only ? features->list[i].rows > 0 : features->list[i].rows;
    return n;
}

static wh_features_what what_of(const wh_fit *f) { return strcmp(f->o->step, "blank_line") == 0 ? WH_FEATURES_STEPS : WH_FEATURES_BEFORE; }

/* The scores of samples by fits that had not seen their problems, from the points of a set; in the order of the data. */
static wh_code take_unseen(wh_judged_sample **out, const wh_fit *f, const wh_train_set *set, const wh_features *features, bool last_only, wh_err *err)
{
    size_t at = 0;
    wh_judged_sample *list = *out = wh_mem_zalloc(features->n, sizeof *list);
    if (!list) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", f->data.n_samples);
    for (size_t i = 0; i < features->n; i++) {
        size_t n = last_only && features->list[i].rows ? 1 : features->list[i].rows;
        list[i].scores = wh_mem_alloc(n, sizeof *list[i].scores);
        if (!list[i].scores) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu scores", n);
        for (; list[i].n < n; at++) list[i].scores[list[i].n++] = set->points[at].score;
    }
    return WH_OK;
}

static void free_scores(wh_judged_sample *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++) free(list[i].scores);
    free(list);
}

static wh_code train(wh_fit *f, wh_fit_mc *mc, wh_judged_sample **unseen, wh_err *err)
{
    wh_features features = {0};
    wh_train_set set = {0};
    bool last_only = strcmp(f->o->positions, "last") == 0;
    wh_code code = wh_fit_features(f, &features, &f->data, what_of(f), err);
    if (code == WH_OK && f->o->mc) code = wh_fit_mc_labels(f, mc, &features, err);
    if (code == WH_OK) code = wh_fit_set_create(&set, count_rows(&features, last_only), f->n_layers * f->config.d, err);
    if (code == WH_OK) {
        fill_rows(&set, f, &features, mc, last_only);
        code = wh_fit_train(f, &set, WH_TRAIN_BY_WITHIN, true, err);
    }
    if (code == WH_OK && f->o->unseen) code = take_unseen(unseen, f, &set, &features, last_only, err);
    wh_fit_set_free(&set);
    wh_err second;
    wh_code closing = wh_features_close(&features, code == WH_OK ? err : &second);
    return code == WH_OK ? closing : code;
}

/* ---- trying it on other journals -------------------------------------------------------------------------------------- */

static wh_code score_samples(const wh_fit *f, wh_judged_sample *out, const wh_features *features, wh_err *err)
{
    const wh_net *net = &f->result.net;
    wh_prm_calibration c = f->result.calibration; /* of which the net has slope and offset */
    c.slope = 1;
    c.offset = 0;
    float *x = wh_mem_alloc(net->d, sizeof *x), *scratch = wh_mem_alloc(wh_net_scratch(net), sizeof *scratch), logit;
    wh_code code = x && scratch ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory to score");
    for (size_t i = 0; code == WH_OK && i < features->n; i++) {
        const wh_feature *from = &features->list[i];
        const wh_fit_problem *p = &features->data->problems[from->problem];
        const wh_fit_sample *s = &p->samples[from->sample];
        out[i].scores = wh_mem_alloc(from->rows, sizeof *out[i].scores);
        if (!out[i].scores) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu scores", from->rows);
        for (size_t row = 0; code == WH_OK && row < from->rows; row++) {
            wh_features_get(features, x, from, row, f->layers, f->n_layers);
            wh_net_run(net, &logit, x, 1, scratch);
            out[i].scores[out[i].n++] = wh_prm_calibrate(&c, (double)logit, wh_features_evidence(p, s, row, row + 1 == from->rows));
        }
    }
    free(x);
    free(scratch);
    return code;
}

static wh_code try_on(wh_fit *f, wh_judged *out, wh_err *err)
{
    const wh_samples_opts from = {.journals = f->o->test, .data = f->from->data};
    wh_fit_data data;
    wh_features features = {0};
    wh_code code = wh_samples_load(&data, &from, err);
    if (code == WH_OK) code = wh_fit_features(f, &features, &data, what_of(f), err);
    wh_judged_sample *scores = code == WH_OK ? wh_mem_zalloc(data.n_samples, sizeof *scores) : NULL;
    if (code == WH_OK && !scores) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", data.n_samples);
    if (code == WH_OK) code = score_samples(f, scores, &features, err);
    if (code == WH_OK) code = wh_judged_count(out, &data, scores, err);
    free_scores(scores, data.n_samples);
    wh_err second;
    wh_code closing = wh_features_close(&features, code == WH_OK ? err : &second);
    wh_fit_data_free(&data);
    return code == WH_OK ? closing : code;
}

/* ---- showing ------------------------------------------------------------------------------------------------------------ */

/* How many samples have an equation that fails, and leave a number out: of the wrong and of the right ones. */
static void count_slips(size_t fails[2], size_t omits[2], const wh_fit_data *d)
{
    for (size_t i = 0; i < d->n; i++)
        for (size_t k = 0; k < d->problems[i].n; k++) {
            const wh_fit_sample *s = &d->problems[i].samples[k];
            wh_prm_evidence all = wh_features_evidence(&d->problems[i], s, SIZE_MAX, true);
            fails[s->right] += all.equations == WH_ARITHMETIC_FAILS;
            omits[s->right] += all.omits;
        }
}

static void print_slips(const wh_fit_data *d)
{
    size_t fails[2] = {0}, omits[2] = {0};
    count_slips(fails, omits, d);
    double wrong = (double)(d->n_samples - d->n_right), right = (double)d->n_right;
    if (fails[0] + fails[1])
        wh_out_printf("an equation fails in %.1f %% of the wrong samples, in %.1f %% of the right ones\n", 100 * (double)fails[0] / wrong,
                      100 * (double)fails[1] / right);
    if (omits[0] + omits[1])
        wh_out_printf("a number of the problem is left out in %.1f %% of the wrong samples, in %.1f %% of the right ones\n",
                      100 * (double)omits[0] / wrong, 100 * (double)omits[1] / right);
}

static void print_text(const wh_fit *f, const wh_fit_mc *mc, const wh_judged *test)
{
    const wh_train_result *r = &f->result;
    char time[24], size[24], all[WH_JUDGED_AUC_TEXT], within[WH_JUDGED_AUC_TEXT];
    wh_out_printf("fitted on %zu samples of %zu problems (%zu states of %zu numbers) in %.1f s\n", f->data.n_samples, f->data.n, f->rows,
                  f->n_layers * f->config.d, r->seconds);
    print_slips(&f->data);
    if (f->feature_tokens)
        wh_out_printf("states of %llu tokens computed in %s\n", (unsigned long long)f->feature_tokens, wh_out_duration(time, f->feature_seconds));
    if (mc->labels) wh_out_printf("%zu steps labelled by %lld completions each", mc->labels, (long long)f->o->mc);
    if (mc->tokens) wh_out_printf(": %llu tokens in %s", (unsigned long long)mc->tokens, wh_out_duration(time, mc->seconds));
    if (mc->labels) wh_out_puts("\n");
    wh_out_printf("\nl2        within   all     loss%s\n", r->net.hidden ? "    epochs" : "");
    for (size_t i = 0; i < r->n_grid; i++) {
        const wh_measure *m = &r->grid[i].measure;
        wh_out_printf("%-8g %s  %s  %6.3f", r->grid[i].l2, wh_judged_auc(within, m->last.within), wh_judged_auc(all, m->last.all), m->loss);
        if (r->net.hidden) wh_out_printf("    %zu", r->grid[i].epochs);
        wh_out_printf("%s\n", r->grid[i].l2 == r->l2 ? "  *" : "");
    }
    wh_out_printf("\non problems that the fit had not seen (%lld folds):\n", (long long)f->o->folds);
    wh_judged_print_measure(&r->measure);
    const wh_prm_calibration *c = &r->calibration;
    wh_out_printf("calibration: %.3f · logit %+.3f", c->slope, c->offset);
    if (c->fails != 0 || c->holds != 0) wh_out_printf(" %+.3f where an equation fails %+.3f where all hold", c->fails, c->holds);
    if (c->omits != 0) wh_out_printf(" %+.3f where a number is left out", c->omits);
    wh_out_puts("\n");
    if (r->n_curve) wh_out_puts("\nproblems  within   all\n");
    for (size_t i = 0; i < r->n_curve; i++) {
        const wh_auc *last = &r->curve[i].measure.last;
        wh_out_printf("%8zu  %s  %s\n", r->curve[i].problems, wh_judged_auc(within, last->within), wh_judged_auc(all, last->all));
    }
    if (f->o->test.n) {
        wh_out_puts("\non the test journals:\n");
        wh_judged_print_measure(&test->measure);
        wh_judged_print_votes(test);
    }
    wh_map file;
    if (f->o->out && wh_file_map(&file, f->o->out, NULL) == WH_OK) {
        wh_out_printf("\n%s: %s\n", f->o->out, wh_out_bytes(size, (double)file.size));
        wh_file_unmap(&file);
    }
}

static void print_json(const wh_fit *f, const wh_fit_mc *mc, const wh_judged *test)
{
    const wh_train_result *r = &f->result;
    json_t *grid = json_array(), *curve = json_array(), *layers = json_array();
    for (size_t i = 0; i < r->n_grid; i++)
        json_array_append_new(grid, json_pack("{s:f, s:I, s:o}", "l2", r->grid[i].l2, "epochs", (json_int_t)r->grid[i].epochs, "measure",
                                              wh_judged_measure_json(&r->grid[i].measure)));
    for (size_t i = 0; i < r->n_curve; i++)
        json_array_append_new(curve, json_pack("{s:I, s:o}", "problems", (json_int_t)r->curve[i].problems, "measure",
                                               wh_judged_measure_json(&r->curve[i].measure)));
    for (size_t i = 0; i < f->n_layers; i++) json_array_append_new(layers, json_integer(f->layers[i]));
    const wh_prm_calibration *c = &r->calibration;
    wh_out_json(json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:f, s:f, s:I,"
                          " s:{s:I, s:I, s:I, s:f}}", "trunk",
                          wh_buf_str(&f->trunk.name), "policy", f->data.policy_name, "layers", layers, "arch", f->o->arch, "positions",
                          f->o->positions, "step", f->o->step, "problems", (json_int_t)f->data.n, "samples", (json_int_t)f->data.n_samples, "rows",
                          (json_int_t)f->rows, "l2", r->l2, "epochs", (json_int_t)r->epochs, "slope", c->slope, "offset", c->offset, "fails",
                          c->fails, "holds", c->holds, "omits", c->omits, "measure", wh_judged_measure_json(&r->measure), "grid", grid, "curve", curve, "test",
                          f->o->test.n ? wh_judged_json(test) : json_null(), "seconds", r->seconds, "feature_seconds", f->feature_seconds,
                          "feature_tokens", (json_int_t)f->feature_tokens, "mc", "completions", (json_int_t)f->o->mc, "labels",
                          (json_int_t)mc->labels, "tokens", (json_int_t)mc->tokens, "seconds", mc->seconds));
}

wh_code wh_fit_prm(wh_fit *f, wh_err *err)
{
    wh_judged *test = wh_mem_zalloc(1, sizeof *test);
    if (!test) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a report");
    wh_fit_mc mc = {0};
    wh_judged_sample *unseen = NULL;
    wh_code code = train(f, &mc, &unseen, err);
    if (code == WH_OK && f->o->test.n) code = try_on(f, test, err);
    if (code == WH_OK) {
        const wh_measure *m = &f->result.measure;
        const wh_head_metric metrics[] = {{"auc", m->last.all},         {"auc_within", m->last.within}, {"auc_every", m->every.all},
                                          {"auc_within_every", m->every.within}, {"ece", m->ece},      {"brier", m->brier},
                                          {"loss", m->loss},            {"rate", m->rate}};
        const char *labels = strcmp(f->o->positions, "last") == 0 ? "outcome, on the last step"
                             : mc.labels                          ? "outcome, and completions from steps of a part"
                                                                  : "outcome, on every step";
        code = wh_fit_write(f, WH_HEAD_PRM, f->o->step, labels, metrics, sizeof metrics / sizeof metrics[0], err);
    }
    if (code == WH_OK) code = wh_fit_unseen_scores(f, unseen, err);
    free_scores(unseen, f->data.n_samples);
    if (code == WH_OK && f->o->json) print_json(f, &mc, test);
    else if (code == WH_OK) print_text(f, &mc, test);
    free(mc.right);
    free(test);
    return code;
}
