# whet eval and its journal, on a model whose behaviour is known (tools/golden_markov.py).
. "$(dirname "$0")/lib"
m="--policy $golden/markov.gguf"
awk 'BEGIN { for (i = 1; i <= 40; i++) printf "{\"question\": \"What is %d + %d?\", \"answer\": \"%d\"}\n", i % 3, i % 2, 1 + i % 3 }' >set.jsonl
check eval $m --data set.jsonl --n 6 --json
check eval $m --data set.jsonl --strategy cot --limit 10
note from a journal: all of it, and more of it
check eval $m --data set.jsonl --n 4 --limit 10 --journal j --json
check eval $m --data set.jsonl --n 4 --limit 10 --journal j --json
check eval $m --data set.jsonl --n 4 --limit 20 --journal j --json
zstdcat j | python3 -c '
import json, sys
lines = [json.loads(l) for l in sys.stdin]
print("header", json.dumps(lines[0]["run"]["search"]))
problems = [l for l in lines if l.get("record") == "problem"]
print(len(problems), "problems", sorted(p["line"] for p in problems) == list(range(1, 21)))
s = [l for l in lines if l.get("record") == "sample" and l["line"] == 1][0]
print({k: s[k] for k in ("text", "tokens", "stop", "answer", "correct", "ids")})'
seed=$(zstdcat j | sed -n 's/.*"line":1,.*"seed":\([0-9]*\).*/\1/p' | head -n 1)
"$whet" solve $m --n 4 --seed "$seed" --json 'What is 1 + 1?' | python3 -c '
import json, subprocess, sys
texts = [s["text"] for s in json.load(sys.stdin)["samples"]]
lines = [json.loads(l) for l in subprocess.run(["zstdcat", "j"], capture_output=True, text=True).stdout.splitlines()]
print("solve with the seed of the record: the same", texts == [l["text"] for l in lines if l.get("record") == "sample" and l["line"] == 1])'
note another run
check eval $m --data set.jsonl --n 8 --journal j
check eval $m --data set.jsonl --n 4 --seed 1 --journal j
check eval $m --data set.jsonl --n 4 --temperature 1 --journal j
check eval $m --data set.jsonl --strategy cot --journal j
head -n 39 set.jsonl >shorter.jsonl
"$whet" eval $m --data shorter.jsonl --n 4 --journal j 2>&1 | sed 's/sha256 "[^,]*, not "[^;]*;/sha256 "...", not "...";/'

note killed, and cut anywhere: the same result
wait_for() { # FILE: until it has grown to 4000 bytes
    for i in $(seq 400); do
        [ -s "$1" ] && [ "$(wc -c <"$1")" -gt 4000 ] && return
        sleep 0.05
    done
    echo "nothing in $1"
}
full() { "$whet" eval $m --data set.jsonl --n 4 --json "$@" | sed 's/"tokens.*//'; }
full >want
cut -c1-120 want
full --threads 1 --batch 3 | cmp - want && echo "other threads and batches: the same"
whole=$(wc -c <j)
for cut in 0 1 100 $((whole / 3)) $((whole / 2)) $((whole - 1)); do
    head -c "$cut" j >cut
    full --journal cut 2>/dev/null | cmp - want && echo "cut: the same"
done
for i in $(seq 50); do cat set.jsonl; done >long.jsonl
"$whet" eval $m --data long.jsonl --n 16 --journal killed >/dev/null 2>&1 &
pid=$!
wait_for killed
kill -9 $pid
wait $pid 2>/dev/null
sed -n 1,40p long.jsonl >first.jsonl
"$whet" eval $m --data long.jsonl --n 16 --limit 40 --journal killed --json 2>/dev/null | sed 's/"tokens.*//; s/long/first/' >after
cut -c1-120 after
"$whet" eval $m --data first.jsonl --n 16 --json 2>/dev/null | sed 's/"tokens.*//' | cmp - after && echo "killed: the same"
note Ctrl-C keeps what is done
"$whet" eval $m --data long.jsonl --n 16 --journal stopped >/dev/null 2>message &
pid=$!
wait_for stopped
kill -TERM $pid
wait $pid
echo "[exit $?]"
tail -n 1 message | sed 's/after [0-9]* of/after K of/'

note parts of a set, sampled by two, are what one would have sampled
check rollout $m --data set.jsonl --samples 4 --max-tokens 2048 --shard 1/2 --journal part1 --json
check rollout $m --data set.jsonl --samples 4 --max-tokens 2048 --shard 2/2 --journal part2 --limit 20 --json
check rollout $m --data set.jsonl --samples 4 --max-tokens 2048 --shard 2/2 --journal part1
check rollout $m --data set.jsonl --samples 4 --max-tokens 2048 --journal whole --json
check eval $m --data set.jsonl --n 4 --journal whole --json
samples() { zstdcat "$@" | grep '"record":"sample"' | sort; }
samples part1 | cut -d, -f2 | sort -u | wc -l
samples whole >all
samples part1 part2 | comm -13 all - | wc -l
check rollout $m --data set.jsonl
check rollout $m --data set.jsonl --journal x --shard 3/2
check rollout $m --data set.jsonl --journal x --limit 2 --shard 3/3

note journals that are none, or broken
cp set.jsonl notes
check eval $m --data set.jsonl --n 4 --journal notes
cmp set.jsonl notes
check eval $m --data set.jsonl --n 4 --journal "$tmp"
check eval $m --data set.jsonl --n 4 --journal none/j
check eval $m --data set.jsonl --n 4 --journal /dev/null
cp j damaged
printf '\377\377\377' | dd of=damaged bs=1 seek=$((whole / 2)) conv=notrunc 2>/dev/null
"$whet" eval $m --data set.jsonl --n 4 --journal damaged 2>&1 | sed 's/bytes [0-9]* to [0-9]*/bytes A to B/'
echo '{"a": 1}' | zstd -q >other
check eval $m --data set.jsonl --n 4 --journal other
note the disk is full: what was journaled stays, and the run goes on when there is room
(
    ulimit -f 8
    "$whet" eval $m --data set.jsonl --n 16 --journal small 2>&1
) | tail -n 1
[ "$(wc -c <small)" -le 8192 ] && "$whet" eval $m --data set.jsonl --n 16 --journal small --json 2>/dev/null | grep -o '"problems":40'

note problem sets that are broken
for line in '' '{' '[1]' '{"problem": "x"}' '{"answer": "1"}' '{"problem": "", "answer": "1"}' '{"problem": 1.5, "answer": {}}' \
    '{"problem": "  ", "answer": "1"}'; do
    { head -n 2 set.jsonl; echo "$line"; } >broken
    "$whet" eval $m --data broken --n 1 >/dev/null
    echo "[exit $?]"
done
: >broken
check eval $m --data broken
awk 'BEGIN { printf "{\"problem\": \""; for (i = 0; i < 600; i++) printf "word "; print "\", \"answer\": 1}" }' >broken
check eval $m --data broken
finish
