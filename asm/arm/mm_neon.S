/* mm_neon: y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, plain Advanced SIMD.
 *
 *   void wh_mm_<layout>_neon(const wh_mm *a);            l4 l4m l5 l5m l8 k4m k5m h4m h6
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *   The walk, and taking the integers apart: mm_arm.h
 *
 * An atom is 16 rows x 4 k: register r holds rows 4r .. 4r+3. With x's four k in every 32-bit lane, smull and smlal
 * multiply two rows x 4 k at a time into eight int16, which stay int16 for a whole group. A tile is 2 rows of x:
 *
 *   v0-v15   int16 sums: row i of x, rows 2p, 2p+1 of the panel in v(8i+p)    (8 bits: int32, two k added)
 *   v16-v23  acc (legacy) or S (K): row i, rows 4r .. 4r+3 in v(16+4i+r)
 *   v24-v27  weights of a quad                                                  (8 bits: v24, v25; products in v26, v27)
 *   v28-v29  x: 16 k of row i                                                   (8 bits: v30, v31)
 *   v30-v31  a quad of row i of x in every lane                                 (8 bits: two quads in v28, v29)
 *   v24-v31  temporaries at the end of a group
 *
 * Why int16 is enough (|x| <= 127): a lane is the sum of one product per quad, and lanes are added in pairs:
 *
 *   integers       quads   lane               pair of lanes         then
 *   -8 .. 15         8     15·127·8 = 15240   30480                 addp .8h, sadalp .4s
 *   -16 .. 15        8     16·127·8 = 16256   32512                 the same
 *   0 .. 31          8     31·127·8 = 31496   too large             sadalp .4s, addp .4s      (l5m, k5m)
 *   -32 .. 31        4     32·127·4 = 16256   32512                 addp .8h, sadalp .4s      (groups of 16)
 *   -4 .. 3          4     4·127·4  = 2032    4064, all four 8128   addp .8h twice, smlal     (h4m: sc as int16)
 *   -128 .. 127      2     128·127·2 = 32512                        sadalp .4s after two quads, addp .4s
 *
 *
 *   up to 6 bits:  for q, i, p:   v(8i+p).8h += w[q][2 rows p].8b · x[i][q]         (smull for the first q, smlal, smlal2)
 *   8 bits:        for q = 0, 2, 4, 6, i, p:   t = w[q]·x[q];  t += w[q+1]·x[q+1];  v(8i+p).4s += t in pairs (sadalp)
 *   dot[r] = begin + the lanes of v(8i+2r), v(8i+2r+1) of each row
 *   legacy:  v(16+4i+r) = fma(d_g[r] · d_x[i], dot[r] - MAGIC, v(16+4i+r))
 *   K:       v(16+4i+r) += sc_g[r] · dot[r]
 *
 * Bytes per weight (16 rows x 256 k with their scales): l4 0.563, l4m 0.625, l5 0.688, l5m 0.750, l8 1.063, k4m 0.578,
 * k5m 0.703, h4m 0.641, h6 0.828.
 * Bound: smlal is 8 MAC in one slot of the only multiplying pipe (A72: F0), so no order of instructions gets past 8 MAC
 * per cycle. On paper the legacy layouts reach it, as all else goes to other pipes; l8 7.8 (its sadalp fill the shift
 * pipe); k4m, k5m, h4m 7.1 and h6 6.4 (multiplying by sc). 220 instructions of l4 for 1024 MAC, 0.215 per MAC, 2.0 of
 * A72's 3 per cycle. A tile of 2 rows is enough: weights come through the load pipe. Counted and on paper:
 * bench/results/arm_kernels.md.
 */
#include "mm_arm.h"
    .arch armv8-a
    .set SUMS, 16

.macro PAIR_OUT a
    PAIR_OUT_QUADS \a
.endm

/* Minima to MINS_AT: [group][16] int16, from [pair of groups][row][2] bytes. */
.macro MINS_HEAD groups
    add     SC, SCRATCH, #MINS_AT
    mov     G, #\groups/2
1:  ldp     q4, q5, [W], #32
    uzp1    v6.16b, v4.16b, v5.16b
    uzp2    v7.16b, v4.16b, v5.16b
    uxtl    v0.8h, v6.8b
    uxtl2   v1.8h, v6.16b
    uxtl    v2.8h, v7.8b
    uxtl2   v3.8h, v7.16b
    STORE4  0, SC, 0
    add     SC, SC, #64
    subs    G, G, #1
    b.ne    1b
