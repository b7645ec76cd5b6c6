/* mm_ymm: y (m,n) = x (m,k) · wᵀ (n,k) in 256-bit registers; mm_avx2.S and mm_avxvnni.S are made from it.
 *
 *   void wh_mm_<layout>_avx2(const wh_mm *a);      l4 l4m l5 l5m l8 k4m k5m h4m h6 b8; the same for avxvnni
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *
 * A panel of 16 rows is two registers of 8 lanes. The integers of a group of 32 k are unpacked to the stack once
 * and used for all m rows of x, a few at a time; a broadcast of four activations serves both halves of the panel.
 * Running sums live in the scratch area (L1):
 *
 *   for each panel, block, group:  unpack;  for each row of x:
 *       chain = Σ over some quads of w_q · broadcast(x_q);  sum += chain · scale      ("flush")
 *       legacy:  acc = fma(d_g · d_x, float(sum), acc)      K, b8: S += sum
 *   b8, at the end of a block:  acc = fma(d_x, D·float(S), acc)      (AVX-VNNI: S + start)
 *   K, at the end of a block:  t = D·S - Dmin·M;  acc = fma(d_x, t, acc)
 *
 * AVX2: vpmaddubsw (u8 x s8 pairs) into a chain of int16 that cannot overflow, then one vpmaddwd, by ones or by
 * the integer scale, which widens and scales at once. The chain's length follows from 2·(2^bits - 1)·127 per step:
 * 4 bits 8 quads (30480), 5 bits 4 (31496), 6 bits 2 (32004); 8 bits do not fit, so |w| · sign(x, w), one quad each
 * (2·128·127 = 32512). 17 vector uops for 8 x 32 products of 4 bits on 3 ports: 45 MAC/cycle.
 * The offset of the K formats is taken off at the end of a block: S += Σ_g (-off·sc_g)·sum_g, by vpmaddwd.
 *
 * AVX-VNNI: vpdpbusd into int32 that starts at -off·Σx. k4m and h4m scale it by vpdpwssd, as dots over u - 8 fit
 * 16 bits (mm_avx512vnni.S has the argument); k5m and h6 by vpmulld.
 *
 * Measured on one thread (Sapphire Rapids, 4 GHz), m >= 16, GOP/s: AVX2 k4m 260, l5 235, h6 200, l8 130 (peak of
 * vpmaddubsw + vpaddw 391); AVX-VNNI k4m 325, l5 315, h6 255, l8 333 (peak of vpdpbusd 508).
 *
 * The including file sets VNNI (0 or 1) and the macro NAME.
 */
#include "wh_asm.h"

#define W    rsi
#define HEAD rdi
#define X    rax
#define XS   rcx
#define XS3  rdx
#define S    r8
#define SS   r9
#define SS3  r10
#define D    r11
#define ARGS r12
#define ACC  r14
#define LEFT r15
#define K0   rbp
#define K0d  ebp

/* The frame, 64-byte aligned; arrays hold 32 bytes for each half of the panel. */
#define PANELS rsp
#define GROUPS rsp + 8
#define COLUMN rsp + 16
#define SAVED  rsp + 24
#define UNPACKED 64         /* [quad][half] */
#define SCALES 576          /* d, or sc of the first 16 k */
#define SCALES2 640         /* m, or sc of the second 16 k */
#define CORR   704          /* [pair][half]: words that multiply sums and go into S */
#define MINS   1216         /* the same, into M */
#define FRAME  1728
#define S_BYTES 8192
#define AHEAD  2048

    .section .rodata
    .p2align 5
.Lones:
    .rept 32
    .short 1
    .endr
.Lnibble:
    .fill 32, 1, 0x0f
.Lhigh5:
    .fill 32, 1, 0x10
.Lhigh6:
    .fill 32, 1, 0x30
.Lsign:
    .fill 32, 1, 0x80
    .text

/* Rows of a tile, and \op a0, a1, c0, c1, b, t, x, s, d, row for each: sums and chains of the two halves, two
 * temporaries, the addresses of x, start and d, the row's place in S or acc. ymm0, 1 hold a quad of w, ymm14, 15 |w|.
 * AVX2 chains of 4 bits need no sums beside them: a = c, three rows. Otherwise two rows; VNNI: four. */
