# whet answer: needs no model.
. "$(dirname "$0")/lib"
check answer equal 1/2 0.5
check answer equal 0.5 1/3
check answer equal '\frac{1}{2}' 'so the answer is \boxed{\dfrac12}.'
check answer equal -1 -x
check answer equal -1 -1
check answer equal '#### 1,234' '$1234'
check answer equal --json 2 3
check answer equal '' ''
check answer extract --json - <<'T'
First \boxed{41}, no: \boxed{\frac{1}{2}} it is.
T
printf 'The answer is 42.\n' >text
check answer extract text
check answer extract <text
printf 'I do not know.\n' | check answer extract
printf 'I do not know.\n' | check answer extract --json
cat >pairs <<'J'
{"gold": "1/2", "pred": "0.5"}

{"gold": "x+1", "pred": "2"}
{"gold": "\\boxed{7}", "pred": "the answer is 7"}
J
check answer equal --batch pairs
check answer equal --json --batch - <pairs
printf '{"gold": "1"}\n' >broken
check answer equal --batch broken
printf '{"gold": "1", "pred": "1"}\n{"gold": \n' >broken
check answer equal --batch broken
printf '{"gold": 1, "pred": "1"}\n' >broken
check answer equal --batch broken
note wrong use
check answer
check answer equal 1
check answer equal 1 2 3
check answer equal 1 2 --batch pairs
check answer extract --batch pairs
check answer extract a b
check answer extrcat
check answer quux
check answer extract none
check answer equal --batch none
note hostile
awk 'BEGIN { for (i = 0; i < 200000; i++) printf "\\frac{" }' >deep
check answer extract deep
"$whet" answer equal 1 "$(head -c 100000 deep)"
echo "[exit $?]"
finish
