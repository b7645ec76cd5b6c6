#include "app/rule.h"

#include "app/json.h"
#include "app/width.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char wh_rule_votes[] =
#define WH_VOTE_X(id) " " #id
#include "search/vote.def"
#undef WH_VOTE_X
    ;
#define WORD(id) " " #id
const char wh_rule_aggregates[] = WH_AGGREGATES(WORD);
#undef WORD

wh_rule wh_rule_of(const char *vote, const char *aggregate)
{
    wh_rule r = {wh_vote_find(vote), WH_AGGREGATE_last};
    for (int a = 0; a < WH_AGGREGATE_COUNT; a++)
        if (strcmp(aggregate, wh_aggregate_name((wh_aggregate)a)) == 0) r.aggregate = (wh_aggregate)a;
    return r;
}

size_t wh_rule_list(wh_rule out[WH_RULE_MAX], bool scored)
{
    size_t n = 0;
    for (size_t v = 0; v < wh_vote_table_size; v++) {
        const wh_vote *vote = wh_vote_table[v];
        if (!vote->needs_scores) out[n++] = (wh_rule){vote, WH_AGGREGATE_last};
        for (int a = 0; scored && vote->needs_scores && a < WH_AGGREGATE_COUNT; a++) out[n++] = (wh_rule){vote, (wh_aggregate)a};
    }
    return n;
}

bool wh_rule_same(const wh_rule *a, const wh_rule *b)
{
    return a->vote == b->vote && (!a->vote->needs_scores || a->aggregate == b->aggregate);
}

const char *wh_rule_name(char buf[WH_RULE_NAME], const wh_rule *r)
{
    bool scored = r->vote->needs_scores;
    snprintf(buf, WH_RULE_NAME, "%s%s%s", r->vote->name, scored ? "-" : "", scored ? wh_aggregate_name(r->aggregate) : "");
    return buf;
}

wh_code wh_rule_count(wh_tally **out, size_t *n_out, const wh_rule *r, const wh_sample *s, size_t n, wh_err *err)
{
    const wh_vote_opts opts = {.aggregate = r->aggregate};
    return wh_vote_count(out, n_out, r->vote, &opts, s, n, err);
}

/* The winner's answer, of the samples' memory; NULL: nobody voted. */
static wh_code winner(const char **answer, const wh_rule *r, const wh_sample *s, size_t n, wh_err *err)
{
    wh_tally *tally;
    size_t found;
    WH_TRY(wh_rule_count(&tally, &found, r, s, n, err));
    *answer = found ? tally[0].answer : NULL;
    free(tally);
    return WH_OK;
}

wh_code wh_rule_json(json_t **out, bool scored, const wh_sample *s, size_t n, wh_err *err)
{
    wh_rule rules[WH_RULE_MAX];
    size_t n_rules = wh_rule_list(rules, scored);
    *out = json_object();
    for (size_t i = 0; i < n_rules; i++) {
        const char *answer;
        char name[WH_RULE_NAME];
        wh_code code = winner(&answer, &rules[i], s, n, err);
        if (code != WH_OK) {
            json_decref(*out);
            *out = NULL;
            return code;
        }
        json_object_set_new(*out, wh_rule_name(name, &rules[i]), answer ? wh_json_text(answer, strlen(answer)) : json_null());
    }
    return WH_OK;
}

wh_code wh_rule_table(wh_buf *out, const wh_sample *s, size_t n, wh_err *err)
{
    enum { FIRST = 10, COLUMN = 17 };
    wh_buf_printf(out, "%-*s", FIRST, "vote");
    for (int a = 0; a < WH_AGGREGATE_COUNT; a++) {
        bool last = a + 1 == WH_AGGREGATE_COUNT;
        wh_buf_printf(out, "%-*s", last ? 0 : COLUMN, wh_aggregate_name((wh_aggregate)a));
    }
    wh_rule rules[WH_RULE_MAX];
    size_t n_rules = wh_rule_list(rules, true);
    for (size_t i = 0; i < n_rules; i++) {
        const char *answer;
        WH_TRY(winner(&answer, &rules[i], s, n, err));
        if (i == 0 || rules[i].vote != rules[i - 1].vote) wh_buf_printf(out, "\n%-*s", FIRST, rules[i].vote->name);
        bool last = i + 1 == n_rules || rules[i + 1].vote != rules[i].vote;
        wh_width_put(out, answer ? answer : "-", answer ? strlen(answer) : 1, COLUMN - 2, !last);
        if (!last) wh_buf_puts(out, "  ");
    }
    wh_buf_putc(out, '\n');
    return WH_OK;
}
