"""Does a head gain when the last blocks it reads through are tuned as well? A trial beside `whet fit prm`.

Trunk: a Qwen2 GGUF, dequantized. Everything below block L-k is frozen and computed once; blocks L-k+1 .. L get low-rank
updates (LoRA, Hu et al. 2021, on all seven matrices), a linear head reads the output of block L where steps end. Labels: the
outcome of the sample, on every step. The linear head on frozen blocks, fitted to the end on the same samples and measured on
the same unseen problems, is what it has to beat. Needs numpy, torch and gguf.

    python3 bench/blocks.py --trunk coder-0.5b.gguf --journal coder-0.5b-gsm8k_train.whj --data gsm8k_train.jsonl
"""
import argparse
import collections
import json
import math
import subprocess
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from gguf import GGUFReader, dequantize

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--whet", default="whet")
p.add_argument("--trunk", required=True)
p.add_argument("--journal", required=True, help="of `whet rollout`, by the policy of this very file")
p.add_argument("--data", required=True)
p.add_argument("--problems", type=int, default=300, help="to fit on, from the first")
p.add_argument("--test-problems", type=int, default=150, help="to measure on, those that follow")
p.add_argument("--samples", type=int, default=4, help="of each")
p.add_argument("--layer", type=int, default=18, help="L: the block whose output is read")
p.add_argument("--blocks", type=int, default=2, help="k: tuned")
p.add_argument("--rank", type=int, default=8)
p.add_argument("--epochs", type=int, default=4)
p.add_argument("--batch", type=int, default=2, help="problems")
p.add_argument("--rate", type=float, default=3e-4)
p.add_argument("--decay", type=float, default=0.05)
p.add_argument("--l2", type=float, default=0.01, help="of the linear head")
a = p.parse_args()
torch.manual_seed(0)
start = time.time()


def say(*words):
    print(f"[{time.time() - start:6.0f} s]", *words, flush=True)


# ---- trunk ------------------------------------------------------------------------------------------------------------
g = GGUFReader(a.trunk)
tensors = {t.name: t for t in g.tensors}
field = lambda k: g.fields["qwen2." + k].contents()
D, HEADS, KV = field("embedding_length"), field("attention.head_count"), field("attention.head_count_kv")
EPS, THETA, HD = field("attention.layer_norm_rms_epsilon"), field("rope.freq_base"), D // HEADS
MATRICES = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]


def weight(name):
    t = tensors[name]
    return torch.from_numpy(dequantize(t.data, t.tensor_type).astype(np.float32))


def block_weights(i):
    names = [m + ".weight" for m in MATRICES] + ["attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_norm.weight", "ffn_norm.weight"]
    return {n: weight(f"blk.{i}.{n}") for n in names}


