/* backend: what a search needs of the models, as a small table of functions.
 *
 * The driver talks to this table only; behind it stands an engine with a policy and maybe a PRM
 * (backend_engine.c), or a script in the tests.
 *
 * Callbacks come from inside step, on its thread. When step fails every job ends (cancelled).
 */
#ifndef WH_SEARCH_BACKEND_H
#define WH_SEARCH_BACKEND_H

#include "engine/engine.h"

typedef struct wh_judge_result {
    const double *scores; /* n_new probabilities, valid during the call; NULL when cancelled */
    bool          cancelled;
    wh_ledger     ledger;
} wh_judge_result;

/* Score the last n_new steps of a path. Everything is copied. */
typedef struct wh_judge_spec {
    const char        *question;
    const char *const *steps; /* the path's steps, stripped, zero-terminated */
    size_t             n_steps, n_new; /* 1 <= n_new <= n_steps */
    /* The same path as the policy sees it, for a PRM that shares the policy's trunk. */
    const int32_t *prefix;
    size_t         n_prefix, n_prompt; /* prompt included; its own length */
    void (*on_done)(void *user, const wh_judge_result *r);
    void  *user;
} wh_judge_spec;

typedef struct wh_backend {
    void *self;
    /* As wh_engine_generate; on_done comes exactly once for each accepted job. */
    wh_code (*generate)(void *self, wh_job *job, const wh_gen_spec *spec, wh_err *err);
    /* NULL: there is no PRM. */
    wh_code (*score)(void *self, wh_job *job, const wh_judge_spec *spec, wh_err *err);
    /* The job ends during the next step, before anything else is computed for it, with what it has. */
    void (*cancel)(void *self, wh_job job, bool scoring);
    /* Advance all jobs a little; *idle: nothing was left to do. */
    wh_code (*step)(void *self, bool *idle, wh_err *err);
    /* How many more jobs would start at once; NULL: no speculation. */
    size_t (*room)(void *self);
} wh_backend;

#endif
