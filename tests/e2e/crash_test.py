"""Rounds of kill -9 over server, compute process and remote worker, in uploads and in jobs.

Nothing that was acknowledged is lost, and every job ends right: SUCCEEDED, with the bytes that a run without
a server gives.

    python3 tests/e2e/crash_test.py [--rounds=20]
"""

import concurrent.futures
import hashlib
import itertools
import os
import random
import signal
import socket
import sys
import threading
import time
import unittest

import programs
import safetensors
from job_case import JobCase, compute_processes
from programs import NETWORK, radiograph

ROUNDS = 4
UNREACHABLE = 7
# Long enough to be killed in, short enough for many rounds: a second or two.
JOB = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--param", "null_draws=300")


class Gate:
    """A way to a server that lets so many bytes of what clients send through, and the rest when it is opened."""

    def __init__(self, endpoint, bytes_first):
        self.server = endpoint.rsplit(":", 1)
        self.left, self.opened, self.bytes_since_open = bytes_first, False, 0
        self.changed = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.open()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def closed(self):
        with self.changed:
            return self.left == 0 and not self.opened

    def open(self):
        with self.changed:
            self.opened = True
            self.changed.notify_all()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        try:
            with client, socket.create_connection(self.server) as server:
                back = threading.Thread(target=self._pass, args=(server, client, len), daemon=True)
                back.start()
                self._pass(client, server, self._let_through)
                back.join()
        except OSError:
            pass  # the server is down: so is this way

    def _pass(self, source, sink, let_through):
        """Until one of both ends."""
        try:
            while data := source.recv(65536):
                while data:
                    count = let_through(data)
                    sink.sendall(data[:count])
                    data = data[count:]
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _let_through(self, data):
        """How many of these bytes may pass; waits until some may."""
        with self.changed:
            self.changed.wait_for(lambda: self.opened or self.left > 0)
            if self.opened:
                self.bytes_since_open += len(data)
                return len(data)
            count = min(self.left, len(data))
            self.left -= count
            return count


class Crash(JobCase):
    def setUp(self):
        super().setUp()
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)
        self.jobs, self.artifacts = {}, {}  # what was acknowledged: id -> seed, name -> file
        self.numbers = itertools.count(1)
        self.random = random.Random(20240717)

    # What may be killed.

    def start_all(self):
        self.server = self.start_server("--devices=cpu", "--lease=1s")
        self.worker = self.start_worker()

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

    def two_running(self):
        """A job for each slot, both running at once; none when one had ended before the other began, as on a busy machine."""
        for _ in range(2):
            self.assert_ok(self.create_job())
        open_jobs = list(self.jobs)[-2:]
        deadline = time.monotonic() + programs.DEADLINE
        while time.monotonic() < deadline:
            states = [self.job(name)["state"] for name in open_jobs]
            if states == ["RUNNING", "RUNNING"]:
                return open_jobs
            if any(state not in ("QUEUED", "RUNNING") for state in states):
                return []
        self.fail(f"waited {programs.DEADLINE} s for {states} to change")

    def kill_in_a_job(self, kill):
        open_jobs = self.until("both slots to run a job", self.two_running)
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
        size = path.stat().st_size
        with Gate(self.server.endpoint, bytes_first=size // 2) as gate:
            push = self.pool.submit(radiograph, "models", "push", name, path, endpoint=gate.endpoint)
            self.until("the upload to be on its way", lambda: gate.closed() and self.bytes_uploaded() > 0)
            kill()
            came = self.bytes_uploaded()
            gate.open()
            self.assert_ok(push.result(timeout=programs.DEADLINE))
            self.assertTrue(0 < came < size, f"{came} of {size}")
            # The frames of HTTP/2, and the calls around the upload.
            self.assertLess(gate.bytes_since_open, (size - came) * 1.01 + 64 * 1024)
        self.assert_ok(self.ask("models", "show", name))
        self.artifacts[name] = path

    def bytes_uploaded(self):
        """Of the one unfinished upload."""
        return sum(file.stat().st_size for file in (self.folder / "state/uploads").iterdir())

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
