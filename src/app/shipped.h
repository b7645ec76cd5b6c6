/* shipped: the heads that come with Whet, found by what a head file says it was fitted for.
 *
 * They are the head files (fit/head.h) of one folder: $WHET_HEADS, or share/whet/heads beside the folder of the
 * program, or models/heads of the source tree that the program was built in.
 */
#ifndef WH_APP_SHIPPED_H
#define WH_APP_SHIPPED_H

#include "app/reward.h"
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

#endif
