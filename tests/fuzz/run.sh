#!/bin/sh
# Run fuzz targets from a copy of their corpora; a finding fails and is printed.
#   tests/fuzz/run.sh BUILD SECS TARGET...
set -u
build=$1
secs=$2
shift 2
passed=0
failed=0
for t in "$@"; do
    work=$build/fuzz-$t
    mkdir -p "$work"
    corpus=tests/fuzz/corpus/$t
    [ -d "$corpus" ] || corpus=
    if "$build/fuzz_$t" -max_total_time="$secs" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work" $corpus >"$work.log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    fuzz_$t: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log") runs"
    else
        failed=$((failed + 1))
        echo "FAIL  fuzz_$t"
        tail -n 40 "$work.log"
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
