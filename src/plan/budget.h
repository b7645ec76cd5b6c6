/* budget: what a problem, or a set, may cost. */
#ifndef WH_PLAN_BUDGET_H
#define WH_PLAN_BUDGET_H

#include "base/err.h"

/* "20T", "1.5P", "300", "2e12": a positive number with an SI suffix (k M G T P E). `what` names it in the sentence. */
wh_code wh_budget_parse(double *out, const char *text, const char *what, wh_err *err);

#endif
