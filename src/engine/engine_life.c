/* What an engine takes when it is made: everything that the token loop needs, sized by the batch, the context and the
 * memory that it may have. */
#include "engine/engine_impl.h"

#include "base/mem.h"

#include <stdlib.h>

wh_cost wh_engine_cost_of(const wh_config *c)
{
    uint64_t d = c->d, q = c->heads * c->head_dim, k = c->kv_heads * c->head_dim, f = c->ffn;
    wh_cost cost = {.body = c->layers * (2 * d * q + 4 * d * k + 2 * q * d + 6 * d * f),
                    .head = 2 * d * c->vocab,
                    .attn_per_key = 4 * c->layers * q};
    cost.params = (cost.body + cost.head) / 2;
    return cost;
}

/* Open blocks: each job has one, a chunk of a prefix spans some more, and the tails of prompts are kept; a path that
 * goes on has a copy of its old one. */
static size_t open_blocks(const wh_engine *e) { return e->max_jobs + e->max_jobs / 4 + e->chunk / WH_KV_BLOCK + 4 + 2 * e->paths; }

/* Paths whose tails so many bytes hold. */
static size_t paths_in(const wh_engine *e, size_t bytes)
{
    size_t n = bytes / (2 * wh_kv_open_bytes(&e->config));
    return n < e->paths ? n : e->paths;
}

static wh_code size_cache(size_t *closed, wh_engine *e, size_t memory, size_t scratch, wh_err *err)
{
    enum { USUAL_TOKENS = 2048 };
    const wh_config *c = &e->config;
    size_t one = wh_kv_closed_bytes(c), least = e->context / WH_KV_BLOCK + 1;
    size_t tails = 2 * e->paths * wh_kv_open_bytes(c), fixed = scratch + open_blocks(e) * wh_kv_open_bytes(c) - tails;
    if (memory) {
        if (memory < fixed + least * one)
            return wh_err_set(err, WH_ERR_BUDGET,
                              "a memory limit of %zu MiB is too small: %zu MiB for a batch of %zu and %zu MiB for one "
                              "sequence of %zu tokens are needed", memory >> 20, (fixed >> 20) + 1, e->max_jobs,
                              (least * one >> 20) + 1, e->context);
        e->paths = paths_in(e, (memory - fixed - least * one) / 4);
        *closed = (memory - fixed - 2 * e->paths * wh_kv_open_bytes(c)) / one;
    } else {
        e->paths = paths_in(e, wh_mem_available() / 8);
        size_t room = wh_mem_available() / 2 / one;
        size_t want = e->max_jobs * (USUAL_TOKENS / WH_KV_BLOCK + 1), waiting = e->paths * least;
        if (want < waiting) want = waiting;
        *closed = want < room ? want : room;
        if (*closed < least) *closed = least;
    }
    size_t most = (e->max_jobs + e->paths) * least;
    if (*closed > most) *closed = most;
    if (*closed > INT32_MAX / 2) *closed = INT32_MAX / 2;
    return WH_OK;
}

static wh_code create_parts(wh_engine *e, size_t memory, wh_err *err)
{
    size_t rows = e->max_rows, closed = 0;
    WH_TRY(wh_forward_create(&e->forward, e->model, e->par, e->config.layers, rows, e->context, err));
    WH_TRY(wh_sampler_create(&e->sampler, e->forward, e->model, rows, wh_par_threads(e->par), err));
    e->stats.scratch_bytes = wh_forward_bytes(e->forward) + wh_sampler_bytes(e->sampler);
    WH_TRY(size_cache(&closed, e, memory, e->stats.scratch_bytes, err));
    WH_TRY(wh_kv_create(&e->kv, &e->config, open_blocks(e), closed, err));
    WH_TRY(wh_cache_create(&e->cache, &e->kv, e->context, err));
    e->stats.kv_blocks = e->kv.n_open + e->kv.n_closed;
    e->stats.kv_bytes = e->kv.n_open * e->kv.open_bytes + e->kv.n_closed * e->kv.closed_bytes;
    e->active = wh_mem_alloc(e->max_jobs, sizeof *e->active);
    e->order = wh_mem_alloc(e->max_jobs, sizeof *e->order);
    e->tokens = wh_mem_alloc(rows, sizeof *e->tokens);
    e->positions = wh_mem_alloc(rows, sizeof *e->positions);
    e->out_rows = wh_mem_alloc(rows, sizeof *e->out_rows);
    e->tables = wh_mem_alloc(rows, sizeof *e->tables);
    e->open = wh_mem_alloc(rows, sizeof *e->open);
    e->close_from = wh_mem_alloc(rows, sizeof *e->close_from);
    e->close_to = wh_mem_alloc(rows, sizeof *e->close_to);
    e->out_jobs = wh_mem_alloc(rows, sizeof *e->out_jobs);
    e->out_slots = wh_mem_alloc(rows, sizeof *e->out_slots);
    e->picks = wh_mem_alloc(rows, sizeof *e->picks);
    e->taps = wh_mem_alloc(rows, sizeof *e->taps);
    e->tap_jobs = wh_mem_alloc(rows, sizeof *e->tap_jobs);
    e->tap_slots = wh_mem_alloc(rows, sizeof *e->tap_slots);
    if (!e->active || !e->order || !e->tokens || !e->positions || !e->out_rows || !e->tables || !e->open ||
        !e->close_from || !e->close_to || !e->out_jobs || !e->out_slots || !e->picks || !e->taps || !e->tap_jobs ||
        !e->tap_slots)
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a batch of %zu rows", rows);
    return WH_OK;
}

