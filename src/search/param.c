#include "search/param.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The k-th word of "a|b|c"; its length, 0 when there are fewer. */
static size_t word(const char **out, const char *choices, size_t k)
{
    for (; k; k--) {
        choices = strchr(choices, '|');
        if (!choices) return 0;
        choices++;
    }
    *out = choices;
    return strcspn(choices, "|");
}

static void store(wh_params *p, const wh_param *row, double v)
{
    uint32_t u = (uint32_t)v;
    if (row->type == WH_PARAM_REAL) memcpy(p->bytes + row->offset, &v, sizeof v);
    else memcpy(p->bytes + row->offset, &u, sizeof u);
}

void wh_param_defaults(wh_params *out, const wh_param *table, size_t n)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) store(out, &table[i], table[i].def);
}

const wh_param *wh_param_find(const wh_param *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

wh_code wh_param_set(wh_params *p, const wh_param *table, size_t n, const char *name, const char *value,
                     wh_err *err)
{
    const wh_param *row = wh_param_find(table, n, name);
    if (!row) return wh_err_set(err, WH_ERR_ARG, "this strategy has no parameter '%s'", name);
    if (row->type == WH_PARAM_CHOICE) {
        const char *w;
        size_t len;
        for (size_t k = 0; (len = word(&w, row->choices, k)) != 0; k++)
            if (strlen(value) == len && memcmp(value, w, len) == 0) {
                store(p, row, (double)k);
                return WH_OK;
            }
        return wh_err_set(err, WH_ERR_ARG, "--%s is one of %s, not '%s'", name, row->choices, value);
    }
    char *end;
    double v = strtod(value, &end);
    bool whole = row->type == WH_PARAM_REAL || v == floor(v);
    if (end == value || *end || !whole || !(v >= row->min && v <= row->max))
        return wh_err_set(err, WH_ERR_ARG, "--%s is a %snumber from %g to %g, not '%s'", name,
                          row->type == WH_PARAM_INT ? "whole " : "", row->min, row->max, value);
    store(p, row, v);
    return WH_OK;
}

void wh_param_print(wh_buf *out, const wh_params *p, const wh_param *row)
{
    double v;
    uint32_t u;
    memcpy(&v, p->bytes + row->offset, sizeof v);
    memcpy(&u, p->bytes + row->offset, sizeof u);
    if (row->type == WH_PARAM_REAL) {
        wh_buf_printf(out, "%.17g", v);
    } else if (row->type == WH_PARAM_INT) {
        wh_buf_printf(out, "%u", u);
    } else {
        const char *w = "";
        size_t len = word(&w, row->choices, u);
        wh_buf_put(out, w, len);
    }
}
