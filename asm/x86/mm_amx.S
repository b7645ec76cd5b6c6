/* mm_amx: y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, AMX-INT8.
 *
 *   void wh_mm_<layout>_amx(const wh_mm *a);      l4 l4m l5 l5m l8 k4m k5m h4m h6
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *
 * A tile of activations is 16 rows of x by 64 k as they lie in memory; a tile of weights is 16 quads of k by the
 * 16 rows of a panel, the atoms of the packed layout; a result tile is 16 x 16 int32. For each block of 256 k the
 * weights are unpacked once into int8 tiles (L1) and used for all m rows of x:
 *
 *   K:       S = Σ_g sc_g · Σ_k w_k x_k = Σ_k (sc_g w_k) x_k. The product sc_g·w_k is an exact integer of up to 14
 *            bits, so it is written in two digits, base B, and S = B · (hi · x) + (lo · x): two chains of four tiles
 *            of 64 k each, no store before the block ends.
 *              k4m k5m  sc = 8a + b, a, b <= 7:  hi = a·u, lo = b·u <= 7·31 = 217: bytes, B = 8. One vpmullw makes
 *                       two products, as no byte overflows into the next.
 *              h4m h6   v = sc·(u - off) in 16 bits: hi its upper byte (signed), lo its lower byte, B = 256.
 *            Then acc = fma(d_x, D·S - Dmin·M, acc) as everywhere, M by vpdpwssd.
 *   legacy:  each group of 32 k has a float scale, so each is a product of its own with tiles of 32 k; the result
 *            tile is stored and acc = fma(d_g · d_x, float(dot), acc).
 *
 * The kernel takes x in steps of up to 16 rows, a tile. m < 16: tiles of m rows. A step that would go beyond m begins
 * earlier instead, and the rows that the step before has done are not done again.
 *
 * The tile unit works while the vector unit does something else. The kernel is one loop over the steps of all
 * blocks of all panels; the vector work of a step ("finish") is done between the tile instructions of the next one:
 *
 *   pending = none
 *   for each step:
 *       unpack the block, if this is its first step
 *       issue the tile products of this step, and between them finish the rows of the pending one
 *       if that was the last of a panel: write y
 *       pending = this step
 *   finish the pending step
 *
 * Result tiles are not renamed: a product waits until the store of the tile's last value has read it. So the steps
 * of K layouts use two pairs of result tiles in turn, which also keeps four chains of products in flight.
 *
 * Rows are finished four at a time, their instructions interleaved: the chains are long (vpdpwssd, fma), and one
 * row after the other fills the scheduler with uops that wait.
 *
 * Bound (Sapphire Rapids, about 4 GHz): a tile product takes 4.7 ns for 16 rows and 64 or 32 k alike; K: 8 of them
 * for 16 x 16 x 256 beside about 22 ns of vector work, legacy: 8 of them and 8 stores beside 48 ns of vector work.
 */
#include "wh_asm.h"
#define W rsi
#include "unpack_zmm.h"

#define HEAD    rdi /* legacy: while tiles are multiplied, where results go */
#define A       r15 /* the arguments */
#define SCRATCH r14
#define XS      rcx
#define LINE    rdx /* 64: stride of weight and result tiles */
/* The next row of the pending step to be finished; its sums or starts, its scales: */
#define BUF     r13
#define ACC     r8
#define S       r9
#define SS      r10
#define SS3     rbp
#define D       r11
#define DS      r12
#define DS3     rbx

/* Scratch: acc of up to 128 rows and two panels, weight tiles, results, and the tile configuration. */
#define PANEL_1 8192  /* from what belongs to the first panel of a pair to what belongs to the second: acc, LO, HI */
#define LO      16384
#define HI      20480
#define RESULT  32768 /* K: 16 rows of lo, 16 of hi, for each panel; legacy: 16 rows of 8 groups, twice */
#define CONFIG  49152
#define SCALES  50176 /* legacy: d and m of each group, f32 */

