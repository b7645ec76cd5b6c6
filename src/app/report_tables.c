/* What a report says, as tables. */
#include "app/report.h"

#include "app/out.h"
#include "base/mem.h"
#include "base/stat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- cells ---------------------------------------------------------------------------------------------------------- */

static void put_share(wh_table *t, size_t correct, size_t n, int digits)
{
    double low, high;
    wh_stat_wilson(&low, &high, correct, n);
    if (n) wh_table_cell(t, "%.*f [%.0f, %.0f]", digits, 100 * (double)correct / (double)n, 100 * low, 100 * high);
    else wh_table_cell(t, "-");
}

static void put_flops(wh_table *t, double flops)
{
    char text[24];
    wh_table_cell(t, "%s", flops > 0 ? wh_out_count(text, flops) : "");
}

static void put_ratio(wh_table *t, double a, double b)
{
    if (a > 0 && b > 0) wh_table_cell(t, "%.2f", a / b);
    else wh_table_cell(t, "%s", "");
}

static void put_percent(wh_table *t, double a, double b)
{
    if (a > 0 && b > 0) wh_table_cell(t, "%.1f", 100 * a / b);
    else wh_table_cell(t, "%s", "");
}

static void put_label(wh_table *t, const wh_report_run *run) { wh_table_cell(t, "%s", wh_buf_str(&run->label)); }

/* ---- every run --------------------------------------------------------------------------------------------------------- */

typedef struct row {
    const wh_report_run *run;
    size_t               level, group; /* group: of runs with one label */
} row;

static int by_group(const void *a, const void *b)
{
    const row *x = a, *y = b;
    size_t n = x->run->score.n[x->level], m = y->run->score.n[y->level];
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    if (n != m) return n < m ? -1 : 1;
    return x->run < y->run ? -1 : x->run > y->run;
}

/* Every level of every run under one heading, malloc'ed: labels as they came, N ascending. NULL: no memory. */
static row *find_rows(size_t *n, const wh_report *r, const wh_report_run *first)
{
    row *rows = wh_mem_alloc(r->shown, WH_SCORE_LEVELS * sizeof *rows);
    *n = 0;
    for (const wh_report_run *run = r->runs; rows && run < r->runs + r->shown; run++) {
        if (!wh_report_same_setting(run, first)) continue;
        size_t group = 0;
        while (strcmp(wh_buf_str(&r->runs[group].label), wh_buf_str(&run->label)) != 0) group++;
        for (size_t i = 0; i < run->score.levels; i++)
            if (!wh_report_said_elsewhere(r, run, i)) rows[(*n)++] = (row){run, i, group};
    }
    if (rows) qsort(rows, *n, sizeof *rows, by_group);
    return rows;
}

static void put_row(wh_table *t, const wh_report_run *run, size_t level)
{
    const wh_score *s = &run->score;
    const wh_report_point p = wh_report_at(run, s->chosen, level);
    char text[24];
    double policy, prm;
    wh_report_forecast(&policy, &prm, run);
    put_label(t, run);
    wh_table_cell(t, "%zu", p.n);
    put_share(t, p.correct, p.problems, 1);
    put_flops(t, p.policy / (double)p.problems);
    put_ratio(t, p.whole ? policy : 0, p.policy);
    put_flops(t, p.prm / (double)p.problems);
    put_ratio(t, p.whole ? prm : 0, p.prm);
    wh_table_cell(t, "%s", p.whole ? wh_out_count(text, (double)s->policy.decode_tokens) : "");
    wh_table_cell(t, "%s", p.whole ? wh_out_duration(text, s->seconds) : "");
}

