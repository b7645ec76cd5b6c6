/* checkasm: every registered kernel and operation against its C twin, bit by bit, each on its own.
 *
 *   checkasm [--bench] [WORD]      WORD: kernels whose name contains it
 *
 * A kernel that this CPU cannot run is reported as SKIPPED. Exit status 1 when any kernel fails.
 */
#include "checkasm.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../asm/wh_asm.h"

_Static_assert(offsetof(wh_mm, y) == MM_Y && offsetof(wh_mm, y_stride) == MM_Y_STRIDE && offsetof(wh_mm, w) == MM_W &&
               offsetof(wh_mm, panels) == MM_PANELS && offsetof(wh_mm, m) == MM_M && offsetof(wh_mm, k) == MM_K &&
               offsetof(wh_mm, x) == MM_X && offsetof(wh_mm, x_stride) == MM_X_STRIDE && offsetof(wh_mm, d) == MM_D &&
               offsetof(wh_mm, d_stride) == MM_D_STRIDE && offsetof(wh_mm, start) == MM_START &&
               offsetof(wh_mm, start_stride) == MM_START_STRIDE && offsetof(wh_mm, sum) == MM_SUM &&
               offsetof(wh_mm, sum_stride) == MM_SUM_STRIDE && offsetof(wh_mm, scratch) == MM_SCRATCH &&
               offsetof(wh_mm, off) == MM_OFF, "asm/wh_asm.h and struct wh_mm differ");

guarded guarded_alloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
    guarded g = {.map_bytes = body + page, .bytes = bytes};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect((char *)g.map + body, page, PROT_NONE) != 0) {
        perror("checkasm: mmap");
        exit(2);
    }
    g.p = (char *)g.map + body - bytes;
    return g;
}

void guarded_free(guarded *g) { munmap(g->map, g->map_bytes); }

static uint64_t state = 20260401; /* PCG-like: good enough to fill tests */

uint64_t random_save(void) { return state; }
void     random_restore(uint64_t saved) { state = saved; }

