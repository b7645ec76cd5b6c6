/* From journals to runs. */
#include "app/report.h"

#include "app/record.h"
#include "app/width.h"
#include "base/mem.h"
#include "journal/journal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one journal -------------------------------------------------------------------------------------------------- */

typedef struct reader {
    wh_report_run *run;
    const char    *path;
    json_t        *pending; /* sample records of the problem that the next closing record closes */
    bool           texts;
} reader;

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static double share_of_prompt(const wh_ledger *l, uint64_t prompt)
{
    double all = (double)(l->prefill_tokens + l->decode_tokens);
    return all > 0 ? (double)(l->linear + l->attention) * (double)prompt / all : 0;
}

/* What the first samples of a problem would have cost alone: the prompt, and their share of the rest by tokens. */
static void price_levels(wh_report_problem *p, const wh_score *s, const wh_record *r, const uint64_t *tokens)
{
    double policy = (double)wh_ledger_total(&r->policy), prm = (double)wh_ledger_total(&r->prm);
    double prompt = share_of_prompt(&r->policy, r->policy.prefill_tokens);
    double question = share_of_prompt(&r->prm, r->sizes.prm_prompt_tokens < r->prm.prefill_tokens ? r->sizes.prm_prompt_tokens : 0);
    for (size_t i = 0; i < s->levels; i++) {
        size_t first = s->nested && s->n[i] < r->n ? s->n[i] : r->n;
        uint64_t some = 0, all = 0;
        for (size_t k = 0; k < r->n; k++) {
            all += tokens[k];
            if (k < first) some += tokens[k];
        }
        double share = all ? (double)some / (double)all : 1;
        p->policy[i] = prompt + (policy - prompt) * share;
        p->prm[i] = question + (prm - question) * share;
    }
}

static json_t *keep_samples(const json_t *pending, const wh_record *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(pending); i++) {
        const json_t *s = json_array_get(pending, i);
        const wh_sample *sample = &r->samples[i];
        json_array_append_new(list, json_pack("{s:O, s:O, s:b, s:O, s:o}", "text", json_object_get(s, "text"), "answer",
                                              json_object_get(s, "answer"), "correct", r->right[i], "tokens", json_object_get(s, "tokens"),
                                              "score", sample->n_scores ? json_real(sample->scores[sample->n_scores - 1]) : json_null()));
    }
    return list;
}

static wh_code judge(wh_report_problem *p, wh_report_run *run, const wh_record *r, wh_err *err)
{
    p->elected = wh_mem_zalloc(run->score.n_rules * run->score.levels, sizeof *p->elected);
    if (!p->elected) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    wh_score before = run->score;
    WH_TRY(wh_score_add(&run->score, r->samples, r->right, r->n, err));
    for (size_t rule = 0; rule < before.n_rules; rule++)
        for (size_t i = 0; i < before.levels; i++)
            p->elected[rule * before.levels + i] = run->score.right[rule][i] > before.right[rule][i];
    return WH_OK;
}

static wh_code take_problem(reader *rd, const json_t *record, const wh_record *r, wh_err *err)
{
    wh_report_run *run = rd->run;
    if (run->n == run->cap) {
        size_t cap = run->cap ? 2 * run->cap : 64;
        wh_report_problem *more = wh_mem_resize(run->problems, cap, sizeof *more);
        if (!more) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
        run->problems = more;
        run->cap = cap;
    }
    wh_report_problem *p = &run->problems[run->n++];
    *p = (wh_report_problem){.line = (size_t)json_integer_value(json_object_get(record, "line")), .n = r->n};
    strncpy(p->sha256, text_of(record, "problem_sha256"), sizeof p->sha256 - 1);
    if (!p->line || strlen(p->sha256) != 64 || json_array_size(rd->pending) != r->n)
        return wh_err_set(err, WH_ERR_FORMAT, "%s: a record of problem %zu is not as `whet eval` writes it", rd->path, p->line);
    uint64_t *tokens = wh_mem_alloc(r->n, sizeof *tokens);
    if (!tokens) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    for (size_t i = 0; i < r->n; i++) {
        tokens[i] = (uint64_t)json_integer_value(json_object_get(json_array_get(rd->pending, i), "tokens"));
        p->right += r->right[i];
    }
    price_levels(p, &run->score, r, tokens);
    free(tokens);
    if (rd->texts && !(p->samples = keep_samples(rd->pending, r))) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the samples");
    WH_TRY(judge(p, run, r, err));
    wh_score_spend(&run->score, &r->policy, &r->prm, &r->speculative, r->unscored, r->seconds);
    wh_sizes_add(&run->sizes, &r->sizes);
    return WH_OK;
}

