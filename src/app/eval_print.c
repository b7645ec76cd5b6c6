/* What people and programs see of an evaluation. */
#include "app/eval.h"

#include "app/json.h"
#include "app/out.h"
#include "base/clock.h"

#include <math.h>
#include "base/stat.h"

void wh_eval_show(const wh_eval *v)
{
    const wh_score *s = &v->score;
    double low, high, seconds = wh_clock_now() - v->began;
    size_t top = s->levels - 1;
    wh_stat_wilson(&low, &high, s->right[s->chosen][top], s->problems);
    char left[24], bar[24];
    size_t full = 20 * s->problems / v->data.n;
    for (size_t i = 0; i < 20; i++) bar[i] = i < full ? '#' : '.';
    bar[20] = '\0';
    wh_out_duration(left, seconds / (double)v->fresh * (double)(v->data.n - s->problems));
    double accuracy = 100 * (double)s->right[s->chosen][top] / (double)s->problems, speed = (double)v->fresh_tokens / seconds;
    if (wh_out_terminal())
        wh_out_progress("[%s] %zu/%zu  %.1f %% [%.1f, %.1f]  %.0f tokens/s  %s left", bar, s->problems, v->data.n, accuracy, 100 * low,
                        100 * high, speed, left);
    else if (s->problems * 10 / v->data.n != (s->problems - 1) * 10 / v->data.n) /* a line for every tenth */
        wh_out_note("%zu/%zu  %.1f %% [%.1f, %.1f]  %.0f tokens/s  %s left\n", s->problems, v->data.n, accuracy, 100 * low, 100 * high,
                    speed, left);
}

static json_t *level_json(const wh_score *s, size_t rule, size_t i)
{
    double low, high, all = (double)s->problems;
    wh_stat_wilson(&low, &high, s->right[rule][i], s->problems);
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "n", (json_int_t)s->n[i], "correct", (json_int_t)s->right[rule][i], "accuracy",
                     (double)s->right[rule][i] / all, "low", low, "high", high, "pass", (double)s->passed[i] / all);
}

static json_t *levels_json(const wh_score *s, size_t rule)
{
    json_t *levels = json_array();
    for (size_t i = 0; i < s->levels; i++) json_array_append_new(levels, level_json(s, rule, i));
    return levels;
}

/* FLOPs as they were counted and as they were to be expected. */
typedef struct cost {
    double policy, prm, expected_policy, expected_prm, paper;
} cost;

static cost cost_of(const wh_eval *v)
{
    const wh_score *s = &v->score;
    cost c = {.policy = (double)wh_ledger_total(&s->policy), .prm = (double)wh_ledger_total(&s->prm)};
    c.paper = (double)wh_ledger_paper(&s->policy, &v->costs.policy);
    if (v->spend.on) return c; /* nobody knew how many samples it would be */
    wh_forecast(&c.expected_policy, &c.expected_prm, &v->sizes, &v->costs, v->choice.strategy, &v->choice.params);
    return c;
}

static double ratio(double counted, double expected) { return counted > 0 ? expected / counted : 0; }

/* What there was to spend, on all problems so far; INFINITY: no limit. */
static double to_spend(const wh_eval *v)
{
    return isfinite(v->spend.total) ? v->spend.total : v->spend.live.budget * (double)v->score.problems;
}

static json_t *plan_json(const wh_eval *v)
{
    json_t *o = wh_spend_json(&v->spend), *stops = json_object();
    for (int i = 0; i <= WH_WHY_MOST; i++) json_object_set_new(stops, wh_why_name((wh_why)i), json_integer((json_int_t)v->stops[i]));
    json_object_set_new(o, "samples", json_integer((json_int_t)v->score.samples));
    json_object_set_new(o, "to_spend", isfinite(to_spend(v)) ? json_real(to_spend(v)) : json_null());
    json_object_set_new(o, "stops", stops);
    json_object_set_new(o, "fitted", json_boolean(v->spend.profile.fitted));
    return o;
}

