#!/usr/bin/env python3
"""A model in a Hugging Face folder becomes a GGUF file that Whet runs, process reward models included.

    pip install numpy gguf
    tools/convert_hf.py FOLDER OUT.gguf [--type q8_0] [--kind KIND] [--name NAME]

Reads safetensors or pytorch_model.bin, whole or sharded, one tensor at a time, and tokenizer.model or tokenizer.json.
Neither torch nor transformers is needed, and nothing in a pytorch_model.bin is executed. Architectures: Llama, Mistral,
Qwen2 (with or without the head of a PRM), Qwen3.

--type   f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_0: what the matrices become. With five bits or fewer the embedding and the LM
         head become q8_0, whose error they feel most. Norms, biases and the heads of PRMs stay f32.
--kind   of PRM, as in src/reward/prm.def. Known by itself: skywork and qwen (by their heads), and the names of
         Math-Shepherd's and RLHFlow's repositories.

What is written of a PRM is described in src/reward/prm.h.
"""
import argparse
import collections
import json
import os
import pickle
import struct
import sys
import zipfile

import gguf
import numpy as np

TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q5_1": "Q5_1", "q5_0": "Q5_0", "q4_1": "Q4_1", "q4_0": "Q4_0"}
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

ARCHS = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2", "Qwen2ForPrmModel": "qwen2", "Qwen2ForProcessRewardModel": "qwen2", "Qwen2ForRewardModel": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
LAYER = {
    "input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.weight": "attn_k.weight", "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
HEADS = {
    "skywork": {"v_head.summary.weight": "whet.prm.0.weight", "v_head.summary.bias": "whet.prm.0.bias"},
    "qwen": {"score.0.weight": "whet.prm.0.weight", "score.0.bias": "whet.prm.0.bias",
             "score.2.weight": "whet.prm.1.weight", "score.2.bias": "whet.prm.1.bias"},
}
# As the official code tells them apart (compute-optimal-tts, inference/rm_call.py).
KIND_BY_NAME = {"math-shepherd": "math-shepherd", "mistral-data": "rlhflow-mistral", "deepseek-data": "rlhflow-deepseek"}
KINDS = ["math-shepherd", "rlhflow-mistral", "rlhflow-deepseek", "skywork", "qwen", "judge"]


class Wrong(Exception):
    """A sentence for the user."""


# ---- weights ----------------------------------------------------------------------------------------------

class Lazy:
    """A tensor that is read when it is needed, as float32."""

    def __init__(self, shape, dtype, read):
        self.shape, self.dtype, self.read = tuple(shape), dtype, read

    def load(self):
        raw = self.read()
        if self.dtype == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return raw.astype(np.float32).reshape(self.shape)


NUMPY = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def open_safetensors(path):
    """u64 length, JSON {name: {dtype, shape, data_offsets}}, then the data (huggingface/safetensors, README)."""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        if n > size - 8:
            raise Wrong(f"{path}: a header of {n} bytes in a file of {size}")
        header = json.loads(f.read(n))
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + n + x for x in t["data_offsets"])
        dtype = t["dtype"]
        if dtype not in NUMPY:
            raise Wrong(f"{path}: tensor {name} is of type {dtype}")
        count = int(np.prod(t["shape"], dtype=np.int64))
        if end > size or end - begin != count * np.dtype(NUMPY[dtype]).itemsize:
            raise Wrong(f"{path}: tensor {name} does not fit its place in the file")
        read = lambda begin=begin, count=count, dtype=dtype: np.fromfile(path, NUMPY[dtype], count, offset=begin)
        out[name] = Lazy(t["shape"], dtype, read)
    return out


