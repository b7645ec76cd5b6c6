/* mm_ymm: y (m,n) = x (m,k) · wᵀ (n,k) in 256-bit registers; mm_avx2.S and mm_avxvnni.S are made from it.
 *
 *   void wh_mm_<layout>_avx2(const wh_mm *a);      l4 l4m l5 l5m l8 k4m k5m h4m h6; the same for avxvnni
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *
 * A panel of 16 rows is two halves of 8. The integers of a group of 32 k are unpacked to the stack once and
 * used for all m rows of x, four at a time; running sums live in the scratch area (L1):
 *
 *   for each panel, block, group:  unpack;  for each half, for each row of x:
 *       chain = Σ over some quads of w_q · broadcast(x_q);  acc += chain · scale      ("flush")
 *       legacy:  acc32 = fma(d_g · d_x, float(acc), acc32)      K: S = acc
 *   K, at the end of a block:  t = D·S - Dmin·M;  acc32 = fma(d_x, t, acc32)
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
#define U    r12 /* unpacked integers of this half */
#define H32  r13 /* 0, or 32 for the upper half */
#define ACC  r14
#define LEFT r15
#define K0   rbp
#define K0d  ebp

/* The frame, 64-byte aligned. */
#define ARGS   rsp
#define PANELS rsp + 8
#define GROUPS rsp + 16
#define COLUMN rsp + 24
#define SAVED  rsp + 32
#define UNPACKED 64         /* [half][quad] 32 bytes */
#define SCALES 576          /* 32 bytes for each half: d, or sc of the first 16 k as words */
#define SCALES2 640         /* m, or sc of the second 16 k */
#define CORR   704          /* [pair][half] 32 bytes: words that multiply sums and go into S */
#define MINS   1216         /* the same, into M */
#define FRAME  1728
#define S_BYTES 8192
#define AHEAD  2048

    .section .rodata
    .p2align 5
.Lones:
    .rept 16
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

.macro EACH_ROW rows, op, args:vararg
    \op 4, 8, 12, X, S, D, 0, \args
    .if \rows > 1
    \op 5, 9, 13, X + XS, S + SS, D + SS, 64, \args
    .endif
    .if \rows > 2
    \op 6, 10, 14, X + 2*XS, S + 2*SS, D + 2*SS, 128, \args
    .endif
    .if \rows > 3
    \op 7, 11, 15, X + XS3, S + SS3, D + SS3, 192, \args
    .endif
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
    vmovdqa [rsp + UNPACKED + 256*\half + 32*\q], ymm0
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

/* ---- one tile: acc ymm4-7, chain ymm8-11, broadcast ymm12-15, w ymm0, |w| ymm1 ------------------------- */

.macro ACC_START acc, chain, b, x, s, d, row, at
    vpbroadcastd ymm\acc, [\s + \at]
.endm
.macro ACC_ZERO acc, chain, b, x, s, d, row, none
    vpxor   xmm\acc, xmm\acc, xmm\acc
.endm
.macro ACC_LOAD acc, chain, b, x, s, d, row, none
    vmovdqa ymm\acc, [ACC + \row]
.endm
.macro ACC_SAVE acc, chain, b, x, s, d, row, none
    vmovdqa [ACC + \row], ymm\acc
.endm
.macro CHAIN_START acc, chain, b, x, s, d, row, at
    vpbroadcastd ymm\chain, [\s + \at]
.endm
.macro CHAIN_ZERO acc, chain, b, x, s, d, row, none
    vpxor   xmm\chain, xmm\chain, xmm\chain
.endm

.macro BROADCAST acc, chain, b, x, s, d, row, q
    vpbroadcastd ymm\b, [\x + 4*\q]
.endm
.macro SIGN acc, chain, b, x, s, d, row, none
    vpsignb ymm\b, ymm\b, ymm0
.endm
.macro MADD_FIRST acc, chain, b, x, s, d, row, w
    vpmaddubsw ymm\chain, ymm\w, ymm\b
.endm
.macro MADD acc, chain, b, x, s, d, row, w
    vpmaddubsw ymm\b, ymm\w, ymm\b
.endm
.macro CHAIN_ADD acc, chain, b, x, s, d, row, none
    vpaddw  ymm\chain, ymm\chain, ymm\b
.endm
.macro WIDEN acc, chain, b, x, s, d, row, by
    vpmaddwd ymm\chain, ymm\chain, ymm\by
.endm
.macro ACC_ADD acc, chain, b, x, s, d, row, none
    vpaddd  ymm\acc, ymm\acc, ymm\chain
