# SPDX-License-Identifier: LGPL-2.1-or-later
"""Credentials while the daemon serves: which certificate a client gets, files that change, what ends when."""
import datetime
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

import harness
import pytest
from client import make_context
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from harness import wait_for
from pki import NOW
from tls_tools import (DAY, der, Files, issue_server, new_key, replace, row, s_client, sets,
                       shown_certificate, version_flag, VERSIONS)


# --- which certificate -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(module_daemon, pki, tmp_path_factory):
    """Three kinds of key for localhost, others by name and by wildcard."""
    folder = tmp_path_factory.mktemp("many")
    pairs = [issue_server(pki, folder, f"local-{kind}", new_key(kind)) for kind in ("ecdsa", "rsa", "ed25519")]
    pairs.append(issue_server(pki, folder, "exact", new_key("ecdsa"), names=("a.example.org",)))
    pairs.append(issue_server(pki, folder, "wild", new_key("ecdsa"), names=("*.example.org",)))
    pairs.append(issue_server(pki, folder, "wild-rsa", new_key("rsa"), names=("*.example.org",)))
    d = module_daemon()
    tls = dict(d.config["tls"][0], certificates=[dict(certificate=cert, key=key) for cert, key in pairs])
    del tls["certificate"], tls["key"]
    d.edit(tls=[tls])
    d.reload()
    return d


def subject(text):
    found = re.search(r"^subject=.*CN ?= ?(\S+)", text, re.MULTILINE)
    return found and found.group(1)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name, expected", [("localhost", "local-ecdsa"), ("a.example.org", "exact"),
                                            ("A.Example.ORG", "exact"), ("b.example.org", "wild"),
                                            ("x.b.example.org", "local-ecdsa"), ("nobody.test", "local-ecdsa"),
                                            (None, "local-ecdsa")])
def test_the_name_chooses(many, version, name, expected):
    assert subject(s_client(many, version_flag(version), name=name)) == expected


