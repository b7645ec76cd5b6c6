/* whet plan: what a budget would be spent on, before anything is. */
#include "app/cmd.h"
#include "app/out.h"
#include "app/reward.h"
#include "app/shipped.h"
#include "app/spend.h"
#include "base/mem.h"
#include "plan/imagine.h"
#include "plan/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    bool json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_FLAG(options, json, "json", "as one JSON object"),
};

enum { IMAGINED = 1000, SAMPLES = 64, ROWS = 4 };

/* What the policy comes to on problems as the model of votes imagines them. */
typedef struct outlook {
    double right, flops, samples, why[WH_WHY_MOST + 1];
} outlook;

typedef struct plan {
    const options *o;
    wh_rule        rule; /* of the vote */
    wh_spend       spend;
    wh_loaded      l;
    wh_reward      reward;
    wh_cost        cost;
    size_t         prompt, question; /* tokens, of the policy and of the PRM */
    double         pass;  /* as the prompt lets expect; NAN: nobody was asked */
} plan;

static wh_code look_ahead(outlook *out, const wh_bank *bank, const plan *p, const char *policy, double budget, wh_err *err)
{
    wh_params params;
    const wh_profile *profile = &p->spend.profile;
    wh_replay_spec spec = {.params = &params, .profile = profile, .vote = p->rule.vote, .vote_opts.aggregate = p->rule.aggregate, .budget = budget,
                           .orders = 1};
    *out = (outlook){0};
    WH_TRY(wh_policy_parse(&spec.policy, &params, policy, profile, err));
    wh_outcome *list = wh_mem_alloc(bank->n, sizeof *list);
    wh_code code = list ? wh_replay(list, bank, &spec, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory to look ahead");
    for (size_t i = 0; code == WH_OK && i < bank->n; i++) {
        out->right += list[i].right / (double)bank->n;
        out->flops += (list[i].policy + list[i].prm) / (double)bank->n;
        out->samples += list[i].n / (double)bank->n;
        out->why[list[i].why] += 1 / (double)bank->n;
    }
    free(list);
    return code;
}

static const char *describe_action(wh_buf *text, const wh_action *a)
{
    wh_buf_clear(text);
    if (a->what == WH_DO_STOP) wh_buf_printf(text, "stop: %s", wh_spend_why(a->why));
    else if (a->what == WH_DO_SCORE) wh_buf_puts(text, "have them scored");
    else if (a->what == WH_DO_SEARCH) wh_buf_printf(text, "search by %s, N = %zu", a->strategy->name, a->n);
    else wh_buf_printf(text, "draw %zu%s sample%s", a->n, a->gain > 0 ? " more" : "", a->n == 1 ? "" : "s");
    return wh_buf_str(text);
}

/* The problem before anything is sampled. */
static void begin(wh_case *c, const plan *p)
{
    wh_case_init(c, &p->spend.live, p->prompt, p->question, p->pass);
    wh_view_expect(&c->view);
}

/* What is known of its pass@1 then. */
static wh_estimate expect(const wh_case *c)
{
    const wh_ballot none = {0};
    wh_estimate e;
    e.pass = wh_belief_pass(c->view.belief, &none, e.at_least, wh_bin_bounds, 2);
    return e;
}

/* What the policy says after such votes: "aab". */
static void put_decision(const plan *p, const char *votes, wh_buf *text, const char *words)
{
    wh_seen seen[16];
    wh_case c;
    wh_action a;
    begin(&c, p);
    for (size_t i = 0; votes[i]; i++) {
        seen[i] = (wh_seen){.group = votes[i] - 'a', .tokens = (uint32_t)p->spend.profile.tokens};
        c.view.n++;
        if (seen[i].group + 1 > (int32_t)c.view.n_groups) c.view.n_groups = (size_t)seen[i].group + 1;
    }
    c.view.seen = seen;
    wh_view_expect(&c.view);
    c.view.spent = wh_case_prompt(&c) + (double)c.view.n * c.view.sample;
    wh_policy_decide(&a, p->spend.live.policy, &c.view, p->spend.live.params);
    wh_ballot votes_now;
    wh_view_ballot(&c.view, &votes_now);
    double best = wh_belief_best(c.view.belief, &votes_now, NULL);
    wh_out_printf("  %-24s", words);
    if (c.view.n) wh_out_printf("right with %2.0f %%: ", 100 * best);
    wh_out_printf("%s", describe_action(text, &a));
    if (a.what == WH_DO_SAMPLE && a.gain > 0) wh_out_printf(" (%+.1f points for the price of each)", 100 * a.gain * c.view.sample / a.cost);
    if (a.what == WH_DO_SCORE) wh_out_printf(" (%+.1f points for the price of %.2f samples)", 100 * a.gain, a.cost / c.view.sample);
    wh_out_puts("\n");
}

static void print_budget(const plan *p)
{
    const wh_spend *s = &p->spend;
    char a[24], b[24], c[24];
    wh_case first;
    begin(&first, p);
    double sample = first.view.sample, prompt = wh_case_prompt(&first), pays = floor(fmax(0, s->live.budget - prompt) / sample);
    wh_out_printf("%s with %s, %s\n", wh_buf_str(&p->l.name), wh_buf_str(&s->scheduler),
                  s->profile.fitted ? "by its profile" : "no profile: priors for a small model");
    wh_out_printf("the prompt: %zu tokens, %s; a sample: about %.0f tokens, %s\n", p->prompt, wh_out_flops(a, prompt), s->profile.tokens,
                  wh_out_flops(b, sample));
    if (p->reward.prm)
        wh_out_printf("the PRM, %s, reads a sample for %s, and puts a right one above a wrong one %.0f %% of the time\n",
                      wh_buf_str(&p->reward.name), wh_out_flops(c, first.view.score), 100 * s->profile.keen);
    if (isfinite(s->live.budget))
        wh_out_printf("%s pay for about %.0f sample%s; nothing will be spent beyond them\n", wh_out_flops(c, s->live.budget), pays,
                      pays == 1 ? "" : "s");
}

static void print_text(const plan *p, const outlook *ours, const outlook *one, const outlook *all, size_t n_all)
{
    char a[24];
    wh_case first;
    begin(&first, p);
    const wh_estimate e = expect(&first);
    print_budget(p);
    wh_out_printf("%sa sample is expected to be right with %.0f %%: probably %s (easy with %.0f %%, medium %.0f %%, hard %.0f %%)\n\n",
                  isnan(p->pass) ? "" : "by its prompt, ", 100 * e.pass, wh_bin_name(wh_bin_likeliest(&e)), 100 * e.at_least[WH_BIN_EASY],
                  100 * (e.at_least[WH_BIN_MEDIUM] - e.at_least[WH_BIN_EASY]), 100 * (1 - e.at_least[WH_BIN_MEDIUM]));
    wh_buf text = {0};
    wh_out_puts("then it would\n");
    put_decision(p, "", &text, "at first");
    put_decision(p, "aa", &text, "after 2 that agree");
    put_decision(p, "ab", &text, "after 2 that do not");
    put_decision(p, "aab", &text, "after 2 against 1");
    put_decision(p, "aaaa", &text, "after 4 that agree");
    put_decision(p, "abcdefgh", &text, "after 8 all different");
    wh_buf_free(&text);
    wh_out_printf("\non %d such problems, imagined        samples   FLOPs        right\n", IMAGINED);
    wh_out_printf("  %-34s %7.1f   %-11s  %4.1f %%\n", wh_buf_str(&p->spend.scheduler), ours->samples, wh_out_flops(a, ours->flops), 100 * ours->right);
    wh_out_printf("  %-34s %7.1f   %-11s  %4.1f %%\n", "one sample", one->samples, wh_out_flops(a, one->flops), 100 * one->right);
    if (n_all > 1)
        wh_out_printf("  %-8s of %-22zu %7.1f   %-11s  %4.1f %%\n", p->rule.vote->name, n_all, all->samples, wh_out_flops(a, all->flops), 100 * all->right);
    wh_out_puts("\n");
    for (int i = 0; i <= WH_WHY_MOST; i++)
        if (ours->why[i] >= 0.005) wh_out_printf("%4.0f %%  %s\n", 100 * ours->why[i], wh_spend_why((wh_why)i));
}

static void print_json(const plan *p, const outlook *ours, const outlook *one, const outlook *all, size_t n_all)
{
    json_t *why = json_object();
    for (int i = 0; i <= WH_WHY_MOST; i++) json_object_set_new(why, wh_why_name((wh_why)i), json_real(ours->why[i]));
    wh_case first;
    begin(&first, p);
    const wh_estimate e = expect(&first);
    wh_out_json(json_pack("{s:o, s:b, s:s?, s:I, s:f, s:f, s:f, s:s, s:{s:f, s:f, s:f, s:o}, s:{s:f, s:f}, s:{s:I, s:f, s:f}}", "plan", wh_spend_json(&p->spend),
                          "fitted", p->spend.profile.fitted, "prm", p->reward.prm ? wh_buf_str(&p->reward.name) : NULL, "prompt_tokens", (json_int_t)p->prompt,
                          "sample_flops", first.view.sample, "score_flops", first.view.score, "pass", e.pass, "bin", wh_bin_name(wh_bin_likeliest(&e)),
                          "expected", "samples", ours->samples, "flops", ours->flops, "right", ours->right, "why", why, "one_sample", "flops",
                          one->flops, "right", one->right, "majority", "n", (json_int_t)n_all, "flops", all->flops, "right", all->right));
}

static wh_code explain(plan *p, wh_err *err)
{
    const wh_spend *s = &p->spend;
    wh_bank bank;
    outlook ours, one, all;
    wh_case first;
    begin(&first, p);
    double pays = (s->live.budget - wh_case_prompt(&first)) / first.view.sample;
    size_t n_all = pays >= SAMPLES ? SAMPLES : pays < 1 ? 1 : (size_t)pays;
    char text[40];
    snprintf(text, sizeof text, "fixed:n=%zu", n_all);
    const wh_imagine such = {.votes = wh_belief_get_model(first.view.belief), .cost = &p->cost, .prompt_tokens = (uint32_t)p->prompt,
                             .tokens = (uint32_t)s->profile.tokens, .problems = IMAGINED, .samples = SAMPLES,
                             .scores = p->reward.prm ? &s->profile : NULL, .prm_flops = first.view.score};
    wh_code code = wh_bank_imagine(&bank, &such, err);
    if (code == WH_OK) code = look_ahead(&ours, &bank, p, wh_buf_str(&s->scheduler), s->live.budget, err);
    if (code == WH_OK) code = look_ahead(&one, &bank, p, "fixed:n=1", INFINITY, err);
    if (code == WH_OK) code = look_ahead(&all, &bank, p, text, INFINITY, err);
    if (code == WH_OK) (p->o->json ? print_json : print_text)(p, &ours, &one, &all, n_all);
    wh_bank_free(&bank);
    return code;
}

static wh_code ask(plan *p, const wh_tok_ids *ids, const char *question, wh_err *err)
{
    wh_costs costs;
    wh_prm_sizes prm;
    wh_ledger cost;
    WH_TRY(wh_reward_costs(&costs, &p->reward, &p->l, err));
    WH_TRY(wh_forecast_prm(&prm, p->reward.prm, p->reward.attached, question, err));
    p->prompt = ids->len;
    p->question = prm.question;
    p->cost = costs.policy;
    WH_TRY(wh_spend_open(&p->spend, &costs, &p->l, err));
    return wh_spend_ask(&p->pass, &cost, &p->spend, p->l.engine, ids->data, ids->len, err);
}

static wh_code prepare(plan *p, const char *word, const wh_reward_opts *reward, const wh_load_opts *machine, wh_err *err)
{
    wh_buf text = {0};
    wh_tok_ids ids = {0};
    wh_code code = wh_cmd_text(&text, word, "problem", err);
    if (code == WH_OK) code = wh_load_model(&p->l, machine, err);
    if (code == WH_OK) code = wh_load_prompt(&p->l, &ids, wh_buf_str(&text), text.len, err);
    if (code == WH_OK) code = wh_reward_load(&p->reward, reward, &p->l, machine, ids.len + 1, ROWS, 0, err);
    if (code == WH_OK) code = ask(p, &ids, wh_buf_str(&text), err);
    wh_tok_ids_free(&ids);
    wh_buf_free(&text);
    return code;
}

int wh_cmd_plan(int argc, char **argv)
{
    options o = {0};
    wh_load_opts machine = {0};
    wh_spend_opts spend = {0};
    wh_reward_opts reward = {0};
    wh_search_opts search;
    wh_search_choice choice;
    plan p = {.o = &o};
    wh_buf head = {0}, profile = {0}; /* paths of some that come with Whet */
    wh_err err;
    size_t n;
    int status;
    if (wh_search_opts_init(&search, "best_of_n", &err) != WH_OK) return wh_out_error(&err);
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}, WH_SEARCH_GROUP(&search),
                                   WH_REWARD_GROUP(&reward), WH_SPEND_GROUP(&spend), WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Say how a budget would be spent on a problem (`-`: read it from standard input), and what may come of it. Nothing\n"
        "is sampled: it follows from the model of votes, fitted (--profile) or guessed, from what tokens cost, and, where\n"
        "there is a head for it, from what the prompt lets expect.";
    const wh_opt_spec spec = {"plan", "--budget FLOPS [options] \"problem\"", about, groups, 5, 1, 1, false};
    if (wh_cmd_begin(&spec, argc, argv, &n, &status)) {
        wh_code code = spend.time || spend.energy ? wh_err_set(&err, WH_ERR_ARG, "a plan is for --budget or --tokens: time and energy are known as they pass")
                                                  : wh_shipped_choose(&reward, &head, machine.policy, search.name, &err);
        if (code == WH_OK) code = wh_search_opts_choose(&choice, &search, &reward, &err);
        if (code == WH_OK && !wh_spend_wanted(&spend))
            code = wh_err_set(&err, WH_ERR_ARG, "--budget is missing: usage is whet plan %s", spec.synopsis);
        if (code == WH_OK) code = wh_shipped_profile(&spend, &profile, &machine, &reward, &err);
        if (code == WH_OK) code = wh_spend_choose(&p.spend, &spend, &search, &choice, false, &err);
        if (code == WH_OK) p.rule = choice.rule;
        if (code == WH_OK) code = prepare(&p, argv[0], &reward, &machine, &err);
        if (code == WH_OK) code = explain(&p, &err);
        if (code != WH_OK) status = wh_out_error(&err);
    }
    wh_spend_free(&p.spend);
    wh_reward_free(&p.reward);
    wh_load_free(&p.l);
    wh_buf_free(&head);
    wh_buf_free(&profile);
    wh_search_opts_free(&search);
    return status;
}
