/* The search of one problem, in parts where a policy decides: samples first, maybe a search after them. */
#include "app/solve.h"

#include "app/interrupt.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void free_sum(wh_result *sum)
{
    for (size_t i = 0; i < sum->n_samples; i++) {
        free((void *)(uintptr_t)sum->samples[i].text);
        free((void *)(uintptr_t)sum->samples[i].answer);
        free((void *)(uintptr_t)sum->samples[i].scores);
    }
    free((void *)(uintptr_t)sum->samples);
    *sum = (wh_result){0};
}

/* The samples of a part outlive it. */
static wh_code keep_samples(wh_result *sum, const wh_result *r, wh_err *err)
{
    wh_sample *list = wh_mem_resize((void *)(uintptr_t)sum->samples, sum->n_samples + r->n_samples, sizeof *list);
    if (list) sum->samples = list;
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < r->n_samples; i++) {
        const wh_sample *s = &r->samples[i];
        wh_sample *to = &list[sum->n_samples];
        double *scores = s->n_scores ? wh_mem_alloc(s->n_scores, sizeof *scores) : NULL;
        *to = *s;
        to->index = sum->n_samples++;
        to->text = wh_mem_strndup(s->text, s->text_len);
        to->answer = wh_mem_strndup(s->answer, strlen(s->answer));
        if (scores) memcpy(scores, s->scores, s->n_scores * sizeof *scores);
        to->scores = scores;
        ok = to->text && to->answer && (scores || !s->n_scores);
    }
    return ok ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the samples");
}

/* All parts as one result. */
static wh_code add_part(wh_result *sum, const wh_result *r, wh_grouping grouping, wh_err *err)
{
    WH_TRY(keep_samples(sum, r, err));
    wh_ledger_add(&sum->policy, &r->policy);
    wh_ledger_add(&sum->prm, &r->prm);
    wh_ledger_add(&sum->speculative, &r->speculative);
    sum->n_unscored += r->n_unscored;
    sum->seconds += r->seconds;
    sum->cancelled = r->cancelled;
    sum->error = r->error;
    return wh_vote_group((wh_sample *)(uintptr_t)sum->samples, sum->n_samples, &sum->n_groups, grouping, err);
}

/* A search of the driver ended: the whole, or a part of what a policy does. */
static void end_part(wh_solve *v, const wh_event *e)
{
    wh_case *c = v->c;
    bool search = v->searching;
    if (c && search) v->code = wh_live_take_search(c, e->result, v->err);
    v->more = c && !e->result->cancelled && e->result->error.code == WH_OK && (search || c->next.what == WH_DO_SEARCH);
    bool parts = v->more || v->sum.n_samples || (c && c->asked > 0);
    if (c && parts && v->code == WH_OK) v->code = add_part(&v->sum, e->result, v->choice->grouping, v->err);
    if (v->code != WH_OK || v->more) return;
    wh_event all = *e;
    if (parts) all.result = &v->sum;
    wh_solve_finish(v, &all);
}

