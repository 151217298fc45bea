# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a core dump of the daemon holds: everything that explains a crash, and no private key."""
import base64
import os
import pathlib
import re
import signal

import harness
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tls_tools import VERSIONS, issue_server, new_key, replace

PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()


def numbers(name, value):
    """As certificates write it, and as the arithmetic does."""
    length = (value.bit_length() + 7) // 8
    return {f"{name}, big end first": value.to_bytes(length, "big"),
            f"{name}, little end first": value.to_bytes(length, "little")}


def secrets_of(key, path):
    """name -> bytes that nobody may find."""
    text = b"".join(pathlib.Path(path).read_bytes().splitlines()[1:-1])
    found = {"the file": text[:48]}
    if isinstance(key, rsa.RSAPrivateKey):
        values = key.private_numbers()
        for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp"):
            found.update(numbers(name, getattr(values, name)))
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        found.update(numbers("the scalar", key.private_numbers().private_value))
        found["the file's DER"] = base64.b64decode(text)[:64]
    else:
        raw = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                                serialization.NoEncryption())
        found.update({"the seed": raw, "the file's DER": base64.b64decode(text)})
    return found


def core_of(d, folder):
    """What the kernel writes when the daemon dies of a signal."""
    d.expected_exit = -signal.SIGABRT
    os.kill(d.pid, signal.SIGABRT)
    d.wait_exit()
    cores = [path for path in folder.iterdir() if path.name.startswith(PATTERN.split("%")[0])]
    assert len(cores) == 1, f"no core in {folder} ({PATTERN})"
    content = cores[0].read_bytes()
    cores[0].unlink()
    return content


def mappings_dumped(d):
    """The same by the kernel's account of what it would write: (start, end) of private memory that is not left out."""
    for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", pathlib.Path(f"/proc/{d.pid}/smaps").read_text(), flags=re.M):
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) r..p", part)
        if head and " dd" not in part[part.rindex("VmFlags:"):] and "[v" not in part.splitlines()[0]:
            yield int(head.group(1), 16), int(head.group(2), 16)


@pytest.mark.skipif(not harness.HEAP_LAYER, reason="without the heap layer keys lie in ordinary memory")
@pytest.mark.parametrize("kind", ("ecdsa", "rsa", "ed25519"))
def test_no_private_key_in_a_core_dump(daemon, pki, kind, tmp_path):
    """After handshakes with it, full and resumed ones, some still open, and after another key took its place."""
    key, other = new_key(kind), new_key(kind)
    certificate, key_path = issue_server(pki, tmp_path, "first", key)
    next_certificate, next_path = issue_server(pki, tmp_path, "second", other)
    tickets, secret = tmp_path / "tickets", os.urandom(32)
    replace(tickets, secret.hex().encode() + b"\n")
    folder = tmp_path / "cores"
    folder.mkdir()
    d = daemon(tls=dict(certificate=certificate, key=key_path, ticket_key=str(tickets)),
               wrapper=("sh", "-c", f'ulimit -c unlimited; cd {folder}; exec "$@"', "sh"))
    unwanted = {**secrets_of(key, key_path), "the tickets' secret": secret,
                "the tickets' secret in digits": secret.hex().encode()}
    unwanted.update((f"{name} of the next key", value) for name, value in secrets_of(other, next_path).items())

    def crowd():
        for version in VERSIONS if kind != "ed25519" else ("1.3",):
            clients = [d.client(version=version) for _ in range(10)]
            assert all(client.get("/echo")[0] == 200 for client in clients)
            for client in clients[::2]:
                client.close()

    crowd()
    d.edit(tls=[dict(d.config["tls"][0], certificate=next_certificate, key=next_path)])
    d.reload()
    crowd()
    if PATTERN.startswith(("|", "/")):  # somebody else's business: what would be written is read instead
        with open(f"/proc/{d.pid}/mem", "rb", buffering=0) as memory:
            content = b""
            for start, end in mappings_dumped(d):
                memory.seek(start)
                content += memory.read(end - start)
    else:
        content = core_of(d, folder)
    # It is a dump of this daemon: what is no secret is in it.
    assert str(d.config_path).encode() in content and b"spiffe://example.org/client" in content
    assert [name for name, value in unwanted.items() if value in content] == []
