/* ops: elementwise operations and attention, one table of functions per instruction set.
 *
 * All give the same bits on every instruction set (CONTRACT.md). Arrays may be unaligned.
 *
 *   rmsnorm     y = x · w / sqrt(mean(x²) + eps), d % 16 == 0; y may be x
 *   add         y += x
 *   silu_mul    y = gate · sigmoid(gate) · up; y may be gate or up
 *   rope_half   rotate the pairs (i, i + hd/2) of one head by the angles whose cosines and sines are given
 *               (hd/2 each): the NeoX order, used by qwen2 and qwen3. hd % 32 == 0
 *   rope_pairs  the same for the pairs (2i, 2i + 1): the order of llama files
 *   scale       x *= s
 *   store_f16   y[i * stride] = x[i] in f16, nearest even
 *   attn_open   softmax attention of nq queries over the f16 block they stand in; see wh_attn_query
 *   attn_close  the same over an earlier block, all of it, in int8
 *   kv_close    an f16 block as int8: K scaled by the largest of each channel, V of each token, to 127
 *   attn_end    y = o / l, the end of the softmax of one query
 *   logits      maximum, its position, and sum of exponentials of one row of logits
 *   exps        y = exp(x · inv_t - max), the terms of that sum; y may be x
 */
#ifndef WH_KERN_OPS_H
#define WH_KERN_OPS_H

#include "base/cpu.h"

enum { WH_KV_BLOCK = 64 }; /* tokens in a KV block */

/* One query head and the state of its softmax over the keys seen so far: m the largest score, l the sum
 * of exp(score - m), o (hd) the sum of exp(score - m) · v. It starts with m = -infinity, l = 0, o = 0.
 * Blocks are taken in the order of their positions, so the result does not depend on who computes it. */
typedef struct wh_attn_query {
    const float *q; /* hd values, already scaled by 1/sqrt(hd) */
    float       *o;
    float       *ml;   /* m and l */
    size_t       keys; /* attn_open: how many keys of the block it may see, 1 .. WH_KV_BLOCK */
} wh_attn_query;
/* An open block of one head: K (hd, WH_KV_BLOCK) f16, transposed so that the keys lie in lanes; V (WH_KV_BLOCK,
 * hd) f16. A closed one: */
typedef struct wh_kv8 {
    uint8_t *k;       /* (hd/4, WH_KV_BLOCK, 4): value + 128 */
    int8_t  *v;       /* (WH_KV_BLOCK/4, hd, 4) */
    float   *k_scale; /* (hd): value = integer * scale */
    float   *v_scale; /* (WH_KV_BLOCK) */
} wh_kv8;

typedef struct wh_logit_sum {
    float    max; /* largest x · inv_t */
    uint32_t argmax; /* its first position */
    float    sum; /* of exp(x · inv_t - max) */
} wh_logit_sum;

typedef struct wh_ops {
#define WH_OP_X(name, best, params) void(*name) params;
#include "kern/ops.def"
#undef WH_OP_X
    const char *isa;
} wh_ops;

/* The table for a machine; static. */
const wh_ops *wh_ops_select(wh_isa allowed);

#endif
