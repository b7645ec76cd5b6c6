#include "plan/policy.h"

#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const wh_policy *const wh_policy_table[] = {
#define WH_POLICY_X(id) &wh_policy_##id,
#include "plan/policy.def"
#undef WH_POLICY_X
};
const size_t wh_policy_count = sizeof wh_policy_table / sizeof wh_policy_table[0];

const wh_policy *wh_policy_find(const char *name)
{
    for (size_t i = 0; i < wh_policy_count; i++)
        if (strcmp(wh_policy_table[i]->name, name) == 0) return wh_policy_table[i];
    return NULL;
}

const char *wh_why_name(wh_why why)
{
    static const char *const names[] = {"done", "certain", "hopeless", "price", "budget", "most"};
    return names[why];
}

/* ---- what a view holds ------------------------------------------------------------------------------------------ */

double wh_view_left(const wh_view *v) { return v->budget > v->spent ? v->budget - v->spent : 0; }

double wh_view_cost(const wh_view *v, double tokens)
{
    /* The end token is drawn from logits too. */
    return wh_strategy_compute(&v->task.policy, v->task.prompt_tokens, tokens, tokens + 1);
}

void wh_view_expect(wh_view *v)
{
    double sum = 0;
    for (size_t i = 0; i < v->n; i++) sum += v->seen[i].tokens;
    v->answer = v->n ? sum / (double)v->n : v->profile->tokens;
    v->sample = wh_view_cost(v, v->answer);
    v->score = v->task.has_prm ? wh_view_scoring(v, v->answer) : 0;
}

double wh_view_scoring(const wh_view *v, double tokens)
{
    const wh_task *t = &v->task;
    if (!t->has_prm) return v->score * tokens / v->answer; /* a bank knows what it cost, and no formula */
    return wh_strategy_compute(&t->prm, t->prm_prompt_tokens, tokens * t->prm_answer_tokens / t->answer_tokens, tokens / t->step_tokens) + v->again;
}

static double logit(double p)
{
    const double least = 1e-4; /* a PRM that says 0 or 1 must not outvote all others together */
    p = fmin(fmax(p, least), 1 - least);
    return log(p / (1 - p));
}

void wh_view_ballot(const wh_view *v, wh_ballot *out)
{
    enum { STRONGEST = 160 }; /* e^10 : 1 */
    double evidence[WH_BALLOT_GROUPS] = {0};
    out->n = (uint32_t)v->n;
    out->n_groups = 0;
    for (size_t i = 0; i < v->n; i++) {
        const wh_seen *s = &v->seen[i];
        if (s->group < 0 || s->group >= WH_BALLOT_GROUPS) continue;
        uint32_t g = (uint32_t)s->group;
        while (out->n_groups <= g) {
            out->group[out->n_groups].count = 0;
            out->group[out->n_groups++].evidence = 0;
        }
        out->group[g].count++;
        if (s->scored) evidence[g] += v->profile->slope * logit(s->score) + v->profile->offset;
    }
    for (uint32_t g = 0; g < out->n_groups; g++)
        out->group[g].evidence = (int16_t)lrint(fmin(fmax(16 * evidence[g], -STRONGEST), STRONGEST));
}

/* ---- choosing one ------------------------------------------------------------------------------------------------- */

static wh_code set(wh_params *params, const wh_policy *p, const char *name, const char *value, wh_err *err)
{
    if (!wh_param_find(p->params, p->n_params, name))
        return wh_err_set(err, WH_ERR_ARG, "the policy %s has no parameter '%.40s'", p->name, name);
    return wh_param_set(params, p->params, p->n_params, name, value, err);
}

static wh_code take_profile(wh_params *params, const wh_policy *p, const wh_profile *profile, wh_err *err)
{
    const char *key;
    const json_t *value;
    char text[40];
    json_t *own = (json_t *)(uintptr_t)wh_profile_params(profile, p->name);
    json_object_foreach(own, key, value)
    {
        snprintf(text, sizeof text, "%.17g", json_number_value(value));
        WH_TRY(set(params, p, key, json_is_string(value) ? json_string_value(value) : text, err));
    }
    return WH_OK;
}

