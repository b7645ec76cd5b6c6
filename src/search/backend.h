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
#include "reward/prm.h"

typedef struct wh_backend {
    void *self;
    /* As wh_engine_generate; on_done comes exactly once for each accepted job. */
    wh_code (*generate)(void *self, wh_job *job, const wh_gen_spec *spec, wh_err *err);
    /* As wh_prm_score. NULL: there is no PRM. */
    wh_code (*score)(void *self, wh_job *job, const wh_prm_spec *spec, wh_err *err);
    /* The job ends during the next step, before anything else is computed for it, with what it has. */
    void (*cancel)(void *self, wh_job job, bool scoring);
    /* Advance all jobs a little; *idle: nothing was left to do. */
    wh_code (*step)(void *self, bool *idle, wh_err *err);
    /* How many more generations would start at once; NULL: no speculation. */
    size_t (*room)(void *self);
} wh_backend;

#endif