static void print_json(const wh_eval *v)
{
    const wh_score *s = &v->score;
    const cost c = cost_of(v);
    char name[WH_RULE_NAME];
    json_t *by_vote = json_object(), *o = json_object();
    for (size_t r = 0; r < s->n_rules; r++) json_object_set_new(by_vote, wh_rule_name(name, &s->rules[r]), levels_json(s, r));
    json_int_t policy = (json_int_t)wh_ledger_total(&s->policy), prm = (json_int_t)wh_ledger_total(&s->prm);
    json_t *flops = json_pack("{s:I, s:I, s:I, s:I}", "policy", policy, "prm", prm, "total", policy + prm, "paper_2nd", (json_int_t)c.paper);
    if (v->choice.speculate) json_object_set_new(flops, "speculative", json_integer((json_int_t)wh_ledger_total(&s->speculative)));
    json_object_set_new(o, "data", json_string(v->o->data));
    json_object_set_new(o, "problems", json_integer((json_int_t)s->problems));
    json_object_set_new(o, "strategy", json_string(v->spend.on ? "plan" : v->choice.strategy->name));
    json_object_set_new(o, "vote", json_string(wh_rule_name(name, &s->rules[s->chosen])));
    if (!v->spend.on) json_object_set_new(o, "n", json_integer((json_int_t)v->choice.n_samples));
    if (v->spend.on) json_object_set_new(o, "plan", plan_json(v));
    json_object_set_new(o, "seed", json_integer(v->o->seed));
    json_object_set_new(o, "policy", json_string(wh_buf_str(&v->l.name)));
    json_object_set_new(o, "prm", v->reward.prm ? json_string(wh_buf_str(&v->reward.name)) : json_null());
    json_object_set_new(o, "accuracy", levels_json(s, s->chosen));
    json_object_set_new(o, "by_vote", by_vote);
    json_object_set_new(o, "sample_accuracy", json_real(s->samples ? (double)s->right_samples / (double)s->samples : 0));
    json_object_set_new(o, "tokens", json_integer((json_int_t)s->policy.decode_tokens));
    json_object_set_new(o, "flops", flops);
    json_object_set_new(o, "predicted", json_pack("{s:I, s:I, s:f, s:f}", "policy", (json_int_t)c.expected_policy, "prm",
                                                  (json_int_t)c.expected_prm, "policy_ratio", ratio(c.policy, c.expected_policy), "prm_ratio",
                                                  ratio(c.prm, c.expected_prm)));
    if (v->reward.prm) json_object_set_new(o, "unscored", json_integer((json_int_t)s->unscored));
    json_object_set_new(o, "seconds", json_real(s->seconds));
    json_object_set_new(o, "complete", json_boolean(s->problems == v->data.n));
    wh_out_json(o);
}

/* Every vote for the largest n: "45.0 [31, 60]". */
static void print_votes(const wh_score *s)
{
    enum { COLUMNS = 4 };
    size_t from = s->levels > COLUMNS ? s->levels - COLUMNS : 0;
    char name[WH_RULE_NAME];
    wh_out_printf("\n%-14s", "vote");
    for (size_t i = from; i < s->levels && s->n[i]; i++) wh_out_printf(i + 1 < s->levels ? "  n = %-10zu" : "  n = %zu", s->n[i]);
    wh_out_puts("\n");
    for (size_t r = 0; r < s->n_rules; r++) {
        wh_out_printf("%-14s", wh_rule_name(name, &s->rules[r]));
        for (size_t i = from; i < s->levels; i++) {
            double low, high;
            wh_stat_wilson(&low, &high, s->right[r][i], s->problems);
            wh_out_printf("  %5.1f [%2.0f, %2.0f]", 100 * (double)s->right[r][i] / (double)s->problems, 100 * low, 100 * high);
        }
        wh_out_puts("\n");
    }
}

