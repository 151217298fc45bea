# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service as systemctl drives it: start, reload, hang, crash, memory, credentials, stop."""
import re
import signal
import threading

import client as mtls_client
import pytest
from harness import wait_for
from machine import RunError
from service import CONFIG, PORT, UNIT
from test_walls import landlock_abi


def test_start_serves_and_says_what(service):
    service.start()
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText") == "2 plugins on 1 listeners, configuration 1"
    assert service.get("/whoami")[0] == 200
    assert service.ctl("status")["state"] == "running"


def test_it_runs_as_nobody_special(service):
    service.start()
    status = service.machine.run("cat", f"/proc/{service.machine.run('pidof', 'mtlsd').strip()}/status")
    uid = service.machine.run("id", "-u", "mtlsd").strip()
    assert re.search(r"^Uid:\s+" + r"\s+".join([uid] * 4) + "$", status, re.M)
    capabilities = int(re.search(r"^CapEff:\s+(\w+)", status, re.M).group(1), 16)
    assert capabilities == 1 << 10 # CAP_NET_BIND_SERVICE
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)


def test_port_443_needs_no_root(service):
    service.configure(listeners=[{"name": "main", "address": "127.0.0.1:443", "tls": "main"}])
    service.start()
    assert service.get("/whoami", port=443)[0] == 200


def test_exposure_is_below_one_and_a_half(service):
    report = service.machine.run("systemd-analyze", "security", "--no-pager", UNIT)
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", report).group(1))
    assert exposure < 1.5
    manual = service.machine.run("sh", "-c", "zcat -f /usr/share/man/man8/mtlsd.8*").replace("\\-", "-")
    explained = manual[manual.index(".SS What stays open"):manual.index(".SH FILES")]
    points = set(re.findall(r"^✗ (\w+=)", report, re.M))
    assert points, report
    assert {point for point in points if point not in explained} == set()


def test_units_verify(service):
    _, output, errors = service.machine.try_run("systemd-analyze", "verify", "--man=no", UNIT, "mtlsd.socket",
                                                "mtlsd-control.socket")
    assert "mtlsd" not in output + errors


def test_reload_takes_a_good_file(service):
    service.start()
    service.configure(plugins=[{"name": "echo", "path": "echo.so"}],
                      routes=[{"name": "other", "prefix": "/other", "allow": [{"any": True}], "handler": "echo"}])
    service.systemctl("reload", UNIT)
    assert service.get("/other")[0] == 200
    assert service.get("/whoami")[0] == 404
    assert service.show("StatusText") == "1 plugins on 1 listeners, configuration 2"


def test_reload_refuses_a_bad_file_and_says_so(service):
    service.start()
    before = service.pid
    service.machine.write(CONFIG, "listeners: nonsense\n")
    with pytest.raises(RunError):
        service.systemctl("reload", UNIT)
    assert "mtlsctl[" in service.journal() and f"{CONFIG}:1:" in service.journal()
    assert "reload refused" in service.show("StatusText")
    assert service.show("ActiveState") == "active"
    assert service.pid == before
    assert service.get("/whoami")[0] == 200


def test_reload_refuses_what_the_walls_forbid(service):
    """The file is right: only the running daemon knows that it cannot be had any more."""
    if landlock_abi() < 1:
        pytest.skip("this kernel has no Landlock")
    service.start()
    before = service.pid
    service.configure(plugins=[{"name": "echo", "path": "echo.so", "needs": {"read": ["/srv"]}},
                               {"name": "whoami", "path": "whoami.so"}])
    with pytest.raises(RunError):
        service.systemctl("reload", UNIT)
    assert "needs a restart" in service.show("StatusText")
    assert "needs a restart" in service.journal()
    assert service.pid == before
    service.systemctl("restart", UNIT)
    assert service.get("/whoami")[0] == 200
    assert service.pid != before


def test_reload_finds_a_moved_control_socket(service):
    service.drop_in("socket", "[Service]\nEnvironment=MTLSCTL_SOCKET=/run/mtlsd/other.sock\n")
    service.configure(control={"socket": "/run/mtlsd/other.sock"})
    service.start()
    service.systemctl("reload", UNIT)
    assert service.show("StatusText") == "2 plugins on 1 listeners, configuration 2"


def test_a_bad_file_at_the_start_fails_and_says_where(service):
    """Even the first of all processes, however soon it ends; and the manager gives up after a while."""
    service.drop_in("once", "[Service]\nRestart=no\n")
    service.machine.write(CONFIG, "listeners: nonsense\n")
    with pytest.raises(RunError):
        service.systemctl("start", UNIT)
    service.wait_journal(f"{CONFIG}:1:")
    service.wait_journal(f"{CONFIG} is not a valid configuration")
    assert service.machine.run("journalctl", "-q", "-u", UNIT, "-p", "err", "-g", "not a valid", "--no-pager")
    service.machine.run("rm", "-r", f"/run/systemd/system/{UNIT}.d")
    service.systemctl("daemon-reload")
    service.systemctl("reset-failed", UNIT)
    with pytest.raises(RunError):
        service.systemctl("start", UNIT)
    service.wait_journal("Start request repeated too quickly")
    assert service.show("ActiveState") == "failed"


