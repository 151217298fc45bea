# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real daemon under test: its configuration, its process, its clients, and what it says.

    d = daemon(plugins=[dict(name="leak", path="leak.so", config={"bytes": 16})])
    d.client().get("/leak")           -> (status, headers, body)
    d.ctl("show", "leak")             -> the reply of mtlsctl --json
    d.stop()                          -> SIGTERM, exit code 0, nothing left behind

Nothing here sleeps to synchronise: wait_for polls a condition with a generous limit.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import client as mtls_client
import document
import load as mtls_load
import notify
import varlink

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MTLSD_BUILD") or ROOT / "build").resolve()
#: False under ASan and TSan, which bring their own malloc: plugins allocate unsupervised then.
HEAP_LAYER = "-DMTLSD_HEAP_LAYER=0" not in (BUILD / "Makefile").read_text() if (BUILD / "Makefile").exists() else True
TICKS = os.sysconf("SC_CLK_TCK")
#: Patience for things that must happen: long, because a busy machine is not a failure.
PATIENCE = float(os.environ.get("MTLSD_TEST_PATIENCE", "60"))
#: Yes: daemons run behind their walls, but in tests that say otherwise (fixtures that leave traces then fail).
WALLS = os.environ.get("MTLSD_TEST_WALLS") == "yes"

DISASTERS = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|stack smashing|"
                       r"Assertion .* failed|\*\*\* .* detected|malloc\(\)|free\(\): ")