#define PANELS  rsp
#define COLUMN  rsp + 8
#define K0      rsp + 16
#define ROW     rsp + 24 /* first row of the step */
#define FIRST   rsp + 32 /* rows of it that the step before has done */
#define STEP    rsp + 40 /* rows of a step: min(m, 16) */
#define BUF_END rsp + 48
#define BUF_END_4 rsp + 56 /* BUF below this: at least four rows are left */
#define LAST    rsp + 64 /* 1: the pending step is the last of its panel */
#define ODD     rsp + 80 /* K, one panel: 1: the step has result tiles 2 and 3 */
#define W_1     rsp + 88 /* K: body of the second panel, */
#define HEAD_0  rsp + 96 /* ends of the scales of the two panels */
#define HEAD_1  rsp + 104
#define GROUPS  rsp + 80 /* legacy: of the block, */
#define PENDING_GROUPS rsp + 88 /* of the pending step's block, */
#define INTO    rsp + 96 /* and the half of RESULT that this step goes to */
#define FRAME   120

/* Registers and frame; acc = 0. rax = rows of a tile. */
.macro PROLOGUE strides
    push    rbx
    push    rbp
    push    r12
    push    r13
    push    r14
    push    r15
    sub     rsp, FRAME
    mov     A, rdi
    mov     SCRATCH, [A + MM_SCRATCH]
    mov     rax, [A + MM_PANELS]
    mov     [PANELS], rax
    mov     rax, [A + MM_Y]
    mov     [COLUMN], rax
    mov     W, [A + MM_W]
    mov     XS, [A + MM_X_STRIDE]
    mov     DS, [A + MM_D_STRIDE]
    lea     DS3, [DS + 2*DS]
    mov     SS, [A + \strides]
    lea     SS3, [SS + 2*SS]
    mov     rax, [A + MM_M]
    mov     ACC, SCRATCH
    vpxord  xmm0, xmm0, xmm0
1:  vmovdqa64 [ACC], zmm0
    vmovdqa64 [ACC + PANEL_1], zmm0
    add     ACC, 64
    dec     rax
    jnz     1b
    mov     [LAST], rax
    mov     eax, 16
    cmp     rax, [A + MM_M]
    cmova   rax, [A + MM_M]
    mov     [STEP], rax
    mov     HEAD, rax
    shl     HEAD, 6
    lea     BUF, [SCRATCH + HEAD + RESULT] /* nothing is pending */
    mov     [BUF_END], BUF
    lea     HEAD, [BUF - 192]
    mov     [BUF_END_4], HEAD
.endm

/* Tiles 0-3: results. 4, 5: activations, a_bytes wide. 6, 7: weights, w_rows quads. al: rows of x. */
.macro CONFIGURE a_bytes, w_rows
    vmovdqa64 [SCRATCH + CONFIG], zmm0
    mov     byte ptr [SCRATCH + CONFIG], 1
    .irp t, 0, 1, 2, 3, 4, 5, 6, 7
    .if \t < 4 || \t > 5
    mov     word ptr [SCRATCH + CONFIG + 16 + 2*\t], 64
    .else
    mov     word ptr [SCRATCH + CONFIG + 16 + 2*\t], \a_bytes
    .endif
    .if \t < 6
    mov     byte ptr [SCRATCH + CONFIG + 48 + \t], al
    .else
    mov     byte ptr [SCRATCH + CONFIG + 48 + \t], \w_rows
    .endif
    .endr
    ldtilecfg [SCRATCH + CONFIG]
    mov     LINE, 64
.endm

/* If the step that was just finished is the last of its panel, or two: acc to y, and acc = 0. */
.macro STORE_Y panels=1
    cmp     qword ptr [LAST], 0
    je      8f
    mov     qword ptr [LAST], 0
    mov     rax, [A + MM_M]
    mov     ACC, SCRATCH
    mov     S, [A + MM_Y_STRIDE]
    mov     D, [COLUMN]
    vpxord  xmm0, xmm0, xmm0
7:  vmovaps zmm1, [ACC]
    vmovdqa64 [ACC], zmm0
    vmovups [D], zmm1
    .if \panels == 2
    vmovaps zmm1, [ACC + PANEL_1]
    vmovdqa64 [ACC + PANEL_1], zmm0
    vmovups [D + 64], zmm1
    prefetchw [D + 192]
    .endif
    prefetchw [D + 64*\panels] /* the next panel writes there */
    add     ACC, 64
    lea     D, [D + 4*S]
    dec     rax
    jnz     7b
    add     qword ptr [COLUMN], 64*\panels
8:
.endm

.macro EPILOGUE
    tilerelease
    vzeroupper
    add     rsp, FRAME
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbp
    pop     rbx
    ret
.endm

