"""The sample job: without a server, through a server, and once more from the cache."""

import json
import subprocess
import sys
import unittest

import programs
from programs import DIGITS, NETWORK, ROOT, radiograph

RUN = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--input", f"data={DIGITS / 'test.safetensors'}",
       "--param", "image_shape=8,8", "--seed", "7")
FILES = {"result.json", "run.json", "arrays.safetensors", "figures", "report.html"}


class Sample(programs.Case):
    def test_local_and_server_give_the_same_bytes(self):
        local, remote = self.folder / "local", self.folder / "remote"
        self.assert_ok(radiograph(*RUN, "--local", "--out", local))
        server = self.start_server("--devices=cpu")
        self.assert_ok(radiograph(*RUN, "--out", remote, endpoint=server.endpoint))
        for folder in (local, remote):
            self.assertEqual({path.name for path in folder.iterdir()}, FILES)
        for name in ("result.json", "arrays.safetensors"):
            self.assertEqual((local / name).read_bytes(), (remote / name).read_bytes(), name)

    def test_the_same_job_again_runs_nothing(self):
        server = self.start_server("--devices=cpu")
        jobs = [self.assert_ok(radiograph(*RUN, "-o", "name", endpoint=server.endpoint)).out.strip() for _ in "ab"]
        first, second = (self.job(server, name) for name in jobs)
        self.assertNotEqual(first["id"], second["id"])
        self.assertTrue(second["cache_hit"])
        self.assertEqual(second["attempts"], first["attempts"])  # who computed it, and when: nothing new ran
        self.assertEqual(second["result_digest"], first["result_digest"])
        other = self.assert_ok(radiograph(*RUN[:-1], "8", "-o", "name", endpoint=server.endpoint)).out.strip()
        self.assertFalse(self.job(server, other).get("cache_hit", False))

    def job(self, server, name):
        return self.assert_ok(radiograph("jobs", "get", name, "-o", "json", endpoint=server.endpoint)).json()

    def test_the_result_tells_what_is_known_of_the_network(self):
        out = self.folder / "out"
        self.assert_ok(radiograph(*RUN, "--local", "--out", out))
        result = json.loads((out / "result.json").read_text())
        metrics = {metric["name"]: metric["value"] for metric in result["metrics"]}
        self.assertAlmostEqual(metrics["accuracy"], 0.9667, places=4)  # tests/data/README.md
        self.assertAlmostEqual(metrics["effective_rank_mean"], 2.67, places=2)
        self.assertLess(metrics["fidelity_error"], 1e-9)
        look = subprocess.run([sys.executable, "-B", ROOT / "tests/browser/check_report.py", out / "report.html"],
                              capture_output=True, text=True, timeout=programs.DEADLINE)
        self.assertEqual(look.returncode, 0, look.stdout + look.stderr)


if __name__ == "__main__":
    unittest.main()