.macro EACH_ROW rows, op, args:vararg
#if VNNI
    \op 2, 3, 2, 3, 10, 14, X, S, D, 0, \args
    .if \rows > 1
    \op 4, 5, 4, 5, 11, 15, X + XS, S + SS, D + SS, 64, \args
    .endif
    .if \rows > 2
    \op 6, 7, 6, 7, 12, 14, X + 2*XS, S + 2*SS, D + 2*SS, 128, \args
    .endif
    .if \rows > 3
    \op 8, 9, 8, 9, 13, 15, X + XS3, S + SS3, D + SS3, 192, \args
    .endif
#else
    .if BITS == 4 && !HALVES
    \op 2, 3, 2, 3, 8, 11, X, S, D, 0, \args
    .if \rows > 1
    \op 4, 5, 4, 5, 9, 12, X + XS, S + SS, D + SS, 64, \args
    .endif
    .if \rows > 2
    \op 6, 7, 6, 7, 10, 13, X + 2*XS, S + 2*SS, D + 2*SS, 128, \args
    .endif
    .else
    \op 2, 3, 6, 7, 10, 12, X, S, D, 0, \args
    .if \rows > 1
    \op 4, 5, 8, 9, 11, 13, X + XS, S + SS, D + SS, 64, \args
    .endif
    .endif
#endif
.endm

/* ---- unpacking a group: ymm5 = 0x0f bytes, ymm6 = the high bits' mask --------------------------------- */

.macro HIGH q, half, plane, by
    .if \by > 0
    vpsllw  ymm1, ymm\plane, \by
    vpand   ymm1, ymm1, ymm6
    .elseif \by < 0
    vpsrlw  ymm1, ymm\plane, -(\by)
    vpand   ymm1, ymm1, ymm6
    .else
    vpand   ymm1, ymm\plane, ymm6
    .endif
.endm

.macro UNPACK_QUAD bits, q, half
    .if \bits == 8
    vmovdqa ymm0, [W + 64*\q + 32*\half]
    .if !VNNI
    vpxor   ymm0, ymm0, ymm6 /* u - 128 as int8 */
    .endif
    .elseif \q & 1
    vpsrlw  ymm0, ymm2, 4
    vpand   ymm0, ymm0, ymm5
    .else
    vmovdqa ymm2, [W + 32*\q + 32*\half]
    vpand   ymm0, ymm2, ymm5
    .endif
    .if \bits == 5
    HIGH    \q, \half, 3, 4-\q
    vpor    ymm0, ymm0, ymm1
    .elseif \bits == 6
    .if \q < 4
    HIGH    \q, \half, 3, 4-2*\q
    .else
    HIGH    \q, \half, 4, 12-2*\q
    .endif
    vpor    ymm0, ymm0, ymm1
    .endif
    vmovdqa [rsp + UNPACKED + 64*\q + 32*\half], ymm0
.endm

.macro UNPACK bits
    .if \bits == 8
    vmovdqa ymm6, [rip + .Lsign]
    .else
    vmovdqa ymm5, [rip + .Lnibble]
    .endif
    .if \bits == 5
    vmovdqa ymm6, [rip + .Lhigh5]
    .elseif \bits == 6
    vmovdqa ymm6, [rip + .Lhigh6]
    .endif
    .irp half, 0, 1
    .if \bits > 4 && \bits < 8
    vmovdqa ymm3, [W + 256 + 32*\half]
    .endif
    .if \bits == 6
    vmovdqa ymm4, [W + 320 + 32*\half]
    .endif
    .irp q, 0, 1, 2, 3, 4, 5, 6, 7
    UNPACK_QUAD \bits, \q, \half
    .endr
    .endr
    .irp line, 0, 1, 2, 3, 4, 5, 6, 7
    .if \line < \bits
    prefetcht0 [W + 64*\line + AHEAD]
    .endif
    .endr
    add     W, 64*\bits
.endm

/* ---- one tile ------------------------------------------------------------------------------------------ */

.macro LOAD_W q
    vmovdqa ymm0, [rsp + UNPACKED + 64*\q]
    vmovdqa ymm1, [rsp + UNPACKED + 64*\q + 32]
.endm
.macro BROADCAST a0, a1, c0, c1, b, t, x, s, d, row, q
    vpbroadcastd ymm\b, [\x + 4*\q]
