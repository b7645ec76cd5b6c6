/* mm_neondot: y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, NEON with dot product.
 *
 *   void wh_mm_<layout>_neondot(const wh_mm *a);         l4 l4m l5 l5m l8 k4m k5m h4m h6
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *   The walk, and taking the integers apart: mm_arm.h
 *
 * An atom is 16 rows x 4 k: four registers of four rows, one 32-bit lane for each row. A tile is 3 rows of x, which is
 * what lets the sums of a block stay in registers (storing two registers costs two slots of the A76's vector pipes):
 *
 *   v0-v11   dots: row i of x, rows 4r .. 4r+3 of the panel in v(4i+r)
 *   v12-v23  acc (legacy) or S (K) of the same
 *   v24-v27  weights of a quad of k; at the end of a group its scales
 *   v28-v30  x: 16 k of row i; at the end of a group v28, v29 are temporaries
 *
 *   for q = 0 .. 7, r = 0 .. 3, i = 0 .. 2:   sdot v(4i+r).4s, w[q][r].16b, x[i].4b[q]      (by element: no broadcast)
 *   legacy:  v(12+4i+r) = fma(d_g[r] · d_x[i], v(4i+r) - MAGIC, v(12+4i+r))
 *   K:       v(12+4i+r) += sc_g[r] · v(4i+r)
 *
 * Bytes per weight (16 rows x 256 k with their scales): l4 0.563, l4m 0.625, l5 0.688, l5m 0.750, l8 1.063, k4m 0.578,
 * k5m 0.703, h4m 0.641, h6 0.828.
 * Bound: two vector pipes. A group of 32 k of 3 x 16 results, 1536 MAC, is 96 sdot and, legacy, 12 each of fsub, fmul and
 * fmla: 132 slots, 23.3 MAC/cycle of the 32 that sdot alone would do (minima 21.3; k4m, k5m 25.6; groups of 16 21.3).
 * 176 instructions of l4, 0.115 per MAC. Counted and on paper: bench/results/arm_kernels.md.
 */
#include "mm_arm.h"
    .arch armv8.2-a+dotprod
    .set SUMS, 12
#include "mm_arm_dot.h"

.macro PAIR_OUT a
    PAIR_OUT_QUADS \a
.endm

.macro BEGIN i
    BEGIN_  %(4*\i), %(4*\i+1), %(4*\i+2), %(4*\i+3)
.endm
.macro BEGIN_ a, b, c, d
    ldp     q\a, q\b, [SCRATCH, #BEGIN_AT]
    ldp     q\c, q\d, [SCRATCH, #BEGIN_AT]
.endm
.macro LOAD_X i
    LOAD_X_ \i, %(28+\i)
.endm
.macro LOAD_X_ i, x
    ldr     q\x, [px\i], #16
.endm

/* Sixteen k, from quad \q on, for all rows. */
.macro QUADS rows, q
    EACH_ROW \rows, LOAD_X
    .irp j, 0, 1, 2, 3
    LOAD4   24, U, 64*\q+64*\j
    EACH_ROW \rows, QUAD, \j
    .endr
.endm
.macro QUAD i, lane
    EACH4_DOT %(4*\i), 24, %(28+\i), \lane
.endm

.macro END i, min
    LEGACY_SUM \i, \min, %(SUMS+4*\i), %(4*\i), 24, 28, 29
.endm
.macro K_SUMS rows, at
    LOAD4   24, SC, \at
    EACH_ROW \rows, SUM
.endm
.macro SUM i
    EACH4   mla, 4s, %(SUMS+4*\i), %(4*\i), 24
.endm

.macro GROUP rows, family, bits, group, min
    EACH_ROW \rows, BEGIN
    QUADS   \rows, 0
    .if \group == 16
    K_SUMS  \rows, 0
    EACH_ROW \rows, BEGIN
    .endif
    QUADS   \rows, 4
    .ifc \family, legacy
    EACH_ROW \rows, END, \min
    .elseif \group == 16
    K_SUMS  \rows, 64
    .else
    K_SUMS  \rows, 0
    .endif
.endm

/*      layout       family  bits group min offset begin words most */
KERNEL  l4,  neondot, legacy, 4,  32,  0,  1, magic,   0,  3
KERNEL  l4m, neondot, legacy, 4,  32,  1,  0, magic,   0,  3
KERNEL  l5,  neondot, legacy, 5,  32,  0,  1, magic,   0,  3
KERNEL  l5m, neondot, legacy, 5,  32,  1,  0, magic,   0,  3
KERNEL  l8,  neondot, legacy, 8,  32,  0,  1, magic,   0,  3
KERNEL  k4m, neondot, k,      4,  32,  8,  0, zero,    0,  3
KERNEL  k5m, neondot, k,      5,  32,  8,  0, zero,    0,  3
KERNEL  h4m, neondot, k,      4,  16, 16,  1, zero,    0,  3
KERNEL  h6,  neondot, k,      6,  16,  0,  1, zero,    0,  3
