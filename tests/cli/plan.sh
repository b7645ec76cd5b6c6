# Banks and simulations on them: whet bank, whet replay.
. "$(dirname "$0")/lib"
m="--policy $golden/markov.gguf"
awk 'BEGIN { for (i = 1; i <= 40; i++) printf "{\"question\": \"What is %d + %d?\", \"answer\": \"%d\"}\n", i % 3, i % 2, 1 + i % 3 }' >set.jsonl
"$whet" eval $m --data set.jsonl --n 8 --journal j >/dev/null 2>&1
note a bank of a journal
check bank j -o b
zstdcat b | head -n 2 | cut -c1-400 | sed 's/"sha256":"[0-9a-f]*"/"sha256":"S"/g; s/"data":\["[0-9a-f]*"\]/"data":["S"]/'
check bank j
check bank -o c
check bank j j -o c
check bank set.jsonl -o c
check bank none -o c
note policies on it
check replay --bank b --orders 16 --bootstrap 200 --budget 1x,4x,none --policy 'adaptive fixed:n=2' 2>err
sed 's/ in [0-9.]* s/ in S s/' err
"$whet" replay --bank b --orders 16 --bootstrap 200 --budget 2x --policy set --json 2>/dev/null | python3 -c '
import json, sys
rows = [json.loads(l) for l in sys.stdin]
print(sorted(rows[0]), sorted(rows[1]))
print("within the budget", 0.97 * rows[0]["budget"] < rows[0]["flops"] <= rows[0]["budget"] or rows[0]["stops"])'
"$whet" replay --bank b --orders 16 --bootstrap 200 >one 2>/dev/null
"$whet" replay --bank b --orders 16 --bootstrap 200 >two 2>/dev/null
cmp one two && echo "the same again"
note nonsense
check replay
check replay --bank j
check replay --bank b --policy nice
check replay --bank b --policy fixed:m=1
check replay --bank b --policy set --budget none
check replay --bank b --budget 0x
check replay --bank b --vote prm_vote
check replay --bank b --profile set.jsonl
finish
