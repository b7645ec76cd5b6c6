/* sampler: from logits to a token, while the logits are still in the CPU's cache.
 *
 * The head of the model hands over its logits in tiles (model/forward.h). Of each tile only the maximum and
 * the sum of exponentials are kept. A token is drawn by inverting the cumulative distribution: a uniform
 * number keyed by (seed, stream, position) picks a tile by its sum, the logits of that one tile are made
 * again, and the number picks the token within it. Truncation (top-k, top-p, min-p) needs the whole
 * row, which is kept for those rows alone.
 *
 * Everything is computed in a fixed order with the operations of kern/ops.h: the same token on every
 * machine, for any batch and any number of threads.
 */
#ifndef WH_ENGINE_SAMPLER_H
#define WH_ENGINE_SAMPLER_H

#include "model/forward.h"

typedef struct wh_sampler wh_sampler;

/* What is wanted from one row of logits, and the answer. */
typedef struct wh_pick {
    float    temperature; /* 0: greedy */
    int      top_k;
    float    top_p, min_p;
    double   uniform;     /* in (0, 1) */
    int32_t  target;      /* >= 0: no sampling; the log-probability of this token is wanted */
    int32_t  token;       /* out */
    double   logprob;     /* out: of the token, natural logarithm, before truncation */
} wh_pick;

/* For up to max_rows rows of logits of this forward pass, which is borrowed. */
wh_code wh_sampler_create(wh_sampler **out, wh_forward *forward, const wh_model *model, size_t max_rows, int threads,
                          wh_err *err);
void    wh_sampler_free(wh_sampler *s);
size_t  wh_sampler_bytes(const wh_sampler *s);

/* Rows with truncation may come: keep whole rows from now on. Allocates, at the first call. */
wh_code wh_sampler_allow_truncation(wh_sampler *s, wh_err *err);

/* The sink for one pass; picks[i] belongs to out row i. Valid until the next call. */
const wh_head_sink *wh_sampler_sink(wh_sampler *s, wh_pick *picks);

#endif
