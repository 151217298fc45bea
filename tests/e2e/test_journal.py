# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an alert rests on: each record's kind (MESSAGE_ID) and its fields, and that nobody can flood the journal."""
import pathlib
import re
import signal
import ssl
import subprocess
import time

import harness
import pytest
from harness import CtlError, wait_for


@pytest.fixture(scope="module")
def numbers():
    """{kind: MESSAGE_ID}, as the daemon prints its catalog."""
    catalog = subprocess.run([str(harness.BUILD / "mtlsd"), "--print-catalog"], capture_output=True, text=True,
                             check=True).stdout
    return dict(re.findall(r"^# ([a-z-]+), .*\n-- (\w{32})$", catalog, re.M))


@pytest.fixture
def told(numbers):
    """told(daemon, kind): its records so far; told(daemon, kind, count) waits for so many."""
    def find(d, kind, count=0):
        def records():
            return [record for record in d.log() if record.fields.get("MESSAGE_ID") == numbers[kind]]
        return wait_for(lambda: len(records()) >= count and records(), f"{kind}") if count else records()
    return find


def refused(d, cert, version="1.2"):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        d.tls_socket(cert, version=version)


def test_a_refused_handshake_names_the_client(daemon, told):
    d = daemon()
    refused(d, "revoked")
    record, = told(d, "client-refused", 1)
    assert record.fields["MTLSD_PEER"] == "127.0.0.1"
    assert (record.fields["MTLSD_REFUSAL"], record.fields["MTLSD_LISTENER"]) == ("revoked", "main")


def test_a_crowd_of_refused_clients_does_not_flood(daemon, told):
    d = daemon()
    began = time.monotonic()
    for _ in range(100):
        refused(d, "wrong-ca")
    seconds = time.monotonic() - began
    assert d.ctl("status")["handshakes"]["refused"]["unknown-ca"] == 100
    # A second on the daemon's clock may have begun before, and another after.
    assert 1 <= len(told(d, "client-refused", 1)) <= 20 * (int(seconds) + 2)


def test_an_access_denial_names_client_and_route(daemon, told):
    d = daemon(plugins=[dict(name="echo", path="echo.so")],
               routes=[dict(name="closed", prefix="/closed", allow=[dict(dns="nobody.example.org")], handler="echo")])
    assert d.client().get("/closed/x?token=secret")[0] == 403
    record, = told(d, "access-denied", 1)
    assert (record.fields["MTLSD_PEER"], record.fields["MTLSD_ROUTE"]) == ("127.0.0.1", "closed")
    assert "CN=client" in record.fields["MTLSD_SUBJECT"] and "secret" not in d.log_text()


def test_what_a_plugin_says_in_a_request_has_its_route(daemon):
    d = daemon(plugins=[dict(name="counterp", path="counterp.so")],
               routes=[dict(name="counting", prefix="/", allow=[dict(any=True)], handler="counterp")])
    d.client().get("/log?this")
    begins, said = (next(r for r in d.log() if text in r) for text in ("begins", "told: this"))
    assert said.fields == {"MTLSD_PLUGIN": "counterp", "MTLSD_INSTANCE": "1", "MTLSD_ROUTE": "counting"}
    assert begins.fields == {"MTLSD_PLUGIN": "counterp", "MTLSD_INSTANCE": "1"}


def test_a_policy_that_changes(daemon, pki, told, tmp_path):
    crl = tmp_path / "clients.crl"
    pki.client("journal-leaver")
    crl.write_bytes(pathlib.Path(pki.crl).read_bytes())
    d = daemon(tls=dict(client_crl=str(crl)))
    leaver, stayer = d.client("journal-leaver"), d.client()
    assert leaver.get("/echo")[0] == stayer.get("/echo")[0] == 200
    fresh = tmp_path / "fresh"
    fresh.write_bytes(pathlib.Path(pki.write_crl("journal.pem", "journal-leaver")).read_bytes())
    fresh.rename(crl)
    changed, = told(d, "policy-changed", 1)
    assert changed.fields["MTLSD_CLOSED"] == "1"
    cut, = told(d, "client-cut", 1)
    assert (cut.fields["MTLSD_PEER"], cut.fields["MTLSD_TLS"], cut.fields["MTLSD_REFUSAL"]) == (
        "127.0.0.1", "main", "revoked")
    told(d, "credentials-changed", 1)
    # A rule is policy too, and who is asked by it is cut as well.
    d.edit(routes=[dict(name="echo", prefix="/echo", allow=[dict(dns="nobody.example.org")], handler="echo")])
    d.reload()
    assert told(d, "policy-changed", 2)[1].fields["MTLSD_CLOSED"] == "1"
    assert told(d, "client-cut", 2)[1].fields["MTLSD_REFUSAL"] == "not-allowed"
    # A list that is broken leaves all as it is.
    crl.write_text("nonsense")
    assert str(crl) in told(d, "credentials-refused", 1)[0]
    assert len(told(d, "policy-changed")) == 2


def test_what_ends(daemon, told):
    """The test authority's certificates are good for seven days."""
    d = daemon(tls=dict(warn_before="30d"))
    record = told(d, "expires", 1)[0]
    assert record.fields["MTLSD_TLS"] == "main" and int(record.fields["MTLSD_DAYS"]) in range(8)


def test_what_has_ended(daemon, pki, told):
    d = daemon(tls=dict(client_crl=pki.stale_crl, crl="soft"))
    assert told(d, "expired", 1)[0].fields["MTLSD_TLS"] == "main"


@pytest.mark.parametrize("how", ["signal", "mtlsctl"])
def test_reload_is_told_whoever_asked(daemon, told, how):
    d = daemon()

    def reload():
        if how == "signal":
            d.process.send_signal(signal.SIGHUP)
        else:
            d.ctl("reload")
    reload()
    assert told(d, "configured", 1)[0].fields["MTLSD_CONFIGURATION"] == "2"
    assert not told(d, "configuration-refused") and not told(d, "mistake")
    d.config_path.write_text("listeners: nonsense\nplugins: 7\n")
    if how == "signal":
        reload()
    else:
        with pytest.raises(CtlError):
            reload()
        assert told(d, "change-failed", 1)[0].fields["MTLSD_COMMAND"] == "reload"
        assert told(d, "changed", 1)[0].fields["MTLSD_RESULT"] == "ok"
    # Each mistake once: the first with the refusal.
    first, = told(d, "configuration-refused", 1)
    others = wait_for(lambda: len(told(d, "mistake")) == 3 and told(d, "mistake"), "the other mistakes")
    found = [re.search(r"mtlsd\.yaml:(\d+):(.*)", record) for record in [first, *others]]
    assert [int(mistake[1]) for mistake in found] == [1, 1, 1, 2]
    assert len({mistake[2] for mistake in found}) == 4
    assert len(told(d, "configured")) == 1


def test_its_end_is_told(daemon, told):
    d = daemon()
    d.stop()
    assert len(told(d, "draining")) == len(told(d, "ended")) == 1


def test_a_plugin_that_does_not_serve(daemon, told):
    d = daemon(plugins=[dict(name="echo", path="echo.so"), dict(name="noinit", path="noinit.so")])
    assert told(d, "down", 1)[0].fields["MTLSD_PLUGIN"] == "noinit"
