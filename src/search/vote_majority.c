/* Every sample has one vote. */
#include "search/vote.h"

static void add(wh_tally *t, size_t index, double score, size_t groups, const wh_vote_opts *opts)
{
    (void)index, (void)score, (void)groups, (void)opts;
    t->weight += 1;
}

const wh_vote wh_vote_majority = {
    .name = "majority",
    .help = "the answer given most often",
    .source = "Wang et al. 2022 (2203.11171)",
    .add = add,
};