/* ROW, FIRST = the next step of the block; jump to \done when there is none. */
.macro NEXT_STEP done
    mov     rax, [ROW]
    add     rax, [STEP]
    mov     qword ptr [FIRST], 0
    cmp     rax, [A + MM_M]
    jae     \done
    mov     [ROW], rax
    sub     rax, [A + MM_M]
    add     rax, [STEP]
    jle     7f
    mov     [FIRST], rax
    sub     [ROW], rax
7:
.endm

/* This step is the pending one: ACC, S, D, BUF at its first row that counts. S walks \sum (MM_START or MM_SUM),
 * D the scales of x; a shift turns k into bytes of a row. */
.macro SET_PENDING sum, s_shift, d_shift
    mov     rax, [ROW]
    add     rax, [FIRST]
    mov     ACC, rax
    shl     ACC, 6
    add     ACC, SCRATCH
    mov     S, rax
    imul    S, SS
    add     S, [A + \sum]
    mov     D, rax
    imul    D, DS
    add     D, [A + MM_D]
    mov     rax, [K0]
    shr     rax, \s_shift
    add     S, rax
    mov     rax, [K0]
    shr     rax, \d_shift
    add     D, rax
    mov     BUF, [FIRST]
    shl     BUF, 6
    lea     BUF, [SCRATCH + BUF + RESULT]
.endm

/* rax = the step's first row of x in this block */
.macro X_OF_STEP
    mov     rax, [ROW]
    imul    rax, XS
    add     rax, [K0]
    add     rax, [A + MM_X]
.endm

/* \op i, t, s, d for each of \rows (4 or 1) rows: two registers, the addresses of S and D */
.macro EACH_ROW rows, op, args:vararg
    \op 0, 4, S, D, \args
    .if \rows == 4
    \op 1, 5, S + SS, D + DS, \args
    \op 2, 6, S + 2*SS, D + 2*DS, \args
    \op 3, 7, S + SS3, D + DS3, \args
    .endif
.endm

/* Finish up to four rows: four (two panels: two) at once if so many are left, else one after the other. */
.macro FINISH_UP_TO_4 finish, args:vararg
    cmp     BUF, [BUF_END_4]
    jae     5f
    \finish 4, \args
    add     BUF, 256
    add     ACC, 256
    lea     S, [S + 4*SS]
    lea     D, [D + 4*DS]
    jmp     6f
5:  cmp     BUF, [BUF_END]
    jae     6f
    \finish 1, \args
    add     BUF, 64
    add     ACC, 64
    add     S, SS
    add     D, DS
    jmp     5b
6:
.endm

/* ---- K layouts ------------------------------------------------------------------------------------------- */

/* zmm0-7 = u, sc = 8a + b at HEAD: lo = b·u, hi = a·u, to LO and HI + rax. zmm29 = 7 in each int32. */
.macro DIGITS_8
    vpmovzxbd zmm8, [HEAD]
    vpsrld  zmm9, zmm8, 3
    vpandd  zmm8, zmm8, zmm29
    vpslld  zmm20, zmm8, 16
    vpslld  zmm21, zmm9, 16
    vpord   zmm8, zmm8, zmm20
    vpord   zmm9, zmm9, zmm21
    .irp q, 0, 1, 2, 3, 4, 5, 6, 7
    vpmullw zmm20, zmm\q, zmm8
    vpmullw zmm21, zmm\q, zmm9
    vmovdqa64 [rax + LO + 64*\q], zmm20
    vmovdqa64 [rax + HI + 64*\q], zmm21
    .endr
    add     HEAD, 16
.endm

/* v = sc·(u - off) in two bytes. zmm29 = 0x00ff words, zmm27 = off in words. */
.macro DIGITS_256_HALF at, quads:vararg
    vpmovzxbd zmm8, [HEAD + \at]
    vpslld  zmm9, zmm8, 16
    vpord   zmm8, zmm8, zmm9    /* bytes sc 0 sc 0 */
    vpsllw  zmm9, zmm8, 8       /* bytes 0 sc 0 sc */
    vpsraw  zmm22, zmm9, 8
    vpmullw zmm22, zmm22, zmm27 /* off·sc */
    .irp q, \quads
    vpmaddubsw zmm23, zmm\q, zmm8 /* k 0 and 2 of the quad */
    vpmaddubsw zmm24, zmm\q, zmm9 /* k 1 and 3 */
    vpsubw  zmm23, zmm23, zmm22
    vpsubw  zmm24, zmm24, zmm22
    vpsllw  zmm25, zmm24, 8
    vpsrlw  zmm26, zmm23, 8
    vpternlogd zmm25, zmm29, zmm23, 0xb8 /* low bytes of zmm23 */
    vpternlogd zmm26, zmm29, zmm24, 0xe2 /* high bytes of zmm24 */
    vmovdqa64 [rax + LO + 64*\q], zmm25
    vmovdqa64 [rax + HI + 64*\q], zmm26
    .endr
