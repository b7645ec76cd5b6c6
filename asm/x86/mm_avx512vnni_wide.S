/* mm_avx512vnni_wide: the products of mm_avx512vnni.S for many rows of x: y (m,n) = x (m,k) · wᵀ (n,k).
 *
 *   void wh_mm_<layout>_avx512vnni_wide(const wh_mm *a);      m >= 8, a->panels >= 2
 *   Called by wh_mm_<layout>_avx512vnni, whose C twin, layouts and order of operations it shares (CONTRACT.md).
 *
 * Two panels at a time, and a block of them unpacked once into the scratch area, so that a number of x in a register
 * serves both panels and the running sums of a tile stay in registers for the whole block:
 *
 *   for each two panels, for each block of 256 k:
 *       unpack both, a quad of one panel beside that of the other; scales as int32, word pairs or f32 behind their quads
 *       for each tile of 4, 5 or 6 rows of x (8 or more rows are always a sum of these):
 *           for each group:  dot (2 x rows) = start;  for each quad:  x = broadcast;  dot += quad · x  for both panels
 *               legacy:  acc = fma(d_g · d_x, float(dot), acc)        acc in registers
 *               K:       S += sc_g · dot                             (vpmulld; S in registers)
 *               K, 16-bit dots (mm_avx512vnni.S says why they fit): the dots of two groups become the words of one
 *                        register, so that one vpdpwssd serves both   (S in memory)
 *           K, b8: the end of the block, acc = fma(d_x, .., acc)      acc in memory (L1)
 *
 * Weights are fetched two blocks ahead by the first two tiles of a block, spread over their steps: all at once, they
 * would wait for each other.
 *
 * Bound: 2 vpdpbusd per cycle; of a row, a panel and a block k4m has 64, and 15 more uops that want the same two units
 * (4 scales, 8 for the corrections of offset and minimum, 3 of floats): 81 % of the peak. l5: 64 + 16, h6: 64 + 18.
 * 0.67 loads for a vpdpbusd (10 for 8 in mm_avx512vnni.S). Measured on one thread out of memory (Zen 5, 4.1 GHz, peak
 * 1.03 TOP/s), m = 8, 16, 64, 128: k4m 0.56, 0.67, 0.78, 0.81; h6 0.54, 0.63, 0.75, 0.77; l5 0.58, 0.69, 0.75, 0.77;
 * l8 0.41, 0.62, 0.70, 0.75; b8, which has no scales inside a block, 0.49, 0.66, 0.87, 0.92 TOP/s.
 */
#include "wh_asm.h"
#define W rsi /* body of the block */
#define AHEAD 0 /* UNPACK does not fetch */
#include "unpack_zmm.h"

/* Registers of a tile: rows 0-3 are at base + i · stride, rows 4 and 5 have bases of their own. */
#define X     rax
#define X4    rbx
#define XS    rcx
#define XS3   rdx
#define S     r8 /* start; at the end of a block sums */
#define S4    r9
#define SS    r10
#define SS3   r11
#define D     rdi /* legacy only */
#define D4    rsi
#define U     r12 /* in the unpacked block */
#define ACC   r13
#define FETCH r14 /* 0: nothing to fetch */
#define STEPS r15 /* left in the block */
#define MEM   rbp /* scratch behind acc */
#define TMP   r12
/* of unpacking */
#define HEAD  rdi
#define LEFT  r14

