#include "app/dataset.h"

#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/rng.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The first of the keys that is there, as a text of our own; *out stays NULL when none is. */
static wh_code take_text(char **out, const json_t *o, const char *const *keys, wh_err *err)
{
    for (; *keys && !*out; keys++) {
        const json_t *v = json_object_get(o, *keys);
        if (json_is_string(v)) *out = wh_mem_strndup(json_string_value(v), json_string_length(v));
        else if (json_is_number(v)) *out = json_dumps(v, JSON_ENCODE_ANY);
        else continue;
        if (!*out) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    }
    return WH_OK;
}

static wh_code read_question(wh_question *q, const char *line, size_t n, wh_err *err)
{
    static const char *const problem[] = {"problem", "question", NULL};
    static const char *const gold[] = {"answer", "extracted_groundtruth", "solution", NULL};
    static const char *const id[] = {"id", "unique_id", NULL};
    json_error_t why;
    json_t *o = json_loadb(line, n, 0, &why);
    if (!o) return wh_err_set(err, WH_ERR_FORMAT, "not JSON: %s", why.text);
    wh_code code = take_text(&q->problem, o, problem, err);
    if (code == WH_OK) code = take_text(&q->gold, o, gold, err);
    if (code == WH_OK) code = take_text(&q->id, o, id, err);
    json_decref(o);
    if (code == WH_OK && (!q->problem || !*q->problem)) code = wh_err_set(err, WH_ERR_FORMAT, "there is no \"problem\" or \"question\"");
    if (code == WH_OK && (!q->gold || !*q->gold)) code = wh_err_set(err, WH_ERR_FORMAT, "there is no \"answer\"");
    if (code == WH_OK && !q->id) {
        wh_buf number = {0};
        wh_buf_printf(&number, "%zu", q->line);
        q->id = number.data;
        if (!wh_buf_ok(&number)) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    }
    return code;
}

static wh_code read_lines(wh_dataset *d, const wh_buf *text, size_t limit, uint64_t seed, wh_err *err)
{
    for (wh_lines l = {0}; (limit == 0 || d->n < limit) && wh_lines_next(&l, text);) {
        wh_question *more = wh_mem_resize(d->list, d->n + 1, sizeof *more);
        if (!more) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
        d->list = more;
        wh_question *q = &d->list[d->n++];
        *q = (wh_question){.line = l.number, .seed = wh_rng_substream(seed, l.number) >> 16};
        if (read_question(q, l.text, l.n, err) != WH_OK) return wh_err_wrap(err, "line %zu", l.number);
    }
    return d->n ? WH_OK : wh_err_set(err, WH_ERR_FORMAT, "there is no problem in it");
}

wh_code wh_dataset_load(wh_dataset *d, const char *path, size_t limit, uint64_t seed, wh_err *err)
{
    wh_buf text = {0};
    wh_code code = wh_file_read(&text, path, (size_t)1 << 30, err);
    if (code == WH_OK) {
        wh_file_sha256(d->sha256, wh_buf_str(&text), text.len);
        code = read_lines(d, &text, limit, seed, err);
        if (code != WH_OK) wh_err_wrap(err, "%s", path);
    }
    wh_buf_free(&text);
    return code;
}

static void free_question(wh_question *q)
{
    free(q->id);
    free(q->problem);
    free(q->gold);
}

wh_code wh_dataset_shard(wh_dataset *d, size_t part, size_t of, wh_err *err)
{
    size_t n = 0, all = d->n;
    for (size_t i = 0; i < all; i++) {
        if (i % of == part - 1) d->list[n++] = d->list[i];
        else free_question(&d->list[i]);
    }
    d->n = n;
    return n ? WH_OK : wh_err_set(err, WH_ERR_ARG, "part %zu of %zu of %zu problems is empty", part, of, all);
}

void wh_dataset_free(wh_dataset *d)
{
    for (size_t i = 0; i < d->n; i++) free_question(&d->list[i]);
    free(d->list);
    *d = (wh_dataset){0};
}
