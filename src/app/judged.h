/* judged: what step scores of graded solutions amount to: how well they tell right from wrong, and what votes gain by
 * them over the majority. For heads (`whet fit`) and for any other process reward model (`whet score`). */
#ifndef WH_APP_JUDGED_H
#define WH_APP_JUDGED_H

#include "app/rule.h"
#include "base/stat.h"
#include "fit/data.h"
#include "fit/measure.h"

/* The scores of one sample's steps; n 0: it has none. */
typedef struct wh_judged_sample {
    double *scores;
    size_t  n;
} wh_judged_sample;

/* A vote of the first n samples, against the majority of the same. */
typedef struct wh_judged_vote {
    wh_rule rule;
    size_t  n, right;
    double  gain, low, high, p; /* of accuracy; 95 % interval, McNemar's p */
} wh_judged_vote;

enum { WH_JUDGED_LEVELS = 6 };
typedef struct wh_judged {
    wh_measure     measure;
    size_t         problems; /* that have all samples, for the votes */
    size_t         n_levels, levels[WH_JUDGED_LEVELS], passed[WH_JUDGED_LEVELS]; /* passed: some sample is right */
    size_t         n_votes;
    wh_judged_vote votes[WH_RULE_MAX * WH_JUDGED_LEVELS];
} wh_judged;

/* samples: in the order of the data. Votes are of 1, 4, 16, ... samples, as many as most problems have. */
wh_code wh_judged_count(wh_judged *out, const wh_fit_data *data, const wh_judged_sample *samples, wh_err *err);

/* An area under the curve as text, right-aligned; "-" where there was nothing to order. Returns text. */
enum { WH_JUDGED_AUC_TEXT = 16 };
const char *wh_judged_auc(char text[static WH_JUDGED_AUC_TEXT], double auc);

void    wh_judged_print_measure(const wh_measure *m);
void    wh_judged_print_votes(const wh_judged *j);
json_t *wh_judged_measure_json(const wh_measure *m);
json_t *wh_judged_json(const wh_judged *j);

#endif