/* On the stack. */
#define ARGS         rsp
#define PANELS       rsp + 8
#define COLUMN       rsp + 16 /* y of the first panel */
#define W_LEFT       rsp + 24 /* the rest of each of the two panels */
#define K0           rsp + 40 /* k of the block */
#define GROUPS       rsp + 48 /* of 32 k, of the block */
#define BLOCK_STEPS  rsp + 56
#define ROWS_LEFT    rsp + 64
#define XROW         rsp + 72 /* this and the next four: of the tile's first row, in this block */
#define SROW         rsp + 80
#define DROW         rsp + 88
#define SUMROW       rsp + 96
#define ACCROW       rsp + 104
#define PANEL_BYTES  rsp + 112
#define BLOCKS       rsp + 120 /* of a panel */
#define FETCH_NOW    rsp + 128 /* what the next tile fetches, what the one after it fetches */
#define FETCH_AT     rsp + 144 /* what the first tile of the next block fetches */
#define FETCH_PAIR   rsp + 152 /* the pair of panels of FETCH_AT */
#define FETCH_BLOCKS rsp + 160 /* left there */
#define LAST         rsp + 168 /* a wh_mm of the last panel, when their number is odd */
#define FRAME        168 + 128

/* Scratch: acc, m rows of two panels of 16 floats; then from MEM on: */
#define ACC_BYTES 16384
#define SUMS      0    /* S of the rows of a tile */
#define DS        1024 /* D, then Dmin, of the two panels */
#define SC8       1280 /* 8·sc in pairs, 4 of each panel */
#define MN        1792 /* mn in pairs, up to 8 of each panel */
#define UNPACKED  2816

/* Invoke \op i, (dots) a0, a1, (sums) b0, b1, x, s, d, \arg for the rows of a tile. */
.macro EACH_ROW rows, op, arg
    \op 0, 0, 1, 12, 13, X, S, D, \arg
    \op 1, 2, 3, 14, 15, X + XS, S + SS, D + SS, \arg
    \op 2, 4, 5, 16, 17, X + 2*XS, S + 2*SS, D + 2*SS, \arg
    \op 3, 6, 7, 18, 19, X + XS3, S + SS3, D + SS3, \arg
    .if \rows > 4
    \op 4, 8, 9, 20, 21, X4, S4, D4, \arg
    .endif
    .if \rows > 5
    \op 5, 10, 11, 22, 23, X4 + XS, S4 + SS, D4 + SS, \arg
    .endif
.endm

.macro START i, a0, a1, b0, b1, x, s, d, at
    vpbroadcastd zmm\a0, [\s + \at]
    vmovdqa64 zmm\a1, zmm\a0
.endm
.macro START_B i, a0, a1, b0, b1, x, s, d, at
    vpbroadcastd zmm\b0, [\s + \at]
    vmovdqa64 zmm\b1, zmm\b0
.endm
.macro CLEAR i, a0, a1, b0, b1, x, s, d, arg
    vpxord  xmm\a0, xmm\a0, xmm\a0
    vpxord  xmm\a1, xmm\a1, xmm\a1
.endm
.macro CLEAR_B i, a0, a1, b0, b1, x, s, d, arg
    vpxord  xmm\b0, xmm\b0, xmm\b0
    vpxord  xmm\b1, xmm\b1, xmm\b1
.endm
.macro DOT i, a0, a1, b0, b1, x, s, d, q
    vpbroadcastd zmm26, [\x + 4*(\q)]
    vpdpbusd zmm\a0, zmm24, zmm26
    vpdpbusd zmm\a1, zmm25, zmm26
.endm
.macro DOT_B i, a0, a1, b0, b1, x, s, d, q
    vpbroadcastd zmm26, [\x + 4*(\q)]
    vpdpbusd zmm\b0, zmm24, zmm26
    vpdpbusd zmm\b1, zmm25, zmm26
.endm
.macro TWO r0, r1, base, at
    vmovdqa64 zmm\r0, [\base + \at]
    vmovdqa64 zmm\r1, [\base + \at + 64]
.endm
/* \quads quads from quad \from on */
.macro DOTS rows, op, from, quads
    .set quad, \from
    .rept \quads
    TWO 24, 25, U, 128*quad
    EACH_ROW \rows, \op, quad
    .set quad, quad + 1
    .endr
.endm

.macro LOAD_ACC i, a0, a1, b0, b1, x, s, d, arg
    TWO \b0, \b1, ACC, 128*\i
