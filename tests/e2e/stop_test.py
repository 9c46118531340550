"""Cancel, deadline and drain, in every state of a job: the device is free soon, its slot warm, and nobody pays for it."""

import datetime
import pathlib
import socket
import sys
import threading
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import wire  # noqa: E402
from job_case import MIDDLE, SHORT, JobCase, outcomes, write_large_model  # noqa: E402

CANCELLED, FAILED = 5, 1
GRACE_SECONDS = 2  # from cancel to kill
DEADLINE_EXCEEDED = 4


def seconds(later, earlier):
    """Between two times as JSON tells them: 2026-11-27T08:40:00.123456789Z."""
    whole = [datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S") for text in (later, earlier)]
    parts = [float("0" + text[19:].rstrip("Z")) for text in (later, earlier)]
    return (whole[0] - whole[1]).total_seconds() + parts[0] - parts[1]


class SlowWay:
    """A way to a server on which answers come slowly until it is opened: weights take half a minute, polls go through."""

    BYTES, PAUSE_SECONDS = 4096, 0.02

    def __init__(self, endpoint):
        self.server = endpoint.rsplit(":", 1)
        self.passed, self.opened = 0, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.opened.set()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
                server = socket.socket()
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.BYTES)  # a poll stands behind little else
                server.connect((self.server[0], int(self.server[1])))
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source, sink, slowly):
        try:
            while data := source.recv(self.BYTES):
                sink.sendall(data)
                if slowly:
                    self.passed += len(data)
                    if len(data) == self.BYTES:
                        self.opened.wait(self.PAUSE_SECONDS)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Stop(JobCase):
    def start_local(self, *flags):
        self.server = self.start_server("--devices=cpu", *flags)
        self.server.wait_for("compute_started")

    def cancel(self, name):
        self.assert_ok(self.ask("jobs", "cancel", name))
        self.assertEqual(self.ask("jobs", "wait", name).code, CANCELLED)
        return self.job(name)

    def late(self, name):
        """The job, which its deadline has ended."""
        answer = self.ask("jobs", "wait", name)
        self.assertEqual(answer.code, FAILED, answer)
        self.assertIn("time-out", answer.error())
        job = self.job(name)
        self.assertEqual((job["state"], job["error"]["code"]), ("FAILED", DEADLINE_EXCEEDED), job)
        return job

    def assert_next_job_runs(self, program, pid=None):
        """On the same slot; in the same warm process, if one is named."""
        following = self.wait(self.create(*SHORT, "--cache=bypass"))
        self.assertEqual(outcomes(following), ["SUCCEEDED"], following)
        if pid is not None:
            self.assertEqual(self.compute(program), pid)

    # Cancel.

    def test_a_running_job_is_cancelled_within_a_chunk_and_its_process_stays(self):
        self.start_local()
        pid = self.compute(self.server)
        name = self.create_long()
        self.until_started(name)
        job = self.cancel(name)
        self.assertEqual(outcomes(job), ["CANCELLED"])
        self.assert_next_job_runs(self.server, pid)

    def test_a_job_that_hears_nothing_is_killed_and_the_slot_has_a_new_process(self):
        self.start_local()
        pid = self.compute(self.server)
        name = self.create_long()
        self.until_started(name)
        self.freeze(pid)
        asked = self.job(name)
        job = self.cancel(name)
        self.assertEqual(outcomes(job), ["CANCELLED"])
        self.assertGreater(seconds(job["end_time"], asked["attempts"][0]["start_time"]), GRACE_SECONDS)
        self.assertIn("did not stop by itself", job["attempts"][0]["error"]["message"])
        self.assertTrue(self.gone(pid))
        self.assert_next_job_runs(self.server)

    def test_a_queued_job_is_cancelled_at_once(self):
        self.server = self.start_server("--devices=none")
        job = self.cancel(self.create(*SHORT))
        self.assertEqual((job["state"], outcomes(job)), ("CANCELLED", []))

    def start_fetching(self, *flags):
        """A job whose worker waits for the weights: (job, worker, the way on which they are)."""
        self.server = self.start_server("--devices=none")
        model = write_large_model(self.folder / "model.safetensors")
        way = SlowWay(self.server.endpoint)
        self.addCleanup(way.close)
        worker = self.start_worker(endpoint=way.endpoint)
        name = self.create(*SHORT, *flags, model=model)
        self.until("the weights to be on their way", lambda: way.passed > 128 * 1024)
        self.assertNotIn("start_time", self.job(name)["attempts"][0])
        return name, worker, way

    def test_a_job_whose_inputs_are_on_their_way_is_cancelled(self):
        name, worker, way = self.start_fetching()
        pid = self.compute(worker)
        job = self.cancel(name)
        self.assertEqual(outcomes(job), ["CANCELLED"])
        way.opened.set()
        self.assert_next_job_runs(worker, pid)

    def test_of_two_merged_jobs_one_is_cancelled_and_the_other_goes_on(self):
        self.start_local()
        first = self.create(*MIDDLE)
        second = self.create(*MIDDLE)
        self.until_started(first)
        self.assertEqual(self.cancel(first)["state"], "CANCELLED")
        job = self.wait(second)
        self.assertEqual((job["state"], outcomes(job)), ("SUCCEEDED", ["SUCCEEDED"]))

    # Deadline.

    def test_the_deadline_ends_a_running_job_and_its_process_stays(self):
        self.start_local()
        pid = self.compute(self.server)
        name = self.create_long("--deadline", "4s")
        self.until_started(name)
        self.assertEqual(outcomes(self.late(name)), ["DEADLINE"])
        self.assert_next_job_runs(self.server, pid)

    def test_the_deadline_kills_a_job_that_hears_nothing(self):
        self.start_local()
        pid = self.compute(self.server)
        name = self.create_long("--deadline", "4s")
        self.until_started(name)
        self.freeze(pid)
        self.assertEqual(outcomes(self.late(name)), ["DEADLINE"])
        self.assertTrue(self.gone(pid))
        self.assert_next_job_runs(self.server)

    def test_the_deadline_ends_a_job_that_waits_or_fetches(self):
        name, worker, way = self.start_fetching("--deadline", "8s")
        waiting = self.create(*SHORT, "--deadline", "1s")  # the only slot is taken
        self.assertEqual(outcomes(self.late(waiting)), [])
        self.assertEqual(outcomes(self.late(name)), ["DEADLINE"])
        way.opened.set()
        self.assert_next_job_runs(worker, self.compute(worker))

    def test_the_deadline_of_a_merged_job_is_its_own(self):
        self.start_local()
        first = self.create_long()
        self.until_started(first)
        second = self.create_long("--deadline", "1s")
        self.assertEqual(self.job(second).get("merged_into"), first)
        self.late(second)
        self.assertEqual(self.job(first)["state"], "RUNNING")
        self.cancel(first)

    # Drain. One crash would be the end of these jobs; a drain is none.

    def test_a_worker_that_is_told_to_end_gives_its_job_back_unburned(self):
        self.server = self.start_server("--devices=none")
        worker = self.start_worker("--drain-grace=0s", name="first")
        name = self.create(*MIDDLE, "--max-attempts=1")
        self.until_started(name)
        worker.stop()
        self.assertEqual(worker.process.returncode, 0)
        job = self.job(name)
        self.assertEqual((job["state"], outcomes(job)), ("QUEUED", ["PREEMPTED"]))
        self.start_worker(name="second")
        job = self.wait(name)
        self.assertEqual((job["state"], outcomes(job)), ("SUCCEEDED", ["PREEMPTED", "SUCCEEDED"]), job)
        self.assertEqual(job["attempts"][1]["slot"], "second/cpu")

    def test_a_drained_worker_gives_its_job_back_and_takes_none_until_it_is_resumed(self):
        self.server = self.start_server("--devices=none")
        first = self.start_worker(name="first")
        name = self.create(*MIDDLE, "--max-attempts=1")
        self.until_started(name)
        with wire.Connection(self.server.endpoint) as connection:
            connection.workers.Drain(wire.workers.DrainRequest(name="first"))
            self.until("the job to be queued again", lambda: self.job(name)["state"] == "QUEUED")
            self.assertEqual(outcomes(self.job(name)), ["PREEMPTED"])
            second = self.start_worker(name="second")
            job = self.wait(name)
            self.assertEqual((job["state"], outcomes(job)), ("SUCCEEDED", ["PREEMPTED", "SUCCEEDED"]), job)
            self.assertEqual(job["attempts"][1]["slot"], "second/cpu")
            second.stop()
            connection.workers.Drain(wire.workers.DrainRequest(name="first", resume=True))
        self.assert_next_job_runs(first, self.compute(first))

    def test_within_the_grace_a_job_ends_and_no_other_begins(self):
        self.server = self.start_server("--devices=none")
        worker = self.start_worker("--drain-grace=100s")
        first, second = self.create(*MIDDLE), self.create(*MIDDLE, "--seed=1")
        self.until_started(first)
        worker.stop()
        job = self.job(first)
        self.assertEqual((job["state"], outcomes(job)), ("SUCCEEDED", ["SUCCEEDED"]))
        job = self.job(second)
        self.assertEqual((job["state"], outcomes(job)), ("QUEUED", []))

    def test_a_server_that_is_told_to_end_takes_its_jobs_up_again(self):
        self.start_local("--grace=0s")
        name = self.create(*MIDDLE, "--max-attempts=1")
        self.until_started(name)
        self.server.stop()
        self.assertEqual(self.server.process.returncode, 0)
        self.start_local()
        job = self.wait(name)
        self.assertEqual((job["state"], outcomes(job)), ("SUCCEEDED", ["PREEMPTED", "SUCCEEDED"]), job)


if __name__ == "__main__":
    unittest.main()
