#!/usr/bin/env python3
"""Make tests/golden/markov*.gguf: complete models whose behaviour is known, for tests of the command line.

    pip install gguf numpy
    tools/golden_markov.py tests/golden/tok_qwen2.gguf tests/golden/markov.gguf
    tools/golden_markov.py tests/golden/tok_qwen2.gguf tests/golden/markov_steps.gguf tests/golden/markov_head.gguf

It is a Markov chain in the clothes of a transformer: the blocks add nothing to the residual stream, every
token that matters has a dimension of its own, and the head holds the logarithms of the chances of what
follows it. Whatever it is asked, it muses for a while and then puts a number into a box. With a third path it
muses in paragraphs, for searches that go step by step, and a head for it is written there, which finds any step
right with chance 0.7.
"""
import hashlib
import sys
import numpy as np
import gguf

D = 32
CHAIN = {  # what may follow a token, and how often
    "\n": {" the": 0.5, "\\": 0.5},
    " the": {" of": 0.6, "\\": 0.4},
    " of": {" the": 0.7, "\\": 0.3},
    "\\": {"b": 1}, "b": {"o": 1}, "o": {"x": 1}, "x": {"e": 1}, "e": {"d": 1}, "d": {"{": 1},
    "{": {"3": 0.5, "1": 0.2, "2": 0.2, "4": 0.1},
    "1": {"}": 1}, "2": {"}": 1}, "3": {"}": 1}, "4": {"}": 0.5, "0": 0.5}, "0": {"}": 1},
    "}": {".": 0.9, "<|im_end|>": 0.1},
    ".": {"<|im_end|>": 1},
}
STEPS = {
    "\n": {"\n": 0.5, " the": 0.4, "\\": 0.1},
    " the": {" of": 0.5, ".": 0.4, "\\": 0.1},
    " of": {" the": 0.8, ".": 0.2},
    ".": {"\n": 0.95, "<|im_end|>": 0.05},
}


def field(f):
    if f.types[0] == gguf.GGUFValueType.ARRAY:
        return [f.contents(i) for i in range(len(f.data))]
    return f.contents()


def main(source, target, head_target=None):
    chain = {**CHAIN, **STEPS} if head_target else CHAIN
    reader = gguf.GGUFReader(source)
    spell = str.maketrans({" ": "Ġ", "\n": "Ċ"})
    w = gguf.GGUFWriter(target, "llama")
    for key, f in reader.fields.items():
        if not key.startswith("tokenizer."):
            continue
        kind = f.types[0]
        w.add_key_value(key, field(f), kind, sub_type=f.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    tokens = field(reader.fields["tokenizer.ggml.tokens"])
    ids = {t: tokens.index(t.translate(spell)) for t in list(chain) + ["<|im_end|>"]}
    states = list(chain)
    assert len(states) < D
    embedding = np.zeros((len(tokens), D), np.float32)
    embedding[:, D - 1] = 1  # all other tokens
    head = np.full((len(tokens), D), -8, np.float32)
    for i, (state, follow) in enumerate(chain.items()):
        embedding[ids[state]] = 0
        embedding[ids[state], i] = 1
        for token, chance in follow.items():
            head[ids[token], i] = np.log(chance) / np.sqrt(D)  # the final norm makes the one a sqrt(D)
    head[ids["<|im_end|>"], D - 1] = 0
    w.add_block_count(1)
    w.add_embedding_length(D)
    w.add_head_count(2)
    w.add_head_count_kv(1)
    w.add_key_length(16)
    w.add_value_length(16)
    w.add_feed_forward_length(D)
    w.add_context_length(512)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_rope_freq_base(10000.0)

    def add(name, a):
        q = gguf.GGMLQuantizationType.Q8_0
        if a.ndim == 1:
            w.add_tensor(name, a)
        else:
            w.add_tensor(name, gguf.quants.quantize(a, q), raw_dtype=q)

    add("token_embd.weight", embedding)
    w.add_tensor("output.weight", head.astype(np.float16))  # 8 bits would bend the chances
    add("output_norm.weight", np.ones(D, np.float32))
    for norm in ("attn_norm", "ffn_norm"):
        add(f"blk.0.{norm}.weight", np.ones(D, np.float32))
    for name, rows in (("attn_q", 32), ("attn_k", 16), ("attn_v", 16), ("attn_output", D), ("ffn_gate", D), ("ffn_up", D), ("ffn_down", D)):
        add(f"blk.0.{name}.weight", np.zeros((rows, D), np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    if head_target:
        write_head(head_target, target, states)


def write_head(path, trunk, states):
    weight = np.zeros((1, D), np.float32)
    weight[0, states.index("\n")] = np.log(0.7 / 0.3) / np.sqrt(D)  # steps end with a blank line
    w = gguf.GGUFWriter(path, "whet-head")
    w.add_string("whet.prm.kind", "head")
    w.add_string("whet.head.trunk_sha256", hashlib.sha256(open(trunk, "rb").read()).hexdigest())
    w.add_uint32("whet.head.layer", 1)
    w.add_string("whet.head.step", "blank_line")
    w.add_tensor("whet.prm.0.weight", weight)
    w.add_tensor("whet.prm.0.bias", np.zeros(1, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main(*sys.argv[1:])
