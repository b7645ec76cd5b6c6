# whet pack: packed files are taken like the others, with the same results.
. "$(dirname "$0")/lib"
m=$golden/markov.gguf
check pack "$m" -o small.whet
check pack "$m" --out=small.whet.zst --zstd
check info small.whet
check info small.whet.zst
note the same texts
texts() { python3 -c 'import json, sys
for s in json.load(sys.stdin)["samples"]: print(s["text"], s["tokens"], s["stop"])'; }
"$whet" solve --policy "$m" --json --n 4 'What is 1 + 2?' | texts >first
for file in small.whet small.whet.zst; do
    "$whet" solve --policy $file --json --n 4 'What is 1 + 2?' | texts >other
    cmp first other && echo "$file: the same"
done
printf 'one two three\n' >text
for file in "$m" small.whet small.whet.zst; do check tokenize --policy "$file" text; done
note packed again
check pack small.whet.zst -o again.whet
cmp small.whet again.whet && echo the same
note rounded to int8, another file that stays what it is
check pack "$m" -o fast.whet --fast
check info fast.whet
"$whet" solve --policy fast.whet --json --n 4 'What is 1 + 2?' | texts >first
"$whet" solve --policy "$m" --fast --json --n 4 'What is 1 + 2?' | texts >other
cmp first other && echo the same
check pack fast.whet -o fast2.whet
cmp fast.whet fast2.whet && echo the same
check solve --policy small.whet --fast x
note damage
head -c 100000 small.whet >cut.whet
check solve --policy cut.whet x
head -c 10000 small.whet.zst >cut.whet.zst
check info cut.whet.zst
at=$(grep -abo 'whet.pack.version' small.whet | head -n 1 | cut -d: -f1)
cp small.whet old.whet
printf '\377' | dd of=old.whet bs=1 seek=$((at + 21)) conv=notrunc 2>/dev/null
check solve --policy old.whet x
cp small.whet.zst bad.whet.zst
printf 'XXXX' | dd of=bad.whet.zst bs=1 seek=$(($(wc -c <bad.whet.zst) / 2)) conv=notrunc 2>/dev/null
check solve --policy bad.whet.zst x
note wrong use, and places where nothing can be written
check pack "$m"
check pack -o x.whet
check pack none.gguf -o x.whet
check pack text -o x.whet
check pack "$golden/tok_qwen2.gguf" -o x.whet
"$whet" pack "$m" -o none/x.whet 2>&1 | sed 's/tmp[0-9]*/tmpN/'
check pack "$m" -o "$tmp"
ls
finish
