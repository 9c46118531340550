"""A closed terminal, a process that is killed, a terminal without a cursor: what each program leaves and says."""

import os
import pty
import signal
import subprocess
import unittest

import programs
from job_case import SHORT, JobCase, compute_processes, write_large_model
from programs import BIN, NETWORK, radiograph

CANCELLED = 5


class HangUp(JobCase):
    def start_run(self, *arguments, before=()):
        """`radiograph run` of half a minute or more, which runs."""
        model = self.folder / "slow.safetensors"
        if not model.exists():
            write_large_model(model, width=256)
        command = [*before, BIN / "radiograph", "run", "bilinear.spectrum", "--param", "null_draws=1000", "--input", f"model={model}", *arguments]
        run = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (run.poll() is None and run.kill(), run.wait(), run.stderr.close()))
        return run

    def start_local(self, *arguments, before=()):
        """The same with --local: it, its compute process and the folder in which they work."""
        run = self.start_run("--local", "--out", self.folder / "out", *arguments, before=before)
        [folder] = self.until("the job's folder", lambda: [path.parents[1] for path in (self.folder / "out").glob("radiograph-*/job/job.json")])
        [compute] = self.until("a compute process", lambda: compute_processes(run.pid))
        return run, compute, folder

    def test_a_server_and_a_worker_drain(self):
        self.server = self.start_server("--devices=none", "--grace=0s")
        worker = self.start_worker("--drain-grace=0s")
        for program in (worker, self.server):
            program.process.send_signal(signal.SIGHUP)
            self.assertEqual(program.wait_for("draining")["signal"], "Hangup")
            program.wait()
            self.assertEqual(program.process.returncode, 0)

    def test_a_local_run_leaves_nothing(self):
        run, compute, folder = self.start_local()
        run.send_signal(signal.SIGHUP)
        self.assertEqual(run.wait(timeout=programs.DEADLINE), CANCELLED)
        self.assertFalse((self.folder / "out").exists())
        self.until("the end of compute", lambda: self.gone(compute))

    def test_a_run_on_a_server_cancels_its_job(self):
        self.server = self.start_server("--devices=cpu")
        run = self.start_run("--endpoint", self.server.endpoint)
        [job] = self.until("a job", lambda: self.assert_ok(self.ask("jobs", "ls", "-o", "name")).out.split())
        self.until_started(job)
        run.send_signal(signal.SIGHUP)
        self.assertEqual(run.wait(timeout=programs.DEADLINE), CANCELLED)
        self.assertEqual(self.wait(job)["state"], "CANCELLED")

    def test_what_nohup_has_started_goes_on(self):
        self.server = self.start_server("--devices=none", before=("nohup",))
        run, compute, folder = self.start_local(before=("nohup",))
        for process in (self.server.process, run):
            process.send_signal(signal.SIGHUP)
        self.assert_ok(self.ask("models", "ls"))
        self.assertFalse(self.gone(compute))
        self.assertIsNone(run.poll())
        run.terminate()
        self.assertEqual(run.wait(timeout=programs.DEADLINE), CANCELLED)
        self.server.stop()
        self.assertEqual(self.server.process.returncode, 0)

    def test_the_folder_of_a_killed_run_is_swept_by_the_next_one(self):
        run, compute, dead = self.start_local()
        run.kill()
        run.wait()
        self.until("the end of compute", lambda: self.gone(compute))
        self.assertTrue((dead / "lock").exists())
        living = self.start_run("--local", "--out", self.folder / "out", "--seed", "1")
        self.until("the dead one's folder to be swept", lambda: not dead.exists())
        [folder] = self.until("the living one's", lambda: list((self.folder / "out").glob("radiograph-*")))
        other = self.folder / "out/radiograph-abcdef"  # the name is no sign
        other.mkdir()
        (other / "thesis").write_text("mine")
        short = ("run", "bilinear.spectrum", *SHORT, "--local", "--input", f"model={NETWORK}", "--out", self.folder / "out")
        self.assertEqual(radiograph(*short).code, 2)  # for the thesis, not for the run that lives
        other.rename(self.folder / "radiograph-abcdef")
        self.assert_ok(radiograph(*short))
        self.assertIsNone(living.poll())
        self.assertTrue(folder.exists())
        living.terminate()
        living.wait(timeout=programs.DEADLINE)
        self.assert_ok(radiograph(*short[:-2], TMPDIR=str(self.folder)))
        self.assertEqual((self.folder / "radiograph-abcdef/thesis").read_text(), "mine")
        self.assertEqual(sorted(path.name for path in (self.folder / "out").iterdir()),
                         ["arrays.safetensors", "figures", "report.html", "result.json", "run.json"])


class Terminals(programs.Case):
    def said_on_a_terminal(self, **environment):
        inherited = {name: value for name, value in os.environ.items() if name != "TERM"}
        ours, theirs = pty.openpty()
        run = subprocess.Popen([BIN / "radiograph", "run", "bilinear.spectrum", "--local", "--input", f"model={NETWORK}"], env={**inherited, **environment},
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 4096):
                said += chunk
        except OSError:
            pass  # the other end is closed
        os.close(ours)
        self.assertEqual(run.wait(timeout=programs.DEADLINE), 0, said)
        return said

    def test_there_is_a_bar_where_a_cursor_can_be_moved(self):
        self.assertIn(b"\x1b[K", self.said_on_a_terminal(TERM="xterm"))
        for environment in ({"TERM": "dumb"}, {"TERM": ""}, {}):
            self.assertNotIn(b"\x1b", self.said_on_a_terminal(**environment), environment)


class Versions(unittest.TestCase):
    def test_every_program_tells_its_own(self):
        told = set()
        for name in ("radiograph", "radiographd", "radiograph-worker", "radiograph-compute"):
            answer = subprocess.run([BIN / name, "--version"], capture_output=True, text=True, timeout=programs.DEADLINE)
            self.assertEqual((answer.returncode, answer.stderr), (0, ""))
            self.assertRegex(answer.stdout, rf"^{name} \d+\.\d+\.\d+\n$")
            told.add(answer.stdout.split()[1])
            listed = subprocess.run([BIN / name, "--help"], capture_output=True, text=True, timeout=programs.DEADLINE)
            self.assertIn("--version", listed.stdout)
        self.assertEqual(len(told), 1, told)


if __name__ == "__main__":
    unittest.main()
