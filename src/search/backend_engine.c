#include "search/backend_engine.h"

static wh_code generate(void *self, wh_job *job, const wh_gen_spec *spec, wh_err *err)
{
    return wh_engine_generate(self, job, spec, err);
}

static void cancel(void *self, wh_job job, bool scoring)
{
    (void)scoring;
    wh_engine_cancel(self, job);
}

static wh_code step(void *self, bool *idle, wh_err *err) { return wh_engine_step(self, idle, err); }

void wh_backend_engine(wh_backend *out, wh_engine *policy)
{
    *out = (wh_backend){.self = policy, .generate = generate, .cancel = cancel, .step = step};
}

static wh_code pair_generate(void *self, wh_job *job, const wh_gen_spec *spec, wh_err *err)
{
    wh_backend_pair *p = self;
    wh_gen_spec probed = *spec;
    probed.probe = wh_prm_probe(p->prm);
    WH_TRY(wh_engine_generate(p->policy, job, &probed, err));
    p->submitted++;
    return WH_OK;
}

static wh_code pair_score(void *self, wh_job *job, const wh_prm_spec *spec, wh_err *err)
{
    wh_backend_pair *p = self;
    WH_TRY(wh_prm_score(p->prm, job, spec, err));
    p->submitted += p->attached && *job;
    return WH_OK;
}

static void pair_cancel(void *self, wh_job job, bool scoring)
{
    wh_backend_pair *p = self;
    if (scoring) wh_prm_cancel(p->prm, job);
    else wh_engine_cancel(p->policy, job);
}

static wh_code pair_step(void *self, bool *idle, wh_err *err)
{
    wh_backend_pair *p = self;
    bool policy_idle, prm_idle;
    WH_TRY(wh_engine_step(p->policy, &policy_idle, err));
    WH_TRY(wh_prm_step(p->prm, &prm_idle, err));
    *idle = policy_idle && prm_idle;
    return WH_OK;
}

static uint64_t jobs_done(const wh_engine *e)
{
    wh_engine_stats stats;
    wh_engine_get_stats(e, &stats);
    return stats.jobs_done;
}

static size_t pair_room(void *self)
{
    const wh_backend_pair *p = self;
    uint64_t flying = p->submitted - (jobs_done(p->policy) - p->done_before);
    return flying < p->rows ? p->rows - (size_t)flying : 0;
}

void wh_backend_engine_pair(wh_backend *out, wh_backend_pair *pair)
{
    pair->done_before = jobs_done(pair->policy);
    *out = (wh_backend){
        .self = pair,
        .generate = pair_generate,
        .score = pair_score,
        .cancel = pair_cancel,
        .step = pair_step,
        .room = pair_room,
    };
}
