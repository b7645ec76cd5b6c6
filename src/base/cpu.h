/* cpu: which kernels this machine can run. */
#ifndef WH_BASE_CPU_H
#define WH_BASE_CPU_H

#include "base/err.h"

/* Position of each word of cpu.def, and as a bit of a set. */
enum {
#define WH_ISA_X(word, arch, needs, since) WH_ISA_INDEX_##word,
#include "base/cpu.def"
#undef WH_ISA_X
    WH_ISA_COUNT
};
enum {
#define WH_ISA_X(word, arch, needs, since) WH_ISA_##word = 1 << WH_ISA_INDEX_##word,
#include "base/cpu.def"
#undef WH_ISA_X
};
typedef uint32_t wh_isa; /* a set: or of WH_ISA_<word> */

typedef struct wh_isa_info {
    const char *word, *needs, *since;
} wh_isa_info;
extern const wh_isa_info wh_isa_table[WH_ISA_COUNT];

/* What this machine and this system allow; c is always in it. On Linux the use of AMX is asked for here
 * (arch_prctl ARCH_REQ_XCOMP_PERM) and amx is in the set only if the kernel grants it. */
wh_isa wh_cpu_detect(void);

/* "avx2" allows that word and everything weaker that it contains: c and avx2. "avx2,neon": the union.
 * "c" leaves the C references alone. The result still has to be intersected with wh_cpu_detect(). */
wh_code wh_cpu_parse_mask(wh_isa *out, const char *list, wh_err *err);

/* The strongest word in the set: what a person would call it. */
const char *wh_cpu_best(wh_isa set);

/* Physical cores this process may run on (affinity mask, hyper-threads counted once), at least 1. */
int wh_cpu_cores(void);

/* "Intel(R) Xeon(R) ..." or "unknown". */
void wh_cpu_model(char *out, size_t size);

#endif