def rms(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * w


def linear(x, w, name, lora):
    y = F.linear(x, w[name + ".weight"], w.get(name + ".bias"))
    if lora is not None:
        down, up = lora[name]
        y = y + F.linear(F.linear(x, down), up)
    return y


def rope(x, cos, sin):  # (heads, t, head dim)
    lo, hi = x.chunk(2, -1)
    return torch.cat([lo * cos - hi * sin, hi * cos + lo * sin], -1)


def block(x, w, mask, cos, sin, lora=None):  # x (t, D), mask (t, t) -> (t, D)
    h = rms(x, w["attn_norm.weight"])
    q, k, v = (linear(h, w, "attn_" + c, lora).view(len(x), -1, HD).transpose(0, 1) for c in "qkv")
    q, k = rope(q, cos, sin), rope(k, cos, sin)
    k, v = k.repeat_interleave(HEADS // KV, 0), v.repeat_interleave(HEADS // KV, 0)
    o = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask)[0].transpose(0, 1).reshape(len(x), -1)
    x = x + linear(o, w, "attn_output", lora)
    h = rms(x, w["ffn_norm.weight"])
    return x + linear(F.silu(linear(h, w, "ffn_gate", lora)) * linear(h, w, "ffn_up", lora), w, "ffn_down", lora)


# ---- a problem is one sequence: the prompt once, then its samples, each of which sees the prompt and itself ------------------
BLANK = {i for i, t in enumerate(g.fields["tokenizer.ggml.tokens"].contents()) if "ĊĊ" in t}  # a step ends before it


def prompt_ids(question):
    text = ("<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
            f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write(text)
        f.flush()
        command = [a.whet, "tokenize", "--policy", a.trunk, "--special", f.name]
        return [int(t) for t in subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()]


class Problem:
    def __init__(self, line, question, records):
        prompt = prompt_ids(question)
        ids, positions, owner, ends, self.samples = list(prompt), list(range(len(prompt))), [0] * len(prompt), [], []
        for s, r in enumerate(records):
            own = r["ids"]
            steps = [i for i in range(1, len(own)) if own[i] in BLANK] + [len(own) - 1]
            ends += [len(ids) + i - 1 for i in steps]
            self.samples.append((len(steps), float(r["correct"])))
            ids += own
            positions += range(len(prompt), len(prompt) + len(own))
            owner += [s + 1] * len(own)
        self.line, self.ids, self.owner, self.ends = line, torch.tensor(ids), torch.tensor(owner), torch.tensor(ends)
        self.label = torch.cat([torch.full((n,), y) for n, y in self.samples])
        self.weigh = torch.cat([torch.full((n,), 1.0 / n) for n, _ in self.samples])  # a sample counts once, as in whet
        turns = torch.tensor(positions).float()[:, None] * THETA ** (-torch.arange(0, HD, 2).float() / HD)
        self.angles = turns.cos(), turns.sin()

    def mask(self):
        o = self.owner
        return torch.ones(len(o), len(o), dtype=torch.bool).tril() & ((o[:, None] == o) | (o == 0))


questions = [json.loads(l)["question"] for l in open(a.data)]
records = collections.defaultdict(list)
for l in subprocess.run(["zstd", "-dcq", a.journal], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines():
    r = json.loads(l)
    if r.get("record") == "sample" and r["line"] <= a.problems + a.test_problems and r["sample"] < a.samples and r["stop"] == "eos":
        records[r["line"]].append(r)
problems = [Problem(line, questions[line - 1], rs) for line, rs in sorted(records.items())]
fitting, testing = [q for q in problems if q.line <= a.problems], [q for q in problems if q.line > a.problems]
right = [y for q in problems for _, y in q.samples]
say(len(fitting), "+", len(testing), "problems,", len(right), "samples,", sum(len(q.ids) for q in problems), "tokens,",
    sum(len(q.ends) for q in problems), f"steps, {100 * np.mean(right):.1f} % right")

with torch.no_grad():
    embed = weight("token_embd.weight")
    for q in problems:
        q.low = embed[q.ids]
    del embed
    for l in range(a.layer - a.blocks):
        w = block_weights(l)
        for q in problems:
            q.low = block(q.low, w, q.mask(), *q.angles)
        say("block", l + 1, "of", a.layer - a.blocks, "below")
top = [block_weights(l) for l in range(a.layer - a.blocks, a.layer)]


def read(q, loras):  # -> (steps of q, D)
    x, mask = q.low, q.mask()
    for w, lora in zip(top, loras):
        x = block(x, w, mask, *q.angles, lora)
    return x[q.ends]


# ---- measures, on the unseen problems -------------------------------------------------------------------------------------
def auc(pos, neg):
    if not pos or not neg:
        return float("nan")
    neg = np.sort(neg)
    return ((np.searchsorted(neg, pos, "left") + np.searchsorted(neg, pos, "right")) / 2).sum() / (len(pos) * len(neg))


def figures(last):  # AUC over all, within a problem (every pair of a right and a wrong sample counts once), pairs
    every = [v for vs in last for v in vs]
    pairs = [(p[0] > n[0]) + 0.5 * (p[0] == n[0]) for vs in last for p in vs if p[1] for n in vs if not n[1]]
    return auc([v[0] for v in every if v[1]], [v[0] for v in every if not v[1]]), np.mean(pairs), len(pairs)


def last_steps(logits):  # of all steps of the test problems -> problem: [(logit, right)]
    at, last = 0, collections.defaultdict(list)
    for q in testing:
        for n, y in q.samples:
            at += n
            last[q.line].append((logits[at - 1].item(), y))
    return last


def loss_of(logits, label, weigh):
    return F.binary_cross_entropy_with_logits(logits, label, weigh, reduction="sum") / weigh.sum()


def measure(name, logits, against=None):  # says the figures, and the paired difference, drawn again over problems
    last = last_steps(logits)
    over, within, pairs = figures(last.values())
    loss = loss_of(logits, torch.cat([q.label for q in testing]), torch.cat([q.weigh for q in testing]))
    say(f"{name}: AUC of the last step {over:.3f}, within a problem {within:.3f} ({pairs} pairs), loss {loss:.4f}")
    if against:
        draw, keys, diffs = np.random.RandomState(0), sorted(last), []
        for _ in range(1000):
            chosen = draw.choice(keys, len(keys))
            x, y = figures([last[k] for k in chosen]), figures([against[k] for k in chosen])
            diffs.append((x[0] - y[0], x[1] - y[1]))
        lo, hi = np.percentile(diffs, [2.5, 97.5], axis=0)
        base = figures(against.values())
        say(f"    against linear: over all {over - base[0]:+.3f} [{lo[0]:+.3f}, {hi[0]:+.3f}],"
            f" within a problem {within - base[1]:+.3f} [{lo[1]:+.3f}, {hi[1]:+.3f}]")
    return last


# ---- the linear head on frozen blocks -------------------------------------------------------------------------------------
with torch.no_grad():
    X, XT = (torch.cat([read(q, [None] * a.blocks) for q in part]) for part in (fitting, testing))
Y, W = torch.cat([q.label for q in fitting]), torch.cat([q.weigh for q in fitting])
mean, dev = X.mean(0), X.std(0) + 1e-6
head = torch.zeros(D + 1, requires_grad=True)
opt = torch.optim.LBFGS([head], max_iter=200, line_search_fn="strong_wolfe")


def score(x):
    return (x - mean) / dev @ head[:D] + head[D]


def penalty():
    return a.l2 * (head[:D] ** 2).sum() / 2


def closure():
    opt.zero_grad()
    loss = loss_of(score(X), Y, W) + penalty()
    loss.backward()
    return loss


opt.step(closure)
say(f"linear: loss of the fit {loss_of(score(X), Y, W):.4f}")
frozen = measure("linear, frozen blocks", score(XT).detach())

# ---- tuned blocks ----------------------------------------------------------------------------------------------------------
loras = []
for w in top:
    shapes = {m: w[m + ".weight"].shape for m in MATRICES}
    loras.append({m: (torch.nn.Parameter(torch.randn(a.rank, into) / math.sqrt(into)), torch.nn.Parameter(torch.zeros(out, a.rank)))
                  for m, (out, into) in shapes.items()})
params = [q for lora in loras for pair in lora.values() for q in pair]
say("tuned:", sum(q.numel() for q in params), "numbers beside", sum(w[m + ".weight"].numel() for w in top for m in MATRICES))
opt = torch.optim.AdamW([{"params": params, "weight_decay": a.decay, "top": a.rate},
                         {"params": [head], "weight_decay": 0, "top": a.rate / 3}])
order, step, per_epoch = np.random.RandomState(0), 0, len(fitting) // a.batch
for epoch in range(a.epochs):
    total, turn = 0, order.permutation(len(fitting))
    for i in range(per_epoch):
        for group in opt.param_groups:
            group["lr"] = group["top"] * 0.5 * (1 + math.cos(math.pi * step / (a.epochs * per_epoch)))
        opt.zero_grad()
        penalty().backward()
        for j in turn[i * a.batch:(i + 1) * a.batch]:
            q = fitting[j]
            loss = loss_of(score(read(q, loras)), q.label, q.weigh) / a.batch
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        step += 1
    say(f"epoch {epoch + 1}: loss of the fit, while fitting, {total / per_epoch:.4f}")
    with torch.no_grad():
        measure(f"blocks, epoch {epoch + 1}", torch.cat([score(read(q, loras)) for q in testing]), frozen)