def wait_for(condition, what="the condition", timeout=None, interval=0.02):
    """Polls until condition() is true and returns its value; fails with `what` after the timeout."""
    limit = time.monotonic() + (timeout or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise AssertionError(f"waited in vain for {what}; last value: {value!r}")
        time.sleep(interval)


class CtlError(Exception):
    """mtlsctl ended with a code other than 0. code: its exit code; message: what it wrote to stderr."""

    def __init__(self, args, code, message, reply=None):
        super().__init__(f"mtlsctl {' '.join(args)}: exit code {code}: {message}")
        self.code, self.message, self.reply = code, message, reply


class Record(str):
    """One line of the daemon's log; `fields` holds its NAME=value words."""

    @property
    def fields(self):
        found = re.findall(r'\b([A-Z][A-Z0-9_]+)=("(?:[^"\\]|\\.)*"|\S*)', self)
        return {name: value[1:-1] if value.startswith('"') else value for name, value in found}


def plugin_path(name, build=BUILD):
    """A plugin of the build by file name: a fixture first, then the shipped ones."""
    if os.path.isabs(name):
        return name
    for folder in ("tests/plugins", "plugins"):
        path = build / folder / name
        if path.exists():
            return str(path)
    raise FileNotFoundError(f"{name} is built neither in {build}/tests/plugins nor in {build}/plugins")


def default_route(plugin):
    """The route a plugin gets when a test names none: everything below its name, for every verified client."""
    return dict(name=plugin, prefix=f"/{plugin}", allow=[dict(any=True)], handler=plugin)


class Daemon:
    def __init__(self, pki, folder, *, plugins=None, routes=None, listeners=None, limits=None, tls=None,
                 control=None, settings=None, config=None, env=None, pass_fds=(), arguments=(), text=None,
                 wrapper=(), build=BUILD):
        """plugins, routes, listeners: lists of mappings as in the file. limits, tls, control, settings (the `daemon:`
        mapping) and config (the whole document) are laid over the defaults. text: the file as it is, instead of all of
        these. env: more environment. wrapper: a command to run the daemon under. build: the folder it was built in."""
        self.pki, self.folder = pki, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run_directory = self.folder / "run"
        self.run_directory.mkdir(exist_ok=True)
        self.socket = str(self.run_directory / "control.sock")
        self.config_path = self.folder / "mtlsd.yaml"
        self.log_path = self.folder / "log"
        self.env, self.pass_fds, self.arguments, self.wrapper = env or {}, pass_fds, arguments, wrapper
        self.build = pathlib.Path(build)
        self.process, self.notify = None, None
        self.expected_exit = 0
        self._ports, self._closables, self._loads = None, [], []
        self.config = self._defaults(plugins, routes, listeners, limits, tls, control, settings, config or {})
        if text is None:
            self.write()
        else:
            self.config_path.write_text(text)

    def _defaults(self, plugins, routes, listeners, limits, tls, control, settings, config):
        if plugins is None:
            plugins = [dict(name="echo", path="echo.so"), dict(name="whoami", path="whoami.so")]
        plugins = [dict(plugin, path=plugin_path(plugin["path"], self.build)) for plugin in plugins]
        if routes is None:
            routes = [default_route(plugin["name"]) for plugin in plugins]
        base = {
            "daemon": {"threads": 2, "log_level": "info", "run_directory": str(self.run_directory),
                       "drain_timeout": "10s",
                       # Fixtures leave traces in folders no configuration names; test_walls.py puts the walls up.
                       "walls": {"files": WALLS, "calls": WALLS}},
            "control": {"socket": self.socket},
            "tls": [document.merge({"name": "main", "certificate": self.pki.server[0], "key": self.pki.server[1],
                                    "client_ca": self.pki.client_ca, "client_crl": self.pki.crl, "crl": "required"},
                                   tls or {})],
            "listeners": listeners or [dict(name="main", address="127.0.0.1:0", tls="main")],
            "plugins": plugins,
            "routes": routes,
        }
        if limits:
            base["limits"] = dict(limits)
        base = document.merge(base, {"daemon": settings or {}, "control": control or {}})
        return document.merge(base, config)

    # --- the process ---------------------------------------------------------------------------------------

    def write(self):
        """Writes self.config to the configuration file."""
        self.config_path.write_text(document.write(self.config))

    def start(self, wait=True):
        self._ports = None
        self.notify = notify.NotifySocket(self.folder / f"notify-{time.monotonic_ns()}")
        environment = {**os.environ, "NOTIFY_SOCKET": self.notify.path, **self.env}
        for name in ("JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"):
            if name not in self.env:
                environment.pop(name, None)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, str(self.build / "mtlsd"), "--config", *self.arguments, str(self.config_path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, pass_fds=self.pass_fds,
                start_new_session=True)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=None):
        self.notify.wait("READY", timeout=timeout or PATIENCE, alive=lambda: self.process.poll() is None)
        if not self.notify.count("READY"):
            code = self.process.poll()
            raise AssertionError(f"the daemon did not get ready (exit code {code}):\n{self.log_text()}")

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout=None):
        """SIGTERM; asserts that it says STOPPING, exits with 0 and leaves nothing behind. Returns the exit code."""
        self.close_clients()
        self.process.send_signal(signal.SIGTERM)
        code = self.wait_exit(timeout)
        assert code == 0, f"exit code {code}:\n{self.log_text()}"
        self.notify.wait("STOPPING")
        assert self.notify.count("STOPPING") == 1, "STOPPING=1 was not notified once"
        left = sorted(str(path.relative_to(self.run_directory)) for path in self.run_directory.rglob("*"))
        assert left == [], f"left behind in the run directory: {left}"
        return code

    def wait_exit(self, timeout=None):
        try:
            code = self.process.wait(timeout or PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon did not end:\n{self.log_text()[-8000:]}") from None
        return code

    def close_clients(self):
        for load in self._loads:
            load.kill()
        for closable in self._closables:
            closable.close()
        self._loads, self._closables = [], []

    def finish(self):
        """The end of every test: nothing may have crashed, and sanitizers may have found nothing."""
        try:
            if self.process is None:
                return
            if self.alive:
                self.stop()
            else:
                self.close_clients()
                code = self.process.returncode
                assert code == self.expected_exit, f"the daemon ended by itself with {code}:\n{self.log_text()[-8000:]}"
            disasters = [line for line in self.log_text().splitlines() if DISASTERS.search(line)]
            assert not disasters, "the daemon printed:\n" + "\n".join(disasters[:20]) + "\n" + self.log_text()[-8000:]
        finally:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.notify is not None:
                self.notify.close()

    # --- what it says --------------------------------------------------------------------------------------

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log(self):
        return [Record(line) for line in self.log_text().splitlines()]

    def cpu(self):
        """Seconds of processor time used so far, user and system, all threads."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss(self):
        """Resident bytes."""
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # --- the operator --------------------------------------------------------------------------------------

    def ctl_raw(self, *args, timeout=None, socket=None, wrapper=(), env=None):
        """(exit code, stdout, stderr) of mtlsctl."""
        command = [*wrapper, str(self.build / "mtlsctl"), "--socket", socket or self.socket, *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
                              timeout=timeout or PATIENCE + 60, env={**os.environ, **(env or {})})
        return done.returncode, done.stdout, done.stderr

    def ctl(self, *args):
        """The parsed reply of `mtlsctl --json ARGS`; CtlError if it failed."""
        args = [str(arg) for arg in args]
        code, out, err = self.ctl_raw("--json", *args)
        try:
            reply = json.loads(out) if out.strip() else None
        except ValueError as error:
            raise AssertionError(f"mtlsctl --json {' '.join(args)} printed no JSON ({error}): {out!r}") from None
        if code != 0:
            raise CtlError(args, code, err.strip(), reply)
        return reply

    def ctl_text(self, *args):
        """What the operator reads: stdout of mtlsctl without --json."""
        code, out, err = self.ctl_raw(*args)
        if code != 0:
            raise CtlError([str(arg) for arg in args], code, err.strip())
        return out

    def varlink(self, path=None):
        connection = varlink.Varlink(path or self.socket)
        self._closables.append(connection)
        return connection

    def edit(self, **change):
        """Lays a change over the configuration and writes the file (no reload). Lists are replaced whole."""
        if "plugins" in change:
            change["plugins"] = [dict(plugin, path=plugin_path(plugin["path"], self.build))
                                 for plugin in change["plugins"]]
        self.config = document.merge(self.config, change)
        self.write()

    def reload(self):
        """`mtlsctl reload`; CtlError if the file is refused."""
        self._ports = None
        return self.ctl("reload")

    # --- clients -------------------------------------------------------------------------------------------

    def address(self, i=0):
        """(host, port) of a listener, as the daemon reports it."""
        if self._ports is None:
            self._ports = [listener["address"] for listener in self.ctl("status")["listeners"]]
        host, port = self._ports[i].rsplit(":", 1)
        host = host.strip("[]")
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)

    def port(self, i=0):
        return self.address(i)[1]

    def pair(self, cert):
        return self.pki.client(cert) if cert else None

    def client(self, cert="good", version=None, listener=0, timeout=30):
        """A keep-alive client (client.Client). cert: a name of the PKI, None: no certificate."""
        context = mtls_client.make_context(self.pki.ca, self.pair(cert), version)
        made = mtls_client.Client(*self.address(listener), context, timeout=timeout)
        self._closables.append(made)
        return made

    def tls_socket(self, cert="good", version=None, listener=0, timeout=30):
        """A bare TLS connection (client.TlsSocket)."""
        context = mtls_client.make_context(self.pki.ca, self.pair(cert), version)
        made = mtls_client.TlsSocket(self.address(listener), context, timeout=timeout)
        self._closables.append(made)
        return made

    def url(self, path="/", listener=0):
        return f"https://localhost:{self.port(listener)}{path}"

    def curl(self, *args, cert="good", version=None, listener=0, timeout=60):
        """curl with CA and certificate; an argument that begins with "/" becomes the URL. A CompletedProcess."""
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", self.pki.ca,
                   "--resolve", f"localhost:{self.port(listener)}:{self.address(listener)[0]}"]
        if cert:
            certificate, key = self.pair(cert)
            command += ["--cert", certificate, "--key", key]
        if version:
            command += [f"--tlsv{version}", "--tls-max", version]
        command += [self.url(arg, listener) if str(arg).startswith("/") else str(arg) for arg in args]
        return subprocess.run(command, capture_output=True, timeout=timeout, text=True, stdin=subprocess.DEVNULL)

    def load(self, path="/echo", connections=16, method="GET", body=None, headers=None, cert="good", version=None,
             expect=(200,), pause=0, listener=0, timeout=30):
        """Starts a load in the background and returns it (load.Load): .count(), .stop() -> results. It returns when
        every connection had its first answer."""
        host, port = self.address(listener)
        made = mtls_load.Load(dict(host=host, port=port, ca=self.pki.ca, pair=self.pair(cert), version=version,
                                   path=path, connections=connections, method=method, body=body,
                                   headers=headers or {}, expect=list(expect), pause=pause, timeout=timeout))
        self._loads.append(made)
        return made
