"""Whet and llama.cpp as the benchmarks see them: how they are named on the command line, and how they are asked.

What is timed:
  whet       `whet bench`: greedy sampling included; prefill is the second run of the prompt
  llama.cpp  `llama-batched-bench -kvu -fa on`: S_PP and S_TG; logits are computed, nothing is sampled
Loading is never part of it. Each measurement is a process of its own.
"""
import json
import os

import measure


def add_arguments(p):
    p.add_argument("--model", required=True, help="GGUF of every contender that names no other")
    p.add_argument("--whet", action="append", metavar="NAME[=MODEL][@ISA]", help="ISA as in --cpu-mask (default: whet)")
    p.add_argument("--llama", action="append", default=[], metavar="NAME=DIR[:MODEL]", help="a folder with llama.cpp's tools")
    p.add_argument("--whet-binary", default=measure.WHET, metavar="FILE")
    p.add_argument("--threads", type=int, default=os.cpu_count())


def make(args, whet_class, llama_class):
    """The contenders that the arguments name, in their order, Whet first."""
    all_ = [whet_class(spec, args) for spec in args.whet or ["whet"]] + [llama_class(spec, args) for spec in args.llama]
    if len({c.name for c in all_}) < len(all_):
        measure.fail("two contenders have the same name")
    for c in all_:
        if not os.path.isfile(c.model):
            measure.fail("%s: there is no file %s" % (c.name, c.model))
        c.describe()
        measure.say("%s: %s" % (c.name, c.about))
    return all_


class Whet:
    kind = "whet"

    def __init__(self, spec, args):
        spec, _, self.mask = spec.partition("@")
        self.name, _, model = spec.partition("=")
        self.whet, self.model, self.threads, self.isa = args.whet_binary, model or args.model, args.threads, self.mask
        self.version = self.about = None

    def describe(self):
        self.version = self.about = measure.whet_version(self.whet)

    def command(self, name, *options, threads=None):
        mask = ["--cpu-mask", self.mask] if self.mask else []
        return [self.whet, name, "--policy", self.model, "--threads", str(threads or self.threads), *map(str, options), *mask]

    def ask(self, prompt, generate, batch, prompts=1, threads=None, timeout=1800):
        """{"prefill": t/s, "decode": t/s, ...}: `batch` sequences of `generate` tokens with so many different prompts."""
        r = measure.run(self.command("bench", "--prompt", prompt, "--generate", generate, "--batch", batch, "--prompts", prompts, "--quick",
                                     "--json", threads=threads), timeout)
        result = json.loads(r.output)
        self.isa = result["isa"]
        self.about = "%s, %s kernels" % (self.version, self.isa)
        prefill, decode = result["prefill"], result["decode"][0]
        return {"prefill": prefill["tps"], "decode": decode["tps"], "decode_gbps": decode["gbps"], "decode_gflops": decode["gflops"],
                "peak_mb": r.peak_bytes / 1e6, "load": r.load, "other": r.other}

    def machine(self):
        """The bandwidth of memory, and the speed of the model's kernel in the cache."""
        result = json.loads(measure.run(self.command("bench", "--prompt", 1, "--generate", 1, "--batch", 1, "--json")).output)
        return {"bandwidth_gbps": result["bandwidth_gbps"], "peak_gflops": result["peak_gflops"]}

    def ask_prefill(self, tokens):
        return self.ask(tokens, 1, 1)

    def first_token(self):
        """A process from its start to its end, for one token."""
        return measure.run(self.command("run", "--raw", "--max-tokens", 1, "x"))


class Llama:
    kind = "peer"

    def __init__(self, spec, args):
        self.name, _, place = spec.partition("=")
        self.directory, _, model = place.partition(":")
        self.model, self.threads = model or args.model, args.threads
        self.about, self.features = None, ""

    def tool(self, name):
        return os.path.join(self.directory, "llama-" + name)

    def describe(self):
        """The version, and the CPU features that this build uses here, from the tools that print them."""
        r = measure.run([self.tool("bench"), "--version"])
        version = next((line for line in (r.output + r.errors).splitlines() if line.startswith("version")), "of unknown version")
        r = self.first_token()
        lines = [line.partition("system_info:")[2].strip() for line in (r.output + r.errors).splitlines() if "system_info:" in line]
        self.features = lines[0] if lines else "no system_info"
        amx = "AMX_INT8 = 1" if "AMX_INT8 = 1" in self.features else "no AMX"
        self.about = "llama.cpp %s, %s" % (version, amx)

    def ask(self, prompt, generate, batch, prompts=1, threads=None, timeout=1800, repeat=1):
        """As Whet's; prompts: 1 or batch, there is nothing between. The last of `repeat` runs of the same counts."""
        assert prompts in (1, batch)
        shared = ["-pps"] if prompts == 1 else []
        context = prompts * prompt + batch * generate + 256
        r = measure.run([self.tool("batched-bench"), "-m", self.model, "-t", str(threads or self.threads), "-fa", "on", "-kvu", *shared,
                         "-c", str(context), "-npp", ",".join([str(prompt)] * repeat), "-ntg", str(generate), "-npl", str(batch),
                         "--output-format", "jsonl"], timeout)
        lines = [json.loads(line) for line in r.output.splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError("llama-batched-bench printed no result:\n" + r.errors[-2000:])
        return {"prefill": lines[-1]["speed_pp"], "decode": lines[-1]["speed_tg"], "peak_mb": r.peak_bytes / 1e6, "load": r.load,
                "other": r.other}

    def ask_prefill(self, tokens):
        return self.ask(tokens, 1, 1, repeat=2)

    def first_token(self):
        return measure.run([self.tool("completion"), "-m", self.model, "-t", str(self.threads), "-p", "x", "-n", "1", "-no-cnv"])


def footnotes(contenders):
    """What ran: versions, files, CPU features. A warning where Whet used AMX and no peer could."""
    text, files = "", {}
    for c in contenders:
        path = os.path.realpath(c.model)
        files[path] = files.get(path) or measure.file_line(path)
        text += "- %s: %s; %s\n" % (c.name, c.about, files[path])
        if isinstance(c, Llama):
            text += "  - `%s`\n" % c.features
    llamas = [c for c in contenders if isinstance(c, Llama)]
    if any(isinstance(c, Whet) and c.isa == "amx" for c in contenders) and llamas and not any(
            "AMX_INT8 = 1" in c.features for c in llamas):
        text += "\n**Unfair: Whet used AMX, and no llama.cpp build here does (AMX_INT8 = 1 is missing in its system_info).**\n"
    return text
