# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packaged service on a machine: its configuration, its state as systemd tells it, its clients."""
import json
import os
import pathlib
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import client as mtls_client # noqa: E402
import document # noqa: E402
from harness import wait_for # noqa: E402

BUILD = pathlib.Path(os.environ.get("MTLSD_BUILD") or ROOT / "build").resolve()
PACKAGES = pathlib.Path(os.environ.get("MTLSD_PACKAGES") or BUILD / "packages")
UNIT = "mtlsd.service"
DROP_INS = f"/run/systemd/system/{UNIT}.d"
CONFIG = "/etc/mtlsd/mtlsd.yaml"
PORT = 8443
#: A fixture that is the first of its kind when a test asks for it is copied beside the packaged plugins.
PLUGINS = "/usr/lib/x86_64-linux-gnu/mtlsd/plugins"


def packages(*names):
    found = [path for name in names for path in PACKAGES.glob(f"{name}_*.deb")]
    assert len(found) == len(names), f"{PACKAGES} lacks packages; ./dev packages builds them"
    return found


class Service:
    def __init__(self, machine, pki):
        self.machine, self.pki = machine, pki
        self._since = None

    def install(self, *names, paths=None):
        """Packages by name, or files of them. What they depend on is there already."""
        paths = paths or packages(*(names or ("mtlsd", "mtlsctl")))
        self.machine.run("mkdir", "-p", "/run/packages")
        for path in paths:
            self.machine.path(f"/run/packages/{path.name}").write_bytes(path.read_bytes())
        # As an unattended upgrade does: what an operator changed stays.
        self.machine.run("dpkg", "--force-confdef", "--force-confold", "-i",
                         *[f"/run/packages/{path.name}" for path in paths])

    def certificates(self):
        for name, source in (("server.pem", self.pki.server[0]), ("server.key", self.pki.server[1]),
                             ("clients.pem", self.pki.client_ca), ("clients.crl", self.pki.crl)):
            self.machine.write(f"/etc/mtlsd/tls/{name}", pathlib.Path(source).read_bytes(), mode=0o640, group="mtlsd")

    def configure(self, **laid_over):
        """Writes a whole configuration; the arguments are laid over its sections."""
        base = {
            "daemon": {"drain_timeout": "10s"},
            "tls": [{"name": "main", "certificate": "tls/server.pem", "key": "tls/server.key",
                     "client_ca": "tls/clients.pem", "client_crl": "tls/clients.crl", "crl": "required"}],
            "listeners": [{"name": "main", "address": f"127.0.0.1:{PORT}", "tls": "main"}],
            "plugins": [{"name": "echo", "path": "echo.so"}, {"name": "whoami", "path": "whoami.so"}],
            "routes": [{"name": name, "prefix": f"/{name}", "allow": [{"any": True}], "handler": name}
                       for name in ("echo", "whoami")],
        }
        for plugin in laid_over.pop("more_plugins", []):
            self.machine.write(f"{PLUGINS}/{plugin['path']}",
                               (BUILD / "tests/plugins" / plugin["path"]).read_bytes())
            base["plugins"].append(plugin)
            base["routes"].append({"name": plugin["name"], "prefix": f"/{plugin['name']}",
                                   "allow": [{"any": True}], "handler": plugin["name"]})
        self.machine.write(CONFIG, document.write({**base, **laid_over}), mode=0o644)

    def drop_in(self, name, text):
        self.machine.write(f"{DROP_INS}/{name}.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    def packaged_drop_in(self, name):
        self.drop_in(name, self.machine.path(f"/usr/share/doc/mtlsd/examples/drop-ins/{name}.conf").read_text())

    def reset(self):
        """Stopped, with no drop-in, and nothing that systemd would hold against it."""
        self.machine.try_run("systemctl", "stop", "mtlsd.socket", "mtlsd-control.socket", UNIT)
        self.machine.run("rm", "-rf", DROP_INS)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.try_run("systemctl", "reset-failed")
        cursor = self.machine.run("journalctl", "-n", "0", "--show-cursor").strip()
        self._since = cursor.partition("cursor: ")[2] or None
        self.machine.run("sh", "-c", "rm -rf /run/mtlsd; systemd-tmpfiles --create mtlsd.conf")

    # --- what systemd says -------------------------------------------------------------------------------------

    def systemctl(self, *arguments):
        return self.machine.run("systemctl", *arguments)

    def show(self, name):
        return self.machine.run("systemctl", "show", "-P", name, UNIT).strip()

    @property
    def pid(self):
        return int(self.show("MainPID"))

    def start(self):
        self.machine.try_run("systemctl", "reset-failed", UNIT)
        code, _, errors = self.machine.try_run("systemctl", "start", UNIT)
        assert code == 0, errors + self.journal()

    def journal(self):
        """What systemd and the daemon said about the service since the last reset."""
        return self.machine.run("journalctl", "--no-pager", "-o", "short-monotonic", "-u", UNIT,
                                *(["--after-cursor", self._since] if self._since else []))

    def wait_journal(self, text, count=1):
        wait_for(lambda: self.journal().count(text) >= count, f"the journal to say {text!r} {count} times",
                 interval=0.1)

    def ctl(self, *arguments):
        return json.loads(self.machine.run("mtlsctl", "--json", *arguments))

    # --- clients -----------------------------------------------------------------------------------------------

    def context(self):
        return mtls_client.make_context(self.pki.ca, self.pki.client())

    def stranger(self):
        """Of somebody whose authority nobody here knows."""
        return mtls_client.make_context(self.pki.ca, self.pki.client("wrong-ca"), "1.2")

    def get(self, path, port=PORT, context=None, headers=None):
        """(status, body) over a connection of its own."""
        with self.machine.network(), mtls_client.Client("127.0.0.1", port, context or self.context()) as one:
            status, _, body = one.get(path, headers=headers)
            return status, body.decode()


class Storm:
    """Clients that connect, ask once, and connect again, until told to stop. Counts what became of them."""

    def __init__(self, service, clients, path="/whoami", port=PORT):
        self.service, self.path, self.port = service, path, port
        self.served, self.failures = 0, []
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _work(self):
        context = self.service.context()
        with self.service.machine.network():
            while not self._stop.is_set():
                fault = None
                try:
                    with mtls_client.Client("127.0.0.1", self.port, context, timeout=120) as one:
                        status = one.get(self.path)[0]
                    if status != 200:
                        fault = f"status {status}"
                except Exception as error: # pylint: disable=broad-except
                    fault = f"{type(error).__name__}: {error}"
                with self._lock:
                    self.served += fault is None
                    if fault:
                        self.failures.append(fault)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(150)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"