class Unpickler(pickle.Unpickler):
    """Of a checkpoint only what describes tensors: nothing else can be named, so nothing can be run."""

    def __init__(self, file, archive, folder):
        super().__init__(file)
        self.archive, self.folder = archive, folder

    def find_class(self, module, name):
        storages = {"DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16"}
        if module == "collections" and name == "OrderedDict":
            return collections.OrderedDict
        if module == "torch" and name in storages:
            return storages[name]
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return self.tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, requires_grad, hooks: tensor
        raise Wrong(f"the checkpoint wants {module}.{name}, which is no tensor")

    def persistent_load(self, pid):
        kind, dtype, key, _, count = pid
        if kind != "storage" or dtype not in NUMPY:
            raise Wrong(f"the checkpoint holds a {kind} of {dtype}")
        return key, dtype, count

    def tensor(self, storage, offset, shape, stride, *_):
        key, dtype, count = storage

        def read():
            flat = np.frombuffer(self.archive.read(f"{self.folder}/data/{key}"), NUMPY[dtype])
            reach = offset + sum((n - 1) * s for n, s in zip(shape, stride)) + 1
            if len(flat) != count or reach > count:
                raise Wrong(f"a tensor of shape {shape} does not fit its storage")
            return np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * flat.itemsize for s in stride]).copy()
        return Lazy(shape, dtype, read)


def open_torch(path):
    """The zip files of torch.save: one pickle, one file per storage (pytorch, torch/serialization.py)."""
    if not zipfile.is_zipfile(path):
        raise Wrong(f"{path} is not in the zip format of PyTorch 1.6 and later")
    archive = zipfile.ZipFile(path)
    name = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
    if not name:
        raise Wrong(f"{path} has no data.pkl")
    return dict(Unpickler(archive.open(name), archive, name[:-len("/data.pkl")]).load())


def open_weights(folder):
    for stem, opener in (("model.safetensors", open_safetensors), ("pytorch_model.bin", open_torch)):
        index = os.path.join(folder, stem + ".index.json")
        if os.path.exists(index):
            files = sorted(set(json.load(open(index))["weight_map"].values()))
            if any(os.path.basename(f) != f for f in files):
                raise Wrong(f"{index} names files outside its folder")
            tensors = {}
            for f in files:
                tensors.update(opener(os.path.join(folder, f)))
            return tensors
        if os.path.exists(os.path.join(folder, stem)):
            return opener(os.path.join(folder, stem))
    raise Wrong(f"{folder} has neither model.safetensors nor pytorch_model.bin")


# ---- tokenizer --------------------------------------------------------------------------------------------

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def read_json(folder, name):
    path = os.path.join(folder, name)
    return json.load(open(path, encoding="utf-8")) if os.path.exists(path) else {}


