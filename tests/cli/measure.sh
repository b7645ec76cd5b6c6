# whet perplexity and bench. In the model of tools/golden_markov.py " of" follows " the" with chance 0.6, " the"
# follows " of" with 0.7. Of a text of nothing else a window of 64 scores 16 of the one and 15 of the other:
# a perplexity of (0.6^16 * 0.7^15)^(-1/31) = 1.547.
. "$(dirname "$0")/lib"
m="--policy $golden/markov.gguf"
awk 'BEGIN { for (i = 0; i < 100; i++) printf " the of" }' >text
check perplexity $m --ctx 64 text
check perplexity $m --ctx 64 --windows 2 --json - <text
check perplexity $m --ctx 64 --cpu-mask c --threads 3 text
note too short, too long, empty
check perplexity $m --ctx 128 text
check perplexity $m --ctx 1024 text
check perplexity $m --ctx 64 - </dev/null
note bench
"$whet" bench $m --batch 1,3 --prompt 16 --generate 4 --json | python3 -c '
import json, sys
o = json.load(sys.stdin)
print(sorted(o), sorted(o["prefill"]), o["prefill"]["tokens"], o["prefill"]["tps"] > 0)
for d in o["decode"]: print(d["batch"], sorted(d), d["tps"] > 0, d["gbps"] > 0)'
check bench $m --prompt 600
finish
