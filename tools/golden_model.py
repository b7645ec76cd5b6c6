#!/usr/bin/env python3
"""Make tests/golden/model: tiny random models of each family, and what transformers computes with them.

    pip install torch transformers gguf numpy
    tools/golden_model.py tests/golden/model

For each model NAME.gguf (F16 weights, whose values the reference uses too) there is NAME.logits: little-endian
u32 n, u32 kept, u32 vocab, n i32 tokens, then (kept, vocab) f32 logits of the reference in f32: every tenth row. NAME.hidden
has what is behind the first block of these rows: u32 kept, u32 d, (kept, d) f32, each row divided by its root mean square.
"""
import sys
import struct
import numpy as np
import torch
import gguf
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

N_TOKENS = 150  # more than two KV blocks

NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.weight": "attn_k.weight", "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
       "lm_head.weight": "output.weight"}


def gguf_name(name):
    if name in TOP:
        return TOP[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}"


def permute(w, heads):
    """llama files turn neighbouring dimensions together: (i, i + hd/2) becomes (2i, 2i + 1)."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def make(folder, name, arch, cls, config):
    torch.manual_seed(len(name))
    model = cls(config).float().eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            scale = 0.3 if "norm" in key else 0.5 if "bias" in key else 1.5 / np.sqrt(p.shape[-1])
            p.copy_((torch.randn_like(p) * scale + (1 if "norm" in key else 0)).half().float())
    w = gguf.GGUFWriter(f"{folder}/{name}.gguf", arch)
    w.add_block_count(config.num_hidden_layers)
    w.add_embedding_length(config.hidden_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(config.head_dim)
    w.add_value_length(config.head_dim)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_context_length(config.max_position_embeddings)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_freq_base(config.rope_parameters["rope_theta"])
    tied = config.tie_word_embeddings
    for key, p in model.state_dict().items():
        if tied and key == "lm_head.weight":
            continue
        a = p.numpy()
        if arch == "llama" and "q_proj" in key:
            a = permute(a, config.num_attention_heads)
        if arch == "llama" and "k_proj" in key:
            a = permute(a, config.num_key_value_heads)
        w.add_tensor(gguf_name(key), a.astype(np.float32 if a.ndim == 1 else np.float16))
    inv = model.model.rotary_emb.inv_freq.double().numpy()
    plain = config.rope_parameters["rope_theta"] ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
    if config.rope_parameters["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", (plain / inv).astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    tokens = np.random.default_rng(1).integers(0, config.vocab_size, N_TOKENS).astype(np.int32)
    with torch.no_grad():
        out = model(torch.tensor(tokens[None].astype(np.int64)), output_hidden_states=True)
        logits, hidden = out.logits[0].numpy(), out.hidden_states[1][0].numpy()
    keep = logits[::10]  # every tenth row is enough, and small
    with open(f"{folder}/{name}.logits", "wb") as f:
        f.write(struct.pack("<III", N_TOKENS, len(keep), config.vocab_size))
        f.write(tokens.tobytes())
        f.write(keep.astype("<f4").tobytes())
    hidden = hidden[::10] / np.sqrt((hidden[::10] ** 2).mean(-1, keepdims=True) + config.rms_norm_eps)
    with open(f"{folder}/{name}.hidden", "wb") as f:
        f.write(struct.pack("<II", *hidden.shape))
        f.write(hidden.astype("<f4").tobytes())
    print(name, "logits in", float(logits.min()), float(logits.max()))


def main():
    folder = sys.argv[1]
    shape = dict(hidden_size=64, num_hidden_layers=2, intermediate_size=96, vocab_size=272, rms_norm_eps=1e-5,
                 max_position_embeddings=512, attention_dropout=0.0)
    make(folder, "llama3", "llama", LlamaForCausalLM, LlamaConfig(
        **shape, num_attention_heads=4, num_key_value_heads=2, head_dim=16, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=64)))
    make(folder, "qwen2", "qwen2", Qwen2ForCausalLM, Qwen2Config(
        **shape, num_attention_heads=6, num_key_value_heads=2, head_dim=32, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)))
    make(folder, "qwen3", "qwen3", Qwen3ForCausalLM, Qwen3Config(
        **shape, num_attention_heads=4, num_key_value_heads=1, head_dim=32, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="default", rope_theta=50000.0)))


if __name__ == "__main__":
    main()
