# Searches guided by a PRM: solve, eval and trace with a policy that writes in steps (tools/golden_markov.py) and PRMs
# of random weights (tools/golden_prm.py), whose scores mean nothing but are always the same.
. "$(dirname "$0")/lib"
policy="--policy $golden/markov_steps.gguf"
prm="--prm $golden/prm/qwen.gguf"
q='What is 1 + 2?'

check solve $policy $prm --n 4 "$q"
check solve $policy $prm --n 4 --vote log_odds --aggregate prod --grouping string "$q"
check solve $policy $prm --n 4 --vote log_odds --prm-calibration 0.5,-1 "$q"
check solve $policy $prm --strategy beam --n 4 --width 2 --depth 6 --show tree "$q"
check solve $policy $prm --strategy beam --n 4 --width 2 --depth 3 --json "$q"
check solve $policy --prm "$golden/prm/judge.gguf" --prm-kind judge --strategy rebase --n 4 --depth 4 "$q"
check solve $policy --prm-head "$golden/markov_head.gguf" --strategy beam --n 4 --width 2 --depth 5 --show tree --seed 2 "$q"
check solve $policy --prm-head "$golden/markov_head.gguf" --n 3 --max-tokens 60 "$q"

note every strategy: the same tree for one seed, on any threads, in any batch
# What may depend on them is left out: times, and tokens that the cache had by luck.
search() { "$whet" solve $policy $prm --n 8 --depth 5 --show tree "$@" "$q" 2>&1 | grep -v ' tokens\| by the PRM\|ahead of need'; }
for words in 'beam' 'beam --variant hf' 'dvts' 'lookahead' 'rebase' 'particle' 'mcts'; do
    search --strategy $words >first
    for other in '--threads 1' '--threads 3 --batch 3' '--speculate' '--speculate --batch 1'; do
        search --strategy $words $other | cmp - first || echo "$words $other: another tree"
    done
    search --strategy $words --seed 1 | cmp -s - first && echo "$words: the seed does nothing"
    echo "$words: $(grep -c . first) lines"
done

note a PRM that is none, or used wrongly
check solve $policy --strategy beam "$q"
check solve $policy --vote prm_vote "$q"
check solve $policy --prm-kind judge "$q"
check solve $policy --speculate "$q"
check solve $policy --prm-calibration 1,0 "$q"
check solve $policy $prm --prm-calibration 0.5 "$q"
check solve $policy $prm --prm-calibration 0,1 "$q"
check solve $policy $prm --prm-calibration 1,0,-3 "$q"
check solve $policy $prm --prm-calibration 1,0, "$q"
check solve $policy $prm --prm-calibration 1,0,nan,0 "$q"
check solve $policy $prm --vote best "$q"
check solve $policy $prm --prm-kind skywork "$q"
check solve $policy --prm "$golden/markov.gguf" "$q"
check solve $policy --prm "$golden/markov.gguf" --prm-kind judge "$q"
check solve $policy --prm "$golden/prm/judge.gguf" --prm-kind oracle "$q"
check solve $policy --prm "$golden/prm/judge.gguf" --prm-kind head "$q"
check solve $policy --prm "$golden/prm/head.gguf" "$q"
check solve $policy --prm-head "$golden/prm/head.gguf" "$q"
check solve $policy --prm-head "$golden/markov.gguf" "$q"
check solve $policy --prm none.gguf "$q"
check solve $policy $prm --strategy beam --n 4 --top "$q"
check solve $policy $prm --strategy dvts --granularity -1 "$q"

note eval
awk 'BEGIN { for (i = 1; i <= 20; i++) printf "{\"question\": \"What is %d + %d?\", \"answer\": \"%d\"}\n", i % 3, i % 2, 1 + i % 3 }' >set.jsonl
check eval $policy $prm --data set.jsonl --n 8 --depth 5 --strategy beam
check eval $policy $prm --data set.jsonl --n 4 --vote majority
check eval $policy $prm --data set.jsonl --n 2 --json
check eval $policy --prm-head "$golden/markov_head.gguf" --data set.jsonl --n 4 --strategy dvts --depth 8
note from a journal: the same votes, scores and FLOPs
e() { "$whet" eval $policy $prm --data set.jsonl --strategy dvts --n 8 --depth 5 "$@" 2>/dev/null | sed 's/"seconds":[^,]*/"seconds":S/'; }
e --json --journal j >whole
e --json --journal j | cmp - whole && echo "all of it: the same"
head -c "$(($(wc -c <j) / 2))" j >half
e --json --journal half | sed 's/"tokens".*//' >after
sed 's/"tokens".*//' whole | cmp - after && echo "half of it: the same"
check eval $policy --prm "$golden/prm/skywork.gguf" --data set.jsonl --strategy dvts --n 8 --depth 5 --journal j 2>&1 | sed 's/prm[.a-z0-9]* "[^,]*, not "[^;]*;/prm "...", not "...";/'
check eval $policy --data set.jsonl --strategy majority --n 8 --journal j

note traces
"$whet" solve $policy $prm --strategy beam --n 4 --width 2 --depth 6 --trace t.jsonl "$q" >/dev/null
python3 -c '
import json
events = [json.loads(l) for l in open("t.jsonl")]
kinds = [e["event"] for e in events]
print(kinds[0], kinds[-1], sorted(set(kinds)))
steps = {e["node"]: e for e in events if e["event"] == "step"}
done = events[-1]
print(all(s["parent"] == 0 or s["parent"] in steps for s in steps.values()), len(steps) == len(done["nodes"]))
last = {}
for e in events:
    if e["event"] == "score": last[e["node"]] = e["scores"]
print(all(n["scores"] == last.get(n["node"], n["scores"]) for n in done["nodes"]))
print(sorted(k for k in done if k != "event"))'
check trace t.jsonl -o t.html
check trace t.jsonl >same.html
sed 1d same.html | cmp - t.html
# nothing but itself: the one address is the name of SVG
grep -o '[a-z]*://[^" ]*' t.html
grep -c '<script' t.html
printf '%s\n' '{"event": "start", "question": "</script><b>"}' >t2.jsonl
check trace t2.jsonl | grep -c '</script><b>'
for broken in '' 'x' '{"event": "step"}' '[1]' '{"event": 1}'; do
    printf '%s\n' "$broken" >broken.jsonl
    check trace broken.jsonl
done
check trace none.jsonl
check trace t.jsonl -o none/t.html 2>&1 | sed 's/tmp[0-9]*/tmpN/'
check trace
check solve $policy --n 1 --trace none/t.jsonl "$q"
check solve $policy --n 1 --trace /dev/full "$q" | tail -n 2
finish
