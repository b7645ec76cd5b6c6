# Model files that are broken: a sentence and an exit status, from every command that reads them.
. "$(dirname "$0")/lib"
good=$golden/markov.gguf
size=$(wc -c <"$good")
printf 'hello\n' >text

every() { # FILE
    for words in info "tokenize text --policy" "solve x --policy" "run x --policy" "perplexity text --policy" "bench --policy"; do
        "$whet" $words "$1" >out 2>err
        status=$?
        [ $status -ge 3 ] && [ $status -le 6 ] && [ "$(wc -l <err)" -eq 1 ] && continue
        # info tells about a file that cannot be run, tokenize needs the vocabulary alone
        case $words in info | tokenize*) [ $status -eq 0 ] && continue ;; esac
        echo "whet $words: exit $status"
        cat err
    done
    checks=$((checks + 1))
    sed 's/^whet: [^:]*: /  /; s/^whet: /  /' err
}

patch() { # OFFSET BYTES: a copy of the good file with these bytes (printf escapes) there
    cp "$good" bad.gguf
    printf "$2" | dd of=bad.gguf bs=1 seek="$1" conv=notrunc 2>/dev/null
    every bad.gguf
}

# Where a text stands in the good file, counted from 0.
find_text() { grep -abo -- "$1" "$good" | head -n 1 | cut -d: -f1; }

note cut short
for n in 0 1 3 4 8 20 24 60 1000 20000 $((size / 2)) $((size - 1)); do
    head -c "$n" "$good" >bad.gguf
    every bad.gguf
done
note the header
patch 0 'GGUX'
patch 4 '\001\000\000\000'
patch 4 '\377\000\000\000'
patch 4 '\000\000\000\003'
patch 8 '\377\377\377\377\377\377\377\377'
patch 8 '\000\000\000\000\000\000\000\000'
patch 16 '\377\377\377\377\377\377\377\377'
patch 16 '\000\000\000\000\000\000\000\000'
patch 24 '\377\377\377\377\377\377\377\177'
note keys
at=$(find_text 'llama.block_count')
patch "$at" 'xxxxx'
patch $((at + 17)) '\377'
patch $((at + 17)) '\010'
patch $((at + 21)) '\000\000\000\000'
patch $((at + 21)) '\377\377\377\377'
patch $((at + 21)) '\002'
at=$(find_text 'llama.embedding_length')
patch $((at + 26)) '\000\000\000\000'
patch $((at + 26)) '\037\000\000\000'
patch $((at + 26)) '\100\000\000\000'
at=$(find_text 'llama.attention.head_count')
patch $((at + 30)) '\000\000\000\000'
patch $((at + 30)) '\003\000\000\000'
at=$(find_text 'llama.context_length')
patch $((at + 24)) '\000\000\000\000'
at=$(find_text 'tokenizer.ggml.tokens')
patch $((at + 29)) '\377\377\377\377\377\377\377\177'
patch $((at + 25)) '\005'
at=$(find_text 'general.architecture')
patch $((at + 32)) 'mamba'
note tensors
at=$(find_text 'blk.0.attn_q.weight')
patch "$at" 'blk.0.attn_X'
patch $((at + 19)) '\011\000\000\000'
patch $((at + 23)) '\377\377\377\377\377\377\377\377'
patch $((at + 23)) '\000\000\000\000\000\000\000\000'
patch $((at + 23)) '\100\000\000\000\000\000\000\000'
patch $((at + 39)) '\377\000\000\000'
patch $((at + 39)) '\012\000\000\000'
patch $((at + 43)) '\001\000\000\000\000\000\000\000'
patch $((at + 43)) '\377\377\377\377\377\377\377\377'
patch $((at + 43)) '\000\000\000\000\000\000\000\000'
note no files at all
every "$tmp"
every /dev/null
every none.gguf
finish
