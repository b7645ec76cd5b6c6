# Banks and simulations on them: whet bank, whet replay.
. "$(dirname "$0")/lib"
m="--policy $golden/markov.gguf"
awk 'BEGIN { for (i = 1; i <= 40; i++) printf "{\"question\": \"What is %d + %d?\", \"answer\": \"%d\"}\n", i % 3, i % 2, 1 + i % 3 }' >set.jsonl
"$whet" eval $m --data set.jsonl --n 8 --journal j >/dev/null 2>&1
note a bank of a journal
check bank j -o b
zstdcat b | head -n 2 | cut -c1-400 | sed 's/"sha256":"[0-9a-f]*"/"sha256":"S"/g; s/"data":\["[0-9a-f]*"\]/"data":["S"]/'
check bank j --samples-per-problem 3 -o few
zstdcat few | sed -n 2p | cut -c1-400 | sed 's/"sha256":"[0-9a-f]*"/"sha256":"S"/'
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
note a profile, and what it is good for
check calibrate --bank b --orders 4 -o p.json
check calibrate --bank b --profile p.json
check calibrate $m --data set.jsonl --limit 25 --samples 4 --journal cal --orders 4 -o q.json 2>/dev/null
"$whet" calibrate $m --data set.jsonl --limit 25 --samples 4 --journal cal --orders 4 -o r.json >/dev/null 2>&1
cmp q.json r.json && echo "from the journal: the same"
check plan $m --budget 40M 'What is 1 + 1?'
check plan $m --budget 40M --profile p.json 'What is 1 + 1?'
check plan $m --budget 40M --profile p.json --json --scheduler fixed:n=3 'What is 1 + 1?'
check solve $m --budget 40M --profile p.json 'What is 1 + 1?'
sed 's/"sha256": "[0-9a-f]/"sha256": "x/' p.json >other.json
check plan $m --budget 40M --profile other.json 'What is 1 + 1?'
replay_note() { "$whet" replay --bank b --budget 2x --orders 2 --bootstrap 100 "$@" 2>&1 >/dev/null | grep fitted || echo "fits the bank"; }
replay_note --profile p.json
replay_note --profile other.json
sed 's/"prm": null/"prm": {"kind": "head"}/' p.json >scored.json
replay_note --profile scored.json # votes alone weigh no score
check calibrate --bank b --profile other.json | grep fitted
check calibrate --bank b --profile scored.json | grep fitted
check plan $m 'What is 1 + 1?'
check plan $m --time 3s 'What is 1 + 1?'
check calibrate --bank b
check calibrate -o p.json --data set.jsonl
note a profile that comes with Whet is taken by itself, where model and PRM are those that it is for
profile_of() { "$whet" solve $m --budget 40M "$@" 'What is 1 + 1?' 2>/dev/null | grep -o 'no profile: priors' || echo "a profile"; }
mkdir -p share/profiles
profile_of
cp p.json share/profiles/
profile_of
profile_of --profile none
profile_of --prm "$golden/prm/judge.gguf" --prm-kind judge
cp other.json share/profiles/p.json
profile_of
check plan $m --budget 40M --profile none 'What is 1 + 1?' | grep 'profile'
rm -r share
note nonsense
check replay
check replay --bank j
check replay --bank b --policy nice
check replay --bank b --policy fixed:m=1
check replay --bank b --policy set --budget none
check replay --bank b --budget 0x
check replay --bank b --vote prm_vote
check replay --bank b --against prm_vote
check replay --bank b --profile set.jsonl
note a head that judges problems
awk 'BEGIN { for (i = 1; i <= 40; i++) printf "{\"question\": \"%d: what is %d + %d?\", \"answer\": \"%d\"}\n", i, i % 3, i % 2, 1 + i % 3 }' >each.jsonl
"$whet" eval $m --data each.jsonl --n 8 --journal e >/dev/null 2>&1
"$whet" fit difficulty --trunk "$golden/markov.gguf" --journal e --data each.jsonl -o hard.gguf >/dev/null 2>fit.err || cat fit.err
"$whet" solve $m --budget 20M --difficulty-head hard.gguf --json 'What is 1 + 1?' | python3 -c '
import json, sys
p = json.load(sys.stdin)
plan, flops = p["plan"], p["flops"]
print("asked for little:", 0 < plan["difficulty"] < 0.02 * 16 * plan["samples"] / p["n"], "in the budget:", abs(plan["spent"] - flops["total"]) < 1, "of it the prompt:", plan["prompt"] + plan["difficulty"] + plan["samples"] <= plan["spent"] * 1.001)'
"$whet" eval $m --data set.jsonl --limit 12 --budget 20M --difficulty-head hard.gguf --journal judged >/dev/null 2>&1
zstdcat judged | grep '"record":"problem"' | grep -c '"prompt_pass":0\.'
check solve $m --budget 20M --difficulty-head j 'What is 1 + 1?'
note one problem under a budget
check solve $m --budget 20M 'What is 1 + 1?'
check solve $m --budget 4M --json 'What is 1 + 1?' | sed 's/"text":"[^"]*"/"text":T/g'
check solve $m --budget 1M 'What is 1 + 1?'
check solve $m --tokens 40 --scheduler fixed:n=9 'What is 1 + 1?'
check solve $m --budget 20M --strategy majority --n 3 'What is 1 + 1?'
check solve $m --budget 20M --prm-kind judge --prm "$golden/markov.gguf" --strategy beam --n 4 'What is 1 + 1?'
check solve $m --scheduler calibrated --profile missing.json 'What is 1 + 1?'
for words in '--time 0' '--time soon' '--budget-total 1T' '--scheduler set' '--scheduler nice' '--budget 1Z' '--profile b' '--budget -1'; do
    check solve $m $words 'What is 1 + 1?'
