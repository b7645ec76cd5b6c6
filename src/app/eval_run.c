/* The run of an evaluation: problems into the driver, results into the journal.
 *
 * A problem is done when all its samples are; its records go into the journal as one frame, so a run that is
 * killed repeats the problems that were under way and no others. Results depend on the run that the journal's
 * header describes (policy, strategy, parameters, seed, problem set) and on nothing else, so it does not
 * matter in how many runs, in what order or on how many threads the problems were solved. */
#include "answer/answer.h"
#include "app/eval.h"
#include "app/interrupt.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const wh_opt wh_eval_options[WH_EVAL_OPTIONS] = {
    WH_OPT_BATCH(wh_eval_opts),
    WH_OPT_STRING(wh_eval_opts, data, "data", "FILE", NULL, "the problem set: JSON lines with problem or question, and answer"),
    WH_OPT_STRING(wh_eval_opts, journal, "journal", "FILE", NULL, "keep results here, and go on from what it holds"),
    WH_OPT_FLAG(wh_eval_opts, json, "json", "the result as one JSON line"),
    WH_OPT_INT(wh_eval_opts, limit, "limit", "K", "0", 0, 1e9, "the first K problems; 0: all"),
    WH_OPT_SEED(wh_eval_opts),
    WH_OPT_PART(wh_eval_opts, shard, "shard", "every N-th of these problems, from the I-th on: one of N journals that make up the set"),
};

/* ---- a problem that is done ---------------------------------------------------------------------------------- */

wh_code wh_eval_grade(bool *right, const wh_question *q, const wh_sample *s, size_t n, wh_err *err)
{
    size_t gold = strlen(q->gold);
    for (size_t i = 0; i < n; i++) {
        right[i] = false;
        if (*s[i].answer) WH_TRY(wh_answer_grade(&right[i], q->gold, gold, s[i].answer, strlen(s[i].answer), err));
    }
    return WH_OK;
}

static wh_code append(wh_eval *v, const wh_question *q, const wh_eval_result *r, json_t *records, json_t *more, wh_err *err)
{
    if (!v->journal) return WH_OK;
    json_t *close = wh_eval_close_record(q, r);
    if (more) json_object_update(close, more);
    if (json_array_append_new(records, close) != 0) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal");
    return wh_journal_append(v->journal, records, err);
}

wh_code wh_eval_close(wh_eval *v, const wh_question *q, const wh_eval_result *r, json_t *records, json_t *more, wh_err *err)
{
    if (!records) records = json_array();
    wh_code code = append(v, q, r, records, more, err);
    json_decref(records);
    json_decref(more);
    WH_TRY(code);
    WH_TRY(wh_score_add(&v->score, r->samples, r->right, r->n, err));
    wh_sizes_add(&v->sizes, &r->sizes);
    wh_score_spend(&v->score, &r->policy, &r->prm, &r->speculative, r->unscored, r->seconds);
    v->fresh++;
    v->fresh_tokens += r->policy.decode_tokens;
    wh_eval_show(v);
    return WH_OK;
}

static wh_code take_result(wh_eval *v, const wh_question *q, const wh_event *e, wh_err *err)
{
    const wh_result *r = e->result;
    if (r->error.code != WH_OK) return wh_err_set(err, r->error.code, "problem %.60s: %.180s", q->id, r->error.msg);
    if (r->cancelled) return WH_OK; /* not all of its samples are there: the next run does it again */
    bool *right = wh_mem_alloc(r->n_samples, sizeof *right);
    if (!right) return wh_err_set(err, WH_ERR_NOMEM, "no memory to grade %zu samples", r->n_samples);
    double now = wh_clock_now();
    wh_eval_result done = {.samples = r->samples, .right = right, .n = r->n_samples, .unscored = r->n_unscored, .policy = r->policy,
                           .prm = r->prm, .speculative = r->speculative, .seconds = now - v->last};
    v->last = now;
    wh_code code = v->capture ? wh_capture_take(v->capture, e->tree, r, err) : WH_OK;
    if (code == WH_OK) code = wh_eval_grade(right, q, r->samples, r->n_samples, err);
    if (code == WH_OK) code = wh_eval_measure(&done.sizes, v, e, err);
    json_t *records = json_array();
    for (size_t i = 0; code == WH_OK && v->journal && i < r->n_samples; i++)
        json_array_append_new(records, wh_eval_sample_record(q, e->tree, &r->samples[i], i, right[i]));
    if (code == WH_OK) code = wh_eval_close(v, q, &done, records, NULL, err);
    else json_decref(records);
    free(right);
    return code;
}

