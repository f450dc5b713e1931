"""Makes torch_files.json: small files of torch.save, and the values that torch reads back from them, for test/model/weights/torch.test.ts.

    python test/golden/make_torch_files.py     (versions: requirements.txt)
"""

import argparse
import base64
import io
import json
import os
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

torch.manual_seed(3)


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def described(tensors):
    return {
        name: {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "values": [float(value) for value in tensor.detach().double().flatten()],
        }
        for name, tensor in tensors.items()
    }


def case(name, tensors, value=None, **options):
    raw = saved(tensors if value is None else value, **options)
    return {"name": name, "file": base64.b64encode(raw).decode(), "tensors": described(tensors)}


def moved(storage):
    return "cuda:0"


class Runs:
    def __reduce__(self):
        return (os.system, ("touch /tmp/this-was-run",))


numbers = torch.tensor([1.5, -2.25, 65504.0, 1e-7, -0.0, 3.0])
dtypes = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
integers = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
matrix = torch.randn(6, 5)
views = {
    "transposed": matrix.t(),
    "row": matrix[2],
    "column": matrix[:, 3],
    "block": matrix[1:4, 2:5],
    "every_other": matrix[::2, ::2],
    "again": matrix,
    "expanded": torch.tensor([7.0, 8.0]).expand(3, 2),
    "permuted": torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
    "scalar": torch.tensor(4.5),
    "empty": torch.zeros(0, 3),
    "one": matrix[0:1, 0:1].t(),
}
module = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)).half()
weights = OrderedDict((name, torch.randn(2, 3)) for name in ("a.weight", "b.weight"))

cases = [
    case("every dtype of floating point", {str(dtype): numbers.to(dtype) for dtype in dtypes}),
    case("every dtype of whole numbers", {str(dtype): torch.tensor([0, 1, 100, 3]).to(dtype) for dtype in integers}),
    case("views of one storage, and strides", views),
    case("a module's state_dict with its versions", module.state_dict()),
    case("parameters", {"weight": nn.Parameter(torch.randn(2, 2)), "frozen": nn.Parameter(torch.ones(2), requires_grad=False)}),
    case("a trainer's dict", weights, {"epoch": 3, "lr": 1e-3, "state_dict": weights, "names": ["a", None, True], "big": 2**70}),
    case("a dict in a dict", weights, {"model": {"state_dict": weights}, "dtype": torch.bfloat16, "size": weights["a.weight"].shape}),
    case("pickle protocol 4", weights, pickle_protocol=4),
    case("one tensor alone", {"tensor": matrix}, matrix),
    case("nothing", {}),
]
torch.serialization.location_tag, tag = moved, torch.serialization.location_tag
cases.append(case("storages that were on a GPU", weights))
torch.serialization.location_tag = tag

refused = [
    {"name": name, "file": base64.b64encode(raw).decode()}
    for name, raw in {
        "legacy": saved(weights, _use_new_zipfile_serialization=False),
        "runs": saved({"a.weight": weights["a.weight"], "b": Runs()}),
        "whole module": saved(nn.Linear(2, 2)),
        "namespace": saved({"state_dict": weights, "args": argparse.Namespace(lr=1)}),
        "complex": saved({"a": torch.zeros(2, dtype=torch.complex64)}),
        "optimizer": saved(torch.optim.AdamW([nn.Parameter(torch.ones(2))]).state_dict()),
        "text": saved("hello"),
    }.items()
]
out = Path(__file__).with_name("torch_files.json")
out.write_text(json.dumps({"torch": torch.__version__, "cases": cases, "refused": refused}, separators=(",", ":")) + "\n")
