/* An evaluation in which a policy decides how many samples each problem gets, and whether they are scored or searched.
 *
 * A problem is worked on in parts (plan/live.h), whose samples are gathered here until the problem is closed. Policies
 * of one problem decide within a part; what such a problem came to is journaled when it is closed, so a kill repeats
 * the problems under way, from their beginning. Policies of a set decide between waves of parts (plan/allot.h); each
 * part is journaled when it is done, and a run that goes on decides every wave again, from what the waves before it
 * came to, and does what is missing. So it ends as if it had never been killed.
 *
 * That holds because decisions rest on FLOPs by formula: a prompt is computed once, but for what all prompts begin with,
 * which is computed before anything is sampled. Prompts that are read again, after a kill or for lack of memory, come on
 * top. */
#include "app/eval.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plan/allot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a problem that is not closed. */
typedef struct gathered {
    wh_eval        *v;
    size_t          index;
    wh_question    *q;
    wh_case         c;
    bool            open;       /* c was initialized */
    const char     *search;     /* the strategy of the part under way; NULL: it samples */
    json_t         *records;    /* of samples, not in the journal yet */
    double         *scores[WH_PLAN_MOST];
    size_t          n_scores[WH_PLAN_MOST];
    bool            right[WH_PLAN_MOST];
    wh_eval_result  sum;
    double          pass; /* as the prompt lets expect */
    wh_ledger       asked; /* what was computed before anything was sampled */
} gathered;

typedef struct spending {
    wh_eval          *v;
    const wh_tok_ids *prompts;
    gathered         *list; /* one per problem */
    wh_driver        *d;
    size_t            wave;
    size_t            same;      /* tokens that the prompts of a set begin with: computed once, before everything */
    double            beginning; /* the FLOPs of that, which no problem has spent */
} spending;

