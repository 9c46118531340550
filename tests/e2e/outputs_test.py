"""Where the programs write: never over what is the user's, below folders of any bytes, on disks that are full."""

import os
import pathlib
import random
import subprocess
import unittest

import programs
import safetensors
from job_case import JobCase, write_large_model
from programs import BIN, NETWORK, radiograph

RUN = ("run", "bilinear.spectrum", "--param", "null_draws=0")
USAGE, REJECTED, EXHAUSTED = 2, 8, 10
RESULT = {"arrays.safetensors", "report.html", "result.json", "run.json", "figures/effective_rank.json", "figures/spectral_mass.json",
          "figures/spectrum.json", "figures/strongest_eigenvector.json"}
FAULTS = pathlib.Path(os.environ.get("RADIOGRAPH_FAULTS", BIN.parent / "tests/faults")) / "libfault_points.so"
# Latin-1, half a character, what is no character, and one of a quote, a line end and an escape of JSON.
FOLDERS = (b"r\xe9sultats", b"\xd1", b"a\xf0\x28\x8cb", b"q\"\n\\u00e9")


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def write_model(folder):
    chance = random.Random(0)
    some = lambda *shape: (shape, [chance.gauss(0, 1) for _ in range(shape[0] * shape[1])])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "m.safetensors"
    safetensors.write(path, {"embed.weight": some(6, 9), "blocks.0.weight": some(12, 6), "head.weight": some(3, 6)})
    return path


class Ownership(JobCase):
    def setUp(self):
        super().setUp()
        self.project = self.folder / "project"
        self.model = write_model(self.project)
        (self.project / "figures").mkdir()
        self.mine = {"figures/thesis.svg": "mine", "report.html": "mine too"}
        for name, text in self.mine.items():
            (self.project / name).write_text(text)

    def assert_refused(self, answer, *parts):
        self.assertEqual(answer.code, USAGE, answer)
        for part in parts:
            self.assertIn(part, answer.error())

    def assert_mine(self, *others):
        self.assertEqual({name: (self.project / name).read_text() for name in self.mine}, self.mine)
        self.assertEqual(files_below(self.project), {*self.mine, "m.safetensors", *others})

    def check_run(self, *how, **where):
        run = lambda *arguments: radiograph(*RUN, *how, "--input", f"model={self.model}", *arguments, **where)
        for force in ((), ("--force",)):
            self.assert_refused(run("--out", self.project, *force), "is the folder of the input")
        self.assert_refused(run("--out", self.project / "figures"), "holds thesis.svg", "--force")
        self.assert_mine()
        out = self.folder / f"out{len(how)}"
        self.assert_ok(run("--out", out))
        self.assertEqual(files_below(out), RESULT)
        (out / "notes.txt").write_text("mine")
        self.assert_ok(run("--out", out, "--seed", "1"))
        (out / "report.html").write_text("better")
        self.assert_refused(run("--out", out), "report.html")
        self.assertEqual((out / "report.html").read_text(), "better")
        self.assert_ok(run("--out", out, "--force"))
        self.assertEqual(files_below(out), {*RESULT, "notes.txt"})
        return out

    def test_a_result_takes_no_file_of_the_user(self):
        self.check_run("--local")
        self.server = self.start_server("--devices=cpu")
        self.check_run(endpoint=self.server.endpoint)

    def test_results_reports_and_pulls_neither(self):
        self.server = self.start_server("--devices=cpu")
        job = self.create("--param", "null_draws=0")
        self.wait(job)
        for folder in (self.project, self.project / "figures"):
            self.assert_refused(self.ask("results", "get", job, "--out", folder), "--force")
        self.assert_mine()
        out = self.folder / "out"
        for _ in range(2):
            self.assert_ok(self.ask("results", "get", job, "--out", out))
        self.assert_ok(self.ask("report", out))
        self.assert_ok(self.ask("results", "get", job, "--out", out))  # that report was ours
        self.assertEqual(files_below(out), RESULT)

        for arguments in ((job,), (out,)):
            self.assert_refused(self.ask("report", *arguments, "--out", self.project / "report.html"), "--force")
        self.assert_refused(self.ask("report", out, "--out", out / "run.json", "--force"), "is what is read")
        self.assert_mine()
        self.assert_ok(self.ask("report", job, "--out", self.project / "new.html"))
        self.assert_ok(self.ask("report", out, "--out", self.project / "new.html"))  # the same bytes

        for kind, name, path in (("models", "net", NETWORK), ("data", "digits", programs.DIGITS / "test.safetensors")):
            self.assert_ok(self.ask(kind, "push", name, path))
            pulled = self.folder / name
            for _ in range(2):
                self.assert_ok(self.ask(kind, "pull", name, "--out", pulled))
            [tensors] = pulled.glob("*.safetensors")
            right = tensors.read_bytes()
            tensors.write_bytes(b"mine")
            self.assert_refused(self.ask(kind, "pull", name, "--out", pulled), tensors.name, "--force")
            self.assertEqual(tensors.read_bytes(), b"mine")
            self.assert_refused(self.ask(kind, "pull", name, "--out", self.project), "figures/", "m.safetensors")
            told = self.assert_ok(self.ask(kind, "pull", name, "--out", pulled, "--force"))
            self.assertEqual(tensors.read_bytes(), right)
            (pulled / "README").write_text("mine")
            self.assert_refused(self.ask(kind, "pull", name, "--out", pulled), "README")
            told = self.assert_ok(self.ask(kind, "pull", name, "--out", pulled, "--force"))
            self.assertIn("Beside it stay README", told.err)
        self.assert_mine("new.html")

    def test_after_a_death_at_any_step_the_same_command_works(self):
        if programs.SANITIZED or not FAULTS.exists():
            self.skipTest("nothing can be preloaded here")
        out = self.folder / "out"
        run = lambda seed, **more: radiograph(*RUN, "--local", "--input", f"model={self.model}", "--out", out, "--seed", seed, **more)
        whole = self.assert_ok(run(0)) and files_below(out)
        (out / "figures/thesis.svg").write_text("mine")
        print("seed", seed := random.randrange(1 << 30))
        chance, step, passed = random.Random(seed), 0, 0
        while passed < 3:  # a step that another process took, or that may fail, is no end
            step += 1
            fault = {"LD_PRELOAD": str(FAULTS), "FAULT_FOLDER": str(out), "FAULT_STEP": str(step)}
            answer = run(step, FAULT_KIND=chance.choice(("kill_before", "kill_after", "EIO", "ENOSPC")), **fault)
            passed = passed + 1 if answer.code == 0 else 0
            self.assertEqual((out / "figures/thesis.svg").read_text(), "mine")
            # What a reader finds is the old result, the new one, or none.
            self.assertIn(radiograph("report", out, "--out", self.folder / "r.html", "--force").code, (0, REJECTED))
            self.assert_ok(run(step))
            self.assertEqual(files_below(out), {*whole, "figures/thesis.svg"}, f"step {step}: {answer}")
        self.assertGreater(step, 15)