def test_what_a_short_lived_process_is_missing_is_told(service):
    service.drop_in("once", "[Service]\nRestart=no\n")
    service.machine.run("rm", "/etc/mtlsd/tls/server.pem")
    with pytest.raises(RunError):
        service.systemctl("start", UNIT)
    service.wait_journal("tls main: certificate /etc/mtlsd/tls/server.pem: No such file or directory")


def test_the_watchdog_ends_a_daemon_that_hangs(service):
    service.drop_in("watchdog", "[Service]\nWatchdogSec=1s\n")
    service.start()
    before = service.pid
    service.systemctl("kill", "--signal=STOP", UNIT)
    wait_for(lambda: service.pid not in (0, before), "another process")
    service.wait_journal("Watchdog timeout")
    wait_for(lambda: service.show("ActiveState") == "active", "the service to be up again")
    assert service.get("/whoami")[0] == 200


def test_a_crash_refuses_nobody(service):
    """The listener outlives its process: who connects in between waits in its queue."""
    service.drop_in("slow", "[Service]\nRestartSec=1s\n")
    service.start()
    before, inode = service.pid, listening_inode(service)
    service.systemctl("kill", "--signal=KILL", UNIT)
    wait_for(lambda: service.show("SubState") == "auto-restart", "systemd to see the crash")
    assert service.get("/whoami")[0] == 200 # waits for the next process
    assert service.pid not in (0, before)
    assert listening_inode(service) == inode
    assert service.show("NRestarts") == "1"


def resumes(service, context, session=None):
    """A request with that session: was it resumed, and the session the next may bring."""
    with service.machine.network(), mtls_client.Client("127.0.0.1", PORT, context) as one:
        one.session = session
        assert one.get("/whoami")[0] == 200
        return one.sock.session_reused, one.sock.session


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_tickets_survive(service, how):
    context = service.context()
    service.start()
    assert service.ctl("tls")["resumption"][0]["kept"]
    session = resumes(service, context)[1]
    before = service.pid
    if how == "restart":
        service.systemctl("restart", UNIT)
    else:
        service.systemctl("kill", "--signal=KILL", UNIT)
        wait_for(lambda: service.pid not in (0, before), "another process")
    assert resumes(service, context, session)[0]
    # Not what was granted under other authorities, lists or rules.
    session = resumes(service, context)[1]
    service.configure(routes=[{"name": "whoami", "prefix": "/whoami", "allow": [{"dns": "*.example.org"}],
                               "handler": "whoami"}])
    service.systemctl("restart", UNIT)
    assert not resumes(service, context, session)[0]
    # And not after a stop, when the store is emptied.
    session = resumes(service, context)[1]
    service.systemctl("stop", UNIT)
    service.start()
    assert not resumes(service, context, session)[0]


def test_secrets_that_are_not_wanted_are_not_kept(service):
    service.start()
    wait_for(lambda: service.show("NFileDescriptorStore") == "3", "listener, control socket and secrets in the store")
    service.configure(tls=[{"name": "main", "certificate": "tls/server.pem", "key": "tls/server.key",
                            "client_ca": "tls/clients.pem", "tickets": False}])
    service.systemctl("reload", UNIT)
    wait_for(lambda: service.show("NFileDescriptorStore") == "2", "the store to have lost the secrets")


def listening_inode(service):
    for line in service.machine.run("cat", "/proc/net/tcp").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{PORT:04X}") and fields[3] == "0A":
            return fields[9]
    return None


def test_a_removed_listener_is_not_kept(service):
    listeners = [{"name": "main", "address": f"127.0.0.1:{PORT}", "tls": "main"},
                 {"name": "second", "address": f"127.0.0.1:{PORT + 1}", "tls": "main"}]
    service.configure(listeners=listeners)
    service.start()
    # Two listeners, the control socket, the secrets of tickets.
    wait_for(lambda: service.show("NFileDescriptorStore") == "4", "four descriptors in the store")
    service.configure(listeners=listeners[:1])
    service.systemctl("reload", UNIT)
    wait_for(lambda: service.show("NFileDescriptorStore") == "3", "the store to have lost one")
    with pytest.raises(ConnectionRefusedError):
        service.get("/whoami", port=PORT + 1)
    service.configure(listeners=listeners)
    service.systemctl("reload", UNIT)
    assert service.get("/whoami", port=PORT + 1)[0] == 200
    # One that goes while nobody runs is given up by the next process.
    service.configure(listeners=listeners[:1])
    service.systemctl("restart", UNIT)
    wait_for(lambda: service.show("NFileDescriptorStore") == "3", "the store to have lost one")
    with pytest.raises(ConnectionRefusedError):
        service.get("/whoami", port=PORT + 1)
    assert service.get("/whoami")[0] == 200


