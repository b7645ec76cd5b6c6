#!/usr/bin/env python3
"""Count the instructions of the AArch64 matmul kernels and bound their speed on paper: bench/results/arm_kernels.md.

    make ARCH=aarch64 && tools/arm_count.py > table.md

Needs qemu-aarch64 with plugins and the cross compiler. A plugin counts how often each address of a kernel is executed
under qemu; the disassembly says what stands there; the tables below say what it costs. Executed counts are exact.
The bounds are arithmetic: the busiest resource of the core, every instruction ready in time, every load a hit in L1.

Costs are issue slots, after the scheduling models of LLVM (AArch64SchedA57.td, which LLVM uses for the A72 as well, and
AArch64SchedNeoverseN1.td, the A76's server twin), which cite Arm's optimization guides. Three departures, all to our
disadvantage or none: ldp of two q is two loads on both, A72 dispatches 3 instructions a cycle, A76 4.
"""
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter

PLUGIN = r"""
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t, void (*)(uint64_t, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int, void *, uint64_t);
extern void qemu_plugin_register_atexit_cb(uint64_t, void (*)(uint64_t, void *), void *);
int qemu_plugin_version = 1;
enum { N = 1 << 20 };
static uint64_t count[N];
static const uint64_t base = 0x400000; /* of a static program */
static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *in = qemu_plugin_tb_get_insn(tb, i);
        uint64_t at = (qemu_plugin_insn_vaddr(in) - base) / 4;
        if (at < N) qemu_plugin_register_vcpu_insn_exec_inline(in, 0, &count[at], 1);
    }
}
static void end(uint64_t id, void *unused)
{
    FILE *f = fopen(getenv("COUNTS"), "w");
    for (uint64_t i = 0; i < N; i++)
        if (count[i]) fprintf(f, "%" PRIx64 " %" PRIu64 "\n", base + 4 * i, count[i]);
    fclose(f);
}
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, end, NULL);
    return 0;
}
"""

DRIVER = r"""
#include "kern/kern.h"
#include <stdlib.h>
#include <string.h>
static const struct { const char *name; wh_mm_fn *fn; } kernels[] = {
#define WH_MM_X(layout, isa, from_m) {"wh_mm_" #layout "_" #isa, wh_mm_##layout##_##isa},
#include "kern/kern_arm.def"
};
int main(int argc, char **argv)
{
    size_t m = (size_t)atoi(argv[2]), k = (size_t)atoi(argv[3]), panels = (size_t)atoi(argv[4]);
    wh_mm a = {.y = malloc(m * panels * 64), .y_stride = panels * 16, .w = aligned_alloc(64, panels * 32 * k), .panels = panels,
               .m = m, .k = k, .x = calloc(m, k), .x_stride = k, .d = calloc(m, k), .d_stride = k / 8, .start = calloc(m, k),
               .start_stride = k / 8, .sum = calloc(m, k), .sum_stride = k / 8, .scratch = aligned_alloc(64, WH_MM_SCRATCH)};
    memset((void *)a.w, 0, panels * 32 * k);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (!strcmp(kernels[i].name, argv[1])) kernels[i].fn(&a);
    return 0;
}
"""

# layout: bytes of a block of 256 k of 16 rows
LAYOUTS = {"l4": 256 + 2048, "l4m": 512 + 2048, "l5": 256 + 2560, "l5m": 512 + 2560, "l8": 256 + 4096,
           "k4m": 320 + 2048, "k5m": 320 + 2560, "h4m": 576 + 2048, "h6": 320 + 3072}
# isa, core, rows of x in a tile
ISAS = [("neon", "A72", 2), ("neondot", "A76", 3), ("neoni8mm", "A76", 2)]
K, PANELS = 1536, 4
MULTIPLIES = re.compile(r"(sdot|smmla|smull2?|smlal2?)$")


def slots(op, args, core):
    """Issue slots: i instructions; F0, F1 the two vector pipes (A76: V0, V1), V either of them; L, S; I integer."""
    a72 = core == "A72"
    q = args.startswith("q")
    c = Counter(i=1)
    if op in ("ldp", "ldr", "prfm"):
        c["L"] = 2 if op == "ldp" and q else 1
    elif op in ("stp", "str"):
        c["S" if a72 else "L"] = (2 if op == "stp" else 1) * (2 if q else 1)
        if q and not a72:
            c["V"] = 2
    elif not re.match(r"v\d+\.", args):
        c["I"] = 1
    elif re.match(r"[su]m(ul|la)l2?$", op):
        c["F0"] = 1
    elif op == "mla":
        c["F0"] = 2
    elif op == "sadalp" or re.match(r"(shl|[su]shr|[su]xtl2?)$", op):
        c["F1"] = 1
    elif op == "dup" and re.search(r", [wx]", args):
        c.update({"L": 1, "V": 1} if a72 else {"I": 1})
    elif op.startswith("fcvtl") or op == "scvtf":
        c.update({"V": 3 if op != "scvtf" else 2} if a72 else {"F0": 2})
    elif a72 and op in ("fsub", "fmul", "fmla", "fmls", "bit"):
        c["V"] = 2
    elif a72 and re.match(r"(zip|uzp)[12]$", op):
        c["V"] = 3
    else:
        c["V"] = 1
    return c


