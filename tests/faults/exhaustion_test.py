"""A server under load runs out of file descriptors, or of disk: it says so, keeps its word, and recovers by itself.

    [RADIOGRAPH_SEED=N] /usr/bin/python3 tests/faults/exhaustion_test.py
"""

import errno
import os
import pathlib
import random
import resource
import sys
import time
import unittest
import urllib.request

sys.path += [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("e2e", "support")]
import grpc  # noqa: E402
import load  # noqa: E402
import programs  # noqa: E402
import wire  # noqa: E402

SEED = int(os.environ.get("RADIOGRAPH_SEED", random.randrange(1 << 30)))
CLIENTS = 4
SIZES = (0, 1, 70_000, 300_000)
PAUSE_SECONDS = 0.02
DISK = 64 << 20
STEADY_SECONDS, EXHAUSTED_SECONDS = 2, 3
NEW_CONNECTIONS = 20


def new_connection(endpoint):
    """Not one that another channel of this process has already."""
    return grpc.insecure_channel(endpoint, options=[*wire.CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)])


class Exhaustion(programs.Case):
    def setUp(self):
        super().setUp()
        print(f"seed {SEED}", flush=True)
        self.ledger = load.Ledger()

    def start_all(self, *flags, **how):
        self.server = self.start_server("--devices=none", *flags, **how)
        self.endpoint, self.pid = self.server.endpoint, self.server.process.pid
        self.assert_ok(programs.radiograph("models", "push", "digits", programs.NETWORK, endpoint=self.endpoint))
        self.start("radiograph-worker", f"--server={self.endpoint}", f"--state={self.folder / 'worker'}", "--name=remote", "--devices=cpu")
        self.clients = [load.Client(self.endpoint, self.ledger, "digits", f"{SEED} {number}", SIZES, PAUSE_SECONDS) for number in range(CLIENTS)]
        load.pause(STEADY_SECONDS)

    def end_all(self):
        """Every call that was refused is answered now, every job ends, and all that was ever told is true."""
        load.pause(STEADY_SECONDS)
        for client in self.clients:
            client.stop()
        for client in self.clients:
            client.join()
        print(f"{len(self.ledger.requests)} jobs, {dict(self.ledger.counts)}")
        with wire.Connection(self.endpoint) as connection:
            self.ledger.check_jobs(connection, self.ledger.requests)
            self.ledger.check_blobs(connection)
            self.ledger.check_requests(connection)
        self.assertEqual("\n".join(self.ledger.problems), "")
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(urllib.request.urlopen(f"http://{self.server.http}/readyz", timeout=programs.DEADLINE).status, 200)

    def get_info(self, channel, seconds):
        stub = wire.Stub(channel, wire.server.DESCRIPTOR.services_by_name["Server"])
        return stub.GetInfo(wire.server.GetInfoRequest(), timeout=seconds)

    @unittest.skipIf(programs.SANITIZED, "the sanitizer opens pipes to look whether memory can be read")
    def test_descriptors(self):
        self.start_all()
        used = len(os.listdir(f"/proc/{self.pid}/fd"))
        before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (used, before[1]))
        end = time.monotonic() + EXHAUSTED_SECONDS
        channels = [new_connection(self.endpoint) for _ in range(NEW_CONNECTIONS)]
        refused = 0
        for channel in channels:
            try:
                self.get_info(channel, 0.1)
            except grpc.RpcError as error:
                self.assertIn(error.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), error)
                refused += 1
        self.assertGreater(refused, 0, "there were descriptors")
        load.pause(end - time.monotonic())
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, before)
        for channel in channels:
            channel.close()
        with wire.Connection(self.endpoint) as connection:
            connection.channel.close()
        last = new_connection(self.endpoint)
        self.addCleanup(last.close)
        load.Client.insist(self, lambda: self.get_info(last, programs.DEADLINE))
        self.end_all()

    def test_disk(self):
        state = self.folder / "state"
        state.mkdir()
        alone = ["unshare", "--mount"] + ([] if os.getuid() == 0 else ["--map-root-user"])
        mount = f"mount -t tmpfs -o size={DISK} tmpfs {state} && exec \"$@\""
        # Nothing is kept free: the end is met in the middle of a write, not before it.
        self.start_all("--disk-min=0", before=(*alone, "sh", "-c", mount, "sh"))
        filler = pathlib.Path(f"/proc/{self.pid}/root{state}/filler")
        self.assertEqual(os.statvfs(filler.parent).f_blocks * os.statvfs(filler.parent).f_frsize, DISK)
        end = time.monotonic() + EXHAUSTED_SECONDS
        with open(filler, "wb", buffering=0) as file:
            while time.monotonic() < end:  # what is given free is taken at once
                try:
                    file.write(bytes(4096))
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
                    load.pause(0.01)
        with wire.Connection(self.endpoint) as connection:
            connection.jobs.List(wire.jobs.ListJobsRequest())  # reads go on
        self.assertGreater(self.ledger.counts["resource_exhausted"], 0, "the disk was never full")
        filler.unlink()
        self.end_all()


if __name__ == "__main__":
    unittest.main()
