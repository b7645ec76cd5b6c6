/* whet solve: one problem, searched; the answer and the tally of the vote. */
#include "answer/answer.h"
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/load.h"
#include "app/out.h"
#include "app/shipped.h"
#include "app/reward.h"
#include "app/search_opts.h"
#include "app/show_tree.h"
#include "app/trace.h"
#include "base/clock.h"
#include "base/file.h"
#include "search/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    bool        json;
    int64_t     seed, batch;
    const char *show, *trace;
} options;

static const wh_opt option_table[] = {
    WH_OPT_BATCH(options),
    WH_OPT_FLAG(options, json, "json", "everything as one JSON object"),
    WH_OPT_SEED(options),
    WH_OPT_CHOICE(options, show, "show", "WHAT", "text", "text tree", "what is seen of the search on the way"),
    WH_OPT_STRING(options, trace, "trace", "F.jsonl", NULL, "write down the search as it happens, for `whet trace`"),
};

enum { SHOWN_GROUPS = 16 };

/* The search as it is seen: the first sample is shown as it is written, then a line of votes; or all of it, as a
 * tree. */
typedef struct view {
    const options          *o;
    const wh_search_choice *choice;
    wh_loaded              *l;
    wh_reward               reward;
    wh_trace               *trace;
    wh_show_tree            tree;
    double                  began;
    size_t                  steps;     /* nodes that are written */
    size_t                  finished;  /* samples */
    size_t                  tokens;    /* of finished samples */
    bool                    streaming; /* dim text stands on the terminal, its line may be open */
    wh_code                 code;      /* of what happened in a callback */
    wh_err                 *err;
    int                     status;
    /* the tally so far, for the eye: the first answers that came up; the vote itself is made at the end */
    struct {
        wh_answer answer;
        char      text[32];
        size_t    count;
    } groups[SHOWN_GROUPS];
    size_t n_groups;
} view;

static bool as_tree(const view *v) { return strcmp(v->o->show, "tree") == 0; }

/* ---- on the way ------------------------------------------------------------------------------------------------ */

/* The node and all above it are the first samples of theirs. */
static bool is_first(const wh_tree *t, uint32_t node)
{
    for (; node; node = t->nodes[node].parent)
        if (t->nodes[node].index != 0) return false;
    return true;
}

static void show_text(view *v, const wh_event *e)
{
    if (!wh_out_terminal() || v->o->json || !is_first(e->tree, e->node)) return;
    wh_buf plain = {0}; /* a model may write anything, but it does not get to steer the terminal */
    for (size_t i = 0; i < e->text_len; i++)
        if ((unsigned char)e->text[i] >= ' ' || e->text[i] == '\n' || e->text[i] == '\t') wh_buf_putc(&plain, e->text[i]);
    wh_out_note("\033[2m%s\033[0m", wh_buf_str(&plain));
    wh_buf_free(&plain);
    v->streaming = true;
}

static void count_answer(view *v, const wh_sample *s)
{
    wh_answer a;
    if (wh_answer_parse(&a, s->answer, strlen(s->answer), NULL) != WH_OK) return;
    size_t g = 0;
    while (g < v->n_groups && !wh_answer_equal(&v->groups[g].answer, &a)) g++;
    if (g == v->n_groups && g < SHOWN_GROUPS && !wh_answer_is_empty(&a)) {
        v->groups[v->n_groups++].answer = a;
        snprintf(v->groups[g].text, sizeof v->groups[g].text, "%s", s->answer);
    } else {
        wh_answer_free(&a);
    }
    if (g < v->n_groups) v->groups[g].count++;
}

/* "7 of 16 samples  42 x5, 40 x2  123 tokens/s" */
static void show_tally(view *v, const wh_event *e)
{
    if (!wh_out_terminal() || v->choice->n_samples < 2) return;
    count_answer(v, e->sample);
    if (v->streaming && is_first(e->tree, e->sample->node)) {
        wh_out_note("\n");
        v->streaming = false;
    }
    if (v->streaming) return;
    wh_buf line = {0};
    size_t above = SIZE_MAX;
    for (int place = 0; place < 3; place++) { /* the three largest */
        size_t best = 0;
        for (size_t g = 0; g < v->n_groups; g++)
            if (v->groups[g].count < above && v->groups[g].count > best) best = v->groups[g].count;
        for (size_t g = 0; best && g < v->n_groups && line.len < 60; g++)
            if (v->groups[g].count == best) wh_buf_printf(&line, "%s%s x%zu", line.len ? ", " : "", v->groups[g].text, best);
        above = best;
    }
    wh_out_progress("%zu of %zu samples  %s  %.0f tokens/s", v->finished, v->choice->n_samples, wh_buf_str(&line),
                    (double)v->tokens / (wh_clock_now() - v->began));
    wh_buf_free(&line);
}

