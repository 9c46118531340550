"""Our reader of safetensors headers beside the one of the `safetensors` package, over files that are hurt.

    differential.py --reader=PROGRAM [--files=N] [--seed=TEXT] [--only=NUMBER] [--large]

Both must take the same files, and see the same tensors and texts in them. Where they do not agree, the file
must belong to a class below, each a decision of ours with its reason; core/safetensors/README.md lists them.
What is in no class fails. With --large also what stands at our limits, and each class must occur.
The package must be on PYTHONPATH. A seed is printed; file NUMBER of it comes again with --seed and --only.
"""

import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import types
from dataclasses import dataclass
from typing import Callable

import headers

sys.modules.setdefault("numpy", types.ModuleType("numpy"))  # safe_open asks for it and metadata() needs none of it
import safetensors  # noqa: E402


class Parsed:
    """What a header says to Python's json, which keeps of a name that stands twice both."""

    def __init__(self, file):
        self.length = int.from_bytes(file[:8], "little")
        self.text = file[8:8 + self.length]
        try:
            self.pairs = json.loads(self.text, object_pairs_hook=headers.Pairs)
        except (ValueError, RecursionError):
            self.pairs = headers.Pairs()
        if not isinstance(self.pairs, headers.Pairs):
            self.pairs = headers.Pairs()

    def names(self):
        return [name for name, _ in self.pairs]

    def values(self, field):
        """Of all tensors."""
        return [value for name, entry in self.pairs if isinstance(entry, headers.Pairs) and name != "__metadata__"
                for key, value in entry if key == field]

    def sizes(self):
        return [size for field in ("shape", "data_offsets") for value in self.values(field) for size in value]

    def metadata(self):
        return [key for name, texts in self.pairs if name == "__metadata__" for key, _ in texts or ()]


@dataclass
class Class:
    """Files that one of both refuses, with a message that matches, and that are what the message says."""
    name: str
    refused_by: str  # "us" or "them"
    message: str
    holds: Callable[[Parsed], bool]
    reason: str


def twice(names):
    return len(names) != len(set(names))


CLASSES = (
    Class("name twice", "us", r'the key ".*" appears twice', lambda h: twice(h.names()) or twice(h.metadata()),
          "two readers would see two models"),
    Class("blank before the header", "us", "does not begin with {", lambda h: h.text[:1] in (b" ", b"\t", b"\n", b"\r"),
          "the format's text says that a header begins with {"),
    Class("control character in a name", "us", "has a control character in its name",
          lambda h: any(re.search(r"[\x00-\x1f\x7f-\x9f]", name) for name in h.names()),
          "a name is shown in tables, logs and reports"),
    Class("name above 1,024 bytes", "us", r"has a name of \d+ bytes", lambda h: any(len(name.encode()) > 1024 for name in h.names()),
          "every text has a limit; no writer makes such names"),
    Class("rank above 64", "us", "shape has more than 64 numbers", lambda h: any(len(shape) > 64 for shape in h.values("shape")),
          "every list has a limit; no library has such tensors"),
    Class("overflow beside a zero", "us", r"shape \[.*\b0\b.*\] (has a size below 0 or )?needs more than 2\^63-1 bytes",
          lambda h: any(0 in shape for shape in h.values("shape")),
          "a reader that multiplies in another order overflows"),
    Class("size of 2^63 or more", "us", r"holds \d+; 0\.\.2\^63-1 is allowed",
          lambda h: any(isinstance(size, int) and 2**63 <= size < 2**64 for size in h.sizes()),
          "sizes are signed here, as in every library of tensors"),
    Class("tensor written as a list", "us", 'tensor ".*" is a list, not an object',
          lambda h: any(type(entry) is list for name, entry in h.pairs),
          "an accident of the package's parser, which takes the fields in order; the format's text has objects"),
    Class("dtype written as an object", "us", "dtype is an object, not a string",
          lambda h: any(isinstance(dtype, headers.Pairs) for dtype in h.values("dtype")),
          'an accident of the package\'s parser, which takes {"F32": null} for "F32"'),
    Class("header above 16 MiB", "us", "too long for Radiograph", lambda h: 2**24 < h.length <= 100_000_000,
          "a header is parsed in the server's memory"),
    Class("more than 200,000 tensors", "us", "more than 200000 tensors", lambda h: len(h.names()) > 200_000,
          "a header is kept in the server's memory"),
    Class("more than 100,000 texts", "us", "__metadata__ has more than 100000 entries", lambda h: len(h.metadata()) > 100_000,
          "a header is kept in the server's memory"),
    Class("dtype that nobody knows", "them", "unknown variant",
          lambda h: any(isinstance(dtype, str) and dtype not in headers.DTYPES for dtype in h.values("dtype")),
          "later releases add dtypes; such a tensor is carried and listed, and refused where it is read"),
    Class("other keys nested deeper than 127", "them", "recursion limit", lambda h: h.text.count(b"[[[[") > 25,
          "what is passed over takes no stack here"),
)


