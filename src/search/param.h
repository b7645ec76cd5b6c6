/* param: the parameters of a strategy as a table.
 *
 * One row per parameter: its name on the command line (--step-tokens), its place in the strategy's struct,
 * default, range and help. Flags, `--help`, JSON and the journal are all made from these rows.
 */
#ifndef WH_SEARCH_PARAM_H
#define WH_SEARCH_PARAM_H

#include "base/buf.h"
#include "base/err.h"

typedef enum {
    WH_PARAM_INT,   /* uint32_t in the struct */
    WH_PARAM_REAL,  /* double in the struct */
    WH_PARAM_CHOICE /* uint32_t in the struct: position in the list of words */
} wh_param_type;

typedef struct wh_param {
    const char   *name; /* lower case with hyphens */
    wh_param_type type;
    size_t        offset;
    double        def, min, max;
    const char   *choices; /* WH_PARAM_CHOICE: "official|hf" */
    const char   *help;
} wh_param;

/* The struct of any strategy. */
typedef struct wh_params {
    _Alignas(16) unsigned char bytes[192];
} wh_params;

void wh_param_defaults(wh_params *out, const wh_param *table, size_t n);
/* WH_ERR_ARG, with a sentence for the person, when there is no such parameter or the value is not a number
 * (a word of the list) in its range. */
wh_code wh_param_set(wh_params *p, const wh_param *table, size_t n, const char *name, const char *value,
                     wh_err *err);
const wh_param *wh_param_find(const wh_param *table, size_t n, const char *name);
/* The value as wh_param_set reads it, appended to out. */
void wh_param_print(wh_buf *out, const wh_params *p, const wh_param *row);

#endif
