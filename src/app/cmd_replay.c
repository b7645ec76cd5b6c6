/* whet replay: ways of spending compute, simulated on a bank. */
#include "app/cmd.h"
#include "app/out.h"
#include "app/rule.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plan/budget.h"
#include "plan/replay.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *bank, *policy, *budget, *profile, *vote, *against, *aggregate;
    int64_t     orders, replicates, seed;
    bool        json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_CHOICE(options, against, "against", "V", NULL, wh_rule_votes + 1, "how samples of the fixed N vote (default: as --vote says)"),
    WH_OPT_CHOICE(options, aggregate, "aggregate", "A", "last", wh_rule_aggregates + 1, "the score of a solution, from those of its steps"),
    WH_OPT_STRING(options, bank, "bank", "FILE", NULL, "what to simulate on: see `whet bank`"),
    WH_OPT_INT(options, replicates, "bootstrap", "K", "1000", 100, 100000, "replicates of the bootstrap"),
    WH_OPT_STRING(options, budget, "budget", "B,...", "1x,2x,4x,8x,16x,32x",
                  "FLOPs per problem: 20T, or 4x, so many times one sample with its prompt; none"),
    WH_OPT_FLAG(options, json, "json", "one JSON object per policy and budget"),
    WH_OPT_INT(options, orders, "orders", "K", "64", 1, 4096, "random orders of the samples of each problem"),
    WH_OPT_STRING(options, policy, "policy", "P ...", "adaptive set",
                  "policies, with parameters as in fixed:n=8,strategy=beam; several are separated by spaces"),
    WH_OPT_STRING(options, profile, "profile", "FILE", NULL, "what `whet calibrate` fitted; default: priors"),
    WH_OPT_INT(options, seed, "seed", "K", "0", 0, 9e18, "other orders, other replicates"),
    WH_OPT_CHOICE(options, vote, "vote", "V", "majority", wh_rule_votes + 1, "how samples vote"),
};

enum { LIST = 32 };

typedef struct work {
    const options *o;
    wh_bank        bank;
    wh_profile     profile;
    wh_replay_spec spec;
    wh_params      params; /* of spec */
    double         unit; /* FLOPs of a sample with its prompt, mean */
    double         budgets[LIST];
    size_t         n_budgets;
    size_t         n[LIST], n_ns; /* N = 1, 2, 3, 4, 6, 8, 12 ... as far as the bank goes */
    const wh_vote *rival_vote;
    wh_curve       fixed;         /* best_of_n with each N, without a budget, by the rival's vote, */
    wh_curve       under[LIST];   /* the same within each budget; empty until somebody needs it */
    wh_curve       own;           /* and by the policy's vote; empty: it is the same */
    size_t         simulated;
} work;

static double mean_sample(const wh_bank *b)
{
    double sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        const wh_bank_problem *p = &b->problems[i];
        double own = 0;
        for (size_t k = 0; k < p->n; k++) own += p->samples[k].flops;
        sum += p->prompt_flops + (p->n ? own / (double)p->n : 0);
    }
    return sum / (double)b->n;
}

static wh_code read_budgets(work *w, wh_err *err)
{
    wh_buf copy = {0};
    wh_buf_puts(&copy, w->o->budget);
    wh_code code = wh_buf_ok(&copy) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the budgets");
    char *save = NULL;
    for (char *word = code == WH_OK ? strtok_r(copy.data, ",", &save) : NULL; code == WH_OK && word; word = strtok_r(NULL, ",", &save)) {
        size_t len = strlen(word);
        if (w->n_budgets == LIST) code = wh_err_set(err, WH_ERR_ARG, "more than %d budgets", LIST);
        else if (strcmp(word, "none") == 0) w->budgets[w->n_budgets++] = INFINITY;
        else {
            bool relative = len && word[len - 1] == 'x';
            if (relative) word[len - 1] = '\0';
            double v;
            code = wh_budget_parse(&v, word, "--budget", err);
            if (code == WH_OK) w->budgets[w->n_budgets++] = relative ? v * w->unit : v;
        }
    }
    wh_buf_free(&copy);
    return code;
}

