#include "app/score_journal.h"

#include "app/interrupt.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "journal/journal.h"
#include "reward/prm_impl.h"
#include "search/tree.h"

#include <stdlib.h>
#include <string.h>

struct run;

/* One sample, on its way. */
typedef struct item {
    struct run *run;
    const wh_fit_problem *problem;
    const wh_fit_sample  *sample;
    char             sha256[65]; /* of problem and text: what a record is known by */
    wh_judged_sample scores;
    uint64_t         flops; /* that they cost */
    bool             done;
    wh_job           job;
} item;

typedef struct run {
    const wh_score_journal_opts *o;
    item       *items, **sorted; /* sorted: by sha256 */
    size_t      n, done, flying;
    wh_journal *journal;
    uint64_t    flops;
    wh_code     code; /* why a callback wants it to end */
    wh_err     *err;
} run;

/* ---- records ------------------------------------------------------------------------------------------------------------ */

wh_code wh_scores_header(json_t **out, const char *kind, const char *sha256, const char *head_sha256, json_t *calibration,
                         const wh_fit_data *data, bool own_tokens, size_t context, wh_err *err)
{
    *out = json_pack("{s:{s:s, s:s, s:s?, s:o*}, s:{s:s, s:s}, s:b, s:I}", "prm", "kind", kind, "sha256", sha256, "head_sha256", head_sha256,
                     "calibration", calibration, "policy", "name", data->policy_name, "sha256", data->policy_sha256, "own_tokens", (int)own_tokens,
                     "context", (json_int_t)context);
    return *out ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal");
}

wh_code wh_scores_key(char sha256[65], const wh_fit_problem *p, const wh_fit_sample *s, wh_err *err)
{
    wh_buf text = {0};
    wh_buf_puts(&text, p->sha256);
    wh_buf_put(&text, s->text, s->text_len);
    wh_code code = wh_buf_ok(&text) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a sample");
    if (code == WH_OK) wh_file_sha256(sha256, text.data, text.len);
    wh_buf_free(&text);
    return code;
}

json_t *wh_scores_record(const char *key, const wh_fit_problem *p, const wh_fit_sample *s, const wh_judged_sample *scores, uint64_t flops)
{
    json_t *list = json_array();
    for (size_t i = 0; i < scores->n; i++) json_array_append_new(list, json_real(scores->scores[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:b, s:o, s:I}", "record", "scores", "sha256", key, "problem_sha256", p->sha256, "sample",
                     (json_int_t)s->index, "correct", (int)s->right, "scores", list, "flops", (json_int_t)flops);
}

/* ---- the samples ------------------------------------------------------------------------------------------------------- */

static int by_sha256(const void *a, const void *b)
{
    const item *const *x = a, *const *y = b;
    return memcmp((*x)->sha256, (*y)->sha256, 64);
}

static wh_code list_items(run *r, wh_err *err)
{
    const wh_fit_data *d = r->o->data;
    r->items = wh_mem_zalloc(d->n_samples, sizeof *r->items);
    r->sorted = wh_mem_alloc(d->n_samples, sizeof *r->sorted);
    if (!r->items || !r->sorted) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", d->n_samples);
    for (size_t i = 0; i < d->n; i++)
        for (size_t k = 0; k < d->problems[i].n; k++) {
            item *x = &r->items[r->n];
            *x = (item){.run = r, .problem = &d->problems[i], .sample = &d->problems[i].samples[k]};
            WH_TRY(wh_scores_key(x->sha256, x->problem, x->sample, err));
            r->sorted[r->n++] = x;
        }
    qsort(r->sorted, r->n, sizeof *r->sorted, by_sha256);
    return WH_OK;
}

static wh_code set_scores(item *x, const double *scores, size_t n, wh_err *err)
{
    x->scores.scores = wh_mem_alloc(n, sizeof *scores);
    if (!x->scores.scores) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu scores", n);
    if (n) memcpy(x->scores.scores, scores, n * sizeof *scores);
    x->scores.n = n;
    x->done = true;
    x->run->done++;
    return WH_OK;
}

/* A wh_journal_each: scores that were given before. */
static wh_code on_record(void *user, const json_t *record, wh_err *err)
{
    run *r = user;
    const char *sha256 = json_string_value(json_object_get(record, "sha256"));
    const json_t *list = json_object_get(record, "scores");
    size_t n = json_array_size(list), low = 0, high = r->n;
    if (!sha256 || strlen(sha256) != 64) return wh_err_set(err, WH_ERR_FORMAT, "%s: a record of scores has no sha256", r->o->out);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(r->sorted[middle]->sha256, sha256, 64) < 0) low = middle + 1;
        else high = middle;
    }
    double *scores = wh_mem_alloc(n, sizeof *scores);
    if (!scores) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu scores", n);
    for (size_t i = 0; i < n; i++) scores[i] = json_number_value(json_array_get(list, i));
    wh_code code = WH_OK;
    for (; code == WH_OK && low < r->n && memcmp(r->sorted[low]->sha256, sha256, 64) == 0; low++)
        if (!r->sorted[low]->done) code = set_scores(r->sorted[low], scores, n, err);
    free(scores);
    return code;
}

