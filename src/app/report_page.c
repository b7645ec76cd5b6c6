/* The page of a report. */
#include "app/report.h"

#include "answer/answer.h"
#include "app/chart.h"
#include "app/html.h"
#include "app/json.h"
#include "app/out.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/stat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__asm__(".pushsection .rodata\n"
        ".globl wh_report_html\n"
        "wh_report_html:\n"
        ".incbin \"src/app/report.html\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char wh_report_html[]; /* a C string; the report comes where the mark stands */
static const char mark[] = "[REPORT]";

static size_t last_n(const wh_report_run *run) { return run->score.n[run->score.levels - 1]; }

static double total(const wh_report_point *p) { return (p->policy + p->prm) / (double)p->problems; }

/* ---- what is above --------------------------------------------------------------------------------------------------- */

static void put_once(wh_buf *list, const char *name)
{
    if (*name && !strstr(wh_buf_str(list), name)) wh_buf_printf(list, "%s%s", list->len ? ", " : "", name);
}

static void put_head(wh_buf *out, const wh_report *r)
{
    wh_buf policies = {0}, prms = {0};
    size_t least = SIZE_MAX, most = 0;
    for (size_t i = 0; i < r->shown; i++) {
        const wh_report_run *run = &r->runs[i];
        put_once(&policies, wh_buf_str(&run->policy));
        put_once(&prms, wh_buf_str(&run->prm));
        if (run->n < least) least = run->n;
        if (run->n > most) most = run->n;
    }
    wh_buf_printf(out, "<h1>Accuracy against compute</h1>\n<p class=\"facts\">%zu", least);
    if (most != least) wh_buf_printf(out, " to %zu", most);
    wh_buf_puts(out, " problems \xC2\xB7 ");
    wh_html_text(out, wh_buf_str(&policies));
    if (prms.len) {
        wh_buf_puts(out, " \xC2\xB7 scored by ");
        wh_html_text(out, wh_buf_str(&prms));
    }
    wh_buf_puts(out, "</p>\n");
    out->failed |= !wh_buf_ok(&policies) || !wh_buf_ok(&prms);
    wh_buf_free(&policies);
    wh_buf_free(&prms);
}

/* The run with most right answers; among equals the cheapest. */
static void put_lede(wh_buf *out, const wh_report *r)
{
    const wh_report_run *best = NULL, *base = &r->runs[r->base];
    wh_report_point top = {0};
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++)
        for (size_t i = 0; i < run->score.levels; i++) {
            const wh_report_point p = wh_report_at(run, run->score.chosen, i);
            if (best && (p.accuracy < top.accuracy || (p.accuracy == top.accuracy && total(&p) >= total(&top)))) continue;
            best = run;
            top = p;
        }
    const wh_report_point from = wh_report_at(base, base->score.chosen, base->score.levels - 1);
    char flops[24];
    if (!best || best == base) return;
    wh_buf_puts(out, "<p class=\"lede\">Most right: ");
    wh_html_text(out, wh_buf_str(&best->label));
    wh_buf_printf(out, " with N = %zu of ", top.n);
    wh_html_text(out, wh_buf_str(&best->policy));
    wh_buf_printf(out, ", <b>%.1f %%</b> [%.0f, %.0f] for %s a problem; ", 100 * top.accuracy, 100 * top.low, 100 * top.high, wh_out_flops(flops, total(&top)));
    wh_html_text(out, wh_buf_str(&base->label));
    wh_buf_puts(out, " of ");
    wh_html_text(out, wh_buf_str(&base->policy));
    wh_buf_printf(out, " gives <b>%.1f %%</b> [%.0f, %.0f] for %s.</p>\n", 100 * from.accuracy, 100 * from.low, 100 * from.high,
                  wh_out_flops(flops, total(&from)));
}

/* ---- curves ------------------------------------------------------------------------------------------------------------ */

/* The place of a policy among those of the report: its dash. */
static size_t policy_index(const wh_report *r, const wh_report_run *run)
{
    size_t index = 0;
    for (const wh_report_run *other = r->runs; other < run; other++) {
        bool first = strcmp(wh_buf_str(&other->policy), wh_buf_str(&run->policy)) != 0;
        for (const wh_report_run *seen = r->runs; first && seen < other; seen++)
            first = strcmp(wh_buf_str(&seen->policy), wh_buf_str(&other->policy)) != 0;
        if (strcmp(wh_buf_str(&other->policy), wh_buf_str(&run->policy)) == 0) return policy_index(r, other);
        index += first;
    }
    return index;
}

static bool several_policies(const wh_report *r)
{
    for (size_t i = 1; i < r->shown; i++)
        if (strcmp(wh_buf_str(&r->runs[i].policy), wh_buf_str(&r->runs[0].policy)) != 0) return true;
    return false;
}

