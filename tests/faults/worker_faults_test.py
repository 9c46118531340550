"""A worker is killed, paused, starved of memory or hung at random moments of a job.

After each fault: the job has ended; its attempts tell what happened; one of them at most left a result, whose bytes
are those of a run that nobody disturbed; and the next job runs.

    [RADIOGRAPH_SEED=N] python3 tests/faults/worker_faults_test.py [--rounds=20]

Rounds of each fault. The seed, which is printed, chooses the moments.
"""

import os
import pathlib
import random
import resource
import signal
import sys
import unittest

sys.path += [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("e2e", "support")]
import programs  # noqa: E402
import wire  # noqa: E402
from job_case import MIDDLE, SHORT, JobCase, outcomes, read_results, write_large_model  # noqa: E402
from programs import NETWORK, radiograph  # noqa: E402

SEED = int(os.environ.get("RADIOGRAPH_SEED", random.randrange(1 << 30)))
ROUNDS = 1
SPARE_ROUNDS = 10
LEASE_SECONDS = 1
MOMENT_SECONDS = 0.8  # after its start a job of MIDDLE length still runs
EXHAUSTED = 10


class WorkerFaults(JobCase):
    def setUp(self):
        super().setUp()
        print(f"seed {SEED}", flush=True)
        self.random = random.Random(f"{SEED} {self.id()}")
        self.server = self.start_server("--devices=none", f"--lease={LEASE_SECONDS}s")
        self.worker = self.start_worker()
        self.seed, self.met = 0, 0

    def pause(self, seconds):
        """By a moment that comes by itself: there is nothing to wait for."""
        programs.threading.Event().wait(seconds)

    def begin(self, *arguments):
        """A new job, some time after its start."""
        self.seed += 1
        name = self.create(*(arguments or MIDDLE), "--seed", self.seed)
        self.until_started(name)
        self.pause(self.random.uniform(0, MOMENT_SECONDS))
        return name

    def assert_ended(self, name, fault, last="SUCCEEDED"):
        """As the fault and then `last`; or at once, when the fault came after the job's end."""
        job = self.wait(name)
        told = outcomes(job)
        self.met += told != ["SUCCEEDED"]
        self.assertIn(told, (["SUCCEEDED"], [fault, last] if last else [fault]), job)
        self.assertEqual(job["state"], "SUCCEEDED" if told[-1] == "SUCCEEDED" else "FAILED", job)
        if told[-1] == "SUCCEEDED":
            self.assert_same_bytes(name)
        following = self.wait(self.create(*SHORT, "--cache=bypass"))
        self.assertEqual(outcomes(following), ["SUCCEEDED"], following)
        return job

    def assert_same_bytes(self, name):
        local, remote = self.folder / f"local{self.seed}", self.folder / f"remote{self.seed}"
        self.assert_ok(radiograph("run", "bilinear.spectrum", "--input", f"model={NETWORK}", *MIDDLE, "--seed", self.seed,
                                  "--local", "--out", local))
        self.assert_ok(self.ask("results", "get", name, "--out", remote))
        self.assertEqual(read_results(local), read_results(remote))

    def rounds(self, one):
        """Some more when no fault has met its job yet: on a quick machine it may have ended before."""
        number = 0
        while number < ROUNDS or (self.met == 0 and number < ROUNDS + SPARE_ROUNDS):
            with self.subTest(round=number):
                one()
            number += 1
        self.assertGreater(self.met, 0, "no fault met its job")

    def test_agent_is_killed(self):
        def one():
            name = self.begin()
            pid = self.compute(self.worker)
            self.worker.kill()
            self.worker = self.start_worker()
            self.assert_ended(name, "LOST")
            self.until("the end of the compute process without an agent", lambda: self.gone(pid))
        self.rounds(one)

    def test_compute_is_killed(self):
        def one():
            name = self.begin()
            os.kill(self.compute(self.worker), signal.SIGKILL)
            job = self.assert_ended(name, "CRASHED")
            if len(job["attempts"]) > 1:
                self.assertIn("signal 9", job["attempts"][0]["error"]["message"])
        self.rounds(one)

    def test_compute_has_a_segmentation_fault(self):
        def one():
            name = self.begin()
            os.kill(self.compute(self.worker), signal.SIGSEGV)
            job = self.assert_ended(name, "CRASHED")
            if len(job["attempts"]) > 1:
                self.assertIn("signal 11", job["attempts"][0]["error"]["message"])
        self.rounds(one)

    def test_agent_is_paused_for_three_leases(self):
        """Its compute goes on meanwhile, and ends: nobody takes what it found."""
        def one():
            name = self.begin()
            self.freeze(self.worker.process.pid)
            other = self.start_worker(name="other")
            self.pause(3 * LEASE_SECONDS)
            self.thaw(self.worker.process.pid)
            job = self.assert_ended(name, "LOST")
            if len(job["attempts"]) > 1:
                self.worker.wait_for("lease_lost")
                self.assertEqual(job["attempts"][1]["slot"], "other/cpu")
            result = self.job(name)["result_digest"]
            other.stop()
            self.assertEqual((outcomes(self.job(name)), self.job(name)["result_digest"]), (outcomes(job), result))
        self.rounds(one)

    def test_what_a_worker_reports_after_its_lease_is_refused(self):
        """The worker is made up: it takes a lease, is silent, and comes back with a result that is none."""
        self.worker.stop()
        call = wire.workers.SynchronizeRequest(protocol_version=1, slot="stale/cpu", incarnation="1", memory_bytes=1 << 40)
        call.engine.device_kind = "cpu"
        call.analyses.add(name="bilinear.spectrum", version=1)
        with wire.Connection(self.server.endpoint) as connection:
            name = self.create(*MIDDLE)
            call.state = wire.workers.IDLE
            lease = self.until("a lease", lambda: connection.workers.Synchronize(call)).lease
            self.assertEqual(lease.job, name)
            self.until("the end of the lease", lambda: outcomes(self.job(name)) == ["LOST"])
            call.state, call.lease_token, call.report.outcome = wire.workers.DONE, lease.token, "SUCCEEDED"
            call.report.result.add(name="result.json", blob={"sha256": "0" * 64, "size": 1})
            self.assertEqual(connection.workers.Synchronize(call).desired, wire.workers.IDLE)
            self.assertEqual(outcomes(self.job(name)), ["LOST"])
            self.worker = self.start_worker()
            self.until_started(name)
            self.assertEqual(connection.workers.Synchronize(call).desired, wire.workers.IDLE)
            self.assert_ended(name, "LOST")

    def test_compute_hangs_until_the_deadline(self):
        """It answers nobody any more; the agent, which does, keeps the lease."""
        def one():
            name = self.begin(*MIDDLE, "--deadline=4s")
            pid = self.compute(self.worker)
            self.freeze(pid)
            if outcomes(self.wait(name)) == ["SUCCEEDED"]:
                self.thaw(pid)  # it hung after the job's end: the next job has no deadline to end that
            self.assert_ended(name, "DEADLINE", last=None)
        self.rounds(one)

    @unittest.skipIf(programs.SANITIZED, "AddressSanitizer ends a process that gets no memory")
    def test_memory_is_not_enough(self):
        model = write_large_model(self.folder / "large.safetensors")
        room = 16 << 20  # beyond what the idle process has

        def one():
            self.seed += 1
            self.wait(self.create(*SHORT, "--cache=bypass"))  # its threads have begun: libgomp ends a process that can't have them
            pid = self.compute(self.worker)
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            [size] = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmSize:")]
            limit = size + room + self.random.randrange(room)
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            name = self.create("--seed", self.seed, *SHORT, model=model)
            answer = self.ask("jobs", "wait", name)
            self.assertEqual(answer.code, EXHAUSTED, f"{answer}\n{self.job(name)}")
            self.assertIn("out of memory", answer.error())
            self.assertIn("a smaller k (now 20)", answer.error())
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            job = self.assert_ended(name, "OUT_OF_MEMORY", last=None)
            self.assertEqual(self.compute(self.worker), pid)  # it lives on
            [attempt] = job["attempts"]
            self.assertGreater(int(attempt["needed_bytes"]), limit)
            self.assertEqual(int(attempt["available_bytes"]), limit)
        self.rounds(one)


if __name__ == "__main__":
    for argument in [argument for argument in sys.argv if argument.startswith("--rounds=")]:
        ROUNDS = int(argument.removeprefix("--rounds="))
        sys.argv.remove(argument)
    unittest.main()
