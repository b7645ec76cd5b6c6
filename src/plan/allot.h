/* allot: which problems of a set come next.
 *
 * A set is worked on in waves. Before each, every problem's policy says what it would do and what that would gain, and
 * problems are taken in the order of gain per FLOP until the wave is full; while it runs nothing is decided. So
 * what is decided depends on the waves before alone, never on the order in which samples of one arrive, and a run
 * that was killed decides the same again. A wave takes at most an eighth of what is left, so that the last ones are
 * small and the budget is met closely; towards the end single samples are given, their tokens limited by what is left.
 */
#ifndef WH_PLAN_ALLOT_H
#define WH_PLAN_ALLOT_H

#include "plan/policy.h"

typedef struct wh_pick {
    size_t    problem;
    wh_action action;
    double    share; /* FLOPs that it may cost, whatever happens */
} wh_pick;

/* views: one per problem, their budgets ignored; left: FLOPs for the whole set. picks has room for n of them; *n_picks
 * 0: nothing more is worth doing, or can be paid. first[i]: what the prompt of a problem still costs, 0 once it was
 * computed. */
void wh_allot_wave(wh_pick *picks, size_t *n_picks, const wh_view *views, const double *first, size_t n, double left,
                   const wh_policy *policy, const void *params);

#endif
