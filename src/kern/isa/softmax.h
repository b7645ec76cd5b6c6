/* softmax: what both kinds of KV block share: the running softmax of one query over one more block, and how many
 * queries go through the registers together. */
#ifndef WH_KERN_ISA_SOFTMAX_H
#define WH_KERN_ISA_SOFTMAX_H

#include "kern/isa/vec.h"

enum { WH_SOFTMAX_VECTORS = WH_KV_BLOCK / 16 };

/* The scores s of the first `keys` keys become weights p = exp(s - m), the others 0; ml[0] = m and ml[1] = l move
 * on. Returns the factor for o. */
static inline float softmax(float s[WH_KV_BLOCK], float ml[2], size_t keys)
{
    wh_v x[WH_SOFTMAX_VECTORS], none = wh_v_set1(-INFINITY), top = none;
    for (int v = 0; v < WH_SOFTMAX_VECTORS; v++) {
        x[v] = wh_v_first((int)keys - 16 * v, wh_v_load(s + 16 * v), none);
        top = wh_v_max(x[v], top);
    }
    float best = wh_v_top(top), m = ml[0] > best ? ml[0] : best;
    wh_v sum = wh_v_set1(0), zero = sum, mv = wh_v_set1(m);
    for (int v = 0; v < WH_SOFTMAX_VECTORS; v++) {
        wh_v p = wh_v_first((int)keys - 16 * v, wh_v_exp(wh_v_sub(x[v], mv)), zero);
        sum = wh_v_add(sum, p);
        wh_v_store(s + 16 * v, p);
    }
    float shrink[16];
    wh_v_store(shrink, wh_v_exp(wh_v_set1(ml[0] - m)));
    float a = ml[1] > 0 ? shrink[0] : 0; /* nothing was seen before */
    ml[1] = fmaf(ml[1], a, wh_v_sum(sum));
    ml[0] = m;
    return a;
}

/* Queries of the next tile when nq are left and `most` fit: about as many in each, so that none comes alone
 * (7 heads of a group: 4 and 3). */
static inline size_t next_tile(size_t nq, size_t most)
{
    size_t tiles = (nq + most - 1) / most;
    return (nq + tiles - 1) / tiles;
}

#endif