static wh_code no_memory(wh_err *err) { return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems"); }

/* ---- a problem ------------------------------------------------------------------------------------------------------ */

/* Tokens that all prompts begin with; the last of a prompt is its own, because samples begin with it. */
static size_t shared_tokens(const wh_tok_ids *prompts, size_t n)
{
    size_t same = prompts[0].len - 1;
    for (size_t i = 1; i < n; i++) {
        size_t k = 0;
        while (k < same && k + 1 < prompts[i].len && prompts[i].data[k] == prompts[0].data[k]) k++;
        same = k;
    }
    return same;
}

static wh_code open_problem(spending *s, size_t index, wh_err *err)
{
    wh_eval *v = s->v;
    gathered *g = &s->list[index];
    wh_prm_sizes prm;
    g->v = v;
    g->index = index;
    g->q = &v->data.list[index];
    WH_TRY(wh_forecast_prm(&prm, v->reward.prm, v->reward.attached, g->q->problem, err));
    wh_case_init(&g->c, &v->spend.live, s->prompts[index].len, prm.question, g->pass);
    wh_view_expect(&g->c.view);
    if (v->spend.live.policy->whole_set) {
        g->c.shared = s->same;
        g->c.view.scoring = v->spend.live.task.has_prm; /* scored as they come */
    }
    if (v->spend.judge) wh_case_asked(&g->c, wh_spend_asking(&v->spend, &v->costs.policy, s->prompts[index].len));
    g->sum.policy = g->asked;
    g->sum.sizes = (wh_sizes){.problems = 1, .prompt_tokens = s->prompts[index].len, .prm_prompt_tokens = prm.question};
    g->open = true;
    return WH_OK;
}

static void close_problem(gathered *g)
{
    if (!g->open) return;
    for (size_t i = 0; i < WH_PLAN_MOST; i++) free(g->scores[i]);
    json_decref(g->records);
    wh_case_free(&g->c);
    *g = (gathered){.pass = g->pass, .asked = g->asked};
}

static wh_code keep_scores(gathered *g, size_t at, const double *scores, size_t n, wh_err *err)
{
    g->n_scores[at] = n;
    if (!n) return WH_OK;
    g->scores[at] = wh_mem_alloc(n, sizeof **g->scores);
    if (!g->scores[at]) return no_memory(err);
    memcpy(g->scores[at], scores, n * sizeof *scores);
    return WH_OK;
}

static void add_sums(wh_eval_result *to, const wh_result *r)
{
    to->unscored += r->n_unscored;
    wh_ledger_add(&to->policy, &r->policy);
    wh_ledger_add(&to->prm, &r->prm);
    wh_ledger_add(&to->speculative, &r->speculative);
}

/* A part of the driver is done. */
static wh_code gather(gathered *g, const wh_event *e, wh_err *err)
{
    const wh_result *r = e->result;
    wh_eval *v = g->v;
    size_t from = g->search ? g->c.view.n : g->c.part;
    if (g->search) WH_TRY(wh_live_take_search(&g->c, r, err));
    size_t n = g->c.view.n - from < r->n_samples ? g->c.view.n - from : r->n_samples;
    WH_TRY(wh_eval_grade(g->right + from, g->q, r->samples, n, err));
    for (size_t i = 0; i < n; i++) {
        const wh_sample *s = &r->samples[i];
        if (s->end == WH_END_BUDGET) g->right[from + i] = false; /* it does not vote */
        g->sum.sizes.samples++;
        g->sum.sizes.tokens += s->tokens;
        g->sum.sizes.steps += wh_tree_count_steps(s->text, s->text_len);
        WH_TRY(keep_scores(g, from + i, s->scores, s->n_scores, err));
        if (!v->journal) continue;
        if (!g->records) g->records = json_array();
        wh_sample numbered = *s;
        numbered.group = g->c.seen[from + i].group;
        json_array_append_new(g->records, wh_eval_sample_record(g->q, e->tree, &numbered, from + i, g->right[from + i]));
    }
    add_sums(&g->sum, r);
    return WH_OK;
}

static json_t *plan_json(const gathered *g)
{
    const wh_case *c = &g->c;
    const char *how = c->view.searched ? g->search ? g->search : "search" : c->view.scoring ? "scored" : "votes";
    return json_pack("{s:{s:s, s:s, s:f, s:f, s:o}}", "plan", "why", wh_why_name(c->next.why), "how", how, "nominal", c->view.spent, "budget",
                     isfinite(g->v->spend.live.budget) ? g->v->spend.live.budget : 0, "prompt_pass",
                     isnan(g->pass) ? json_null() : json_real(g->pass));
}

static wh_code finish_problem(gathered *g, wh_err *err)
{
    wh_eval *v = g->v;
    wh_sample samples[WH_PLAN_MOST];
    for (size_t i = 0; i < g->c.view.n; i++)
        samples[i] = (wh_sample){.index = i, .answer = g->c.answers[i] ? g->c.answers[i] : "", .group = g->c.seen[i].group,
                                 .tokens = g->c.seen[i].tokens, .scores = g->n_scores[i] ? g->scores[i] : NULL, .n_scores = g->n_scores[i]};
    double now = wh_clock_now();
    wh_eval_result done = g->sum;
    done.samples = samples;
    done.right = g->right;
    done.n = g->c.view.n;
    done.seconds = now - v->last;
    v->last = now;
    v->stops[g->c.next.why]++;
    v->done[g->index] = true;
    json_t *records = g->records;
    g->records = NULL;
    wh_code code = wh_eval_close(v, g->q, &done, records, plan_json(g), err);
    close_problem(g);
    return code;
}

/* ---- parts ---------------------------------------------------------------------------------------------------------- */

static wh_code begin_part(spending *s, gathered *g, wh_err *err)
{
    wh_params params;
    const wh_tok_ids *prompt = &s->prompts[g->index];
    const wh_strategy *strategy = &wh_live_samples;
    bool search = g->c.next.what == WH_DO_SEARCH;
    if (search) WH_TRY(wh_live_search(&strategy, &params, &g->c, err));
    else wh_live_params(&params, &g->c);
    g->search = search ? strategy->name : NULL;
    const wh_problem p = {.question = g->q->problem, .prompt = prompt->data, .n_prompt = prompt->len, .seed = g->q->seed, .strategy = strategy,
                          .params = &params, .grouping = s->v->choice.grouping, .user = g};
    return wh_driver_add(s->d, NULL, &p, err);
}

static wh_code journal_part(spending *s, gathered *g, wh_err *err);

static wh_code end_part(spending *s, gathered *g, const wh_event *e, wh_err *err)
{
    const wh_result *r = e->result;
    if (r->error.code != WH_OK) return wh_err_set(err, r->error.code, "problem %.60s: %.180s", g->q->id, r->error.msg);
    if (r->cancelled) return WH_OK; /* the next run does it again */
    WH_TRY(gather(g, e, err));
    if (s->v->spend.live.policy->whole_set) return journal_part(s, g, err);
    /* After a search the policy is asked again; it may have more in mind. */
    if (!g->search && g->c.next.what != WH_DO_SEARCH) return finish_problem(g, err);
    if (g->search) g->c.next = (wh_action){.what = WH_DO_SAMPLE};
    return begin_part(s, g, err);
}

static void on_event(void *user, const wh_event *e)
{
    spending *s = user;
    wh_eval *v = s->v;
    if (e->kind != WH_EVENT_DONE || v->code != WH_OK) return;
    v->code = end_part(s, e->user, e, v->err);
}

static wh_code step(spending *s, bool *idle, wh_err *err)
{
    WH_TRY(wh_driver_step(s->d, idle, err));
    return s->v->code;
}

/* ---- one problem after the other ------------------------------------------------------------------------------------- */

static wh_code spend_alone(spending *s, wh_err *err)
{
    wh_eval *v = s->v;
    /* Problems draw one sample at a time, mostly: enough of them to fill the batch. */
    size_t flying = (size_t)v->o->batch + 1, next = 0;
    wh_code code = WH_OK;
    for (bool idle = false; code == WH_OK && !idle;) {
        for (; code == WH_OK && next < v->data.n && wh_driver_active(s->d) < flying && !wh_interrupt_asked(); next++) {
            if (v->done[next]) continue;
            code = open_problem(s, next, err);
            if (code == WH_OK) code = begin_part(s, &s->list[next], err);
        }
        if (code == WH_OK) code = step(s, &idle, err);
        if (idle && next < v->data.n && !wh_interrupt_asked()) idle = false;
    }
    return code;
}

/* ---- a set, in waves --------------------------------------------------------------------------------------------------- */

static void part_key(char key[48], size_t wave, size_t line) { snprintf(key, 48, "%zu:%zu", wave, line); }

wh_code wh_eval_keep_part(wh_eval *v, const json_t *record, wh_err *err)
{
    char key[48];
    part_key(key, (size_t)json_integer_value(json_object_get(record, "wave")), (size_t)json_integer_value(json_object_get(record, "line")));
    if (!v->parts) v->parts = json_object();
    if (json_object_set(v->parts, key, (json_t *)(uintptr_t)record) != 0) return no_memory(err);
    return WH_OK;
}

/* What is known of a problem after a part of it goes into the journal, with the samples that are new. */
static wh_code journal_part(spending *s, gathered *g, wh_err *err)
{
    if (!s->v->journal) return WH_OK;
    json_t *answers = json_array(), *tokens = json_array(), *scores = json_array(), *right = json_array();
    for (size_t i = 0; i < g->c.view.n; i++) {
        json_t *list = json_array();
        for (size_t k = 0; k < g->n_scores[i]; k++) json_array_append_new(list, json_real(g->scores[i][k]));
        json_array_append_new(answers, g->c.answers[i] ? wh_json_text(g->c.answers[i], strlen(g->c.answers[i])) : json_null());
        json_array_append_new(tokens, json_integer(g->c.seen[i].tokens));
        json_array_append_new(scores, list);
        json_array_append_new(right, json_boolean(g->right[i]));
    }
    json_t *part = json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:[f, f, f]}", "record", "part", "line", (json_int_t)g->q->line,
                             "wave", (json_int_t)s->wave, "answers", answers, "tokens", tokens, "scores", scores, "correct", right, "sizes",
                             wh_sizes_json(&g->sum.sizes), "policy", wh_json_ledger(&g->sum.policy), "prm", wh_json_ledger(&g->sum.prm),
                             "speculative", wh_json_ledger(&g->sum.speculative), "unscored", (json_int_t)g->sum.unscored, "nominal", g->c.policy, g->c.prm,
                             g->c.view.spent);
    json_t *records = g->records ? g->records : json_array();
    g->records = NULL;
    wh_code code = json_array_append_new(records, part) == 0 ? wh_journal_append(s->v->journal, records, err) : no_memory(err);
    json_decref(records);
    return code;
}