def test_memory_max_ends_it_and_it_comes_again(service):
    service.configure(more_plugins=[{"name": "leak", "path": "leak.so", "config": {"bytes": 1 << 20},
                                     "memory": {"soft": "1000MiB", "hard": "1GiB"}}])
    service.drop_in("memory", "[Service]\nMemoryHigh=infinity\nMemoryMax=96M\nMemorySwapMax=0\n")
    service.start()
    before = service.pid

    def leak():
        try:
            service.get("/leak")
        except OSError:
            pass
        return service.pid not in (0, before)

    wait_for(leak, "the limit to be met")
    wait_for(lambda: service.show("ActiveState") == "active", "the service to be up again")
    service.wait_journal("status=9/KILL") # the second control groups also say who: oom-kill
    assert service.get("/whoami")[0] == 200


def test_the_key_as_a_credential(service):
    """Only root may read the file; the daemon reads what systemd shows it."""
    service.machine.run("chown", "root:root", "/etc/mtlsd/tls/server.key")
    service.machine.run("chmod", "0600", "/etc/mtlsd/tls/server.key")
    with pytest.raises(RunError):
        service.systemctl("start", UNIT)
    service.packaged_drop_in("credentials")
    service.configure(tls=[{"name": "main", "certificate": "tls/server.pem",
                            "key": "credential:server.key",
                            "client_ca": "tls/clients.pem", "client_crl": "tls/clients.crl"}])
    service.start()
    assert service.get("/whoami")[0] == 200
    service.systemctl("reload", UNIT)
    assert service.get("/whoami")[0] == 200
    # The file of a renewed key is root's; what the daemon was shown stays as it was, and the doctor says so.
    finding, = [one for one in service.ctl("doctor")["findings"] if one["check"] == "credentials"]
    assert "systemctl restart mtlsd" in finding.values()


def test_a_user_that_exists_only_while_it_runs(service):
    service.machine.run("chmod", "-R", "a+rX", "/etc/mtlsd/tls")
    service.machine.run("chmod", "0600", "/etc/mtlsd/tls/server.key")
    service.packaged_drop_in("credentials")
    service.packaged_drop_in("dynamic-user")
    # sysusers made a user of that name, which systemd would take instead.
    service.drop_in("name", "[Service]\nUser=mtlsd-dynamic\nGroup=mtlsd-dynamic\n")
    service.configure(tls=[{"name": "main", "certificate": "tls/server.pem",
                            "key": "credential:server.key",
                            "client_ca": "tls/clients.pem", "client_crl": "tls/clients.crl"}])
    service.start()
    assert service.get("/whoami")[0] == 200
    uid = int(service.machine.run("stat", "-c", "%u", f"/proc/{service.machine.run('pidof', 'mtlsd').strip()}"))
    assert 61184 <= uid <= 65519
    assert service.ctl("status")["state"] == "running"
    service.systemctl("restart", UNIT)
    assert service.get("/whoami")[0] == 200


def test_stop_lets_requests_end(service):
    service.configure(more_plugins=[{"name": "slow", "path": "slow.so",
                                     "config": {"delay": "1h", "gate": "/run/mtlsd/gate"}}])
    service.start()
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(service.get("/slow"))) for _ in range(8)]
    for client in clients:
        client.start()
    wait_for(lambda: service.ctl("show", "slow")["requests"]["inflight"] == 8, "eight requests inside")
    service.systemctl("stop", "--no-block", UNIT)
    wait_for(lambda: service.show("SubState") == "stop-sigterm", "systemd to have asked")
    assert service.ctl("status")["state"] == "draining"
    service.machine.run("touch", "/run/mtlsd/gate")
    for client in clients:
        client.join(60)
    assert [status for status, _ in answers] == [200] * 8
    wait_for(lambda: service.show("ActiveState") == "inactive", "the end")
    assert service.show("Result") == "success"
    service.machine.run("rm", "/run/mtlsd/gate")


def test_stop_waits_as_long_as_the_configuration_says(service):
    """systemd's own patience is shorter, and the daemon asks for more."""
    service.drop_in("impatient", "[Service]\nTimeoutStopSec=1s\n")
    service.configure(daemon={"drain_timeout": "4s"}, more_plugins=[
        {"name": "slow", "path": "slow.so", "config": {"delay": "1h"}}])
    service.start()
    answers = []
    client = threading.Thread(target=lambda: answers.append(service.get("/slow")))
    client.start()
    wait_for(lambda: service.ctl("show", "slow")["requests"]["inflight"] == 1, "the request inside")
    service.systemctl("stop", UNIT)
    client.join(60)
    assert answers and answers[0][0] == 503
    assert service.show("Result") == "success"


def test_plain_signals(service):
    service.start()
    service.systemctl("kill", "--kill-who=main", f"--signal={signal.SIGTERM}", UNIT)
    wait_for(lambda: service.show("ActiveState") == "inactive", "the end")
    assert service.show("Result") == "success"
