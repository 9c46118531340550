"""`radiograph doctor` on a running server: finds what was damaged, says what heals it, makes backups, forgets."""

import hashlib
import shutil
import threading
import unittest

import programs
from programs import NETWORK, radiograph

HEALTHY, PROBLEMS = 0, 1
DATA_LOSS = 1  # of a job: it has no exit code of its own


class Doctor(programs.Case):
    def setUp(self):
        super().setUp()
        self.server = self.start_server("--devices=cpu", "--keep-jobs=1s")
        self.assert_ok(self.ask("models", "push", "digits", NETWORK))

    def ask(self, *arguments, server=None):
        return radiograph(*arguments, endpoint=(server or self.server).endpoint)

    def doctor(self, *flags, code=HEALTHY, server=None):
        answer = self.ask("doctor", "-o", "json", *flags, server=server)
        self.assertEqual(answer.code, code, answer)
        return answer.json()

    def run_digits(self, seed, server=None):
        return self.ask("run", "bilinear.spectrum", "--input", "model=digits", "--param", "null_draws=0",
                        "--seed", seed, server=server)

    def weights(self):
        """The file of the network's weights in the server's state."""
        digest = hashlib.sha256((NETWORK / "model.safetensors").read_bytes()).hexdigest()
        return self.folder / "state/blobs" / digest[:2] / digest

    def damage(self, path, change):
        path.chmod(0o644)
        path.write_bytes(change(path.read_bytes()))

    def test_damage_is_found_told_and_healed(self):
        self.assert_ok(self.run_digits(1))
        self.assertTrue(self.doctor("--digests")["healthy"])
        for change in (lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:], lambda b: b[:5000]):
            self.damage(self.weights(), change)
            # The embedded worker takes the file itself, and finds out before it computes.
            ran = self.run_digits(2)
            self.assertEqual(ran.code, DATA_LOSS, ran)
            self.assertIn("uploading the same bytes again heals it", ran.error())
            found = self.doctor("--digests", code=PROBLEMS)
            self.assertFalse(found["healthy"])
            (problem,) = found["problems"]
            self.assertIn(problem["reason"], ("BLOB_DAMAGED", "BLOB_WRONG_SIZE"))
            self.assertEqual(problem["subject"], self.weights().name)
            self.assertIn("artifact digits@1", problem["needed_by"])
            self.assertIn("upload the same bytes again", problem["text"])
            self.assert_ok(self.ask("models", "push", "digits", NETWORK))
            self.assertTrue(self.doctor("--digests")["healthy"])
        self.assert_ok(self.run_digits(2))

    def test_a_backup_made_while_serving_is_a_state_folder(self):
        self.assert_ok(self.run_digits(1))
        stop = threading.Event()
        jobs = []

        def keep_busy():
            while not stop.is_set():
                jobs.append(self.run_digits(100 + len(jobs)).code)

        busy = threading.Thread(target=keep_busy)
        busy.start()
        try:
            backups = [self.doctor("--backup")["backup"] for _ in range(2)]
        finally:
            stop.set()
            busy.join()
        self.assertEqual(set(jobs), {0})
        self.assertEqual(len({backup["folder"] for backup in backups}), 2)
        shutil.rmtree(self.folder / "state/blobs")
        self.doctor(code=PROBLEMS)
        self.server.kill()
        restored = self.start("radiographd", "--listen=127.0.0.1:0", "--http=none", "--devices=cpu",
                              f"--state={backups[1]['folder']}")
        restored.endpoint = restored.wait_for("serving")["grpc"]
        self.assertTrue(self.doctor("--digests", server=restored)["healthy"])
        self.assert_ok(self.run_digits(7, server=restored))

    def test_ended_jobs_are_forgotten_when_asked(self):
        self.assert_ok(self.run_digits(1))
        (job,) = self.ask("jobs", "ls", "-o", "json").json()
        self.assertIn("expire_time", job)
        while not int(self.doctor("--collect", "--dry-run")["would_collect"].get("jobs", 0)):
            pass  # its second has not passed
        self.assertEqual(self.doctor("--collect")["collected"]["jobs"], "1")
        self.assertEqual(self.ask("jobs", "ls", "-o", "json").json(), [])
        self.assertTrue(self.doctor("--digests")["healthy"])

    def test_a_damaged_database_does_not_start(self):
        self.server.stop()
        (self.folder / "state/lock").write_text("1")  # as after an end that was not clean
        database = self.folder / "state/radiograph.db"
        pages = database.read_bytes()
        self.assertGreater(len(pages), 3 * 4096)
        database.write_bytes(pages[:4096] + b"?" * 8192 + pages[3 * 4096:])
        server = self.start("radiographd", "--listen=127.0.0.1:0", "--http=none", "--devices=none",
                            f"--state={self.folder / 'state'}")
        failed = server.wait_for("start_failed")
        server.wait()
        self.assertEqual(server.process.returncode, 1)
        self.assertIn("radiograph.db is damaged", failed["error"])
        self.assertIn("restore it from a backup", failed["error"])


if __name__ == "__main__":
    unittest.main()
