/* difficulty: how often a sample of a policy will be right, as a head says that looks at the end of the prompt alone.
 *
 * The head is a file (reward/prm.h: whet.head.* keys, whet.head.kind "difficulty", whet.head.step "prompt") and its trunk
 * the policy, whose prompt has to be computed anyway: asking costs one token more.
 */
#ifndef WH_REWARD_DIFFICULTY_H
#define WH_REWARD_DIFFICULTY_H

#include "engine/engine.h"

typedef struct wh_difficulty wh_difficulty;

/* path: of the policy's file, for the check of its sha256. Borrows model and par. *out is NULL on failure, and the
 * sentence begins with the head's path: WH_ERR_ARG: it is for another model, or no such head; WH_ERR_FORMAT. */
wh_code wh_difficulty_open(wh_difficulty **out, const char *head, const char *path, const wh_model *model, wh_par *par, wh_err *err);
void    wh_difficulty_free(wh_difficulty *d); /* no question may be open, or the engine be gone */

size_t   wh_difficulty_layers(const wh_difficulty *d); /* blocks that an engine must compute for it */
uint64_t wh_difficulty_flops(const wh_difficulty *d);  /* of the head, per question */

/* on_done is called once, in a step of the engine: the probability that a sample is right; NAN: the job was cancelled.
 * engine: of the policy. */
wh_code wh_difficulty_ask(wh_difficulty *d, wh_engine *engine, const int32_t *prompt, size_t n, void (*on_done)(void *user, double pass),
                          void *user, wh_err *err);

#endif
