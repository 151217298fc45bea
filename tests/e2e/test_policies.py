# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is let in no more, while connections are open, handshakes under way and tickets warm."""
import datetime
import http.client
import pathlib
import socket
import ssl

import harness
import pytest
from client import Crowd
from cryptography.hazmat.primitives.asymmetric import ec
from harness import wait_for
from pki import NOW, to_pem, write_private
from tls_tools import again, answered, full_session, replace, REQUEST, resumed, row, s_client, version_flag, VERSIONS


def epoch(d):
    return row(d, "resumption")["epoch"]


@pytest.mark.parametrize("version", VERSIONS)
def test_revoked_while_open(daemon, pki, version, tmp_path):
    """The connection is closed within a second of the change, its ticket worth nothing, and nobody else is touched."""
    crl = tmp_path / "crl.pem"
    leaver = f"open-leaver-{version}"
    pki.client(leaver)
    crl.write_bytes(pathlib.Path(pki.crl).read_bytes())
    d = daemon(tls=dict(client_crl=str(crl)))
    session, stayer_session = tmp_path / "session", tmp_path / "stayer"
    full_session(d, session, version, cert=leaver)
    full_session(d, stayer_session, version)
    assert resumed(again(d, session, version, cert=leaver))
    client, stayer = d.client(leaver, version=version), d.client(version=version)
    assert client.get("/echo")[0] == 200 and stayer.get("/echo")[0] == 200
    before = epoch(d)

    client.sock.settimeout(30)
    fresh = pki.write_crl(f"open-{version}.pem", leaver)
    replace(crl, pathlib.Path(fresh).read_bytes())
    # The end arrives by itself: nothing is sent on the connection.
    try:
        assert client.sock.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        pass
    noticed = wait_for(lambda: [line for line in d.log() if "policy changed" in line], "the record")[0]
    assert "revoked 1" in noticed
    assert d.ctl("tls")["cut"] == {"revoked": 1}
    assert epoch(d) == before + 1

    refused = again(d, session, version, cert=leaver)
    assert not answered(refused) and not resumed(refused), refused
    assert not answered(s_client(d, "-ign_eof", version_flag(version), cert=leaver, stdin=REQUEST))
    # Who stays keeps the connection; tickets of the old policy cost one full handshake.
    assert stayer.get("/echo")[0] == 200 and stayer.connects == 1
    kept = again(d, stayer_session, version)
    assert answered(kept) and not resumed(kept), kept
    full_session(d, stayer_session, version)
    assert resumed(again(d, stayer_session, version))


def test_revoked_while_a_resumed_session_is_open(daemon, pki, tmp_path):
    """Who came in by a ticket is known as well as who came in by a full handshake."""
    crl = tmp_path / "crl.pem"
    crl.write_bytes(pathlib.Path(pki.crl).read_bytes())
    d = daemon(tls=dict(client_crl=str(crl)))
    context = harness.mtls_client.make_context(pki.ca, pki.client("resumed-leaver"), "1.2")
    with harness.mtls_client.Client(*d.address(), context) as first:
        assert first.get("/echo")[0] == 200
        session = first.sock.session
    with harness.mtls_client.Client(*d.address(), context) as client:
        client.session = session
        assert client.get("/echo")[0] == 200 and client.sock.session_reused
        replace(crl, pathlib.Path(pki.write_crl("resumed.pem", "resumed-leaver")).read_bytes())
        d.ctl("reload", "tls")
        assert d.ctl("tls")["cut"] == {"revoked": 1}


