#include "fit/features.h"

#include "answer/numbers.h"
#include "base/file.h"
#include "base/mem.h"
#include "quant/half.h"
#include "reward/prm_impl.h"
#include "search/tree.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is wanted, and what is there ------------------------------------------------------------------------------ */

wh_code wh_features_key(char key[WH_STORE_KEY], wh_features_what what, bool own, const char *problem, const void *sample, size_t n, wh_err *err)
{
    static const char *const words[] = {"steps", "before", "prompt"};
    wh_buf all = {0};
    wh_buf_printf(&all, "%s %s %s ", words[what], own ? "tokens" : "text", problem);
    wh_buf_put(&all, sample, n);
    char hex[65];
    wh_code code = wh_buf_ok(&all) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a key");
    if (code == WH_OK) {
        wh_file_sha256(hex, all.data, all.len);
        memcpy(key, hex, WH_STORE_KEY);
    }
    wh_buf_free(&all);
    return code;
}

static wh_code make_key(wh_feature *x, const wh_features *f, wh_err *err)
{
    const wh_fit_problem *p = &f->data->problems[x->problem];
    const wh_fit_sample *s = &p->samples[x->sample];
    if (f->what == WH_FEATURES_PROMPT) return wh_features_key(x->key, f->what, f->own, p->sha256, "", 0, err);
    return wh_features_key(x->key, f->what, f->own, p->sha256, f->own ? (const void *)s->ids : s->text,
                           f->own ? s->n_ids * sizeof *s->ids : s->text_len, err);
}

static int by_key(const void *a, const void *b)
{
    const wh_feature *const *x = a, *const *y = b;
    return memcmp((*x)->key, (*y)->key, WH_STORE_KEY);
}

typedef struct finder {
    wh_features *f;
    wh_feature **sorted;
} finder;

static wh_code set_values(wh_features *f, wh_feature *x, const uint16_t *values, size_t rows, wh_err *err)
{
    size_t n = rows * f->head.n_layers * f->head.d;
    x->values = wh_mem_alloc(n, sizeof *x->values);
    if (!x->values) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu states", rows);
    memcpy(x->values, values, n * sizeof *values);
    x->rows = rows;
    x->known = true;
    f->missing--;
    return WH_OK;
}

/* The same text may have been sampled several times. */
static wh_code on_record(void *user, const char key[WH_STORE_KEY], const uint16_t *values, size_t rows, wh_err *err)
{
    finder *d = user;
    size_t low = 0, high = d->f->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memcmp(d->sorted[middle]->key, key, WH_STORE_KEY) < 0) low = middle + 1;
        else high = middle;
    }
    for (; low < d->f->n && memcmp(d->sorted[low]->key, key, WH_STORE_KEY) == 0; low++)
        if (!d->sorted[low]->known) WH_TRY(set_values(d->f, d->sorted[low], values, rows, err));
    return WH_OK;
}

static wh_code find_known(wh_features *f, wh_err *err)
{
    finder d = {f, wh_mem_alloc(f->n, sizeof *d.sorted)};
    if (!d.sorted) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", f->n);
    for (size_t i = 0; i < f->n; i++) d.sorted[i] = &f->list[i];
    qsort(d.sorted, f->n, sizeof *d.sorted, by_key);
    wh_code code = wh_store_read(f->store, on_record, &d, err);
    free(d.sorted);
    return code;
}

static wh_code list_all(wh_features *f, wh_err *err)
{
    bool steps = f->what != WH_FEATURES_PROMPT;
    f->list = wh_mem_zalloc(steps ? f->data->n_samples : f->data->n, sizeof *f->list);
    if (!f->list) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", f->data->n_samples);
    for (size_t i = 0; i < f->data->n; i++)
        for (size_t k = 0; k < (steps ? f->data->problems[i].n : 1); k++) {
            wh_feature *x = &f->list[f->n++];
            *x = (wh_feature){.problem = (uint32_t)i, .sample = (uint32_t)k};
            WH_TRY(make_key(x, f, err));
        }
    f->missing = f->n;
    return WH_OK;
}

wh_code wh_features_open(wh_features *f, const wh_fit_data *data, wh_features_what what, const wh_store_head *head, const char *store,
                         wh_err *err)
{
    *f = (wh_features){.data = data, .what = what, .head = *head, .own = strcmp(data->policy_sha256, head->trunk_sha256) == 0};
    WH_TRY(list_all(f, err));
    if (!store) return WH_OK;
    WH_TRY(wh_store_open(&f->store, store, &f->head, err));
    return find_known(f, err);
}

