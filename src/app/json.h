/* json: strings and counts of ours as JSON values. */
#ifndef WH_APP_JSON_H
#define WH_APP_JSON_H

#include "engine/ledger.h"

#include <jansson.h>

/* A string of any bytes: what is not UTF-8 becomes U+FFFD. */
json_t *wh_json_text(const char *s, size_t n);
/* An array; NULL becomes null. */
json_t *wh_json_reals(const double *x, size_t n);
/* NULL becomes null. */
json_t *wh_json_string(const char *s);
/* The text under a key; "": there is none. */
const char *wh_json_word(const json_t *o, const char *key);
json_t *wh_json_ledger(const wh_ledger *l);
wh_ledger wh_json_to_ledger(const json_t *o);

#endif