.endm

/* Rows of the pending step: S in zmm0-3, M in zmm4-7. D zmm18, Dmin zmm19, pairs of minima zmm10-17. */
.macro K_SUM i, t, s, d, shift
    vpslld  zmm\i, [BUF + 1024 + 64*\i], \shift
    vpaddd  zmm\i, zmm\i, [BUF + 64*\i]
    vcvtdq2ps zmm\i, zmm\i
.endm
.macro K_SCALE i, t, s, d, none
    vmulps  zmm\i, zmm\i, zmm18
.endm
.macro K_MIN_START i, t, s, d, none
    vpxord  xmm\t, xmm\t, xmm\t
.endm
.macro K_MIN_PAIR i, t, s, d, j
    vpdpwssd zmm\t, zmm1\j, dword ptr [\s + 4*\j]{1to16}
.endm
.macro K_MIN_FLOAT i, t, s, d, none
    vcvtdq2ps zmm\t, zmm\t
.endm
.macro K_MIN i, t, s, d, none
    vfnmadd231ps zmm\i, zmm\t, zmm19
.endm
.macro K_ACC i, t, s, d, none
    vbroadcastss zmm\t, [\d]
    vfmadd213ps zmm\i, zmm\t, [ACC + 64*\i]
.endm
.macro SAVE_ACC i, t, s, d, none
    vmovaps [ACC + 64*\i], zmm\i
.endm
.macro FINISH_K rows, shift, mins
    .if \mins
    EACH_ROW \rows, K_MIN_START
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    .if \j < \mins
    EACH_ROW \rows, K_MIN_PAIR, \j
    .endif
    .endr
    .endif
    EACH_ROW \rows, K_SUM, \shift
    EACH_ROW \rows, K_SCALE
    .if \mins
    EACH_ROW \rows, K_MIN_FLOAT
    EACH_ROW \rows, K_MIN
    .endif
    EACH_ROW \rows, K_ACC
    EACH_ROW \rows, SAVE_ACC
.endm

.macro STORE_RESULTS_K lo, hi
    tilestored [SCRATCH + LINE*1 + RESULT], tmm\lo
    tilestored [SCRATCH + LINE*1 + RESULT + 1024], tmm\hi
.endm

/* One step with result tiles \lo and \hi; the pending step has \was_lo and \was_hi. */
.macro PRODUCTS_K t, panel, lo, hi, shift
    tileloadd tmm6, [SCRATCH + LINE*1 + PANEL_1*\panel + LO + 1024*\t]
    tdpbsud tmm\lo, tmm4, tmm6
    tileloadd tmm7, [SCRATCH + LINE*1 + PANEL_1*\panel + HI + 1024*\t]
    .if \shift == 3
    tdpbsud tmm\hi, tmm4, tmm7
    .else
    tdpbssd tmm\hi, tmm4, tmm7
    .endif
.endm
.macro STEP_K lo, hi, was_lo, was_hi, shift, mins
    X_OF_STEP
    STORE_RESULTS_K \was_lo, \was_hi
    tilezero tmm\lo
    tilezero tmm\hi
    .irp t, 0, 1, 2, 3
    tileloadd tmm4, [rax + XS*1 + 64*\t]
    PRODUCTS_K \t, 0, \lo, \hi, \shift
    FINISH_UP_TO_4 FINISH_K, \shift, \mins
    .endr
.endm

/* Two panels: a tile of x serves both, and so do the broadcasts of the rows' sums. S in zmm0-1 and zmm2-3, M in
 * zmm4-5 and zmm6-7; the constants of the second panel are D zmm\d1, Dmin zmm23, minima zmm14-17. */
