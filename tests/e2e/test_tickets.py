# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tickets: secrets of our own and of a fleet, renewed with overlap, refused when they are bad."""
import os

import harness
import pytest
from harness import wait_for
from tls_tools import again, answered, full_session, replace, REQUEST, resumed, row, s_client, version_flag, VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fleet_shares_a_key(daemon, version, tmp_path):
    secret = tmp_path / "tickets"
    replace(secret, b"# the fleet's\n" + os.urandom(32).hex().encode() + b"\n")
    first, second = [daemon(tls=dict(ticket_key=str(secret))) for _ in range(2)]
    stranger = daemon()
    session = tmp_path / "session"
    full_session(first, session, version)
    text = again(second, session, version)
    assert answered(text) and resumed(text), text
    text = again(stranger, session, version)
    assert answered(text) and not resumed(text), text
    assert row(second, "resumption")["secrets_from"] == "file"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_shared_key_is_changed_with_overlap(daemon, version, tmp_path):
    secret = tmp_path / "tickets"
    old, new = os.urandom(32).hex().encode(), os.urandom(48).hex().encode()
    replace(secret, old + b"\n")
    d = daemon(tls=dict(ticket_key=str(secret)))
    session, later = tmp_path / "session", tmp_path / "later"
    full_session(d, session, version)
    replace(secret, new + b"\n" + old + b"\n")
    wait_for(lambda: row(d, "resumption")["secrets"] == 2, "the second secret")
    assert resumed(again(d, session, version)), "the old secret opens what it sealed"
    full_session(d, later, version)
    replace(secret, new + b"\n")
    wait_for(lambda: row(d, "resumption")["secrets"] == 1, "the old secret to go")
    assert not resumed(again(d, session, version))
    assert resumed(again(d, later, version))
    assert row(d, "resumption")["rotations"] == 2


def test_own_secrets_are_renewed_with_overlap(daemon, tmp_path):
    d = daemon(tls=dict(ticket_rotation="6s", ticket_lifetime="1h"))
    session = tmp_path / "session"
    full_session(d, session, "1.3")
    wait_for(lambda: row(d, "resumption")["rotations"] >= 1, "a new secret")
    assert row(d, "resumption")["secrets"] >= 2
    assert resumed(again(d, session, "1.3")), "the secret before opens its own"


@pytest.mark.parametrize("fault", ("open", "short", "empty", "missing"))
def test_a_bad_ticket_key_is_refused(daemon, fault, tmp_path):
    secret = tmp_path / "tickets"
    if fault != "missing":
        replace(secret, {"open": b"00" * 32, "short": b"00" * 16 + b"\n", "empty": b"# nothing\n"}[fault])
    if fault == "open":
        os.chmod(secret, 0o640)
    d = daemon()
    d.edit(tls=[dict(d.config["tls"][0], ticket_key=str(secret))])
    with pytest.raises(harness.CtlError) as refused:
        d.reload()
    words = {"open": "chmod 600", "short": "line 1", "empty": "no secret", "missing": "No such file"}
    assert words[fault] in refused.value.message and str(secret) in refused.value.message, refused.value


@pytest.mark.parametrize("where", ("set", "listener"))
def test_tickets_can_be_off(daemon, where, tmp_path):
    listeners = [dict(name="main", address="127.0.0.1:0", tls="main", **({"tickets": False} if where == "listener"
                                                                         else {})),
                 dict(name="other", address="127.0.0.1:0", tls="main")]
    d = daemon(listeners=listeners, tls=dict(tickets=False) if where == "set" else {})
    for version in VERSIONS:
        text = s_client(d, "-ign_eof", version_flag(version), stdin=REQUEST)
        assert answered(text) and "TLS session ticket:" not in text, text
    if where == "listener":
        session = tmp_path / "session"
        full_session(d, session, "1.3", listener=1)
        assert resumed(again(d, session, "1.3", listener=1))
        assert not resumed(again(d, session, "1.3"))


def test_no_early_data(daemon):
    text = s_client(daemon(), "-ign_eof", "-tls1_3", stdin=REQUEST)
    assert "Max Early Data: 0" in text, text


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumed_session_carries_the_identity(daemon, version, tmp_path):
    d = daemon()
    session = tmp_path / "session"
    request = REQUEST.replace("/echo/x", "/whoami")
    s_client(d, "-ign_eof", version_flag(version), "-sess_out", str(session), stdin=request)
    text = s_client(d, "-ign_eof", version_flag(version), "-sess_in", str(session), stdin=request)
    assert resumed(text) and "spiffe://example.org/client" in text, text