.endm
.macro STORE_ACC i, a0, a1, b0, b1, x, s, d, arg
    vmovaps [ACC + 128*\i], zmm\b0
    vmovaps [ACC + 128*\i + 64], zmm\b1
.endm
.macro LEGACY_END i, a0, a1, b0, b1, x, s, d, arg
    vbroadcastss zmm26, [\d]
    vcvtdq2ps zmm\a0, zmm\a0
    vmulps  zmm28, zmm26, zmm24
    vcvtdq2ps zmm\a1, zmm\a1
    vmulps  zmm29, zmm26, zmm25
    vfmadd231ps zmm\b0, zmm28, zmm\a0
    vfmadd231ps zmm\b1, zmm29, zmm\a1
.endm
.macro LEGACY_MIN i, a0, a1, b0, b1, x, s, d, arg
    vbroadcastss zmm26, [\s]
    vfmadd231ps zmm\b0, zmm26, zmm27
    vfmadd231ps zmm\b1, zmm26, zmm30
.endm
.macro PAIR_WORDS i, a0, a1, b0, b1, x, s, d, arg
    vpslld  zmm\b0, zmm\b0, 16
    vpslld  zmm\b1, zmm\b1, 16
    vpblendmw zmm\a0{k1}, zmm\a0, zmm\b0
    vpblendmw zmm\a1{k1}, zmm\a1, zmm\b1
.endm
.macro SUM_PAIRS i, a0, a1, b0, b1, x, s, d, arg
    TWO 27, 28, MEM, SUMS + 128*\i
    vpdpwssd zmm27, zmm\a0, zmm24
    vpdpwssd zmm28, zmm\a1, zmm25
    vmovdqa64 [MEM + SUMS + 128*\i], zmm27
    vmovdqa64 [MEM + SUMS + 128*\i + 64], zmm28
.endm
.macro CLEAR_SUM i, a0, a1, b0, b1, x, s, d, arg
    vmovdqa64 [MEM + SUMS + 128*\i], zmm24
    vmovdqa64 [MEM + SUMS + 128*\i + 64], zmm24
.endm
.macro LOAD_SUM i, a0, a1, b0, b1, x, s, d, arg
    TWO \b0, \b1, MEM, SUMS + 128*\i
.endm
.macro SUM_MUL i, a0, a1, b0, b1, x, s, d, arg
    vpmulld zmm\a0, zmm\a0, zmm24
    vpmulld zmm\a1, zmm\a1, zmm25
    vpaddd  zmm\b0, zmm\b0, zmm\a0
    vpaddd  zmm\b1, zmm\b1, zmm\a1
.endm

/* ---- the end of a block: s, x are the rows' sums (or starts) and d ----------------------------------- */

.macro K_SC8 i, a0, a1, b0, b1, x, s, d, at
    vpbroadcastd zmm26, [\s + \at]
    vpdpwssd zmm\b0, zmm26, zmm27
    vpdpwssd zmm\b1, zmm26, zmm28
    vpdpwssd zmm\a0, zmm26, zmm24
    vpdpwssd zmm\a1, zmm26, zmm25
.endm
.macro K_PAIR i, a0, a1, b0, b1, x, s, d, at
    vpbroadcastd zmm26, [\s + \at]
    vpdpwssd zmm\a0, zmm26, zmm24
    vpdpwssd zmm\a1, zmm26, zmm25
.endm
.macro K_SCALE i, a0, a1, b0, b1, x, s, d, arg
    vcvtdq2ps zmm\b0, zmm\b0
    vcvtdq2ps zmm\b1, zmm\b1
    vmulps  zmm\b0, zmm\b0, zmm24
    vmulps  zmm\b1, zmm\b1, zmm25
.endm
.macro K_MIN i, a0, a1, b0, b1, x, s, d, arg
    vcvtdq2ps zmm\a0, zmm\a0
    vcvtdq2ps zmm\a1, zmm\a1
    vfnmadd231ps zmm\b0, zmm\a0, zmm24
    vfnmadd231ps zmm\b1, zmm\a1, zmm25