.endm
#if VNNI
.macro DOT acc, chain, b, x, s, d, row, to
    .ifc \to, acc
    {vex} vpdpbusd ymm\acc, ymm0, ymm\b
    .else
    {vex} vpdpbusd ymm\chain, ymm0, ymm\b
    .endif
.endm
.macro SCALE_WORDS acc, chain, b, x, s, d, row, none
    {vex} vpdpwssd ymm\acc, ymm\chain, ymm0
.endm
.macro SCALE_MUL acc, chain, b, x, s, d, row, none
    vpmulld ymm\chain, ymm\chain, ymm0
.endm
#endif

/* chain = Σ w_q x_q over the quads of the list (AVX2) */
.macro CHAIN rows, first, list:vararg
    .irp q, \list
    vmovdqa ymm0, [U + 32*\q]
    EACH_ROW \rows, BROADCAST, \q
    .if \q == \first
    EACH_ROW \rows, MADD_FIRST, 0
    .else
    EACH_ROW \rows, MADD, 0
    EACH_ROW \rows, CHAIN_ADD
    .endif
    .endr
.endm
/* acc += chain · the words at \scale (of this half) */
.macro FLUSH rows, scale
    .ifc \scale, ones
    vmovdqa ymm0, [rip + .Lones]
    .else
    vmovdqa ymm0, [rsp + H32 + \scale]
    .endif
    EACH_ROW \rows, WIDEN, 0
    EACH_ROW \rows, ACC_ADD
.endm
/* the same for 8-bit weights, one quad */
.macro SIGNED_QUAD rows, q
    vmovdqa ymm0, [U + 32*\q]
    vpabsb  ymm1, ymm0
    EACH_ROW \rows, BROADCAST, \q
    EACH_ROW \rows, SIGN
    EACH_ROW \rows, MADD_FIRST, 1
    FLUSH   \rows, ones
.endm
/* VNNI: acc or chain += Σ w_q x_q */
.macro DOTS rows, to, list:vararg
    .irp q, \list
    vmovdqa ymm0, [U + 32*\q]
    EACH_ROW \rows, BROADCAST, \q
    EACH_ROW \rows, DOT, \to
    .endr
.endm
.macro SCALED rows, how, scale
    vmovdqa ymm0, [rsp + H32 + \scale]
    EACH_ROW \rows, \how
    .ifc \how, SCALE_MUL
    EACH_ROW \rows, ACC_ADD
    .endif
.endm

.macro LEGACY_END acc, chain, b, x, s, d, row, min
    vcvtdq2ps ymm\acc, ymm\acc
    vbroadcastss ymm\b, [\d]
    vmulps  ymm\b, ymm\b, ymm0
    vfmadd213ps ymm\acc, ymm\b, [ACC + \row]
    .if \min
    vbroadcastss ymm\b, [\s]
    vfmadd231ps ymm\acc, ymm\b, ymm1
    .endif
    vmovaps [ACC + \row], ymm\acc
.endm

