/* mm_amx: what mm_amx_k.S, mm_amx_legacy.S and mm_amx_b8.S share.
 *
 * y (m,n) = x (m,k) · wᵀ (n,k), int8 activations, integer weights, AMX-INT8.
 *
 *   void wh_mm_<layout>_amx(const wh_mm *a);      l4 l4m l5 l5m l8 k4m k5m h4m h6 b8
 *   C twin: wh_mm_<layout>_c (src/kern/mm_c.c); layouts and order of operations: src/kern/CONTRACT.md
 *
 * A tile of activations is 16 rows of x by 64 k as they lie in memory; a tile of weights is 16 quads of k by the
 * 16 rows of a panel, the atoms of the packed layout; a result tile is 16 x 16 int32. For each block of 256 k the
 * weights are unpacked once into int8 tiles (L1) and used for all m rows of x:
 *
 *   mm_amx_k.S       the integer scales of a block are folded into the weights: no store before the block ends
 *   mm_amx_legacy.S  a float scale for each 32 k: a product and a store for each
 *   mm_amx_b8.S      bytes with one scale for 256 k: nothing to unpack, steps of 32 rows
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
 * Rows are finished four at a time, their instructions interleaved: the chains are long (vpdpwssd, fma), and one
 * row after the other fills the scheduler with uops that wait.
 *
 * Sapphire Rapids, 4 GHz: a tile product takes 4.7 ns for 16 rows and 64 or 32 k alike, a tile load 2.2 ns, a tile
 * store about 100 issue slots, 4.3 ns.
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
#ifndef DS
#define DS      r12
#define DS3     rbx
#endif

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
    SAVE_REGISTERS
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
    RESTORE_REGISTERS
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

.macro SAVE_ACC i, t, s, d, none
    vmovaps [ACC + 64*\i], zmm\i
.endm

/* Finish up to four rows: four at once if so many are left, else one after the other. */
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
