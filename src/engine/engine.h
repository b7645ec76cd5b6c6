/* engine: continuous batching of generation and scoring jobs over one model.
 *
 * A job is a whole token prefix and what to do with it: generate, or look at positions. The engine finds
 * the longest part of the prefix whose KV it still has (prompts and search paths that share a beginning
 * share their KV blocks), computes the rest in chunks beside the decode rows of other jobs, and gives the
 * row of a finished job to the next one waiting. Nobody outside the engine handles KV.
 *
 * The tokens of a job depend on the model, its prefix, its sampling parameters, its seed and its stream
 * only: not on what else is in the batch, on the number of threads, or on what was cached.
 *
 * One thread drives an engine. Callbacks run inside wh_engine_step, on that thread; they may submit and
 * cancel jobs.
 */
#ifndef WH_ENGINE_ENGINE_H
#define WH_ENGINE_ENGINE_H

#include "base/par.h"
#include "engine/ledger.h"
#include "model/model.h"
#include "text/tok.h"

typedef struct wh_engine wh_engine;

typedef struct wh_engine_opts {
    size_t memory;    /* bytes for KV blocks and scratch; 0: what max_rows sequences of 2048 tokens need,
                         but at most half of the memory that is free */
    size_t max_rows;  /* jobs that advance together; 0: 64 */
    size_t paths;     /* sequences that a search leaves and comes back to: room to keep the last, partly filled blocks
                         of so many, which would be computed again otherwise; what `memory` allows of it */
    size_t chunk;     /* prompt tokens computed in one step, at most; 0: 256 */
    size_t context;   /* tokens of a sequence, at most; 0: the model's own limit */
    size_t layers;    /* blocks of the model that are computed; 0: all. With fewer there are no logits: such an engine
                         scores hidden states alone (WH_SCORE_HIDDEN), and saves the blocks above */
} wh_engine_opts;

/* Borrows model, tok and par, which must outlive it. All memory of the token loop is taken here;
 * WH_ERR_BUDGET says how much is needed when `memory` does not suffice for one sequence. */
wh_code wh_engine_create(wh_engine **out, const wh_model *model, const wh_tok *tok, wh_par *par,
                         const wh_engine_opts *opts, wh_err *err);
void    wh_engine_free(wh_engine *e);
size_t  wh_engine_context(const wh_engine *e);
const wh_cost *wh_engine_cost(const wh_engine *e);
wh_cost wh_engine_cost_of(const wh_config *c); /* before there is an engine */

/* ---- generation ------------------------------------------------------------------------------------ */

typedef struct wh_sampling {
    float    temperature; /* 0: greedy (the lowest id wins ties) */
    int      top_k;       /* 0: off */
    float    top_p;       /* 1: off; the smallest set of tokens whose probability reaches it */
    float    min_p;       /* 0: off; tokens at least this probable relative to the best */
    uint64_t seed;
} wh_sampling;

typedef enum {
    WH_STOP_EOS,      /* the model ended its turn */
    WH_STOP_STRING,   /* a stop string appeared; the text ends with it */
    WH_STOP_LENGTH,   /* max_tokens */
    WH_STOP_CONTEXT,  /* the context is full */
    WH_STOP_LOOP,     /* the repetition guard: the same tokens again and again */
    WH_STOP_CANCELLED /* wh_engine_cancel, or a step failed */
} wh_stop;
const char *wh_stop_name(wh_stop stop);

/* A probe looks at the hidden states that a generation makes anyway, and marks tokens with what it reads there. */
typedef struct wh_probe {
    const uint32_t *layers; /* whose states it looks at: as in wh_score_spec, not NULL */
    size_t          n_layers;
    /* Called once for each token that is drawn, in order: `next` (an end token too) was drawn from the state of
     * tokens[n - 1], the prefix included. The text that the model writes begins at tokens[begin]. True: *value is
     * a mark at that last token. */
    bool (*look)(void *ctx, double *value, const int32_t *tokens, size_t n, size_t begin, int32_t next, const float *state);
    void    *ctx;
    uint64_t flops; /* of a mark */
} wh_probe;

typedef struct wh_mark {
    size_t position; /* in prefix and generated tokens */
    double value;
} wh_mark;

