#include "app/score.h"

#include <math.h>
#include <stdlib.h>

void wh_score_init(wh_score *s, size_t n, const wh_vote *vote)
{
    *s = (wh_score){.vote = vote};
    for (size_t k = 1; k < n && s->levels < WH_SCORE_LEVELS - 1; k *= 2) s->n[s->levels++] = k;
    s->n[s->levels++] = n;
}

wh_code wh_score_add(wh_score *s, const wh_sample *samples, const bool *right, size_t n, wh_err *err)
{
    const wh_vote_opts opts = {0};
    for (size_t i = 0; i < s->levels; i++) {
        size_t first = s->n[i] < n ? s->n[i] : n, found;
        wh_tally *tally;
        WH_TRY(wh_vote_count(&tally, &found, s->vote, &opts, samples, first, err));
        bool passed = false, elected = false;
        for (size_t k = 0; k < first; k++) {
            passed |= right[k];
            elected |= found && samples[k].group == tally[0].group && right[k];
        }
        free(tally);
        s->passed[i] += passed;
        s->right[i] += elected;
    }
    s->problems++;
    s->samples += n;
    for (size_t k = 0; k < n; k++) s->right_samples += right[k];
    return WH_OK;
}

void wh_score_interval(double *low, double *high, size_t k, size_t n)
{
    *low = 0;
    *high = 1;
    if (n == 0) return;
    const double z = 1.959964;
    double total = (double)n, p = (double)k / total, z2 = z * z / total;
    double middle = (p + z2 / 2) / (1 + z2), half = z / (1 + z2) * sqrt(p * (1 - p) / total + z2 / (4 * total));
    *low = k == 0 ? 0 : middle - half;
    *high = k == n ? 1 : middle + half;
}
