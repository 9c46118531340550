"""Clients that create, cancel, watch and upload all the time, and a ledger of what they were told.

A call that breaks off, as when the server is killed, is asked again until it is answered. Whatever was answered must
stay true: the ledger notes what did not in `problems`.
"""

import collections
import hashlib
import queue
import random
import threading
import time
import uuid

import grpc
import wire
from wire import blobs, jobs

LIVE_MAX = 4  # jobs of one client that have not ended
ANSWER_SECONDS_MAX = 60  # for an answer, the server's death and restart included
WATCH_SECONDS = 30  # of one stream
AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
ENDED = (jobs.SUCCEEDED, jobs.FAILED, jobs.CANCELLED)
DRAWS = (0, 0, 0, 30, 150)  # null_draws: from milliseconds to a second of work
SEEDS = 4
SIZES = (0, 1, 70_000, 1_000_000, 3_000_000)
CHUNK = 256 << 10
REFUSED = (grpc.StatusCode.ALREADY_EXISTS,)  # the same request_id for something else

_NEVER = threading.Event()


def pause(seconds):
    _NEVER.wait(seconds)


def fields(event):
    return event.state, event.attempt, event.progress, event.phase, event.message


class Ledger:
    """What has been acknowledged. Safe for use from many threads."""

    def __init__(self):
        self.lock = threading.RLock()
        self.requests = {}  # job id -> what was asked for
        self.endings = {}  # job id -> (state, result digest), from when it was first told
        self.cancelled = set()  # job ids whose cancel was acknowledged
        self.events = collections.defaultdict(dict)  # job id -> sequence -> fields
        self.results = {}  # (null_draws, seed) -> the one result digest of this work
        self.blobs = {}  # digest -> size
        self.counts = collections.Counter()
        self.problems = []

    def expect(self, truth, *what):
        if not truth:
            with self.lock:
                self.problems.append(" ".join(map(str, what)))

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def created(self, request, job_id):
        with self.lock:
            self.requests[job_id] = request

    def saw(self, job_id, event):
        with self.lock:
            first = self.events[job_id].setdefault(event.sequence, fields(event))
        self.expect(first == fields(event), job_id, "event", event.sequence, "was", first, "and is", fields(event))

    def ending(self, job_id):
        with self.lock:
            return self.endings.get(job_id)

    def told(self, job, before):
        """`before`: the ending that was known when this was asked."""
        now = (job.state, job.result_digest)
        self.expect(before in (None, now), job.id, "had ended as", before, "and is", now)
        if job.state not in ENDED:
            return
        request = self.requests.get(job.id)
        with self.lock:
            first = self.endings.setdefault(job.id, now)
            if request is not None and job.state == jobs.SUCCEEDED:
                work = (request.params["null_draws"], request.seed)
                result = self.results.setdefault(work, job.result_digest)
                self.expect(result == job.result_digest, job.id, "is", work, "with another result")
        self.expect(first == now, job.id, "ended as", first, "and as", now)

    def uploaded(self, blob):
        with self.lock:
            self.blobs[blob.sha256] = blob.size

    # What must hold once everything has ended.

    def check_jobs(self, connection, ids):
        for job_id in ids:
            before = self.ending(job_id)
            try:
                job = connection.jobs.Get(jobs.GetJobRequest(id=job_id))
                events = list(connection.jobs.Watch(jobs.WatchJobRequest(id=job_id), timeout=WATCH_SECONDS))
            except grpc.RpcError as error:
                self.expect(False, job_id, "is lost:", error.code(), error.details())
                continue
            self.told(job, before)
            self._count_kind(job)
            self._check_job(job)
            self._check_events(job, [event for event in events if event.sequence > 0])

    def _count_kind(self, job):
        for kind, of_it in (("retried", len(job.attempts) > 1), ("hit", job.cache_hit)):
            if of_it:
                self.count(kind)

    def _check_job(self, job):
        self.expect(job.state in ENDED, job.id, "has not ended:", jobs.JobState.Name(job.state), job.pending_reason)
        if job.state == jobs.CANCELLED:
            self.expect(job.id in self.cancelled, job.id, "was cancelled by nobody")
        else:
            self.expect(job.state == jobs.SUCCEEDED, job.id, "failed:", job.error.message)
        self.expect(bool(job.result) == (job.state == jobs.SUCCEEDED), job.id, "has", len(job.result), "files")
        numbers = [attempt.number for attempt in job.attempts]
        if not job.cache_hit:  # which shows the one attempt that computed it
            self.expect(numbers == list(range(1, len(numbers) + 1)), job.id, "has the attempts", numbers)
        outcomes = [attempt.outcome for attempt in job.attempts]
        self.expect(all(outcomes), job.id, "has an open attempt:", outcomes)
        successes = 1 if job.state == jobs.SUCCEEDED else 0
        self.expect(outcomes.count("SUCCEEDED") == successes, job.id, jobs.JobState.Name(job.state), outcomes)
        self.expect("SUCCEEDED" not in outcomes[:-1], job.id, "went on after a success:", outcomes)

    def _check_events(self, job, events):
        sequences = [event.sequence for event in events]
        self.expect(sequences == list(range(1, len(sequences) + 1)), job.id, "has the events", sequences)
        for event in events:
            self.saw(job.id, event)
        states = [event.state for event in events]
        self.expect(states[-1:] == [job.state], job.id, "last event", states[-1:], "of a job that is", job.state)
        self.expect(sum(state in ENDED for state in states) == 1, job.id, "ended more than once:", states)
        watched = len(self.events[job.id])
        self.expect(watched == len(events), job.id, "had", watched, "events and has", len(events))

    def check_requests(self, connection):
        """A request_id repeated makes no second job, and the list holds every job once."""
        for job_id, request in self.requests.items():
            again = connection.jobs.Create(request).job.id
            self.expect(again == job_id, "the request of", job_id, "made", again, "too")
        listed = []
        page = jobs.ListJobsRequest(page_size=100)
        while True:
            answer = connection.jobs.List(page)
            listed += [job.id for job in answer.jobs]
            page.page_token = answer.next_page_token
            if not page.page_token:
                break
        self.expect(len(listed) == len(set(listed)), "a job is listed twice")
        extra = set(listed) ^ set(self.requests)
        self.expect(not extra, "listed but not asked for, or the other way:", sorted(extra)[:10])

    def check_blobs(self, connection):
        digests = dict(self.blobs)
        for job_id in self.requests:
            for file in connection.jobs.Get(jobs.GetJobRequest(id=job_id)).result:
                digests[file.blob.sha256] = file.blob.size
        for digest, size in digests.items():
            self.check_blob(connection, digest, size)
        return len(digests)

    def check_blob(self, connection, digest, size):
        found = hashlib.sha256()
        length = 0
        try:
            for piece in connection.blobs.Read(blobs.ReadRequest(sha256=digest)):
                found.update(piece.data)
                length += len(piece.data)
        except grpc.RpcError as error:
            if error.code() in AGAIN:
                raise
            return self.expect(False, "blob", digest, "can't be read:", error.code(), error.details())
        self.expect((found.hexdigest(), length) == (digest, size), "blob", digest, size, "reads as", found.hexdigest(), length)


