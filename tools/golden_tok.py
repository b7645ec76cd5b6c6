#!/usr/bin/env python3
"""Golden data for the tokenizers and chat formats, and their comparison with the reference tokenizers.

  golden_tok.py --make [--models DIR]         write tests/golden/tok_*
  golden_tok.py --compare --models DIR --vocabs DIR [--llama-tokenize BIN]
                                              compare libwhet.so with the references on the full vocabularies

Needs: gguf tokenizers sentencepiece tiktoken jinja2 mistral-common (PyPI). --models: a folder with
coder1.5b.gguf and smollm2-135m.gguf (`whet pull`). --vocabs: an unpacked wheel of llama-models and one of
mistral-common (their tokenizer.model files).

References
  byte-level BPE   Hugging Face tokenizers, built from tokens and merges as the official tokenizer.json
                   builds them: Qwen2 and DeepSeek-R1-Distill-Qwen Split(regex) + ByteLevel; Llama 3 the
                   same with its regex and ignore_merges; SmolLM2 Digits + ByteLevel; GPT-2 ByteLevel.
                   No NFC: GGUF files do not record it (src/text/tok.h).
  Llama 3          also tiktoken with the maker's ranks and pattern (llama_models/llama3/tokenizer.py)
  SentencePiece    sentencepiece with the maker's tokenizer.model; chats with mistral-common
  chat templates   jinja2, set up as transformers does it
"""
import argparse
import base64
import ctypes as C
import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import unicodedata

import gguf
import jinja2
import jinja2.sandbox
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "tests", "golden")
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def pre_tokenizer(pre):
    byte_level = lambda use_regex: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    if pre in ("qwen2", "deepseek-r1-qwen"):
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), byte_level(False)])
    if pre == "llama-bpe":
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), byte_level(False)])
    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)])
    assert pre == "gpt-2"
    return byte_level(True)


def hf_bpe(tokens, types, merges, pre, special):
    """special: whether control tokens are recognised in a text."""
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = [tuple(m.split(" ")) for m in merges]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=pre == "llama-bpe"))
    t.pre_tokenizer = pre_tokenizer(pre)
    t.decoder = decoders.ByteLevel()
    t.add_tokens([AddedToken(x, normalized=False) for x, y in zip(tokens, types) if y == USER])
    if special:
        t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x, y in zip(tokens, types) if y == CONTROL])
    return t


