/* mm_avx512vnni: y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, AVX512-VNNI.
 *
 *   void wh_mm_<layout>_avx512vnni(const wh_mm *a);      l4 l4m l5 l5m l8 k4m k5m h4m h6 b8
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *
 * From 8 rows of x on, two panels or more go to mm_avx512vnni_wide.S.
 *
 * One lane for each of the 16 rows of a panel. A group of 32 k is unpacked into zmm0-7 (one quad of k each)
 * and used for all m rows of x, eight at a time; running sums live in the scratch area (L1):
 *
 *   for each panel, for each block, for each group of 32 k:
 *       zmm0-7 = the unsigned integers
 *       for each row of x:  dot = start;  dot += zmm_q · broadcast(x[4q .. 4q+3])   for q = 0 .. 7
 *           legacy:  acc = fma(d_g · d_x, float(dot), acc)
 *           K:       S += sc_g · dot
 *           b8:      S += dot
 *   b8, at the end of a block:  acc = fma(d_x, D·float(S + start), acc)
 *   K, at the end of a block:  t = D·S - Dmin·M;  acc = fma(d_x, t, acc)
 *
 * The offset of a format costs nothing: the sum starts at -off·Σx (start) instead of at zero.
 *
 * K formats multiply the dot by an integer. vpmulld is two uops and slow, vpdpwssd one, but it takes 16 bits:
 *   k4m: u - 8 is in [-8, 7], so |Σ (u - 8)·x| <= 8·127·32 = 32512 fits. The start is -8·Σx, and S gets
 *        8·Σ_g sc_g·sum_g back once per block (four vpdpwssd). 8 dot + 1 uops per 32 k and 16 x 1 results.
 *   h4m: 15·127·16 = 30480 fits as it is.
 *   k5m, h6 take vpmulld.
 *
 * Bound: for few rows the weights' bytes. Measured on one thread, m = 1 reads weights at 15.3 of the 16.8 GB/s that a
 * plain loop reads on a Sapphire Rapids, at 29 to 37 GB/s on a Zen 5 (a plain loop: 24).
 */
#include "wh_asm.h"
#define W rsi /* body of the block */
#include "unpack_zmm.h"

/* Registers. Row i of a tile of 8 is at base + i · stride; rows 4-7 have bases of their own. */
#define HEAD rdi /* scales of the group */
#define X    rax
#define X4   rbx
#define XS   rcx
#define XS3  rdx
#define S    r8 /* start */
#define S4   r9
#define SS   r10
#define SS3  r11
#define D    r12
#define D4   r13
#define ACC  r14
#define LEFT r15
#define K0   rbp /* k of the group */
#define K0d  ebp

/* On the stack. */
#define ARGS   rsp
#define PANELS rsp + 8
#define GROUPS rsp + 16 /* left in the block */
#define COLUMN rsp + 24 /* y of this panel */
#define FRAME  40

#define S_BYTES 8192 /* scratch: S (128 rows of 16 int32), then acc */

/* Invoke \op i, x, start, d for the first \rows rows of a tile. */
.macro EACH_ROW rows, op
    \op 0, X, S, D
    .if \rows > 1
    \op 1, X + XS, S + SS, D + SS
    .endif
    .if \rows > 2
    \op 2, X + 2*XS, S + 2*SS, D + 2*SS
    .endif
    .if \rows > 3
    \op 3, X + XS3, S + SS3, D + SS3
    .endif
    .if \rows > 4
    \op 4, X4, S4, D4
    .endif
    .if \rows > 5
    \op 5, X4 + XS, S4 + SS, D4 + SS
    .endif
    .if \rows > 6
    \op 6, X4 + 2*XS, S4 + 2*SS, D4 + 2*SS
    .endif
    .if \rows > 7
    \op 7, X4 + XS3, S4 + SS3, D4 + SS3
    .endif
.endm

/* ---- one tile: rows in zmm10-17, temporaries zmm20-27 ----------------------------------------------- */

.macro START i, x, s, d
    vpbroadcastd zmm1\i, [\s]
.endm
.macro START_HIGH i, x, s, d
    vpbroadcastd zmm1\i, [\s + 4]
