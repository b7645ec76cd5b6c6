#include "app/judged.h"

#include "app/json.h"
#include "app/out.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- counting -------------------------------------------------------------------------------------------------------- */

static wh_code measure(wh_judged *out, const wh_fit_data *data, const wh_judged_sample *samples, wh_err *err)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < data->n_samples; i++) n += samples[i].n;
    wh_point *points = wh_mem_alloc(n, sizeof *points);
    if (!points) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu scores", n);
    n = 0;
    for (size_t i = 0; i < data->n; i++)
        for (size_t k = 0; k < data->problems[i].n; k++, at++)
            for (size_t s = 0; s < samples[at].n; s++)
                points[n++] = (wh_point){.score = samples[at].scores[s], .problem = (uint32_t)i, .step = (uint32_t)s,
                                         .steps = (uint32_t)samples[at].n, .right = data->problems[i].samples[k].right};
    wh_code code = wh_measure_points(&out->measure, points, n, err);
    free(points);
    return code;
}

/* Is the answer right that the first n samples elect? */
static wh_code elect(bool *right, const wh_rule *rule, const wh_sample *votes, const wh_fit_problem *p, size_t n, wh_err *err)
{
    wh_tally *tally;
    size_t found;
    WH_TRY(wh_rule_count(&tally, &found, rule, votes, n, err));
    *right = false;
    for (size_t k = 0; k < n; k++) *right |= found && votes[k].group == tally[0].group && p->samples[k].right;
    free(tally);
    return WH_OK;
}

/* One problem into the pairs of every rule and level: first the rule, second the majority. */
static wh_code add_problem(wh_judged *out, wh_stat_pairs *pairs, const wh_rule *rules, size_t n_rules, const wh_fit_problem *p,
                           const wh_judged_sample *samples, wh_err *err)
{
    static const wh_rule majority = {.vote = &wh_vote_majority};
    wh_sample *votes = wh_mem_zalloc(p->n, sizeof *votes);
    if (!votes) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu votes", p->n);
    for (size_t k = 0; k < p->n; k++)
        votes[k] = (wh_sample){.index = k, .group = p->samples[k].group, .answer = "", .n_scores = samples[k].n,
                               .scores = samples[k].n ? samples[k].scores : NULL};
    wh_code code = WH_OK;
    for (size_t level = 0; code == WH_OK && level < out->n_levels; level++) {
        size_t n = out->levels[level];
        bool base = false, passed = false;
        for (size_t k = 0; k < n; k++) passed |= p->samples[k].right;
        out->passed[level] += passed;
        code = elect(&base, &majority, votes, p, n, err);
        for (size_t r = 0; code == WH_OK && r < n_rules; r++) {
            bool mine = false;
            code = elect(&mine, &rules[r], votes, p, n, err);
            wh_stat_pairs *t = &pairs[r * out->n_levels + level];
            t->both += mine && base;
            t->first += mine && !base;
            t->second += !mine && base;
            t->none += !mine && !base;
        }
    }
    free(votes);
    return code;
}

static void choose_levels(wh_judged *out, const wh_fit_data *data)
{
    size_t most = 0;
    for (size_t i = 0; i < data->n; i++)
        if (data->problems[i].n > most) most = data->problems[i].n;
    for (size_t n = 1; n < most && out->n_levels + 1 < WH_JUDGED_LEVELS; n *= 4) out->levels[out->n_levels++] = n;
    if (most) out->levels[out->n_levels++] = most;
}

wh_code wh_judged_count(wh_judged *out, const wh_fit_data *data, const wh_judged_sample *samples, wh_err *err)
{
    *out = (wh_judged){0};
    WH_TRY(measure(out, data, samples, err));
    choose_levels(out, data);
    wh_rule rules[WH_RULE_MAX];
    size_t n_rules = wh_rule_list(rules, true), at = 0;
    wh_stat_pairs *pairs = wh_mem_zalloc(n_rules * out->n_levels, sizeof *pairs);
    wh_code code = pairs ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the votes");
    for (size_t i = 0; code == WH_OK && i < data->n; at += data->problems[i++].n) {
        const wh_fit_problem *p = &data->problems[i];
        if (p->n < out->levels[out->n_levels - 1]) continue;
        out->problems++;
        code = add_problem(out, pairs, rules, n_rules, p, samples + at, err);
    }
    for (size_t r = 0; code == WH_OK && r < n_rules; r++)
        for (size_t level = 0; level < out->n_levels; level++) {
            const wh_stat_pairs *t = &pairs[r * out->n_levels + level];
            wh_judged_vote *v = &out->votes[out->n_votes++];
            *v = (wh_judged_vote){.rule = rules[r], .n = out->levels[level], .right = t->both + t->first, .p = wh_stat_mcnemar(t)};
            wh_stat_difference(&v->gain, &v->low, &v->high, t);
        }
    free(pairs);
    return code;
}

