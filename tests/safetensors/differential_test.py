"""That differential.py reports what differs: disagreements are planted, and each must be told."""

import os
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import differential
import headers

HERE = Path(__file__).parent
ONE = headers.file_of(b'{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"__metadata__":{"a":"b"}}', b"xy")
TWICE = headers.file_of(b'{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b"")
TAKEN = {"tensors": {"w": ["U8", [2], b"xy"]}, "metadata": {"a": "b"}}

# Spoils what the real reader answers to its third file.
FALSE_READER = """#!{python}
import json, subprocess, sys
lines = subprocess.run([{reader!r}], input=sys.stdin.buffer.read(), stdout=subprocess.PIPE, check=True).stdout.splitlines()
answer = json.loads(lines[2])
{spoil}
lines[2] = json.dumps(answer).encode()
sys.stdout.buffer.write(b"\\n".join(lines) + b"\\n")
"""


def refused(message):
    return {"refused": message}


class Judge(unittest.TestCase):
    def assert_in_no_class(self, file, ours, theirs):
        with self.assertRaisesRegex(ValueError, "in no class"):
            differential.judge(file, ours, theirs)

    def test_agreement_is_none(self):
        self.assertIsNone(differential.judge(ONE, TAKEN, differential.theirs_of(ONE)))
        self.assertIsNone(differential.judge(b"", refused("ours"), refused("theirs")))

    def test_a_class_needs_its_message_and_its_fact(self):
        message = 'file: the key "w" appears twice in the header'
        theirs = differential.theirs_of(TWICE)
        self.assertEqual(differential.judge(TWICE, refused(message), theirs), "name twice")
        self.assert_in_no_class(ONE, refused(message), TAKEN)  # it is not there twice
        self.assert_in_no_class(TWICE, refused("file: something else"), theirs)
        self.assert_in_no_class(TWICE, TAKEN, refused(message))  # not they refuse that

    def test_no_class_covers_other_tensors_or_texts(self):
        for tensors, metadata in (({"w": ["I8", [2], b"xy"]}, {"a": "b"}), ({"w": ["U8", [2, 1], b"xy"]}, {"a": "b"}),
                                  ({"w": ["U8", [2], b"xz"]}, {"a": "b"}), ({}, {"a": "b"}),
                                  ({"w": ["U8", [2], b"xy"]}, {}), ({"w": ["U8", [2], b"xy"]}, {"a": "c"})):
            self.assert_in_no_class(ONE, {"tensors": tensors, "metadata": metadata}, TAKEN)


class Documents(unittest.TestCase):
    def test_each_class_stands_in_the_table(self):
        page = (HERE.parents[1] / "core/safetensors/README.md").read_text(encoding="utf-8")
        rows = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in page.splitlines() if line.startswith("| ")][2:]
        self.assertEqual(rows, [(one.name, {"us": "we", "them": "they"}[one.refused_by]) for one in differential.CLASSES])


class WholeRun(unittest.TestCase):
    def run_with(self, spoil):
        """The whole comparison, of files of which the third is taken by both, with a reader that lies about it."""
        seed = next(seed for seed in range(100) if "tensors" in (theirs := differential.theirs_of(headers.make(seed, 2)))
                    and any(theirs["tensors"].values()) and differential.Parsed(headers.make(seed, 2)).metadata() == [])
        with tempfile.TemporaryDirectory() as folder:
            reader = Path(folder, "reader")
            reader.write_text(FALSE_READER.format(python=sys.executable, reader=os.environ["RADIOGRAPH_READER"], spoil=spoil))
            reader.chmod(stat.S_IRWXU)
            return subprocess.run([sys.executable, "-B", HERE / "differential.py", f"--reader={reader}", "--files=50", f"--seed={seed}"],
                                  stdout=subprocess.PIPE, text=True, check=False)

    def test_a_reader_that_lies_not_at_all_passes(self):
        self.assertEqual(self.run_with("pass").returncode, 0)

    def test_planted_disagreements_are_told(self):
        for spoil in ("answer = {'refused': 'file: planted'}",
                      "answer['metadata'] = {'planted': ''}",
                      "answer['tensors']['planted'] = ['U8', [0], 0, 0]",
                      "answer['tensors'].popitem()",
                      "next(iter(answer['tensors'].values()))[1].append(1)"):
            with self.subTest(spoil):
                run = self.run_with(spoil)
                self.assertEqual(run.returncode, 1, run.stdout)
                self.assertIn("file 2 is in no class", run.stdout)
                self.assertIn("1 of 50 files differ", run.stdout)

    def test_the_same_seed_makes_the_same_files(self):
        self.assertEqual([headers.make("s", i) for i in range(50)], [headers.make("s", i) for i in range(50)])
        self.assertNotEqual(headers.make("s", 1), headers.make("t", 1))


if __name__ == "__main__":
    unittest.main()
