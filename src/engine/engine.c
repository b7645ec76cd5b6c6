/* The engine's step: let jobs in, plan the rows of a batch, run it, hand out what came of it.
 *
 * Jobs wait in a line and are active in an array of max_rows places. A step takes one row from every job
 * that has a single token to compute (decoding) and up to `chunk` rows in all from prefixes. Memory is given
 * out in order of age; when it runs out, the youngest job loses its place and its KV, goes back to the head
 * of the line and later computes its tokens again: the same tokens, since nothing depends on the batch.
 */
#include "engine/engine.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/cache.h"
#include "engine/job.h"
#include "engine/sampler.h"
#include "model/forward.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- life -------------------------------------------------------------------------------------------- */

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

static void free_job(wh_engine *e, job *j)
{
    wh_cache_close(e->cache, &j->seq);
    job_free(j);
}

void wh_engine_free(wh_engine *e)
{
    if (!e) return;
    for (size_t i = 0; i < e->n_active; i++) free_job(e, e->active[i]);
    for (job *j = e->waiting, *next; j; j = next) {
        next = j->next;
        free_job(e, j);
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

/* ---- jobs in and out --------------------------------------------------------------------------------- */

static job_host host_of(const wh_engine *e)
{
    return (job_host){.cache = e->cache, .tok = e->tok, .context = e->context, .d = e->config.d, .vocab = e->config.vocab,
                      .layers = e->config.layers, .model_layers = e->model->config.layers};
}

static void submit(wh_engine *e, job *j, wh_job *id)
{
    j->id = ++e->last_id;
    *e->waiting_end = j;
    e->waiting_end = &j->next;
    if (id) *id = j->id;
}

wh_code wh_engine_generate(wh_engine *e, wh_job *id, const wh_gen_spec *spec, wh_err *err)
{
    job *j;
    const wh_sampling *s = &spec->sampling;
    const job_host host = host_of(e);
    WH_TRY(job_create_gen(&j, spec, &host, err));
    wh_code code = WH_OK;
    if (spec->n_prefix == e->context)
        code = wh_err_set(err, WH_ERR_BUDGET, "the prompt has %zu tokens and fills the context: nothing can be generated",
                          spec->n_prefix);
    if (code == WH_OK && (s->top_k > 0 || s->top_p < 1 || s->min_p > 0)) code = wh_sampler_allow_truncation(e->sampler, err);
    if (code != WH_OK) {
        job_free(j);
        return code;
    }
    submit(e, j, id);
    return WH_OK;
}

wh_code wh_engine_score(wh_engine *e, wh_job *id, const wh_score_spec *spec, wh_err *err)
{
    job *j;
    const job_host host = host_of(e);
    WH_TRY(job_create_score(&j, spec, &host, err));
    submit(e, j, id);
    return WH_OK;
}

void wh_engine_cancel(wh_engine *e, wh_job id)
{
    for (size_t i = 0; i < e->n_active; i++)
        if (e->active[i]->id == id) e->active[i]->cancelled = true;
    for (job *j = e->waiting; j; j = j->next)
        if (j->id == id) j->cancelled = true;
}

static void end_job(wh_engine *e, job *j, wh_stop stop)
{
    e->stats.jobs_done++;
    wh_ledger_add(&e->stats.ledger, &j->ledger);
    job_finish(j, stop);
}

/* Remove and free the active jobs that have ended. */
static void sweep(wh_engine *e)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->n_active; i++) {
        job *j = e->active[i];
        if (j->ended) free_job(e, j);
        else e->active[kept++] = j;
    }
    e->n_active = kept;
}

static void drop_cancelled(wh_engine *e)
{
    for (size_t i = 0; i < e->n_active; i++)
        if (e->active[i]->cancelled) end_job(e, e->active[i], WH_STOP_CANCELLED);
    sweep(e);
    /* A callback may submit and cancel more; what it adds stands behind. */
    for (job **at = &e->waiting; *at;) {
        job *j = *at;
        if (!j->cancelled) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        if (!j->next) e->waiting_end = at;
        end_job(e, j, WH_STOP_CANCELLED);
        free_job(e, j);
    }
}

/* Would j do better to wait, because an active job is computing a prefix that it shares? */
static bool worth_waiting(const wh_engine *e, const job *j)
{
    enum { GAIN = 8 }; /* tokens */
    size_t most = job_reusable(j), now = wh_cache_match(e->cache, j->tokens, most);
    for (size_t i = 0; i < e->n_active; i++) {
        const job *a = e->active[i];
        size_t n = a->n_tokens < most ? a->n_tokens : most, same = 0;
        if (a->n_tokens - a->computed <= 1) continue; /* not in its prefix any more */
        while (same < n && a->tokens[same] == j->tokens[same]) same++;
        if (same >= now + GAIN && same > a->computed) return true;
    }
    return false;
}