def protobuf(data):
    """(field, value) of a message: numbers as they are, strings and messages as bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            b = data[at]
            at += 1
            value |= (b & 127) << shift
            shift += 7
            if b < 128:
                return value
    while at < len(data):
        tag = varint()
        size = {1: 8, 5: 4}.get(tag & 7)
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        if size is None:
            size = varint()
        yield tag >> 3, data[at:at + size]
        at += size


def sentencepiece_vocab(path):
    """sentencepiece_model.proto: ModelProto.pieces = 1 {piece = 1, score = 2, type = 3}, normalizer_spec = 3
    {add_dummy_prefix = 3}."""
    v = {"model": "llama", "pre": "default", "tokens": [], "scores": [], "types": []}
    for field, value in protobuf(open(path, "rb").read()):
        if field == 1:
            piece = dict(protobuf(value))
            v["tokens"].append(piece[1].decode())
            v["scores"].append(struct.unpack("<f", piece.get(2, b"\0\0\0\0"))[0])
            v["types"].append(piece.get(3, NORMAL))
        if field == 3:
            v["add_space_prefix"] = bool(dict(protobuf(value)).get(3, 1))
    return v


def name_of_pre(tok, bos):
    """The pre-tokenizer of src/text/tok_pre.def that a tokenizer.json describes."""
    pre = tok.get("pre_tokenizer") or {}
    parts = pre.get("pretokenizers", [pre])
    regexes = [p["pattern"].get("Regex") for p in parts if p["type"] == "Split"]
    if regexes == [QWEN2]:
        return "deepseek-r1-qwen" if "｜" in (bos or "") else "qwen2"
    if regexes == [LLAMA3]:
        return "llama-bpe"
    if not regexes and any(p["type"] == "Digits" for p in parts):
        return "smollm"
    if [p["type"] for p in parts] == ["ByteLevel"]:
        return "gpt-2"
    raise Wrong(f"tokenizer.json cuts words in a way that Whet does not know: {json.dumps(pre)[:200]}")


def json_vocab(tok, bos):
    m = tok["model"]
    if m["type"] != "BPE":
        raise Wrong(f"tokenizer.json holds a {m['type']} model, not BPE")
    by_id = {i: t for t, i in m["vocab"].items()}
    byte_fallback = m.get("byte_fallback", False)
    n = max(by_id) + 1
    v = {"model": "llama" if byte_fallback else "gpt2", "tokens": [by_id.get(i, f"[UNUSED{i}]") for i in range(n)],
         "types": [NORMAL if i in by_id else UNUSED for i in range(n)]}
    if byte_fallback:  # SentencePiece in another dress: merges come in the order of ids, as in llama.cpp's converter
        v["pre"] = "default"
        v["scores"] = [-float(i) for i in range(n)]
        v["types"] = [BYTE if len(t) == 6 and t.startswith("<0x") else UNKNOWN if t == m.get("unk_token") else k
                      for t, k in zip(v["tokens"], v["types"])]
    else:
        v["pre"] = name_of_pre(tok, bos)
        v["merges"] = [x if isinstance(x, str) else " ".join(x) for x in m["merges"]]
    return v


def add_tokens(v, added):
    """added: (id, text, special)"""
    for i, text, special in sorted(added):
        while len(v["tokens"]) <= i:
            pad(v)
        v["tokens"][i] = text
        if v["types"][i] in (NORMAL, UNUSED):
            v["types"][i] = CONTROL if special else USER


def pad(v):
    v["tokens"].append(f"[PAD{len(v['tokens'])}]")
    v["types"].append(UNUSED)
    if "scores" in v:
        v["scores"].append(-1e4)


def text_of(token):
    return token["content"] if isinstance(token, dict) else token


def read_tokenizer(folder, config, vocab_size):
    settings, tok = read_json(folder, "tokenizer_config.json"), read_json(folder, "tokenizer.json")
    names = {k: text_of(settings.get(k + "_token")) for k in ("bos", "eos", "unk")}
    spm = os.path.join(folder, "tokenizer.model")
    if os.path.exists(spm):
        v = sentencepiece_vocab(spm)
        special = {text_of(x) for x in settings.get("additional_special_tokens") or []}
        add_tokens(v, [(i, t, t in special) for t, i in read_json(folder, "added_tokens.json").items()])
    elif tok:
        v = json_vocab(tok, names["bos"])
        add_tokens(v, [(t["id"], t["content"], t["special"]) for t in tok.get("added_tokens", [])])
    else:
        raise Wrong(f"{folder} has neither tokenizer.model nor tokenizer.json")
    if len(v["tokens"]) > vocab_size:
        raise Wrong(f"the tokenizer has {len(v['tokens'])} tokens, the model {vocab_size}")
    while len(v["tokens"]) < vocab_size:
        pad(v)
    v["ids"] = {}
    for k, name in names.items():
        i = v["tokens"].index(name) if name in v["tokens"] else config.get(k + "_token_id")
        i = i[0] if isinstance(i, list) else i
        if i is not None:
            v["ids"][k] = i
    v["add_bos"] = settings.get("add_bos_token")
    if v["add_bos"] is None and v["model"] == "gpt2":
        v["add_bos"] = names["bos"] is not None and names["bos"] in json.dumps(tok.get("post_processor") or {}, ensure_ascii=False)
    template = settings.get("chat_template")
    if isinstance(template, list):
        template = next((t["template"] for t in template if t["name"] == "default"), None)
    path = os.path.join(folder, "chat_template.jinja")
    v["template"] = open(path, encoding="utf-8").read() if os.path.exists(path) else template
    return v


# ---- the file ---------------------------------------------------------------------------------------------

def permute(w, heads):
    """llama files turn neighbouring dimensions together: (i, i + hd/2) becomes (2i, 2i + 1)."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def rope_factors(rope, theta, head_dim):
    """Llama 3.1's frequency factors (transformers, modeling_rope_utils.py, _compute_llama3_parameters)."""
    wavelength = 2 * np.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    smooth = np.clip((old / wavelength - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32)


def plan_tensors(weights, arch, config, kind):
    """[(name in the file, source, how to change it)] in the order of the file."""
    head = HEADS.get(kind, {})
    heads, kv_heads = config["num_attention_heads"], config.get("num_key_value_heads") or config["num_attention_heads"]
    out = []
    layer_of = lambda n: int(n.split(".")[2]) if n.startswith("model.layers.") else -1
    for name in sorted(weights, key=lambda n: (layer_of(n), n)):
        if name.endswith("rotary_emb.inv_freq"):
            continue
        change = None
        if name in head:
            to = head[name]
        elif name in TOP:
            if name == "lm_head.weight" and (head or config.get("tie_word_embeddings")):
                continue  # nobody looks at it
            to = TOP[name]
        elif name.startswith("model.layers.") and name.split(".", 3)[3] in LAYER:
            _, _, layer, rest = name.split(".", 3)
            to = f"blk.{layer}.{LAYER[rest]}"
            if arch == "llama" and rest.startswith(("self_attn.q_proj", "self_attn.k_proj")):
                n = heads if "q_proj" in rest else kv_heads
                change = lambda a, n=n: permute(a, n)
        else:
            raise Wrong(f"the model has a tensor {name}, which no architecture that Whet runs has")
        out.append((to, weights[name], change))
    missing = set(head.values()) - {to for to, _, _ in out}
    if missing:
        raise Wrong(f"the head of a {kind} PRM lacks {', '.join(sorted(missing))}")
    return out


def type_of(name, shape, wanted):
    if len(shape) == 1 or name.startswith("whet.prm."):
        return "F32"
    if wanted.startswith(("Q4", "Q5")) and name in ("token_embd.weight", "output.weight"):
        wanted = "Q8_0"
    return "F16" if wanted.startswith("Q") and shape[-1] % 32 else wanted


def encode(a, kind, name):
    """float32 to the bytes of a type, some rows at a time."""
    t = gguf.GGMLQuantizationType[kind]
    if not np.isfinite(a).all() or (kind == "F16" and np.abs(a).max() > 65504):
        raise Wrong(f"{name} holds numbers that {kind} cannot")
    if a.ndim == 1 or kind == "F32":
        return gguf.quants.quantize(a, t)
    rows = max(1, (1 << 24) // a.shape[1])
    return np.concatenate([gguf.quants.quantize(a[i:i + rows], t) for i in range(0, len(a), rows)])


def write_config(w, arch, c, name, kind, wanted):
    heads = c["num_attention_heads"]
    head_dim = c.get("head_dim") or c["hidden_size"] // heads
    rope = c.get("rope_parameters") or c.get("rope_scaling") or {}
    theta = rope.get("rope_theta") or c.get("rope_theta") or 10000.0
    w.add_name(name)
    w.add_file_type(gguf.LlamaFileType["ALL_F32" if wanted == "F32" else "MOSTLY_" + wanted])
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(c["num_hidden_layers"])
    w.add_embedding_length(c["hidden_size"])
    w.add_head_count(heads)
    w.add_head_count_kv(c.get("num_key_value_heads") or heads)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_rope_dimension_count(head_dim)
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(float(theta))
    w.add_vocab_size(c["vocab_size"])
    if c.get("sliding_window") and c.get("use_sliding_window", True):
        w.add_sliding_window(c["sliding_window"])
    if kind:
        w.add_string("whet.prm.kind", kind)
    scaling = rope.get("rope_type", rope.get("type", "default"))
    if scaling == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(float(rope["factor"]))
    elif scaling == "llama3":
        return rope_factors(rope, theta, head_dim)
    elif scaling != "default":
        raise Wrong(f"rope scaling of type {scaling} is not one that Whet runs")
    return None


def write_tokenizer(w, v):
    w.add_tokenizer_model(v["model"])
    w.add_tokenizer_pre(v["pre"])
    w.add_token_list(v["tokens"])
    w.add_token_types(v["types"])
    if "scores" in v:
        w.add_token_scores(v["scores"])
    if "merges" in v:
        w.add_token_merges(v["merges"])
    for k, add in (("bos", w.add_bos_token_id), ("eos", w.add_eos_token_id), ("unk", w.add_unk_token_id)):
        if k in v["ids"]:
            add(v["ids"][k])
    if v["add_bos"] is not None:
        w.add_add_bos_token(v["add_bos"])
    if "add_space_prefix" in v:
        w.add_add_space_prefix(v["add_space_prefix"])
    if v["template"]:
        w.add_chat_template(v["template"])


def find_kind(asked, weights, name):
    by_head = next((k for k, names in HEADS.items() if any(n in weights for n in names)), None)
    if by_head and asked not in (None, by_head):
        raise Wrong(f"the model has the head of a {by_head} PRM, not of {asked}")
    by_name = next((k for part, k in KIND_BY_NAME.items() if part in name.lower()), None)
    kind = asked or by_head or by_name
    if kind in HEADS and not by_head:
        raise Wrong(f"the model has no head, which a {kind} PRM has")
    return kind


def convert(folder, out, wanted="f16", kind=None, name=None):
    config = read_json(folder, "config.json")
    if not config:
        raise Wrong(f"{folder} has no config.json")
    architecture = (config.get("architectures") or ["?"])[0]
    if architecture not in ARCHS:
        raise Wrong(f"{architecture} is not one of {', '.join(ARCHS)}")
    arch, wanted = ARCHS[architecture], TYPES[wanted]
    name = name or os.path.basename(config.get("_name_or_path") or os.path.abspath(folder))
    weights = open_weights(folder)
    kind = find_kind(kind, weights, name)
    tensors = plan_tensors(weights, arch, config, kind)
    vocab_size = next(t.shape[0] for to, t, _ in tensors if to == "token_embd.weight")

    part = out + ".part"
    w = gguf.GGUFWriter(part, arch)
    factors = write_config(w, arch, config, name, kind, wanted)
    write_tokenizer(w, read_tokenizer(folder, config, vocab_size))
    if factors is not None:
        tensors.append(("rope_freqs.weight", Lazy(factors.shape, "F32", lambda: factors), None))
    for to, t, _ in tensors:
        q = type_of(to, t.shape, wanted)
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[q]]
        n = int(np.prod(t.shape)) // block * size
        shape = t.shape if q in ("F32", "F16") else (*t.shape[:-1], t.shape[-1] // block * size)
        w.add_tensor_info(to, shape, {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16)}.get(q, np.dtype(np.uint8)), n,
                          raw_dtype=gguf.GGMLQuantizationType[q])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    for i, (to, t, change) in enumerate(tensors):
        a = t.load()
        w.write_tensor_data(encode(change(a) if change else a, type_of(to, t.shape, wanted), to))
        print(f"\r{i + 1} of {len(tensors)} tensors", end="", file=sys.stderr)
    w.close()
    os.replace(part, out)
    print(f"\r{out}: {arch}, {len(tensors)} tensors, {os.path.getsize(out) / 1e6:.1f} MB" + (f", PRM of kind {kind}" if kind else ""),
          file=sys.stderr)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("out")
    p.add_argument("--type", choices=TYPES, default="f16")
    p.add_argument("--kind", choices=KINDS)
    p.add_argument("--name")
    a = p.parse_args()
    try:
        convert(a.folder, a.out, a.type, a.kind, a.name)
    except Wrong as e:
        sys.exit(f"convert_hf: {e}")


if __name__ == "__main__":
    main()
