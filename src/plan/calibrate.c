#include "plan/calibrate.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"
#include "plan/minimize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PILOT = 4, ROUNDS = 2000 };

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory to calibrate"); }

static double logit(double p)
{
    p = fmin(fmax(p, 1e-4), 1 - 1e-4);
    return log(p / (1 - p));
}

/* -ln of the likelihood of an outcome y in [0, 1] whose log-odds are z. */
static double loss(double z, double y) { return (z > 0 ? z + log1p(exp(-z)) : log1p(exp(z))) - y * z; }

/* ---- votes ------------------------------------------------------------------------------------------------------ */

/* The votes of all samples of a problem; *right: the group that is right, UINT32_MAX for none. */
static void all_votes(wh_ballot *v, uint32_t *right, const wh_bank_problem *p)
{
    *v = (wh_ballot){.n = (uint32_t)p->n};
    *right = UINT32_MAX;
    for (size_t i = 0; i < p->n; i++) {
        int32_t g = p->samples[i].group;
        if (g < 0 || g >= WH_BALLOT_GROUPS) continue;
        while (v->n_groups <= (uint32_t)g) v->group[v->n_groups++].count = 0;
        v->group[g].count++;
        if (p->samples[i].right) *right = (uint32_t)g;
    }
}

static double votes_loss(void *user, const double *x)
{
    const wh_bank *b = user;
    const wh_belief_model m = {exp(x[0]), exp(x[1]), exp(x[2])};
    double sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        wh_ballot v;
        uint32_t right;
        all_votes(&v, &right, &b->problems[i]);
        sum -= wh_belief_likelihood(&m, &v, right);
    }
    /* A weak prior, worth a problem or so: small sets leave a corner of the model undetermined. */
    return sum + 0.1 * ((x[0] + 0.5) * (x[0] + 0.5) + x[1] * x[1] + (x[2] - 1.5) * (x[2] - 1.5));
}

static wh_belief_model fit_votes(const wh_bank *b)
{
    double x[3] = {log(0.5), log(0.8), log(4)};
    wh_minimize(x, 3, 0.5, ROUNDS, votes_loss, (void *)(uintptr_t)b);
    return (wh_belief_model){exp(x[0]), exp(x[1]), exp(x[2])};
}

/* ---- scores ------------------------------------------------------------------------------------------------------- */

typedef struct score_fit {
    const wh_bank *b;
    wh_aggregate   aggregate;
} score_fit;

static double scores_loss(void *user, const double *x)
{
    const score_fit *f = user;
    double sum = 0.01 * (x[0] - 1) * (x[0] - 1);
    for (size_t i = 0; i < f->b->n; i++)
        for (size_t k = 0; k < f->b->problems[i].n; k++) {
            const wh_bank_sample *s = &f->b->problems[i].samples[k];
            if (s->n_scores) sum += loss(x[0] * logit(wh_aggregate_scores(f->aggregate, s->scores, s->n_scores)) + x[1], s->right);
        }
    return sum;
}

/* How often a right sample has the better score than a wrong one of the same problem. */
static double keenness(const score_fit *f)
{
    double better = 0, pairs = 0;
    for (size_t i = 0; i < f->b->n; i++) {
        const wh_bank_problem *p = &f->b->problems[i];
        for (size_t k = 0; k < p->n; k++)
            for (size_t j = 0; j < p->n; j++) {
                const wh_bank_sample *r = &p->samples[k], *w = &p->samples[j];
                if (!r->right || w->right || !r->n_scores || !w->n_scores) continue;
                double x = wh_aggregate_scores(f->aggregate, r->scores, r->n_scores), y = wh_aggregate_scores(f->aggregate, w->scores, w->n_scores);
                better += x > y ? 1 : x == y ? 0.5 : 0;
                pairs++;
            }
    }
    return pairs > 0 ? better / pairs : 0.5;
}

/* ---- the pilot ------------------------------------------------------------------------------------------------------ */

/* The first samples of a problem in one order. */
typedef struct first_seen {
    wh_seen seen[WH_PLAN_MOST];
    wh_view view;
} first_seen;

static void see_first(first_seen *f, const wh_bank_problem *p, size_t n, const wh_profile *profile, wh_belief *belief, const wh_vote_opts *opts,
                      uint64_t seed, uint64_t stream)
{
    int32_t number[WH_PLAN_MOST];
    uint32_t order[WH_PLAN_MOST];
    size_t all = p->n < WH_PLAN_MOST ? p->n : WH_PLAN_MOST;
    f->view = (wh_view){.seen = f->seen, .profile = profile, .belief = belief, .prompt_pass = p->prompt_pass};
    for (size_t i = 0; i < all; i++) order[i] = (uint32_t)i;
    for (size_t i = 0; i < n && i < all; i++) {
        size_t k = i + wh_rng_u64(seed, stream, i) % (all - i);
        uint32_t at = order[k];
        order[k] = order[i];
        const wh_bank_sample *s = &p->samples[at];
        wh_seen *x = &f->seen[f->view.n++];
        *x = (wh_seen){.group = -1, .tokens = s->tokens, .scored = opts && s->n_scores > 0};
        if (x->scored) x->score = wh_aggregate_scores(opts->aggregate, s->scores, s->n_scores);
        if (s->group < 0) continue;
        int32_t g = 0;
        while (g < (int32_t)f->view.n_groups && number[g] != s->group) g++;
        if (g == (int32_t)f->view.n_groups) number[f->view.n_groups++] = s->group;
        x->group = g;
    }
}

typedef struct pilot_fit {
    size_t  n;
    double (*x)[WH_PILOT_TERMS], *y;
} pilot_fit;

