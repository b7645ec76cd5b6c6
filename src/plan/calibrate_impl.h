/* calibrate_impl: what calibrate_fit.c makes for calibrate.c. */
#ifndef WH_PLAN_CALIBRATE_IMPL_H
#define WH_PLAN_CALIBRATE_IMPL_H

#include "plan/calibrate.h"

/* The model of votes under which those of the bank are most likely. */
wh_belief_model wh_calibrate_votes(const wh_bank *b);

/* Everything of a profile but its parameters for policies and its rows. */
wh_code wh_calibrate_fit(wh_profile *p, const wh_bank *b, const wh_calibrate_spec *spec, wh_err *err);

#endif
