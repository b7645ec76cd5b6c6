/* backend_engine: the backend of a search over a real engine. */
#ifndef WH_SEARCH_BACKEND_ENGINE_H
#define WH_SEARCH_BACKEND_ENGINE_H

#include "search/backend.h"

/* A policy without a PRM. Borrows the engine, which must outlive the backend. */
void wh_backend_engine(wh_backend *out, wh_engine *policy);

#endif
