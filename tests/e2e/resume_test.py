"""kill -9 in the middle of a job that saves its state: it goes on from there and ends with the same bytes."""

import json
import os
import pathlib
import random
import signal
import tempfile
import unittest

import programs
import safetensors
from job_case import compute_processes
from programs import radiograph

PATIENCE = 600  # seconds: for the whole job on a busy machine


class Resume(programs.Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.undisturbed = pathlib.Path(folder.name) / "local"
        # Some ten seconds of work; state is kept for the first time after one. On one thread: two that wait for each other
        # crawl where others want the cores too.
        model = pathlib.Path(folder.name) / "model.safetensors"
        safetensors.write(model, {name: (shape, cls.numbers(shape)) for name, shape in (
            ("embed.weight", (128, 128)), ("blocks.0.weight", (256, 128)), ("head.weight", (10, 128)))})
        cls.job = ("run", "bilinear.spectrum", "--input", f"model={model}", "--param", "null_draws=1000", "--seed", "7")
        answer = radiograph(*cls.job, "--local", "--threads", "1", "--out", cls.undisturbed, timeout=PATIENCE)
        assert answer.code == 0, answer

    @staticmethod
    def numbers(shape, numbers=random.Random(20261127)):
        return [numbers.gauss(0, 1) for _ in range(shape[0] * shape[1])]

    def ask(self, *arguments):
        return self.assert_ok(radiograph(*arguments, endpoint=self.server.endpoint, timeout=PATIENCE))

    def create(self):
        return self.ask(*self.job, "--no-wait", "-o", "name").out.strip()

    def start_worker(self):
        self.worker = self.start("radiograph-worker", f"--server={self.server.endpoint}", f"--state={self.folder / 'worker'}",
                                 "--name=remote", "--devices=cpu", "--threads=1")

    def restart_server(self, *flags):
        endpoint = self.server.endpoint
        self.server.kill()
        self.server = self.start_server(*flags, f"--listen={endpoint}")

    def kill_compute(self, program):
        processes = compute_processes(program.process.pid)
        self.assertEqual(len(processes), 1)
        os.kill(processes[0], signal.SIGKILL)

    def check(self, job, resumed):
        """The job has ended well, its attempts began where the ones before had been, and the bytes are right."""
        self.ask("jobs", "wait", job)
        events = [json.loads(line) for line in self.ask("jobs", "watch", job, "-o", "json").out.splitlines()]
        messages = [event.get("message", "") for event in events]
        self.assertEqual([message for message in messages if "goes on from" in message], resumed, messages)
        out = self.folder / "out"
        self.ask("results", "get", job, "--out", out)
        for file in ("result.json", "arrays.safetensors"):
            self.assertEqual((out / file).read_bytes(), (self.undisturbed / file).read_bytes(), file)

    def test_killed_compute_worker_and_server(self):
        self.server = self.start_server("--devices=none")
        self.start_worker()
        job = self.create()
        self.worker.wait_for("kept")
        self.kill_compute(self.worker)
        self.worker.wait_for("found_kept")
        self.worker.wait_for("kept")
        self.worker.kill()
        self.start_worker()
        self.worker.wait_for("found_kept")
        self.worker.wait_for("kept")
        self.restart_server("--devices=none")  # the worker's lease outlives it
        self.worker.wait_for("kept")
        self.check(job, [f"attempt {n + 1}: goes on from 'null_maxima' of attempt {n}" for n in (1, 2)])
        outcomes = [attempt["outcome"] for attempt in self.ask("jobs", "get", job, "-o", "json").json()["attempts"]]
        self.assertEqual(outcomes, ["CRASHED", "LOST", "SUCCEEDED"])

    def test_killed_server_with_the_job_in_its_own_worker(self):
        self.server = self.start_server("--devices=cpu", "--threads=1")
        job = self.create()
        self.server.wait_for("kept")
        self.restart_server("--devices=cpu", "--threads=1")
        self.server.wait_for("found_kept")
        self.check(job, ["attempt 2: goes on from 'null_maxima' of attempt 1"])


if __name__ == "__main__":
    unittest.main()
