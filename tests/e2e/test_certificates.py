# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who gets through the handshake: every kind of client certificate, TLS 1.2 and 1.3, curl, openssl and gnutls-cli."""
import re
import socket
import ssl
import subprocess

import harness
import pytest
from harness import wait_for

VERSIONS = ("1.2", "1.3")
TOOLS = ("curl", "openssl", "gnutls-cli")

#: certificate -> (the daemon's word for the refusal, alerts by version). Numbers of RFC 8446, 6.
REFUSED = {
    None: ("no_certificate", {"1.2": {40}, "1.3": {116}}),
    "wrong-ca": ("unknown_ca", {"1.2": {48}, "1.3": {48}}),
    "expired": ("expired", {"1.2": {45}, "1.3": {45}}),
    "not-yet-valid": ("not_yet_valid", {"1.2": {42, 45}, "1.3": {42, 45}}),
    "revoked": ("revoked", {"1.2": {44}, "1.3": {44}}),
    "server-eku": ("bad_purpose", {"1.2": {42, 43}, "1.3": {42, 43}}),
}
ACCEPTED = ("good", "no-eku", "intermediate", "no-names")

#: OpenSSL's words for the alerts, where a client shows no number.
ALERT_WORDS = {40: "handshake failure", 42: "bad certificate", 43: "unsupported certificate", 44: "certificate revoked",
               45: "certificate expired", 48: "unknown ca", 116: "certificate required"}

REQUEST = "GET /never/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Outcome:
    """What a client saw: the text of the answer if there was one, and the alert number if it shows one."""

    def __init__(self, answered, alert, text):
        self.answered, self.alert, self.text = answered, alert, text


def run(command, stdin=None):
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, errors="replace")


def with_curl(d, cert, version, *more):
    done = d.curl("--include", "/never/x", *more, cert=cert, version=version)
    alert = next((number for number, words in ALERT_WORDS.items() if f"alert {words}" in done.stderr), None)
    return Outcome("HTTP/1.1 200" in done.stdout, alert, done.stdout + done.stderr)


def with_openssl(d, cert, version, *more):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{d.port()}", "-servername", "localhost", "-CAfile",
               d.pki.ca, "-ign_eof", f"-tls{version.replace('.', '_')}", *more]
    if cert:
        certificate, key = d.pki.client(cert)
        # The whole file: the leaf and what stands above it.
        command += ["-cert", certificate, "-key", key, "-cert_chain", certificate]
    done = run(command, REQUEST)
    number = re.search(r"SSL alert number (\d+)", done.stderr)
    return Outcome("HTTP/1.1 200" in done.stdout, number and int(number.group(1)), done.stdout + done.stderr)


def with_gnutls_cli(d, cert, version, *more):
    command = ["gnutls-cli", "--port", str(d.port()), "--x509cafile", d.pki.ca, "--priority",
               f"NORMAL:-VERS-ALL:+VERS-TLS{version}", *more]
    if cert:
        certificate, key = d.pki.client(cert)
        command += ["--x509certfile", certificate, "--x509keyfile", key]
    done = run(command + ["localhost"], REQUEST)
    text = done.stdout + done.stderr
    number = re.search(r"Received alert \[(\d+)\]", text)
    return Outcome("HTTP/1.1 200" in text, number and int(number.group(1)), text)


CLIENTS = {"curl": with_curl, "openssl": with_openssl, "gnutls-cli": with_gnutls_cli}


@pytest.fixture(scope="module")
def d(module_daemon):
    return module_daemon(plugins=[dict(name="never", path="never.so")])


def refusals(d):
    return {name.replace("-", "_"): count for name, count in d.ctl("status")["handshakes"]["refused"].items()}


def requests(d):
    return d.ctl("show", "never")["requests"]["total"]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("cert", REFUSED, ids=lambda cert: cert or "none")
def test_refused_in_the_handshake(d, cert, version, tool):
    word, alerts = REFUSED[cert]
    calls, before = requests(d), refusals(d)
    outcome = CLIENTS[tool](d, cert, version)
    assert not outcome.answered, outcome.text
    if outcome.alert is None and tool == "curl":
        # curl has words of its own for this alert, when it comes inside the handshake.
        assert word == "expired" and "SSL certificate verification failed" in outcome.text, outcome.text
    else:
        assert outcome.alert in alerts[version], outcome.text
    after = refusals(d)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {word: 1}
    assert requests(d) == calls, "a refused client reached the plugin"


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("cert", ACCEPTED)
def test_accepted(d, cert, version, tool):
    calls, before = requests(d), refusals(d)
    outcome = CLIENTS[tool](d, cert, version)
    assert outcome.answered, outcome.text
    assert requests(d) == calls + 1
    assert refusals(d) == before


