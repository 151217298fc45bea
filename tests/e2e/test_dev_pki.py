# SPDX-License-Identifier: LGPL-2.1-or-later
"""mtlsctl init-dev-pki: what it makes serves the sample configuration to curl, and nothing is overwritten."""
import stat
import subprocess

import harness
import pytest


def make(folder, *more):
    return subprocess.run([str(harness.BUILD / "mtlsctl"), "init-dev-pki", str(folder), *more], capture_output=True,
                          text=True, check=False)


def curl(d, folder, path, *more):
    return subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert",
                           str(folder / "client/server-ca.pem"),
                           "--resolve", f"localhost:{d.port()}:{d.address()[0]}", *more, d.url(path)],
                          capture_output=True, text=True, check=False)


@pytest.fixture
def served(daemon, tmp_path):
    folder = tmp_path / "tls"
    done = make(folder)
    assert done.returncode == 0, done.stderr
    d = daemon(tls=dict(certificate=str(folder / "server.pem"), key=str(folder / "server.key"),
                        client_ca=str(folder / "clients.pem"), client_crl=str(folder / "clients.crl")),
               routes=[dict(name="whoami", prefix="/whoami", handler="whoami",
                            allow=[dict(uri="spiffe://example.org/*"),
                                   dict(dns="*.clients.example.org", subject="CN=*,O=Example")])])
    return d, folder


def test_curl_is_served(served):
    d, folder = served
    done = curl(d, folder, "/whoami", "--cert", str(folder / "client/client.pem"))
    assert done.returncode == 0, done.stderr
    assert "spiffe://example.org/developer" in done.stdout


def test_the_bundle_for_browsers_has_the_same_client(served):
    d, folder = served
    done = curl(d, folder, "/whoami", "--cert-type", "P12", "--cert", f"{folder}/client/client.p12:mtlsd")
    assert done.returncode == 0, done.stderr
    assert "spiffe://example.org/developer" in done.stdout
    wrong = curl(d, folder, "/whoami", "--cert-type", "P12", "--cert", f"{folder}/client/client.p12:other")
    assert wrong.returncode != 0


def test_keys_are_nobody_elses(tmp_path):
    make(tmp_path / "tls")
    modes = {str(path.relative_to(tmp_path / "tls")): stat.S_IMODE(path.stat().st_mode)
             for path in (tmp_path / "tls").rglob("*")}
    assert modes == {"ca.key": 0o600, "server.key": 0o640, "server.pem": 0o644, "clients.pem": 0o644,
                     "clients.crl": 0o644, "client": 0o700, "client/client.pem": 0o600, "client/client.p12": 0o600,
                     "client/server-ca.pem": 0o644}


def test_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "clients.crl").write_text("mine")
    done = make(folder)
    assert done.returncode == 1
    assert "clients.crl is there already" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["clients.crl"]
    assert (folder / "clients.crl").read_text() == "mine"


def test_names_and_days(tmp_path):
    assert make(tmp_path / "tls", "--names", "a.example,192.0.2.7", "--days", "3").returncode == 0
    shown = subprocess.run(["openssl", "x509", "-in", str(tmp_path / "tls/server.pem"), "-noout", "-ext",
                            "subjectAltName", "-checkend", str(2 * 86400)], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout
    assert "DNS:a.example, IP Address:192.0.2.7" in shown.stdout
    later = subprocess.run(["openssl", "x509", "-in", str(tmp_path / "tls/server.pem"), "-noout", "-checkend",
                            str(4 * 86400)], capture_output=True, text=True, check=False)
    assert later.returncode == 1
    assert make(tmp_path / "tls2", "--days", "0").returncode == 2
