# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may: rules of every kind, asked over real TLS, and `mtlsctl test-access` saying the same with its reason."""
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization

import harness


def spki(certificate):
    return hashlib.sha256(certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


# name: (allow, deny, whether the good client may); PLACEHOLDERS are filled from its certificate.
RULES = {
    "trust-domain": ([{"trust_domain": "example.org"}], [], True),
    "other-domain": ([{"trust_domain": "example.com"}], [], False),
    "attributes": ([{"subject_attributes": "CN=cl*"}], [], True),
    "other-attributes": ([{"subject_attributes": "CN=cl*,O=Nobody"}], [], False),
    "issuer": ([{"issuer_attributes": "ISSUER"}], [], True),
    "serial": ([{"serial": "SERIAL", "issuer_attributes": "ISSUER"}], [], True),
    "spki": ([{"spki": "SPKI"}], [], True),
    "purpose": ([{"purpose": "client-auth"}], [], True),
    "other-purpose": ([{"purpose": "code-signing"}], [], False),
    "source": ([{"source": "127.0.0.0/8"}], [], True),
    "other-source": ([{"source": "192.0.2.0/24"}], [], False),
    "denied": ([{"any": True}], [{"dns": "client.example.org"}], False),
    "denied-by-serial": ([{"any": True}], [{"serial": "SERIAL", "issuer_attributes": "ISSUER"}], False),
    "other-denied": ([{"any": True}], [{"dns": "other.example.org"}, {"source": "192.0.2.0/24"}], True),
}


def route(name, allow, deny, words):
    def fill(rule):
        return {key: words.get(value, value) for key, value in rule.items()}

    return dict(name=name, prefix=f"/{name}", handler="echo", allow=[fill(rule) for rule in allow],
                **({"deny": [fill(rule) for rule in deny]} if deny else {}))


@pytest.fixture(scope="module")
def d(pki, tmp_path_factory):
    certificate = pki.certificate()
    issuer = certificate.issuer.rfc4514_string().split(",")[0]
    words = {"SERIAL": f"{certificate.serial_number:x}", "ISSUER": issuer, "SPKI": spki(certificate)}
    daemon = harness.Daemon(pki, tmp_path_factory.mktemp("access"), plugins=[dict(name="echo", path="echo.so")],
                            routes=[route(name, allow, deny, words) for name, (allow, deny, _) in RULES.items()])
    daemon.start()
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("name", RULES)
def test_rules_decide(d, name):
    may = RULES[name][2]
    assert d.client().get(f"/{name}")[0] == (200 if may else 403)
    answer = d.ctl("test-access", "GET", f"https://localhost/{name}/x?y", "--cert", d.pki.client()[0],
                   "--from", "127.0.0.1")
    assert answer["outcome"] == ("allowed" if may else "denied")
    assert answer["route"] == name
    assert answer.get("handler") == ("echo" if may else None)


def test_the_reason_names_rule_and_place(d):
    answer = d.ctl("test-access", "GET", "/denied", "--cert", d.pki.client()[0])
    line = next(number for number, text in enumerate(d.config_path.read_text().splitlines(), 1)
                if "client.example.org" in text)
    assert f"{d.config_path}:{line}" in answer["decided_by"] and "deny rule 1" in answer["decided_by"]
    assert "holds: dns client.example.org" in answer["rules"][0]
    answer = d.ctl("test-access", "GET", "/other-attributes", "--cert", d.pki.client()[0])
    assert answer["decided_by"].startswith("no rule holds")
    assert "the certificate's subject_attributes: CN=client" in answer["rules"][0]
    answer = d.ctl("test-access", "GET", "/source", "--cert", d.pki.client()[0])
    assert answer["outcome"] == "denied" and "--from" in answer["rules"][0]


def test_what_is_no_matter_of_rules(d):
    certificate = d.pki.client()[0]
    assert d.ctl("test-access", "GET", "/nowhere", "--cert", certificate)["status"] == 404
    assert "expired" in d.ctl("test-access", "GET", "/spki", "--cert", d.pki.client("expired")[0])["certificate"]
    for arguments, words in ((("GET", "/a//b", "--cert", certificate), "bad request"),
                             (("GET", "/a", "--cert", str(d.config_path)), "no certificate"),
                             (("GET", "/a", "--cert", "/nonexistent"), "/nonexistent"),
                             (("GET", "/a"), "--cert")):
        code, _, err = d.ctl_raw("test-access", *arguments)
        assert code == 2 and words in err, (arguments, code, err)