/* A line for each n. */
static void print_levels(const wh_score *s)
{
    wh_out_puts("\n\n    n   accuracy   95 % interval   a sample right\n");
    for (size_t i = 0; i < s->levels; i++) {
        double low, high, all = (double)s->problems;
        wh_stat_wilson(&low, &high, s->right[s->chosen][i], s->problems);
        wh_out_printf("%5zu   %5.1f %%    [%4.1f, %4.1f]    %5.1f %%\n", s->n[i], 100 * (double)s->right[s->chosen][i] / all, 100 * low,
                      100 * high, 100 * (double)s->passed[i] / all);
    }
}

/* How the budget was spent. */
static void print_plan(const wh_eval *v)
{
    const wh_score *s = &v->score;
    double low, high, all = (double)s->problems, spent = (double)(wh_ledger_total(&s->policy) + wh_ledger_total(&s->prm));
    char a[24], b[24];
    wh_stat_wilson(&low, &high, s->right[s->chosen][0], s->problems);
    wh_out_printf("%s\n\naccuracy %.1f %% [%.1f, %.1f], a sample right %.1f %%, %.2f samples per problem\n",
                  v->spend.profile.fitted ? "" : "; no profile: priors", 100 * (double)s->right[s->chosen][0] / all, 100 * low, 100 * high,
                  100 * (double)s->passed[0] / all, (double)s->samples / all);
    if (isfinite(to_spend(v)))
        wh_out_printf("%s of %s spent (%.1f %%)\n", wh_out_flops(a, spent), wh_out_flops(b, to_spend(v)), 100 * spent / to_spend(v));
    for (int i = 0; i <= WH_WHY_MOST; i++)
        if (v->stops[i]) wh_out_printf("%6zu problem%s: %s\n", v->stops[i], v->stops[i] == 1 ? "" : "s", wh_spend_why((wh_why)i));
}

static void print_text(const wh_eval *v)
{
    const wh_score *s = &v->score;
    const cost c = cost_of(v);
    char name[WH_RULE_NAME], time[24], exact[24], other[24];
    wh_out_printf("%s: %zu of %zu problems, %s, seed %lld, policy %s", v->o->data, s->problems, v->data.n,
                  v->spend.on ? wh_buf_str(&v->spend.scheduler) : v->choice.strategy->name, (long long)v->o->seed, wh_buf_str(&v->l.name));
    if (v->reward.prm) wh_out_printf(", PRM %s, vote %s", wh_buf_str(&v->reward.name), wh_rule_name(name, &s->rules[s->chosen]));
    if (v->spend.on) print_plan(v);
    else print_levels(s);
    if (v->reward.prm) print_votes(s);
    if (s->samples)
        wh_out_printf("\n%.1f %% of %zu samples are right\n", 100 * (double)s->right_samples / (double)s->samples, s->samples);
    wh_out_printf("%llu tokens in %s (%.0f tokens/s); %s by the policy (%s by the paper's 2ND)\n",
                  (unsigned long long)s->policy.decode_tokens, wh_out_duration(time, s->seconds),
                  (double)s->policy.decode_tokens / s->seconds, wh_out_flops(exact, c.policy), wh_out_flops(other, c.paper));
    if (v->reward.prm) {
        wh_out_printf("%s by the PRM", wh_out_flops(exact, c.prm));
        if (v->choice.speculate) wh_out_printf("; %s of all ahead of need, and not wanted", wh_out_flops(other, (double)wh_ledger_total(&s->speculative)));
        if (s->unscored) wh_out_printf("; %zu steps beyond its context", s->unscored);
        wh_out_puts("\n");
    }
    if (c.expected_policy > 0)
        wh_out_printf("predicted: %s by the policy (%.2f of what was counted)", wh_out_flops(exact, c.expected_policy),
                      ratio(c.policy, c.expected_policy));
    if (c.expected_prm > 0) wh_out_printf(", %s by the PRM (%.2f)", wh_out_flops(exact, c.expected_prm), ratio(c.prm, c.expected_prm));
    if (c.expected_policy > 0) wh_out_puts("\n");
}

void wh_eval_print(const wh_eval *v)
{
    if (v->o->json) print_json(v);
    else print_text(v);
}
