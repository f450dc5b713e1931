"""Prints, as JSON, what the gguf package reads of a file: settings, and each tensor's type, shape and values.

    pip install gguf==0.19.0 && python test/golden/read_gguf.py FILE
"""

import json
import sys

import gguf
from gguf.quants import dequantize

reader = gguf.GGUFReader(sys.argv[1])
tensors = {
    tensor.name: {
        "type": tensor.tensor_type.name,
        "shape": [int(size) for size in reversed(tensor.shape)],
        "values": [float(value) for value in dequantize(tensor.data, tensor.tensor_type).flatten()],
    }
    for tensor in reader.tensors
}
settings = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
print(json.dumps({"settings": settings, "tensors": tensors}))
