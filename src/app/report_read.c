/* From journals to runs. */
#include "app/report.h"

#include "app/json.h"
#include "app/record.h"
#include "app/width.h"
#include "base/mem.h"
#include "journal/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one journal -------------------------------------------------------------------------------------------------- */

typedef struct reader {
    wh_report_run *run;
    const char    *path;
    json_t        *pending; /* by line: the sample records of problems that are not closed yet */
    bool           texts;
} reader;

/* What the first samples of a problem would have cost alone: the prompt, and their share of the rest by tokens. */
static void price_levels(wh_report_problem *p, const wh_score *s, const wh_record *r, const uint64_t *tokens)
{
    double policy = (double)wh_ledger_total(&r->policy), prm = (double)wh_ledger_total(&r->prm);
    double prompt = wh_report_prompt(&r->policy, r->policy.prefill_tokens);
    double question = wh_report_prompt(&r->prm, r->sizes.prm_prompt_tokens < r->prm.prefill_tokens ? r->sizes.prm_prompt_tokens : 0);
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

static wh_code take_problem(reader *rd, const json_t *record, const wh_record *r, const json_t *samples, wh_err *err)
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
    strncpy(p->sha256, wh_json_word(record, "problem_sha256"), sizeof p->sha256 - 1);
    if (!p->line || strlen(p->sha256) != 64 || json_array_size(samples) != r->n)
        return wh_err_set(err, WH_ERR_FORMAT, "%s: a record of problem %zu is not as `whet eval` writes it", rd->path, p->line);
    uint64_t *tokens = wh_mem_alloc(r->n, sizeof *tokens);
    if (!tokens) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    for (size_t i = 0; i < r->n; i++) {
        tokens[i] = (uint64_t)json_integer_value(json_object_get(json_array_get(samples, i), "tokens"));
        p->right += r->right[i];
    }
    p->budget = json_number_value(json_object_get(json_object_get(record, "plan"), "budget"));
    price_levels(p, &run->score, r, tokens);
    free(tokens);
    if (rd->texts && !(p->samples = keep_samples(samples, r))) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the samples");
    WH_TRY(judge(p, run, r, err));
    wh_score_spend(&run->score, &r->policy, &r->prm, &r->speculative, r->unscored, r->seconds);
    wh_sizes_add(&run->sizes, &r->sizes);
    return WH_OK;
}

static wh_code take_record(void *user, const json_t *record, wh_err *err)
{
    reader *rd = user;
    const char *kind = wh_json_word(record, "record");
    if (strcmp(kind, "costs") == 0) rd->run->costs = wh_costs_from_json(record);
    char line[24];
    snprintf(line, sizeof line, "%lld", (long long)json_integer_value(json_object_get(record, "line")));
    json_t *samples = json_object_get(rd->pending, line);
    if (strcmp(kind, "sample") == 0) {
        if (!samples) json_object_set_new(rd->pending, line, samples = json_array());
        if (json_array_append(samples, (json_t *)(uintptr_t)record) != 0) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the samples");
    }
    if (!wh_record_closes(record)) return WH_OK;
    wh_record r;
    if (wh_record_read(&r, record, err) != WH_OK) return wh_err_wrap(err, "%s", rd->path);
    wh_code code = take_problem(rd, record, &r, samples, err);
    wh_record_free(&r);
    json_object_del(rd->pending, line);
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
    const char *name = wh_json_word(search, "strategy");
    run->head = head;
    run->data = wh_json_word(json_object_get(run->head, "data"), "sha256");
    if (!*name || strlen(run->data) != 64) return wh_err_set(err, WH_ERR_FORMAT, "%s is no journal of `whet eval`", path);
    run->strategy = wh_strategy_find(name);
    run->planned = strcmp(name, "plan") == 0;
    run->total = json_number_value(json_object_get(search, "budget-total"));
    read_params(run, search);
    put_model(&run->policy, wh_json_word(json_object_get(head, "policy"), "name"));
    bool scored = json_is_object(prm);
    if (scored) {
        const char *judge_name = wh_json_word(prm, "name");
        put_model(&run->prm, *judge_name ? judge_name : "PRM");
        const char *kind = wh_json_word(prm, "kind");
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
    reader rd = {.run = run, .path = path, .pending = json_object(), .texts = texts};
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

wh_code wh_report_find(size_t *out, const wh_report *r, const char *path, wh_err *err)
{
    json_t *head;
    WH_TRY(read_run(&head, NULL, path, err));
    *out = find_run(r, r->n, head);
    json_decref(head);
    return WH_OK;
}
