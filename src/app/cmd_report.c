/* whet report: journals of evaluations side by side, as text, Markdown, CSV or a page. */
#include "app/cmd.h"
#include "app/out.h"
#include "app/report.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *output, *reference, *replay, *data, *vote, *aggregate;
    bool        csv, markdown;
} options;

static const wh_opt option_table[] = {
    WH_OPT_CHOICE(options, aggregate, "aggregate", "A", "last", wh_rule_aggregates + 1, "one score for an answer from those of its steps"),
    WH_OPT_FLAG(options, csv, "csv", "every run, vote and n as a line of numbers"),
    WH_OPT_STRING(options, data, "data", "FILE", NULL, "the problem set, so that the page can show the hardest problems"),
    WH_OPT_FLAG(options, markdown, "markdown", "the tables as Markdown"),
    WH_OPT_STRING(options, output, "o", "FILE", NULL, "where it goes; a page when the name ends in .html (default: text to standard output)"),
    WH_OPT_STRING(options, reference, "reference", "J", NULL,
                  "the journal whose samples say how hard a problem is (default: the one with most samples drawn independently)"),
    WH_OPT_STRING(options, replay, "replay", "F", NULL, "curves of the scheduler for the page: JSON lines of `whet replay --json`, or CSV"),
    WH_OPT_CHOICE(options, vote, "vote", "V", "prm_vote", wh_rule_votes + 1, "the vote to show where there are scores; without them it is majority"),
};

static wh_code write_tables(wh_buf *out, const wh_report *r, bool markdown, wh_err *err)
{
    wh_table tables[WH_REPORT_TABLES];
    size_t n;
    wh_code code = wh_report_tables(tables, &n, r, err);
    for (size_t i = 0; i < n; i++) {
        if (i) wh_buf_putc(out, '\n');
        if (markdown) wh_table_markdown(out, &tables[i]);
        else wh_table_text(out, &tables[i]);
        wh_table_free(&tables[i]);
    }
    return code;
}

static bool wants_page(const options *o)
{
    static const char end[] = ".html";
    size_t n = o->output ? strlen(o->output) : 0;
    return !o->csv && !o->markdown && n >= sizeof end && strcmp(o->output + n + 1 - sizeof end, end) == 0;
}

static wh_code write_page(wh_buf *out, const wh_report *r, const options *o, wh_err *err)
{
    wh_report_curves curves = {0};
    wh_dataset data = {0};
    wh_code code = WH_OK;
    if (o->replay) code = wh_report_replay(&curves, o->replay, err);
    if (code == WH_OK && o->data) code = wh_dataset_load(&data, o->data, 0, 0, err);
    if (code == WH_OK) code = wh_report_page(out, r, &curves, o->data ? &data : NULL, err);
    free(curves.points);
    wh_dataset_free(&data);
    return code;
}

static wh_code read_all(wh_report *r, const options *o, char **paths, size_t n, wh_err *err)
{
    const wh_rule rule = wh_rule_of(o->vote, o->aggregate);
    if ((o->data || o->replay) && !wants_page(o)) return wh_err_set(err, WH_ERR_ARG, "--data and --replay are for a page: -o F.html is missing");
    for (size_t i = 0; i < n; i++) WH_TRY(wh_report_add(r, paths[i], &rule, wants_page(o), err));
    WH_TRY(wh_report_finish(r, o->reference, &rule, err));
    for (size_t i = 0; i < r->n; i++)
        if (r->runs[i].torn) wh_out_note("%s: %zu bytes at an end are no whole record\n", wh_buf_str(&r->runs[i].files), r->runs[i].torn);
    for (size_t i = 0; i < r->shown; i++)
        if (r->runs[i].shards < r->runs[i].of)
            wh_out_note("%s: %zu of %zu shards\n", wh_buf_str(&r->runs[i].files), r->runs[i].shards, r->runs[i].of);
    return WH_OK;
}

int wh_cmd_report(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "Put the journals of `whet eval` side by side: accuracy with intervals, FLOPs counted and predicted,\n"
        "every vote, budgets, difficulty, paired differences to the first run. Shards of one run are joined.\n"
        "With -o F.html it becomes one page, with curves and the hardest problems, that needs nothing else.";
    const wh_opt_spec spec = {"report", "JOURNAL... [options]", about, groups, 1, 1, SIZE_MAX, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_report r = {0};
    wh_buf text = {0};
    wh_err err;
    wh_code code = read_all(&r, &o, argv, n, &err);
    if (code == WH_OK && o.csv) wh_report_csv(&text, &r);
    else if (code == WH_OK && wants_page(&o)) code = write_page(&text, &r, &o, &err);
    else if (code == WH_OK) code = write_tables(&text, &r, o.markdown, &err);
    if (code == WH_OK && !wh_buf_ok(&text)) code = wh_err_set(&err, WH_ERR_NOMEM, "no memory for the report");
    if (code == WH_OK && o.output) code = wh_file_write(o.output, text.data, text.len, &err);
    else if (code == WH_OK) wh_out_puts(wh_buf_str(&text));
    wh_buf_free(&text);
    wh_report_free(&r);
    return code == WH_OK ? status : wh_out_error(&err);
}
