/* act: rows of activations, as the matmul kernels read them.
 *
 * Quantized once by their producer (norm, attention, SiLU), used by every matrix that takes them. A legacy
 * format wants scales per 32 k, a K format per 256 k (the reason and the rounding rule: CONTRACT.md); one
 * row may be wanted both ways, so each way is a member of its own, filled only if asked for.
 */
#ifndef WH_KERN_ACT_H
#define WH_KERN_ACT_H

#include "base/err.h"

enum { WH_ACT_SUM = 16, WH_ACT_BLOCK = 256 };

/* The ways a matrix can want its activations; also bits of a set. */
typedef enum { WH_ACT_FLOAT = 1, WH_ACT_32 = 2, WH_ACT_256 = 4 } wh_act_way;

typedef struct wh_act_q {
    int8_t  *q;      /* row r starts at q + r * q_stride (act); the padding is zero */
    float   *d;      /* row r starts at d + r * blocks */
    int16_t *sum;    /* sum of q over each 16 k; row r starts at sum + r * (k / 16) */
    int16_t *sum32;  /* the same over each 32 k; sum32 + r * (k / 32) */
    float   *scaled; /* by32 alone: d · float(sum32); scaled + r * (k / 32) */
    size_t   blocks; /* per row: k / 32, or k / 256 rounded up */
} wh_act_q;

/* Up to `rows` rows of k values. */
typedef struct wh_act {
    size_t   rows, k;
    size_t   q_stride; /* bytes between rows of q: k rounded up to an odd multiple of 64 */
    float   *f;        /* the values themselves; row r starts at f + r * k */
    wh_act_q by32, by256;
    void    *memory;
    size_t   bytes; /* of it */
} wh_act;

/* k % 32 == 0. One allocation, 64-byte aligned; `ways` is a set of wh_act_way (f is always there). */
wh_code wh_act_create(wh_act *out, size_t rows, size_t k, unsigned ways, wh_err *err);
void    wh_act_free(wh_act *a);

#endif