/* "23 steps, 1 solution" of a search that grows solutions step by step */
static void show_steps(view *v)
{
    if (v->streaming) return;
    wh_out_progress("%zu steps, %zu solution%s  %.1f s", v->steps, v->finished, v->finished == 1 ? "" : "s", wh_clock_now() - v->began);
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

static json_t *sample_json(const wh_sample *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "index", json_integer((json_int_t)s->index));
    json_object_set_new(o, "text", wh_json_text(s->text, s->text_len));
    json_object_set_new(o, "answer", *s->answer ? wh_json_text(s->answer, strlen(s->answer)) : json_null());
    json_object_set_new(o, "tokens", json_integer((json_int_t)s->tokens));
    json_object_set_new(o, "stop", json_string(wh_end_name(s->end)));
    json_object_set_new(o, "scores", wh_json_reals(s->scores, s->n_scores));
    return o;
}

static json_t *votes_json(const wh_tally *tally, size_t n)
{
    json_t *votes = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(votes, json_pack("{s:o, s:I, s:f}", "answer", wh_json_text(tally[i].answer, strlen(tally[i].answer)),
                                               "count", (json_int_t)tally[i].count, "weight", tally[i].weight));
    return votes;
}

static json_t *flops_json(const view *v, const wh_result *r)
{
    json_int_t policy = (json_int_t)wh_ledger_total(&r->policy), prm = (json_int_t)wh_ledger_total(&r->prm);
    json_t *o = json_pack("{s:I, s:I, s:I, s:I}", "policy", policy, "prm", prm, "total", policy + prm, "paper_2nd",
                          (json_int_t)wh_ledger_paper(&r->policy, wh_engine_cost(v->l->engine)));
    if (v->choice->speculate) json_object_set_new(o, "speculative", json_integer((json_int_t)wh_ledger_total(&r->speculative)));
    return o;
}

static wh_code result_json(json_t **out, const view *v, const wh_result *r, const wh_tally *tally, size_t n, wh_err *err)
{
    json_t *samples = json_array(), *by_vote;
    char rule[WH_RULE_NAME];
    WH_TRY(wh_rule_json(&by_vote, v->reward.prm, r->samples, r->n_samples, err));
    for (size_t i = 0; i < r->n_samples; i++) json_array_append_new(samples, sample_json(&r->samples[i]));
    json_t *o = *out = json_object();
    json_object_set_new(o, "answer", n ? wh_json_text(tally[0].answer, strlen(tally[0].answer)) : json_null());
    json_object_set_new(o, "samples", samples);
    json_object_set_new(o, "votes", votes_json(tally, n));
    json_object_set_new(o, "vote", json_string(wh_rule_name(rule, &v->choice->rule)));
    json_object_set_new(o, "by_vote", by_vote);
    json_object_set_new(o, "flops", flops_json(v, r));
    json_object_set_new(o, "tokens", json_integer((json_int_t)r->policy.decode_tokens));
    json_object_set_new(o, "seconds", json_real(r->seconds));
    json_object_set_new(o, "strategy", json_string(v->choice->strategy->name));
    json_object_set_new(o, "n", json_integer((json_int_t)v->choice->n_samples));
    json_object_set_new(o, "seed", json_integer(v->o->seed));
    json_object_set_new(o, "policy", json_string(wh_buf_str(&v->l->name)));
    json_object_set_new(o, "prm", v->reward.prm ? json_string(wh_buf_str(&v->reward.name)) : json_null());
    return WH_OK;
}

static wh_code print_votes(const view *v, const wh_result *r, const wh_tally *tally, size_t n, wh_err *err)
{
    bool weighed = v->choice->rule.vote->needs_scores;
    size_t silent = r->n_samples;
    wh_out_puts(weighed ? "\nvotes  weight  answer\n" : "\nvotes  answer\n");
    for (size_t i = 0; i < n; i++) {
        if (weighed) wh_out_printf("%5zu  %6.2f  %s\n", tally[i].count, tally[i].weight, tally[i].answer);
        else wh_out_printf("%5zu  %s\n", tally[i].count, tally[i].answer);
        silent -= tally[i].count;
    }
    if (silent) wh_out_printf(weighed ? "%5zu          (no answer)\n" : "%5zu  (no answer)\n", silent);
    if (!v->reward.prm || r->n_samples < 2) return WH_OK;
    wh_buf table = {0};
    wh_code code = wh_rule_table(&table, r->samples, r->n_samples, err);
    wh_out_printf("\n%s", wh_buf_str(&table));
    wh_buf_free(&table);
    return code;
}

