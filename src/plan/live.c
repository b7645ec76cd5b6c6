#include "plan/live.h"

#include "answer/answer.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct params {
    wh_case *c;
} params;

static void spend(wh_case *c, double policy, double prm)
{
    c->policy += policy;
    c->prm += prm;
    c->view.spent += policy + prm;
}

void wh_case_init(wh_case *c, const wh_live *live, size_t prompt_tokens, size_t prm_prompt_tokens, double prompt_pass)
{
    const double step = 20; /* tokens of a step, rather too few: each costs the PRM something around it */
    memset(c, 0, sizeof *c);
    c->live = live;
    c->view = (wh_view){
        .seen = c->seen,
        .most = live->most,
        .can_score = live->task.has_prm,
        .can_search = live->task.has_prm,
        .scoring = live->in_passing,
        .budget = live->budget,
        .tokens_left = live->tokens,
        .task = live->task,
        .prompt_pass = prompt_pass,
        .belief = wh_outlook_belief(&live->outlook, prompt_pass),
        .profile = live->profile,
    };
    c->view.task.prompt_tokens = (double)prompt_tokens;
    c->view.task.prm_prompt_tokens = (double)prm_prompt_tokens;
    c->view.task.answer_tokens = c->view.task.step_tokens = step;
    if (live->task.has_prm && !live->attached) {
        size_t tail = live->block ? prm_prompt_tokens % live->block : 0;
        c->view.question = wh_strategy_compute(&live->task.prm, 0, (double)prm_prompt_tokens, 0);
        c->view.again = wh_strategy_compute(&live->task.prm, (double)(prm_prompt_tokens - tail), (double)tail, 0);
    }
    c->view.task.prm_answer_tokens = step + live->around;
}

void wh_case_free(wh_case *c)
{
    for (size_t i = 0; i < c->view.n; i++) free(c->answers[i]);
    c->view.n = 0;
}

void wh_case_asked(wh_case *c, double more)
{
    c->asked = more;
    spend(c, wh_case_prompt(c) + more, 0);
}

double wh_case_prompt(const wh_case *c)
{
    double all = c->view.task.prompt_tokens, known = c->view.spent > 0 ? all - 1 : (double)c->shared;
    return wh_strategy_compute(&c->view.task.policy, known, all - known, 0);
}

void wh_live_params(wh_params *out, wh_case *c)
{
    const params p = {c};
    *out = (wh_params){0};
    memcpy(out->bytes, &p, sizeof p);
}

/* ---- what was seen ------------------------------------------------------------------------------------------------ */

/* The PRM has read a sample; the whole question with the first. */
static void pay_score(wh_case *c, double tokens, double steps)
{
    const wh_task *t = &c->view.task;
    double read = c->live->attached ? tokens - tokens / fmax(steps, 1) : tokens + steps * c->live->around;
    spend(c, 0, wh_strategy_compute(&t->prm, t->prm_prompt_tokens, read, steps) + (c->view.question > 0 ? c->view.question : c->view.again));
    c->view.question = 0;
}

static wh_code add(wh_case *c, const char *answer, uint32_t tokens, wh_err *err)
{
    size_t at = c->view.n;
    c->seen[at] = (wh_seen){.group = -1, .tokens = tokens};
    c->answers[at] = answer ? wh_mem_strndup(answer, strlen(answer)) : NULL;
    if (answer && !c->answers[at]) return wh_err_set(err, WH_ERR_NOMEM, "no memory for an answer");
    c->view.n++;
    return WH_OK;
}

static wh_code regroup(wh_case *c, wh_err *err)
{
    wh_sample samples[WH_PLAN_MOST];
    for (size_t i = 0; i < c->view.n; i++)
        samples[i] = (wh_sample){.answer = c->answers[i] ? c->answers[i] : "", .end = c->answers[i] ? WH_END_EOS : WH_END_BUDGET};
    WH_TRY(wh_vote_group(samples, c->view.n, &c->view.n_groups, c->live->grouping, err));
    for (size_t i = 0; i < c->view.n; i++) c->seen[i].group = samples[i].group;
    wh_view_expect(&c->view);
    return WH_OK;
}

static void give_score(wh_case *c, size_t i, const double *scores, size_t n)
{
    if (!n) return;
    c->seen[i].scored = true;
    c->seen[i].score = wh_aggregate_scores(c->live->aggregate, scores, n);
    pay_score(c, c->seen[i].tokens, (double)n);
}

