/* driver: runs the searches of any number of problems on one backend.
 *
 * It asks each strategy for its wishes, turns them into jobs of one continuous batch, grows the trees with
 * what comes back, and tells a callback what happens. There is no barrier between problems: each goes on
 * as soon as its own wishes are fulfilled.
 *
 * The rules of a step (method.md §2.3) live here, once for all strategies: a step ends with a blank line;
 * it ends its path when the model ended its turn, when it holds \boxed (not within a thought), or at the depth limit; a step that
 * hits its token limit (or repeats itself endlessly, which would get there) leaves the game; of samples
 * that say the same only the first stays.
 *
 * A path continues with the very tokens the model wrote. The official code sends text, which is cut into
 * tokens anew each time; that differs where a blank line shares a token with more of the same ("\n\n\n").
 *
 *     wh_driver_create(&d, &backend, &opts, &err);
 *     wh_driver_add(d, &problem, NULL, &err);            // any number, also from inside the callback
 *     do wh_driver_step(d, &idle, &err); while (!idle);  // results arrive in the callback
 *     wh_driver_free(d);
 */
#ifndef WH_SEARCH_DRIVER_H
#define WH_SEARCH_DRIVER_H

#include "search/backend.h"
#include "search/strategy.h"
#include "search/vote.h"

#include <signal.h>

typedef struct wh_driver wh_driver;

/* What to search, and how; everything is copied. */
typedef struct wh_problem {
    const char        *question; /* the bare problem, for the PRM */
    const int32_t     *prompt;   /* the policy's tokens up to where the answer begins */
    size_t             n_prompt;
    uint64_t           seed;
    const wh_strategy *strategy;
    const wh_params   *params;
    wh_grouping        grouping;
    void              *user; /* comes back in every event */
} wh_problem;

typedef struct wh_result {
    const wh_sample *samples; /* in order of index; those cut off before they began are left out */
    size_t           n_samples, n_groups;
    wh_ledger        policy, prm; /* everything computed for the problem, thrown away or not */
    wh_ledger        speculative; /* the part of policy and prm that nobody asked for in the end */
    size_t           n_unscored;  /* steps beyond the PRM's context: they have the score of the last that fits,
                                     or none, and rank last, where not even the first does */
    double           seconds;
    bool             cancelled;
    wh_err           error; /* code WH_OK: none; else samples hold what was finished before it */
} wh_result;

typedef enum {
    WH_EVENT_START,  /* the search of a problem begins */
    WH_EVENT_TEXT,   /* text: a piece of what node is writing (only with opts.texts) */
    WH_EVENT_STEP,   /* node is written */
    WH_EVENT_SCORE,  /* node has its scores */
    WH_EVENT_FATE,   /* node left the game: see its fate */
    WH_EVENT_SAMPLE, /* sample: a solution is finished */
    WH_EVENT_DONE    /* result; the tree and everything in it is gone when the callback returns */
} wh_event_kind;

typedef struct wh_event {
    wh_event_kind    kind;
    uint64_t         problem; /* as wh_driver_add gave it */
    void            *user;
    const wh_tree   *tree;
    uint32_t         node;
    const char      *text;
    size_t           text_len;
    /* Its group is not known yet; neither is its final index where a search has several lanes. */
    const wh_sample *sample;
    const wh_result *result;
} wh_event;

typedef struct wh_driver_opts {
    void (*on_event)(void *user, const wh_event *e);
    void  *user;
    bool   texts;
    bool   thinks; /* prompts end inside a thought that the chat format has begun: wh_chat_thinks */
    /* While a round of a search waits for its slowest steps, rows that are free go on with the most promising
     * of those that are finished (FastTTS, 2509.00195). What is wanted later is there sooner; the tree is the
     * same, because a sample's text depends on its place in it alone. */
    bool   speculate;
    /* Set from outside (a signal handler) to end everything: every problem finishes with what it has. */
    const volatile sig_atomic_t *stop;
} wh_driver_opts;

/* Borrows what the backend points to. */
wh_code wh_driver_create(wh_driver **out, const wh_backend *backend, const wh_driver_opts *opts, wh_err *err);
/* Jobs still running are cancelled; no event is sent. */
void    wh_driver_free(wh_driver *d);

/* The search starts with the next step. *id (may be NULL) is never 0. WH_ERR_ARG: the strategy needs a PRM
 * and the backend has none. */
wh_code wh_driver_add(wh_driver *d, uint64_t *id, const wh_problem *p, wh_err *err);
size_t  wh_driver_active(const wh_driver *d);

/* End one problem (0: all) with what it has; DONE comes during a later step. */
void wh_driver_cancel(wh_driver *d, uint64_t id);

/* Advance everything by one step of the backend. *idle: no problem is left. When the backend fails, every
 * problem ends with that error, and it is returned too. */
wh_code wh_driver_step(wh_driver *d, bool *idle, wh_err *err);

#endif
