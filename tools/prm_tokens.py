#!/usr/bin/env python3
"""The token ids that process reward models rest on, looked up in the makers' vocabularies and by Whet.

    pip install gguf sentencepiece tiktoken tokenizers jinja2
    tools/prm_tokens.py --vocabs DIR --models DIR >bench/results/prm_tokens.md

--vocabs: an unpacked wheel of llama-models and one of mistral-common. --models: a folder with coder1.5b.gguf (Qwen2.5).
Ids as compute-optimal-tts states or computes them (inference/rm_call.py).
"""
import argparse
import os
import tempfile

import sentencepiece
import tiktoken

import golden_tok

SPECIAL, BOS = 1, 2


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vocabs", required=True)
    p.add_argument("--models", required=True)
    a = p.parse_args()
    rows = []

    def row(vocabulary, what, expected, reference, whet):
        rows.append((vocabulary, what, expected, reference, whet, "yes" if expected == reference == whet else "NO"))

    tmp = tempfile.mkdtemp()
    model = os.path.join(a.vocabs, "mistral_common/data/tokenizer.model.v1")
    sp, tokens, types, scores = golden_tok.read_spm(model)
    path = os.path.join(tmp, "mistral.gguf")
    golden_tok.write_gguf(path, "llama", None, tokens, types, scores=scores, bos_token_id=1, eos_token_id=2, unknown_token_id=0)
    whet = golden_tok.Whet(path)
    name = "Mistral v0.1 (Math-Shepherd)"
    row(name, 'encode("ки")[-1], the step tag', [12902], sp.encode("ки")[-1:], whet.encode("ки")[-1:])
    row(name, 'encode("+ -"), good and bad', [648, 387], sp.encode("+ -"), whet.encode("+ -"))
    row(name, 'encode("+"), encode("-")', [648, 387], sp.encode("+") + sp.encode("-"), whet.encode("+") + whet.encode("-"))
    row(name, 'encode("a ки\\nb ки\\n")', [264, 12902, 13, 28726, 12902, 13], sp.encode("a ки\nb ки\n"), whet.encode("a ки\nb ки\n"))
    spanning = [t for t in tokens if "\n" in t or ("▁" in t.lstrip("▁"))]

    vocab, ranks = golden_tok.llama3(os.path.join(a.vocabs, "llama_models/llama3/tokenizer.model"))
    path = os.path.join(tmp, "llama3.gguf")
    golden_tok.write_gguf(path, "gpt2", "llama-bpe", vocab["tokens"], vocab["types"], merges=vocab["merges"], bos_token_id=128000, eos_token_id=128009)
    whet = golden_tok.Whet(path)
    special = {t: len(ranks) + i for i, t in enumerate(vocab["tokens"][len(ranks):])}
    tt = tiktoken.Encoding("llama3", pat_str=golden_tok.LLAMA3, mergeable_ranks=ranks, special_tokens=special)
    name = "Llama 3 (RLHFlow)"
    both = lambda text: (tt.encode(text, allowed_special="all"), whet.encode(text, SPECIAL))
    row(name, 'encode("+"), good', [10], *both("+"))
    row(name, 'encode("-"), bad', [12], *both("-"))
    row(name, "the place-holder of the official code", [128002], *both("<|reserved_special_token_0|>"))
    row(name, "an assistant's turn: header, \\n\\n, +, end", [128006, 78191, 128007, 271, 10, 128009],
        *both("<|start_header_id|>assistant<|end_header_id|>\n\n+<|eot_id|>"))
    row(name, "BOS", [128000], *both("<|begin_of_text|>"))

    path = os.path.join(a.models, "coder1.5b.gguf")
    qwen, whet = golden_tok.read_gguf(path), golden_tok.Whet(path)
    hf = golden_tok.hf_bpe(qwen["tokens"], qwen["types"], qwen["merges"], "qwen2", True)
    name = "Qwen2.5 (Skywork, Qwen2.5-Math-PRM)"
    both = lambda text: (hf.encode(text, add_special_tokens=False).ids, whet.encode(text, SPECIAL))
    row(name, 'encode("\\n"), the step end of Skywork', [198], *both("\n"))
    row(name, "BOS of Skywork, <\\|endoftext\\|>", [151643], *both("<|endoftext|>"))
    row(name, "<\\|im_start\\|>, <\\|im_end\\|>", [151644, 151645], *both("<|im_start|><|im_end|>"))
    row(name, "<\\|vision_start\\|>, Skywork's place-holder", [151652], *both("<|vision_start|>"))
    row(name, "151651, which Qwen2.5-Math-PRM renames to <extra_0>: here " + qwen["tokens"][151651].replace("|", "\\|"), [151651], *both(qwen["tokens"][151651]))
    row(name, 'encode("\\n\\n")', [271], *both("\n\n"))
    row(name, 'encode("Yes"), encode("No"), for the judge', [9454, 2753], *(x + y for x, y in zip(both("Yes"), both("No"))))

    print("# Token ids of the process reward models\n\n"
          "Made by `tools/prm_tokens.py`. Reference: sentencepiece on the tokenizer of `mistral-common`, tiktoken on that of\n"
          "`llama-models`, Hugging Face tokenizers on the vocabulary of Qwen2.5-Coder.\n\n"
          "| vocabulary | what | expected | reference | Whet | same |\n|---|---|---|---|---|---|")
    for r in rows:
        print("| " + " | ".join(str(x) for x in r) + " |")
    print(f"\nTokens of Mistral v0.1 that hold a line break, or a space behind another character: {len(spanning)}. So the pieces of a\n"
          "Math-Shepherd text can be encoded one by one (`src/reward/prm_math_shepherd.c`).")
    print(f"\n{sum(r[-1] == 'yes' for r in rows)} of {len(rows)} agree.")


if __name__ == "__main__":
    main()
