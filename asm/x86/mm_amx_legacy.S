/* mm_amx_legacy: the AMX-INT8 kernels of the legacy layouts; mm_amx.h has the idea and the frame.
 *
 *   void wh_mm_<layout>_amx(const wh_mm *a);      l4 l4m l5 l5m l8
 *
 * Weights become int8 (u - off). Each group of 32 k has a float scale, so each is a product of its own with tiles of
 * 32 k, whose result is stored: acc = fma(d_g · d_x, float(dot), acc).
 *
 * Bound: 8 products and 8 stores, 72 ns, for 16 x 16 x 256, beside 50 ns of vector work. Measured 139 ns on one thread
 * with m = 128: 0.94 TOP/s.
 */
#include "mm_amx.h"

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