wh_code wh_policy_parse(const wh_policy **out, wh_params *params, const char *text, const wh_profile *profile, wh_err *err)
{
    wh_buf copy = {0};
    wh_buf_puts(&copy, text);
    if (!wh_buf_ok(&copy)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a policy");
    char *save = NULL, *word = strtok_r(copy.data, ":,", &save);
    wh_code code = WH_OK;
    *out = word ? wh_policy_find(word) : NULL;
    if (!*out) {
        wh_buf all = {0};
        for (size_t i = 0; i < wh_policy_count; i++) wh_buf_printf(&all, " %s", wh_policy_table[i]->name);
        code = wh_err_set(err, WH_ERR_ARG, "unknown policy '%.40s'; there are:%s", text, wh_buf_str(&all));
        wh_buf_free(&all);
    } else {
        wh_param_defaults(params, (*out)->params, (*out)->n_params);
        code = take_profile(params, *out, profile, err);
    }
    while (code == WH_OK && (word = strtok_r(NULL, ",", &save))) {
        char *eq = strchr(word, '=');
        if (!eq) code = wh_err_set(err, WH_ERR_ARG, "'%.40s' is no name=value", word);
        else {
            *eq = '\0';
            code = set(params, *out, word, eq + 1, err);
        }
    }
    wh_buf_free(&copy);
    return code;
}

/* ---- deciding ------------------------------------------------------------------------------------------------------ */

static bool answered(const wh_view *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->seen[i].group >= 0) return true;
    return false;
}

static double cost_and_score(const wh_view *v, double tokens)
{
    return wh_view_cost(v, tokens) + (v->scoring ? wh_view_scoring(v, tokens) : 0);
}

/* The tokens that so many FLOPs pay for, at most `most`. */
static uint32_t tokens_for(const wh_view *v, double flops, uint32_t most, double allowed)
{
    uint32_t low = 0, high = allowed < most ? (uint32_t)allowed : most;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (cost_and_score(v, middle) <= flops) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* What samples may cost: the PRM has to read the question too, before their first step. */
static double usable(const wh_view *v)
{
    double left = wh_view_left(v) - (v->scoring ? v->question : 0);
    return left > 0 ? left : 0;
}

static void stop(wh_action *out, wh_why why) { *out = (wh_action){.what = WH_DO_STOP, .why = why}; }

void wh_policy_decide(wh_action *out, const wh_policy *policy, const wh_view *v, const void *params)
{
    *out = (wh_action){0};
    policy->decide(out, v, params);
    /* Solutions of a search have scores; what votes with them needs some too. */
    if (out->what == WH_DO_SEARCH && v->n && v->can_score && !v->scoring) out->what = WH_DO_SCORE;
    if (out->what == WH_DO_SCORE) {
        double price = v->question;
        for (size_t i = 0; i < v->n; i++) price += v->seen[i].scored ? 0 : wh_view_scoring(v, v->seen[i].tokens);
        if (price > wh_view_left(v)) stop(out, WH_WHY_BUDGET);
    }
    if (out->what != WH_DO_SAMPLE) return;
    if (v->n >= v->most) {
        stop(out, WH_WHY_MOST);
        return;
    }
    if (out->n > v->most - v->n) out->n = v->most - v->n;
    double pays = fmin((usable(v) - v->round) / cost_and_score(v, v->answer), v->tokens_left / v->answer);
    if (pays < (double)out->n) out->n = pays < 1 ? 0 : (size_t)pays;
    if (out->n) return;
    if (answered(v) || tokens_for(v, usable(v), 1, v->tokens_left) == 0) stop(out, WH_WHY_BUDGET);
    else out->n = 1;
}

wh_limits wh_policy_limits(const wh_view *v, const wh_action *a, uint32_t max_tokens)
{
    double left = usable(v), tokens = v->tokens_left;
    wh_limits l = {.n = a->n};
    if (answered(v)) {
        l.first = l.others = tokens_for(v, left / (double)l.n, max_tokens, tokens / (double)l.n);
        return l;
    }
    l.first = tokens_for(v, left, max_tokens, tokens);
    left -= cost_and_score(v, l.first);
    tokens -= l.first;
    double pays = fmin(left / cost_and_score(v, v->answer), tokens / v->answer);
    if (pays < (double)(l.n - 1)) l.n = 1 + (pays > 0 ? (size_t)pays : 0);
    if (l.n > 1) l.others = tokens_for(v, left / (double)(l.n - 1), max_tokens, tokens / (double)(l.n - 1));
    return l;
}
