"""bilinear.spectrum against PyTorch on the same weights, threads and dtype.

    tests/bench/bilinear_spectrum.py [--threads N] [--repeats N]

Ours is the whole job in a warm radiograph-compute, default parameters with null_draws=0: reading the file, spectra,
pictures, measures, checks, figures and writing the bundle; "top-k" is the same with solver=topk, 20 of the pairs. Theirs is the mathematics alone, weights in memory:
  plain   q = einsum('om,mi,mj->oij', U, L, R), symmetrised, then torch.linalg.eigh
  sliced  the same in slices of 32 outputs, as tdooms/bilinear-decomposition's Tracer does
Runs alternate; the table shows medians. On a machine that is busy
otherwise, processor time tells more than time. Needs a Python with torch: this one, or $RADIOGRAPH_PYTHON, or .venv's.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time

try:
    import torch
except ImportError:
    root = pathlib.Path(__file__).resolve().parents[2]
    other = os.environ.get("RADIOGRAPH_PYTHON", root / ".venv/bin/python")
    if str(other) == sys.executable:
        sys.exit(f"{other} has no torch")
    os.execv(other, [str(other), *sys.argv])

import compute_driver

# Outputs, width, hidden, and how much smaller each direction of the input is than the one before it: 1 is a flat
# spectrum, the worst case of top-k; those of trained networks fall.
CASES = [
    (256, 128, 512, 1),
    (10, 784, 512, 1),
    (256, 128, 512, 0.95),
    (10, 784, 512, 0.97),
]
ARCHITECTURE = {"activation": "", "config": {}, "family": "bilinear"}


def weights(outputs, width, hidden, fall):
    generator = torch.Generator().manual_seed(0)
    shapes = {"blocks.0.weight": (2 * hidden, width), "head.weight": (outputs, hidden)}
    tensors = {n: torch.randn(s, generator=generator, dtype=torch.float64) / s[1] ** 0.5 for n, s in shapes.items()}
    tensors["blocks.0.weight"] *= fall ** torch.arange(width, dtype=torch.float64)
    return tensors


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = bytes(tensor.contiguous().untyped_storage())
        header[name] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def plain(left, right, head):
    q = torch.einsum("om,mi,mj->oij", head, left, right)
    return torch.linalg.eigh((q + q.mT) / 2)


def sliced(left, right, head):
    q = torch.cat([torch.einsum("om,mi,mj->oij", part, left, right) for part in head.split(32)])
    return torch.linalg.eigh((q + q.mT) / 2)


def run_baseline(method, case, threads):
    """In a process of its own, for its peak memory. Prints seconds and bytes beyond what torch itself takes."""
    torch.set_num_threads(threads)
    tensors = weights(*case)
    left, right = tensors["blocks.0.weight"].chunk(2)
    small = torch.randn(1, 8, 8, dtype=torch.float64)
    torch.linalg.eigh(small @ small.mT)  # what is loaded at the first call
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, busy = time.perf_counter(), time.process_time()
    {"plain": plain, "sliced": sliced}[method](left, right, tensors["head.weight"])
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"seconds": seconds, "busy": busy, "bytes": peak * 1024}))


def baseline(method, case, threads):
    command = [sys.executable, __file__, f"--threads={threads}", f"--baseline={method}:{','.join(map(str, case))}"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def ours(compute, folder, model, solver):
    inputs = {"model": ("MODEL", {"model.safetensors": model}, ARCHITECTURE, {})}
    compute_driver.make_job(folder, "bilinear.spectrum", {"null_draws": 0, "solver": solver}, inputs)
    busy = compute.processor_seconds()
    done = compute.run(folder)
    return {
        "seconds": done["seconds"],
        "busy": compute.processor_seconds() - busy,
        "bytes": done["peak_host_bytes"],
    }


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def measure(case, threads, repeats, work):
    model = work / "model.safetensors"
    write_safetensors(model, weights(*case))
    runs = {"ours": [], "ours, top-k": [], "plain": [], "sliced": []}
    with compute_driver.Compute(threads) as compute:
        ours(compute, work / "warm", model, "full")
        for i in range(repeats):
            runs["ours"].append(ours(compute, work / f"full{i}", model, "full"))
            runs["ours, top-k"].append(ours(compute, work / f"topk{i}", model, "topk"))
            for method in ("plain", "sliced"):
                runs[method].append(baseline(method, case, threads))
    for name, taken in runs.items():
        ratio = median(taken, "seconds") / median(runs["ours"], "seconds")
        print(
            f"| C={case[0]}, d={case[1]}, m={case[2]}, {'flat' if case[3] == 1 else 'falling'} | {name} | {median(taken, 'seconds'):.3f} s | {ratio:.2f} x | "
            f"{median(taken, 'busy'):.3f} s | {median(taken, 'bytes') / 2**20:.0f} MiB |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--baseline", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.baseline:
        method, case = arguments.baseline.split(":")
        run_baseline(method, tuple(json.loads(f"[{case}]")), arguments.threads)
        return
    print(f"float64, {arguments.threads} threads, torch {torch.__version__}, median of {arguments.repeats}")
    print("| size | who | time | of ours | processor time | peak memory (ours: the whole process; theirs: beyond loading torch) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        with tempfile.TemporaryDirectory() as work:
            measure(case, arguments.threads, arguments.repeats, pathlib.Path(work))


if __name__ == "__main__":
    main()
