/* gain: what more compute on a problem is expected to be worth, the core of the policies that adapt.
 *
 * The value of stopping is the probability that the leader is right (plan/belief.h). The worth of k more samples is
 * what that probability is expected to grow by, over what they cost; the best k up to a horizon counts, because one
 * vote alone often can change nothing (Frazier and Powell 2010, the knowledge gradient's non-concavity).
 */
#ifndef WH_PLAN_GAIN_H
#define WH_PLAN_GAIN_H

#include "plan/policy.h"

/* The k <= WH_BELIEF_AHEAD with the best gain per FLOP, as a SAMPLE action with its gain and cost. gain 0: none. */
void wh_gain_sample(wh_action *out, const wh_view *v, const wh_ballot *votes);

/* Look again after a part of those samples, at least one: gain and cost in proportion. */
void wh_gain_stride(wh_action *a, double part);

/* The same for having every sample scored: the expected probability of the leader once the PRM has weighed the three
 * most probable groups, if it puts a right sample above a wrong one as often as on solved problems. */
void wh_gain_score(wh_action *out, const wh_view *v, const wh_ballot *votes);

/* Beta rule on the two groups with the most votes; with weighted true, a vote counts as much as its score. */
double wh_gain_stays(const wh_view *v, bool weighted);

#endif
