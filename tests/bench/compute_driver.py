"""Drives build/bin/radiograph-compute as an agent does: a job's folder, and one JSON object a line over its
descriptors 3 and 4."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "build/bin/radiograph-compute"


class Compute:
    """A warm compute process. Use in a with statement."""

    def __init__(self, threads):
        to_child, self._to = os.pipe()
        self._from, from_child = os.pipe()
        # High numbers first: 3 and 4 may be among those just made.
        high = [os.dup2(fd, number, inheritable=True) for fd, number in ((to_child, 103), (from_child, 104))]
        for fd in (to_child, from_child):
            os.close(fd)
        command = f"exec {PROGRAM} --threads={threads} 3<&{high[0]} 4>&{high[1]} 103<&- 104>&-"
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}  # as core/process does
        self._process = subprocess.Popen(["bash", "-c", command], pass_fds=high, env=environment)
        for fd in high:
            os.close(fd)
        self._lines = os.fdopen(self._from)
        self.engine = self._wait_for("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._to)
        self._process.wait()

    def _wait_for(self, kind):
        for line in self._lines:
            frame = json.loads(line)
            if kind in frame:
                return frame[kind]
        raise RuntimeError("radiograph-compute ended")

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, folder):
        """Runs the job in `folder`; returns the "done" frame."""
        os.write(self._to, json.dumps({"run": str(folder)}).encode() + b"\n")
        done = self._wait_for("done")
        if done["code"] != 0:
            raise RuntimeError(done["message"])
        return done


def make_job(folder, analysis, params, inputs):
    """Makes a job's folder. inputs: name -> (kind, {file name: path}, architecture, roles)."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("blobs", "out"):
        os.makedirs(os.path.join(folder, name))
    listed = {}
    for name, (kind, files, architecture, roles) in inputs.items():
        blobs = []
        for relative, path in files.items():
            digest = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
            if not os.path.exists(os.path.join(folder, "blobs", digest)):
                os.symlink(os.path.abspath(path), os.path.join(folder, "blobs", digest))
            blobs.append([relative, digest])
        listed[name] = [{"kind": kind, "digest": "0" * 64, "files": blobs, "architecture": architecture, "roles": roles}]
    job = {"analysis": analysis, "version": 1, "params": params, "seed": 0, "inputs": listed}
    pathlib.Path(folder, "job.json").write_text(json.dumps(job))