def write_gguf(path, model, pre, tokens, types, merges=None, scores=None, **ids):
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    if merges is not None:
        w.add_token_merges(merges)
    if scores is not None:
        w.add_token_scores(scores)
    for key, value in ids.items():
        (w.add_bool if isinstance(value, bool) else w.add_uint32)("tokenizer.ggml." + key, value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def read_gguf(path):
    f = gguf.GGUFReader(path).fields
    get = lambda k: f["tokenizer." + k].contents() if "tokenizer." + k in f else None
    return {"tokens": get("ggml.tokens"), "types": get("ggml.token_type"), "merges": get("ggml.merges"),
            "template": get("chat_template")}


def read_spm(path):
    sp = sentencepiece.SentencePieceProcessor(model_file=path)
    kinds = [(sp.IsUnknown, UNKNOWN), (sp.IsControl, CONTROL), (sp.IsByte, BYTE), (sp.IsUnused, UNUSED)]
    n = sp.GetPieceSize()
    types = [next((k for test, k in kinds if test(i)), NORMAL) for i in range(n)]
    return sp, [sp.IdToPiece(i) for i in range(n)], types, [sp.GetScore(i) for i in range(n)]


# ---- texts ------------------------------------------------------------------------------------------------

HARD = [
    "", " ", "  ", "\n", "\n\n", "\t", "\r\n", " \n", "\n ", "a", " a", "  a", "   a b", "a  ", "a \n b", "a\n\n\n  b\n",
    "\t\tif x:\n\t\t\treturn\n", "        deep\n    less\nnone", "tabs\tand  spaces \t mixed \n\t", "\r\r\n\n\r", "x\u00a0y\u3000z\u2003w",
    "\u180ex\u180e \u200bzero\u200bwidth\ufeffbom", "line\u2028sep\u2029par\u0085nel\x0bvt\x0cff", "\x1c\x1d\x1e\x1f \x00\x01\x7f",
    "don't DON'T I'll I'LL we've WE'VE you're YOU'RE he'd HE'D it's IT'S I'm I'M", "'s 't 're 've 'm 'll 'd 'x ''s '\u017f '\u212a", "rock'n'roll 'tis o'clock", "'Tis 'Twas 'Sure 'Dare 'Very 'Men 'Real 'Llama 'tis 'twas 'sure 'dare 'very 'men 'real",
    "1 22 333 4444 55555 666666 7777777 12345678 791 7919 79190 791912 7919123",
    "1 12 123 1234 12345 1234567890", "3.14159 -1e10 1,000,000 0x1F ½ ² Ⅻ ٣٤٥ ४५६ ４５６ 一二三", "a1b22c333d4444", " 1  22   333",
    "Hello, world! How are you?", "...!!!???;;;:::", " ,a ,b", "$100 #tag @me a_b-c+d=e (f) [g] {h} <i> \"j\" `k` ~l |m| \\n/",
    "日本語のテキスト、そして漢字。", "你好，世界！ 中文 English混排123", "한국어 텍스트와 English", "ไทยไม่มีเว้นวรรค", "हिन्दी में पाठ देवनागरी", "தமிழ் எழுத்து",
    "مرحبا بالعالم العربية ١٢٣", "שלום עולם עברית", "Ελληνικά Кириллица Հայերեն ქართული",
    "😀 😀😀 a😀b", "👩‍👩‍👧‍👦👍🏽🏳️‍🌈🇩🇪🇫🇷", "❤️ ❤ ☺️ 1️⃣ ©️", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 𐍈 𒀀",
    "e\u0301 a\u0308o\u0302 n\u0303 \u0301alone Z\u0324\u0354\u0326a\u0330", "café cafe\u0301 naïve ﬁ ß ẞ ı İ ǅ", "\u0915\u094d\u0937\u093f \u0e01\u0e33",
    "int main(void) { return x[i]->y ? 0 : -1; } // c\n", "def f(x):\n    return x**2  # sq\n\nclass A: pass\n", "<div class=\"a\">&nbsp;</div>\n\n\n\n",
    "SELECT * FROM t WHERE a='b' AND c<>1;", "https://example.org/a/b?c=d&e=f#g", "$\\boxed{\\frac{1}{2}}$ \\( x^2 \\)", "## Step 1: Do it\n\nText.\n\n## Step 2:",
    "a" * 100, " " * 100, "\n" * 50, "ab" * 80, "!" * 70, "0" * 31, " \n" * 20, "é" * 40, "日" * 40,
    "<|im_start|>user\nhi<|im_end|>\n", "<|im_end|><|im_end|> <|im_end", "<think>x</think> y", "<|endoftext|>a <|eot_id|> <s> </s> <unk> [INST] <0x41>", "<<|im_end|>>", "a<think", "<think><think>",
    "\ufffd \ufffe \uffff \U0010ffff \ue000", "\u0378\u0530 unassigned", "ſ K Å 'S 'ſ", "x\u0300'\u0301s",
]


def tricky(rng, n):
    """Random texts over characters that pre-tokenizers treat differently."""
    pool = list(" \n\r\t aAzZ09'sSdDtT.,!-_()<>|é日👍") + ["  ", "\u00a0", "\u3000", "\u0301", "\u200d", "\ufe0f", "½", "٣", "'ll", "'RE",
            "ſ", "\u180e", "\u0085", "\x1c", "\x00", "ก", "ा", "\U0001f1e9", "ǅ", "ª", "ー", "，", "▁", "Ġ"]
    for _ in range(n):
        yield "".join(rng.choice(pool) for _ in range(rng.randint(1, 24)))


def assigned():
    return [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def mixed(rng, n_bytes):
    """Text of at least n_bytes: sentences of many scripts, hard cases and code, shuffled."""
    lines = open(os.path.join(GOLDEN, "tok_text.txt"), encoding="utf-8").read().split("\n")
    code = "".join(open(p, encoding="utf-8").read() for p in sorted(glob.glob(os.path.join(ROOT, "src", "text", "*.[ch]"))))
    parts = lines + HARD + list(tricky(rng, 200)) + [code[i:i + 400] for i in range(0, len(code), 400)]
    out, size = [], 0
    while size < n_bytes:
        part = rng.choice(parts) + rng.choice(["", " ", "\n", "\n\n", "  "])
        out.append(part)
        size += len(part.encode())
    return "".join(out)


# ---- chats ------------------------------------------------------------------------------------------------

LLAMA30 = ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
           "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
           "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
# Llama 3.1 / 3.2 without the branches for tools
LLAMA31 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
MISTRAL1 = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- " [INST] " + system_message + "\\n\\n" + message["content"] + " [/INST]" }}
        {%- else %}
            {{- " [INST] " + message["content"] + " [/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}
"""
MISTRAL3 = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}
"""
# DeepSeek-R1-Distill without the branches for tools; the first release had no <think> at the end
R1 = ("{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(system_prompt='') %}"
      "{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}"
      "{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{{'<｜User｜>' + message['content']}}{%- endif %}"
      "{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}"
      "{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor -%}"
      "{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}")
R1_FIRST = R1.replace("<think>\\n'}}{% endif %}", "'}}{% endif %}")
QWEN2_FIRST = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
               "{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
QWEN_MATH = QWEN2_FIRST.replace("You are a helpful assistant.", "Please reason step by step, and put your final answer within \\\\boxed{}.")
QWEN_LINES = QWEN2_FIRST.replace("You are", "It\\'s\\nyou")

CONVERSATIONS = [
    [("user", "What is 2+2?")],
    [("system", "Be brief."), ("user", "  Hi there \n")],
    [("user", "Hi"), ("assistant", "Hello!"), ("user", "\n\nAnd 3+3?")],
    [("system", "Löse 日本 👍."), ("user", "a\n\nb"), ("assistant", "<think>\nhm</think>\n</think>\n\nc"), ("user", "d")],
    [("user", "Solve"), ("assistant", "")],
    [("user", "Solve"), ("assistant", "## Step 1: Add\n2+2")],
    [("system", "S"), ("user", "Solve"), ("assistant", "Step one.\n\n")],
]


def jinja(template, messages, bos, eos, generate):
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    dicts = [{"role": r, "content": c} for r, c in messages]
    return env.from_string(template).render(messages=dicts, bos_token=bos, eos_token=eos, add_generation_prompt=generate)


def render(name, template, messages, bos, eos, opened):
    """What Whet must give. An open reply is the generation prompt and the text so far."""
    if not opened:
        return jinja(template, messages, bos, eos, False)
    if messages[-1][0] != "assistant":
        return jinja(template, messages, bos, eos, True)
    text = messages[-1][1]
    prompt = jinja(template, messages[:-1], bos, eos, True)
    expected = prompt + (" " if name.startswith("mistral") and text else "") + text
    if not name.startswith(("mistral", "r1")):  # Liu et al.: the whole conversation, less its end token
        end = "<|eot_id|>" if name.startswith("llama") else "<|im_end|>\n"
        theirs = jinja(template, messages, bos, eos, False)
        assert theirs.endswith(end)
        theirs = theirs[:-len(end)]
        if name.startswith("llama") and text.endswith("\n\n"):
            theirs += "\n\n"
        assert theirs == expected, (theirs, expected)
    return expected


def mistral_ids(sp, version, messages, opened):
    """mistral-common's InstructTokenizerV1 / V3, on any SentencePiece model."""
    system = messages[0][1] if messages[0][0] == "system" else None
    messages = messages[1:] if system is not None else messages
    users = [i for i, m in enumerate(messages) if m[0] == "user"]
    ids = [sp.bos_id()]
    for i, (role, text) in enumerate(messages):
        if role == "user":
            if system is not None and i == (users[0] if version == 1 else users[-1]):
                text = system + "\n\n" + text
            if version == 1:
                ids += sp.encode("[INST] " + text + " [/INST]")
            else:
                ids += [sp.PieceToId("[INST]")] + sp.encode(text) + [sp.PieceToId("[/INST]")]
        else:
            ids += sp.encode(text)
            if not (opened and i + 1 == len(messages)):
                ids.append(sp.eos_id())
    return ids


# ---- making -----------------------------------------------------------------------------------------------

MARKERS = {
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "smollm": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "gpt-2": ["<|endoftext|>"],
    "llama-bpe": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "deepseek-r1-qwen": ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"],
}
BOS_EOS = {"qwen2": (0, 2), "smollm": (1, 2), "gpt-2": (0, 0), "llama-bpe": (0, 1), "deepseek-r1-qwen": (0, 1)}


# Words and numbers in which it shows how a text was cut: merges that go over the places where patterns cut
EXTRA = " ".join(["Tis Tis Twas Twas Sure Sure Dare Dare Very Very Men Men Real Real Llama Llama tis twas"] * 4
                 + [str(i * 7919 % 10 ** (1 + i % 6)) for i in range(1500)])


def train_bpe(text):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizer("gpt-2")
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator([text], trainer)
    m = json.loads(t.to_str())["model"]
    tokens = [x for x, _ in sorted(m["vocab"].items(), key=lambda kv: kv[1])]
    return tokens, [" ".join(x) for x in m["merges"]]


def train_spm(text, markers):
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/t", "w") as f:
            f.write(text)
        sentencepiece.SentencePieceTrainer.train(
            input=d + "/t", model_prefix=d + "/m", vocab_size=1200, model_type="bpe", byte_fallback=True, character_coverage=0.98,
            add_dummy_prefix=True, remove_extra_whitespaces=False, normalization_rule_name="identity", split_digits=True,
            control_symbols=markers, minloglevel=2, num_threads=1)
        return read_spm(d + "/m.model")


def make(args):
    text = open(os.path.join(GOLDEN, "tok_text.txt"), encoding="utf-8").read()
    base, merges = train_bpe(text + EXTRA)
    cases = [{"text": t, "ids": {}, "special": {}} for t in HARD + list(tricky(random.Random(1), 40))]
    hf, spm = {}, {}
    for pre, markers in MARKERS.items():
        marks = markers + ["<think>", "</think>"]
        tokens = marks + base
        # like the real files: DeepSeek's role markers are "user defined", and control tokens all the same
        types = [USER if "think" in m else CONTROL for m in marks] + [NORMAL] * len(base)
        filed = [USER if m in ("<｜User｜>", "<｜Assistant｜>") else t for m, t in zip(tokens, types)]
        bos, eos = BOS_EOS[pre]
        flags = {} if pre == "llama-bpe" else {"add_bos_token": pre == "deepseek-r1-qwen"}
        write_gguf(f"{GOLDEN}/tok_{pre}.gguf", "gpt2", pre, tokens, filed, merges=merges, bos_token_id=bos, eos_token_id=eos, **flags)
        plain, special = (hf_bpe(tokens, types, merges, pre, s) for s in (False, True))
        hf[pre] = special
        for c in cases:
            c["ids"][pre] = plain.encode(c["text"], add_special_tokens=False).ids
            s = special.encode(c["text"], add_special_tokens=False).ids
            if s != c["ids"][pre]:
                c["special"][pre] = s
    for name, markers in (("spm", []), ("spm3", ["[INST]", "[/INST]"])):
        sp, tokens, types, scores = train_spm(text, markers)
        spm[name] = sp
        write_gguf(f"{GOLDEN}/tok_{name}.gguf", "llama", None, tokens, types, scores=scores, bos_token_id=1, eos_token_id=2, unknown_token_id=0)
        for c in cases:
            if "\0" not in c["text"] and "▁" not in c["text"]:
                c["ids"][name] = sp.encode(c["text"])
    with open(f"{GOLDEN}/tok_cases.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")

    qwen, smol = (read_gguf(os.path.join(args.models, m))["template"] for m in ("coder1.5b.gguf", "smollm2-135m.gguf"))
    templates = {"qwen25": ("qwen2", qwen), "qwen2": ("qwen2", QWEN2_FIRST), "qwen-math": ("qwen2", QWEN_MATH), "qwen-lines": ("qwen2", QWEN_LINES), "smollm2": ("smollm", smol),
                 "llama30": ("llama-bpe", LLAMA30), "llama31": ("llama-bpe", LLAMA31), "mistral1": ("spm", MISTRAL1), "mistral3": ("spm3", MISTRAL3),
                 "r1": ("deepseek-r1-qwen", R1), "r1-first": ("deepseek-r1-qwen", R1_FIRST)}
    chats = []
    for name, (vocab, template) in templates.items():
        tokens = read_gguf(f"{GOLDEN}/tok_{vocab}.gguf")["tokens"]
        bos, eos = ("<s>", "</s>") if vocab in spm else (tokens[i] for i in BOS_EOS[vocab])
        for messages in CONVERSATIONS:
            for opened in (False, True):
                if name == "mistral3" and messages[0][0] == "system" and not opened and messages[-1][0] == "assistant":
                    continue  # that template loses the system message of a finished conversation
                if name.startswith("mistral") and not opened and not messages[-1][1]:
                    continue  # mistral-common refuses an empty reply
                out = render(name, template, messages, bos, eos, opened)
                ids = mistral_ids(spm[vocab], 1 if name == "mistral1" else 3, messages, opened) if vocab in spm else hf[vocab].encode(out, add_special_tokens=False).ids
                chats.append({"template": name, "vocab": vocab, "open": opened, "messages": messages, "text": out, "ids": ids})
    with open(f"{GOLDEN}/tok_chat.json", "w") as f:
        rows = ",\n".join(json.dumps(c, separators=(",", ":")) for c in chats)
        f.write('{"templates":' + json.dumps({k: v[1] for k, v in templates.items()}) + ',\n"chats":[\n' + rows + "\n]}\n")


# ---- comparing --------------------------------------------------------------------------------------------

class Err(C.Structure):
    _fields_ = [("code", C.c_int), ("msg", C.c_char * 256)]


class Ids(C.Structure):
    _fields_ = [("data", C.POINTER(C.c_int32)), ("len", C.c_size_t), ("cap", C.c_size_t)]


class Buf(C.Structure):
    _fields_ = [("data", C.POINTER(C.c_char)), ("len", C.c_size_t), ("cap", C.c_size_t), ("failed", C.c_bool)]


class Whet:
    lib, path = None, os.path.join(ROOT, "build", "release", "libwhet.so")

    def __init__(self, path):
        if not Whet.lib:
            Whet.lib = C.CDLL(Whet.path)
        self.err, file, self.tok = Err(), C.c_void_p(), C.c_void_p()
        self.check(self.lib.wh_gguf_open(C.byref(file), path.encode(), C.byref(self.err)))
        self.check(self.lib.wh_tok_gguf_create(C.byref(self.tok), file, C.byref(self.err)))
        self.lib.wh_gguf_close(file)

    def check(self, code):
        if code:
            sys.exit(self.err.msg.decode())

    def encode(self, text, flags=0):
        ids, data = Ids(), text.encode("utf-8")
        self.check(self.lib.wh_tok_encode(self.tok, C.byref(ids), data, C.c_size_t(len(data)), flags, C.byref(self.err)))
        out = ids.data[:ids.len]
        self.lib.wh_tok_ids_free(C.byref(ids))
        return out

    def decode(self, ids):
        buf, array = Buf(), (C.c_int32 * len(ids))(*ids)
        self.lib.wh_tok_decode(self.tok, C.byref(buf), array, C.c_size_t(len(ids)), 1)
        out = C.string_at(buf.data, buf.len) if buf.len else b""
        self.lib.wh_buf_free(C.byref(buf))
        return out


def compare_one(name, whet, reference, texts, prefix=0):
    n = n_bytes = n_ids = bad = lossy = 0
    for t in texts:
        ours, theirs = whet.encode(t), reference(t)
        n, n_bytes, n_ids = n + 1, n_bytes + len(t.encode()), n_ids + len(theirs)
        if ours != theirs:
            bad += 1
            if bad <= 3:
                k = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
                print(f"  {name}: differs at id {k} of {len(t)} chars: {ours[k:k + 6]} / {theirs[k:k + 6]} {t[:40]!r}")
        lossy += whet.decode(ours)[prefix:] != t.encode()
    print(f"| {name} | {n} | {n_bytes} | {n_ids} | {bad} | {lossy} |", flush=True)


def llama_tokenize(binary, gguf_path, text):
    with tempfile.NamedTemporaryFile("w", newline="") as f:
        f.write(text)
        f.flush()
        cmd = [binary, "-m", gguf_path, "-f", f.name, "--ids", "--no-bos", "--no-parse-special", "--no-escape", "--log-disable"]
        return json.loads(subprocess.run(cmd, capture_output=True, check=True, text=True).stdout)


def compare(args):
    rng = random.Random(2)
    chars = assigned()
    text = mixed(rng, 200_000)
    pieces = list(tricky(rng, 20000))
    sweep = ["".join(f"a{c}b {c}{c} 1{c} " for c in chars[i:i + 64]) for i in range(0, len(chars), 64)]
    tmp = tempfile.mkdtemp()
    print(f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}, Unicode {unicodedata.unidata_version} for the sweep of {len(chars)} characters\n")
    print("| vocabulary, texts | texts | bytes | ids | texts with other ids | not decoded to the same bytes |\n|---|---|---|---|---|---|")

    def all_of(name, path, reference, spm=False, llama=True):
        whet = Whet(path)
        keep = (lambda t: "\0" not in t and "▁" not in t) if spm else (lambda t: True)
        whole = text.replace("\0", "").replace("▁", "") if spm else text
        lines = whole.split("\n")
        compare_one(f"{name}: one mixed text", whet, reference, [whole], int(spm))
        compare_one(f"{name}: its lines", whet, reference, [l for l in lines if l], int(spm))
        compare_one(f"{name}: hard cases, tricky random texts", whet, reference, [t for t in HARD + pieces if keep(t) and t], int(spm))
        compare_one(f"{name}: every assigned character", whet, reference, [t.replace("\0", "").replace("▁", "") if spm else t for t in sweep], int(spm))
        if args.llama_tokenize and llama:
            compare_one(f"{name}: one mixed text, llama-tokenize", whet, lambda t: llama_tokenize(args.llama_tokenize, path, t), [whole], int(spm))

    def all_bpe(name, v, pre, **ids):
        path = f"{tmp}/{name}.gguf"
        write_gguf(path, "gpt2", pre, v["tokens"], v["types"], merges=v["merges"], **ids)
        hf = hf_bpe(v["tokens"], v["types"], v["merges"], pre, False)
        all_of(name, path, lambda t: hf.encode(t, add_special_tokens=False).ids)
        return path

    qwen, smol = (read_gguf(os.path.join(args.models, m)) for m in ("coder1.5b.gguf", "smollm2-135m.gguf"))
    all_bpe("qwen2 (Qwen2.5-Coder)", qwen, "qwen2")
    all_bpe("deepseek-r1-qwen (Qwen2.5's tokens)", qwen, "deepseek-r1-qwen")
    all_bpe("smollm (SmolLM2)", smol, "smollm")
    all_bpe("gpt-2 pattern (SmolLM2's tokens)", smol, "gpt-2")

    llama, ranks = llama3(os.path.join(args.vocabs, "llama_models/llama3/tokenizer.model"))
    path = all_bpe("llama-bpe (Llama 3)", llama, "llama-bpe", bos_token_id=128000, eos_token_id=128009)
    import tiktoken
    tt = tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})
    all_of("llama-bpe (Llama 3), tiktoken", path, lambda t: tt.encode(t, disallowed_special=()), llama=False)

    for name, file in (("llama (Mistral v0.1)", "tokenizer.model.v1"), ("llama (Mistral v0.3)", "mistral_instruct_tokenizer_240323.model.v3")):
        sp, tokens, types, scores = read_spm(os.path.join(args.vocabs, "mistral_common/data", file))
        path = f"{tmp}/{file}.gguf"
        write_gguf(path, "llama", None, tokens, types, scores=scores, bos_token_id=1, eos_token_id=2, unknown_token_id=0)
        all_of(name, path, sp.encode, spm=True)
        compare_mistral_chat(name, path, sp, os.path.join(args.vocabs, "mistral_common/data", file))

    print("\nSpeed, qwen2, one thread, best of three in turn\n")
    print("| text | Whet | Hugging Face tokenizers |\n|---|---|---|")
    whet = Whet(os.path.join(args.models, "coder1.5b.gguf"))
    hf = hf_bpe(qwen["tokens"], qwen["types"], qwen["merges"], "qwen2", False)
    for label, big in (("2 MB, mixed", text * 10), ("one word of 1 MB", "a" * 1_000_000), ("1 MB of spaces", " " * 1_000_000), ("1 MB of digits", "7" * 1_000_000)):
        took = [[], []]
        for _ in range(3):
            for k, encode in enumerate((whet.encode, lambda t: hf.encode(t, add_special_tokens=False))):
                start = time.perf_counter()
                encode(big)
                took[k].append(time.perf_counter() - start)
        print(f"| {label} |" + "|".join(f" {len(big.encode()) / min(t) / 1e6:.1f} MB/s " for t in took) + "|", flush=True)


