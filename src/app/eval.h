/* eval: an evaluation under way: its records in the journal, and how it is shown. */
#ifndef WH_APP_EVAL_H
#define WH_APP_EVAL_H

#include "app/capture.h"
#include "app/dataset.h"
#include "app/forecast.h"
#include "app/load.h"
#include "app/reward.h"
#include "app/score.h"
#include "app/search_opts.h"
#include "app/spend.h"
#include "journal/journal.h"
#include "search/driver.h"

typedef struct wh_eval_opts {
    const char *data, *journal;
    int64_t     limit, seed, batch;
    wh_opt_part shard;
    bool        json;
} wh_eval_opts;

extern const wh_opt wh_eval_options[];
enum { WH_EVAL_OPTIONS = 7 };
#define WH_EVAL_GROUP(values) {NULL, wh_eval_options, WH_EVAL_OPTIONS, values, NULL}

typedef struct wh_eval {
    const wh_eval_opts *o;
    wh_search_choice    choice;
    wh_loaded           l;
    wh_reward           reward;
    wh_dataset          data;
    bool               *done; /* per problem: the journal had it */
    wh_journal         *journal;
    wh_score            score;
    wh_sizes            sizes;
    const char         *states; /* where hidden states go; NULL: nowhere */
    wh_opt_ints         layers; /* of them */
    wh_capture         *capture;
    wh_spend            spend; /* on: a policy decides how many samples are drawn */
    size_t              stops[WH_WHY_MOST + 1]; /* problems by why the policy stopped */
    json_t             *parts; /* of sets, from the journal: by "wave:line" */
    wh_costs            costs; /* zero until the models are there */
    bool                costs_known; /* by the journal */

    double   began, last; /* of this run; when the last problem was done */
    size_t   fresh;       /* problems of this run */
    uint64_t fresh_tokens;
    wh_code  code; /* why a callback wants the run to end */
    wh_err  *err;
} wh_eval; /* starts as {.o, .choice, .spend, .states, .layers} */

/* eval_run.c: everything from the problem set to the result that is printed. The journal keeps what was done when it
 * fails; WH_ERR_CANCELLED: interrupted. */
wh_code wh_eval_solve(wh_eval *v, const wh_reward_opts *reward, const wh_load_opts *machine, wh_err *err);
void    wh_eval_free(wh_eval *v);

/* What the results depend on, for the header of the journal. */
wh_code wh_eval_run(const wh_eval *v, json_t **out, wh_err *err);

/* How large a problem and its samples are, for the forecast. */
wh_code wh_eval_measure(wh_sizes *out, const wh_eval *v, const wh_event *done, wh_err *err);

/* Is each sample right? */
wh_code wh_eval_grade(bool *right, const wh_question *q, const wh_sample *s, size_t n, wh_err *err);

/* What closes a problem; samples have their groups. */
typedef struct wh_eval_result {
    const wh_sample *samples;
    const bool      *right;
    size_t           n, unscored;
    wh_sizes         sizes;
    wh_ledger        policy, prm, speculative;
    double           seconds;
} wh_eval_result;

/* The record of a sample, number `index` of its problem; t is the tree it comes from. */
json_t *wh_eval_sample_record(const wh_question *q, const wh_tree *t, const wh_sample *s, size_t index, bool right);
/* The record that closes a problem. */
json_t *wh_eval_close_record(const wh_question *q, const wh_eval_result *r);

/* A problem is done: append records (taken; may be NULL) and what closes it to the journal as one frame, and count it.
 * more: fields for the closing record, taken; may be NULL. */
wh_code wh_eval_close(wh_eval *v, const wh_question *q, const wh_eval_result *r, json_t *records, json_t *more, wh_err *err);

/* eval_spend.c: the problems as a policy decides. */
wh_code wh_eval_spend(wh_eval *v, const wh_tok_ids *prompts, wh_err *err);
/* For wh_eval_replay: a record of a set's part. */
wh_code wh_eval_keep_part(wh_eval *v, const json_t *record, wh_err *err);

/* A wh_journal_each: takes the closing records (they repeat what the samples came to) of problems in the
 * set; user is the wh_eval. */
wh_code wh_eval_replay(void *user, const json_t *record, wh_err *err);

/* eval_print.c */
void wh_eval_show(const wh_eval *v);  /* progress */
void wh_eval_print(const wh_eval *v); /* the result: a table, or JSON */

#endif
