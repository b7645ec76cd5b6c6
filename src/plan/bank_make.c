/* From journals, and what was said of their problems and samples apart from them, to a bank. */
#include "answer/answer.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "journal/journal.h"
#include "plan/bank.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

typedef struct maker {
    json_t *policy, *prm, *sampling, *seed; /* of the first journal with samples */
    json_t *data;                           /* sha256 of every set */
    json_t *searches;
    json_t *problems; /* by the sha256 of the set and the line: {"close", "samples", "runs": [{"search", "close", "samples"}]} */
    json_t *order;    /* those keys */
    json_t *scores;   /* records of files of scores, by "problem_sha256:sample" */
    json_t *passes;   /* what prompts let expect, by problem_sha256 */
    /* the journal being read */
    const char *path;
    const char *set;     /* sha256 */
    json_t     *pending; /* samples by line */
    size_t      matched; /* problems of a search that were sampled */
    bool        whole_search;
    size_t      search;
    size_t      samples; /* of a problem, at most */
    /* sums over problems, for the cost of a token */
    double rows, linear, logits, head, keys, attention;
} maker;

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory for a bank"); }

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static wh_code key_of_line(char key[32], const json_t *record, const maker *m, wh_err *err)
{
    const json_t *line = json_object_get(record, "line");
    if (!json_is_integer(line)) return wh_err_set(err, WH_ERR_FORMAT, "%s: a record without a line number", m->path);
    snprintf(key, 32, "%lld", (long long)json_integer_value(line));
    return WH_OK;
}

static wh_code take_sample(maker *m, const json_t *record, wh_err *err)
{
    char key[32];
    WH_TRY(key_of_line(key, record, m, err));
    json_t *list = json_object_get(m->pending, key), *slim = json_object();
    if (!list && json_object_set_new(m->pending, key, list = json_array()) != 0) return no_memory(err);
    static const char *const kept[] = {"sample", "answer", "tokens", "correct", "scores", "stop"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) json_object_set(slim, kept[i], json_object_get(record, kept[i]));
    return json_array_append_new(list, slim) == 0 ? WH_OK : no_memory(err);
}

/* What the ledger counted for a problem and how often, for independent samples: every sample draws d tokens, its end
 * included, and computes all but the last. */
static void learn_cost(maker *m, const json_t *close, const json_t *samples)
{
    const json_t *ledger = json_object_get(close, "policy"), *s;
    double prompt = number(json_object_get(close, "sizes"), "prompt_tokens"), prefill = number(ledger, "prefill_tokens");
    double drawn = number(ledger, "decode_tokens");
    size_t i;
    m->rows += prefill + drawn - (double)json_array_size(samples);
    m->linear += number(ledger, "linear");
    m->logits += drawn;
    m->head += number(ledger, "head");
    m->keys += prefill * (prompt - prefill) + prefill * (prefill + 1) / 2;
    m->attention += number(ledger, "attention");
    json_array_foreach((json_t *)(uintptr_t)samples, i, s)
    {
        const char *stop = json_string_value(json_object_get(s, "stop"));
        double n = number(s, "tokens") - (stop && strcmp(stop, "eos") == 0 ? 0 : 1);
        m->keys += prompt * n + n * (n + 1) / 2;
    }
}

/* What a file of scores says of the samples of a problem. */
static wh_code add_scores(const maker *m, const json_t *close, json_t *samples, wh_err *err)
{
    const char *problem = json_string_value(json_object_get(close, "problem_sha256"));
    json_t *s;
    size_t i;
    json_array_foreach(samples, i, s)
    {
        char key[128];
        json_int_t index = json_integer_value(json_object_get(s, "sample"));
        snprintf(key, sizeof key, "%s:%lld", problem ? problem : "", (long long)index);
        const json_t *of = json_object_get(m->scores, key);
        if (!of)
            return wh_err_set(err, WH_ERR_ARG, "%s: sample %lld of problem %lld is in no file of scores", m->path, (long long)index,
                              (long long)json_integer_value(json_object_get(close, "line")));
        json_object_set(s, "scores", json_object_get(of, "scores"));
        json_object_set(s, "prm_flops", json_object_get(of, "flops"));
    }
    return WH_OK;
}