class AnyBytes(JobCase):
    """A path is bytes: none goes through JSON, in which only UTF-8 arrives."""

    def each_place(self, test):
        for name in FOLDERS:
            with self.subTest(name):
                test(pathlib.Path(os.fsdecode(os.fsencode(self.folder) + b"/" + name)))

    def test_results_and_inputs_of_local_runs(self):
        self.each_place(self.run_locally)

    def run_locally(self, place):
        model = write_model(place / "in")
        run = (*RUN, "--local", "--input", f"model={model}")
        for _ in range(2):
            self.assert_ok(radiograph(*run, "--out", place / "out"))
            self.assertEqual(files_below(place / "out"), RESULT)
        (place / "tmp").mkdir()
        self.assert_ok(radiograph(*run, TMPDIR=str(place / "tmp")))
        self.assertEqual(list((place / "tmp").iterdir()), [])
        self.assert_ok(radiograph("report", place / "out", "--out", place / "r.html"))

    def test_the_state_of_a_server_and_of_a_worker(self):
        self.each_place(self.serve)

    def serve(self, place):
        serve = ("radiographd", "--listen=127.0.0.1:0", "--http=127.0.0.1:0")
        self.server = self.start(*serve, f"--state={place / 'state'}", "--devices=cpu")
        self.server.endpoint = self.server.wait_for("serving")["grpc"]
        self.assertEqual(self.wait(self.create("--param", "null_draws=0"))["state"], "SUCCEEDED")
        self.assertIn("/backups/", self.assert_ok(self.ask("doctor", "--backup")).err)
        self.server.stop()
        self.server = self.start(*serve, f"--state={place / 'other'}", "--devices=none")
        self.server.endpoint = self.server.wait_for("serving")["grpc"]
        worker = self.start("radiograph-worker", f"--server={self.server.endpoint}", f"--state={place / 'worker'}", "--devices=cpu")
        job = self.create("--param", "null_draws=0", model=write_model(place / "in"))
        self.assertEqual(self.wait(job)["state"], "SUCCEEDED")
        self.assert_ok(self.ask("results", "get", job, "--out", place / "out"))
        worker.stop()
        self.server.stop()


