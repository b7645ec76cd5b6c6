#include "plan/outlook.h"

#include <math.h>

static double level(int i)
{
    const int middle = WH_OUTLOOK_LEVELS / 2;
    return 1 / (1 + exp(-0.5 * (i - middle)));
}

wh_code wh_outlook_create(wh_outlook *out, const wh_profile *p, bool prompts, wh_err *err)
{
    *out = (wh_outlook){0};
    WH_TRY(wh_belief_create(&out->usual, &p->votes, err));
    for (int i = 0; prompts && i < WH_OUTLOOK_LEVELS; i++) {
        const wh_belief_model at = {p->sure_prompt * level(i), p->sure_prompt * (1 - level(i)), p->votes.theta};
        WH_TRY(wh_belief_create(&out->by_prompt[i], &at, err));
    }
    return WH_OK;
}

void wh_outlook_free(wh_outlook *o)
{
    for (int i = 0; i < WH_OUTLOOK_LEVELS; i++) wh_belief_free(o->by_prompt[i]);
    wh_belief_free(o->usual);
    *o = (wh_outlook){0};
}

wh_belief *wh_outlook_belief(const wh_outlook *o, double pass)
{
    int best = 0;
    if (isnan(pass) || !o->by_prompt[0]) return o->usual;
    for (int i = 1; i < WH_OUTLOOK_LEVELS; i++)
        if (fabs(level(i) - pass) < fabs(level(best) - pass)) best = i;
    return o->by_prompt[best];
}
