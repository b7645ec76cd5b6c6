/* Curves of a scheduler: JSON lines as `whet replay --json` writes them, or CSV. */
#include "app/report.h"

#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POLICY, ACCURACY, LOW, HIGH, FLOPS, FIELDS, COLUMNS = 64 };
static const char *const names[FIELDS] = {"policy", "accuracy", "low", "high", "flops"};

/* Cut a line at its commas; returns how many fields. No quoting: names of policies are plain words. */
static size_t cut(char *line, char *fields[COLUMNS])
{
    size_t n = 0;
    while (n < COLUMNS) {
        fields[n++] = line;
        line += strcspn(line, ",");
        if (!*line) break;
        *line++ = '\0';
    }
    return n;
}

static bool read_number(double *out, const char *text)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static wh_code add_point(wh_report_curves *out, wh_report_curve c, const char *policy, wh_err *err)
{
    if (c.low < 0 || c.low > c.accuracy || c.accuracy > c.high || c.high > 1 || c.flops <= 0)
        return wh_err_set(err, WH_ERR_FORMAT, "0 <= low <= accuracy <= high <= 1 and flops > 0 do not hold");
    strncpy(c.policy, policy, sizeof c.policy - 1);
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 32;
        wh_report_curve *more = wh_mem_resize(out->points, cap, sizeof *more);
        if (!more) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the replay");
        out->points = more;
        out->cap = cap;
    }
    out->points[out->n++] = c;
    return WH_OK;
}

static wh_code add_line(wh_report_curves *out, char *line, const size_t at[FIELDS], size_t columns, wh_err *err)
{
    char *fields[COLUMNS];
    wh_report_curve c = {0};
    if (cut(line, fields) != columns) return wh_err_set(err, WH_ERR_FORMAT, "not as many fields as the heading");
    double *const numbers[FIELDS] = {NULL, &c.accuracy, &c.low, &c.high, &c.flops};
    for (size_t f = ACCURACY; f < FIELDS; f++)
        if (!read_number(numbers[f], fields[at[f]])) return wh_err_set(err, WH_ERR_FORMAT, "%s is no number: '%.40s'", names[f], fields[at[f]]);
    return add_point(out, c, fields[at[POLICY]], err);
}

/* A line of `whet replay --json`; what has no accuracy is about something else. */
static wh_code add_json(wh_report_curves *out, const char *line, wh_err *err)
{
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (!o) return wh_err_set(err, WH_ERR_FORMAT, "not JSON");
    const json_t *accuracy = json_object_get(o, "accuracy"), *interval = json_object_get(o, "accuracy_interval");
    const char *policy = json_string_value(json_object_get(o, "policy"));
    const wh_report_curve c = {.accuracy = json_number_value(accuracy),
                               .low = json_number_value(json_array_get(interval, 0)),
                               .high = json_number_value(json_array_get(interval, 1)),
                               .flops = json_number_value(json_object_get(o, "flops"))};
    wh_code code = !accuracy ? WH_OK
                   : policy  ? add_point(out, c, policy, err)
                             : wh_err_set(err, WH_ERR_FORMAT, "it names no policy");
    json_decref(o);
    return code;
}

static wh_code read_heading(size_t at[FIELDS], size_t *columns, char *line, wh_err *err)
{
    char *fields[COLUMNS];
    *columns = cut(line, fields);
    for (size_t f = 0; f < FIELDS; f++) {
        for (at[f] = 0; at[f] < *columns && strcmp(fields[at[f]], names[f]) != 0;) at[f]++;
        if (at[f] == *columns) return wh_err_set(err, WH_ERR_FORMAT, "the heading has no %s", names[f]);
    }
    return WH_OK;
}

wh_code wh_report_replay(wh_report_curves *out, const char *path, wh_err *err)
{
    wh_buf text = {0};
    WH_TRY(wh_file_read(&text, path, (size_t)1 << 26, err));
    size_t at[FIELDS], columns = 0, number = 0;
    wh_code code = WH_OK;
    for (char *line = text.data, *next; code == WH_OK && line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        number++;
        if (!*line) continue;
        code = text.data[0] == '{' ? add_json(out, line, err)
               : columns           ? add_line(out, line, at, columns, err)
                                   : read_heading(at, &columns, line, err);
    }
    if (code == WH_OK && !out->n) code = wh_err_set(err, WH_ERR_FORMAT, "%s holds no curve", path);
    else if (code != WH_OK) wh_err_wrap(err, "%s, line %zu", path, number);
    wh_buf_free(&text);
    return code;
}
