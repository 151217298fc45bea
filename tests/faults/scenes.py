# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is done while calls fail, and what must hold whatever fails.

A scene has `act`, which is done with the page armed and says in a word how it ended, and `check`, done afterwards with
nothing failing. Both raise Finding for what must never be.
"""
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

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
                   dict(name="blocking", path="blocking.so", config=dict(gate=str(self.folder / "gate")))]
        routes = [dict(name=plugin["name"], prefix=f"/{plugin['name']}", allow=[dict(dns="*.example.org")],
                       handler=plugin["name"]) for plugin in plugins]
        options = dict(verify_asan_link_order=0, detect_leaks=1, detect_stack_use_after_return=1,
                       fast_unwind_on_malloc=int(os.environ.get("MTLSD_FAULTS_FAST", "0")))
        self.daemon = harness.Daemon(
            self.pki, where, plugins=plugins, routes=routes,
            limits=dict(handshake_timeout=f"{HANDSHAKE}s", header_timeout="5min", body_timeout="5min"),
            tls=dict(certificate=str(self.tls / "server.pem"), key=str(self.tls / "server-key.pem")),
            settings=dict(walls=dict(files=walls, calls=walls), dump_directory=str(self.dumps),
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
        self.base = self.counts()

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
        self.daemon = None

    # --- clients ---------------------------------------------------------------------------------------------

    def connect(self, version="1.3", session=None, timeout=PATIENCE):
        raw = socket.create_connection(self.daemon.address(), timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return self.contexts[version].wrap_socket(raw, server_hostname="localhost", session=session)
        except BaseException:
            raw.close()
            raise

    def exchange(self, sock, path, body=None, chunked=False, close=False, expect=None):
        """One request; (status, body). The socket is closed if it did not go well or `close` is wanted."""
        try:
            method, head, data = "GET", "", body or b""
            if body is not None:
                method, head = "POST", f"Content-Length: {len(body)}\r\n"
            if chunked:
                head = "Transfer-Encoding: chunked\r\n"
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

    # --- what must hold ----------------------------------------------------------------------------------------

    def counts(self):
        maps = pathlib.Path(f"/proc/{self.daemon.pid}/maps").read_text()
        return dict(descriptors=self.daemon.descriptors(), images=len(set(re.findall(r"memfd:\S+|/\S+\.gen\d+", maps))))

    def settle(self, wanted=None):
        """Waits until nothing of clients is left: one connection (the probe's), nothing in flight."""
        limit = time.monotonic() + PATIENCE
        while True:
            status = self.call("Status")
            counts = self.counts()
            busy = [plugin["name"] for plugin in self.call("List")["plugins"] if plugin["inflight"] or plugin["queued"]]
            is_quiet = status["connections"]["open"] <= 1 and not busy
            if is_quiet and (wanted is None or all(counts[key] <= wanted[key] for key in wanted)):
                return
            if time.monotonic() > limit:
                if not is_quiet:
                    raise Finding(f"never over: {status['connections']}, in flight: {busy}")
                left = [os.readlink(f"/proc/{self.daemon.pid}/fd/{name}")
                        for name in os.listdir(f"/proc/{self.daemon.pid}/fd")]
                raise Finding(f"left behind: {counts} where there were {wanted}: {sorted(left)}")
            time.sleep(0.005)

    def look(self, thorough=True):
        """Afterwards, with nothing failing: it lives, it serves, and (thorough) nothing is left behind."""
        if not self.daemon.alive:
            raise Finding(f"the daemon ended: exit code {self.daemon.process.returncode}")
        try:
            self.probe()
            if thorough:
                for plugin in self.call("List")["plugins"]:
                    if plugin["state"] != "ready" or plugin["zombies"]:
                        raise Finding(f"plugin {plugin['name']} is {plugin['state']}, {plugin['zombies']} zombies")
                self.settle(self.base)
                self.look_for_leaks()
        except OSError as error:
            if not self.daemon.alive:
                raise Finding(f"the daemon ended: exit code {self.daemon.process.wait()}") from None
            raise Finding(f"afterwards it does not serve: {error!r}") from None

    def look_for_leaks(self):
        if not SANITIZED:
            return
        self.page.ask_for_leaks()
        limit = time.monotonic() + PATIENCE * 3
        while self.page.leaks() is None:
            if not self.daemon.alive or time.monotonic() > limit:
                raise Finding("the leak checker does not answer")
            time.sleep(0.001)
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


class Scene:
    name, thorough = None, 1  # thorough: the whole check after every so many points
    #: Not tried: what cannot happen in it or what nothing is promised for.
    without = ()

    def __init__(self, subject):
        self.subject, self.number = subject, 0

    def ready(self):
        self.subject.up()

    def skips(self, name):
        # A sanitizer brings its own malloc, behind which the daemon's reserve for fragile libraries does not stand.
        return name in self.without or (SANITIZED and name == "library")

    def check(self):
        self.number += 1
        self.subject.look(self.number % self.thorough == 0)

    def over(self):
        """After a pair of class and error: the whole check once more."""
        if self.subject.daemon is not None:
            self.subject.look()


# --- request -----------------------------------------------------------------------------------------------------

class Request(Scene):
    thorough = 8
    version, path, body, chunked, times, resumed, expect = "1.3", "/echo", None, False, 1, False, None

    def act(self):
        began = time.monotonic()
        word = self.ask()
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
            words = [str(self.subject.exchange(self.sock, self.path, self.body, self.chunked, False, self.expect)[0])
                     for _ in range(self.times)]
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


class Refused(Request):
    """A client with a certificate of somebody else's CA: never served, whatever fails."""
    name = "refused"

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


# --- command -----------------------------------------------------------------------------------------------------

class Command(Scene):
    """One call on the control socket, spoken by hand."""

    def __init__(self, subject, name, method, parameters=None, prepare=None, output=False):
        super().__init__(subject)
        self.name, self.method, self.parameters, self.output = name, method, parameters, output
        self.prepare = prepare

    def ready(self):
        super().ready()
        if self.prepare:
            self.prepare(self.subject)

    def act(self):
        fds, path = [], self.subject.folder / "output"
        parameters = self.parameters(self.subject) if callable(self.parameters) else self.parameters
        try:
            if self.output:
                fds = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)]
                parameters = dict(parameters, output=0)
            self.subject.call(self.method, parameters, fds)
        except varlink.VarlinkError as error:
            words = json.dumps(error.parameters)
            if not re.search(r"[a-z]{3,} [a-z]+", words):
                raise Finding(f"an error without a sentence: {error}") from None
            return "refused"
        except TimeoutError:
            if self.subject.page.is_starved:
                return "kept waiting"
            raise Finding("the command never ends") from None
        except (OSError, ValueError):
            return "closed"
        finally:
            for fd in fds:
                os.close(fd)
        if self.output:
            try:
                json.loads(path.read_text())
            except ValueError:
                raise Finding("the command succeeded, what it wrote is no JSON") from None
        return "served"

    def check(self):
        if self.method in ("Disable", "Enable"):
            try:
                self.subject.call("Enable", dict(plugin="echo"))
            except varlink.VarlinkError:
                pass  # it is enabled
        super().check()