static void print_cost(const view *v, const wh_result *r)
{
    char exact[24], paper[24];
    wh_out_printf("\n%zu sample%s, %llu tokens in %.1f s (%.1f tokens/s)\n", r->n_samples, r->n_samples == 1 ? "" : "s",
                  (unsigned long long)r->policy.decode_tokens, r->seconds, (double)r->policy.decode_tokens / r->seconds);
    wh_out_printf("%s by the policy (%s by the paper's 2ND); %llu prompt tokens computed, %llu reused\n",
                  wh_out_flops(exact, (double)wh_ledger_total(&r->policy)),
                  wh_out_flops(paper, (double)wh_ledger_paper(&r->policy, wh_engine_cost(v->l->engine))),
                  (unsigned long long)r->policy.prefill_tokens, (unsigned long long)r->policy.reused_tokens);
    if (v->reward.prm)
        wh_out_printf("%s by the PRM; %llu tokens read, %llu reused\n", wh_out_flops(exact, (double)wh_ledger_total(&r->prm)),
                      (unsigned long long)r->prm.prefill_tokens, (unsigned long long)r->prm.reused_tokens);
    if (v->choice->speculate)
        wh_out_printf("%s of it ahead of need, and not wanted\n", wh_out_flops(exact, (double)wh_ledger_total(&r->speculative)));
}

/* On standard output and in the trace. */
static wh_code put_result(view *v, const wh_event *e, const wh_tally *tally, size_t n)
{
    const wh_result *r = e->result;
    if (as_tree(v)) wh_show_tree_done(&v->tree, e, n ? tally[0].group : -1);
    if (v->o->json || v->trace) {
        json_t *o;
        WH_TRY(result_json(&o, v, r, tally, n, v->err));
        wh_trace_done(v->trace, e, json_incref(o));
        if (v->o->json) wh_out_json(o);
        else json_decref(o);
    }
    if (v->o->json || !r->n_samples) return WH_OK;
    if (n) wh_out_printf("%s\n", tally[0].answer);
    if (v->choice->n_samples > 1) WH_TRY(print_votes(v, r, tally, n, v->err));
    print_cost(v, r);
    return WH_OK;
}

static void finish(view *v, const wh_event *e)
{
    const wh_result *r = e->result;
    wh_out_progress("%s", "");
    if (v->streaming) wh_out_note("\n");
    wh_tally *tally;
    size_t n;
    v->code = wh_rule_count(&tally, &n, &v->choice->rule, r->samples, r->n_samples, v->err);
    if (v->code != WH_OK) return;
    v->code = put_result(v, e, tally, n);
    free(tally);
    if (v->code != WH_OK) return;
    if (r->n_unscored)
        wh_out_note("whet: %zu steps lie beyond the PRM's %zu tokens; they count as the last step that fits\n", r->n_unscored,
                    wh_prm_context(v->reward.prm));
    if (r->error.code != WH_OK) {
        *v->err = r->error;
        v->code = r->error.code;
    } else if (r->cancelled) {
        v->code = wh_err_set(v->err, WH_ERR_CANCELLED, "interrupted; this is what was found until then");
    } else if (n == 0) {
        wh_out_note("whet: no sample came to an answer\n");
        v->status = WH_EXIT_NO;
    }
}