class FullDisk(programs.Case):
    def run_on(self, kibibytes, arguments, variable=""):
        """Runs the command with `small` as a disk of that size, which it finds in $DISK."""
        small = self.folder / "small"
        small.mkdir(exist_ok=True)
        script = f'mount -t tmpfs -o size={kibibytes}k none "$DISK" && {variable} exec "$0" "$@"'
        command = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script, BIN / "radiograph", *map(str, arguments)]
        done = subprocess.run(command, env={**os.environ, "DISK": str(small)}, capture_output=True, text=True, timeout=programs.DEADLINE)
        return programs.Answer(done), small

    def assert_names_the_disk(self, answer, small, *parts):
        self.assertEqual(answer.code, EXHAUSTED, answer)
        for part in (str(small), "No space left on device", *parts):
            self.assertIn(part, answer.error())

    def test_a_model_larger_than_the_temporary_folder_is_read_where_it_lies(self):
        model = write_large_model(self.folder / "large.safetensors", width=256)
        self.assertGreater(model.stat().st_size, 512 << 10)
        run = (*RUN, "--local", "--param", "k=1", "--input", f"model={model}")
        answer, _ = self.run_on(512, run, 'TMPDIR="$DISK"')
        self.assert_ok(answer)

    def test_a_result_that_does_not_fit_says_where_and_how_much(self):
        run = (*RUN, "--local", "--input", f"model={NETWORK}")
        answer, small = self.run_on(64, run, 'TMPDIR="$DISK"')
        self.assert_names_the_disk(answer, small, "needs", "are free", "set TMPDIR")
        answer, small = self.run_on(64, (*run, "--out", self.folder / "small/out"))
        self.assert_names_the_disk(answer, small, "needs", "are free", "--out")
        # Room for the numbers and not for the report, which needs 1.5 MB: no half of a result.
        answer, small = self.run_on(1024, (*run, "--out", self.folder / "small/out"))
        self.assert_names_the_disk(answer, small, "the report, which needs", "are free")

    def test_what_comes_from_a_server_and_does_not_fit(self):
        server = self.start_server("--devices=none")
        model = write_large_model(self.folder / "large.safetensors", width=256)
        self.assert_ok(radiograph("models", "push", "large", model, endpoint=server.endpoint))
        pull = ("models", "pull", "large", "--endpoint", server.endpoint, "--out", self.folder / "small/pulled")
        answer, small = self.run_on(256, pull)
        self.assert_names_the_disk(answer, small, f"large@1, which needs {model.stat().st_size} bytes", "are free", "--out")


class Inputs(JobCase):
    def test_a_file_that_is_changed_while_it_is_read_gives_no_result(self):
        model = write_large_model(self.folder / "m.safetensors", width=256)
        for change in (lambda: os.utime(model), lambda: os.truncate(model, 1000),
                       lambda: model.rename(self.folder / "other.safetensors")):
            local = subprocess.Popen([BIN / "radiograph", "run", "bilinear.spectrum", "--local", "--input", f"model={model}", "--param",
                                      "null_draws=30", "--out", self.folder / "out"], stderr=subprocess.PIPE, text=True)
            self.until("the job's folder", lambda: list((self.folder / "out").glob("radiograph-*/job/job.json")))
            change()
            said = local.communicate(timeout=programs.DEADLINE)[1]
            self.assertEqual(local.returncode, REJECTED, said)
            self.assertRegex(said, r"m.safetensors was (changed|taken away) while it was read")
            self.assertFalse((self.folder / "out").exists())
            write_large_model(self.folder / "m.safetensors", width=256)


if __name__ == "__main__":
    unittest.main()