def disable(subject):
    subject.call("Disable", dict(plugin="echo"))


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
    return [
        Command(subject, "status", "Status"), Command(subject, "list", "List"),
        Command(subject, "show", "Show", plugin),
        Command(subject, "routes", "Routes"), Command(subject, "tls", "Tls"), Command(subject, "jobs", "Jobs"),
        Command(subject, "commands", "Commands"), Command(subject, "doctor", "Doctor"),
        Command(subject, "explain", "Explain", plugin), Command(subject, "escapes", "Escapes"),
        Command(subject, "test-access", "TestAccess", dict(certificate=certificate, path="/echo")),
        Command(subject, "dump-text", "Dump", plugin),
        Command(subject, "dump-json", "Dump", dict(plugin="leak", format="json")),
        Command(subject, "dump-folded", "Dump", dict(plugin="leak", format="folded")),
        Command(subject, "dump-pprof", "Dump", dict(plugin="leak", format="pprof")),
        Command(subject, "dump-peak", "Dump", dict(plugin="leak", peak=True)),
        Command(subject, "dump-callers", "Dump", dict(plugin="leak", callers=True)),
        Command(subject, "dump-base", "Dump", base),
        Command(subject, "dump-output", "Dump", dict(plugin="leak", format="json"), output=True),
        Command(subject, "explain-record", "Explain", plugin, output=None),
        Command(subject, "sampling", "Sampling", dict(plugin="leak", interval=524288)),
        Command(subject, "log-level", "LogLevel", dict(level="info")),
        Command(subject, "check-config", "CheckConfig", config),
        Command(subject, "evict", "Evict", dict(plugin="cache")),
        Command(subject, "restart", "Restart", dict(plugin="whoami")),
        Command(subject, "restart-dry", "Restart", dict(plugin="leak", dry_run=True)),
        Command(subject, "disable", "Disable", dict(plugin="echo")),
        Command(subject, "enable", "Enable", dict(plugin="echo"), prepare=disable),
    ]


