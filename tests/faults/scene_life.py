# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that starts, one that ends, while calls fail."""
import re
import signal
import socket
import subprocess

from page import ON
from scene import Scene
from subject import PATIENCE, SANITIZED, Finding, mtls_client, wait_for


def sentence(log):
    """The last error, and whether it says more than that there was one."""
    lines = [line.split("error: ", 1)[1] for line in log.splitlines() if line.startswith("mtlsd: error: ")]
    return lines[-1] if lines else None


class Start(Scene):
    """A whole life: started with calls failing, it serves or says why not."""
    name, walls = "plain", False

    def ready(self):
        self.subject.down()
        self.subject.make(walls=self.walls)

    def act(self):
        subject, daemon = self.subject, self.subject.daemon
        self.is_mute = subject.page.is_mute
        daemon.start(wait=False)

        def outcome():
            if daemon.notify.count("READY"):
                return "served"
            if daemon.process.poll() is not None:
                return "refused"
            if subject.page.mode == ON and "serves on" in daemon.log_text():
                subject.page.disarm()  # as long as there is no descriptor or no memory, nobody can be told
            return None
        return wait_for(outcome, "it neither gets ready nor ends", 2 * PATIENCE)

    def check(self):
        subject, daemon = self.subject, self.subject.daemon
        if daemon.alive:
            subject.contexts = {"1.3": mtls_client.make_context(subject.pki.ca, subject.pki.client("good"), "1.3")}
            states = {plugin["name"]: plugin["state"] for plugin in subject.call("List")["plugins"]}
            try:
                subject.probe(expect=(200,) if states["echo"] == "ready" else (503,))
            except (OSError, ValueError) as error:
                raise Finding(f"it says it is ready and does not serve: {error!r}") from None
            for name, state in states.items():
                if state != "ready" and f"plugin {name}" not in daemon.log_text():
                    raise Finding(f"plugin {name} is {state}, and the log says nothing of it")
            subject.probe_client.close()
            subject.probe_client = None
            daemon.process.send_signal(signal.SIGTERM)
            try:
                code = daemon.process.wait(PATIENCE * 2)
            except subprocess.TimeoutExpired:
                raise Finding("it served, and does not end") from None
            if code != 0:
                raise Finding(f"it served, and ended with {code}")
        else:
            code = daemon.process.returncode
            log = daemon.log_text()
            if code < 0 or self.subject.disaster():
                raise Finding(f"it crashed: {code}")
            if code == 0:
                raise Finding("it ended with 0 and never served")
            said = sentence(log)
            if said is None and not self.is_mute:
                raise Finding(f"exit code {code} without a word: {log[-300:]!r}")
            if said is not None and not re.search(r"\S+ \S+", said):
                raise Finding(f"exit code {code}, and all it says is {said!r}")
            self.said = said
        subject.look_behind()

    def over(self):
        self.subject.down()


class StartWalls(Start):
    name, walls, without = "walls", True, ("storm",)


class Stop(Scene):
    """SIGTERM with connections that are used once more and close when they are told to."""
    name = "idle"

    def ready(self):
        subject = self.subject
        # What the plugin leak loses a sanitizer tells when the process ends: not one that has been warmed.
        if subject.daemon is None or not subject.daemon.alive or (SANITIZED and subject.base is not None):
            subject.down()
            subject.make()
            subject.daemon.start()
            subject.contexts = {"1.3": mtls_client.make_context(subject.pki.ca, subject.pki.client("good"), "1.3")}
        self.socks = [subject.connect() for _ in range(2)]
        for sock in self.socks:
            subject.exchange(sock, "/echo")
        for path in ("/cache?1", "/blocking") if SANITIZED else ("/cache?1", "/leak", "/blocking"):
            subject.exchange(self.socks[0], path)

    def act(self):
        daemon = self.subject.daemon
        daemon.process.send_signal(signal.SIGTERM)
        for sock in self.socks:
            self.leave(sock)
        wait_for(lambda: not daemon.alive, "it does not end", 2 * PATIENCE)
        return "served" if daemon.process.returncode == 0 else "refused"

    def leave(self, sock):
        try:
            self.subject.exchange(sock, "/echo")
            sock.recv(1)
        except (TimeoutError, socket.timeout):
            raise Finding("it does not close a connection") from None
        except (OSError, ValueError):
            pass  # closed before
        sock.close()

    def check(self):
        daemon = self.subject.daemon
        for sock in self.socks:
            sock.close()
        if daemon.process.returncode < 0 or self.subject.disaster():
            raise Finding(f"it crashed: {daemon.process.returncode}")
        if daemon.process.returncode != 0 and sentence(daemon.log_text()) is None:
            raise Finding(f"exit code {daemon.process.returncode} without a word")
        self.subject.look_behind()

    def over(self):
        self.subject.down()


class StopDeaf(Stop):
    """The same with clients that do nothing any more."""
    name = "deaf"

    def leave(self, sock):
        pass
