/* A backend without models for tests of searches: texts and scores come from a script.
 *
 * A token is a byte. The script is asked by the place in the tree, "0/2/1" for sample 1 of sample 2 of
 * sample 0 of the root ("0/2/1+1" for the second step inside that node), which the fake works out from the
 * random stream of the job: a job with a stream that belongs to no place is an error of the driver.
 * FLOPs are counted as an engine counts them that finds every prefix it has computed before.
 */
#ifndef FAKE_BACKEND_H
#define FAKE_BACKEND_H

#include "base/mem.h"
#include "base/rng.h"
#include "search/backend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_FANOUT = 32, FAKE_TABLE = 1 << 15 };

typedef struct fake_job {
    wh_job           job;
    bool             scoring, cancelled;
    wh_gen_spec      gen;
    wh_prm_spec      judge;
    size_t           n_fit;
    char            *text;   /* what it will write */
    wh_stop          stop;
    size_t           length, at; /* tokens to write (steps to wait), done so far */
    double           scores[64];
    wh_ledger        ledger;
    struct fake_job *next;
} fake_job;

typedef struct fake_place {
    uint64_t           seed, stream;
    char               path[120];
    struct fake_place *next;
} fake_place;

typedef struct fake {
    /* What the model writes at a place; ends its turn at the end of the text. */
    const char *(*script)(void *user, const char *path, uint64_t seed);
    /* The probability of the last of the steps. NULL: no PRM. */
    double (*score)(void *user, const char *question, const char *const *steps, size_t n);
    void       *user;
    size_t      rows;    /* jobs that advance together */
    size_t      context; /* tokens of a sequence */
    size_t      judge_steps; /* that fit into the PRM's context; 0: all */
    bool        judge_blind; /* not even one fits */
    int         fail_after;  /* steps until the backend breaks; 0: never */
    wh_cost     policy, prm;
    wh_ledger   policy_total, prm_total;
    size_t      n_generated, n_scored, n_steps, most_running;
    wh_job      last;
    fake_job   *jobs, **end;
    fake_place *places;
    uint64_t   *known[2]; /* hashes of the prefixes computed so far: policy, PRM */
} fake;

static uint64_t fake_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

/* true when the hash was in the table. */
static bool fake_know(uint64_t *table, uint64_t h, bool insert)
{
    if (!h) h = 1;
    for (size_t i = h % FAKE_TABLE, tries = 0;; i = (i + 1) % FAKE_TABLE) {
        assert(tries++ < FAKE_TABLE / 2);
        if (table[i] == h) return true;
        if (!table[i]) {
            if (insert) table[i] = h;
            return false;
        }
    }
}

/* How much of the prefix is known (never all of it); afterwards all is. */
static size_t fake_reuse(uint64_t *table, const int32_t *prefix, size_t n)
{
    size_t reused = 0;
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++) {
        h = fake_mix(h, (uint64_t)(uint32_t)prefix[i] + 1);
        if (fake_know(table, h, true) && i + 1 < n && reused == i) reused = i + 1;
    }
    return reused;
}

static fake_place *fake_add_place(fake *f, uint64_t seed, uint64_t stream, const char *path)
{
    fake_place *p = calloc(1, sizeof *p);
    assert(p && strlen(path) < sizeof p->path);
    p->seed = seed;
    p->stream = stream;
    strcpy(p->path, path);
    p->next = f->places;
    f->places = p;
    return p;
}

static const char *fake_find_place(fake *f, uint64_t seed, uint64_t stream)
{
    bool any = false;
    for (fake_place *p = f->places; p; p = p->next) {
        any = any || (p->seed == seed && !p->path[0]);
        if (p->seed == seed && p->stream == stream) return p->path;
    }
    if (!any) fake_add_place(f, seed, 0, "");
    char path[200];
    for (fake_place *p = f->places; p; p = p->next) {
        if (p->seed != seed) continue;
        for (uint64_t i = 0; i < FAKE_FANOUT; i++)
            if (wh_rng_substream(p->stream, i) == stream) {
                snprintf(path, sizeof path, "%s%s%u", p->path, p->path[0] ? "/" : "", (unsigned)i);
                return fake_add_place(f, seed, stream, path)->path;
            }
        for (uint64_t i = 1; i < 8; i++)
            if (wh_rng_substream(p->stream, (UINT64_C(1) << 32) + i) == stream) {
                snprintf(path, sizeof path, "%s+%u", p->path, (unsigned)i);
                return fake_add_place(f, seed, stream, path)->path;
            }
    }
    assert(false && "a random stream that belongs to no place in the tree");
    return NULL;
}

