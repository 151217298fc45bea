# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets that outlive processes: socket units, the store, restarts under load."""
from harness import wait_for
from service import PORT, UNIT, Storm

RESTARTS, CLIENTS = 50, 16


def test_a_client_starts_the_service(service):
    service.configure(listeners=[{"name": "main", "address": "inherited:https", "tls": "main"}])
    service.systemctl("start", "mtlsd.socket")
    assert service.show("ActiveState") == "inactive"
    assert service.get("/whoami")[0] == 200
    assert service.show("ActiveState") == "active"
    service.systemctl("stop", UNIT)
    assert service.get("/whoami")[0] == 200 # and again


def test_mtlsctl_starts_the_service(service):
    service.systemctl("start", "mtlsd-control.socket")
    assert service.show("ActiveState") == "inactive"
    assert service.ctl("status")["state"] == "running"
    assert service.machine.run("stat", "-c", "%U:%G %a", "/run/mtlsd/control.sock").strip() == "mtlsd:mtlsd 660"
    service.systemctl("stop", UNIT)
    assert service.ctl("status")["state"] == "running"


def test_restarts_refuse_nobody(service):
    service.start()
    storm = Storm(service, CLIENTS)
    try:
        wait_for(lambda: storm.served > CLIENTS, "clients to be served")
        for number in range(RESTARTS):
            before = storm.served
            # systemd counts our restarts as if they were a crash loop.
            service.systemctl("reset-failed", UNIT)
            service.systemctl("restart", UNIT)
            wait_for(lambda: storm.served > before or storm.failures, f"service after restart {number + 1}")
    finally:
        storm.stop()
    print(f"{RESTARTS} restarts, {storm.served} connections served, {len(storm.failures)} failed")
    assert storm.failures == []
    assert service.show("NFileDescriptorStore") == "3"


def test_the_control_socket_outlives_a_restart(service):
    service.start()
    inode = service.machine.run("stat", "-c", "%i", "/run/mtlsd/control.sock")
    before = service.pid
    service.systemctl("restart", UNIT)
    assert service.machine.run("stat", "-c", "%i", "/run/mtlsd/control.sock") == inode
    assert service.pid != before
    assert service.ctl("status")["state"] == "running"


def test_an_old_socket_in_the_way_of_a_new_address(service):
    """One address for all stands where one for the host stood: the store's copy has to go first."""
    service.start()
    service.configure(listeners=[{"name": "main", "address": f"0.0.0.0:{PORT}", "tls": "main"}])
    service.systemctl("restart", UNIT)
    assert service.get("/whoami")[0] == 200
    assert [one["address"] for one in service.ctl("status")["listeners"]] == [f"0.0.0.0:{PORT}"]
