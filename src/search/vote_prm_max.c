/* The answer of the best sample. Among samples equally good the earliest wins, not the group seen first. */
#include "search/vote.h"

static void add(wh_tally *t, size_t index, double score, size_t groups, const wh_vote_opts *opts)
{
    (void)groups, (void)opts;
    if (t->count > 1 && score <= t->weight) return;
    t->weight = score;
    t->since = index;
}

const wh_vote wh_vote_prm_max = {
    .name = "prm_max",
    .help = "the answer of the solution with the best score",
    .source = "Lightman et al. 2023 (2305.20050); official vote_utils.py, *_max",
    .needs_scores = true,
    .add = add,
};
