#include "app/spend.h"

#include "app/shipped.h"
#include "plan/budget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const wh_opt wh_spend_options[WH_SPEND_OPTIONS] = {
    WH_OPT_STRING(wh_spend_opts, budget, "budget", "FLOPS", NULL, "for each problem, as 20T: samples are drawn while they pay, within it"),
    WH_OPT_STRING(wh_spend_opts, total, "budget-total", "FLOPS", NULL, "for all problems of a set together: each sample goes where it helps most"),
    WH_OPT_STRING(wh_spend_opts, difficulty, "difficulty-head", "FILE", NULL,
                  "judges problems by their prompts: see `whet fit` (default: one that comes with Whet; none)"),
    WH_OPT_STRING(wh_spend_opts, energy, "energy", "J", NULL, "the same in joules, where the machine says what it draws"),
    WH_OPT_STRING(wh_spend_opts, profile, "profile", "FILE", NULL, "what `whet calibrate` fitted for this model (none: priors; default: one that comes with Whet, or priors)"),
    WH_OPT_STRING(wh_spend_opts, scheduler, "scheduler", "P", NULL,
                  "who decides: adaptive (default), set (with --budget-total), calibrated, paper, fixed; with parameters as in adaptive:sure=0.99"),
    WH_OPT_STRING(wh_spend_opts, time, "time", "S", NULL, "the same in seconds: 30s, 2m"),
    WH_OPT_STRING(wh_spend_opts, tokens, "tokens", "K", NULL, "tokens that may be generated for each problem"),
};

bool wh_spend_wanted(const wh_spend_opts *o)
{
    return o->budget || o->total || o->energy || o->time || o->tokens || o->scheduler;
}

const char *wh_spend_why(wh_why why)
{
    static const char *const words[] = {
        [WH_WHY_DONE] = "what was planned is done",
        [WH_WHY_CERTAIN] = "more votes would not change the leader",
        [WH_WHY_HOPELESS] = "the samples do not agree, and more would hardly",
        [WH_WHY_PRICE] = "more samples are not expected to be worth it",
        [WH_WHY_BUDGET] = "the rest does not pay for another sample",
        [WH_WHY_MOST] = "as many samples as there may be",
    };
    return words[why];
}

/* "30", "30s", "2m", "1h" */
static wh_code parse_time(double *out, const char *text, wh_err *err)
{
    char *end;
    double v = strtod(text, &end);
    if (end != text && strcmp(end, "m") == 0) v *= 60, end++;
    else if (end != text && strcmp(end, "h") == 0) v *= 3600, end++;
    else if (end != text && strcmp(end, "s") == 0) end++;
    if (end == text || *end || !(v > 0) || !isfinite(v))
        return wh_err_set(err, WH_ERR_ARG, "--time is a number of seconds above 0, as 30s, 2m or 1h, not '%.40s'", text);
    *out = v;
    return WH_OK;
}

static wh_code parse_limits(wh_spend *s, const wh_spend_opts *o, wh_err *err)
{
    s->live.budget = s->live.tokens = s->total = s->meter.seconds = s->meter.joules = INFINITY;
    if (o->budget) WH_TRY(wh_budget_parse(&s->live.budget, o->budget, "--budget", err));
    if (o->total) WH_TRY(wh_budget_parse(&s->total, o->total, "--budget-total", err));
    if (o->tokens) WH_TRY(wh_budget_parse(&s->live.tokens, o->tokens, "--tokens", err));
    if (o->energy) WH_TRY(wh_budget_parse(&s->meter.joules, o->energy, "--energy", err));
    if (o->time) WH_TRY(parse_time(&s->meter.seconds, o->time, err));
    s->metered = o->time || o->energy;
    return WH_OK;
}

/* A parameter of the chosen strategy as a number. */
static double parameter(const wh_search_choice *c, const char *name, double otherwise)
{
    const wh_param *row = wh_param_find(c->strategy->params, c->strategy->n_params, name);
    if (!row) return otherwise;
    wh_buf text = {0};
    wh_param_print(&text, &c->params, row);
    double v = strtod(wh_buf_str(&text), NULL);
    wh_buf_free(&text);
    return v;
}

/* With nothing else in the batch, single samples would leave the machine idle. */
static const char alone[] = "adaptive:pilot=4,least=4";

