/* whet score: what a process reward model thinks of given solutions, step by step. */
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/manifest.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "reward/prm.h"
#include "search/tree.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *prm, *kind, *head, *data, *cpu_mask;
    int64_t     threads, batch, context;
    uint64_t    memory;
} options;

static const wh_opt option_table[] = {
    WH_OPT_INT(options, batch, "batch", "B", "16", 1, 4096, "solutions that are read together, at most"),
    WH_OPT_INT(options, context, "context", "TOKENS", "0", 0, 1 << 20, "tokens of a solution, at most; 0: the PRM's own limit, or 8192"),
    WH_OPT_STRING(options, cpu_mask, "cpu-mask", "ISA", NULL, "use no more than this instruction set: c, avx2, neon, ..."),
    WH_OPT_STRING(options, data, "data", "F.jsonl", "-", "solutions, one JSON object a line; `-`: standard input"),
    WH_OPT_STRING(options, head, "head", "HEAD", NULL, "a head file; the PRM is its trunk"),
    WH_OPT_STRING(options, kind, "kind", "KIND", NULL, "how to use a model that does not say it: judge, math-shepherd, ..."),
    WH_OPT_SIZE(options, memory, "memory", "SIZE", "0", "limit for keys, values and scratch; 0: what fits"),
    WH_OPT_STRING(options, prm, "prm", "MODEL", NULL, "name, alias or path of the PRM"),
    WH_OPT_INT(options, threads, "threads", "T", "0", 0, 1024, "threads; 0: one per physical core"),
};

/* One line of the data, on its way. */
typedef struct item {
    char       *question;
    char      **steps;
    size_t      n_steps;
    bool        done;
    double     *scores; /* NULL when done: not even the first step fits into the PRM's context */
    size_t      n_fit;
    wh_ledger   ledger;
    struct run *run;
} item;

typedef struct run {
    wh_prm *prm;
    item   *items;
    size_t  n, cap, shown; /* shown: lines printed, in order */
    size_t  flying;
    bool    no_memory;
} run;

/* ---- data -------------------------------------------------------------------------------------------------------- */

static bool add_step(item *x, const char *text, size_t n)
{
    char **steps = wh_mem_resize(x->steps, x->n_steps + 1, sizeof *steps);
    if (!steps) return false;
    x->steps = steps;
    return (steps[x->n_steps++] = wh_mem_strndup(text, n)) != NULL;
}

static wh_code read_steps(item *x, const json_t *o, wh_err *err)
{
    const json_t *steps = json_object_get(o, "steps"), *solution = json_object_get(o, "solution");
    bool ok = true;
    if (json_is_array(steps)) {
        size_t i;
        json_t *s;
        json_array_foreach (steps, i, s) {
            if (!json_is_string(s)) return wh_err_set(err, WH_ERR_FORMAT, "step %zu is no text", i + 1);
            wh_tok_str text = wh_chat_trim((wh_tok_str){json_string_value(s), json_string_length(s)});
            if (!text.n) return wh_err_set(err, WH_ERR_FORMAT, "step %zu is empty", i + 1);
            ok = ok && add_step(x, text.s, text.n);
        }
    } else if (json_is_string(solution)) {
        const char *step;
        size_t at = 0, len;
        while (ok && (len = wh_tree_next_step(&step, &at, json_string_value(solution), json_string_length(solution))) != 0)
            ok = add_step(x, step, len);
    } else {
        return wh_err_set(err, WH_ERR_FORMAT, "wants \"steps\": [texts] or \"solution\": text");
    }
    if (!ok) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the steps");
    return x->n_steps ? WH_OK : wh_err_set(err, WH_ERR_FORMAT, "there are no steps");
}

