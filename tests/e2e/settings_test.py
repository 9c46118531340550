"""Which server, who asks, and where things lie: what people write there, through the real programs."""

import json
import os
import pathlib
import subprocess
import time
import unittest

import programs
from programs import BIN, radiograph

USAGE, UNREACHABLE = 2, 7
ASK = ("models", "ls")
SECRET = "hunter2hunter2"
WRONG_TOKENS = {  # what a token file may hold, and what is said of it
    b"": "is empty",
    b"\n": "is empty",
    SECRET.encode() + b"\nother\n": "byte 15 is an end of line",
    SECRET.encode() + b" ": "byte 15 is a blank",
    "schlüssel-".encode() + SECRET.encode(): "byte 5 is no printable ASCII character",
    b"\xef\xbb\xbf" + SECRET.encode() + b"\x00": "byte 18 is no printable",
    SECRET.encode("utf-16"): "is UTF-16",
    SECRET.encode("utf-16-le"): "byte 2 is no printable",
    b"-----BEGIN PRIVATE KEY-----\n" + SECRET.encode() * 200: "is a PEM text",
    SECRET.encode() * 1000: "more than 4096 bytes",
    bytes(range(256)) * 40 + SECRET.encode(): "byte 1 is no printable",
}
RIGHT_TOKENS = [SECRET.encode() + end for end in (b"", b"\n", b"\r\n")] + [b"\xef\xbb\xbf" + SECRET.encode() + b"\r\n"]
WRONG_ENDPOINTS = {
    "http://localhost:7433": "HOST:PORT is meant, without http://: localhost:7433",
    "https://u:hunter2hunter2@localhost/": "HOST:PORT is meant, without https://",
    "grpc://[::1]": "without grpc://: [::1]:7433",
    "localhost:7433/": "without a path",
    "localhost:99999": "a port is 1..65535",
    "u:hunter2hunter2@localhost:7433": "without a user or a password",
    "a b:1": "HOST:PORT",
    "::1:7433": "[ADDRESS]:PORT",
}


