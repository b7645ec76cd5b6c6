/* job: one generation or scoring job: its tokens, its text, when it ends. Knows nothing of batches. */
#ifndef WH_ENGINE_JOB_H
#define WH_ENGINE_JOB_H

#include "engine/cache.h"
#include "engine/engine.h"

typedef struct job {
    wh_job   id;
    bool     scores; /* a scoring job; else a generation */
    bool     cancelled, ended;
    int32_t *tokens; /* prefix, then what was generated; room for the longest it can get */
    size_t   n_tokens, n_prefix;
    size_t   computed;        /* of tokens: K and V are in the cache */
    size_t   found;           /* of them: found in the cache when the job started */
    size_t   planned;         /* rows in the batch being built */
    wh_cache_seq seq;
    wh_ledger    ledger;
    struct job  *next; /* in the waiting line */

    /* generation */
    wh_sampling sampling;
    uint64_t    stream;
    size_t      most; /* n_tokens may not exceed it */
    bool        most_is_context, ignore_eos, loop_guard;
    char      **stops;
    size_t      n_stops, longest_stop;
    wh_tok_decoder decoder;
    wh_buf      text;
    double      logprob;
    const wh_probe *probe;
    size_t      begin, n_marks;
    wh_mark    *marks; /* room for one at every token */
    void (*on_text)(void *, const char *, size_t);
    void (*on_done_gen)(void *, const wh_gen_result *);

    /* scoring */
    wh_score_what what;
    size_t  *positions, n_positions, next_position, width;
    int32_t *ids;
    void (*on_done_score)(void *, const wh_score_result *);

    /* of the hidden states that are looked at, if any: scoring, or a generation with a probe */
    uint32_t *layers, n_layers;
    float    *values; /* (n_positions, width) of all that is scored; a probe's (n_layers, d) */

    void *user;
} job;

/* What a job must fit into. */
typedef struct job_host {
    const wh_cache *cache;
    const wh_tok   *tok;
    size_t          context, d, vocab;
    size_t          layers, model_layers; /* blocks that are computed, and that there are */
} job_host;

/* Check and copy. *out is NULL on failure. */
wh_code job_create_gen(job **out, const wh_gen_spec *spec, const job_host *host, wh_err *err);
wh_code job_create_score(job **out, const wh_score_spec *spec, const job_host *host, wh_err *err);
void    job_free(job *j); /* its sequence must be closed */

/* How much of the prefix may be taken from the cache: the last token is always computed, for its logits,
 * and so is everything from the first position a scoring job looks at. */
size_t job_reusable(const job *j);

/* The next token of a generation was drawn: its probe looks at the state in values. */
void job_probe(job *j, int32_t next);

/* A generation job gets its next token. Returns true when that ends it; *stop then says why. */
bool job_append(job *j, const wh_tok *tok, int32_t token, double logprob, wh_stop *stop);

/* Tell the owner; the job is over. */
void job_finish(job *j, wh_stop stop);

#endif
