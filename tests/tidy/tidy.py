"""Checks what the compiler does not: walls, sizes, words, dead files, broken links. Python's library only.

    python3 tests/tidy/tidy.py [ROOT]      prints `path:line: what is wrong: what to do instead`, exits 1 if anything is
"""

import pathlib
import sys

import files
import sizes
import tree
import walls
import words


def problems(root):
    """All that is wrong below `root`, as lines of text."""
    everything = tree.read_tree(root)
    found = [problem for part in (walls, sizes, words, files) for problem in part.check(everything)]
    return [f"{path}:{line}: {message}" for path, line, message in sorted(found)]


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    found = problems(root)
    print("\n".join(found) if found else "tidy: nothing to do")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
