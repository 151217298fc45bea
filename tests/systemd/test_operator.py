# SPDX-License-Identifier: LGPL-2.1-or-later
"""What who looks after the service has: the journal with its fields and catalog, dumps, plugins of one's own."""
import json
import subprocess

import pytest
from harness import wait_for
from service import BUILD, PLUGINS, PORT, UNIT, mtls_client


def records(service, *matches):
    """Of this run, by fields."""
    text = service.machine.run("journalctl", "-q", "--no-pager", "-o", "json", "-t", "mtlsd",
                               f"_PID={service.pid}", *matches)
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="session")
def numbers():
    """{kind: MESSAGE_ID}"""
    lines = subprocess.run([str(BUILD / "mtlsd"), "--print-catalog"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return {above[2:].split(",")[0]: line[3:] for above, line in zip(lines, lines[1:]) if line.startswith("-- ")}


def test_the_journal_knows_who_and_why(service, numbers):
    service.configure(routes=[{"name": "closed", "prefix": "/closed", "allow": [{"dns": "nobody.example.org"}],
                               "handler": "echo"}])
    service.start()
    with pytest.raises(OSError):
        service.get("/closed", context=service.stranger())
    assert service.get("/closed")[0] == 403
    refused, = wait_for(lambda: records(service, f"MESSAGE_ID={numbers['client-refused']}"), "the refusal")
    assert (refused["MTLSD_PEER"], refused["MTLSD_REFUSAL"]) == ("127.0.0.1", "unknown-ca")
    denied, = wait_for(lambda: records(service, f"MESSAGE_ID={numbers['access-denied']}"), "the denial")
    assert (denied["MTLSD_PEER"], denied["MTLSD_ROUTE"], denied["PRIORITY"]) == ("127.0.0.1", "closed", "6")


def test_the_catalog_explains(service, numbers):
    service.start()
    service.ctl("restart", "echo")
    change, = wait_for(lambda: records(service, f"MESSAGE_ID={numbers['changed']}"), "the change")
    assert (change["MTLSD_PLUGIN"], change["MTLSD_UID"]) == ("echo", "0")
    told = service.machine.run("journalctl", "-q", "-x", "--no-pager", f"MESSAGE_ID={numbers['changed']}")
    assert "Subject: An operator made a change" in told
    assert "User 0 asked for it by mtlsctl restart." in told


@pytest.mark.parametrize("form", ["combined", "json"])
def test_the_access_log_as_a_file(service, form):
    path = "/var/lib/mtlsd/access.log"
    service.machine.run("rm", "-f", path)
    service.configure(daemon={"access_log": {"to": "file", "path": path, "format": form}})
    service.start()
    assert service.get("/whoami")[0] == 200
    line = wait_for(lambda: service.machine.try_run("cat", path)[1], "the record")
    if form == "json":
        assert json.loads(line)["route"] == "whoami"
    else:
        assert '"GET /whoami HTTP/1.1" 200 ' in line


def test_the_access_log_in_the_journal(service):
    service.configure(daemon={"access_log": {"to": "journal"}})
    service.start()
    assert service.get("/whoami")[0] == 200
    one, = wait_for(lambda: records(service, "MTLSD_ROUTE=whoami"), "the record")
    assert (one["MTLSD_PEER"], one["MTLSD_PLUGIN"], one["MTLSD_STATUS"]) == ("127.0.0.1", "whoami", "200")


def test_dumps_are_kept_in_the_state_folder(service, numbers):
    """A leak is dumped to where the unit lets the daemon write, without anybody asking."""
    service.configure(daemon={"dump_directory": "/var/lib/mtlsd/dumps"}, more_plugins=[
        {"name": "leak", "path": "leak.so", "config": {"bytes": 1000}, "memory": {"hard": "1GiB", "leak": {
            "warm_up": "0s", "warm_up_requests": 0, "on_suspect": ["log", "dump"]}}}])
    service.start()
    with service.machine.network(), mtls_client.Client("127.0.0.1", PORT, service.context()) as client:
        def dumped():
            for _ in range(500):
                assert client.get("/leak")[0] == 200
            return records(service, f"MESSAGE_ID={numbers['dumped']}")
        record = wait_for(dumped, "a dump")[0]
    assert (record["MTLSD_PLUGIN"], record["MTLSD_INSTANCE"]) == ("leak", "3") # its number among all
    assert service.machine.run("ls", "/var/lib/mtlsd/dumps").startswith("leak-3-")


def test_signed_messages_are_taken_once(service):
    """What was taken is kept in the state folder, behind the walls, and outlives restarts, crashes and stops."""
    service.configure(more_plugins=[{"name": "once", "path": "once.so", "nonces": {"window": "1h"}}])

    def send(nonce):
        return service.get("/once", headers={"Nonce": nonce, "Signed-At": "now"})[0]

    service.start()
    assert send("first") == 200
    assert service.machine.run("stat", "-c", "%a %U", "/var/lib/mtlsd/nonces/once").split() == ["600", "mtlsd"]
    for how in ("restart", "kill", "stop"):
        before = service.pid
        if how == "kill":
            service.systemctl("kill", "--signal=KILL", UNIT)
            wait_for(lambda: service.pid not in (0, before), "another process")
        else:
            service.systemctl(how, UNIT)
        if how == "stop":
            service.start()
        assert [send("first"), send(how), send(how)] == [409, 200, 409], how
    assert service.ctl("show", "once")["nonces"]["remembered"] == 4


def test_a_plugin_of_ones_own(bare):
    """From mtlsd-dev alone: the template is built by its makefile, loaded, and serves."""
    bare.install("mtlsd", "mtlsctl", "mtlsd-dev")
    bare.certificates()
    bare.machine.run("sh", "-euc", "cp -r /usr/share/doc/mtlsd-dev/examples/template /root/own; cd /root/own; "
                                   f"make; cp template.so {PLUGINS}/")
    bare.configure(plugins=[{"name": "template", "path": "template.so"}],
                   routes=[{"name": "template", "prefix": "/", "allow": [{"any": True}], "handler": "template"}])
    bare.systemctl("start", UNIT)
    assert bare.get("/")[0] == 200
