/* The engine's step: let jobs in, plan the rows of a batch, run it, hand out what came of it.
 *
 * Jobs wait in a line and are active in an array of max_rows places. A step takes one row from every job
 * that has a single token to compute (decoding) and up to `chunk` rows in all from prefixes. Memory is given
 * out in order of age; when it runs out, the youngest job loses its place and its KV, goes back to the head
 * of the line and later computes its tokens again: the same tokens, since nothing depends on the batch.
 */
#include "engine/engine_impl.h"

#include "base/clock.h"
#include "base/rng.h"

#include <stdlib.h>

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
        if (j->ended) wh_engine_free_job(e, j);
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
        wh_engine_free_job(e, j);
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