static wh_code simulate(work *w, wh_runs *out, wh_replay_spec spec, double budget, wh_err *err)
{
    spec.budget = budget;
    assert(spec.policy);
    if (spec.policy->whole_set && !isfinite(budget)) return wh_err_set(err, WH_ERR_ARG, "the policy %s needs a budget", spec.policy->name);
    wh_outcome *list = wh_mem_alloc(w->bank.n * spec.orders, sizeof *list);
    if (!list) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu runs", spec.orders);
    *out = (wh_runs){list, spec.orders, w->bank.n};
    w->simulated += w->bank.n * spec.orders;
    return wh_replay(list, &w->bank, &spec, err);
}

static void list_ns(work *w)
{
    size_t most = 0;
    for (size_t i = 0; i < w->bank.n; i++)
        if (w->bank.problems[i].n > most) most = w->bank.problems[i].n;
    for (size_t n = 1; n <= most && n <= WH_PLAN_MOST && w->n_ns < LIST; n = n < 4 ? n + 1 : n & (n - 1) ? n + n / 3 : n + n / 2)
        w->n[w->n_ns++] = n;
}

/* Every N for every problem, none of which may spend more than `budget`. */
static wh_code simulate_fixed(work *w, wh_curve *out, const wh_vote *vote, double budget, wh_err *err)
{
    wh_params params;
    wh_replay_spec spec = w->spec;
    wh_runs *runs = wh_mem_zalloc(w->n_ns, sizeof *runs);
    *out = (wh_curve){runs, runs ? w->n_ns : 0};
    wh_code code = runs ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a curve");
    spec.params = &params;
    spec.vote = vote;
    for (size_t k = 0; code == WH_OK && k < w->n_ns; k++) {
        char text[40];
        snprintf(text, sizeof text, "fixed:n=%zu", w->n[k]);
        code = wh_policy_parse(&spec.policy, &params, text, &w->profile, err);
        if (code == WH_OK) code = simulate(w, &runs[k], spec, budget, err);
    }
    return code;
}

static void free_curve(wh_curve *c)
{
    for (size_t k = 0; k < c->n; k++) free((void *)(uintptr_t)c->runs[k].list);
    free((void *)(uintptr_t)c->runs);
}

/* What a policy is compared with at the i-th budget: fixed N that must not spend more on a problem either. A budget for
 * a whole set limits no single problem. */
static wh_code rival(work *w, const wh_curve **out, size_t i, wh_err *err)
{
    *out = &w->fixed;
    assert(w->spec.policy);
    if (w->spec.policy->whole_set || !isfinite(w->budgets[i])) return WH_OK;
    *out = &w->under[i];
    return w->under[i].n ? WH_OK : simulate_fixed(w, &w->under[i], w->rival_vote, w->budgets[i], err);
}

static void print_fixed(const work *w)
{
    char flops[24];
    wh_out_printf("%zu problems, %zu orders; one sample with its prompt is %s%s\n\n", w->bank.n, w->spec.orders, wh_out_flops(flops, w->unit),
                  w->profile.fitted ? "" : "; no profile: priors");
    wh_out_puts("fixed n   FLOPs per problem   accuracy\n");
    for (size_t k = 0; k < w->n_ns; k++) {
        double f = wh_runs_flops(&w->fixed.runs[k]);
        wh_out_printf("%7zu   %11s %4.1fx    %5.2f %%\n", w->n[k], wh_out_flops(flops, f), f / w->unit, 100 * wh_runs_accuracy(&w->fixed.runs[k]));
    }
}

