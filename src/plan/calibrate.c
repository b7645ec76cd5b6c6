#include "plan/calibrate_impl.h"

#include "base/mem.h"
#include "base/stat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory to calibrate"); }

/* ---- parameters by trying -------------------------------------------------------------------------------------------- */

/* Every second problem; the list is the caller's. */
static void half_of(wh_bank *out, wh_bank_problem *list, const wh_bank *b, size_t which)
{
    *out = *b;
    out->problems = list;
    out->n = 0;
    for (size_t i = which; i < b->n; i += 2) list[out->n++] = b->problems[i];
}

/* Higher prices and less certainty gain even more over fixed N at the FLOPs that are spent, because they spend less and the
 * first samples gain most; but who gives a budget wants it used. */
static const double prices[] = {0.02, 0.05, 0.1, 0.2}, sures[] = {0.9, 0.95, 0.99};
enum { N_PRICES = sizeof prices / sizeof prices[0], N_SURES = sizeof sures / sizeof sures[0], TRIALS = N_PRICES * N_SURES };

static void trial_name(char text[80], size_t t) { snprintf(text, 80, "adaptive:price=%g,sure=%g", prices[t % N_PRICES], sures[t / N_PRICES]); }

/* Mean accuracy over budgets, minus fixed N at the same FLOPs, for every trial. */
static wh_code try_all(double gain[TRIALS], const wh_bank *b, const wh_profile *profile, const wh_calibrate_spec *spec, wh_err *err)
{
    static const size_t ns[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32};
    static const double budgets[] = {2, 4, 8, 16, 32};
    enum { NS = sizeof ns / sizeof ns[0], BUDGETS = sizeof budgets / sizeof budgets[0] };
    wh_params params;
    wh_replay_spec r = {.params = &params, .profile = profile, .vote = spec->vote, .vote_opts = spec->vote_opts, .orders = spec->orders, .seed = spec->seed};
    wh_outcome *list = wh_mem_alloc(b->n * r.orders, sizeof *list);
    if (!list) return no_memory(err);
    const wh_runs runs = {list, r.orders, b->n};
    double accuracy[NS], flops[NS];
    wh_code code = WH_OK;
    char text[80];
    for (size_t k = 0; k < NS && code == WH_OK; k++) {
        snprintf(text, sizeof text, "fixed:n=%zu", ns[k]);
        r.budget = INFINITY;
        code = wh_policy_parse(&r.policy, &params, text, profile, err);
        if (code == WH_OK) code = wh_replay(list, b, &r, err);
        accuracy[k] = wh_runs_accuracy(&runs);
        flops[k] = wh_runs_flops(&runs);
    }
    for (size_t t = 0; t < TRIALS && code == WH_OK; t++) {
        gain[t] = 0;
        for (size_t k = 0; k < BUDGETS && code == WH_OK; k++) {
            trial_name(text, t);
            r.budget = budgets[k] * flops[0];
            code = wh_policy_parse(&r.policy, &params, text, profile, err);
            if (code == WH_OK) code = wh_replay(list, b, &r, err);
            gain[t] += (wh_runs_accuracy(&runs) - wh_stat_line(flops, accuracy, NS, wh_runs_flops(&runs))) / BUDGETS;
        }
    }
    free(list);
    return code;
}

static size_t best_of(const double gain[TRIALS])
{
    size_t best = 0;
    for (size_t t = 1; t < TRIALS; t++)
        if (gain[t] > gain[best]) best = t;
    return best;
}

static wh_code choose_parameters(json_t *out, const wh_bank *b, const wh_profile *profile, const wh_calibrate_spec *spec, wh_err *err)
{
    wh_bank_problem *lists[2] = {wh_mem_alloc(b->n, sizeof **lists), wh_mem_alloc(b->n, sizeof **lists)};
    double gain[3][TRIALS];
    wh_code code = lists[0] && lists[1] ? WH_OK : no_memory(err);
    for (size_t h = 0; h < 2 && code == WH_OK; h++) {
        /* The half is judged with a model of votes that has not seen it. */
        wh_bank own, other;
        wh_profile of_other = *profile;
        half_of(&own, lists[0], b, h);
        half_of(&other, lists[1], b, 1 - h);
        of_other.votes = wh_calibrate_votes(&other);
        code = try_all(gain[h], &own, &of_other, spec, err);
    }
    free(lists[0]);
    free(lists[1]);
    WH_TRY(code);
    for (size_t t = 0; t < TRIALS; t++) gain[2][t] = (gain[0][t] + gain[1][t]) / 2;
    size_t best = best_of(gain[2]);
    double unseen = (gain[1][best_of(gain[0])] + gain[0][best_of(gain[1])]) / 2;
    json_object_set_new(out, "params", json_pack("{s:{s:f, s:f}}", "adaptive", "price", prices[best % N_PRICES], "sure", sures[best / N_PRICES]));
    json_object_set_new(out, "cross_validated",
                        json_pack("{s:i, s:f, s:f}", "folds", 2, "gain_over_fixed", unseen, "gain_of_chosen", gain[2][best]));
    return WH_OK;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

static double share_flops(const wh_bank *b)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->problems[i].n; k++, n++) sum += b->problems[i].samples[k].flops;
    return sum / n;
}

