"""While nobody answers, client, agent and server take next to no processor time, whatever their wall clock says.

Honest clocks, clocks that differ from the kernel's by a day (libfaketime), and clocks that somebody sets by an hour just
then (clock_jump.c). All wait side by side, for agents and clients in vain: at a server that hangs, at one that was killed,
at a port where nobody listens. Afterwards they are as they were: a wait that will never end is quiet, too.

    python3 tests/faults/quiet_test.py [--seconds=60]
"""

import glob
import os
import pathlib
import signal
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import programs  # noqa: E402
from job_case import JobCase, compute_processes  # noqa: E402
from programs import NETWORK, Program, radiograph  # noqa: E402

FAULTS = pathlib.Path(os.environ.get("RADIOGRAPH_FAULTS", programs.ROOT / "build/tests/faults"))
SECONDS = 10
SETTLE_SECONDS = 2  # what was begun by the fault is over, and the next retry has its longest pause
# Of one processor. Who waits takes 0.2 % at most (0.1 % is one tick of ten seconds); a thread that turns without a pause takes
# 100 %, or when nine processes do so on two busy cores, 10 % to 17 %. Between them is room for a slow processor.
SHARE_MAX = 0.05
HOUR, DAY = 3600, 86400
CANCELLED, UNREACHABLE = 5, 7
CLIENT_PATIENCE_SECONDS = 30  # a client asks for about a minute, then it gives up
AWAY_NOTICED_SECONDS = 60  # a server that hangs, by an idle worker: after its poll of so long


def with_faketime(seconds):
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise AssertionError("libfaketime is not installed: deploy/set-up --for=tests brings it")
    return ("env", f"LD_PRELOAD={found[0]}", f"FAKETIME={seconds:+d}")