.endm

/* v0-v3 = M = Σ mn · sum */
.macro MINS i, groups
    add     T0, SCRATCH, #MINS_AT
    .irp half, 0, 1
    .if \half*8 < \groups
    ldr     q8, [ps\i, #16*\half]
    .irp g, 0, 1, 2, 3, 4, 5, 6, 7
    ldp     q24, q25, [T0], #32
    .if \half+\g == 0
    MINS_4  smull, \g
    .else
    MINS_4  smlal, \g
    .endif
    .endr
    .endif
    .endr
.endm
.macro MINS_4 op, g
    \op     v0.4s, v24.4h, v8.h[\g]
    \op\()2 v1.4s, v24.8h, v8.h[\g]
    \op     v2.4s, v25.4h, v8.h[\g]
    \op\()2 v3.4s, v25.8h, v8.h[\g]
.endm

.macro LOAD_X i, x
    LOAD_X_ \i, %(\x+\i)
.endm
.macro LOAD_X_ i, x
    ldr     q\x, [px\i], #16
.endm
/* v\to = quad \lane of v\x in every lane */
.macro SPREAD to, x, lane
    dup     v\to\().4s, v\x\().s[\lane]
.endm

/* v\lo, v\hi = (op smlal: +=) two rows each of v\w times v\x */
.macro TIMES op, lo, hi, w, x
    \op     v\lo\().8h, v\w\().8b, v\x\().8b
    \op\()2 v\hi\().8h, v\w\().16b, v\x\().16b
.endm

/* ---- up to 6 bits ---- */

/* Sixteen k, from quad \q on; the first one begins the sums if \op is smull. */
.macro QUADS rows, q, op
    EACH_ROW \rows, LOAD_X, 28
    QUAD    \rows, \q, 0, \op
    QUAD    \rows, \q, 1, smlal
    QUAD    \rows, \q, 2, smlal
    QUAD    \rows, \q, 3, smlal
.endm
.macro QUAD rows, q, lane, op
    LOAD4   24, U, 64*\q+64*\lane
    EACH_ROW \rows, QUAD_ROW, \lane, \op
.endm
.macro QUAD_ROW i, lane, op
    SPREAD  %(30+\i), %(28+\i), \lane
    .irp r, 0, 1, 2, 3
    TIMES   \op, %(8*\i+2*\r), %(8*\i+2*\r+1), %(24+\r), %(30+\i)
    .endr
.endm

/* v\d+r = v\a+2r and v\a+2r+1 added in pairs, r < \n */
.macro PAIRS type, d, a, n
    .irp r, 0, 1, 2, 3
    .if \r < \n
    PAIR_   \type, %(\d+\r), %(\a+2*\r), %(\a+2*\r+1)
    .endif
    .endr
.endm
.macro PAIR_ type, d, a, b
    addp    v\d\().\type, v\a\().\type, v\b\().\type
.endm
.macro WIDEN_ d, a
    sadalp  v\d\().4s, v\a\().8h
.endm

/* v24-v27 = begin + the dots of row i, from int16 sums in v\a .. \a+7 that may be added in pairs (or not: wide) */
.macro DOTS wide, a
    .if \wide
    LOAD_BEGIN 24
    LOAD_BEGIN 28
    .irp r, 0, 1, 2, 3, 4, 5, 6, 7
    WIDEN_  %(24+\r), %(\a+\r)
    .endr
    PAIRS   4s, 24, 24, 4
    .else
    LOAD_BEGIN 24
    PAIRS   8h, \a, \a, 4
    .irp r, 0, 1, 2, 3
    WIDEN_  %(24+\r), %(\a+\r)
    .endr
    .endif
.endm
.macro LOAD_BEGIN v
    LOAD_BEGIN_ \v, %(\v+1), %(\v+2), %(\v+3)
.endm
.macro LOAD_BEGIN_ a, b, c, d
    ldp     q\a, q\b, [SCRATCH, #BEGIN_AT]
    ldp     q\c, q\d, [SCRATCH, #BEGIN_AT]
.endm

.macro END i, min, wide
    DOTS    \wide, %(8*\i)
    LEGACY_SUM \i, \min, %(SUMS+4*\i), 24, %(8*\i), 28, 29
.endm
.macro SUM i, at, wide
    DOTS    \wide, %(8*\i)
    LOAD4   %(8*\i), SC, \at
    EACH4   mla, 4s, %(SUMS+4*\i), 24, %(8*\i)
.endm
/* All dots fit int16: S += dot · sc, sc int16. */
.macro SUM_WORDS i, at
    PAIRS   8h, %(8*\i), %(8*\i), 4
    PAIRS   8h, %(8*\i), %(8*\i), 2
    ldp     q24, q25, [SC, #\at]
    SUM_WORDS_ 24, %(8*\i), %(SUMS+4*\i), %(SUMS+4*\i+1)
    SUM_WORDS_ 25, %(8*\i+1), %(SUMS+4*\i+2), %(SUMS+4*\i+3)
.endm
.macro SUM_WORDS_ sc, dot, lo, hi
    smlal   v\lo\().4s, v\dot\().4h, v\sc\().4h
    smlal2  v\hi\().4s, v\dot\().8h, v\sc\().8h
.endm

/* ---- 8 bits: int32 sums in v0-v15, two quads at a time ---- */

.macro ROW_8 i
    LOAD_BEGIN %(8*\i)
    LOAD_BEGIN %(8*\i+4)
    .irp half, 0, 1
    LOAD_X_ \i, 30
    .irp pair, 0, 1
    SPREAD  28, 30, %(2*\pair)
    SPREAD  29, 30, %(2*\pair+1)
    .irp r, 0, 1, 2, 3
    TWO_QUADS %(8*\i+2*\r), %(8*\i+2*\r+1), %(256*\half+128*\pair+16*\r), %(256*\half+128*\pair+16*\r+64)
    .endr
    .endr
    .endr
.endm
.macro TWO_QUADS lo, hi, at, at64
    ldr     q24, [U, #\at]
    ldr     q25, [U, #\at64]
    TIMES   smull, 26, 27, 24, 28
    TIMES   smlal, 26, 27, 25, 29
    WIDEN_  \lo, 26
    WIDEN_  \hi, 27
.endm
.macro END_8 i
    PAIRS   4s, %(8*\i), %(8*\i), 4
    LEGACY_SUM \i, 0, %(SUMS+4*\i), %(8*\i), 24, 28, 29
.endm

.macro GROUP rows, family, bits, group, min
    .if \bits == 8
    EACH_ROW \rows, ROW_8
    EACH_ROW \rows, END_8
    .else
    QUADS   \rows, 0, smull
    .if \group == 16 && \bits == 4
    EACH_ROW \rows, SUM_WORDS, 0
    QUADS   \rows, 4, smull
    EACH_ROW \rows, SUM_WORDS, 32
    .elseif \group == 16
    EACH_ROW \rows, SUM, 0, 0
    QUADS   \rows, 4, smull
    EACH_ROW \rows, SUM, 64, 0
    .else
    QUADS   \rows, 4, smlal
    .ifc \family, legacy
    EACH_ROW \rows, END, \min, %(\bits == 5 && \min)
    .else
    EACH_ROW \rows, SUM, 0, %(\bits == 5)
    .endif
    .endif
    .endif
.endm

/*      layout    family  bits group min offset begin words most */
KERNEL  l4,  neon, legacy, 4,  32,  0,  1, magic,   0,  2
KERNEL  l4m, neon, legacy, 4,  32,  1,  0, magic,   0,  2
KERNEL  l5,  neon, legacy, 5,  32,  0,  1, magic,   0,  2
KERNEL  l5m, neon, legacy, 5,  32,  1,  0, pairs,   0,  2
KERNEL  l8,  neon, legacy, 8,  32,  0,  1, pairs,   0,  2
KERNEL  k4m, neon, k,      4,  32,  8,  0, zero,    0,  2
KERNEL  k5m, neon, k,      5,  32,  8,  0, zero,    0,  2
KERNEL  h4m, neon, k,      4,  16, 16,  1, zero,    1,  2
KERNEL  h6,  neon, k,      6,  16,  0,  1, zero,    0,  2
