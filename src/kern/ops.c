#include "kern/ops.h"

/* One table per instruction set that the Makefile compiles kern/isa/ for (ISAS). */
#define WH_OP_X(name, best, params) void wh_##name##_c params;
#include "kern/ops.def"
#undef WH_OP_X
static const wh_ops table_c = {
#define WH_OP_X(name, best, params) .name = wh_##name##_c,
#include "kern/ops.def"
#undef WH_OP_X
    .isa = "c",
};

#if defined(__x86_64__)
#define WH_OP_X(name, best, params) void wh_##name##_avx2 params;
#include "kern/ops.def"
#undef WH_OP_X
static const wh_ops table_avx2 = {
#define WH_OP_X(name, best, params) .name = wh_##name##_avx2,
#include "kern/ops.def"
#undef WH_OP_X
    .isa = "avx2",
};

#define WH_OP_X(name, best, params) void wh_##name##_avx512 params;
#include "kern/ops.def"
#undef WH_OP_X
static const wh_ops table_avx512 = {
#define WH_OP_X(name, best, params) .name = wh_##name##_avx512,
#include "kern/ops.def"
#undef WH_OP_X
    .isa = "avx512",
};

#define WH_OP_X(name, best, params) void wh_##name##_##best params;
#include "kern/ops.def"
#undef WH_OP_X
static const wh_ops table_avx512vnni = {
#define WH_OP_X(name, best, params) .name = wh_##name##_##best,
#include "kern/ops.def"
#undef WH_OP_X
    .isa = "avx512vnni",
};
#endif

const wh_ops *wh_ops_select(wh_isa allowed)
{
#if defined(__x86_64__)
    if (allowed & WH_ISA_avx512vnni) return &table_avx512vnni;
    if (allowed & WH_ISA_avx512) return &table_avx512;
    if (allowed & WH_ISA_avx2) return &table_avx2;
#endif
    (void)allowed;
    return &table_c;
}
