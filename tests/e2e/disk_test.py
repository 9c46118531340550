"""A server whose disk runs low, then full, then has room again: a real file system of 512 MiB."""

import json
import os
import pathlib
import subprocess
import threading
import unittest
import urllib.error
import urllib.request

import grpc
import programs
from programs import DIGITS, NETWORK, radiograph

RUN = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--param", "null_draws=0")
LONG = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--param", "null_draws=1000")
EXHAUSTED = 10
MIB = 1 << 20
SIZE = 512 * MIB
MIN = SIZE // 20  # the least free space by default: a twentieth


class Disk(programs.Case):
    def setUp(self):
        super().setUp()
        self.state = self.folder / "state"
        self.state.mkdir()
        # The file system lives in a mount namespace of its own, for as long as this process.
        alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
        mount = f"mount -t tmpfs -o size={SIZE} none {self.state} && echo mounted && exec cat"
        holder = subprocess.Popen([*alone, "sh", "-c", mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (holder.kill(), holder.wait(), holder.stdin.close(), holder.stdout.close()))
        self.assertEqual(holder.stdout.readline(), "mounted\n")
        self.inside = pathlib.Path(f"/proc/{holder.pid}/root{self.state}")
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.enter = ["nsenter", f"--target={holder.pid}", *user, "--mount", "--"]
        self.start_again("--devices=cpu")

    def start_again(self, *flags):
        self.server = self.start_server(*flags, before=self.enter)
        self.http = next(json.loads(line)["http"] for line in self.server.log if '"serving"' in line)

    def ask(self, *arguments):
        return radiograph(*arguments, endpoint=self.server.endpoint)

    def create(self, *arguments):
        return self.assert_ok(self.ask(*arguments, "--no-wait", "-o", "name")).out.strip()

    def state_of(self, job):
        return self.assert_ok(self.ask("jobs", "get", job, "-o", "json")).json()["state"]

    def free(self):
        room = os.statvfs(self.inside)
        return room.f_bavail * room.f_frsize

    def fill(self, leave):
        """Others take the disk, all but so many bytes."""
        with open(self.inside / "filler", "ab") as filler:
            os.posix_fallocate(filler.fileno(), 0, filler.tell() + self.free() - leave)

    def fill_up(self):
        with open(self.inside / "filler", "ab", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass

    def get(self, page):
        try:
            with urllib.request.urlopen(f"http://{self.http}{page}", timeout=programs.DEADLINE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def serves(self):
        """What grpc.health.v1 says of the server: field 1 is 1 (SERVING) or 2 (NOT_SERVING)."""
        with grpc.insecure_channel(self.server.endpoint) as channel:
            return channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"

    def await_ready(self, code):
        """The server looks once a second. Both who ask for readiness are told the same."""
        waiting, waited = threading.Event(), 0
        while (self.get("/readyz")[0], self.serves()) != (code, code == 200):
            waited += 1
            self.assertLess(waited, 10 * programs.DEADLINE, f"it is not {code}")
            waiting.wait(0.1)

    def test_low_full_and_room_again(self):
        first = self.create(*RUN)
        self.assert_ok(self.ask("jobs", "wait", first))
        running, waiting = self.create(*LONG), self.create(*RUN, "--seed", "1")
        given_up, last = (self.create(*RUN, "--seed", seed, "--device", "cuda") for seed in ("2", "3"))  # nobody takes them
        self.await_ready(200)

        # Low: nothing new, reads go on, and what was acknowledged ends.
        self.fill(leave=MIN - MIB)
        self.await_ready(503)
        self.assertRegex(self.get("/readyz")[1], r"^the disk is low: \d+ bytes are free, of \d+ that must be; reads go on\n$")
        refused = self.ask(*RUN, "--seed", "4")
        self.assertEqual(refused.code, EXHAUSTED, refused)
        self.assertRegex(refused.error(), r"the server's disk is low: \d+ bytes are free, and \d+ must be")
        self.assert_ok(self.ask("results", "get", first, "--out", self.folder / "first"))
        self.assert_ok(self.ask("jobs", "cancel", given_up))
        self.assert_ok(self.ask("jobs", "wait", running))
        self.assert_ok(self.ask("jobs", "wait", waiting))
        metrics = self.get("/metrics")[1]
        self.assertRegex(metrics, r'(?m)^radiograph_exhausted_total\{limit="disk_space"\} [1-9]')
        self.assertRegex(metrics, r"(?m)^radiograph_disk_free_bytes \d+")

        # Full to the last byte: it lives and reads. A cancel is done, or refused, and never a lie.
        self.fill_up()
        cancel = self.ask("jobs", "cancel", last)
        self.assertIn(cancel.code, (0, EXHAUSTED), cancel)
        last_state = "CANCELLED" if cancel.code == 0 else "QUEUED"
        self.assertEqual(self.state_of(last), last_state)
        self.assert_ok(self.ask("results", "get", first, "--out", self.folder / "again"))

        # Room again: by itself, also for those who waited at the door.
        pushed = []
        push = threading.Thread(target=lambda: pushed.append(self.ask("data", "push", "late", DIGITS / "test.safetensors")))
        push.start()
        (self.inside / "filler").unlink()
        self.await_ready(200)
        push.join()
        self.assert_ok(pushed[0])
        after = self.create(*RUN, "--seed", "5")
        self.server.kill()
        self.start_again("--devices=cpu")
        self.assert_ok(self.ask("jobs", "wait", after))
        self.assertEqual([self.state_of(job) for job in (first, running, waiting)], ["SUCCEEDED"] * 3)
        self.assertEqual([self.state_of(job) for job in (given_up, last)], ["CANCELLED", last_state])
        files = [sorted((self.folder / name).glob("*.json")) for name in ("first", "again")]
        self.assertTrue(files[0])
        self.assertEqual([file.read_bytes() for file in files[0]], [file.read_bytes() for file in files[1]])


if __name__ == "__main__":
    unittest.main()