static void drop_samples(json_t *samples, size_t from)
{
    for (size_t i = json_array_size(samples); i-- > 0;)
        if (json_integer_value(json_object_get(json_array_get(samples, i), "sample")) >= (json_int_t)from) json_array_remove(samples, i);
}

static wh_code take_problem(maker *m, json_t *close, wh_err *err)
{
    char line[32];
    WH_TRY(key_of_line(line, close, m, err));
    char key[128];
    snprintf(key, sizeof key, "%s:%s", m->set, line);
    json_t *samples = json_object_get(m->pending, line);
    if (!json_is_array(samples)) return wh_err_set(err, WH_ERR_FORMAT, "%s: problem %s has no samples", m->path, line);
    json_t *p = json_object_get(m->problems, key);
    if (m->whole_search) {
        if (!p) return WH_OK; /* sampled by none of the journals */
        m->matched++;
        json_t *run = json_pack("{s:I, s:O, s:O}", "search", (json_int_t)m->search, "close", close, "samples", samples);
        if (json_array_append_new(json_object_get(p, "runs"), run) != 0) return no_memory(err);
    } else {
        if (p) return wh_err_set(err, WH_ERR_ARG, "%s: problem %s stands in another journal too", m->path, line);
        learn_cost(m, close, samples);
        if (m->samples) drop_samples(samples, m->samples);
        if (json_object_size(m->scores)) WH_TRY(add_scores(m, close, samples, err));
        p = json_pack("{s:O, s:O, s:[]}", "close", close, "samples", samples, "runs");
        if (json_object_set_new(m->problems, key, p) != 0 || json_array_append_new(m->order, json_string(key)) != 0) return no_memory(err);
    }
    json_object_del(m->pending, line);
    return WH_OK;
}

static wh_code take_record(void *user, const json_t *record, wh_err *err)
{
    maker *m = user;
    const char *kind = json_string_value(json_object_get(record, "record"));
    if (kind && strcmp(kind, "sample") == 0) return take_sample(m, record, err);
    if (kind && strcmp(kind, "problem") == 0) return take_problem(m, (json_t *)(uintptr_t)record, err);
    return WH_OK;
}

static bool samples_alone(const json_t *run)
{
    const char *s = json_string_value(json_object_get(json_object_get(run, "search"), "strategy"));
    return s && strcmp(s, "best_of_n") == 0;
}

static bool same(const json_t *a, const json_t *b) { return a == b || json_equal(a, b); }

/* {"strategy": ..., every parameter}, but for how many samples: journals of 8 and of 16 go together. */
static json_t *without_n(const json_t *search)
{
    json_t *o = json_copy((json_t *)(uintptr_t)search);
    json_object_del(o, "n");
    return o;
}

static wh_code take_header(maker *m, const json_t *run, wh_err *err)
{
    json_t *sampling = without_n(json_object_get(run, "search"));
    wh_code code = WH_OK;
    if (!m->policy) {
        m->policy = json_incref(json_object_get(run, "policy"));
        if (!m->prm) m->prm = json_incref(json_object_get(run, "prm"));
        m->seed = json_incref(json_object_get(run, "seed"));
        m->sampling = json_incref(sampling);
    }
    if (!same(m->policy, json_object_get(run, "policy"))) code = wh_err_set(err, WH_ERR_ARG, "%s is of another policy than the first journal", m->path);
    else if (!m->whole_search && json_object_size(m->scores) && json_is_object(json_object_get(run, "prm")))
        code = wh_err_set(err, WH_ERR_ARG, "%s has scores of its own", m->path);
    else if (!m->whole_search && !json_object_size(m->scores) && !same(m->prm, json_object_get(run, "prm")))
        code = wh_err_set(err, WH_ERR_ARG, "%s is of another PRM than the first journal", m->path);
    else if (!m->whole_search && !same(m->sampling, sampling))
        code = wh_err_set(err, WH_ERR_ARG, "%s was sampled with other parameters than the first journal", m->path);
    json_decref(sampling);
    return code;
}

