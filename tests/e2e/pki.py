# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throw-away public key infrastructure: two CAs, a server, one client for every way to be refused.

As a program (`pki.py FOLDER`) it writes the same files for the demo and for trying things by hand.
"""
import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH


def make_name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "mtlsd tests"),
                      x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def write_private(path, key):
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))


def to_pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A CA, root or below another one, that signs certificates and revocation lists."""

    def __init__(self, common_name, parent=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.parent = parent
        self.revoked = []
        self.crl_number = 0
        signer = parent or self
        subject = make_name(common_name)
        builder = (x509.CertificateBuilder()
                   .subject_name(subject)
                   .issuer_name(parent.certificate.subject if parent else subject)
                   .public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(NOW - 30 * DAY)
                   .not_valid_after(NOW + 30 * DAY)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                   .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True,
                                                content_commitment=False, key_encipherment=False,
                                                data_encipherment=False, key_agreement=False,
                                                encipher_only=False, decipher_only=False), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()),
                                  critical=False))
        if parent:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()), critical=False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    def issue(self, common_name, key, *, names=(), usages=(CLIENT_AUTH,), since=-DAY, until=7 * DAY):
        builder = (x509.CertificateBuilder()
                   .subject_name(make_name(common_name))
                   .issuer_name(self.certificate.subject)
                   .public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(NOW + since)
                   .not_valid_after(NOW + until)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                                  critical=False))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def crl(self, *, since=-DAY, until=7 * DAY):
        """The list of what this authority revoked so far, PEM."""
        self.crl_number += 1
        builder = (x509.CertificateRevocationListBuilder()
                   .issuer_name(self.certificate.subject)
                   .last_update(NOW + since)
                   .next_update(NOW + until)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                                  critical=False)
                   .add_extension(x509.CRLNumber(self.crl_number), critical=False))
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder()
                                                      .serial_number(serial)
                                                      .revocation_date(NOW - DAY)
                                                      .build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Pki:
    """Files in one folder. Clients are made at first use; `client(name)` returns (certificate, key) paths."""

    #: name -> what is special about it; everything not named here is an ordinary good client of that name
    SPECIAL = ("wrong-ca", "expired", "not-yet-valid", "revoked", "server-eku", "no-eku", "intermediate",
               "no-names")

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority("mtlsd test CA")
        self.other_authority = Authority("somebody else's CA")
        self.intermediate_authority = Authority("mtlsd test intermediate CA", parent=self.authority)
        self.ca = self._write("ca.pem", to_pem(self.authority.certificate))
        # What the server trusts for clients. With the intermediate in it, that one's revocation list can be verified.
        self.client_ca = self._write("client-ca.pem", to_pem(self.authority.certificate)
                                     + to_pem(self.intermediate_authority.certificate))
        self.other_ca = self._write("other-ca.pem", to_pem(self.other_authority.certificate))
        self.server = self._server("server", self.authority)
        self.other_server = self._server("other-server", self.authority)
        self.client("revoked")
        self.crl = self.write_crl("crl.pem")
        self.root_crl = self._write("root-crl.pem", self.authority.crl())
        self.stale_crl = self._write("stale-crl.pem", self.authority.crl(since=-10 * DAY, until=-DAY)
                                     + self.intermediate_authority.crl(since=-10 * DAY, until=-DAY))

    def _write(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def _server(self, name, authority):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority.issue("localhost", key, usages=(SERVER_AUTH,),
                                      names=[x509.DNSName("localhost"),
                                             x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                                             x509.IPAddress(ipaddress.ip_address("::1"))])
        return self._pair(name, to_pem(certificate), key)

    def _pair(self, name, chain, key):
        key_path = self.folder / f"{name}-key.pem"
        write_private(key_path, key)
        return self._write(f"{name}.pem", chain), str(key_path)

    def client(self, name="good"):
        certificate_path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        if certificate_path.exists():
            return str(certificate_path), str(key_path)
        key = ec.generate_private_key(ec.SECP256R1())
        authority, chain = self.authority, b""
        # The good client is "client" in its names, as a service would be; others carry their own.
        word = "client" if name == "good" else name
        special = dict(names=[x509.UniformResourceIdentifier(f"spiffe://example.org/{word}"),
                              x509.DNSName(f"{word}.example.org"),
                              x509.RFC822Name(f"{word}@example.org")])
        if name == "wrong-ca":
            authority = self.other_authority
        elif name == "expired":
            special.update(since=-10 * DAY, until=-DAY)
        elif name == "not-yet-valid":
            special.update(since=DAY, until=10 * DAY)
        elif name == "server-eku":
            special.update(usages=(SERVER_AUTH,))
        elif name == "no-eku":
            special.update(usages=())
        elif name == "no-names":
            special.update(names=())
        elif name == "intermediate":
            authority = self.intermediate_authority
            chain = to_pem(authority.certificate)
        certificate = authority.issue(word, key, **special)
        if name == "revoked":
            authority.revoked.append(certificate.serial_number)
        return self._pair(name, to_pem(certificate) + chain, key)

    def certificate(self, name="good"):
        """The leaf as an object of `cryptography`."""
        return x509.load_pem_x509_certificate(pathlib.Path(self.client(name)[0]).read_bytes())

    def write_crl(self, name, *extra):
        """A fresh list (root and intermediate CA) that also revokes the clients named in extra."""
        keep = list(self.authority.revoked)
        self.authority.revoked += [self.certificate(client).serial_number for client in extra]
        try:
            return self._write(name, self.authority.crl() + self.intermediate_authority.crl())
        finally:
            self.authority.revoked = keep


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: pki.py FOLDER")
    pki = Pki(sys.argv[1])
    for client in ("good",) + Pki.SPECIAL:
        pki.client(client)