.macro FINISH_PAIR_ROW a, b, m, n, x, s, d, row, shift, mins, d1
    vpslld  zmm\a, [BUF + 1024 + \row], \shift
    vpslld  zmm\b, [BUF + 3072 + \row], \shift
    vpaddd  zmm\a, zmm\a, [BUF + \row]
    vpaddd  zmm\b, zmm\b, [BUF + 2048 + \row]
    vcvtdq2ps zmm\a, zmm\a
    vcvtdq2ps zmm\b, zmm\b
    vmulps  zmm\a, zmm\a, zmm18
    vmulps  zmm\b, zmm\b, zmm\d1
    .if \mins
    vpxord  xmm\m, xmm\m, xmm\m
    vpxord  xmm\n, xmm\n, xmm\n
    vpbroadcastd zmm\x, [\s]
    vpdpwssd zmm\m, zmm\x, zmm10
    vpdpwssd zmm\n, zmm\x, zmm14
    vpbroadcastd zmm\x, [\s + 4]
    vpdpwssd zmm\m, zmm\x, zmm11
    vpdpwssd zmm\n, zmm\x, zmm15
    vpbroadcastd zmm\x, [\s + 8]
    vpdpwssd zmm\m, zmm\x, zmm12
    vpdpwssd zmm\n, zmm\x, zmm16
    vpbroadcastd zmm\x, [\s + 12]
    vpdpwssd zmm\m, zmm\x, zmm13
    vpdpwssd zmm\n, zmm\x, zmm17
    vcvtdq2ps zmm\m, zmm\m
    vcvtdq2ps zmm\n, zmm\n
    vfnmadd231ps zmm\a, zmm\m, zmm19
    vfnmadd231ps zmm\b, zmm\n, zmm23
    .endif
    vbroadcastss zmm\x, [\d]
    vfmadd213ps zmm\a, zmm\x, [ACC + \row]
    vfmadd213ps zmm\b, zmm\x, [ACC + \row + PANEL_1]
    vmovaps [ACC + \row], zmm\a
    vmovaps [ACC + \row + PANEL_1], zmm\b
.endm
.macro FINISH_PAIR rows, shift, mins, d1
    FINISH_PAIR_ROW 0, 2, 4, 6, 8, S, D, 0, \shift, \mins, \d1
    .if \rows == 4
    FINISH_PAIR_ROW 1, 3, 5, 7, 9, S + SS, D + DS, 64, \shift, \mins, \d1
    FINISH_PAIR_ROW 0, 2, 4, 6, 8, S + 2*SS, D + 2*DS, 128, \shift, \mins, \d1
    FINISH_PAIR_ROW 1, 3, 5, 7, 9, S + SS3, D + DS3, 192, \shift, \mins, \d1
    .endif
.endm
.macro STORE_RESULTS_PAIR
    tilestored [SCRATCH + LINE*1 + RESULT], tmm0
    tilestored [SCRATCH + LINE*1 + RESULT + 1024], tmm1
    tilestored [SCRATCH + LINE*1 + RESULT + 2048], tmm2
    tilestored [SCRATCH + LINE*1 + RESULT + 3072], tmm3
.endm
.macro STEP_PAIR shift, mins, d1
    X_OF_STEP
    STORE_RESULTS_PAIR
    .irp c, 0, 1, 2, 3
    tilezero tmm\c
    .endr
    .irp t, 0, 1, 2, 3
    tileloadd tmm4, [rax + XS*1 + 64*\t]
    PRODUCTS_K \t, 0, 0, 1, \shift
    PRODUCTS_K \t, 1, 2, 3, \shift
    FINISH_UP_TO_4 FINISH_PAIR, \shift, \mins, \d1
    .endr
.endm

/* A block of one panel from W to the weight tiles at rax; HEAD = the end of its scales. */
.macro UNPACK_BLOCK bits, groups, shift, mins
    lea     HEAD, [W + 64]
    add     W, 64 + 16*\groups + 32*\mins
    mov     LINE, 8
1:  UNPACK  \bits
    .if \shift == 3
    DIGITS_8
    .else
    DIGITS_256_HALF 0, 0, 1, 2, 3
    DIGITS_256_HALF 16, 4, 5, 6, 7
    add     HEAD, 32
    .endif
    add     rax, 512
    dec     LINE
    jnz     1b
    mov     LINE, 64
.endm

.macro FIRST_STEP
    xor     eax, eax
    mov     [ROW], rax
    mov     [FIRST], rax
.endm

/* K0 += 256; flags: below k */
.macro NEXT_BLOCK
    mov     rax, [K0]
    add     rax, 256
    mov     [K0], rax
    cmp     rax, [A + MM_K]
.endm

