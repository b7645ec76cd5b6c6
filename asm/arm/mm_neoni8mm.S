/* mm_neoni8mm: y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, NEON with matrix multiply.
 *
 *   void wh_mm_<layout>_neoni8mm(const wh_mm *a);        l4 l4m l5 l5m l8 k4m k5m h4m h6
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *   The walk, and taking the integers apart: mm_arm.h
 *
 * smmla multiplies 2 x 8 by 8 x 2 bytes. Its weights are two rows x 8 k: the zip of two atoms (16 rows x 4 k each),
 * done once while unpacking. Its x is two rows x 8 k. A tile is that pair of rows:
 *
 *   v0-v7    dots: rows 2j, 2j+1 of the panel in v(j) = x0·w0 x0·w1 x1·w0 x1·w1
 *   v8-v11   x: 8 k in each
 *   v16-v23  acc (legacy) or S (K): row i of x, rows 4r .. 4r+3 in v(16+4i+r)
 *   v24-v31  weights of 8 k; at the end of a group the dots by row
 *
 *   for o = 0 .. 3, j = 0 .. 7:   smmla v(j).4s, x[o].16b, w[o][j].16b
 *   zip1, zip2 .2d of v(2r), v(2r+1): dots of row 0 and of row 1, rows 4r .. 4r+3
 *
 * A last row without a partner is paired with itself, and the second half of the result is not used: for one row
 * smmla does no more than sdot, so these kernels are preferred from m = 2 on.
 *
 *   legacy:  v(16+4i+r) = fma(d_g[r] · d_x[i], dot[i][r] - MAGIC, v(16+4i+r))
 *   K:       v(16+4i+r) += sc_g[r] · dot[i][r]
 *
 * Bytes per weight (16 rows x 256 k with their scales): l4 0.563, l4m 0.625, l5 0.688, l5m 0.750, l8 1.063, k4m 0.578,
 * k5m 0.703, h4m 0.641, h6 0.828.
 * Bound: the vector pipes. A group of 32 k of 2 x 16 results, 1024 MAC, is 32 smmla, 12 zips and, legacy, 24 f32 operations:
 * with two pipes 30.1 MAC/cycle, where sdot does 23.3 (k4m, k5m 34.1; groups of 16 24.4). The f32 end, not smmla, is half
 * of it. 102 instructions of l4, 0.100 per MAC. Counted and on paper: bench/results/arm_kernels.md.
 */
#include "mm_arm.h"
    .arch armv8.2-a+dotprod+i8mm
    .set SUMS, 16
#include "mm_arm_dot.h"

/* U is [8 k][pair of rows][row][8 k]. */
.macro PAIR_OUT a
    .irp r, 0, 1, 2, 3
    PAIR_ZIP %(4+\r), \r, %(128*\a+32*\r)
    .endr
.endm
.macro PAIR_ZIP lo, hi, at
    zip1    v24.4s, v\lo\().4s, v\hi\().4s
    zip2    v25.4s, v\lo\().4s, v\hi\().4s
    stp     q24, q25, [U, #\at]
.endm

/* x of rows 0 and \second: 32 k. */
.macro LOAD_PAIR second
    ldp     q24, q25, [px0], #32
    .if \second
    ldp     q26, q27, [px1], #32
    PAIR_X  26, 27
    .else
    PAIR_X  24, 25
    .endif
.endm
.macro PAIR_X lo, hi
    zip1    v8.2d, v24.2d, v\lo\().2d
    zip2    v9.2d, v24.2d, v\lo\().2d
    zip1    v10.2d, v25.2d, v\hi\().2d
    zip2    v11.2d, v25.2d, v\hi\().2d
.endm

.macro BEGIN
    .irp r, 0, 2, 4, 6
    BEGIN_  \r, %(\r+1)
    .endr
.endm
.macro BEGIN_ even, odd
    ldp     q\even, q\odd, [SCRATCH, #BEGIN_AT]
.endm

/* Eight k. */
.macro OCTET o
    LOAD4   24, U, 128*\o
    LOAD4   28, U, 128*\o+64
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    MUL_    \j, %(8+\o), %(24+\j)
    .endr
.endm
.macro MUL_ dot, x, w
    smmla   v\dot\().4s, v\x\().16b, v\w\().16b
.endm

/* v24-v27 = dots of row 0, v28-v31 of row 1 */
.macro DOTS i
    .irp r, 0, 1, 2, 3
    DOTS_   %(\i+1), %(24+4*\i+\r), %(2*\r), %(2*\r+1)
    .endr
.endm
.macro DOTS_ half, d, even, odd
    zip\half v\d\().2d, v\even\().2d, v\odd\().2d
.endm
.macro END i, min
    LEGACY_SUM \i, \min, %(SUMS+4*\i), %(24+4*\i), 0, 4, 5
.endm
.macro SUM i
    EACH4   mla, 4s, %(SUMS+4*\i), %(24+4*\i), 0
.endm
.macro K_SUMS rows, at
    EACH_ROW \rows, DOTS
    LOAD4   0, SC, \at
    EACH_ROW \rows, SUM
.endm

.macro GROUP rows, family, bits, group, min
    LOAD_PAIR %(\rows-1)
    BEGIN
    OCTET   0
    OCTET   1
    .if \group == 16
    K_SUMS  \rows, 0
    BEGIN
    .endif
    OCTET   2
    OCTET   3
    .ifc \family, legacy
    EACH_ROW \rows, DOTS
    EACH_ROW \rows, END, \min
    .elseif \group == 16
    K_SUMS  \rows, 64
    .else
    K_SUMS  \rows, 0
    .endif
.endm

/*      layout        family  bits group min offset begin words most */
KERNEL  l4,  neoni8mm, legacy, 4,  32,  0,  1, magic,   0,  2
KERNEL  l4m, neoni8mm, legacy, 4,  32,  1,  0, magic,   0,  2
KERNEL  l5,  neoni8mm, legacy, 5,  32,  0,  1, magic,   0,  2
KERNEL  l5m, neoni8mm, legacy, 5,  32,  1,  0, magic,   0,  2
KERNEL  l8,  neoni8mm, legacy, 8,  32,  0,  1, magic,   0,  2
KERNEL  k4m, neoni8mm, k,      4,  32,  8,  0, zero,    0,  2
KERNEL  k5m, neoni8mm, k,      5,  32,  8,  0, zero,    0,  2
KERNEL  h4m, neoni8mm, k,      4,  16, 16,  1, zero,    0,  2
KERNEL  h6,  neoni8mm, k,      6,  16,  0,  1, zero,    0,  2