.endm
.macro CLEAR i, x, s, d
    vpxord  xmm1\i, xmm1\i, xmm1\i
.endm

/* vpdpbusd for quad \q of every row */
.irp q, 0, 1, 2, 3, 4, 5, 6, 7
.macro DOT_\q i, x, s, d
    vpdpbusd zmm1\i, zmm\q, dword ptr [\x + 4*\q]{1to16}
.endm
.endr

.macro LEGACY_END i, x, s, d
    vcvtdq2ps zmm1\i, zmm1\i
    vmulps  zmm2\i, zmm8, dword ptr [\d]{1to16}
    vfmadd213ps zmm1\i, zmm2\i, [ACC + 64*\i]
.endm
.macro LEGACY_MIN i, x, s, d
    vfmadd231ps zmm1\i, zmm9, dword ptr [\s]{1to16}
.endm
.macro STORE_DOT i, x, s, d
    vmovdqa64 [ACC + 64*\i], zmm1\i
.endm
.macro LOAD_DOT i, x, s, d
    vmovdqa64 zmm1\i, [ACC + 64*\i]
.endm
.macro STORE_SUM i, x, s, d
    vmovdqa64 [ACC + 64*\i], zmm2\i
.endm
.macro LOAD_SUM i, x, s, d
    vmovdqa64 zmm2\i, [ACC + 64*\i]
.endm
.macro SUM_WORDS i, x, s, d
    vpdpwssd zmm2\i, zmm1\i, zmm8
.endm
.macro SUM_WORDS_HIGH i, x, s, d
    vpdpwssd zmm2\i, zmm1\i, zmm9
.endm
.macro SUM_MUL i, x, s, d
    vpmulld zmm1\i, zmm1\i, zmm8
.endm
.macro SUM_MUL_HIGH i, x, s, d
    vpmulld zmm1\i, zmm1\i, zmm9
.endm
.macro SUM_ADD i, x, s, d
    vpaddd  zmm2\i, zmm2\i, zmm1\i
.endm

.macro DOTS rows, list:vararg
    .irp q, \list
    EACH_ROW \rows, DOT_\q
    .endr
.endm

/* kind: l (legacy), lm (with minima), kw (K, 16-bit dots), km (K, vpmulld), hw and hm (the same for groups of 16), b */
.macro TILE kind, rows
    .ifc \kind, l
    EACH_ROW \rows, START
    DOTS \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, LEGACY_END
    EACH_ROW \rows, STORE_DOT
    .endif
    .ifc \kind, b
    EACH_ROW \rows, LOAD_DOT
    DOTS \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, STORE_DOT
    .endif
    .ifc \kind, lm
    EACH_ROW \rows, CLEAR
    DOTS \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, LEGACY_END
    EACH_ROW \rows, LEGACY_MIN
    EACH_ROW \rows, STORE_DOT
    .endif
    .ifc \kind, kw
    EACH_ROW \rows, START
    DOTS \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, LOAD_SUM
    EACH_ROW \rows, SUM_WORDS
    EACH_ROW \rows, STORE_SUM
    .endif
    .ifc \kind, km
    EACH_ROW \rows, CLEAR
    DOTS \rows, 0, 1, 2, 3, 4, 5, 6, 7
    EACH_ROW \rows, LOAD_SUM
    EACH_ROW \rows, SUM_MUL
    EACH_ROW \rows, SUM_ADD
    EACH_ROW \rows, STORE_SUM
    .endif
    .ifc \kind, hw
    EACH_ROW \rows, START
    EACH_ROW \rows, LOAD_SUM
    DOTS \rows, 0, 1, 2, 3
    EACH_ROW \rows, SUM_WORDS
    EACH_ROW \rows, START_HIGH
    DOTS \rows, 4, 5, 6, 7
    EACH_ROW \rows, SUM_WORDS_HIGH
    EACH_ROW \rows, STORE_SUM
    .endif
    .ifc \kind, hm
    EACH_ROW \rows, START
    EACH_ROW \rows, LOAD_SUM
    DOTS \rows, 0, 1, 2, 3
    EACH_ROW \rows, SUM_MUL
    EACH_ROW \rows, SUM_ADD
    EACH_ROW \rows, START_HIGH
    DOTS \rows, 4, 5, 6, 7
    EACH_ROW \rows, SUM_MUL_HIGH
    EACH_ROW \rows, SUM_ADD
    EACH_ROW \rows, STORE_SUM
    .endif