.endm
.macro K_ACC i, a0, a1, b0, b1, x, s, d, arg
    vbroadcastss zmm26, [\x]
    vfmadd213ps zmm\b0, zmm26, [ACC + 128*\i]
    vfmadd213ps zmm\b1, zmm26, [ACC + 128*\i + 64]
    vmovaps [ACC + 128*\i], zmm\b0
    vmovaps [ACC + 128*\i + 64], zmm\b1
.endm
.macro BLOCK_START i, a0, a1, b0, b1, x, s, d, arg
    vpaddd  zmm\b0, zmm\a0, dword ptr [\s]{1to16}
    vpaddd  zmm\b1, zmm\a1, dword ptr [\s]{1to16}
.endm

/* The registers of a tile's rows: the first row at [\row], [args + \stride] apart (args in TMP). */
.macro ROWS_AT r, r4, s, s3, row, stride
    mov     \s, [TMP + \stride]
    mov     \r, [\row]
    lea     \s3, [\s + 2*\s]
    lea     \r4, [\r + 4*\s]
.endm
.macro ADVANCE row, stride, rows
    imul    TMP, \stride, \rows
    add     [\row], TMP
.endm

.macro FETCH_SOME
    .set line, 0
    .rept FETCH_LINES
    prefetcht0 [FETCH + 64*line]
    .set line, line + 1
    .endr
    add     FETCH, 64 * FETCH_LINES
.endm

/* kind: l (legacy), lm (with minima), w (K, 16-bit dots, two in a word pair), m (K, vpmulld), b. A dot is over \quads
 * quads and begins at start or at zero. */
.macro TILE kind, rows, quads, starts, mins
    mov     TMP, [ARGS]
    ROWS_AT X, X4, XS, XS3, XROW, MM_X_STRIDE
    ROWS_AT S, S4, SS, SS3, SROW, MM_START_STRIDE
    ADVANCE XROW, XS, \rows
    ADVANCE SROW, SS, \rows
    .if IS_LEGACY
    mov     D, [DROW]
    lea     D4, [D + 4*SS]
    ADVANCE DROW, SS, \rows
    .endif
    mov     ACC, [ACCROW]
    add     qword ptr [ACCROW], 128*\rows
    lea     U, [MEM + UNPACKED]
    mov     STEPS, [FETCH_NOW + 8]
    mov     FETCH, [FETCH_NOW]
    mov     [FETCH_NOW], STEPS
    mov     qword ptr [FETCH_NOW + 8], 0
    mov     STEPS, [BLOCK_STEPS]
    .ifc \kind, w
    vpxord  xmm24, xmm24, xmm24
    EACH_ROW \rows, CLEAR_SUM
    .endif
    .ifc \kind, m
    EACH_ROW \rows, CLEAR_B
    .endif
    .ifc \kind, b
    EACH_ROW \rows, CLEAR
    .endif
    .if IS_LEGACY
    EACH_ROW \rows, LOAD_ACC
    .endif
    .p2align 5
1:
    .ifc \kind, w
    EACH_ROW \rows, START, 0
    DOTS \rows, DOT, 0, \quads
    EACH_ROW \rows, START_B, 4
    DOTS \rows, DOT_B, \quads, \quads
    TWO 24, 25, U, 256*\quads
    EACH_ROW \rows, PAIR_WORDS
    EACH_ROW \rows, SUM_PAIRS
    .else
    .if \starts
    EACH_ROW \rows, START, 0
    .elseif !IS_BLOCK
    EACH_ROW \rows, CLEAR
    .endif
    DOTS \rows, DOT, 0, \quads
    .if IS_LEGACY
    TWO 24, 25, U, 1024
    EACH_ROW \rows, LEGACY_END
    add     D, 4
    add     D4, 4
    .endif
    .ifc \kind, lm
    TWO 27, 30, U, 1152
    EACH_ROW \rows, LEGACY_MIN
    .endif
    .ifc \kind, m
    TWO 24, 25, U, 128*\quads
    EACH_ROW \rows, SUM_MUL
    .endif
    .endif
    add     U, STEP_BYTES
    add     X, STEP
    add     X4, STEP
    .if !IS_BLOCK
    add     S, STEP / \quads
    add     S4, STEP / \quads
    .endif
    test    FETCH, FETCH
    jz      2f
    FETCH_SOME
