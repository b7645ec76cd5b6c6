/* search_opts: --strategy and the parameters of the strategies as options.
 *
 * The table of options is made from the strategies' own parameter tables (search/strategy.def), one line for
 * each name that any of them has. A parameter that the chosen strategy does not have is refused.
 */
#ifndef WH_APP_SEARCH_OPTS_H
#define WH_APP_SEARCH_OPTS_H

#include "app/opt.h"
#include "app/reward.h"
#include "search/strategy.h"

#include <jansson.h>

enum { WH_SEARCH_OPTS_MAX = 64 };

/* About 10 kB; static or on the stack of a command. */
typedef struct wh_search_opts {
    size_t      n;
    wh_opt      table[WH_SEARCH_OPTS_MAX];
    const char *texts[WH_SEARCH_OPTS_MAX]; /* what was typed; NULL: nothing */
    wh_buf      helps[WH_SEARCH_OPTS_MAX];
    const char *name;                      /* --strategy */
} wh_search_opts;

/* What was chosen. */
typedef struct wh_search_choice {
    const wh_strategy *strategy;
    wh_params          params;
    wh_rule            rule;       /* of the vote */
    wh_grouping        grouping;
    bool               speculate;
    size_t             n_samples;  /* the parameter n; 1 for strategies without it */
    size_t             max_tokens; /* of an answer */
    bool               usual[3];   /* temperature, top-p, max-tokens were not typed */
} wh_search_choice;

/* Fill the table; then WH_SEARCH_GROUP can be a group of a command. */
wh_code wh_search_opts_init(wh_search_opts *o, const char *default_strategy, wh_err *err);
void    wh_search_opts_free(wh_search_opts *o);
#define WH_SEARCH_GROUP(o) {"Search", (o)->table, (o)->n, (o), NULL}

/* As if it had been typed; borrows the text. WH_ERR_ARG: no strategy has it. */
wh_code wh_search_opts_set(wh_search_opts *o, const char *name, const char *text, wh_err *err);

/* Was it given? */
bool wh_search_opts_typed(const wh_search_opts *o, const char *name);

/* After parsing. "majority" is another name for best_of_n with the majority vote. WH_ERR_ARG: the strategy, or the
 * vote, needs a PRM. */
wh_code wh_search_opts_choose(wh_search_choice *out, const wh_search_opts *o, const wh_reward_opts *reward, wh_err *err);
/* What was not typed becomes what suits the model's family: the R1 distills think long, and are sampled at temperature
 * 0.6 with top-p 0.95 in every strategy (official scripts/run.sh). */
wh_code wh_search_opts_suit(wh_search_choice *c, const wh_chat *chat, wh_err *err);

/* {"strategy": ..., every parameter: ...}: what a journal remembers. */
json_t *wh_search_opts_json(const wh_search_choice *c);

#endif
