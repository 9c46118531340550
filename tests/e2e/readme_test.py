"""The example of README.md, line by line, on a real server."""

import os
import re
import subprocess
import unittest

import programs
from programs import BIN, ROOT


def example_lines():
    """The commands of the section "Use it", without the one that opens a browser."""
    section = re.search(r"^## Use it$(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL).group(1)
    section = re.sub(r"\\\n *", "", section)
    return re.findall(r"^    (radiograph .*)$", section, re.MULTILINE)


class Readme(programs.Case):
    def test_the_example_works(self):
        server = self.start_server("--devices=cpu")
        (self.folder / "tests").symlink_to(ROOT / "tests")
        environment = {**os.environ, "RADIOGRAPH_ENDPOINT": server.endpoint, "PATH": f"{BIN}:{os.environ['PATH']}"}
        lines = example_lines()
        self.assertGreaterEqual(len(lines), 4)
        for line in lines:
            answer = subprocess.run(line, shell=True, cwd=self.folder, env=environment, capture_output=True, text=True,
                                    timeout=programs.DEADLINE)
            self.assertEqual(answer.returncode, 0, f"{line}\n{answer.stdout}\n{answer.stderr}")
        self.assertTrue((self.folder / "out/digits/report.html").is_file())


if __name__ == "__main__":
    unittest.main()
