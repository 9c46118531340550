"""TLS, tokens and two tenants through the real programs; certificate and tokens replaced while they serve."""

import hashlib
import json
import os
import ssl
import stat
import subprocess
import unittest
import urllib.error
import urllib.request

import programs
from programs import NETWORK, radiograph

NOT_ALLOWED, UNREACHABLE, REJECTED = 6, 7, 8
JOB = ("run", "bilinear.spectrum", "--input", "model=net", "-o", "name")


def replace(path, text):
    """As a careful administrator does: the file is whole at any time."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


class Identity(programs.Case):
    def setUp(self):
        super().setUp()
        self.certificate("server", "server")
        self.write_tokens("vision submit ci", "speech submit ci2", "vision read looker", "* worker gpus")

    def certificate(self, name, into):
        """A certificate for 127.0.0.1 that signs itself: its own authority."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / f"{into}.key",
                        "-out", self.folder / f"{into}.pem"], check=True, capture_output=True)

    def write_tokens(self, *lines):
        """One token a line, whose text is `token-of-` and its name."""
        digests = [hashlib.sha256(f"token-of-{line.split()[-1]}".encode()).hexdigest() for line in lines]
        replace(self.folder / "tokens", "".join(f"{digest} {line}\n" for digest, line in zip(digests, lines)))

    def start_guarded(self, *more):
        server = self.start("radiographd", "--listen=127.0.0.1:0", "--http=127.0.0.1:0", f"--state={self.folder / 'state'}", "--devices=none",
                            f"--tls-cert={self.folder / 'server.pem'}", f"--tls-key={self.folder / 'server.key'}",
                            f"--tokens-file={self.folder / 'tokens'}", *more)
        serving = server.wait_for("serving")
        server.endpoint, server.http = serving["grpc"], serving["http"]
        self.server = server
        return server

    def start_worker(self):
        (self.folder / "worker-token").write_text("token-of-gpus\n")
        return self.start("radiograph-worker", f"--server={self.server.endpoint}", f"--state={self.folder / 'worker'}", "--devices=cpu",
                          f"--token-file={self.folder / 'worker-token'}", f"--tls-ca={self.folder / 'server.pem'}")

    def ask(self, who, *arguments, ca="server.pem", **environment):
        if who:
            environment["RADIOGRAPH_TOKEN"] = f"token-of-{who}"
        return radiograph(*arguments, endpoint=self.server.endpoint, RADIOGRAPH_CA=str(self.folder / ca), **environment)

    def get(self, path, token=None, ca="server.pem"):
        """Code and text of a page."""
        request = urllib.request.Request(f"https://{self.server.http}{path}", headers={"Authorization": f"Bearer {token}"} if token else {})
        trust = ssl.create_default_context(cafile=self.folder / ca)
        try:
            with urllib.request.urlopen(request, context=trust, timeout=programs.DEADLINE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def test_two_tenants_share_a_server_and_see_nothing_of_each_other(self):
        self.start_guarded()
        self.start_worker()
        self.assert_ok(self.ask("ci", "models", "push", "net", NETWORK))
        job = self.assert_ok(self.ask("ci", *JOB)).out.strip()
        self.assert_ok(self.ask("looker", "results", "get", job, "--out", self.folder / "out"))
        self.assertTrue((self.folder / "out/result.json").exists())
        for arguments in (("jobs", "get", job), ("results", "get", job, "--out", self.folder / "stolen"), ("models", "show", "net"), JOB):
            answer = self.ask("ci2", *arguments)
            self.assertEqual(answer.code, REJECTED, answer)
            self.assertIn("there is no", answer.error())
        self.assertEqual(self.assert_ok(self.ask("ci2", "jobs", "ls", "-o", "json")).json(), [])
        # The same bytes and the same work are the other tenant's own.
        self.assert_ok(self.ask("ci2", "models", "push", "net", NETWORK))
        other = self.assert_ok(self.ask("ci2", *JOB)).out.strip()
        described = self.assert_ok(self.ask("ci2", "jobs", "get", other, "-o", "json")).json()
        self.assertFalse(described.get("cache_hit", False))
        digests = [path.name for path in (self.folder / "state/blobs").rglob("*") if path.is_file()]
        self.assertEqual(len(digests), len(set(digests)))

    def test_who_may_not_is_told_so_in_one_line(self):
        self.start_guarded()
        cases = ((None, ("jobs", "ls"), "wants a token"), ("nobody", ("jobs", "ls"), "not known"),
                 ("looker", ("models", "push", "net", NETWORK), "submit"), ("gpus", ("jobs", "ls"), "read"))
        for who, arguments, message in cases:
            answer = self.ask(who, *arguments)
            self.assertEqual(answer.code, NOT_ALLOWED, answer)
            self.assertIn(message, answer.error())
        self.assertIn("RADIOGRAPH_TOKEN", self.ask(None, "jobs", "ls").error())
        self.assertNotIn("token-of", self.ask("nobody", "jobs", "ls").err + "".join(self.server.log))

    def test_the_state_folder_is_for_the_account_of_the_server(self):
        self.start_guarded().stop()
        self.assertEqual(stat.S_IMODE((self.folder / "state").stat().st_mode), 0o700)
        self.assertNotIn("folder_open_to_others", "".join(self.server.log))
        for mode in (0o755, 0o750, 0o701):
            (self.folder / "state").chmod(mode)
            self.start_guarded()
            self.server.stop()
            line = next(json.loads(line) for line in self.server.log if "folder_open_to_others" in line)
            self.assertEqual((line["level"], line["folder"], line["mode"]), ("warning", str(self.folder / "state"), f"{mode:04o}"))
            self.assertEqual(stat.S_IMODE((self.folder / "state").stat().st_mode), mode, "it is left as it is")
        open_server = self.start_server("--devices=none")
        open_server.stop()
        self.assertNotIn("folder_open_to_others", "".join(open_server.log), "without tokens nobody is kept apart")

    def test_the_folder_of_a_worker_is_for_its_account(self):
        self.start_guarded()
        worker = self.start_worker()
        worker.wait_for("working")
        worker.stop()
        self.assertEqual(stat.S_IMODE((self.folder / "worker").stat().st_mode), 0o700)
        (self.folder / "worker").chmod(0o755)
        worker = self.start_worker()
        self.assertEqual(worker.wait_for("folder_open_to_others")["mode"], "0755")
        worker.stop()

    def test_without_its_authority_a_server_is_not_trusted(self):
        self.start_guarded()
        self.certificate("stranger", "stranger")
        for answer in (self.ask("ci", "jobs", "ls", ca="stranger.pem"), radiograph("jobs", "ls", endpoint=self.server.endpoint)):
            self.assertEqual(answer.code, UNREACHABLE, answer)
            self.assertIn("RADIOGRAPH_CA", answer.error())

    def test_no_token_crosses_a_network_without_tls(self):
        answer = radiograph("jobs", "ls", endpoint="192.0.2.1:7433", RADIOGRAPH_TOKEN="secret")
        self.assertEqual(answer.code, NOT_ALLOWED, answer)
        self.assertIn("192.0.2.1:7433 without TLS", answer.error())
        self.assertNotIn("secret", answer.err)

    def test_client_certificates_are_asked_for(self):
        self.certificate("client", "client")
        self.start_guarded(f"--tls-client-ca={self.folder / 'client.pem'}")
        self.assertEqual(self.ask("ci", "jobs", "ls").code, UNREACHABLE)
        self.assert_ok(self.ask("ci", "jobs", "ls", RADIOGRAPH_CERT=str(self.folder / "client.pem"), RADIOGRAPH_KEY=str(self.folder / "client.key")))

    def test_pages_follow_the_same_rule(self):
        self.start_guarded()
        self.assertEqual(self.get("/healthz"), (200, "ok\n"))
        self.assertEqual(self.get("/readyz"), (200, "ok\n"))
        self.assertEqual(self.get("/")[0], 401)
        self.assertEqual(self.get("/metrics", "token-of-gpus")[0], 403)
        code, metrics = self.get("/metrics", "token-of-looker")
        self.assertEqual(code, 200)
        for reason in ("no_token", "wrong_scope"):
            self.assertIn(f'radiograph_auth_failures_total{{reason="{reason}"}} 1', metrics)
        with self.assertRaises(OSError):
            urllib.request.urlopen(f"http://{self.server.http}/healthz", timeout=programs.DEADLINE)

    def test_tokens_are_replaced_while_serving(self):
        self.start_guarded()
        self.assert_ok(self.ask("ci", "jobs", "ls"))
        self.write_tokens("vision submit ci3")
        self.server.wait_for("tokens_loaded")
        self.assert_ok(self.ask("ci3", "jobs", "ls"))
        self.assertEqual(self.ask("ci", "jobs", "ls").code, NOT_ALLOWED)
        replace(self.folder / "tokens", "half a li")
        refused = self.server.wait_for("tokens_refused")
        self.assertIn("line 1", refused["error"])
        self.assert_ok(self.ask("ci3", "jobs", "ls"))

    def test_the_certificate_is_replaced_while_serving(self):
        self.start_guarded()
        self.certificate("renewed", "renewed")
        self.assert_ok(self.ask("ci", "jobs", "ls"))
        (self.folder / "old.pem").write_text((self.folder / "server.pem").read_text())
        replace(self.folder / "server.pem", (self.folder / "renewed.pem").read_text())
        self.server.wait_for("certificate_refused")  # the key is still the old one
        self.assert_ok(self.ask("ci", "jobs", "ls", ca="old.pem"))
        replace(self.folder / "server.key", (self.folder / "renewed.key").read_text())
        self.server.wait_for("certificate_loaded")
        self.assert_ok(self.ask("ci", "jobs", "ls", ca="renewed.pem"))
        self.assertEqual(self.get("/healthz", ca="renewed.pem"), (200, "ok\n"))
        self.assertEqual(self.ask("ci", "jobs", "ls", ca="old.pem").code, UNREACHABLE)

    def test_a_server_that_others_reach_is_guarded_or_does_not_start(self):
        def start(*flags):
            command = [programs.BIN / "radiographd", "--listen=0.0.0.0:0", "--http=none", f"--state={self.folder / 'state'}", *flags]
            return subprocess.run(command, capture_output=True, text=True, timeout=programs.DEADLINE)

        for flags in ((), (f"--tokens-file={self.folder / 'tokens'}",)):
            ended = start(*flags)
            self.assertEqual(ended.returncode, 2, ended)
            self.assertIn("--tls-cert, --tls-key and --tokens-file", ended.stderr)
        replace(self.folder / "tokens", "token vision read x")
        ended = start(f"--tokens-file={self.folder / 'tokens'}", f"--tls-cert={self.folder / 'server.pem'}", f"--tls-key={self.folder / 'server.key'}")
        self.assertNotEqual(ended.returncode, 0, ended)
        self.assertIn("line 1", json.loads(ended.stderr.splitlines()[-1])["error"])


if __name__ == "__main__":
    unittest.main()
