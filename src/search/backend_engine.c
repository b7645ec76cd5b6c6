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
