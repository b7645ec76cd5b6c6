/* evaluate: the value of a tree, at a point when it has variables. Internal to answer/. */
#ifndef WH_ANSWER_EVALUATE_H
#define WH_ANSWER_EVALUATE_H

#include "answer/expr.h"

/* Where a tree is evaluated, and what was met there. The points are pseudo-random reals of both signs, drawn by the name
 * of the variable: an expression means the same wherever it stands. */
typedef struct wh_scope {
    const wh_expr *e;
    int            point;     /* which of the points: 0 is positive in all variables, 1 negative, the others mixed */
    bool           lower;     /* take the lower sign of every +- */
    bool           variables; /* out: a variable was met */
    bool           signs;     /* out: a +- was met */
    bool           j_is_i;    /* j with no i about is the imaginary unit, as engineers write it */
} wh_scope;

wh_scope wh_scope_of(const wh_expr *e);
wh_value wh_evaluate_in(wh_scope *s, int32_t x);

/* The value of a tree without variables and without +-; bad when it has any, or is no number. */
wh_value wh_evaluate(const wh_expr *e, int32_t x);

#endif
