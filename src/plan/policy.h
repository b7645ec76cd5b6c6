/* policy: how the budget of a problem is spent, as a pure function.
 *
 * A policy looks at what was seen of a problem so far and says what to do next. It keeps nothing in mind and
 * calls no model, so the same code decides in a live run, after a kill, and in a simulation on a bank, and what it
 * decides depends on the samples alone: not on the batch they were drawn in, nor on the clock.
 *
 *     sample   draw n more whole answers (samples are numbered: the first n are those of best_of_n)
 *     score    have the PRM read every sample that is not scored yet, and those still to come
 *     search   start over with a strategy guided by the PRM; its solutions vote with the samples
 *     stop     the vote is the answer
 *
 * Costs are FLOPs by formula (nominal), not what happened to be computed again for lack of memory.
 */
#ifndef WH_PLAN_POLICY_H
#define WH_PLAN_POLICY_H

#include "plan/profile.h"
#include "search/strategy.h"

typedef struct wh_seen {
    int32_t  group; /* of its answer, in order of first appearance; -1: none */
    uint32_t tokens;
    bool     scored;
    double   score; /* of all its steps, by the aggregate in use */
} wh_seen;

enum { WH_PLAN_MOST = 256 }; /* samples of a problem, at most */

typedef struct wh_view {
    const wh_seen *seen; /* in order of index */
    size_t         n, n_groups;
    bool           searched;   /* the last of them come from a search */
    bool           scoring;    /* samples are scored as they come */
    bool           can_score, can_search; /* there is a PRM (in a bank: scores; whole searches) */
    size_t         most;       /* samples there may be, at most: WH_PLAN_MOST, or what a bank has */
    double         answer;     /* tokens that one more sample is expected to have */
    double         sample;     /* FLOPs that one more sample is expected to cost, its scoring not included */
    double         score;      /* the same for scoring it */
    double         question;   /* FLOPs of the PRM reading the question; 0 once it did */
    double         again;      /* of what it reads of it for every sample, again */
    double         round;      /* what every round costs whatever its size: the time to read the weights for every
                                  token, as FLOPs that could have been computed in it. 0 where FLOPs alone count */
    double         spent, budget; /* nominal; INFINITY: no limit */
    double         tokens_left;   /* that may be generated; INFINITY: no limit */
    wh_task        task;
    double         prompt_pass; /* pass@1 as the prompt alone lets expect; NAN: nobody has looked */
    wh_belief         *belief;
    const wh_profile  *profile;
} wh_view;

/* Set answer, sample and score from what was seen, or where nothing was from the profile. */
void   wh_view_expect(wh_view *v);
/* FLOPs of a sample of so many tokens, its prompt not included. */
double wh_view_cost(const wh_view *v, double tokens);
/* FLOPs of scoring a sample of so many tokens. */
double wh_view_scoring(const wh_view *v, double tokens);
/* What is left of the budget. */
double wh_view_left(const wh_view *v);
/* The votes, with the PRM's evidence where samples are scored. */
void   wh_view_ballot(const wh_view *v, wh_ballot *out);

typedef enum { WH_DO_SAMPLE, WH_DO_SCORE, WH_DO_SEARCH, WH_DO_STOP } wh_do;

/* Why it stops. */
typedef enum {
    WH_WHY_DONE,      /* everything that was planned is done */
    WH_WHY_CERTAIN,   /* more votes would not change the leader */
    WH_WHY_HOPELESS,  /* no number of votes that the budget allows makes a leader probable */
    WH_WHY_PRICE,     /* what more votes are expected to gain is not worth their price */
    WH_WHY_BUDGET,    /* what is left does not pay for a sample */
    WH_WHY_MOST       /* as many samples as there may be */
} wh_why;
const char *wh_why_name(wh_why why); /* "done", "certain", ... */

typedef struct wh_action {
    wh_do  what;
    wh_why why;                  /* STOP */
    size_t n;                    /* SAMPLE, SEARCH: N */
    const wh_strategy *strategy; /* SEARCH */
    double gain, cost;           /* expected: in probability of the right answer; in FLOPs. 0: not considered */
} wh_action;

typedef struct wh_policy {
    const char     *name, *help, *source;
    const wh_param *params;
    size_t          n_params;
    bool            whole_set; /* decides across problems: which comes next is where gain / cost is largest */
    void (*decide)(wh_action *out, const wh_view *v, const void *params);
} wh_policy;

#define WH_POLICY_X(id) extern const wh_policy wh_policy_##id;
#include "plan/policy.def"
#undef WH_POLICY_X
extern const wh_policy *const wh_policy_table[];
extern const size_t           wh_policy_count;
const wh_policy *wh_policy_find(const char *name); /* NULL: none of that name */

/* "adaptive" or "fixed:n=4,strategy=beam": the policy, and its parameters on top of the profile's. */
wh_code wh_policy_parse(const wh_policy **out, wh_params *params, const char *text, const wh_profile *profile, wh_err *err);

/* What policy decides, cut to what the view allows: never more samples than there may be, nor than the budget is
 * expected to pay for; at least one while it pays for a token and nobody has answered. */
void wh_policy_decide(wh_action *out, const wh_policy *policy, const wh_view *v, const void *params);

/* ---- limits: so that a budget is never overrun ------------------------------------------------------------------- */

/* Tokens that the samples of a round may have: together they never cost more than is left, whatever they say. While
 * nobody has answered the first of them may use all that is left, up to max_tokens, and the others share the rest:
 * there is an answer if one sample could finish. Then *n may become less than the action says. */
typedef struct wh_limits {
    size_t   n;
    uint32_t first, others;
} wh_limits;
wh_limits wh_policy_limits(const wh_view *v, const wh_action *a, uint32_t max_tokens);

#endif
