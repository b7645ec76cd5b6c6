/* The page of a report. */
#include "app/report.h"

#include "answer/answer.h"
#include "app/html.h"
#include "app/json.h"
#include "app/out.h"
#include "base/file.h"
#include "base/mem.h"

#include <math.h>
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
            if (best && (p.accuracy < top.accuracy || (p.accuracy == top.accuracy && wh_report_cost(&p) >= wh_report_cost(&top)))) continue;
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
    wh_buf_printf(out, ", <b>%.1f %%</b> [%.0f, %.0f] for %s a problem; ", 100 * top.accuracy, 100 * top.low, 100 * top.high, wh_out_flops(flops, wh_report_cost(&top)));
    wh_html_text(out, wh_buf_str(&base->label));
    wh_buf_puts(out, " of ");
    wh_html_text(out, wh_buf_str(&base->policy));
    wh_buf_printf(out, " gives <b>%.1f %%</b> [%.0f, %.0f] for %s.</p>\n", 100 * from.accuracy, 100 * from.low, 100 * from.high,
                  wh_out_flops(flops, wh_report_cost(&from)));
}

/* ---- where the FLOPs went -------------------------------------------------------------------------------------------------- */

static void put_spending(wh_buf *out, const wh_report *r)
{
    double most = 0;
    char text[24];
    bool several = !wh_report_one_policy(r);
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_report_point p = wh_report_at(run, run->score.chosen, run->score.levels - 1);
        if (wh_report_cost(&p) > most) most = wh_report_cost(&p);
    }
    wh_buf_puts(out, "<div class=\"key\"><span><b class=\"b0\"></b>prompts and prefixes</span><span><b class=\"b1\"></b>sampling</span>"
                     "<span><b class=\"b2\"></b>reward model</span></div>\n<div class=\"spent\">\n");
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        const wh_score *s = &run->score;
        double n = (double)run->n, prefill = wh_report_prompt(&s->policy, s->policy.prefill_tokens) / n, policy = (double)wh_ledger_total(&s->policy) / n;
        double prm = (double)wh_ledger_total(&s->prm) / n, parts[] = {prefill, policy - prefill, prm}, lost = (double)wh_ledger_total(&s->speculative) / n;
        wh_buf_puts(out, "<span>");
        wh_html_text(out, wh_buf_str(&run->label));
        wh_buf_printf(out, " <small>%zu", wh_report_last_n(run));
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
    wh_buf_printf(out, " N = %zu, ", wh_report_last_n(run));
    wh_html_text(out, wh_buf_str(&run->policy));
    wh_buf_puts(out, ".</p>\n");
    for (size_t i = 0; i < run->n && i < MOST; i++) put_problem(out, r, &list[i], data);
    free(list);
}

/* ---- all of it ----------------------------------------------------------------------------------------------------------------- */

static wh_code put_tables(wh_buf *out, const wh_report *r, wh_err *err)
{
    wh_table tables[WH_REPORT_TABLES];
    size_t n;
    wh_code code = wh_report_tables(tables, &n, r, err);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n) {
            wh_report_put_votes(out, r);
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
    wh_report_put_curves(out, r, curves);
    WH_TRY(put_tables(out, r, err));
    put_hardest(out, r, data);
    wh_buf_puts(out, place + sizeof mark - 1);
    return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the page");
}