static wh_code read_item(run *r, const char *line, size_t n, wh_err *err)
{
    json_error_t why;
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        item *items = wh_mem_resize(r->items, cap, sizeof *items);
        if (!items) return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu solutions", cap);
        r->items = items;
        r->cap = cap;
    }
    json_t *o = json_loadb(line, n, 0, &why);
    if (!o) return wh_err_set(err, WH_ERR_FORMAT, "not JSON: %s", why.text);
    const json_t *q = json_object_get(o, "problem");
    if (!q) q = json_object_get(o, "question");
    item *x = &r->items[r->n++];
    *x = (item){0};
    wh_code code = WH_OK;
    if (!json_is_string(q)) code = wh_err_set(err, WH_ERR_FORMAT, "wants the text \"problem\" or \"question\"");
    else if (!(x->question = wh_mem_strndup(json_string_value(q), json_string_length(q))))
        code = wh_err_set(err, WH_ERR_NOMEM, "no memory for a question");
    if (code == WH_OK) code = read_steps(x, o, err);
    json_decref(o);
    return code;
}

static wh_code read_data(run *r, const char *path, wh_err *err)
{
    wh_buf text = {0};
    wh_code code = wh_file_read(&text, path, (size_t)1 << 30, err);
    size_t number = 0;
    for (size_t at = 0; code == WH_OK && at < text.len;) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.len - at);
        size_t n = end ? (size_t)(end - line) : text.len - at;
        at += n + 1;
        number++;
        if (strspn(line, " \t\r") < n && (code = read_item(r, line, n, err)) != WH_OK) wh_err_wrap(err, "line %zu of %s", number, path);
    }
    if (code == WH_OK && !r->n) code = wh_err_set(err, WH_ERR_ARG, "%s holds no solutions", path);
    wh_buf_free(&text);
    return code;
}

static void free_items(run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        item *x = &r->items[i];
        for (size_t k = 0; k < x->n_steps; k++) free(x->steps[k]);
        free(x->steps);
        free(x->question);
        free(x->scores);
    }
    free(r->items);
}

/* ---- results ------------------------------------------------------------------------------------------------------- */

static void put_scores(json_t *o, const item *x)
{
    json_t *scores = json_array();
    double least = 1, sum = 0, prod = 1;
    for (size_t i = 0; i < x->n_steps; i++) {
        json_array_append_new(scores, json_real(x->scores[i]));
        if (x->scores[i] < least) least = x->scores[i];
        sum += x->scores[i];
        prod *= x->scores[i];
    }
    json_object_set_new(o, "scores", scores);
    json_object_set_new(o, "min", json_real(least));
    json_object_set_new(o, "last", json_real(x->scores[x->n_steps - 1]));
    json_object_set_new(o, "avg", json_real(sum / (double)x->n_steps));
    json_object_set_new(o, "prod", json_real(prod));
}

static void print_item(const item *x, size_t index)
{
    json_t *o = json_pack("{s:I}", "index", (json_int_t)index);
    if (x->scores) put_scores(o, x);
    else json_object_set_new(o, "scores", json_null());
    json_object_set_new(o, "unscored", json_integer((json_int_t)(x->n_steps - x->n_fit)));
    json_object_set_new(o, "flops", json_integer((json_int_t)wh_ledger_total(&x->ledger)));
    wh_out_json(o);
}

/* Lines come out in the order they went in. */
static void print_ready(run *r)
{
    for (; r->shown < r->n && r->items[r->shown].done; r->shown++) print_item(&r->items[r->shown], r->shown);
    wh_out_flush();
}

static void on_done(void *user, const wh_prm_result *result)
{
    item *x = user;
    run *r = x->run;
    r->flying--;
    if (result->cancelled) return;
    x->scores = wh_mem_alloc(result->n_new, sizeof *x->scores);
    if (!x->scores) {
        r->no_memory = true;
        return;
    }
    memcpy(x->scores, result->scores, result->n_new * sizeof *x->scores);
    x->done = true;
    x->n_fit = result->n_fit;
    x->ledger = result->ledger;
}