def theirs_of(file):
    """As answers of the reader, with the bytes of each tensor in place of its offsets."""
    try:
        tensors = {name: [entry["dtype"], entry["shape"], bytes(entry["data"])] for name, entry in safetensors.deserialize(file)}
    except safetensors.SafetensorError as error:
        return {"refused": str(error)}
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as copy:
        copy.write(file)
        copy.flush()
        with safetensors.safe_open(copy.name, "np") as opened:
            return {"tensors": tensors, "metadata": opened.metadata() or {}}


def ours_of(reader, files):
    """The reader's answers, made comparable with theirs."""
    batch = b"".join(struct.pack("<Q", len(file)) + file for file in files)
    run = subprocess.run([reader], input=batch, stdout=subprocess.PIPE, check=True)
    lines = run.stdout.splitlines()
    if len(lines) != len(files):
        raise SystemExit(f"{reader} answered {len(lines)} of {len(files)} files")
    for file, line in zip(files, lines):
        answer = json.loads(line)
        if "refused" not in answer:
            data = file[answer.pop("data_begin"):]
            answer["tensors"] = {name: [dtype, shape, data[begin:end]]
                                 for name, (dtype, shape, begin, end) in answer["tensors"].items()}
        yield answer


def judge(file, ours, theirs):
    """None where both agree, else the class; ValueError where the difference is in none."""
    if "refused" in ours and "refused" in theirs:
        return None
    if ours == theirs:
        return None
    by = "us" if "refused" in ours else "them" if "refused" in theirs else None
    parsed = Parsed(file)
    for one in CLASSES:
        if one.refused_by == by and re.search(one.message, (ours if by == "us" else theirs)["refused"], re.S) and one.holds(parsed):
            return one.name
    raise ValueError(f"in no class:\n  file    {file[:2000]!r}\n  ours    {str(ours)[:1000]}\n  theirs  {str(theirs)[:1000]}")


def compare(reader, numbered):
    """Counts of agreements and classes, and texts of what is in no class."""
    counts, wrong = {"both take": 0, "both refuse": 0}, []
    files = [file for _, file in numbered]
    for (number, file), ours in zip(numbered, ours_of(reader, files)):
        theirs = theirs_of(file)
        try:
            name = judge(file, ours, theirs) or ("both refuse" if "refused" in ours else "both take")
            counts[name] = counts.get(name, 0) + 1
        except ValueError as error:
            wrong.append(f"file {number} is {error}")
    return counts, wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reader", required=True)
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--seed", default=os.environ.get("RADIOGRAPH_SEED", "1"))
    parser.add_argument("--only", type=int)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    print(f"safetensors {safetensors.__version__}, seed {options.seed}, {options.files} files")
    numbers = range(options.files) if options.only is None else (options.only,)
    counts, wrong = compare(options.reader, [(number, headers.make(options.seed, number)) for number in numbers])
    if options.large:
        more, also_wrong = compare(options.reader, [(f"large {i}", file) for i, file in enumerate(headers.large())])
        counts = {name: counts.get(name, 0) + more.get(name, 0) for name in counts | more}
        wrong += also_wrong
        wrong += [f"no file of the class {one.name!r}: it is not needed" for one in CLASSES if one.name not in counts]
    for name, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        print(f"{count:7} {name}")
    for text in wrong[:5]:
        print(text)
    if wrong:
        print(f"differential: {len(wrong)} of {options.files} files differ in a way that nobody has decided on")
        return 1
    if options.only is None and min(counts["both take"], counts["both refuse"]) < options.files / 10:
        print("differential: these files are too much of one kind")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