/* ---- what was said apart from the journals -------------------------------------------------------------------------- */

static wh_code take_score(void *user, const json_t *record, wh_err *err)
{
    maker *m = user;
    const char *problem = json_string_value(json_object_get(record, "problem_sha256"));
    char key[128];
    snprintf(key, sizeof key, "%s:%lld", problem ? problem : "", (long long)json_integer_value(json_object_get(record, "sample")));
    json_t *kept = json_pack("{s:O, s:O}", "scores", json_object_get(record, "scores"), "flops", json_object_get(record, "flops"));
    if (!kept) return wh_err_set(err, WH_ERR_FORMAT, "%s: a record without scores or their FLOPs", m->path);
    return json_object_set_new(m->scores, key, kept) == 0 ? WH_OK : no_memory(err);
}

/* The PRM of the bank is that of the scores. */
static wh_code read_scores(maker *m, const char *path, wh_err *err)
{
    json_t *run = NULL;
    m->path = path;
    WH_TRY(wh_journal_read(path, &run, take_score, m, NULL, err));
    json_t *prm = json_object_get(run, "prm");
    wh_code code = WH_OK;
    if (!json_is_object(prm)) code = wh_err_set(err, WH_ERR_ARG, "%s is no file of scores (`whet score --out`)", path);
    else if (m->prm && !json_equal(m->prm, prm)) code = wh_err_set(err, WH_ERR_ARG, "%s is of another PRM than the first file of scores", path);
    else if (!m->prm) m->prm = json_incref(prm);
    json_decref(run);
    return code;
}

static wh_code read_difficulty(maker *m, const char *path, wh_err *err)
{
    enum { LIMIT = 1 << 28 };
    wh_buf text = {0};
    wh_code code = wh_file_read(&text, path, LIMIT, err);
    size_t line = 1;
    for (char *at = code == WH_OK ? text.data : NULL, *end; code == WH_OK && at && *at; at = end, line++) {
        end = at + strcspn(at, "\n");
        json_t *o = json_loadb(at, (size_t)(end - at), 0, NULL);
        const char *problem = json_string_value(json_object_get(o, "problem_sha256"));
        json_t *pass = json_object_get(o, "pass");
        if (!problem || !json_is_number(pass)) code = wh_err_set(err, WH_ERR_FORMAT, "%s, line %zu: not a line of `whet difficulty`", path, line);
        else if (json_object_set(m->passes, problem, pass) != 0) code = no_memory(err);
        json_decref(o);
        if (*end) end++;
    }
    wh_buf_free(&text);
    return code;
}

/* Journals are read twice: the header must be known before the records. */
static wh_code read_journal(maker *m, const char *path, bool searches, wh_err *err)
{
    json_t *run = NULL;
    m->path = path;
    WH_TRY(wh_journal_read(path, &run, NULL, NULL, NULL, err));
    m->whole_search = !samples_alone(run);
    wh_code code = WH_OK;
    if (m->whole_search == searches) {
        code = take_header(m, run, err);
        const json_t *sha256 = json_object_get(json_object_get(run, "data"), "sha256");
        m->set = json_is_string(sha256) ? json_string_value(sha256) : "";
        m->matched = 0;
        if (searches) {
            m->search = json_array_size(m->searches);
            json_t *search = json_deep_copy(json_object_get(run, "search"));
            json_object_set(search, "prm", json_object_get(run, "prm"));
            json_array_append_new(m->searches, search);
        } else {
            json_array_append(m->data, (json_t *)(uintptr_t)sha256);
        }
        json_object_clear(m->pending);
        if (code == WH_OK) code = wh_journal_read(path, NULL, take_record, m, NULL, err);
        if (code == WH_OK && searches && !m->matched) code = wh_err_set(err, WH_ERR_ARG, "%s has no problem that the other journals sample", path);
    }
    json_decref(run);
    return code;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* Number the answers of all samples of a problem, those of its searches too. groups: as many as there are. */
static wh_code group(int32_t *groups, const char **texts, const json_t *p, size_t n, wh_err *err)
{
    size_t at = 0, i, n_groups;
    json_t *s, *run;
    json_array_foreach(json_object_get(p, "samples"), i, s) texts[at++] = json_string_value(json_object_get(s, "answer"));
    size_t r;
    json_array_foreach(json_object_get(p, "runs"), r, run)
        json_array_foreach(json_object_get(run, "samples"), i, s) texts[at++] = json_string_value(json_object_get(s, "answer"));
    return wh_answer_group(groups, &n_groups, texts, n, err);
}

static json_t *each_prm(const json_t *close, const json_t *samples)
{
    const json_t *ledger = json_object_get(close, "prm");
    double total = number(ledger, "linear") + number(ledger, "attention") + number(ledger, "head"), tokens = 0;
    json_t *list = json_array(), *s;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)samples, i, s) tokens += number(s, "tokens");
    json_array_foreach((json_t *)(uintptr_t)samples, i, s)
    {
        const json_t *own = json_object_get(s, "prm_flops");
        double flops = own ? json_number_value(own) : tokens > 0 ? total * number(s, "tokens") / tokens : 0;
        json_array_append_new(list, json_integer((json_int_t)flops));
    }
    return list;
}

