/* forecast: what a run should have cost by its strategy's own prediction, from the mean sizes of what it sampled;
 * beside the ledger's count it says how far a scheduler can trust the prediction. */
#ifndef WH_APP_FORECAST_H
#define WH_APP_FORECAST_H

#include "reward/prm.h"
#include "search/strategy.h"

#include <jansson.h>

/* Sums over the problems of a run. */
typedef struct wh_sizes {
    uint64_t problems, samples;
    uint64_t prompt_tokens, prm_prompt_tokens; /* before the answers begin */
    uint64_t tokens, steps;                    /* of samples */
} wh_sizes;

/* The question as the PRM reads it, without a step, and what it reads around each step. Nothing but the KV of the
 * policy is read by an attached one. */
typedef struct wh_prm_sizes {
    size_t question, around;
} wh_prm_sizes;
wh_code wh_forecast_prm(wh_prm_sizes *out, const wh_prm *prm, bool attached, const char *question, wh_err *err);

/* What a token costs in a run; a journal keeps it, so that a report needs no model. */
typedef struct wh_costs {
    wh_cost  policy, prm;
    bool     has_prm, attached; /* attached: a head on the policy's own engine */
    bool     in_passing;        /* and what it reads is always there: see wh_prm_in_passing */
    uint64_t around;            /* see wh_prm_sizes */
} wh_costs;

json_t  *wh_costs_json(const wh_costs *c);
wh_costs wh_costs_from_json(const json_t *o);

/* FLOPs for all problems. */
void wh_forecast(double *policy, double *prm, const wh_sizes *sizes, const wh_costs *costs, const wh_strategy *strategy,
                 const wh_params *params);

json_t  *wh_sizes_json(const wh_sizes *s);
wh_sizes wh_sizes_from_json(const json_t *o);
void     wh_sizes_add(wh_sizes *to, const wh_sizes *what);

#endif