.endm
#if VNNI
.macro DOT_ZERO a0, a1, c0, c1, b, t, x, s, d, row, none
    vpxor   xmm\a0, xmm\a0, xmm\a0
    vpxor   xmm\a1, xmm\a1, xmm\a1
.endm
.macro DOT_START a0, a1, c0, c1, b, t, x, s, d, row, at
    vpbroadcastd ymm\a0, [\s + \at]
    vmovdqa ymm\a1, ymm\a0
.endm
.macro DOT a0, a1, c0, c1, b, t, x, s, d, row, none
    {vex} vpdpbusd ymm\a0, ymm0, ymm\b
    {vex} vpdpbusd ymm\a1, ymm1, ymm\b
.endm
.macro DOTS rows, list:vararg
    .irp q, \list
    LOAD_W  \q
    EACH_ROW \rows, BROADCAST, \q
    EACH_ROW \rows, DOT
    .endr
.endm
.macro DOT_LOAD a0, a1, c0, c1, b, t, x, s, d, row, none
    vmovdqa ymm\a0, [ACC + \row]
    vmovdqa ymm\a1, [ACC + \row + 32]
.endm
.macro DOT_STORE a0, a1, c0, c1, b, t, x, s, d, row, none
    vmovdqa [ACC + \row], ymm\a0
    vmovdqa [ACC + \row + 32], ymm\a1
.endm
/* S += dot · scale */
.macro SCALE_WORDS a0, a1, c0, c1, b, t, x, s, d, row, scale
    vmovdqa ymm\t, [ACC + \row]
    vmovdqa ymm\b, [ACC + \row + 32]
    {vex} vpdpwssd ymm\t, ymm\a0, [rsp + \scale]
    {vex} vpdpwssd ymm\b, ymm\a1, [rsp + \scale + 32]
    vmovdqa [ACC + \row], ymm\t
    vmovdqa [ACC + \row + 32], ymm\b
.endm
.macro SCALE_MUL a0, a1, c0, c1, b, t, x, s, d, row, scale
    vpmulld ymm\a0, ymm\a0, [rsp + \scale]
    vpmulld ymm\a1, ymm\a1, [rsp + \scale + 32]
    vpaddd  ymm\a0, ymm\a0, [ACC + \row]
    vpaddd  ymm\a1, ymm\a1, [ACC + \row + 32]
    vmovdqa [ACC + \row], ymm\a0
    vmovdqa [ACC + \row + 32], ymm\a1
.endm
#else
.macro MADD_FIRST a0, a1, c0, c1, b, t, x, s, d, row, none
    vpmaddubsw ymm\c0, ymm0, ymm\b
    vpmaddubsw ymm\c1, ymm1, ymm\b
.endm
.macro MADD a0, a1, c0, c1, b, t, x, s, d, row, none
    vpmaddubsw ymm\t, ymm0, ymm\b
    vpmaddubsw ymm\b, ymm1, ymm\b
    vpaddw  ymm\c0, ymm\c0, ymm\t
    vpaddw  ymm\c1, ymm\c1, ymm\b
.endm
.macro MADD_SIGNED a0, a1, c0, c1, b, t, x, s, d, row, none
    vpsignb ymm\t, ymm\b, ymm0
    vpsignb ymm\b, ymm\b, ymm1
    vpmaddubsw ymm\c0, ymm14, ymm\t
    vpmaddubsw ymm\c1, ymm15, ymm\b
.endm
.macro WIDEN_FIRST a0, a1, c0, c1, b, t, x, s, d, row, scale
    vpmaddwd ymm\a0, ymm\c0, [\scale]
    vpmaddwd ymm\a1, ymm\c1, [\scale + 32]
.endm
.macro WIDEN a0, a1, c0, c1, b, t, x, s, d, row, scale
    vpmaddwd ymm\c0, ymm\c0, [\scale]
    vpmaddwd ymm\c1, ymm\c1, [\scale + 32]
    vpaddd  ymm\a0, ymm\a0, ymm\c0
    vpaddd  ymm\a1, ymm\a1, ymm\c1
.endm
.macro ADD_TO_S a0, a1, c0, c1, b, t, x, s, d, row, none
    vpaddd  ymm\a0, ymm\a0, [ACC + \row]
    vpaddd  ymm\a1, ymm\a1, [ACC + \row + 32]
    vmovdqa [ACC + \row], ymm\a0
    vmovdqa [ACC + \row + 32], ymm\a1
