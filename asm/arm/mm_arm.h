/* mm_arm: what the matmul kernels for AArch64 share: the walk over panels, blocks and rows of x, taking the
 * integers apart, and the f32 end of a group or block. mm_neon.S, mm_neondot.S and mm_neoni8mm.S differ in
 * the integer dot product alone.
 *
 *   for each panel (16 rows of w):                                       acc = 0 for all m rows of x
 *       for each block of 256 k:
 *           unpack: U = the integers of the block as signed bytes (4 KB), scales as f32 or int
 *           for each tile (1 to 3 rows of x, m split evenly):
 *               for each group:  dot = Σ u·x  in the instruction set's own way
 *                   legacy:  acc = fma(d_g · d_x, float(dot), acc);  acc = fma(m_g, d_x · Σx, acc)
 *                   K:       S += sc_g · dot
 *               K:  t = D · float(S);  t = fma(-Dmin, float(M), t);  acc = fma(d_x, t, acc)
 *       y = acc
 *
 * So weights are taken apart once for all rows of x, and a tile's x and sums stay in L1 for a whole block.
 *
 * Two choices differ from x86:
 *   - The format's offset is subtracted while unpacking (u - off always fits a signed byte: it is the file's own
 *     integer, and sdot, smlal and smmla take signed by signed), so wh_mm.start is read for d_x · Σx alone.
 *   - int32 -> f32 of a legacy dot costs two slots of one pipe (scvtf .4s), an fsub one slot of either pipe. So the
 *     sum begins at MAGIC, the bits of 1.5 · 2^23 as a float. Its last place is 1: adding the integer dot to the bits
 *     adds it to the value, and float(dot) = value - 1.5 · 2^23 is exact as |dot| <= 127·128·32 < 2^22.
 */
#ifndef WH_MM_ARM_H
#define WH_MM_ARM_H

#include "wh_asm.h"

/* Registers. x18 belongs to the platform. */
#define ARGS    x0
#define W       x1  /* forward through the panels */
#define U       x2  /* tile: integers of the group */
#define SC      x3  /* tile: scales of the group */
#define ACC     x4  /* tile: sums of its rows */
#define G       x5  /* tile: groups left */
#define SCRATCH x19
#define GROUPS  x20 /* groups of 32 k in the block */
#define K_LEFT  x21 /* k from this block to the end */
#define PANELS  x22 /* left */
#define Y       x23 /* of this panel */
#define XB      x24 /* x of row 0, this block; d, start or sum likewise */
#define DB      x25
#define SB      x26
#define ROW     x27 /* first row of the tile */
#define TILES   x28 /* left in the block */
#define ROWS    x29 /* in the tile */
#define T0      x30
#define T1      x6  /* outside tiles */
#define T1w     w6

/* Of row i of the tile: px<i> its x, pd<i> its d, ps<i> its start (legacy) or sum (K). */
px0 .req x6
px1 .req x7
px2 .req x8
pd0 .req x10
pd1 .req x11
pd2 .req x12
ps0 .req x14
ps1 .req x15
ps2 .req x16

/* Scratch. */
#define BEGIN_AT  0    /* 32 bytes: where sums begin */
#define MAGIC_AT  32   /* 16 bytes */
#define D_AT      64   /* D, Dmin: 2 x 16 f32 */
#define SCALES_AT 512  /* legacy: d [and m] of 8 groups, f32; K: sc of 16 groups, int32 (int16 with words) */
#define MINS_AT   1536 /* 512 bytes */
#define U_AT      2048 /* 256 k x 16 rows */
#define ACC_AT    8192 /* 128 x 16 f32 */

#define AHEAD 1024 /* prefetch distance in bytes */

    .altmacro /* for %(expression) as an argument; it replaces a parameter's bare name too, even the s of 4s */

/* ---- four registers at a time ---------------------------------------------------------------------------- */

.macro LOAD4 v, base, at
    LOAD4_  \v, %(\v+1), %(\v+2), %(\v+3), \base, %(\at), %(\at+32)
