# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates, files and sessions that tests of TLS make, and what the daemon says of its sets."""
import datetime
import os
import pathlib
import shutil
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pki import SERVER_AUTH, to_pem, write_private

VERSIONS = ("1.2", "1.3")
DAY = datetime.timedelta(days=1)


def sets(d, state=None):
    return [row for row in d.ctl("tls")["sets"] if state in (None, row["state"])]


def serving(d):
    return sets(d, "serving")[0]


def row(d, table, name="main"):
    return next(row for row in d.ctl("tls")[table] if row["set"] == name)


def replace(path, content):
    """As a careful writer does it: a new file, moved over the old one."""
    fresh = f"{path}.new"
    with open(fresh, "wb") as file:
        file.write(content)
    os.chmod(fresh, 0o600)
    os.rename(fresh, path)


def issue_server(pki, folder, name, key, *, names=("localhost",), until=7 * DAY, authority=None):
    """(certificate, key) paths of a server certificate made for this test."""
    certificate = (authority or pki.authority).issue(name, key, usages=(SERVER_AUTH,), until=until,
                                                     names=[x509.DNSName(word) for word in names])
    path, key_path = folder / f"{name}.pem", folder / f"{name}-key.pem"
    path.write_bytes(to_pem(certificate))
    write_private(key_path, key)
    return str(path), str(key_path)


def new_key(kind):
    return {"rsa": lambda: rsa.generate_private_key(65537, 2048),
            "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
            "ed25519": ed25519.Ed25519PrivateKey.generate}[kind]()


def s_client(d, *more, cert="good", name="localhost", stdin="", listener=0):
    """Output of openssl s_client; it ends with the session unless there is a request to wait for."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{d.port(listener)}", "-CAfile", d.pki.ca, *more]
    command += ["-servername", name] if name else ["-noservername"]
    if cert:
        certificate, key = d.pki.client(cert)
        command += ["-cert", certificate, "-key", key]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, errors="replace")
    return done.stdout + done.stderr


REQUEST = "GET /echo/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def resumed(text):
    return "Reused, TLSv" in text


def answered(text):
    return "HTTP/1.1 200" in text


def version_flag(version):
    return f"-tls{version.replace('.', '_')}"


def full_session(d, session, version, cert="good", **more):
    """A full handshake whose ticket is kept in a file."""
    text = s_client(d, "-ign_eof", version_flag(version), "-sess_out", str(session), cert=cert, stdin=REQUEST, **more)
    assert answered(text) and not resumed(text), text
    return text


def again(d, session, version, cert="good", **more):
    return s_client(d, "-ign_eof", version_flag(version), "-sess_in", str(session), cert=cert, stdin=REQUEST, **more)


class Files:
    """A set's files in a folder of the test's own, as some tool keeps them."""

    def __init__(self, pki, folder, layout):
        self.pki, self.folder, self.layout, self.number = pki, folder, layout, 0
        folder.mkdir(parents=True, exist_ok=True)
        if layout == "plain":
            self.certificate, self.key = str(folder / "cert.pem"), str(folder / "key.pem")
        elif layout == "certbot":
            (folder / "archive").mkdir()
            (folder / "live").mkdir()
            self.certificate, self.key = str(folder / "live" / "cert.pem"), str(folder / "live" / "key.pem")
        else:
            self.certificate, self.key = str(folder / "cert.pem"), str(folder / "key.pem")
        self.install(*pki.server)

    def install(self, certificate, key):
        self.number += 1
        if self.layout == "plain":
            replace(self.key, pathlib.Path(key).read_bytes())
            replace(self.certificate, pathlib.Path(certificate).read_bytes())
        elif self.layout == "certbot":
            for source, link, word in ((certificate, self.certificate, "cert"), (key, self.key, "key")):
                target = self.folder / "archive" / f"{word}{self.number}.pem"
                shutil.copy(source, target)
                fresh = f"{link}.new"
                os.symlink(os.path.relpath(target, os.path.dirname(link)), fresh)
                os.rename(fresh, link)
        else:  # Kubernetes: one link of a folder is moved, and all files change at once
            version = self.folder / f"..version{self.number}"
            version.mkdir()
            shutil.copy(certificate, version / "cert.pem")
            shutil.copy(key, version / "key.pem")
            os.symlink(version.name, self.folder / "..data.new")
            os.rename(self.folder / "..data.new", self.folder / "..data")
            for name in ("cert.pem", "key.pem"):
                if not (self.folder / name).is_symlink():
                    os.symlink(f"..data/{name}", self.folder / name)


def shown_certificate(d):
    with d.client() as client:
        client.get("/echo")
        return client.sock.getpeercert(True)


def der(path):
    return ssl.PEM_cert_to_DER_cert(pathlib.Path(path).read_text())
