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
 * m < 16: tiles of m rows. m > 16: the last tile overlaps the one before it, and its first rows are not used.
 *
 * Bound (Sapphire Rapids, about 4 GHz): a tile product takes 4.7 ns for 16 rows and 64 or 32 k alike; K: 8 of them
 * for 16 x 16 x 256 beside about 25 ns of vector work, legacy: 8 of them and 8 stores beside 48 ns of vector work.
 */
#include "wh_asm.h"
#define W rsi
#include "unpack_zmm.h"

#define HEAD    rdi
#define A       r15 /* the arguments */
#define SCRATCH r14
#define K0      rbp
#define K0d     ebp
#define ROW     rbx /* first row of the tile */
#define XS      rcx
#define LINE    rdx /* 64: stride of weight and result tiles */
#define ACC     r8
#define S       r9
#define SS      r10
#define D       r11
#define DS      r12
#define BUF     r13

/* Scratch: acc of up to 128 rows, then weight tiles, result tiles, and the tile configuration. */
#define LO      8192
#define HI      12288
#define RESULT  16384
#define CONFIG  24576
#define SCALES  25600 /* legacy: d (and m) of each group, f32 */

#define PANELS  rsp
#define COLUMN  rsp + 8
#define FIRST   rsp + 16 /* rows of the tile that an earlier tile has done */
#define ROWS    rsp + 24 /* of a tile: min(m, 16) */
#define GROUPS  rsp + 32
#define FRAME   40

.macro PROLOGUE
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
    mov     eax, 16
    cmp     rax, [A + MM_M]
    cmova   rax, [A + MM_M]
    mov     [ROWS], rax
.endm

/* Tiles 0-3: results. 4, 5: activations, a_bytes wide. 6, 7: weights, w_rows quads. rax: rows of x. */
.macro CONFIGURE a_bytes, w_rows
    vpxord  xmm0, xmm0, xmm0
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

.macro CLEAR_ACC
    mov     rax, [A + MM_M]
    mov     ACC, SCRATCH
    vpxord  xmm0, xmm0, xmm0
1:  vmovdqa64 [ACC], zmm0
    add     ACC, 64
    dec     rax
    jnz     1b
.endm

.macro STORE_Y
    mov     rax, [A + MM_M]
    mov     ACC, SCRATCH
    mov     DS, [A + MM_Y_STRIDE]
    mov     D, [COLUMN]
1:  vmovaps zmm0, [ACC]
    vmovups [D], zmm0
    add     ACC, 64
    lea     D, [D + 4*DS]
    dec     rax
    jnz     1b
    add     qword ptr [COLUMN], 64
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

/* ROW, FIRST = the next tile; jump to \done when there is none. */
.macro NEXT_TILE done
    mov     rax, [A + MM_M]
    add     ROW, 16
    mov     qword ptr [FIRST], 0
    cmp     ROW, rax
    jae     \done
    sub     rax, 16
    cmp     ROW, rax
    jbe     7f
    sub     ROW, rax
    mov     [FIRST], ROW
    mov     ROW, rax
7:
.endm

/* ACC, S, D, BUF at the first row that counts of the tile, S and D at the block; rax = end of BUF's rows.
 * S walks \sum (MM_START or MM_SUM), D the scales of x; a shift turns k into bytes of a row. */
.macro ROW_POINTERS sum, stride, s_shift, d_shift
    mov     rax, ROW
    add     rax, [FIRST]
    mov     ACC, rax
    shl     ACC, 6
    add     ACC, SCRATCH
    mov     SS, [A + \stride]
    mov     S, rax
    imul    S, SS
    add     S, [A + \sum]
    mov     DS, [A + MM_D_STRIDE]
    mov     D, rax
    imul    D, DS
    add     D, [A + MM_D]
    mov     rax, K0
    shr     rax, \s_shift
    add     S, rax
    mov     rax, K0
    shr     rax, \d_shift
    add     D, rax
    mov     BUF, [FIRST]
    shl     BUF, 6
    lea     BUF, [SCRATCH + BUF + RESULT]
    mov     rax, [ROWS]
    shl     rax, 6
    lea     rax, [SCRATCH + rax + RESULT]
.endm

.macro NEXT_ROW
    add     BUF, 64
    add     ACC, 64
    add     S, SS
    add     D, DS
    cmp     BUF, rax
.endm

/* rax = the tile's first row of x in this block */
.macro TILE_OF_X
    mov     rax, ROW
    imul    rax, XS
    add     rax, K0
    add     rax, [A + MM_X]
