#!/bin/sh
# Run the tests that were built under $1 and count them; the last line is "N passed, N failed".
#   tests/run.sh BUILD [unit]      unit: only the unit tests and kernel checks
# $RUN: a program that runs the binaries (qemu for a cross build).
set -u
build=$1
what=${2:-all}
passed=0
failed=0
log=$build/test.log
: >"$log"

# A test program passes as a whole; cmocka's own count of its cases is added up.
run() { # name command...
    name=$1
    shift
    out=$("$@" 2>&1)
    status=$?
    printf '%s\n%s\n' "== $name (exit $status)" "$out" >>"$log"
    ok=$(printf '%s\n' "$out" | grep -c '^\[       OK \]')
    bad=$(printf '%s\n' "$out" | grep -c '^\[  FAILED  \] [a-z_0-9]*$')
    if [ $status -eq 0 ]; then
        [ "$ok" -eq 0 ] && ok=1
        passed=$((passed + ok))
        echo "ok    $name ($ok)"
    else
        [ "$bad" -eq 0 ] && bad=1
        passed=$((passed + ok))
        failed=$((failed + bad))
        echo "FAIL  $name (exit $status)"
        printf '%s\n' "$out" | tail -n 40
    fi
}

for t in "$build"/test_*; do
    [ -x "$t" ] && [ -f "$t" ] && run "$(basename "$t")" ${RUN:-} "$t"
done
[ -x "$build/checkasm" ] && run checkasm ${RUN:-} "$build/checkasm"
if [ "$what" = all ]; then
    for t in tests/cli/*.sh; do
        [ -f "$t" ] && run "$(basename "$t")" sh "$t" "$build/whet"
    done
fi
echo "log: $log"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
