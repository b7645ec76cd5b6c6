/* vote: from many solutions to one answer.
 *
 * Samples are first put into groups of the same answer, then every group gets a weight, and the heaviest
 * wins. Rules differ in the weight alone. A tie goes to the group that earned its weight first, as in the
 * official code (method.md §2.6), so reordering the samples can change the winner among tied groups only.
 */
#ifndef WH_SEARCH_VOTE_H
#define WH_SEARCH_VOTE_H

#include "search/tree.h"

/* A solution as voters and reports see it. Memory of the tree it comes from. */
typedef struct wh_sample {
    size_t        index;  /* position among the problem's samples */
    uint32_t      node;   /* its last node */
    const char   *text;   /* the whole path, zero-terminated */
    size_t        text_len;
    const char   *answer; /* as extracted; "": none */
    int32_t       group;  /* number of its answer, in order of first appearance; -1: does not vote */
    wh_end        end;
    uint32_t      tokens;
    double        logprob;
    const double *scores; /* of its steps; NULL: not scored */
    size_t        n_scores;
} wh_sample;

/* When two answers are the same. */
typedef enum {
    WH_GROUP_MATH,  /* answer/answer.h; a solution without an answer does not vote */
    WH_GROUP_STRING /* the official code: the very same string, and "" is an answer like any other */
} wh_grouping;

/* Set group of each sample (one that was cut off from outside, or by a budget, does not vote); *n_groups = how many. */
wh_code wh_vote_group(wh_sample *s, size_t n, size_t *n_groups, wh_grouping grouping, wh_err *err);

/* One score of a path from the scores r_1 .. r_H of its steps; -1 for none (method.md §2.6). */
#define WH_AGGREGATES(X)                                                                                      \
    X(last) /* r_H */                                                                                        \
    X(min)                                                                                                   \
    X(avg)                                                                                                   \
    X(prod)
typedef enum {
#define WH_AGGREGATE_ENUM(id) WH_AGGREGATE_##id,
    WH_AGGREGATES(WH_AGGREGATE_ENUM)
#undef WH_AGGREGATE_ENUM
    WH_AGGREGATE_COUNT
} wh_aggregate;
const char *wh_aggregate_name(wh_aggregate a); /* NULL past the last */
double      wh_aggregate_scores(wh_aggregate a, const double *r, size_t n);

typedef struct wh_tally {
    const char *answer; /* the group's first */
    int32_t     group;
    size_t      count;
    double      weight;
    size_t      since; /* index of the sample that decides among equal weights; the lowest wins */
} wh_tally;

typedef struct wh_vote_opts {
    wh_aggregate aggregate;
    /* log_odds: the weight of a sample = slope * ln(score / (1 - score)) + offset; slope 0: the usual ones, fitted on
     * solved problems. */
    double slope, offset;
} wh_vote_opts;

typedef struct wh_vote {
    const char *name;
    const char *help;
    const char *source;
    bool        needs_scores;
    /* Sample number `index`, with that score, joins its group, of `groups` groups in all. count is already
     * raised; weight and since are the rule's. */
    void (*add)(wh_tally *t, size_t index, double score, size_t groups, const wh_vote_opts *opts);
} wh_vote;

#define WH_VOTE_X(id) extern const wh_vote wh_vote_##id;
#include "search/vote.def"
#undef WH_VOTE_X
extern const wh_vote *const wh_vote_table[];
extern const size_t         wh_vote_table_size;
const wh_vote *wh_vote_find(const char *name); /* NULL: none of that name */

/* The vote of the first n samples (grouped, maybe as part of more): tallies with the heaviest first, none
 * when nobody votes. *out is the caller's, to be freed with free(); answers belong to the samples. So the
 * result for every n up to N comes from one run. */
wh_code wh_vote_count(wh_tally **out, size_t *n_out, const wh_vote *vote, const wh_vote_opts *opts,
                      const wh_sample *s, size_t n, wh_err *err);

#endif
