# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon as a service: notification, watchdog, draining, inherited sockets, listeners, connection limits."""
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest
from client import Crowd
from harness import BUILD, wait_for
from plugin_view import needs_layer

REQUEST = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def inflight(d, plugin):
    return d.ctl("show", plugin)["requests"]["inflight"]


def connections(d):
    return d.ctl("status")["connections"]


# --- notification ----------------------------------------------------------------------------------------------


def test_ready_status_and_stopping(daemon):
    d = daemon()
    assert d.notify.count("READY") == 1
    assert d.notify.last("STATUS"), "a STATUS line for systemctl status"
    d.stop()
    messages = d.notify.messages()
    assert "STOPPING" in messages[-1] or any("STOPPING" in message for message in messages)


def test_reloading_then_ready(daemon):
    d = daemon()
    d.process.send_signal(signal.SIGHUP)
    assert d.notify.wait("RELOADING")
    assert d.notify.wait("READY", count=2)
    reloading = next(message for message in d.notify.messages() if "RELOADING" in message)
    # systemd 253 and later want the time the reload began.
    assert int(reloading["MONOTONIC_USEC"]) > 0


def test_watchdog_is_fed(daemon):
    d = daemon(start=False, env={"WATCHDOG_USEC": "400000"})
    d.start()
    assert d.notify.wait("WATCHDOG", count=5), "five WATCHDOG=1"


