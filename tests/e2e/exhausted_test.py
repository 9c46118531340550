"""Memory that is not enough, and disks of workers that are full: jobs end, or go on elsewhere, with the true reason."""

import os
import pathlib
import unittest

from job_case import SHORT, JobCase, outcomes, write_large_model

EXHAUSTED = 10
UNAVAILABLE = 14


def memory_groups():
    """The folder of the kernel's memory groups, and the name of a group's limit; none where we may not make one."""
    for folder, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = pathlib.Path(folder, f"radiograph-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / limit).exists():
            return group, limit
        group.rmdir()
    return None, None


class Exhausted(JobCase):
    def setUp(self):
        super().setUp()
        self.model = write_large_model(self.folder / "large.safetensors")

    def test_a_kill_for_want_of_memory_is_no_crash(self):
        group, limit = memory_groups()
        if group is None:
            self.skipTest("no control group may be made here")
        self.addCleanup(lambda: self.until("the end of the group's processes", lambda: self.removed(group)))
        self.server = self.start_server("--devices=cpu")
        self.server.wait_for("compute_started")
        pid = self.compute(self.server)
        (group / limit).write_text(str(24 << 20))  # what it has by now is counted elsewhere
        (group / "cgroup.procs").write_text(str(pid))
        name = self.create(*SHORT, model=self.model)
        answer = self.ask("jobs", "wait", name)
        self.assertEqual(answer.code, EXHAUSTED, f"{answer}\n{self.job(name)}")
        self.assertIn("the kernel killed the compute process", answer.error())
        self.assertIn("a smaller k (now 20)", answer.error())
        job = self.job(name)
        self.assertEqual((job["state"], outcomes(job)), ("FAILED", ["OUT_OF_MEMORY"]), job)
        self.assertEqual(int(job["attempts"][0]["available_bytes"]), 24 << 20)
        self.assertGreater(int(job["attempts"][0]["needed_bytes"]), 24 << 20)
        self.assertEqual(outcomes(self.wait(self.create(*SHORT, "--cache=bypass", model=self.model))), ["SUCCEEDED"])

    def removed(self, group):
        try:
            group.rmdir()
        except OSError:
            return False
        return True

    def start_small_worker(self, kibibytes):
        """A worker whose state lies on a disk of that size."""
        state = self.folder / "small"
        state.mkdir()
        mount = f'mount -t tmpfs -o size={kibibytes}k tmpfs {state} && exec "$@"'
        return self.start_worker(name="small", before=("unshare", "--mount", "sh", "-ec", mount, "sh"))

    def assert_goes_on_elsewhere(self, name, path):
        """The job, after its first attempt met a full disk at that path."""
        self.until("the first attempt to fail", lambda: outcomes(self.job(name)) and outcomes(self.job(name))[0])
        error = self.job(name)["attempts"][0]["error"]
        self.assertEqual(error["code"], UNAVAILABLE, error)
        self.assertRegex(error["message"], f"{self.folder / 'small'}/{path}.*: No space left on device")
        self.start_worker(name="good")
        job = self.wait(name)
        self.assertEqual(set(outcomes(job)[:-1]), {"FAILED"}, job)
        self.assertEqual((outcomes(job)[-1], job["attempts"][-1]["slot"]), ("SUCCEEDED", "good/cpu"), job)

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount")
    def test_a_disk_that_cannot_hold_the_inputs(self):
        self.server = self.start_server("--devices=none")
        self.start_small_worker(1024)
        self.assert_goes_on_elsewhere(self.create(*SHORT, "--max-attempts=20", model=self.model), "cache/partial")

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount")
    def test_a_disk_that_cannot_hold_the_result(self):
        self.server = self.start_server("--devices=none")
        self.start_small_worker(128)
        self.assert_goes_on_elsewhere(self.create(*SHORT, "--max-attempts=20"), "slots/0/job/out")


if __name__ == "__main__":
    unittest.main()