/* ---- showing ------------------------------------------------------------------------------------------------------------- */

const char *wh_judged_auc(char text[static WH_JUDGED_AUC_TEXT], double auc)
{
    if (isfinite(auc)) snprintf(text, WH_JUDGED_AUC_TEXT, "%6.3f", auc);
    else snprintf(text, WH_JUDGED_AUC_TEXT, "%6s", "-");
    return text;
}

static void print_auc(const char *name, const wh_auc *a)
{
    char all[WH_JUDGED_AUC_TEXT], within[WH_JUDGED_AUC_TEXT];
    wh_out_printf("%-22s %s  %s   %8zu  %8zu\n", name, wh_judged_auc(all, a->all), wh_judged_auc(within, a->within), a->n, a->pairs);
}

void wh_judged_print_measure(const wh_measure *m)
{
    wh_out_puts("                       AUC     within a problem     scores     pairs\n");
    print_auc("last step", &m->last);
    print_auc("every step", &m->every);
    for (int i = 0; i < WH_MEASURE_PARTS; i++) {
        char name[48];
        snprintf(name, sizeof name, "steps in %d-%d %%", 100 * i / WH_MEASURE_PARTS, 100 * (i + 1) / WH_MEASURE_PARTS);
        print_auc(name, &m->part[i]);
    }
    wh_out_printf("ECE %.3f of last steps, %.3f of every step; Brier %.3f, loss %.3f\n", m->ece, m->ece_every, m->brier, m->loss);
    wh_out_printf("%zu problems, %zu samples, %.1f %% of them right\n", m->problems, m->samples, 100 * m->rate);
}

void wh_judged_print_votes(const wh_judged *j)
{
    char name[WH_RULE_NAME];
    wh_out_printf("\n%-14s", "vote");
    for (size_t i = 0; i < j->n_levels; i++) wh_out_printf("  n = %-22zu", j->levels[i]);
    double percent = j->problems ? 100.0 / (double)j->problems : 0;
    for (const wh_judged_vote *v = j->votes; v < j->votes + j->n_votes; v++) {
        if (v->n == j->levels[0]) wh_out_printf("\n%-14s", wh_rule_name(name, &v->rule));
        if (v->rule.vote->needs_scores)
            wh_out_printf("  %5.1f  %+5.1f [%+5.1f, %+5.1f]", percent * (double)v->right, 100 * v->gain, 100 * v->low, 100 * v->high);
        else wh_out_printf("  %5.1f %*s", percent * (double)v->right, 20, "");
    }
    wh_out_printf("\n%-14s", "some right");
    for (size_t i = 0; i < j->n_levels; i++)
        wh_out_printf("  %5.1f %*s", percent * (double)j->passed[i], 20, "");
    wh_out_printf("\n%% of %zu problems; gain over the majority of as many samples, 95 %% interval of pairs\n", j->problems);
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *auc_json(const wh_auc *a)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I}", "auc", number(a->all), "within", number(a->within), "n", (json_int_t)a->n, "pairs",
                     (json_int_t)a->pairs, "problems", (json_int_t)a->problems);
}

json_t *wh_judged_measure_json(const wh_measure *m)
{
    json_t *parts = json_array();
    for (int i = 0; i < WH_MEASURE_PARTS; i++) json_array_append_new(parts, auc_json(&m->part[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "last", auc_json(&m->last), "every", auc_json(&m->every),
                     "by_position", parts, "ece", number(m->ece), "ece_every", number(m->ece_every), "brier", number(m->brier), "loss",
                     number(m->loss), "rate", number(m->rate), "samples", (json_int_t)m->samples, "problems", (json_int_t)m->problems);
}

json_t *wh_judged_json(const wh_judged *j)
{
    json_t *votes = json_array(), *passed = json_array();
    double all = j->problems ? (double)j->problems : 1;
    for (size_t i = 0; i < j->n_votes; i++) {
        const wh_judged_vote *v = &j->votes[i];
        char name[WH_RULE_NAME];
        json_array_append_new(votes, json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "vote", wh_rule_name(name, &v->rule), "n",
                                               (json_int_t)v->n, "correct", (json_int_t)v->right, "accuracy", (double)v->right / all, "gain",
                                               v->gain, "low", v->low, "high", v->high, "p", v->p));
    }
    for (size_t i = 0; i < j->n_levels; i++)
        json_array_append_new(passed, json_pack("{s:I, s:f}", "n", (json_int_t)j->levels[i], "pass", (double)j->passed[i] / all));
    return json_pack("{s:o, s:I, s:o, s:o}", "measure", wh_judged_measure_json(&j->measure), "problems", (json_int_t)j->problems, "pass",
                     passed, "votes", votes);
}
