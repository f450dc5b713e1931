# Codes, scales and values of a few matrices in i8, i4 and nf4 -> quantized.json, in numpy from the published formulas alone.
# Run with the packages of requirements.txt beside: python make_quantized.py
#
# i8: a scale per row, absmax / 127.   i4, nf4: groups of 64 along a row with the scale absmax / 7 or absmax, of which each row keeps the
# largest in f32 and each group one byte c: scale of the group = scale of the row * (c / 255)^2.
# The levels of nf4 are those of QLoRA, appendix E (Dettmers et al. 2023). All arithmetic is f32, each step rounded once.

import json
from pathlib import Path

import numpy as np

f32 = np.float32

NF4 = np.array(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ],
    dtype=f32,
)


def int8(matrix):
    scales = (np.abs(matrix).max(axis=1) / f32(127)).astype(f32)
    safe = np.where(scales == 0, f32(1), scales)[:, None]
    codes = np.rint(matrix / safe).clip(-127, 127)
    return {
        "codes": codes.astype(np.int8).view(np.uint8),
        "scales": scales,
        "factors": np.zeros((len(matrix), 0), np.uint8),
        "values": codes.astype(f32) * scales[:, None],
    }


def four_bits(matrix, nearest, levels, largest):
    rows, columns = matrix.shape
    groups = -(-columns // 64)
    padded = np.zeros((rows, groups * 64), f32)
    padded[:, :columns] = matrix
    blocks = padded.reshape(rows, groups, 64)
    tops = np.abs(blocks).max(axis=2)
    top = tops.max(axis=1)
    scales = (top / f32(largest)).astype(f32)
    share = np.sqrt(tops / np.where(top == 0, f32(1), top)[:, None])
    factors = np.rint(f32(255) * share).astype(np.uint8)
    table = (np.arange(256, dtype=f32) ** 2 / f32(65025)).astype(f32)
    own = scales[:, None] * table[factors]
    scaled = blocks / np.where(own == 0, f32(1), own)[..., None]
    picked = np.where((own == 0)[..., None], nearest(np.zeros_like(scaled)), nearest(scaled))
    values = (levels[picked] * own[..., None]).reshape(rows, -1)[:, :columns]
    flat = picked.reshape(rows, -1)[:, :columns].astype(np.uint8)
    return {"codes": flat[:, 0::2] << 4 | flat[:, 1::2], "scales": scales, "factors": factors, "values": values}


def int4(matrix):
    levels = np.arange(-8, 8, dtype=f32)
    return four_bits(matrix, lambda x: (np.rint(x).clip(-8, 7) + 8).astype(int), levels, 7)


def nf4(matrix):
    """The level at the smallest distance; a number in the middle of two goes to the lower one."""
    middle = ((NF4[1:].astype(np.float64) + NF4[:-1].astype(np.float64)) / 2).astype(f32)
    return four_bits(matrix, lambda x: np.searchsorted(middle, x, side="left"), NF4, 1)


def matrices():
    random = np.random.default_rng(20260101)
    normal = lambda *shape: random.standard_normal(shape).round(3).astype(f32)
    cut = normal(2, 100)
    hard = normal(4, 66)
    hard[1] = 0
    hard[2, 5] = 300  # an outlier: the other group of its row keeps a scale of its own
    hard[3, :64] = 0
    ties = np.array([[127, 0.5, 1.5, -0.5, -1.5, 2.5], [7, 0.5, 1.5, -0.5, -7, 2.5]], f32)
    return {"normal": normal(2, 128), "a group cut short": cut, "zeros and an outlier": hard, "ties": ties}


def main():
    out = []
    for name, matrix in matrices().items():
        case = {"name": name, "shape": list(matrix.shape), "matrix": [float(v) for v in matrix.ravel()]}
        for dtype, quantize in (("i8", int8), ("i4", int4), ("nf4", nf4)):
            found = quantize(matrix)
            case[dtype] = {
                "codes": found["codes"].tobytes().hex(),
                "scales": [float(v) for v in found["scales"]],
                "factors": found["factors"].ravel().tolist(),
                "values": found["values"].astype("<f4").tobytes().hex(),
            }
        case["matrix"] = [round(v, 3) for v in case["matrix"]]
        out.append(case)
    text = json.dumps({"numpy": np.__version__, "cases": out}, separators=(",", ":"))
    Path(__file__).with_name("quantized.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
