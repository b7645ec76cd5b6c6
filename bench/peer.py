#!/usr/bin/env python3
"""Whet beside llama.cpp and OpenVINO GenAI on one model, in one interleaved run.

For every round, for every test, each contender in turn (A B C A B C ...): what disturbs one disturbs all, and a
ratio compares neighbours in time. Tests: prefill of one prompt, and decoding of B sequences that share a prompt.
Medians, minima and maxima over the rounds, and Whet's ratio to the best peer of the same run.

What is timed, for each contender:
  whet       `whet bench --prompts 1`: greedy sampling included
  llama.cpp  `llama-batched-bench -pps -kvu -fa on`: S_PP and S_TG; logits are computed, nothing is sampled
  OpenVINO   continuous batching of N equal requests with prefix caching, greedy (openvino_worker.py)
Prefill is the second of two runs for everyone. Loading is never part of it. Each measurement of Whet and llama.cpp
is a process of its own; OpenVINO, which takes long to load, stays and sleeps between its turns.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import contenders
import measure
from measure import fail, say


class OpenVino:
    name, kind = "openvino", "peer"

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

    def ask(self, prompt, generate, batch):
        watch = measure.Watch(measure.process_busy(self.child.pid))
        self.child.stdin.write(json.dumps({"prompt": prompt, "generate": generate, "batch": batch}) + "\n")
        self.child.stdin.flush()
        result = self.reply()
        return dict(result, load=watch.load, other=watch.other(measure.process_busy(self.child.pid)))

    def ask_prefill(self, tokens):
        return self.ask(tokens, 1, 1)

    def close(self):
        self.child.stdin.close()
        self.child.wait()


# ---- the run ----------------------------------------------------------------------------------------------------

def one_round(number, runners, tests, args, rows):
    for test, batch in tests:
        for c in runners:
            try:
                result = c.ask(args.prompt, args.generate, batch) if batch else c.ask_prefill(args.prefill)
            except RuntimeError as e:
                fail(str(e))
            row = {"round": number, "contender": c.name, "kind": c.kind, "test": test, "batch": batch,
                   "tps": result["decode" if batch else "prefill"]}
            rows.append(dict(result, **row))
            say("round %d  %-12s %-24s %8.1f t/s   load %.2f, others %.0f %%" % (number, test, c.name, row["tps"],
                                                                                 result["load"], 100 * result["other"]))


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


def report(rows, runners, tests, args):
    whets, peers = [c for c in runners if c.kind == "whet"], [c for c in runners if c.kind == "peer"]
    lines = [[c.name] + [measure.cell(*values(rows, c, test)) for test, _ in tests] for c in runners]
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
    return text + contenders.footnotes(runners)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    contenders.add_arguments(p)
    p.add_argument("--openvino", metavar="MODEL", help="GGUF (Q4_0, Q8_0 or F16) or OpenVINO folder")
    p.add_argument("--openvino-python", default=sys.executable, metavar="PYTHON", help="one that can import openvino_genai")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--minutes", type=float, default=12, help="no new round starts if it would probably end later (default 12)")
    p.add_argument("--batch", default="1,4,16,64")
    p.add_argument("--prefill", type=int, default=512, help="tokens of the prefill test")
    p.add_argument("--prompt", type=int, default=256, help="tokens of the shared prompt in decoding")
    p.add_argument("--generate", type=int, default=48, help="tokens of each sequence")
    p.add_argument("--name", help="of the files in bench/results (default: peer-MODEL-ISA)")
    args = p.parse_args()

    runners = contenders.make(args, contenders.Whet, contenders.Llama)
    if args.openvino:
        runners.append(OpenVino(args))
        say("openvino: %s" % runners[-1].about)
    tests = [("prefill %d" % args.prefill, 0)] + [("B=%d" % int(b), int(b)) for b in args.batch.split(",")]

    machine = {c.name: c.machine() for c in runners if c.kind == "whet"}
    rows, began = [], time.monotonic()
    for number in range(1, args.rounds + 1):
        elapsed = time.monotonic() - began
        if rows and elapsed * number / (number - 1) > 60 * args.minutes:
            say("no time for round %d" % number)
            break
        one_round(number, runners, tests, args, rows)
    rows = [dict(r, **machine.get(r["contender"], {})) for r in rows]
    isa = next(c.isa for c in runners if c.kind == "whet")
    measure.write(args.name or "peer-%s-%s" % (os.path.splitext(os.path.basename(args.model))[0], isa), report(rows, runners, tests, args),
                  rows)
    say("%.1f minutes" % ((time.monotonic() - began) / 60))
    if args.openvino:
        runners[-1].close()


if __name__ == "__main__":
    main()