/* Names get colours in the order in which they come. */
typedef struct palette {
    wh_buf names[64];
    size_t n;
} palette;

static size_t colour_of(palette *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(wh_buf_str(&p->names[i]), name) == 0) return i;
    if (p->n == sizeof p->names / sizeof p->names[0]) return 0;
    wh_buf_puts(&p->names[p->n], name);
    return p->n++;
}

static void free_palette(palette *p)
{
    for (size_t i = 0; i < p->n; i++) wh_buf_free(&p->names[i]);
}

static void add_levels(wh_chart *c, palette *colours, const wh_report *r, const wh_report_run *run, size_t rule, bool several)
{
    const wh_score *s = &run->score;
    wh_buf name = {0};
    char vote[WH_RULE_NAME];
    wh_rule_name(vote, &s->rules[rule]);
    vote[strcspn(vote, "-")] = '\0';
    wh_buf_puts(&name, wh_buf_str(&run->label));
    if (s->nested && s->levels > 1) wh_buf_printf(&name, ", %s", vote);
    size_t colour = colour_of(colours, wh_buf_str(&name));
    if (several) wh_buf_printf(&name, " \xC2\xB7 %s", wh_buf_str(&run->policy));
    if (!wh_report_one_set(r)) wh_buf_printf(&name, " \xC2\xB7 %.8s", run->data);
    wh_chart_line *line = wh_chart_get(c, wh_buf_str(&name), colour, run->planned ? WH_CHART_HEAVY : policy_index(r, run) % WH_CHART_HEAVY);
    for (size_t i = 0; i < s->levels; i++) {
        if (wh_report_said_elsewhere(r, run, i)) continue;
        const wh_report_point p = wh_report_at(run, rule, i);
        wh_chart_add(c, line, &(wh_chart_point){total(&p), p.accuracy, p.low, p.high, run->planned ? 0 : p.n});
    }
    c->failed |= !wh_buf_ok(&name);
    wh_buf_free(&name);
}

static void put_chart(wh_buf *out, wh_chart *c)
{
    static const char x_title[] = "FLOPs per problem, policy and PRM";
    wh_chart_sort(c);
    wh_chart_svg(out, c, "wide", x_title, 920, 500, true);
    wh_chart_svg(out, c, "narrow", x_title, 400, 380, false);
    wh_chart_legend(out, c);
}

static void put_curves(wh_buf *out, const wh_report *r, const wh_report_curves *curves)
{
    wh_chart c = {0};
    palette colours = {0};
    bool several = several_policies(r), heavy = false;
    for (size_t i = 0; i < curves->n; i++) colour_of(&colours, curves->points[i].policy);
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_score *s = &run->score;
        size_t majority = wh_report_rule(run, &wh_vote_majority);
        heavy |= run->planned;
        if (s->nested && majority != s->chosen) add_levels(&c, &colours, r, run, majority, several);
        add_levels(&c, &colours, r, run, s->chosen, several);
    }
    for (size_t i = 0; i < curves->n; i++) {
        const wh_report_curve *p = &curves->points[i];
        char name[sizeof p->policy + 12];
        snprintf(name, sizeof name, "%s, replayed", p->policy);
        wh_chart_line *line = wh_chart_get(&c, name, colour_of(&colours, p->policy), WH_CHART_HEAVY);
        wh_chart_add(&c, line, &(wh_chart_point){p->flops, p->accuracy, p->low, p->high, 0});
    }
    put_chart(out, &c);
    wh_buf_puts(out, "<p class=\"note\">Share of problems solved, with 95 % intervals (Wilson). Small numbers: samples. Votes that need no scores are drawn "
                     "without the FLOPs of the PRM where samples do not depend on it.");
    if (curves->n || heavy) wh_buf_puts(out, " Heavy lines: a scheduler at growing budgets.");
    wh_buf_puts(out, "</p>\n");
    wh_chart_free(&c);
    free_palette(&colours);
}

