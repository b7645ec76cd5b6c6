/* mm_arm_dot: what the kernels with the dot product instruction share: sdot on four registers, and the minima of the K
 * formats. The file that includes this has chosen its .arch.
 */
#ifndef WH_MM_ARM_DOT_H
#define WH_MM_ARM_DOT_H

/* Minima to MINS_AT: [4 groups together][row][4] bytes, from [pair of groups][row][2]. */
.macro MINS_HEAD groups
    add     SC, SCRATCH, #MINS_AT
    .irp j, 0, 1
    .if \j*8 < \groups
    LOAD4   0, W, 128*\j
    LOAD4   4, W, 128*\j+64
    MINS_ZIP 0, 1, 2, 3
    STORE4  16, SC, 128*\j
    MINS_ZIP 4, 5, 6, 7
    STORE4  16, SC, 128*\j+64
    .endif
    .endr
    add     W, W, #16*\groups
.endm
/* v16-v19 = the four groups whose pairs are v\a0 v\a1 and v\b0 v\b1 */
.macro MINS_ZIP a0, a1, b0, b1
    zip1    v16.8h, v\a0\().8h, v\b0\().8h
    zip2    v17.8h, v\a0\().8h, v\b0\().8h
    zip1    v18.8h, v\a1\().8h, v\b1\().8h
    zip2    v19.8h, v\a1\().8h, v\b1\().8h
.endm

/* v0-v3 = M = Σ mn · sum. sum = 128·hi + lo with lo in [0, 127], both bytes, so sdot does four groups at a time. */
.macro MINS i, groups
    add     T0, SCRATCH, #MINS_AT
    .irp j, 0, 1
    .if \j*8 < \groups
    MINS_SPLIT \i, \j, %(8+\j)
    .endif
    .endr
    movi    v0.16b, #0
    movi    v1.16b, #0
    movi    v2.16b, #0
    movi    v3.16b, #0
    MINS_DOT \groups, 2
    EACH4_ONE shl, 4s, 0, 0, #7
    MINS_DOT \groups, 0
.endm
/* v\to = lo of eight groups, hi of eight groups */
.macro MINS_SPLIT i, j, to
    ldr     q4, [ps\i, #16*\j]
    movi    v5.8h, #127
    sshr    v6.8h, v4.8h, #7
    and     v5.16b, v5.16b, v4.16b
    xtn     v\to\().8b, v5.8h
    xtn2    v\to\().16b, v6.8h
.endm
.macro MINS_DOT groups, half
    .irp four, 0, 1, 2, 3
    .if \four*4 < \groups
    LOAD4   24, T0, 64*\four
    EACH4_DOT 0, 24, %(8+\four/2), %(\half+\four-\four/2*2)
    .endif
    .endr
.endm

/* v\acc+r += v\w+r · bytes 4·\lane .. of v\x */
.macro EACH4_DOT acc, w, x, lane
    .irp r, 0, 1, 2, 3
    DOT_    %(\acc+\r), %(\w+\r), \x, \lane
    .endr
.endm
.macro DOT_ acc, w, x, lane
    sdot    v\acc\().4s, v\w\().16b, v\x\().4b[\lane]
.endm

#endif