static wh_code take_record(void *user, const json_t *record, wh_err *err)
{
    reader *rd = user;
    const char *kind = text_of(record, "record");
    if (strcmp(kind, "costs") == 0) rd->run->costs = wh_costs_from_json(record);
    if (strcmp(kind, "sample") == 0 && json_array_append(rd->pending, (json_t *)(uintptr_t)record) != 0)
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for the samples");
    if (!wh_record_closes(record)) return WH_OK;
    wh_record r;
    if (wh_record_read(&r, record, err) != WH_OK) return wh_err_wrap(err, "%s", rd->path);
    wh_code code = take_problem(rd, record, &r, err);
    wh_record_free(&r);
    json_array_clear(rd->pending);
    return code;
}

/* ---- which run ---------------------------------------------------------------------------------------------------- */

static void put_name(wh_buf *out, const char *name)
{
    enum { LONGEST = 40 };
    wh_width_put(out, name, strlen(name), LONGEST, false);
}

static void put_model(wh_buf *out, const char *name)
{
    static const char end[] = ".gguf";
    put_name(out, name);
    size_t n = sizeof end - 1;
    if (out->len > n && strcmp(out->data + out->len - n, end) == 0) out->data[out->len -= n] = '\0';
}

/* Parameters as the strategy reads them; what it does not know is left alone. */
static void read_params(wh_report_run *run, const json_t *search)
{
    const wh_strategy *y = run->strategy;
    if (!y) return;
    wh_param_defaults(&run->params, y->params, y->n_params);
    for (size_t i = 0; i < y->n_params; i++) {
        const json_t *value = json_object_get(search, y->params[i].name);
        char *text = value && !json_is_string(value) ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
        const char *word = text ? text : json_string_value(value);
        if (word) (void)wh_param_set(&run->params, y->params, y->n_params, y->params[i].name, word, NULL);
        free(text);
    }
}

/* Takes over head. */
static wh_code read_head(wh_report_run *run, json_t *head, const char *path, const wh_rule *chosen, wh_err *err)
{
    const json_t *search = json_object_get(head, "search"), *prm = json_object_get(head, "prm");
    const char *name = text_of(search, "strategy");
    run->head = head;
    run->data = text_of(json_object_get(run->head, "data"), "sha256");
    if (!*name || strlen(run->data) != 64) return wh_err_set(err, WH_ERR_FORMAT, "%s is no journal of `whet eval`", path);
    run->strategy = wh_strategy_find(name);
    read_params(run, search);
    put_model(&run->policy, text_of(json_object_get(head, "policy"), "name"));
    bool scored = json_is_object(prm);
    if (scored) {
        const char *judge_name = text_of(prm, "name");
        put_model(&run->prm, *judge_name ? judge_name : "PRM");
        const char *kind = text_of(prm, "kind");
        wh_buf_puts(&run->prm, " (");
        wh_width_put(&run->prm, kind, strlen(kind), 20, false);
        wh_buf_putc(&run->prm, ')');
    }
    json_int_t n = json_integer_value(json_object_get(search, "n"));
    static const wh_rule majority = {.vote = &wh_vote_majority};
    wh_score_init(&run->score, n > 0 ? (size_t)n : 1, run->strategy && run->strategy->nested, scored, scored ? chosen : &majority);
    return WH_OK;
}

