#!/usr/bin/env python3
"""Every strategy on one problem set: accuracy, FLOPs of policy and PRM, predicted against counted, wall time.

    python3 bench/strategies.py --policy M/coder0.5b.gguf --prm M/coder1.5b.gguf --prm-kind judge --data gsm8k_dev.jsonl

Each run is a `whet eval` with a journal in --journals; what is killed goes on when the same command is given again,
and a run that is done takes seconds. After each run the table is made anew by `whet report`, from all journals so
far, so it can be read at any time. Runs of small N come first.
"""
import argparse
import os
import subprocess
import sys
import time

SEARCHES = ["beam", "dvts", "rebase", "particle", "lookahead", "mcts"]
VARIANTS = {"beam-hf": ["beam", "--variant", "hf"], "dvts-hf": ["dvts", "--variant", "hf"]}


def plan(args):
    """(name of the journal, flags of whet eval) for each run, cheap ones first."""
    prm = ["--prm", args.prm] if args.prm else []
    if args.prm_kind:
        prm += ["--prm-kind", args.prm_kind]
    if args.prm_head:
        prm += ["--prm-head", args.prm_head]
    runs = [("cot", ["--strategy", "cot"])] if "cot" in args.strategies else []
    for n in sorted(args.n):
        for name in args.strategies:
            if name == "cot":
                continue
            words = VARIANTS.get(name, [name])
            flags = ["--strategy", *words, "--n", str(n), *prm]
            if args.speculate and name != "best_of_n":
                flags.append("--speculate")
            runs.append((f"{name}-{n}", flags))
    return runs


def report(args, journals, table):
    if not journals:
        return
    text = subprocess.run([args.whet, "report", "--markdown", *journals], stdout=subprocess.PIPE, text=True, check=True).stdout
    head = (f"# Strategies: {os.path.basename(args.policy)}, first {args.limit} problems of {os.path.basename(args.data)}\n\n"
            f"`bench/strategies.py {' '.join(args.words)}`, {os.cpu_count()} CPUs; at most {args.max_tokens} tokens an answer, seed {args.seed}.\n\n")
    with open(table + ".new", "w") as f:
        f.write(head + text)
    os.replace(table + ".new", table)
    if args.page:
        subprocess.run([args.whet, "report", *journals, "--data", args.data, "-o", args.page], check=True)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--policy", required=True)
    p.add_argument("--prm")
    p.add_argument("--prm-kind")
    p.add_argument("--prm-head")
    p.add_argument("--data", required=True)
    p.add_argument("--limit", type=int, default=50)
    p.add_argument("--n", type=lambda s: [int(x) for x in s.split(",")], default=[4, 16], help="comma-separated (default 4,16)")
    p.add_argument("--strategies", type=lambda s: s.split(","), default=["cot", "best_of_n", *SEARCHES, *VARIANTS])
    p.add_argument("--max-tokens", type=int, default=1024)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--speculate", action="store_true")
    p.add_argument("--whet", default=os.path.join(here, "..", "build", "release", "whet"))
    p.add_argument("--journals", default="strategies", help="folder for them (default: strategies)")
    p.add_argument("--out", default=os.path.join(here, "results", "strategies.md"))
    p.add_argument("--page", metavar="F.html", help="the same as a page")
    args = p.parse_args()
    if not (args.prm or args.prm_head):
        p.error("searches need --prm or --prm-head")
    unknown = [s for s in args.strategies if s not in ["cot", "best_of_n", *SEARCHES, *VARIANTS]]
    if unknown:
        p.error("unknown strategies: " + ", ".join(unknown))
    args.words = [os.path.basename(w) if os.sep in w else w for w in sys.argv[1:]]
    os.makedirs(args.journals, exist_ok=True)

    done, failed = [], []
    runs = plan(args)
    for i, (name, flags) in enumerate(runs):
        journal = os.path.join(args.journals, name + ".whj")
        words = [args.whet, "eval", "--policy", args.policy, "--data", args.data, "--limit", str(args.limit), "--max-tokens", str(args.max_tokens),
                 "--batch", str(args.batch), "--threads", str(args.threads), "--seed", str(args.seed), "--journal", journal, *flags]
        print(f"[{i + 1}/{len(runs)}] {name}: {' '.join(words)}", flush=True)
        began = time.time()
        status = subprocess.run(words, stdout=subprocess.DEVNULL).returncode
        if status == 130:
            sys.exit(f"interrupted during {name}; the same command goes on")
        if status:
            failed.append(name)
            print(f"{name} failed (exit {status})", flush=True)
            continue
        done.append(journal)
        report(args, done, args.out)
        print(f"{name}: {time.time() - began:.0f} s; table in {args.out}", flush=True)
    if failed:
        sys.exit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