.macro SET_PENDING_K groups
    .if \groups == 16
    SET_PENDING MM_SUM, 3, 6
    .else
    SET_PENDING MM_SUM, 4, 6
    .endif
.endm

/* groups: of a block, 8 or 16; shift: log2 of the base; mins: pairs of minima; d1: register for D of the second
 * panel of a pair, 0: panels are taken one by one */
.macro KERNEL_K layout, bits, groups, shift, mins, d1
FUNCTION wh_mm_\layout\()_amx
    PROLOGUE MM_SUM_STRIDE
    CONFIGURE 64, 16
    mov     qword ptr [ODD], 0
    UNPACK_MASKS \bits
    .if \shift == 3
    mov     eax, 7
    vpbroadcastd zmm29, eax
    .else
    mov     eax, 0x00ff00ff
    vpbroadcastd zmm29, eax
    mov     rax, [A + MM_OFF]
    vpbroadcastw zmm27, eax
    .endif

    .if \d1
.L\layout\()_pair:
    cmp     qword ptr [PANELS], 2
    jb      .L\layout\()_pairs_done
    mov     rax, [A + MM_K]
    shr     rax, 8
    imul    rax, rax, 64 + 16*\groups + 32*\mins + 512*\bits
    add     rax, W
    mov     [W_1], rax
    mov     qword ptr [K0], 0
.L\layout\()_pair_block:
    mov     rax, SCRATCH
    UNPACK_BLOCK \bits, \groups, \shift, \mins
    mov     [HEAD_0], HEAD
    xchg    W, [W_1]
    lea     rax, [SCRATCH + PANEL_1]
    UNPACK_BLOCK \bits, \groups, \shift, \mins
    mov     [HEAD_1], HEAD
    xchg    W, [W_1]
    FIRST_STEP
.L\layout\()_pair_step:
    STEP_PAIR \shift, \mins, \d1
    STORE_Y 2
    cmp     qword ptr [ROW], 0
    jne     1f
    mov     HEAD, [HEAD_0]
    vcvtph2ps zmm18, [HEAD - 64 - 16*\groups]
    .if \mins
    vcvtph2ps zmm19, [HEAD - 32 - 16*\groups]
    vpmovzxbw zmm10, [HEAD]
    vpmovzxbw zmm11, [HEAD + 32]
    vpmovzxbw zmm12, [HEAD + 64]
    vpmovzxbw zmm13, [HEAD + 96]
    .endif
    mov     HEAD, [HEAD_1]
    vcvtph2ps zmm\d1, [HEAD - 64 - 16*\groups]
    .if \mins
    vcvtph2ps zmm23, [HEAD - 32 - 16*\groups]
    vpmovzxbw zmm14, [HEAD]
    vpmovzxbw zmm15, [HEAD + 32]
    vpmovzxbw zmm16, [HEAD + 64]
    vpmovzxbw zmm17, [HEAD + 96]
    .endif
1:  SET_PENDING_K \groups
    NEXT_STEP .L\layout\()_pair_steps_done
    jmp     .L\layout\()_pair_step
.L\layout\()_pair_steps_done:
    NEXT_BLOCK
    jb      .L\layout\()_pair_block
    mov     qword ptr [LAST], 1
    mov     W, [W_1]
    sub     qword ptr [PANELS], 2
    jmp     .L\layout\()_pair
.L\layout\()_pairs_done:
    cmp     qword ptr [LAST], 0
    je      3f
    STORE_RESULTS_PAIR
2:  FINISH_UP_TO_4 FINISH_PAIR, \shift, \mins, \d1
    cmp     BUF, [BUF_END]
    jb      2b
    STORE_Y 2
3:  cmp     qword ptr [PANELS], 0
    je      .L\layout\()_end
    .endif

.L\layout\()_panel:
    mov     qword ptr [K0], 0
.L\layout\()_block:
    mov     rax, SCRATCH
    UNPACK_BLOCK \bits, \groups, \shift, \mins
    FIRST_STEP
.L\layout\()_step:
    xor     qword ptr [ODD], 1
    jz      .L\layout\()_even
    STEP_K  2, 3, 0, 1, \shift, \mins
    jmp     .L\layout\()_issued
.L\layout\()_even:
    STEP_K  0, 1, 2, 3, \shift, \mins
