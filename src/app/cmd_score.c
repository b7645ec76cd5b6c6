/* whet score: what a process reward model thinks of given solutions, step by step. */
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/load.h"
#include "app/manifest.h"
#include "app/out.h"
#include "app/reward.h"
#include "app/samples.h"
#include "app/score_journal.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "reward/prm.h"
#include "search/vote.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char     *prm, *kind, *head, *calibration, *out, *cpu_mask;
    wh_samples_opts from;
    int64_t         threads, batch, context;
    uint64_t        memory;
    bool            json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_INT(options, batch, "batch", "B", "16", 1, 4096, "solutions that are read together, at most"),
    WH_OPT_STRING(options, calibration, "calibration", "A,B", NULL,
                  "make scores probabilities: log-odds A times what they were, plus B (default: as the PRM's file says)"),
    WH_OPT_INT(options, context, "context", "TOKENS", "0", 0, 1 << 20, "tokens of a solution, at most; 0: the PRM's own limit, or 8192"),
    WH_OPT_CPU_MASK(options),
    WH_OPT_STRINGS(options, from.data, "data", "F.jsonl",
                   "solutions, one JSON object a line (without it: standard input); with --journal: the problem sets of the journals"),
    WH_OPT_STRING(options, head, "head", "HEAD", NULL, "a head file; the PRM is its trunk"),
    WH_OPT_STRINGS(options, from.journals, "journal", "FILE",
                   "the graded samples of `whet eval` or `whet rollout`; again for more: prints how well the scores tell right from wrong, and what votes gain"),
    WH_OPT_FLAG(options, json, "json", "with --journal: the report as one JSON line"),
    WH_OPT_STRING(options, kind, "kind", "KIND", NULL, "how to use a model that does not say it: judge, math-shepherd, ..."),
    WH_OPT_INT(options, from.problems, "limit-problems", "K", "0", 0, 1e9, "with --journal: K problems, picked by their hash; 0: all"),
    WH_OPT_MEMORY(options),
    WH_OPT_STRING(options, out, "out", "FILE", NULL, "with --journal: keep the scores here, a journal itself, and go on from what it holds"),
    WH_OPT_STRING(options, prm, "prm", "MODEL", NULL, "name, alias or path of the PRM"),
    WH_OPT_INT(options, from.samples, "samples-per-problem", "K", "0", 0, 65536, "with --journal: the first K samples of each; 0: all"),
    WH_OPT_THREADS(options),
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
    for (wh_lines l = {0}; code == WH_OK && wh_lines_next(&l, &text);)
        if ((code = read_item(r, l.text, l.n, err)) != WH_OK) wh_err_wrap(err, "line %zu of %s", l.number, path);
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
    json_object_set_new(o, "scores", wh_json_reals(x->scores, x->n_steps));
    for (int a = 0; x->scores && a < WH_AGGREGATE_COUNT; a++)
        json_object_set_new(o, wh_aggregate_name((wh_aggregate)a), json_real(wh_aggregate_scores((wh_aggregate)a, x->scores, x->n_steps)));
}

