# SPDX-License-Identifier: LGPL-2.1-or-later
"""Credentials while the daemon serves: which certificate a client gets, files that change, policies that change under
open connections and warm tickets, keys that a fleet shares."""
import datetime
import http.client
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

import harness
import pytest
from client import Crowd, make_context
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from harness import wait_for
from pki import NOW, SERVER_AUTH, Authority, to_pem, write_private

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


# --- policies under open connections and warm tickets ----------------------------------------------------------


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


# --- tickets ---------------------------------------------------------------------------------------------------


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
