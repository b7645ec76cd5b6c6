/* live: a policy at work on a problem, as a strategy of the driver.
 *
 * A problem is worked on in parts, each one search of the driver. A part of samples is this file's strategy: it asks
 * the policy, wishes what it says, looks at what came back, and asks again, until the policy stops, wants a search (a
 * part of its own, by the strategy it names), or what was granted to the part is used up (policies of sets, which
 * decide between parts). A case is what is known of the problem across its parts.
 *
 * Sample i is child i of the root in every part, so the samples are those of best_of_n with the same seed.
 * A sample whose tokens the budget did not pay for ends with WH_END_BUDGET and does not vote.
 */
#ifndef WH_PLAN_LIVE_H
#define WH_PLAN_LIVE_H

#include "plan/outlook.h"
#include "plan/policy.h"
#include "search/driver.h"

/* What the problems of a run share. */
typedef struct wh_live {
    const wh_policy  *policy;
    const wh_params  *params;
    const wh_profile *profile;
    wh_outlook        outlook;
    wh_draw           draw;
    wh_grouping       grouping;
    wh_aggregate      aggregate;
    wh_task           task;     /* costs; sizes are set per problem */
    bool              attached; /* the PRM is a head on the policy */
    bool              in_passing; /* and scores are made while samples are written: task.prm is the head alone */
    double            around;   /* tokens that the PRM reads around each step */
    size_t            block;    /* tokens: what was read before is found up to a multiple of these; 0: all of it */
    size_t            most;     /* samples of a problem, at most */
    double            budget;   /* FLOPs per problem; INFINITY: none */
    double            tokens;   /* to be generated per problem; INFINITY: no limit */
    /* The same for what is measured, time and energy, in FLOPs that could be computed with what is left of it;
     * *round: wh_view.round. NULL: no such limit. */
    double (*left)(void *user, const wh_view *v, double *round);
    void   *user;
} wh_live;

typedef struct wh_case {
    const wh_live *live;
    wh_view        view;
    wh_seen        seen[WH_PLAN_MOST];
    char          *answers[WH_PLAN_MOST]; /* NULL: does not vote */
    size_t         shared;                /* of the prompt's tokens: computed for another problem of the run already */
    double         asked;                 /* of nominal FLOPs, by estimating the difficulty */
    double         generated;             /* tokens, end tokens included */
    double         policy, prm;           /* nominal FLOPs; view.spent is their sum */
    double         searched;              /* of them, by searches */
    size_t         part;                  /* samples before the part under way */
    bool           granted;               /* the part may do `next` and no more */
    wh_action      next;                  /* what the policy said last: STOP and why; SEARCH: for the next part */
    wh_limits      limits;                /* of the samples that were wished last */
    size_t         wished;                /* of this part: samples before those */
} wh_case;

/* question's own: prompt_tokens, prm_prompt_tokens; prompt_pass: NAN when nobody has looked. */
void wh_case_init(wh_case *c, const wh_live *live, size_t prompt_tokens, size_t prm_prompt_tokens, double prompt_pass);
void wh_case_free(wh_case *c);

/* FLOPs were spent on the problem before its first part: its prompt is computed, and so much more. */
void wh_case_asked(wh_case *c, double more);

/* Nominal FLOPs of the prompt at the beginning of a part: of all but what is shared, or, after the first part, of its last
 * token, which is not kept (engine/cache.h, wh_cache_keep). */
double wh_case_prompt(const wh_case *c);

/* The strategy for parts of samples, and its parameters. c must outlive the part. */
extern const wh_strategy wh_live_samples;
void wh_live_params(wh_params *out, wh_case *c);

/* The next part does this action and no more; it may cost `share` FLOPs. */
void wh_live_grant(wh_case *c, const wh_action *a, double share);

/* What the part of a search came to (parts of samples have told already). */
wh_code wh_live_take_search(wh_case *c, const wh_result *r, wh_err *err);
/* The strategy and its parameters for c->next, a SEARCH. */
wh_code wh_live_search(const wh_strategy **strategy, wh_params *params, const wh_case *c, wh_err *err);

/* For a journal: a sample of an earlier run of this problem is seen again. answer: NULL when it does not vote. */
wh_code wh_live_see(wh_case *c, const char *answer, uint32_t tokens, const double *scores, size_t n_scores, wh_err *err);
/* After all of them: what was spent by then, as the case had it. */
wh_code wh_live_seen(wh_case *c, double policy, double prm, double spent, wh_err *err);

#endif