2:  dec     STEPS
    jnz     1b
    .if IS_LEGACY || IS_BLOCK /* a short block has too few steps */
    mov     STEPS, [BLOCK_STEPS]
    sub     STEPS, 8
    jz      2f
    test    FETCH, FETCH
    jz      2f
1:  FETCH_SOME
    inc     STEPS
    jnz     1b
2:
    .endif

    .if IS_LEGACY
    EACH_ROW \rows, STORE_ACC
    .else
    mov     TMP, [ARGS]
    .if IS_BLOCK
    EACH_ROW \rows, BLOCK_START
    .endif
    .ifc \kind, w
    EACH_ROW \rows, LOAD_SUM
    .endif
    .if \mins
    ROWS_AT S, S4, SS, SS3, SUMROW, MM_SUM_STRIDE
    EACH_ROW \rows, CLEAR
    .set pair, 0
    .rept \mins
    TWO 24, 25, MEM, MN + 128*pair
    .if SC_EIGHT
    TWO 27, 28, MEM, SC8 + 128*pair
    EACH_ROW \rows, K_SC8, 4*pair
    .else
    EACH_ROW \rows, K_PAIR, 4*pair
    .endif
    .set pair, pair + 1
    .endr
    .endif
    TWO 24, 25, MEM, DS
    EACH_ROW \rows, K_SCALE
    .if \mins
    TWO 24, 25, MEM, DS + 128
    EACH_ROW \rows, K_MIN
    .endif
    ROWS_AT X, X4, XS, XS3, DROW, MM_D_STRIDE
    EACH_ROW \rows, K_ACC
    .if \mins
    ADVANCE SUMROW, SS, \rows
    .endif
    ADVANCE DROW, XS, \rows
    .endif
.endm

/* ---- unpacking: one panel's block at W, to every other 64 bytes from U on -------------------------------- */

.macro STORE_QUADS at, list:vararg
    .set where, \at
    .irp q, \list
    vmovdqa64 [U + where], zmm\q
    .set where, where + 128
    .endr
.endm
.macro UNPACK_PANEL kind, bits, quads, mins, panel
    mov     W, [W_LEFT + 8*\panel]
    lea     U, [MEM + UNPACKED + 64*\panel]
    mov     HEAD, W
    mov     STEPS, [GROUPS]
    .if IS_BLOCK
    vmovaps zmm8, [HEAD]
    vmovaps [MEM + DS + 64*\panel], zmm8
    add     W, 64
    .elseif IS_LEGACY
    mov     rax, STEPS
    .ifc \kind, l
    inc     rax /* heads are whole lines */
    and     rax, -2
    shl     rax, 5
    .else
    shl     rax, 6
    .endif
    add     W, rax
    .else
    vcvtph2ps zmm8, [HEAD]
    vmovaps [MEM + DS + 64*\panel], zmm8
    .if \mins
    vcvtph2ps zmm8, [HEAD + 32]
    vmovaps [MEM + DS + 128 + 64*\panel], zmm8
    .set pair, 0
    .rept \mins
    vpmovzxbw zmm8, [HEAD + 64 + 1024/\quads + 32*pair]
    vmovdqa64 [MEM + MN + 128*pair + 64*\panel], zmm8
    .set pair, pair + 1
    .endr
    .endif
    add     W, 64 + 1024/\quads + 32*\mins
    add     HEAD, 64
    .endif