.endm

/* ---- K layouts ------------------------------------------------------------------------------------------- */

/* zmm0-7 = u, sc = 8a + b at HEAD: lo = b·u, hi = a·u, to LO and HI + ACC. zmm29 = 7 in each int32. */
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
    vmovdqa64 [ACC + LO + 64*\q], zmm20
    vmovdqa64 [ACC + HI + 64*\q], zmm21
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
    vmovdqa64 [ACC + LO + 64*\q], zmm25
    vmovdqa64 [ACC + HI + 64*\q], zmm26
    .endr
.endm

/* groups: of a block, 8 or 16; shift: log2 of the base; mins: pairs of minima */
.macro KERNEL_K layout, bits, groups, shift, mins
FUNCTION wh_mm_\layout\()_amx
    PROLOGUE
    CONFIGURE 64, 16
.L\layout\()_panel:
    CLEAR_ACC
    xor     K0d, K0d

.L\layout\()_block:
    lea     HEAD, [W + 64]
    add     W, 64 + 16*\groups + 32*\mins
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
    mov     ACC, SCRATCH
    lea     rax, [SCRATCH + 4096]
1:  UNPACK  \bits
    .if \shift == 3
    DIGITS_8
    .else
    DIGITS_256_HALF 0, 0, 1, 2, 3
    DIGITS_256_HALF 16, 4, 5, 6, 7
    add     HEAD, 32
    .endif
    add     ACC, 512
    cmp     ACC, rax
    jb      1b

    /* What the rows need of the head: D zmm18, Dmin zmm19, pairs of minima zmm10-17. */
    vcvtph2ps zmm18, [HEAD - 64 - 16*\groups]
    .if \mins
    vcvtph2ps zmm19, [HEAD - 32 - 16*\groups]
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    .if \j < \mins
    vpmovzxbw zmm1\j, [HEAD + 32*\j]
    .endif
    .endr
    .endif

    xor     ebx, ebx
    mov     [FIRST], rbx
.L\layout\()_tile:
    TILE_OF_X
    tilezero tmm0
    tilezero tmm1
    .irp t, 0, 1, 2, 3
    tileloadd tmm4, [rax + XS*1 + 64*\t]
    tileloadd tmm6, [SCRATCH + LINE*1 + LO + 1024*\t]
    tileloadd tmm7, [SCRATCH + LINE*1 + HI + 1024*\t]
    tdpbsud tmm0, tmm4, tmm6
    .if \shift == 3
    tdpbsud tmm1, tmm4, tmm7
    .else
    tdpbssd tmm1, tmm4, tmm7
    .endif
    .endr
    tilestored [SCRATCH + LINE*1 + RESULT], tmm0
    tilestored [SCRATCH + LINE*1 + RESULT + 1024], tmm1

    .if \groups == 16
    ROW_POINTERS MM_SUM, MM_SUM_STRIDE, 3, 6
    .else
    ROW_POINTERS MM_SUM, MM_SUM_STRIDE, 4, 6
    .endif
2:  vpslld  zmm0, [BUF + 1024], \shift
    vpaddd  zmm0, zmm0, [BUF]
    vcvtdq2ps zmm0, zmm0
    vmulps  zmm0, zmm0, zmm18
    .if \mins
    vpxord  xmm1, xmm1, xmm1
    .irp j, 0, 1, 2, 3, 4, 5, 6, 7
    .if \j < \mins
    vpdpwssd zmm1, zmm1\j, dword ptr [S + 4*\j]{1to16}
    .endif
    .endr
    vcvtdq2ps zmm1, zmm1
    vfnmadd231ps zmm0, zmm1, zmm19
    .endif
    vbroadcastss zmm2, [D]
    vfmadd213ps zmm0, zmm2, [ACC]
    vmovaps [ACC], zmm0
    NEXT_ROW
    jb      2b
    NEXT_TILE .L\layout\()_tiles_done
    jmp     .L\layout\()_tile

.L\layout\()_tiles_done:
    add     K0, 256
    cmp     K0, [A + MM_K]
    jb      .L\layout\()_block
    STORE_Y
    dec     qword ptr [PANELS]
    jnz     .L\layout\()_panel
    EPILOGUE
ENDFUNCTION wh_mm_\layout\()_amx
.endm

    KERNEL_K k4m, 4, 8,  3, 4
    KERNEL_K k5m, 5, 8,  3, 4
    KERNEL_K h4m, 4, 16, 8, 8
    KERNEL_K h6,  6, 16, 8, 0

