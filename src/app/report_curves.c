/* Accuracy against FLOPs: the pictures of a report. */
#include "app/report.h"

#include "app/chart.h"
#include "app/html.h"
#include "base/stat.h"

#include <stdio.h>
#include <string.h>

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
        wh_chart_add(c, line, &(wh_chart_point){wh_report_cost(&p), p.accuracy, p.low, p.high, run->planned ? 0 : p.n});
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

void wh_report_put_curves(wh_buf *out, const wh_report *r, const wh_report_curves *curves)
{
    wh_chart c = {0};
    palette colours = {0};
    bool several = !wh_report_one_policy(r), heavy = false;
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
            wh_chart_add(&c, line, &(wh_chart_point){wh_report_cost(&p), p.accuracy, p.low, p.high, p.n});
        }
    }
    wh_chart_line *line = wh_chart_get(&c, "some sample is right", 7, 2);
    for (size_t i = 0; i < s->levels; i++) {
        const wh_report_point p = wh_report_at(run, wh_report_rule(run, &wh_vote_majority), i);
        wh_chart_point q = {wh_report_cost(&p), (double)p.passed / (double)p.problems, 0, 0, p.n};
        wh_stat_wilson(&q.low, &q.high, p.passed, p.problems);
        wh_chart_add(&c, line, &q);
    }
    wh_buf_puts(out, "<h2>");
    wh_html_text(out, wh_buf_str(&run->policy));
    wh_buf_puts(out, ": every vote on the same samples</h2>\n");
    put_chart(out, &c);
    wh_chart_free(&c);
}

void wh_report_put_votes(wh_buf *out, const wh_report *r)
{
    for (const wh_report_run *run = r->runs; run < r->runs + r->shown; run++) {
        bool larger = false; /* is this run the beginning of another? */
        for (const wh_report_run *other = r->runs; other < r->runs + r->shown; other++)
            larger |= other != run && other->score.nested && wh_report_last_n(other) > wh_report_last_n(run) && strcmp(wh_buf_str(&other->policy), wh_buf_str(&run->policy)) == 0 &&
                      strcmp(wh_buf_str(&other->label), wh_buf_str(&run->label)) == 0;
        if (run->score.nested && run->prm.len && run->score.levels > 1 && !larger) put_votes(out, run);
    }
}