@pytest.mark.parametrize("arguments, name, expected", [
    (("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:ecdsa_secp384r1_sha384"), "localhost", "local-rsa"),
    (("-tls1_3", "-sigalgs", "ed25519:rsa_pss_rsae_sha256"), "localhost", "local-rsa"),
    (("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"), "b.example.org", "wild-rsa"),
    (("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "localhost", "local-rsa"),
    (("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "a.example.org", "local-rsa"),
    (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"), "localhost", "local-ecdsa"),
], ids=lambda value: value[-1] if isinstance(value, tuple) else None)
def test_the_kind_of_key_chooses_first(many, arguments, name, expected):
    """Of those a client can verify the one that names the server: `ed25519` before RSA in the client's list counts for
    nothing, the file's order does."""
    if expected == "local-rsa" and name == "a.example.org":
        expected = "wild-rsa"  # it names a.example.org too
    assert subject(s_client(many, *arguments, name=name)) == expected


def test_ed25519_alone(many):
    """gnutls-cli can be told to verify nothing else; the client's own signature needs its ECDSA key."""
    certificate, key = many.pki.client()
    done = subprocess.run(["gnutls-cli", "--port", str(many.port()), "--x509cafile", many.pki.ca, "--x509certfile",
                           certificate, "--x509keyfile", key, "--priority",
                           "NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL:+SIGN-EdDSA-Ed25519:+SIGN-ECDSA-SECP384R1-SHA384",
                           "localhost"], input="", capture_output=True, text=True, timeout=60)
    assert "subject `CN=local-ed25519" in done.stdout, done.stdout + done.stderr


def test_tls_lists_every_certificate(many):
    rows = many.ctl("tls")["certificates"]
    assert [(r["key"], r["names"]) for r in rows] == [
        ("ECDSA P-256", "localhost"), ("RSA 2048", "localhost"), ("Ed25519", "localhost"),
        ("ECDSA P-256", "a.example.org"), ("ECDSA P-256", "*.example.org"), ("RSA 2048", "*.example.org")]
    assert all(r["store"] == "file" and r["days"] == 6 for r in rows)
    text = many.ctl_text("tls")
    assert "Ed25519" in text and "resumption" in text


def answer_ocsp(pki, certificate, path, *, status=ocsp.OCSPCertStatus.GOOD, until=DAY, authority=None):
    signer = authority or pki.authority
    revoked = dict(revocation_time=NOW - DAY, revocation_reason=None) if status == ocsp.OCSPCertStatus.REVOKED else \
        dict(revocation_time=None, revocation_reason=None)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate, issuer=pki.authority.certificate, algorithm=hashes.SHA1(), cert_status=status,
        this_update=NOW - 2 * DAY, next_update=NOW + until, **revoked)
    answer = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate).sign(signer.key, hashes.SHA256())
    path.write_bytes(answer.public_bytes(serialization.Encoding.DER))
    return str(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stapled_answer_is_shown_while_it_is_valid(daemon, pki, version, tmp_path):
    certificate = x509.load_pem_x509_certificate(pathlib.Path(pki.server[0]).read_bytes())
    staple = tmp_path / "staple.der"
    answer_ocsp(pki, certificate, staple)
    d = daemon(tls=dict(ocsp=str(staple)))
    text = s_client(d, version_flag(version), "-status")
    assert "OCSP Response Status: successful" in text and "Cert Status: good" in text, text
    assert d.ctl("tls")["certificates"][0]["staple"] == "shown"
    # An outdated one is not shown, and said to be so.
    answer_ocsp(pki, certificate, tmp_path / "old.der", until=-DAY)
    os.rename(tmp_path / "old.der", staple)
    wait_for(lambda: d.ctl("tls")["certificates"][0]["staple"] == "outdated", "the new answer")
    assert "OCSP response: no response sent" in s_client(d, version_flag(version), "-status")
    assert any(r["what"] == "ocsp" for r in d.ctl("tls")["expiring"])


@pytest.mark.parametrize("fault", ("other", "revoked", "forged", "garbage"))
def test_a_bad_stapled_answer_is_refused(daemon, pki, fault, tmp_path):
    """In the chain the issuer stands behind the certificate, so that the signature can be checked."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pathlib.Path(pki.server[0]).read_bytes() + pathlib.Path(pki.ca).read_bytes())
    certificate = x509.load_pem_x509_certificate(pathlib.Path(pki.server[0]).read_bytes())
    other = x509.load_pem_x509_certificate(pathlib.Path(pki.other_server[0]).read_bytes())
    path = tmp_path / "staple.der"
    if fault == "other":
        answer_ocsp(pki, other, path)
    elif fault == "revoked":
        answer_ocsp(pki, certificate, path, status=ocsp.OCSPCertStatus.REVOKED)
    elif fault == "forged":
        answer_ocsp(pki, certificate, path, authority=pki.other_authority)
    else:
        path.write_bytes(b"not an answer")
    d = daemon(tls=dict(certificate=str(chain)))
    d.edit(tls=[dict(d.config["tls"][0], ocsp=str(path))])
    with pytest.raises(harness.CtlError) as refused:
        d.reload()
    words = {"other": "another certificate", "revoked": "is revoked", "forged": "did not sign", "garbage": "no answer"}
    assert str(path) in refused.value.message and words[fault] in refused.value.message, refused.value
    assert d.client().get("/echo")[0] == 200


# --- files that change -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ("plain", "certbot", "kubernetes"))
def test_changed_files_are_taken_by_themselves(daemon, pki, layout, tmp_path):
    files = Files(pki, tmp_path / "files", layout)
    d = daemon(tls=dict(certificate=files.certificate, key=files.key))
    old = d.client()
    assert old.get("/echo")[0] == 200
    for pair in (pki.other_server, pki.server, pki.other_server):
        files.install(*pair)
        wait_for(lambda: shown_certificate(d) == der(pair[0]), "the new certificate")
    assert old.get("/echo")[0] == 200 and old.connects == 1
    # The first set is pinned by the connection that began with it, and goes with it.
    assert [row["connections"] for row in sets(d, "draining")] == [1]
    old.close()
    wait_for(lambda: len(sets(d)) == 1, "the old set to go")
    assert d.ctl("tls")["cut"] == {}, "a new server certificate is no change of policy"


def test_written_in_place(daemon, pki, tmp_path):
    files = Files(pki, tmp_path / "files", "plain")
    d = daemon(tls=dict(certificate=files.certificate, key=files.key))
    shutil.copyfile(pki.other_server[1], files.key)
    shutil.copyfile(pki.other_server[0], files.certificate)
    wait_for(lambda: shown_certificate(d) == der(pki.other_server[0]), "the new certificate")


def test_a_bad_file_is_refused_once_and_the_next_good_one_taken(daemon, pki, tmp_path):
    files = Files(pki, tmp_path / "files", "plain")
    d = daemon(tls=dict(certificate=files.certificate, key=files.key))

    def refusals():
        return [line for line in d.log() if "are refused, the old ones stay" in line]

    replace(files.certificate, b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
    wait_for(refusals, "the refusal")
    assert files.certificate in refusals()[0]
    assert shown_certificate(d) == der(pki.server[0])
    # The same again says nothing new; another fault does.
    replace(files.certificate, b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
    replace(files.certificate, pathlib.Path(pki.other_server[0]).read_bytes())
    wait_for(lambda: any("does not belong to certificate" in line for line in refusals()), "the mismatch")
    assert len(refusals()) == 2
    replace(files.key, pathlib.Path(pki.other_server[1]).read_bytes())
    wait_for(lambda: shown_certificate(d) == der(pki.other_server[0]), "the whole pair")


def test_a_file_that_moved(daemon, pki, tmp_path):
    """The same bytes under another name: no change for clients, but the operator sees where they are read."""
    moved = tmp_path / "moved.pem"
    shutil.copy(pki.server[0], moved)
    d = daemon()
    before = d.client()
    assert before.get("/echo")[0] == 200
    d.edit(tls=[dict(d.config["tls"][0], certificate=str(moved))])
    d.reload()
    assert d.ctl("tls")["certificates"][0]["file"] == str(moved)
    moved.unlink()
    with pytest.raises(harness.CtlError, match="moved.pem"):
        d.ctl("reload", "tls")
    assert before.get("/echo")[0] == 200 and before.connects == 1


# --- files as tools write them ---------------------------------------------------------------------------------


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


@pytest.mark.parametrize("form", ("parameters before the key", "one file", "one file, key first", "with text", "CRLF",
                                  "whole chain", "PKCS#1"))
def test_files_as_tools_write_them(daemon, pki, form, tmp_path):
    certificate, key = (pathlib.Path(path) for path in pki.server)
    if form == "PKCS#1":
        certificate, key = map(pathlib.Path, issue_server(pki, tmp_path, "old-style", new_key("rsa")))
    content, key_content = certificate.read_bytes(), key.read_bytes()
    if form == "parameters before the key":
        key_content = openssl("ecparam", "-name", "prime256v1") + openssl("ec", "-in", key)
    elif form == "PKCS#1":
        key_content = openssl("rsa", "-traditional", "-in", key)
        assert b"BEGIN RSA PRIVATE KEY" in key_content
    elif form.startswith("one file"):
        content = key_content = key_content + content if form.endswith("first") else content + key_content
    elif form == "with text":
        content = openssl("x509", "-in", certificate, "-text")
    elif form == "CRLF":
        content, key_content = (text.replace(b"\n", b"\r\n") for text in (content, key_content))
    else:
        content += pathlib.Path(pki.ca).read_bytes()
    replace(tmp_path / "cert", content)
    replace(tmp_path / "key", key_content)
    d = daemon(tls=dict(certificate=str(tmp_path / "cert"), key=str(tmp_path / "key")))
    assert all(d.client(version=version).get("/echo")[0] == 200 for version in VERSIONS)


@pytest.mark.parametrize("option, arguments, words", [
    ("key", ("pkcs8", "-topk8", "-passout", "pass:x", "-in", "KEY"), "encrypted"),
    ("key", ("ec", "-aes128", "-passout", "pass:x", "-in", "KEY"), "encrypted"),
    ("key", ("pkey", "-outform", "DER", "-in", "KEY"), "openssl pkey -inform DER"),
    ("certificate", ("x509", "-outform", "DER", "-in", "CERT"), "openssl x509 -inform DER"),
    ("client_ca", ("x509", "-outform", "DER", "-in", "CERT"), "openssl x509 -inform DER"),
    ("client_crl", ("crl", "-outform", "DER", "-in", "CRL"), "openssl crl -inform DER"),
], ids=lambda value: value if isinstance(value, str) else " ".join(value[:3]))
def test_what_to_do_about_other_forms(daemon, pki, option, arguments, words, tmp_path):
    names = dict(KEY=pki.server[1], CERT=pki.server[0], CRL=pki.crl)
    path = tmp_path / "file"
    path.write_bytes(openssl(*(names.get(word, word) for word in arguments)))
    d = daemon()
    d.edit(tls=[dict(d.config["tls"][0], **{option: str(path)})])
    with pytest.raises(harness.CtlError) as refused:
        d.reload()
    assert f"{option} {path}" in refused.value.message and words in refused.value.message


def test_reload_tls_by_command(daemon, pki, tmp_path):
    files = Files(pki, tmp_path / "files", "plain")
    d = daemon(tls=dict(certificate=files.certificate, key=files.key))
    reply = d.ctl("reload", "tls")
    assert (reply["sets"], reply["replaced"], reply["policies"]) == (1, 0, 0)
    garbage = tmp_path / "garbage"
    garbage.write_text("nothing")
    d.edit(tls=[dict(d.config["tls"][0], client_ca=str(garbage))])
    assert d.ctl("reload", "tls")["replaced"] == 0, "the file of the configuration is not read"
    replay = d.ctl("reload", "tls", "--dry-run")
    assert replay["valid"] is True
    os.unlink(files.key)
    with pytest.raises(harness.CtlError) as refused:
        d.ctl("reload", "tls")
    assert refused.value.code == 1 and files.key in refused.value.message
    with pytest.raises(harness.CtlError) as rehearsed:
        d.ctl("reload", "tls", "--dry-run")
    assert rehearsed.value.reply["valid"] is False and files.key in rehearsed.value.reply["mistakes"][0]
    assert d.client().get("/echo")[0] == 200


# --- names that are no paths -----------------------------------------------------------------------------------


def test_credentials_of_the_service_manager(daemon, pki, tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name, source in (("cert", pki.server[0]), ("key", pki.server[1]), ("ca", pki.client_ca)):
        shutil.copy(source, folder / name)
    d = daemon(tls=dict(certificate="credential:cert", key="credential:key", client_ca="credential:ca"),
               env={"CREDENTIALS_DIRECTORY": str(folder)})
    assert d.client().get("/echo")[0] == 200
    assert d.ctl("tls")["certificates"][0]["store"] == "credential"
    d.edit(tls=[dict(d.config["tls"][0], key="credential:../key")])
    with pytest.raises(harness.CtlError, match="write credential:NAME"):
        d.reload()


def test_credentials_without_their_folder(daemon):
    d = daemon(tls=dict(key="credential:key"), start=False)
    d.expected_exit = 1
    d.start(wait=False)
    assert d.wait_exit() == 1
    assert "LoadCredential=key:FILE" in d.log_text()


@pytest.mark.skipif(not shutil.which("softhsm2-util"), reason="softhsm2 is not installed: no token to keep a key in")
@pytest.mark.parametrize("kind", ("rsa", "ecdsa"))
def test_a_key_in_a_token(daemon, pki, kind, tmp_path):
    tokens, config = tmp_path / "tokens", tmp_path / "softhsm.conf"
    tokens.mkdir()
    config.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    env = {"SOFTHSM2_CONF": str(config)}
    certificate, key = issue_server(pki, tmp_path, "hsm", new_key(kind))
    for command in (["--init-token", "--free", "--label", "mtlsd", "--pin", "1234", "--so-pin", "1234"],
                    ["--import", key, "--token", "mtlsd", "--label", "server", "--id", "01", "--pin", "1234"]):
        subprocess.run(["softhsm2-util", *command], env={**os.environ, **env}, check=True, capture_output=True)
    os.unlink(key)
    pin = tmp_path / "pin"
    pin.write_text("1234")
    query = "pin-value=1234" if kind == "rsa" else f"pin-source={pin}"
    url = f"pkcs11:token=mtlsd;object=server;type=private?{query}"
    d = daemon(tls=dict(certificate=certificate, key=url), env=env)
    for version in VERSIONS:
        assert d.client(version=version).get("/echo")[0] == 200
    assert d.ctl("tls")["certificates"][0]["store"] == "token"
    d.edit(tls=[dict(d.config["tls"][0], key=url.replace("object=server", "object=nobody"))])
    with pytest.raises(harness.CtlError, match="the token does not give it") as refused:
        d.reload()
    assert "1234" not in refused.value.message + d.log_text(), "a PIN in a message"


# --- time and memory -------------------------------------------------------------------------------------------


def test_what_ends_soon_is_told(daemon, pki, tmp_path):
    soon = issue_server(pki, tmp_path, "soon", new_key("ecdsa"), until=3 * DAY + datetime.timedelta(hours=1))
    d = daemon(tls=dict(certificate=soon[0], key=soon[1], warn_before="5d"))
    told = wait_for(lambda: [line for line in d.log() if "expires in" in line], "the warning")
    assert any("certificate" in line and "CN=soon" in line and "expires in 3 days" in line for line in told), told
    rows = d.ctl("tls")["expiring"]
    assert [(r["what"], r["days"]) for r in rows] == [("certificate", 3)]
    assert d.ctl("status")["expiring"] == 1
    d.edit(tls=[dict(d.config["tls"][0], warn_before="1d")])
    d.reload()
    assert d.ctl("tls")["expiring"] == []


def test_a_client_that_returns_is_remembered(daemon, pki):
    d = daemon()
    for _ in range(5):
        with d.client() as client:
            assert client.get("/echo")[0] == 200
    clients = row(d, "clients")
    assert (clients["chains"], clients["chain_misses"], clients["chain_hits"]) == (1, 1, 4)
    # A new list takes nobody's place but of whom it names.
    d.edit(tls=[dict(d.config["tls"][0], client_crl=pki.write_crl("remembered.pem", "no-names"))])
    d.reload()
    with d.client() as client:
        assert client.get("/echo")[0] == 200
    assert (row(d, "clients")["chain_hits"], row(d, "clients")["chain_misses"]) == (1, 0)
    d.edit(tls=[dict(d.config["tls"][0], verified_chains=0)])
    d.reload()
    with d.client() as client:
        assert client.get("/echo")[0] == 200
    assert row(d, "clients")["chains"] == 0


def flat_reloads(d, pki, files, crl, rounds):
    """Certificate and list change under load; nothing fails, one set stays, memory is flat."""
    load = d.load("/echo", connections=8, pause=0.002)
    lists = [pathlib.Path(pki.write_crl(f"flat-{index}.pem", *extra)).read_bytes()
             for index, extra in enumerate(((), ("flat-leaver",)))]
    pki.client("flat-leaver")
    seen = {}
    for number in range(1, rounds + 1):
        files.install(*(pki.other_server, pki.server)[number % 2])
        replace(crl, lists[number % 2])
        reply = d.ctl("reload", "tls")
        assert reply["sets"] == 1
        with d.client() as client:
            assert client.get("/echo")[0] == 200
        if number in (max(rounds // 5, 10), rounds):
            seen[number] = dict(rss=d.rss(), descriptors=d.descriptors())
    results = load.stop()
    assert results["failures"] == 0 and set(results["statuses"]) == {"200"}, results
    assert results["connects"] == 8
    wait_for(lambda: len(sets(d)) == 1, "old sets to go")
    before, after = seen.values()
    print(f"{rounds} reloads: {results['requests']} requests, {seen}")
    if harness.HEAP_LAYER:  # sanitizers keep what is freed for a while
        assert after["rss"] - before["rss"] < 2 << 20, seen
    assert after["descriptors"] - before["descriptors"] <= 2, seen


@pytest.mark.parametrize("rounds", (50, pytest.param(1000, marks=pytest.mark.long)))
def test_reloads_under_load(daemon, pki, rounds, tmp_path):
    files, crl = Files(pki, tmp_path / "files", "plain"), tmp_path / "crl.pem"
    crl.write_bytes(pathlib.Path(pki.crl).read_bytes())
    d = daemon(tls=dict(certificate=files.certificate, key=files.key, client_crl=str(crl)))
    flat_reloads(d, pki, files, crl, rounds)


def unread(d, ours):
    """Bytes the daemon's kernel keeps for it, of the connection from this port."""
    ends = f":{d.port():04X}", f":{ours:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(ends[0]) and fields[2].endswith(ends[1]):
            return int(fields[4].split(":")[1], 16)
    return None


def go_on(session):
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("head, tail", [(1, 1), (6, 6), (7, 3), (0, 5)])
def test_flights_in_pieces(daemon, pki, version, head, tail):
    """The daemon's flight arrives as one; ours may come in pieces of any size, and none of them is forgotten."""
    d = daemon()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = make_context(pki.ca, pki.client(), version).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", d.port()), timeout=harness.PATIENCE) as tcp:
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours = tcp.getsockname()[1]
        go_on(session)
        tcp.sendall(outgoing.read())
        incoming.write(tcp.recv(65536))
        go_on(session)
        flight = outgoing.read()
        assert len(flight) > 500, "more than one write, or it is not all there"
        for piece in (flight[:head], flight[head:-tail]):
            tcp.sendall(piece)
            if len(piece) > 6:
                wait_for(lambda: unread(d, ours) == 0)
        tcp.sendall(flight[-tail:])
        if version == "1.2":
            incoming.write(tcp.recv(65536))
            session.do_handshake()
        session.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        tcp.sendall(outgoing.read())
        answer = b""
        while b"HTTP/1.1 200" not in answer:
            incoming.write(tcp.recv(65536))
            try:
                answer += session.read(65536)
            except ssl.SSLWantReadError:
                continue


def test_no_key_in_log_or_replies(daemon, pki):
    d = daemon()
    d.client().get("/echo")
    secret = "".join(pathlib.Path(pki.server[1]).read_text().splitlines()[1:-1])[:40]
    assert secret not in d.log_text() and secret not in d.ctl_text("--json", "tls")
