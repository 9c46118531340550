"""Rounds of kill -9 over server, compute process and remote worker, in uploads and in jobs.

Nothing that was acknowledged is lost, and every job ends right: SUCCEEDED, with the bytes that a run without
a server gives.

    python3 tests/e2e/crash_test.py [--rounds=20]
"""

import concurrent.futures
import hashlib
import itertools
import os
import pathlib
import random
import signal
import sys
import time
import unittest

import programs
import safetensors
from programs import NETWORK, radiograph

ROUNDS = 4
UNREACHABLE = 7
# Long enough to be killed in, short enough for many rounds: a second or two.
JOB = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--param", "null_draws=300")


def compute_processes(pid):
    """The compute processes below a server or worker; any of its threads may be the parent."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            if pathlib.Path(f"/proc/{child}/comm").read_text().startswith("radiograph-comp"):
                found.append(child)
    return found


class Crash(programs.Case):
    def setUp(self):
        super().setUp()
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)
        self.jobs, self.artifacts = {}, {}  # what was acknowledged: id -> seed, name -> file
        self.numbers = itertools.count(1)
        self.random = random.Random(20240717)

    def ask(self, *arguments):
        return radiograph(*arguments, endpoint=self.server.endpoint)

    def job(self, name):
        return self.assert_ok(self.ask("jobs", "get", name, "-o", "json")).json()

    def until(self, what, condition):
        deadline = time.monotonic() + programs.DEADLINE
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
        self.fail(f"waited {programs.DEADLINE} s for {what}")

    # What may be killed.

    def start_all(self):
        self.server = self.start_server("--devices=cpu", "--lease=1s")
        self.worker = self.start_worker()

    def start_worker(self):
        return self.start("radiograph-worker", f"--server={self.server.endpoint}", f"--state={self.folder / 'worker'}",
                          "--name=remote", "--devices=cpu")

    def kill_server(self):
        endpoint = self.server.endpoint
        self.server.kill()
        self.server = self.start_server("--devices=cpu", "--lease=1s", f"--listen={endpoint}")

    def kill_worker(self):
        self.worker.kill()
        self.worker = self.start_worker()

    def kill_compute(self):
        for program in (self.server, self.worker):
            for pid in compute_processes(program.process.pid):
                os.kill(pid, signal.SIGKILL)

    # When.

    def create_job(self):
        seed = next(self.numbers)
        answer = self.ask(*JOB, "--seed", seed, "--no-wait", "-o", "name")
        if answer.code == 0:
            self.jobs[answer.out.strip()] = seed
        else:
            self.assertEqual(answer.code, UNREACHABLE, answer)
        return answer

    def kill_in_a_job(self, kill):
        for _ in range(2):  # one for each slot
            self.assert_ok(self.create_job())
        open_jobs = list(self.jobs)[-2:]
        self.until("both jobs to run", lambda: all(self.job(name)["state"] == "RUNNING" for name in open_jobs))
        kill()
        for name in open_jobs:
            answer = self.ask("jobs", "wait", name)
            self.assertEqual(answer.code, 0, f"{answer}\n{self.job(name)}")
        attempts = [len(self.job(name)["attempts"]) for name in open_jobs]
        self.assertGreater(max(attempts), 1, "the kill met no job")

    def kill_in_an_upload(self, kill):
        name = f"big{next(self.numbers)}"
        path = self.folder / f"{name}.safetensors"
        values = [self.random.random() for _ in range(1024)] * 4096  # 16 MiB, unlike all others
        safetensors.write(path, {"embed.weight": ((4096, 1024), values)})
        before = self.bytes_stored()
        push = self.pool.submit(self.ask, "models", "push", name, path)
        self.until("the upload to begin", lambda: push.done() or self.bytes_stored() > before)
        kill()
        answer = push.result(timeout=programs.DEADLINE)
        if answer.code == 0:
            self.assert_ok(self.ask("models", "show", name))
        else:
            self.assertEqual(answer.code, UNREACHABLE, answer)
            self.assert_ok(self.ask("models", "push", name, path))
        self.artifacts[name] = path

    def bytes_stored(self):
        sizes = 0
        for file in (self.folder / "state").rglob("*"):
            try:
                sizes += file.stat().st_size
            except FileNotFoundError:
                pass  # renamed meanwhile
        return sizes

    def test_nothing_acknowledged_is_lost(self):
        self.start_all()
        kills = (self.kill_server, self.kill_compute, self.kill_worker)
        moments = (self.kill_in_a_job, self.kill_in_an_upload)
        for number, (moment, kill) in zip(range(ROUNDS), itertools.cycle(itertools.product(moments, kills))):
            with self.subTest(round=number, moment=moment.__name__, kill=kill.__name__):
                moment(kill)
        self.check_results()
        self.check_artifacts()

    def check_results(self):
        for name, seed in self.jobs.items():
            local, remote = self.folder / f"local{seed}", self.folder / f"remote{seed}"
            self.assert_ok(radiograph(*JOB, "--seed", seed, "--local", "--out", local))
            self.assert_ok(self.ask("results", "get", name, "--out", remote))
            for file in ("result.json", "arrays.safetensors"):
                self.assertEqual((local / file).read_bytes(), (remote / file).read_bytes(), name)

    def check_artifacts(self):
        self.server.stop()
        for name, path in self.artifacts.items():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            stored = self.folder / "state/blobs" / digest[:2] / digest
            self.assertEqual(stored.read_bytes(), path.read_bytes(), name)


if __name__ == "__main__":
    for argument in [argument for argument in sys.argv if argument.startswith("--rounds=")]:
        ROUNDS = int(argument.removeprefix("--rounds="))
        sys.argv.remove(argument)
    unittest.main()