# --- mtlsctl -----------------------------------------------------------------------------------------------------

class Ctl(Scene):
    """mtlsctl itself under the shim, the daemon left alone."""
    thorough, without = 1 << 30, ("library",)

    def __init__(self, subject, name, *arguments, file=None):
        super().__init__(subject)
        self.name, self.arguments, self.file = name, arguments, file

    def act(self):
        path = self.subject.folder / "saved"
        for left in self.subject.folder.glob("saved*"):
            left.unlink()
        if self.file == "old":
            path.write_text("old")
        arguments = [str(path) if word == "FILE" else word for word in self.arguments]
        daemon = self.subject.daemon
        environment = {**os.environ, **daemon.env}
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
        if left:
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
    return [Ctl(subject, "status", "status"), Ctl(subject, "json", "--json", "list"),
            Ctl(subject, "doctor", "doctor", "echo"), Ctl(subject, "help", "--help"),
            Ctl(subject, "output", "dump", "leak", "--format", "json", "--output", "FILE", file="new"),
            Ctl(subject, "overwrite", "dump", "leak", "--format", "json", "--output", "FILE", file="old")]


# --- reload ------------------------------------------------------------------------------------------------------

class Reload(Scene):
    """The configuration read again, with a route more or less each time."""
    name, thorough = "config", 1

    def ready(self):
        super().ready()
        config = self.subject.daemon.config
        routes = config["routes"]
        self.has_extra = any(route["name"] == "extra" for route in self.subject.call("Routes")["routes"])
        routes = [route for route in routes if route["name"] != "extra"]
        if not self.has_extra:
            routes.append(dict(name="extra", path="/echo-too", allow=[dict(any=True)], handler="echo"))
        config["routes"] = routes
        self.subject.daemon.write()
        self.generation = self.subject.call("Status")["generation"]

    def ask(self):
        self.subject.call("Reload")

    def act(self):
        try:
            self.ask()
            self.done = True
            return "served"
        except varlink.VarlinkError as error:
            if not re.search(r"[a-z]{3,} [a-z]+", json.dumps(error.parameters)):
                raise Finding(f"an error without a sentence: {error}") from None
            # Whether it is done nobody knows if no room was left to say so.
            self.done = None if "may be done" in json.dumps(error.parameters) else False
            return "refused"
        except TimeoutError:
            self.done = None
            if self.subject.page.is_starved:
                return "kept waiting"
            raise Finding("the reload never ends") from None
        except (OSError, ValueError):
            self.done = None
            return "closed"

    def check(self):
        subject = self.subject
        limit = time.monotonic() + PATIENCE
        while (status := subject.call("Status"))["state"] == "reloading" and time.monotonic() < limit:
            time.sleep(0.005)
        if status["state"] != "running":
            raise Finding(f"the daemon stays {status['state']}")
        rose = status["generation"] - self.generation
        if self.done is not None and rose != int(self.done):
            raise Finding(f"a reload that {'succeeded' if self.done else 'failed'} changed the generation by {rose}")
        wanted = not self.has_extra if rose else self.has_extra
        if self.name == "config":
            names = [route["name"] for route in subject.call("Routes")["routes"]]
            if ("extra" in names) != wanted:
                raise Finding(f"generation {status['generation']}, routes {names}")
            subject.probe("/echo-too", (200,) if wanted else (404,))
        self.undo()
        super().check()

    def undo(self):
        """The file says again what is in force."""


class Plugins(Reload):
    """A plugin more or less, and new settings for one that stays."""
    name = "plugins"

    def ready(self):
        Scene.ready(self)
        daemon = self.subject.daemon
        plugins = [plugin for plugin in daemon.config["plugins"] if plugin["name"] != "more"]
        if len(plugins) == len(daemon.config["plugins"]):
            plugins.append(dict(name="more", path=harness.plugin_path("hold.so")))
        for plugin in plugins:
            if plugin["name"] == "echo":
                plugin["config"] = dict(prefix="" if plugin.get("config", {}).get("prefix") else "so: ")
        daemon.config["plugins"] = plugins
        daemon.write()
        self.generation = self.subject.call("Status")["generation"]
        self.has_extra = False

    def check(self):
        names = [plugin["name"] for plugin in self.subject.call("List")["plugins"]]
        self.subject.base["images"] = self.subject.base["images"] + ("more" in names) - self.subject.__dict__.get(
            "more", False)
        self.subject.base["descriptors"] = self.subject.base["descriptors"] + 2 * (
            ("more" in names) - self.subject.__dict__.get("more", False))
        self.subject.more = "more" in names
        super().check()