def test_no_callback_of_the_plugin_ran_for_the_refused(daemon):
    """Every refused client at a fresh daemon: the plugin's own counters stay at 0, not only the daemon's."""
    d = daemon(plugins=[dict(name="never", path="never.so")])
    for cert in REFUSED:
        for version in VERSIONS:
            assert not with_curl(d, cert, version).answered
    shown = d.ctl("show", "never")
    assert shown["requests"]["total"] == 0
    for callback in ("request", "cancel", "done", "release"):
        assert shown["counters"][f"calls_{callback}"] == 0, callback
    status = d.ctl("status")
    assert status["handshakes"]["refused_total"] == 2 * len(REFUSED)
    assert status["requests"] == 0


def test_the_alert_is_not_lost_to_a_reset(d):
    """A TLS 1.3 client is done with its handshake, and has sent its request, before it is refused. A socket closed over
    that unread request would be reset, and the alert forgotten: the client must get to read it every time."""
    for _ in range(30):
        outcome = with_curl(d, "revoked", "1.3")
        assert outcome.alert == 44, outcome.text


def test_a_refused_client_that_sends_its_request_early(d):
    """TLS 1.3 clients may write before the server has looked at their certificate."""
    calls = requests(d)
    for _ in range(20):
        try:
            with d.tls_socket("wrong-ca", version="1.3") as connection:
                connection.send(REQUEST.encode() * 50)
                assert b"HTTP/1" not in connection.receive_all()
        except (ssl.SSLError, ConnectionError):
            pass
    assert requests(d) == calls


# --- resumption ------------------------------------------------------------------------------------------------


def handshakes(d):
    counted = d.ctl("status")["handshakes"]
    return counted["full"], counted["resumed"]


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_resumes(d, version, tmp_path):
    session = tmp_path / "session"
    full, resumed = handshakes(d)
    assert with_openssl(d, "good", version, "-sess_out", str(session)).answered
    again = with_openssl(d, "good", version, "-sess_in", str(session))
    assert again.answered and "Reused, TLSv" in again.text
    assert handshakes(d) == (full + 1, resumed + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_gnutls_cli_resumes(d, version):
    _, resumed = handshakes(d)
    outcome = with_gnutls_cli(d, "good", version, "--resume", "--waitresumption")
    assert "This is a resumed session" in outcome.text, outcome.text
    assert handshakes(d)[1] == resumed + 1


def test_curl_resumes(d):
    """TLS 1.3 only: in 1.2 curl takes no tickets."""
    full, resumed = handshakes(d)
    done = d.curl("--http1.1", "--header", "Connection: close", "/never/a", "/never/b", version="1.3")
    assert done.returncode == 0, done.stderr
    assert handshakes(d) == (full + 1, resumed + 1)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ("new-file", "same-file"))
def test_a_revoked_client_does_not_resume_after_reload(daemon, pki, version, how, tmp_path):
    crl = tmp_path / "crl.pem"
    pki.client("leaver")
    crl.write_bytes(open(pki.crl, "rb").read())
    d = daemon(plugins=[dict(name="never", path="never.so")], tls=dict(client_crl=str(crl)))
    session, stayer = tmp_path / "session", tmp_path / "stayer"
    assert with_openssl(d, "leaver", version, "-sess_out", str(session)).answered
    assert with_openssl(d, "good", version, "-sess_out", str(stayer)).answered
    assert "Reused, TLSv" in with_openssl(d, "leaver", version, "-sess_in", str(session)).text

    fresh = pki.write_crl(f"crl-{version}-{how}.pem", "leaver")
    if how == "same-file":
        crl.write_bytes(open(fresh, "rb").read())
    else:
        d.edit(tls=[dict(d.config["tls"][0], client_crl=fresh)])
    d.reload()
    calls = requests(d)
    resumed = with_openssl(d, "leaver", version, "-sess_in", str(session))
    assert not resumed.answered, resumed.text
    assert not with_openssl(d, "leaver", version).answered
    assert requests(d) == calls
    assert refusals(d)["revoked"] >= 1
    # Everybody else goes on, with the old session or without.
    assert with_openssl(d, "good", version, "-sess_in", str(stayer)).answered


# --- policy ----------------------------------------------------------------------------------------------------


def test_crl_required_and_stale_refuses_everybody(daemon, pki):
    d = daemon(plugins=[dict(name="never", path="never.so")], tls=dict(client_crl=pki.stale_crl, crl="required"))
    assert not with_curl(d, "good", "1.3").answered
    assert refusals(d)["crl_stale"] == 1
    assert requests(d) == 0


def test_crl_soft_and_stale_serves_but_still_refuses_the_revoked(daemon, pki):
    d = daemon(plugins=[dict(name="never", path="never.so")], tls=dict(client_crl=pki.stale_crl, crl="soft"))
    assert with_curl(d, "good", "1.3").answered
    assert not with_curl(d, "revoked", "1.3").answered


