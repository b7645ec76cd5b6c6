#!/usr/bin/env python3
"""Make tests/fuzz/corpus/pack: small files as src/model/pack.h and src/base/zfile.h describe them.

    python3 tools/fuzz_pack.py          needs the command zstd
"""
import pathlib
import struct
import subprocess

OUT = pathlib.Path(__file__).parent.parent / "tests/fuzz/corpus/pack"
# name in GGUF, type number, bytes of a panel of 16 rows and 256 columns (kern/CONTRACT.md)
FORMATS = [("f16", 1, 8192), ("q4_0", 2, 256 + 2048), ("q4_1", 3, 512 + 2048), ("q5_1", 7, 512 + 2560), ("q8_0", 8, 256 + 4096),
           ("q2_k", 10, 576 + 2048), ("q4_k", 12, 320 + 2048), ("q5_k", 13, 320 + 2560), ("q6_k", 14, 320 + 3072)]


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def packed(type_id, panel, rows):
    keys = [text("general.alignment") + struct.pack("<II", 4, 64),
            text("whet.pack.version") + struct.pack("<II", 4, 1),
            text("whet.pack.matrix.w") + struct.pack("<IIQ3i", 9, 5, 3, type_id, 256, rows)]
    panels = (rows + 15) // 16
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys)) + b"".join(keys)
    head += text("w") + struct.pack("<IQQIQ", 2, panel, panels, 24, 0)
    head += bytes(-len(head) % 64)
    return head, bytes(i * 7 & 63 for i in range(panel * panels))


def compressed(*parts):
    frames = [subprocess.run(["zstd", "-q", "--check", "-c", f"--stream-size={len(p)}"], input=p, stdout=subprocess.PIPE, check=True).stdout
              for p in parts]
    table = b"".join(struct.pack("<II", len(f), len(p)) for f, p in zip(frames, parts))
    table += struct.pack("<IBI", len(frames), 0, 0x8F92EAB1)
    return b"".join(frames) + struct.pack("<II", 0x184D2A5E, len(table)) + table


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, type_id, panel in FORMATS:
        (OUT / name).write_bytes(b"".join(packed(type_id, panel, 20)))
    (OUT / "q4_0.zst").write_bytes(compressed(*packed(2, 256 + 2048, 16)))


main()