static void print_item(const item *x, size_t index)
{
    json_t *o = json_pack("{s:I}", "index", (json_int_t)index);
    put_scores(o, x);
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

/* ---- the PRM ------------------------------------------------------------------------------------------------------- */

/* A head whose trunk is the policy of the journals reads the policy's own tokens. */
typedef struct judge {
    wh_buf    path;
    char      sha256[65];
    wh_par   *par;
    wh_prm   *prm;
    wh_loaded policy; /* when the PRM is attached to it */
    wh_prm_calibration calibration; /* with --calibration */
} judge; /* starts as {0} */

static wh_code attach(judge *j, const options *o, wh_err *err)
{
    const wh_load_opts machine = {.policy = o->prm, .cpu_mask = o->cpu_mask, .memory = o->memory, .threads = o->threads};
    WH_TRY(wh_load_model(&j->policy, &machine, err));
    if (!j->policy.chat) return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s has no chat format that Whet knows", wh_buf_str(&j->policy.name));
    WH_TRY(wh_load_engine(&j->policy, &machine, o->context ? (size_t)o->context : WH_PRM_CONTEXT, (size_t)o->batch, 0, 0, err));
    const wh_prm_policy on = {.path = wh_buf_str(&j->policy.path), .model = j->policy.model, .tok = j->policy.tok, .chat = j->policy.chat,
                              .engine = j->policy.engine};
    const wh_prm_opts opts = {.kind = o->kind, .head = o->head, .calibration = o->calibration ? &j->calibration : NULL};
    return wh_prm_attach(&j->prm, &on, &opts, j->policy.par, err);
}

static wh_code open_own(judge *j, const options *o, wh_err *err)
{
    wh_prm_opts opts = {.kind = o->kind, .head = o->head, .calibration = o->calibration ? &j->calibration : NULL,
                        .engine = {.memory = o->memory, .max_rows = (size_t)o->batch, .context = (size_t)o->context}};
    WH_TRY(wh_load_isa(&opts.isa, o->cpu_mask, err));
    WH_TRY(wh_par_create(&j->par, (int)o->threads, err));
    wh_out_progress("loading %s", o->prm);
    wh_code code = wh_prm_open(&j->prm, wh_buf_str(&j->path), &opts, j->par, err);
    wh_out_progress("%s", "");
    return code;
}

static void free_judge(judge *j)
{
    wh_prm_free(j->prm);
    wh_load_free(&j->policy);
    wh_par_free(j->par);
    wh_buf_free(&j->path);
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */

static wh_code score_lines(const options *o, judge *j, wh_err *err)
{
    run r = {0};
    wh_code code = o->from.data.n <= 1 ? read_data(&r, o->from.data.n ? o->from.data.v[0] : "-", err)
                                       : wh_err_set(err, WH_ERR_ARG, "--data: one file of solutions at a time");
    if (code == WH_OK && (o->out || o->json || o->from.problems || o->from.samples))
        code = wh_err_set(err, WH_ERR_ARG, "--out, --json, --limit-problems and --samples-per-problem are for --journal");
    if (code == WH_OK) code = open_own(j, o, err);
    r.prm = j->prm;
    if (code == WH_OK) code = score_all(&r, (size_t)o->batch, err);
    wh_prm_free(j->prm); /* before the items that it may still be scoring */
    j->prm = NULL;
    free_items(&r);
    return code;
}

static wh_code run_json(json_t **out, const judge *j, const options *o, const wh_fit_data *data, wh_err *err)
{
    char head[65];
    if (o->head) WH_TRY(wh_load_sha256(head, o->head, err));
    json_t *calibration = o->calibration ? json_pack("[f, f]", j->calibration.slope, j->calibration.offset) : NULL;
    return wh_scores_header(out, wh_prm_name(j->prm), j->sha256, o->head ? head : NULL, calibration, data, j->policy.engine != NULL,
                            (size_t)o->context, err);
}

static wh_code score_journals(const options *o, judge *j, wh_err *err)
{
    wh_fit_data data = {0};
    json_t *header = NULL;
    uint64_t flops = 0;
    wh_judged *report = wh_mem_zalloc(1, sizeof *report);
    double began = wh_clock_now();
    wh_code code = report ? wh_samples_load(&data, &o->from, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for a report");
    if (code == WH_OK) code = wh_load_sha256(j->sha256, wh_buf_str(&j->path), err);
    bool own = code == WH_OK && o->head && strcmp(j->sha256, data.policy_sha256) == 0;
    if (code == WH_OK) code = own ? attach(j, o, err) : open_own(j, o, err);
    if (code == WH_OK) code = run_json(&header, j, o, &data, err);
    const wh_score_journal_opts opts = {.data = &data, .prm = j->prm, .engine = j->policy.engine, .tok = j->policy.tok, .chat = j->policy.chat,
                                        .batch = (size_t)o->batch, .run = header, .out = o->out};
    if (code == WH_OK) code = wh_score_journal(report, &flops, &opts, err);
    char spent[24], time[24];
    if (code == WH_OK && o->json) {
        json_t *all = wh_judged_json(report);
        json_object_set_new(all, "flops", json_integer((json_int_t)flops));
        json_object_set_new(all, "seconds", json_real(wh_clock_now() - began));
        wh_out_json(all);
    } else if (code == WH_OK) {
        wh_judged_print_measure(&report->measure);
        wh_judged_print_votes(report);
        if (flops) wh_out_printf("\n%s in %s\n", wh_out_flops(spent, (double)flops), wh_out_duration(time, wh_clock_now() - began));
    }
    json_decref(header);
    wh_fit_data_free(&data);
    free(report);
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
        "the PRM's context, which repeat the score of the last one that fits (null: not even the first does).\n"
        "With --journal the solutions are graded samples, and what comes out is how good the scores are.";
    const wh_opt_spec spec = {"score", "--prm MODEL [options]", about, groups, 1, 0, 0, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    judge j = {0};
    wh_interrupt_catch();
    wh_code code = o.prm ? WH_OK : wh_err_set(&err, WH_ERR_ARG, "--prm MODEL says which model judges");
    if (code == WH_OK && o.calibration) code = wh_reward_calibration(&j.calibration, o.calibration, &err);
    if (code == WH_OK) code = wh_manifest_resolve(&j.path, o.prm, &err);
    if (code == WH_OK) code = o.from.journals.n ? score_journals(&o, &j, &err) : score_lines(&o, &j, &err);
    free_judge(&j);
    wh_out_flush();
    return code == WH_OK ? status : wh_out_error(&err);
}
