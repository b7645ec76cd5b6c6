/* A sample's vote weighs as much as its score. */
#include "search/vote.h"

static void add(wh_tally *t, size_t index, double score, size_t groups, const wh_vote_opts *opts)
{
    (void)index, (void)groups, (void)opts;
    t->weight += score;
}

const wh_vote wh_vote_prm_vote = {
    .name = "prm_vote",
    .help = "the answer whose solutions have the largest sum of scores",
    .source = "Li et al. 2022 (2206.02336); official vote_utils.py, *_vote",
    .needs_scores = true,
    .add = add,
};
