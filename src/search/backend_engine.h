/* backend_engine: the backend of a search over real engines. */
#ifndef WH_SEARCH_BACKEND_ENGINE_H
#define WH_SEARCH_BACKEND_ENGINE_H

#include "search/backend.h"

/* A policy without a PRM. Borrows the engine, which must outlive the backend. */
void wh_backend_engine(wh_backend *out, wh_engine *policy);

/* A policy and a PRM, with an engine of its own or attached to the policy's. Each step advances both, so the
 * two take turns and neither waits for the other to run dry. */
typedef struct wh_backend_pair {
    wh_engine *policy;
    wh_prm    *prm;
    bool       attached; /* the PRM's jobs run in the policy's engine */
    size_t     rows;     /* of the policy's engine: wh_engine_opts.max_rows, as it was created */
    uint64_t   submitted, done_before; /* jobs of the policy's engine; its own, start zeroed */
} wh_backend_pair;

/* Borrows *pair and what it points to. */
void wh_backend_engine_pair(wh_backend *out, wh_backend_pair *pair);

#endif
