"""Makes chatglm_codes.json: a tiny ChatGLM as its authors store one in 8 and in 4 bits, and what it computes.

    .venv-golden/bin/python test/golden/make_chatglm_codes.py                   (versions and venv: requirements.txt)

Published: scale of a row = absmax / 127 or / 7, kept in f16; code = weight / scale, rounded; of two 4-bit codes in a byte the even column
is in the upper half. Weights come from formula.py, so only codes and scales are stored. Logits, loss and gradients are in f64, by the
model of make_families.py, with scale * code in the place of each matrix.
"""

import json
from pathlib import Path

import numpy as np
import torch
from formula import named
from make_families import ALPHA, GLM, RANK, glm_logits, glm_rows, glm_shapes, mean_loss, rounded

SITES = ("query_key_value.weight", "dense.weight", "dense_h_to_4h.weight", "dense_4h_to_h.weight")


def coded(matrix, bits):
    scales = (np.abs(matrix).max(axis=1) / np.float32(2 ** (bits - 1) - 1)).astype(np.float16)
    codes = np.rint(matrix / np.where(scales == 0, 1, scales).astype(np.float32)[:, None]).astype(np.int8)
    values = codes.astype(np.float64) * scales.astype(np.float64)[:, None]
    if bits == 4:
        pairs = codes.view(np.uint8)
        codes = (pairs[:, 0::2] << 4) | (pairs[:, 1::2] & 15)
    return codes, scales, values


def stored(codes, scales):
    return {"codes": codes.tobytes().hex(), "scales": scales.astype("<f2").tobytes().hex()}


def model(bits):
    shapes = glm_shapes(GLM)
    weights = {name: named(name, shape).astype(np.float64) for name, shape in shapes.items()}
    parts = {}
    for name, shape in shapes.items():
        if name.endswith(SITES):
            codes, scales, weights[name] = coded(named(name, shape), bits)
            parts[name] = stored(codes, scales)
    weights = {name: torch.from_numpy(values) for name, values in weights.items()}
    adapters = {}
    for name in parts:
        site = name[: -len(".weight")]
        outputs, inputs = shapes[name]
        for part, shape in ((f"{site}.lora_A.weight", (RANK, inputs)), (f"{site}.lora_B.weight", (outputs, RANK))):
            adapters[part] = torch.from_numpy(named(part, shape).astype(np.float64)).requires_grad_()
    rows = glm_rows()
    loss = mean_loss([glm_logits(weights, adapters, GLM, row["ids"]) for row in rows], [row["labels"] for row in rows])
    loss.backward()
    return {
        "config": GLM | {"quantization_bit": bits},
        "rank": RANK,
        "alpha": ALPHA,
        "rows": rows,
        "stored": parts,
        "logits": [rounded(glm_logits(weights, None, GLM, row["ids"])) for row in rows],
        "loss": loss.item(),
        "gradients": {name: rounded(tensor.grad) for name, tensor in adapters.items()},
    }


def wide(bits):
    """A matrix of more than two groups, with a row of zeros and a row whose scale is below f16's normal numbers."""
    matrix = named("wide", (4, 130))
    matrix[1] = 0
    matrix[2] *= np.float32(1e-4)
    codes, scales, values = coded(matrix, bits)
    return {"shape": [4, 130], **stored(codes, scales), "values": values.astype("<f4").tobytes().hex()}


def main():
    cases = {f"int{bits}": model(bits) | {"wide": wide(bits)} for bits in (8, 4)}
    Path(__file__).with_name("chatglm_codes.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
