#include "plan/bank.h"

#include "base/file.h"
#include "base/mem.h"
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

double wh_bank_sample_flops(const wh_cost *c, uint32_t prompt_tokens, uint32_t tokens)
{
    /* The end token is drawn from logits as well; the last token drawn is not computed. */
    return wh_strategy_compute(c, prompt_tokens, tokens, (double)tokens + 1);
}

/* ---- memory: everything of a bank lives in blocks that are freed with it ---------------------------------------- */

typedef struct block {
    struct block *next;
    _Alignas(16) unsigned char data[];
} block;

void *wh_bank_take(wh_bank *b, size_t n, size_t size)
{
    size_t bytes;
    if (!wh_mem_mul(&bytes, n, size) || !wh_mem_add(&bytes, bytes, sizeof(block))) return NULL;
    block *k = wh_mem_zalloc(1, bytes);
    if (!k) return NULL;
    k->next = b->memory;
    b->memory = k;
    return k->data;
}

void wh_bank_free(wh_bank *b)
{
    for (block *k = b->memory, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    json_decref(b->header);
    *b = (wh_bank){0};
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

typedef struct reader {
    wh_bank    *b;
    const char *path;
    size_t      line;
} reader;

static wh_code broken(const reader *r, const char *what, wh_err *err)
{
    return wh_err_set(err, WH_ERR_FORMAT, "%s, line %zu: %s", r->path, r->line, what);
}

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory for a bank"); }

static uint64_t whole(const json_t *o, const char *key) { return (uint64_t)json_integer_value(json_object_get(o, key)); }

static wh_code read_header(reader *r, json_t *o, wh_err *err)
{
    wh_bank *b = r->b;
    const char *kind = json_string_value(json_object_get(o, "bank"));
    const json_t *cost = json_object_get(o, "cost"), *searches = json_object_get(o, "searches");
    if (!kind || strcmp(kind, "whet") != 0 || !cost) return wh_err_set(err, WH_ERR_FORMAT, "%s is no bank of Whet", r->path);
    if (json_integer_value(json_object_get(o, "version")) != 1)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s is a bank of another version", r->path);
    b->header = json_incref(o);
    b->cost = (wh_cost){whole(cost, "body"), whole(cost, "head"), whole(cost, "attn_per_key"), whole(cost, "params")};
    b->n_searches = json_array_size(searches);
    b->searches = wh_bank_take(b, b->n_searches, sizeof *b->searches);
    if (!b->searches) return no_memory(err);
    for (size_t i = 0; i < b->n_searches; i++) b->searches[i] = json_array_get(searches, i);
    b->scored = true;
    return WH_OK;
}

static wh_code read_scores(reader *r, wh_bank_sample *s, const json_t *list, wh_err *err)
{
    s->n_scores = json_array_size(list);
    if (!s->n_scores) return WH_OK;
    double *scores = wh_bank_take(r->b, s->n_scores, sizeof *scores);
    if (!scores) return no_memory(err);
    for (size_t i = 0; i < s->n_scores; i++) scores[i] = json_number_value(json_array_get(list, i));
    s->scores = scores;
    return WH_OK;
}

static wh_code read_samples(reader *r, wh_bank_sample **out, size_t *n, const json_t *o, wh_err *err)
{
    const json_t *groups = json_object_get(o, "groups"), *tokens = json_object_get(o, "tokens");
    const json_t *scores = json_object_get(o, "scores"), *prm = json_object_get(o, "prm_each");
    const char *right = json_string_value(json_object_get(o, "right"));
    *n = json_array_size(groups);
    if (!right || strlen(right) != *n || json_array_size(tokens) != *n) return broken(r, "not as many groups as verdicts or tokens", err);
    wh_bank_sample *list = *out = wh_bank_take(r->b, *n, sizeof *list);
    if (!list) return no_memory(err);
    for (size_t i = 0; i < *n; i++) {
        list[i].group = (int32_t)json_integer_value(json_array_get(groups, i));
        list[i].right = right[i] == '1';
        list[i].tokens = (uint32_t)json_integer_value(json_array_get(tokens, i));
        list[i].prm_flops = json_number_value(json_array_get(prm, i));
        WH_TRY(read_scores(r, &list[i], json_array_get(scores, i), err));
    }
    return WH_OK;
}

static wh_code read_runs(reader *r, wh_bank_problem *p, const json_t *runs, wh_err *err)
{
    p->n_runs = json_array_size(runs);
    p->runs = wh_bank_take(r->b, p->n_runs, sizeof *p->runs);
    if (!p->runs) return no_memory(err);
    for (size_t i = 0; i < p->n_runs; i++) {
        const json_t *o = json_array_get(runs, i);
        wh_bank_run *run = &p->runs[i];
        run->search = (uint32_t)whole(o, "search");
        if (run->search >= r->b->n_searches) return broken(r, "a search that the header does not know", err);
        run->flops = (double)whole(o, "policy");
        run->prm_flops = (double)whole(o, "prm");
        WH_TRY(read_samples(r, &run->samples, &run->n, o, err));
    }
    return WH_OK;
}

static wh_code read_problem(reader *r, const json_t *o, wh_err *err)
{
    wh_bank *b = r->b;
    wh_bank_problem *p = &b->problems[b->n++];
    const char *id = json_string_value(json_object_get(o, "id"));
    if (!id) return broken(r, "a problem without an id", err);
    p->line = whole(o, "line");
    size_t size = strlen(id) + 1;
    p->id = wh_bank_take(b, size, 1);
    if (!p->id) return no_memory(err);
    memcpy(p->id, id, size);
    p->prompt_tokens = (uint32_t)whole(o, "prompt");
    const json_t *pass = json_object_get(o, "prompt_pass");
    p->prompt_pass = json_is_number(pass) ? json_number_value(pass) : NAN;
    b->prompted = b->prompted || json_is_number(pass);
    p->prompt_flops = wh_strategy_compute(&b->cost, 0, p->prompt_tokens, 0);
    WH_TRY(read_samples(r, &p->samples, &p->n, o, err));
    for (size_t i = 0; i < p->n; i++) {
        wh_bank_sample *s = &p->samples[i];
        s->flops = wh_bank_sample_flops(&b->cost, p->prompt_tokens, s->tokens);
        p->n_right += s->right;
        b->scored = b->scored && (s->scores || s->tokens == 0);
        if (s->group >= 0 && (size_t)s->group >= p->n_groups) p->n_groups = (size_t)s->group + 1;
    }
    return read_runs(r, p, json_object_get(o, "runs"), err);
}

static wh_code read_lines(reader *r, const char *text, wh_err *err)
{
    size_t lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    r->b->problems = wh_bank_take(r->b, lines + 1, sizeof *r->b->problems);
    if (!r->b->problems) return no_memory(err);
    for (const char *line = text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        json_t *o = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);
        r->line++;
        wh_code code = !json_is_object(o)  ? broken(r, "no JSON object", err)
                       : r->b->header ? read_problem(r, o, err)
                                      : read_header(r, o, err);
        json_decref(o);
        WH_TRY(code);
        if (*end) end++;
    }
    if (!r->b->n) return wh_err_set(err, WH_ERR_FORMAT, "%s holds no problem", r->path);
    return WH_OK;
}

wh_code wh_bank_read(wh_bank *out, const char *path, wh_err *err)
{
    enum { LIMIT = 1 << 30 };
    *out = (wh_bank){0};
    wh_map map;
    WH_TRY(wh_file_map(&map, path, err));
    unsigned long long size = ZSTD_getFrameContentSize(map.data, map.size);
    wh_code code = WH_OK;
    char *text = NULL;
    if (size > LIMIT) code = wh_err_set(err, WH_ERR_FORMAT, "%s is no bank of Whet", path);
    else if (!(text = wh_mem_alloc((size_t)size + 1, 1))) code = no_memory(err);
    if (code == WH_OK) {
        size_t got = ZSTD_decompress(text, (size_t)size, map.data, map.size);
        if (ZSTD_isError(got) || got != size) code = wh_err_set(err, WH_ERR_FORMAT, "%s is no bank of Whet, or damaged", path);
        else text[got] = '\0';
    }
    reader r = {out, path, 0};
    if (code == WH_OK) code = read_lines(&r, text, err);
    free(text);
    wh_file_unmap(&map);
    return code;
}
