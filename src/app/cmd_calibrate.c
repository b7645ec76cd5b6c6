/* whet calibrate: a profile for a model, from problems that it solves now, or from a bank of such. */
#include "app/cmd.h"
#include "app/eval.h"
#include "app/out.h"
#include "base/file.h"
#include "base/mem.h"
#include "fit/measure.h"
#include "plan/calibrate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *bank, *out, *tried;
    int64_t     samples, orders;
} options;

static const wh_opt option_table[] = {
    WH_OPT_STRING(options, bank, "bank", "FILE", NULL, "fit on a bank instead (see `whet bank`); no model is run"),
    WH_OPT_STRING(options, out, "o", "FILE", NULL, "where the profile goes"),
    WH_OPT_INT(options, orders, "orders", "K", "32", 1, 4096, "random orders of samples in simulations"),
    WH_OPT_STRING(options, tried, "profile", "FILE", NULL, "fit nothing: how good this profile's estimators of difficulty are on the bank"),
    WH_OPT_INT(options, samples, "samples", "N", "16", 4, 256, "samples of each problem"),
};

/* ---- what is said about it --------------------------------------------------------------------------------------------- */

static wh_code describe_estimator(const wh_estimator *e, const wh_bank *b, const wh_profile *p, const wh_vote_opts *opts, wh_err *err)
{
    enum { PILOT = 4 };
    double *pass = wh_mem_alloc(b->n, sizeof *pass), *truth = wh_mem_alloc(b->n, sizeof *truth), spearman = NAN;
    wh_calibrate_said *said = wh_mem_alloc(b->n, sizeof *said);
    size_t table[WH_BINS][WH_BINS] = {{0}}, hits = 0;
    wh_code code = pass && truth && said ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the estimates");
    if (code == WH_OK) code = wh_calibrate_estimate(said, b, e, p, opts, PILOT, 1, 0, err);
    for (size_t i = 0; code == WH_OK && i < b->n; i++) {
        truth[i] = said[i].pass;
        pass[i] = said[i].estimate.pass;
        if (isnan(pass[i])) continue;
        table[wh_bin_of(truth[i])][wh_bin_likeliest(&said[i].estimate)]++;
        hits += wh_bin_of(truth[i]) == wh_bin_likeliest(&said[i].estimate);
    }
    if (code == WH_OK && !isnan(pass[0])) {
        code = wh_measure_spearman(&spearman, pass, truth, b->n, err);
        wh_out_printf("%-10s %8.3f  %6.3f  %6.3f   %5.1f %%  ", e->name, spearman, wh_measure_brier(pass, truth, b->n),
                      wh_measure_ece(pass, truth, b->n), 100 * (double)hits / (double)b->n);
        for (int t = 0; t < WH_BINS; t++) wh_out_printf("  %3zu/%3zu/%3zu", table[t][0], table[t][1], table[t][2]);
        wh_out_puts("\n");
    }
    free(pass);
    free(truth);
    free(said);
    return code;
}

static wh_code describe_estimators(const wh_bank *b, const wh_profile *p, const wh_vote_opts *opts, wh_err *err)
{
    size_t count[WH_BINS] = {0}, most = 0;
    for (size_t i = 0; i < b->n; i++) count[wh_bin_of((double)b->problems[i].n_right / (double)b->problems[i].n)]++;
    for (int t = 0; t < WH_BINS; t++) most = count[t] > most ? count[t] : most;
    wh_out_puts("estimator  Spearman   Brier     ECE  bin right    of easy, of medium, of hard ones: said easy/medium/hard\n");
    for (size_t i = 0; i < wh_estimator_count; i++) WH_TRY(describe_estimator(wh_estimator_table[i], b, p, opts, err));
    wh_out_printf("(the largest bin has %.1f %%; pilot and posterior after 4 samples of a problem, or half of them, against the others)\n",
                  100 * (double)most / (double)b->n);
    return WH_OK;
}

static wh_code describe(const wh_bank *b, const wh_profile *p, const wh_vote_opts *opts, wh_err *err)
{
    const json_t *cv = json_object_get(p->json, "cross_validated"), *best = json_object_get(json_object_get(p->json, "params"), "adaptive");
    wh_out_printf("%zu problems: pass@1 is Beta(%.2f, %.2f), wrong answers scatter with theta %.2f; %.0f tokens per sample\n", p->n, p->votes.a,
                  p->votes.b, p->votes.theta, p->tokens);
    if (b->scored) wh_out_printf("the PRM puts a right sample above a wrong one of the same problem %.1f %% of the time\n", 100 * p->keen);
    wh_out_printf("adaptive: price %g, sure %g; on problems it was not chosen on %+.2f points against fixed N at the same FLOPs\n",
                  json_number_value(json_object_get(best, "price")), json_number_value(json_object_get(best, "sure")),
                  100 * json_number_value(json_object_get(cv, "gain_over_fixed")));
    wh_out_puts("\n");
    return describe_estimators(b, p, opts, err);
}

/* ---- the work ------------------------------------------------------------------------------------------------------------- */

/* A profile without a PRM looks at no score. */
static void say_if_other(const options *o, const wh_bank *b, const wh_profile *p)
{
    const char *other = wh_profile_differs(p, b->header, !json_is_null(json_object_get(p->json, "prm")));
    if (other) wh_out_note("%s was fitted for another %s than the samples' of %s\n", o->tried, other, o->bank);
}

