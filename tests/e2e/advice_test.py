"""Advice names only what exists: every analysis, command and flag that a message, a help text or a document mentions."""

import re
import subprocess
import unittest

import programs
from programs import BIN, ROOT, radiograph

LITERALS = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*|R"(\w*)\(.*?\)\1"', re.DOTALL)
ANALYSIS = re.compile(r"\b(?:superposition|bilinear|basis|circles|sparse)\.[a-z]\w*")
COMMAND = re.compile(r"(?<![\w/.-])radiograph ([a-z]+(?: [a-z]+)?)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
FILE_ENDINGS = ("cc", "h", "md", "py", "json", "html", "golden", "pdf", "svg", "safetensors")
# Of docker, chromium, cmake and ctest, in documents.
FOREIGN_FLAGS = {"--build", "--build-arg", "--read-only", "--screenshot", "--stop-timeout", "--target", "--tmpfs"}


def literals(path):
    """The texts of a C++ source, adjacent ones joined."""
    code = re.sub(r"^\s*(//|#include).*", "", path.read_text(), flags=re.MULTILINE)
    return [re.sub(r'"\s*"', "", match.group()) for match in LITERALS.finditer(code)]


def sources(folder):
    return [path for path in (ROOT / folder).rglob("*") if path.suffix in (".cc", ".h") and not path.stem.endswith(("_test", "_testing", "_fixture"))]


def documents():
    return [path for path in ROOT.rglob("*") if path.suffix in (".md", ".proto") and path.relative_to(ROOT).parts[0] not in ("build", ".venv")]


def shown_by(*command):
    return subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, check=True, timeout=programs.DEADLINE).stdout


class Advice(programs.Case):
    def setUp(self):
        super().setUp()
        server = self.start_server("--devices=none")
        self.analyses = set(self.assert_ok(radiograph("analyses", "ls", "-o", "name", endpoint=server.endpoint)).out.split())
        self.analyses = {name.split("@")[0] for name in self.analyses}
        overview = shown_by("radiograph", "help")
        self.commands = set(re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?= )", overview, re.MULTILINE))
        self.families = {command.split()[0] for command in self.commands}
        helps = [shown_by("radiograph", *command.split(), "--help") for command in self.commands if command != "help"]
        self.flags = {"client": set(FLAG.findall("\n".join([overview, *helps]))) | {"--help", "--version"}}
        self.flags["server"] = set(FLAG.findall("\n".join(shown_by(name, "--help") for name in ("radiographd", "radiograph-worker", "radiograph-compute"))))
        self.flags["server"] |= {"--help"}
        self.flags["core"] = self.flags["server"] = self.flags["client"] | self.flags["server"]  # what they say is read by all

    def wrong(self, text, flags):
        """What `text` names that isn't there."""
        for name in ANALYSIS.findall(text):
            if name not in self.analyses and name.split(".")[1] not in FILE_ENDINGS:
                yield name
        for words in COMMAND.findall(text):
            if words not in self.commands and words.split()[0] not in self.commands:
                yield f"radiograph {words}"
        yield from (flag for flag in FLAG.findall(text) if flag not in flags)

    def test_messages_and_help(self):
        self.assertIn("bilinear.spectrum", self.analyses)
        self.assertIn("models push", self.commands)
        seen = 0
        for folder, flags in self.flags.items():
            for path in sources(folder):
                texts = literals(path)
                seen += sum(bool(FLAG.search(text)) for text in texts)
                self.assertEqual(list(self.wrong("\n".join(texts), flags)), [], path)
        self.assertGreater(seen, 50, "the texts were found")

    def test_documents(self):
        scripts = [path for folder in ("deploy", "tests") for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in ("", ".py", ".cc")]
        ours = self.flags["core"] | FOREIGN_FLAGS
        ours |= {flag for path in scripts if path.name != "advice_test.py" for flag in FLAG.findall(path.read_text(errors="replace"))}
        for path in documents():
            self.assertEqual(list(self.wrong(path.read_text(), ours)), [], path)

    def test_what_is_not_there_is_found(self):
        for text in ("bilinear.nothing measures it", "see sparse.fit", "say radiograph modles push", "radiograph frobnicate x", "give it --nothing",
                     "use `basis.x` (--cache)"):
            self.assertEqual(len(list(self.wrong(text, self.flags["client"]))), 1, text)
        for text in ("bilinear.spectrum", "core/analyses/bilinear/bilinear.cc", "bilinear.md", "radiograph models push ./x --name y", "radiograph run x --local",
                     "a-b--c", "--"):
            self.assertEqual(list(self.wrong(text, self.flags["client"])), [], text)


if __name__ == "__main__":
    unittest.main()