static void free_problem(wh_report_problem *p)
{
    free(p->elected);
    json_decref(p->samples);
}

static void free_run(wh_report_run *run)
{
    for (size_t i = 0; i < run->n; i++) free_problem(&run->problems[i]);
    free(run->problems);
    free(run->order);
    wh_buf_free(&run->files);
    wh_buf_free(&run->label);
    wh_buf_free(&run->policy);
    wh_buf_free(&run->prm);
    json_decref(run->head);
    *run = (wh_report_run){0};
}

void wh_report_free(wh_report *r)
{
    for (size_t i = 0; i < r->n; i++) free_run(&r->runs[i]);
    free(r->runs);
    *r = (wh_report){0};
}

static wh_code add_run(wh_report *r, wh_err *err)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;
        wh_report_run *more = wh_mem_resize(r->runs, cap, sizeof *more);
        if (!more) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the runs");
        r->runs = more;
        r->cap = cap;
    }
    r->runs[r->n] = (wh_report_run){.rank = r->n};
    r->n++;
    return WH_OK;
}

/* What a journal says of its run, without the shard, which is freed or goes to *shard (a new reference or NULL). */
static wh_code read_run(json_t **out, json_t **shard, const char *path, wh_err *err)
{
    json_t *head = NULL;
    WH_TRY(wh_journal_read(path, &head, NULL, NULL, NULL, err));
    *out = json_deep_copy(head);
    json_decref(head);
    if (!*out) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal %s", path);
    json_t *data = json_object_get(*out, "data");
    if (shard) *shard = json_incref(json_object_get(data, "shard"));
    json_object_del(data, "shard");
    return WH_OK;
}

static size_t find_run(const wh_report *r, size_t n, const json_t *head)
{
    for (size_t i = 0; i < n; i++)
        if (json_equal(r->runs[i].head, head)) return i;
    return SIZE_MAX;
}

/* The run that a journal belongs to, by its header; a new one when there is none yet. */
static wh_code open_run(wh_report_run **out, wh_report *r, const char *path, const wh_rule *chosen, wh_err *err)
{
    json_t *head, *shard;
    WH_TRY(read_run(&head, &shard, path, err));
    size_t at = find_run(r, r->n, head);
    wh_code code = WH_OK;
    if (at != SIZE_MAX) json_decref(head);
    else if ((code = add_run(r, err)) == WH_OK) code = read_head(&r->runs[at = r->n - 1], head, path, chosen, err);
    else json_decref(head);
    const char *of = shard ? strchr(json_string_value(shard) ? json_string_value(shard) : "", '/') : NULL;
    if (code == WH_OK) *out = &r->runs[at];
    if (code == WH_OK && of) {
        (*out)->of = strtoull(of + 1, NULL, 10);
        (*out)->shards++;
    }
    json_decref(shard);
    return code;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int by_line(const void *a, const void *b)
{
    size_t x = ((const wh_report_problem *)a)->line, y = ((const wh_report_problem *)b)->line;
    return x < y ? -1 : x > y;
}

wh_code wh_report_add(wh_report *r, const char *path, const wh_rule *chosen, bool texts, wh_err *err)
{
    wh_report_run *run;
    WH_TRY(open_run(&run, r, path, chosen, err));
    reader rd = {.run = run, .path = path, .pending = json_array(), .texts = texts};
    size_t torn = 0;
    wh_code code = wh_journal_read(path, NULL, take_record, &rd, &torn, err);
    json_decref(rd.pending);
    WH_TRY(code);
    run->torn += torn;
    if (run->n) qsort(run->problems, run->n, sizeof *run->problems, by_line);
    for (size_t i = 1; i < run->n; i++)
        if (run->problems[i].line == run->problems[i - 1].line) {
            if (!run->files.len) return wh_err_set(err, WH_ERR_FORMAT, "%s holds problem %zu twice", path, run->problems[i].line);
            return wh_err_set(err, WH_ERR_FORMAT, "%.80s and %.80s are of one run and both hold problem %zu: shards have no problem in common",
                              wh_buf_str(&run->files), path, run->problems[i].line);
        }
    wh_buf_printf(&run->files, "%s%s", run->files.len ? "," : "", last_part(path));
    return wh_buf_ok(&run->files) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a name");
}

/* ---- all of them ---------------------------------------------------------------------------------------------------- */

/* Two runs of the same file must have the same problems in its lines. */
static wh_code check_same_set(const wh_report_run *a, const wh_report_run *b, wh_err *err)
{
    if (strcmp(a->data, b->data) != 0) return WH_OK;
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        const wh_report_problem *p = &a->problems[i], *q = &b->problems[k];
        if (p->line == q->line && strcmp(p->sha256, q->sha256) != 0)
            return wh_err_set(err, WH_ERR_FORMAT, "%.80s and %.80s contradict each other: their sets are the same, their problem %zu is not",
                              wh_buf_str(&a->files), wh_buf_str(&b->files), p->line);
        if (p->line <= q->line) i++;
        else k++;
    }
    return WH_OK;
}

