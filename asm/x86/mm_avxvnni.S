/* mm_avxvnni: the matmul kernels of mm_ymm.h for AVX-VNNI (VEX-encoded vpdpbusd). */
#define VNNI 1
#include "mm_ymm.h"

.macro NAME layout
FUNCTION wh_mm_\layout\()_avxvnni
.endm

    KERNEL  l4,  4, 4, 0
    KERNEL  l4m, 4, 4, 1
    KERNEL  l5,  4, 5, 0
    KERNEL  l5m, 4, 5, 1
    KERNEL  l8,  4, 8, 0
    KERNEL  k4m, 4, 4, 1, 8, 1
    KERNEL  k5m, 4, 5, 1, 8
    KERNEL  h4m, 4, 4, 1, 16
    KERNEL  h6,  4, 6, 0, 16
    KERNEL  b8,  4, 8, 0, 1