wh_code wh_spend_choose(wh_spend *s, const wh_spend_opts *o, const wh_search_opts *typed, const wh_search_choice *choice, bool for_set,
                        wh_err *err)
{
    s->on = wh_spend_wanted(o);
    if (!s->on) return o->profile ? wh_err_set(err, WH_ERR_ARG, "--profile is for a budget: --budget, --time or --tokens is missing") : WH_OK;
    s->typed_head = o->difficulty;
    WH_TRY(parse_limits(s, o, err));
    if (o->total && !for_set) return wh_err_set(err, WH_ERR_ARG, "--budget-total is for a set of problems: whet eval; --budget is for one");
    if (s->metered && for_set)
        return wh_err_set(err, WH_ERR_ARG, "--%s is measured as one problem is solved: for a set use --budget-total", o->time ? "time" : "energy");
    if (o->profile) WH_TRY(wh_profile_read(&s->profile, o->profile, err));
    else wh_profile_priors(&s->profile);
    bool strategy = wh_search_opts_typed(typed, "strategy"), n = wh_search_opts_typed(typed, "n");
    if (o->scheduler) wh_buf_puts(&s->scheduler, o->scheduler);
    else if (strategy) wh_buf_printf(&s->scheduler, "fixed:strategy=%s,n=%zu", choice->strategy->name, choice->n_samples);
    else wh_buf_puts(&s->scheduler, o->total ? "set" : for_set || s->metered ? "adaptive" : alone);
    if (!wh_buf_ok(&s->scheduler)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the scheduler's name");
    WH_TRY(wh_policy_parse(&s->live.policy, &s->params, wh_buf_str(&s->scheduler), &s->profile, err));
    if (s->live.policy->whole_set && !for_set)
        return wh_err_set(err, WH_ERR_ARG, "the scheduler %s is for a set of problems: whet eval", s->live.policy->name);
    if (s->live.policy->whole_set && !o->total && !o->budget)
        return wh_err_set(err, WH_ERR_ARG, "the scheduler %s needs --budget-total", s->live.policy->name);
    if (o->total && !s->live.policy->whole_set)
        return wh_err_set(err, WH_ERR_ARG, "--budget-total is spent by the scheduler set, not by %s", s->live.policy->name);
    s->live.params = &s->params;
    s->live.profile = &s->profile;
    s->live.most = n && choice->n_samples < WH_PLAN_MOST ? choice->n_samples : WH_PLAN_MOST;
    s->live.grouping = choice->grouping;
    s->live.aggregate = choice->rule.aggregate;
    s->live.draw = (wh_draw){.temperature = parameter(choice, "temperature", 0.7), .top_p = parameter(choice, "top-p", 1),
                             .min_p = parameter(choice, "min-p", 0), .top_k = (uint32_t)parameter(choice, "top-k", 0),
                             .max_tokens = (uint32_t)choice->max_tokens};
    if (s->metered) {
        s->live.left = wh_meter_left;
        s->live.user = &s->meter;
    }
    return WH_OK;
}

/* A profile belongs to one model file and one form of its weights. */
static wh_code check_profile(const wh_profile *p, const wh_loaded *policy, wh_err *err)
{
    const json_t *about = json_object_get(p->json, "policy");
    const char *own = json_string_value(json_object_get(about, "sha256")), *name = json_string_value(json_object_get(about, "name"));
    char sha256[65];
    if (!own) return WH_OK; /* priors, or one made by hand */
    WH_TRY(wh_load_sha256(sha256, wh_buf_str(&policy->path), err));
    if (strcmp(own, sha256) != 0)
        return wh_err_set(err, WH_ERR_ARG, "the profile was fitted for %.60s, another file than %.100s: `whet calibrate` makes one for it",
                          name ? name : "another model", wh_buf_str(&policy->name));
    bool fast = json_object_get(about, "form") != NULL;
    if (fast != (policy->model->form == WH_MAT_FAST))
        return wh_err_set(err, WH_ERR_ARG, "the profile was fitted %s --fast", fast ? "with" : "without");
    return WH_OK;
}

/* The head that was named, or one that comes with Whet for this policy. */
static wh_code open_head(wh_spend *s, const wh_loaded *policy, wh_err *err)
{
    const char *typed = s->typed_head;
    if (typed && strcmp(typed, "none") == 0) return WH_OK;
    if (typed) wh_buf_puts(&s->head, typed);
    else WH_TRY(wh_shipped_find(&s->head, "difficulty", wh_buf_str(&policy->path), NULL, err));
    if (!wh_buf_ok(&s->head)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    if (!s->head.len) return WH_OK;
    WH_TRY(wh_difficulty_open(&s->judge, wh_buf_str(&s->head), wh_buf_str(&policy->path), policy->model, policy->par, err));
    return WH_OK;
}

wh_code wh_spend_open(wh_spend *s, const wh_costs *costs, const wh_loaded *policy, wh_err *err)
{
    WH_TRY(check_profile(&s->profile, policy, err));
    s->live.task = (wh_task){.policy = costs->policy, .prm = costs->prm, .has_prm = costs->has_prm};
    s->live.attached = costs->attached;
    s->live.in_passing = costs->in_passing;
    if (costs->in_passing) s->live.task.prm.body = s->live.task.prm.attn_per_key = 0;
    s->live.around = (double)costs->around;
    s->live.block = WH_KV_BLOCK;
    WH_TRY(open_head(s, policy, err));
    return wh_outlook_create(&s->live.outlook, &s->profile, s->judge != NULL, err);
}

typedef struct question {
    double pass;
    bool   done;
} question;

static void on_judged(void *user, double pass)
{
    *(question *)user = (question){pass, true};
}

static wh_ledger work_since(const wh_ledger *before, const wh_engine *engine)
{
    wh_engine_stats now;
    wh_engine_get_stats(engine, &now);
    return (wh_ledger){.linear = now.ledger.linear - before->linear,
                       .attention = now.ledger.attention - before->attention,
                       .head = now.ledger.head - before->head,
                       .prefill_tokens = now.ledger.prefill_tokens - before->prefill_tokens,
                       .reused_tokens = now.ledger.reused_tokens - before->reused_tokens};
}

wh_code wh_spend_ask(double *pass, wh_ledger *cost, const wh_spend *s, wh_engine *engine, const int32_t *prompt, size_t n, wh_err *err)
{
    wh_engine_stats before;
    question q = {NAN, false};
    *pass = NAN;
    *cost = (wh_ledger){0};
    if (!s->judge) return WH_OK;
    wh_engine_get_stats(engine, &before);
    WH_TRY(wh_difficulty_ask(s->judge, engine, prompt, n, on_judged, &q, err));
    for (bool idle = false; !idle && !q.done;) WH_TRY(wh_engine_step(engine, &idle, err));
    *pass = q.pass;
    *cost = work_since(&before.ledger, engine);
    cost->head += wh_difficulty_flops(s->judge);
    return WH_OK;
}

wh_code wh_spend_read(wh_ledger *cost, wh_engine *engine, const int32_t *tokens, size_t n, wh_err *err)
{
    wh_engine_stats before;
    size_t last = n - 1;
    const wh_score_spec all = {.prefix = tokens, .n_prefix = n, .positions = &last, .n_positions = 1, .what = WH_SCORE_HIDDEN};
    wh_engine_get_stats(engine, &before);
    WH_TRY(wh_engine_score(engine, NULL, &all, err));
    for (bool idle = false; !idle;) WH_TRY(wh_engine_step(engine, &idle, err));
    *cost = work_since(&before.ledger, engine);
    return WH_OK;
}

double wh_spend_asking(const wh_spend *s, const wh_cost *cost, size_t prompt)
{
    /* The samples compute the last token of the prompt again. */
    return s->judge ? (double)wh_difficulty_flops(s->judge) + wh_strategy_compute(cost, (double)prompt - 1, 1, 0) : 0;
}

void wh_spend_free(wh_spend *s)
{
    wh_difficulty_free(s->judge);
    wh_buf_free(&s->head);
    wh_outlook_free(&s->live.outlook);
    wh_profile_free(&s->profile);
    wh_buf_free(&s->scheduler);
    *s = (wh_spend){0};
}

static json_t *real_or_null(double v) { return isfinite(v) ? json_real(v) : json_null(); }

json_t *wh_spend_json(const wh_spend *s)
{
    char head[65];
    bool judged = s->judge && wh_load_sha256(head, wh_buf_str(&s->head), NULL) == WH_OK;
    const wh_policy *p = s->live.policy;
    json_t *params = json_object();
    wh_buf text = {0};
    for (size_t i = 0; i < p->n_params; i++) {
        wh_buf_clear(&text);
        wh_param_print(&text, &s->params, &p->params[i]);
        bool word = p->params[i].type == WH_PARAM_CHOICE;
        json_object_set_new(params, p->params[i].name, word ? json_string(wh_buf_str(&text)) : json_real(strtod(wh_buf_str(&text), NULL)));
    }
    wh_buf_free(&text);
    const wh_belief_model *m = &s->profile.votes;
    const wh_draw *d = &s->live.draw;
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}, s:f, s:f, s:I, s:f, s:I, s:s, s:s*}", "strategy",
                     "plan", "scheduler", p->name, "params", params, "budget", real_or_null(s->live.budget), "budget-total",
                     real_or_null(s->total), "tokens", real_or_null(s->live.tokens), "most", (json_int_t)s->live.most, "profile", "a", m->a, "b",
                     m->b, "theta", m->theta, "tokens", s->profile.tokens, "slope", s->profile.slope, "offset", s->profile.offset, "keen",
                     s->profile.keen, "sure_prompt", s->profile.sure_prompt, "temperature", d->temperature, "top-p", d->top_p, "top-k", (json_int_t)d->top_k, "min-p", d->min_p,
                     "max-tokens", (json_int_t)d->max_tokens, "grouping", s->live.grouping == WH_GROUP_STRING ? "string" : "math",
                     "difficulty_head_sha256", judged ? head : NULL);
}
