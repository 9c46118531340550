"""Starts and asks the real programs."""

import json
import os
import pathlib
import queue
import random
import socket
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("RADIOGRAPH_BIN", ROOT / "build/bin"))
DIGITS = ROOT / "tests/data/digits"
NETWORK = DIGITS / "wd1_noise0.2_seed0"
SANITIZED = "ASAN_OPTIONS" in os.environ  # by tests/sanitize/run
DEADLINE = 120  # seconds: more than a loaded machine needs for any one step


def free_port():
    """For what must come back to the same address. Not one that the system hands out by itself meanwhile."""
    handed_out = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(handed_out // 2, handed_out)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Program:
    """A running server or worker. Its log, one JSON object a line, arrives in `events`."""

    def __init__(self, name, *flags, before=(), stdout=None):
        self.process = subprocess.Popen([*before, BIN / name, *flags], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                                         text=True, errors="surrogateescape")
        self.events = queue.Queue()
        self.log = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)
            try:
                self.events.put(json.loads(line))
            except ValueError:
                pass  # said by a library; stays in `log`
        self.events.put({"event": "the end"})

    def wait_for(self, event):
        """The next log line of this event."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                line = self.events.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                line = {"event": "the end"}
            if line.get("event") == event:
                return line
            if line.get("event") == "the end":
                raise AssertionError(f"no '{event}' in the log:\n" + "".join(self.log))

    def kill(self):
        self.process.kill()
        self.wait()

    def stop(self):
        self.process.terminate()
        self.wait()

    def wait(self):
        self.process.wait(timeout=DEADLINE)
        self._reader.join(timeout=DEADLINE)
        self.process.stderr.close()


class Answer:
    def __init__(self, completed):
        self.code = completed.returncode
        self.out = completed.stdout
        self.err = completed.stderr

    def json(self):
        return json.loads(self.out)

    def error(self):
        """The one line that says what is wrong, at the end of stderr."""
        lines = self.err.splitlines()
        if [line.startswith("radiograph: ") for line in lines].count(True) != 1 or not lines[-1].startswith("radiograph: "):
            raise AssertionError(f"not one line of error at the end: {self}")
        return lines[-1]

    def __repr__(self):
        return f"exit code {self.code}\nstdout:\n{self.out}\nstderr:\n{self.err}"


def radiograph(*arguments, endpoint="127.0.0.1:1", timeout=DEADLINE, **environment):
    """Runs the command line to its end. The default endpoint answers nothing."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RADIOGRAPH_")}
    environment = {**inherited, "RADIOGRAPH_ENDPOINT": endpoint, **environment}
    command = [BIN / "radiograph", *map(str, arguments)]
    return Answer(subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape", timeout=timeout))


class Case(unittest.TestCase):
    """A test with a folder of its own, and servers that end with it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, name, *flags, before=()):
        program = Program(name, *flags, before=before)
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program

    def start_server(self, *flags, before=()):
        """A server on free ports with its state below the test's folder; `endpoint` says where it listens.

        `before` is a command that ends by becoming the server.
        """
        state = f"--state={self.folder / 'state'}"
        server = self.start("radiographd", "--listen=127.0.0.1:0", "--http=127.0.0.1:0", state, *flags, before=before)
        serving = server.wait_for("serving")
        server.endpoint, server.http = serving["grpc"], serving["http"]
        return server

    def assert_ok(self, answer):
        self.assertEqual(answer.code, 0, answer)
        return answer
