# whet tokenize, on files that hold a vocabulary and nothing else.
. "$(dirname "$0")/lib"
v=$golden/tok_qwen2.gguf
printf 'Hello, world! 12345\n\n  x = y;\tdone\n' >text
check tokenize --policy "$v" text
check tokenize --policy "$v" - <text
check tokenize --policy "$v" --json text
printf '<|im_start|>user\n' >markers
check tokenize --policy "$v" markers
check tokenize --policy "$v" --special markers
check tokenize --policy "$golden/tok_spm.gguf" text
check tokenize --policy "$golden/tok_spm.gguf" --bos text
note nothing, and what is no UTF-8
check tokenize --policy "$v" - </dev/null
printf 'a\377\300\200b' >bad
check tokenize --policy "$v" bad
note files that are not there, or no models
check tokenize --policy "$v" none
check tokenize --policy none.gguf text
check tokenize --policy ./text text
check tokenize --policy "$golden/model/qwen2.gguf" text
check tokenize --policy "$v" "$tmp"
finish
