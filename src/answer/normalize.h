/* normalize: the key of a tree. Internal to answer/. */
#ifndef WH_ANSWER_NORMALIZE_H
#define WH_ANSWER_NORMALIZE_H

#include "answer/expr.h"

/* Read one answer: tokens and tree. e starts as {0}; n may be anything. false: no memory. */
bool wh_normalize_read(wh_expr *e, const char *text, size_t n);

/* Append the key of the tree below x; false (and a key that must not be used) when something in it has no value.
 * A key holds no character below ' '. */
bool wh_normalize_key(wh_buf *out, const wh_expr *e, int32_t x);

/* Append the key of the whole answer, whose text is given too, for an answer that is no mathematics. Nothing is
 * appended for an answer that says nothing. */
void wh_normalize_answer(wh_buf *out, const wh_expr *e, const char *text, size_t n);

/* The tree that counts: behind "x =", "x \in", "f(x) =". */
int32_t wh_normalize_meaning(const wh_expr *e, int32_t x);

#endif
