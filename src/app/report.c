#include "app/report.h"

#include "app/json.h"
#include "app/width.h"
#include "base/mem.h"
#include "base/stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- do they fit together ---------------------------------------------------------------------------------------------------- */

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

static bool same_way(const wh_report_run *a, const wh_report_run *b)
{
    const json_t *x = json_object_get(a->head, "search"), *y = json_object_get(b->head, "search");
    return strcmp(wh_json_word(x, "strategy"), wh_json_word(y, "strategy")) == 0 && strcmp(wh_json_word(x, "scheduler"), wh_json_word(y, "scheduler")) == 0;
}

static bool differs(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x != y && !(x && y && json_equal(x, y));
}

static const char *policy_of(const wh_report_run *run) { return wh_json_word(json_object_get(run->head, "policy"), "sha256"); }

/* Put key=value when a run of the same strategy and policy has another value there. */
static void put_difference(wh_buf *label, const wh_report *r, const wh_report_run *run, const char *group, const char *key, const char *shown)
{
    const json_t *own = group ? json_object_get(run->head, group) : run->head;
    for (size_t i = 0; i < r->shown; i++) {
        const json_t *head = r->runs[i].head, *other = group ? json_object_get(head, group) : head;
        if (!same_way(run, &r->runs[i]) || !differs(own, other, key)) continue;
        if (strcmp(policy_of(run), policy_of(&r->runs[i])) != 0) continue;
        put_value(label, shown, json_object_get(own, key));
        return;
    }
}

/* Runs that differ in these alone are points of one line. */
static const char *const sizes[] = {"n", "budget", "budget-total", "tokens"};

static bool is_size(const char *key)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (strcmp(key, sizes[i]) == 0) return true;
    return false;
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

/* Files of one name that are not the same get the beginning of their sums. */
static void tell_policies_apart(wh_report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const char *name = wh_json_word(json_object_get(r->runs[i].head, "policy"), "name");
        bool alike = false;
        for (size_t k = 0; k < r->n; k++)
            alike |= strcmp(wh_json_word(json_object_get(r->runs[k].head, "policy"), "name"), name) == 0 &&
                     strcmp(policy_of(&r->runs[k]), policy_of(&r->runs[i])) != 0;
        if (alike) wh_buf_printf(&r->runs[i].policy, " %.4s", policy_of(&r->runs[i]));
    }
}

/* Where runs of one strategy differ, what they differ in is part of their names; N stands beside the name. */
static wh_code name_run(wh_report *r, wh_report_run *run, wh_err *err)
{
    json_t *search = json_object_get(run->head, "search"), *value;
    const char *key;
    const char *name = wh_json_word(search, run->planned ? "scheduler" : "strategy");
    wh_width_put(&run->label, name, strlen(name), 40, false);
    json_object_foreach(search, key, value)
        if (!is_size(key) && strcmp(key, "strategy") != 0 && strcmp(key, "scheduler") != 0 && !is_default(run, key, value))
            put_difference(&run->label, r, run, "search", key, key);
    size_t before = run->label.len;
    put_difference(&run->label, r, run, "prm", "name", "prm");
    if (run->label.len == before) put_difference(&run->label, r, run, "prm", "kind", "kind");
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
        WH_TRY(wh_report_find(&r->reference, r, path, err));
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

static bool differ_in_size_alone(const wh_report_run *a, const wh_report_run *b)
{
    json_t *x = json_deep_copy(a->head), *y = json_deep_copy(b->head);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        json_object_del(json_object_get(x, "search"), sizes[i]);
        json_object_del(json_object_get(y, "search"), sizes[i]);
    }
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
            if (!differ_in_size_alone(&r->runs[k], &run)) continue;
            to = k + (wh_report_last_n(&r->runs[k]) < wh_report_last_n(&run));
            if (to == k) break;
        }
        memmove(&r->runs[to + 1], &r->runs[to], (i - to) * sizeof run);
        r->runs[to] = run;
    }
    for (size_t i = 0; i < r->n; i++)
        if (r->runs[i].rank == 0) r->base = i;
}

