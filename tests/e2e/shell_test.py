"""What the command line does for those who type: series, artifacts that come back, jobs that go on from jobs, completion."""

import shutil
import subprocess
import unittest

import programs
import safetensors
from programs import BIN, NETWORK, radiograph

RUN = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}")


class Artifacts(programs.Case):
    def test_a_folder_of_checkpoints_becomes_versions_in_their_order(self):
        run = self.folder / "run"
        run.mkdir()
        for step in (1000, 200, 30):
            safetensors.write(run / f"step-{step}.safetensors", {"embed.weight": ((1, 1), [float(step)])})
        server = self.start_server("--devices=none")
        pushed = self.assert_ok(radiograph("models", "push", "toy", f"{run}/step-*", "-o", "name", endpoint=server.endpoint))
        self.assertEqual(pushed.out.split(), ["toy@1", "toy@2", "toy@3"])
        again = self.assert_ok(radiograph("models", "push", "toy", run, "-o", "json", endpoint=server.endpoint)).json()
        self.assertEqual([model["labels"]["step"] for model in again], ["30", "200", "1000"])
        self.assertEqual([model["version"] for model in again], ["1", "2", "3"])  # the same content, no new versions
        safetensors.write(run / "best.safetensors", {"embed.weight": ((1, 1), [0.0])})
        refused = radiograph("models", "push", "toy", run, endpoint=server.endpoint)
        self.assertEqual(refused.code, 8, refused)
        self.assertIn("best.safetensors", refused.error())

    def test_what_was_pushed_comes_back(self):
        server = self.start_server("--devices=none")
        self.assert_ok(radiograph("models", "push", "digits", NETWORK, endpoint=server.endpoint))
        self.assert_ok(radiograph("models", "pull", "digits@1", "--out", self.folder / "back", endpoint=server.endpoint))
        self.assertEqual({path.name: path.read_bytes() for path in (self.folder / "back").iterdir()},
                         {path.name: path.read_bytes() for path in NETWORK.iterdir()})
        self.assertEqual(radiograph("models", "pull", "digits@2", "--out", self.folder, endpoint=server.endpoint).code, 8)


class JobsFromJobs(programs.Case):
    def test_an_array_of_a_job_is_the_input_of_another(self):
        server = self.start_server("--devices=cpu")
        ask = lambda *arguments: radiograph(*arguments, endpoint=server.endpoint)
        out, copied = self.folder / "out", self.folder / "copied"
        first = self.assert_ok(ask(*RUN, "-o", "name")).out.strip()
        self.assert_ok(ask("results", "get", first, "--out", self.folder / "first"))
        second = self.assert_ok(ask(*RUN, "--input", f"directions=job:{first}/eigenvalues", "--out", out, "-o", "name"))
        # The same numbers as a data set of its own give the same result.
        self.assert_ok(ask("data", "push", "rows", self.folder / "first/arrays.safetensors", "--role", "directions=eigenvalues"))
        self.assert_ok(ask(*RUN, "--input", "directions=rows", "--out", copied))
        self.assertEqual((out / "arrays.safetensors").read_bytes(), (copied / "arrays.safetensors").read_bytes())
        self.assertNotEqual((out / "arrays.safetensors").read_bytes(),
                            (self.folder / "first/arrays.safetensors").read_bytes())
        shown = self.assert_ok(ask("jobs", "get", second.out.split()[0])).out
        self.assertIn(f"job:{first}/eigenvalues\n", shown)
        for output, telling in ((f"job:{first}/hessian", "it has result, "),
                                (f"job:{first}/result", "takes a DATASET"), ("job:nobody/eigenvalues", "nobody")):
            refused = ask(*RUN, "--input", f"directions={output}")
            self.assertEqual(refused.code, 8, refused)
            self.assertIn(telling, refused.error())

    def test_a_job_that_waits_has_no_outputs_yet(self):
        server = self.start_server("--devices=none")
        job = self.assert_ok(radiograph(*RUN, "--no-wait", "-o", "name", endpoint=server.endpoint)).out.strip()
        refused = radiograph(*RUN, "--input", f"directions=job:{job}/eigenvalues", endpoint=server.endpoint)
        self.assertEqual(refused.code, 8, refused)
        self.assertIn(f"job {job} is QUEUED", refused.error())


class Server(programs.Case):
    def test_tells_its_devices_and_their_memory(self):
        server = self.start_server("--devices=cpu")
        server.wait_for("compute_started")
        self.assert_ok(radiograph(*RUN, "-o", "name", endpoint=server.endpoint))  # its slot has told of itself
        told = self.assert_ok(radiograph("version", "--server", "-o", "json", endpoint=server.endpoint)).json()
        (device,) = told["server"]["devices"]
        with open("/proc/meminfo") as memory:
            total = int(memory.readline().split()[1]) * 1024
        self.assertEqual(device["kind"], "cpu")
        self.assertGreater(int(device["memory_bytes"]), 0)
        self.assertLessEqual(int(device["memory_bytes"]), total)


# What each shell offers for `radiograph jobs wai` and `radiograph jobs wait --time`. A shell that isn't here is passed over: the words
# of its script are tested beside the code.
SHELLS = {
    "bash": """source <("$0" completion bash)
for line in "jobs wai" "jobs wait --time"; do
  COMP_WORDS=(radiograph $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _radiograph; echo "${COMPREPLY[@]}"
done""",
    "zsh": """compdef() { :; }; compadd() { shift; shown=($@); }; _files() { :; }
source <("$0" completion zsh)
for line in "jobs wai" "jobs wait --time"; do
  words=(radiograph ${=line}); CURRENT=$#words; PREFIX=$words[-1]; _radiograph; print -- ${(M)shown:#$PREFIX*}
done""",
    "fish": """$argv[1] completion fish | source
for line in "jobs wai" "jobs wait --time"
  complete -C "radiograph $line" | string split -f1 \\t
end""",
}


class Completion(unittest.TestCase):
    def test_a_shell_offers_commands_and_flags(self):
        for shell, script in SHELLS.items():
            with self.subTest(shell):
                if shutil.which(shell) is None:
                    self.skipTest(f"no {shell} here")
                answer = subprocess.run([shell, "-c", script, BIN / "radiograph"], capture_output=True, text=True, timeout=programs.DEADLINE)
                self.assertEqual(answer.stdout.split(), ["wait", "--timeout"], answer.stderr)


if __name__ == "__main__":
    unittest.main()