class Client:
    """One that asks all the time, and a second thread that follows its jobs."""

    def __init__(self, endpoint, ledger, model, seed, sizes=SIZES, pause_seconds=0):
        """`sizes` of uploads; `pause_seconds` between two operations."""
        self.ledger, self.model, self.sizes, self.pause_seconds = ledger, model, sizes, pause_seconds
        self.random = random.Random(seed)
        self.connection = wire.Connection(endpoint)
        self.stopping = threading.Event()
        self.mine = []  # ids of all its jobs
        self.to_follow = queue.Queue()
        self.live = threading.Semaphore(LIVE_MAX)
        self.failure = None
        self.threads = [threading.Thread(target=self._guard, args=(body,), daemon=True) for body in (self._ask, self._follow)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Asks nothing new; what is asked gets its answer. Its jobs are still followed."""
        self.stopping.set()
        self.threads[0].join()
        self.to_follow.put(None)

    def join(self):
        self.threads[1].join()
        self.connection.channel.close()
        if self.failure is not None:
            raise self.failure

    def _guard(self, body):
        try:
            body()
        except Exception as failure:  # kept for join
            self.failure = failure
            self.stopping.set()

    def _ask(self):
        operations = {self.create: 12, self.cancel: 1, self.upload: 4, self.read_job: 4, self.read_blob: 2,
                      self.read_result: 2, self.repeat: 2, self.reuse: 1, self.list: 2}
        while not self.stopping.is_set():
            self.random.choices(list(operations), operations.values())[0]()
            pause(self.pause_seconds)

    def insist(self, ask):
        """Asks until there is an answer: the server may be down meanwhile."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        told = set()
        while True:
            try:
                return ask()
            except grpc.RpcError as error:
                if error.code() not in AGAIN or time.monotonic() > deadline:
                    raise
                if error.code() not in told:
                    told.add(error.code())
                    self.ledger.count(error.code().name.lower())
            pause(0.02)

    # Operations.

    def request(self):
        request = jobs.CreateJobRequest(analysis="bilinear.spectrum", seed=self.random.randrange(SEEDS),
                                        request_id=str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
                                        cache=self.random.choice((jobs.USE, jobs.REFRESH, jobs.BYPASS, jobs.BYPASS)), max_attempts=20)
        request.inputs["model"].refs.append(self.model)
        request.params["null_draws"] = self.random.choice(DRAWS)
        return request

    def create(self):
        if not self.live.acquire(timeout=0.2):
            return
        request = self.request()
        job = self.insist(lambda: self.connection.jobs.Create(request)).job
        self.ledger.created(request, job.id)
        self.ledger.count("created")
        self.mine.append(job.id)
        self.to_follow.put(job.id)
        self.ledger.told(job, None)

    def any_job(self):
        return self.random.choice(self.mine[-2 * LIVE_MAX:]) if self.mine else None

    def cancel(self):
        job_id = self.any_job()
        if job_id is None:
            return
        before = self.ledger.ending(job_id)
        with self.ledger.lock:
            self.ledger.cancelled.add(job_id)  # before it is asked: the answer may be lost, its effect not
        try:
            job = self.insist(lambda: self.connection.jobs.Cancel(jobs.CancelJobRequest(id=job_id)))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.FAILED_PRECONDITION:  # it has ended
                raise
            return
        self.ledger.told(job, before)
        self.ledger.expect(job.cancel_requested or job.state in ENDED, job_id, "is", job.state, "after a cancel")

    def read_job(self):
        job_id = self.any_job()
        if job_id is not None:
            before = self.ledger.ending(job_id)
            self.ledger.told(self.insist(lambda: self.connection.jobs.Get(jobs.GetJobRequest(id=job_id))), before)

    def repeat(self):
        job_id = self.any_job()
        if job_id is not None:
            again = self.insist(lambda: self.connection.jobs.Create(self.ledger.requests[job_id])).job.id
            self.ledger.expect(again == job_id, "the request of", job_id, "made", again, "too")

    def reuse(self):
        """The same request_id for something else is refused."""
        job_id = self.any_job()
        if job_id is None:
            return
        other = jobs.CreateJobRequest()
        other.CopyFrom(self.ledger.requests[job_id])
        other.seed += SEEDS
        try:
            made = self.insist(lambda: self.connection.jobs.Create(other))
            self.ledger.expect(False, "the request_id of", job_id, "made", made.job.id, "of another request")
        except grpc.RpcError as error:
            self.ledger.expect(error.code() in REFUSED, "another request under the id of", job_id, error.code())

    def list(self):
        chosen = self.random.choice(("", "state = QUEUED", "state = SUCCEEDED"))
        self.insist(lambda: self.connection.jobs.List(jobs.ListJobsRequest(filter=chosen, page_size=20)))

    def read_blob(self):
        with self.ledger.lock:
            digests = list(self.ledger.blobs.items())
        if digests:
            digest, size = self.random.choice(digests)
            self.insist(lambda: self.ledger.check_blob(self.connection, digest, size))

    def read_result(self):
        job_id = self.any_job()
        if job_id is None:
            return
        for file in self.insist(lambda: self.connection.jobs.Get(jobs.GetJobRequest(id=job_id))).result:
            self.insist(lambda: self.ledger.check_blob(self.connection, file.blob.sha256, file.blob.size))

    def upload(self):
        data = self.random.randbytes(self.random.choice(self.sizes))
        blob = blobs.Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        name = f"u{self.random.getrandbits(64):x}"
        cut = self.random.randrange(len(data) + 1)  # a first stream ends here
        # Some are never finished.
        reach = [cut] if self.random.random() < 0.1 else [cut, len(data)]
        told = 0

        def upload_to(end):
            nonlocal told
            try:
                told = self._upload_to(end, name, blob, data, told)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                    told = 0  # a full disk drops what has come
                raise

        for end in reach:
            self.insist(lambda: upload_to(end))
        if reach[-1] == len(data):
            self.ledger.uploaded(blob)
            self.ledger.count("uploaded")

    def _upload_to(self, end, name, blob, data, told):
        """How far the upload is; goes on where the server says it is."""
        status = self.connection.blobs.QueryWriteStatus(blobs.QueryWriteStatusRequest(upload_id=name, blob=blob))
        self.ledger.expect(status.committed_size >= told, "upload", name, "was at", told, "and is at", status.committed_size)
        if status.complete or (status.committed_size >= end > 0 and end < len(data)):
            return status.committed_size
        if 0 < status.committed_size:
            self.ledger.count("resumed")
        written = self.connection.blobs.Write(self._messages(status.committed_size, end, name, blob, data))
        self.ledger.expect(written.complete == (end == len(data)), "upload", name, "to", end, "of", len(data), "answers", written)
        return written.committed_size

    def _messages(self, start, end, name, blob, data):
        yield blobs.WriteRequest(upload_id=name, blob=blob, offset=start, data=data[start:min(start + CHUNK, end)])
        for at in range(start + CHUNK, end, CHUNK):
            yield blobs.WriteRequest(offset=at, data=data[at:min(at + CHUNK, end)])

    # The second thread.

    def _follow(self):
        while (job_id := self.to_follow.get()) is not None:
            self.follow(job_id)
            self.live.release()

    def follow(self, job_id):
        """Every event after the last one, once and in order, until the job has ended."""
        last, state = 0, None

        def watch():
            nonlocal last, state
            for event in self.connection.jobs.Watch(jobs.WatchJobRequest(id=job_id, after_sequence=last)):
                if event.sequence == 0:  # a heartbeat
                    continue
                self.ledger.expect(event.sequence == last + 1, job_id, "event", event.sequence, "comes after", last)
                last, state = event.sequence, event.state
                self.ledger.saw(job_id, event)

        self.insist(watch)
        self.ledger.expect(state in ENDED, job_id, "is watched to the end, which is", state)