.endm
.macro ADD_START a0, a1, c0, c1, b, t, x, s, d, row, none
    vpbroadcastd ymm\b, [\s]
    vpaddd  ymm\a0, ymm\a0, ymm\b
    vpaddd  ymm\a1, ymm\a1, ymm\b
.endm

/* chain = Σ w_q x_q over the quads, then sum = chain · scale for the first flush of a group, += for the others */
.macro CHAIN rows, flush, scale, first, rest:vararg
    LOAD_W  \first
    EACH_ROW \rows, BROADCAST, \first
    EACH_ROW \rows, MADD_FIRST
    .irp q, \rest
    LOAD_W  \q
    EACH_ROW \rows, BROADCAST, \q
    EACH_ROW \rows, MADD
    .endr
    .ifc \scale, ones
    EACH_ROW \rows, \flush, rip + .Lones
    .else
    EACH_ROW \rows, \flush, rsp + \scale
    .endif
.endm
.macro SIGNED_QUAD rows, flush, q
    LOAD_W  \q
    vpabsb  ymm14, ymm0
    vpabsb  ymm15, ymm1
    EACH_ROW \rows, BROADCAST, \q
    EACH_ROW \rows, MADD_SIGNED
    EACH_ROW \rows, \flush, rip + .Lones
.endm
#endif

.macro LEGACY_END a0, a1, c0, c1, b, t, x, s, d, row, min
    vcvtdq2ps ymm\a0, ymm\a0
    vcvtdq2ps ymm\a1, ymm\a1
    vbroadcastss ymm\b, [\d]
    vmulps  ymm\t, ymm\b, [rsp + SCALES]
    vmulps  ymm\b, ymm\b, [rsp + SCALES + 32]
    vfmadd213ps ymm\a0, ymm\t, [ACC + \row]
    vfmadd213ps ymm\a1, ymm\b, [ACC + \row + 32]
    .if \min
    vbroadcastss ymm\b, [\s]
    vfmadd231ps ymm\a0, ymm\b, [rsp + SCALES2]
    vfmadd231ps ymm\a1, ymm\b, [rsp + SCALES2 + 32]
    .endif
    vmovaps [ACC + \row], ymm\a0
    vmovaps [ACC + \row + 32], ymm\a1
.endm

#if VNNI
.macro TILE layout, rows
    .if LEGACY
    .if MIN
    EACH_ROW \rows, DOT_ZERO
    .else
    EACH_ROW \rows, DOT_START, 0
    .endif
    DOTS    \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, LEGACY_END, MIN
    .endif
    .if BLOCK
    EACH_ROW \rows, DOT_LOAD
    DOTS    \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, DOT_STORE
    .endif
    .ifc \layout, k4m
    EACH_ROW \rows, DOT_START, 0
    DOTS    \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, SCALE_WORDS, SCALES
    .endif
    .ifc \layout, k5m
    EACH_ROW \rows, DOT_ZERO
    DOTS    \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, SCALE_MUL, SCALES
    .endif
    .ifc \layout, h4m
    EACH_ROW \rows, DOT_START, 0
    DOTS    \rows, 0, 1, 2, 3
    EACH_ROW \rows, SCALE_WORDS, SCALES
    EACH_ROW \rows, DOT_START, 4
    DOTS    \rows, 4, 5, 6, 7
    EACH_ROW \rows, SCALE_WORDS, SCALES2
    .endif
    .ifc \layout, h6
    EACH_ROW \rows, DOT_START, 0
    DOTS    \rows, 0, 1, 2, 3
    EACH_ROW \rows, SCALE_MUL, SCALES
    EACH_ROW \rows, DOT_START, 4
    DOTS    \rows, 4, 5, 6, 7
    EACH_ROW \rows, SCALE_MUL, SCALES2
    .endif
