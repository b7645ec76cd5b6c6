/* mm_amx_b8: the AMX-INT8 kernel of the layout b8; mm_amx.h has the idea and the frame.
 *
 *   void wh_mm_b8_amx(const wh_mm *a);
 *
 * A weight is a byte, a block of 256 k has one scale: the bytes of a panel in memory are weight tiles already, and a
 * block is one chain of four products. So the register tiles are blocked: a step is 32 rows of x by two panels,
 *
 *                panel 0 (tmm6)   panel 1 (tmm7)
 *   rows  0-15 (tmm4)   tmm0            tmm1
 *   rows 16-31 (tmm5)   tmm2            tmm3
 *
 * four products for four tile loads. With m < 32 a step is up to 16 rows by two panels. The last of an odd number of
 * panels is multiplied twice, side by side with itself, and one result is dropped.
 * S = u·x - 128·Σx; the second term is the start of the row, added when the step is finished.
 *
 * Bound: 16 products, 75 ns, for 32 x 32 x 256, beside 32 ns of vector work. Measured on one thread of a busy machine,
 * from the L2 cache: 2.8 to 3.2 TOP/s with m >= 64 (k4m beside it: 1.3), so about 180 ns.
 */
/* Starts and scales of x lie alike, one for each block: one stride. */
#define DS      r10
#define DS3     rbp
#include "mm_amx.h"

#define X_1     rbx /* rows 16-31 of the step */
#define B       rdi /* weight tiles */
#define B_1     r12
#define BLOCK_1     rsp + 80 /* block of the second panel */
#define B_END   rsp + 88
#define BODY    rsp + 96 /* bytes of a block's integers */

/* Rows of the pending step: panel 0 in zmm0-3, panel 1 in zmm10-13; D zmm18, zmm19. */
.macro B8_SUM i, t, s, d, none
    vpbroadcastd zmm\t, [\s]
    vpaddd  zmm\i, zmm\t, [BUF + 64*\i]
    vpaddd  zmm1\i, zmm\t, [BUF + 2048 + 64*\i]
.endm
.macro B8_SCALE i, t, s, d, none
    vcvtdq2ps zmm\i, zmm\i
    vcvtdq2ps zmm1\i, zmm1\i
    vbroadcastss zmm\t, [\d]
    vmulps  zmm\i, zmm\i, zmm18
    vmulps  zmm1\i, zmm1\i, zmm19
.endm
.macro B8_ACC i, t, s, d, none
    vfmadd213ps zmm\i, zmm\t, [ACC + 64*\i]
    vfmadd213ps zmm1\i, zmm\t, [ACC + PANEL_1 + 64*\i]
    vmovaps [ACC + 64*\i], zmm\i
    vmovaps [ACC + PANEL_1 + 64*\i], zmm1\i
.endm
.macro FINISH_B8 rows, none:vararg
    EACH_ROW \rows, B8_SUM
    EACH_ROW \rows, B8_SCALE
    EACH_ROW \rows, B8_ACC
.endm

/* Tile products of 64 k: 16 rows, and the other 16 if \wide; \first: the results of the pending step leave the tiles. */
.macro ROWS_0 first
    .if \first
    tilestored [SCRATCH + LINE*1 + RESULT], tmm0
    tilestored [SCRATCH + LINE*1 + RESULT + 2048], tmm1
    tilezero tmm0
    tilezero tmm1
    .endif
    tileloadd tmm4, [rax + XS*1]
    tileloadd tmm6, [B + LINE*1]
    tdpbsud tmm0, tmm4, tmm6
    tileloadd tmm7, [B_1 + LINE*1]
    tdpbsud tmm1, tmm4, tmm7
.endm
.macro ROWS_1 first
    .if \first
    tilestored [SCRATCH + LINE*1 + RESULT + 1024], tmm2
    tilestored [SCRATCH + LINE*1 + RESULT + 3072], tmm3
    tilezero tmm2
    tilezero tmm3
    .endif
    tileloadd tmm5, [X_1 + XS*1]
    tdpbsud tmm2, tmm5, tmm6
    tdpbsud tmm3, tmm5, tmm7
