/* spend: from --budget and the options beside it to a policy that spends it. */
#ifndef WH_APP_SPEND_H
#define WH_APP_SPEND_H

#include "app/forecast.h"
#include "app/search_opts.h"
#include "plan/live.h"
#include "plan/meter.h"

/* Values of wh_spend_options, the group that commands with a search share. */
typedef struct wh_spend_opts {
    const char *budget, *total, *energy, *profile, *scheduler, *time, *tokens;
} wh_spend_opts;

extern const wh_opt wh_spend_options[];
enum { WH_SPEND_OPTIONS = 7 };
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
} wh_spend; /* starts as {0} */

/* Everything that needs no model. WH_ERR_ARG: options that make no sense together. for_set: of many problems, so that
 * time and energy, which are measured as one problem goes, are refused. */
wh_code wh_spend_choose(wh_spend *s, const wh_spend_opts *o, const wh_search_opts *typed, const wh_search_choice *choice, bool for_set,
                        wh_err *err);
/* When the models are there: what a token costs. WH_ERR_ARG: the profile was fitted for another model, or for another
 * form of its weights. */
wh_code wh_spend_open(wh_spend *s, const wh_costs *costs, const wh_loaded *policy, wh_err *err);
void    wh_spend_free(wh_spend *s);

/* What the results depend on. */
json_t *wh_spend_json(const wh_spend *s);

/* "certain": for people. */
const char *wh_spend_why(wh_why why);

#endif