.endm
#else
.macro TILE layout, rows
    .if LEGACY || BLOCK
    .if BITS == 4
    CHAIN   \rows, WIDEN_FIRST, ones, 0, 1, 2, 3, 4, 5, 6, 7
    .elseif BITS == 5
    CHAIN   \rows, WIDEN_FIRST, ones, 0, 1, 2, 3
    CHAIN   \rows, WIDEN, ones, 4, 5, 6, 7
    .else
    SIGNED_QUAD \rows, WIDEN_FIRST, 0
    .irp q, 1, 2, 3, 4, 5, 6, 7
    SIGNED_QUAD \rows, WIDEN, \q
    .endr
    .endif
    .if !MIN && BITS < 8
    EACH_ROW \rows, ADD_START
    .endif
    .if LEGACY
    EACH_ROW \rows, LEGACY_END, MIN
    .endif
    .endif
    .ifc \layout, k4m
    CHAIN   \rows, WIDEN_FIRST, SCALES, 0, 1, 2, 3, 4, 5, 6, 7
    .endif
    .ifc \layout, k5m
    CHAIN   \rows, WIDEN_FIRST, SCALES, 0, 1, 2, 3
    CHAIN   \rows, WIDEN, SCALES, 4, 5, 6, 7
    .endif
    .ifc \layout, h4m
    CHAIN   \rows, WIDEN_FIRST, SCALES, 0, 1, 2, 3
    CHAIN   \rows, WIDEN, SCALES2, 4, 5, 6, 7
    .endif
    .ifc \layout, h6
    CHAIN   \rows, WIDEN_FIRST, SCALES, 0, 1
    CHAIN   \rows, WIDEN, SCALES, 2, 3
    CHAIN   \rows, WIDEN, SCALES2, 4, 5
    CHAIN   \rows, WIDEN, SCALES2, 6, 7
    .endif
    .if !LEGACY
    EACH_ROW \rows, ADD_TO_S
    .endif
.endm
#endif

/* All m rows against the group. starts: per 32 k; tile: rows of a tile, 2 .. 4 */
.macro ROWS layout, starts, tile
    mov     LEFT, [ARGS + MM_M]
    mov     X, [ARGS + MM_X]
    add     X, K0
    mov     XS, [ARGS + MM_X_STRIDE]
    lea     XS3, [XS + 2*XS]
    mov     ACC, [ARGS + MM_SCRATCH]
    .if LEGACY
    add     ACC, S_BYTES
    .endif
    mov     SS, [ARGS + MM_START_STRIDE]
    lea     SS3, [SS + 2*SS]
    mov     S, K0
    shr     S, 4 - \starts
    mov     D, [ARGS + MM_D]
    add     D, S
    add     S, [ARGS + MM_START]
    sub     LEFT, \tile
    jb      2f
1:  TILE    \layout, \tile
    .if \tile == 3
    add     X, XS3
    add     S, SS3
    add     D, SS3
    .else
    lea     X, [X + \tile*XS]
    lea     S, [S + \tile*SS]
    lea     D, [D + \tile*SS]
    .endif
    add     ACC, 64*\tile
    sub     LEFT, \tile
    jae     1b
2:  add     LEFT, \tile
    jz      9f
    .if \tile > 2
    cmp     LEFT, 2
    .if \tile > 3
    ja      .L\layout\()_tail_3
    .endif
    je      .L\layout\()_tail_2
    .endif
    TILE    \layout, 1
    .if \tile > 2
    jmp     9f
.L\layout\()_tail_2:
    TILE    \layout, 2
    .endif
    .if \tile > 3
    jmp     9f
.L\layout\()_tail_3:
    TILE    \layout, 3
    .endif
9:
.endm

/* ---- the scales of a group ------------------------------------------------------------------------------- */

/* sc of 16 rows at HEAD + \at, to the frame at \to: (sc, sc) words for vpmaddwd, (sc, 0) words for vpdpwssd,
 * int32 for vpmulld. */
.macro SCALE_GROUP layout, at, to
    .irp half, 0, 1
    vpmovsxbd ymm0, [HEAD + \at + 8*\half]
    .if VNNI
    .ifc \layout, k4m
    vpblendw ymm0, ymm0, ymm7, 0xaa
    .endif
    .ifc \layout, h4m
    vpblendw ymm0, ymm0, ymm7, 0xaa
    .endif
    .else
    vpslld  ymm1, ymm0, 16
    vpblendw ymm0, ymm0, ymm1, 0xaa
    .endif
    vmovdqa [rsp + \to + 32*\half], ymm0
    .endr
.endm

/* ---- the end of a block of b8 or of a K layout ----------------------------------------------------------------- */

