/* solve: one problem, searched: what is seen on the way, the parts of a policy's work, and the result. */
#ifndef WH_APP_SOLVE_H
#define WH_APP_SOLVE_H

#include "answer/answer.h"
#include "app/load.h"
#include "app/reward.h"
#include "app/search_opts.h"
#include "app/show_tree.h"
#include "app/spend.h"
#include "app/trace.h"
#include "search/driver.h"

typedef struct wh_solve_cmd_opts {
    bool        json;
    int64_t     seed, batch;
    const char *show, *trace;
} wh_solve_cmd_opts;

enum { WH_SOLVE_GROUPS = 16 };

/* The search as it is seen: the first sample is shown as it is written, then a line of votes; or all of it, as a
 * tree. */
typedef struct wh_solve {
    const wh_solve_cmd_opts *o;
    wh_search_choice *choice;
    wh_spend               *spend;
    wh_case                *c;         /* of a policy that decides; NULL: there is none */
    wh_result               sum;       /* of its parts before the last, with samples in memory of their own */
    bool                    searching, more; /* the part under way is a search; there is another part */
    bool                    used_up;   /* the budget, by the clock or in the midst of a search */
    wh_rule                 rule;      /* of the vote */
    wh_loaded              *l;
    wh_reward               reward;
    wh_trace               *trace;
    wh_show_tree            tree;
    double                  began;
    size_t                  steps;     /* nodes that are written */
    size_t                  finished;  /* samples */
    size_t                  tokens;    /* of finished samples */
    bool                    streaming; /* dim text stands on the terminal, its line may be open */
    wh_code                 code;      /* of what happened in a callback */
    wh_err                 *err;
    int                     status;
    /* the tally so far, for the eye: the first answers that came up; the vote itself is made at the end */
    struct {
        wh_answer answer;
        char      text[32];
        size_t    count;
    } groups[WH_SOLVE_GROUPS];
    size_t n_groups;
} wh_solve;

/* solve_show.c: what is seen on the way. */
bool wh_solve_as_tree(const wh_solve *v);
bool wh_solve_many(const wh_solve *v); /* is a vote expected? */
void wh_solve_show(wh_solve *v, const wh_event *e);

/* solve_print.c: the search is over: on standard output and in the trace. Sets code and status. */
void wh_solve_finish(wh_solve *v, const wh_event *e);

/* solve_parts.c: the search itself, in as many parts as a policy wants; one, where none decides. */
wh_code wh_solve_search(wh_solve *v, const wh_tok_ids *prompt, const char *question, size_t rows, wh_err *err);

#endif