class Tls(Reload):
    """Another certificate under the same name."""
    name = "tls"

    def ready(self):
        Scene.ready(self)
        self.turn = not getattr(self, "turn", False)
        folder, name = self.subject.tls, "other-server" if self.turn else "server"
        for suffix in ("", "-key"):
            new = folder / f"new{suffix}"
            shutil.copy(self.subject.pki.folder / f"{name}{suffix}.pem", new)
            new.rename(folder / f"server{suffix}.pem")

    def ask(self):
        self.subject.call("Reload", dict(what="tls"))

    def check(self):
        Scene.check(self)


class Hangup(Reload):
    """By a signal: what came of it stands in the log."""
    name = "hangup"

    def ask(self):
        daemon = self.subject.daemon
        before = len(daemon.log_text())
        daemon.process.send_signal(signal.SIGHUP)
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            news = daemon.log_text()[before:]
            if "is in force" in news:
                return
            if "reload refused" in news:
                raise varlink.VarlinkError(dict(error="refused", parameters=dict(text=news)))
            if not daemon.alive:
                raise ConnectionError
            time.sleep(0.002)
        if False:
            raise ConnectionError
        raise TimeoutError


class Wrong(Reload):
    """A file that must be refused."""
    name = "wrong"

    def ready(self):
        super().ready()
        with open(self.subject.daemon.config_path, "a", encoding="utf-8") as file:
            file.write("\nnonsense: [1\n")

    def act(self):
        word = super().act()
        if word == "served":
            raise Finding("a wrong configuration was taken")
        return word

    def undo(self):
        self.subject.daemon.config["routes"] = [route for route in self.subject.daemon.config["routes"]
                                                if route["name"] != "extra" or self.has_extra]
        self.subject.daemon.write()

    def check(self):
        super().check()


# --- start and stop ------------------------------------------------------------------------------------------------

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
        daemon.start(wait=False)
        limit = time.monotonic() + PATIENCE * 2
        poller = select.poll()
        while time.monotonic() < limit:
            if daemon.notify.count("READY"):
                return "served"
            if daemon.process.poll() is not None:
                return "refused"
            if subject.page.is_starved and "serves on" in daemon.log_text():
                subject.page.disarm()  # as long as there is no descriptor, nobody can be told
            poller.poll(1)
        self.subject.page.disarm()
        raise Finding("it neither gets ready nor ends")

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
            if said is None:
                raise Finding(f"exit code {code} without a word: {log[-300:]!r}")
            if not re.search(r"\S+ \S+", said):
                raise Finding(f"exit code {code}, and all it says is {said!r}")
            self.said = said
        subject.look_behind()

    def over(self):
        self.subject.down()


class StartWalls(Start):
    name, walls, without = "walls", True, ("storm",)


class Stop(Scene):
    """SIGTERM with an idle connection and one at work."""
    name = "idle"

    def ready(self):
        subject = self.subject
        if subject.daemon is None or not subject.daemon.alive:
            subject.down()
            subject.make()
            subject.daemon.start()
            subject.contexts = {"1.3": mtls_client.make_context(subject.pki.ca, subject.pki.client("good"), "1.3")}
        self.socks = [subject.connect() for _ in range(2)]
        for sock in self.socks:
            subject.exchange(sock, "/echo")
        for path in ("/cache?1", "/leak", "/blocking"):
            subject.exchange(self.socks[0], path)

    def act(self):
        daemon = self.subject.daemon
        daemon.process.send_signal(signal.SIGTERM)
        try:
            daemon.process.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            raise Finding("it does not end") from None
        return "served" if daemon.process.returncode == 0 else "refused"

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


def phases(subject):
    return {
        "start": [Start(subject), StartWalls(subject)],
        "request": [kind(subject) for kind in (Full13, Full12, Resumed13, Resumed12, KeepAlive, Body, Chunked, Pooled,
                                               Streamed, Upload, Cached, Refused)],
        "command": commands(subject),
        "ctl": ctl(subject),
        "reload": [Reload(subject), Plugins(subject), Tls(subject), Hangup(subject), Wrong(subject)],
        "stop": [Stop(subject)],
    }


__all__ = ["Finding", "INJECT", "SANITIZED", "Subject", "phases", "ssl"]