def ticks(pid):
    """Processor time of a process, user and system, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def shares(pids, seconds):
    """name -> what the process took of one processor."""
    before = {name: ticks(pid) for name, pid in pids.items()}
    begin = time.monotonic()
    pause(seconds)
    took = time.monotonic() - begin
    return {name: (ticks(pid) - before[name]) / os.sysconf("SC_CLK_TCK") / took for name, pid in pids.items()}


def pause(seconds):
    """There is nothing to wait for: nothing is to happen."""
    threading.Event().wait(seconds)


class Quiet(JobCase):
    def setUp(self):
        super().setUp()
        self.programs = {}  # what is measured
        self.clocks = {"honest": (), "a day back": with_faketime(-DAY), "a day ahead": with_faketime(DAY)}
        self.jumps = {"set back": -HOUR, "set ahead": HOUR}
        for name in self.jumps:
            self.set_clock(name, 0)
            self.clocks[name] = ("env", f"LD_PRELOAD={FAULTS / 'libclock_jump.so'}", f"CLOCK_JUMP_FILE={self.folder / name}")

    def set_clock(self, name, ahead):
        path = self.folder / name
        with open(path, "r+b" if path.exists() else "wb") as file:
            file.write(struct.pack("<q", ahead))

    def start_named_server(self, name, port=0, before=()):
        server = self.start("radiographd", f"--listen=127.0.0.1:{port}", "--http=none", f"--state={self.folder / name}",
                            "--devices=none", before=before)
        server.endpoint = server.wait_for("serving")["grpc"]
        return server

    def job_for_nobody(self, endpoint):
        """Waits for a device that no worker has."""
        answer = radiograph("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--device=cuda", "--no-wait", "-o", "name",
                            endpoint=endpoint)
        return self.assert_ok(answer).out.strip()

    def start_agent(self, name, endpoint, before):
        worker = self.start("radiograph-worker", f"--server={endpoint}", f"--state={self.folder / name}",
                            f"--name={name.replace(' ', '_')}", "--devices=cpu", before=before)
        worker.endpoint = endpoint
        self.programs[name] = worker
        return worker

    def start_clients(self, name, endpoint, before):
        job = self.job_for_nobody(endpoint)
        run = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--device=cuda", "--seed=1", "--out", self.folder / f"{name} out")
        started = []
        for what, arguments in (("watch", ("jobs", "watch", job)), ("wait", ("jobs", "wait", job)), ("run", run)):
            client = Program("radiograph", *arguments, "--endpoint", endpoint, before=before, stdout=subprocess.DEVNULL)
            self.addCleanup(lambda client=client: client.process.poll() is None and client.kill())
            self.programs[f"{name}, {what}"] = client
            started.append(client)
        return started

    def pids(self):
        found = {}
        for name, program in self.programs.items():
            self.assertIsNone(program.process.poll(), f"{name} has ended:\n{''.join(program.log)}")
            found[name] = program.process.pid
            for number, pid in enumerate(compute_processes(program.process.pid)):
                found[f"{name}, its compute process {number}"] = pid
        return found

    def assert_quiet(self):
        took = shares(self.pids(), SECONDS)
        table = "\n".join(f"  {100 * share:6.2f} %  {name}" for name, share in sorted(took.items(), key=lambda entry: -entry[1]))
        print(f"of one processor, in {SECONDS} s:\n{table}", flush=True)
        loud = [name for name, share in took.items() if share > SHARE_MAX]
        self.assertEqual(loud, [], f"more than {100 * SHARE_MAX} % of a processor:\n{table}")

    def cancel_all(self, endpoint):
        jobs = self.assert_ok(radiograph("jobs", "ls", "-o", "name", endpoint=endpoint)).out.split()
        for job in jobs:
            self.assert_ok(radiograph("jobs", "cancel", job, endpoint=endpoint))

    def assert_ends(self, client, codes):
        client.wait()
        self.assertIn(client.process.returncode, codes, "".join(client.log))

    def test_a_loop_without_a_pause_is_seen(self):
        """What the others rest on."""
        loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        self.addCleanup(loop.wait)
        self.addCleanup(loop.kill)
        self.assertGreater(shares({"loop": loop.pid}, 2)["loop"], 2 * SHARE_MAX)

    def test_who_waits_in_vain(self):
        hangs = self.start_named_server("hangs")
        port = programs.free_port()
        killed = self.start_named_server("killed", port)
        nobody = f"127.0.0.1:{programs.free_port()}"
        agents, clients = {"hangs": [], "killed": []}, {"hangs": [], "killed": []}
        for clock, before in self.clocks.items():
            for name, server in (("hangs", hangs), ("killed", killed)):
                agents[name].append(self.start_agent(f"agent, {clock}, {name}", server.endpoint, before))
                clients[name] += self.start_clients(f"client, {clock}, {name}", server.endpoint, before)
            self.start_agent(f"agent, {clock}, nobody", nobody, before)
        for name, program in self.programs.items():
            if name.startswith("agent"):
                program.wait_for("compute_started")
        self.until_waiting(hangs.endpoint)
        self.until_waiting(killed.endpoint)

        self.freeze(hangs.process.pid)
        killed.kill()
        for name, ahead in self.jumps.items():
            self.set_clock(name, ahead)
        pause(SETTLE_SECONDS)
        self.assert_quiet()

        for clock in self.clocks:
            away = self.programs[f"agent, {clock}, nobody"].wait_for("server_away")
            self.assertEqual(away["server"], nobody)
            self.assertIn("Connection refused", away["error"])
        for agent in agents["hangs"] if SECONDS >= AWAY_NOTICED_SECONDS else ():
            self.assertIn("DEADLINE_EXCEEDED", agent.wait_for("server_away")["error"])
        killed = self.start_named_server("killed", port)
        self.thaw(hangs.process.pid)
        for agent in agents["killed"]:
            agent.wait_for("server_away")
            self.assertGreaterEqual(agent.wait_for("server_back")["away_seconds"], SECONDS)
        self.until_waiting(hangs.endpoint)
        self.cancel_all(hangs.endpoint)
        self.cancel_all(killed.endpoint)
        for client in clients["hangs"]:
            self.assert_ends(client, (CANCELLED,))
        for client in clients["killed"]:
            self.assert_ends(client, (CANCELLED,) if SECONDS < CLIENT_PATIENCE_SECONDS else (CANCELLED, UNREACHABLE))

    def until_waiting(self, endpoint):
        """Until the server knows all agents and has all jobs, in which clients see how they wait."""
        def count(*arguments):
            return len(self.assert_ok(radiograph(*arguments, "-o", "name", endpoint=endpoint)).out.split())
        # Per clock an agent; of its clients one makes a job, the others wait for another.
        self.until("all agents", lambda: count("workers", "ls") == len(self.clocks))
        self.until("all jobs", lambda: count("jobs", "ls") == 2 * len(self.clocks))

    def test_servers_whose_worker_is_gone(self):
        for clock, before in self.clocks.items():
            server = self.start_named_server(f"server, {clock}", before=before)
            worker = self.start_agent(f"agent of server, {clock}", server.endpoint, before)
            worker.wait_for("compute_started")
            self.until("the agent", lambda: radiograph("workers", "ls", "-o", "name", endpoint=server.endpoint).out)
            self.start_clients(f"client of server, {clock}", server.endpoint, ())
            self.programs.pop(f"agent of server, {clock}").kill()
            self.programs[f"server, {clock}"] = server
        for name, ahead in self.jumps.items():
            self.set_clock(name, ahead)
        pause(SETTLE_SECONDS)
        self.assert_quiet()
        for clock in self.clocks:
            self.cancel_all(self.programs[f"server, {clock}"].endpoint)
            for what in ("watch", "wait", "run"):
                self.assert_ends(self.programs[f"client of server, {clock}, {what}"], (CANCELLED,))


if __name__ == "__main__":
    for argument in [argument for argument in sys.argv if argument.startswith("--seconds=")]:
        SECONDS = int(argument.removeprefix("--seconds="))
        sys.argv.remove(argument)
    unittest.main()
