"""The server is killed at random points under clients that create, cancel, upload and watch; a worker goes on meanwhile.

No acknowledged job is lost, none has two results, none is stuck, every acknowledged blob can be read.

    [RADIOGRAPH_SEED=N] /usr/bin/python3 tests/faults/kill_server_test.py [--kills=200]

The seed, which is printed, chooses what clients ask, and when the server is killed; not how far it has come by then.
"""

import os
import pathlib
import random
import sys
import time
import unittest

sys.path += [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("e2e", "support")]
import load  # noqa: E402
import programs  # noqa: E402
import wire  # noqa: E402

SEED = int(os.environ.get("RADIOGRAPH_SEED", random.randrange(1 << 30)))
KILLS = 8
KILLS_OF_A_ROUND = 20  # then everything ends, and is looked at
CLIENTS = 4
LEASE_SECONDS = 1
STUCK_SECONDS = LEASE_SECONDS + 10


class KillServer(programs.Case):
    def setUp(self):
        super().setUp()
        print(f"seed {SEED}", flush=True)
        self.random = random.Random(SEED)
        self.ledger = load.Ledger()
        self.longest = 0
        self.address = f"127.0.0.1:{programs.free_port()}"
        self.server = self.start_server("--devices=none", f"--listen={self.address}")
        self.assert_ok(programs.radiograph("models", "push", "digits", programs.NETWORK, endpoint=self.address))
        self.start("radiograph-worker", f"--server={self.address}", f"--state={self.folder / 'worker'}", "--name=remote", "--devices=cpu")

    def kill(self):
        """Some time after the start; now and then in the middle of it."""
        load.pause(self.random.uniform(0, 2))
        self.server.kill()
        flags = (f"--state={self.folder / 'state'}", f"--listen={self.address}", "--lease=1s", "--http=none",
                 self.random.choice(("--devices=none", "--devices=cpu")))
        if self.random.random() < 0.2:
            early = self.start("radiographd", *flags)
            load.pause(self.random.uniform(0, 0.08))
            early.kill()
        self.server = self.start("radiographd", *flags)
        self.server.wait_for("serving")

    def live_jobs(self, connection):
        """What can be seen of them, to be compared."""
        return [(job.id, job.state, job.progress, len(job.attempts), job.pending_reason)
                for state in ("QUEUED", "RUNNING")
                for job in connection.jobs.List(wire.jobs.ListJobsRequest(filter=f"state = {state}", page_size=100)).jobs]

    def settle(self, connection):
        """Until all jobs have ended. None may be stuck: something must happen to those that are left."""
        before, since = None, time.monotonic()
        while live := self.live_jobs(connection):
            if live != before:
                before, since = live, time.monotonic()
            self.longest = max(self.longest, time.monotonic() - since)
            self.assertLess(time.monotonic() - since, STUCK_SECONDS, f"nothing happens to {live}")
            load.pause(0.05)

    def test_nothing_acknowledged_is_lost(self):
        checked = set()
        for first in range(0, KILLS, KILLS_OF_A_ROUND):
            clients = [load.Client(self.address, self.ledger, "digits", f"{SEED} {first} {number}") for number in range(CLIENTS)]
            for _ in range(min(KILLS_OF_A_ROUND, KILLS - first)):
                self.kill()
            for client in clients:
                client.stop()
            with wire.Connection(self.address) as connection:
                self.settle(connection)
                for client in clients:
                    client.join()
                new = set(self.ledger.requests) - checked
                self.ledger.check_jobs(connection, sorted(new))
                checked |= new
            self.assertEqual("\n".join(self.ledger.problems), "")
        self.check_all()

    def check_all(self):
        """The server has died often since the first of them was acknowledged."""
        with wire.Connection(self.address) as connection:
            self.ledger.counts["retried"] = self.ledger.counts["hit"] = 0
            self.ledger.check_jobs(connection, self.ledger.requests)
            blobs = self.ledger.check_blobs(connection)
            self.ledger.check_requests(connection)
        states = [wire.jobs.JobState.Name(state) for state, _ in self.ledger.endings.values()]
        told = {state: states.count(state) for state in sorted(set(states))}
        print(f"{KILLS} kills: {told}, {blobs} blobs, {dict(self.ledger.counts)}; nothing happened for {self.longest:.1f} s at most")
        self.assertEqual("\n".join(self.ledger.problems), "")
        for what in ("created", "uploaded", "unavailable"):
            self.assertGreater(self.ledger.counts[what], KILLS, f"the kills met hardly anything: {what}")


if __name__ == "__main__":
    for argument in [argument for argument in sys.argv if argument.startswith("--kills=")]:
        KILLS = int(argument.removeprefix("--kills="))
        sys.argv.remove(argument)
    unittest.main()
