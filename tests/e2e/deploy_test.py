"""deploy/run and deploy/set-up on a machine where everything is there already."""

import os
import pathlib
import re
import signal
import subprocess
import unittest

from programs import DEADLINE, ROOT


def deploy(script, *arguments):
    """The answer of a script of deploy/, both streams together."""
    ports = {"RADIOGRAPH_LISTEN": "127.0.0.1:0", "RADIOGRAPH_HTTP": "127.0.0.1:0"}
    return subprocess.run([ROOT / "deploy" / script, *arguments], env={**os.environ, **ports}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE)


class Run(unittest.TestCase):
    def assert_shows_a_report(self, answer):
        self.assertEqual(answer.returncode, 0, answer.stdout)
        self.assertIn("effective_rank_mean", answer.stdout)
        report = re.search(r"^The report: (.*)$", answer.stdout, re.MULTILINE).group(1)
        self.assertIn("<html", pathlib.Path(report).read_text())

    def test_ends_with_a_report_and_no_server(self):
        self.assert_shows_a_report(deploy("run"))
        self.assertFalse((ROOT / "out/radiographd.pid").exists())

    def test_serve_leaves_a_server_that_the_next_run_uses(self):
        answer = deploy("run", "--serve")
        server = int(re.search(r"to stop it: kill (\d+)$", answer.stdout, re.MULTILINE).group(1))
        try:
            self.assert_shows_a_report(answer)
            again = deploy("run")
            self.assert_shows_a_report(again)
            self.assertIn("A server is running already", again.stdout)
        finally:
            os.kill(server, signal.SIGTERM)

    def test_wrong_flags(self):
        for script in ("run", "set-up"):
            answer = deploy(script, "--torhc=cpu")
            self.assertEqual(answer.returncode, 2, answer.stdout)
            self.assertIn(f"usage: deploy/{script}", answer.stdout)

    def test_a_folder_that_is_no_libtorch(self):
        answer = deploy("set-up", "--torch=/nowhere")
        self.assertEqual(answer.returncode, 1, answer.stdout)
        self.assertIn("--torch is /nowhere; it must be cpu, cuda or a folder that holds", answer.stdout)


if __name__ == "__main__":
    unittest.main()
