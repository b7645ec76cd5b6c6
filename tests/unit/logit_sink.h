/* logit_sink: a head sink that keeps all logits, which the engine never does. */
#ifndef TESTS_LOGIT_SINK_H
#define TESTS_LOGIT_SINK_H

#include "model/forward.h"

#include <string.h>

typedef struct logit_sink {
    float *out; /* (n_logits, vocab) */
    size_t vocab;
} logit_sink;

static void keep_tile(void *ctx, int tid, size_t row, const float *logits, size_t begin, size_t n)
{
    logit_sink *s = ctx;
    (void)tid;
    memcpy(s->out + row * s->vocab + begin, logits, n * sizeof *logits);
}

static void keep_row(void *ctx, int tid, size_t row) { (void)ctx, (void)tid, (void)row; }

#endif
