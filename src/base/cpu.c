#include "base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

const wh_isa_info wh_isa_table[WH_ISA_COUNT] = {
#define WH_ISA_X(word, arch, needs, since) {#word, needs, since},
#include "base/cpu.def"
#undef WH_ISA_X
};

/* What a word contains: itself and the weaker words it is built on. */
static const wh_isa closure[WH_ISA_COUNT] = {
    [WH_ISA_INDEX_c] = WH_ISA_c,
    [WH_ISA_INDEX_avx2] = WH_ISA_c | WH_ISA_avx2,
    [WH_ISA_INDEX_avxvnni] = WH_ISA_c | WH_ISA_avx2 | WH_ISA_avxvnni,
    [WH_ISA_INDEX_avx512] = WH_ISA_c | WH_ISA_avx2 | WH_ISA_avx512,
    [WH_ISA_INDEX_avx512vnni] = WH_ISA_c | WH_ISA_avx2 | WH_ISA_avx512 | WH_ISA_avx512vnni,
    [WH_ISA_INDEX_amx] = WH_ISA_c | WH_ISA_avx2 | WH_ISA_avx512 | WH_ISA_avx512vnni | WH_ISA_amx,
    [WH_ISA_INDEX_neon] = WH_ISA_c | WH_ISA_neon,
    [WH_ISA_INDEX_neondot] = WH_ISA_c | WH_ISA_neon | WH_ISA_neondot,
    [WH_ISA_INDEX_neoni8mm] = WH_ISA_c | WH_ISA_neon | WH_ISA_neondot | WH_ISA_neoni8mm,
};

#if defined(__x86_64__)
static uint64_t xgetbv0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool amx_granted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

wh_isa wh_cpu_detect(void)
{
    enum { XCR0_YMM = 0x6, XCR0_ZMM = 0xe6, XCR0_TILE = 0x60000 };
    unsigned a, b, c, d, b7, c7, d7, a71, u;
    wh_isa set = WH_ISA_c;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return set;
    bool fma = c & bit_FMA, f16c = c & bit_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return set;
    if (!__get_cpuid_count(7, 1, &a71, &u, &u, &u)) a71 = 0;
    uint64_t xcr0 = xgetbv0();
    if ((xcr0 & XCR0_YMM) != XCR0_YMM || !fma || !f16c || !(b7 & bit_AVX2)) return set;
    set |= WH_ISA_avx2;
    if (a71 & 1u << 4) set |= WH_ISA_avxvnni;
    const unsigned f512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    if ((xcr0 & XCR0_ZMM) != XCR0_ZMM || (b7 & f512) != f512) return set;
    set |= WH_ISA_avx512;
    if (!(c7 & 1u << 11)) return set; /* AVX512_VNNI */
    set |= WH_ISA_avx512vnni;
    const unsigned amx = 1u << 24 | 1u << 25; /* AMX-TILE, AMX-INT8 */
    if ((xcr0 & XCR0_TILE) == XCR0_TILE && (d7 & amx) == amx && amx_granted()) set |= WH_ISA_amx;
    return set;
}
#elif defined(__aarch64__)
wh_isa wh_cpu_detect(void)
{
    wh_isa set = WH_ISA_c | WH_ISA_neon;
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) {
        set |= WH_ISA_neondot;
        if (getauxval(AT_HWCAP2) & HWCAP2_I8MM) set |= WH_ISA_neoni8mm;
    }
    return set;
}
#else
wh_isa wh_cpu_detect(void) { return WH_ISA_c; }
#endif

wh_code wh_cpu_parse_mask(wh_isa *out, const char *list, wh_err *err)
{
    wh_isa set = 0;
    for (const char *s = list;;) {
        size_t n = strcspn(s, ",");
        int found = -1;
        for (int i = 0; i < WH_ISA_COUNT; i++)
            if (strlen(wh_isa_table[i].word) == n && memcmp(wh_isa_table[i].word, s, n) == 0) found = i;
        if (found < 0)
            return wh_err_set(err, WH_ERR_ARG, "unknown instruction set '%.*s' (whet cpu lists them)", (int)n, s);
        set |= closure[found];
        if (!s[n]) break;
        s += n + 1;
    }
    *out = set;
    return WH_OK;
}

const char *wh_cpu_best(wh_isa set)
{
    for (int i = WH_ISA_COUNT - 1; i > 0; i--)
        if (set & 1u << i) return wh_isa_table[i].word;
    return wh_isa_table[0].word;
}

/* First CPU of the core's thread list: "0,4" or "0-1" -> 0; -1 when the system does not say. */
static int first_sibling(int cpu)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (!f) return -1;
    int first = -1;
    if (fscanf(f, "%d", &first) != 1) first = -1;
    fclose(f);
    return first;
}

int wh_cpu_cores(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        return n > 0 ? (int)n : 1;
    }
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &allowed)) continue;
        int first = first_sibling(cpu);
        CPU_SET((size_t)(first >= 0 && first < CPU_SETSIZE ? first : cpu), &cores);
    }
    int n = CPU_COUNT(&cores);
    return n > 0 ? n : 1;
}

void wh_cpu_model(char *out, size_t size)
{
    snprintf(out, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) != 0 && strncmp(line, "Model", 5) != 0) continue;
        char *s = strchr(line, ':');
        if (!s) continue;
        s += 1 + strspn(s + 1, " \t");
        s[strcspn(s, "\n")] = '\0';
        snprintf(out, size, "%s", s);
        break;
    }
    fclose(f);
}
