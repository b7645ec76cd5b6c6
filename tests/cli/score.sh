# whet score, on the tiny process reward models of tools/golden_prm.py.
. "$(dirname "$0")/lib"
g=$golden/prm
cat >two.jsonl <<'END'
{"problem": "What is 2+2?", "steps": ["2+2 = 4.", "The answer is 4"]}

{"question": "Add.", "solution": "First.\n\n\n\nSecond\nline.\n\nThird."}
END
for m in math_shepherd skywork qwen; do
    check score --prm "$g/$m.gguf" --data two.jsonl
done
check score --prm "$g/rlhflow.gguf" --kind rlhflow-mistral --data two.jsonl
check score --prm "$g/judge.gguf" --kind judge <two.jsonl
check score --prm "$g/judge.gguf" --head "$g/head.gguf" --batch 1 <two.jsonl
check score --prm "$g/skywork.gguf" --calibration 0.5,-1 --data two.jsonl
note evidence counts: one equation holds, the next fails, and a number is left out
echo '{"problem": "What is 2+2, and 3 times that?", "steps": ["2 + 2 = 4", "2 * 4 = 9", "The answer is 9"]}' >sums.jsonl
check score --prm "$g/skywork.gguf" --data sums.jsonl
check score --prm "$g/skywork.gguf" --calibration 1,0,-3,1 --data sums.jsonl
check score --prm "$g/skywork.gguf" --calibration 1,0,-3,1,-2 --data sums.jsonl
note a context that is too small: for some steps, and for all
check score --prm "$g/skywork.gguf" --context 24 --data two.jsonl
check score --prm "$g/skywork.gguf" --context 4 --data two.jsonl
note wrong use
check score
check score --prm "$g/judge.gguf" --data two.jsonl
check score --prm "$g/skywork.gguf" --kind qwen --data two.jsonl
check score --prm "$g/skywork.gguf" --kind quen --data two.jsonl
check score --prm "$g/head.gguf" --data two.jsonl
check score --prm "$g/rlhflow.gguf" --head "$g/head.gguf" --data two.jsonl
check score --prm none.gguf --data two.jsonl
check score --prm "$g/skywork.gguf" --data none.jsonl
note wrong data
for line in '' 'x' '{"steps": ["a"]}' '{"problem": 3, "steps": ["a"]}' '{"problem": "q"}' '{"problem": "q", "steps": []}' \
    '{"problem": "q", "steps": ["a", " "]}' '{"problem": "q", "steps": ["a", 2]}' '{"problem": "q", "solution": "\n\n \n"}'; do
    printf '%s\n' "$line" >bad.jsonl
    check score --prm "$g/skywork.gguf" --data bad.jsonl
done
note what info says of such files
for m in math_shepherd skywork qwen judge head; do
    check info "$g/$m.gguf" | grep 'PRM\|whet info'
done
finish