.macro TILE layout, rows
    .if LEGACY
    .if MIN || (!VNNI && BITS == 8)
    EACH_ROW \rows, ACC_ZERO
    .else
    EACH_ROW \rows, ACC_START, 0
    .endif
    .if VNNI
    DOTS    \rows, acc, 0, 1, 2, 3, 4, 5, 6, 7
    .elseif BITS == 4
    CHAIN   \rows, 0, 0, 1, 2, 3, 4, 5, 6, 7
    FLUSH   \rows, ones
    .elseif BITS == 5
    CHAIN   \rows, 0, 0, 1, 2, 3
    FLUSH   \rows, ones
    CHAIN   \rows, 4, 4, 5, 6, 7
    FLUSH   \rows, ones
    .else
    .irp q, 0, 1, 2, 3, 4, 5, 6, 7
    SIGNED_QUAD \rows, \q
    .endr
    .endif
    vmovaps ymm0, [rsp + H32 + SCALES]
    .if MIN
    vmovaps ymm1, [rsp + H32 + SCALES2]
    .endif
    EACH_ROW \rows, LEGACY_END, MIN
    .else
    EACH_ROW \rows, ACC_LOAD
    .ifc \layout, k4m
    .if VNNI
    EACH_ROW \rows, CHAIN_START, 0
    DOTS    \rows, chain, 0, 1, 2, 3, 4, 5, 6, 7
    SCALED  \rows, SCALE_WORDS, SCALES
    .else
    CHAIN   \rows, 0, 0, 1, 2, 3, 4, 5, 6, 7
    FLUSH   \rows, SCALES
    .endif
    .endif
    .ifc \layout, k5m
    .if VNNI
    EACH_ROW \rows, CHAIN_ZERO
    DOTS    \rows, chain, 0, 1, 2, 3, 4, 5, 6, 7
    SCALED  \rows, SCALE_MUL, SCALES
    .else
    CHAIN   \rows, 0, 0, 1, 2, 3
    FLUSH   \rows, SCALES
    CHAIN   \rows, 4, 4, 5, 6, 7
    FLUSH   \rows, SCALES
    .endif
    .endif
    .ifc \layout, h4m
    .if VNNI
    EACH_ROW \rows, CHAIN_START, 0
    DOTS    \rows, chain, 0, 1, 2, 3
    SCALED  \rows, SCALE_WORDS, SCALES
    EACH_ROW \rows, CHAIN_START, 4
    DOTS    \rows, chain, 4, 5, 6, 7
    SCALED  \rows, SCALE_WORDS, SCALES2
    .else
    CHAIN   \rows, 0, 0, 1, 2, 3
    FLUSH   \rows, SCALES
    CHAIN   \rows, 4, 4, 5, 6, 7
    FLUSH   \rows, SCALES2
    .endif
    .endif
    .ifc \layout, h6
    .if VNNI
    EACH_ROW \rows, CHAIN_START, 0
    DOTS    \rows, chain, 0, 1, 2, 3
    SCALED  \rows, SCALE_MUL, SCALES
    EACH_ROW \rows, CHAIN_START, 4
    DOTS    \rows, chain, 4, 5, 6, 7
    SCALED  \rows, SCALE_MUL, SCALES2
    .else
    CHAIN   \rows, 0, 0, 1
    FLUSH   \rows, SCALES
    CHAIN   \rows, 2, 2, 3
    FLUSH   \rows, SCALES
    CHAIN   \rows, 4, 4, 5
    FLUSH   \rows, SCALES2
    CHAIN   \rows, 6, 6, 7
    FLUSH   \rows, SCALES2
    .endif
    .endif
    EACH_ROW \rows, ACC_SAVE
    .endif
.endm

/* All m rows against one half of the group. */
.macro ROWS layout, starts
    mov     D, [ARGS]
    mov     LEFT, [D + MM_M]
    mov     X, [D + MM_X]
    add     X, K0
    mov     XS, [D + MM_X_STRIDE]
    lea     XS3, [XS + 2*XS]
    mov     ACC, [D + MM_SCRATCH]
    .if LEGACY
    add     ACC, S_BYTES
    .endif
    add     ACC, H32
    mov     SS, [D + MM_START_STRIDE]
    lea     SS3, [SS + 2*SS]
    mov     S, K0
    shr     S, 4 - \starts
    mov     D, [D + MM_D]
    add     D, S
    mov     U, [ARGS]
    add     S, [U + MM_START]
    lea     U, [rsp + 8*H32 + UNPACKED]
    cmp     LEFT, 4
    jb      2f
1:  TILE    \layout, 4
    lea     X, [X + 4*XS]
    lea     S, [S + 4*SS]
    lea     D, [D + 4*SS]
    add     ACC, 64*4
    sub     LEFT, 4
    cmp     LEFT, 4
    jae     1b
2:  cmp     LEFT, 2
    ja      .L\layout\()_tail_3
    je      .L\layout\()_tail_2
    test    LEFT, LEFT
    jz      9f
    TILE    \layout, 1
    jmp     9f
.L\layout\()_tail_2:
    TILE    \layout, 2
    jmp     9f
.L\layout\()_tail_3:
    TILE    \layout, 3
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

/* ---- the end of a block of a K layout -------------------------------------------------------------------- */

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

/* ymm\to += Σ_j words at \words · sums */
.macro WITH_SUMS to, words, groups
    .set j, 0
    .rept \groups / 2
    vpbroadcastd ymm1, [S + 4*j]
    vpmaddwd ymm1, ymm1, [rsp + H32 + \words + 64*j]
    vpaddd  ymm\to, ymm\to, ymm1
    .set j, j + 1
    .endr
.endm

.macro K_END layout, groups, corr
    .if \corr
    .ifc \layout, k4m
    mov     eax, 8
    .else
    mov     rax, [ARGS]
    mov     rax, [rax + MM_OFF]
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
    xor     H32, H32
