/* engine_impl: what engine.c (steps) and engine_life.c (memory) share. */
#ifndef WH_ENGINE_ENGINE_IMPL_H
#define WH_ENGINE_ENGINE_IMPL_H

#include "engine/cache.h"
#include "engine/engine.h"
#include "engine/job.h"
#include "engine/sampler.h"
#include "model/forward.h"

struct wh_engine {
    const wh_model *model;
    const wh_tok   *tok;
    wh_par         *par;
    wh_forward     *forward;
    wh_sampler     *sampler;
    wh_cache       *cache;
    wh_kv           kv;
    wh_cost         cost;
    wh_config       config; /* of the model, as if it had only the layers that are computed */
    size_t          context, max_jobs, chunk, max_rows, paths;

    job   *waiting, **waiting_end;
    job  **active; /* in order of age */
    size_t n_active;
    wh_job last_id;
    bool   stepping;

    /* the batch: rows, and whose they are */
    int32_t         *tokens;
    uint32_t        *positions, *out_rows, *open, *close_from, *close_to;
    const uint32_t **tables;
    job            **order;    /* planned jobs in the order of their rows */
    job            **out_jobs; /* of each out row */
    size_t          *out_slots; /* which of the job's positions (scoring) */
    wh_tap          *taps;
    job            **tap_jobs;
    size_t          *tap_slots;
    wh_pick        *picks;
    wh_engine_stats  stats;
};

/* The job and its hold on the cache. */
void wh_engine_free_job(wh_engine *e, job *j);

#endif
