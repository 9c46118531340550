"""The project's files as text, and C++ with its comments and strings blanked."""

import os
import pathlib
import re

_SKIPPED = re.compile(r"^(\.git|\.venv|out|__pycache__|build.*)$")
# Order matters: a quote in a comment opens no string, and the other way round.
_COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL,
)
_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


class File:
    """One file. `path` is relative to the root, with forward slashes; `text` is empty for binary files."""

    def __init__(self, root, path):
        self.path = path
        self.name = path.rsplit("/", 1)[-1]
        self.stem, _, self.suffix = self.name.rpartition(".") if "." in self.name else (self.name, "", "")
        try:
            self.text = (root / path).read_text()
        except UnicodeDecodeError:
            self.text = ""
        self.is_cpp = self.suffix in ("h", "cc")
        self.is_test = self.stem.endswith("_test")
        self.code = _COMMENT_OR_STRING.sub(_blank, self.text) if self.is_cpp else self.text

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def includes(self):
        """Yields (line, path, is_quoted). From the text: a string's blanking would take the paths."""
        for match in _INCLUDE.finditer(self.text) if self.is_cpp else ():
            yield self.line_of(match.start(1)), match.group(2), match.group(1) == '"'


def read_tree(root):
    """All files below `root` by path; build folders and what was fetched are left out."""
    files = {}
    root = pathlib.Path(root)
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not _SKIPPED.match(name))
        for name in sorted(names):
            path = (pathlib.Path(folder) / name).relative_to(root).as_posix()
            if path != ".git":  # a file in a worktree
                files[path] = File(root, path)
    return files