/* The problem is what it was after that part. */
static wh_code apply_part(spending *s, gathered *g, const json_t *part, wh_err *err)
{
    const json_t *answers = json_object_get(part, "answers"), *lists = json_object_get(part, "scores");
    size_t index = g->index, n = json_array_size(answers);
    close_problem(g);
    WH_TRY(open_problem(s, index, err));
    for (size_t i = 0; i < n && i < WH_PLAN_MOST; i++) {
        const json_t *list = json_array_get(lists, i);
        size_t k = json_array_size(list);
        double *scores = wh_mem_alloc(k, sizeof *scores);
        if (!scores) return no_memory(err);
        for (size_t j = 0; j < k; j++) scores[j] = json_number_value(json_array_get(list, j));
        g->scores[i] = scores;
        g->n_scores[i] = k;
        g->right[i] = json_is_true(json_array_get(json_object_get(part, "correct"), i));
        WH_TRY(wh_live_see(&g->c, json_string_value(json_array_get(answers, i)),
                           (uint32_t)json_integer_value(json_array_get(json_object_get(part, "tokens"), i)), scores, k, err));
    }
    g->sum.sizes = wh_sizes_from_json(json_object_get(part, "sizes"));
    g->sum.policy = wh_json_to_ledger(json_object_get(part, "policy"));
    g->sum.prm = wh_json_to_ledger(json_object_get(part, "prm"));
    g->sum.speculative = wh_json_to_ledger(json_object_get(part, "speculative"));
    g->sum.unscored = (size_t)json_integer_value(json_object_get(part, "unscored"));
    const json_t *nominal = json_object_get(part, "nominal");
    return wh_live_seen(&g->c, json_number_value(json_array_get(nominal, 0)), json_number_value(json_array_get(nominal, 1)),
                        json_number_value(json_array_get(nominal, 2)), err);
}