static json_t *samples_json(const json_t *close, const json_t *samples, const int32_t *groups)
{
    json_t *g = json_array(), *tokens = json_array(), *scores = json_array(), *s;
    wh_buf right = {0};
    bool scored = false;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)samples, i, s)
    {
        json_array_append_new(g, json_integer(groups[i]));
        json_array_append(tokens, json_object_get(s, "tokens"));
        json_array_append(scores, json_object_get(s, "scores"));
        scored = scored || json_is_array(json_object_get(s, "scores"));
        wh_buf_putc(&right, json_is_true(json_object_get(s, "correct")) ? '1' : '0');
    }
    json_t *o = json_pack("{s:o, s:s, s:o}", "groups", g, "right", wh_buf_str(&right), "tokens", tokens);
    if (scored) {
        json_object_set(o, "scores", scores);
        json_object_set_new(o, "prm_each", each_prm(close, samples));
    }
    json_decref(scores);
    wh_buf_free(&right);
    return o;
}

static json_int_t flops_of(const json_t *close, const char *who)
{
    const json_t *l = json_object_get(close, who);
    return (json_int_t)(number(l, "linear") + number(l, "attention") + number(l, "head"));
}

static json_t *problem_json(const maker *m, const json_t *p, const int32_t *groups)
{
    const json_t *close = json_object_get(p, "close"), *samples = json_object_get(p, "samples");
    json_t *o = json_pack("{s:O, s:O, s:O, s:O}", "line", json_object_get(close, "line"), "id", json_object_get(close, "id"), "sha256",
                          json_object_get(close, "problem_sha256"), "prompt", json_object_get(json_object_get(close, "sizes"), "prompt_tokens"));
    json_t *own = samples_json(close, samples, groups), *runs = json_array(), *run;
    json_object_update(o, own);
    json_decref(own);
    const char *sha256 = json_string_value(json_object_get(close, "problem_sha256"));
    json_t *pass = sha256 ? json_object_get(m->passes, sha256) : NULL;
    if (pass) json_object_set(o, "prompt_pass", pass);
    groups += json_array_size(samples);
    size_t r;
    json_array_foreach(json_object_get(p, "runs"), r, run)
    {
        const json_t *of = json_object_get(run, "samples"), *end = json_object_get(run, "close");
        json_t *x = samples_json(end, of, groups);
        json_object_del(x, "prm_each");
        json_object_set(x, "search", json_object_get(run, "search"));
        json_object_set_new(x, "policy", json_integer(flops_of(end, "policy")));
        json_object_set_new(x, "prm", json_integer(flops_of(end, "prm")));
        json_array_append_new(runs, x);
        groups += json_array_size(of);
    }
    if (json_array_size(runs)) json_object_set(o, "runs", runs);
    json_decref(runs);
    return o;
}