static void admit(wh_engine *e)
{
    while (e->waiting && e->n_active < e->max_jobs && !worth_waiting(e, e->waiting)) {
        job *j = e->waiting;
        e->waiting = j->next;
        if (!e->waiting) e->waiting_end = &e->waiting;
        j->next = NULL;
        wh_cache_open(e->cache, &j->seq, j->tokens, job_reusable(j));
        j->computed = j->found = j->seq.len;
        j->ledger.reused_tokens += j->computed;
        /* In order of age: a job that was put back is older than what came in since. */
        size_t at = e->n_active++;
        for (; at > 0 && e->active[at - 1]->id > j->id; at--) e->active[at] = e->active[at - 1];
        e->active[at] = j;
    }
}

/* The youngest active job goes back to the head of the line. */
static void preempt_youngest(wh_engine *e)
{
    job *j = e->active[--e->n_active];
    wh_cache_close(e->cache, &j->seq);
    j->computed = j->planned = 0;
    j->next = e->waiting;
    if (!e->waiting) e->waiting_end = &j->next;
    e->waiting = j;
    e->stats.jobs_preempted++;
}

/* ---- the batch --------------------------------------------------------------------------------------- */

/* Give each active job, oldest first, the rows it gets in this step and the room for their KV. */
static void plan(wh_engine *e)
{
    size_t left = e->chunk;
    for (size_t i = 0; i < e->n_active; i++) e->active[i]->planned = 0;
    for (size_t i = 0; i < e->n_active; i++) {
        job *j = e->active[i];
        size_t want = j->n_tokens - j->computed;
        if (want > 1) {
            want = want < left ? want : left;
            left -= want;
        }
        while (j->planned < want) {
            if (wh_cache_extend(e->cache, &j->seq, j->tokens[j->computed + j->planned])) j->planned++;
            else if (j->planned) break;
            else if (e->n_active - 1 > i) preempt_youngest(e);
            else {
                preempt_youngest(e); /* j itself is the youngest left */
                return;
            }
        }
    }
}

