# The first words between a person and whet.
. "$(dirname "$0")/lib"
check
check --version
check help
check help pull
check answer --help
check tokenize -h
check slove 'a problem'
check xyzzy
check help slove
check --verison
note output that cannot be written
"$whet" help >/dev/full
echo "[exit $?]"
"$whet" help >&-
echo "[exit $?]"
"$whet" cpu --json >/dev/full
echo "[exit $?]"
finish