uint32_t random_u32(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

int random_in(int lo, int hi) { return lo + (int)(random_u32() % (uint32_t)(hi - lo + 1)); }

float random_float(float lo, float hi) { return lo + (hi - lo) * (float)(random_u32() >> 8) * 0x1p-24f; }

#if defined(__x86_64__)
/* Fill rbx, rbp, r12-r15 with 1 .. 6 times a pattern, call, and count what came back wrong. */
int checkasm_call_x86(wh_mm_fn *fn, const wh_mm *a, uint64_t pattern);
__asm__(".text\n"
        "checkasm_call_x86:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  push %rdx; push %rdx; push %rdx\n"
        "  mov %rdi, %rax; mov %rsi, %rdi\n"
        "  lea (%rdx), %rbx; lea 1(%rdx), %rbp; lea 2(%rdx), %r12; lea 3(%rdx), %r13; lea 4(%rdx), %r14; lea 5(%rdx), %r15\n"
        "  call *%rax\n"
        "  pop %rdx; xor %eax, %eax\n"
        "  sub %rdx, %rbx; or %rbx, %rax\n"
        "  sub %rdx, %rbp; sub $1, %rbp; or %rbp, %rax\n"
        "  sub %rdx, %r12; sub $2, %r12; or %r12, %rax\n"
        "  sub %rdx, %r13; sub $3, %r13; or %r13, %rax\n"
        "  sub %rdx, %r14; sub $4, %r14; or %r14, %rax\n"
        "  sub %rdx, %r15; sub $5, %r15; or %r15, %rax\n"
        "  pop %rdx; pop %rdx\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  neg %rax; sbb %eax, %eax\n"
        "  ret\n");

/* XINUSE: which parts of the extended state are not in their initial configuration. */
static uint32_t state_in_use(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
    return lo;
}

static const char *call(wh_mm_fn *fn, const wh_mm *a)
{
    enum { TILES = 3 << 17, AVX = 1 << 2 };
    uint32_t before, after;
    bool     avx2 = wh_cpu_detect() & WH_ISA_avx2, modern = wh_cpu_detect() & WH_ISA_avx512;
    if (avx2) __asm__ volatile("vzeroupper" ::: "xmm0");
    before = __builtin_ia32_stmxcsr();
    int changed = checkasm_call_x86(fn, a, 0x123456789abcdef1);
    uint32_t in_use = modern ? state_in_use() : 0;
    after = __builtin_ia32_stmxcsr();
    if (changed) return "does not restore a callee-saved register";
    if ((before ^ after) & ~0x3fu) return "does not restore the control bits of MXCSR";
    if (in_use & TILES) return "does not release the tiles";
    if (in_use & AVX) return "leaves the upper halves in use (no vzeroupper)";
    return NULL;
}
#elif defined(__aarch64__)
/* Fill x19-x28 and d8-d15 with a pattern plus their numbers, call; 0 when all came back as they were. */
uint64_t checkasm_call_arm(wh_mm_fn *fn, const wh_mm *a, uint64_t pattern);
__asm__(".text\n"
        "checkasm_call_arm:\n"
        "  stp x29, x30, [sp, #-176]!\n"
        "  str x2, [sp, #160]\n"
        "  .irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28\n"
        "  str x\\n, [sp, #16 + 8 * (\\n - 19)]; add x\\n, x2, #\\n\n"
        "  .endr\n"
        "  .irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "  str d\\n, [sp, #96 + 8 * (\\n - 8)]; add x9, x2, #\\n; fmov d\\n, x9\n"
        "  .endr\n"
        "  mov x9, x0; mov x0, x1; blr x9\n"
        "  ldr x2, [sp, #160]; mov x0, #0\n"
        "  .irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28\n"
        "  add x9, x2, #\\n; eor x9, x9, x\\n; orr x0, x0, x9; ldr x\\n, [sp, #16 + 8 * (\\n - 19)]\n"
        "  .endr\n"
        "  .irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "  add x9, x2, #\\n; fmov x10, d\\n; eor x9, x9, x10; orr x0, x0, x9; ldr d\\n, [sp, #96 + 8 * (\\n - 8)]\n"
        "  .endr\n"
        "  ldp x29, x30, [sp], #176\n"
        "  ret\n");

static const char *call(wh_mm_fn *fn, const wh_mm *a)
{
    return checkasm_call_arm(fn, a, 0x123456789abcdef1) ? "does not restore a callee-saved register" : NULL;
}
#else
static const char *call(wh_mm_fn *fn, const wh_mm *a)
{
    fn(a);
    return NULL;
}
#endif

static sigjmp_buf            outside;
static volatile sig_atomic_t calling;

static void on_fault(int sig)
{
    if (calling) siglongjmp(outside, 1);
    signal(sig, SIG_DFL);
    raise(sig);
}

const char *checked_call(wh_mm_fn *fn, const wh_mm *a)
{
    if (sigsetjmp(outside, 1)) {
        calling = 0;
#if defined(__x86_64__)
        if (wh_cpu_detect() & WH_ISA_amx) __asm__ volatile("tilerelease");
#endif
        return "touches memory outside its operands";
    }
    calling = 1;
    const char *wrong = call(fn, a);
    calling = 0;
    return wrong;
}

int main(int argc, char **argv)
{
    bool        bench = argc > 1 && strcmp(argv[1], "--bench") == 0;
    const char *word = argc > 1 + bench ? argv[1 + bench] : "";
    int         passed = 0, failed = 0, skipped = 0;
    wh_isa      have = wh_cpu_detect();
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    for (size_t i = 0; i < wh_mm_count; i++) {
        const wh_mm_entry *e = &wh_mm_table[i];
        if (!strstr(e->name, word)) continue;
        if (!(have >> e->isa & 1)) {
            printf("SKIPPED %s: this CPU has no %s\n", e->name, wh_isa_table[e->isa].word);
            skipped++;
        } else if (check_mm(e)) {
            printf("[       OK ] %s\n", e->name);
            passed++;
            if (bench) bench_mm(e);
        } else {
            printf("[  FAILED  ] %s\n", e->name);
            failed++;
        }
        fflush(stdout);
    }
    check_ops(word, &passed, &failed);
    printf("checkasm: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