/* Sequences that share blocks stand together, so that attention reads a shared block once. */
static int by_table(const void *a, const void *b)
{
    const job *x = *(job *const *)a, *y = *(job *const *)b;
    size_t n = x->seq.blocks < y->seq.blocks ? x->seq.blocks : y->seq.blocks;
    for (size_t i = 0; i < n; i++)
        if (x->seq.nodes[i] != y->seq.nodes[i]) return x->seq.nodes[i] < y->seq.nodes[i] ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Does an out row of j read the whole LM head, or (head false) a part of it? */
static bool wants_head(const job *j, bool head)
{
    bool whole = !j->scores || j->what == WH_SCORE_LOGPROB;
    return head ? whole : j->scores && j->what == WH_SCORE_LOGITS;
}

/* Where the values of a job's out row or tap go: a generation has one place, for its probe. */
static float *values_of(const job *j, size_t slot) { return j->scores ? j->values + slot * j->width : j->values; }

static void add_tap(wh_engine *e, wh_batch *b, job *j, size_t row, size_t slot)
{
    e->tap_jobs[b->n_taps] = j;
    e->tap_slots[b->n_taps] = slot;
    e->taps[b->n_taps++] = (wh_tap){.row = (uint32_t)row, .n = j->n_layers, .layers = j->layers, .to = values_of(j, slot)};
}

/* Rows of the planned jobs; then the out rows, those that need the whole head first; and the taps. */
static void build(wh_engine *e, wh_batch *b)
{
    size_t n_jobs = 0;
    for (size_t i = 0; i < e->n_active; i++)
        if (e->active[i]->planned) e->order[n_jobs++] = e->active[i];
    qsort(e->order, n_jobs, sizeof *e->order, by_table);
    *b = (wh_batch){.tokens = e->tokens, .positions = e->positions, .open = e->open, .tables = e->tables,
                    .close_from = e->close_from, .close_to = e->close_to, .out_rows = e->out_rows, .taps = e->taps};
    for (int head = 1; head >= 0; head--) {
        size_t row = 0;
        for (size_t i = 0; i < n_jobs; i++) {
            job *j = e->order[i];
            size_t p = j->next_position;
            for (size_t k = 0; k < j->planned; k++, row++) {
                size_t at = j->computed + k;
                e->tokens[row] = j->tokens[at];
                e->positions[row] = (uint32_t)at;
                e->tables[row] = j->seq.table;
                e->open[row] = wh_cache_open_half(e->cache, &j->seq, at);
                if (head && at % WH_KV_BLOCK == WH_KV_BLOCK - 1) {
                    e->close_from[b->n_close] = e->open[row];
                    e->close_to[b->n_close++] = j->seq.table[at / WH_KV_BLOCK];
                }
                bool out = j->scores ? p < j->n_positions && j->positions[p] == at : at + 1 == j->n_tokens;
                if (out && head && j->n_layers) add_tap(e, b, j, row, p++);
                if (!out || !wants_head(j, head)) continue;
                wh_pick *s = &e->picks[b->n_out];
                *s = (wh_pick){.target = -1, .top_p = 1};
                if (j->scores) {
                    if (j->what == WH_SCORE_LOGPROB) s->target = j->tokens[at + 1];
                } else {
                    s->temperature = j->sampling.temperature;
                    s->top_k = j->sampling.top_k;
                    s->top_p = j->sampling.top_p;
                    s->min_p = j->sampling.min_p;
                    s->uniform = wh_rng_uniform(j->sampling.seed, j->stream, j->n_tokens);
                }
                e->out_jobs[b->n_out] = j;
                e->out_slots[b->n_out] = p++;
                e->out_rows[b->n_out++] = (uint32_t)row;
            }
        }
        b->n = row;
        if (head) b->n_logits = b->n_out;
    }
}

/* A scoring job's out row becomes values. */
static void collect_score(wh_engine *e, job *j, size_t out, size_t slot)
{
    float *values = values_of(j, slot);
    size_t vocab = e->config.vocab;
    j->next_position = slot + 1;
    if (j->what == WH_SCORE_LOGPROB) {
        values[0] = (float)e->picks[out].logprob;
        return;
    }
    for (size_t i = 0; i < j->width; i++) {
        size_t begin = (size_t)j->ids[i] / WH_PANEL * WH_PANEL;
        size_t end = begin + WH_PANEL < vocab ? begin + WH_PANEL : vocab;
        float logits[WH_PANEL];
        wh_forward_logits(e->forward, 0, logits, out, begin, end);
        values[i] = logits[(size_t)j->ids[i] - begin];
    }
    j->ledger.head += j->width * e->cost.head / vocab;
}

/* FLOPs of the rows that j had in this step; `logits`: rows of the whole head, scoring pays only for what
 * it looks at. */
static void account(wh_engine *e, job *j, uint64_t logits)
{
    size_t prefix = j->computed < j->n_prefix ? j->n_prefix - j->computed : 0;
    j->ledger.prefill_tokens += j->planned < prefix ? j->planned : prefix;
    wh_ledger_count(&j->ledger, &e->cost, j->computed, j->planned, logits);
}

/* A prompt that j computed itself may be wanted by samples that start later, when j has gone on from its last
 * block and closed it. */
static void keep_prompt(wh_engine *e, const job *j)
{
    enum { WORTH = 8 }; /* tokens */
    if (!j->scores && j->computed == j->n_prefix && j->n_prefix - j->found >= WORTH) wh_cache_keep(e->cache, &j->seq, j->n_prefix);
}

static void collect(wh_engine *e, const wh_batch *b)
{
    for (size_t i = 0; i < e->n_active; i++) {
        job *j = e->active[i];
        if (!j->planned) continue;
        uint64_t logits = 0;
        for (size_t o = 0; o < b->n_logits; o++) logits += e->out_jobs[o] == j;
        account(e, j, logits);
        j->computed += j->planned;
        keep_prompt(e, j);
        wh_cache_commit(e->cache, &j->seq, j->computed);
    }
    for (size_t o = 0; o < b->n_out; o++) {
        job *j = e->out_jobs[o];
        if (j->scores) collect_score(e, j, o, e->out_slots[o]);
    }
    for (size_t t = 0; t < b->n_taps; t++)
        if (e->tap_jobs[t]->scores) e->tap_jobs[t]->next_position = e->tap_slots[t] + 1;
    /* Owners are told in order of age, whatever the order of the rows. */
    for (size_t i = 0; i < e->n_active; i++) {
        job *j = e->active[i];
        if (j->scores) {
            if (j->next_position == j->n_positions) end_job(e, j, WH_STOP_LENGTH);
            continue;
        }
        for (size_t o = 0; o < b->n_logits; o++) {
            wh_stop stop;
            if (e->out_jobs[o] != j) continue;
            if (j->probe) job_probe(j, e->picks[o].token);
            if (job_append(j, e->tok, e->picks[o].token, e->picks[o].logprob, &stop)) end_job(e, j, stop);
            break;
        }
    }
    sweep(e);
}

wh_code wh_engine_step(wh_engine *e, bool *idle, wh_err *err)
{
    if (e->stepping) return wh_err_set(err, WH_ERR_ARG, "wh_engine_step was called from a callback");
    e->stepping = true;
    double start = wh_clock_now();
    drop_cancelled(e);
    admit(e);
    plan(e);
    wh_batch batch;
    build(e, &batch);
    if (batch.n) {
        wh_forward_run(e->forward, &e->kv, &batch, wh_sampler_sink(e->sampler, e->picks));
        e->stats.steps++;
        collect(e, &batch);
    }
    e->stats.seconds += wh_clock_now() - start;
    *idle = !e->n_active && !e->waiting;
    e->stepping = false;
    return WH_OK;
}
