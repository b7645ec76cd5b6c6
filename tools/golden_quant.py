#!/usr/bin/env python3
"""Make tests/golden/quant_dequantize.bin and quant_quantize.bin with the gguf package (the reference).

    pip install gguf==0.19.0 && python3 tools/golden_quant.py

Both files are runs of records, little-endian, until the end of the file:
    u32 GGUF type id, u32 n weights, u32 b bytes, b bytes of blocks, n f32
dequantize: blocks of random bytes, their f16 scales set to ordinary and to extreme values, and what they mean.
quantize:   weights of several shapes and sizes, and the blocks the reference makes of them.
"""
import struct
import warnings
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"

# where the f16 scales of a block lie
SCALES = {
    T.F16: [0], T.BF16: [], T.F32: [],
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.IQ4_NL: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}
ORDINARY = [0x2C31, 0x1A05, 0xA9FE, 0x3C00]
#          0       -0      smallest, largest subnormal, smallest normal, -65504, inf,    -inf,   NaN
EXTREME = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0xFBFF, 0x7C00, 0xFC00, 0x7E01]


def record(kind, blocks, weights):
    blocks = np.ascontiguousarray(blocks).view(np.uint8).ravel()
    weights = np.ascontiguousarray(weights, dtype="<f4").ravel()
    return struct.pack("<III", kind, weights.size, blocks.size) + blocks.tobytes() + weights.tobytes()


def dequantize_records(rng):
    for kind, places in SCALES.items():
        block, size = GGML_QUANT_SIZES[kind]
        scales = ORDINARY + EXTREME
        blocks = rng.integers(0, 256, (max(len(scales), 64 // block), size), dtype=np.uint8)
        for i, row in enumerate(blocks):
            for j, place in enumerate(places):
                # the second scale runs through the list at another pace, so that pairs differ
                row[place:place + 2] = list(struct.pack("<H", scales[(i * (1 + 4 * j)) % len(scales)]))
        yield record(kind, blocks, dequantize(blocks.reshape(1, -1), kind))


def quantize_records(rng):
    n = 32 * 12
    shapes = np.concatenate([
        rng.normal(0, 0.02, n), rng.uniform(-1, 1, n), rng.uniform(3, 4, 64), rng.uniform(-4, -3, 64),
        np.zeros(32), np.full(32, 0.7), np.linspace(-1, 1, 32), rng.normal(0, 3e-6, 64), rng.normal(0, 9e3, 64),
        np.tile([1.0, -1.0], 16), np.arange(32) * 0.5 - 8,
    ]).astype(np.float32)
    for kind in (T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1):
        yield record(kind, quantize(shapes.reshape(1, -1), kind), shapes)


def main():
    warnings.simplefilter("ignore")  # infinities and NaNs are meant
    for name, records in (("dequantize", dequantize_records), ("quantize", quantize_records)):
        path = GOLDEN / f"quant_{name}.bin"
        path.write_bytes(b"".join(records(np.random.default_rng(20251))))
        print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
