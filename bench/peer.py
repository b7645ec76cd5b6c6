#!/usr/bin/env python3
"""Whet beside llama.cpp and OpenVINO GenAI on one model, in one interleaved run.

For every round, for every test, each contender in turn (A B C A B C ...): what disturbs one disturbs all, and a
ratio compares neighbours in time. Tests: prefill of one prompt, and decoding of B sequences that share a prompt.
Medians, minima and maxima over the rounds, and Whet's ratio to the best peer of the same run.

What is timed, for each contender:
  whet       `whet bench --prompts 1`: greedy sampling included; the second prefill counts
  llama.cpp  `llama-batched-bench -pps -kvu -fa on`: S_TG, logits but no sampling; prefill is S_PP, the second of two
  OpenVINO   continuous batching of N equal requests with prefix caching (openvino_worker.py), greedy; the second
             prefill counts
Loading is never part of it. Each measurement of whet and llama.cpp is a process of its own.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import measure
from measure import fail, say


class Whet:
    def __init__(self, spec, args):
        spec, _, self.mask = spec.partition("@")
        self.name, _, model = spec.partition("=")
        self.whet, self.model, self.threads, self.isa = args.whet_binary, model or args.model, args.threads, None
        self.about = measure.whet_version(self.whet)

    def ask(self, prompt, generate, batch):
        command = [self.whet, "bench", "--policy", self.model, "--threads", str(self.threads), "--prompt", str(prompt), "--generate",
                   str(generate), "--batch", str(batch), "--prompts", "1", "--json"]
        if self.mask:
            command += ["--cpu-mask", self.mask]
        r = measure.run(command)
        result = json.loads(r.output)
        self.isa = result["isa"]
        self.about = "%s, %s kernels" % (self.about.partition(",")[0], self.isa)
        machine = {"bandwidth_gbps": result["bandwidth_gbps"], "peak_gflops": result["peak_gflops"]}
        return result, dict(machine, load=r.load, other=r.other)

    def prefill(self, tokens):
        result, row = self.ask(tokens, 1, 1)
        return dict(row, tps=result["prefill"]["tps"], gflops=result["prefill"]["gflops"])

    def decode(self, prompt, generate, batch):
        result, row = self.ask(prompt, generate, batch)
        point = result["decode"][0]
        return dict(row, tps=point["tps"], gbps=point["gbps"], gflops=point["gflops"])

    def close(self):
        pass


class Llama:
    def __init__(self, spec, args):
        self.name, _, place = spec.partition("=")
        self.directory, _, model = place.partition(":")
        self.model, self.threads = model or args.model, args.threads
        version, self.features = measure.llama_version(self.directory, self.model, self.threads)
        amx = next((f.strip() for f in self.features.split("|") if "AMX_INT8" in f), "no AMX")
        self.about = "llama.cpp %s, %s" % (version, amx)

    def ask(self, prompt, generate, batch, repeat):
        r = measure.run([os.path.join(self.directory, "llama-batched-bench"), "-m", self.model, "-t", str(self.threads), "-fa", "on",
                         "-kvu", "-pps", "-c", str(prompt + generate * batch + 256), "-npp", ",".join([str(prompt)] * repeat), "-ntg",
                         str(generate), "-npl", str(batch), "--output-format", "jsonl"])
        lines = [json.loads(line) for line in r.output.splitlines() if line.startswith("{")]
        return lines[-1], {"load": r.load, "other": r.other}

    def prefill(self, tokens):
        line, row = self.ask(tokens, 1, 1, 2)
        return dict(row, tps=line["speed_pp"])

    def decode(self, prompt, generate, batch):
        line, row = self.ask(prompt, generate, batch, 1)
        return dict(row, tps=line["speed_tg"])

    def close(self):
        pass


class OpenVino:
    name = "openvino"

    def __init__(self, args):
        self.model = args.openvino
        worker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "openvino_worker.py")
        say("openvino: loading %s" % self.model)
        self.child = subprocess.Popen([args.openvino_python, worker, self.model, str(args.threads), "4"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        hello = self.reply()
        self.about = "OpenVINO GenAI %s, loaded in %.1f s" % (hello["version"], hello["load"])

    def reply(self):
        line = self.child.stdout.readline()
        if not line:
            fail("the OpenVINO process ended; `%s bench/openvino_worker.py MODEL 2 4` says why" % self.child.args[0])
        return json.loads(line)

    def ask(self, key, **request):
        watch = measure.Watch(measure.process_busy(self.child.pid))
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        result = self.reply()
        return {"tps": result[key], "load": watch.load, "other": watch.other(measure.process_busy(self.child.pid))}

    def prefill(self, tokens):
        return self.ask("prefill", prompt=tokens, generate=1, batch=1)

    def decode(self, prompt, generate, batch):
        return self.ask("decode", prompt=prompt, generate=generate, batch=batch)

    def close(self):
        self.child.stdin.close()
        self.child.wait()


# ---- the run ----------------------------------------------------------------------------------------------------

def one_round(number, contenders, tests, args, rows):
    for test, batch in tests:
        for c in contenders:
            row = {"round": number, "contender": c.name, "kind": "whet" if isinstance(c, Whet) else "peer", "test": test, "batch": batch}
            try:
                row.update(c.prefill(args.prefill) if batch == 0 else c.decode(args.prompt, args.generate, batch))
            except RuntimeError as e:
                fail(str(e))
            rows.append(row)
            say("round %d  %-12s %-24s %8.1f t/s   load %.2f, others %.0f %%" % (number, test, c.name, row["tps"], row["load"],
                                                                                 100 * row["other"]))


def values(rows, contender, test):
    mine = [r for r in rows if r["contender"] == contender.name and r["test"] == test]
    return [r["tps"] for r in mine], any(r["other"] > measure.NOISY for r in mine)


def ratios(rows, whet, peers, tests):
    """Whet's median over the best median among the peers, test by test."""
    line = []
    for test, _ in tests:
        best = max(peers, key=lambda p: measure.median(values(rows, p, test)[0]))
        ratio = measure.median(values(rows, whet, test)[0]) / measure.median(values(rows, best, test)[0])
        line.append("**%.2fx** (%s)" % (ratio, best.name))
    return line


