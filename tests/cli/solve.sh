# whet solve and run on a model whose behaviour is known (tools/golden_markov.py): it boxes 3 with chance
# 1/2, 1 and 2 with 1/5, 4 and 40 with 1/20.
. "$(dirname "$0")/lib"
m="--policy $golden/markov.gguf"
check solve $m 'What is 1 + 2?'
check solve $m --n 4 --seed 5 'What is 1 + 2?'
check solve $m --strategy majority --n 2 --temperature 0 'What is 1 + 2?'
check solve $m --strategy cot 'What is 1 + 2?'
check solve $m --strategy cot --json 'What is 1 + 2?'
check solve $m --n 3 --json --top-k 4 --top-p 0.9 --min-p 0.1 'What is 1 + 2?'
echo 'What is 1 + 2?' | check solve $m --n 1 -
check solve $m --n 4 --max-tokens 3 'What is 1 + 2?'

note samples do not depend on how many there are, nor on threads, batches, memory or instruction sets
samples() { "$whet" solve $m --json "$@" 'What is 1 + 2?' | python3 -c '
import json, sys
o = json.load(sys.stdin)
for s in o["samples"][:3]: print(s["index"], s["text"], s["tokens"], s["stop"])'; }
samples --n 16 >first
cat first
for words in '--n 3' '--n 64 --batch 5' '--n 16 --threads 1' '--n 16 --threads 3' '--n 16 --cpu-mask c' '--n 16 --threads 2 --memory 4M'; do
    samples $words >other
    cmp first other && echo "$words: the same"
done

note limits
long=$(awk 'BEGIN { for (i = 0; i < 600; i++) printf "word " }')
"$whet" solve $m "$long"
echo "[exit $?]"
"$whet" solve $m --memory 1K 'What is 1 + 2?' 2>&1 | sed 's/[0-9][0-9]* MiB/M MiB/g'
check solve --policy "$golden/tok_qwen2.gguf" 'What is 1 + 2?'
check solve --policy "$golden/model/qwen2.gguf" 'What is 1 + 2?'

note plain generation
check run $m --temperature 0 'Say something'
check run $m --temperature 0 --stop b 'Say something'
check run $m --temperature 0 --max-tokens 2 'Say something'
check run $m --temperature 0 --json 'Say something'
check run $m --raw 'the'
check run $m --raw ''
check run $m ' '
"$whet" run $m "$long"
echo "[exit $?]"
note output that cannot be written
"$whet" solve $m 'What is 1 + 2?' >/dev/full
echo "[exit $?]"
finish
