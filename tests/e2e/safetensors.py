"""Reads and writes safetensors with Python's library alone, for models that the tests make up."""

import array
import json
import math
import pathlib
import struct


def write(path, tensors, pad=True, metadata=None):
    """Writes {name: (shape, floats)} as F32; with `pad`, tensors start at multiples of 64 bytes."""
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for name, (shape, values) in tensors.items():
        begin, end = end, end + 4 * len(values)
        assert math.prod(shape) == len(values), name
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    if pad:
        text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            array.array("f", values).tofile(file)


def read(path):
    """Returns {name: (shape, floats)}; of the dtypes F32 and F64, others are left out."""
    data = pathlib.Path(path).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, tensor in json.loads(data[8:start]).items():
        code = {"F32": "f", "F64": "d"}.get(tensor.get("dtype"))
        if code:
            begin, end = tensor["data_offsets"]
            tensors[name] = (tensor["shape"], array.array(code, data[start + begin : start + end]))
    return tensors
