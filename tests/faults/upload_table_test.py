"""Uploads that break off, collide, lie, dawdle or are left alone: a table of cases, on a real server.

    /usr/bin/python3 tests/faults/upload_table_test.py [UploadTable.test_table | UploadTable.test_silence]

test_silence takes the minute after which a stream that stands still is ended.
What an upload leaves for a day and more is a matter of blob_store_test, which has a clock of its own.
"""

import contextlib
import hashlib
import itertools
import pathlib
import queue
import random
import sys
import time
import unittest

sys.path += [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("e2e", "support")]
import grpc  # noqa: E402
import load  # noqa: E402
import programs  # noqa: E402
import wire  # noqa: E402
from wire import blobs  # noqa: E402

CHUNK = 1 << 20  # the largest message's data
SIZE = 2 * CHUNK + 100
ABANDONED = 64
IDLE_SECONDS = 60
MEMORY_OF_A_STREAM_MAX = 8 << 20
INVALID, UNAVAILABLE, EXHAUSTED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE,
                                   grpc.StatusCode.RESOURCE_EXHAUSTED)


class Stream:
    """One Blobs.Write, a message at a time."""

    def __init__(self, connection, name, blob):
        self.messages = queue.Queue()
        self.first = {"upload_id": name, "blob": blob}
        self.call = connection.blobs.Write.future(iter(self.messages.get, None))

    def send(self, offset, data):
        self.messages.put(blobs.WriteRequest(offset=offset, data=data, **self.first))
        self.first = {}

    def end(self):
        """The answer, or what is raised."""
        self.messages.put(None)
        return self.call.result(timeout=programs.DEADLINE)

    def vanish(self):
        self.call.cancel()
        self.messages.put(None)