static void put_value(wh_buf *out, const char *key, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;
    const char *word = json_is_string(value) ? json_string_value(value) : text ? text : "none";
    wh_buf_printf(out, " %s=", key);
    wh_width_put(out, word, strlen(word), 20, false);
    free(text);
}

static bool differs(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x != y && !(x && y && json_equal(x, y));
}

/* Put key=value when a run of the same strategy and policy has another value there. */
static void put_difference(wh_buf *label, const wh_report *r, const wh_report_run *run, const char *group, const char *key, const char *shown)
{
    const json_t *own = group ? json_object_get(run->head, group) : run->head;
    for (size_t i = 0; i < r->shown; i++) {
        const json_t *head = r->runs[i].head, *other = group ? json_object_get(head, group) : head;
        if (r->runs[i].strategy != run->strategy || !differs(own, other, key)) continue;
        if (differs(json_object_get(run->head, "policy"), json_object_get(head, "policy"), "sha256")) continue;
        put_value(label, shown, json_object_get(own, key));
        return;
    }
}

static bool is_default(const wh_report_run *run, const char *key, const json_t *value)
{
    const wh_param *row = run->strategy ? wh_param_find(run->strategy->params, run->strategy->n_params, key) : NULL;
    if (!row) return false;
    wh_params usual;
    wh_buf text = {0};
    wh_param_defaults(&usual, row, 1);
    wh_param_print(&text, &usual, row);
    bool same = json_is_string(value) ? strcmp(wh_buf_str(&text), json_string_value(value)) == 0
                                      : json_is_number(value) && fabs(strtod(wh_buf_str(&text), NULL) - json_number_value(value)) < 1e-12;
    wh_buf_free(&text);
    return same;
}

/* Where runs of one strategy differ, what they differ in is part of their names; N stands beside the name. */
static wh_code name_run(wh_report *r, wh_report_run *run, wh_err *err)
{
    json_t *search = json_object_get(run->head, "search"), *value;
    const char *key;
    put_name(&run->label, text_of(search, "strategy"));
    json_object_foreach(search, key, value)
        if (strcmp(key, "n") != 0 && strcmp(key, "strategy") != 0 && !is_default(run, key, value))
            put_difference(&run->label, r, run, "search", key, key);
    put_difference(&run->label, r, run, "prm", "name", "prm");
    put_difference(&run->label, r, run, "prm", "kind", "kind");
    put_difference(&run->label, r, run, "policy", "form", "form");
    put_difference(&run->label, r, run, NULL, "seed", "seed");
    return wh_buf_ok(&run->label) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a name");
}

static int by_text(const void *a, const void *b)
{
    const wh_report_problem *p = *(const wh_report_problem *const *)a, *q = *(const wh_report_problem *const *)b;
    int c = strcmp(p->sha256, q->sha256);
    return c ? c : p->line < q->line ? -1 : p->line > q->line;
}

