/* shipped: the heads and profiles that come with Whet, found by what each says it was fitted for.
 *
 * They are the files of heads/ (fit/head.h) and profiles/ (plan/profile.h) in one folder: $WHET_SHARE, or share/whet
 * beside the folder of the program, or models/ of the source tree that the program was built in.
 */
#ifndef WH_APP_SHIPPED_H
#define WH_APP_SHIPPED_H

#include "app/reward.h"
#include "app/spend.h"
#include "base/buf.h"
#include "base/err.h"

/* Append the path of the head of that kind ("prm", "difficulty") for samples of the policy, on the trunk (NULL: the
 * policy itself); nothing when there is none. Paths are of model files. Only a file of the right size is hashed. */
wh_code wh_shipped_find(wh_buf *out, const char *kind, const char *policy, const char *trunk, wh_err *err);

/* What the options leave open about a reward model, from these heads: without --prm and --prm-head a head on the policy,
 * with a --prm that is no reward model itself a head on that. "--prm none" asks for none, and becomes no --prm.
 * memory holds the path; policy and strategy as typed: majority and cot have no use for scores. To be called before
 * anything asks whether a PRM is wanted. */
wh_code wh_shipped_choose(wh_reward_opts *o, wh_buf *memory, const char *policy, const char *strategy, wh_err *err);

/* What the options leave open about a budget: without --profile, the one for this policy, form of weights and PRM, whose
 * options are those that wh_shipped_choose has completed. "--profile none" asks for priors, and becomes no --profile.
 * memory holds the path. */
wh_code wh_shipped_profile(wh_spend_opts *o, wh_buf *memory, const wh_load_opts *policy, const wh_reward_opts *reward, wh_err *err);

#endif