static wh_code put_line(wh_buf *text, json_t *o, wh_err *err)
{
    char *line = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(5)) : NULL;
    json_decref(o);
    if (line) wh_buf_puts(text, line);
    wh_buf_putc(text, '\n');
    free(line);
    return line && wh_buf_ok(text) ? WH_OK : no_memory(err);
}

static wh_code put_problem(wh_buf *text, const maker *m, size_t at, wh_err *err)
{
    const json_t *p = json_object_get(m->problems, json_string_value(json_array_get(m->order, at)));
    size_t n = json_array_size(json_object_get(p, "samples")), r;
    json_t *run;
    json_array_foreach(json_object_get(p, "runs"), r, run) n += json_array_size(json_object_get(run, "samples"));
    int32_t *groups = wh_mem_alloc(n, sizeof *groups);
    const char **texts = wh_mem_alloc(n, sizeof *texts);
    wh_code code = groups && texts ? group(groups, texts, p, n, err) : no_memory(err);
    if (code == WH_OK) code = put_line(text, problem_json(m, p, groups), err);
    free(groups);
    free(texts);
    return code;
}

static json_int_t per(double sum, double n) { return n > 0 ? (json_int_t)(sum / n + 0.5) : 0; }

static wh_code put_all(wh_buf *text, const maker *m, wh_err *err)
{
    const json_int_t body = per(m->linear, m->rows), head = per(m->head, m->logits);
    json_t *cost = json_pack("{s:I, s:I, s:I, s:I}", "body", body, "head", head, "attn_per_key", per(m->attention, m->keys), "params",
                             (body + head) / 2);
    WH_TRY(put_line(text, json_pack("{s:s, s:i, s:O, s:O, s:O, s:O, s:O, s:O, s:o}", "bank", "whet", "version", 1, "data", m->data, "policy",
                                    m->policy, "prm", m->prm, "search", m->sampling, "seed", m->seed, "searches", m->searches, "cost", cost),
                    err));
    for (size_t i = 0; i < json_array_size(m->order); i++) WH_TRY(put_problem(text, m, i, err));
    return WH_OK;
}

static wh_code compress(const char *path, const wh_buf *text, wh_err *err)
{
    enum { LEVEL = 19 };
    size_t bound = ZSTD_compressBound(text->len);
    char *out = wh_mem_alloc(bound, 1);
    if (!out) return no_memory(err);
    size_t size = ZSTD_compress(out, bound, text->data, text->len, LEVEL);
    wh_code code = ZSTD_isError(size) ? no_memory(err) : wh_file_write(path, out, size, err);
    free(out);
    return code;
}

wh_code wh_bank_make(const char *path, const wh_bank_sources *from, size_t *n_problems, wh_err *err)
{
    maker m = {.data = json_array(), .searches = json_array(), .problems = json_object(), .order = json_array(), .pending = json_object(),
               .scores = json_object(), .passes = json_object(), .samples = from->samples};
    wh_buf text = {0};
    wh_code code = WH_OK;
    for (size_t i = 0; i < from->n_scores && code == WH_OK; i++) code = read_scores(&m, from->scores[i], err);
    for (size_t i = 0; i < from->n_difficulty && code == WH_OK; i++) code = read_difficulty(&m, from->difficulty[i], err);
    for (int searches = 0; searches < 2; searches++)
        for (size_t i = 0; i < from->n_journals && code == WH_OK; i++) code = read_journal(&m, from->journals[i], searches, err);
    *n_problems = json_array_size(m.order);
    if (code == WH_OK && !*n_problems) code = wh_err_set(err, WH_ERR_ARG, "none of the journals is of best_of_n and holds a finished problem");
    if (code == WH_OK) code = put_all(&text, &m, err);
    if (code == WH_OK) code = compress(path, &text, err);
    wh_buf_free(&text);
    json_t *const all[] = {m.policy, m.prm, m.sampling, m.seed, m.data, m.searches, m.problems, m.order, m.pending, m.scores, m.passes};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) json_decref(all[i]);
    return code;
}