wh_code wh_live_see(wh_case *c, const char *answer, uint32_t tokens, const double *scores, size_t n_scores, wh_err *err)
{
    if (c->view.n == WH_PLAN_MOST) return wh_err_set(err, WH_ERR_FORMAT, "more than %d samples of a problem", WH_PLAN_MOST);
    WH_TRY(add(c, answer, tokens, err));
    if (n_scores) {
        c->seen[c->view.n - 1].scored = true;
        c->seen[c->view.n - 1].score = wh_aggregate_scores(c->live->aggregate, scores, n_scores);
        c->view.question = 0;
    }
    return WH_OK;
}

wh_code wh_live_seen(wh_case *c, double policy, double prm, double spent, wh_err *err)
{
    c->policy = policy;
    c->prm = prm;
    c->view.spent = spent;
    return regroup(c, err);
}

/* The node of sample i of this part, or WH_NONE. */
static uint32_t node_of(const wh_tree *t, size_t i)
{
    uint32_t node = t->nodes[0].first_child;
    for (; node && i; i--) node = t->nodes[node].next;
    return node;
}

static wh_code look_at(wh_case *c, wh_tree *t, uint32_t node, uint32_t limit, wh_err *err)
{
    wh_node *n = &t->nodes[node];
    if (n->end == WH_END_LENGTH && limit < c->live->draw.max_tokens) n->end = WH_END_BUDGET;
    bool votes = n->end != WH_END_BUDGET && n->end != WH_END_CANCELLED;
    wh_buf answer = {0};
    wh_code code = votes ? wh_extract_answer(&answer, NULL, n->text, n->text_len, err) : WH_OK;
    if (code == WH_OK && !wh_buf_ok(&answer)) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for an answer");
    if (code == WH_OK) code = add(c, votes ? wh_buf_str(&answer) : NULL, n->n_tokens, err);
    wh_buf_free(&answer);
    if (code == WH_OK) spend(c, wh_view_cost(&c->view, n->n_tokens), 0);
    c->generated += n->n_tokens + (n->end == WH_END_EOS);
    return code;
}

/* Samples and scores that came since the last time. */
static wh_code look(wh_case *c, wh_tree *t, wh_err *err)
{
    bool more = false;
    uint32_t node = t->nodes[0].first_child;
    for (size_t i = 0; node; i++, node = t->nodes[node].next) {
        size_t at = c->part + i;
        if (at == c->view.n) {
            WH_TRY(look_at(c, t, node, i == c->wished ? c->limits.first : c->limits.others, err));
            more = true;
        }
        if (!c->seen[at].scored) give_score(c, at, t->nodes[node].scores, t->nodes[node].n_scores);
    }
    if (more) return regroup(c, err);
    wh_view_expect(&c->view);
    return WH_OK;
}

/* ---- what is wished ------------------------------------------------------------------------------------------------- */

/* false: what is left does not pay for a token. */
static bool wish_samples(wh_case *c, const wh_action *a, wh_wishes *out)
{
    const wh_live *live = c->live;
    c->limits = wh_policy_limits(&c->view, a, live->draw.max_tokens);
    if (!c->limits.first) return false;
    c->wished = c->view.n - c->part;
    const wh_expand first = {
        .n = 1,
        .first = (uint32_t)c->part,
        .answer_tokens = c->limits.first,
        .sampling = wh_draw_sampling(&live->draw),
        .score = c->view.scoring,
    };
    wh_wish_expand(out, &first);
    if (c->limits.n < 2 || !c->limits.others) return true;
    wh_expand others = first;
    others.n = (uint32_t)c->limits.n - 1;
    others.answer_tokens = c->limits.others;
    wh_wish_expand(out, &others);
    return true;
}

/* One wish for each sample that has steps and no score; false: there is none. */
static bool wish_scores(wh_case *c, const wh_tree *t, wh_wishes *out)
{
    bool any = false;
    for (size_t i = c->part; i < c->view.n; i++) {
        uint32_t node = node_of(t, i - c->part);
        if (c->seen[i].scored || !wh_tree_count_steps(t->nodes[node].text, t->nodes[node].text_len)) continue;
        wh_wish_score(out, node);
        any = true;
    }
    return any;
}

static void wish_end(const wh_tree *t, wh_wishes *out)
{
    for (uint32_t i = t->nodes[0].first_child; i; i = t->nodes[i].next) wh_wish_accept(out, i);
    wh_wish_done(out, 0);
}

