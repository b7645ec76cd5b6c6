/* calibrate_fit: the parts of a profile that are fitted by likelihood, and what estimators with it say of problems. */
#include "base/mem.h"
#include "base/rng.h"
#include "plan/beta.h"
#include "plan/calibrate_impl.h"
#include "plan/minimize.h"

#include <math.h>
#include <stdlib.h>

enum { PILOT = 4, ROUNDS = 2000 };

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory to calibrate"); }

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

wh_belief_model wh_calibrate_votes(const wh_bank *b)
{
    double x[3] = {log(0.5), log(0.8), log(4)};
    wh_minimize(x, 3, 0.5, ROUNDS, votes_loss, (void *)(uintptr_t)b);
    return (wh_belief_model){exp(x[0]), exp(x[1]), exp(x[2])};
}

/* ---- the first samples of a problem ------------------------------------------------------------------------------ */

typedef struct first_seen {
    wh_seen seen[WH_PLAN_MOST];
    int32_t right;   /* the group that is right, -1: none of those seen */
    size_t  n_right; /* samples seen that are right */
    wh_view view;
} first_seen;

/* How many of p's samples are to speak for the others: n, or half of them. */
static size_t first_of(const wh_bank_problem *p, size_t n) { return p->n / 2 < n ? p->n / 2 : n; }

/* n of them in one order. */
static void see_first(first_seen *f, const wh_bank_problem *p, size_t n, const wh_profile *profile, wh_belief *belief, const wh_vote_opts *opts,
                      uint64_t seed, uint64_t stream)
{
    int32_t number[WH_PLAN_MOST];
    uint32_t order[WH_PLAN_MOST];
    size_t all = p->n < WH_PLAN_MOST ? p->n : WH_PLAN_MOST;
    f->right = -1;
    f->n_right = 0;
    f->view = (wh_view){.seen = f->seen, .profile = profile, .belief = belief, .prompt_pass = p->prompt_pass};
    for (size_t i = 0; i < all; i++) order[i] = (uint32_t)i;
    for (size_t i = 0; i < n && i < all; i++) {
        size_t k = i + wh_rng_u64(seed, stream, i) % (all - i);
        uint32_t at = order[k];
        order[k] = order[i];
        const wh_bank_sample *s = &p->samples[at];
        wh_seen *x = &f->seen[f->view.n++];
        *x = (wh_seen){.group = -1, .tokens = s->tokens, .scored = opts && s->n_scores > 0};
        f->n_right += s->right;
        if (x->scored) x->score = wh_aggregate_scores(opts->aggregate, s->scores, s->n_scores);
        if (s->group < 0) continue;
        int32_t g = 0;
        while (g < (int32_t)f->view.n_groups && number[g] != s->group) g++;
        if (g == (int32_t)f->view.n_groups) number[f->view.n_groups++] = s->group;
        x->group = g;
        if (s->right) f->right = g;
    }
}

/* ---- scores ------------------------------------------------------------------------------------------------------- */

/* How often a right sample has the better score than a wrong one of the same problem. */
static double keenness(const wh_bank *b, wh_aggregate aggregate)
{
    double better = 0, pairs = 0;
    for (size_t i = 0; i < b->n; i++) {
        const wh_bank_problem *p = &b->problems[i];
        for (size_t k = 0; k < p->n; k++)
            for (size_t j = 0; j < p->n; j++) {
                const wh_bank_sample *r = &p->samples[k], *w = &p->samples[j];
                if (!r->right || w->right || !r->n_scores || !w->n_scores) continue;
                double x = wh_aggregate_scores(aggregate, r->scores, r->n_scores), y = wh_aggregate_scores(aggregate, w->scores, w->n_scores);
                better += x > y ? 1 : x == y ? 0.5 : 0;
                pairs++;
            }
    }
    return pairs > 0 ? better / pairs : 0.5;
}

typedef struct weight_fit {
    const wh_bank           *b;
    const wh_calibrate_spec *spec;
    wh_profile              *profile;
    wh_outlook               outlook;
    first_seen               seen;
} weight_fit;

/* What is right must be most likely after 1, 2, 4 and 8 samples: one of the answers seen, or none of them. */
static double weights_loss(void *user, const double *x)
{
    weight_fit *f = user;
    static const size_t counts[] = {1, 2, 4, 8};
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    f->profile->slope = x[0];
    f->profile->offset = x[1];
    double sum = 0.1 * ((x[0] - 0.5) * (x[0] - 0.5) + x[1] * x[1]);
    for (size_t i = 0; i < f->b->n * COUNTS; i++) {
        const wh_bank_problem *p = &f->b->problems[i / COUNTS];
        wh_belief *belief = wh_outlook_belief(&f->outlook, p->prompt_pass);
        see_first(&f->seen, p, counts[i % COUNTS], f->profile, belief, &f->spec->vote_opts, f->spec->seed, i);
        wh_ballot votes;
        double right[WH_BALLOT_GROUPS];
        wh_view_ballot(&f->seen.view, &votes);
        double none = wh_belief_right(belief, &votes, right);
        sum -= log(fmax(f->seen.right >= 0 && f->seen.right < WH_BALLOT_GROUPS ? right[f->seen.right] : none, 1e-9));
    }
    return sum;
}

/* How much scores weigh. Each alone is a probability, but those of one problem repeat what they say of the problem, so that
 * a sum of their log-odds says too much: their weight is fitted on whole votes. */
