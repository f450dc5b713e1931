# How far our nf4 is from that of bitsandbytes, on its CPU: prints levels, codes that differ, and errors. Nothing is written.
# Run with bitsandbytes and the packages of requirements.txt beside: python compare_bitsandbytes.py
#
# Ours is the numpy of make_quantized.py, whose codes the devices are held to. Both have groups of 64 and quantise the scales once more.

import bitsandbytes
import numpy as np
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

from make_quantized import NF4, int4, int8, nf4


def error(found, matrix):
    return np.linalg.norm((found - matrix).astype(np.float64)) / np.linalg.norm(matrix.astype(np.float64))


def theirs(matrix, kind, double):
    packed, state = quantize_4bit(torch.from_numpy(matrix), blocksize=64, quant_type=kind, compress_statistics=double)
    return packed.numpy().reshape(len(matrix), -1), dequantize_4bit(packed, state).numpy(), state


def main():
    random = np.random.default_rng(1)
    normal = random.standard_normal((256, 4096)).astype(np.float32)
    outliers = normal.copy()
    for row in outliers:
        row[random.integers(0, 4096, 4)] *= 50
    print("bitsandbytes", bitsandbytes.__version__)
    level = theirs(normal, "nf4", False)[2].code.numpy()
    print("largest difference of a level:", np.abs(level - NF4).max())
    # With one scale for all groups nothing is left of double quantisation: codes can be compared.
    even = np.tile(normal[:, :64], (1, 64))
    ours, packed = nf4(even)["codes"], theirs(even, "nf4", False)[0]
    halves = lambda codes: np.stack([codes >> 4, codes & 15], -1)
    apart = halves(ours) != halves(packed)
    print("codes that differ where scales are equal:", int(apart.sum()), "of", apart.size)
    for name, matrix in (("normal", normal), ("outliers", outliers)):
        print(name)
        print("  relative error  ours: i8 %.5f  i4 %.5f  nf4 %.5f" % tuple(error(q(matrix)["values"], matrix) for q in (int8, int4, nf4)))
        print("  bitsandbytes: nf4 %.5f, with scales in f32 %.5f" % tuple(error(theirs(matrix, "nf4", d)[1], matrix) for d in (True, False)))


main()