/* What is left of everything that is limited, as a budget of FLOPs. */
static void set_budget(wh_case *c)
{
    const wh_live *live = c->live;
    wh_view *v = &c->view;
    v->tokens_left = fmax(0, live->tokens - c->generated);
    if (c->granted) return;
    v->budget = live->budget;
    if (!live->left) return;
    double left = live->left(live->user, v, &v->round);
    if (v->spent + left < v->budget) v->budget = v->spent + left;
}

static void ask(wh_case *c, wh_action *out)
{
    set_budget(c);
    wh_policy_decide(out, c->live->policy, &c->view, c->live->params);
}

static wh_code advance(wh_tree *t, uint32_t lane, const void *params_, void *state, wh_wishes *out, wh_err *err)
{
    (void)lane, (void)state;
    wh_case *c = ((const params *)params_)->c;
    bool begun = t->nodes[0].first_child != 0;
    if (!begun) {
        spend(c, wh_case_prompt(c), 0);
        c->part = c->view.n;
        wh_view_expect(&c->view);
    }
    WH_TRY(look(c, t, err));
    for (bool first = true;; first = false) {
        if (!c->granted) ask(c, &c->next);
        else if (begun || !first) c->next = (wh_action){.what = WH_DO_STOP};
        else set_budget(c);
        switch (c->next.what) {
        case WH_DO_SAMPLE:
            if (!wish_samples(c, &c->next, out)) {
                c->next = (wh_action){.what = WH_DO_STOP, .why = WH_WHY_BUDGET};
                wish_end(t, out);
            }
            return WH_OK;
        case WH_DO_SCORE:
            c->view.scoring = true;
            if (wish_scores(c, t, out)) return WH_OK;
            continue; /* there was nothing to read yet, or nothing in it */
        case WH_DO_SEARCH:
        case WH_DO_STOP: wish_end(t, out); return WH_OK;
        }
    }
}

static void flops(double *policy, double *prm, const wh_task *task, const void *params_)
{
    const wh_case *c = ((const params *)params_)->c;
    wh_strategy_answer_flops(policy, prm, task, (double)c->view.n);
}

const wh_strategy wh_live_samples = {
    .name = "plan",
    .help = "samples as a policy decides",
    .source = "plan/policy.h",
    .nested = true,
    .advance = advance,
    .flops = flops,
};

void wh_live_grant(wh_case *c, const wh_action *a, double share)
{
    c->granted = true;
    c->next = *a;
    c->view.budget = c->view.spent + share;
}

/* ---- searches ---------------------------------------------------------------------------------------------------------- */

wh_code wh_live_search(const wh_strategy **strategy, wh_params *out, const wh_case *c, wh_err *err)
{
    const wh_strategy *s = *strategy = c->next.strategy;
    char text[32];
    wh_task task = c->view.task;
    double around = task.prm_answer_tokens / task.answer_tokens, policy, prm;
    task.answer_tokens = c->view.answer;
    task.prm_answer_tokens = c->view.answer * around;
    wh_param_defaults(out, s->params, s->n_params);
    snprintf(text, sizeof text, "%u", c->live->draw.max_tokens);
    WH_TRY(wh_param_set(out, s->params, s->n_params, "max-tokens", text, err));
    if (!wh_param_find(s->params, s->n_params, "n")) return WH_OK;
    for (size_t n = c->next.n;; n /= 2) { /* as many as the budget is expected to pay for */
        snprintf(text, sizeof text, "%zu", n);
        WH_TRY(wh_param_set(out, s->params, s->n_params, "n", text, err));
        s->flops(&policy, &prm, &task, out);
        if (n < 8 || policy + prm <= wh_view_left(&c->view)) return WH_OK;
    }
}

wh_code wh_live_take_search(wh_case *c, const wh_result *r, wh_err *err)
{
    double policy = (double)wh_ledger_total(&r->policy), prm = (double)wh_ledger_total(&r->prm);
    c->view.searched = c->view.scoring = true;
    c->view.question = 0;
    c->searched += policy + prm;
    spend(c, policy, prm);
    for (size_t i = 0; i < r->n_samples && c->view.n < WH_PLAN_MOST; i++) {
        const wh_sample *s = &r->samples[i];
        bool votes = s->end != WH_END_CANCELLED && s->end != WH_END_BUDGET;
        WH_TRY(add(c, votes ? s->answer : NULL, s->tokens, err));
        wh_seen *x = &c->seen[c->view.n - 1];
        x->scored = s->n_scores > 0;
        x->score = wh_aggregate_scores(c->live->aggregate, s->scores, s->n_scores);
    }
    return regroup(c, err);
}