wh_code wh_engine_create(wh_engine **out, const wh_model *model, const wh_tok *tok, wh_par *par,
                         const wh_engine_opts *opts, wh_err *err)
{
    enum { DEFAULT_JOBS = 64, DEFAULT_CHUNK = 256, MOST = 1 << 16 };
    *out = NULL;
    if (wh_tok_count(tok) > model->config.vocab)
        return wh_err_set(err, WH_ERR_FORMAT, "the tokenizer has %zu tokens, the model %zu", wh_tok_count(tok),
                          model->config.vocab);
    wh_engine *e = wh_mem_zalloc(1, sizeof *e);
    if (!e) return wh_err_set(err, WH_ERR_NOMEM, "no memory for an engine");
    e->model = model;
    e->tok = tok;
    e->par = par;
    e->config = model->config;
    if (opts->layers && opts->layers < e->config.layers) e->config.layers = opts->layers;
    e->cost = wh_engine_cost_of(&e->config);
    e->waiting_end = &e->waiting;
    e->max_jobs = opts->max_rows ? opts->max_rows : DEFAULT_JOBS;
    e->chunk = opts->chunk ? opts->chunk : DEFAULT_CHUNK;
    e->context = opts->context ? opts->context : model->config.context;
    e->max_rows = e->max_jobs + e->chunk;
    e->paths = opts->paths < MOST ? opts->paths : MOST;
    wh_code code = WH_OK;
    if (opts->layers > model->config.layers)
        code = wh_err_set(err, WH_ERR_ARG, "%zu layers: the model has %zu", opts->layers, model->config.layers);
    else if (e->context > model->config.context)
        code = wh_err_set(err, WH_ERR_ARG, "a context of %zu tokens: the model was trained for %zu", e->context,
                          model->config.context);
    else if (e->max_jobs > MOST || e->chunk > MOST)
        code = wh_err_set(err, WH_ERR_ARG, "%zu rows and chunks of %zu tokens: at most %d are possible", e->max_jobs,
                          e->chunk, MOST);
    if (code == WH_OK) code = create_parts(e, opts->memory, err);
    if (code != WH_OK) {
        wh_engine_free(e);
        return code;
    }
    *out = e;
    return WH_OK;
}

void wh_engine_free_job(wh_engine *e, job *j)
{
    wh_cache_close(e->cache, &j->seq);
    job_free(j);
}

void wh_engine_free(wh_engine *e)
{
    if (!e) return;
    for (size_t i = 0; i < e->n_active; i++) wh_engine_free_job(e, e->active[i]);
    for (job *j = e->waiting, *next; j; j = next) {
        next = j->next;
        wh_engine_free_job(e, j);
    }
    wh_sampler_free(e->sampler);
    wh_forward_free(e->forward);
    wh_cache_free(e->cache);
    wh_kv_free(&e->kv);
    void *all[] = {e->active, e->order, e->tokens, e->positions, e->out_rows, e->tables, e->open, e->close_from,
                   e->close_to, e->out_jobs, e->out_slots, e->picks, e->taps, e->tap_jobs, e->tap_slots};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    free(e);
}

size_t wh_engine_context(const wh_engine *e) { return e->context; }
const wh_cost *wh_engine_cost(const wh_engine *e) { return &e->cost; }

void wh_engine_get_stats(const wh_engine *e, wh_engine_stats *out)
{
    *out = e->stats;
    out->kv_blocks_used = wh_cache_used(e->cache);
}