static void on_event(void *user, const wh_event *e)
{
    wh_solve *v = user;
    v->steps += e->kind == WH_EVENT_STEP;
    if (e->kind == WH_EVENT_SAMPLE) {
        v->finished++;
        v->tokens += e->sample->tokens;
    }
    wh_trace_event(v->trace, e);
    if (e->kind == WH_EVENT_DONE) end_part(v, e);
    else wh_solve_show(v, e);
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

/* FLOPs of both models so far. */
static double counted(const wh_solve *v)
{
    wh_engine_stats policy, prm = {0};
    wh_engine_get_stats(v->l->engine, &policy);
    if (v->reward.prm && !v->reward.attached) wh_prm_get_stats(v->reward.prm, &prm);
    return (double)(wh_ledger_total(&policy.ledger) + wh_ledger_total(&prm.ledger));
}

/* Does the next step lead beyond the budget? Samples are limited beforehand (plan/policy.h); this is for what is
 * measured, and for searches. */
static bool overruns(wh_solve *v, double before, double step)
{
    bool out = v->spend->metered && wh_meter_tick(&v->spend->meter);
    return out || (v->searching && counted(v) - before + step > v->spend->live.budget);
}

/* params: memory for those of the parts. */
static wh_code run_parts(wh_solve *v, wh_driver *d, wh_problem *p, wh_params *params, wh_err *err)
{
    wh_code code = WH_OK;
    double began = v->c ? counted(v) : 0, before = began;
    do {
        v->searching = v->c && v->c->next.what == WH_DO_SEARCH;
        if (v->searching) WH_TRY(wh_live_search(&p->strategy, params, v->c, err));
        else if (v->c) p->strategy = &wh_live_samples, wh_live_params(params, v->c);
        if (v->c) p->params = params;
        code = wh_driver_add(d, NULL, p, err);
        for (bool idle = false; code == WH_OK && !idle;) {
            code = wh_driver_step(d, &idle, err);
            double now = v->c ? counted(v) : 0;
            if (v->c && !idle && !v->used_up && overruns(v, began, now - before)) {
                v->used_up = true;
                wh_driver_cancel(d, 0);
            }
            before = now;
        }
        if (v->searching) v->c->next = (wh_action){.what = WH_DO_SAMPLE}; /* the policy may have more in mind */
    } while (code == WH_OK && v->more);
    return code;
}

static wh_code search(wh_solve *v, const wh_tok_ids *prompt, const char *question, size_t rows, wh_err *err)
{
    wh_backend backend;
    wh_reward_backend(&backend, &v->reward, v->l, rows);
    const wh_driver_opts opts = {.on_event = on_event, .user = v, .thinks = wh_chat_thinks(v->l->chat),
                                 .texts = wh_out_terminal() && !wh_solve_as_tree(v),
                                 .speculate = v->choice->speculate, .stop = wh_interrupt_flag()};
    wh_problem problem = {.question = question, .prompt = prompt->data, .n_prompt = prompt->len, .seed = (uint64_t)v->o->seed,
                          .strategy = v->choice->strategy, .params = &v->choice->params, .grouping = v->choice->grouping};
    wh_params params;
    wh_driver *d;
    WH_TRY(wh_driver_create(&d, &backend, &opts, err));
    v->began = wh_clock_now();
    v->err = err;
    wh_code code = run_parts(v, d, &problem, &params, err);
    wh_driver_free(d);
    return code == WH_OK ? v->code : code;
}

/* A policy decides: what it must know of the problem and the models. */
static wh_code begin_spending(wh_solve *v, wh_case *c, const wh_tok_ids *prompt, const char *question, wh_err *err)
{
    wh_costs costs;
    wh_prm_sizes prm;
    WH_TRY(wh_reward_costs(&costs, &v->reward, v->l, err));
    WH_TRY(wh_spend_open(v->spend, &costs, v->l, err));
    if (v->spend->metered) WH_TRY(wh_meter_start(&v->spend->meter, v->l->engine, err));
    WH_TRY(wh_forecast_prm(&prm, v->reward.prm, v->reward.attached, question, err));
    double pass;
    WH_TRY(wh_spend_ask(&pass, &v->sum.policy, v->spend, v->l->engine, prompt->data, prompt->len, err));
    wh_case_init(c, &v->spend->live, prompt->len, prm.question, pass);
    if (v->spend->judge) wh_case_asked(c, wh_spend_asking(v->spend, &costs.policy, prompt->len));
    v->c = c;
    return WH_OK;
}

wh_code wh_solve_search(wh_solve *v, const wh_tok_ids *prompt, const char *question, size_t rows, wh_err *err)
{
    wh_case c = {0};
    wh_code code = v->spend->on ? begin_spending(v, &c, prompt, question, err) : WH_OK;
    if (code == WH_OK) code = search(v, prompt, question, rows, err);
    wh_case_free(&c);
    free_sum(&v->sum);
    return code;
}
