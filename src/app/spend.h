/* spend: from --budget and the options beside it to a policy that spends it. */
#ifndef WH_APP_SPEND_H
#define WH_APP_SPEND_H

#include "app/forecast.h"
#include "app/search_opts.h"
#include "plan/live.h"
#include "plan/meter.h"
#include "reward/difficulty.h"

/* Values of wh_spend_options, the group that commands with a search share. */
typedef struct wh_spend_opts {
    const char *budget, *total, *difficulty, *energy, *profile, *scheduler, *time, *tokens;
} wh_spend_opts;

extern const wh_opt wh_spend_options[];
enum { WH_SPEND_OPTIONS = 8 };
#define WH_SPEND_GROUP(values) {"Budget", wh_spend_options, WH_SPEND_OPTIONS, values, NULL}

/* Is any of them given? Then a policy decides how many samples are drawn, and --n is how many there may be. */
bool wh_spend_wanted(const wh_spend_opts *o);

typedef struct wh_spend {
    bool       on;
    wh_live    live;
    wh_params  params;
    wh_profile profile;
    wh_buf     scheduler; /* as wh_policy_parse read it */
    double     total;     /* FLOPs for a set; INFINITY: none */
    wh_meter   meter;
    bool       metered;
    wh_buf     head;      /* path of the head that judges problems; empty: there is none */
    const char *typed_head;
    wh_difficulty *judge;
} wh_spend; /* starts as {0} */

/* Everything that needs no model. WH_ERR_ARG: options that make no sense together. for_set: of many problems, so that
 * time and energy, which are measured as one problem goes, are refused. */
wh_code wh_spend_choose(wh_spend *s, const wh_spend_opts *o, const wh_search_opts *typed, const wh_search_choice *choice, bool for_set,
                        wh_err *err);
/* When the models are there: what a token costs. WH_ERR_ARG: the profile was fitted for another model, or for another
 * form of its weights. */
wh_code wh_spend_open(wh_spend *s, const wh_costs *costs, const wh_loaded *policy, wh_err *err);
/* After the policy's engine was made, which must be idle: what the prompt lets expect, and what it cost to ask, the prompt
 * included. NAN and nothing: there is no head. */
wh_code wh_spend_ask(double *pass, wh_ledger *cost, const wh_spend *s, wh_engine *engine, const int32_t *prompt, size_t n, wh_err *err);
/* Read n tokens that prompts begin with, so that they find them in the KV cache. */
wh_code wh_spend_read(wh_ledger *cost, wh_engine *engine, const int32_t *tokens, size_t n, wh_err *err);
/* What of asking is not the prompt. */
double  wh_spend_asking(const wh_spend *s, const wh_cost *cost, size_t prompt);
/* Before the engine is freed. */
void    wh_spend_free(wh_spend *s);

/* What the results depend on. */
json_t *wh_spend_json(const wh_spend *s);

/* "certain": for people. */
const char *wh_spend_why(wh_why why);

#endif
