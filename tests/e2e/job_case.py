"""What tests of jobs share: ask a server, make jobs, look at them and at the processes that run them."""

import os
import pathlib
import random
import signal
import time

import programs
import safetensors
from programs import NETWORK, radiograph

SHORT = ("--param", "null_draws=0")
MIDDLE = ("--param", "null_draws=300")  # a second or two


def compute_processes(pid):
    """The compute processes below a server or worker; any of its threads may be the parent."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            if pathlib.Path(f"/proc/{child}/comm").read_text().startswith("radiograph-comp"):
                found.append(child)
    return found


def outcomes(job):
    return [attempt.get("outcome") for attempt in job.get("attempts", [])]


class JobCase(programs.Case):
    def ask(self, *arguments):
        return radiograph(*arguments, endpoint=self.server.endpoint)

    def create(self, *arguments, model=NETWORK):
        """The id of a new job, which runs whatever is known of the same work."""
        answer = self.ask("run", "bilinear.spectrum", "--input", f"model={model}", "--no-wait", "-o", "name", *arguments)
        return self.assert_ok(answer).out.strip()

    def create_long(self, *arguments):
        """The same, with work for half a minute or more: nobody waits for its end."""
        model = self.folder / "slow.safetensors"
        if not model.exists():
            write_large_model(model, width=256)
        return self.create("--param", "null_draws=1000", *arguments, model=model)

    def job(self, name):
        return self.assert_ok(self.ask("jobs", "get", name, "-o", "json")).json()

    def wait(self, name):
        """The job at its end."""
        self.ask("jobs", "wait", name)
        return self.job(name)

    def start_worker(self, *flags, name="remote", endpoint=None, before=()):
        worker = self.start("radiograph-worker", f"--server={endpoint or self.server.endpoint}",
                            f"--state={self.folder / name}", f"--name={name}", "--devices=cpu", *flags, before=before)
        worker.wait_for("compute_started")
        return worker

    def compute(self, program):
        """The one warm compute process of a server or worker."""
        [pid] = self.until("a compute process", lambda: compute_processes(program.process.pid))
        return pid

    def until(self, what, condition):
        deadline = time.monotonic() + programs.DEADLINE
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
        self.fail(f"waited {programs.DEADLINE} s for {what}")

    def until_started(self, name):
        """Until compute runs the job; its attempt."""
        def started():
            job = self.job(name)
            self.assertIn(job["state"], ("QUEUED", "RUNNING"), job)
            return job["state"] == "RUNNING" and "start_time" in job["attempts"][-1] and job["attempts"][-1]
        return self.until(f"the start of {name}", started)

    def freeze(self, pid):
        """Hangs a process, which hears nothing from now on."""
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.thaw, pid)

    def thaw(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def gone(self, pid):
        return not pathlib.Path(f"/proc/{pid}").exists()


def write_large_model(path, seed=0, width=768):
    """A bilinear network; of width 768 it has 7 MB, and its spectrum takes a hundred MB of memory."""
    chance = random.Random(seed)
    some = [chance.gauss(0, width**-0.5) for _ in range(width * width)]
    safetensors.write(path, {"embed.weight": ((width, width), some), "blocks.0.weight": ((2 * width, width), some[::-1] + some),
                             "head.weight": ((10, width), some[: 10 * width])})
    return path


def read_results(folder):
    """The files that are the same whoever computes."""
    return {name: (folder / name).read_bytes() for name in ("result.json", "arrays.safetensors")}
