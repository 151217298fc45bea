# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers that mean no good: whatever they send, they are ended, counted by what they did, and others are served.

Clients that merely stall are in test_deadlines.py, heads with two readings in test_smuggling.py.
"""
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import ssl
import subprocess

import client as mtls_client
import pytest
from harness import wait_for
from test_deadlines import client_hello

HERE = pathlib.Path(__file__).resolve().parent


def status(d):
    return d.ctl("status")


def serves(d):
    with d.client() as client:
        return client.get("/echo")[0] == 200


def ended(sock):
    """What the peer hears until the end, a reset included."""
    heard = b""
    sock.settimeout(60)
    try:
        while data := sock.recv(65536):
            heard += data
    except ConnectionError:
        pass
    return heard


# --- before the handshake ends -------------------------------------------------------------------------------------

def record(kind, body, length=None):
    return bytes([kind]) + b"\x03\x01" + (len(body) if length is None else length).to_bytes(2, "big") + body


def hello_with(extension):
    """A ClientHello with one more extension of that many bytes."""
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    extensions = b"\xff\x77" + len(extension).to_bytes(2, "big") + extension
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"".join(record(22, message[at:at + 16384]) for at in range(0, len(message), 16384))


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(4096),
    "noise": random.Random(1).randbytes(4096),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(64),
    "record-too-long": record(22, b"\x01" + bytes(70), 65535) + bytes(66000),
    "no-such-record": record(99, bytes(100)),
    "data-first": record(23, bytes(100)),
    "alert-first": record(21, b"\x02\x28"),
    "hello-of-16-MiB": record(22, b"\x01\xff\xff\xff" + bytes(1000)) + record(22, bytes(16384)) * 8,
    "hello-with-nothing": record(22, b"\x01\x00\x00\x00"),
    "hello-cut": record(22, b"\x01\x00\x00\x20" + bytes(32)),
    "extension-of-60-KiB": hello_with(bytes(60 * 1024)),
    "certificate-first": record(22, b"\x0b\x00\x00\x03\x00\x00\x00"),
    "ssl-2-hello": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_instead_of_a_handshake(module_hostile, name):
    d = module_hostile
    before = status(d)["handshakes"]
    with socket.create_connection(d.address(), timeout=60) as sock:
        try:
            sock.sendall(GARBAGE[name])
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # ended in the middle of it
        ended(sock)
    wait_for(lambda: status(d)["connections"]["open"] == 0, "the connection to be gone")
    after = status(d)["handshakes"]
    assert after["refused"]["protocol"] == before["refused"]["protocol"] + 1
    assert (after["full"], after["resumed"]) == (before["full"], before["resumed"])
    assert serves(d)
    wait_for(lambda: status(d)["connections"]["open"] == 0, "our own client to be gone")


@pytest.fixture(scope="module")
def module_hostile(module_daemon):
    return module_daemon(limits=dict(handshake_timeout="30s", body_size="64KiB"))


def test_half_close_in_the_handshake(module_hostile):
    """Whoever stops sending in the middle of the handshake is dropped at once, not at the deadline."""
    d = module_hostile
    before = status(d)["handshakes"]["refused"]["protocol"]
    hello = client_hello(d.pki.ca)
    for part in (hello[:50], hello):
        with socket.create_connection(d.address(), timeout=60) as sock:
            sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
            ended(sock)
    wait_for(lambda: status(d)["connections"]["open"] == 0, "both connections to be gone")
    assert status(d)["handshakes"]["refused"]["protocol"] == before + 2
    assert status(d)["timeouts"]["handshake"] == 0


def chain_of(d, count, tmp_path):
    """The good client with an issuer that often behind it."""
    certificate, key = d.pki.client()
    path = tmp_path / f"chain-{count}.pem"
    path.write_bytes(pathlib.Path(certificate).read_bytes() + pathlib.Path(d.pki.ca).read_bytes() * count)
    return str(path), key


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("count", [30, 200])  # more than is looked at; more than is taken in at all
def test_oversized_chain(module_hostile, tmp_path, version, count):
    d = module_hostile
    before = status(d)["handshakes"]
    context = mtls_client.make_context(d.pki.ca, chain_of(d, count, tmp_path), version)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with socket.create_connection(d.address(), timeout=60) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as sock:
                sock.sendall(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if not sock.recv(1):
                    raise ConnectionError("closed")
    wait_for(lambda: status(d)["connections"]["open"] == 0, "the connection to be gone")
    after = status(d)["handshakes"]
    assert after["full"] == before["full"]
    assert after["refused_total"] == before["refused_total"] + 1
    assert serves(d)


def test_refused_clients_that_keep_writing_learn_why(daemon):
    """A TLS 1.3 client believes it is through: only if we linger does its kernel keep our alert."""
    d = daemon()
    context = mtls_client.make_context(d.pki.ca, d.pair("wrong-ca"), "1.3")
    told = 0
    for _ in range(20):
        with socket.create_connection(d.address(), timeout=60) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as sock:
                try:
                    for _ in range(50):
                        sock.sendall(bytes(1000))
                        select.select([], [], [], 0.001)  # a client that has more to say every moment
                    sock.recv(1)
                except ssl.SSLError as error:
                    told += error.reason in ("TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_CERTIFICATE_UNKNOWN")
                except OSError:
                    # The write failed; what was said before is still there to be read.
                    try:
                        sock.recv(1)
                    except ssl.SSLError as error:
                        told += error.reason == "TLSV1_ALERT_UNKNOWN_CA"
                    except OSError:
                        pass
    assert told == 20
    assert status(d)["handshakes"]["refused"]["unknown-ca"] == 20


# --- behind it -----------------------------------------------------------------------------------------------------

def test_renegotiation_is_refused(daemon):
    d = daemon()
    certificate, key = d.pki.client()
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % d.address(), "-tls1_2", "-CAfile", d.pki.ca,
                           "-cert", certificate, "-key", key, "-legacy_renegotiation"],
                          input="R\n", capture_output=True, text=True, timeout=60)
    assert "RENEGOTIATING" in done.stdout + done.stderr
    wait_for(lambda: status(d)["connections"]["renegotiations"] == 1, "a counted renegotiation")
    wait_for(lambda: status(d)["connections"]["open"] == 0, "the connection to be gone")
    assert status(d)["handshakes"]["full"] == 1
    assert serves(d)


def test_a_record_that_was_tampered_with(daemon):
    """Somebody on the way changes a byte: the request is never seen."""
    d = daemon()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = mtls_client.make_context(d.pki.ca, d.pki.client()).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(d.address(), timeout=60) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        sock.sendall(outgoing.read())
        tls.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sent = bytearray(outgoing.read())
        sent[-1] ^= 1
        sock.sendall(sent)
        ended(sock)
    wait_for(lambda: status(d)["connections"]["bad_records"] == 1, "a counted broken record")
    assert status(d)["requests"] == 0
    assert serves(d)


def test_half_close_behind_a_request_still_gets_the_answer(daemon):
    d = daemon()
    with socket.create_connection(d.address(), timeout=60) as raw:
        with mtls_client.make_context(d.pki.ca, d.pki.client()).wrap_socket(raw, server_hostname="localhost") as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
            socket.socket.shutdown(sock, socket.SHUT_WR)
            assert ended(sock).endswith(b"hello")
    wait_for(lambda: status(d)["connections"]["open"] == 0, "the connection to be gone")


def test_half_close_inside_a_head_or_body(daemon):
    d = daemon()
    for part in (b"GET /echo HT", b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nhello"):
        connection = d.tls_socket()
        connection.send(part)
        connection.sock.shutdown(socket.SHUT_WR)
        assert b" 200 " not in connection.receive_all()
    wait_for(lambda: status(d)["connections"]["open"] == 0, "both connections to be gone")
    assert sum(status(d)["timeouts"].values()) == 0


# --- crowds --------------------------------------------------------------------------------------------------------

def connect_many(d, count, source="127.0.0.1"):
    made = []
    for _ in range(count):
        sock = socket.socket()
        sock.settimeout(60)
        sock.bind((source, 0))
        sock.connect(d.address())
        made.append(sock)
    return made


def test_thousands_of_connections_from_one_address(daemon):
    d = daemon(limits=dict(connections_per_address=50, handshake_timeout="120s"))
    crowd = connect_many(d, 2000)
    wait_for(lambda: status(d)["connections"]["refused_address_limit"] == 1950, "all but 50 to be turned away")
    assert status(d)["connections"]["open"] == 50
    # Another address is served all the while, and so is this one when the crowd has gone.
    context = mtls_client.make_context(d.pki.ca, d.pki.client())
    with socket.create_connection(d.address(), timeout=60, source_address=("127.0.0.2", 0)) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as sock:
            sock.sendall(b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b" 200 " in ended(sock)
    for sock in crowd:
        sock.close()
    wait_for(lambda: status(d)["connections"]["open"] == 0, "the crowd to be gone")
    assert serves(d)


def test_more_addresses_than_there_is_room_for(daemon):
    d = daemon(limits=dict(connections=100, connections_per_address=10, handshake_timeout="120s"))
    crowd = [sock for last in range(2, 17) for sock in connect_many(d, 10, f"127.0.1.{last}")]
    wait_for(lambda: status(d)["connections"]["refused_total_limit"] == 50, "all but 100 to be turned away")
    assert status(d)["connections"]["refused_address_limit"] == 0
    for sock in crowd:
        sock.close()
    wait_for(lambda: status(d)["connections"]["open"] == 0, "the crowd to be gone")
    assert serves(d)


def test_a_crowd_of_handshakes_takes_turns(daemon):
    """More begin than may be worked on at once: they wait, none is lost, and established connections are served."""
    d = daemon(limits=dict(handshake_timeout="120s"))
    established = d.client()
    assert established.get("/echo")[0] == 200
    hello = client_hello(d.pki.ca)
    d.address()  # is asked of the daemon, which now stands still until all of them are there
    os.kill(d.pid, signal.SIGSTOP)
    try:
        crowd = connect_many(d, 300)
        for sock in crowd:
            sock.sendall(hello)
    finally:
        os.kill(d.pid, signal.SIGCONT)
    assert established.get("/echo")[0] == 200
    for sock in crowd:
        assert sock.recv(5)[:1] == b"\x16", "no answer to a hello"
    wait_for(lambda: status(d)["connections"]["queued"] == 0, "all to have had their turn")
    assert status(d)["connections"]["queued_total"] > 0, "nobody ever had to wait"
    assert established.connects == 1
    for sock in crowd:
        sock.close()
    wait_for(lambda: status(d)["connections"]["open"] == 1, "the crowd to be gone")


# --- tools made for it ---------------------------------------------------------------------------------------------

def preloaded(d, tmp_path):
    """An environment in which OpenSSL's programs show the good client's certificate."""
    library, pair = tmp_path / "client-certificate.so", tmp_path / "pair.pem"
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", str(library), str(HERE / "client-certificate.c")],
                   check=True)
    pair.write_bytes(b"".join(pathlib.Path(path).read_bytes() for path in d.pki.client()))
    return {**os.environ, "LD_PRELOAD": str(library), "CLIENT_CERTIFICATE": str(pair)}


def plain_url(d):
    """It tries the first address of a name only, which may be ::1."""
    return d.url("/echo").replace("localhost", d.address()[0])


@pytest.mark.skipif(not shutil.which("slowhttptest"), reason="slowhttptest is not installed")
@pytest.mark.parametrize("mode,deadline", [("-H", "header"), ("-B", "body")], ids=["headers", "bodies"])
def test_slowhttptest(daemon, tmp_path, mode, deadline):
    d = daemon(limits=dict(header_timeout="2s", body_timeout="2s", idle_timeout="30s"))
    done = subprocess.run(["slowhttptest", mode, "-c", "100", "-r", "100", "-i", "1", "-l", "120", "-p", "60",
                           "-u", plain_url(d)], capture_output=True, text=True, timeout=180,
                          env=preloaded(d, tmp_path))
    said = done.stdout
    assert "No open connections left" in said, said[-2000:]
    assert "NO" not in said.rpartition("service available:")[2].split("\n")[0], said[-2000:]
    wait_for(lambda: status(d)["connections"]["open"] == 0, "all connections to be gone")
    assert status(d)["timeouts"][deadline] == 100
    assert serves(d)


@pytest.mark.skipif(not shutil.which("slowhttptest"), reason="slowhttptest is not installed")
def test_slowhttptest_slow_readers(daemon, tmp_path):
    d = daemon(plugins=[dict(name="echo", path="echo.so", config=dict(prefix="x" * 200))],
               limits=dict(write_timeout="5s", idle_timeout="5s", header_timeout="5s"))
    done = subprocess.run(["slowhttptest", "-X", "-c", "50", "-r", "50", "-k", "3", "-w", "10", "-y", "20", "-n", "1",
                           "-z", "5", "-l", "120", "-p", "60", "-u", plain_url(d)], capture_output=True, text=True,
                          timeout=180, env=preloaded(d, tmp_path))
    assert "NO" not in done.stdout.rpartition("service available:")[2].split("\n")[0], done.stdout[-2000:]
    assert status(d)["connections"]["accepted"] >= 50, done.stdout[-2000:]
    wait_for(lambda: status(d)["connections"]["open"] == 0, "all connections to be gone")
    assert serves(d)


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("testssl"), reason="testssl.sh is not installed")
def test_testssl(daemon, tmp_path):
    d = daemon()
    findings = tmp_path / "findings.json"
    subprocess.run(["testssl", "--quiet", "--warnings", "batch", "--color", "0", "-n", "none", "--jsonfile",
                    str(findings), "-p", "-s", "-P", "-f", "-U", f"localhost:{d.port()}"], capture_output=True,
                   text=True, timeout=1200, cwd=tmp_path)
    found = {finding["id"]: finding for finding in json.loads(findings.read_text())}
    # What it cannot test without a client certificate is tested above, by name.
    untested = {"secure_client_renego", "BREACH"}
    bad = {name: finding for name, finding in found.items()
           if finding["severity"] not in ("OK", "INFO", "DEBUG") and name not in untested}
    assert not bad, json.dumps(bad, indent=1)
    for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert found[name]["finding"].startswith("not offered"), found[name]
    for name in ("TLS1_2", "TLS1_3"):
        assert found[name]["finding"].startswith("offered"), found[name]
    for name in ("heartbleed", "CCS", "ticketbleed", "ROBOT", "CRIME_TLS", "POODLE_SSL", "SWEET32", "FREAK", "LOGJAM",
                 "BEAST", "LUCKY13", "RC4"):
        assert found[name]["severity"] == "OK", found[name]
    assert serves(d)
