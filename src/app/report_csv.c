/* A report as numbers for other programs. */
#include "app/report.h"

#include <string.h>

/* A name as one field (RFC 4180). */
static void put_field(wh_buf *out, const char *s)
{
    bool quote = strpbrk(s, ",\"\n\r") != NULL;
    if (quote) wh_buf_putc(out, '"');
    for (; *s; s++) {
        if (*s == '"') wh_buf_putc(out, '"');
        wh_buf_putc(out, *s);
    }
    if (quote) wh_buf_putc(out, '"');
    wh_buf_putc(out, ',');
}

static void put_point(wh_buf *out, const wh_report_run *run, size_t rule, size_t level)
{
    const wh_score *s = &run->score;
    const wh_report_point p = wh_report_at(run, rule, level);
    char name[WH_RULE_NAME];
    put_field(out, wh_buf_str(&run->files));
    wh_buf_printf(out, "%s,", run->data);
    put_field(out, wh_buf_str(&run->policy));
    put_field(out, wh_buf_str(&run->prm));
    put_field(out, wh_buf_str(&run->label));
    wh_buf_printf(out, "%zu,%s,%d,%zu,%zu,%.6f,%.6f,%.6f,%.6f,%.0f,%.0f,", p.n, wh_rule_name(name, &s->rules[rule]), rule == s->chosen, p.problems,
                  p.correct, p.accuracy, p.low, p.high, (double)p.passed / (double)p.problems, p.policy, p.prm);
    double policy, prm;
    wh_report_forecast(&policy, &prm, run);
    if (p.whole && policy > 0) wh_buf_printf(out, "%.0f,%.0f,", policy, prm);
    else wh_buf_puts(out, ",,");
    if (p.whole)
        wh_buf_printf(out, "%llu,%llu,%.3f\n", (unsigned long long)wh_ledger_total(&s->speculative), (unsigned long long)s->policy.decode_tokens, s->seconds);
    else wh_buf_puts(out, ",,\n");
}

void wh_report_csv(wh_buf *out, const wh_report *r)
{
    wh_buf_puts(out, "journals,data_sha256,policy,prm,strategy,n,vote,chosen,problems,correct,accuracy,low,high,pass,flops_policy,flops_prm,"
                     "predicted_policy,predicted_prm,flops_speculative,tokens,seconds\n");
    for (size_t i = 0; i < r->shown; i++) {
        const wh_score *s = &r->runs[i].score;
        for (size_t rule = 0; rule < s->n_rules; rule++)
            for (size_t level = 0; level < s->levels; level++) put_point(out, &r->runs[i], rule, level);
    }
}
