# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon under test, its clients, and what must hold of it whatever call fails."""
import os
import pathlib
import re
import shutil
import signal
import socket
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import client as mtls_client  # noqa: E402
import harness  # noqa: E402
import varlink  # noqa: E402

#: Nobody waits longer for what must happen.
PATIENCE = float(os.environ.get("MTLSD_FAULTS_PATIENCE", "20"))
#: The handshake's deadline; what only ended by it was forgotten.
HANDSHAKE = 8
SANITIZED = "-fsanitize=address" in (harness.BUILD / "Makefile").read_text()
INJECT = harness.BUILD / "tests/faults/inject.so"


class Finding(Exception):
    """Something that must not be, whatever call fails."""


def wait_for(condition, fault, patience=PATIENCE):
    """Waits until the condition holds; fault: what is found if it never does, or a function that says so."""
    try:
        return harness.wait_for(condition, timeout=patience, interval=0.002)
    except AssertionError:
        raise Finding(fault() if callable(fault) else fault) from None


def is_broken(error):
    """A connection that ended is what a failed call may cost; silence is not."""
    return not isinstance(error, (TimeoutError, socket.timeout)) and "timed out" not in str(error)


class Subject:
    """The daemon under test: started with the shim, looked at, started again when a fault ended it."""

    def __init__(self, pki, folder, page):
        self.pki, self.page, self.folder = pki, page, pathlib.Path(folder)
        self.dumps = self.folder / "dumps"
        self.tls = self.folder / "tls"
        self.daemon, self.base, self.probe_client = None, None, None
        self.contexts = {}

    def make(self, walls=False):
        """A fresh daemon object; nothing is started."""
        where = self.folder / "daemon"
        shutil.rmtree(where, ignore_errors=True)
        self.tls.mkdir(exist_ok=True)
        for name in ("server", "other-server"):
            for suffix in ("", "-key"):
                shutil.copy(self.pki.folder / f"{name}{suffix}.pem", self.tls)
        (self.folder / "gate").touch()
        plugins = [dict(name="echo", path="echo.so"), dict(name="whoami", path="whoami.so"),
                   dict(name="cache", path="cache.so"), dict(name="stream", path="stream.so"),
                   dict(name="upload", path="upload.so"), dict(name="leak", path="leak.so", config=dict(bytes=16)),
                   dict(name="once", path="once.so", nonces=dict(window="1h", capacity=1000)),
                   dict(name="blocking", path="blocking.so", config=dict(gate=str(self.folder / "gate")))]
        routes = [dict(name=plugin["name"], prefix=f"/{plugin['name']}", allow=[dict(dns="*.example.org")],
                       handler=plugin["name"]) for plugin in plugins]
        # LeakSanitizer stops threads by ptrace, which the walls forbid.
        options = dict(verify_asan_link_order=0, detect_leaks=int(not walls), detect_stack_use_after_return=1,
                       fast_unwind_on_malloc=int(os.environ.get("MTLSD_FAULTS_FAST", "0")))
        self.daemon = harness.Daemon(
            self.pki, where, plugins=plugins, routes=routes,
            limits=dict(handshake_timeout=f"{HANDSHAKE}s", header_timeout="5min", body_timeout="5min"),
            tls=dict(certificate=str(self.tls / "server.pem"), key=str(self.tls / "server-key.pem")),
            settings=dict(walls=dict(files=walls, calls=walls), dump_directory=str(self.dumps),
                          nonce_directory=str(where / "nonces"),
                          access_log=dict(to="file", path=str(where / "access.log"))),
            env=dict(MTLSD_FAULTS=self.page.path, LD_PRELOAD=str(INJECT),
                     ASAN_OPTIONS=":".join(f"{name}={value}" for name, value in options.items()),
                     UBSAN_OPTIONS="print_stacktrace=1", **({} if walls else {"MTLSD_FAULTS_HELPER": "1"})))
        return self.daemon

    def up(self):
        """A daemon that serves; the one there is, if it lives."""
        if self.daemon is not None and self.daemon.alive:
            return
        self.down()
        self.page.disarm()
        self.make()
        self.daemon.start()
        self.warm()

    def warm(self):
        """What is set up once is set up; then count what is open."""
        self.contexts = {version: mtls_client.make_context(self.pki.ca, self.pki.client("good"), version)
                         for version in ("1.2", "1.3")}
        for version in ("1.2", "1.3"):
            self.exchange(self.connect(version), "/echo", close=True)
        for path in ("/whoami", "/cache?1", "/stream?bytes=100", "/leak", "/blocking"):
            self.probe(path)
        self.settle()
        samples = [self.counts() for _ in range(20)]  # in the first ones the last call's connection may still be open
        self.base = {key: min(sample[key] for sample in samples) for key in samples[0]}

    def down(self):
        self.page.disarm()
        if self.probe_client is not None:
            self.probe_client.close()
            self.probe_client = None
        if self.daemon is not None and self.daemon.process is not None:
            if self.daemon.alive:
                self.daemon.process.kill()
            self.daemon.process.wait()
            self.daemon.close_clients()
            self.daemon.notify.close()
        self.daemon, self.base = None, None

    # --- clients ---------------------------------------------------------------------------------------------

    def connect(self, version="1.3", session=None, timeout=PATIENCE):
        raw = socket.create_connection(self.daemon.address(), timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return self.contexts[version].wrap_socket(raw, server_hostname="localhost", session=session)
        except BaseException:
            raw.close()
            raise

    def exchange(self, sock, path, body=None, chunked=False, close=False, expect=None, fields=""):
        """One request; (status, body). The socket is closed if it did not go well or `close` is wanted."""
        try:
            method, head, data = "GET", fields, body or b""
            if body is not None:
                method, head = "POST", f"{fields}Content-Length: {len(body)}\r\n"
            if chunked:
                head = f"{fields}Transfer-Encoding: chunked\r\n"
                half = len(body) // 2
                data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:], b""))
            sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + data)
            status, answer = self.receive(sock)
            if expect is not None and status == 200 and answer != expect:
                raise Finding(f"{path} was answered 200 with {len(answer)} bytes that are not those expected")
            return status, answer
        except BaseException:
            close = True
            raise
        finally:
            if close:
                sock.close()

    @staticmethod
    def receive(sock):
        data = b""

        def more():
            got = sock.recv(65536)
            if not got:
                raise ConnectionError("closed inside an answer" if data else "closed without an answer")
            return got
        while b"\r\n\r\n" not in data:
            data += more()
        head, data = data.split(b"\r\n\r\n", 1)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if fields.get(b"transfer-encoding") == b"chunked":
            answer = b""
            while True:
                while b"\r\n" not in data:
                    data += more()
                size, data = data.split(b"\r\n", 1)
                size = int(size, 16)
                while len(data) < size + 2:
                    data += more()
                answer, data = answer + data[:size], data[size + 2:]
                if size == 0:
                    break
        else:
            while len(data) < int(fields.get(b"content-length", b"0")):
                data += more()
            answer = data
        return int(head.split(b" ", 2)[1]), answer

    def probe(self, path="/echo", expect=(200,)):
        """A request on a connection that is kept: the daemon serves, and says what it should."""
        if self.probe_client is None:
            self.probe_client = self.connect()
        try:
            status, _ = self.exchange(self.probe_client, path)
        except (OSError, ValueError):
            # It may have been the one whose connection had to end; a new one must do.
            self.probe_client.close()
            self.probe_client = self.connect()
            status, _ = self.exchange(self.probe_client, path)
        if status not in expect:
            raise Finding(f"afterwards {path} is answered {status}")

    def call(self, method, parameters=None, fds=()):
        # Who comes while no descriptor is to be had stays in the queue here, too.
        timeout = 0.5 if self.page.is_starved else PATIENCE * 3
        with varlink.Varlink(self.daemon.socket, timeout=timeout) as line:
            return line.call(f"io.mtlsd.Control.{method}", parameters, fds)

    def open_files(self):
        folder, found = f"/proc/{self.daemon.pid}/fd", []
        for name in os.listdir(folder):
            try:
                found.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return sorted(found)

    # --- what must hold ----------------------------------------------------------------------------------------

    def counts(self):
        maps = pathlib.Path(f"/proc/{self.daemon.pid}/maps").read_text()
        return dict(descriptors=self.daemon.descriptors(), images=len(set(re.findall(r"memfd:\S+|/\S+\.gen\d+", maps))))

    def settle(self, wanted=None):
        """Waits until nothing of clients is left: one connection (the probe's), nothing in flight."""
        fault = None

        def is_settled():
            nonlocal fault
            counts, status = self.counts(), self.call("Status")  # a call's own connection is not to be counted
            busy = [plugin["name"] for plugin in self.call("List")["plugins"] if plugin["inflight"] or plugin["queued"]]
            if status["connections"]["open"] > 1 or busy:
                fault = f"never over: {status['connections']}, in flight: {busy}"
            elif wanted is not None and any(counts[key] > wanted[key] for key in wanted):
                fault = f"left behind: {counts} where there were {wanted}: {self.open_files()}"
            else:
                return True
            return False
        wait_for(is_settled, lambda: fault)

    def look(self, thorough=True):
        """Afterwards, with nothing failing: it lives, it serves, and (thorough) nothing is left behind."""
        if not self.daemon.alive:
            raise Finding(f"the daemon ended: exit code {self.daemon.process.returncode}")
        try:
            self.probe()
            if thorough:
                # What could not be ended is tried again once a second.
                wait_for(lambda: not self.unwell(), lambda: ", ".join(self.unwell()))
                self.settle(self.base)
                self.look_for_leaks()
        except OSError as error:
            if not self.daemon.alive:
                raise Finding(f"the daemon ended: exit code {self.daemon.process.wait()}") from None
            raise Finding(f"afterwards it does not serve: {error!r}") from None

    def unwell(self):
        return [f"plugin {plugin['name']} is {plugin['state']}, {plugin['zombies']} zombies"
                for plugin in self.call("List")["plugins"] if plugin["state"] != "ready" or plugin["zombies"]]

    def look_for_leaks(self):
        if not SANITIZED:
            return
        self.page.ask_for_leaks()
        wait_for(lambda: self.page.leaks() is not None or not self.daemon.alive, "the leak checker does not answer",
                 3 * PATIENCE)
        if self.page.leaks():
            raise Finding("memory is leaked")

    def look_behind(self):
        """After its end: nothing lies in the run directory. Where something may (page.may_leave_files), the next life
        takes it away."""
        daemon = self.daemon

        def left():
            return sorted(str(path.relative_to(daemon.run_directory)) for path in daemon.run_directory.rglob("*"))
        if left() and self.page.may_leave_files:
            daemon.notify.close()
            daemon.start()
            daemon.process.send_signal(signal.SIGTERM)
            daemon.process.wait(PATIENCE * 2)
        if left():
            raise Finding(f"left behind in the run directory: {left()}")

    def disaster(self):
        return next((line for line in self.daemon.log_text().splitlines() if harness.DISASTERS.search(line)), None)