1:
    UNPACK  \bits
    .ifc \kind, m
    .if \quads == 4
    vpmovsxbd zmm8, [HEAD]
    vpmovsxbd zmm9, [HEAD + 16]
    STORE_QUADS 0, 0, 1, 2, 3, 8, 4, 5, 6, 7, 9
    add     HEAD, 32
    .else
    vpmovsxbd zmm8, [HEAD]
    STORE_QUADS 0, 0, 1, 2, 3, 4, 5, 6, 7, 8
    add     HEAD, 16
    .endif
    .else
    STORE_QUADS 0, 0, 1, 2, 3, 4, 5, 6, 7
    .endif
    .ifc \kind, w
    .if \quads == 8
    UNPACK  \bits
    STORE_QUADS 1024, 0, 1, 2, 3, 4, 5, 6, 7
    .endif
    vpmovsxbd zmm8, [HEAD] /* sc of two dots, as words */
    vpmovsxbd zmm9, [HEAD + 16]
    vpslld  zmm9, zmm9, 16
    vpblendmw zmm8{k1}, zmm8, zmm9
    vmovdqa64 [U + 256*\quads], zmm8
    add     HEAD, 32
    .endif
    .if IS_LEGACY
    vcvtph2ps zmm8, [HEAD]
    vmovaps [U + 1024], zmm8
    add     HEAD, 32
    .ifc \kind, lm
    vcvtph2ps zmm8, [HEAD]
    vmovaps [U + 1152], zmm8
    add     HEAD, 32
    .endif
    .endif
    .ifc \kind, m
    add     U, 32 / STEP * STEP_BYTES
    .else
    add     U, STEP_BYTES
    .endif
    .if STEP == 64
    sub     STEPS, 2
    .else
    dec     STEPS
    .endif
    jnz     1b
    mov     [W_LEFT + 8*\panel], W
    .if SC_EIGHT
    .set pair, 0
    .rept 4
    vpsllw  zmm8, [MEM + UNPACKED + STEP_BYTES*pair + 2048 + 64*\panel], 3
    vmovdqa64 [MEM + SC8 + 128*pair + 64*\panel], zmm8
    .set pair, pair + 1
    .endr
    .endif
.endm

/* The next two tiles fetch the two panels' block at FETCH_AT, two blocks ahead of the one that is multiplied. */
.macro FETCH_NEXT
    mov     rax, [FETCH_AT]
    mov     [FETCH_NOW], rax
    mov     rcx, [PANEL_BYTES]
    lea     rdx, [rax + rcx]
    mov     [FETCH_NOW + 8], rdx
    add     rax, 64 * (8*BITS + HEAD_LINES)
    dec     qword ptr [FETCH_BLOCKS]
    jnz     1f
    lea     rax, [2*rcx]
    add     rax, [FETCH_PAIR]
    mov     [FETCH_PAIR], rax
    mov     rcx, [BLOCKS]
    mov     [FETCH_BLOCKS], rcx
1:  mov     [FETCH_AT], rax
.endm

/* ---- the kernel ---------------------------------------------------------------------------------------- */

.macro KERNEL layout, kind, bits, quads, starts, mins=0
    .set BITS, \bits
    .set HEAD_LINES, (64 + 1024/\quads + 32*\mins) / 64
    .set IS_LEGACY, 0
    .set IS_BLOCK, 0
    .set SC_EIGHT, 0
    .set STEP, 4*\quads /* k */
    .set STEP_BYTES, 128*\quads
    .ifc \kind, l
    .set IS_LEGACY, 1
    .set HEAD_LINES, 4
    .set STEP_BYTES, STEP_BYTES + 128
    .endif
    .ifc \kind, lm
    .set IS_LEGACY, 1
    .set HEAD_LINES, 8
    .set STEP_BYTES, STEP_BYTES + 256
    .endif
    .ifc \kind, b
    .set IS_BLOCK, 1
    .set HEAD_LINES, 1
    .endif
    .ifc \kind, m
    .set STEP_BYTES, STEP_BYTES + 128
    .endif
    .ifc \kind, w
    .set STEP, 2 * STEP
    .set STEP_BYTES, 2 * STEP_BYTES + 128
    .ifc \layout, k4m
    .set SC_EIGHT, 1
    .endif
    .endif
    .set FETCH_LINES, (8*\bits + HEAD_LINES + 256/STEP - 1) / (256/STEP)
