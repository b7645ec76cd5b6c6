/* The most probable answer, when sample i is right with probability p_i, independently of the others, and a
 * wrong sample picks any of the other K - 1 answers alike:
 *     P(a | samples)  ~  prod_{i says a} p_i  *  prod_{i says another} (1 - p_i) / (K - 1)
 * whose logarithm is, up to a constant, the sum of log(p_i / (1 - p_i)) + log(K - 1) over the samples that
 * say a. A sample that is more probably wrong than a wild guess thus counts against its answer. */
#include "search/vote.h"

#include <math.h>

static void add(wh_tally *t, size_t index, double score, size_t groups, const wh_vote_opts *opts)
{
    (void)index;
    /* A PRM that says 0 or 1 must not outvote all others together. */
    const double least = 1e-4;
    double s = fmin(fmax(score, least), 1 - least);
    double slope = opts->slope == 0 ? 1 : opts->slope;
    t->weight += slope * log(s / (1 - s)) + opts->offset + (groups > 2 ? log((double)groups - 1) : 0);
}

const wh_vote wh_vote_log_odds = {
    .name = "log_odds",
    .help = "the most probable answer if scores are probabilities of being right",
    .source = "Nitzan and Paroush 1982, optimal weights of a weighted majority; Platt 1999 for the calibration",
    .needs_scores = true,
    .add = add,
};