class HeldHandshake:
    """A handshake whose last message is not sent before finish(): the client's Finished, by which the daemon lets it
    in. OpenSSL does the work in memory; its records are carried by hand."""

    def __init__(self, d, context, version, session=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost", session=session)
        self.raw = socket.create_connection(d.address(), timeout=harness.PATIENCE)
        self.held = None
        while self.held is None:
            done = self.step()
            records = list(self.records())
            # TLS 1.2: from ChangeCipherSpec on. 1.3: the last record of the last flight.
            cut = next((index for index, record in enumerate(records) if record[0] == 20), None)
            if version == "1.3":
                cut = len(records) - 1 if done else None
            if cut is not None:
                self.held = b"".join(records[cut:])
                records = records[:cut]
            self.raw.sendall(b"".join(records))
            if self.held is None:
                self.receive()

    def step(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def records(self):
        data = self.outgoing.read()
        while data:
            length = 5 + int.from_bytes(data[3:5], "big")
            yield data[:length]
            data = data[length:]

    def receive(self):
        data = self.raw.recv(65536)
        self.incoming.write(data) if data else self.incoming.write_eof()
        return bool(data)

    def finish(self):
        """Sends what was held and a request. The answer's first line, or why there is none."""
        self.raw.sendall(self.held)
        try:
            while not self.step():
                self.receive()
            self.tls.write(REQUEST.encode())
            self.raw.sendall(self.outgoing.read())
            while True:
                try:
                    return self.tls.read().partition(b"\r\n")[0].decode()
                except ssl.SSLWantReadError:
                    self.receive()
        except (ssl.SSLError, ConnectionError) as error:
            return str(error)
        finally:
            self.raw.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", ("revoked", "reissued", "authority"))
def test_a_policy_that_changes_during_a_handshake(daemon, pki, change, version, tmp_path):
    """The client's chain was proved, its handshake is not over, and the policy changes: it is judged by the new one."""
    crl, ca = tmp_path / "crl.pem", tmp_path / "ca.pem"
    leaver = f"half-leaver-{version}"
    pki.client(leaver)
    crl.write_bytes(pathlib.Path(pki.crl).read_bytes())
    ca.write_bytes(pathlib.Path(pki.client_ca).read_bytes() + pathlib.Path(pki.other_ca).read_bytes())
    settings = dict(client_crl=None, crl="off") if change == "authority" else dict(client_crl=str(crl))
    d = daemon(tls=dict(client_ca=str(ca), **settings))
    before = epoch(d)
    pair = pki.client("wrong-ca" if change == "authority" else leaver)
    held = HeldHandshake(d, harness.mtls_client.make_context(pki.ca, pair, version), version)
    wait_for(lambda: row(d, "clients")["chains"] == 1, "the proof of the chain")
    if change == "authority":
        replace(ca, pathlib.Path(pki.client_ca).read_bytes())
    else:
        revoked = [leaver] if change == "revoked" else ["no-names"]
        replace(crl, pathlib.Path(pki.write_crl(f"half-{change}-{version}.pem", *revoked)).read_bytes())
    d.ctl("reload", "tls")
    assert epoch(d) == before + 1
    answer = held.finish()
    refused = {name: count for name, count in d.ctl("status")["handshakes"]["refused"].items() if count}
    if change == "reissued":
        assert answer == "HTTP/1.1 200 OK" and refused == {}
    else:
        words = dict(revoked="certificate revoked", authority="unknown ca")[change]
        reason = dict(revoked="revoked", authority="unknown-ca")[change]
        assert words in answer and refused == {reason: 1}
        assert d.ctl("show", "echo")["requests"]["total"] == 0


def test_revoked_while_a_session_is_being_resumed(daemon, pki, tmp_path):
    """Its ticket was opened by the policy of before; what counts is the one in force when the handshake ends."""
    crl = tmp_path / "crl.pem"
    crl.write_bytes(pathlib.Path(pki.crl).read_bytes())
    pki.client("half-resumed")
    d = daemon(tls=dict(client_crl=str(crl)))
    context = harness.mtls_client.make_context(pki.ca, pki.client("half-resumed"), "1.3")
    with harness.mtls_client.Client(*d.address(), context) as first:
        assert first.get("/echo")[0] == 200
        session = first.sock.session
    held = HeldHandshake(d, context, "1.3", session)
    replace(crl, pathlib.Path(pki.write_crl("half-resumed.pem", "half-resumed")).read_bytes())
    d.ctl("reload", "tls")
    assert "certificate revoked" in held.finish()
    assert d.ctl("status")["handshakes"]["refused"]["revoked"] == 1
    assert d.ctl("status")["handshakes"]["resumed"] == 0


def test_how_soon_a_revoked_connection_is_closed(daemon, pki, tmp_path):
    """Times by the daemon's own log would be circular: the client measures, generously, from the file's change."""
    crl = tmp_path / "crl.pem"
    crl.write_bytes(pathlib.Path(pki.crl).read_bytes())
    d = daemon(tls=dict(client_crl=str(crl)))
    clients = []
    for index in range(20):
        name = f"crowd-{index}"
        pki.client(name)
        clients.append(d.client(name))
    assert all(client.get("/echo")[0] == 200 for client in clients)
    fresh = pki.write_crl("crowd.pem", *[f"crowd-{index}" for index in range(10)])
    replace(crl, pathlib.Path(fresh).read_bytes())
    reply = d.ctl("reload", "tls")  # or the watch was first; either way it is done when this is
    assert d.ctl("tls")["cut"] == {"revoked": 10}, reply
    assert all(client.get("/echo")[0] == 200 for client in clients[10:])
    assert all(client.connects == 1 for client in clients[10:])


@pytest.mark.parametrize("busy", (False, True))
def test_an_authority_that_leaves_takes_its_clients_along(daemon, pki, busy, tmp_path):
    """busy: in the middle of a request."""
    both = tmp_path / "ca.pem"
    both.write_bytes(pathlib.Path(pki.client_ca).read_bytes() + pathlib.Path(pki.other_ca).read_bytes())
    d = daemon(plugins=[dict(name="echo", path="echo.so"), dict(name="slow", path="slow.so",
                                                                      config=dict(gate=str(tmp_path / "never")))],
               tls=dict(client_ca=str(both), client_crl=None, crl="off"))
    good, other = d.client(), d.client("wrong-ca")
    assert good.get("/echo")[0] == 200 and other.get("/echo")[0] == 200
    if busy:
        request = Crowd(1, lambda _: other.get("/slow"))
        wait_for(lambda: d.ctl("show", "slow")["requests"]["inflight"] == 1, "the request to begin")
    replace(both, pathlib.Path(pki.client_ca).read_bytes())
    d.ctl("reload", "tls")
    assert d.ctl("tls")["cut"] == {"unknown-ca": 1}
    assert good.get("/echo")[0] == 200 and good.connects == 1
    with pytest.raises((OSError, http.client.HTTPException)):
        if busy:
            request.results()
        else:
            other.get("/echo")
            other.get("/echo")
    # The chain was proved again with the new authorities, which remember it.
    assert row(d, "clients")["chains"] == 1


def test_rules_that_change(daemon, tmp_path):
    d = daemon()
    session = tmp_path / "session"
    full_session(d, session, "1.3")
    good, other = d.client(), d.client("no-names")
    assert good.get("/echo")[0] == 200 and other.get("/echo")[0] == 200
    d.edit(routes=[dict(route, allow=[dict(dns="client.example.org")]) for route in d.config["routes"]])
    d.reload()
    assert d.ctl("tls")["cut"] == {"not-allowed": 1}
    assert good.get("/echo")[0] == 200 and good.connects == 1
    text = again(d, session, "1.3")
    assert answered(text) and not resumed(text)


def test_a_list_that_is_only_issued_again_changes_nothing(daemon, pki, tmp_path):
    crl = tmp_path / "crl.pem"
    crl.write_bytes(pathlib.Path(pki.write_crl("again-1.pem")).read_bytes())
    d = daemon(tls=dict(client_crl=str(crl)))
    session = tmp_path / "session"
    full_session(d, session, "1.3")
    before = epoch(d)
    replace(crl, pathlib.Path(pki.write_crl("again-2.pem")).read_bytes())
    wait_for(lambda: any("certificate files are in use" in line for line in d.log()), "the new list")
    assert epoch(d) == before
    assert resumed(again(d, session, "1.3"))


def test_a_certificate_that_expires_while_open(daemon, pki, tmp_path):
    """Looked for every ten seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    moment = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - NOW + datetime.timedelta(seconds=8)
    certificate = pki.authority.issue("brief", key, until=moment)
    path, key_path = tmp_path / "brief.pem", tmp_path / "brief-key.pem"
    path.write_bytes(to_pem(certificate))
    write_private(key_path, key)
    d = daemon()
    context = harness.mtls_client.make_context(pki.ca, (str(path), str(key_path)))
    with harness.mtls_client.Client(*d.address(), context) as client:
        assert client.get("/echo")[0] == 200
        wait_for(lambda: d.ctl("tls")["cut"] == {"expired": 1}, "the end of the certificate")
        client.sock.settimeout(30)
        try:
            assert client.sock.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            pass
