# whet report: journals side by side. What it says is checked on journals that are kept as text (golden/report), so that it
# does not depend on the engine; runs made here are compared with one another alone. The kept ones came from
#   whet eval --policy golden/markov_steps.gguf [--prm golden/prm/qwen.gguf] --max-tokens 60 --data set.jsonl ...
#   zstdcat JOURNAL | sed 's/"ids":\[[^]]*\],//; s/"seconds":[0-9.e-]*/"seconds":1.5/'
. "$(dirname "$0")/lib"
awk 'BEGIN { for (i = 1; i <= 12; i++) printf "{\"question\": \"What is %d + %d%s\", \"answer\": \"%d\"}\n", i % 3, i % 2, (i > 8) ? "? Say <b>&\\\"" i "\\\"</b>." : "?", 1 + i % 3 }' >set.jsonl
frame() { zstd -q --stream-size="$(wc -c <"$1")" <"$1"; }
while read -r journal file; do frame "$golden/report/$file.jsonl" >"$journal"; done <<'END'
cot cot
bon best_of_n
beam4 beam4
beam8 beam8
hf beam_hf
set set
adaptive adaptive
END

check report cot bon beam8 beam4 hf >text
cat text
awk 'length > 80 { print "too long: " $0 }' text
check report bon beam4 --markdown | head -n 24
check report bon --csv
check report cot beam4 bon --vote prm_max --aggregate min | sed -n '/by every/q;p'
check report cot beam4 --reference bon | sed -n '/difficulty/,/right/p'

zstdcat bon | sed '1s/\("name":"markov_steps.gguf","sha256":"\)..../\1ffff/' >lines && frame lines >other
check report bon other | sed -n '/^By diff/,/right/p'
check report set adaptive bon | sed -n '/^Budgets/,/its own/p'
note two processes, a shard each: the report of the whole, but for prefixes that only one of them had to compute
e() { "$whet" eval --policy "$golden/markov_steps.gguf" --prm "$golden/prm/qwen.gguf" --data set.jsonl --max-tokens 60 "$@" >/dev/null 2>&1 || echo "eval $*: exit $?"; }
e --n 4 --shard 1/2 --journal part1 &
e --n 4 --shard 2/2 --journal part2
wait
e --n 4 --journal whole
results() { "$whet" report --csv "$@" | sed 's/^"[^"]*"\|^[^,]*//' | cut -d, -f2-14,17-20; }
results whole >one
wc -l <one
results part2 part1 | cmp - one && echo "the same"
check report part1 --csv >/dev/null
note a row says what eval says
compare() { # flags of eval
    rm -f live
    for again in 1 2; do
        "$whet" eval --policy "$golden/markov_steps.gguf" --prm "$golden/prm/qwen.gguf" --data set.jsonl --max-tokens 60 --journal live --json "$@" \
            2>/dev/null >said
    done
    "$whet" report live --csv >reported
    python3 compare.py
}
cat >compare.py <<'PY'
import csv, json
said, rows = json.load(open("said")), list(csv.DictReader(open("reported")))
for r in rows:
    level = said["by_vote"][r["vote"]][0]
    assert all(abs(float(r[k]) - level[k]) < 1e-6 for k in ("correct", "accuracy", "low", "high", "pass")), r
r = [r for r in rows if r["chosen"] == "1"][0]
f, p = said["flops"], said["predicted"]
print(r["vote"] == said["vote"], [int(r[k]) for k in ("flops_policy", "flops_prm", "flops_speculative", "tokens")] ==
      [f["policy"], f["prm"], f.get("speculative", 0), said["tokens"]])
print(all(abs(float(r["predicted_" + k] or 0) - p[k]) <= 1 for k in ("policy", "prm")))
PY
compare --strategy beam --depth 5 --n 4 --speculate
compare --budget 60M
compare --budget-total 300M