def llama3(path):
    """Tokens, types and merges as transformers' TikTokenConverter makes them from the maker's ranks."""
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(path, "rb"))}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letter = {b: chr(b) for b in printable}
    for b in range(256):
        if b not in letter:
            letter[b] = chr(256 + sum(x not in printable for x in range(b)))
    spell = lambda x: "".join(letter[b] for b in x)
    merges = []
    for token, rank in ranks.items():
        splits = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        merges += [(rank, ranks[a], ranks[b], spell(a) + " " + spell(b)) for a, b in splits]
    merges.sort()
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
               "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]
    special += [f"<|reserved_special_token_{i}|>" for i in range(2, 2 + 256 - len(special))]
    tokens = [spell(t) for t, _ in sorted(ranks.items(), key=lambda kv: kv[1])] + special
    return {"tokens": tokens, "types": [NORMAL] * len(ranks) + [CONTROL] * len(special), "merges": [m[3] for m in merges]}, ranks


def compare_mistral_chat(name, path, sp, model):
    """mistral_ids, which the golden chats come from, against mistral-common itself."""
    from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    kinds = {"system": SystemMessage, "user": UserMessage, "assistant": AssistantMessage}
    official = MistralTokenizer.from_file(model)
    n = bad = 0
    for messages in CONVERSATIONS:
        if not messages[-1][1]:
            continue
        last_prefix = messages[-1][0] == "assistant"
        request = [kinds[r](content=c, **({"prefix": True} if last_prefix and i + 1 == len(messages) else {})) for i, (r, c) in enumerate(messages)]
        theirs = official.encode_chat_completion(ChatCompletionRequest(messages=request)).tokens
        ours = mistral_ids(sp, 1 if "v0.1" in name else 3, messages, True)
        n += 1
        if ours != theirs:
            bad += 1
            print(f"  {name}: chat differs: {ours} / {theirs} {messages!r}")
    print(f"| {name}: chats, mistral-common | {n} | | | {bad} | |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--make", action="store_true")
    p.add_argument("--compare", action="store_true")
    p.add_argument("--models", default="models")
    p.add_argument("--vocabs")
    p.add_argument("--llama-tokenize")
    p.add_argument("--lib", default=Whet.path)
    args = p.parse_args()
    Whet.path = args.lib
    if args.make:
        make(args)
    if args.compare:
        compare(args)


if __name__ == "__main__":
    main()
