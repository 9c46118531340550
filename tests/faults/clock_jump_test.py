"""The wall clock of server and worker jumps by an hour, either way: leases and waits do not notice.

The programs run with a wall clock of their own (clock_jump.c), which the test sets.

    python3 tests/faults/clock_jump_test.py
"""

import os
import pathlib
import signal
import struct
import sys
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from job_case import MIDDLE, SHORT, JobCase, outcomes  # noqa: E402

PROGRAMS = pathlib.Path(os.environ.get("RADIOGRAPH_FAULTS", pathlib.Path(__file__).resolve().parents[2] / "build/tests/faults"))
HOUR = 3600
SOON_SECONDS = 60  # on a busy machine, and much less than an hour


class ClockJump(JobCase):
    jump_seconds = 0

    def setUp(self):
        super().setUp()
        self.clock = self.folder / "clock"
        self.set_clock(0)
        with_clock = ("env", f"LD_PRELOAD={PROGRAMS / 'libclock_jump.so'}", f"CLOCK_JUMP_FILE={self.clock}")
        self.server = self.start_server("--devices=none", "--lease=1s", before=with_clock)
        self.worker = self.start_worker(before=with_clock)

    def set_clock(self, ahead):
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("<q", ahead))

    def jump(self):
        before = self.now_there()
        self.set_clock(self.jump_seconds)
        # Abseil counts cycles, and asks the kernel for the time every two seconds.
        self.until("the jump to be seen", lambda: abs(self.now_there() - before - self.jump_seconds) < SOON_SECONDS)

    def now_there(self):
        """The wall clock of the server, as a job that it makes tells."""
        name = self.create(*SHORT, "--cache=bypass")
        self.assert_ok(self.ask("jobs", "cancel", name))
        return time.mktime(time.strptime(self.job(name)["create_time"][:19], "%Y-%m-%dT%H:%M:%S"))

    def assert_soon(self, begin):
        self.assertLess(time.monotonic() - begin, SOON_SECONDS)


class Cases:
    def test_a_running_job_keeps_its_lease(self):
        name = self.create(*MIDDLE)
        self.until_started(name)
        self.jump()
        job = self.wait(name)
        self.assertEqual(outcomes(job), ["SUCCEEDED"], job)
        self.assertFalse([line for line in self.worker.log if "lease_lost" in line])

    def test_what_waits_is_done_once_and_a_deadline_comes_when_it_was_to_come(self):
        running = self.create(*MIDDLE)
        self.until_started(running)
        queued = [self.create(*SHORT, "--seed", seed, "--deadline=30m") for seed in (1, 2, 3)]
        merged = self.create(*SHORT, "--seed", 3)
        late = self.create_long("--seed", 4, "--deadline=8s")
        begin = time.monotonic()
        self.jump()
        for name in (running, *queued, merged):
            job = self.wait(name)
            self.assertEqual(outcomes(job), ["SUCCEEDED"], job)
        job = self.wait(late)
        self.assertEqual((job["state"], job["error"]["code"]), ("FAILED", 4), job)
        self.assert_soon(begin)

    def test_a_lost_worker_is_noticed_and_a_pause_before_the_next_attempt_ends(self):
        name = self.create(*MIDDLE)
        self.until_started(name)
        os.kill(self.compute(self.worker), signal.SIGKILL)
        self.until("the pause after a crash", lambda: outcomes(self.job(name))[0])
        begin = time.monotonic()
        self.jump()
        self.until("the second attempt", lambda: len(self.job(name)["attempts"]) > 1)
        self.assert_soon(begin)
        self.worker.kill()
        told = self.until("the loss of the worker", lambda: outcomes(self.job(name))[1])
        self.assertIn(told, ("LOST", "SUCCEEDED"))
        self.assert_soon(begin)


class Forward(Cases, ClockJump):
    jump_seconds = HOUR


class Back(Cases, ClockJump):
    jump_seconds = -HOUR


del ClockJump  # not a case of its own

if __name__ == "__main__":
    unittest.main()