static wh_code sort_run(wh_report_run *run, wh_err *err)
{
    run->order = wh_mem_alloc(run->n, sizeof *run->order);
    if (!run->order) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    for (size_t i = 0; i < run->n; i++) run->order[i] = &run->problems[i];
    qsort(run->order, run->n, sizeof *run->order, by_text);
    return WH_OK;
}

/* A named journal may be one of the runs already (or a shard of one). */
static wh_code find_reference(wh_report *r, const char *path, const wh_rule *chosen, wh_err *err)
{
    enum { FEWEST = 4 }; /* samples that say anything about pass@1 */
    r->reference = SIZE_MAX;
    if (path) {
        json_t *head;
        WH_TRY(read_run(&head, NULL, path, err));
        r->reference = find_run(r, r->shown, head);
        json_decref(head);
        if (r->reference != SIZE_MAX) return WH_OK;
        r->reference = r->n;
        return wh_report_add(r, path, chosen, false, err);
    }
    size_t most = FEWEST - 1;
    for (size_t i = 0; i < r->n; i++) {
        const wh_score *s = &r->runs[i].score;
        if (!s->nested || s->n[s->levels - 1] <= most) continue;
        most = s->n[s->levels - 1];
        r->reference = i;
    }
    return WH_OK;
}

static bool differ_in_n_alone(const wh_report_run *a, const wh_report_run *b)
{
    json_t *x = json_deep_copy(a->head), *y = json_deep_copy(b->head);
    json_object_del(json_object_get(x, "search"), "n");
    json_object_del(json_object_get(y, "search"), "n");
    bool same = json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

/* Insertion: few runs, and the others keep their order. */
static void sort_runs(wh_report *r)
{
    for (size_t i = 1; i < r->n; i++) {
        wh_report_run run = r->runs[i];
        size_t to = i;
        for (size_t k = 0; k < i; k++) {
            if (!differ_in_n_alone(&r->runs[k], &run)) continue;
            to = k + (r->runs[k].score.n[r->runs[k].score.levels - 1] < run.score.n[run.score.levels - 1]);
            if (to == k) break;
        }
        memmove(&r->runs[to + 1], &r->runs[to], (i - to) * sizeof run);
        r->runs[to] = run;
    }
    for (size_t i = 0; i < r->n; i++)
        if (r->runs[i].rank == 0) r->base = i;
}

wh_code wh_report_finish(wh_report *r, const char *reference, const wh_rule *chosen, wh_err *err)
{
    r->shown = r->n;
    sort_runs(r);
    WH_TRY(find_reference(r, reference, chosen, err));
    for (size_t i = 0; i < r->n; i++) {
        if (!r->runs[i].n) return wh_err_set(err, WH_ERR_FORMAT, "%.200s: no problem is finished yet", wh_buf_str(&r->runs[i].files));
        for (size_t k = 0; k < i; k++) WH_TRY(check_same_set(&r->runs[k], &r->runs[i], err));
        WH_TRY(sort_run(&r->runs[i], err));
        WH_TRY(name_run(r, &r->runs[i], err));
    }
    return WH_OK;
}

wh_report_pair *wh_report_match(const wh_report_run *a, const wh_report_run *b, size_t *n)
{
    wh_report_pair *pairs = wh_mem_alloc(a->n < b->n ? a->n : b->n, sizeof *pairs);
    *n = 0;
    for (size_t i = 0, k = 0; pairs && i < a->n && k < b->n;) {
        int c = strcmp(a->order[i]->sha256, b->order[k]->sha256);
        if (c == 0) pairs[(*n)++] = (wh_report_pair){a->order[i++], b->order[k++]};
        else if (c < 0) i++;
        else k++;
    }
    return pairs;
}

wh_bin wh_report_bin(const wh_report_problem *p)
{
    double pass = p->n ? (double)p->right / (double)p->n : 0;
    return pass >= 0.5 ? WH_BIN_EASY : pass >= 0.1 ? WH_BIN_MEDIUM : WH_BIN_HARD;
}