def test_watchdog_of_somebody_else_is_not_fed(daemon):
    """WATCHDOG_PID names another process."""
    d = daemon(start=False, env={"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    d.start()
    # As long as a fed one would have taken for several rounds of requests.
    client, limit = d.client(), time.monotonic() + 1
    while time.monotonic() < limit:
        assert client.get("/echo")[0] == 200
    assert d.notify.count("WATCHDOG") == 0


# --- ending ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_idle_connections_do_not_hold_it(daemon, number):
    d = daemon(settings=dict(drain_timeout="60s"))
    sockets = [d.tls_socket() for _ in range(8)]
    sockets[0].send(REQUEST % b"echo")
    assert sockets[0].receive_answer()[0] == 200
    d.process.send_signal(number)
    for connection in sockets:
        assert connection.receive_all() == b""
    assert d.wait_exit() == 0


def test_sigterm_answers_what_is_inside(daemon):
    """A deferred request that is under way when the signal comes gets its answer, with the close announced."""
    d = daemon(plugins=[dict(name="slow", path="slow.so", config=dict(delay="2s")), dict(name="echo", path="echo.so")],
               settings=dict(drain_timeout="30s"))
    waiting = [d.tls_socket() for _ in range(8)]
    for connection in waiting:
        connection.send(REQUEST % b"slow")
    wait_for(lambda: inflight(d, "slow") == 8, "eight requests inside")
    d.process.send_signal(signal.SIGTERM)
    assert d.notify.wait("STOPPING")
    for connection in waiting:
        status, head, _ = connection.receive_answer()
        assert status == 200
        assert b"connection: close" in head.lower()
        assert connection.receive_all() == b""
    assert d.wait_exit() == 0


def test_sigterm_lets_uploads_end(daemon):
    d = daemon(settings=dict(drain_timeout="30s"))
    connection = d.tls_socket()
    connection.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
    # The daemon must have seen the head: it counts as a request then.
    wait_for(lambda: d.ctl("status")["requests"] == 1, "the head to be read")
    d.process.send_signal(signal.SIGTERM)
    assert d.notify.wait("STOPPING")
    connection.send(b"world")
    status, head, _ = connection.receive_answer()
    assert status == 200 and b"connection: close" in head.lower()
    assert d.wait_exit() == 0


def test_the_drain_ends_at_its_timeout(daemon):
    """What does not end is cancelled and gets a 503; the daemon still ends by itself, with 0."""
    d = daemon(plugins=[dict(name="slow", path="slow.so", config=dict(delay="60s"), deadline="2min",
                             drain_timeout="1s")],
               settings=dict(drain_timeout="1s"))
    connection = d.tls_socket()
    connection.send(REQUEST % b"slow")
    wait_for(lambda: inflight(d, "slow") == 1, "the request to be inside")
    d.process.send_signal(signal.SIGTERM)
    data = connection.receive_all()
    assert data.startswith(b"HTTP/1.1 503") or data == b""
    assert d.wait_exit() == 0


def test_no_answer_is_lost_when_it_ends_under_load(daemon):
    """Each connection's life ends in one of two ways: the last answer announced the close, or it was closed between two
    requests, before a byte of an answer. A cut answer is a lost one."""
    d = daemon()

    def run(_):
        with d.client() as client:
            answered = 0
            while True:
                try:
                    status, _, _ = client.get("/echo")
                except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                    return answered, "closed"
                assert status == 200
                answered += 1
                if client.close_announced:
                    return answered, "announced"

    d.address()  # looked up once, before the crowd does
    crowd = Crowd(16, run)
    wait_for(lambda: d.ctl("status")["requests"] > 500, "a load")
    d.process.send_signal(signal.SIGTERM)
    ends = crowd.results()
    assert all(answered > 0 for answered, _ in ends)
    assert any(end == "announced" for _, end in ends), ends
    assert d.wait_exit() == 0


def test_kill_leaves_a_start_possible(daemon):
    """After SIGKILL the next start meets the old socket file and run directory."""
    d = daemon()
    d.process.kill()
    d.process.wait()
    d.notify.close()
    d.start()
    assert d.client().get("/echo")[0] == 200


# --- listeners -------------------------------------------------------------------------------------------------


def test_ipv6_and_several_listeners(daemon):
    d = daemon(listeners=[dict(name="four", address="127.0.0.1:0", tls="main"),
                          dict(name="six", address="[::1]:0", tls="main"),
                          dict(name="any", address="[::]:0", tls="main")])
    for index in range(3):
        assert d.client(listener=index).get("/echo")[0] == 200
    names = [listener["name"] for listener in d.ctl("status")["listeners"]]
    assert names == ["four", "six", "any"]


def inherited(path_or_address):
    sock = socket.socket(socket.AF_INET)
    sock.bind(path_or_address)
    sock.listen(64)
    return sock


def start_with_sockets(d, sockets, names):
    """As systemd passes them: descriptors from 3 on, LISTEN_PID of the daemon itself."""
    descriptors = [sock.fileno() for sock in sockets]
    # A shell between us moves them to 3, 4, … and knows the pid it will exec the daemon with.
    moves = " ".join(f"{3 + index}<&{number}" for index, number in enumerate(descriptors))
    d.wrapper = ["bash", "-c", f'exec env LISTEN_PID=$$ LISTEN_FDS={len(sockets)} LISTEN_FDNAMES={":".join(names)} '
                               f'"$@" {moves}', "bash"]
    d.pass_fds = descriptors
    d.start()


def test_inherited_sockets_are_matched_by_name(daemon):
    first, second = inherited(("127.0.0.1", 0)), inherited(("127.0.0.1", 0))
    # High numbers, so that moving one to 3 cannot overwrite another.
    sockets = [socket.socket(fileno=os.dup2(sock.detach(), number)) for sock, number in ((first, 50), (second, 51))]
    d = daemon(start=False, listeners=[dict(name="b", address="inherited:beta", tls="main"),
                                       dict(name="a", address="inherited:alpha", tls="main")])
    start_with_sockets(d, sockets, ["alpha", "beta"])
    ports = [sock.getsockname()[1] for sock in sockets]
    assert [d.port(0), d.port(1)] == [ports[1], ports[0]]
    assert d.client(listener=0).get("/echo")[0] == 200
    assert d.client(listener=1).get("/echo")[0] == 200
    # They belong to the service manager: the daemon's end leaves them open for the next start.
    d.stop()
    with socket.create_connection(sockets[0].getsockname(), timeout=10):
        pass
    for sock in sockets:
        sock.close()


def test_an_inherited_socket_that_was_not_passed_is_a_mistake(daemon):
    d = daemon(start=False, listeners=[dict(name="a", address="inherited:alpha", tls="main")])
    d.expected_exit = 1
    d.start(wait=False)
    assert d.wait_exit() == 1
    assert "alpha" in d.log_text()


# --- connection limits -------------------------------------------------------------------------------------------


def is_open(sock):
    """A connection the daemon keeps is silent; one it refused is at its end."""
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_limit_in_total(daemon):
    d = daemon(limits=dict(connections=20, handshake_timeout="60s"))
    sockets = [socket.create_connection(d.address(), timeout=30) for _ in range(30)]
    wait_for(lambda: connections(d)["refused_total_limit"] == 10, "ten refused")
    wait_for(lambda: sum(is_open(sock) for sock in sockets) == 20, "twenty kept")
    for sock in sockets:
        sock.close()
    wait_for(lambda: connections(d)["open"] == 0, "room")
    assert d.client().get("/echo")[0] == 200


def test_limit_per_address(daemon):
    d = daemon(limits=dict(connections_per_address=5, handshake_timeout="60s"),
               listeners=[dict(name="main", address="0.0.0.0:0", tls="main")])
    sockets = [socket.create_connection(("127.0.0.1", d.port()), timeout=30) for _ in range(8)]
    wait_for(lambda: connections(d)["refused_address_limit"] == 3, "three refused")
    assert connections(d)["open"] == 5
    # Another address has its own share.
    with socket.create_connection(("127.0.0.1", d.port()), timeout=30, source_address=("127.0.0.2", 0)) as other:
        wait_for(lambda: connections(d)["open"] == 6, "the other address to be let in")
        assert is_open(other)
    for sock in sockets:
        sock.close()
    wait_for(lambda: connections(d)["open"] == 0, "room")
    assert d.client().get("/echo")[0] == 200


def test_refusing_costs_no_request_of_others(daemon):
    d = daemon(limits=dict(connections=40, handshake_timeout="60s"))
    load = d.load("/echo", connections=8)
    sockets = [socket.create_connection(d.address(), timeout=30) for _ in range(100)]
    wait_for(lambda: connections(d)["refused_total_limit"] >= 60, "the others to be refused")
    seen = load.count()
    wait_for(lambda: load.count() > seen + 200, "the load to go on")
    assert load.stop()["failures"] == 0
    for sock in sockets:
        sock.close()


def test_running_out_of_descriptors_is_survived(daemon):
    """accept fails with EMFILE: no spin, no crash, and service again as soon as there is room."""
    d = daemon(start=False, limits=dict(handshake_timeout="60s"), wrapper=["prlimit", "--nofile=80:80"])
    d.start()
    client = d.client()
    assert client.get("/echo")[0] == 200
    sockets = [socket.create_connection(d.address(), timeout=30) for _ in range(120)]
    used, started = d.cpu(), time.monotonic()
    while time.monotonic() - started < 2:
        assert client.get("/echo")[0] == 200
        time.sleep(0.1)  # the measuring window
    assert (d.cpu() - used) / (time.monotonic() - started) < 0.5
    for sock in sockets:
        sock.close()
    wait_for(lambda: d.ctl_raw("status")[0] == 0, "an operator to get in again")
    wait_for(lambda: connections(d)["open"] <= 1, "the stalled to be gone")
    assert d.client().get("/echo")[0] == 200
    assert client.connects == 1


# --- memory pressure -----------------------------------------------------------------------------------------------


@needs_layer
def test_memory_pressure_gives_free_pages_back_at_once(daemon, tmp_path):
    fifo = tmp_path / "pressure"
    os.mkfifo(fifo)
    d = daemon(plugins=[dict(name="overlimit", path="overlimit.so", memory={"hard": "8MiB", "on_limit": "ignore"})],
               settings={"memory_decay": "1h"}, env={"MEMORY_PRESSURE_WATCH": str(fifo)})
    assert d.client().get("/overlimit")[0] == 200  # takes all there is and frees it again

    def retained():
        return d.ctl("show", "overlimit")["own"]["retained_bytes"]

    assert retained() > 4 << 20, "without pressure it is kept for the hour"
    with open(fifo, "wb", buffering=0) as pressure:
        pressure.write(b"x")
        wait_for(lambda: retained() == 0, "the pages to be given back")
    assert any("memory is short" in line for line in d.log())


def test_pressure_that_cannot_be_watched_is_said_and_survived(daemon, tmp_path):
    d = daemon(env={"MEMORY_PRESSURE_WATCH": str(tmp_path / "nothing")})
    assert any("memory pressure is not watched" in line for line in d.log())
    assert d.client().get("/echo")[0] == 200


# --- hardening ---------------------------------------------------------------------------------------------------


@needs_layer # a sanitizer's build leaves it out
@pytest.mark.parametrize("name", ["mtlsd", "mtlsctl", "plugins/echo.so", "plugins/whoami.so"])
def test_what_is_built_is_hardened(name):
    def told(*options):
        return subprocess.run(["readelf", "--wide", *options, str(BUILD / name)], capture_output=True, text=True,
                              check=True).stdout
    assert "Type:                              DYN" in told("--file-header")
    if not name.endswith(".so"):
        assert re.search(r"FLAGS_1.* PIE", told("--dynamic"))
        assert re.search(r"__\w+_chk\b", told("--dyn-syms")), "fortified"
        assert "__stack_chk_fail" in told("--dyn-syms")
    assert "NOW" in told("--dynamic")
    assert "GNU_RELRO" in told("--program-headers")
    assert not re.search(r"GNU_STACK.* RWE", told("--program-headers"))
