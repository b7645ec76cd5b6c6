/* whet answer: what a solution says in the end, and whether two answers are the same. Needs no model. */
#include "answer/answer.h"
#include "app/cmd.h"
#include "app/out.h"
#include "app/json.h"
#include "app/suggest.h"
#include "base/file.h"
#include "base/lines.h"

#include <string.h>

typedef struct options {
    const char *batch;
    bool        json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_STRING(options, batch, "batch", "FILE", NULL, "equal: compare the \"gold\" and \"pred\" of each line of JSON"),
    WH_OPT_FLAG(options, json, "json", "as JSON"),
};

enum { FILE_LIMIT = 1 << 30 };

static int extract(const options *o, const char *file)
{
    wh_err err;
    wh_buf text = {0}, answer = {0};
    wh_extract_rule rule = WH_EXTRACT_NONE;
    wh_code code = wh_file_read(&text, file, FILE_LIMIT, &err);
    if (code == WH_OK) code = wh_extract_answer(&answer, &rule, wh_buf_str(&text), text.len, &err);
    int status = code != WH_OK ? wh_out_error(&err) : rule == WH_EXTRACT_NONE ? WH_EXIT_NO : WH_EXIT_OK;
    if (code == WH_OK && o->json) {
        json_t *found = rule == WH_EXTRACT_NONE ? json_null() : wh_json_text(wh_buf_str(&answer), answer.len);
        wh_out_json(json_pack("{s:o, s:s}", "answer", found, "rule", wh_extract_rule_name(rule)));
    } else if (code == WH_OK && rule != WH_EXTRACT_NONE) {
        wh_out_printf("%s\n", wh_buf_str(&answer));
    }
    wh_buf_free(&text);
    wh_buf_free(&answer);
    return status;
}

static void print_equal(const options *o, bool equal)
{
    if (o->json) wh_out_json(json_pack("{s:b}", "equal", equal));
    else wh_out_puts(equal ? "equal\n" : "different\n");
}

static int compare(const options *o, const char *gold, const char *pred)
{
    wh_err err;
    bool equal;
    if (wh_answer_grade(&equal, gold, strlen(gold), pred, strlen(pred), &err) != WH_OK) return wh_out_error(&err);
    print_equal(o, equal);
    return equal ? WH_EXIT_OK : WH_EXIT_NO;
}

static wh_code compare_line(const options *o, const char *line, size_t n, wh_err *err)
{
    json_error_t why;
    json_t *value = json_loadb(line, n, JSON_ALLOW_NUL, &why);
    if (!value) return wh_err_set(err, WH_ERR_FORMAT, "not JSON: %s", why.text);
    json_t *gold = json_object_get(value, "gold"), *pred = json_object_get(value, "pred");
    bool equal = false;
    wh_code code = WH_OK;
    if (!json_is_string(gold) || !json_is_string(pred))
        code = wh_err_set(err, WH_ERR_FORMAT, "wants an object with the texts \"gold\" and \"pred\"");
    else
        code = wh_answer_grade(&equal, json_string_value(gold), json_string_length(gold), json_string_value(pred),
                               json_string_length(pred), err);
    if (code == WH_OK) print_equal(o, equal);
    json_decref(value);
    return code;
}

static int compare_batch(const options *o)
{
    wh_err err;
    wh_buf text = {0};
    wh_code code = wh_file_read(&text, o->batch, FILE_LIMIT, &err);
    wh_lines l = {0};
    while (code == WH_OK && wh_lines_next(&l, &text)) code = compare_line(o, l.text, l.n, &err);
    if (code != WH_OK && l.number) wh_err_wrap(&err, "line %zu of %s", l.number, o->batch);
    wh_buf_free(&text);
    return code == WH_OK ? WH_EXIT_OK : wh_out_error(&err);
}

static int wrong_use(const char *verb, const char *why)
{
    wh_err err;
    static const char *const verbs[] = {"extract", "equal"};
    const char *near = wh_suggest_name(verb, verbs, 2);
    if (why) wh_err_set(&err, WH_ERR_ARG, "whet answer %s", why);
    else if (near) wh_err_set(&err, WH_ERR_ARG, "unknown command 'answer %.40s'; did you mean `whet answer %s`?", verb, near);
    else wh_err_set(&err, WH_ERR_ARG, "unknown command 'answer %.40s'; there are extract and equal", verb);
    return wh_out_error(&err);
}

int wh_cmd_answer(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "  whet answer extract [FILE]          the final answer in a solution; exit status 1: there is none\n"
        "  whet answer equal GOLD PRED         prints equal (exit status 0) or different (1)\n"
        "  whet answer equal --batch F.jsonl   one word per line {\"gold\": ..., \"pred\": ...}\n"
        "\n"
        "GOLD is the reference. Both are a bare answer or a text that contains one. FILE may be `-`.";
    const wh_opt_spec spec = {"answer", "extract [FILE] | equal GOLD PRED", about, groups, 1, 1, 3, true};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    const char *verb = argv[0];
    if (strcmp(verb, "extract") == 0) {
        if (n > 2) return wrong_use(verb, "extract takes one file");
        if (o.batch) return wrong_use(verb, "extract takes no --batch");
        return extract(&o, n == 2 ? argv[1] : "-");
    }
    if (strcmp(verb, "equal") == 0) {
        if (o.batch) return n == 1 ? compare_batch(&o) : wrong_use(verb, "equal takes either two answers or --batch");
        return n == 3 ? compare(&o, argv[1], argv[2]) : wrong_use(verb, "equal takes two answers, or --batch FILE");
    }
    return wrong_use(verb, NULL);
}