.L\layout\()_issued:
    STORE_Y
    cmp     qword ptr [ROW], 0
    jne     1f
    vcvtph2ps zmm18, [HEAD - 64 - 16*\groups]
    .if \mins
    vcvtph2ps zmm19, [HEAD - 32 - 16*\groups]
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    .if \j < \mins
    vpmovzxbw zmm1\j, [HEAD + 32*\j]
    .endif
    .endr
    .endif
1:  SET_PENDING_K \groups
    NEXT_STEP .L\layout\()_steps_done
    jmp     .L\layout\()_step
.L\layout\()_steps_done:
    NEXT_BLOCK
    jb      .L\layout\()_block
    mov     qword ptr [LAST], 1
    dec     qword ptr [PANELS]
    jnz     .L\layout\()_panel
    cmp     qword ptr [ODD], 0
    je      1f
    STORE_RESULTS_K 2, 3
    jmp     2f
1:  STORE_RESULTS_K 0, 1
2:  FINISH_UP_TO_4 FINISH_K, \shift, \mins
    cmp     BUF, [BUF_END]
    jb      2b
    STORE_Y
.L\layout\()_end:
    EPILOGUE
ENDFUNCTION wh_mm_\layout\()_amx
.endm

    KERNEL_K k4m, 4, 8,  3, 4, 22
    KERNEL_K k5m, 5, 8,  3, 4, 22
    KERNEL_K h4m, 4, 16, 8, 8, 0
    KERNEL_K h6,  6, 16, 8, 0, 19

/* ---- legacy layouts -------------------------------------------------------------------------------------- */

/* Rows of the pending step: acc in zmm0-3. d of the groups is in zmm10-17, m in zmm8, 9, 18, 19, 24-27. */
.macro LOAD_ACC i, t, s, d, none
    vmovaps zmm\i, [ACC + 64*\i]
.endm
.macro L_FLOAT i, t, s, d, g
    vcvtdq2ps zmm\t, [BUF + 1024*\g + 64*\i]
.endm
.macro L_SCALE i, t, s, d, g
    vmulps  zmm2\i, zmm1\g, dword ptr [\d + 4*\g]{1to16}
.endm
.macro L_ACC i, t, s, d, none
    vfmadd231ps zmm\i, zmm\t, zmm2\i
.endm
.macro L_MIN i, t, s, d, g, m
    vfmadd231ps zmm\i, zmm\m, dword ptr [\s + 4*\g]{1to16}
.endm
.macro FINISH_GROUP rows, g, m, min
    .if \g
    cmp     qword ptr [PENDING_GROUPS], \g
    je      9f
    .endif
    EACH_ROW \rows, L_FLOAT, \g
    EACH_ROW \rows, L_SCALE, \g
    EACH_ROW \rows, L_ACC
    .if \min
    EACH_ROW \rows, L_MIN, \g, \m
    .endif
.endm
.macro FINISH_LEGACY rows, min
    EACH_ROW \rows, LOAD_ACC
    FINISH_GROUP \rows, 0, 8, \min
    FINISH_GROUP \rows, 1, 9, \min
    FINISH_GROUP \rows, 2, 18, \min
    FINISH_GROUP \rows, 3, 19, \min
    FINISH_GROUP \rows, 4, 24, \min
    FINISH_GROUP \rows, 5, 25, \min
    FINISH_GROUP \rows, 6, 26, \min
    FINISH_GROUP \rows, 7, 27, \min
9:
    EACH_ROW \rows, SAVE_ACC
.endm

/* The product of group \g into result tile \c with activation tile \a and weight tile \b, then the store of the
 * product before it, which has had time to end; after every other one four rows of the pending step. */
.macro GROUP g, c, a, b, before, min
    .if \g
    cmp     qword ptr [GROUPS], \g
    jbe     1f
    .endif
    tilezero tmm\c
    tileloadd tmm\a, [rax + XS*1 + 32*\g]
    tileloadd tmm\b, [SCRATCH + LINE*1 + LO + 512*\g]
    tdpbssd tmm\c, tmm\a, tmm\b
1:
    .if \g & 1
    FINISH_UP_TO_4 FINISH_LEGACY, \min
    .endif
    .if \g
    tilestored [HEAD + LINE*1 + 1024*(\g - 1)], tmm\before
    .endif
.endm

.macro KERNEL_LEGACY layout, bits, min
FUNCTION wh_mm_\layout\()_amx
    PROLOGUE MM_START_STRIDE
    CONFIGURE 32, 8
    mov     qword ptr [INTO], 8192
    UNPACK_MASKS \bits
    mov     rax, [A + MM_OFF]
    vpbroadcastb zmm29, eax