static wh_code submit(run *r, size_t i, wh_err *err)
{
    item *x = &r->items[i];
    x->run = r;
    const wh_prm_spec spec = {.question = x->question, .steps = (const char *const *)x->steps, .n_steps = x->n_steps,
                              .n_new = x->n_steps, .on_done = on_done, .user = x};
    wh_code code = wh_prm_score(r->prm, NULL, &spec, err);
    if (code == WH_OK) r->flying++;
    else if (code == WH_ERR_BUDGET) x->done = true;
    else return wh_err_wrap(err, "solution %zu", i);
    return WH_OK;
}

static wh_code score_all(run *r, size_t batch, wh_err *err)
{
    double began = wh_clock_now();
    size_t next = 0;
    while (r->shown < r->n) {
        if (wh_interrupt_asked()) return wh_err_set(err, WH_ERR_CANCELLED, "interrupted after %zu of %zu solutions", r->shown, r->n);
        while (next < r->n && r->flying < batch) WH_TRY(submit(r, next++, err));
        bool idle;
        WH_TRY(wh_prm_step(r->prm, &idle, err));
        if (r->no_memory) return wh_err_set(err, WH_ERR_NOMEM, "no memory for scores");
        print_ready(r);
        wh_out_progress("%zu of %zu solutions  %.1f s", r->shown, r->n, wh_clock_now() - began);
    }
    wh_out_progress("%s", "");
    size_t cut = 0;
    for (size_t i = 0; i < r->n; i++) cut += r->items[i].n_fit < r->items[i].n_steps;
    if (cut)
        wh_out_note("whet: %zu of %zu solutions are longer than the PRM's %zu tokens; steps beyond repeat the score of\n"
                    "whet: the last that fits\n",
                    cut, r->n, wh_prm_context(r->prm));
    return WH_OK;
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */

static wh_code open_prm(run *r, const options *o, wh_par *par, wh_err *err)
{
    wh_buf path = {0};
    wh_prm_opts opts = {.kind = o->kind, .head = o->head,
                        .engine = {.memory = o->memory, .max_rows = (size_t)o->batch, .context = (size_t)o->context}};
    if (o->cpu_mask) {
        WH_TRY(wh_cpu_parse_mask(&opts.isa, o->cpu_mask, err));
        opts.isa &= wh_cpu_detect();
    }
    wh_code code = wh_manifest_resolve(&path, o->prm, err);
    wh_out_progress("loading %s", o->prm);
    if (code == WH_OK) code = wh_prm_open(&r->prm, wh_buf_str(&path), &opts, par, err);
    wh_out_progress("%s", "");
    wh_buf_free(&path);
    return code;
}

int wh_cmd_score(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "The probability that each step of a solution is right, by a process reward model.\n"
        "A line of data: {\"problem\": text, \"steps\": [texts]}, or \"solution\": a text whose steps are divided by\n"
        "blank lines. A line of output: scores, their min, last, avg and prod; \"unscored\" counts the steps beyond\n"
        "the PRM's context, which repeat the score of the last one that fits (null: not even the first does).";
    const wh_opt_spec spec = {"score", "--prm MODEL [options]", about, groups, 1, 0, 0, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    run r = {0};
    wh_par *par = NULL;
    wh_interrupt_catch();
    wh_code code = o.prm ? WH_OK : wh_err_set(&err, WH_ERR_ARG, "--prm MODEL says which model judges");
    if (code == WH_OK) code = read_data(&r, o.data, &err);
    if (code == WH_OK) code = wh_par_create(&par, (int)o.threads, &err);
    if (code == WH_OK) code = open_prm(&r, &o, par, &err);
    if (code == WH_OK) code = score_all(&r, (size_t)o.batch, &err);
    wh_prm_free(r.prm);
    wh_par_free(par);
    free_items(&r);
    wh_out_flush();
    return code == WH_OK ? status : wh_out_error(&err);
}
