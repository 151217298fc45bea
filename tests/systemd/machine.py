# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine with a real systemd as process 1: namespaces over a copy-on-write view of a root tree, thrown away after.

    machine = Machine()                                   # raises NoMachine where no such namespaces can be made
    machine.run("systemctl", "start", "mtlsd")            -> its output; RunError if it fails
    machine.write("/etc/mtlsd/mtlsd.yaml", text)
    machine.popen([...], net=True)                        # a program of the host inside the machine's network
    machine.close()

Needs root, util-linux, iproute2 and overlayfs. Nothing the machine does reaches the host but load.
"""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from harness import PATIENCE, wait_for # noqa: E402

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class NoMachine(Exception):
    """This host lets no such machine be made; the text says which step it refused."""


class RunError(Exception):
    def __init__(self, argv, code, output, errors):
        super().__init__(f"{' '.join(argv)}: exit code {code}\n{output}{errors}")
        self.code, self.output, self.errors = code, output, errors


def own_groups(name):
    """A new group below our own in every hierarchy."""
    base = pathlib.Path("/sys/fs/cgroup")
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            folder = base / "unified" if (base / "unified").is_dir() else base
        else:
            folder = base / controllers.removeprefix("name=")
        if folder.is_dir():
            yield folder / path.lstrip("/") / name


class Machine:
    _count = 0

    def __init__(self, root="/"):
        Machine._count += 1
        self.name = f"mtlsd-{os.getpid()}-{Machine._count}"
        self.pid, self._first = None, None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mtlsd-machine-"))
        self._groups = list(own_groups(self.name))
        try:
            self._boot(root)
        except BaseException:
            self.close()
            raise

    def _boot(self, root):
        if os.geteuid() != 0:
            raise NoMachine("it takes root to make namespaces with a root tree of their own")
        try:
            for group in self._groups:
                group.mkdir()
                for file in ("cpuset.mems", "cpuset.cpus"):
                    if (group / file).exists() and (group.parent / file).exists():
                        (group / file).write_text((group.parent / file).read_text())
        except OSError as error:
            raise NoMachine(f"no control group can be made: {error}") from None
        (self.folder / "scratch").mkdir()
        self.log = self.folder / "log"
        groups = " ".join(str(group) for group in self._groups)
        with open(self.log, "w") as log:
            # A shell joins the groups, so that the machine's cgroup namespace has them as its roots.
            self._first = subprocess.Popen(
                ["bash", "-euc", f'for group in {groups}; do echo $$ >"$group/cgroup.procs"; done\n'
                                 'exec unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child '
                                 '--propagation private "$@"', "machine",
                 str(HERE / "boot"), str(root), str(self.folder / "scratch"), self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._find_systemd, "systemd to become process 1")
        wait_for(lambda: self.try_run("systemctl", "is-system-running")[1].strip() in ("running", "degraded"),
                 "the machine to be up", interval=0.05)

    def _find_systemd(self):
        if self._first.poll() is not None:
            text = self.log.read_text()
            if "\nbooting\n" in text:
                raise AssertionError(f"systemd did not stay:\n{text}")
            raise NoMachine(" / ".join(text.strip().splitlines()[-3:]))
        try:
            for pid in pathlib.Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split():
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    self.pid = int(pid)
        except OSError:
            pass
        return self.pid

    # --- inside ------------------------------------------------------------------------------------------------

    def _enter(self, argv, net):
        if net:
            return ["nsenter", "-t", str(self.pid), "-n", *argv]
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-n", "-C", "env", "-i", f"PATH={PATH}",
                "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0",
                "DEBIAN_FRONTEND=noninteractive", *argv]

    def popen(self, argv, *, net=False, **options):
        """net: a program of the host that only shares the machine's network."""
        return subprocess.Popen(self._enter([str(arg) for arg in argv], net), text=True, **options)

    def try_run(self, *argv, net=False, stdin=None, timeout=None):
        """(exit code, output, errors)."""
        done = subprocess.run(self._enter([str(arg) for arg in argv], net), capture_output=True, text=True,
                              input=stdin, timeout=timeout or 4 * PATIENCE, check=False)
        return done.returncode, done.stdout, done.stderr

    def run(self, *argv, net=False, stdin=None, timeout=None):
        code, output, errors = self.try_run(*argv, net=net, stdin=stdin, timeout=timeout)
        if code:
            raise RunError([str(arg) for arg in argv], code, output, errors)
        return output

    @contextlib.contextmanager
    def network(self):
        """Sockets that this thread makes meanwhile are the machine's."""
        def enter(fd):
            if _libc.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        theirs = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(theirs)
            yield
        finally:
            enter(own)
            os.close(own)
            os.close(theirs)

    def path(self, inside):
        """Where the host finds a file of the machine."""
        return pathlib.Path(f"/proc/{self.pid}/root") / str(inside).lstrip("/")

    def write(self, inside, content, mode=0o644, group=None):
        folder = str(pathlib.PurePath(inside).parent)
        data = content if isinstance(content, bytes) else content.encode()
        self.run("mkdir", "-p", folder)
        self.path(inside).write_bytes(data)
        self.run("chmod", f"{mode:04o}", inside)
        if group:
            self.run("chgrp", group, inside)

    # --- the end -----------------------------------------------------------------------------------------------

    def close(self):
        if self._first is not None:
            if self.pid is not None and self._first.poll() is None:
                os.kill(self.pid, signal.SIGRTMIN + 4) # poweroff
            try:
                self._first.wait(15)
            except subprocess.TimeoutExpired:
                if self.pid is not None:
                    os.kill(self.pid, signal.SIGKILL)
                self._first.kill()
                self._first.wait()
        for group in self._groups:
            for folder in sorted(group.rglob("*"), reverse=True) if group.is_dir() else ():
                if folder.is_dir():
                    self._remove_group(folder)
            self._remove_group(group)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _remove_group(folder):
        limit = time.monotonic() + 5
        while folder.is_dir():
            try:
                folder.rmdir()
            except OSError:
                if time.monotonic() > limit: # somebody of it is still dying: an empty group costs nothing
                    return
                time.sleep(0.02)
