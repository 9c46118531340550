"""deploy/run and deploy/set-up on a machine where everything is there already; what deploy/ says to containers."""

import os
import pathlib
import re
import signal
import subprocess
import unittest

import yaml

from programs import BIN, DEADLINE, ROOT


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


class Containers(unittest.TestCase):
    """Without building an image: deploy/image-test does that."""

    PROGRAMS = {"server": "radiographd", "worker": "radiograph-worker"}

    def help_of(self, name, *flags):
        answer = subprocess.run([BIN / self.PROGRAMS[name], *flags, "--help"], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return answer.stdout

    def test_compose_gives_flags_that_the_programs_take(self):
        services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
        for name in self.PROGRAMS:
            self.help_of(name, *services[name]["command"])

    def test_the_images_set_variables_that_the_programs_read(self):
        stages = re.split(r"^FROM .* AS (\w+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
        for name, stage in zip(stages[1::2], stages[2::2]):
            variables = re.findall(r"\b(RADIOGRAPH_\w+)=", stage)
            self.assertEqual(bool(variables), name in self.PROGRAMS)
            for variable in variables:
                self.assertIn(f"environment: {variable}\n", self.help_of(name))

    def test_prometheus_takes_its_configuration(self):
        answer = subprocess.run(["promtool", "check", "config", "--syntax-only", ROOT / "deploy/prometheus.yml"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE)
        self.assertEqual(answer.returncode, 0, answer.stdout)


if __name__ == "__main__":
    unittest.main()
