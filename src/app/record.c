#include "app/record.h"

#include "app/json.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

bool wh_record_closes(const json_t *record)
{
    const char *kind = json_string_value(json_object_get(record, "record"));
    return kind && strcmp(kind, "problem") == 0;
}

void wh_record_free(wh_record *r)
{
    free(r->samples);
    free(r->right);
    free(r->scores);
    *r = (wh_record){0};
}

static wh_code read_samples(wh_record *r, const json_t *record, wh_err *err)
{
    const json_t *groups = json_object_get(record, "groups"), *correct = json_object_get(record, "correct");
    const json_t *lists = json_object_get(record, "scores");
    size_t all = 0, at = 0;
    for (size_t i = 0; i < r->n; i++) all += json_array_size(json_array_get(lists, i));
    r->samples = wh_mem_zalloc(r->n, sizeof *r->samples);
    r->right = wh_mem_zalloc(r->n, sizeof *r->right);
    r->scores = wh_mem_alloc(all, sizeof *r->scores);
    if (!r->samples || !r->right || !r->scores) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu samples", r->n);
    for (size_t i = 0; i < r->n; i++) {
        const json_t *list = json_array_get(lists, i);
        size_t n = json_array_size(list);
        r->samples[i] = (wh_sample){.index = i, .group = (int32_t)json_integer_value(json_array_get(groups, i)), .answer = "",
                                    .scores = n ? r->scores + at : NULL, .n_scores = n};
        r->right[i] = json_is_true(json_array_get(correct, i));
        for (size_t k = 0; k < n; k++) r->scores[at++] = json_number_value(json_array_get(list, k));
    }
    return WH_OK;
}

wh_code wh_record_read(wh_record *out, const json_t *record, wh_err *err)
{
    const json_t *groups = json_object_get(record, "groups");
    *out = (wh_record){.n = json_array_size(groups)};
    if (!groups || json_array_size(json_object_get(record, "correct")) != out->n)
        return wh_err_set(err, WH_ERR_FORMAT, "a record of the journal has no samples");
    wh_code code = read_samples(out, record, err);
    if (code != WH_OK) {
        wh_record_free(out);
        return code;
    }
    out->sizes = wh_sizes_from_json(json_object_get(record, "sizes"));
    out->policy = wh_json_to_ledger(json_object_get(record, "policy"));
    out->prm = wh_json_to_ledger(json_object_get(record, "prm"));
    out->speculative = wh_json_to_ledger(json_object_get(record, "speculative"));
    out->unscored = (size_t)json_integer_value(json_object_get(record, "unscored"));
    out->seconds = json_number_value(json_object_get(record, "seconds"));
    return WH_OK;
}
