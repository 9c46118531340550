"""Durable enqueue, claim and complete: Radiograph beside queues in PostgreSQL, in turns, on the same disk.

    .venv/bench/bin/python3 tests/bench/postgresql_queue.py [--rounds 3] [--folder /var/tmp]

Needs Procrastinate with psycopg in this Python, PostgreSQL's programs, and what tests/bench/run builds. PostgreSQL is
started here, in a temporary folder, on a Unix socket, with the settings that initdb gives (fsync and
synchronous_commit on).

What is compared, with 1 and with 32 clients, then as many slots or workers; all on one machine, clients included:
- Radiograph: Jobs.Create of a bilinear.spectrum job (checked, planned, its inputs pinned) and Workers.Synchronize
  (lease, then DONE with a result), over gRPC and loopback TCP. Client: queue_bench, C++, a thread for each.
- plain SQL: INSERT of 2,000 bytes; UPDATE of the oldest row FOR UPDATE SKIP LOCKED, then UPDATE with a result. The
  least that a queue can do. Client: pgbench, C, two threads, prepared statements.
- Procrastinate: App.defer_async of 2,000 bytes; workers of a task that does nothing. Client: Python, 4 processes
  (1 for one client): on few cores Python is a part of what is measured, as it is for who uses it.
A job counts when it is stored, and when its end is. The table shows the median round.
"""

