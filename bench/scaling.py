#!/usr/bin/env python3
"""How speed and memory scale: context length, different prompts in a batch, threads; time to load.

  context   16 sequences that share a prompt of 256, 512, ... tokens: prefill (of that one prompt) and decode
  prompts   64 sequences with K different prompts of 256 tokens, and the peak memory of that
            (llama-batched-bench can do K = 1 and K = 64 only)
  threads   16 sequences on 1, 2, 4, 8 threads, whatever the machine has: more threads than cores must not collapse
  load      a process from start to end for one token: its seconds and peak memory. The file is in the page cache.

All contenders in turn at every point, several rounds; medians. Whet repeats each prefill and takes the second,
llama-batched-bench has warmed up on 16 tokens.
"""
import argparse
import os
import time

import contenders
import measure
from measure import say

PROMPT = 256


class Table:
    """Points of one curve family: rows of the report are points, columns are (contender, value)."""

    def __init__(self, name, title, unit_columns):
        self.name, self.title, self.columns = name, title, unit_columns

    def text(self, rows, runners):
        head = [self.name] + ["%s, %s" % (c.name, label) for _, label in self.columns for c in runners]
        points = list(dict.fromkeys(r["x"] for r in rows))
        lines = []
        for x in points:
            line = [str(x)]
            for key, _ in self.columns:
                for c in runners:
                    mine = [r for r in rows if r["x"] == x and r["contender"] == c.name]
                    failed = next((r["failed"] for r in mine if "failed" in r), None)
                    noisy = any(r.get("other", 0) > measure.NOISY for r in mine)
                    line.append(failed or measure.cell([r[key] for r in mine if key in r], noisy))
            lines.append(line)
        return "## %s\n\n%s\n" % (self.title, measure.table(head, lines))


def ask_context(c, x, args):
    return c.ask(x, args.generate, 16)


def ask_prompts(c, x, args):
    if x not in (1, 64) and c.kind == "peer":
        return {}
    return c.ask(PROMPT, args.generate, 64, prompts=x)


def ask_threads(c, x, args):
    return c.ask(64, 8, 16, threads=x, timeout=args.timeout)


def ask_load(c, _x, _args):
    r = c.first_token()
    return {"seconds": r.seconds, "peak_mb": r.peak_bytes / 1e6, "load": r.load, "other": r.other}


def points(text):
    return [int(x) for x in text.split(",")] if text else []


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    contenders.add_arguments(p)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--generate", type=int, default=16, help="tokens of each sequence (default 16)")
    p.add_argument("--contexts", type=points, default=points("256,512,1024,2048,4096,8192"), help="'' leaves this part out")
    p.add_argument("--prompts", type=points, default=points("1,2,4,8,16,32,64"))
    p.add_argument("--thread-counts", type=points, default=points("1,2,4,8"))
    p.add_argument("--timeout", type=float, default=300, help="seconds after which a thread count counts as collapsed")
    p.add_argument("--name", help="of the files in bench/results (default: scaling-MODEL)")
    args = p.parse_args()

    speed = [("decode", "decode t/s")]
    parts = [
        (Table("context", "Context length: 16 sequences, one prompt", [("prefill", "prefill t/s")] + speed), ask_context, args.contexts),
        (Table("prompts", "Different prompts among 64 sequences", speed + [("peak_mb", "peak MB")]), ask_prompts, args.prompts),
        (Table("threads", "Threads, on %d cores" % os.cpu_count(), [("prefill", "prefill t/s")] + speed), ask_threads, args.thread_counts),
        (Table("load", "One token, from the start of the process", [("seconds", "seconds"), ("peak_mb", "peak MB")]), ask_load, [1]),
    ]
    runners = contenders.make(args, contenders.Whet, contenders.Llama)
    rows, began = [], time.monotonic()
    for number in range(1, args.rounds + 1):
        for part, ask, xs in parts:
            for x in xs:
                for c in runners:
                    row = {"part": part.name, "x": x, "round": number, "contender": c.name, "kind": c.kind}
                    try:
                        row.update(ask(c, x, args))
                    except RuntimeError as e:
                        row["failed"] = "no result"
                        say(str(e))
                    rows.append(row)
                    shown = "   ".join("%s %.1f" % (label, row[key]) for key, label in part.columns if key in row)
                    say("round %d  %-8s %5d  %-16s %s" % (number, part.name, x, c.name, row.get("failed", shown)))
    text = "# %s: how it scales; median (min–max) of %d interleaved rounds\n\n%s; %s; %d threads where nothing else is said.\n\n" % (
        os.path.basename(args.model), args.rounds, measure.machine(), time.strftime("%Y-%m-%d"), args.threads)
    for part, _, xs in parts:
        if xs:
            text += part.text([r for r in rows if r["part"] == part.name], runners)
    text += measure.NOISE_NOTE + "\n" + contenders.footnotes(runners)
    measure.write(args.name or "scaling-%s" % os.path.splitext(os.path.basename(args.model))[0], text, rows)
    say("%.1f minutes" % ((time.monotonic() - began) / 60))


if __name__ == "__main__":
    main()
