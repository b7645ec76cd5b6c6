#!/usr/bin/env python3
"""Make tests/golden/prm: tiny random process reward models, and what the official code computes with them.

    pip install torch transformers sentencepiece gguf jinja2
    tools/golden_prm.py tests/golden/prm

Every model is made as a Hugging Face folder (safetensors, sharded safetensors or pytorch_model.bin; tokenizer.json or
tokenizer.model), converted by tools/convert_hf.py, and scored here from that folder by transformers and the formulas of
compute-optimal-tts (inference/rm_call.py, inference/infer_fns.py), restated below. golden.json holds, for each file and
way to read it, questions, steps, and the reference's tokens, positions and scores.
"""
import io
import json
import os
import sys
import tempfile

import gguf
import numpy as np
import sentencepiece
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

import convert_hf
import golden_tok

QWEN_SYSTEM = r"Please reason step by step, and put your final answer within \boxed{}."

CASES = [
    ("What is 2+2?", ["2+2 = 4.", "The answer is 4"]),
    ("Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many in all?",
     ["## Step 1: May\nIn May she sold 48/2 = 24 clips.", "## Step 2: Both\n- April: 48\n- May: 24",
      "Together that makes 48 + 24 = 72 clips.", "Therefore, the final answer is: $\\boxed{72}$. I hope it is correct."]),
    ("  Löse x² = 9 für x > 0:\n\nund y? ", ["x = √9 = 3, weil x > 0 ist.", "日本 - + Yes\nNo", "3"]),
    ("Is ки a word? <extra_0> <|im_end|>", ["No <|im_start|>.", "It is not."]),
    ("Add the numbers from 1 to 12.",
     [f"Step {i}: the sum so far is {i * (i - 1) // 2}, and adding {i} makes {i * (i + 1) // 2}." for i in range(1, 13)]),
]

TEXT = ("Therefore, the final answer is: $\\boxed{72}$. I hope it is correct.\n\n## Step 1: Add the numbers\n\nIn May she sold 48/2 = 24 "
        "clips.\n\nYes\nNo\nYes, the step is correct. No, it has a mistake.\nuser\nassistant\nsystem\nProblem: What is 2+2?\n\n"
        "Step: 2 + 2 = 4 - 0\n\nIs this step correct?\n\nPlease reason step by step.\n\n")


# ---- tokenizers -------------------------------------------------------------------------------------------

def bpe(folder, regex, special, template, ignore_merges=False, merges=180, **named):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([TEXT] * 4, trainers.BpeTrainer(vocab_size=256 + merges, show_progress=False,
                                                          initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in special])
    if "bos_token" in named and named.pop("adds_bos", False):
        bos = named["bos_token"]
        t.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, t.token_to_id(bos))])
    tok = PreTrainedTokenizerFast(tokenizer_object=t, **named)
    tok.chat_template = template
    tok.save_pretrained(folder)
    return tok


def spm(folder):
    out = io.BytesIO()
    lines = [x for x in (TEXT + " ки a ки b. ки + - + -").split("\n") if x] * 8
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, model_type="bpe", vocab_size=420, byte_fallback=True, character_coverage=1.0,
        normalization_rule_name="identity", remove_extra_whitespaces=False, hard_vocab_limit=False, minloglevel=2)
    open(f"{folder}/tokenizer.model", "wb").write(out.getvalue())
    json.dump({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}, open(f"{folder}/tokenizer_config.json", "w"))
    return sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())


def chat_ids(tok, messages):
    return tok.apply_chat_template(messages, tokenize=True, return_dict=False)


# ---- models -----------------------------------------------------------------------------------------------

SHAPE = dict(hidden_size=32, num_hidden_layers=2, intermediate_size=64, rms_norm_eps=1e-5, max_position_embeddings=1024, attention_dropout=0.0)


