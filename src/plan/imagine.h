/* imagine: a bank of problems that nobody has: as the model of votes says they are, all with a prompt and samples of the
 * same sizes. For a look ahead at what a policy would do with such problems. */
#ifndef WH_PLAN_IMAGINE_H
#define WH_PLAN_IMAGINE_H

#include "plan/bank.h"
#include "plan/profile.h"

typedef struct wh_imagine {
    const wh_belief_model *votes;
    const wh_cost         *cost;
    uint32_t               prompt_tokens, tokens; /* of a problem, of a sample */
    size_t                 problems, samples;     /* samples: of each problem */
    uint64_t               seed;
    const wh_profile      *scores;    /* what a PRM's scores are worth (keen, slope, offset); NULL: there is no PRM */
    double                 prm_flops; /* of the scores of a sample */
} wh_imagine;

/* *out is to be freed whatever the result. */
wh_code wh_bank_imagine(wh_bank *out, const wh_imagine *spec, wh_err *err);

#endif