import argparse
import asyncio
import glob
import json
import logging
import multiprocessing
import os
import pathlib
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import procrastinate

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "build/tests/bench/queue_bench"
BIN = ROOT / "build/bin"
MODEL = ROOT / "tests/data/digits/wd1_noise0.2_seed0"
JOBS = {1: 1000, 32: 6400}  # of a round, by clients
PAYLOAD_BYTES = 2000
PROCESSES_MAX = 4
RECOVERIES = (10_000, 100_000)  # stored jobs
SCHEMA = """
CREATE TABLE job (id bigserial PRIMARY KEY, state text NOT NULL DEFAULT 'queued', priority int NOT NULL DEFAULT 0,
                  attempt int NOT NULL DEFAULT 0, payload text NOT NULL, result text);
CREATE INDEX job_queued ON job (priority, id) WHERE state = 'queued';
"""
ENQUEUE = f"INSERT INTO job (payload) VALUES (repeat('x', {PAYLOAD_BYTES}));\n"
CLAIM_AND_COMPLETE = """UPDATE job SET state = 'running', attempt = attempt + 1 WHERE id =
  (SELECT id FROM job WHERE state = 'queued' ORDER BY priority, id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id \\gset
UPDATE job SET state = 'succeeded', result = '{}' WHERE id = :id AND state = 'running';
"""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class PostgreSql:
    """A cluster of its own, as its own user where this one is root, which PostgreSQL refuses."""

    def __init__(self, parent):
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not folders:
            sys.exit("no PostgreSQL here; as root: apt-get install --no-install-recommends postgresql")
        self.bin = pathlib.Path(folders[-1])
        self.folder = tempfile.mkdtemp(prefix="radiograph-postgresql-", dir=parent)
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        shutil.chown(self.folder, self.user)
        os.chmod(self.folder, 0o755)  # the socket is in it
        self.data = f"{self.folder}/data"
        self.conninfo = f"host={self.folder} user={self.user} dbname=postgres"

    def __enter__(self):
        self._run("initdb", "--pgdata", self.data, "--auth=trust", "--no-sync")
        self._run("pg_ctl", "--pgdata", self.data, "--wait", "--log", f"{self.folder}/log",
                  "--options", f"-k {self.folder} -c listen_addresses=''", "start")
        told = [self.ask(f"SHOW {name}") for name in ("server_version", "fsync", "synchronous_commit")]
        say("PostgreSQL {}, fsync {}, synchronous_commit {}".format(*told))
        if told[1:] != ["on", "on"]:
            sys.exit("this PostgreSQL is not durable by default: no fair peer")
        return self

    def __exit__(self, *_):
        self._run("pg_ctl", "--pgdata", self.data, "--mode=immediate", "stop")
        shutil.rmtree(self.folder)

    def _run(self, program, *arguments):
        as_user = [] if os.getuid() != 0 else ["runuser", "-u", self.user, "--"]
        subprocess.run([*as_user, self.bin / program, *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def ask(self, sql):
        return subprocess.run([self.bin / "psql", "-h", self.folder, "-U", self.user, "-d", "postgres", "-Atqc", sql],
                              check=True, capture_output=True, text=True).stdout.strip()

    def pgbench(self, script, clients, count):
        """Transactions a second, and milliseconds of each."""
        with tempfile.TemporaryDirectory() as logs:
            pathlib.Path(logs, "script").write_text(script)
            done = subprocess.run([self.bin / "pgbench", "-h", self.folder, "-U", self.user, "-n", "-M", "prepared", "-c", str(clients),
                                   "-j", str(min(clients, 2)), "-t", str(count // clients), "-f", "script", "--log", "postgres"],
                                  check=True, cwd=logs, capture_output=True, text=True).stdout
            rate = next(line for line in done.splitlines() if line.startswith("tps = "))
            lines = [line.split() for log in glob.glob(f"{logs}/pgbench_log*") for line in open(log)]
            return float(rate.split()[2]), [float(line[2]) / 1e3 for line in lines]


def p99(values):
    return sorted(values)[int(0.99 * (len(values) - 1) + 0.5)]


def radiograph(folder, clients, count):
    done = subprocess.run([BENCH, "queue", BIN, MODEL, folder, str(clients), str(count)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def plain_sql(postgresql, clients, count):
    postgresql.ask("DROP TABLE IF EXISTS job")
    postgresql.ask(SCHEMA)
    create, seconds = postgresql.pgbench(ENQUEUE, clients, count)
    postgresql.ask("ANALYZE job")
    complete, _ = postgresql.pgbench(CLAIM_AND_COMPLETE, clients, count)
    left = postgresql.ask("SELECT count(*) FROM job WHERE state <> 'succeeded' OR attempt <> 1")
    if left != "0":
        sys.exit(f"plain SQL: {left} jobs have not ended once")
    return {"create_per_second": create, "create_p99_ms": p99(seconds), "complete_per_second": complete}


def make_app(conninfo, clients):
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo, min_size=clients, max_size=clients + 2))

    @app.task(name="nothing")
    async def nothing(payload):
        pass

    return app, nothing


async def defer(conninfo, clients, count, start):
    """Milliseconds of each."""
    app, task = make_app(conninfo, clients)
    times = []

    async def client():
        for _ in range(count // clients):
            begin = time.perf_counter()
            await task.defer_async(payload="x" * PAYLOAD_BYTES)
            times.append(1e3 * (time.perf_counter() - begin))

    async with app.open_async():
        start.wait()
        await asyncio.gather(*(client() for _ in range(clients)))
    return times


async def work(conninfo, slots, _, start):
    app, _ = make_app(conninfo, slots)
    async with app.open_async():
        start.wait()
        await app.run_worker_async(concurrency=slots, wait=False, install_signal_handlers=False)
    return []


def _in_process(body, conninfo, clients, count, start, answers):
    logging.disable(logging.WARNING)
    times = asyncio.run(body(conninfo, clients, count, start))
    answers.put((time.monotonic(), times))


def in_processes(body, conninfo, clients, count):
    """Seconds from when all are ready to when the last is done, and what they say."""
    processes = min(clients, PROCESSES_MAX)
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(processes + 1), context.Queue()
    running = [context.Process(target=_in_process, args=(body, conninfo, clients // processes, count // processes, start, answers))
               for _ in range(processes)]
    for process in running:
        process.start()
    start.wait()
    begin = time.monotonic()
    ends, times = zip(*(answers.get() for _ in running))
    for process in running:
        process.join()
    return max(ends) - begin, [one for some in times for one in some]


def procrastinate_queue(postgresql, clients, count):
    for table in ("jobs", "workers", "events", "periodic_defers"):
        postgresql.ask(f"TRUNCATE procrastinate_{table} CASCADE")
    seconds, times = in_processes(defer, postgresql.conninfo, clients, count)
    postgresql.ask("ANALYZE procrastinate_jobs")
    work_seconds, _ = in_processes(work, postgresql.conninfo, clients, count)
    done = postgresql.ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
    if done != str(count):
        sys.exit(f"Procrastinate: {done} of {count} jobs have succeeded")
    return {"create_per_second": count / seconds, "create_p99_ms": p99(times), "complete_per_second": count / work_seconds}


def apply_schema(conninfo):
    app, _ = make_app(conninfo, 1)

    async def apply():
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    asyncio.run(apply())


def measure(postgresql, folder, rounds):
    """queue -> clients -> figure -> median."""
    queues = {"Radiograph": lambda *sizes: radiograph(folder, *sizes),
              "plain SQL": lambda *sizes: plain_sql(postgresql, *sizes),
              "Procrastinate": lambda *sizes: procrastinate_queue(postgresql, *sizes)}
    apply_schema(postgresql.conninfo)
    told = {name: {clients: [] for clients in JOBS} for name in queues}
    for number in range(rounds):
        for clients, count in JOBS.items():
            for name, queue in queues.items():
                told[name][clients].append(queue(clients, count))
                say(f"round {number + 1}, {clients} clients, {name}: {told[name][clients][-1]}")
    return {name: {clients: {figure: statistics.median(one[figure] for one in some) for figure in some[0]}
                   for clients, some in by_clients.items()} for name, by_clients in told.items()}


def print_table(medians):
    print("| what | Radiograph | plain SQL (pgbench) | Procrastinate | ratio to plain SQL; to Procrastinate |")
    print("| --- | --- | --- | --- | --- |")
    for clients in JOBS:
        plural = "s" if clients > 1 else ""
        for figure, what in (("create_per_second", f"durable creates, {clients} client{plural}"),
                             ("complete_per_second", f"claim and complete, {clients} slot{plural}")):
            ours, *others = [by_clients[clients][figure] for by_clients in medians.values()]
            ratios = "; ".join(f"{ours / other:.2f} x" for other in others)
            print(f"| {what} | {ours:,.0f}/s | " + " | ".join(f"{other:,.0f}/s" for other in others) + f" | {ratios} |")
        times = [by_clients[clients]["create_p99_ms"] for by_clients in medians.values()]
        print(f"| p99 of a create, {clients} client{plural} | " + " | ".join(f"{one:.1f} ms" for one in times) + " | |")


def print_recovery(folder):
    for jobs in RECOVERIES:
        told = json.loads(subprocess.run([BENCH, "recovery", BIN, folder, str(jobs)], check=True, capture_output=True, text=True).stdout)
        print(f"| start to first answered RPC with {jobs:,} queued jobs, after an unclean end | {told['first_ms']:.0f} ms "
              f"(killed again: {told['median_ms']:.0f} ms) | | | |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to measure; PostgreSQL's user must reach it")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # Procrastinate's, about apps that are made in a program's main module
    with PostgreSql(options.folder) as postgresql, tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print_table(measure(postgresql, folder, options.rounds))
        print_recovery(folder)


if __name__ == "__main__":
    main()