typedef struct wh_gen_result {
    const int32_t *tokens; /* generated; an end token is not among them */
    size_t         n_tokens;
    const char    *text;   /* their bytes as whole UTF-8 characters, cut after a stop string; zero-terminated */
    size_t         text_len;
    wh_stop        stop;
    double         logprob; /* sum of the natural log-probabilities of the tokens, at the job's temperature (greedy: 1) */
    wh_ledger      ledger;  /* what this job computed, without its probe */
    const wh_mark *marks;   /* in order of position */
    size_t         n_marks;
    uint64_t       probe_flops;
} wh_gen_result;

typedef struct wh_gen_spec {
    const int32_t *prefix; /* copied; n_prefix >= 1 */
    size_t         n_prefix;
    wh_sampling    sampling;
    uint64_t       stream;     /* which sample: random numbers are keyed by (seed, stream, position) */
    size_t         max_tokens; /* >= 1 */
    const char *const *stops;  /* copied; strings to end at, may be NULL */
    size_t         n_stops;
    bool           ignore_eos; /* benchmarks: go on past end tokens */
    bool           loop_guard; /* end with WH_STOP_LOOP when the text repeats itself endlessly */
    const wh_probe *probe; /* NULL: none; must live until on_done */
    size_t         begin;  /* for the probe: where in the prefix the model's own text begins, <= n_prefix */
    /* Optional: each piece of whole UTF-8 as it comes (may be several tokens late, never empty). */
    void (*on_text)(void *user, const char *text, size_t n);
    void (*on_done)(void *user, const wh_gen_result *r); /* r is valid during the call */
    void  *user;
} wh_gen_spec;

/* ---- scoring ----------------------------------------------------------------------------------------- */

typedef enum {
    WH_SCORE_LOGITS,  /* the logits of the tokens `ids`: width n_ids; only those rows of the head are computed */
    WH_SCORE_HIDDEN,  /* the hidden states behind the blocks `layers`, one after the other: width n_layers · d. Behind
                         the last block it is normed as the LM head reads it, behind others divided by its root
                         mean square (model/forward.h: wh_tap) */
    WH_SCORE_LOGPROB  /* natural log-probability of the token that follows, prefix[position + 1]: width 1 */
} wh_score_what;

typedef struct wh_score_result {
    const float *values; /* (n_positions, width) */
    size_t       n_positions, width;
    bool         cancelled;
    wh_ledger    ledger;
} wh_score_result;

typedef struct wh_score_spec {
    const int32_t *prefix; /* copied */
    size_t         n_prefix;
    const size_t  *positions; /* copied; strictly ascending, < n_prefix (WH_SCORE_LOGPROB: < n_prefix - 1) */
    size_t         n_positions;
    wh_score_what  what;
    const int32_t *ids; /* copied; WH_SCORE_LOGITS alone */
    size_t         n_ids;
    const uint32_t *layers; /* copied; WH_SCORE_HIDDEN alone: ascending, from 1 to the engine's; NULL: the model's last */
    size_t         n_layers;
    void (*on_done)(void *user, const wh_score_result *r);
    void  *user;
} wh_score_spec;

typedef uint64_t wh_job; /* never 0, never reused */

/* Refuse with WH_ERR_ARG (nonsense) or WH_ERR_BUDGET (prefix longer than the context). Jobs start in the
 * order of submission. */
wh_code wh_engine_generate(wh_engine *e, wh_job *job, const wh_gen_spec *spec, wh_err *err);
wh_code wh_engine_score(wh_engine *e, wh_job *job, const wh_score_spec *spec, wh_err *err);
/* The job ends in the next step, before any more token, with what it has (on_done is called). Unknown jobs
 * are ignored. */
void    wh_engine_cancel(wh_engine *e, wh_job job);

/* Advance every running job by one token (and waiting prefixes by up to a chunk). *idle: nothing is left
 * to do. */
wh_code wh_engine_step(wh_engine *e, bool *idle, wh_err *err);

typedef struct wh_engine_stats {
    wh_ledger ledger;           /* all jobs so far */
    uint64_t  steps, jobs_done, jobs_preempted;
    double    seconds;          /* spent in steps */
    size_t    kv_blocks, kv_blocks_used; /* used: in running jobs or kept for reuse */
    size_t    kv_bytes, scratch_bytes;
} wh_engine_stats;
void wh_engine_get_stats(const wh_engine *e, wh_engine_stats *out);

#endif
