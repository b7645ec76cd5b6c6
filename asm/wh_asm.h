/* wh_asm: what every assembly file starts with. GAS through the C preprocessor, Intel syntax on x86.
 *
 * MM_* are the offsets of struct wh_mm (src/kern/layout.h; tests/checkasm/checkasm.c asserts them).
 */
#ifndef WH_ASM_H
#define WH_ASM_H

#define MM_Y            0
#define MM_Y_STRIDE     8
#define MM_W            16
#define MM_PANELS       24
#define MM_M            32
#define MM_K            40
#define MM_X            48
#define MM_X_STRIDE     56
#define MM_D            64
#define MM_D_STRIDE     72
#define MM_START        80
#define MM_START_STRIDE 88
#define MM_SUM          96
#define MM_SUM_STRIDE   104
#define MM_SCRATCH      112
#define MM_OFF          120

#ifdef __ASSEMBLER__
#if defined(__x86_64__)
    .intel_syntax noprefix
#endif

.macro FUNCTION name
    .text
    .p2align 6
    .globl \name
    .hidden \name
    .type \name, %function
\name:
.endm

.macro ENDFUNCTION name
    .size \name, . - \name
.endm

#if defined(__x86_64__)
/* The callee-saved registers of the System V ABI. */
.macro SAVE_REGISTERS
    push    rbx
    push    rbp
    push    r12
    push    r13
    push    r14
    push    r15
.endm
.macro RESTORE_REGISTERS
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbp
    pop     rbx
.endm
#endif

    .section .note.GNU-stack, "", %progbits
    .text
#endif

#endif