static void put_results(wh_table *t, const wh_report *r, const wh_report_run *first)
{
    wh_table_init(t, "strategy|N|right, %|policy|pred.|PRM|pred.|tokens|time", 1);
    wh_buf_printf(&t->title, "%s: %zu problems", wh_buf_str(&first->policy), first->n);
    if (!wh_report_one_set(r)) wh_buf_printf(&t->title, " of %.8s (%.40s)", first->data, wh_buf_str(&first->files));
    char name[WH_RULE_NAME];
    const wh_report_run *scored = NULL;
    size_t n;
    row *rows = find_rows(&n, r, first);
    t->failed |= !rows;
    for (size_t i = 0; rows && i < n; i++) {
        put_row(t, rows[i].run, rows[i].level);
        if (rows[i].run->prm.len) scored = rows[i].run;
    }
    free(rows);
    wh_buf_puts(&t->note, "right: with the 95 % interval (Wilson). policy, PRM: FLOPs per problem; pred.: what the strategy predicts, over what was counted.");
    if (scored)
        wh_buf_printf(&t->note, " PRM %s; vote %s where there is one.", wh_buf_str(&scored->prm), wh_rule_name(name, &scored->score.rules[scored->score.chosen]));
}

/* ---- budgets ---------------------------------------------------------------------------------------------------------- */

static void put_budgets(wh_table *t, const wh_report *r)
{
    wh_table_init(t, "policy|scheduler|samples|right, %|budget|spent|%|most, %", 2);
    wh_buf_puts(&t->title, "Budgets");
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_score *s = &run->score;
        if (!run->planned) continue;
        double n = (double)run->n, budget = run->total, spent = 0, most = 0;
        for (size_t i = 0; i < run->n; i++) {
            const wh_report_problem *p = &run->problems[i];
            double own = p->policy[s->levels - 1] + p->prm[s->levels - 1];
            spent += own;
            if (run->total > 0) continue;
            budget += p->budget;
            if (p->budget > 0) most = fmax(most, own / p->budget);
        }
        wh_table_cell(t, "%s", wh_buf_str(&run->policy));
        put_label(t, run);
        wh_table_cell(t, "%.2f", (double)s->samples / n);
        put_share(t, s->right[s->chosen][s->levels - 1], run->n, 1);
        put_flops(t, budget / n);
        put_flops(t, spent / n);
        put_percent(t, spent, budget);
        put_percent(t, most, 1);
    }
    wh_buf_puts(&t->note, "budget, spent: FLOPs per problem, policy and PRM; %: of the budget; most: of the problem that spent most of its own.");
}

/* ---- every vote ---------------------------------------------------------------------------------------------------------- */

static void put_votes(wh_table *t, const wh_report *r, const wh_report_run *first)
{
    wh_buf heads = {0};
    wh_buf_puts(&heads, "strategy|N");
    for (size_t v = 0; v < wh_vote_table_size; v++) wh_buf_printf(&heads, "|%s", wh_vote_table[v]->name);
    wh_buf_puts(&heads, "|any sample");
    wh_table_init(t, wh_buf_str(&heads), 1);
    wh_buf_free(&heads);
    wh_aggregate aggregate = WH_AGGREGATE_last;
    size_t n;
    row *rows = find_rows(&n, r, first);
    t->failed |= !rows;
    for (size_t i = 0; rows && i < n; i++) {
        const wh_report_run *run = rows[i].run;
        const wh_score *s = &run->score;
        size_t level = rows[i].level;
        if (!run->prm.len) continue;
        aggregate = s->rules[s->chosen].aggregate;
        put_label(t, run);
        wh_table_cell(t, "%zu", s->n[level]);
        for (size_t v = 0; v < wh_vote_table_size; v++)
            wh_table_cell(t, "%.1f", 100 * (double)s->right[wh_report_rule(run, wh_vote_table[v])][level] / (double)run->n);
        wh_table_cell(t, "%.1f", 100 * (double)s->passed[level] / (double)run->n);
    }
    free(rows);
    wh_buf_printf(&t->title, "%s: by every vote, %% right", wh_buf_str(&first->policy));
    wh_buf_printf(&t->note, "Score of an answer: %s of its steps. any sample: one of them is right, so no vote can do better.", wh_aggregate_name(aggregate));
}