/* Every vote on the samples of one run, and what a vote that always knows would reach. */
static void put_votes(wh_buf *out, const wh_report_run *run)
{
    const wh_score *s = &run->score;
    wh_chart c = {0};
    for (size_t v = 0; v < wh_vote_table_size; v++) {
        wh_chart_line *line = wh_chart_get(&c, wh_vote_table[v]->name, v, 0);
        for (size_t i = 0; i < s->levels; i++) {
            const wh_report_point p = wh_report_at(run, wh_report_rule(run, wh_vote_table[v]), i);
            wh_chart_add(&c, line, &(wh_chart_point){total(&p), p.accuracy, p.low, p.high, p.n});
        }
    }
    wh_chart_line *line = wh_chart_get(&c, "some sample is right", 7, 2);
    for (size_t i = 0; i < s->levels; i++) {
        const wh_report_point p = wh_report_at(run, wh_report_rule(run, &wh_vote_majority), i);
        wh_chart_point q = {total(&p), (double)p.passed / (double)p.problems, 0, 0, p.n};
        wh_stat_wilson(&q.low, &q.high, p.passed, p.problems);
        wh_chart_add(&c, line, &q);
    }
    wh_buf_puts(out, "<h2>");
    wh_html_text(out, wh_buf_str(&run->policy));
    wh_buf_puts(out, ": every vote on the same samples</h2>\n");
    put_chart(out, &c);
    wh_chart_free(&c);
}

/* ---- where the FLOPs went -------------------------------------------------------------------------------------------------- */

static void put_spending(wh_buf *out, const wh_report *r)
{
    double most = 0;
    char text[24];
    bool several = several_policies(r);
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_report_point p = wh_report_at(run, run->score.chosen, run->score.levels - 1);
        if (total(&p) > most) most = total(&p);
    }
    wh_buf_puts(out, "<div class=\"key\"><span><b class=\"b0\"></b>prompts and prefixes</span><span><b class=\"b1\"></b>sampling</span>"
                     "<span><b class=\"b2\"></b>reward model</span></div>\n<div class=\"spent\">\n");
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_score *s = &run->score;
        double n = (double)run->n, prefill = wh_report_prompt(&s->policy, s->policy.prefill_tokens) / n, policy = (double)wh_ledger_total(&s->policy) / n;
        double prm = (double)wh_ledger_total(&s->prm) / n, parts[] = {prefill, policy - prefill, prm}, lost = (double)wh_ledger_total(&s->speculative) / n;
        wh_buf_puts(out, "<span>");
        wh_html_text(out, wh_buf_str(&run->label));
        wh_buf_printf(out, " <small>%zu", last_n(run));
        if (several) {
            wh_buf_puts(out, " \xC2\xB7 ");
            wh_html_text(out, wh_buf_str(&run->policy));
        }
        wh_buf_puts(out, "</small></span><div class=\"bar\">");
        for (size_t i = 0; i < 3; i++)
            if (parts[i] > 0) wh_buf_printf(out, "<b class=\"b%zu\" style=\"width:%.2f%%\"></b>", i, 100 * parts[i] / fmax(most, policy + prm));
        wh_buf_printf(out, "</div><span>%s", wh_out_flops(text, policy + prm));
        if (lost > 0) wh_buf_printf(out, " <small>%.0f %% ahead</small>", 100 * lost / (policy + prm));
        wh_buf_printf(out, "</span><span>%s</span>\n", wh_out_duration(text, s->seconds));
    }
    wh_buf_puts(out, "</div>\n<p class=\"note\">Per problem, beside the time of the whole run.</p>\n");
}

/* ---- the hardest problems ---------------------------------------------------------------------------------------------------- */

typedef struct rank {
    const wh_report_problem *p;
    double                   share; /* of right samples, over all runs that have the problem */
} rank;

static int by_share(const void *a, const void *b)
{
    const rank *x = a, *y = b;
    if (x->share != y->share) return x->share < y->share ? -1 : 1;
    return x->p->line < y->p->line ? -1 : x->p->line > y->p->line;
}

static void put_sample(wh_buf *out, const json_t *s)
{
    bool right = json_is_true(json_object_get(s, "correct"));
    const json_t *score = json_object_get(s, "score");
    const char *answer = wh_json_word(s, "answer");
    wh_buf_printf(out, "<div class=\"sample %s\"><header><b>", right ? "right" : "wrong");
    wh_html_text(out, *answer ? answer : "no answer");
    wh_buf_printf(out, "</b><span>%lld tokens</span>", (long long)json_integer_value(json_object_get(s, "tokens")));
    if (json_is_number(score)) wh_buf_printf(out, "<span>score %.2f</span>", json_number_value(score));
    wh_buf_puts(out, "</header>");
    wh_html_text(out, wh_json_word(s, "text"));
    wh_buf_puts(out, "</div>\n");
}