wh_code wh_features_close(wh_features *f, wh_err *err)
{
    wh_code code = wh_store_close(f->store, err);
    for (size_t i = 0; i < f->n; i++) free(f->list[i].values);
    free(f->list);
    *f = (wh_features){0};
    return code;
}

void wh_features_get(const wh_features *f, float *out, const wh_feature *x, size_t row, const uint32_t *layers, size_t n_layers)
{
    size_t d = f->head.d;
    const uint16_t *state = x->values + row * f->head.n_layers * d;
    for (size_t i = 0; i < n_layers; i++) {
        size_t at = 0;
        while (f->head.layers[at] != layers[i]) at++;
        for (size_t k = 0; k < d; k++) out[i * d + k] = wh_half_f16_to_f32(state[at * d + k]);
    }
}

wh_prm_evidence wh_features_evidence(const wh_fit_problem *p, const wh_fit_sample *s, size_t row, bool last)
{
    wh_arithmetic so_far = {0};
    const char *step;
    size_t at = 0, n;
    for (size_t i = 0; i <= row && (n = wh_tree_next_step(&step, &at, s->text, s->text_len)) != 0; i++) wh_arithmetic_check(&so_far, step, n);
    return (wh_prm_evidence){
        .equations = wh_arithmetic_say(&so_far),
        .omits = last && wh_numbers_left_out(p->question, strlen(p->question), s->text, s->text_len),
    };
}

/* ---- computing --------------------------------------------------------------------------------------------------------- */

typedef struct work {
    wh_features             *f;
    const wh_features_trunk *t;
    size_t                   flying;
    wh_code                  code; /* why a callback wants it to end */
    wh_err                  *err;
} work;

typedef struct job {
    work       *w;
    wh_feature *x;
} job;

static void on_done(void *user, const wh_score_result *r)
{
    job *j = user;
    work *w = j->w;
    wh_feature *x = j->x;
    free(j);
    w->flying--;
    if (r->cancelled || w->code != WH_OK) return;
    size_t n = r->n_positions * r->width;
    uint16_t *half = wh_mem_alloc(n, sizeof *half);
    if (!half) {
        w->code = wh_err_set(w->err, WH_ERR_NOMEM, "no memory for %zu states", r->n_positions);
        return;
    }
    for (size_t i = 0; i < n; i++) half[i] = wh_half_f32_to_f16(r->values[i]);
    w->code = set_values(w->f, x, half, r->n_positions, w->err);
    if (w->code == WH_OK && w->f->store) w->code = wh_store_put(w->f->store, x->key, half, r->n_positions, w->err);
    free(half);
}

/* The texts of a sample as the trunk reads them, step by step. */
static wh_code render_text(const work *w, wh_tok_ids *ids, size_t **positions, size_t *n, const wh_fit_problem *p, const wh_fit_sample *s,
                           wh_err *err)
{
    size_t count = wh_tree_count_steps(s->text, s->text_len), at = 0, len;
    wh_tok_str *steps = wh_mem_alloc(count, sizeof *steps);
    *positions = wh_mem_alloc(count, sizeof **positions);
    if (!steps || !*positions) {
        free(steps);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", count);
    }
    const char *step;
    for (*n = 0; (len = wh_tree_next_step(&step, &at, s->text, s->text_len)) != 0;) steps[(*n)++] = (wh_tok_str){step, len};
    const wh_prm_input in = {.tok = w->t->tok, .chat = w->t->chat, .marker = -1, .good = -1, .bad = -1, .before = w->f->what == WH_FEATURES_BEFORE,
                             .question = {p->question, strlen(p->question)}, .steps = steps, .n_steps = count};
    wh_code code = wh_prm_head.render(&in, ids, *positions, err);
    free(steps);
    return code;
}

static wh_code render_own(const work *w, wh_tok_ids *ids, size_t **positions, size_t *n, const wh_fit_problem *p, const wh_fit_sample *s,
                          wh_err *err)
{
    WH_TRY(wh_chat_encode_problem(w->t->chat, ids, (wh_tok_str){p->question, strlen(p->question)}, (wh_tok_str){"", 0}, err));
    size_t n_prompt = ids->len, most = s->n_ids + 1;
    *positions = wh_mem_alloc(most, sizeof **positions);
    if (!*positions) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu steps", most);
    for (size_t i = 0; i < s->n_ids; i++) WH_TRY(wh_tok_ids_push(ids, s->ids[i], err));
    return wh_prm_head_find_steps(n, *positions, most, ids, n_prompt, w->f->what == WH_FEATURES_BEFORE, w->t->tok, err);
}

