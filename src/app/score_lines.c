#include "app/score_lines.h"

#include "app/interrupt.h"
#include "app/json.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "search/tree.h"
#include "search/vote.h"
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

/* One line of the data, on its way. */
typedef struct item {
    char       *question;
    char      **steps;
    size_t      n_steps;
    bool        done;
    double     *scores; /* NULL when done: not even the first step fits into the PRM's context */
    size_t      n_fit;
    wh_ledger   ledger;
    wh_score_lines *run;
} item;

struct wh_score_lines {
    wh_prm *prm;
    item   *items;
    size_t  n, cap, shown; /* shown: lines printed, in order */
    size_t  flying;
    bool    no_memory;
};
typedef wh_score_lines run;

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
                              .n_new = x->n_steps, .ended = true, .on_done = on_done, .user = x};
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

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

void wh_score_lines_free(wh_score_lines *r)
{
    if (!r) return;
    free_items(r);
    free(r);
}

wh_code wh_score_lines_read(wh_score_lines **out, const char *path, wh_err *err)
{
    wh_score_lines *r = *out = wh_mem_zalloc(1, sizeof *r);
    return r ? read_data(r, path, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for solutions");
}

wh_code wh_score_lines_run(wh_score_lines *r, wh_prm *prm, size_t batch, wh_err *err)
{
    r->prm = prm;
    return score_all(r, batch, err);
}
