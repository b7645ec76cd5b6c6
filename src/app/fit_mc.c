#include "answer/answer.h"
#include "app/fit.h"
#include "app/interrupt.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "journal/journal.h"
#include "reward/prm_impl.h"

#include <stdlib.h>
#include <string.h>

/* A step whose completions are wanted. */
typedef struct place {
    struct mc *m;
    char     sha256[65]; /* of problem and tokens up to its end */
    uint32_t problem, sample;
    size_t   n_ids; /* of the sample, to the end of the step */
    size_t   at;    /* its label */
    size_t   right, done, of;
    bool     known;
} place;

typedef struct mc {
    wh_fit     *f;
    wh_fit_mc  *out;
    place      *list, **sorted;
    size_t      n, flying, finished;
    wh_loaded   policy;
    wh_journal *journal;
    wh_code     code; /* why a callback wants it to end */
    wh_err     *err;
} mc;

/* ---- the places ------------------------------------------------------------------------------------------------------ */

static wh_code add_place(mc *m, size_t *cap, const wh_feature *x, size_t n_ids, size_t at, wh_err *err)
{
    const wh_fit_problem *p = &m->f->data.problems[x->problem];
    if (m->n == *cap) {
        *cap = 2 * *cap + 256;
        place *more = wh_mem_resize(m->list, *cap, sizeof *more);
        if (!more) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", *cap);
        m->list = more;
    }
    place *one = &m->list[m->n++];
    *one = (place){.m = m, .problem = x->problem, .sample = x->sample, .n_ids = n_ids, .at = at};
    wh_buf text = {0};
    wh_buf_puts(&text, p->sha256);
    wh_buf_put(&text, p->samples[x->sample].ids, n_ids * sizeof(int32_t));
    bool ok = wh_buf_ok(&text);
    if (ok) wh_file_sha256(one->sha256, text.data, text.len);
    wh_buf_free(&text);
    return ok ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a step");
}

/* The steps of a sample but the last, whose label is the outcome. */
static wh_code add_sample(mc *m, size_t *cap, const wh_feature *x, size_t label, wh_err *err)
{
    const wh_fit_sample *s = &m->f->data.problems[x->problem].samples[x->sample];
    enum { PROMPT = 1 }; /* steps are found behind it; any token will do */
    wh_tok_ids ids = {0};
    size_t found = 0, most = s->n_ids + 1, *ends = wh_mem_alloc(most, sizeof *ends);
    wh_code code = ends ? wh_tok_ids_push(&ids, 0, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", most);
    for (size_t i = 0; code == WH_OK && i < s->n_ids; i++) code = wh_tok_ids_push(&ids, s->ids[i], err);
    if (code == WH_OK) code = wh_prm_head_find_steps(&found, ends, most, &ids, PROMPT, false, m->policy.tok, err);
    for (size_t i = 0; code == WH_OK && i + 1 < found && i + 1 < x->rows; i++) code = add_place(m, cap, x, ends[i] + 1 - PROMPT, label + i, err);
    free(ends);
    wh_tok_ids_free(&ids);
    return code;
}

static int by_sha256(const void *a, const void *b)
{
    const place *const *x = a, *const *y = b;
    return memcmp((*x)->sha256, (*y)->sha256, 64);
}

static wh_code list_places(mc *m, const wh_features *features, wh_err *err)
{
    size_t cap = 0, label = 0, problems = m->f->o->mc_problems ? (size_t)m->f->o->mc_problems : SIZE_MAX;
    for (size_t i = 0; i < features->n; label += features->list[i++].rows)
        if (features->list[i].problem < problems) WH_TRY(add_sample(m, &cap, &features->list[i], label, err));
    m->sorted = wh_mem_alloc(m->n, sizeof *m->sorted);
    m->out->right = wh_mem_alloc(label, sizeof *m->out->right);
    if (!m->sorted || !m->out->right) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", m->n);
    for (size_t i = 0; i < m->n; i++) m->sorted[i] = &m->list[i];
    qsort(m->sorted, m->n, sizeof *m->sorted, by_sha256);
    for (m->out->n = 0; m->out->n < label; m->out->n++) m->out->right[m->out->n] = -1;
    return WH_OK;
}

/* ---- the journal ------------------------------------------------------------------------------------------------------- */

/* A wh_journal_each: labels that are there. */
static wh_code on_record(void *user, const json_t *record, wh_err *err)
{
    mc *m = user;
    const char *sha256 = json_string_value(json_object_get(record, "sha256"));
    json_int_t right = json_integer_value(json_object_get(record, "right")), of = json_integer_value(json_object_get(record, "of"));
    if (!sha256 || strlen(sha256) != 64 || of <= 0 || right < 0 || right > of)
        return wh_err_set(err, WH_ERR_FORMAT, "%s: a record is no label", m->f->o->mc_journal);
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(m->sorted[middle]->sha256, sha256, 64) < 0) low = middle + 1;
        else high = middle;
    }
    for (; low < m->n && memcmp(m->sorted[low]->sha256, sha256, 64) == 0; low++) {
        place *p = m->sorted[low];
        if (p->known) continue;
        p->known = true;
        p->right = (size_t)right;
        p->of = (size_t)of;
        m->finished++;
    }
    return WH_OK;
}