static void put_problem(wh_buf *out, const wh_report *r, const rank *k, const wh_dataset *data)
{
    enum { SAMPLES = 4 };
    const wh_question *q = NULL;
    char sha256[65];
    for (size_t i = 0; data && i < data->n && !q; i++) {
        wh_file_sha256(sha256, data->list[i].problem, strlen(data->list[i].problem));
        if (strcmp(sha256, k->p->sha256) == 0) q = &data->list[i];
    }
    wh_buf_puts(out, "<div class=\"problem\">\n");
    if (q) {
        wh_buf_puts(out, "<p>");
        wh_html_text(out, q->problem);
        wh_buf_puts(out, "</p>\n");
    }
    wh_buf_printf(out, "<p class=\"facts\">Problem %zu", k->p->line);
    wh_buf gold = {0};
    if (q && wh_extract_bare(&gold, q->gold, strlen(q->gold), NULL) == WH_OK && gold.len) {
        wh_buf_puts(out, " \xC2\xB7 answer ");
        wh_html_text(out, gold.data);
    }
    wh_buf_free(&gold);
    wh_buf_printf(out, " \xC2\xB7 %zu of %zu samples right", k->p->right, k->p->n);
    size_t solved = 0, tried = 0;
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++)
        for (size_t i = 0; i < run->n; i++)
            if (strcmp(run->problems[i].sha256, k->p->sha256) == 0) {
                tried++;
                solved += run->problems[i].elected[run->score.chosen * run->score.levels + run->score.levels - 1];
                break;
            }
    wh_buf_printf(out, " \xC2\xB7 solved by %zu of %zu runs</p>\n", solved, tried);
    size_t n = json_array_size(k->p->samples);
    if (n) {
        wh_buf_printf(out, "<details><summary>%s of %zu samples</summary>\n", n > SAMPLES ? "Some" : "All", n);
        for (size_t i = 0; i < n && i < SAMPLES; i++) put_sample(out, json_array_get(k->p->samples, i));
        wh_buf_puts(out, "</details>\n");
    }
    wh_buf_puts(out, "</div>\n");
}

/* Of the run that says how hard problems are, or the first. */
static void put_hardest(wh_buf *out, const wh_report *r, const wh_dataset *data)
{
    enum { MOST = 12 };
    const wh_report_run *run = &r->runs[r->reference < r->shown ? r->reference : r->base];
    rank *list = wh_mem_alloc(run->n, sizeof *list);
    if (!list) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < run->n; i++) list[i] = (rank){&run->problems[i], 0};
    for (size_t i = 0; i < run->n; i++) {
        const wh_report_problem *p = list[i].p;
        list[i].share = p->n ? (double)p->right / (double)p->n : 0;
    }
    qsort(list, run->n, sizeof *list, by_share);
    wh_buf_puts(out, "<h2>The hardest problems</h2>\n<p class=\"note\" style=\"margin:0 0 .8rem\">By the samples of ");
    wh_html_text(out, wh_buf_str(&run->label));
    wh_buf_printf(out, " N = %zu, ", last_n(run));
    wh_html_text(out, wh_buf_str(&run->policy));
    wh_buf_puts(out, ".</p>\n");
    for (size_t i = 0; i < run->n && i < MOST; i++) put_problem(out, r, &list[i], data);
    free(list);
}

static void put_every_vote(wh_buf *out, const wh_report *r)
{
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        bool larger = false; /* is this run the beginning of another? */
        for (const wh_report_run *other = r->runs; other < r->runs + r->shown; other++)
            larger |= other != run && other->score.nested && last_n(other) > last_n(run) && strcmp(wh_buf_str(&other->policy), wh_buf_str(&run->policy)) == 0 &&
                      strcmp(wh_buf_str(&other->label), wh_buf_str(&run->label)) == 0;
        if (run->score.nested && run->prm.len && run->score.levels > 1 && !larger) put_votes(out, run);
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------------- */

static wh_code put_tables(wh_buf *out, const wh_report *r, wh_err *err)
{
    wh_table tables[WH_REPORT_TABLES];
    size_t n;
    wh_code code = wh_report_tables(tables, &n, r, err);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n) {
            put_every_vote(out, r);
            wh_buf_puts(out, "<h2>Where the FLOPs went</h2>\n");
            put_spending(out, r);
            wh_buf_clear(&tables[i].title);
            wh_buf_puts(out, "<details><summary>in percent</summary>\n");
        }
        wh_table_html(out, &tables[i]);
        if (i + 1 == n) wh_buf_puts(out, "</details>\n");
        wh_table_free(&tables[i]);
    }
    return code;
}

wh_code wh_report_page(wh_buf *out, const wh_report *r, const wh_report_curves *curves, const wh_dataset *data, wh_err *err)
{
    const char *place = strstr(wh_report_html, mark);
    wh_buf_put(out, wh_report_html, (size_t)(place - wh_report_html));
    put_head(out, r);
    put_lede(out, r);
    put_curves(out, r, curves);
    WH_TRY(put_tables(out, r, err));
    put_hardest(out, r, data);
    wh_buf_puts(out, place + sizeof mark - 1);
    return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the page");
}
