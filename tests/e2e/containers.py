"""Runs images that buildah built, as compose.yaml says, where no container engine is.

A container is a program with mounts, processes, hostname and System V IPC of its own; its root is the image,
mounted read-only. The network is shared: see own_network().
"""

import ctypes
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess

import programs

STORE = programs.ROOT / "build/images"
CLONE_NEWNET = 0x40000000  # <sched.h>


def buildah(*arguments, stdout=subprocess.PIPE):
    """The output of buildah, whose images stay in build/images. `stdout`: where it goes instead; None: as ours."""
    command = ["buildah", f"--root={STORE}", f"--runroot={STORE}/run", *map(str, arguments)]
    return (subprocess.run(command, check=True, stdout=stdout, text=True).stdout or "").strip()


def own_network():
    """From here on this process, and what it starts, has a network that is nothing but its own loopback."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Image:
    def __init__(self, name):
        described = json.loads(buildah("inspect", "--type=image", name))
        self.config = described["Docker"]["config"]
        [self.size] = [image["size"] for image in json.loads(buildah("images", "--json", name))]
        self.root = pathlib.Path(buildah("mount", buildah("from", "--pull=never", name)))
        (self.root / "etc/hosts").touch()

    def volume(self, folder):
        """`folder` as an engine makes a new volume: owned as the image says."""
        [path] = self.config["Volumes"]
        owner = (self.root / path.lstrip("/")).stat()
        folder.mkdir()
        os.chown(folder, owner.st_uid, owner.st_gid)
        return folder


def isolated(image, command, mounts, name="container"):
    """The host's command that runs `command` in a new container. `mounts`: path in the container -> path here."""
    root = shlex.quote(str(image.root))
    user = image.config["User"]
    script = [f"hostname {name}", f"mount --bind {root} {root}"]
    for there, here in mounts.items():
        point = shlex.quote(str(image.root) + there)
        script.append(f"if [ -d {here} ]; then mkdir -p {point}; else mkdir -p $(dirname {point}); touch {point}; fi")
    script += [f"mount -o remount,bind,ro {root}", f"mount -t proc proc {root}/proc",
               f"mount -t tmpfs tmpfs {root}/tmp", f"mount -t tmpfs tmpfs {root}/dev"]
    for device in ("null", "zero", "random", "urandom"):
        script.append(f"touch {root}/dev/{device}; mount --bind /dev/{device} {root}/dev/{device}")
    script += [f"mount --bind {here} {shlex.quote(str(image.root) + there)}" for there, here in mounts.items()]
    environment = ["env", "-i", *image.config["Env"]]
    script.append(f"exec setpriv --no-new-privs --inh-caps=-all chroot --userspec={user}:{user} --groups={user} {root} "
                  + shlex.join([*environment, *command]))
    return [shutil.which("unshare"), "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-ec", "\n".join(script)]


class Container(programs.Program):
    """A running container; its log arrives in `events`. The program is process 1 of the container."""

    def __init__(self, image, flags, mounts, name):
        super().__init__(*isolated(image, [*image.config["Entrypoint"], *flags], mounts, name))

    @property
    def pid(self):
        unshare = self.process.pid
        return int(pathlib.Path(f"/proc/{unshare}/task/{unshare}/children").read_text())

    def kill(self):
        """As the kernel kills: process 1, and with it all others of the container."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def inside(self, *command, user):
        """Runs a command in the container, as `docker exec` does."""
        nsenter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd"]
        return subprocess.run([*nsenter, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command],
                              capture_output=True, text=True, timeout=programs.DEADLINE)
