#include "plan/estimator.h"

#include <math.h>

const wh_estimator *const wh_estimator_table[] = {
#define WH_ESTIMATOR_X(id) &wh_estimator_##id,
#include "plan/estimator.def"
#undef WH_ESTIMATOR_X
};
const size_t wh_estimator_count = sizeof wh_estimator_table / sizeof wh_estimator_table[0];

/* ---- prompt: a head on the hidden state at the end of the prompt ------------------------------------------------- */

static wh_estimate of_prompt(const wh_clues *c) { return wh_estimate_of(c->view->prompt_pass, c->view->profile->sure_prompt); }

const wh_estimator wh_estimator_prompt = {
    .name = "prompt",
    .help = "a head on the hidden state at the end of the prompt, before anything is sampled",
    .source = "Damani et al. 2024 (2410.04707), §3.2",
    .estimate = of_prompt,
};

/* ---- pilot: a logistic regression on the first samples ------------------------------------------------------------ */

void wh_estimator_terms(const wh_view *v, double x[WH_PILOT_TERMS])
{
    double n = (double)v->n, count[WH_BALLOT_GROUPS] = {0}, leader = 0, answers = 0, silent = 0, tokens = 0;
    double sum = 0, squares = 0, most = 0, scored = 0;
    for (size_t i = 0; i < v->n; i++) {
        const wh_seen *s = &v->seen[i];
        tokens += s->tokens;
        if (s->group < 0 || s->group >= WH_BALLOT_GROUPS) silent++;
        else {
            answers += count[s->group]++ == 0;
            leader = fmax(leader, count[s->group]);
        }
        if (!s->scored) continue;
        scored++;
        sum += s->score;
        squares += s->score * s->score;
        most = fmax(most, s->score);
    }
    double mean = scored > 0 ? sum / scored : 0;
    x[0] = 1;
    x[1] = leader / n;
    x[2] = answers / n;
    x[3] = silent / n;
    x[4] = mean;
    x[5] = most;
    x[6] = scored > 0 ? sqrt(fmax(squares / scored - mean * mean, 0)) : 0;
    x[7] = log(fmax(tokens / n, 1) / v->profile->tokens);
}

static wh_estimate of_pilot(const wh_clues *c)
{
    double x[WH_PILOT_TERMS], sum = 0;
    if (!c->view->n) return (wh_estimate){.pass = NAN};
    wh_estimator_terms(c->view, x);
    for (int i = 0; i < WH_PILOT_TERMS; i++) sum += c->view->profile->pilot[i] * x[i];
    return wh_estimate_of(1 / (1 + exp(-sum)), c->view->profile->sure_pilot);
}

const wh_estimator wh_estimator_pilot = {
    .name = "pilot",
    .help = "the first samples: how far they agree, what the PRM says of them, how long they are",
    .source = "logistic regression; agreement as in Aggarwal et al. 2023 (2305.11860)",
    .samples = true,
    .estimate = of_pilot,
};

/* ---- posterior: the model of votes, beginning with what the prompt says -------------------------------------------- */

static wh_estimate of_posterior(const wh_clues *c)
{
    wh_ballot votes;
    wh_estimate e;
    wh_view_ballot(c->view, &votes);
    e.pass = wh_belief_pass(c->view->belief, &votes, e.at_least, wh_bin_bounds, 2);
    return e;
}

const wh_estimator wh_estimator_posterior = {
    .name = "posterior",
    .help = "a Beta distribution of pass@1 that learns from every sample",
    .source = "plan/belief.h",
    .samples = true,
    .estimate = of_posterior,
};

/* ---- oracle: for analysis ------------------------------------------------------------------------------------------- */

static wh_estimate of_oracle(const wh_clues *c)
{
    double p = c->oracle;
    return (wh_estimate){p, {p >= wh_bin_bounds[WH_BIN_EASY], p >= wh_bin_bounds[WH_BIN_MEDIUM]}};
}

const wh_estimator wh_estimator_oracle = {
    .name = "oracle",
    .help = "the share of right samples of a bank, which no run can know",
    .source = "Liu et al. 2025 (2502.06703): the paper's own difficulty",
    .estimate = of_oracle,
};
