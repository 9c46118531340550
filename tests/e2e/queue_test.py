"""What a pipeline sees of the queue: the same work once, cancels, deadlines, priorities, retries."""

import unittest

import programs
from programs import NETWORK, radiograph

RUN = ("run", "bilinear.spectrum", "--input", f"model={NETWORK}", "--param", "null_draws=0")
FAILED, USAGE, REJECTED = 1, 2, 8


class Queue(programs.Case):
    def ask(self, *arguments):
        return radiograph(*arguments, endpoint=self.server.endpoint)

    def create(self, *arguments):
        return self.assert_ok(self.ask(*RUN, "--no-wait", "-o", "name", *arguments)).out.strip()

    def job(self, name):
        return self.assert_ok(self.ask("jobs", "get", name, "-o", "json")).json()

    def start_worker(self):
        return self.start("radiograph-worker", f"--server={self.server.endpoint}", f"--state={self.folder / 'worker'}",
                          "--name=remote", "--devices=cpu")

    def test_equal_work_runs_once_and_a_cancel_leaves_the_others(self):
        self.server = self.start_server("--devices=none")
        first, second, third, other = self.create(), self.create(), self.create(), self.create("--seed", "1")
        self.assertEqual([self.job(name).get("merged_into") for name in (second, third)], [first, first])
        self.assertIn(first, self.job(second)["pending_reason"])
        self.assert_ok(self.ask("jobs", "cancel", first))
        self.assertEqual(self.job(third)["merged_into"], second)
        self.start_worker()
        for name in (second, third, other):
            self.assert_ok(self.ask("jobs", "wait", name))
        self.assertEqual(self.job(first)["state"], "CANCELLED")
        attempts = [self.job(name)["attempts"] for name in (second, third)]
        self.assertEqual(attempts[0], attempts[1])  # one run
        self.assertTrue(self.job(self.create())["cache_hit"])

    def test_a_cancelled_job_is_done_over_again_and_forgotten(self):
        self.server = self.start_server("--devices=none")
        first = self.create()
        self.assertEqual(self.ask("jobs", "rm", first).code, REJECTED)  # it waits
        self.assertEqual(self.ask("jobs", "retry", first).code, REJECTED)
        self.assert_ok(self.ask("jobs", "cancel", first))
        again = self.assert_ok(self.ask("jobs", "retry", first, "-o", "json")).json()
        self.assertEqual((again["retry_of"], again["state"]), (first, "QUEUED"))
        self.assert_ok(self.ask("jobs", "rm", first))
        self.assertEqual(self.ask("jobs", "get", first).code, REJECTED)
        self.start_worker()
        self.assert_ok(self.ask("jobs", "wait", again["id"]))

    def test_a_deadline_ends_a_job_that_nobody_takes(self):
        self.server = self.start_server("--devices=none")
        late = self.ask(*RUN, "--deadline", "1s")
        self.assertEqual(late.code, FAILED, late)
        self.assertIn("time-out", late.err)

    def test_the_urgent_goes_first_and_wrong_words_are_refused(self):
        self.server = self.start_server("--devices=none")
        order = [self.create("--seed", str(seed), "--priority", word) for seed, word in ((1, "low"), (2, "normal"), (3, "high"))]
        self.start_worker()
        for name in order:
            self.assert_ok(self.ask("jobs", "wait", name))
        leased = [self.job(name)["attempts"][0]["lease_time"] for name in order]
        self.assertEqual(leased, sorted(leased, reverse=True))
        for flags in (("--priority", "urgent"), ("--max-attempts", "0"), ("--deadline", "soon")):
            refused = self.ask(*RUN, *flags)
            self.assertEqual(refused.code, USAGE, refused)
            self.assertIn(flags[1], refused.error())


if __name__ == "__main__":
    unittest.main()