done
note under a PRM
p="--policy $golden/markov_steps.gguf --prm $golden/prm/qwen.gguf --max-tokens 200"
check solve $p --budget 500M 'What is 1 + 2?'
check solve $p --budget 500M --scheduler paper 'What is 1 + 2?'
rows=$(for bin in easy medium hard; do printf '{"bin":"%s","strategy":"beam","n":4,"accuracy":0.9,"flops":5},' $bin; done)
echo '{"profile":"whet","version":1,"votes":{"a":0.5,"b":0.8,"theta":8},"tokens":60,"rows":['"${rows%,}"']}' >beam.json
check solve $p --budget 500M --scheduler calibrated:pilot=2 --profile beam.json 'What is 1 + 2?'
check solve $p --budget 20M --strategy beam --n 8 'What is 1 + 2?'
head -n 4 each.jsonl >few.jsonl
check eval $p --data few.jsonl --budget-total 400M --journal scored
"$whet" eval $p --data few.jsonl --budget-total 400M --json 2>/dev/null | sed 's/,"flops":{.*//' >want
"$whet" eval $p --data few.jsonl --budget-total 400M --json --journal scored 2>/dev/null | sed 's/,"flops":{.*//' | cmp - want && echo "from the journal: the same"
head -c $(($(wc -c <scored) / 2)) scored >cut
"$whet" eval $p --data few.jsonl --budget-total 400M --json --journal cut 2>/dev/null | sed 's/,"flops":{.*//' | cmp - want && echo "cut: the same"
note a set under a budget
cp each.jsonl set.jsonl
check eval $m --data set.jsonl --budget 20M --json
check eval $m --data set.jsonl --budget-total 400M --journal k
"$whet" eval $m --data set.jsonl --budget-total 400M --json 2>/dev/null >want
python3 -c 'import json; print("within 1 %", abs(json.load(open("want"))["flops"]["total"] / 400e6 - 1) < 0.01)'
results() { sed 's/,"flops":{.*//'; } # FLOPs depend on what had to be read again
results <want >answers
grep -o '"samples":[0-9]*' answers
"$whet" eval $m --data set.jsonl --budget-total 400M --json --threads 1 --batch 3 2>/dev/null | results | cmp - answers && echo "other batches: the same"
whole=$(wc -c <k)
for part in 1 2 5 8 9; do
    head -c $((whole * part / 10)) k >cut
    "$whet" eval $m --data set.jsonl --budget-total 400M --json --journal cut 2>/dev/null | results | cmp - answers && echo "cut: the same"
done
"$whet" eval $m --data set.jsonl --budget-total 400M --journal killed >/dev/null 2>&1 &
pid=$!
for i in $(seq 2000); do
    [ -s killed ] && [ "$(wc -c <killed)" -gt 2000 ] && break
    sleep 0.01
done
kill -9 $pid 2>/dev/null # it may be done by then
wait $pid 2>/dev/null
"$whet" eval $m --data set.jsonl --budget-total 400M --json --journal killed 2>/dev/null | results | cmp - answers && echo "killed: the same"
for words in '--time 30s' '--energy 3' '--scheduler set' '--budget-total 1M --scheduler adaptive' '--budget-total 1M --journal k'; do
    check eval $m --data set.jsonl $words
done
note joules, of a processor made up, whose counter stands still or cannot be read
export WHET_POWERCAP="$tmp/powercap"
check solve $m --energy 1k 'What is 1 + 1?'
z=$WHET_POWERCAP/intel-rapl:0
mkdir -p "$z"
echo package-0 >"$z/name"
echo 50000000 >"$z/max_energy_range_uj"
echo 49000000 >"$z/energy_uj"
"$whet" solve $m --energy 1k 'What is 1 + 1?' | grep 'J left'
echo much >"$z/energy_uj"
check solve $m --energy 1k 'What is 1 + 1?'
finish