/* ---- where the FLOPs went ---------------------------------------------------------------------------------------------------- */

static void put_spending(wh_table *t, const wh_report *r)
{
    wh_table_init(t, "policy|strategy|N|FLOPs|prefill|decode|PRM|ahead", 2);
    wh_buf_puts(&t->title, "Where the FLOPs went, %");
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_score *s = &run->score;
        double prefill = wh_report_prompt(&s->policy, s->policy.prefill_tokens), policy = (double)wh_ledger_total(&s->policy), prm = (double)wh_ledger_total(&s->prm);
        double all = policy + prm;
        wh_table_cell(t, "%s", wh_buf_str(&run->policy));
        put_label(t, run);
        wh_table_cell(t, "%zu", s->n[s->levels - 1]);
        put_flops(t, all);
        put_percent(t, prefill, all);
        put_percent(t, policy - prefill, all);
        put_percent(t, prm, all);
        put_percent(t, (double)wh_ledger_total(&s->speculative), all);
    }
    wh_buf_puts(&t->note, "prefill, decode: of the policy. ahead: of all, begun ahead of need and thrown away.");
}

/* ---- in pairs -------------------------------------------------------------------------------------------------------------- */

typedef struct versus {
    wh_stat_pairs t;
    double        a, b; /* FLOPs on the pairs */
    size_t        n;
} versus;

/* The last levels of two runs by their chosen rules, on the problems of both. */
static bool compare(versus *out, const wh_report_run *a, const wh_report_run *b)
{
    *out = (versus){0};
    wh_report_pair *pairs = wh_report_match(a, b, &out->n);
    const wh_score *s = &a->score, *z = &b->score;
    for (size_t i = 0; pairs && i < out->n; i++) {
        bool x = pairs[i].a->elected[s->chosen * s->levels + s->levels - 1], y = pairs[i].b->elected[z->chosen * z->levels + z->levels - 1];
        ++*(x && y ? &out->t.both : x ? &out->t.first : y ? &out->t.second : &out->t.none);
        out->a += pairs[i].a->policy[s->levels - 1] + pairs[i].a->prm[s->levels - 1];
        out->b += pairs[i].b->policy[z->levels - 1] + pairs[i].b->prm[z->levels - 1];
    }
    free(pairs);
    return pairs != NULL;
}

static void put_comparison(wh_table *t, const wh_report_run *a, const wh_report_run *b)
{
    versus v;
    if (!compare(&v, a, b)) t->failed = true;
    if (t->failed || !v.n) return;
    double difference, low, high;
    wh_stat_difference(&difference, &low, &high, &v.t);
    wh_table_cell(t, "%s", wh_buf_str(&a->policy));
    put_label(t, a);
    wh_table_cell(t, "%zu", wh_report_last_n(a));
    wh_table_cell(t, "%zu", v.n);
    wh_table_cell(t, "%+.1f [%+.0f, %+.0f]", 100 * difference, 100 * low, 100 * high);
    wh_table_cell(t, "%zu : %zu", v.t.first, v.t.second);
    double p = wh_stat_mcnemar(&v.t);
    wh_table_cell(t, p < 0.001 ? "<0.001" : "%.3f", p);
    put_ratio(t, v.a, v.b);
}

static const char pair_heads[] = "policy|strategy|N|of|difference|only|p|cost";
static const char pair_note[] = "difference: of the shares right, in points, with the 95 % interval (Newcombe), on the problems of both. only: problems that this run alone, "
                                "that the other alone gets right; p: exact (McNemar). cost: FLOPs of this over those of the other.";

