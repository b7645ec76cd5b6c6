/* mm_avx2: the matmul kernels of mm_ymm.h for AVX2 (vpmaddubsw chains). */
#define VNNI 0
#include "mm_ymm.h"

.macro NAME layout
FUNCTION wh_mm_\layout\()_avx2
.endm

    KERNEL  l4,  3, 4, 0
    KERNEL  l4m, 3, 4, 1
    KERNEL  l5,  2, 5, 0
    KERNEL  l5m, 2, 5, 1
    KERNEL  l8,  2, 8, 0
    KERNEL  k4m, 3, 4, 1, 8
    KERNEL  k5m, 2, 5, 1, 8
    KERNEL  h4m, 2, 4, 1, 16, 1
    KERNEL  h6,  2, 6, 0, 16, 1
    KERNEL  b8,  2, 8, 0, 1
