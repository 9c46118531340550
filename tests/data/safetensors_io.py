"""Reads and writes safetensors with numpy alone, for the scripts of this folder."""

import json
import struct

import numpy as np

_NAMES = {"float64": "F64", "float32": "F32", "int64": "I64"}
_DTYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items()}
_ALIGNMENT = 64  # Radiograph maps aligned tensors and copies others


def write(path, arrays, metadata=None):
    """Writes {name: array}; the data starts at a multiple of 64 bytes."""
    header = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).tobytes())


def read(path):
    """Returns {name: array} of a file that write() made."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    arrays = {}
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        flat = np.frombuffer(data[start + begin : start + end], _DTYPES[tensor["dtype"]])
        arrays[name] = flat.reshape(tensor["shape"])
    return arrays
