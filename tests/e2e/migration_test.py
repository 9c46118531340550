"""A state folder of before (tests/data/make_state.py): all that was stored in it goes on to work."""

import sys
import tarfile
import unittest

import programs
from programs import ROOT, radiograph

sys.path.insert(0, str(ROOT / "tests/data"))
import make_state

RUN = ("run", "bilinear.spectrum", "--param", "null_draws=0", "-o", "name")


class Migration(programs.Case):
    def setUp(self):
        super().setUp()
        with tarfile.open(ROOT / "tests/data/state_schema_9.tar.gz") as archive:
            archive.extractall(self.folder, filter="data")
        # The folder is old; nothing in it is collected.
        self.server = self.start_server("--devices=cpu", "--keep-jobs=0", "--keep-blobs=0")

    def ask(self, *arguments):
        return self.assert_ok(radiograph(*arguments, endpoint=self.server.endpoint))

    def jobs(self):
        return {job.get("seed", "0"): job for job in self.ask("jobs", "ls", "-o", "json").json()}

    def test_what_was_stored_goes_on_to_work(self):
        old = self.jobs()
        self.assertEqual(set(old), {"0", "1"})
        self.assertEqual(old["0"]["state"], "SUCCEEDED")
        self.ask("jobs", "wait", old["1"]["id"])  # it was queued
        self.ask("results", "get", old["0"]["id"], "--out", self.folder / "result")
        again = self.folder / "net.safetensors"
        make_state.write_model(again, 1)
        pushed = self.ask("models", "push", again, "-o", "json").json()
        self.assertEqual(pushed["version"], "1")
        self.assertEqual(pushed["digest"], self.ask("models", "show", "net@1", "-o", "json").json()["digest"])
        self.assertEqual(self.ask("data", "show", "points", "-o", "json").json()["roles"], {"inputs": "images"})

    def test_a_model_is_read_as_today_and_its_finished_work_is_not_taken_for_todays(self):
        listed = {model["name"]: model for model in self.ask("models", "ls", "-o", "json").json()}
        self.assertEqual(listed["compiled"]["architecture"]["family"], "unknown")
        shown = self.ask("models", "show", "compiled", "-o", "json").json()
        self.assertEqual(shown["architecture"]["family"], "bilinear")
        self.ask(*RUN, "--input", "model=compiled")
        hits = []
        for _ in range(2):
            job = self.ask(*RUN, "--input", "model=net").out.strip()
            hits.append(self.ask("jobs", "get", job, "-o", "json").json().get("cache_hit", False))
        self.assertEqual(hits, [False, True])


if __name__ == "__main__":
    unittest.main()
