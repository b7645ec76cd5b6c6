/* whet trace: the trace of a search as a page to look at. */
#include "app/cmd.h"
#include "app/html.h"
#include "app/out.h"
#include "base/file.h"
#include "base/lines.h"

#include <jansson.h>
#include <string.h>

typedef struct options {
    const char *output;
} options;

static const wh_opt option_table[] = {
    WH_OPT_STRING(options, output, "o", "F.html", NULL, "where the page goes (default: standard output)"),
};

/* The page; the trace comes where the mark stands. */
__asm__(".pushsection .rodata\n"
        ".globl wh_trace_page\n"
        "wh_trace_page:\n"
        ".incbin \"src/app/trace.html\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char wh_trace_page[]; /* a C string */
static const char mark[] = "[\"TRACE\"]";

static wh_code put_trace(wh_buf *page, const wh_buf *trace, const char *path, wh_err *err)
{
    size_t events = 0;
    for (wh_lines l = {0}; wh_lines_next(&l, trace);) {
        json_error_t why;
        json_t *line = json_loadb(l.text, l.n, JSON_REJECT_DUPLICATES, &why);
        if (!line) return wh_err_set(err, WH_ERR_FORMAT, "%s, line %zu: not JSON: %s", path, l.number, why.text);
        const char *event = json_string_value(json_object_get(line, "event"));
        bool good = event && (events || strcmp(event, "start") == 0);
        if (good) {
            wh_buf_puts(page, events++ ? ",\n" : "");
            wh_html_json(page, line);
        }
        json_decref(line);
        if (!good)
            return wh_err_set(err, WH_ERR_FORMAT, "%s, line %zu: no trace begins like this; `whet solve --trace F` writes one", path, l.number);
    }
    return events ? WH_OK : wh_err_set(err, WH_ERR_FORMAT, "%s: there is nothing in it", path);
}

static wh_code make_page(const char *path, const char *output, wh_err *err)
{
    wh_buf trace = {0}, page = {0};
    const char *place = strstr(wh_trace_page, mark);
    wh_code code = wh_file_read(&trace, path, (size_t)1 << 30, err);
    wh_buf_put(&page, wh_trace_page, (size_t)(place - wh_trace_page));
    wh_buf_putc(&page, '[');
    if (code == WH_OK) code = put_trace(&page, &trace, path, err);
    wh_buf_putc(&page, ']');
    wh_buf_puts(&page, place + sizeof mark - 1);
    if (code == WH_OK && !wh_buf_ok(&page)) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for the page");
    if (code == WH_OK && output) code = wh_file_write(output, page.data, page.len, err);
    else if (code == WH_OK) wh_out_puts(page.data);
    wh_buf_free(&trace);
    wh_buf_free(&page);
    return code;
}

int wh_cmd_trace(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, 1, &o, NULL}};
    static const char about[] =
        "Make a page of a search that `whet solve --trace F.jsonl` recorded: its tree with the scores as colours, the\n"
        "text of each step, the votes. One HTML file that needs nothing else. `-`: read standard input.";
    const wh_opt_spec spec = {"trace", "F.jsonl [-o F.html]", about, groups, 1, 1, 1, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    return make_page(argv[0], o.output, &err) == WH_OK ? status : wh_out_error(&err);
}
