#!/usr/bin/env python3
"""Real sampling: problems x samples by wall clock, `whet eval` against llama.cpp's `llama-server`, in turns.

Both solve the first problems of one file with the same system prompt and the same sampler. Whet runs one process
with a batch of --batch; the server has --slots slots, and as many clients on loopback send it chat completions
(n = 1 each, cache_prompt on, all samples of a problem one after the other). Tokens/s are generated tokens by the
time from the first prompt to the last answer; loading does not count, prompts and the tail do, where the batch
empties. As a check that both did the same work, the report has the mean length and the share of right samples.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time

import contenders
import measure
from measure import fail, say

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."  # what `whet eval` says to ChatML models


def read_problems(path, limit):
    with open(path) as f:
        rows = [json.loads(line) for line in f if line.strip()][:limit]
    return [(r.get("question") or r["problem"], str(r["answer"])) for r in rows]


def grade(whet, pairs):
    """Share of (gold, text) pairs that Whet's own rules call right."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        for gold, text in pairs:
            f.write(json.dumps({"gold": gold, "pred": text}) + "\n")
        f.flush()
        output = measure.run([whet, "answer", "equal", "--batch", f.name]).output
    return sum(line.strip() == "equal" for line in output.splitlines()) / len(pairs)


class Whet(contenders.Whet):
    def sample(self, number, _problems, a):
        r = measure.run(self.command("eval", "--data", a.data, "--limit", a.problems, "--strategy", "majority", "--n", a.n, "--batch",
                                     a.batch, "--temperature", a.temperature, "--top-k", a.top_k, "--max-tokens", a.max_tokens, "--seed",
                                     number, "--json"), timeout=7200)
        result = json.loads(r.output.splitlines()[-1])
        return {"tokens": result["tokens"], "seconds": result["seconds"], "right": result["sample_accuracy"],
                "peak_mb": r.peak_bytes / 1e6, "load": r.load, "other": r.other}


class Server(contenders.Llama):
    def request(self, port, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=3600)
        try:
            c.request("POST" if body else "GET", path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = c.getresponse()
            return answer.status, answer.read()
        finally:
            c.close()

    def one_sample(self, port, question, seed, a):
        status, text = self.request(port, "/v1/chat/completions", {
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}], "temperature": a.temperature,
            "top_k": a.top_k, "top_p": 1, "min_p": 0, "max_tokens": a.max_tokens, "seed": seed, "cache_prompt": True})
        if status != 200:
            raise RuntimeError("the server answered %d: %s" % (status, text[:500]))
        reply = json.loads(text)
        return reply["usage"]["completion_tokens"], reply["choices"][0]["message"]["content"]

    def wait_until_ready(self, child, port):
        while True:
            if child.poll() is not None:
                fail("llama-server ended with %d" % child.returncode)
            try:
                if self.request(port, "/health")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)

    def sample(self, number, problems, a):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        child = subprocess.Popen([self.tool("server"), "-m", self.model, "-t", str(self.threads), "-np", str(a.slots), "-c",
                                  str(a.slots * (a.max_tokens + 512)), "-fa", "on", "--host", "127.0.0.1", "--port", str(port)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait_until_ready(child, port)
            self.one_sample(port, "1 + 1?", 0, a)
            watch, began = measure.Watch(measure.process_busy(child.pid)), time.monotonic()
            jobs = [(i, k) for i in range(len(problems)) for k in range(a.n)]
            with concurrent.futures.ThreadPoolExecutor(a.slots) as clients:
                done = list(clients.map(lambda j: self.one_sample(port, problems[j[0]][0], number * 1000003 + j[0] * a.n + j[1], a), jobs))
            seconds = time.monotonic() - began
            other, peak = watch.other(measure.process_busy(child.pid)), measure.process_peak_bytes(child.pid)
        finally:
            child.terminate()
            child.wait()
        right = grade(a.whet_binary, [(problems[i][1], text) for (i, _), (_, text) in zip(jobs, done)])
        return {"tokens": sum(n for n, _ in done), "seconds": seconds, "right": right, "peak_mb": peak / 1e6, "load": watch.load,
                "other": other}


def report(rows, runners, args):
    head = ["contender", "tokens/s", "tokens", "seconds", "tokens a sample", "samples right", "peak memory"]
    lines, speed = [], {}
    for c in runners:
        mine = [r for r in rows if r["contender"] == c.name]
        mean = {k: measure.median([r[k] for r in mine]) for k in ("tokens", "seconds", "right", "peak_mb")}
        speed[c.name] = measure.median([r["tps"] for r in mine])
        lines.append([c.name, measure.cell([r["tps"] for r in mine], any(r["other"] > measure.NOISY for r in mine)),
                      "%.0f" % mean["tokens"], "%.0f" % mean["seconds"], "%.0f" % (mean["tokens"] / args.problems / args.n),
                      "%.0f %%" % (100 * mean["right"]), "%.0f MB" % mean["peak_mb"]])
    text = "# Sampling %s: %d problems x %d samples, wall clock\n\n" % (os.path.basename(args.model), args.problems, args.n)
    text += "%s; %d threads; %s. `%s`, T = %g, top-k %d, at most %d tokens; Whet with a batch of %d, the server with %d slots and %d " \
            "clients.\n\n" % (measure.machine(), args.threads, time.strftime("%Y-%m-%d"), os.path.basename(args.data), args.temperature,
                              args.top_k, args.max_tokens, args.batch, args.slots, args.slots)
    text += measure.table(head, lines) + "\n"
    peers = [c.name for c in runners if c.kind == "peer"]
    for c in runners:
        if c.kind == "whet" and peers:
            best = max(peers, key=lambda name: speed[name])
            text += "%s / %s: **%.2fx**\n\n" % (c.name, best, speed[c.name] / speed[best])
    text += measure.NOISE_NOTE + "\n"
    return text + contenders.footnotes(runners)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    contenders.add_arguments(p)
    p.add_argument("--data", required=True, help="problem set: JSON lines with question or problem, and answer")
    p.add_argument("--rounds", type=int, default=1, help="every contender solves everything that often (default 1)")
    p.add_argument("--problems", type=int, default=16)
    p.add_argument("--n", type=int, default=16, help="samples of each problem")
    p.add_argument("--temperature", type=float, default=0.7)
    p.add_argument("--top-k", type=int, default=40, help="of both; 40 is what the server is fast at (default 40)")
    p.add_argument("--max-tokens", type=int, default=512)
    p.add_argument("--batch", type=int, default=64, help="Whet's batch (default 64, as in whet eval)")
    p.add_argument("--slots", type=int, default=16, help="the server's slots, and clients")
    p.add_argument("--name", help="of the files in bench/results (default: sampling-MODEL)")
    args = p.parse_args()

    problems = read_problems(args.data, args.problems)
    runners = contenders.make(args, Whet, Server)
    rows = []
    for number in range(1, args.rounds + 1):
        for c in runners:
            try:
                result = c.sample(number, problems, args)
            except RuntimeError as e:
                fail(str(e))
            row = dict({"round": number, "contender": c.name}, tps=result["tokens"] / result["seconds"], **result)
            rows.append(row)
            say("round %d  %-16s %8.1f t/s   %d tokens in %.0f s, %.0f %% right   load %.2f, others %.0f %%" % (
                number, c.name, row["tps"], row["tokens"], row["seconds"], 100 * row["right"], row["load"], 100 * row["other"]))
    measure.write(args.name or "sampling-%s" % os.path.splitext(os.path.basename(args.model))[0], report(rows, runners, args), rows)


if __name__ == "__main__":
    main()