note a page that needs nothing else
check report cot bon beam4 beam8 adaptive set -o page.html --data set.jsonl
grep -o '[a-z]*://[^" ]*\|<script\|<link\|@import\|url(' page.html
grep -c '&lt;b&gt;&amp;&quot;' page.html
grep -o '<svg class="chart [a-z]*"' page.html
cat >well.py <<'PY'
import re
from html.parser import HTMLParser
open_tags, seen, bad = [], {}, []
class Check(HTMLParser):
    def handle_starttag(self, tag, attributes):
        seen[tag] = seen.get(tag, 0) + 1
        if tag not in ("meta", "br"): open_tags.append(tag)
    def handle_startendtag(self, tag, attributes): seen[tag] = seen.get(tag, 0) + 1
    def handle_endtag(self, tag):
        if not open_tags or open_tags.pop() != tag: bad.append((tag, self.getpos()))
page = open("page.html", encoding="utf-8").read()
check = Check()
check.feed(page)
check.close()
print("well-formed", not bad and not open_tags, bad[:3], open_tags[:3])
print(re.findall(r'"[^"]*\b(?:nan|inf)\b[^"]*"', page))
print(seen["svg"] > 2, seen["circle"] > 4, seen["table"] > 4)
PY
python3 well.py
printf 'policy,budget,accuracy,low,high,flops\nadaptive,1e7,0.3,0.2,0.4,9e6\nadaptive,2e7,0.4,0.3,0.5,1.9e7\n' >replay.csv
check report cot bon -o page.html --replay replay.csv
python3 well.py
grep -o 'adaptive, replayed: [^<]*' page.html | head -n 2
"$whet" bank bon -o bank >/dev/null 2>&1
"$whet" replay --bank bank --orders 16 --bootstrap 200 --policy 'adaptive fixed:n=2' --budget 1x,2x --json >replay.jsonl 2>/dev/null
check report cot bon -o page.html --replay replay.jsonl
grep -o '\(adaptive\|fixed:n=2\), replayed: [^<]*' page.html | sed 's/:[^:]*$//' | sort | uniq -c
check report cot -o page.html
python3 well.py

note journals that are none, broken, or do not fit together
check report
check report none
check report set.jsonl
check report cot bon bon
check report part1 whole
head -c "$(($(wc -c <whole) / 2))" whole >torn
check report torn --csv 2>&1 | sed 's/torn: [0-9]* bytes/torn: K bytes/' | cut -c1-60 | head -n 3
cp whole damaged
printf '\377\377\377' | dd of=damaged bs=1 seek=$(($(wc -c <whole) / 2)) conv=notrunc 2>/dev/null
check report damaged 2>&1 | sed 's/bytes [0-9]* to [0-9]*/bytes A to B/'
edit() { zstdcat bon | sed "$1" >lines && frame lines >edited; }
edit '1s/"strategy":"best_of_n",//'
check report edited
edit '1!d'
check report edited
edit 's/"correct":\[[a-z,]*\]/"correct":[]/'
check report edited
edit 's/"record":"sample"/"record":"other"/'
check report edited
edit '1s/"seed":0/"seed":1/; s/"problem_sha256":"../"problem_sha256":"zz/'
check report bon edited
edit '1s/"strategy":"best_of_n","n":4/"strategy":"<unknown>"/'
check report edited | head -n 5
for csv in '' 'policy,budget' 'policy,budget,accuracy,low,high,flops' 'policy,budget,accuracy,low,high,flops\na,1,2' \
    'policy,budget,accuracy,low,high,flops\na,1,x,0,1,5' 'policy,budget,accuracy,low,high,flops\na,1,0.5,0.6,1,5' \
    'policy,budget,accuracy,low,high,flops\na,1,0.5,0.4,nan,5'; do
    printf "$csv" >broken.csv
    check report cot -o p.html --replay broken.csv
done
check report cot --replay replay.csv
check report cot --vote best
check report cot -o none/p.html 2>&1 | sed 's/tmp[0-9]*/tmpN/'
check report cot -o p.html --data none
finish