typedef struct ahead {
    wh_allotted *list;
    wh_pick     *picks;
    size_t       n;
} ahead;

/* FLOPs that are left of the budget of the set. */
static double left_of(const spending *s, double total)
{
    for (size_t i = 0; i < s->v->data.n; i++) total -= s->list[i].c.view.spent;
    return total - s->beginning;
}

static void decide_wave(spending *s, ahead *a, double total)
{
    const wh_live *live = &s->v->spend.live;
    for (size_t i = 0; i < s->v->data.n; i++) {
        wh_allotted *x = &a->list[i];
        const wh_view *v = &s->list[i].c.view;
        x->known = x->known && x->view.n == v->n && x->view.scoring == v->scoring; /* nothing else changes a view */
        x->view = *v;
        x->first = wh_case_prompt(&s->list[i].c);
    }
    wh_allot_wave(a->picks, &a->n, a->list, s->v->data.n, left_of(s, total), live->policy, live->params);
}

static wh_code do_wave(spending *s, const ahead *a, wh_err *err)
{
    wh_code code = WH_OK;
    for (size_t k = 0; code == WH_OK && k < a->n; k++) {
        const wh_pick *p = &a->picks[k];
        gathered *g = &s->list[p->problem];
        char key[48];
        part_key(key, s->wave, g->q->line);
        const json_t *part = json_object_get(s->v->parts, key);
        if (part) {
            code = apply_part(s, g, part, err);
        } else if (!wh_interrupt_asked()) {
            wh_live_grant(&g->c, &p->action, p->share);
            code = begin_part(s, g, err);
        }
    }
    for (bool idle = false; code == WH_OK && !idle;) code = step(s, &idle, err);
    return code;
}

