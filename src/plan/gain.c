#include "plan/gain.h"

#include "plan/beta.h"

#include <math.h>

void wh_gain_sample(wh_action *out, const wh_view *v, const wh_ballot *votes)
{
    *out = (wh_action){.what = WH_DO_SAMPLE, .n = 1};
    double best = 0, each = v->sample + (v->scoring ? v->score : 0);
    size_t ahead = wh_belief_ahead(votes), most = v->most - v->n < ahead ? v->most - v->n : ahead;
    for (size_t k = 1; k <= most; k++) {
        double gain = wh_belief_gain(v->belief, votes, (uint32_t)k), cost = v->round + (double)k * each;
        if (!(gain > 1e-12) || gain / cost <= best) continue;
        best = gain / cost;
        *out = (wh_action){.what = WH_DO_SAMPLE, .n = k, .gain = gain, .cost = cost};
    }
    if (out->cost == 0) out->cost = v->round + each;
}

void wh_gain_stride(wh_action *a, double part)
{
    size_t n = (size_t)ceil(part * (double)a->n);
    if (n < 1) n = 1;
    double share = (double)n / (double)a->n;
    a->n = n;
    a->gain *= share;
    a->cost *= share;
}

/* P(k of n) */
static double binomial(int n, int k, double p)
{
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log(1 - p));
}

/* The expected probability of the leader when each sample of the groups that matter gets a sign from the PRM that is
 * right with probability q. Conditional on who is right the signs are independent. */
static double after_signs(const wh_view *v, const wh_ballot *votes, double q)
{
    enum { TOP = 3, FEW = 12 };
    uint32_t top[TOP], n_top = 0;
    for (; n_top < TOP && n_top < votes->n_groups; n_top++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t g = 0; g < votes->n_groups; g++) {
            bool taken = false;
            for (uint32_t i = 0; i < n_top; i++) taken = taken || top[i] == g;
            if (!taken && (best == UINT32_MAX || votes->group[g].count > votes->group[best].count)) best = g;
        }
        top[n_top] = best;
    }
    int count[TOP] = {0}, plus[TOP] = {0};
    for (uint32_t i = 0; i < n_top; i++) count[i] = votes->group[top[i]].count < FEW ? votes->group[top[i]].count : FEW;
    double p[WH_BALLOT_GROUPS], value = 0;
    wh_belief_right(v->belief, votes, p);
    for (plus[0] = 0; plus[0] <= count[0]; plus[0]++)
        for (plus[1] = 0; plus[1] <= count[1]; plus[1]++)
            for (plus[2] = 0; plus[2] <= count[2]; plus[2]++) {
                /* The largest of P(these signs, and that group is right): what picking the leader then is worth. */
                double most = 0;
                for (uint32_t right = 0; right < n_top; right++) {
                    double joint = p[top[right]];
                    for (uint32_t i = 0; i < n_top; i++) joint *= binomial(count[i], plus[i], i == right ? q : 1 - q);
                    most = fmax(most, joint);
                }
                value += most;
            }
    return value;
}

void wh_gain_score(wh_action *out, const wh_view *v, const wh_ballot *votes)
{
    size_t unscored = 0;
    for (size_t i = 0; i < v->n; i++) unscored += !v->seen[i].scored;
    double now = wh_belief_best(v->belief, votes, NULL), q = v->profile->keen;
    *out = (wh_action){.what = WH_DO_SCORE, .cost = v->score * (double)unscored};
    if (v->can_score && !v->scoring && unscored && q > 0.5) out->gain = fmax(0, after_signs(v, votes, fmin(q, 0.999)) - now);
}

double wh_gain_stays(const wh_view *v, bool weighted)
{
    double weight[WH_BALLOT_GROUPS] = {0}, first = 0, second = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->seen[i].group >= 0 && v->seen[i].group < WH_BALLOT_GROUPS)
            weight[v->seen[i].group] += weighted && v->seen[i].scored ? v->seen[i].score : 1;
    for (int g = 0; g < WH_BALLOT_GROUPS; g++) {
        if (weight[g] > first) {
            second = first;
            first = weight[g];
        } else if (weight[g] > second) second = weight[g];
    }
    return wh_beta_leader_stays(first, second);
}
