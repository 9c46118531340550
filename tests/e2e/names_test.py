"""Names of artifacts: from paths, in any script, and never what a command line reads as a path."""

import subprocess
import unicodedata
import unittest

import programs
import safetensors
from programs import BIN, NETWORK, radiograph

USAGE, REJECTED = 2, 8


class Names(programs.Case):
    def setUp(self):
        super().setUp()
        self.server = self.start_server("--devices=none")
        self.tensors = safetensors.read(NETWORK / "model.safetensors")

    def ask(self, *arguments, cwd=None):
        done = subprocess.run([BIN / "radiograph", *arguments, "--endpoint", self.server.endpoint], cwd=cwd or self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=programs.DEADLINE)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return programs.Answer(done)

    def write(self, folder, seed=0.0):
        """A model in a folder of this name; each seed another one."""
        path = self.folder / folder
        path.mkdir(parents=True)
        self.tensors["head.weight"][1][0] = seed
        safetensors.write(path / "model.safetensors", self.tensors)

    def push(self, *arguments):
        """The reference of what was pushed."""
        return self.assert_ok(self.ask("models", "push", *arguments, "-o", "name")).out.strip()

    def refused(self, code, *arguments):
        answer = self.ask(*arguments)
        self.assertEqual(answer.code, code, answer)
        return answer.error()

    def test_letters_stay_and_two_folders_are_two_models(self):
        for seed, name in enumerate(("модель", "данные", "模型", "modèle")):
            self.write(name, seed)
            self.assertEqual(self.push(f"./{name}"), f"{name}@1")
            self.assertIn(f"{name}@1", self.assert_ok(self.ask("models", "show", name)).out)
            self.assertIn(f"--input model={name}@1", self.ask("models", "push", f"./{name}").err)
        self.assertEqual(self.push(f"./{'modèle'}", "--label", "x=1"), "modèle@2")
        listed = self.assert_ok(self.ask("models", "ls", "-o", "name")).out.split()
        self.assertEqual(set(listed), {"модель@1", "данные@1", "模型@1", "modèle@2"})
        self.assertEqual(self.assert_ok(self.ask("models", "ls", unicodedata.normalize("NFD", "modèle"), "-o", "name")).out.split(), ["modèle@2", "modèle@1"])
        self.assert_ok(self.ask("models", "alias", "модель@1", "prod"))
        self.assertIn("модель@1", self.assert_ok(self.ask("models", "show", "модель:prod")).out)
        job = self.assert_ok(self.ask("run", "bilinear.spectrum", "--input", "model=модель:prod", "--no-wait", "-o", "name")).out.strip()
        model = self.assert_ok(self.ask("jobs", "get", job, "-o", "json")).json()["inputs"]["model"]["artifacts"][0]
        self.assertEqual((model["name"], model["version"]), ("модель", "1"))
        self.assertIn("there is no artifact моделей", self.refused(REJECTED, "models", "show", "моделей"))

    def test_what_had_to_be_changed_carries_a_digest(self):
        names = set()
        for seed, folder in enumerate(("a b", "a+b", "a(b", "a\u200bb", "~a", "-a", "a\U0001f600b", "x.safetensors.d ")):
            self.write(folder, seed)
            ref = self.push(f"./{folder}")
            self.assertRegex(ref, r"-[0-9a-f]{8}@1$", folder)
            names.add(ref)
            self.assert_ok(self.ask("models", "show", ref))
        self.assertEqual(len(names), 8)

    def test_a_folder_whose_name_is_no_text(self):
        self.write("plain")
        for seed, name in enumerate((b"r\xe9sultats", b"r\xe8sultats", b"\xff")):
            path = bytes(self.folder) + b"/" + name
            subprocess.run([b"cp", b"-r", bytes(self.folder / "plain"), path], check=True)
            answer = self.ask("models", "push", b"./" + name, "-o", "name")
            self.assertRegex(self.assert_ok(answer).out.strip(), r"-[0-9a-f]{8}@1$")
            self.assertIn("./" + "".join(chr(byte) if byte < 128 else f"\\x{byte:02x}" for byte in name), answer.err)

    def test_a_new_version_from_a_path_is_said(self):
        self.write("a/net")
        self.write("b/net", 1.0)
        said = "net had versions before this one; if it is another model, give it a --name"
        self.assertNotIn("had versions", self.ask("models", "push", "./a/net").err)
        self.assertIn(said, self.ask("models", "push", "./b/net").err)
        self.assertNotIn("had versions", self.ask("models", "push", "net", "./b/net").err)
        self.assertNotIn("had versions", self.ask("models", "push", "./b/net", "--name", "other").err)

    def test_two_paths_are_not_a_name_and_a_path(self):
        for name in ("a", "b", "net"):
            self.write(name)
        for first, second in (("./a", "./b"), ("a", "b"), ("../x", "./b"), (str(self.folder / "a"), "b"), ("x.safetensors", "b"), ("./none", "b")):
            self.assertIn(f"{first} and {second} are two paths", self.refused(USAGE, "models", "push", first, second))
        self.assertEqual(self.push("net", "./net"), "net@1")
        self.assertEqual(self.push("other", "./net"), "other@1")

    def test_a_name_that_reads_as_a_path_or_can_not_be_seen_is_refused(self):
        self.write("net")
        for name in ("./a", "../x", "/abs/name", "..", ".", "a.safetensors", "a//b", "a/", "~", "a b", "a@1x", "a\u202eb", "a\nb", "модель ", "\U0001f600"):
            message = self.refused(REJECTED, "models", "push", "./net", f"--name={name}")
            self.assertIn("is no ", message)
            if name.isprintable() and not name.startswith("~"):
                self.assertIn(name, message)
        self.assertIn("a\\xe2\\x80\\xaeb", self.refused(REJECTED, "models", "push", "./net", "--name=a\u202eb"))
        for name in (b"a\xff", b"\xd0"):
            self.assertIn("not UTF-8", self.refused(USAGE, b"models", b"show", name))
            self.assertIn("not UTF-8", self.refused(USAGE, b"models", b"push", b"./net", b"--name=" + name))
            self.assertIn("not UTF-8", self.refused(USAGE, b"models", b"push", name, b"./net"))
            self.assertIn("not UTF-8", self.refused(USAGE, b"run", b"bilinear.spectrum", b"--input", b"model=" + name))
            self.assertIn("not UTF-8", self.refused(USAGE, b"jobs", b"ls", b"--filter", name))


if __name__ == "__main__":
    unittest.main()