/* ---- legacy layouts -------------------------------------------------------------------------------------- */

/* The product of group \g with result tile \c, activation tile \a and weight tile \b */
.macro GROUP g, c, a, b, done
    .if \g
    cmp     qword ptr [GROUPS], \g
    je      \done
    .endif
    tilezero tmm\c
    tileloadd tmm\a, [rax + XS*1 + 32*\g]
    tileloadd tmm\b, [SCRATCH + LINE*1 + LO + 512*\g]
    tdpbssd tmm\c, tmm\a, tmm\b
    tilestored [SCRATCH + LINE*1 + RESULT + 1024*\g], tmm\c
.endm

.macro KERNEL_LEGACY layout, bits, min
FUNCTION wh_mm_\layout\()_amx
    PROLOGUE
    CONFIGURE 32, 8
    mov     rax, [A + MM_OFF]
    vpbroadcastb zmm29, eax
.L\layout\()_panel:
    CLEAR_ACC
    xor     K0d, K0d

.L\layout\()_block:
    mov     HEAD, W
    mov     rax, [A + MM_K]
    sub     rax, K0
    shr     rax, 5
    cmp     rax, 8
    jb      1f
    mov     eax, 8
1:  mov     [GROUPS], rax
    mov     D, rax
    .if \min
    shl     rax, 6
    .else
    inc     rax /* heads are whole lines */
    and     rax, -2
    shl     rax, 5
    .endif
    add     W, rax
    UNPACK_MASKS \bits
    mov     ACC, SCRATCH
    lea     S, [SCRATCH + SCALES]
1:  UNPACK  \bits
    .irp q, 0, 1, 2, 3, 4, 5, 6, 7
    vpsubb  zmm\q, zmm\q, zmm29
    vmovdqa64 [ACC + LO + 64*\q], zmm\q
    .endr
    vcvtph2ps zmm0, [HEAD]
    vmovaps [S], zmm0
    .if \min
    vcvtph2ps zmm0, [HEAD + 32]
    vmovaps [S + 64], zmm0
    .endif
    add     HEAD, 32 + 32*\min
    add     ACC, 512
    add     S, 128
    dec     D
    jnz     1b
    .irp g, 0, 1, 2, 3, 4, 5, 6, 7
    vmovaps zmm1\g, [SCRATCH + SCALES + 128*\g]
    .if \min
    vmovaps zmm2\g, [SCRATCH + SCALES + 128*\g + 64]
    .endif
    .endr

    xor     ebx, ebx
    mov     [FIRST], rbx
.L\layout\()_tile:
    TILE_OF_X
    GROUP   0, 0, 4, 6, 1f
    GROUP   1, 1, 5, 7, 1f
    GROUP   2, 2, 4, 6, 1f
    GROUP   3, 3, 5, 7, 1f
    GROUP   4, 0, 4, 6, 1f
    GROUP   5, 1, 5, 7, 1f
    GROUP   6, 2, 4, 6, 1f
    GROUP   7, 3, 5, 7, 1f
1:
    ROW_POINTERS MM_START, MM_START_STRIDE, 3, 3
2:  vmovaps zmm0, [ACC]
    .irp g, 0, 1, 2, 3, 4, 5, 6, 7
    .if \g
    cmp     qword ptr [GROUPS], \g
    je      3f
    .endif
    vcvtdq2ps zmm1, [BUF + 1024*\g]
    vmulps  zmm2, zmm1\g, dword ptr [D + 4*\g]{1to16}
    vfmadd231ps zmm0, zmm1, zmm2
    .if \min
    vfmadd231ps zmm0, zmm2\g, dword ptr [S + 4*\g]{1to16}
    .endif
    .endr
3:  vmovaps [ACC], zmm0
    NEXT_ROW
    jb      2b
    NEXT_TILE .L\layout\()_tiles_done
    jmp     .L\layout\()_tile

.L\layout\()_tiles_done:
    mov     rax, [GROUPS]
    shl     rax, 5
    add     K0, rax
    cmp     K0, [A + MM_K]
    jb      .L\layout\()_block
    STORE_Y
    dec     qword ptr [PANELS]
    jnz     .L\layout\()_panel
    EPILOGUE
ENDFUNCTION wh_mm_\layout\()_amx
.endm

    KERNEL_LEGACY l4,  4, 0
    KERNEL_LEGACY l4m, 4, 1
    KERNEL_LEGACY l5,  5, 0
    KERNEL_LEGACY l5m, 5, 1
    KERNEL_LEGACY l8,  8, 0
