#include "app/samples.h"

#include "app/dataset.h"
#include "app/out.h"
#include "app/record.h"
#include "base/file.h"
#include "base/mem.h"
#include "journal/journal.h"

#include <stdlib.h>
#include <string.h>

const wh_opt wh_samples_options[WH_SAMPLES_OPTIONS] = {
    WH_OPT_STRINGS(wh_samples_opts, data, "data", "FILE", "the problem set of the journals; again for another"),
    WH_OPT_STRINGS(wh_samples_opts, journals, "journal", "FILE", "graded samples, of `whet rollout` or `whet eval`; again for more of the same policy"),
    WH_OPT_INT(wh_samples_opts, problems, "limit-problems", "K", "0", 0, 1e9, "K problems, picked by their hash; 0: all"),
    WH_OPT_INT(wh_samples_opts, samples, "samples-per-problem", "K", "0", 0, 65536, "the first K samples of each; 0: all"),
};

/* ---- problems by the sha256 of their text ----------------------------------------------------------------------------- */

typedef struct known {
    char               sha256[65];
    const wh_question *q;
} known;

typedef struct loader {
    wh_fit_data *out;
    wh_dataset  *sets;
    size_t       n_sets;
    known       *known;
    size_t       n_known;
    const char  *path;                 /* of the journal */
    wh_fit_sample *pending;            /* samples whose problem is not closed yet */
    size_t        *lines, n_pending, cap_pending, cap_problems;
} loader;

static int by_sha256(const void *a, const void *b) { return memcmp(((const known *)a)->sha256, ((const known *)b)->sha256, 64); }

static wh_code load_sets(loader *l, const wh_opt_strings *files, wh_err *err)
{
    size_t all = 0;
    l->sets = wh_mem_zalloc(files->n, sizeof *l->sets);
    if (!l->sets) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    for (l->n_sets = 0; l->n_sets < files->n;) {
        wh_dataset *d = &l->sets[l->n_sets++];
        WH_TRY(wh_dataset_load(d, files->v[l->n_sets - 1], 0, 0, err));
        all += d->n;
    }
    l->known = wh_mem_alloc(all, sizeof *l->known);
    if (!l->known) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    for (size_t i = 0; i < l->n_sets; i++)
        for (size_t k = 0; k < l->sets[i].n; k++) {
            known *one = &l->known[l->n_known++];
            one->q = &l->sets[i].list[k];
            wh_file_sha256(one->sha256, one->q->problem, strlen(one->q->problem));
        }
    qsort(l->known, l->n_known, sizeof *l->known, by_sha256);
    return WH_OK;
}

/* ---- records ------------------------------------------------------------------------------------------------------------- */

static wh_code take_sample(loader *l, const json_t *record, wh_err *err)
{
    const json_t *text = json_object_get(record, "text"), *ids = json_object_get(record, "ids");
    if (!json_is_string(text) || !json_is_array(ids)) return wh_err_set(err, WH_ERR_FORMAT, "%s: a sample has no text or no ids", l->path);
    if (l->n_pending == l->cap_pending) {
        size_t cap = 2 * l->cap_pending + 64;
        wh_fit_sample *pending = wh_mem_resize(l->pending, cap, sizeof *pending);
        if (pending) l->pending = pending;
        size_t *lines = pending ? wh_mem_resize(l->lines, cap, sizeof *lines) : NULL;
        if (!lines) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", cap);
        l->lines = lines;
        l->cap_pending = cap;
    }
    wh_fit_sample s = {.text = wh_mem_strndup(json_string_value(text), json_string_length(text)),
                       .text_len = json_string_length(text),
                       .n_ids = json_array_size(ids),
                       .ids = wh_mem_alloc(json_array_size(ids), sizeof *s.ids),
                       .index = (uint32_t)json_integer_value(json_object_get(record, "sample")),
                       .group = (int32_t)json_integer_value(json_object_get(record, "group")),
                       .right = json_is_true(json_object_get(record, "correct"))};
    if (!s.text || !s.ids) {
        free(s.text);
        free(s.ids);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a sample");
    }
    for (size_t i = 0; i < s.n_ids; i++) s.ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    l->lines[l->n_pending] = (size_t)json_integer_value(json_object_get(record, "line"));
    l->pending[l->n_pending++] = s;
    return WH_OK;
}

static wh_fit_problem *add_problem(loader *l)
{
    wh_fit_data *d = l->out;
    if (d->n == l->cap_problems) {
        size_t cap = 2 * l->cap_problems + 64;
        wh_fit_problem *more = wh_mem_resize(d->problems, cap, sizeof *more);
        if (!more) return NULL;
        d->problems = more;
        l->cap_problems = cap;
    }
    wh_fit_problem *p = &d->problems[d->n++];
    *p = (wh_fit_problem){0};
    return p;
}

