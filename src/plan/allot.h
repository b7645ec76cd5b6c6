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

/* One problem of the set. */
typedef struct wh_allotted {
    wh_view   view;   /* its budget is ignored */
    double    first;  /* what its prompt still costs, 0 once it was computed */
    bool      known;  /* `wish` is what the policy says of this view; to be set false when the view has changed */
    wh_action wish;
} wh_allotted;

/* left: FLOPs for the whole set. picks has room for n of them; *n_picks 0: nothing more is worth doing, or can be paid. */
void wh_allot_wave(wh_pick *picks, size_t *n_picks, wh_allotted *list, size_t n, double left, const wh_policy *policy, const void *params);

#endif
