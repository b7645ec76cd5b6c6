/* mm_amx_k: the AMX-INT8 kernels of the K layouts; mm_amx.h has the idea and the frame.
 *
 *   void wh_mm_<layout>_amx(const wh_mm *a);      k4m k5m h4m h6
 *
 * S = Σ_g sc_g · Σ_k w_k x_k = Σ_k (sc_g w_k) x_k. The product sc_g·w_k is an exact integer of up to 14 bits, so it is
 * written in two digits, base B, and S = B · (hi · x) + (lo · x): two chains of four tiles of 64 k each.
 *
 *   k4m k5m  sc = 8a + b, a, b <= 7:  hi = a·u, lo = b·u <= 7·31 = 217: bytes, B = 8. One vpmullw makes two products,
 *            as no byte overflows into the next.
 *   h4m h6   v = sc·(u - off) in 16 bits: hi its upper byte (signed), lo its lower byte, B = 256.
 *
 * Then acc = fma(d_x, D·S - Dmin·M, acc) as everywhere, M by vpdpwssd.
 *
 * With m > 32 panels are taken in pairs: a tile of x, and the broadcasts of its rows' sums, serve both. The last of an
 * odd number of panels, and h4m with its many minima, are taken alone. With fewer rows memory is the limit, and one
 * stream of weights is read faster than two.
 *
 * Bound: 8 products and 2 stores, 46 ns, for 16 x 16 x 256, beside 28 ns of vector work. Measured 85 ns on one thread
 * with m = 128: 1.5 TOP/s. Unpacking a block takes about 57 ns (k4m) to 110 ns (h6), once for all rows.
 */
#include "mm_amx.h"

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
/* The stores of the pending step wait for its last products, and issue slowly (microcode): each pair of them is
 * followed by products that can start at once. */
.macro STEP_PAIR shift, mins, d1
    X_OF_STEP
    tilestored [SCRATCH + LINE*1 + RESULT], tmm0
    tilestored [SCRATCH + LINE*1 + RESULT + 1024], tmm1
    tilezero tmm0
    tilezero tmm1
    tileloadd tmm4, [rax + XS*1]
    PRODUCTS_K 0, 0, 0, 1, \shift
    tilestored [SCRATCH + LINE*1 + RESULT + 2048], tmm2
    tilestored [SCRATCH + LINE*1 + RESULT + 3072], tmm3
    tilezero tmm2
    tilezero tmm3
    PRODUCTS_K 0, 1, 2, 3, \shift
    FINISH_UP_TO_4 FINISH_PAIR, \shift, \mins, \d1
    .irp t, 1, 2, 3
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
    cmp     qword ptr [A + MM_M], 32
    jbe     .L\layout\()_panel
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
