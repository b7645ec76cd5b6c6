#include "plan/imagine.h"

#include "base/rng.h"
#include "search/strategy.h"

#include <math.h>

enum { PASS, RIGHT, SCORE, STREAMS }; /* streams of random numbers of a problem */

static uint64_t stream_of(size_t problem, int what) { return (uint64_t)problem * STREAMS + (uint64_t)what; }

/* Beta(a, b) by Jöhnk's rejection, which is fast for a, b of about 1 and below. */
static double draw_pass(const wh_belief_model *m, uint64_t seed, uint64_t stream)
{
    for (uint64_t at = 0;; at += 2) {
        double x = pow(wh_rng_uniform(seed, stream, at), 1 / m->a), y = pow(wh_rng_uniform(seed, stream, at + 1), 1 / m->b);
        if (x + y <= 1 && x + y > 0) return x / (x + y);
        if (at > 2000) return m->a / (m->a + m->b);
    }
}

/* Box and Muller's; the i-th of a stream. */
static double draw_normal(uint64_t seed, uint64_t stream, uint64_t i)
{
    const double turn = 6.283185307179586;
    return sqrt(-2 * log(wh_rng_uniform(seed, stream, 2 * i))) * cos(turn * wh_rng_uniform(seed, stream, 2 * i + 1));
}

/* x with Phi(x) = p, by bisection. */
static double normal_quantile(double p)
{
    double low = -8, high = 8;
    for (int i = 0; i < 60; i++) {
        double x = (low + high) / 2;
        if (0.5 * erfc(-x * sqrt(0.5)) < p) low = x;
        else high = x;
    }
    return (low + high) / 2;
}

/* The score of a sample, by a PRM that puts a right one above a wrong one with probability `keen`, and whose evidence
 * slope * logit(score) + offset is the log-likelihood ratio that it is taken for: normal, with variance d^2 round d^2/2
 * when the sample is right and round -d^2/2 when it is wrong, d = sqrt(2) Phi^-1(keen). */
static double draw_score(const wh_profile *p, double d, bool right, double z)
{
    double ratio = (right ? 0.5 : -0.5) * d * d + d * z;
    return p->slope > 0 ? 1 / (1 + exp(-(ratio - p->offset) / p->slope)) : 0.5;
}

static wh_code imagine(wh_bank *b, wh_bank_problem *p, const wh_imagine *spec, double d, wh_err *err)
{
    uint64_t seed = spec->seed;
    double pass = draw_pass(spec->votes, seed, stream_of(b->n, PASS));
    size_t n = spec->samples, wrong = 0;
    int32_t right = -1, *said = wh_bank_take(b, n, sizeof *said); /* said[0 .. wrong): what wrong samples said, one each */
    double *scores = spec->scores ? wh_bank_take(b, n, sizeof *scores) : NULL;
    p->prompt_pass = NAN;
    p->samples = wh_bank_take(b, n, sizeof *p->samples);
    if (!said || !p->samples || (spec->scores && !scores)) return wh_err_set(err, WH_ERR_NOMEM, "no memory to imagine problems");
    for (; p->n < n; p->n++) {
        wh_bank_sample *s = &p->samples[p->n];
        double u = wh_rng_uniform(seed, stream_of(b->n, RIGHT), 2 * p->n + 1) * ((double)wrong + spec->votes->theta);
        s->tokens = spec->tokens;
        s->flops = wh_bank_sample_flops(&b->cost, p->prompt_tokens, spec->tokens);
        s->right = wh_rng_uniform(seed, stream_of(b->n, RIGHT), 2 * p->n) < pass;
        if (s->right) {
            if (right < 0) right = (int32_t)p->n_groups++;
            s->group = right;
            p->n_right++;
        } else {
            s->group = u < (double)wrong ? said[(size_t)u] : (int32_t)p->n_groups++;
            said[wrong++] = s->group;
        }
        if (!scores) continue;
        scores[p->n] = draw_score(spec->scores, d, s->right, draw_normal(seed, stream_of(b->n, SCORE), p->n));
        s->scores = &scores[p->n];
        s->n_scores = 1;
        s->prm_flops = spec->prm_flops;
    }
    return WH_OK;
}

wh_code wh_bank_imagine(wh_bank *out, const wh_imagine *spec, wh_err *err)
{
    *out = (wh_bank){.cost = *spec->cost, .scored = spec->scores != NULL};
    out->problems = wh_bank_take(out, spec->problems, sizeof *out->problems);
    if (!out->problems) return wh_err_set(err, WH_ERR_NOMEM, "no memory to imagine problems");
    double d = spec->scores ? sqrt(2) * normal_quantile(fmin(fmax(spec->scores->keen, 0.5), 0.999)) : 0;
    for (; out->n < spec->problems; out->n++) {
        wh_bank_problem *p = &out->problems[out->n];
        p->prompt_tokens = spec->prompt_tokens;
        p->prompt_flops = wh_strategy_compute(spec->cost, 0, spec->prompt_tokens, 0);
        WH_TRY(imagine(out, p, spec, d, err));
    }
    return WH_OK;
}
