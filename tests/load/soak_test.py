"""Steady load of all kinds on a server and a worker: what they hold must not grow, and the counters must add up.

    [RADIOGRAPH_SEED=N] /usr/bin/python3 tests/load/soak_test.py [--seconds=600]
"""

import os
import pathlib
import random
import re
import sys
import time
import unittest
import urllib.request

sys.path += [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("e2e", "support")]
import load  # noqa: E402
import programs  # noqa: E402
import wire  # noqa: E402

SEED = int(os.environ.get("RADIOGRAPH_SEED", random.randrange(1 << 30)))
SECONDS = 20
WARM_UP_SECONDS = 10  # threads, caches and arenas come with the first calls
CLIENTS = 4
SIZES = (0, 1, 70_000, 300_000)
PAUSE_SECONDS = 0.02
CHECKED_JOBS = 200
# Of memory, from quiet to quiet: SQLite's caches still fill and the allocator's arenas settle. In ten minutes there are
# some 40,000 calls: a leak of 500 bytes a call is more than this.
MEMORY_GROWTH_MAX = 16 << 20
# gRPC keeps a few threads for calls that may come.
THREADS_GROWTH_MAX = 4
FILES_GROWTH_MAX = 2  # a connection that is not closed yet


class Held:
    """What a process holds."""

    def __init__(self, pid):
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        self.memory = 1024 * int(status["VmRSS"].split()[0])
        self.threads = int(status["Threads"])
        # Of the database as many as calls have read at once, at most 8 times two.
        self.files = sum("radiograph.db" not in self._target(pid, fd) for fd in os.listdir(f"/proc/{pid}/fd"))

    @staticmethod
    def _target(pid, fd):
        try:
            return os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            return ""

    def __str__(self):
        return f"{self.memory / 2**20:.1f} MiB, {self.threads} threads, {self.files} descriptors"


class Soak(programs.Case):
    def setUp(self):
        super().setUp()
        print(f"seed {SEED}", flush=True)
        self.ledger = load.Ledger()
        self.server = self.start_server("--devices=none")
        self.assert_ok(programs.radiograph("models", "push", "digits", programs.NETWORK, endpoint=self.server.endpoint))
        self.worker = self.start("radiograph-worker", f"--server={self.server.endpoint}", f"--state={self.folder / 'worker'}",
                                 "--name=remote", "--devices=cpu")

    def metrics(self):
        """Name -> sum over its labels, but for jobs, which have their state in the name."""
        page = urllib.request.urlopen(f"http://{self.server.http}/metrics", timeout=programs.DEADLINE).read().decode()
        sums = {}
        for name, state, value in re.findall(r'^(\w+)(?:\{(?:state="(\w+)")?.*?\})? (\S+)$', page, re.MULTILINE):
            key = f"{name} {state}" if name == "radiograph_jobs" else name
            sums[key] = sums.get(key, 0) + float(value)
        return sums

    def jobs_unaccounted(self):
        """Created, and neither ended nor live."""
        told = self.metrics()
        live = told["radiograph_jobs queued"] + told["radiograph_jobs running"]
        return told["radiograph_jobs_created_total"] - told.get("radiograph_jobs_finished_total", 0) - live

    def run_load(self, seconds, name):
        """Then all is quiet: what both programs hold."""
        clients = [load.Client(self.server.endpoint, self.ledger, "digits", f"{SEED} {name} {number}", SIZES, PAUSE_SECONDS)
                   for number in range(CLIENTS)]
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(client.failure for client in clients):
            load.pause(1)
            # A counter is told after the commit: a job of each call in flight may be on its way.
            self.assertLessEqual(abs(self.jobs_unaccounted()), 2 * CLIENTS + 1)
        for client in clients:
            client.stop()
        for client in clients:
            client.join()
        self.assertEqual("\n".join(self.ledger.problems), "")
        self.assertEqual(self.jobs_unaccounted(), 0)
        held = {program: Held(self.__dict__[program].process.pid) for program in ("server", "worker")}
        for program, what in held.items():
            print(f"after {name}: {program} {what}", flush=True)
        return held

    def test_nothing_grows_and_counters_add_up(self):
        before = self.run_load(WARM_UP_SECONDS, "warm-up")
        after = self.run_load(SECONDS, "soak")
        told = self.metrics()
        calls = told["grpc_server_handled_total"]
        print(f"{calls:.0f} calls, {told['radiograph_jobs_created_total']:.0f} jobs, {dict(self.ledger.counts)}")
        for program in before:
            if not programs.SANITIZED:  # AddressSanitizer keeps notes of every allocation
                self.assertLess(after[program].memory - before[program].memory, MEMORY_GROWTH_MAX, program)
            self.assertLessEqual(after[program].threads - before[program].threads, THREADS_GROWTH_MAX, program)
            self.assertLessEqual(after[program].files - before[program].files, FILES_GROWTH_MAX, program)
        self.assertEqual(told["radiograph_jobs_created_total"], len(self.ledger.requests))
        self.assertEqual(sum(count for name, count in told.items() if name.startswith("radiograph_jobs ")), len(self.ledger.requests))
        with wire.Connection(self.server.endpoint) as connection:
            some = sorted(self.ledger.requests)
            self.ledger.check_jobs(connection, random.Random(SEED).sample(some, min(CHECKED_JOBS, len(some))))
        self.assertEqual("\n".join(self.ledger.problems), "")
        self.assertGreater(len(some), SECONDS, "hardly a job was made")


if __name__ == "__main__":
    for argument in [argument for argument in sys.argv if argument.startswith("--seconds=")]:
        SECONDS = int(argument.removeprefix("--seconds="))
        sys.argv.remove(argument)
    unittest.main()
