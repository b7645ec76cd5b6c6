# Nonsense on the command line: a sentence and exit status 2, whatever the command.
. "$(dirname "$0")/lib"
m=$golden/markov.gguf
check solve
check solve one two
check solve --tempreature 1 x
check solve --n
check solve --n 0 x
check solve --n 1.5 x
check solve --n=-1 x
check solve --temperature hot x
check solve --temperature nan x
check solve --top-p 1.5 x
check solve --seed 99999999999999999999 x
check solve --memory 12Q x
check solve --threads 1000000 x
check solve --json=yes x
check solve -nn 4 x
check solve --strategy majorty x
check solve --strategy quux x
check solve --strategy cot --n 4 x
check solve --policy "$m" --cpu-mask avx9000 x
check solve ''
check solve '   '
check solve --policy no-such-model x
check solve --policy ./no-such-file.gguf x
check solve --policy "$tmp" x
check solve x
check eval
check eval --data "$tmp/none.jsonl"
check eval x
check bench --batch 1,,2
check bench --batch 0
check perplexity
check perplexity --ctx 4 x
check run
check run --raw --system x y
check tokenize
check info a b
check pull a b
check cpu --cpu-mask quux
finish
