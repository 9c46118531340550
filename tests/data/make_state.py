"""Makes state_schema_9.tar.gz with the programs of the commit whose state it keeps:

    RADIOGRAPH_BIN=FOLDER_OF_OLD_PROGRAMS python3 tests/data/make_state.py tests/data/state_schema_9.tar.gz

The state folder of a server that has three artifacts, a job that succeeded and one that waits. The
tensors of `compiled` have a prefix that the programs of then do not know.
"""

import pathlib
import random
import sys
import tarfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import programs
import safetensors
from programs import radiograph

RUN = ("run", "bilinear.spectrum", "--input", "model=net", "--param", "null_draws=0", "-o", "name")
SHAPES = {"embed.weight": (6, 9), "blocks.0.weight": (12, 6), "head.weight": (3, 6)}


def write_model(path, seed, prefix=""):
    """Writes the model of a seed: the tests write the same bytes again."""
    draw = random.Random(seed).gauss
    safetensors.write(path, {prefix + name: (shape, [draw(0, 1) for _ in range(shape[0] * shape[1])])
                             for name, shape in SHAPES.items()})


class MakeState(programs.Case):
    def runTest(self):
        write_model(self.folder / "net.safetensors", 1)
        write_model(self.folder / "compiled.safetensors", 2, "_orig_mod.")
        safetensors.write(self.folder / "points.safetensors", {"images": ((4, 9), [0.5] * 36)})
        server = self.start_server("--devices=cpu")
        ask = lambda *arguments: self.assert_ok(radiograph(*arguments, endpoint=server.endpoint)).out.strip()
        ask("models", "push", self.folder / "net.safetensors")
        ask("models", "push", self.folder / "compiled.safetensors")
        ask("data", "push", self.folder / "points.safetensors", "--role", "inputs=images")
        ask(*RUN)
        server.stop()
        server = self.start_server("--devices=none")
        ask(*RUN, "--seed", "1", "--no-wait")
        server.stop()
        with tarfile.open(sys.argv[1], "w:gz") as archive:
            archive.add(self.folder / "state", "state")


if __name__ == "__main__":
    sys.exit(not unittest.TextTestRunner().run(MakeState()).wasSuccessful())