static void put_row(json_t *rows, int bin, const char *strategy, size_t n, double right, size_t problems, double flops)
{
    double low, high;
    wh_stat_wilson(&low, &high, (size_t)lrint(right), problems);
    json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:I}", "bin", wh_bin_name((wh_bin)bin), "strategy", strategy, "n",
                                          (json_int_t)n, "accuracy", right / (double)problems, "low", low, "high", high, "flops", flops, "problems",
                                          (json_int_t)problems));
}

/* Per bin of the true pass@1: what each N of best_of_n, and each search of the bank, came to. */
static wh_code make_rows(json_t *rows, const wh_bank *b, const wh_profile *profile, const wh_calibrate_spec *spec, wh_err *err)
{
    wh_params params;
    wh_replay_spec r = {.params = &params, .profile = profile, .vote = spec->vote, .vote_opts = spec->vote_opts, .orders = spec->orders,
                        .seed = spec->seed, .budget = INFINITY};
    size_t count[WH_BINS] = {0}, most = 0;
    double unit = share_flops(b);
    for (size_t i = 0; i < b->n; i++) {
        count[wh_bin_of((double)b->problems[i].n_right / (double)b->problems[i].n)]++;
        if (b->problems[i].n > most) most = b->problems[i].n;
    }
    wh_outcome *list = wh_mem_alloc(b->n * r.orders, sizeof *list);
    wh_code code = list ? WH_OK : no_memory(err);
    for (size_t way = 0; code == WH_OK && way < 6 + b->n_searches; way++) {
        char text[80];
        const char *name = "best_of_n";
        size_t n = (size_t)1 << way;
        if (way >= 6) {
            name = json_string_value(json_object_get(b->searches[way - 6], "strategy"));
            n = (size_t)json_integer_value(json_object_get(b->searches[way - 6], "n"));
        } else if (n > most) {
            continue;
        }
        snprintf(text, sizeof text, "fixed:n=%zu,strategy=%.20s", n ? n : 1, name ? name : "?");
        code = wh_policy_parse(&r.policy, &params, text, profile, err);
        if (code == WH_OK) code = wh_replay(list, b, &r, err);
        double right[WH_BINS] = {0}, flops[WH_BINS] = {0};
        for (size_t k = 0; code == WH_OK && k < b->n * r.orders; k++) {
            const wh_bank_problem *p = &b->problems[k % b->n];
            wh_bin bin = wh_bin_of((double)p->n_right / (double)p->n);
            right[bin] += list[k].right / (double)r.orders;
            flops[bin] += (list[k].policy + list[k].prm) / unit / (double)r.orders;
        }
        for (int bin = 0; code == WH_OK && bin < WH_BINS; bin++)
            if (count[bin]) put_row(rows, bin, name, n ? n : 1, right[bin], count[bin], flops[bin] / (double)count[bin]);
    }
    free(list);
    return code;
}

/* ---- all of it --------------------------------------------------------------------------------------------------------- */

wh_code wh_calibrate(json_t **out, const wh_bank *bank, const wh_calibrate_spec *spec, wh_err *err)
{
    enum { LEAST = 20 };
    size_t right = 0, samples = 0;
    *out = NULL;
    for (size_t i = 0; i < bank->n; i++) {
        right += bank->problems[i].n_right;
        samples += bank->problems[i].n;
    }
    if (bank->n < LEAST) return wh_err_set(err, WH_ERR_ARG, "a profile needs %d problems or more; there are %zu", LEAST, bank->n);
    if (!right) return wh_err_set(err, WH_ERR_ARG, "no sample of the bank is right: there is nothing to learn from");
    wh_profile p;
    wh_code code = wh_calibrate_fit(&p, bank, spec, err);
    json_t *rows = json_array(), *pilot = json_array(), *sure = json_pack("{s:f}", "pilot", p.sure_pilot);
    for (int i = 0; i < WH_PILOT_TERMS; i++) json_array_append_new(pilot, json_real(p.pilot[i]));
    if (bank->prompted) json_object_set_new(sure, "prompt", json_real(p.sure_prompt));
    json_t *o = json_pack("{s:s, s:i, s:O*, s:O*, s:O*, s:O*, s:I, s:I, s:f, s:{s:f, s:f, s:f}, s:{s:f, s:f, s:f}, s:o, s:o}", "profile", "whet", "version", 1,
                          "policy", json_object_get(bank->header, "policy"), "prm", json_object_get(bank->header, "prm"), "data",
                          json_object_get(bank->header, "data"), "search", json_object_get(bank->header, "search"), "problems",
                          (json_int_t)bank->n, "samples", (json_int_t)samples, "tokens", p.tokens, "votes", "a", p.votes.a, "b", p.votes.b, "theta",
                          p.votes.theta, "scores", "slope", p.slope, "offset", p.offset, "keen", p.keen, "pilot", pilot, "sure", sure);
    if (code == WH_OK && !o) code = no_memory(err);
    if (code == WH_OK) code = choose_parameters(o, bank, &p, spec, err);
    if (code == WH_OK) code = make_rows(rows, bank, &p, spec, err);
    if (code == WH_OK) json_object_set(o, "rows", rows);
    json_decref(rows);
    if (code == WH_OK) *out = o;
    else json_decref(o);
    return code;
}
