#include "app/score.h"

#include <stdlib.h>

void wh_score_init(wh_score *s, size_t n, bool nested, bool scored, const wh_rule *chosen)
{
    *s = (wh_score){.nested = nested};
    s->n_rules = wh_rule_list(s->rules, scored);
    while (s->chosen + 1 < s->n_rules && !wh_rule_same(&s->rules[s->chosen], chosen)) s->chosen++;
    for (size_t k = 1; nested && k < n && s->levels < WH_SCORE_LEVELS - 1; k *= 2) s->n[s->levels++] = k;
    s->n[s->levels++] = n;
}

/* Is the answer right that the first n samples elect? */
static wh_code elect(bool *elected, const wh_rule *rule, const wh_sample *samples, const bool *right, size_t n, wh_err *err)
{
    size_t found;
    wh_tally *tally;
    bool scored = false; /* a policy may have found that scores are not worth it */
    for (size_t k = 0; k < n; k++) scored |= samples[k].scores != NULL;
    const wh_rule majority = {.vote = &wh_vote_majority};
    if (!scored) rule = &majority;
    WH_TRY(wh_rule_count(&tally, &found, rule, samples, n, err));
    *elected = false;
    for (size_t k = 0; k < n; k++) *elected |= found && samples[k].group == tally[0].group && right[k];
    free(tally);
    return WH_OK;
}

wh_code wh_score_add(wh_score *s, const wh_sample *samples, const bool *right, size_t n, wh_err *err)
{
    for (size_t i = 0; i < s->levels; i++) {
        size_t first = s->nested && s->n[i] < n ? s->n[i] : n;
        bool passed = false;
        for (size_t k = 0; k < first; k++) passed |= right[k];
        s->passed[i] += passed;
        for (size_t r = 0; r < s->n_rules; r++) {
            bool elected;
            WH_TRY(elect(&elected, &s->rules[r], samples, right, first, err));
            s->right[r][i] += elected;
        }
    }
    s->problems++;
    s->samples += n;
    for (size_t k = 0; k < n; k++) s->right_samples += right[k];
    return WH_OK;
}

void wh_score_spend(wh_score *s, const wh_ledger *policy, const wh_ledger *prm, const wh_ledger *speculative, size_t unscored,
                    double seconds)
{
    wh_ledger_add(&s->policy, policy);
    wh_ledger_add(&s->prm, prm);
    wh_ledger_add(&s->speculative, speculative);
    s->unscored += unscored;
    s->seconds += seconds;
}
