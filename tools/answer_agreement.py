#!/usr/bin/env python3
"""Compare whet's grading of answers with the PyPI package math-verify.

    pip install 'math-verify[antlr4_13_2]'
    python3 tools/answer_agreement.py [--whet build/release/whet] [--math500 F.jsonl] [--gsm8k F.jsonl]... [--show]

Pairs come from two places, each with a verdict of ours: the rows of tests/unit/answer_pairs.tsv, and, with --math500
(JSON lines with "answer"), two rewritten equal forms and two near misses of every answer that allows them. Both
graders see the same bare texts. Prints the share of pairs on which they agree, how often each matches the verdict, and
(--show) each pair on which they differ.

Also counts, with whet alone: answers of MATH-500 equal to themselves, solutions of MATH-500 equal to their answers, and
answers of GSM8K (texts ending in "#### N") equal to N.
"""
import argparse
import collections
import json
import logging
import os
import re
import subprocess
import tempfile


def table(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#"):
                gold, pred, verdict, kind = line.rstrip("\n").split("\t")
                yield gold.replace("⏎", "\n"), pred.replace("⏎", "\n"), verdict, "table: " + kind


def rewritten(answer):
    """Equal forms and near misses of one answer: (prediction, verdict, kind)."""
    a = answer
    number = a.replace(",\\!", "").replace(" ", "")
    frac = re.fullmatch(r"(-?)\\d?frac\{(\d+)\}\{(\d+)\}", a)
    surd = re.fullmatch(r"(\d+) ?\\sqrt\{?(\d+)\}?", a)
    pair = re.fullmatch(r"([(\[])([^(),\[\]]+),([^(),\[\]]+)([)\]])", a)
    if re.fullmatch(r"-?\d+", number):
        n = int(number)
        yield f"{n}.0", "equal", "integer"
        yield f"\\frac{{{3 * n}}}{{3}}", "equal", "integer"
        yield f"{n:,}" if abs(n) > 999 else f"{n} \\text{{ units}}", "equal", "integer"
        yield str(n + 1), "different", "integer"
        yield str(-n) if n else "10", "different", "integer"
    elif frac:
        sign, p, q = frac[1], int(frac[2]), int(frac[3])
        yield f"{sign}{p}/{q}", "equal", "fraction"
        yield f"{sign}\\frac{{{2 * p}}}{{{2 * q}}}", "equal", "fraction"
        yield f"\\dfrac{{{sign}{p}}}{{{q}}}", "equal", "fraction"
        yield f"{sign}\\frac{{{p + 1}}}{{{q}}}", "different", "fraction"
        yield f"{sign}\\frac{{{q}}}{{{p}}}", "different", "fraction"
    elif surd:
        m, n = int(surd[1]), int(surd[2])
        yield f"\\sqrt{{{m * m * n}}}", "equal", "root"
        yield f"\\frac{{{m * n}}}{{\\sqrt{{{n}}}}}", "equal", "root"
        yield f"{m}\\sqrt{{{n + 1}}}", "different", "root"
        yield f"{m + 1}\\sqrt{{{n}}}", "different", "root"
    elif pair:
        yield f"\\left{pair[1]} {pair[2]} , {pair[3]} \\right{pair[4]}", "equal", "pair"
        yield f"{pair[1]}{pair[2]},{pair[3]}+1{pair[4]}" if "infty" not in pair[3] else f"[0,1]", "different", "pair"
        other = {"(": "[", "[": "("}[pair[1]]
        if pair[4] == "]" or "infty" in a:
            yield f"{other}{pair[2]},{pair[3]}{pair[4]}", "different", "pair"
    elif re.search(r"[a-z]", re.sub(r"\\[a-z]+(\{[a-z]+\})?", "", a)) and "text" not in a and "mbox" not in a and "=" not in a and "in" not in a and "_" not in a:
        yield f"({a}) \\cdot 1", "equal", "expression"
        yield f"0 + {a}", "equal", "expression"
        yield f"{a} + 1", "different", "expression"
        yield f"2({a})", "different", "expression"
    elif "circ" in a:
        yield a.replace("^\\circ", ""), "equal", "degrees"
        yield a.replace("^\\circ", "") + " degrees", "equal", "degrees"
        yield "1" + a, "different", "degrees"
    elif re.match(r"\\text\{\w+\}", a):
        yield a[6:-1], "equal", "text"
        yield a[6:-1].lower(), "equal", "text"
        yield a[:-1] + "x}", "different", "text"
    else:
        yield f"\\boxed{{{a}}}", "equal", "other"
        yield f"${a}$", "equal", "other"


def math_verify(pairs):
    """True, False or "error" for each pair."""
    from math_verify import parse, verify
    logging.disable(logging.CRITICAL)

    def read(text):
        """Prose as it stands (it looks for an answer there), everything else as a boxed answer."""
        prose = "\n" in text or "boxed" in text or ("\\" not in text and re.search(r"[A-Za-z]{2,} ", text))
        return parse(text if prose else "\\boxed{" + text.strip("$") + "}")

    for gold, pred in pairs:
        try:
            yield verify(read(gold), read(pred))
        except Exception:
            yield "error"


def whet(program, pairs):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as f:
        for gold, pred in pairs:
            f.write(json.dumps({"gold": gold, "pred": pred}) + "\n")
    try:
        out = subprocess.run([program, "answer", "equal", "--batch", f.name], stdout=subprocess.PIPE, text=True, check=False)
    finally:
        os.unlink(f.name)
    verdicts = [line.split()[0] == "equal" for line in out.stdout.splitlines()]
    if len(verdicts) != len(pairs):
        raise SystemExit(f"{program} answered {len(verdicts)} of {len(pairs)} pairs")
    return verdicts


def read_jsonl(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def self_checks(program, math500, gsm8k):
    sets = []
    if math500:
        rows = read_jsonl(math500)
        sets.append(("MATH-500 answers equal to themselves", [(r["answer"], r["answer"]) for r in rows]))
        sets.append(("MATH-500 solutions equal to their answers", [(r["answer"], r["solution"]) for r in rows]))
    for path in gsm8k:
        texts = [r["answer"] for r in read_jsonl(path)]
        name = os.path.basename(path)
        sets.append((f"{name} answers equal to their N", [(t, t.rsplit("#### ", 1)[1].replace(",", "")) for t in texts]))
    for name, pairs in sets:
        print(f"{name}: {sum(whet(program, pairs))} of {len(pairs)}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--whet", default=os.path.join(here, "../build/release/whet"))
    args.add_argument("--table", default=os.path.join(here, "../tests/unit/answer_pairs.tsv"))
    args.add_argument("--math500", help="JSON lines with an \"answer\" each")
    args.add_argument("--gsm8k", action="append", default=[], help="JSON lines whose \"answer\" ends in \"#### N\"")
    args.add_argument("--show", action="store_true", help="print each pair on which the two differ")
    a = args.parse_args()

    rows = list(table(a.table))
    if a.math500:
        golds = dict.fromkeys(row["answer"] for row in read_jsonl(a.math500))
        rows += [(g, p, v, "MATH-500: " + k) for g in golds for p, v, k in rewritten(g)]
    pairs = [(g, p) for g, p, _, _ in rows]
    ours, theirs = whet(a.whet, pairs), list(math_verify(pairs))

    count = collections.OrderedDict()
    for (g, p, v, k), o, t in zip(rows, ours, theirs):
        truth = v == "equal"
        c = count.setdefault(k, [0, 0, 0, 0])
        for i, hit in enumerate((True, o == t, o == truth, t == truth)):
            c[i] += hit
        if a.show and o != t:
            print(json.dumps({"gold": g, "pred": p, "verdict": v, "whet": o, "math-verify": t, "kind": k}, ensure_ascii=False))
    print("| pairs | n | the two agree | whet = verdict | math-verify = verdict |\n|---|---|---|---|---|")
    for k, (n, agree, w, m) in [*count.items(), ("all", [sum(c[i] for c in count.values()) for i in range(4)])]:
        print(f"| {k} | {n} | {100 * agree / n:.1f} % | {w} | {m} |")
    self_checks(a.whet, a.math500, a.gsm8k)


if __name__ == "__main__":
    main()
