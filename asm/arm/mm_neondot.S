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

.macro PAIR_OUT a
    PAIR_OUT_QUADS \a
.endm

/* Minima to MINS_AT: [4 groups together][row][4] bytes, from [pair of groups][row][2]. */
.macro MINS_HEAD groups
    add     SC, SCRATCH, #MINS_AT
    .irp j, 0, 1
    .if \j*8 < \groups
    LOAD4   0, W, 128*\j
    LOAD4   4, W, 128*\j+64
    MINS_ZIP 0, 1, 2, 3
    STORE4  16, SC, 128*\j
    MINS_ZIP 4, 5, 6, 7
    STORE4  16, SC, 128*\j+64
    .endif
    .endr
    add     W, W, #16*\groups
.endm
/* v16-v19 = the four groups whose pairs are v\a0 v\a1 and v\b0 v\b1 */
.macro MINS_ZIP a0, a1, b0, b1
    zip1    v16.8h, v\a0\().8h, v\b0\().8h
    zip2    v17.8h, v\a0\().8h, v\b0\().8h
    zip1    v18.8h, v\a1\().8h, v\b1\().8h
    zip2    v19.8h, v\a1\().8h, v\b1\().8h
.endm

/* v4-v7 = M = Σ mn · sum. sum = 128·hi + lo with lo in [0, 127], both bytes, so sdot does four groups at a time. */
.macro MINS i, groups
    add     T0, SCRATCH, #MINS_AT
    .irp j, 0, 1
    .if \j*8 < \groups
    MINS_SPLIT \i, \j, %(24+\j)
    .endif
    .endr
    movi    v4.16b, #0
    movi    v5.16b, #0
    movi    v6.16b, #0
    movi    v7.16b, #0
    MINS_DOT \groups, 2
    EACH4_ONE shl, 4s, 4, 4, #7
    MINS_DOT \groups, 0
.endm
/* v\to = lo of eight groups, hi of eight groups */
.macro MINS_SPLIT i, j, to
    ldr     q26, [ps\i, #16*\j]
    movi    v27.8h, #127
    sshr    v28.8h, v26.8h, #7
    and     v27.16b, v27.16b, v26.16b
    xtn     v\to\().8b, v27.8h
    xtn2    v\to\().16b, v28.8h
.endm
.macro MINS_DOT groups, half
    .irp four, 0, 1, 2, 3
    .if \four*4 < \groups
    LOAD4   16, T0, 64*\four
    EACH4_DOT 4, 16, %(24+\four/2), %(\half+\four-\four/2*2)
    .endif
    .endr
.endm

/* v\acc+r += v\w+r · bytes 4·\lane .. of v\x */
.macro EACH4_DOT acc, w, x, lane
    .irp r, 0, 1, 2, 3
    DOT_    %(\acc+\r), %(\w+\r), \x, \lane
    .endr
.endm
.macro DOT_ acc, w, x, lane
    sdot    v\acc\().4s, v\w\().16b, v\x\().4b[\lane]
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