static fake_job *fake_submit(fake *f, wh_job *job)
{
    fake_job *j = calloc(1, sizeof *j);
    assert(j);
    j->job = *job = ++f->last;
    if (!f->jobs) f->end = &f->jobs;
    *f->end = j;
    f->end = &j->next;
    return j;
}

static wh_code fake_generate(void *self, wh_job *job, const wh_gen_spec *spec, wh_err *err)
{
    fake *f = self;
    if (spec->n_prefix >= f->context)
        return wh_err_set(err, WH_ERR_BUDGET, "a prefix of %zu tokens does not fit a context of %zu", spec->n_prefix,
                          f->context);
    assert(spec->max_tokens > 0);
    const char *text = f->script(f->user, fake_find_place(f, spec->sampling.seed, spec->stream), spec->sampling.seed);
    fake_job *j = fake_submit(f, job);
    j->gen = *spec;
    j->text = strdup(text ? text : "");
    j->length = strlen(j->text);
    j->stop = WH_STOP_EOS;
    for (size_t i = 0; i < spec->n_stops; i++) {
        const char *at = strstr(j->text, spec->stops[i]);
        if (at && (size_t)(at - j->text) + strlen(spec->stops[i]) <= j->length) {
            j->length = (size_t)(at - j->text) + strlen(spec->stops[i]);
            j->stop = WH_STOP_STRING;
        }
    }
    if (j->length > spec->max_tokens) {
        j->length = spec->max_tokens;
        j->stop = WH_STOP_LENGTH;
    }
    if (j->length > f->context - spec->n_prefix) {
        j->length = f->context - spec->n_prefix;
        j->stop = WH_STOP_CONTEXT;
    }
    size_t reused = fake_reuse(f->known[0], spec->prefix, spec->n_prefix);
    wh_ledger_count(&j->ledger, &f->policy, reused, spec->n_prefix - reused, 1);
    j->ledger.prefill_tokens = spec->n_prefix - reused;
    j->ledger.reused_tokens = reused;
    uint64_t h = 0;
    for (size_t i = 0; i < spec->n_prefix; i++) h = fake_mix(h, (uint64_t)(uint32_t)spec->prefix[i] + 1);
    for (size_t i = 0; i + 1 < j->length; i++) { /* the last token is sampled, not computed */
        h = fake_mix(h, (uint64_t)(unsigned char)j->text[i] + 1);
        fake_know(f->known[0], h, true);
    }
    j->gen.prefix = NULL;
    return WH_OK;
}

static wh_code fake_score(void *self, wh_job *job, const wh_prm_spec *spec, wh_err *err)
{
    fake *f = self;
    if (f->judge_blind) return wh_err_set(err, WH_ERR_BUDGET, "the first step is too long for the PRM");
    assert(spec->n_new >= 1 && spec->n_new <= spec->n_steps && spec->n_new <= 64);
    fake_job *j = fake_submit(f, job);
    j->judge = *spec;
    j->scoring = true;
    int32_t *ids = calloc(1 << 16, sizeof *ids);
    assert(ids);
    size_t n = 0;
    for (const char *c = spec->question; *c; c++) ids[n++] = (unsigned char)*c;
    for (size_t i = 0; i < spec->n_steps; i++) {
        ids[n++] = 256;
        for (const char *c = spec->steps[i]; *c; c++) ids[n++] = (unsigned char)*c;
    }
    ids[n++] = 256;
    for (size_t i = 0; i < spec->n_new; i++) {
        size_t upto = spec->n_steps - spec->n_new + 1 + i;
        bool fits = !f->judge_steps || upto <= f->judge_steps;
        j->n_fit += fits;
        j->scores[i] = f->score(f->user, spec->question, spec->steps, fits ? upto : f->judge_steps);
    }
    size_t reused = fake_reuse(f->known[1], ids, n);
    wh_ledger_count(&j->ledger, &f->prm, reused, n - reused, 0);
    j->ledger.prefill_tokens = n - reused;
    j->ledger.reused_tokens = reused;
    j->length = 1 + (n - reused) / 32;
    free(ids);
    return WH_OK;
}

