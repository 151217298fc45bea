# SPDX-License-Identifier: LGPL-2.1-or-later
"""An operator's calls while calls fail: in the daemon, and in mtlsctl itself."""
import gzip
import json
import os
import pathlib
import re
import subprocess

from page import Page
from scene import Scene
from subject import PATIENCE, SANITIZED, Finding, harness, varlink, wait_for


class Command(Scene):
    """One call on the control socket, spoken by hand."""

    def __init__(self, subject, name, method, parameters=None, prepare=None, output=None, argument="output"):
        """output: what reads the file that is written, which raises if it is none; argument: what asks for it."""
        super().__init__(subject)
        self.name, self.method, self.parameters, self.output = name, method, parameters, output
        self.prepare, self.argument = prepare, argument

    def ready(self):
        super().ready()
        if self.prepare:
            self.prepare(self.subject)

    def act(self):
        fds, path, self.is_left = [], self.subject.folder / "output", False
        self.mark()
        parameters = self.parameters(self.subject) if callable(self.parameters) else self.parameters
        try:
            if self.output:
                fds = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)]
                parameters = {**parameters, self.argument: True}
            self.subject.call(self.method, parameters, fds)
        except varlink.VarlinkError as error:
            words = json.dumps(error.parameters)
            if not re.search(r"[a-z]{3,} [a-z]+", words):
                raise Finding(f"an error without a sentence: {error}") from None
            return "refused"
        except TimeoutError:
            if self.subject.page.is_starved:
                self.is_left = self.name in ("disable", "enable", "restart")
                return "kept waiting"
            raise Finding("the command never ends") from None
        except (OSError, ValueError):
            return "closed"
        finally:
            for fd in fds:
                os.close(fd)
        if self.output:
            content = path.read_bytes()
            try:
                self.output(content)
            except (ValueError, EOFError, OSError) as error:
                raise Finding(f"the command succeeded, what it wrote is none: {error!r}: {content[:100]!r}") from None
        return "served"

    def check(self):
        if self.is_left:
            self.wait_told()
        if self.method in ("Disable", "Enable"):
            try:
                self.subject.call("Enable", dict(plugin="echo"))
            except varlink.VarlinkError:
                pass  # it is enabled
        super().check()


def disable(subject):
    subject.call("Disable", dict(plugin="echo"))


def overseen(subject):
    """The plugin leak has been looked at: there is something to explain, and a peak."""
    def is_known():
        try:
            subject.call("Explain", dict(plugin="leak"))
            subject.call("Dump", dict(plugin="leak", peak=True))
            return True
        except varlink.VarlinkError:
            subject.probe("/leak")
            return False
    if not getattr(subject.daemon, "is_overseen", False):
        wait_for(is_known, "nobody looks at the plugin")
        subject.daemon.is_overseen = True


def recorded(content):
    if not content.startswith(b"mtlsd-record ") or not content.endswith(b"\nend\n"):
        raise ValueError("no whole record")


def folded(content):
    """Lines that end with a number."""
    for line in content.decode().splitlines():
        int(line.rsplit(" ", 1)[1])