def fill(module, seed, gain=1.0):
    """Values that f16 holds, so that the file and the reference have the same; calm enough that keys and values in f16,
    which the reference has in f32, do not change much."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, p in module.named_parameters():
            scale = 0.3 if "norm" in key else 0.1 if "bias" in key else 1 if "embed" in key else gain / np.sqrt(p.shape[-1])
            p.copy_((torch.randn(p.shape, generator=g) * scale + (1 if "norm" in key else 0)).half().float())
    return module.float().eval()


def hidden_of(model, ids):
    with torch.no_grad():
        return model.model(torch.tensor([ids])).last_hidden_state[0]


def two_logits(model, ids, good, bad):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0][:, [good, bad]].softmax(-1)[:, 0]


def write_folder(folder, model, architecture, extra=None, torch_file=False):
    if extra is None:
        model.save_pretrained(folder, max_shard_size="60KB")
        return
    model.config.save_pretrained(folder)
    state = {**model.state_dict(), **extra}
    if torch_file:
        torch.save(state, f"{folder}/pytorch_model.bin")
    else:
        import safetensors.torch
        safetensors.torch.save_file({k: v.contiguous() for k, v in state.items() if k != "lm_head.weight"}, f"{folder}/model.safetensors")
    config = json.load(open(f"{folder}/config.json"))
    config["architectures"] = [architecture]
    json.dump(config, open(f"{folder}/config.json", "w"))


def case(question, steps, ids, positions, scores):
    assert len(positions) == len(scores) == len(steps)
    cut = int(positions[-1]) + 1  # what stands behind cannot matter
    return {"question": question, "steps": steps, "tokens": [int(i) for i in ids[:cut]], "positions": [int(p) for p in positions],
            "scores": [round(s, 7) for s in scores.tolist()]}


def where(ids, token):
    return [i for i, x in enumerate(ids) if x == token]


# ---- the kinds --------------------------------------------------------------------------------------------

def math_shepherd(folder):
    sp = spm(folder)
    model = fill(MistralForCausalLM(MistralConfig(**SHAPE, num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=sp.GetPieceSize(),
                                                  sliding_window=4096, tie_word_embeddings=False)), 1)
    write_folder(folder, model, None)
    tag = sp.encode("ки")[-1]
    good, bad = sp.encode("+ -")
    assert sp.IdToPiece(tag) == "▁ки"

    def score(question, steps):
        ids = [sp.bos_id()] + sp.encode(f"{question} " + "".join(f"{s} ки\n" for s in steps))
        at = where(ids, tag)[-len(steps):]  # the question of a case may hold one too: theirs would return 0.0 for all
        return case(question, steps, ids, at, two_logits(model, ids, good, bad)[at])
    return score


def rlhflow(folder):
    special = ["<|begin_of_text|>", "<|reserved_special_token_0|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tok = bpe(folder, golden_tok.LLAMA3, special, golden_tok.LLAMA31, ignore_merges=True, bos_token=special[0], eos_token=special[4], adds_bos=True)
    model = fill(LlamaForCausalLM(LlamaConfig(
        **SHAPE, num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=len(tok), tie_word_embeddings=False,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=64))), 2)
    write_folder(folder, model, None)
    good, bad = tok.encode("+")[-1], tok.encode("-")[-1]

    def score(question, steps):
        talk = []
        for i, s in enumerate(steps):
            talk += [{"role": "user", "content": f"{question} {s}" if i == 0 else s}, {"role": "assistant", "content": special[1]}]
        ids = chat_ids(tok, talk)
        marked = where(ids, tok.convert_tokens_to_ids(special[1]))
        ids = [good if i in marked else x for i, x in enumerate(ids)]
        at = [p - 1 for p in marked]
        return case(question, steps, ids, at, two_logits(model, ids, good, bad)[at])
    return score


QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<extra_0>"]


def qwen2(tok, seed, theta):
    return fill(Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_attention_heads=2, num_key_value_heads=1, head_dim=32, vocab_size=len(tok), tie_word_embeddings=True,
                                             rope_parameters=dict(rope_type="default", rope_theta=theta))), seed)


def linear(n_in, n_out, seed):
    return fill(torch.nn.Linear(n_in, n_out), seed, 1.5)


def skywork(folder):
    tok = bpe(folder, golden_tok.QWEN2, QWEN_SPECIAL, golden_tok.QWEN_MATH, bos_token=QWEN_SPECIAL[0], eos_token=QWEN_SPECIAL[2])
    model, head = qwen2(tok, 3, 10000.0), linear(32, 1, 4)
    # The real checkpoint is bf16; f16 has the same values here and keeps the file small.
    write_folder(folder, model.half(), "Qwen2ForPrmModel", {"v_head.summary.weight": head.weight.detach(), "v_head.summary.bias": head.bias.detach()}, True)
    model.float()
    newline, separator = tok.encode("\n")[-1], tok.convert_tokens_to_ids(QWEN_SPECIAL[3])

    def score(question, steps):
        lines = [s.replace("\n", " ").strip() for s in steps]
        prompt = tok.encode(QWEN_SPECIAL[0]) + plain_ids(tok, question + "\n")
        ids = []
        for line in lines:  # a special token stands for each "\n" in the official code, so it cuts
            ids += plain_ids(tok, line) + [separator]
        ids = prompt + [newline if x == separator else x for x in ids]
        at, n = [], len(prompt)
        for line in lines:
            n += len(plain_ids(tok, line)) + 1
            at.append(n - 1)
        return case(question, steps, ids, at, head(hidden_of(model, ids))[at, 0].sigmoid())
    return score


def plain_ids(tok, text):
    """Encode text in which no special token is meant: "<extra_0>" typed by somebody is text to Whet."""
    plain = Tokenizer(models.BPE(**{"vocab": {k: v for k, v in tok.get_vocab().items() if k not in tok.get_added_vocab()},
                                    "merges": [tuple(m) for m in json.loads(tok.backend_tokenizer.to_str())["model"]["merges"]]}))
    plain.pre_tokenizer = tok.backend_tokenizer.pre_tokenizer
    return plain.encode(text, add_special_tokens=False).ids


def qwen(folder):
    tok = bpe(folder, golden_tok.QWEN2, QWEN_SPECIAL, golden_tok.QWEN_MATH, eos_token=QWEN_SPECIAL[2])
    model = qwen2(tok, 5, 50000.0)
    head = torch.nn.Sequential(linear(32, 32, 6), torch.nn.ReLU(), linear(32, 2, 11))
    write_folder(folder, model, "Qwen2ForProcessRewardModel", {f"score.{k}": v for k, v in head.state_dict().items()})
    mark = tok.convert_tokens_to_ids("<extra_0>")

    def score(question, steps):
        ids = chat_ids(tok, [{"role": "system", "content": QWEN_SYSTEM}, {"role": "user", "content": question},
                             {"role": "assistant", "content": "".join(f"{s}<extra_0>" for s in steps)}])
        at = where(ids, mark)
        return case(question, steps, ids, at, head(hidden_of(model, ids))[at].softmax(-1)[:, 1])
    return score


INSTRUCTIONS = ("You are a careful mathematics teacher. You are shown a problem, then a student's solution one step at a time. "
                "After each step, answer with one word: Yes if the step is correct, No if it contains a mistake.")


def judge(folder):
    """An instruct model; and our own head on it."""
    tok = bpe(folder, golden_tok.QWEN2, QWEN_SPECIAL, golden_tok.QWEN2_FIRST, eos_token=QWEN_SPECIAL[2])
    model = fill(Qwen3ForCausalLM(Qwen3Config(**SHAPE, num_attention_heads=2, num_key_value_heads=1, head_dim=32, vocab_size=len(tok),
                                              tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0))), 8)
    write_folder(folder, model, None)
    head = torch.nn.Sequential(linear(32, 64, 9), torch.nn.ReLU(), linear(64, 1, 10))
    good, bad = tok.encode("Yes")[0], tok.encode("No")[0]
    assert len(tok.encode("Yes")) == len(tok.encode("No")) == 1

    def score(question, steps):
        talk, at = [], []
        for i, s in enumerate(steps):
            front = f"{INSTRUCTIONS}\n\nProblem: {question}\n\n" if i == 0 else ""
            talk.append({"role": "user", "content": f"{front}Step: {s}\n\nIs this step correct?"})
            ids = chat_ids_open(tok, talk)
            at.append(len(ids) - 1)
            talk.append({"role": "assistant", "content": "Yes"})
        return case(question, steps, ids, at, two_logits(model, ids, good, bad)[at])

    def score_head(question, steps):
        ids, at = chat_ids_open(tok, [{"role": "system", "content": QWEN_SYSTEM}, {"role": "user", "content": question}]), []
        for s in steps:
            ids = ids + plain_ids(tok, s + "\n\n")
            at.append(len(ids) - 1)
        return case(question, steps, ids, at, head(hidden_of(model, ids))[at, 0].sigmoid())
    return score, score_head, head


def chat_ids_open(tok, messages):
    return tok.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)


def write_head(path, head, trunk, layers):
    import hashlib
    w = gguf.GGUFWriter(path, "whet-head")
    w.add_string("whet.prm.kind", "head")
    w.add_string("whet.head.trunk_sha256", hashlib.sha256(open(trunk, "rb").read()).hexdigest())
    w.add_uint32("whet.head.layer", layers)
    w.add_string("whet.head.step", "blank_line")
    for ours, theirs in ((0, 0), (1, 2)):
        w.add_tensor(f"whet.prm.{ours}.weight", head[theirs].weight.detach().numpy())
        w.add_tensor(f"whet.prm.{ours}.bias", head[theirs].bias.detach().numpy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def plain_cases(special):
    """The official rendering of chats reads special tokens out of what people type: cases without any."""
    return [c for c in CASES if not any(s in c[0] for s in special)]


def check_types(folder, path, f16):
    """Other types than f16: the same file within the error of the type."""
    read = lambda p: {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(p).tensors}
    exact = read(f16)
    for name, bound in (("f32", 0), ("bf16", 0.004), ("q8_0", 0.01), ("q5_1", 0.05), ("q5_0", 0.08), ("q4_1", 0.09), ("q4_0", 0.15)):
        convert_hf.convert(folder, path, name)
        other = read(path)
        worst = max(float(np.abs(exact[k].reshape(-1) - other[k].reshape(-1)).max() / np.abs(exact[k]).max()) for k in exact)
        assert other.keys() == exact.keys() and worst <= bound, (name, worst)
        print(f"  {name}: largest error {worst:.4f} of the largest weight")


def main():
    out = sys.argv[1]
    golden = []
    os.makedirs(out, exist_ok=True)
    sets = [("math_shepherd", "math-shepherd", math_shepherd, CASES), ("rlhflow", None, rlhflow, plain_cases(["<|im_end|>"])),
            ("skywork", "skywork", skywork, CASES), ("qwen", "qwen", qwen, plain_cases(["<extra_0>"])), ("judge", None, judge, plain_cases(["<extra_0>"]))]
    for name, kind, make, cases in sets:
        with tempfile.TemporaryDirectory() as folder:
            score, *rest = (lambda x: x if isinstance(x, tuple) else (x,))(make(folder))
            path = f"{out}/{name}.gguf"
            convert_hf.convert(folder, path, "f16", kind if kind == "math-shepherd" else None, f"tiny {name}")
            if name in ("rlhflow", "qwen"):
                check_types(folder, os.path.join(folder, "other.gguf"), path)
            done = [score(*c) for c in cases]
            kinds = {"rlhflow": ["rlhflow-mistral", "rlhflow-deepseek"], "judge": ["judge"]}.get(name, [None])
            golden += [{"file": f"{name}.gguf", "kind": k, "head": None, "cases": done} for k in kinds]
            if rest:
                write_head(f"{out}/head.gguf", rest[1], path, 2)
                golden.append({"file": f"{name}.gguf", "kind": None, "head": "head.gguf", "cases": [rest[0](*c) for c in cases]})
            spread = [s for c in done for s in c["scores"]]
            print(f"{name}: {os.path.getsize(path)} bytes, {len(spread)} scores in {min(spread):.3f} .. {max(spread):.3f}")
    with open(f"{out}/golden.json", "w") as f:
        json.dump(golden, f, ensure_ascii=False, indent=None, separators=(",", ":"))


if __name__ == "__main__":
    main()