static void put_pairs(wh_table *t, const wh_report *r)
{
    const wh_report_run *base = &r->runs[r->base];
    wh_table_init(t, pair_heads, 2);
    wh_buf_printf(&t->title, "Against %s N=%zu, %s", wh_buf_str(&base->label), wh_report_last_n(base), wh_buf_str(&base->policy));
    for (size_t i = 0; i < r->shown; i++)
        if (i != r->base) put_comparison(t, &r->runs[i], base);
    wh_buf_puts(&t->note, pair_note);
}

static bool is_cot(const wh_report_run *run) { return run->strategy == &wh_strategy_cot; }

/* ---- policy by policy: the columns of Liu et al. 2025, Table 5 ---------------------------------------------------------------- */

/* A row for the best of the policy's points by the rule that a run has for it (SIZE_MAX: none), the cheapest among equals. */
static void put_best(wh_table *t, const wh_report *r, const wh_report_run *policy, const char *kind, size_t (*rule_for)(const wh_report_run *))
{
    const wh_report_run *best = NULL;
    wh_report_point top = {0};
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        size_t rule = wh_report_same_setting(run, policy) ? rule_for(run) : SIZE_MAX;
        for (size_t i = 0; rule != SIZE_MAX && i < run->score.levels; i++) {
            const wh_report_point p = wh_report_at(run, rule, i);
            if (best && (p.correct < top.correct || (p.correct == top.correct && p.policy + p.prm >= top.policy + top.prm))) continue;
            best = run;
            top = p;
        }
    }
    if (!best) return;
    wh_table_cell(t, "%s", wh_buf_str(&policy->policy));
    wh_table_cell(t, "%s", kind);
    put_label(t, best);
    wh_table_cell(t, "%zu", top.n);
    put_share(t, top.correct, top.problems, 1);
    put_flops(t, wh_report_cost(&top));
}

static size_t greedy_rule(const wh_report_run *run) { return is_cot(run) ? run->score.chosen : SIZE_MAX; }
static size_t majority_rule(const wh_report_run *run)
{
    return run->score.nested && !is_cot(run) ? wh_report_rule(run, &wh_vote_majority) : SIZE_MAX;
}
static size_t weighted_rule(const wh_report_run *run) { return run->score.nested && run->prm.len ? run->score.chosen : SIZE_MAX; }
static size_t search_rule(const wh_report_run *run) { return run->score.nested || run->planned ? SIZE_MAX : run->score.chosen; }
static size_t planned_rule(const wh_report_run *run) { return run->planned ? run->score.chosen : SIZE_MAX; }

static void put_policies(wh_table *t, const wh_report *r)
{
    wh_table_init(t, "policy|kind|strategy|N|right, %|FLOPs", 3);
    wh_buf_puts(&t->title, "The best of each kind");
    for (size_t i = 0; i < r->shown; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++) seen |= wh_report_same_setting(&r->runs[k], &r->runs[i]);
        if (seen) continue;
        put_best(t, r, &r->runs[i], "one answer", greedy_rule);
        put_best(t, r, &r->runs[i], "majority", majority_rule);
        put_best(t, r, &r->runs[i], "PRM vote", weighted_rule);
        put_best(t, r, &r->runs[i], "search", search_rule);
        put_best(t, r, &r->runs[i], "scheduler", planned_rule);
    }
    wh_buf_puts(&t->note, "Of all N that were run the one with most right, chosen with hindsight; FLOPs per problem, policy and PRM.");
}

/* ---- small against large ------------------------------------------------------------------------------------------------------ */

/* FLOPs of a token of the policy: its size, for runs whose journals do not say it. */
static double size_of(const wh_report_run *run)
{
    const wh_ledger *l = &run->score.policy;
    return (double)l->linear / fmax(1, (double)(l->prefill_tokens + l->decode_tokens));
}