.endm

/* All m rows against the group in zmm0-7. starts: starts per 32 k (2 for groups of 16). */
.macro ROWS name, kind, starts
    mov     D, [ARGS]
    mov     LEFT, [D + MM_M]
    mov     X, [D + MM_X]
    add     X, K0
    mov     XS, [D + MM_X_STRIDE]
    lea     XS3, [XS + 2*XS]
    mov     S, K0
    shr     S, 4 - \starts
    mov     SS, [D + MM_START_STRIDE]
    lea     SS3, [SS + 2*SS]
    mov     D4, [D + MM_D]
    add     D4, S
    add     S, [D + MM_START]
    mov     ACC, [D + MM_SCRATCH]
    .ifc \kind, l
    add     ACC, S_BYTES
    .endif
    .ifc \kind, lm
    add     ACC, S_BYTES
    .endif
    mov     D, D4
    cmp     LEFT, 8
    jb      2f
1:  lea     X4, [X + 4*XS]
    lea     S4, [S + 4*SS]
    lea     D4, [D + 4*SS]
    TILE    \kind, 8
    lea     X, [X4 + 4*XS]
    lea     S, [S4 + 4*SS]
    lea     D, [D4 + 4*SS]
    add     ACC, 64*8
    sub     LEFT, 8
    cmp     LEFT, 8
    jae     1b
2:  lea     X4, [X + 4*XS]
    lea     S4, [S + 4*SS]
    lea     D4, [D + 4*SS]
    cmp     LEFT, 1
    jb      9f
    je      .L\name\()_tail_1
    cmp     LEFT, 3
    jb      .L\name\()_tail_2
    je      .L\name\()_tail_3
    cmp     LEFT, 5
    jb      .L\name\()_tail_4
    je      .L\name\()_tail_5
    cmp     LEFT, 7
    jb      .L\name\()_tail_6
    .irp rows, 7, 6, 5, 4, 3, 2, 1
.L\name\()_tail_\rows:
    TILE    \kind, \rows
    jmp     9f
    .endr
9:
.endm

/* ---- the end of a block of b8 or of a K layout: acc = fma(d_x, D·S - Dmin·M, acc), and S = 0 -------------------- */

/* Pairs of 8·sc as words, for k4m: zmm4-7; HEAD stands behind the scales. */
.macro EIGHT_SC
    .irp j, 0, 1, 2, 3
    vpmovsxbd zmm20, [HEAD - 128 + 32*\j]
    vpmovsxbd zmm21, [HEAD - 112 + 32*\j]
    vpslld  zmm20, zmm20, 3
    vpslld  zmm21, zmm21, 19
    vpternlogd zmm21, zmm20, zmm29, 0xf8 /* high words | low words of zmm20 */
    vmovdqa64 zmm1\j, zmm21
    .endr
.endm

/* Four rows (or one), interleaved, since the chains are long: S in zmm20-23, M in zmm24-27. */
.macro EACH_K_ROW rows, op, args:vararg
    \op 20, 24, S, X, 0, \args
    .if \rows == 4
    \op 21, 25, S + SS, X + XS, 64, \args
    \op 22, 26, S + 2*SS, X + 2*XS, 128, \args
    \op 23, 27, S + SS3, X + XS3, 192, \args
    .endif
.endm
.macro K_LOAD_S r, t, s, d, row, none
    vmovdqa64 zmm\r, [ACC + \row]
    vmovdqa64 [ACC + \row], zmm28
.endm
.macro K_BLOCK_START r, t, s, d, row, none
    vpaddd  zmm\r, zmm\r, dword ptr [\s]{1to16}
.endm
.macro K_EIGHT_SC r, t, s, d, row, j
    vpdpwssd zmm\r, zmm1\j, dword ptr [\s + 4*\j]{1to16}
.endm
.macro K_MIN_START r, t, s, d, row, none
    vpxord  xmm\t, xmm\t, xmm\t