def report(rows, contenders, tests, args):
    whets, peers = [c for c in contenders if isinstance(c, Whet)], [c for c in contenders if not isinstance(c, Whet)]
    lines = [[c.name] + [measure.cell(*values(rows, c, test)) for test, _ in tests] for c in contenders]
    for w in whets:
        if peers:
            lines.append(["%s / best peer" % w.name] + ratios(rows, w, peers, tests))
        same = [p for p in peers if os.path.samefile(p.model, w.model)]
        if same and same != peers:
            lines.append(["%s / best peer on its file" % w.name] + ratios(rows, w, same, tests))
    text = "# %s, tokens/s: median (min–max) of %d interleaved rounds\n\n" % (os.path.basename(args.model), rows[-1]["round"])
    text += "%s; %d threads; %s. Prefill of %d tokens; decode with a shared prompt of %d tokens, %d tokens a sequence.\n\n" % (
        measure.machine(), args.threads, time.strftime("%Y-%m-%d"), args.prefill, args.prompt, args.generate)
    text += measure.table(["contender"] + [test for test, _ in tests], lines) + "\n" + measure.NOISE_NOTE + "\n"
    files = {}
    for c in contenders:
        files.setdefault(os.path.realpath(c.model), measure.file_line(c.model))
        text += "- %s: %s; %s\n" % (c.name, c.about, files[os.path.realpath(c.model)])
        if isinstance(c, Llama):
            text += "  - `%s`\n" % c.features
    llamas = [c for c in peers if isinstance(c, Llama)]
    if any(w.isa == "amx" for w in whets) and llamas and not any("AMX_INT8 = 1" in p.features for p in llamas):
        text += "\n**Unfair: Whet used AMX and no llama.cpp build here has it (AMX_INT8 = 1 is missing in its system_info).**\n"
    return text


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, help="GGUF of every contender that names no other")
    p.add_argument("--whet", action="append", metavar="NAME[=MODEL][@ISA]", help="ISA as in --cpu-mask (default: whet)")
    p.add_argument("--llama", action="append", default=[], metavar="NAME=DIR[:MODEL]", help="a folder with llama.cpp's tools")
    p.add_argument("--openvino", metavar="MODEL", help="GGUF (Q4_0, Q8_0 or F16) or OpenVINO folder")
    p.add_argument("--openvino-python", default=sys.executable, metavar="PYTHON", help="one that can import openvino_genai")
    p.add_argument("--whet-binary", default=measure.WHET, metavar="FILE")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--minutes", type=float, default=12, help="no new round starts if it would probably end later (default 12)")
    p.add_argument("--batch", default="1,4,16,64")
    p.add_argument("--prefill", type=int, default=512, help="tokens of the prefill test")
    p.add_argument("--prompt", type=int, default=256, help="tokens of the shared prompt in decoding")
    p.add_argument("--generate", type=int, default=48, help="tokens of each sequence")
    p.add_argument("--name", help="of the files in bench/results (default: peer-MODEL-ISA)")
    args = p.parse_args()

    contenders = [Whet(spec, args) for spec in args.whet or ["whet"]] + [Llama(spec, args) for spec in args.llama]
    if args.openvino:
        contenders.append(OpenVino(args))
    if len({c.name for c in contenders}) < len(contenders):
        fail("two contenders have the same name")
    for c in contenders:
        say("%s: %s" % (c.name, c.about))
    tests = [("prefill %d" % args.prefill, 0)] + [("B=%d" % int(b), int(b)) for b in args.batch.split(",")]

    rows, began = [], time.monotonic()
    for number in range(1, args.rounds + 1):
        elapsed = time.monotonic() - began
        if rows and elapsed * number / (number - 1) > 60 * args.minutes:
            say("no time for round %d" % number)
            break
        one_round(number, contenders, tests, args, rows)
    text = report(rows, contenders, tests, args)
    for c in contenders:
        c.close()

    isa = next(c.isa for c in contenders if isinstance(c, Whet))
    name = args.name or "peer-%s-%s" % (os.path.splitext(os.path.basename(args.model))[0], isa)
    measure.write_csv(measure.result_path(name, "csv"), rows)
    with open(measure.result_path(name, "md"), "w") as f:
        f.write(text)
    print(text)
    say("%.1f minutes; bench/results/%s.{md,csv}" % ((time.monotonic() - began) / 60, name))


if __name__ == "__main__":
    main()