static void print_row(const work *w, const char *name, double budget, const wh_runs *r, const wh_versus *v)
{
    double samples = 0, whys[8] = {0}, all = (double)(r->orders * r->n);
    for (size_t i = 0; i < r->orders * r->n; i++) {
        samples += r->list[i].n / all;
        whys[r->list[i].why] += 1 / all;
    }
    if (!w->o->json) {
        char text[24] = "none";
        if (isfinite(budget)) snprintf(text, sizeof text, "%.1fx", budget / w->unit);
        wh_out_printf("%-22.22s %6s  %5.2f  %6.2fx   %5.2f [%4.1f, %4.1f]   %+5.2f [%+5.2f, %+5.2f]   %5.2f\n", name, text, samples,
                      v->flops.mean / w->unit, 100 * v->accuracy.mean, 100 * v->accuracy.low, 100 * v->accuracy.high, 100 * v->against.mean,
                      100 * v->against.low, 100 * v->against.high, 100 * v->oracle.mean);
        return;
    }
    json_t *stops = json_object();
    for (int i = 0; i <= WH_WHY_MOST; i++) json_object_set_new(stops, wh_why_name((wh_why)i), json_real(whys[i]));
    wh_out_json(json_pack("{s:s, s:f, s:f, s:f, s:[f,f], s:f, s:[f,f], s:f, s:[f,f], s:f, s:o}", "policy", name, "budget",
                          isfinite(budget) ? budget : 0, "samples", samples, "flops", v->flops.mean, "flops_interval", v->flops.low, v->flops.high,
                          "accuracy", v->accuracy.mean, "accuracy_interval", v->accuracy.low, v->accuracy.high, "against_fixed",
                          v->against.mean, "against_fixed_interval", v->against.low, v->against.high, "regret", v->oracle.mean, "stops", stops));
}

static wh_code print_reach(work *w, const char *name, const wh_runs *runs, wh_err *err)
{
    wh_interval x;
    for (size_t k = 0; k < w->n_ns; k++) {
        if (w->n[k] != 8 && w->n[k] != 16) continue;
        WH_TRY(wh_replay_reach(&x, runs, w->n_budgets, &w->fixed.runs[k], (size_t)w->o->replicates, (uint64_t)w->o->seed, err));
        if (w->o->json)
            wh_out_json(json_pack("{s:s, s:I, s:o, s:[o, o]}", "policy", name, "reaches_n", (json_int_t)w->n[k], "flops_ratio",
                                  isfinite(x.mean) ? json_real(x.mean) : json_null(), "interval", isfinite(x.low) ? json_real(x.low) : json_null(),
                                  isfinite(x.high) ? json_real(x.high) : json_null()));
        else if (isfinite(x.mean))
            wh_out_printf("%s has the accuracy of fixed n=%zu with %.2f [%.2f, %.2f] of its FLOPs\n", name, w->n[k], x.mean, x.low, x.high);
        else wh_out_printf("%s does not reach the accuracy of fixed n=%zu\n", name, w->n[k]);
    }
    return WH_OK;
}

static wh_code replay_policy(work *w, const char *name, wh_err *err)
{
    wh_runs runs[LIST] = {{0}};
    WH_TRY(wh_policy_parse(&w->spec.policy, &w->params, name, &w->profile, err));
    wh_code code = WH_OK;
    for (size_t i = 0; i < w->n_budgets && code == WH_OK; i++) {
        wh_versus v;
        const wh_curve *fixed;
        code = rival(w, &fixed, i, err);
        if (code == WH_OK) code = simulate(w, &runs[i], w->spec, w->budgets[i], err);
        if (code == WH_OK) code = wh_replay_versus(&v, &runs[i], fixed, w->own.n ? &w->own : &w->fixed, (size_t)w->o->replicates, (uint64_t)w->o->seed, err);
        if (code == WH_OK) print_row(w, name, w->budgets[i], &runs[i], &v);
    }
    if (code == WH_OK) code = print_reach(w, name, runs, err);
    for (size_t i = 0; i < w->n_budgets; i++) free((void *)(uintptr_t)runs[i].list);
    return code;
}