static void on_event(void *user, const wh_event *e)
{
    wh_eval *v = user;
    if (e->kind != WH_EVENT_DONE || v->code != WH_OK) return;
    v->code = take_result(v, e->user, e, v->err);
}

/* ---- the run --------------------------------------------------------------------------------------------------- */

/* As many problems at a time as keep the batch full while some of them end. */
static size_t problems_at_once(const wh_eval *v) { return 2 * (size_t)v->o->batch / v->choice.n_samples + 1; }

static wh_code solve_all(wh_eval *v, wh_tok_ids *prompts, wh_err *err)
{
    wh_backend backend;
    wh_reward_backend(&backend, &v->reward, &v->l, (size_t)v->o->batch);
    if (v->capture) wh_capture_backend(v->capture, &backend);
    const wh_driver_opts opts = {.on_event = on_event, .user = v, .thinks = wh_chat_thinks(v->l.chat),
                                 .speculate = v->choice.speculate, .stop = wh_interrupt_flag()};
    wh_driver *d;
    WH_TRY(wh_driver_create(&d, &backend, &opts, err));
    size_t next = 0;
    v->err = err;
    v->began = v->last = wh_clock_now();
    wh_code code = WH_OK;
    for (bool idle = false; code == WH_OK && v->code == WH_OK && !idle;) {
        for (; code == WH_OK && next < v->data.n && wh_driver_active(d) < problems_at_once(v) && !wh_interrupt_asked(); next++) {
            wh_question *q = &v->data.list[next];
            if (v->done[next]) continue;
            const wh_problem p = {.question = q->problem, .prompt = prompts[next].data, .n_prompt = prompts[next].len, .seed = q->seed,
                                  .strategy = v->choice.strategy, .params = &v->choice.params, .grouping = v->choice.grouping, .user = q};
            code = wh_driver_add(d, NULL, &p, err);
        }
        if (code == WH_OK) code = wh_driver_step(d, &idle, err);
        if (idle && next < v->data.n && !wh_interrupt_asked()) idle = false;
    }
    wh_driver_free(d);
    wh_out_progress("%s", "");
    return v->code != WH_OK ? v->code : code;
}

static wh_code make_prompts(wh_eval *v, wh_tok_ids *prompts, size_t *longest, wh_err *err)
{
    *longest = 0;
    for (size_t i = 0; i < v->data.n; i++) {
        const wh_question *q = &v->data.list[i];
        if (wh_load_prompt(&v->l, &prompts[i], q->problem, strlen(q->problem), err) != WH_OK)
            return wh_err_wrap(err, "%s, line %zu", v->o->data, q->line);
        if (prompts[i].len > *longest) *longest = prompts[i].len;
    }
    return WH_OK;
}