def commands(subject):
    plugin = dict(plugin="leak")
    saved = {}

    def base(subject):
        if subject.daemon.pid not in saved:
            saved.clear()
            saved[subject.daemon.pid] = subject.call("Dump", dict(plugin="leak", format="json"))
        return dict(plugin="leak", format="json", base=saved[subject.daemon.pid])

    def config(subject):
        return dict(contents=subject.daemon.config_path.read_text(), name="some.yaml")
    certificate = pathlib.Path(subject.pki.client("good")[0]).read_text()
    scenes = [
        Command(subject, "status", "Status"), Command(subject, "list", "List"),
        Command(subject, "show", "Show", plugin),
        Command(subject, "routes", "Routes"), Command(subject, "tls", "Tls"), Command(subject, "jobs", "Jobs"),
        Command(subject, "commands", "Commands"), Command(subject, "doctor", "Doctor"),
        Command(subject, "explain", "Explain", plugin, prepare=overseen),
        Command(subject, "escapes", "Escapes"),
        Command(subject, "test-access", "TestAccess", dict(method="GET", url="/echo", cert=certificate)),
        Command(subject, "dump-text", "Dump", plugin),
        Command(subject, "dump-json", "Dump", dict(plugin="leak", format="json")),
        Command(subject, "dump-folded", "Dump", dict(plugin="leak", format="folded"), output=folded),
        Command(subject, "dump-pprof", "Dump", dict(plugin="leak", format="pprof"), output=gzip.decompress),
        Command(subject, "dump-peak", "Dump", dict(plugin="leak", peak=True), prepare=overseen),
        Command(subject, "dump-callers", "Dump", dict(plugin="leak", callers=True)),
        Command(subject, "dump-base", "Dump", base),
        Command(subject, "dump-output", "Dump", dict(plugin="leak", format="json"), output=json.loads),
        Command(subject, "explain-record", "Explain", plugin, prepare=overseen, output=recorded,
                argument="record"),
        Command(subject, "sampling", "Sampling", dict(plugin="leak", interval=524288)),
        Command(subject, "log-level", "LogLevel", dict(level="info")),
        Command(subject, "check-config", "CheckConfig", config),
        Command(subject, "evict", "Evict", dict(plugin="cache")),
        Command(subject, "restart", "Restart", dict(plugin="whoami")),
        Command(subject, "restart-dry", "Restart", dict(plugin="leak", dry_run=True)),
        Command(subject, "disable", "Disable", dict(plugin="echo")),
        Command(subject, "enable", "Enable", dict(plugin="echo"), prepare=disable),
    ]
    # Without the heap layer nobody looks at a plugin.
    return [scene for scene in scenes if harness.HEAP_LAYER or scene.prepare is not overseen]


class Ctl(Scene):
    """mtlsctl itself under the shim, the daemon left alone."""
    thorough = 1 << 30

    def __init__(self, subject, page, name, *arguments, file=None):
        super().__init__(subject)
        self.page = page
        self.name, self.arguments, self.file = name, arguments, file

    def skips(self, name):
        # Nor does mtlsctl's own end, where it has none left, stand behind a sanitizer's malloc.
        return SANITIZED and name in ("memory", "library")

    def act(self):
        path = self.subject.folder / "saved"
        for left in self.subject.folder.glob("saved*"):
            left.unlink()
        if self.file == "old":
            path.write_text("old")
        arguments = [str(path) if word == "FILE" else word for word in self.arguments]
        daemon = self.subject.daemon
        environment = {**os.environ, **daemon.env, "MTLSD_FAULTS": self.page.path}
        try:
            done = subprocess.run([str(harness.BUILD / "mtlsctl"), "--socket", daemon.socket, *arguments],
                                  capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
                                  timeout=PATIENCE, env=environment)
        except subprocess.TimeoutExpired:
            raise Finding("mtlsctl never ends") from None
        if "CHECK failed: sanitizer" in done.stderr:
            return "no checker"  # the checker itself does not live without it
        if done.returncode < 0 or done.returncode == 1 and harness.DISASTERS.search(done.stderr):
            raise Finding(f"mtlsctl crashed ({done.returncode}): {done.stderr[-3000:]}")
        left = [left.name for left in self.subject.folder.glob("saved?*")]
        if left and not self.page.may_leave_files:
            raise Finding(f"left behind: {left}")
        if done.returncode != 0 and not re.search(r"[a-z]{3,} [a-z]+", done.stderr):
            raise Finding(f"exit code {done.returncode} without a sentence: {done.stderr!r}")
        if self.file is not None:
            content = path.read_text() if path.exists() else None
            if done.returncode == 0:
                if content is None or content == "old":
                    raise Finding("mtlsctl says it saved a file and did not")
                json.loads(content)
            elif content != ("old" if self.file == "old" else None):
                raise Finding(f"exit code {done.returncode}, and the file holds {len(content or '')} bytes")
        elif done.returncode == 0 and not done.stdout:
            raise Finding("exit code 0 and nothing printed")
        return "served" if done.returncode == 0 else "refused"


def ctl(subject):
    page = Page(subject.folder / "page-ctl")
    return [Ctl(subject, page, "status", "status"), Ctl(subject, page, "json", "--json", "list"),
            Ctl(subject, page, "doctor", "doctor", "echo"), Ctl(subject, page, "help", "--help"),
            # Without the heap layer it has not a line to say.
            *([Ctl(subject, page, "folded", "dump", "leak", "--format", "folded")] if harness.HEAP_LAYER else []),
            Ctl(subject, page, "output", "dump", "leak", "--format", "json", "--output", "FILE", file="new"),
            Ctl(subject, page, "overwrite", "dump", "leak", "--format", "json", "--output", "FILE", file="old")]