def bound(c, core):
    """Cycles, and which resource they are the cycles of."""
    vector = (c["F0"] + c["F1"] + c["V"]) / 2
    if core == "A72":
        b = {"multiply pipe": c["F0"], "shift pipe": c["F1"], "vector pipes": vector, "loads": c["L"], "stores": c["S"], "dispatch": c["i"] / 3}
    else:
        b = {"pipe V0": c["F0"], "pipe V1": c["F1"], "vector pipes": vector, "loads, stores": c["L"] / 2, "dispatch": c["i"] / 4}
    what = max(b, key=b.get)
    return b[what], what


class Kernels:
    def __init__(self, folder, objects):
        self.folder = folder
        for name, text in (("plugin.c", PLUGIN), ("driver.c", DRIVER)):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        run = lambda *a: subprocess.run(a, check=True, capture_output=True, text=True).stdout
        run("gcc", "-O1", "-shared", "-fPIC", "-o", folder + "/plugin.so", folder + "/plugin.c")
        run("aarch64-linux-gnu-gcc", "-O1", "-static", "-no-pie", "-Isrc", "-o", folder + "/driver", folder + "/driver.c", *objects)
        self.code = {}
        inside = False
        for line in run("aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", folder + "/driver").splitlines():
            if line.endswith(">:"):
                inside = "<wh_mm_" in line
            m = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)
            if m and inside:
                self.code[int(m[1], 16)] = (m[2], m[3].split("//")[0].strip())

    def run(self, kernel, m):
        """How often each instruction of the kernel is executed."""
        counts = self.folder + "/counts"
        subprocess.run(["qemu-aarch64", "-cpu", "max", "-plugin", self.folder + "/plugin.so", self.folder + "/driver", kernel,
                        str(m), str(K), str(PANELS)], check=True, env=dict(os.environ, COUNTS=counts), stderr=subprocess.DEVNULL)
        pairs = (line.split() for line in open(counts))
        return {int(a, 16): int(n) for a, n in pairs if int(a, 16) in self.code}

    def cost(self, executed, core):
        c = Counter()
        for address, n in executed.items():
            for resource, s in slots(*self.code[address], core).items():
                c[resource] += s * n
        return c


def main():
    objects = ["build/aarch64-release/asm/arm/mm_%s.o" % isa for isa, _, _ in ISAS]
    with tempfile.TemporaryDirectory() as folder:
        kernels = Kernels(folder, objects)
        for isa, core, rows in ISAS:
            print("\n### %s, tiles of %d x 16, the pipes of the %s\n" % (isa, rows, core))
            print("| layout | bytes per weight | loop: instructions | of these multiplying | per MAC | loop: MAC/cycle at most | it is limited by |"
                  + "".join(" m=%d: instr/MAC | MAC/cycle at most |" % m for m in (1, 4, 16, 64)))
            print("|---|" + "---|" * 14)
            for layout, block in LAYOUTS.items():
                name = "wh_mm_%s_%s" % (layout, isa)
                executed = kernels.run(name, 12)  # whole tiles alone: the group's loop is what is executed most often
                top = max(executed.values())
                loop = {a: 1 for a, n in executed.items() if n == top}
                multiplying = sum(1 for a in loop if MULTIPLIES.match(kernels.code[a][0]))
                cycles, what = bound(kernels.cost(loop, core), core)
                row = [layout, "%.3f" % (block / 4096), str(len(loop)), str(multiplying), "%.4f" % (len(loop) / (512 * rows)),
                       "%.1f" % (512 * rows / cycles), what]
                for m in (1, 4, 16, 64):
                    c = kernels.cost(kernels.run(name, m), core)
                    macs = m * 16 * PANELS * K
                    row += ["%.3f" % (c["i"] / macs), "%.1f" % (macs / bound(c, core)[0])]
                print("| " + " | ".join(row) + " |")
                sys.stdout.flush()


main()