/* Each policy of the list; with f NULL they are only checked. */
static wh_code each_policy(work *w, wh_code (*f)(work *, const char *, wh_err *), wh_err *err)
{
    wh_buf copy = {0};
    wh_buf_puts(&copy, w->o->policy);
    wh_code code = wh_buf_ok(&copy) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the policies");
    char *save = NULL;
    for (char *name = code == WH_OK ? strtok_r(copy.data, " ", &save) : NULL; name && code == WH_OK; name = strtok_r(NULL, " ", &save)) {
        const wh_policy *policy;
        wh_params params;
        code = f ? f(w, name, err) : wh_policy_parse(&policy, &params, name, &w->profile, err);
    }
    wh_buf_free(&copy);
    return code;
}

static wh_code replay_all(work *w, wh_err *err)
{
    double began = wh_clock_now();
    WH_TRY(wh_bank_read(&w->bank, w->o->bank, err));
    if (w->o->profile) WH_TRY(wh_profile_read(&w->profile, w->o->profile, err));
    else wh_profile_priors(&w->profile);
    w->unit = mean_sample(&w->bank);
    WH_TRY(read_budgets(w, err));
    const wh_rule rule = wh_rule_of(w->o->vote, w->o->aggregate);
    w->spec = (wh_replay_spec){.params = &w->params, .profile = &w->profile, .vote = rule.vote, .vote_opts.aggregate = rule.aggregate,
                               .orders = (size_t)w->o->orders, .seed = (uint64_t)w->o->seed};
    w->rival_vote = w->o->against ? wh_rule_of(w->o->against, w->o->aggregate).vote : rule.vote;
    if (rule.vote->needs_scores && !w->bank.scored)
        return wh_err_set(err, WH_ERR_ARG, "--vote %s weighs scores, and %s has none", w->o->vote, w->o->bank);
    if (w->rival_vote->needs_scores && !w->bank.scored)
        return wh_err_set(err, WH_ERR_ARG, "--against %s weighs scores, and %s has none", w->o->against, w->o->bank);
    const char *other = wh_profile_differs(&w->profile, w->bank.header, rule.vote->needs_scores);
    if (other)
        wh_out_note("%s was fitted for another %s than the samples' of %s\n", w->o->profile, other, w->o->bank);
    WH_TRY(each_policy(w, NULL, err));
    list_ns(w);
    WH_TRY(simulate_fixed(w, &w->fixed, w->rival_vote, INFINITY, err));
    if (w->rival_vote != rule.vote) WH_TRY(simulate_fixed(w, &w->own, rule.vote, INFINITY, err));
    if (!w->o->json) {
        print_fixed(w);
        wh_out_puts("\npolicy                 budget  samples  FLOPs   accuracy, 95 %         against fixed at the same   regret\n");
    }
    wh_code code = each_policy(w, replay_policy, err);
    double seconds = wh_clock_now() - began;
    if (code == WH_OK) wh_out_note("%zu runs of a problem in %.1f s\n", w->simulated, seconds);
    return code;
}

int wh_cmd_replay(int argc, char **argv)
{
    options o = {0};
    work w = {.o = &o};
    wh_err err;
    size_t n;
    int status;
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "Simulate how policies spend a budget on the samples of a bank, in random orders, and compare each with a fixed\n"
        "number of samples at the same FLOPs, within the same budget, and with an allocation that knows everything\n"
        "(regret), in percentage points.\n"
        "Intervals are bootstrapped over problems and orders; comparisons are paired.";
    const wh_opt_spec spec = {"replay", "--bank FILE [options]", about, groups, 1, 0, 0, false};
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_code code = o.bank ? replay_all(&w, &err) : wh_err_set(&err, WH_ERR_ARG, "--bank is missing: usage is whet replay %s", spec.synopsis);
    free_curve(&w.fixed);
    free_curve(&w.own);
    for (size_t i = 0; i < LIST; i++) free_curve(&w.under[i]);
    wh_profile_free(&w.profile);
    wh_bank_free(&w.bank);
    return code == WH_OK ? WH_EXIT_OK : wh_out_error(&err);
}