/* Words (c·sc_2j, c·sc_2j+1) into CORR; ymm3 = c in all words. HEAD stands behind the scales. */
.macro MAKE_CORR groups
    .set j, 0
    .rept \groups / 2
    .irp half, 0, 1
    vpmovsxbd ymm0, [HEAD - 16*\groups + 32*j + 8*\half]
    vpmovsxbd ymm1, [HEAD - 16*\groups + 32*j + 16 + 8*\half]
    vpslld  ymm1, ymm1, 16
    vpblendw ymm0, ymm0, ymm1, 0xaa
    vpmullw ymm0, ymm0, ymm3
    vmovdqa [rsp + CORR + 64*j + 32*\half], ymm0
    .endr
    .set j, j + 1
    .endr
.endm

/* ymm\a0, ymm\a1 += Σ_j words at \words · sums */
.macro WITH_SUMS a0, a1, words, groups
    .set j, 0
    .rept \groups / 2
    vpbroadcastd ymm0, [S + 4*j]
    vpmaddwd ymm1, ymm0, [rsp + \words + 64*j]
    vpmaddwd ymm0, ymm0, [rsp + \words + 64*j + 32]
    vpaddd  ymm\a0, ymm\a0, ymm1
    vpaddd  ymm\a1, ymm\a1, ymm0
    .set j, j + 1
    .endr
.endm

.macro K_END layout, groups, corr
    .if \corr
    .ifc \layout, k4m
    mov     eax, 8
    .else
    mov     rax, [ARGS + MM_OFF]
    neg     eax
    .endif
    vmovd   xmm3, eax
    vpbroadcastw ymm3, xmm3
    MAKE_CORR \groups
    .endif
    .if MIN
    .set j, 0
    .rept \groups
    vpmovzxbw ymm0, [HEAD + 16*j]
    vmovdqa [rsp + MINS + 32*j], ymm0
    .set j, j + 1
    .endr
    .endif
    mov     LEFT, [ARGS + MM_M]
    mov     ACC, [ARGS + MM_SCRATCH]
    mov     XS, [ARGS + MM_D_STRIDE]
    mov     X, K0
    shr     X, 6
    add     X, [ARGS + MM_D]
    mov     S, K0
    .if BLOCK
    mov     SS, [ARGS + MM_START_STRIDE]
    shr     S, 6
    add     S, [ARGS + MM_START]
    vmovaps ymm8, [HEAD]
    vmovaps ymm9, [HEAD + 32]
    .else
    mov     SS, [ARGS + MM_SUM_STRIDE]
    .if \groups == 16
    shr     S, 3
    .else
    shr     S, 4
    .endif
    add     S, [ARGS + MM_SUM]
    vcvtph2ps ymm8, [HEAD - 64 - 16*\groups]
    vcvtph2ps ymm9, [HEAD - 48 - 16*\groups]
    vcvtph2ps ymm10, [HEAD - 32 - 16*\groups]
    vcvtph2ps ymm11, [HEAD - 16 - 16*\groups]
    .endif
    vpxor   xmm12, xmm12, xmm12
2:  vmovdqa ymm4, [ACC]
    vmovdqa ymm5, [ACC + 32]
    vmovdqa [ACC], ymm12
    vmovdqa [ACC + 32], ymm12
    .if \corr
    WITH_SUMS 4, 5, CORR, \groups
    .endif
    .if BLOCK && VNNI
    vpbroadcastd ymm0, [S]
    vpaddd  ymm4, ymm4, ymm0
    vpaddd  ymm5, ymm5, ymm0
    .endif
    vcvtdq2ps ymm4, ymm4
    vcvtdq2ps ymm5, ymm5
    vmulps  ymm4, ymm4, ymm8
    vmulps  ymm5, ymm5, ymm9
    .if MIN
    vpxor   xmm6, xmm6, xmm6
    vpxor   xmm7, xmm7, xmm7
    WITH_SUMS 6, 7, MINS, \groups
    vcvtdq2ps ymm6, ymm6
    vcvtdq2ps ymm7, ymm7
    vfnmadd231ps ymm4, ymm6, ymm10
    vfnmadd231ps ymm5, ymm7, ymm11
    .endif
    vbroadcastss ymm1, [X]
    vfmadd213ps ymm4, ymm1, [ACC + S_BYTES]
    vfmadd213ps ymm5, ymm1, [ACC + S_BYTES + 32]
    vmovaps [ACC + S_BYTES], ymm4
    vmovaps [ACC + S_BYTES + 32], ymm5
    add     ACC, 64
    add     S, SS
    add     X, XS
    dec     LEFT
    jnz     2b