static void put_small(wh_table *t, const wh_report *r, const wh_report_run *large)
{
    wh_table_init(t, pair_heads, 2);
    wh_buf_printf(&t->title, "Smaller policies against one answer of %s", wh_buf_str(&large->policy));
    for (size_t i = 0; i < r->shown; i++)
        if (size_of(&r->runs[i]) < 0.9 * size_of(large)) put_comparison(t, &r->runs[i], large);
    wh_buf_puts(&t->note, pair_note);
}

/* ---- by difficulty ---------------------------------------------------------------------------------------------------------- */

static void put_bins(wh_table *t, const wh_report *r)
{
    const wh_report_run *ref = &r->runs[r->reference];
    wh_table_init(t, "policy|strategy|N|easy|medium|hard", 2);
    wh_buf_puts(&t->title, "By difficulty, % right");
    size_t most[WH_BIN_COUNT] = {0};
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_score *s = &run->score;
        size_t n, count[WH_BIN_COUNT] = {0}, right[WH_BIN_COUNT] = {0};
        wh_report_pair *pairs = wh_report_match(run, ref, &n);
        if (!pairs) t->failed = true;
        for (size_t i = 0; pairs && i < n; i++) {
            wh_bin bin = wh_report_bin(pairs[i].b);
            count[bin]++;
            right[bin] += pairs[i].a->elected[s->chosen * s->levels + s->levels - 1];
        }
        free(pairs);
        if (!n) continue;
        wh_table_cell(t, "%s", wh_buf_str(&run->policy));
        put_label(t, run);
        wh_table_cell(t, "%zu", s->n[s->levels - 1]);
        for (int b = 0; b < WH_BIN_COUNT; b++) {
            put_share(t, right[b], count[b], 0);
            if (count[b] > most[b]) most[b] = count[b];
        }
    }
    wh_buf_printf(&t->note, "%zu easy, %zu medium, %zu hard problems: at least half, a tenth to a half, less than a tenth of %zu samples of %s (%s) right.",
                  most[WH_BIN_EASY], most[WH_BIN_MEDIUM], most[WH_BIN_HARD], wh_report_last_n(ref), wh_buf_str(&ref->policy),
                  wh_buf_str(&ref->files));
}

/* ---- all of them ------------------------------------------------------------------------------------------------------------ */

/* The next table is kept when it has rows. */
static void keep(wh_table *out, size_t *n)
{
    if (out[*n].failed || wh_table_rows(&out[*n])) ++*n;
    else wh_table_free(&out[*n]);
}

wh_code wh_report_tables(wh_table out[WH_REPORT_TABLES], size_t *n, const wh_report *r, wh_err *err)
{
    enum { OTHERS = 5 }; /* tables that come once */
    *n = 0;
    put_policies(&out[*n], r);
    keep(out, n);
    for (size_t i = 0; i < r->shown && *n + 2 + OTHERS <= WH_REPORT_TABLES; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++) seen |= wh_report_same_setting(&r->runs[k], &r->runs[i]);
        if (seen) continue;
        put_results(&out[*n], r, &r->runs[i]);
        keep(out, n);
        put_votes(&out[*n], r, &r->runs[i]);
        keep(out, n);
    }
    for (size_t i = 0; i < r->shown && *n + 1 + OTHERS <= WH_REPORT_TABLES; i++) {
        if (!is_cot(&r->runs[i])) continue;
        put_small(&out[*n], r, &r->runs[i]);
        keep(out, n);
    }
    put_budgets(&out[*n], r);
    keep(out, n);
    if (r->reference != SIZE_MAX) {
        put_bins(&out[*n], r);
        keep(out, n);
    }
    put_pairs(&out[*n], r);
    keep(out, n);
    put_spending(&out[*n], r);
    keep(out, n);
    bool failed = false;
    for (size_t i = 0; i < *n; i++) failed |= out[i].failed || !wh_buf_ok(&out[i].title) || !wh_buf_ok(&out[i].note);
    return failed ? wh_err_set(err, WH_ERR_NOMEM, "no memory for the tables") : WH_OK;
}
