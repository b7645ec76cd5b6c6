/* The public interface (whet.h): a model with all that hangs on it, and one problem at a time. */
#include "base/mem.h"
#include "engine/engine.h"
#include "search/backend_engine.h"
#include "search/driver.h"
#include "text/tok_gguf.h"

#include <stdlib.h>
#include <string.h>

struct wh_session {
    wh_par    *par;
    wh_model  *model;
    wh_tok    *tok;
    wh_chat   *chat;
    wh_engine *engine;
};

static wh_code open_all(wh_session *s, const char *path, const wh_session_opts *o, wh_err *err)
{
    enum { USUAL_CONTEXT = 4096 };
    wh_isa allowed = 0;
    if (o->cpu_mask) WH_TRY(wh_cpu_parse_mask(&allowed, o->cpu_mask, err));
    WH_TRY(wh_par_create(&s->par, o->threads, err));
    WH_TRY(wh_model_open(&s->model, path, allowed, WH_MAT_EXACT, s->par, err));
    if (wh_tok_gguf_create(&s->tok, s->model->gguf, err) != WH_OK ||
        wh_tok_gguf_create_chat(&s->chat, s->model->gguf, s->tok, err) != WH_OK)
        return wh_err_wrap(err, "%s", path);
    size_t most = s->model->config.context, context = o->context ? o->context : USUAL_CONTEXT;
    const wh_engine_opts opts = {.memory = o->memory, .max_rows = o->batch, .context = context < most ? context : most};
    return wh_engine_create(&s->engine, s->model, s->tok, s->par, &opts, err);
}

wh_code wh_session_open(wh_session **out, const char *model, const wh_session_opts *opts, wh_err *err)
{
    *out = NULL;
    wh_session *s = wh_mem_zalloc(1, sizeof *s);
    if (!s) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a session");
    wh_code code = open_all(s, model, opts ? opts : &(wh_session_opts){0}, err);
    if (code == WH_OK) *out = s;
    else wh_session_close(s);
    return code;
}

void wh_session_close(wh_session *s)
{
    if (!s) return;
    wh_engine_free(s->engine);
    wh_chat_free(s->chat);
    wh_tok_free(s->tok);
    wh_model_free(s->model);
    wh_par_free(s->par);
    free(s);
}

/* ---- solving ----------------------------------------------------------------------------------------- */

typedef struct solving {
    const wh_solve_opts *opts;
    wh_solution         *out;
    volatile sig_atomic_t stop;
    wh_code              code;
    wh_err              *err;
} solving;

static char *copy(const char *s) { return wh_mem_strndup(s, strlen(s)); }

static wh_code keep_samples(wh_solution *out, const wh_result *r, wh_err *err)
{
    out->samples = wh_mem_zalloc(r->n_samples, sizeof *out->samples);
    if (!out->samples) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a solution");
    for (; out->n_samples < r->n_samples; out->n_samples++) {
        const wh_sample *from = &r->samples[out->n_samples];
        wh_solution_sample *to = &out->samples[out->n_samples];
        *to = (wh_solution_sample){wh_mem_strndup(from->text, from->text_len), copy(from->answer), from->tokens};
        if (!to->text || !to->answer) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a solution");
    }
    return WH_OK;
}

static wh_code keep_votes(wh_solution *out, const wh_result *r, wh_err *err)
{
    wh_tally *tally;
    size_t n;
    WH_TRY(wh_vote_count(&tally, &n, &wh_vote_majority, &(wh_vote_opts){0}, r->samples, r->n_samples, err));
    out->votes = wh_mem_zalloc(n, sizeof *out->votes);
    for (; out->votes && out->n_votes < n; out->n_votes++) {
        wh_solution_vote *to = &out->votes[out->n_votes];
        *to = (wh_solution_vote){copy(tally[out->n_votes].answer), tally[out->n_votes].count};
        if (!to->answer) break;
    }
    bool whole = out->votes && out->n_votes == n;
    free(tally);
    if (!whole) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a solution");
    if (n) out->answer = out->votes[0].answer;
    return WH_OK;
}