.endm

/* ---- the kernel --------------------------------------------------------------------------------------------- */

/* tile: rows at once. legacy: groups = 0, b8: 1. K: groups in a block (8 or 16); corr: S needs Σ c·sc_g·sum_g at its end */
.macro KERNEL layout, tile, bits, min, groups=0, corr=0
    .set BITS, \bits
    .set MIN, \min
    .set LEGACY, \groups == 0
    .set HALVES, \groups == 16
    .set BLOCK, \groups == 1
NAME \layout
    SAVE_REGISTERS
    mov     rax, rsp
    sub     rsp, FRAME
    and     rsp, -64
    mov     [SAVED], rax
    mov     ARGS, rdi
    mov     W, [rdi + MM_W]
    mov     rax, [rdi + MM_PANELS]
    mov     [PANELS], rax
    mov     rax, [rdi + MM_Y]
    mov     [COLUMN], rax

.L\layout\()_panel:
    mov     LEFT, [ARGS + MM_M]
    mov     ACC, [ARGS + MM_SCRATCH]
    vpxor   xmm0, xmm0, xmm0
1:  vmovdqa [ACC], ymm0
    vmovdqa [ACC + 32], ymm0
    vmovdqa [ACC + S_BYTES], ymm0
    vmovdqa [ACC + S_BYTES + 32], ymm0
    add     ACC, 64
    dec     LEFT
    jnz     1b
    xor     K0d, K0d

.L\layout\()_block:
    mov     HEAD, W
    .if LEGACY || BLOCK
    mov     rax, [ARGS + MM_K]
    sub     rax, K0
    shr     rax, 5
    cmp     rax, 8
    jb      1f
    mov     eax, 8
1:  mov     [GROUPS], rax
    .if BLOCK
    mov     eax, 64
    .elseif MIN
    shl     rax, 6
    .else
    inc     rax /* heads are whole lines */
    and     rax, -2
    shl     rax, 5
    .endif
    add     W, rax
    .else
    mov     qword ptr [GROUPS], 8
    add     HEAD, 64
    add     W, 64 + 16*\groups + 16*\groups*\min
    .endif

.L\layout\()_group:
    UNPACK  \bits
    .if LEGACY
    .irp half, 0, 1
    vcvtph2ps ymm0, [HEAD + 16*\half]
    vmovaps [rsp + SCALES + 32*\half], ymm0
    .if MIN
    vcvtph2ps ymm0, [HEAD + 32 + 16*\half]
    vmovaps [rsp + SCALES2 + 32*\half], ymm0
    .endif
    .endr
    add     HEAD, 32 + 32*MIN
    .elseif !BLOCK
    vpxor   xmm7, xmm7, xmm7
    SCALE_GROUP \layout, 0, SCALES
    .if \groups == 16
    SCALE_GROUP \layout, 16, SCALES2
    .endif
    add     HEAD, 2*\groups
    .endif
    .if \groups == 16
    ROWS    \layout, 2, \tile
    .else
    ROWS    \layout, 1, \tile
    .endif
    add     K0, 32
    dec     qword ptr [GROUPS]
    jnz     .L\layout\()_group
    .if BLOCK
    dec     K0
    and     K0, -256
    K_END   \layout, 0, 0
    add     K0, 256
    .elseif !LEGACY
    sub     K0, 256
    K_END   \layout, \groups, \corr
    add     K0, 256
    .endif
    cmp     K0, [ARGS + MM_K]
    jb      .L\layout\()_block

    mov     LEFT, [ARGS + MM_M]
    mov     ACC, [ARGS + MM_SCRATCH]
    mov     XS, [ARGS + MM_Y_STRIDE]
    mov     X, [COLUMN]
1:  vmovaps ymm0, [ACC + S_BYTES]
    vmovaps ymm1, [ACC + S_BYTES + 32]
    vmovups [X], ymm0
    vmovups [X + 32], ymm1
    prefetchw [X + 64] /* the next panel writes there */
    add     ACC, 64
    lea     X, [X + 4*XS]
    dec     LEFT
    jnz     1b
    add     qword ptr [COLUMN], 64
    dec     qword ptr [PANELS]
    jnz     .L\layout\()_panel

    vzeroupper
    mov     rsp, [SAVED]
    RESTORE_REGISTERS
    ret
.endm
