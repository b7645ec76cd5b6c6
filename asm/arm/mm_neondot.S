/* mm_neondot: y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, NEON with dot product.
 *
 *   void wh_mm_<layout>_neondot(const wh_mm *a);         l4 l4m l5 l5m l8 k4m k5m h4m h6
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *   The walk, and taking the integers apart: mm_arm.h
 *
 * An atom is 16 rows x 4 k: four registers of four rows, one 32-bit lane for each row. A tile is 4 rows of x:
 *
 *   v0-v15   sums: row i of x, rows 4r .. 4r+3 of the panel in v(4i+r)
 *   v16-v23  weights of two quads of k, by turns; at the end of a group scales and sums
 *   v24-v31  x: 32 k of row i in v(24+2i), v(25+2i)
 *
 *   for q = 0 .. 7, r = 0 .. 3, i = 0 .. 3:   sdot v(4i+r).4s, w[q][r].16b, x[i].4b[q]      (by element: no broadcast)
 *
 * A group of 32 k of 16 x 4 results is 128 sdot for 2048 MAC, and 48 (legacy) or 16 mla (K) for the end of it.
 */
#include "mm_arm.h"
    .arch armv8.2-a+dotprod
#include "mm_arm_dot.h"

.macro PAIR_OUT a
    PAIR_OUT_QUADS \a
.endm

/* Row i of the tile: sums in v4i .. v4i+3, x in v24+2i, v25+2i. */
.macro BEGIN i
    BEGIN_  %(4*\i), %(4*\i+1), %(4*\i+2), %(4*\i+3)
.endm
.macro BEGIN_ a, b, c, d
    ldp     q\a, q\b, [SCRATCH, #BEGIN_AT]
    ldp     q\c, q\d, [SCRATCH, #BEGIN_AT]
.endm
.macro LOAD_X i, a, b
    ldp     q\a, q\b, [px\i], #32
.endm

/* Quad q for all rows; its weights go to v16-v19 or v20-v23 by turns. */
.macro QUAD rows, q, w
    LOAD4   \w, U, 64*\q
    .irp i, 0, 1, 2, 3
    .if \i < \rows
    EACH4_DOT %(4*\i), \w, %(24+2*\i+\q/4), %(\q-\q/4*4)
    .endif
    .endr
.endm

.macro EACH_ROW rows, op, args:vararg
    .irp i, 0, 1, 2, 3
    .if \i < \rows
    \op     \i, \args
    .endif
    .endr
.endm
.macro SUM i, at
    K_SUM   \i, \at, %(4*\i), 16
.endm
.macro END i, min
    LEGACY_END \i, \min, %(4*\i), 16, 24, 25
.endm

.macro GROUP rows, family, bits, group, min
    .irp i, 0, 1, 2, 3
    .if \i < \rows
    BEGIN   \i
    LOAD_X  \i, %(24+2*\i), %(25+2*\i)
    .endif
    .endr
    .irp q, 0, 1, 2, 3
    QUAD    \rows, \q, %(16+(\q-\q/2*2)*4)
    .endr
    .if \group == 16
    EACH_ROW \rows, SUM, 0
    .irp i, 0, 1, 2, 3
    .if \i < \rows
    BEGIN   \i
    .endif
    .endr
    .endif
    .irp q, 4, 5, 6, 7
    QUAD    \rows, \q, %(16+(\q-\q/2*2)*4)
    .endr
    .ifc \family, legacy
    EACH_ROW \rows, END, \min
    .elseif \group == 16
    EACH_ROW \rows, SUM, 64
    .else
    EACH_ROW \rows, SUM, 0
    .endif
.endm

/*      layout       family  bits group min offset begin words most even */
KERNEL  l4,  neondot, legacy, 4,  32,  0,  1, magic,   0,  4,  0
KERNEL  l4m, neondot, legacy, 4,  32,  1,  0, magic,   0,  4,  0
KERNEL  l5,  neondot, legacy, 5,  32,  0,  1, magic,   0,  4,  0
KERNEL  l5m, neondot, legacy, 5,  32,  1,  0, magic,   0,  4,  0
KERNEL  l8,  neondot, legacy, 8,  32,  0,  1, magic,   0,  4,  0
KERNEL  k4m, neondot, k,      4,  32,  8,  0, zero,    0,  4,  0
KERNEL  k5m, neondot, k,      5,  32,  8,  0, zero,    0,  4,  0
KERNEL  h4m, neondot, k,      4,  16, 16,  1, zero,    0,  4,  0
KERNEL  h6,  neondot, k,      6,  16,  0,  1, zero,    0,  4,  0