static void fake_end(fake *f, fake_job *j, bool cancelled)
{
    fake_job **at = &f->jobs;
    while (*at != j) at = &(*at)->next;
    *at = j->next;
    if (!j->next) f->end = at;
    if (j->scoring) {
        wh_prm_result r = {.scores = cancelled ? NULL : j->scores, .n_new = j->judge.n_new, .n_fit = j->n_fit,
                           .cancelled = cancelled, .ledger = j->ledger};
        wh_ledger_add(&f->prm_total, &r.ledger);
        f->n_scored += !cancelled;
        j->judge.on_done(j->judge.user, &r);
    } else {
        int32_t *tokens = calloc(j->at + 1, sizeof *tokens);
        assert(tokens);
        for (size_t i = 0; i < j->at; i++) tokens[i] = (unsigned char)j->text[i];
        j->text[j->at] = '\0';
        wh_gen_result r = {
            .tokens = tokens,
            .n_tokens = j->at,
            .text = j->text,
            .text_len = j->at,
            .stop = cancelled ? WH_STOP_CANCELLED : j->stop,
            .logprob = -1.0 * (double)j->at,
            .ledger = j->ledger,
        };
        r.ledger.decode_tokens = j->at;
        size_t past = j->ledger.prefill_tokens + j->ledger.reused_tokens;
        size_t computed = j->at ? j->at - 1 : 0;
        wh_ledger_count(&r.ledger, &f->policy, past, computed, computed);
        wh_ledger_add(&f->policy_total, &r.ledger);
        f->n_generated++;
        j->gen.on_done(j->gen.user, &r);
        free(tokens);
    }
    free(j->text);
    free(j);
}

static void fake_cancel(void *self, wh_job job, bool scoring)
{
    fake *f = self;
    for (fake_job *j = f->jobs; j; j = j->next)
        if (j->job == job) {
            assert(j->scoring == scoring);
            j->cancelled = true;
            return;
        }
}

static wh_code fake_step(void *self, bool *idle, wh_err *err)
{
    fake *f = self;
    *idle = !f->jobs;
    for (fake_job *j = f->jobs, *next; j; j = next) {
        next = j->next;
        if (j->cancelled) fake_end(f, j, true);
    }
    if (f->fail_after && (int)f->n_steps >= f->fail_after) {
        while (f->jobs) fake_end(f, f->jobs, true);
        return wh_err_set(err, WH_ERR_NOMEM, "the fake broke");
    }
    f->n_steps++;
    size_t running = 0;
    for (fake_job *j = f->jobs, *next; j && running < f->rows; j = next, running++) {
        next = j->next;
        if (j->at < j->length) {
            if (!j->scoring && j->gen.on_text) j->gen.on_text(j->gen.user, j->text + j->at, 1);
            j->at++;
        }
        if (j->at == j->length) fake_end(f, j, false);
    }
    if (running > f->most_running) f->most_running = running;
    return WH_OK;
}

static size_t fake_room(void *self)
{
    fake *f = self;
    size_t n = 0;
    for (fake_job *j = f->jobs; j; j = j->next) n++;
    return n < f->rows ? f->rows - n : 0;
}

static wh_backend fake_open(fake *f)
{
    for (int i = 0; i < 2; i++) f->known[i] = calloc(FAKE_TABLE, sizeof **f->known);
    if (!f->rows) f->rows = 64;
    if (!f->context) f->context = 100000;
    if (!f->policy.body) f->policy = (wh_cost){.body = 1000, .head = 300, .attn_per_key = 1, .params = 650};
    if (!f->prm.body) f->prm = (wh_cost){.body = 2600, .head = 460, .attn_per_key = 2, .params = 1500};
    return (wh_backend){
        .self = f,
        .generate = fake_generate,
        .score = f->score ? fake_score : NULL,
        .cancel = fake_cancel,
        .step = fake_step,
        .room = fake_room,
    };
}

static void fake_close(fake *f)
{
    assert(!f->jobs);
    for (fake_place *p = f->places, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    free(f->known[0]);
    free(f->known[1]);
}

#endif