static wh_code keep(solving *s, const wh_result *r)
{
    s->out->flops = wh_ledger_total(&r->policy) + wh_ledger_total(&r->prm);
    s->out->tokens = r->policy.decode_tokens;
    s->out->seconds = r->seconds;
    WH_TRY(keep_samples(s->out, r, s->err));
    WH_TRY(keep_votes(s->out, r, s->err));
    if (r->error.code != WH_OK) return wh_err_set(s->err, r->error.code, "%s", r->error.msg);
    return r->cancelled ? wh_err_set(s->err, WH_ERR_CANCELLED, "the search was cancelled") : WH_OK;
}

static void on_event(void *user, const wh_event *e)
{
    solving *s = user;
    if (e->kind == WH_EVENT_DONE) s->code = keep(s, e->result);
    if (e->kind != WH_EVENT_TEXT || !s->opts->on_text) return;
    for (uint32_t node = e->node; node; node = e->tree->nodes[node].parent)
        if (e->tree->nodes[node].index != 0) return; /* not the first sample */
    s->opts->on_text(s->opts->user, e->text, e->text_len);
}

static wh_code search(wh_session *s, solving *w, const wh_problem *problem, wh_err *err)
{
    wh_backend backend;
    wh_driver *d;
    wh_backend_engine(&backend, s->engine);
    const wh_driver_opts opts = {.on_event = on_event, .user = w, .thinks = wh_chat_thinks(s->chat),
                                 .texts = w->opts->on_text != NULL, .stop = &w->stop};
    WH_TRY(wh_driver_create(&d, &backend, &opts, err));
    wh_code code = wh_driver_add(d, NULL, problem, err);
    for (bool idle = false; code == WH_OK && !idle;) {
        if (w->opts->cancelled && w->opts->cancelled(w->opts->user)) w->stop = 1;
        code = wh_driver_step(d, &idle, err);
    }
    wh_driver_free(d);
    return code == WH_OK ? w->code : code;
}

wh_code wh_session_solve(wh_session *s, wh_solution *out, const char *problem, const wh_solve_opts *opts, wh_err *err)
{
    *out = (wh_solution){0};
    solving w = {.opts = opts ? opts : &(wh_solve_opts){0}, .out = out, .err = err};
    const char *name = w.opts->strategy ? w.opts->strategy : "best_of_n";
    const wh_strategy *y = wh_strategy_find(name);
    if (!y) return wh_err_set(err, WH_ERR_ARG, "unknown strategy '%.40s'", name);
    wh_params params;
    wh_param_defaults(&params, y->params, y->n_params);
    for (size_t i = 0; i < w.opts->n_settings; i++)
        WH_TRY(wh_param_set(&params, y->params, y->n_params, w.opts->settings[i].name, w.opts->settings[i].value, err));
    if (problem[strspn(problem, " \t\r\n")] == '\0') return wh_err_set(err, WH_ERR_ARG, "the problem is empty");
    wh_tok_ids ids = {0};
    wh_code code = wh_chat_encode_problem(s->chat, &ids, (wh_tok_str){problem, strlen(problem)}, (wh_tok_str){"", 0}, err);
    if (code == WH_OK) {
        const wh_problem p = {.question = problem, .prompt = ids.data, .n_prompt = ids.len, .seed = w.opts->seed,
                              .strategy = y, .params = &params, .grouping = WH_GROUP_MATH};
        code = search(s, &w, &p, err);
    }
    wh_tok_ids_free(&ids);
    return code;
}

void wh_solution_free(wh_solution *s)
{
    for (size_t i = 0; s->samples && i < s->n_samples; i++) {
        free(s->samples[i].text);
        free(s->samples[i].answer);
    }
    for (size_t i = 0; s->votes && i < s->n_votes; i++) free(s->votes[i].answer);
    free(s->samples);
    free(s->votes);
    *s = (wh_solution){0};
}
