# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that are measured beside each other: mtlsd, nginx, HAProxy and caddy, as Debian packages them.

All have the same certificates, demand a client certificate, serve with two threads or processes, write no access log,
and answer every request with the same 200 bytes. Revocation lists are left out: caddy has none.
"""
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import harness  # noqa: E402

ANSWER = "0123456789" * 20
THREADS = 2
TICKS_PER_MS = 1000000

NGINX = """daemon off;
worker_processes {threads};
pid {folder}/pid;
error_log {folder}/errors warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type text/plain;
    location / {{ return 200 "{answer}"; }}
  }}
}}
"""

HAPROXY = """global
  nbthread {threads}
  maxconn 4000
  stats socket {folder}/stats.sock
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout connect 5s
frontend main
  bind 127.0.0.1:{port} ssl crt {pair} ca-file {ca} verify required alpn http/1.1
  http-request return status 200 content-type text/plain string "{answer}"
"""

CADDY = """{{
  admin unix/{folder}/admin.sock
  auto_https off
  storage file_system {folder}/storage
}}
https://localhost:{port} {{
  bind 127.0.0.1
  tls {certificate} {key} {{
    client_auth {{
      mode require_and_verify
      trusted_ca_cert_file {ca}
    }}
  }}
  respond "{answer}" 200
}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def children(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


class Server:
    """One server under measurement; subclasses say how it is started and reloaded."""

    def __init__(self, pki, folder):
        self.pki, self.folder, self.process = pki, pathlib.Path(folder), None
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)

    def fill(self, text):
        pair = self.folder / "pair.pem"
        pair.write_bytes(b"".join(pathlib.Path(path).read_bytes() for path in self.pki.server))
        pair.chmod(0o600)
        return text.format(folder=self.folder, port=self.port, certificate=self.pki.server[0], key=self.pki.server[1],
                           pair=pair, ca=self.pki.client_ca, answer=ANSWER, threads=THREADS)

    def start(self):
        self.port = free_port()
        self.config = self.folder / "config"
        self.config.write_text(self.fill(self.text))
        with open(self.folder / "log", "ab") as log:
            # A session of its own, as the harness gives mtlsd: the kernel shares out the processor by sessions.
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True,
                                            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder)})
        limit = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > limit:
                    raise SystemExit(f"{self.name} does not start:\n{(self.folder / 'log').read_text()}") from None
                time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    stop_signal = signal.SIGTERM

    @property
    def pid(self):
        return self.process.pid

    def cpu(self):
        """Milliseconds of processor time of all its processes and threads."""
        total = 0
        for pid in children(self.pid):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / TICKS_PER_MS

    def memory(self):
        """KiB resident, what is shared divided by its sharers."""
        total = 0
        for pid in children(self.pid):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total


class Nginx(Server):
    name, package, text, stop_signal = "nginx", "nginx", NGINX, signal.SIGTERM

    def command(self):
        return ["nginx", "-p", str(self.folder), "-c", str(self.config)]

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class Haproxy(Server):
    name, package, text, stop_signal = "haproxy", "haproxy", HAPROXY, signal.SIGTERM

    def command(self):
        return ["haproxy", "-W", "-f", str(self.config)]

    def reload(self):
        self.process.send_signal(signal.SIGUSR2)


class Caddy(Server):
    name, package, text = "caddy", "caddy", CADDY

    def command(self):
        return ["caddy", "run", "--config", str(self.config), "--adapter", "caddyfile"]

    def reload(self):
        subprocess.run(["caddy", "reload", "--config", str(self.config), "--adapter", "caddyfile", "--address",
                        f"unix/{self.folder}/admin.sock", "--force"], check=True, capture_output=True,
                       env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder)})


class Mtlsd(Server):
    name = "mtlsd"

    def start(self):
        self.daemon = harness.Daemon(
            self.pki, self.folder / "d", plugins=[dict(name="bench", path="echo.so", config=dict(prefix=ANSWER))],
            tls=dict(crl="off"), settings=dict(threads=THREADS, log_level="warning"),
            limits=dict(connections_per_address=10000, idle_timeout="10min"))
        self.daemon.start()
        self.port = self.daemon.port()

    def stop(self):
        self.daemon.finish()

    @property
    def pid(self):
        return self.daemon.pid

    def reload(self):
        self.daemon.reload()


ALL = [Mtlsd, Nginx, Haproxy, Caddy]


def missing():
    """Those that are not installed."""
    return [peer.package for peer in ALL[1:] if not shutil.which(peer.package, path="/usr/sbin:/usr/bin")]