.endm
.macro K_MIN_PAIR r, t, s, d, row, j
    vpdpwssd zmm\t, zmm\j, dword ptr [\s + 4*\j]{1to16}
.endm
.macro K_SCALE r, t, s, d, row, none
    vcvtdq2ps zmm\r, zmm\r
    vmulps  zmm\r, zmm\r, zmm8
.endm
.macro K_MIN r, t, s, d, row, none
    vcvtdq2ps zmm\t, zmm\t
    vfnmadd231ps zmm\r, zmm\t, zmm9
.endm
.macro K_ACC r, t, s, d, row, none
    vbroadcastss zmm\t, [\d]
    vfmadd213ps zmm\r, zmm\t, [ACC + S_BYTES + \row]
    vmovaps [ACC + S_BYTES + \row], zmm\r
.endm
.macro K_ROWS rows, layout, mins
    EACH_K_ROW \rows, K_LOAD_S
    .if BLOCK
    EACH_K_ROW \rows, K_BLOCK_START
    .endif
    .ifc \layout, k4m
    .irp j, 0, 1, 2, 3
    EACH_K_ROW \rows, K_EIGHT_SC, \j
    .endr
    .endif
    .if \mins
    EACH_K_ROW \rows, K_MIN_START
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    .if \j < \mins
    EACH_K_ROW \rows, K_MIN_PAIR, \j
    .endif
    .endr
    .endif
    EACH_K_ROW \rows, K_SCALE
    .if \mins
    EACH_K_ROW \rows, K_MIN
    .endif
    EACH_K_ROW \rows, K_ACC
.endm

.macro K_END kind, layout, mins
    mov     D, [ARGS]
    mov     LEFT, [D + MM_M]
    mov     ACC, [D + MM_SCRATCH]
    mov     XS, [D + MM_D_STRIDE]
    mov     S, K0
    .if BLOCK
    mov     SS, [D + MM_START_STRIDE]
    shr     S, 6
    add     S, [D + MM_START]
    .else
    mov     SS, [D + MM_SUM_STRIDE]
    .if \mins == 8
    shr     S, 3 /* 2 bytes for 16 k */
    .else
    shr     S, 4
    .endif
    add     S, [D + MM_SUM]
    .endif
    mov     X, K0
    shr     X, 6
    add     X, [D + MM_D]
    .ifc \layout, k4m
    EIGHT_SC
    .endif
    .if BLOCK
    vmovaps zmm8, [HEAD]
    .else
    vcvtph2ps zmm8, [HEAD - 64 - 16*K_GROUPS]
    .endif
    .if \mins
    vcvtph2ps zmm9, [HEAD - 32 - 16*K_GROUPS]
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    .if \j < \mins
    vpmovzxbw zmm\j, [HEAD + 32*\j]
    .endif
    .endr
    .endif
    lea     SS3, [SS + 2*SS]
    lea     XS3, [XS + 2*XS]
    vpxord  xmm28, xmm28, xmm28
    sub     LEFT, 4
    jb      2f
1:  K_ROWS  4, \layout, \mins
    add     ACC, 256
    lea     S, [S + 4*SS]
    lea     X, [X + 4*XS]
    sub     LEFT, 4
    jae     1b
2:  add     LEFT, 4
    jz      4f
3:  K_ROWS  1, \layout, \mins
    add     ACC, 64
    add     S, SS
    add     X, XS
    dec     LEFT
    jnz     3b
4:
.endm

/* ---- the kernel --------------------------------------------------------------------------------------- */

.macro KERNEL layout, kind, bits, starts, mins=0
FUNCTION wh_mm_\layout\()_avx512vnni
    cmp     qword ptr [rdi + MM_M], 8
    jb      1f
    cmp     qword ptr [rdi + MM_PANELS], 2
    jae     wh_mm_\layout\()_avx512vnni_wide
1:  SAVE_REGISTERS
    sub     rsp, FRAME
    mov     [ARGS], rdi
    mov     W, [rdi + MM_W]
    mov     rax, [rdi + MM_PANELS]
    mov     [PANELS], rax
    mov     rax, [rdi + MM_Y]
    mov     [COLUMN], rax
    UNPACK_MASKS \bits
    mov     eax, 0xffff
    vpbroadcastd zmm29, eax

