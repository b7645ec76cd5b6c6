#include "plan/allot.h"

#include <math.h>
#include <stdlib.h>

static double rate(const wh_pick *p) { return p->action.cost > 0 ? p->action.gain / p->action.cost : 0; }

static int better(const void *a_, const void *b_)
{
    const wh_pick *a = a_, *b = b_;
    if (rate(a) != rate(b)) return rate(a) > rate(b) ? -1 : 1;
    return a->problem < b->problem ? -1 : 1;
}

static void decide(wh_allotted *x, const wh_policy *policy, const void *params)
{
    if (x->known) return;
    wh_view v = x->view;
    v.budget = INFINITY;
    wh_policy_decide(&x->wish, policy, &v, params);
    x->known = true;
}

void wh_allot_wave(wh_pick *picks, size_t *n_picks, wh_allotted *list, size_t n, double left, const wh_policy *policy, const void *params)
{
    enum { PART = 8, SAMPLES = 256 }; /* samples of a wave, at most: several batches of any machine */
    size_t found = 0, kept = 0, samples = 0;
    for (size_t i = 0; i < n; i++) {
        decide(&list[i], policy, params);
        wh_action a = list[i].wish;
        if (a.what == WH_DO_STOP || !(a.gain > 0)) continue;
        a.cost += list[i].first;
        picks[found++] = (wh_pick){.problem = i, .action = a};
    }
    qsort(picks, found, sizeof *picks, better);
    double wave = left / PART, sum = 0;
    for (size_t k = 0; k < found && samples < SAMPLES; k++) {
        wh_pick p = picks[k];
        const wh_view *v = &list[p.problem].view;
        /* Fewer samples of the best problem rather than more of one that is worse. */
        while (p.action.what == WH_DO_SAMPLE && p.action.n > 1 && p.action.cost > wave) {
            p.action.n--;
            p.action.cost -= v->sample + (v->scoring ? v->score : 0);
        }
        /* Where the wave is smaller than what is best, that alone, if it can be paid. */
        if (p.action.cost > (kept ? wave : left)) continue;
        picks[kept++] = p;
        samples += p.action.what == WH_DO_SAMPLE ? p.action.n : 0;
        sum += p.action.cost;
        wave -= p.action.cost;
        if (wave <= 0) break;
    }
    /* Samples may be longer than expected, as long as all together cannot cost more than is left. */
    for (size_t k = 0; k < kept; k++) picks[k].share = picks[k].action.cost * left / sum;
    *n_picks = kept;
}
