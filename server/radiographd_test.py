"""The program itself: its flags, its log, its pages, its end. Usage: radiographd_test.py RADIOGRAPHD"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

PROGRAM = sys.argv.pop(1)
DEADLINE = 60  # seconds: more than a loaded machine needs


class Radiographd(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def flags(self, *more):
        return [PROGRAM, "--listen=127.0.0.1:0", "--http=127.0.0.1:0", "--devices=none", f"--state={self.folder / 'state'}", *more]

    def start(self, *more):
        """A server that answers: its process and the log line that says where."""
        process = subprocess.Popen(self.flags(*more), stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.wait(), process.stderr.close()))
        return process, json.loads(process.stderr.readline())

    def run_to_end(self, *more):
        return subprocess.run(self.flags(*more), capture_output=True, text=True, timeout=DEADLINE)

    def get(self, serving, path):
        with urllib.request.urlopen(f"http://{serving['http']}{path}", timeout=DEADLINE) as answer:
            return answer.read().decode()

    def test_serves_pages(self):
        _, serving = self.start()
        self.assertEqual(serving["event"], "serving")
        self.assertEqual(self.get(serving, "/healthz"), "ok\n")
        self.assertEqual(self.get(serving, "/readyz"), "ok\n")
        self.assertIn(serving["grpc"], self.get(serving, "/"))
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.get(serving, "/nothing")
        self.assertEqual(refused.exception.code, 404)
        refused.exception.close()

    def test_metrics_are_clean_under_promtool(self):
        _, serving = self.start()
        metrics = self.get(serving, "/metrics")
        for name in ("build_info", "jobs", "slots", "blob_bytes", "jobs_created_total", "job_run_seconds_bucket"):
            self.assertIn(f"\nradiograph_{name}", metrics)
        checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))

    def test_the_port_file_tells_the_addresses(self):
        file = self.folder / "ports"
        _, serving = self.start(f"--port-file={file}")
        self.assertEqual(json.loads(file.read_text()), {"grpc": serving["grpc"], "http": serving["http"]})

    def test_ends_on_sigterm_and_leaves_the_folder(self):
        for end in (signal.SIGTERM, signal.SIGINT):
            process, _ = self.start()
            process.send_signal(end)
            log = [json.loads(line)["event"] for line in process.stderr]
            self.assertEqual(process.wait(DEADLINE), 0)
            self.assertEqual((log[0], log[-1]), ("draining", "stopped"))

    def test_one_server_for_each_folder(self):
        process, _ = self.start()
        second = self.run_to_end()
        self.assertEqual(second.returncode, 1)
        said = json.loads(second.stderr.splitlines()[-1])
        self.assertEqual(said["event"], "start_failed")
        self.assertIn(str(self.folder / "state"), said["error"])
        self.assertIn(str(process.pid), said["error"])

    def test_one_server_for_each_port(self):
        _, serving = self.start()
        second = self.run_to_end(f"--listen={serving['grpc']}", f"--state={self.folder / 'other'}")
        self.assertEqual(second.returncode, 1)
        self.assertIn(serving["grpc"], json.loads(second.stderr.splitlines()[-1])["error"])

    def test_what_others_can_reach_needs_insecure(self):
        refused = self.run_to_end("--listen=0.0.0.0:0")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--insecure", refused.stderr)
        _, serving = self.start("--listen=0.0.0.0:0", "--insecure")
        self.assertTrue(serving["grpc"].startswith("0.0.0.0:"))

    def test_wrong_flags_stop_the_start(self):
        for flags, said in (
            (["--lisen=x"], "--listen"),
            (["--lease=0s"], "1s"),
            (["--devices=cpu", "--compute=/nowhere"], "/nowhere"),
            (["--devices=gpu", f"--compute={PROGRAM}"], "gpu"),
        ):
            with self.subTest(flags=flags):
                refused = self.run_to_end(*flags)
                self.assertIn(refused.returncode, (1, 2))
                self.assertIn(said, refused.stderr)

    def test_help_tells_every_flag(self):
        told = self.run_to_end("--help")
        self.assertEqual(told.returncode, 0)
        for flag in ("--listen", "--http", "--state", "--devices", "--threads", "--lease", "--insecure", "RADIOGRAPH_STATE"):
            self.assertIn(flag, told.stdout)


if __name__ == "__main__":
    unittest.main()
