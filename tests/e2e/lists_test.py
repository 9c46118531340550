"""What a user sees of lists with filters, of aliases, and of a worker that is drained."""

import time
import unittest

import programs
from programs import NETWORK, radiograph

RUN = ("run", "bilinear.spectrum", "--param", "null_draws=0")
REJECTED = 8


class Lists(programs.Case):
    def setUp(self):
        super().setUp()
        self.server = self.start_server("--devices=none")

    def ask(self, *arguments):
        return radiograph(*arguments, endpoint=self.server.endpoint)

    def asked(self, *arguments):
        return self.assert_ok(self.ask(*arguments))

    def names(self, *arguments):
        return self.asked(*arguments, "-o", "name").out.split()

    def create(self, *arguments, model=NETWORK):
        return self.asked(*RUN, "--input", f"model={model}", "--no-wait", "-o", "name", *arguments).out.strip()

    def wait_until(self, what, holds):
        deadline = time.monotonic() + programs.DEADLINE
        while not holds():
            self.assertLess(time.monotonic(), deadline, f"never: {what}")

    def test_an_alias_moves_and_a_job_keeps_what_it_meant(self):
        self.asked("models", "push", "digits", NETWORK)
        self.asked("models", "push", "digits", NETWORK, "--step", "2")
        first = self.asked("models", "alias", "digits@1", "prod", "--etag", "-", "-o", "json").json()
        job = self.create(model="digits:prod")
        moved = self.asked("models", "alias", "digits@2", "prod", "--etag", first["etag"], "-o", "json").json()
        self.assertEqual(moved["version"], "2")
        stale = self.ask("models", "alias", "digits@1", "prod", "--etag", first["etag"])
        self.assertEqual(stale.code, REJECTED, stale)
        self.assertIn("points at version 2", stale.error())
        pinned = self.asked("jobs", "get", job, "-o", "json").json()["inputs"]["model"]["artifacts"][0]
        self.assertEqual(pinned["version"], "1")
        self.assertEqual(self.asked("models", "show", "digits:prod", "-o", "json").json()["version"], "2")
        self.assertEqual(self.names("models", "ls", "digits", "--filter", "aliases.alias:prod"), ["digits@2"])
        kept = self.ask("models", "rm", "digits@2")
        self.assertEqual(kept.code, REJECTED, kept)
        self.assertIn("prod", kept.error())
        self.asked("models", "alias", "digits@2", "prod", "--rm")
        self.asked("models", "rm", "digits@2")
        gone = self.ask("models", "show", "digits:prod")
        self.assertEqual(gone.code, REJECTED, gone)
        self.assertIn("digits:prod", gone.error())

    def test_filters_choose_and_wrong_ones_say_what_is_wrong(self):
        core = [self.create("--seed", seed, "--label", "team=core") for seed in (1, 2)]
        web = self.create("--seed", 3, "--label", "team=web", "--label", "run id=a \"b\"*")
        self.asked("jobs", "cancel", core[0])
        self.assertEqual(self.names("jobs", "ls"), [web, core[1], core[0]])
        self.assertEqual(self.names("jobs", "ls", "--label", "team=core"), [core[1], core[0]])
        self.assertEqual(self.names("jobs", "ls", "--label", "run id=a \"b\"*"), [web])
        self.assertEqual(self.names("jobs", "ls", "--state", "queued", "--order-by", "create_time"), [core[1], web])
        self.assertEqual(self.names("jobs", "ls", "--filter", "seed > 1 AND labels.team = (core OR nobody)"), [core[1]])
        self.assertEqual(self.names("jobs", "ls", "--filter", "state = CANCELLED OR seed = 3", "--label", "team=web"), [web])
        created = self.asked("jobs", "get", core[1], "-o", "json").json()["create_time"]
        self.assertEqual(self.names("jobs", "ls", "--filter", f'create_time > "{created}"'), [web])
        digest = self.asked("jobs", "get", web, "-o", "json").json()["inputs"]["model"]["artifacts"][0]["digest"]
        self.assertEqual(len(self.names("jobs", "ls", "--filter", f"inputs.*.artifacts.digest:{digest}")), 3)
        for wrong, message in {"stat = RUNNING": '"stat" is no field; nearest: state',
                               "state = running": "at 9: ",
                               "core": "is compared with nothing",
                               'create_time > "yesterday"': "RFC 3339"}.items():
            refused = self.ask("jobs", "ls", "--filter", wrong)
            self.assertEqual(refused.code, REJECTED, refused)
            self.assertIn(message, refused.error())
            self.assertEqual(refused.out, "")
        self.assertEqual(self.ask("jobs", "ls", "--order-by", "seed").code, REJECTED)

    def test_a_drained_worker_gets_no_work_until_it_is_resumed(self):
        self.start("radiograph-worker", f"--server={self.server.endpoint}", f"--state={self.folder / 'worker'}",
                   "--name=remote", "--devices=cpu")
        self.wait_until("the worker is there", lambda: self.names("workers", "ls") == ["remote/cpu"])
        self.asked("workers", "drain", "remote", "--grace", "1s")
        self.assertTrue(self.asked("workers", "ls", "-o", "json").json()[0]["draining"])
        job = self.create()
        waits = self.asked("jobs", "get", job, "-o", "json").json()
        self.assertEqual((waits["state"], waits.get("attempts")), ("QUEUED", None))
        self.asked("workers", "resume", "remote")
        self.asked("jobs", "wait", job)
        self.assertNotIn("draining", self.asked("workers", "ls", "-o", "json").json()[0])
        for unknown in (("workers", "drain", "nobody"), ("workers", "resume", "remote")):
            refused = self.ask(*unknown)
            self.assertEqual(refused.code, REJECTED, refused)
            self.assertIn(unknown[2], refused.error())


if __name__ == "__main__":
    unittest.main()
