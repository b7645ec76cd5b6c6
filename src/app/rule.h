/* rule: every way to vote on one set of samples: each rule of vote.def, with each aggregate where it weighs scores.
 *
 * All of them are reported from one run, because none of them costs a FLOP more.
 */
#ifndef WH_APP_RULE_H
#define WH_APP_RULE_H

#include "search/vote.h"

#include <jansson.h>

typedef struct wh_rule {
    const wh_vote *vote;
    wh_aggregate   aggregate; /* without meaning where the vote needs no scores */
} wh_rule;

#define WH_VOTE_X(id) +1
enum {
    WH_RULE_MAX = WH_AGGREGATE_COUNT * (0
#include "search/vote.def"
                                       )
};
#undef WH_VOTE_X

/* All there are, in the order of vote.def; returns how many. scored: those that need scores are among them. */
size_t wh_rule_list(wh_rule out[WH_RULE_MAX], bool scored);
bool   wh_rule_same(const wh_rule *a, const wh_rule *b);

/* Words with a space before each; as the choices of an option from the second byte on. */
extern const char wh_rule_votes[], wh_rule_aggregates[];
/* From two of these words. */
wh_rule wh_rule_of(const char *vote, const char *aggregate);

enum { WH_RULE_NAME = 32 };
/* "majority", "prm_vote-last"; returns buf. */
const char *wh_rule_name(char buf[WH_RULE_NAME], const wh_rule *r);

/* wh_vote_count by this rule. */
wh_code wh_rule_count(wh_tally **out, size_t *n_out, const wh_rule *r, const wh_sample *s, size_t n, wh_err *err);

/* {"majority": "42", "prm_max-last": "42", ...}; null: nobody voted. *out is a new reference. */
wh_code wh_rule_json(json_t **out, bool scored, const wh_sample *s, size_t n, wh_err *err);
/* The same for people: a line for each vote, a column for each aggregate, 80 columns wide. Appends to out. */
wh_code wh_rule_table(wh_buf *out, const wh_sample *s, size_t n, wh_err *err);

#endif