static wh_code open_journal(mc *m, wh_err *err)
{
    const wh_fit_data *d = &m->f->data;
    if (!m->f->o->mc_journal) return WH_OK;
    json_t *run = json_pack("{s:I, s:{s:s, s:s}, s:{s:f, s:f, s:f, s:i, s:I}}", "completions", (json_int_t)m->f->o->mc, "policy", "name",
                            d->policy_name, "sha256", d->policy_sha256, "sampling", "temperature", d->sampling.temperature, "top-p",
                            d->sampling.top_p, "min-p", d->sampling.min_p, "top-k", d->sampling.top_k, "max-tokens",
                            (json_int_t)d->sampling.max_tokens);
    wh_code code = run ? wh_journal_open(&m->journal, m->f->o->mc_journal, run, on_record, m, NULL, err)
                       : wh_err_set(err, WH_ERR_NOMEM, "no memory for a journal");
    json_decref(run);
    return code;
}

static wh_code keep(mc *m, place *p, wh_err *err)
{
    p->known = true;
    p->of = p->done;
    m->finished++;
    if (!m->journal) return WH_OK;
    json_t *records = json_pack("[{s:s, s:s, s:s, s:I, s:I, s:I, s:I}]", "record", "mc", "sha256", p->sha256, "problem_sha256",
                                m->f->data.problems[p->problem].sha256, "sample", (json_int_t)p->sample, "tokens", (json_int_t)p->n_ids,
                                "right", (json_int_t)p->right, "of", (json_int_t)p->of);
    wh_code code = records ? wh_journal_append(m->journal, records, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for a record");
    json_decref(records);
    return code;
}

/* ---- completions ---------------------------------------------------------------------------------------------------------- */

static wh_code grade(bool *right, const mc *m, const place *p, const wh_gen_result *r, wh_err *err)
{
    const wh_fit_problem *problem = &m->f->data.problems[p->problem];
    wh_buf text = {0}, answer = {0};
    for (size_t i = 0; i < p->n_ids; i++) {
        wh_tok_str piece = wh_tok_piece(m->policy.tok, problem->samples[p->sample].ids[i]);
        wh_buf_put(&text, piece.s, piece.n);
    }
    wh_buf_put(&text, r->text, r->text_len);
    wh_code code = wh_buf_ok(&text) ? wh_extract_answer(&answer, NULL, wh_buf_str(&text), text.len, err)
                                    : wh_err_set(err, WH_ERR_NOMEM, "no memory for a completion");
    *right = false;
    if (code == WH_OK && answer.len) code = wh_answer_grade(right, problem->gold, strlen(problem->gold), answer.data, answer.len, err);
    wh_buf_free(&text);
    wh_buf_free(&answer);
    return code;
}

static void on_done(void *user, const wh_gen_result *r)
{
    place *p = user;
    mc *m = p->m;
    m->flying--;
    if (r->stop == WH_STOP_CANCELLED || m->code != WH_OK) return;
    bool right;
    m->out->tokens += r->n_tokens;
    m->code = grade(&right, m, p, r, m->err);
    p->right += right;
    p->done++;
    if (m->code == WH_OK && p->done == (size_t)m->f->o->mc) m->code = keep(m, p, m->err);
}

/* All completions of a step: they share its prefix. Their random numbers depend on the problem, the sample, the step
 * and their number alone. */
static wh_code submit(mc *m, place *p, wh_err *err)
{
    const wh_fit_problem *problem = &m->f->data.problems[p->problem];
    const struct wh_fit_sampling *s = &m->f->data.sampling;
    wh_tok_ids ids = {0};
    wh_code code = wh_load_prompt(&m->policy, &ids, problem->question, strlen(problem->question), err);
    for (size_t i = 0; code == WH_OK && i < p->n_ids; i++) code = wh_tok_ids_push(&ids, problem->samples[p->sample].ids[i], err);
    uint64_t stream = wh_rng_substream(wh_rng_substream(0, problem->samples[p->sample].index), p->n_ids);
    for (int64_t k = 0; code == WH_OK && k < m->f->o->mc; k++) {
        const wh_gen_spec spec = {.prefix = ids.data, .n_prefix = ids.len,
                                  .sampling = {(float)s->temperature, s->top_k, (float)s->top_p, (float)s->min_p, problem->hash},
                                  .stream = wh_rng_substream(stream, (uint64_t)k), .loop_guard = true,
                                  .max_tokens = s->max_tokens > p->n_ids ? s->max_tokens - p->n_ids : 1, .on_done = on_done, .user = p};
        code = wh_engine_generate(m->policy.engine, NULL, &spec, err);
        m->flying += code == WH_OK;
    }
    wh_tok_ids_free(&ids);
    return code;
}

static void show(const mc *m, double began, size_t before)
{
    char left[24];
    size_t fresh = m->finished - before;
    if (!fresh) return;
    double seconds = wh_clock_now() - began;
    wh_out_duration(left, seconds / (double)fresh * (double)(m->n - m->finished));
    wh_out_progress("completions of %zu/%zu steps  %.0f tokens/s  %s left", m->finished, m->n, (double)m->out->tokens / seconds, left);
}

static wh_code complete_all(mc *m, size_t rows, wh_err *err)
{
    double began = wh_clock_now();
    size_t next = 0, before = m->finished;
    bool idle = false;
    m->err = err;
    while (m->code == WH_OK && m->finished < m->n) {
        if (wh_interrupt_asked())
            return wh_err_set(err, WH_ERR_CANCELLED, "interrupted: %zu of %zu steps are labelled%s", m->finished, m->n,
                              m->journal ? "; the same command goes on from there" : "");
        for (; next < m->n && m->flying < 2 * rows; next++)
            if (!m->list[next].known) WH_TRY(submit(m, &m->list[next], err));
        WH_TRY(wh_engine_step(m->policy.engine, &idle, err));
        show(m, began, before);
    }
    wh_out_progress("%s", "");
    m->out->seconds = wh_clock_now() - began;
    return m->code;
}

static wh_code check_policy(const mc *m, wh_err *err)
{
    char sha256[65];
    WH_TRY(wh_load_sha256(sha256, wh_buf_str(&m->policy.path), err));
    if (strcmp(sha256, m->f->data.policy_sha256) == 0) return WH_OK;
    return wh_err_set(err, WH_ERR_ARG, "the journals are of the policy %.60s, which completes them; %.60s is another (--policy)",
                      m->f->data.policy_name, wh_buf_str(&m->policy.name));
}

static wh_code label(mc *m, const wh_features *features, wh_err *err)
{
    enum { ROWS = 64 };
    wh_load_opts machine = *m->f->machine;
    WH_TRY(wh_load_model(&m->policy, &machine, err));
    WH_TRY(check_policy(m, err));
    WH_TRY(list_places(m, features, err));
    WH_TRY(open_journal(m, err));
    if (m->finished < m->n) {
        WH_TRY(wh_load_engine(&m->policy, &machine, WH_PRM_CONTEXT, ROWS, 0, 0, err));
        WH_TRY(complete_all(m, ROWS, err));
    }
    for (size_t i = 0; i < m->n; i++) m->out->right[m->list[i].at] = (float)m->list[i].right / (float)m->list[i].of;
    m->out->labels = m->n;
    return WH_OK;
}

wh_code wh_fit_mc_labels(wh_fit *f, wh_fit_mc *out, const wh_features *features, wh_err *err)
{
    mc m = {.f = f, .out = out};
    wh_code code = label(&m, features, err);
    /* The engine's jobs go with it, and tell nobody. */
    wh_err second;
    wh_load_free(&m.policy);
    wh_code closing = wh_journal_close(m.journal, &second);
    if (code == WH_OK && closing != WH_OK) {
        *err = second;
        code = closing;
    }
    free(m.list);
    free(m.sorted);
    return code;
}