.endm
.macro LOAD4_ a, b, c, d, base, at, at32
    ldp     q\a, q\b, [\base, #\at]
    ldp     q\c, q\d, [\base, #\at32]
.endm
.macro STORE4 v, base, at
    STORE4_ \v, %(\v+1), %(\v+2), %(\v+3), \base, %(\at), %(\at+32)
.endm
.macro STORE4_ a, b, c, d, base, at, at32
    stp     q\a, q\b, [\base, #\at]
    stp     q\c, q\d, [\base, #\at32]
.endm

/* op v\d+r, v\a+r, v\b+r  for r = 0 .. 3 */
.macro EACH4 op, type, d, a, b
    .irp r, 0, 1, 2, 3
    EACH_   \op, \type, %(\d+\r), %(\a+\r), %(\b+\r)
    .endr
.endm
.macro EACH_ op, type, d, a, b
    \op     v\d\().\type, v\a\().\type, v\b\().\type
.endm
/* op v\d+r, v\a+r, v\b  with one second operand: a register of \b's own type */
.macro EACH4_ONE op, type, d, a, b:vararg
    .irp r, 0, 1, 2, 3
    EACH_ONE_ \op, \type, %(\d+\r), %(\a+\r), \b
    .endr
.endm
.macro EACH_ONE_ op, type, d, a, b:vararg
    \op     v\d\().\type, v\a\().\type, \b
.endm
.macro EACH4_UNARY op, type, d, a
    .irp r, 0, 1, 2, 3
    EACH_UNARY_ \op, \type, %(\d+\r), %(\a+\r)
    .endr
.endm
.macro EACH_UNARY_ op, type, d, a
    \op     v\d\().\type, v\a\().\type
.endm

/* ---- taking a block apart -------------------------------------------------------------------------------- */

/* 16 f16 at \from to f32 in v0-v3. */
.macro WIDEN_F16 from, at
    ldp     q4, q5, [\from, #\at]
    fcvtl   v0.4s, v4.4h
    fcvtl2  v1.4s, v4.8h
    fcvtl   v2.4s, v5.4h
    fcvtl2  v3.4s, v5.8h
.endm

/* v\q+r |= the high bits of a quad: those of plane v\plane+r, shifted left by \by, that v29 selects. */
.macro HIGH q, plane, by
    .irp r, 0, 1, 2, 3
    HIGH_   %(\q+\r), %(\plane+\r), \by, %(-(\by))
    .endr
.endm
.macro HIGH_ q, plane, by, right
    .if \by > 0
    shl     v24.16b, v\plane\().16b, #\by
    bit     v\q\().16b, v24.16b, v29.16b
    .elseif \by < 0
    ushr    v24.16b, v\plane\().16b, #\right
    bit     v\q\().16b, v24.16b, v29.16b
    .else
    bit     v\q\().16b, v\plane\().16b, v29.16b
    .endif
.endm

/* Quads 2a and 2a + 1 of the group at W: v4-v7 and v0-v3, v0 being rows 0-3 x 4 k. */
.macro UNPACK_PAIR bits, a
    .if \bits == 8
    LOAD4   4, W, 128*\a
    LOAD4   0, W, 128*\a+64
    .else
    LOAD4   0, W, 64*\a
    EACH4_ONE and, 16b, 4, 0, v30.16b
    EACH4_ONE ushr, 16b, 0, 0, #4
    .endif
    .if \bits == 5
    HIGH    4, 16, %(4-2*\a)
    HIGH    0, 16, %(3-2*\a)
    .elseif \bits == 6 && \a < 2
    HIGH    4, 16, %(4-4*\a)
    HIGH    0, 16, %(2-4*\a)
    .elseif \bits == 6
    HIGH    4, 20, %(12-4*\a)
    HIGH    0, 20, %(10-4*\a)
    .endif
.endm

/* GROUPS groups from W to scratch; leaves W behind them. PAIR_OUT a: the instruction set's own order of v4-v7, v0-v3. */
.macro UNPACK bits, offset
    add     U, SCRATCH, #U_AT
    mov     G, GROUPS
    movi    v30.16b, #0x0f
    .if \bits == 5
    movi    v29.16b, #0x10
    .else
    movi    v29.16b, #0x30
    .endif
    .if \offset
    ldr     T1, [ARGS, #MM_OFF]
    dup     v31.16b, T1w
    .endif
1:  prfm    pldl1strm, [W, #AHEAD]
    prfm    pldl1strm, [W, #AHEAD+128]
    .if \bits == 5
    LOAD4   16, W, 256
    .elseif \bits == 6
    LOAD4   16, W, 256
    LOAD4   20, W, 320
    .endif
    .irp a, 0, 1, 2, 3
    UNPACK_PAIR \bits, \a
    .if \offset
    EACH4_ONE sub, 16b, 4, 4, v31.16b
    EACH4_ONE sub, 16b, 0, 0, v31.16b
    .endif
    PAIR_OUT \a
    .endr
    add     W, W, #64*\bits
    add     U, U, #512
    subs    G, G, #1
    b.ne    1b
.endm
/* The quads as they are: U is [quad][row][4 k]. */
.macro PAIR_OUT_QUADS a
    STORE4  4, U, 128*\a
    STORE4  0, U, 128*\a+64
.endm

/* The head of a legacy block: d and m of each group to f32. */
.macro HEAD_LEGACY min
    mov     G, GROUPS
    add     SC, SCRATCH, #SCALES_AT
    mov     T1, W
1:  WIDEN_F16 T1, 0
    STORE4  0, SC, 0
    .if \min
    WIDEN_F16 T1, 32
    STORE4  0, SC, 64
    .endif
    add     SC, SC, #64+64*\min
    add     T1, T1, #32+32*\min
    subs    G, G, #1
    b.ne    1b
    .if \min
    add     W, W, GROUPS, lsl #6
    .else
    add     T1, GROUPS, #1 /* heads are whole lines */
    and     T1, T1, #-2
    add     W, W, T1, lsl #5
    .endif
.endm

/* The head of a K block of \groups groups: D and Dmin, sc; W is left at the minima. */
.macro HEAD_K groups, words
    WIDEN_F16 W, 0
    STORE4  0, SCRATCH, D_AT
    WIDEN_F16 W, 32
    STORE4  0, SCRATCH, D_AT+64
    add     W, W, #64
    add     SC, SCRATCH, #SCALES_AT
    mov     G, #\groups
1:  ldr     q4, [W], #16
    sxtl    v0.8h, v4.8b
    sxtl2   v2.8h, v4.16b
    .if \words
    stp     q0, q2, [SC], #32
    .else
    sxtl2   v1.4s, v0.8h
    sxtl    v0.4s, v0.4h
    sxtl2   v3.4s, v2.8h
    sxtl    v2.4s, v2.4h
    STORE4  0, SC, 0
    add     SC, SC, #64
    .endif
    subs    G, G, #1
    b.ne    1b
.endm

/* ---- the end of a group or a block: row i of the tile ---------------------------------------------------- */

/* Legacy: v\acc .. +3 = acc after this group. v\dot .. +3 hold MAGIC + dot; v\tmp .. +3, v\magic, v\one are temporaries. */
.macro LEGACY_SUM i, min, acc, dot, tmp, magic, one
    ldr     q\magic, [SCRATCH, #MAGIC_AT]
    ldr     s\one, [pd\i], #4
    LOAD4   \tmp, SC, 0
    EACH4_ONE fsub, 4s, \dot, \dot, v\magic\().4s
    EACH4_ONE fmul, 4s, \tmp, \tmp, v\one\().s[0]
    EACH4   fmla, 4s, \acc, \tmp, \dot
    .if \min
    ldr     s\one, [ps\i], #4
    LOAD4   \tmp, SC, 64
    EACH4_ONE fmla, 4s, \acc, \tmp, v\one\().s[0]
    .endif
.endm

/* K, after the last group: t, and acc. v\big .. +3 hold S; v0-v11 and v24-v31 are temporaries.
 * MINS i: M of 16 rows to v0-v3, with the same temporaries. */
.macro K_END i, mins, big
    .if \mins
    MINS    \i, \mins
    LOAD4   4, SCRATCH, D_AT+64
    EACH4_UNARY scvtf, 4s, 0, 0
    .endif
    LOAD4   24, SCRATCH, D_AT
    EACH4_UNARY scvtf, 4s, \big, \big
    LOAD4   28, ACC, 64*\i
    EACH4   fmul, 4s, \big, \big, 24
    ldr     s8, [pd\i]
    .if \mins
    EACH4   fmls, 4s, \big, 4, 0
    .endif
    EACH4_ONE fmla, 4s, 28, \big, v8.s[0]
    STORE4  28, ACC, 64*\i
.endm

/* Before the first group and after the last one of a block: the sums of row i (acc of legacy, S of K) live in
 * v(SUMS+4i) .. +3 meanwhile. SUMS is 12 or 16, set by the instruction set's file. */
.macro OPEN_acc i
    LOAD4   %(SUMS+4*\i), ACC, 64*\i
.endm
.macro OPEN_S i
    .irp r, 0, 1, 2, 3
    ZERO_   %(SUMS+4*\i+\r)
    .endr
.endm
.macro ZERO_ to
    movi    v\to\().16b, #0
.endm
.macro CLOSE_acc i
    STORE4  %(SUMS+4*\i), ACC, 64*\i
.endm
.macro CLOSE_S i, min
    K_END   \i, \min, %(SUMS+4*\i)
.endm

/* Invoke \op i, args  for each row of the tile. */
.macro EACH_ROW rows, op, args:vararg
    .irp i, 0, 1, 2
    .if \i < \rows
    \op     \i, \args
    .endif
    .endr
.endm

/* ---- the walk --------------------------------------------------------------------------------------------- */

/* Row pointers of a tile: \p0 .. for \rows rows, the first of which is row ROW of \base; \stride: in struct wh_mm. */
.macro POINTERS rows, base, stride, p0, p1, p2
    ldr     T0, [ARGS, #\stride]
    madd    \p0, ROW, T0, \base
    .if \rows > 1
    add     \p1, \p0, T0
    .endif
    .if \rows > 2
    add     \p2, \p1, T0
    .endif
.endm

.macro TILE_BEGIN rows, family, min
    POINTERS \rows, XB, MM_X_STRIDE, px0, px1, px2
    POINTERS \rows, DB, MM_D_STRIDE, pd0, pd1, pd2
    .ifc \family, legacy
    .if \min
    POINTERS \rows, SB, MM_START_STRIDE, ps0, ps1, ps2
    .endif
    .else
    .if \min
    POINTERS \rows, SB, MM_SUM_STRIDE, ps0, ps1, ps2
    .endif
    .endif
    add     ACC, SCRATCH, ROW, lsl #6
    add     ACC, ACC, #ACC_AT
    add     U, SCRATCH, #U_AT
    add     SC, SCRATCH, #SCALES_AT
    mov     G, GROUPS
.endm

/* A kernel.
 *   family   legacy or k
 *   bits     4, 5, 6, 8
 *   group    16 or 32 k
 *   min      legacy: 1 when groups have minima; K: groups that have minima in a block: 0, 8 or 16
 *   offset   1: u - off while unpacking
 *   begin    where sums begin: magic (every lane), pairs (MAGIC and 0, lanes are added in pairs), zero
 *   words    1: sc as int16
 *   most     rows in a tile
 * The instruction set's file defines PAIR_OUT, MINS, MINS_HEAD and
 *   GROUP rows, family, bits, group, min       a group of 32 k for the tile: advances px, and pd and ps of legacy
 */
.macro KERNEL layout, isa, family, bits, group, min, offset, begin, words, most
FUNCTION wh_mm_\layout\()_\isa
    stp     x29, x30, [sp, #-160]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    ldr     W, [ARGS, #MM_W]
    ldr     PANELS, [ARGS, #MM_PANELS]
    ldr     Y, [ARGS, #MM_Y]
    ldr     SCRATCH, [ARGS, #MM_SCRATCH]
    mov     T1w, #0x4b400000
    dup     v0.4s, T1w
    str     q0, [SCRATCH, #MAGIC_AT]
    .ifc \begin, pairs
    dup     v0.2d, T1
    .endif
    .ifc \begin, zero
    movi    v0.16b, #0
    .endif
    stp     q0, q0, [SCRATCH, #BEGIN_AT]

.L\layout\()_\isa\()_panel:
    ldr     K_LEFT, [ARGS, #MM_K]
    ldr     XB, [ARGS, #MM_X]
    ldr     DB, [ARGS, #MM_D]
    .ifc \family, legacy
    ldr     SB, [ARGS, #MM_START]
    .else
    ldr     SB, [ARGS, #MM_SUM]
    .endif
    ldr     ROWS, [ARGS, #MM_M]
    add     ACC, SCRATCH, #ACC_AT
    movi    v0.16b, #0
1:  stp     q0, q0, [ACC]
    stp     q0, q0, [ACC, #32]
    add     ACC, ACC, #64
    subs    ROWS, ROWS, #1
    b.ne    1b

.L\layout\()_\isa\()_block:
    .ifc \family, legacy
    lsr     GROUPS, K_LEFT, #5
    mov     T0, #8
    cmp     GROUPS, T0
    csel    GROUPS, GROUPS, T0, lo
    HEAD_LEGACY \min
    .else
    mov     GROUPS, #8
    HEAD_K  %(256/\group), \words
    .if \min
    MINS_HEAD \min
    .endif
    .endif
    UNPACK  \bits, \offset
    ldr     TILES, [ARGS, #MM_M]
    mov     T0, #\most
    add     TILES, TILES, #\most-1
    udiv    TILES, TILES, T0
    mov     ROW, #0

.L\layout\()_\isa\()_tile: /* rows = (m - ROW) / TILES, rounded up */
    ldr     T0, [ARGS, #MM_M]
    sub     T0, T0, ROW
    add     ROWS, T0, TILES
    sub     ROWS, ROWS, #1
    udiv    ROWS, ROWS, TILES
    .irp rows, 1, 2
    .if \rows < \most
    cmp     ROWS, #\rows
    b.eq    .L\layout\()_\isa\()_tile_\rows
    .endif
    .endr
    .irp rows, 3, 2, 1
    .if \rows <= \most
.L\layout\()_\isa\()_tile_\rows:
    TILE_BEGIN \rows, \family, \min
    .ifc \family, legacy
    EACH_ROW \rows, OPEN_acc
    .else
    EACH_ROW \rows, OPEN_S
    .endif
.L\layout\()_\isa\()_group_\rows:
    GROUP   \rows, \family, \bits, \group, \min
    add     U, U, #512
    .ifc \family, legacy
    add     SC, SC, #64+64*\min
    .else
    add     SC, SC, #(64*32/\group) >> \words
    .endif
    subs    G, G, #1
    b.ne    .L\layout\()_\isa\()_group_\rows
    .ifc \family, legacy
    EACH_ROW \rows, CLOSE_acc
    .else
    EACH_ROW \rows, CLOSE_S, \min
    .endif
    .if \rows > 1
    b       .L\layout\()_\isa\()_next
    .endif
    .endif
    .endr

.L\layout\()_\isa\()_next:
    add     ROW, ROW, ROWS
    subs    TILES, TILES, #1
    b.ne    .L\layout\()_\isa\()_tile
    add     XB, XB, GROUPS, lsl #5
    .ifc \family, legacy
    add     DB, DB, GROUPS, lsl #2
    add     SB, SB, GROUPS, lsl #2
    .else
    add     DB, DB, #4
    add     SB, SB, #512/\group
    .endif
    subs    K_LEFT, K_LEFT, GROUPS, lsl #5
    b.ne    .L\layout\()_\isa\()_block

    ldr     ROWS, [ARGS, #MM_M]
    ldr     T1, [ARGS, #MM_Y_STRIDE]
    add     ACC, SCRATCH, #ACC_AT
    mov     T0, Y
1:  LOAD4   0, ACC, 0
    add     ACC, ACC, #64
    STORE4  0, T0, 0
    add     T0, T0, T1, lsl #2
    subs    ROWS, ROWS, #1
    b.ne    1b
    add     Y, Y, #64
    subs    PANELS, PANELS, #1
    b.ne    .L\layout\()_\isa\()_panel

    ldp     d14, d15, [sp, #144]
    ldp     d12, d13, [sp, #128]
    ldp     d10, d11, [sp, #112]
    ldp     d8, d9, [sp, #96]
    ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #160
    ret
ENDFUNCTION wh_mm_\layout\()_\isa
.endm

#endif