static wh_code close_problem(loader *l, const json_t *record, wh_err *err)
{
    const char *sha256 = json_string_value(json_object_get(record, "problem_sha256")), *id = json_string_value(json_object_get(record, "id"));
    size_t line = (size_t)json_integer_value(json_object_get(record, "line")), n = 0, kept = 0;
    if (!sha256 || strlen(sha256) != 64) return wh_err_set(err, WH_ERR_FORMAT, "%s: a problem has no sha256", l->path);
    known key = {.q = NULL};
    memcpy(key.sha256, sha256, 65);
    const known *found = bsearch(&key, l->known, l->n_known, sizeof *l->known, by_sha256);
    if (!found)
        return wh_err_set(err, WH_ERR_ARG, "%s: problem %.40s is in no --data file; which set was it sampled from?", l->path, id ? id : "?");
    wh_fit_problem *p = add_problem(l);
    if (!p) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu problems", l->out->n);
    for (size_t i = 0; i < l->n_pending; i++) n += l->lines[i] == line;
    memcpy(p->sha256, sha256, 65);
    char start[17] = "";
    memcpy(start, sha256, 16);
    p->hash = strtoull(start, NULL, 16);
    p->question = wh_mem_strndup(found->q->problem, strlen(found->q->problem));
    p->gold = wh_mem_strndup(found->q->gold, strlen(found->q->gold));
    p->samples = wh_mem_alloc(n, sizeof *p->samples);
    if (!p->question || !p->gold || !p->samples) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a problem");
    for (size_t i = 0; i < l->n_pending; i++) {
        if (l->lines[i] == line) {
            p->samples[p->n++] = l->pending[i];
        } else {
            l->lines[kept] = l->lines[i];
            l->pending[kept++] = l->pending[i];
        }
    }
    l->n_pending = kept;
    if (p->n != json_array_size(json_object_get(record, "correct")))
        return wh_err_set(err, WH_ERR_FORMAT, "%s: problem %.40s has %zu of its samples", l->path, id ? id : "?", p->n);
    return WH_OK;
}

static wh_code on_record(void *user, const json_t *record, wh_err *err)
{
    const char *kind = json_string_value(json_object_get(record, "record"));
    if (kind && strcmp(kind, "sample") == 0) return take_sample(user, record, err);
    return wh_record_closes(record) ? close_problem(user, record, err) : WH_OK;
}

static void drop_pending(loader *l)
{
    for (size_t i = 0; i < l->n_pending; i++) {
        free(l->pending[i].text);
        free(l->pending[i].ids);
    }
    l->n_pending = 0;
}

/* ---- journals --------------------------------------------------------------------------------------------------------------- */

static wh_code check_policy(loader *l, const json_t *run, const char *first, wh_err *err)
{
    const json_t *policy = json_object_get(run, "policy");
    const char *sha256 = json_string_value(json_object_get(policy, "sha256")), *name = json_string_value(json_object_get(policy, "name"));
    if (!sha256 || strlen(sha256) != 64) return wh_err_set(err, WH_ERR_FORMAT, "%s does not say which policy it is of", l->path);
    wh_fit_data *d = l->out;
    if (!d->policy_name) {
        const json_t *search = json_object_get(run, "search");
        json_int_t most = json_integer_value(json_object_get(search, "max-tokens"));
        d->sampling = (struct wh_fit_sampling){.temperature = json_number_value(json_object_get(search, "temperature")),
                                               .top_p = json_number_value(json_object_get(search, "top-p")),
                                               .min_p = json_number_value(json_object_get(search, "min-p")),
                                               .top_k = (int)json_integer_value(json_object_get(search, "top-k")),
                                               .max_tokens = most > 0 ? (size_t)most : 2048};
        memcpy(d->policy_sha256, sha256, 65);
        d->policy_name = wh_mem_strndup(name ? name : "?", strlen(name ? name : "?"));
        return d->policy_name ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a name");
    }
    if (strcmp(d->policy_sha256, sha256) != 0)
        return wh_err_set(err, WH_ERR_ARG, "%s is of another policy (%.40s) than %s (%.40s)", l->path, name ? name : "?", first, d->policy_name);
    return WH_OK;
}

static wh_code load_journals(loader *l, const wh_opt_strings *files, wh_err *err)
{
    for (size_t i = 0; i < files->n; i++) {
        json_t *run = NULL;
        l->path = files->v[i];
        wh_out_progress("reading %s", l->path);
        wh_code code = wh_journal_read(l->path, &run, on_record, l, NULL, err);
        wh_out_progress("%s", "");
        if (code == WH_OK) code = check_policy(l, run, files->v[0], err);
        json_decref(run);
        drop_pending(l); /* of a problem that a kill left open */
        WH_TRY(code);
    }
    return WH_OK;
}

wh_code wh_samples_load(wh_fit_data *out, const wh_samples_opts *o, wh_err *err)
{
    *out = (wh_fit_data){0};
    loader l = {.out = out};
    wh_code code = o->journals.n ? WH_OK : wh_err_set(err, WH_ERR_ARG, "--journal FILE is missing: `whet rollout` makes one");
    if (code == WH_OK && !o->data.n) code = wh_err_set(err, WH_ERR_ARG, "--data FILE is missing: the problem set that the journal is of");
    if (code == WH_OK) code = load_sets(&l, &o->data, err);
    if (code == WH_OK) code = load_journals(&l, &o->journals, err);
    if (code == WH_OK) code = wh_fit_data_finish(out, (size_t)o->problems, (size_t)o->samples, err);
    drop_pending(&l);
    for (size_t i = 0; i < l.n_sets; i++) wh_dataset_free(&l.sets[i]);
    free(l.sets);
    free(l.known);
    free(l.pending);
    free(l.lines);
    return code;
}
