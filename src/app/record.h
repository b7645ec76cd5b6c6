/* record: the record that closes a problem in a journal, as it was when the problem was solved. */
#ifndef WH_APP_RECORD_H
#define WH_APP_RECORD_H

#include "app/forecast.h"
#include "engine/ledger.h"
#include "search/vote.h"

#include <jansson.h>

typedef struct wh_record {
    wh_sample *samples; /* index, group and scores; answer is "" */
    bool      *right;   /* per sample */
    size_t     n;
    double    *scores;  /* memory of the samples' */
    wh_sizes   sizes;
    wh_ledger  policy, prm, speculative;
    size_t     unscored;
    double     seconds;
} wh_record;

/* Is it one? A journal also holds a record per sample, and one of costs. */
bool    wh_record_closes(const json_t *record);
wh_code wh_record_read(wh_record *out, const json_t *record, wh_err *err);
void    wh_record_free(wh_record *r);

#endif