FUNCTION wh_mm_\layout\()_avx512vnni_wide
    SAVE_REGISTERS
    sub     rsp, FRAME
    mov     [ARGS], rdi
    mov     rax, [rdi + MM_PANELS]
    mov     [PANELS], rax
    mov     rax, [rdi + MM_Y]
    mov     [COLUMN], rax
    mov     rax, [rdi + MM_W]
    mov     [W_LEFT], rax
    mov     MEM, [rdi + MM_SCRATCH]
    add     MEM, ACC_BYTES
    mov     eax, 0xaaaaaaaa
    kmovd   k1, eax
    mov     rax, [rdi + MM_K]
    shr     rax, 5
    .if IS_BLOCK
    lea     rcx, [rax + 7]
    shr     rcx, 3
    shl     rcx, 6
    imul    rax, rax, 64*\bits
    .else
    .ifc \kind, l
    lea     rcx, [rax + 1]
    and     rcx, -2
    shl     rcx, 5
    imul    rax, rax, 64*\bits
    .else
    xor     ecx, ecx
    .ifc \kind, lm
    imul    rax, rax, 64*\bits + 64
    .else
    imul    rax, rax, 64*\bits + 8 + 128/\quads + 4*\mins
    .endif
    .endif
    .endif
    add     rax, rcx
    mov     [PANEL_BYTES], rax
    mov     rax, [rdi + MM_K]
    add     rax, 255
    shr     rax, 8
    mov     [BLOCKS], rax
    mov     [FETCH_BLOCKS], rax
    mov     rax, [W_LEFT]
    mov     [FETCH_AT], rax
    mov     [FETCH_PAIR], rax
    FETCH_NEXT
    FETCH_NEXT


.L\layout\()_panels: /* acc = 0; where the second panel begins */
    mov     TMP, [ARGS]
    mov     LEFT, [TMP + MM_M]
    lea     ACC, [MEM - ACC_BYTES]
    vpxord  xmm0, xmm0, xmm0
1:  vmovdqa64 [ACC], zmm0
    vmovdqa64 [ACC + 64], zmm0
    add     ACC, 128
    dec     LEFT
    jnz     1b
    mov     rax, [PANEL_BYTES]
    add     rax, [W_LEFT]
    mov     [W_LEFT + 8], rax
    xor     eax, eax
    mov     [K0], rax

.L\layout\()_block:
    mov     TMP, [ARGS]
    mov     rax, [K0]
    mov     rcx, [TMP + MM_K]
    sub     rcx, rax
    shr     rcx, 5
    cmp     rcx, 8
    jb      1f
    mov     ecx, 8
1:  mov     [GROUPS], rcx
    .if STEP == 16
    add     rcx, rcx
    .elseif STEP == 64
    shr     rcx, 1
    .endif
    mov     [BLOCK_STEPS], rcx
    mov     rcx, [TMP + MM_X]
    add     rcx, rax
    mov     [XROW], rcx
    mov     rcx, rax
    shr     rcx, 6
    .if IS_LEGACY
    shr     rax, 3
    mov     rcx, rax
    .elseif IS_BLOCK
    mov     rax, rcx
    .elseif \quads == 4
    shr     rax, 2
    .else
    shr     rax, 3
    .endif
    add     rcx, [TMP + MM_D]
    mov     [DROW], rcx
    mov     rcx, rax
    shr     rcx, 1
    add     rcx, [TMP + MM_SUM]
    mov     [SUMROW], rcx
    add     rax, [TMP + MM_START]
    mov     [SROW], rax
    lea     rax, [MEM - ACC_BYTES]
    mov     [ACCROW], rax
    UNPACK_MASKS \bits
    UNPACK_PANEL \kind, \bits, \quads, \mins, 0
    UNPACK_PANEL \kind, \bits, \quads, \mins, 1
    mov     TMP, [ARGS]
    mov     rax, [TMP + MM_M]
    mov     [ROWS_LEFT], rax
    FETCH_NEXT