static wh_code keep(const item *x, wh_err *err)
{
    run *r = x->run;
    if (!r->journal) return WH_OK;
    json_t *records = json_pack("[o]", wh_scores_record(x->sha256, x->problem, x->sample, &x->scores, x->flops));
    wh_code code = records ? wh_journal_append(r->journal, records, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for a record");
    json_decref(records);
    return code;
}

/* ---- scores of states that are there --------------------------------------------------------------------------------------- */

uint64_t wh_scores_flops(const wh_cost *c, bool in_passing, size_t tokens, size_t scores)
{
    uint64_t n = tokens;
    return scores * c->head + (in_passing ? 0 : n * c->body + c->attn_per_key * (n * (n + 1) / 2));
}

static wh_code score_state(run *r, item *x, const wh_feature *from, float *state, wh_err *err)
{
    const wh_features *f = r->o->states;
    const wh_prm_head_use *use = &r->o->prm->use;
    double *scores = wh_mem_alloc(from->rows, sizeof *scores);
    if (!scores) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu scores", from->rows);
    for (size_t row = 0; row < from->rows; row++) {
        wh_features_get(f, state, from, row, use->layers, use->n_layers);
        scores[row] = wh_prm_score_state(r->o->prm, state, wh_features_evidence(x->problem, x->sample, row, row + 1 == from->rows));
    }
    x->flops = wh_scores_flops(wh_prm_cost(r->o->prm), wh_prm_in_passing(r->o->prm), x->sample->n_ids, from->rows);
    wh_code code = set_scores(x, scores, from->rows, err);
    free(scores);
    return code == WH_OK ? keep(x, err) : code;
}

static wh_code score_states(run *r, wh_err *err)
{
    const wh_features *f = r->o->states;
    float *state = wh_mem_alloc(r->o->prm->use.n_layers * f->head.d, sizeof *state);
    if (!state) return wh_err_set(err, WH_ERR_NOMEM, "no memory to score");
    wh_code code = WH_OK;
    for (size_t i = 0; code == WH_OK && i < f->n; i++) /* both lists are in the order of the data */
        if (f->list[i].known && !r->items[i].done) code = score_state(r, &r->items[i], &f->list[i], state, err);
    free(state);
    return code;
}

/* ---- scoring --------------------------------------------------------------------------------------------------------------- */

static void on_done(void *user, const wh_prm_result *result)
{
    item *x = user;
    run *r = x->run;
    r->flying--;
    x->job = 0;
    if (result->cancelled || r->code != WH_OK) return;
    r->flops += wh_ledger_total(&result->ledger);
    /* Where the policy passes these states anyway, in a run that samples, the head alone is new. */
    x->flops = wh_prm_in_passing(r->o->prm) ? result->n_new * wh_prm_cost(r->o->prm)->head : wh_ledger_total(&result->ledger);
    r->code = set_scores(x, result->scores, result->n_new, r->err);
    if (r->code == WH_OK) r->code = keep(x, r->err);
}

/* The policy's prompt and tokens, for a PRM that is attached to it. */
static wh_code own_tokens(const run *r, wh_tok_ids *ids, size_t *n_prompt, const item *x, wh_err *err)
{
    if (!r->o->engine) return WH_OK;
    const char *q = x->problem->question;
    WH_TRY(wh_chat_encode_problem(r->o->chat, ids, (wh_tok_str){q, strlen(q)}, (wh_tok_str){"", 0}, err));
    *n_prompt = ids->len;
    for (size_t i = 0; i < x->sample->n_ids; i++) WH_TRY(wh_tok_ids_push(ids, x->sample->ids[i], err));
    return WH_OK;
}

static void free_steps(char **steps, size_t n)
{
    for (size_t i = 0; i < n; i++) free(steps[i]);
    free(steps);
}

static wh_code send(run *r, item *x, char **steps, size_t n, wh_err *err)
{
    wh_tok_ids ids = {0};
    size_t n_prompt = 0;
    wh_code code = own_tokens(r, &ids, &n_prompt, x, err);
    const wh_prm_spec spec = {.question = x->problem->question, .steps = (const char *const *)steps, .n_steps = n, .n_new = n,
                              .ended = true, .prefix = ids.data, .n_prefix = ids.len, .n_prompt = n_prompt, .on_done = on_done, .user = x};
    if (code == WH_OK) code = wh_prm_score(r->o->prm, &x->job, &spec, err);
    wh_tok_ids_free(&ids);
    if (code == WH_OK) r->flying++;
    if (code != WH_ERR_BUDGET) return code;
    WH_TRY(set_scores(x, NULL, 0, err)); /* not even the first step fits into the PRM's context */
    return keep(x, err);
}

static wh_code submit(run *r, item *x, wh_err *err)
{
    const char *text = x->sample->text, *step;
    size_t all = x->sample->text_len, count = wh_tree_count_steps(text, all), n = 0, at = 0, len;
    if (!count) {
        WH_TRY(set_scores(x, NULL, 0, err));
        return keep(x, err);
    }
    char **steps = wh_mem_zalloc(count, sizeof *steps);
    bool ok = steps != NULL;
    while (ok && (len = wh_tree_next_step(&step, &at, text, all)) != 0) ok = (steps[n++] = wh_mem_strndup(step, len)) != NULL;
    wh_code code = ok ? send(r, x, steps, n, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", count);
    free_steps(steps, steps ? count : 0);
    return code == WH_OK ? WH_OK : wh_err_wrap(err, "sample %u of the problem with sha256 %.12s", x->sample->index, x->problem->sha256);
}

static wh_code step(run *r, wh_err *err)
{
    bool idle;
    if (r->o->engine) WH_TRY(wh_engine_step(r->o->engine, &idle, err));
    return wh_prm_step(r->o->prm, &idle, err);
}

static void show(const run *r, double began, size_t before)
{
    char left[24];
    double seconds = wh_clock_now() - began;
    size_t fresh = r->done - before;
    if (!fresh) return;
    wh_out_duration(left, seconds / (double)fresh * (double)(r->n - r->done));
    wh_out_progress("%zu/%zu samples  %s left", r->done, r->n, left);
}

static wh_code score_all(run *r, wh_err *err)
{
    double began = wh_clock_now();
    size_t next = 0, before = r->done;
    wh_code code = WH_OK;
    while (code == WH_OK && r->code == WH_OK && r->done < r->n) {
        if (wh_interrupt_asked()) {
            code = wh_err_set(err, WH_ERR_CANCELLED, "interrupted after %zu of %zu samples%s", r->done, r->n,
                              r->o->out ? "; the same command goes on from there" : "");
            break;
        }
        for (; code == WH_OK && r->code == WH_OK && next < r->n && r->flying < r->o->batch; next++)
            if (!r->items[next].done) code = submit(r, &r->items[next], err);
        if (code == WH_OK) code = step(r, err);
        show(r, began, before);
    }
    wh_out_progress("%s", "");
    wh_err second;
    for (size_t i = 0; i < r->n && r->flying; i++)
        if (r->items[i].job) wh_prm_cancel(r->o->prm, r->items[i].job);
    while (r->flying && step(r, &second) == WH_OK) {}
    return code != WH_OK ? code : r->code;
}

static wh_code report(wh_judged *out, const run *r, wh_err *err)
{
    wh_judged_sample *samples = wh_mem_alloc(r->n, sizeof *samples);
    if (!samples) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a report");
    for (size_t i = 0; i < r->n; i++) samples[i] = r->items[i].scores;
    wh_code code = wh_judged_count(out, r->o->data, samples, err);
    free(samples);
    return code;
}

wh_code wh_score_journal(wh_judged *out, uint64_t *flops, const wh_score_journal_opts *o, wh_err *err)
{
    run r = {.o = o, .err = err};
    wh_code code = list_items(&r, err);
    if (code == WH_OK && o->out) code = wh_journal_open(&r.journal, o->out, o->run, on_record, &r, NULL, err);
    if (code == WH_OK && r.done) wh_out_note("%s holds the scores of %zu of %zu samples\n", o->out, r.done, r.n);
    if (code == WH_OK && o->states) code = score_states(&r, err);
    if (code == WH_OK) code = score_all(&r, err);
    if (code == WH_OK) code = report(out, &r, err);
    wh_err second;
    wh_code closing = wh_journal_close(r.journal, &second);
    if (code == WH_OK && closing != WH_OK) {
        *err = second;
        code = closing;
    }
    *flops = r.flops;
    for (size_t i = 0; i < r.n; i++) free(r.items[i].scores.scores);
    free(r.items);
    free(r.sorted);
    return code;
}
