/* The most probable answer. If a sample that says a were right with odds o_i, independently of the others, the answers'
 * log-odds would be the sums of ln o_i over the samples that say them (Nitzan and Paroush 1982). They are not independent:
 * samples of one policy repeat each other's mistakes, and a PRM errs alike on like solutions. So the sum is tempered,
 *     weight of an answer = sum over its samples of  offset + slope * ln(s / (1 - s)),
 * with slope and offset that make exp(weight), over the sum of it over answers, the most likely probabilities of the right
 * answer on problems that were solved before: a conditional logit, McFadden 1974. */
#include "search/vote.h"

#include <math.h>

/* Fitted on samples of `gsm8k_train` (8 a problem) whose scores came from heads that had not seen the problem:
 * bench/results/heads.md. What counts is their ratio. */
static const double usual_slope = 0.3, usual_offset = 1;

static void add(wh_tally *t, size_t index, double score, size_t groups, const wh_vote_opts *opts)
{
    (void)index, (void)groups;
    /* A PRM that says 0 or 1 must not outvote all others together; nor does a vote count against its answer, so that
     * products of scores, which are all small, still leave the number of votes. */
    const double least = 0.05;
    double s = fmin(fmax(score, least), 1 - least);
    bool usual = opts->slope == 0;
    t->weight += (usual ? usual_slope : opts->slope) * log(s / (1 - s)) + (usual ? usual_offset : opts->offset);
}

const wh_vote wh_vote_log_odds = {
    .name = "log_odds",
    .help = "the most probable answer by number and scores of its samples, as fitted on solved problems",
    .source = "Nitzan and Paroush 1982, optimal weights of a weighted majority; McFadden 1974 for their calibration",
    .needs_scores = true,
    .add = add,
};