static wh_code render_prompt(const work *w, wh_tok_ids *ids, size_t **positions, size_t *n, const wh_fit_problem *p, wh_err *err)
{
    *positions = wh_mem_alloc(1, sizeof **positions);
    if (!*positions) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a position");
    WH_TRY(wh_chat_encode_problem(w->t->chat, ids, (wh_tok_str){p->question, strlen(p->question)}, (wh_tok_str){"", 0}, err));
    (*positions)[0] = ids->len - 1;
    *n = 1;
    return WH_OK;
}

static wh_code render(const work *w, wh_tok_ids *ids, size_t **positions, size_t *n, const wh_feature *x, wh_err *err)
{
    const wh_fit_problem *p = &w->f->data->problems[x->problem];
    if (w->f->what == WH_FEATURES_PROMPT) return render_prompt(w, ids, positions, n, p, err);
    const wh_fit_sample *s = &p->samples[x->sample];
    return w->f->own ? render_own(w, ids, positions, n, p, s, err) : render_text(w, ids, positions, n, p, s, err);
}

size_t wh_features_places(size_t *positions, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!kept || positions[i] > positions[kept - 1]) positions[kept++] = positions[i];
    return kept;
}

static wh_code send(work *w, wh_feature *x, const wh_tok_ids *ids, size_t *positions, size_t n, wh_err *err)
{
    size_t context = wh_engine_context(w->t->engine);
    n = wh_features_places(positions, n);
    while (n && positions[n - 1] >= context) n--;
    if (!n) { /* nothing is written, or nothing can be read */
        const uint16_t none = 0;
        WH_TRY(set_values(w->f, x, &none, 0, err));
        return w->f->store ? wh_store_put(w->f->store, x->key, &none, 0, err) : WH_OK;
    }
    job *j = wh_mem_alloc(1, sizeof *j);
    if (!j) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a job");
    *j = (job){w, x};
    const wh_score_spec spec = {.prefix = ids->data, .n_prefix = positions[n - 1] + 1, .positions = positions, .n_positions = n,
                                .what = WH_SCORE_HIDDEN, .layers = w->f->head.layers, .n_layers = w->f->head.n_layers,
                                .on_done = on_done, .user = j};
    wh_code code = wh_engine_score(w->t->engine, &x->job, &spec, err);
    if (code == WH_OK) w->flying++;
    else free(j);
    return code;
}

static wh_code submit(work *w, wh_feature *x, wh_err *err)
{
    wh_tok_ids ids = {0};
    size_t *positions = NULL, n = 0;
    wh_code code = render(w, &ids, &positions, &n, x, err);
    if (code == WH_OK) code = send(w, x, &ids, positions, n, err);
    free(positions);
    wh_tok_ids_free(&ids);
    return code;
}

/* Jobs that are still there point to w. */
static wh_code end_jobs(work *w, wh_err *err)
{
    bool idle = false;
    for (size_t i = 0; w->flying && i < w->f->n; i++)
        if (w->f->list[i].job && !w->f->list[i].known) wh_engine_cancel(w->t->engine, w->f->list[i].job);
    while (w->flying && !idle) WH_TRY(wh_engine_step(w->t->engine, &idle, err));
    return WH_OK;
}

wh_code wh_features_compute(wh_features *f, const wh_features_trunk *trunk, const wh_features_watch *watch, wh_err *err)
{
    work w = {.f = f, .t = trunk, .err = err};
    size_t next = 0, all = f->missing;
    wh_code code = WH_OK;
    while (code == WH_OK && w.code == WH_OK && (f->missing || w.flying)) {
        if (watch->stop && *watch->stop) {
            code = wh_err_set(err, WH_ERR_CANCELLED, "interrupted: the states of %zu of %zu texts are computed", f->n - f->missing, f->n);
            break;
        }
        for (; code == WH_OK && next < f->n && w.flying < trunk->rows; next++)
            if (!f->list[next].known) code = submit(&w, &f->list[next], err);
        bool idle;
        if (code == WH_OK) code = wh_engine_step(trunk->engine, &idle, err);
        wh_engine_stats stats;
        wh_engine_get_stats(trunk->engine, &stats);
        if (watch->progress) watch->progress(watch->user, all - f->missing, all, &stats);
    }
    wh_err second;
    wh_code end = end_jobs(&w, &second);
    return code != WH_OK ? code : w.code != WH_OK ? w.code : end != WH_OK ? (*err = second, end) : WH_OK;
}