1:  mov     D, [ARGS]
    mov     LEFT, [D + MM_M]
    mov     ACC, [D + MM_SCRATCH]
    add     ACC, H32
    mov     SS, [D + MM_SUM_STRIDE]
    mov     XS, [D + MM_D_STRIDE]
    mov     S, K0
    .if \groups == 16
    shr     S, 3
    .else
    shr     S, 4
    .endif
    add     S, [D + MM_SUM]
    mov     X, K0
    shr     X, 6
    add     X, [D + MM_D]
    mov     D, H32
    shr     D, 1
    vcvtph2ps ymm8, [HEAD + D - 64 - 16*\groups]
    vcvtph2ps ymm9, [HEAD + D - 32 - 16*\groups]
2:  vmovdqa ymm4, [ACC]
    .if \corr
    WITH_SUMS 4, CORR, \groups
    .endif
    vpxor   xmm5, xmm5, xmm5
    vmovdqa [ACC], ymm5
    vcvtdq2ps ymm4, ymm4
    vmulps  ymm4, ymm4, ymm8
    .if MIN
    WITH_SUMS 5, MINS, \groups
    vcvtdq2ps ymm5, ymm5
    vfnmadd231ps ymm4, ymm5, ymm9
    .endif
    vbroadcastss ymm1, [X]
    vfmadd213ps ymm4, ymm1, [ACC + S_BYTES]
    vmovaps [ACC + S_BYTES], ymm4
    add     ACC, 64
    add     S, SS
    add     X, XS
    dec     LEFT
    jnz     2b
    xor     H32, 32
    jnz     1b
.endm

/* ---- the kernel --------------------------------------------------------------------------------------------- */

/* legacy: groups = 0. K: groups in a block (8 or 16); corr: S needs Σ c·sc_g·sum_g at the end of a block */
.macro KERNEL layout, bits, min, groups=0, corr=0
    .set BITS, \bits
    .set MIN, \min
    .set LEGACY, \groups == 0
NAME \layout
    push    rbx
    push    rbp
    push    r12
    push    r13
    push    r14
    push    r15
    mov     rax, rsp
    sub     rsp, FRAME
    and     rsp, -64
    mov     [SAVED], rax
    mov     [ARGS], rdi
    mov     W, [rdi + MM_W]
    mov     rax, [rdi + MM_PANELS]
    mov     [PANELS], rax
    mov     rax, [rdi + MM_Y]
    mov     [COLUMN], rax

.L\layout\()_panel:
    mov     rdi, [ARGS]
    mov     LEFT, [rdi + MM_M]
    mov     ACC, [rdi + MM_SCRATCH]
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
    .if LEGACY
    mov     rax, [ARGS]
    mov     rax, [rax + MM_K]
    sub     rax, K0
    shr     rax, 5
    cmp     rax, 8
    jb      1f
    mov     eax, 8
1:  mov     [GROUPS], rax
    .if MIN
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
    .else
    vpxor   xmm7, xmm7, xmm7
    SCALE_GROUP \layout, 0, SCALES
    .if \groups == 16
    SCALE_GROUP \layout, 16, SCALES2
    .endif
    add     HEAD, 2*\groups
    .endif
    xor     H32, H32
.L\layout\()_half:
    .if \groups == 16
    ROWS    \layout, 2
    .else
    ROWS    \layout, 1
    .endif
    xor     H32, 32
    jnz     .L\layout\()_half
    add     K0, 32
    dec     qword ptr [GROUPS]
    jnz     .L\layout\()_group
    .if !LEGACY
    sub     K0, 256
    K_END   \layout, \groups, \corr
    add     K0, 256
    .endif
    mov     rax, [ARGS]
    cmp     K0, [rax + MM_K]
    jb      .L\layout\()_block

    mov     LEFT, [rax + MM_M]
    mov     ACC, [rax + MM_SCRATCH]
    mov     XS, [rax + MM_Y_STRIDE]
    mov     X, [COLUMN]
1:  vmovaps ymm0, [ACC + S_BYTES]
    vmovaps ymm1, [ACC + S_BYTES + 32]
    vmovups [X], ymm0
    vmovups [X + 32], ymm1
    add     ACC, 64
    lea     X, [X + 4*XS]
    dec     LEFT
    jnz     1b
    add     qword ptr [COLUMN], 64
    dec     qword ptr [PANELS]
    jnz     .L\layout\()_panel

    vzeroupper
    mov     rsp, [SAVED]
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbp
    pop     rbx
    ret
.endm