.L\layout\()_tile:
    mov     rcx, [ROWS_LEFT]
    cmp     rcx, 13
    ja      .L\layout\()_six
    mov     eax, 1 << 13 | 1 << 9 | 1 << 5
    bt      rax, rcx
    jc      .L\layout\()_five
    mov     eax, 1 << 8 | 1 << 4
    bt      rax, rcx
    jc      .L\layout\()_four
.L\layout\()_six:
    TILE    \kind, 6, \quads, \starts, \mins
    sub     qword ptr [ROWS_LEFT], 6
    jnz     .L\layout\()_tile
    jmp     .L\layout\()_next_block
.L\layout\()_five:
    TILE    \kind, 5, \quads, \starts, \mins
    sub     qword ptr [ROWS_LEFT], 5
    jnz     .L\layout\()_tile
    jmp     .L\layout\()_next_block
.L\layout\()_four:
    TILE    \kind, 4, \quads, \starts, \mins
    sub     qword ptr [ROWS_LEFT], 4
    jnz     .L\layout\()_tile

.L\layout\()_next_block:
    mov     TMP, [ARGS]
    mov     rax, [K0]
    add     rax, 256
    mov     [K0], rax
    cmp     rax, [TMP + MM_K]
    jb      .L\layout\()_block

    mov     rax, [W_LEFT + 8]
    mov     [W_LEFT], rax
    mov     LEFT, [TMP + MM_M]
    lea     ACC, [MEM - ACC_BYTES]
    mov     XS, [TMP + MM_Y_STRIDE]
    mov     X, [COLUMN]
1:  TWO     0, 1, ACC, 0
    vmovups [X], zmm0
    prefetchw [X + 128]
    prefetchw [X + 192] /* the next two panels write there */
    vmovups [X + 64], zmm1
    add     ACC, 128
    lea     X, [X + 4*XS]
    dec     LEFT
    jnz     1b
    add     qword ptr [COLUMN], 128
    sub     qword ptr [PANELS], 2
    cmp     qword ptr [PANELS], 2
    jae     .L\layout\()_panels

    cmp     qword ptr [PANELS], 0
    je      9f
    vmovdqu64 zmm0, [TMP]
    vmovdqu64 zmm1, [TMP + 64]
    vmovdqu64 [LAST], zmm0
    vmovdqu64 [LAST + 64], zmm1
    mov     rax, [W_LEFT]
    mov     [LAST + MM_W], rax
    mov     rax, [COLUMN]
    mov     [LAST + MM_Y], rax
    mov     qword ptr [LAST + MM_PANELS], 1
    lea     rdi, [LAST]
    call    wh_mm_\layout\()_avx512vnni
9:  vzeroupper
    add     rsp, FRAME
    RESTORE_REGISTERS
    ret
ENDFUNCTION wh_mm_\layout\()_avx512vnni_wide
.endm

    KERNEL  l4,  l,  4, 8, 1
    KERNEL  l4m, lm, 4, 8, 0
    KERNEL  l5,  l,  5, 8, 1
    KERNEL  l5m, lm, 5, 8, 0
    KERNEL  l8,  l,  8, 8, 1
    KERNEL  k4m, w,  4, 8, 1, 4
    KERNEL  h4m, w,  4, 4, 1, 8
    KERNEL  k5m, m,  5, 8, 0, 4
    KERNEL  h6,  m,  6, 4, 1
    KERNEL  b8,  b,  8, 8, 0
