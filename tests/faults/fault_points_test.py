"""Every step towards the disk fails once, in every way; nothing that was acknowledged is lost.

The scenario (scenario.cc) runs with its N-th write, sync, rename, removal or cut failing, or with the process killed
before or after it, for N = 1, 2, 3, ... until it runs through. Then the state is opened again and held against what was
acknowledged.

    python3 tests/faults/fault_points_test.py [--all] [--seed=N]

Without --all a part of the points, chosen by the seed, which is printed.
"""

import concurrent.futures
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = pathlib.Path(os.environ.get("RADIOGRAPH_FAULTS", pathlib.Path(__file__).resolve().parents[2] / "build/tests/faults"))
KINDS = ("kill_before", "kill_after", "half", "EIO", "ENOSPC", "EMFILE")
POINTS_OF_A_PART = 12  # of each kind
POINTS_MAX = 2000  # the scenario must run through before
RECOVERY_SECONDS = 2
STORED_JOBS = 10_000
SEED = random.randrange(1 << 30)
ALL = False


def scenario(*arguments, lines="", **environment):
    return subprocess.run([PROGRAMS / "scenario", *map(str, arguments)], input=lines, capture_output=True, text=True,
                          env={**os.environ, **environment}, timeout=120)


class FaultPoints(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_with_fault(self, kind, step):
        """What the check says; None when the fault was never met."""
        state = self.folder / f"{kind}-{step}"
        fault = {"LD_PRELOAD": str(PROGRAMS / "libfault_points.so"), "FAULT_FOLDER": str(state),
                 "FAULT_KIND": kind, "FAULT_STEP": str(step)}
        run = scenario("run", state, **fault)
        met = run.returncode != 0 or re.search(r"^[A-Z_]+: ", run.stderr, re.MULTILINE)
        if met and kind not in ("EIO", "ENOSPC", "EMFILE"):
            self.assertEqual(run.returncode, -9, run)
        check = scenario("check", state, lines=run.stdout)
        subprocess.run(["rm", "-rf", state], check=True)
        if check.returncode != 0:
            return f"{kind} at step {step}: {check.stderr}\nthe run said:\n{run.stdout}{run.stderr}"
        return "" if met else None

    def points(self, kind):
        """Steps to look at. A part: spread by chance over the first ones and the rest."""
        last = self.last_point(kind)
        print(f"{kind}: {last} points", flush=True)
        if ALL:
            return range(1, last + 1)
        return sorted(random.Random(f"{SEED} {kind}").sample(range(1, last + 1), min(POINTS_OF_A_PART, last)))

    def last_point(self, kind):
        low, high = 1, POINTS_MAX
        self.assertIsNone(self.run_with_fault(kind, high), "the scenario has more steps than are looked at")
        while low < high:
            middle = (low + high) // 2
            if self.run_with_fault(kind, middle) is None:
                high = middle
            else:
                low = middle + 1
        return low - 1

    def test_nothing_acknowledged_is_lost(self):
        print(f"seed {SEED}", flush=True)
        for kind in KINDS:
            points = self.points(kind)
            self.assertGreater(len(points), 5, "hardly a step was met: is the preloaded library there?")
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for answer in pool.map(lambda step: self.run_with_fault(kind, step), points):
                    self.assertIn(answer, ("", None), answer)

    def test_many_stored_jobs_are_taken_up_soon(self):
        state = self.folder / "many"
        jobs = STORED_JOBS if ALL else STORED_JOBS // 10
        self.assertEqual(scenario("fill", state, jobs).returncode, 0)
        opened = scenario("run", state).stderr
        seconds = float(re.search(r"opened in ([\d.e-]+) s", opened)[1])
        print(f"{jobs} stored jobs, after an unclean end: open in {seconds:.3f} s")
        self.assertLess(seconds, RECOVERY_SECONDS)


if __name__ == "__main__":
    for argument in list(sys.argv):
        if argument == "--all":
            ALL = True
        elif argument.startswith("--seed="):
            SEED = int(argument.removeprefix("--seed="))
        else:
            continue
        sys.argv.remove(argument)
    unittest.main()
