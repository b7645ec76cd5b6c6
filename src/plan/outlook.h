/* outlook: the model of votes a problem begins with: the profile's, or, where its prompt says how hard it is, one with
 * that mean, as sure as the profile says that prompts are. There are a few levels of it, because a belief is a table that is worth
 * sharing: they lie evenly in log-odds, from 3 % to 97 %. */
#ifndef WH_PLAN_OUTLOOK_H
#define WH_PLAN_OUTLOOK_H

#include "plan/profile.h"

#include <stdbool.h>

enum { WH_OUTLOOK_LEVELS = 15 };

typedef struct wh_outlook {
    wh_belief *usual;
    wh_belief *by_prompt[WH_OUTLOOK_LEVELS]; /* NULL: prompts say nothing */
} wh_outlook; /* starts as {0} */

/* prompts: some prompt says something. To be freed whatever the result. */
wh_code wh_outlook_create(wh_outlook *out, const wh_profile *p, bool prompts, wh_err *err);
void    wh_outlook_free(wh_outlook *o);

/* pass: pass@1 as the prompt lets expect; NAN: it does not. */
wh_belief *wh_outlook_belief(const wh_outlook *o, double pass);

#endif
