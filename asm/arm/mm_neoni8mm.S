/* mm_neoni8mm: y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, NEON with matrix multiply.
 *
 *   void wh_mm_<layout>_neoni8mm(const wh_mm *a);        l4 l4m l5 l5m l8 k4m k5m h4m h6
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *   The walk, and taking the integers apart: mm_arm.h
 *
 * smmla multiplies 2 x 8 by 8 x 2 bytes. Its weights are two rows x 8 k: the zip of two atoms (16 rows x 4 k each),
 * done once while unpacking. Its x is two rows x 8 k. A tile is 4 rows of x, two pairs:
 *
 *   v0-v15   sums: pair p of x, rows 2j, 2j+1 of the panel in v(8p+j) = x0·w0 x0·w1 x1·w0 x1·w1
 *   v16-v23  x: k 8o .. 8o+7 of pair p in v(16+4p+o)
 *   v24-v31  weights of 8 k
 *
 *   for o = 0 .. 3, j = 0 .. 7, p = 0, 1:   smmla v(8p+j).4s, x[p][o].16b, w[o][j].16b
 *
 * A last row without a partner is paired with itself, and the second half of the result is not used.
 * A group of 32 k of 16 x 4 results is 64 smmla for 2048 MAC; 16 zips bring the sums into lanes of rows.
 */
#include "mm_arm.h"
    .arch armv8.2-a+dotprod+i8mm
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

.macro OPEN rows, family
    SCRATCH_OPEN \rows, \family
.endm
.macro CLOSE rows, family, min
    SCRATCH_CLOSE \rows, \family, \min
.endm

/* x of a pair: \b is \a for a row without a partner. */
.macro LOAD_PAIR a, b, to
    ldp     q24, q25, [px\a], #32
    .if \a == \b
    PAIR_X  24, 24, \to, %(\to+1)
    PAIR_X  25, 25, %(\to+2), %(\to+3)
    .else
    ldp     q26, q27, [px\b], #32
    PAIR_X  24, 26, \to, %(\to+1)
    PAIR_X  25, 27, %(\to+2), %(\to+3)
    .endif
.endm
.macro PAIR_X a, b, lo, hi
    zip1    v\lo\().2d, v\a\().2d, v\b\().2d
    zip2    v\hi\().2d, v\a\().2d, v\b\().2d
.endm

.macro BEGIN p
    .irp r, 0, 2, 4, 6
    BEGIN_  %(8*\p+\r), %(8*\p+\r+1)
    .endr
.endm
.macro BEGIN_ a, b
    ldp     q\a, q\b, [SCRATCH, #BEGIN_AT]
.endm

/* Invoke \op p for each pair of the tile. */
.macro EACH_PAIR rows, op, args:vararg
    \op     0, \args
    .if \rows > 2
    \op     1, \args
    .endif
.endm

/* v\to+r = row \half (1 or 2) of the pair: rows 4r .. 4r+3 of the panel */
.macro UNZIP half, to, sums
    .irp r, 0, 1, 2, 3
    UNZIP_  \half, %(\to+\r), %(\sums+2*\r), %(\sums+2*\r+1)
    .endr
.endm
.macro UNZIP_ half, d, a, b
    zip\half v\d\().2d, v\a\().2d, v\b\().2d
.endm

/* Sums of a pair to v24-v27 and v28-v31, then \op row, dot, temporaries. */
.macro PAIR_END p, rows, op, arg
    UNZIP   1, 24, %(8*\p)
    .if \rows > 2*\p+1
    UNZIP   2, 28, %(8*\p)
    .endif
    \op     %(2*\p), \arg, 24, %(8*\p)
    .if \rows > 2*\p+1
    \op     %(2*\p+1), \arg, 28, %(8*\p)
    .endif
.endm
.macro END i, min, dot, tmp
    LEGACY_END \i, \min, \dot, \tmp, 16, 17
.endm

/* Eight k for all rows. */
.macro OCTET rows, o
    LOAD4   24, U, 128*\o
    LOAD4   28, U, 128*\o+64
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    MUL_    \j, %(16+\o), %(24+\j)
    .if \rows > 2
    MUL_    %(8+\j), %(20+\o), %(24+\j)
    .endif
    .endr
.endm
.macro MUL_ acc, x, w
    smmla   v\acc\().4s, v\x\().16b, v\w\().16b
.endm

.macro GROUP rows, family, bits, group, min
    .if \rows > 1
    LOAD_PAIR 0, 1, 16
    .else
    LOAD_PAIR 0, 0, 16
    .endif
    .if \rows > 3
    LOAD_PAIR 2, 3, 20
    .elseif \rows > 2
    LOAD_PAIR 2, 2, 20
    .endif
    EACH_PAIR \rows, BEGIN
    OCTET   \rows, 0
    OCTET   \rows, 1
    .if \group == 16
    EACH_PAIR \rows, PAIR_END, \rows, K_SUM, 0
    EACH_PAIR \rows, BEGIN
    .endif
    OCTET   \rows, 2
    OCTET   \rows, 3
    .ifc \family, legacy
    EACH_PAIR \rows, PAIR_END, \rows, END, \min
    .elseif \group == 16
    EACH_PAIR \rows, PAIR_END, \rows, K_SUM, 64
    .else
    EACH_PAIR \rows, PAIR_END, \rows, K_SUM, 0
    .endif
.endm

/*      layout        family  bits group min offset begin words most even */
KERNEL  l4,  neoni8mm, legacy, 4,  32,  0,  1, magic,   0,  4,  1
KERNEL  l4m, neoni8mm, legacy, 4,  32,  1,  0, magic,   0,  4,  1
KERNEL  l5,  neoni8mm, legacy, 5,  32,  0,  1, magic,   0,  4,  1
KERNEL  l5m, neoni8mm, legacy, 5,  32,  1,  0, magic,   0,  4,  1
KERNEL  l8,  neoni8mm, legacy, 8,  32,  0,  1, magic,   0,  4,  1
KERNEL  k4m, neoni8mm, k,      4,  32,  8,  0, zero,    0,  4,  1
KERNEL  k5m, neoni8mm, k,      5,  32,  8,  0, zero,    0,  4,  1
KERNEL  h4m, neoni8mm, k,      4,  16, 16,  1, zero,    0,  4,  1
KERNEL  h6,  neoni8mm, k,      6,  16,  0,  1, zero,    0,  4,  1
