/* unpack_zmm: the integers of a group of 32 k of a panel (CONTRACT.md, Body) into zmm0-7, one quad of k each.
 *
 * zmm31 = 0x0f bytes, zmm30 = 0x10 (5 bits) or 0x30 (6 bits) bytes: UNPACK_MASKS. zmm20 and zmm28 are used.
 * W is advanced behind the group; memory is prefetched AHEAD bytes further on.
 */
#ifndef AHEAD
#define AHEAD 4096
#endif

.macro UNPACK_MASKS bits
    mov     eax, 0x0f0f0f0f
    vpbroadcastd zmm31, eax
    .if \bits == 5
    mov     eax, 0x10101010
    .else
    mov     eax, 0x30303030
    .endif
    vpbroadcastd zmm30, eax
.endm

.macro NIBBLES a, lo, hi
    vmovdqa64 zmm20, [W + 64*\a]
    vpandd  zmm\lo, zmm20, zmm31
    vpsrlw  zmm20, zmm20, 4
    vpandd  zmm\hi, zmm20, zmm31
.endm

/* zmm\q |= (plane zmm28 shifted left by \by) & zmm30 */
.macro HIGH q, by
    .if \by > 0
    vpsllw  zmm20, zmm28, \by
    vpternlogd zmm\q, zmm20, zmm30, 0xf8
    .elseif \by < 0
    vpsrlw  zmm20, zmm28, -(\by)
    vpternlogd zmm\q, zmm20, zmm30, 0xf8
    .else
    vpternlogd zmm\q, zmm28, zmm30, 0xf8
    .endif
.endm

.macro UNPACK bits
    .if \bits == 8
    .irp q, 0, 1, 2, 3, 4, 5, 6, 7
    vmovdqa64 zmm\q, [W + 64*\q]
    .endr
    .else
    NIBBLES 0, 0, 1
    NIBBLES 1, 2, 3
    NIBBLES 2, 4, 5
    NIBBLES 3, 6, 7
    .endif
    .if \bits == 5
    vmovdqa64 zmm28, [W + 256]
    .irp q, 0, 1, 2, 3, 4, 5, 6, 7
    HIGH \q, 4-\q
    .endr
    .elseif \bits == 6
    vmovdqa64 zmm28, [W + 256]
    .irp q, 0, 1, 2, 3
    HIGH \q, 4-2*\q
    .endr
    vmovdqa64 zmm28, [W + 320]
    .irp q, 4, 5, 6, 7
    HIGH \q, 12-2*\q
    .endr
    .endif
    .irp line, 0, 1, 2, 3, 4, 5, 6, 7
    .if AHEAD && \line < \bits
    prefetcht1 [W + 64*\line + AHEAD]
    .endif
    .endr
    add     W, 64*\bits
.endm