static wh_code try_profile(const options *o, wh_err *err)
{
    wh_bank bank;
    wh_profile profile = {0};
    const wh_vote_opts opts = {.aggregate = WH_AGGREGATE_last};
    wh_code code = wh_bank_read(&bank, o->bank, err);
    if (code == WH_OK) code = wh_profile_read(&profile, o->tried, err);
    if (code == WH_OK) say_if_other(o, &bank, &profile);
    if (code == WH_OK) code = describe_estimators(&bank, &profile, &opts, err);
    wh_profile_free(&profile);
    wh_bank_free(&bank);
    return code;
}

static wh_code fit(const options *o, const char *bank_path, const wh_rule *rule, wh_err *err)
{
    wh_bank bank;
    json_t *json = NULL;
    wh_profile profile = {0};
    WH_TRY(wh_bank_read(&bank, bank_path, err));
    const wh_vote_opts opts = {.aggregate = rule->aggregate};
    const wh_calibrate_spec spec = {.vote = bank.scored ? rule->vote : &wh_vote_majority, .vote_opts = opts, .orders = (size_t)o->orders};
    wh_out_progress("fitting");
    wh_code code = wh_calibrate(&json, &bank, &spec, err);
    wh_out_progress("%s", "");
    char *text = code == WH_OK ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : NULL;
    wh_buf file = {0};
    wh_buf_puts(&file, text ? text : "");
    wh_buf_putc(&file, '\n');
    if (code == WH_OK && (!text || !wh_buf_ok(&file))) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for the profile");
    if (code == WH_OK) code = wh_file_write(o->out, file.data, file.len, err);
    wh_buf_free(&file);
    free(text);
    if (code == WH_OK) code = wh_profile_take(&profile, json, o->out, err);
    if (code == WH_OK) code = describe(&bank, &profile, &opts, err);
    wh_profile_free(&profile);
    wh_bank_free(&bank);
    return code;
}

/* Draw the samples, or what is missing of them; the bank stands beside the journal. */
static wh_code draw(wh_eval *v, const options *o, wh_search_opts *search, const wh_reward_opts *reward, const wh_load_opts *machine, wh_buf *bank,
                    wh_err *err)
{
    char n[24];
    size_t problems;
    snprintf(n, sizeof n, "%lld", (long long)o->samples);
    WH_TRY(wh_search_opts_set(search, "n", n, err));
    WH_TRY(wh_search_opts_choose(&v->choice, search, reward, err));
    WH_TRY(wh_eval_solve(v, reward, machine, err));
    wh_out_puts("\n");
    wh_buf_printf(bank, "%s.bank", v->o->journal);
    if (!wh_buf_ok(bank)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    const wh_bank_sources from = {.journals = &v->o->journal, .n_journals = 1};
    return wh_bank_make(wh_buf_str(bank), &from, &problems, err);
}

int wh_cmd_calibrate(int argc, char **argv)
{
    options o = {0};
    wh_eval_opts e = {0};
    wh_load_opts machine = {0};
    wh_reward_opts reward = {0};
    wh_search_opts search;
    wh_eval v = {.o = &e};
    wh_buf bank = {0};
    wh_err err;
    size_t n;
    int status;
    if (wh_search_opts_init(&search, "best_of_n", &err) != WH_OK) return wh_out_error(&err);
    search.name = "best_of_n";
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL},
                                   {"Problems", wh_eval_options, WH_EVAL_OPTIONS, &e, NULL}, WH_REWARD_GROUP(&reward), WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Fit a profile, with which budgets are spent better (--profile): how right samples of a model are, how its wrong\n"
        "answers scatter, what a PRM's scores are worth, and which parameters of the scheduler do best, cross-validated.\n"
        "The samples are drawn now, and kept in the journal, from which the same command goes on; or they are of a bank.\n"
        "Use problems that nothing is measured on.";
    const wh_opt_spec spec = {"calibrate", "--data FILE --journal FILE -o FILE [options] | --bank FILE -o FILE | --bank FILE --profile FILE", about, groups, 4, 0, 0, false};
    if (wh_cmd_begin(&spec, argc, argv, &n, &status)) {
        wh_rule rule = {.vote = &wh_vote_prm_vote};
        const char *missing = o.tried ? o.bank ? NULL : "bank" : !o.out ? "o" : o.bank || (e.data && e.journal) ? NULL : e.data ? "journal" : "data";
        wh_code code = missing ? wh_err_set(&err, WH_ERR_ARG, "-%s%s is missing: usage is whet calibrate %s", *missing == 'o' ? "" : "-", missing,
                                            spec.synopsis)
                               : WH_OK;
        if (code == WH_OK && !o.bank) code = draw(&v, &o, &search, &reward, &machine, &bank, &err);
        if (code == WH_OK && !o.bank) rule = v.choice.rule;
        if (code == WH_OK) code = o.tried ? try_profile(&o, &err) : fit(&o, o.bank ? o.bank : wh_buf_str(&bank), &rule, &err);
        if (code != WH_OK) status = wh_out_error(&err);
    }
    wh_buf_free(&bank);
    wh_eval_free(&v);
    wh_search_opts_free(&search);
    return status;
}