static void on_event(void *user, const wh_event *e)
{
    view *v = user;
    v->steps += e->kind == WH_EVENT_STEP;
    if (e->kind == WH_EVENT_SAMPLE) {
        v->finished++;
        v->tokens += e->sample->tokens;
    }
    wh_trace_event(v->trace, e);
    if (e->kind == WH_EVENT_DONE) finish(v, e);
    else if (as_tree(v)) wh_show_tree_event(&v->tree, e);
    else if (e->kind == WH_EVENT_TEXT) show_text(v, e);
    else if (e->kind == WH_EVENT_STEP && !v->choice->strategy->nested) show_steps(v);
    else if (e->kind == WH_EVENT_SAMPLE && v->choice->strategy->nested) show_tally(v, e);
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

static wh_code search(view *v, const wh_tok_ids *prompt, const char *question, size_t rows, wh_err *err)
{
    wh_backend backend;
    wh_reward_backend(&backend, &v->reward, v->l, rows);
    const wh_driver_opts opts = {.on_event = on_event, .user = v, .texts = wh_out_terminal() && !as_tree(v),
                                 .speculate = v->choice->speculate, .stop = wh_interrupt_flag()};
    const wh_problem problem = {.question = question, .prompt = prompt->data, .n_prompt = prompt->len, .seed = (uint64_t)v->o->seed,
                                .strategy = v->choice->strategy, .params = &v->choice->params, .grouping = v->choice->grouping};
    wh_driver *d;
    WH_TRY(wh_driver_create(&d, &backend, &opts, err));
    v->began = wh_clock_now();
    v->err = err;
    wh_code code = wh_driver_add(d, NULL, &problem, err);
    for (bool idle = false; code == WH_OK && !idle;) code = wh_driver_step(d, &idle, err);
    wh_driver_free(d);
    return code == WH_OK ? v->code : code;
}

static wh_code open_trace(view *v, wh_err *err)
{
    if (!v->o->trace) return WH_OK;
    json_t *about = json_pack("{s:s, s:o, s:s, s:s?, s:I}", "strategy", v->choice->strategy->name, "params", wh_search_opts_json(v->choice),
                              "policy", wh_buf_str(&v->l->name), "prm", v->reward.prm ? wh_buf_str(&v->reward.name) : NULL, "seed",
                              (json_int_t)v->o->seed);
    return wh_trace_open(&v->trace, v->o->trace, about, err);
}

static wh_code solve(view *v, const wh_reward_opts *reward, const wh_load_opts *machine, wh_tok_ids *ids, const wh_buf *text, wh_err *err)
{
    const wh_search_choice *choice = v->choice;
    WH_TRY(wh_load_model(v->l, machine, err));
    WH_TRY(wh_load_prompt(v->l, ids, wh_buf_str(text), text->len, err));
    size_t rows = choice->n_samples < (size_t)v->o->batch ? choice->n_samples : (size_t)v->o->batch;
    WH_TRY(wh_reward_load(&v->reward, reward, v->l, machine, ids->len + choice->max_tokens, rows, err));
    WH_TRY(open_trace(v, err));
    wh_code code = search(v, ids, wh_buf_str(text), rows, err);
    wh_err second;
    if (wh_trace_close(v->trace, &second) == WH_OK || code != WH_OK) return code;
    *err = second;
    return second.code;
}

static int run(const options *o, const wh_search_choice *choice, const wh_reward_opts *reward, const wh_load_opts *machine, const char *word)
{
    wh_err err;
    wh_loaded l = {0};
    wh_buf text = {0};
    wh_tok_ids ids = {0};
    view v = {.o = o, .choice = choice, .l = &l};
    wh_code code = wh_cmd_text(&text, word, "problem", &err);
    if (code == WH_OK && strspn(wh_buf_str(&text), " \t\r\n") == text.len) code = wh_err_set(&err, WH_ERR_ARG, "the problem is empty");
    if (code == WH_OK) code = solve(&v, reward, machine, &ids, &text, &err);
    for (size_t g = 0; g < v.n_groups; g++) wh_answer_free(&v.groups[g].answer);
    wh_tok_ids_free(&ids);
    wh_buf_free(&text);
    wh_reward_free(&v.reward);
    wh_load_free(&l);
    return code == WH_OK ? v.status : wh_out_error(&err);
}

int wh_cmd_solve(int argc, char **argv)
{
    options o = {0};
    wh_load_opts machine = {0};
    wh_reward_opts reward = {0};
    wh_search_opts search_opts;
    wh_search_choice choice;
    wh_buf head = {0}; /* path of one that comes with Whet */
    wh_err err;
    size_t n;
    int status;
    if (wh_search_opts_init(&search_opts, "best_of_n", &err) != WH_OK) return wh_out_error(&err);
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL},
                                   WH_SEARCH_GROUP(&search_opts), WH_REWARD_GROUP(&reward), WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Solve a problem (`-`: read it from standard input): sample many solutions, or search for them step by step with\n"
        "a process reward model (--prm), and vote on their answers.\n"
        "The first line of the output is the answer; exit status 1 when no sample came to one.";
    const wh_opt_spec spec = {"solve", "[options] \"problem\"", about, groups, 4, 1, 1, false};
    if (wh_cmd_begin(&spec, argc, argv, &n, &status)) {
        wh_interrupt_catch();
        if (wh_shipped_choose(&reward, &head, machine.policy, &err) != WH_OK ||
            wh_search_opts_choose(&choice, &search_opts, &reward, &err) != WH_OK)
            status = wh_out_error(&err);
        else status = run(&o, &choice, &reward, &machine, argv[0]);
    }
    wh_search_opts_free(&search_opts);
    wh_buf_free(&head);
    return status;
}