.L\layout\()_panel:
    mov     qword ptr [K0], 0

.L\layout\()_block:
    mov     HEAD, W
    mov     rax, [A + MM_K]
    sub     rax, [K0]
    shr     rax, 5
    cmp     rax, 8
    jb      1f
    mov     eax, 8
1:  mov     [GROUPS], rax
    mov     LINE, rax
    .if \min
    shl     rax, 6
    .else
    inc     rax /* heads are whole lines */
    and     rax, -2
    shl     rax, 5
    .endif
    add     W, rax
    mov     rax, SCRATCH
    lea     XS, [SCRATCH + SCALES]
1:  UNPACK  \bits
    .irp q, 0, 1, 2, 3, 4, 5, 6, 7
    vpsubb  zmm\q, zmm\q, zmm29
    vmovdqa64 [rax + LO + 64*\q], zmm\q
    .endr
    vcvtph2ps zmm0, [HEAD]
    vmovaps [XS], zmm0
    .if \min
    vcvtph2ps zmm0, [HEAD + 32]
    vmovaps [XS + 64], zmm0
    .endif
    add     HEAD, 32 + 32*\min
    add     rax, 512
    add     XS, 128
    dec     LINE
    jnz     1b
    mov     LINE, 64
    mov     XS, [A + MM_X_STRIDE]
    xor     eax, eax
    mov     [ROW], rax
    mov     [FIRST], rax

.L\layout\()_step:
    X_OF_STEP
    mov     HEAD, [INTO]
    lea     HEAD, [SCRATCH + HEAD + RESULT]
    GROUP   0, 0, 4, 6, 3, \min
    GROUP   1, 1, 5, 7, 0, \min
    GROUP   2, 2, 4, 6, 1, \min
    GROUP   3, 3, 5, 7, 2, \min
    GROUP   4, 0, 4, 6, 3, \min
    GROUP   5, 1, 5, 7, 0, \min
    GROUP   6, 2, 4, 6, 1, \min
    GROUP   7, 3, 5, 7, 2, \min
    tilestored [HEAD + LINE*1 + 1024*7], tmm3
    STORE_Y
    cmp     qword ptr [ROW], 0
    jne     1f
    .irp g, 0, 1, 2, 3, 4, 5, 6, 7
    vmovaps zmm1\g, [SCRATCH + SCALES + 128*\g]
    .endr
    .if \min
    vmovaps zmm8, [SCRATCH + SCALES + 64]
    vmovaps zmm9, [SCRATCH + SCALES + 192]
    vmovaps zmm18, [SCRATCH + SCALES + 320]
    vmovaps zmm19, [SCRATCH + SCALES + 448]
    vmovaps zmm24, [SCRATCH + SCALES + 576]
    vmovaps zmm25, [SCRATCH + SCALES + 704]
    vmovaps zmm26, [SCRATCH + SCALES + 832]
    vmovaps zmm27, [SCRATCH + SCALES + 960]
    .endif
    mov     rax, [GROUPS]
    mov     [PENDING_GROUPS], rax
1:
    SET_PENDING MM_START, 3, 3
    mov     rax, [INTO]
    add     BUF, rax
    xor     rax, 8192
    mov     [INTO], rax
    mov     rax, [STEP]
    shl     rax, 6
    add     rax, HEAD
    mov     [BUF_END], rax
    sub     rax, 192
    mov     [BUF_END_4], rax
    NEXT_STEP .L\layout\()_steps_done
    jmp     .L\layout\()_step

.L\layout\()_steps_done:
    mov     rax, [GROUPS]
    shl     rax, 5
    add     rax, [K0]
    mov     [K0], rax
    cmp     rax, [A + MM_K]
    jb      .L\layout\()_block
    mov     qword ptr [LAST], 1
    dec     qword ptr [PANELS]
    jnz     .L\layout\()_panel
2:  FINISH_UP_TO_4 FINISH_LEGACY, \min
    cmp     BUF, [BUF_END]
    jb      2b
    STORE_Y
    EPILOGUE
ENDFUNCTION wh_mm_\layout\()_amx
.endm

    KERNEL_LEGACY l4,  4, 0
    KERNEL_LEGACY l4m, 4, 1
    KERNEL_LEGACY l5,  5, 0
    KERNEL_LEGACY l5m, 5, 1
    KERNEL_LEGACY l8,  8, 0