/* What a problem was left at, for those who read about it. */
static void say_why(spending *s, gathered *g)
{
    wh_view v = g->c.view;
    v.budget = INFINITY;
    wh_policy_decide(&g->c.next, s->v->spend.live.policy, &v, s->v->spend.live.params);
    if (g->c.next.what != WH_DO_STOP) g->c.next = (wh_action){.what = WH_DO_STOP, .why = WH_WHY_BUDGET};
}

static wh_code spend_set(spending *s, wh_err *err)
{
    wh_eval *v = s->v;
    size_t n = v->data.n;
    double total = isfinite(v->spend.total) ? v->spend.total : v->spend.live.budget * (double)n;
    ahead a = {wh_mem_zalloc(n, sizeof *a.list), wh_mem_alloc(n, sizeof *a.picks), 0};
    wh_code code = a.list && a.picks ? WH_OK : no_memory(err);
    for (size_t i = 0; code == WH_OK && i < n; i++) code = open_problem(s, i, err);
    for (; code == WH_OK; s->wave++) {
        decide_wave(s, &a, total);
        if (!a.n) break;
        code = do_wave(s, &a, err);
        if (wh_interrupt_asked()) break;
        if (code == WH_OK) wh_out_progress("wave %zu: %zu problems, %.0f %% of the budget is left", s->wave + 1, a.n, 100 * left_of(s, total) / total);
    }
    for (size_t i = 0; code == WH_OK && !wh_interrupt_asked() && i < n; i++) {
        if (v->done[i]) continue;
        say_why(s, &s->list[i]);
        code = finish_problem(&s->list[i], err);
    }
    free(a.list);
    free(a.picks);
    return code;
}

/* What the prompts of a set begin with is read once, whichever of them will be under way together. */
static wh_code read_beginning(spending *s, wh_err *err)
{
    wh_eval *v = s->v;
    s->same = v->spend.live.policy->whole_set ? shared_tokens(s->prompts, v->data.n) : 0;
    s->beginning = wh_strategy_compute(&v->costs.policy, 0, (double)s->same, 0);
    return s->same ? wh_spend_read(&s->list[0].asked, v->l.engine, s->prompts[0].data, s->same, err) : WH_OK;
}

/* What the prompts let expect, one after the other, before anything is sampled. For sets of all problems, those that are
 * closed too: their waves are decided again. */
static wh_code ask_all(spending *s, wh_err *err)
{
    wh_eval *v = s->v;
    for (size_t i = 0; i < v->data.n && !wh_interrupt_asked(); i++) {
        s->list[i].pass = NAN;
        if (v->done[i] && !v->spend.live.policy->whole_set) continue;
        wh_ledger cost;
        WH_TRY(wh_spend_ask(&s->list[i].pass, &cost, &v->spend, v->l.engine, s->prompts[i].data, s->prompts[i].len, err));
        wh_ledger_add(&s->list[i].asked, &cost);
    }
    return WH_OK;
}

wh_code wh_eval_spend(wh_eval *v, const wh_tok_ids *prompts, wh_err *err)
{
    wh_backend backend;
    spending s = {.v = v, .prompts = prompts, .list = wh_mem_zalloc(v->data.n, sizeof *s.list)};
    if (!s.list) return no_memory(err);
    wh_reward_backend(&backend, &v->reward, &v->l, (size_t)v->o->batch);
    const wh_driver_opts opts = {.on_event = on_event, .user = &s, .thinks = wh_chat_thinks(s.v->l.chat),
                                 .speculate = v->choice.speculate, .stop = wh_interrupt_flag()};
    wh_code code = wh_driver_create(&s.d, &backend, &opts, err);
    v->err = err;
    v->began = v->last = wh_clock_now();
    if (code == WH_OK) code = read_beginning(&s, err);
    if (code == WH_OK) code = ask_all(&s, err);
    if (code == WH_OK) code = v->spend.live.policy->whole_set ? spend_set(&s, err) : spend_alone(&s, err);
    wh_driver_free(s.d);
    wh_out_progress("%s", "");
    for (size_t i = 0; i < v->data.n; i++) close_problem(&s.list[i]);
    free(s.list);
    return code;
}
