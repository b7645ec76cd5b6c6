/* score: what the samples of the problems of a set amount to: accuracy by every vote and, where samples are drawn
 * independently, for every n, from one run.
 *
 * For n samples of a problem the vote of its first n counts, so the row for n is what a run with that --n
 * would have given. A search whose samples depend on N has one row, for all of them.
 */
#ifndef WH_APP_SCORE_H
#define WH_APP_SCORE_H

#include "app/rule.h"
#include "engine/ledger.h"

enum { WH_SCORE_LEVELS = 18 }; /* 1, 2, 4 ... 65536, and N itself */

typedef struct wh_score {
    bool      nested;
    size_t    levels, n[WH_SCORE_LEVELS];
    size_t    n_rules, chosen; /* chosen: the rule of --vote */
    wh_rule   rules[WH_RULE_MAX];
    size_t    right[WH_RULE_MAX][WH_SCORE_LEVELS]; /* problems whose vote of n samples is right */
    size_t    passed[WH_SCORE_LEVELS];             /* problems of which some of the first n samples is right */
    size_t    problems, samples, right_samples;
    wh_ledger policy, prm, speculative; /* of all problems */
    size_t    unscored;                 /* steps beyond the PRM's context */
    double    seconds;                  /* of work, over all runs of a journal */
} wh_score;

/* nested: the first samples of N are what fewer would have been. scored: there is a PRM. */
void wh_score_init(wh_score *s, size_t n, bool nested, bool scored, const wh_rule *chosen);

/* One problem: its samples in order, grouped, and whether each is right. */
wh_code wh_score_add(wh_score *s, const wh_sample *samples, const bool *right, size_t n, wh_err *err);
/* What it cost. */
void    wh_score_spend(wh_score *s, const wh_ledger *policy, const wh_ledger *prm, const wh_ledger *speculative, size_t unscored,
                       double seconds);

#endif