static double pilot_loss(void *user, const double *w)
{
    const pilot_fit *f = user;
    double sum = 0;
    for (size_t i = 0; i < f->n; i++) {
        double z = 0;
        for (int k = 0; k < WH_PILOT_TERMS; k++) z += w[k] * f->x[i][k];
        sum += loss(z, f->y[i]);
    }
    for (int k = 1; k < WH_PILOT_TERMS; k++) sum += 0.05 * (double)f->n / 100 * w[k] * w[k];
    return sum;
}

static wh_code fit_pilot(double *w, const wh_bank *b, const wh_profile *p, const wh_calibrate_spec *spec, wh_err *err)
{
    enum { ORDERS = 4 };
    pilot_fit f = {b->n * ORDERS, wh_mem_alloc(b->n * ORDERS, sizeof *f.x), wh_mem_alloc(b->n * ORDERS, sizeof *f.y)};
    first_seen *seen = wh_mem_alloc(1, sizeof *seen);
    wh_code code = f.x && f.y && seen ? WH_OK : no_memory(err);
    for (size_t i = 0; code == WH_OK && i < f.n; i++) {
        const wh_bank_problem *q = &b->problems[i / ORDERS];
        see_first(seen, q, PILOT, p, NULL, b->scored ? &spec->vote_opts : NULL, spec->seed, i);
        wh_estimator_terms(&seen->view, f.x[i]);
        f.y[i] = (double)q->n_right / (double)q->n;
    }
    if (code == WH_OK) wh_minimize(w, WH_PILOT_TERMS, 0.5, ROUNDS, pilot_loss, &f);
    free(f.x);
    free(f.y);
    free(seen);
    return code;
}

wh_code wh_calibrate_estimate(double *pass, const wh_bank *bank, const wh_estimator *e, const wh_profile *profile, const wh_vote_opts *opts,
                              size_t pilot, size_t orders, uint64_t seed, wh_err *err)
{
    wh_outlook outlook;
    first_seen *seen = wh_mem_alloc(1, sizeof *seen);
    wh_code code = seen ? wh_outlook_create(&outlook, &profile->votes, bank->prompted, err) : no_memory(err);
    for (size_t r = 0; code == WH_OK && r < orders; r++)
        for (size_t i = 0; i < bank->n; i++) {
            const wh_bank_problem *p = &bank->problems[i];
            see_first(seen, p, pilot, profile, wh_outlook_belief(&outlook, p->prompt_pass), bank->scored ? opts : NULL, seed, (uint64_t)r << 32 | i);
            const wh_clues clues = {&seen->view, p->n ? (double)p->n_right / (double)p->n : NAN};
            pass[r * bank->n + i] = e->pass(&clues);
        }
    if (seen) wh_outlook_free(&outlook);
    free(seen);
    return code;
}

/* ---- parameters by trying -------------------------------------------------------------------------------------------- */

/* Every second problem; the list is the caller's. */
static void half_of(wh_bank *out, wh_bank_problem *list, const wh_bank *b, size_t which)
{
    *out = *b;
    out->problems = list;
    out->n = 0;
    for (size_t i = which; i < b->n; i += 2) list[out->n++] = b->problems[i];
}

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
        of_other.votes = fit_votes(&other);
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
    double tokens = 0;
    *out = NULL;
    for (size_t i = 0; i < bank->n; i++)
        for (size_t k = 0; k < bank->problems[i].n; k++) {
            right += bank->problems[i].samples[k].right;
            tokens += bank->problems[i].samples[k].tokens;
            samples++;
        }
    if (bank->n < LEAST) return wh_err_set(err, WH_ERR_ARG, "a profile needs %d problems or more; there are %zu", LEAST, bank->n);
    if (!right) return wh_err_set(err, WH_ERR_ARG, "no sample of the bank is right: there is nothing to learn from");
    wh_profile p;
    wh_profile_priors(&p);
    p.votes = fit_votes(bank);
    p.tokens = tokens / (double)samples;
    if (bank->scored) {
        score_fit f = {bank, spec->vote_opts.aggregate};
        double x[2] = {1, 0}, rate = (double)right / (double)samples;
        wh_minimize(x, 2, 0.5, ROUNDS, scores_loss, &f);
        p.slope = x[0];
        p.offset = x[1] - logit(rate); /* evidence alone: the prior is in the votes */
        p.keen = keenness(&f);
    }
    wh_code code = fit_pilot(p.pilot, bank, &p, spec, err);
    json_t *rows = json_array(), *pilot = json_array();
    for (int i = 0; i < WH_PILOT_TERMS; i++) json_array_append_new(pilot, json_real(p.pilot[i]));
    json_t *o = json_pack("{s:s, s:i, s:O*, s:O*, s:O*, s:O*, s:I, s:I, s:f, s:{s:f, s:f, s:f}, s:{s:f, s:f, s:f}, s:o}", "profile", "whet", "version", 1,
                          "policy", json_object_get(bank->header, "policy"), "prm", json_object_get(bank->header, "prm"), "data",
                          json_object_get(bank->header, "data"), "search", json_object_get(bank->header, "search"), "problems",
                          (json_int_t)bank->n, "samples", (json_int_t)samples, "tokens", p.tokens, "votes", "a", p.votes.a, "b", p.votes.b, "theta",
                          p.votes.theta, "scores", "slope", p.slope, "offset", p.offset, "keen", p.keen, "pilot", pilot);
    if (code == WH_OK && !o) code = no_memory(err);
    if (code == WH_OK) code = choose_parameters(o, bank, &p, spec, err);
    if (code == WH_OK) code = make_rows(rows, bank, &p, spec, err);
    if (code == WH_OK) json_object_set(o, "rows", rows);
    json_decref(rows);
    if (code == WH_OK) *out = o;
    else json_decref(o);
    return code;
}
