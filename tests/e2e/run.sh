#!/bin/sh
# The promises of the README on real weights: what depends on nothing, what survives a kill, what is solved.
#   tests/e2e/run.sh WHET        needs the default model (fetches it)
set -u
whet=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0
failed=0
problem="Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did Natalia sell altogether in April and May?"

check() { # name condition...
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name"
    fi
}

first_text() { # options...: the text of sample 0
    "$whet" solve --json --seed 3 --max-tokens 120 "$@" "$problem" 2>/dev/null |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["samples"][0]["text"])'
}

same_text() { # options...
    first_text "$@" >"$dir/text"
    cmp -s "$dir/text" "$dir/base"
}

solves() {
    [ "$("$whet" solve --seed 1 --n 8 "$problem" 2>/dev/null | head -n 1)" = 72 ]
}

# Three problems, cut off by SIGKILL again and again, end as an undisturbed run does.
survives_kills() {
    python3 - "$dir/set.jsonl" <<'PY'
import json, sys
rows = [("A pen costs 3 dollars and a book costs twice as much. What do 4 books cost?", "24"),
        ("Tom has 12 apples and gives away a third. How many are left?", "8"),
        ("A train goes 60 km in an hour. How far does it go in 3 hours?", "180")]
with open(sys.argv[1], "w") as f:
    for q, a in rows:
        f.write(json.dumps({"question": q, "answer": a}) + "\n")
PY
    options="--data $dir/set.jsonl --strategy majority --n 4 --max-tokens 150 --seed 2 --batch 4"
    "$whet" eval $options --journal "$dir/whole" >"$dir/whole.out" 2>/dev/null </dev/null || return 1
    for delay in 2 3 4; do
        timeout -s KILL $delay "$whet" eval $options --journal "$dir/cut" >/dev/null 2>&1 </dev/null
    done
    "$whet" eval $options --json --journal "$dir/cut" >"$dir/cut.json" 2>/dev/null </dev/null || return 1
    "$whet" eval $options --json --journal "$dir/whole" >"$dir/whole.json" 2>/dev/null </dev/null || return 1
    python3 - "$dir/cut.json" "$dir/whole.json" <<'PY'
import json, sys
def strip(x):  # times differ, and so does what was computed again
    if isinstance(x, dict):
        return {k: strip(v) for k, v in x.items() if k not in ("seconds", "tokens_per_second", "flops", "predicted", "ledger", "journal")}
    return [strip(v) for v in x] if isinstance(x, list) else x
a, b = (strip(json.load(open(p))) for p in sys.argv[1:])
if a != b:
    print(a, b, sep="\n")
sys.exit(a != b)
PY
}

"$whet" pull >"$dir/pull.log" 2>&1 || cat "$dir/pull.log"
first_text --n 1 >"$dir/base"
check "a sample has text" test -s "$dir/base"
check "the same with --n 4" same_text --n 4
check "the same with --n 4 in batches of 2" same_text --n 4 --batch 2
check "the same with one thread" same_text --n 1 --threads 1
check "the same with three threads" same_text --n 1 --threads 3
if [ "$(uname -m)" = x86_64 ] && "$whet" cpu --cpu-mask avx2 >/dev/null 2>&1; then
    check "the same on AVX2" same_text --n 1 --cpu-mask avx2
fi
check "eight samples solve a problem" solves
check "a run that is killed goes on" survives_kills
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
