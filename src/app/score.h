/* score: what the samples of the problems of a set amount to: accuracy for every n, from one run.
 *
 * For n samples of a problem the vote of its first n counts, so the row for n is what a run with that --n
 * would have given.
 */
#ifndef WH_APP_SCORE_H
#define WH_APP_SCORE_H

#include "engine/ledger.h"
#include "search/vote.h"

enum { WH_SCORE_LEVELS = 18 }; /* 1, 2, 4 ... 65536, and N itself */

typedef struct wh_score {
    size_t           levels, n[WH_SCORE_LEVELS];
    size_t           right[WH_SCORE_LEVELS];  /* problems whose vote of n samples is right */
    size_t           passed[WH_SCORE_LEVELS]; /* problems of which some of the first n samples is right */
    size_t           problems, samples, right_samples;
    wh_ledger        policy; /* of all problems */
    double           seconds; /* of work, over all runs of a journal */
    const wh_vote   *vote;
} wh_score;

void wh_score_init(wh_score *s, size_t n, const wh_vote *vote);

/* One problem: its samples in order, grouped, and whether each is right. */
wh_code wh_score_add(wh_score *s, const wh_sample *samples, const bool *right, size_t n, wh_err *err);

/* Wilson's 95 % interval for k right out of n (Wilson 1927). */
void wh_score_interval(double *low, double *high, size_t k, size_t n);

#endif