.endm
.macro PRODUCTS_B8 wide, first
    ROWS_0  \first
    .if \wide
    .if !\first
    FINISH_UP_TO_4 FINISH_B8
    .endif
    ROWS_1  \first
    .if \first
    FINISH_UP_TO_4 FINISH_B8
    .endif
    .endif
    cmp     qword ptr [ROW], 0
    jne     7f
    .irp line, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    prefetcht0 [B + 64*\line + AHEAD]
    prefetcht0 [B_1 + 64*\line + AHEAD]
    .endr
7:  FINISH_UP_TO_4 FINISH_B8
    add     rax, 64
    .if \wide
    add     X_1, 64
    .endif
    add     B, 1024
    add     B_1, 1024
.endm
.macro STEP_B8 wide
    PRODUCTS_B8 \wide, 1
    cmp     B, [B_END]
    jae     2f
1:  PRODUCTS_B8 \wide, 0
    cmp     B, [B_END]
    jb      1b
2:
.endm

/* All that is left of the pending step; y, if it was the last of its panels. */
.macro FINISH_REST
    jmp     2f
1:  FINISH_UP_TO_4 FINISH_B8
2:  cmp     BUF, [BUF_END]
    jb      1b
    cmp     qword ptr [LAST], 2
    je      3f
    STORE_Y 1
    jmp     4f
3:  STORE_Y 2
4:
.endm

FUNCTION wh_mm_b8_amx
    PROLOGUE MM_START_STRIDE
    cmp     qword ptr [A + MM_M], 32
    jb      1f
    mov     qword ptr [STEP], 32
    add     BUF, 1024
    mov     [BUF_END], BUF
    lea     HEAD, [BUF - 192]
    mov     [BUF_END_4], HEAD
1:  CONFIGURE 64, 16

.Lpair:
    mov     rax, W
    cmp     qword ptr [PANELS], 1
    je      1f
    mov     rax, [A + MM_K] /* 16 bytes for each k, 64 for each block */
    lea     HEAD, [rax + 255]
    shl     rax, 4
    shr     HEAD, 8
    shl     HEAD, 6
    add     rax, HEAD
    add     rax, W
1:  mov     [BLOCK_1], rax
    mov     qword ptr [K0], 0
.Lblock:
    mov     rax, [A + MM_K]
    sub     rax, [K0]
    cmp     rax, 256
    jbe     1f
    mov     eax, 256
1:  shl     rax, 4
    mov     [BODY], rax
    lea     HEAD, [W + rax + 64]
    mov     [B_END], HEAD
    xor     eax, eax
    mov     [ROW], rax
    mov     [FIRST], rax
.Lstep:
    lea     B, [W + 64]
    mov     B_1, [BLOCK_1]
    add     B_1, 64
    X_OF_STEP
    cmp     qword ptr [STEP], 32
    jne     .Lnarrow
    mov     X_1, XS
    shl     X_1, 4
    add     X_1, rax
    STEP_B8 1
    jmp     .Lissued
.Lnarrow:
    STEP_B8 0
.Lissued:
    FINISH_REST
    cmp     qword ptr [ROW], 0
    jne     1f
    mov     B_1, [BLOCK_1]
    vmovaps zmm18, [W]
    vmovaps zmm19, [B_1]
1:  SET_PENDING MM_START, 6, 6
    NEXT_STEP .Lsteps_done
    jmp     .Lstep
.Lsteps_done:
    mov     rax, [BODY]
    add     rax, 64
    add     W, rax
    add     [BLOCK_1], rax
    mov     rax, [K0]
    add     rax, 256
    mov     [K0], rax
    cmp     rax, [A + MM_K]
    jb      .Lblock
    mov     W, [BLOCK_1]
    mov     eax, 2
    cmp     rax, [PANELS]
    cmova   rax, [PANELS]
    mov     [LAST], rax
    sub     [PANELS], rax
    jnz     .Lpair

    tilestored [SCRATCH + LINE*1 + RESULT], tmm0
    tilestored [SCRATCH + LINE*1 + RESULT + 2048], tmm1
    tilestored [SCRATCH + LINE*1 + RESULT + 1024], tmm2
    tilestored [SCRATCH + LINE*1 + RESULT + 3072], tmm3
    FINISH_REST
    EPILOGUE
ENDFUNCTION wh_mm_b8_amx
