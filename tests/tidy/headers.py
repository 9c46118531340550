"""Compiles each header that no source includes first: the others are shown to stand alone by their source.

    python3 tests/tidy/headers.py COMPILER FLAGS...
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

import files
import tree

ROOT = pathlib.Path(__file__).resolve().parents[2]


def compile_alone(path):
    """The compiler's complaint about a source that holds nothing but this header, or an empty text."""
    command = sys.argv[1:] + ["-fsyntax-only", "-x", "c++", "-"]
    result = subprocess.run(command, input=f'#include "{path}"\n', capture_output=True, text=True, cwd=ROOT)
    return result.stderr if result.returncode else ""


def main():
    headers = files.unproven_headers(tree.read_tree(ROOT))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = 0
        for path, complaint in zip(headers, pool.map(compile_alone, headers)):
            if complaint:
                failed += 1
                print(f"{path} does not compile alone: include what it uses\n{complaint}")
    print(f"{len(headers)} headers compiled alone, {failed} do not")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