class UploadTable(programs.Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(4)
        self.names = (f"u{number}" for number in itertools.count())
        self.address = f"127.0.0.1:{programs.free_port()}"
        self.serve()
        self.addCleanup(lambda: self.connection.channel.close())
        self.cases = 0

    def serve(self):
        self.server = self.start_server("--devices=none", f"--listen={self.address}")
        self.connection = wire.Connection(self.address)
        self.streams_max = self.connection.server.GetInfo(wire.server.GetInfoRequest()).limits.blob_streams_per_tenant_max

    def restart(self, end):
        self.connection.channel.close()
        getattr(self.server, end)()
        self.serve()

    @contextlib.contextmanager
    def case(self, *what):
        self.cases += 1
        with self.subTest(" ".join(map(str, what))):
            yield

    # Steps.

    def blob(self, size=SIZE):
        data = self.random.randbytes(size)
        return data, blobs.Blob(sha256=hashlib.sha256(data).hexdigest(), size=size)

    def status(self, name, blob):
        return self.connection.blobs.QueryWriteStatus(blobs.QueryWriteStatusRequest(upload_id=name, blob=blob))

    def until_committed(self, name, blob, size):
        deadline = time.monotonic() + programs.DEADLINE
        while self.status(name, blob).committed_size != size:
            self.assertLess(time.monotonic(), deadline, f"{self.status(name, blob)} is not {size}")

    def write(self, name, blob, data, start=0):
        """All of `data`, as it comes after `start`; the answer, or what is raised."""
        stream = Stream(self.connection, name, blob)
        for at in range(0, max(len(data), 1), CHUNK):
            stream.send(start + at, data[at:at + CHUNK])
        return stream.end()

    def write_when_free(self, name, blob, data, start):
        """The writer before may not be gone yet, for the server."""
        deadline = time.monotonic() + programs.DEADLINE
        while True:
            try:
                return self.write(name, blob, data, start)
            except grpc.RpcError as error:
                if error.code() != UNAVAILABLE or time.monotonic() > deadline:
                    raise

    def begin(self, name, blob, data):
        """A stream that stays open, and whose data is committed."""
        stream = Stream(self.connection, name, blob)
        for at in range(0, max(len(data), 1), CHUNK):
            stream.send(at, data[at:at + CHUNK])
        self.until_committed(name, blob, len(data))
        return stream

    def read(self, blob):
        return b"".join(piece.data for piece in self.connection.blobs.Read(blobs.ReadRequest(sha256=blob.sha256)))

    def assert_stored(self, blob, data):
        self.assertEqual(list(self.connection.blobs.FindMissing(blobs.FindMissingRequest(sha256=[blob.sha256])).missing), [])
        self.assertEqual(self.read(blob), data)

    def assert_missing(self, blob):
        self.assertEqual(list(self.connection.blobs.FindMissing(blobs.FindMissingRequest(sha256=[blob.sha256])).missing), [blob.sha256])

    def assert_refused(self, code, *attempt):
        with self.assertRaises(grpc.RpcError) as refused:
            attempt[0](*attempt[1:])
        self.assertEqual(refused.exception.code(), code, refused.exception.details())
        return refused.exception

    def unfinished(self):
        return list((self.folder / "state/uploads").iterdir())

    # The table.

    def test_table(self):
        for name in ("resumed", "two_writers", "wrong_bytes", "wrong_sizes", "slow", "abandoned", "memory"):
            getattr(self, name)()
        self.assertEqual(self.unfinished(), [], "a temporary file is left")
        print(f"{self.cases} cases")
        self.assertGreaterEqual(self.cases, 60)

    def resumed(self):
        """Nothing that was committed is sent again."""
        ends = {"stream ends": lambda stream: stream.end(), "client vanishes": lambda stream: stream.vanish()}
        restarts = {"same server": lambda: None, "server stopped": lambda: self.restart("stop"), "server killed": lambda: self.restart("kill")}
        for end, restart in itertools.product(ends, restarts):
            uploads = []
            for at in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, SIZE - 1, SIZE):
                data, blob = self.blob()
                name = next(self.names)
                ends[end](self.begin(name, blob, data[:at]))
                uploads.append((at, data, blob, name))
            restarts[restart]()
            for at, data, blob, name in uploads:
                with self.case("resume at", at, end, restart):
                    committed = self.status(name, blob).committed_size
                    self.assertEqual(committed, at)
                    self.assertTrue(self.write_when_free(name, blob, data[committed:], committed).complete)
                    self.assert_stored(blob, data)

    def two_writers(self):
        for restart in ("", "kill"):
            with self.case("a second writer of an upload", restart):
                data, blob = self.blob()
                name = next(self.names)
                first = self.begin(name, blob, data[:CHUNK])
                error = self.assert_refused(UNAVAILABLE, self.write, name, blob, data[CHUNK:], CHUNK)
                self.assertIn("has a writer already", error.details())
                if restart:
                    self.restart(restart)
                    self.assertTrue(self.write(name, blob, data[CHUNK:], CHUNK).complete)
                else:
                    first.send(CHUNK, data[CHUNK:2 * CHUNK])
                    first.send(2 * CHUNK, data[2 * CHUNK:])
                    self.assertTrue(first.end().complete)
                self.assert_stored(blob, data)
        for first_end in (0, 1, CHUNK, SIZE):
            with self.case("two uploads of one blob, the first at", first_end, "when the second is done"):
                data, blob = self.blob()
                one, other = next(self.names), next(self.names)
                first = self.begin(one, blob, data[:first_end])
                self.assertTrue(self.write(other, blob, data).complete)
                self.assert_stored(blob, data)
                for at in range(first_end, SIZE, CHUNK):
                    first.send(at, data[at:at + CHUNK])
                self.assertTrue(first.end().complete)
                self.assertEqual(self.status(one, blob), blobs.QueryWriteStatusResponse(committed_size=SIZE, complete=True))
                self.assert_stored(blob, data)

    def wrong_bytes(self):
        """They are dropped; the right ones can come under the same name."""
        for at, restart in itertools.product((0, CHUNK, SIZE - 1), ("", "kill")):
            with self.case("a wrong byte at", at, restart):
                data, blob = self.blob()
                name = next(self.names)
                wrong = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
                if restart:
                    self.begin(name, blob, wrong[:-1])
                    self.restart(restart)
                    error = self.assert_refused(INVALID, self.write, name, blob, wrong[-1:], SIZE - 1)
                else:
                    error = self.assert_refused(INVALID, self.write, name, blob, wrong)
                self.assertIn(hashlib.sha256(wrong).hexdigest(), error.details())
                self.assert_missing(blob)
                self.assertEqual(self.status(name, blob).committed_size, 0)
                self.assertTrue(self.write(name, blob, data).complete)
                self.assert_stored(blob, data)

    def wrong_sizes(self):
        for more in (1, CHUNK):
            with self.case("more bytes than promised, by", more):
                data, blob = self.blob()
                name = next(self.names)
                self.assert_refused(INVALID, self.write, name, blob, data + bytes(more))
                self.assert_missing(blob)
                committed = self.status(name, blob).committed_size
                self.assertTrue(self.write_when_free(name, blob, data[committed:], committed).complete)
                self.assert_stored(blob, data)
        with self.case("fewer bytes than promised"):
            data, blob = self.blob()
            name = next(self.names)
            answer = self.write(name, blob, data[:-1])
            self.assertEqual((answer.complete, answer.committed_size), (False, SIZE - 1))
            self.assert_missing(blob)
            self.assertTrue(self.write(name, blob, data[-1:], SIZE - 1).complete)
        with self.case("a smaller size than has come"):
            data, blob = self.blob()
            name = next(self.names)
            self.write(name, blob, data[:CHUNK])
            less = blobs.Blob(sha256=blob.sha256, size=CHUNK - 1)
            self.assert_refused(INVALID, self.write, name, less, b"", CHUNK)
            self.assertTrue(self.write_when_free(name, blob, data[CHUNK:], CHUNK).complete)
        with self.case("another size than the store knows"):
            self.assert_refused(INVALID, self.write, next(self.names), blobs.Blob(sha256=blob.sha256, size=1), b"x")
            self.assert_stored(blob, data)
        for offset in (0, CHUNK - 1, CHUNK + 1):
            with self.case("goes on at", offset, "instead of", CHUNK):
                data, blob = self.blob()
                name = next(self.names)
                self.write(name, blob, data[:CHUNK])
                error = self.assert_refused(INVALID, self.write, name, blob, data[offset:offset + CHUNK], offset)
                self.assertIn(f"goes on at {CHUNK}", error.details())
                self.assertTrue(self.write_when_free(name, blob, data[CHUNK:], CHUNK).complete)
                self.assert_stored(blob, data)

    def slow(self):
        """One byte a second: others don't notice."""
        for others in (1, 8):
            with self.case(others, "uploads of a byte a second"):
                slow = []
                for _ in range(others):
                    data, blob = self.blob(3)
                    name = next(self.names)
                    slow.append((self.begin(name, blob, data[:1]), name, blob, data))
                for at in (1, 2):
                    begin = time.monotonic()
                    data, blob = self.blob()
                    self.assertTrue(self.write(next(self.names), blob, data).complete)
                    load.pause(begin + 1 - time.monotonic())
                    for stream, _, _, bytes_of_it in slow:
                        stream.send(at, bytes_of_it[at:at + 1])
                for stream, _, blob, data in slow:
                    self.assertTrue(stream.end().complete)
                    self.assert_stored(blob, data)

    def open_streams(self, count):
        """Each with half of its bytes."""
        opened = []
        for _ in range(count):
            data, blob = self.blob(1000)
            name = next(self.names)
            opened.append((self.begin(name, blob, data[:500]), name, blob, data))
        return opened

    def until_there_is_room(self):
        data, blob = self.blob()
        deadline = time.monotonic() + programs.DEADLINE
        while True:
            try:
                return self.assertTrue(self.write(next(self.names), blob, data).complete)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), EXHAUSTED)
                self.assertLess(time.monotonic(), deadline)
            load.pause(0.1)

    def test_silence(self):
        """Clients that live and send nothing lose their places, and nothing of what they have sent."""
        opened = self.open_streams(self.streams_max)
        begin = time.monotonic()
        self.until_there_is_room()
        self.assertGreater(time.monotonic() - begin, IDLE_SECONDS / 2)
        for stream, name, blob, data in opened:
            self.assert_refused(grpc.StatusCode.CANCELLED, stream.end)
            self.assertTrue(self.write_when_free(name, blob, data[500:], 500).complete)
            self.assert_stored(blob, data)

    def abandoned(self):
        """As many as may be open at once: one more is told to come back; when their clients vanish there is room again."""
        opened = self.open_streams(self.streams_max)
        with self.case("one stream more than may be open"):
            data, blob = self.blob()
            error = self.assert_refused(EXHAUSTED, self.write, next(self.names), blob, data)
            details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
            self.assertIn(b"google.rpc.RetryInfo", details)
        with self.case("other calls beside them"):
            self.connection.server.GetInfo(wire.server.GetInfoRequest())
        with self.case("their clients vanish"):
            for stream, *_ in opened:
                stream.vanish()
            self.until_there_is_room()
            for stream, *more in self.open_streams(ABANDONED - len(opened)):
                stream.vanish()
                opened.append((stream, *more))
        with self.case("what they left is resumed after a restart"):
            self.restart("kill")
            self.assertEqual(len(self.unfinished()), ABANDONED)
            for _, name, blob, data in opened:
                self.assertEqual(self.status(name, blob).committed_size, 500)
                self.assertTrue(self.write(name, blob, data[500:], 500).complete)

    def memory_peak(self):
        lines = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    def memory(self):
        for streams in (1, 8):
            with self.case("memory of", streams, "uploads at once"):
                self.restart("stop")
                data, blob = self.blob()
                self.write(next(self.names), blob, data)  # what the first one costs for ever
                before = self.memory_peak()
                uploads = []
                for number in range(streams):
                    data, blob = self.blob(32 * CHUNK if streams == 1 else 8 * CHUNK)
                    stream = Stream(self.connection, next(self.names), blob)
                    uploads.append((stream, data))
                for at in range(0, len(data), CHUNK):
                    for stream, data in uploads:
                        stream.send(at, data[at:at + CHUNK])
                for stream, _ in uploads:
                    self.assertTrue(stream.end().complete)
                each = (self.memory_peak() - before) / streams
                print(f"{streams} at once: {each / 2**20:.1f} MiB each")
                self.assertLess(each, MEMORY_OF_A_STREAM_MAX)


if __name__ == "__main__":
    unittest.main()
