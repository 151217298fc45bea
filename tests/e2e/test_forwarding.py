# SPDX-License-Identifier: LGPL-2.1-or-later
"""What plugins learn for passing requests on: the client's certificates as RFC 9440 writes them, whatever a client says
about itself, and the channel binding of RFC 9266."""
import base64
import pathlib
import re
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import harness


@pytest.fixture(scope="module")
def d(pki, tmp_path_factory):
    daemon = harness.Daemon(pki, tmp_path_factory.mktemp("forward"), plugins=[dict(name="forward", path="forward.so")])
    daemon.start()
    yield daemon
    daemon.finish()


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def lines(text, name):
    return [line.partition(": ")[2] for line in text.decode().splitlines() if line.startswith(name + ": ")]


def decoded(field):
    assert field[0] == field[-1] == ":"
    return base64.b64decode(field[1:-1], validate=True)


def test_the_certificate_travels(d):
    for _ in range(2):  # written at the first question, kept for the next
        status, _, body = d.client().get("/forward")
        assert status == 200
        assert [decoded(field) for field in lines(body, "Client-Cert")] == [der(d.pki.certificate())]
        # OpenSSL sends the CA along where it knows it.
        assert [decoded(field) for field in lines(body, "Client-Cert-Chain")] in \
            ([], [der(d.pki.authority.certificate)])
        assert lines(body, "Purpose") == ["1.3.6.1.5.5.7.3.2"]


def test_the_chain_travels_in_order(d):
    end = b"-----END CERTIFICATE-----\n"
    text = pathlib.Path(d.pki.client("intermediate")[0]).read_bytes()
    sent = [x509.load_pem_x509_certificate(part + end) for part in text.split(end) if part.strip()]
    body = d.client("intermediate").get("/forward")[2]
    got = [decoded(field) for field in lines(body, "Client-Cert") + lines(body, "Client-Cert-Chain")]
    assert got[:2] == [der(certificate) for certificate in sent] and len(sent) == 2
    assert got[2:] in ([], [der(d.pki.authority.certificate)])


@pytest.mark.parametrize("name", ("Client-Cert", "client-cert", "CLIENT-CERT-CHAIN", "Client-Cert-Chain"))
def test_what_a_client_says_of_itself_is_removed(d, name):
    body = d.client().get("/forward", headers={name: ":bGllcw==:", "X-Client-Cert": "stays"})[2]
    assert lines(body, f"got {name}") == [] and b"bGllcw" not in body
    assert len(lines(body, "Client-Cert")) == 1


@pytest.mark.parametrize("version", ("1.2", "1.3"))
def test_both_ends_have_the_same_binding(d, version):
    certificate, key = d.pki.client()
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{d.port()}", "-servername", "localhost", "-CAfile", d.pki.ca,
         "-cert", certificate, "-key", key, f"-tls{version.replace('.', '_')}", "-ign_eof",
         "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"],
        input="GET /forward HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", capture_output=True, text=True,
        timeout=60)
    theirs = re.search(r"Keying material: ([0-9A-F]{64})", done.stdout).group(1).lower()
    ours = re.search(r"Binding: (-?\d+) ([0-9a-f]*)", done.stdout)
    assert ours.group(1) == "32" and ours.group(2) == theirs
    assert "Small: -28" in done.stdout  # ENOSPC


def test_another_connection_has_another_binding(d):
    first, second = (lines(d.client().get("/forward")[2], "Binding")[0] for _ in range(2))
    assert first != second and first.startswith("32 ")