def test_crl_off_does_not_look(daemon):
    d = daemon(plugins=[dict(name="never", path="never.so")], tls=dict(client_crl=None, crl="off"))
    assert with_curl(d, "revoked", "1.2").answered


def test_an_intermediate_the_daemon_does_not_know(daemon, pki):
    """The client's chain leads to the root. Without a revocation list of the intermediate, `required` refuses."""
    for crl, answered in (("required", False), ("soft", True)):
        d = daemon(plugins=[dict(name="never", path="never.so")],
                   tls=dict(client_ca=pki.ca, client_crl=pki.root_crl, crl=crl))
        assert with_curl(d, "intermediate", "1.3").answered is answered, crl
        assert with_curl(d, "good", "1.3").answered
        assert requests(d) == 1 + answered


def test_min_version_13_refuses_12(daemon):
    d = daemon(plugins=[dict(name="never", path="never.so")], tls=dict(min_version="1.3"))
    assert not with_curl(d, "good", "1.2").answered
    assert with_curl(d, "good", "1.3").answered


@pytest.mark.parametrize("version", ("tls1", "tls1_1"))
def test_older_versions_are_refused(d, version):
    certificate, key = d.pki.client()
    done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{d.port()}", f"-{version}", "-cipher", "ALL@SECLEVEL=0",
                "-cert", certificate, "-key", key, "-CAfile", d.pki.ca], REQUEST)
    assert "HTTP/1.1" not in done.stdout
    assert "alert protocol version" in done.stderr or "SSL alert number 70" in done.stderr, done.stderr


def test_plain_http_gets_nothing(d):
    calls = requests(d)
    with socket.create_connection(d.address(), timeout=30) as plain:
        plain.sendall(REQUEST.encode())
        answer = b""
        try:
            while data := plain.recv(4096):
                answer += data
        except ConnectionError:
            pass
    assert b"HTTP/1" not in answer
    assert requests(d) == calls


def test_two_listeners_two_authorities(daemon, pki):
    """Each listener verifies against its own set."""
    tls = [dict(name=name, certificate=pki.server[0], key=pki.server[1], client_ca=ca, crl="off")
           for name, ca in (("main", pki.ca), ("other", pki.other_ca))]
    d = daemon(plugins=[dict(name="never", path="never.so")], config=dict(tls=tls),
               listeners=[dict(name="a", address="127.0.0.1:0", tls="main"),
                          dict(name="b", address="127.0.0.1:0", tls="other")])
    assert d.client("good", listener=0).get("/never")[0] == 200
    assert d.client("wrong-ca", listener=1).get("/never")[0] == 200
    for cert, listener in (("wrong-ca", 0), ("good", 1)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            d.client(cert, listener=listener).get("/never")
    assert requests(d) == 2


def test_a_new_server_certificate_costs_no_connection(daemon, pki):
    d = daemon()
    old = d.client()
    assert old.get("/echo")[0] == 200
    before = old.sock.getpeercert(True)
    d.edit(tls=[dict(d.config["tls"][0], certificate=pki.other_server[0], key=pki.other_server[1])])
    d.reload()
    new = d.client()
    assert new.get("/echo")[0] == 200
    assert new.sock.getpeercert(True) != before
    assert old.get("/echo")[0] == 200 and old.connects == 1


@pytest.mark.parametrize("damage", ("missing", "garbage", "wrong-key", "empty-ca"))
def test_bad_files_are_refused_and_the_old_set_stays(daemon, pki, damage, tmp_path):
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n")
    change = {"missing": dict(certificate=str(tmp_path / "nowhere.pem")), "garbage": dict(certificate=str(garbage)),
              "wrong-key": dict(key=pki.client("good")[1]), "empty-ca": dict(client_ca=str(garbage))}[damage]
    d = daemon()
    client = d.client()
    assert client.get("/echo")[0] == 200
    d.edit(tls=[dict(d.config["tls"][0], **change)])
    with pytest.raises(harness.CtlError) as refused:
        d.reload()
    assert refused.value.code == 1
    named = list(change.values())[0]
    assert named in refused.value.message or named in str(refused.value.reply), refused.value
    assert client.get("/echo")[0] == 200 and client.connects == 1
    assert d.client().get("/echo")[0] == 200


def test_the_log_names_the_refusal_and_no_key(d, pki):
    assert not with_curl(d, "expired", "1.3").answered
    wait_for(lambda: any("expired" in record for record in d.log()), "a record of the refusal")
    for path in (pki.server[1], pki.client("good")[1]):
        secret = "".join(open(path, encoding="ascii").read().splitlines()[1:-1])[:40]
        assert secret not in d.log_text()