static wh_code fit_scores(wh_profile *p, const wh_bank *b, const wh_calibrate_spec *spec, wh_err *err)
{
    if (!b->scored) return WH_OK;
    p->keen = keenness(b, spec->vote_opts.aggregate);
    weight_fit *f = wh_mem_zalloc(1, sizeof *f);
    if (!f) return no_memory(err);
    f->b = b;
    f->spec = spec;
    f->profile = p;
    wh_code code = wh_outlook_create(&f->outlook, p, b->prompted, err);
    double x[2] = {0.5, 0};
    if (code == WH_OK) wh_minimize(x, 2, 0.3, ROUNDS, weights_loss, f);
    p->slope = x[0];
    p->offset = x[1];
    wh_outlook_free(&f->outlook);
    free(f);
    return code;
}

/* ---- the pilot ------------------------------------------------------------------------------------------------------ */

typedef struct pilot_fit {
    size_t  n;
    double (*x)[WH_PILOT_TERMS], *y;
} pilot_fit;

static double pilot_logit(const double *w, const double *x)
{
    double z = 0;
    for (int k = 0; k < WH_PILOT_TERMS; k++) z += w[k] * x[k];
    return z;
}

static double pilot_loss(void *user, const double *w)
{
    const pilot_fit *f = user;
    double sum = 0;
    for (size_t i = 0; i < f->n; i++) sum += loss(pilot_logit(w, f->x[i]), f->y[i]);
    for (int k = 1; k < WH_PILOT_TERMS; k++) sum += 0.05 * (double)f->n / 100 * w[k] * w[k];
    return sum;
}

/* Its coefficients, and how sure it may be: the first samples are to say how many of the others are right. */
static wh_code fit_pilot(wh_profile *p, const wh_bank *b, const wh_calibrate_spec *spec, wh_err *err)
{
    enum { ORDERS = 4 };
    size_t most = b->n * ORDERS;
    pilot_fit f = {0, wh_mem_alloc(most, sizeof *f.x), wh_mem_alloc(most, sizeof *f.y)};
    wh_beta_draws *draws = wh_mem_alloc(most, sizeof *draws);
    first_seen *seen = wh_mem_alloc(1, sizeof *seen);
    wh_code code = f.x && f.y && draws && seen ? WH_OK : no_memory(err);
    for (size_t i = 0; code == WH_OK && i < most; i++) {
        const wh_bank_problem *q = &b->problems[i / ORDERS];
        size_t first = first_of(q, PILOT);
        if (!first) continue;
        see_first(seen, q, first, p, NULL, b->scored ? &spec->vote_opts : NULL, spec->seed, i);
        wh_estimator_terms(&seen->view, f.x[f.n]);
        draws[f.n] = (wh_beta_draws){.right = (double)(q->n_right - seen->n_right), .n = (double)(q->n - first)};
        f.y[f.n] = draws[f.n].right / draws[f.n].n;
        f.n++;
    }
    if (code == WH_OK && f.n) {
        wh_minimize(p->pilot, WH_PILOT_TERMS, 0.5, ROUNDS, pilot_loss, &f);
        for (size_t i = 0; i < f.n; i++) draws[i].mean = 1 / (1 + exp(-pilot_logit(p->pilot, f.x[i])));
        p->sure_pilot = wh_beta_strength(draws, f.n);
    }
    free(f.x);
    free(f.y);
    free(draws);
    free(seen);
    return code;
}

/* ---- the prompt -------------------------------------------------------------------------------------------------------- */

static wh_code fit_prompt(wh_profile *p, const wh_bank *b, wh_err *err)
{
    if (!b->prompted) return WH_OK;
    wh_beta_draws *draws = wh_mem_alloc(b->n, sizeof *draws);
    size_t n = 0;
    if (!draws) return no_memory(err);
    for (size_t i = 0; i < b->n; i++)
        if (!isnan(b->problems[i].prompt_pass))
            draws[n++] = (wh_beta_draws){b->problems[i].prompt_pass, (double)b->problems[i].n_right, (double)b->problems[i].n};
    p->sure_prompt = wh_beta_strength(draws, n);
    free(draws);
    return WH_OK;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------- */

wh_code wh_calibrate_fit(wh_profile *p, const wh_bank *b, const wh_calibrate_spec *spec, wh_err *err)
{
    double tokens = 0, samples = 0;
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->problems[i].n; k++, samples++) tokens += b->problems[i].samples[k].tokens;
    wh_profile_priors(p);
    p->n = b->n;
    p->votes = wh_calibrate_votes(b);
    p->tokens = tokens / samples;
    WH_TRY(fit_prompt(p, b, err));
    WH_TRY(fit_scores(p, b, spec, err));
    return fit_pilot(p, b, spec, err);
}

/* ---- what they say of problems ----------------------------------------------------------------------------------------- */

wh_code wh_calibrate_estimate(wh_calibrate_said *out, const wh_bank *bank, const wh_estimator *e, const wh_profile *profile,
                              const wh_vote_opts *opts, size_t pilot, size_t orders, uint64_t seed, wh_err *err)
{
    wh_outlook outlook;
    first_seen *seen = wh_mem_alloc(1, sizeof *seen);
    wh_code code = seen ? wh_outlook_create(&outlook, profile, bank->prompted, err) : no_memory(err);
    for (size_t r = 0; code == WH_OK && r < orders; r++)
        for (size_t i = 0; i < bank->n; i++) {
            const wh_bank_problem *p = &bank->problems[i];
            size_t first = e->samples ? first_of(p, pilot) : 0;
            see_first(seen, p, first, profile, wh_outlook_belief(&outlook, p->prompt_pass), bank->scored ? opts : NULL, seed, (uint64_t)r << 32 | i);
            const wh_clues clues = {&seen->view, p->n ? (double)p->n_right / (double)p->n : NAN};
            out[r * bank->n + i] = (wh_calibrate_said){e->estimate(&clues), (double)(p->n_right - seen->n_right) / (double)(p->n - first)};
        }
    if (seen) wh_outlook_free(&outlook);
    free(seen);
    return code;
}
