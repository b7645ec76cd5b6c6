/* reward: from --prm and the options beside it to a process reward model that stands beside the policy, and to
 * the way its scores are counted. */
#ifndef WH_APP_REWARD_H
#define WH_APP_REWARD_H

#include "app/forecast.h"
#include "app/load.h"
#include "app/rule.h"
#include "reward/prm.h"
#include "search/backend_engine.h"

#include <jansson.h>

/* Values of wh_reward_options, the group that commands with a search share. */
typedef struct wh_reward_opts {
    const char *prm, *kind, *head, *calibration, *vote, *aggregate, *grouping;
    bool        speculate;
} wh_reward_opts;

extern const wh_opt wh_reward_options[];
enum { WH_REWARD_OPTIONS = 8 };
#define WH_REWARD_GROUP(values) {"Reward and vote", wh_reward_options, WH_REWARD_OPTIONS, values, NULL}

/* From "A,B" or "A,B,F,H" as a person types it, and for a journal's header. */
/* Of an option that takes a calibration. */
#define WH_CALIBRATION_SHAPE "A,B[,F,H[,O]]"
#define WH_CALIBRATION_HELP                                                                                                  \
    "make scores probabilities: log-odds A times what they were, plus B, plus F where an equation so far fails, H where all " \
    "hold, O where a solution leaves out a number of the problem (default: as the PRM's file says)"
wh_code wh_reward_calibration(wh_prm_calibration *out, const char *text, wh_err *err);
json_t *wh_reward_calibration_json(const wh_prm_calibration *c);

/* Is a PRM asked for? A head without a model is one on the policy. */
bool        wh_reward_wanted(const wh_reward_opts *o);
wh_grouping wh_reward_grouping(const wh_reward_opts *o);
/* The vote that was asked for; without --vote: `otherwise`, or prm_vote where that is NULL and there is a PRM, or
 * majority. WH_ERR_ARG: options that make no sense without a PRM. */
wh_code wh_reward_rule(wh_rule *out, const wh_reward_opts *o, const wh_vote *otherwise, wh_err *err);

typedef struct wh_reward {
    wh_prm         *prm;      /* NULL: there is none */
    wh_mat_form     form;     /* asked for, of the PRM's model */
    bool            same;     /* the policy's own file: its weights are shared */
    bool            attached; /* a head on the policy's own engine */
    wh_buf          path, name;
    const char     *head;     /* path of the head file; NULL: none */
    bool            calibrated; /* by what was typed */
    wh_prm_calibration calibration;
    wh_backend_pair pair;
} wh_reward; /* starts as {0} */

/* The policy's engine (as wh_load_engine) and, when it is wanted, the PRM, whose engine gets as many rows and paths;
 * --memory is divided between the two. */
wh_code wh_reward_load(wh_reward *r, const wh_reward_opts *o, wh_loaded *policy, const wh_load_opts *machine, size_t tokens, size_t rows,
                       size_t paths, wh_err *err);
/* Borrows both. */
void wh_reward_backend(wh_backend *out, wh_reward *r, const wh_loaded *policy, size_t rows);
/* After the driver, before the policy. */
void wh_reward_free(wh_reward *r);

/* What tokens cost, of both. */
wh_code wh_reward_costs(wh_costs *out, const wh_reward *r, const wh_loaded *policy, wh_err *err);

/* {"name", "kind", "sha256", "head_sha256"}, and "form" when it is not exact and "calibration" when it was typed, or null: what results depend on. */
wh_code wh_reward_json(json_t **out, const wh_reward *r, wh_err *err);

#endif
