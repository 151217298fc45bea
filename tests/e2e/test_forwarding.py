# SPDX-License-Identifier: LGPL-2.1-or-later
"""What plugins learn for passing requests on: the client's certificates as RFC 9440 writes them, whatever a client says
about itself, and the channel binding of RFC 9266."""
import base64
import errno
import pathlib
import socket

import pytest
from OpenSSL import SSL
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
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    wanted = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}[version]
    context.set_min_proto_version(wanted)
    context.set_max_proto_version(wanted)
    certificate, key = d.pki.client()
    context.use_certificate_chain_file(certificate)
    context.use_privatekey_file(key)
    with socket.create_connection(("127.0.0.1", d.port()), timeout=60) as plain:
        plain.settimeout(None)  # OpenSSL reads by itself
        session = SSL.Connection(context, plain)
        session.set_connect_state()
        session.do_handshake()
        session.sendall(b"GET /forward HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"Small: " not in answer:
            answer += session.recv(65536)
        theirs = session.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    assert lines(answer, "Binding") == [f"32 {theirs.hex()}"]
    assert lines(answer, "Small") == [str(-errno.ENOSPC)]


def test_another_connection_has_another_binding(d):
    first, second = (lines(d.client().get("/forward")[2], "Binding")[0] for _ in range(2))
    assert first != second and first.startswith("32 ")