.L\layout\()_panel: /* S = acc = 0 */
    mov     rdi, [ARGS]
    mov     LEFT, [rdi + MM_M]
    mov     ACC, [rdi + MM_SCRATCH]
    vpxord  xmm0, xmm0, xmm0
1:  vmovdqa64 [ACC], zmm0
    vmovdqa64 [ACC + S_BYTES], zmm0
    add     ACC, 64
    dec     LEFT
    jnz     1b
    xor     K0d, K0d

.L\layout\()_block:
    mov     HEAD, W
    .if LEGACY || BLOCK
    mov     rax, [ARGS]
    mov     rax, [rax + MM_K]
    sub     rax, K0
    shr     rax, 5
    cmp     rax, 8
    jb      1f
    mov     eax, 8
1:  mov     [GROUPS], rax
    .if BLOCK
    mov     eax, 64
    .else
    .ifc \kind, l
    inc     rax /* heads are whole lines */
    and     rax, -2
    shl     rax, 5
    .else
    shl     rax, 6
    .endif
    .endif
    add     W, rax
    .else
    mov     qword ptr [GROUPS], 8
    add     HEAD, 64
    add     W, 64 + 16*K_GROUPS + 32*\mins
    .endif

.L\layout\()_group:
    UNPACK  \bits
    .if LEGACY
    vcvtph2ps zmm8, [HEAD]
    .ifc \kind, lm
    vcvtph2ps zmm9, [HEAD + 32]
    add     HEAD, 64
    .else
    add     HEAD, 32
    .endif
    .elseif !BLOCK
    vpmovsxbd zmm8, [HEAD]
    .if \starts == 2
    vpmovsxbd zmm9, [HEAD + 16]
    .endif
    .if WORDS /* sc in the low words, zero in the high ones */
    vpandd  zmm8, zmm8, zmm29
    .if \starts == 2
    vpandd  zmm9, zmm9, zmm29
    .endif
    .endif
    add     HEAD, 16*\starts
    .endif
    ROWS    \layout, \kind, \starts
    add     K0, 32
    dec     qword ptr [GROUPS]
    jnz     .L\layout\()_group
    .if BLOCK
    dec     K0
    and     K0, -256
    K_END   \kind, \layout, 0
    add     K0, 256
    .elseif !LEGACY
    sub     K0, 256
    K_END   \kind, \layout, \mins
    add     K0, 256
    .endif
    mov     rax, [ARGS]
    cmp     K0, [rax + MM_K]
    jb      .L\layout\()_block

    mov     LEFT, [rax + MM_M]
    mov     ACC, [rax + MM_SCRATCH]
    mov     XS, [rax + MM_Y_STRIDE]
    mov     X, [COLUMN]
1:  vmovaps zmm0, [ACC + S_BYTES]
    vmovups [X], zmm0
    prefetchw [X + 64] /* the next panel writes there */
    add     ACC, 64
    lea     X, [X + 4*XS]
    dec     LEFT
    jnz     1b
    add     qword ptr [COLUMN], 64
    dec     qword ptr [PANELS]
    jnz     .L\layout\()_panel

    vzeroupper
    add     rsp, FRAME
    RESTORE_REGISTERS
    ret
ENDFUNCTION wh_mm_\layout\()_avx512vnni
.endm

    .set BLOCK, 0
    .set LEGACY, 1
    .set WORDS, 0
    .set K_GROUPS, 0
    KERNEL  l4,  l,  4, 1
    KERNEL  l4m, lm, 4, 1
    KERNEL  l5,  l,  5, 1
    KERNEL  l5m, lm, 5, 1
    KERNEL  l8,  l,  8, 1
    .set LEGACY, 0
    .set WORDS, 1
    .set K_GROUPS, 8
    KERNEL  k4m, kw, 4, 1, 4
    .set K_GROUPS, 16
    KERNEL  h4m, hw, 4, 2, 8
    .set WORDS, 0
    KERNEL  h6,  hm, 6, 2
    .set K_GROUPS, 8
    KERNEL  k5m, km, 5, 1, 4
    .set BLOCK, 1
    KERNEL  b8,  b,  8, 1