class Settings(programs.Case):
    def assert_refused(self, answer, *parts):
        self.assertEqual(answer.code, USAGE, answer)
        self.assertEqual(len(answer.err.splitlines()), 1, answer)
        for part in parts:
            self.assertIn(part, answer.error())
        self.assertNotIn("hunter2", answer.err)

    def worker(self, *flags, **environment):
        """A worker that ends by itself, as one with wrong flags does."""
        command = [BIN / "radiograph-worker", f"--state={self.folder / 'worker'}", "--devices=cpu", *flags]
        environment = {**os.environ, **environment}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=programs.DEADLINE)
        return programs.Answer(done)

    def assert_worker_refused(self, answer, *parts):
        self.assertEqual(answer.code, USAGE, answer)
        self.assertEqual(len(answer.err.splitlines()), 1, answer)
        for part in parts:
            self.assertIn(part, answer.err)
        self.assertNotIn("hunter2", answer.err)
        self.assertFalse((self.folder / "worker").exists(), "nothing is made before the flags are right")

    def certificate(self, name):
        """NAME.pem and NAME.key, for 127.0.0.1."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / f"{name}.key",
                        "-out", self.folder / f"{name}.pem"], check=True, capture_output=True)

    def test_a_wrong_token_is_refused_and_not_told(self):
        path = self.folder / "my.token"
        for text, message in WRONG_TOKENS.items():
            with self.subTest(message):
                path.write_bytes(text)
                self.assert_refused(radiograph(*ASK, "--token-file", path), f"--token-file {path} ", message)
                self.assert_worker_refused(self.worker(f"--token-file={path}"), f"--token-file {path} ", message)
        for text in (f"schlüssel-{SECRET}", f"{SECRET}\nother", f"{SECRET} ", SECRET * 1000):
            self.assert_refused(radiograph(*ASK, RADIOGRAPH_TOKEN=text), "RADIOGRAPH_TOKEN ")
            config = self.folder / "config.json"
            config.write_text(json.dumps({"token": text}))
            self.assert_refused(radiograph(*ASK, RADIOGRAPH_CONFIG=str(config)), f'{config}: "token" ')

    def test_a_name_of_a_worker_is_text(self):
        for name in (b"a\xff", b"a\nb", "a\u202eb".encode()):
            self.assert_worker_refused(self.worker(b"--name=" + name), "--name is 'a\\x")

    def test_a_token_as_editors_leave_it_is_taken(self):
        server = self.start_server("--devices=none")
        path = self.folder / "my.token"
        for text in RIGHT_TOKENS:
            path.write_bytes(text)
            self.assert_ok(radiograph(*ASK, "--token-file", path, endpoint=server.endpoint))

    def test_tls_that_is_asked_for_is_never_left_out(self):
        self.certificate("a")
        self.certificate("b")
        a, b, key = self.folder / "a.pem", self.folder / "b.pem", self.folder / "a.key"
        (self.folder / "empty.pem").write_text("")
        (self.folder / "der.pem").write_bytes(b"\x30\x82\x01\x0a" * 50)
        server = self.start_server("--devices=none")
        for wrong, message in (("empty.pem", "is empty"), ("der.pem", "holds no certificate"), ("a.key", "holds no certificate"),
                               ("none.pem", "No such file"), (".", "Is a directory")):
            path = self.folder / wrong
            self.assert_refused(radiograph(*ASK, "--ca", path, endpoint=server.endpoint), f"--ca {path} ", message)
            self.assert_refused(radiograph(*ASK, endpoint=server.endpoint, RADIOGRAPH_CA=str(path)), f"RADIOGRAPH_CA {path} ", message)
            self.assert_worker_refused(self.worker(f"--server={server.endpoint}", f"--tls-ca={path}"), f"--tls-ca {path} ", message)
        for flags, message in ((("--ca", ""), "--ca is empty"), (("--ca", a, "--cert", a), "stands alone"), (("--ca", a, "--key", key), "stands alone"),
                               (("--cert", a, "--key", key), "no TLS without the authority"), (("--ca", a, "--cert", key, "--key", key), "holds no certificate"),
                               (("--ca", a, "--cert", a, "--key", a), "holds no private key"),
                               (("--ca", a, "--cert", b, "--key", key), f"--key {key} is not the key of --cert {b}")):
            self.assert_refused(radiograph(*ASK, *flags, endpoint=server.endpoint), message)
        self.assert_worker_refused(self.worker(f"--tls-cert={a}", f"--tls-key={key}"), "no TLS without the authority")

    def test_only_our_own_lines_are_on_stderr(self):
        self.certificate("a")
        server = self.start_server("--devices=none")
        for ca, endpoint, message in (("a.pem", server.endpoint, "there is no TLS at this port; leave out --ca"),
                                      (None, server.http, "this is the port for HTTP; gRPC is usually 7433"), (None, "127.0.0.1:1", "does not answer")):
            begin = time.monotonic()
            answer = radiograph(*ASK, *(("--ca", self.folder / ca) if ca else ()), endpoint=endpoint)
            self.assertEqual(answer.code, UNREACHABLE, answer)
            self.assertEqual(len(answer.err.splitlines()), 1, answer)
            self.assertIn(message, answer.error())
            if endpoint == server.http:
                self.assertLess(time.monotonic() - begin, 2)

    def test_the_log_of_grpc_goes_through_the_workers_own(self):
        self.certificate("a")
        server = self.start_server("--devices=none")
        worker = self.start("radiograph-worker", f"--server={server.endpoint}", f"--state={self.folder / 'worker'}", "--devices=cpu",
                            f"--tls-ca={self.folder / 'a.pem'}")
        self.assertIn("Handshake failed", worker.wait_for("grpc_message")["text"])
        self.assertEqual(worker.wait_for("server_away")["meaning"], "there is no TLS at this port")
        worker.stop()
        for line in worker.log:
            self.assertTrue(line.startswith("{"), line)

    def test_a_trace_of_grpc_tells_no_token(self):
        server = self.start_server("--devices=none")
        answer = radiograph(*ASK, endpoint=server.endpoint, RADIOGRAPH_TOKEN=SECRET, GRPC_VERBOSITY="debug", GRPC_TRACE="all")
        self.assert_ok(answer)
        self.assertIn("grpc: ", answer.err)
        self.assertNotIn("hunter2", answer.err)
        self.assertNotIn(" ".join(f"{byte:02x}" for byte in b"hunter2"), answer.err)

    def test_an_endpoint_is_answered_with_its_form(self):
        for endpoint, message in WRONG_ENDPOINTS.items():
            self.assert_refused(radiograph(*ASK, "--endpoint", endpoint), "--endpoint is '", message)
            self.assert_refused(radiograph(*ASK, endpoint=endpoint), "RADIOGRAPH_ENDPOINT is '", message)
            self.assert_worker_refused(self.worker(f"--server={endpoint}"), "--server is '", message)
        for endpoint, meant in (("127.0.0.1", "127.0.0.1:7433"), ("[::1]", "[::1]:7433"), ("::1", "[::1]:7433"), (" 127.0.0.1:1\r", "127.0.0.1:1")):
            answer = radiograph("--version", endpoint=endpoint)
            self.assert_ok(answer)
            answer = radiograph(*ASK, endpoint=endpoint)
            if answer.code == UNREACHABLE:  # nobody serves there
                self.assertIn(f" at {meant}", answer.error())

    def test_a_path_may_begin_with_the_home_folder(self):
        home = self.folder / "home"
        home.mkdir()
        server = self.start("radiographd", "--listen=127.0.0.1:0", "--http=none", "--devices=none", f"--port-file=~/ports",
                            before=("env", f"HOME={home}", "RADIOGRAPH_STATE=~/state"))
        server.wait_for("serving")
        self.assertTrue((home / "state/radiograph.db").exists())
        self.assertTrue((home / "ports").exists())
        self.assert_refused(radiograph(*ASK, "--token-file=~/none", HOME=str(home)), f"--token-file {home}/none ")
        self.assert_refused(radiograph(*ASK, RADIOGRAPH_CA="~/none", HOME=str(home)), f"RADIOGRAPH_CA {home}/none ")
        self.assert_refused(radiograph(*ASK, RADIOGRAPH_CA="~root/none"), 'RADIOGRAPH_CA is "~root/none"', "write the whole path")
        self.assert_refused(radiograph(*ASK, "--token-file=~/x", HOME=""), "HOME is not set")
        self.assert_worker_refused(self.worker("--token-file=~root/x"), "--token-file is '~root/x'", "write the whole path")
        self.assertFalse(pathlib.Path("~").exists())


if __name__ == "__main__":
    unittest.main()