static wh_code open_journal(wh_eval *v, wh_err *err)
{
    if (!v->o->journal) return WH_OK;
    wh_out_progress("reading %s", v->o->journal);
    json_t *header = NULL;
    size_t torn = 0;
    wh_code code = wh_eval_run(v, &header, err);
    if (code == WH_OK) code = wh_journal_open(&v->journal, v->o->journal, header, wh_eval_replay, v, &torn, err);
    json_decref(header);
    wh_out_progress("%s", "");
    WH_TRY(code);
    if (torn) wh_out_note("%s: a torn record of %zu bytes at the end was cut off\n", v->o->journal, torn);
    if (!v->costs_known) {
        json_t *costs = json_pack("[o]", wh_costs_json(&v->costs));
        code = costs ? wh_journal_append(v->journal, costs, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal");
        json_decref(costs);
        WH_TRY(code);
    }
    if (v->score.problems) wh_out_note("%s holds %zu of %zu problems\n", v->o->journal, v->score.problems, v->data.n);
    return WH_OK;
}

static wh_code evaluate(wh_eval *v, const wh_reward_opts *reward, const wh_load_opts *machine, wh_err *err)
{
    WH_TRY(wh_dataset_load(&v->data, v->o->data, (size_t)v->o->limit, (uint64_t)v->o->seed, err));
    if (v->o->shard.of) WH_TRY(wh_dataset_shard(&v->data, (size_t)v->o->shard.part, (size_t)v->o->shard.of, err));
    v->done = wh_mem_zalloc(v->data.n, sizeof *v->done);
    wh_tok_ids *prompts = wh_mem_zalloc(v->data.n, sizeof *prompts);
    if (!v->done || !prompts) {
        free(prompts);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for the problems");
    }
    size_t longest = 0, paths = v->choice.strategy->nested && !v->spend.on ? 0 : problems_at_once(v) * v->choice.n_samples;
    wh_code code = wh_load_model(&v->l, machine, err);
    if (code == WH_OK) code = make_prompts(v, prompts, &longest, err);
    if (code == WH_OK) code = wh_search_opts_suit(&v->choice, v->l.chat, err);
    if (code == WH_OK) code = wh_reward_load(&v->reward, reward, &v->l, machine, longest + v->choice.max_tokens, (size_t)v->o->batch, paths, err);
    if (code == WH_OK) code = wh_reward_costs(&v->costs, &v->reward, &v->l, err);
    if (code == WH_OK && v->spend.on) code = wh_spend_open(&v->spend, &v->costs, &v->l, err);
    if (code == WH_OK && v->states) code = wh_capture_open(&v->capture, v->states, &v->layers, &v->l, err);
    if (code == WH_OK) code = open_journal(v, err);
    if (code == WH_OK) code = v->spend.on ? wh_eval_spend(v, prompts, err) : solve_all(v, prompts, err);
    wh_err second;
    wh_code closing = wh_capture_close(v->capture, &second);
    if (closing == WH_OK) closing = wh_journal_close(v->journal, &second);
    else wh_journal_close(v->journal, NULL);
    v->journal = NULL;
    if (code == WH_OK && closing != WH_OK) {
        *err = second;
        code = closing;
    }
    for (size_t i = 0; i < v->data.n; i++) wh_tok_ids_free(&prompts[i]);
    free(prompts);
    return code;
}

wh_code wh_eval_solve(wh_eval *v, const wh_reward_opts *reward, const wh_load_opts *machine, wh_err *err)
{
    wh_interrupt_catch();
    /* A policy gives every problem a number of its own: there is one row, of no n. */
    wh_score_init(&v->score, v->spend.on ? 0 : v->choice.n_samples, v->choice.strategy->nested && !v->spend.on, wh_reward_wanted(reward), &v->choice.rule);
    wh_code code = evaluate(v, reward, machine, err);
    if (v->score.problems) wh_eval_print(v);
    if (code == WH_OK && wh_interrupt_asked())
        code = wh_err_set(err, WH_ERR_CANCELLED, "interrupted after %zu of %zu problems%s", v->score.problems, v->data.n,
                          v->o->journal ? "; the same command goes on from there" : "");
    return code;
}

void wh_eval_free(wh_eval *v)
{
    wh_dataset_free(&v->data);
    free(v->done);
    json_decref(v->parts);
    wh_spend_free(&v->spend);
    wh_reward_free(&v->reward);
    wh_load_free(&v->l);
}