/* Where the header has no N, because problems get as many samples as they need, the mean stands for it. */
static wh_code check_run(wh_report_run *run, wh_err *err)
{
    wh_score *s = &run->score;
    if (!run->n) return wh_err_set(err, WH_ERR_FORMAT, "%.200s: no problem is finished yet", wh_buf_str(&run->files));
    if (!s->nested && !json_object_get(json_object_get(run->head, "search"), "n"))
        s->n[s->levels - 1] = (size_t)llround((double)s->samples / (double)run->n);
    return WH_OK;
}

wh_code wh_report_finish(wh_report *r, const char *reference, const wh_rule *chosen, wh_err *err)
{
    r->shown = r->n;
    for (size_t i = 0; i < r->n; i++) WH_TRY(check_run(&r->runs[i], err));
    sort_runs(r);
    tell_policies_apart(r);
    WH_TRY(find_reference(r, reference, chosen, err));
    if (r->n > r->shown) WH_TRY(check_run(&r->runs[r->shown], err));
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < i; k++) WH_TRY(check_same_set(&r->runs[k], &r->runs[i], err));
        WH_TRY(sort_run(&r->runs[i], err));
        WH_TRY(name_run(r, &r->runs[i], err));
    }
    return WH_OK;
}

/* ---- questions -------------------------------------------------------------------------------------------------------- */

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

wh_report_point wh_report_at(const wh_report_run *run, size_t rule, size_t level)
{
    const wh_score *s = &run->score;
    wh_report_point p = {.n = s->n[level], .correct = s->right[rule][level], .passed = s->passed[level], .problems = run->n,
                         .whole = level + 1 == s->levels};
    bool scores = s->rules[rule].vote->needs_scores || !s->nested;
    for (size_t i = 0; i < run->n; i++) {
        p.policy += run->problems[i].policy[level];
        if (scores) p.prm += run->problems[i].prm[level];
    }
    p.accuracy = (double)p.correct / (double)p.problems;
    wh_stat_wilson(&p.low, &p.high, p.correct, p.problems);
    return p;
}

bool wh_report_same_setting(const wh_report_run *a, const wh_report_run *b)
{
    return strcmp(a->data, b->data) == 0 && a->n == b->n && strcmp(wh_buf_str(&a->policy), wh_buf_str(&b->policy)) == 0;
}

double wh_report_cost(const wh_report_point *p) { return (p->policy + p->prm) / (double)p->problems; }

size_t wh_report_last_n(const wh_report_run *run) { return run->score.n[run->score.levels - 1]; }

bool wh_report_one_policy(const wh_report *r)
{
    for (size_t i = 1; i < r->shown; i++)
        if (strcmp(wh_buf_str(&r->runs[i].policy), wh_buf_str(&r->runs[0].policy)) != 0) return false;
    return true;
}

bool wh_report_one_set(const wh_report *r)
{
    for (size_t i = 1; i < r->shown; i++)
        if (strcmp(r->runs[i].data, r->runs[0].data) != 0) return false;
    return true;
}

bool wh_report_said_elsewhere(const wh_report *r, const wh_report_run *run, size_t level)
{
    const wh_score *s = &run->score;
    for (const wh_report_run *other = r->runs; other < r->runs + r->shown && level + 1 < s->levels; other++) {
        size_t n = wh_report_last_n(other);
        if (other != run && wh_report_same_setting(other, run) && strcmp(wh_buf_str(&other->label), wh_buf_str(&run->label)) == 0 &&
            strcmp(wh_buf_str(&other->prm), wh_buf_str(&run->prm)) == 0 && (n == s->n[level] || n > s->n[s->levels - 1]))
            return true;
    }
    return false;
}

size_t wh_report_rule(const wh_report_run *run, const wh_vote *vote)
{
    const wh_score *s = &run->score;
    const wh_rule wanted = {vote, s->rules[s->chosen].aggregate};
    for (size_t i = 0; i < s->n_rules; i++)
        if (wh_rule_same(&s->rules[i], &wanted)) return i;
    return SIZE_MAX;
}

void wh_report_forecast(double *policy, double *prm, const wh_report_run *run)
{
    *policy = *prm = 0;
    if (run->strategy && run->costs.policy.body) wh_forecast(policy, prm, &run->sizes, &run->costs, run->strategy, &run->params);
}

double wh_report_prompt(const wh_ledger *l, uint64_t tokens)
{
    double all = (double)(l->prefill_tokens + l->decode_tokens);
    return all > 0 ? (double)(l->linear + l->attention) * (double)tokens / all : 0;
}
