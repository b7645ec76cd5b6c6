/* What a search came to, for people and programs. */
#include "app/solve.h"

#include "app/cmd.h"
#include "app/json.h"
#include "app/out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static json_t *flops_json(const wh_solve *v, const wh_result *r)
{
    json_int_t policy = (json_int_t)wh_ledger_total(&r->policy), prm = (json_int_t)wh_ledger_total(&r->prm);
    json_t *o = json_pack("{s:I, s:I, s:I, s:I}", "policy", policy, "prm", prm, "total", policy + prm, "paper_2nd",
                          (json_int_t)wh_ledger_paper(&r->policy, wh_engine_cost(v->l->engine)));
    if (v->choice->speculate) json_object_set_new(o, "speculative", json_integer((json_int_t)wh_ledger_total(&r->speculative)));
    return o;
}

/* Of reading the prompt, where nothing of it was there. */
static double prompt_flops(const wh_solve *v) { return wh_strategy_compute(&v->c->view.task.policy, 0, v->c->view.task.prompt_tokens, 0); }

/* A policy may have found that scores are not worth it. */
static bool scored(const wh_result *r)
{
    for (size_t i = 0; i < r->n_samples; i++)
        if (r->samples[i].scores) return true;
    return false;
}

static json_t *limit_json(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *spent_json(const wh_solve *v, const wh_result *r)
{
    const wh_case *c = v->c;
    double spent = (double)(wh_ledger_total(&r->policy) + wh_ledger_total(&r->prm)), prompt = prompt_flops(v);
    return json_pack("{s:s, s:s, s:o, s:o, s:f, s:o, s:f, s:f, s:f, s:f, s:f, s:b}", "scheduler", wh_buf_str(&v->spend->scheduler), "why",
                     wh_why_name(c->next.why), "budget", limit_json(v->spend->live.budget), "tokens", limit_json(v->spend->live.tokens), "spent",
                     spent, "left", limit_json(v->spend->live.budget - spent), "prompt", prompt, "samples",
                     (double)wh_ledger_total(&r->policy) - prompt - c->asked, "scores", (double)wh_ledger_total(&r->prm), "searches", c->searched, "difficulty", c->asked,
                     "used_up", v->used_up);
}

static wh_code result_json(json_t **out, const wh_solve *v, const wh_result *r, const wh_tally *tally, size_t n, wh_err *err)
{
    json_t *samples = json_array(), *by_vote;
    char rule[WH_RULE_NAME];
    WH_TRY(wh_rule_json(&by_vote, scored(r), r->samples, r->n_samples, err));
    for (size_t i = 0; i < r->n_samples; i++) json_array_append_new(samples, sample_json(&r->samples[i]));
    json_t *o = *out = json_object();
    json_object_set_new(o, "answer", n ? wh_json_text(tally[0].answer, strlen(tally[0].answer)) : json_null());
    json_object_set_new(o, "samples", samples);
    json_object_set_new(o, "votes", votes_json(tally, n));
    json_object_set_new(o, "vote", json_string(wh_rule_name(rule, &v->rule)));
    json_object_set_new(o, "by_vote", by_vote);
    json_object_set_new(o, "flops", flops_json(v, r));
    if (v->c) json_object_set_new(o, "plan", spent_json(v, r));
    json_object_set_new(o, "tokens", json_integer((json_int_t)r->policy.decode_tokens));
    json_object_set_new(o, "seconds", json_real(r->seconds));
    json_object_set_new(o, "strategy", json_string(v->c ? "plan" : v->choice->strategy->name));
    json_object_set_new(o, "n", json_integer((json_int_t)(v->c ? r->n_samples : v->choice->n_samples)));
    json_object_set_new(o, "seed", json_integer(v->o->seed));
    json_object_set_new(o, "policy", json_string(wh_buf_str(&v->l->name)));
    json_object_set_new(o, "prm", v->reward.prm ? json_string(wh_buf_str(&v->reward.name)) : json_null());
    return WH_OK;
}

static wh_code print_votes(const wh_solve *v, const wh_result *r, const wh_tally *tally, size_t n, wh_err *err)
{
    bool weighed = v->rule.vote->needs_scores;
    size_t silent = r->n_samples;
    wh_out_puts(weighed ? "\nvotes  weight  answer\n" : "\nvotes  answer\n");
    for (size_t i = 0; i < n; i++) {
        if (weighed) wh_out_printf("%5zu  %6.2f  %s\n", tally[i].count, tally[i].weight, tally[i].answer);
        else wh_out_printf("%5zu  %s\n", tally[i].count, tally[i].answer);
        silent -= tally[i].count;
    }
    if (silent) wh_out_printf(weighed ? "%5zu          (no answer)\n" : "%5zu  (no answer)\n", silent);
    if (!scored(r) || r->n_samples < 2) return WH_OK;
    wh_buf table = {0};
    wh_code code = wh_rule_table(&table, r->samples, r->n_samples, err);
    wh_out_printf("\n%s", wh_buf_str(&table));
    wh_buf_free(&table);
    return code;
}

static void print_cost(const wh_solve *v, const wh_result *r)
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

/* What a budget was spent on, and what is left. */
static void print_spent(const wh_solve *v, const wh_result *r)
{
    wh_spend *s = v->spend;
    double policy = (double)wh_ledger_total(&r->policy), prm = (double)wh_ledger_total(&r->prm), prompt = prompt_flops(v);
    char a[24], b[24], c[24];
    wh_out_printf("\n%s%s: ", wh_buf_str(&s->scheduler), s->profile.fitted ? "" : " (no profile: priors)");
    wh_out_printf("%s on the prompt, %s on samples", wh_out_flops(a, prompt), wh_out_flops(b, policy - prompt - v->c->asked));
    if (v->c->asked > 0)
        wh_out_printf(", %s on the difficulty (right with %.0f %%)", wh_out_flops(c, v->c->asked), 100 * v->c->view.prompt_pass);
    if (v->reward.prm) wh_out_printf(", %s on scores", wh_out_flops(c, prm));
    wh_out_printf("\n%s\n", v->used_up ? "the budget is used up" : wh_spend_why(v->c->next.why));
    if (isfinite(s->live.budget)) wh_out_printf("%s of %s left\n", wh_out_flops(a, s->live.budget - policy - prm), wh_out_flops(b, s->live.budget));
    if (isfinite(s->live.tokens)) wh_out_printf("%.0f of %.0f tokens left\n", s->live.tokens - (double)r->policy.decode_tokens, s->live.tokens);
    if (isfinite(s->meter.seconds)) wh_out_printf("%.1f of %.1f s left\n", s->meter.seconds - wh_meter_seconds(&s->meter), s->meter.seconds);
    double joules = isfinite(s->meter.joules) ? wh_meter_joules(&s->meter) : INFINITY;
    if (isfinite(joules)) wh_out_printf("%.1f of %.1f J left\n", s->meter.joules - joules, s->meter.joules);
}

/* On standard output and in the trace. */
static wh_code put_result(wh_solve *v, const wh_event *e, const wh_tally *tally, size_t n)
{
    const wh_result *r = e->result;
    if (wh_solve_as_tree(v)) wh_show_tree_done(&v->tree, e, n ? tally[0].group : -1);
    if (v->o->json || v->trace) {
        json_t *o;
        WH_TRY(result_json(&o, v, r, tally, n, v->err));
        wh_trace_done(v->trace, e, json_incref(o));
        if (v->o->json) wh_out_json(o);
        else json_decref(o);
    }
    if (v->o->json || !r->n_samples) return WH_OK;
    if (n) wh_out_printf("%s\n", tally[0].answer);
    if (wh_solve_many(v)) WH_TRY(print_votes(v, r, tally, n, v->err));
    print_cost(v, r);
    if (v->c) print_spent(v, r);
    return WH_OK;
}

void wh_solve_finish(wh_solve *v, const wh_event *e)
{
    const wh_result *r = e->result;
    wh_out_progress("%s", "");
    if (v->streaming) wh_out_note("\n");
    wh_tally *tally;
    size_t n;
    v->rule = v->choice->rule;
    if (v->rule.vote->needs_scores && !scored(r)) v->rule.vote = &wh_vote_majority;
    v->code = wh_rule_count(&tally, &n, &v->rule, r->samples, r->n_samples, v->err);
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
    } else if (r->cancelled && !v->used_up) {
        v->code = wh_err_set(v->err, WH_ERR_CANCELLED, "interrupted; this is what was found until then");
    } else if (n == 0) {
        bool cut = v->used_up || (v->c && v->c->next.why == WH_WHY_BUDGET);
        wh_out_note(cut ? "whet: the budget was used up before a sample came to an answer\n" : "whet: no sample came to an answer\n");
        v->status = WH_EXIT_NO;
    }
}
