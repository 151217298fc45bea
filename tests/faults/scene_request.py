# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests and connections while calls fail."""
import select
import time

from scene import Scene
from subject import HANDSHAKE, PATIENCE, Finding, is_broken, mtls_client, wait_for


class Request(Scene):
    thorough = 8
    version, path, body, chunked, times, resumed, expect = "1.3", "/echo", None, False, 1, False, None
    fields = ""

    def act(self):
        began = time.monotonic()
        self.word = word = self.ask()
        if time.monotonic() - began > HANDSHAKE - 0.5:
            raise Finding("only a deadline ended it")
        # What the daemon does behind an answer belongs to it: so long, if nothing shows when it is over.
        select.select([], [], [], 0.01)
        return word

    def ask(self):
        subject = self.subject
        try:
            session = subject_session(subject, self.version) if self.resumed else None
            # Who comes while no descriptor is to be had stays in the queue, for as long as that lasts.
            sock = subject.connect(self.version, session, 0.5 if subject.page.is_starved else PATIENCE)
            words = []
            for time_left in range(self.times, 0, -1):
                status, _ = subject.exchange(sock, self.path, self.body, self.chunked, time_left == 1, self.expect)
                words.append(str(status))
            return "served" if words == ["200"] * self.times else "answered " + words[-1]
        except (OSError, ValueError) as error:
            if is_broken(error):
                return "closed"
            if subject.page.is_starved:
                return "kept waiting"
            raise Finding("the client waits for ever") from None


def subject_session(subject, version):
    """A session to resume; made before, used once (a ticket of TLS 1.3 is for one use)."""
    kept = subject.__dict__.setdefault("sessions", {}).pop(version, None)
    if kept is None:
        raise Finding("no session to resume")
    return kept


class Full13(Request):
    name = "full13"


class Full12(Request):
    name, version = "full12", "1.2"


class Resumed(Request):
    resumed = True

    def ready(self):
        super().ready()
        sock = self.subject.connect(self.version)
        self.subject.exchange(sock, "/echo")
        self.subject.__dict__.setdefault("sessions", {})[self.version] = sock.session
        sock.close()


class Resumed13(Resumed):
    name = "resumed13"


class Resumed12(Resumed):
    name, version = "resumed12", "1.2"


class KeepAlive(Request):
    """Requests on a connection that stood before anything failed."""
    name, times = "keepalive", 2

    def ready(self):
        super().ready()
        self.sock = self.subject.connect(self.version)
        self.subject.exchange(self.sock, "/echo")

    def ask(self):
        try:
            words = [str(self.subject.exchange(self.sock, self.path, self.body, self.chunked, False, self.expect,
                                               self.fields)[0]) for _ in range(self.times)]
            return "served" if words == ["200"] * self.times else "answered " + words[-1]
        except (OSError, ValueError) as error:
            if not is_broken(error):
                raise Finding("the client waits for ever") from None
            return "closed"
        finally:
            self.sock.close()


class Body(KeepAlive):
    name, body, times = "body", b"0123456789abcdef" * 2000, 2
    expect = body


class Chunked(KeepAlive):
    name, body, chunked, times = "chunked", b"0123456789abcdef" * 500, True, 1
    expect = body


class Pooled(KeepAlive):
    name, path, times = "pooled", "/blocking", 1


class Streamed(KeepAlive):
    name, path, times = "streamed", "/stream?bytes=20000&pause=1", 1
    expect = bytes(ord("a") + i % 23 for i in range(20000))


class Upload(KeepAlive):
    name, path, body, times = "upload", "/upload", b"x" * 40000, 1


class Cached(KeepAlive):
    name, path, times = "cached", "/cache?" + "k" * 300, 1


class Signed(KeepAlive):
    """A message that may be taken once, whatever becomes of it the first time."""
    name, path, times, count = "signed", "/once", 1, 0

    def ready(self):
        super().ready()
        # A file that could not be written is tried again once a second.
        wait_for(lambda: self.send(self.sock) == 200, "no message is ever taken again")
        self.fields = self.fresh()

    @staticmethod
    def fresh():
        Signed.count += 1
        return f"Nonce: {Signed.count}\r\nSigned-At: now\r\n"

    def send(self, sock, fields=None):
        return self.subject.exchange(sock, self.path, fields=fields or self.fresh())[0]

    def check(self):
        super().check()
        sock = self.subject.connect()
        again = [self.send(sock, self.fields) for _ in range(2)]
        sock.close()
        # A message that came to nothing may still find the file out of order.
        if again[1] != 409 or again[0] not in ((409,) if self.word == "served" else (200, 409, 507)):
            raise Finding(f"a signed message was {self.word}, and when it came again answered {again}")


class Refused(Request):
    """A client with a certificate of somebody else's CA: never served, whatever fails."""
    name, usual = "refused", "closed"

    def ready(self):
        super().ready()
        self.subject.contexts["wrong"] = mtls_client.make_context(
            self.subject.pki.ca, self.subject.pki.client("wrong-ca"), "1.3")
        self.version = "wrong"

    def act(self):
        word = super().act()
        if word not in ("closed", "kept waiting"):
            raise Finding(f"a client with a wrong certificate was {word}")
        return word
