/* whet difficulty: how often samples of a policy will be right, from the prompts alone. */
#include "app/cmd.h"
#include "app/dataset.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/out.h"
#include "app/shipped.h"
#include "base/file.h"
#include "base/mem.h"
#include "reward/difficulty.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *data, *head;
    int64_t     batch, limit;
} options;

static const wh_opt option_table[] = {
    WH_OPT_INT(options, batch, "batch", "B", "16", 1, 4096, "prompts that are read together, at most"),
    WH_OPT_STRING(options, data, "data", "FILE", NULL, "the problem set: JSON lines with problem or question, and answer"),
    WH_OPT_STRING(options, head, "head", "FILE", NULL, "a head of `whet fit difficulty` (without it one that comes with Whet)"),
    WH_OPT_INT(options, limit, "limit", "K", "0", 0, 1e9, "the first K problems; 0: all"),
};

typedef struct run {
    const options *o;
    wh_loaded      l;
    wh_difficulty *judge;
    wh_dataset     data;
    double        *pass; /* per problem; NAN: not answered yet */
    size_t         flying, shown;
} run;

typedef struct asked {
    run   *r;
    size_t problem;
} asked;

static wh_code find_head(wh_buf *path, const run *r, wh_err *err)
{
    if (r->o->head) wh_buf_puts(path, r->o->head);
    else WH_TRY(wh_shipped_find(path, "difficulty", wh_buf_str(&r->l.path), NULL, err));
    if (!wh_buf_ok(path)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    return path->len ? WH_OK
                     : wh_err_set(err, WH_ERR_ARG, "no head for %s comes with Whet; `whet fit difficulty` makes one, --head FILE names it",
                                  wh_buf_str(&r->l.name));
}

static wh_code load(run *r, const wh_load_opts *machine, wh_err *err)
{
    enum { CONTEXT = 4096 };
    wh_buf head = {0};
    WH_TRY(wh_load_model(&r->l, machine, err));
    wh_code code = find_head(&head, r, err);
    if (code == WH_OK) code = wh_difficulty_open(&r->judge, wh_buf_str(&head), wh_buf_str(&r->l.path), r->l.model, r->l.par, err);
    wh_buf_free(&head);
    WH_TRY(code);
    return wh_load_trunk(&r->l, machine, CONTEXT, (size_t)r->o->batch, wh_difficulty_layers(r->judge), err);
}

static void on_done(void *user, double pass)
{
    asked *a = user;
    a->r->pass[a->problem] = pass;
    a->r->flying--;
}

static wh_code submit(run *r, asked *a, wh_err *err)
{
    const wh_question *q = &r->data.list[a->problem];
    wh_tok_ids ids = {0};
    wh_code code = wh_load_prompt(&r->l, &ids, q->problem, strlen(q->problem), err);
    if (code == WH_OK) code = wh_difficulty_ask(r->judge, r->l.engine, ids.data, ids.len, on_done, a, err);
    if (code == WH_OK) r->flying++;
    else wh_err_wrap(err, "%s, line %zu", r->o->data, q->line);
    wh_tok_ids_free(&ids);
    return code;
}

/* Lines come out in the order of the problems. */
static void print_ready(run *r)
{
    for (; r->shown < r->data.n && !isnan(r->pass[r->shown]); r->shown++) {
        const wh_question *q = &r->data.list[r->shown];
        char sha256[65];
        wh_file_sha256(sha256, q->problem, strlen(q->problem));
        wh_out_json(json_pack("{s:I, s:s, s:s, s:f}", "line", (json_int_t)q->line, "id", q->id, "problem_sha256", sha256, "pass", r->pass[r->shown]));
    }
}

static wh_code ask_all(run *r, asked *list, wh_err *err)
{
    bool idle;
    for (size_t next = 0; r->shown < r->data.n;) {
        if (wh_interrupt_asked()) return wh_err_set(err, WH_ERR_CANCELLED, "interrupted after %zu of %zu problems", r->shown, r->data.n);
        for (; next < r->data.n && r->flying < (size_t)r->o->batch; next++) {
            list[next] = (asked){r, next};
            WH_TRY(submit(r, &list[next], err));
        }
        WH_TRY(wh_engine_step(r->l.engine, &idle, err));
        print_ready(r);
        wh_out_progress("%zu of %zu problems", r->shown, r->data.n);
    }
    wh_out_progress("%s", "");
    return WH_OK;
}

static wh_code judge(run *r, const wh_load_opts *machine, wh_err *err)
{
    if (!r->o->data) return wh_err_set(err, WH_ERR_ARG, "--data FILE is missing: which problems?");
    WH_TRY(wh_dataset_load(&r->data, r->o->data, (size_t)r->o->limit, 0, err));
    WH_TRY(load(r, machine, err));
    asked *list = wh_mem_alloc(r->data.n, sizeof *list);
    r->pass = wh_mem_alloc(r->data.n, sizeof *r->pass);
    for (size_t i = 0; r->pass && i < r->data.n; i++) r->pass[i] = NAN;
    wh_code code = list && r->pass ? ask_all(r, list, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu problems", r->data.n);
    wh_engine_free(r->l.engine); /* before what its jobs point to */
    r->l.engine = NULL;
    free(list);
    return code;
}

int wh_cmd_difficulty(int argc, char **argv)
{
    options o = {0};
    wh_load_opts machine = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}, WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "How often a sample of the policy will be right, said before anything is written, by a head that looks at the\n"
        "end of the prompt. A line of output per problem: {\"line\", \"id\", \"problem_sha256\", \"pass\"},\n"
        "pass the probability.";
    const wh_opt_spec spec = {"difficulty", "--data FILE [--head FILE] [options]", about, groups, 2, 0, 0, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    run r = {.o = &o};
    wh_interrupt_catch();
    wh_code code = judge(&r, &machine, &err);
    wh_difficulty_free(r.judge);
    free(r.pass);
    wh_dataset_free(&r.data);
    wh_load_free(&r.l);
    wh_out_flush();
    return code == WH_OK ? status : wh_out_error(&err);
}
