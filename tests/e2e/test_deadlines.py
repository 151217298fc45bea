# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that stall: nobody spins for them, each is dropped at its deadline, everybody else is served meanwhile."""
import contextlib
import select
import socket
import ssl
import time

import client as mtls_client
import pytest
from harness import wait_for

STALLED = 500


def client_hello(ca):
    """The first flight of a TLS client, as bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = mtls_client.make_context(ca).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Crowd:
    """Many sockets: how many of them the daemon has closed."""

    def __init__(self):
        self.sockets = []
        self._open = {}
        self._poll = select.poll()

    def add(self, sock):
        sock.setblocking(False)
        self.sockets.append(sock)
        self._open[sock.fileno()] = sock
        self._poll.register(sock.fileno(), select.POLLIN)

    def closed(self):
        """Looks at those that have something to say; a reset counts as closed."""
        for descriptor, _ in self._poll.poll(0):
            sock = self._open[descriptor]
            try:
                gone = sock.recv(65536) == b""
            except (ssl.SSLWantReadError, BlockingIOError):
                gone = False
            except OSError:
                gone = True
            if gone:
                self._poll.unregister(descriptor)
                del self._open[descriptor]
        return len(self.sockets) - len(self._open)

    def close(self):
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def crowd():
    made = Crowd()
    yield made
    made.close()


def cpu_share(d, seconds, during=lambda: None):
    """The share of one core the daemon uses over a window. The pause is the measurement, not a synchronisation."""
    used, started = d.cpu(), time.monotonic()
    while time.monotonic() - started < seconds:
        during()
        time.sleep(0.25)  # the measuring window
    return (d.cpu() - used) / (time.monotonic() - started)


def connections(d):
    return d.ctl("status")["connections"]


def timeouts(d):
    return d.ctl("status")["timeouts"]


class Trickle:
    """One byte more for everybody every other second: slow enough to be a nuisance, fast enough to look alive."""

    def __init__(self, crowd, data, position=0):
        self.crowd, self.data, self.position, self.last = crowd, data, position, time.monotonic()

    def __call__(self):
        if time.monotonic() - self.last < 2:
            return
        for sock in self.crowd.sockets:
            try:
                sock.send(self.data[self.position:self.position + 1])
            except OSError:
                pass  # dropped already
        self.position, self.last = self.position + 1, time.monotonic()


# The deadlines here leave room for connecting 500 clients and for the window even on a busy machine.
@pytest.mark.parametrize("sent,trickles", [("nothing", False), ("half", False), ("half", True)],
                         ids=["silent", "half-hello", "trickling-hello"])
def test_500_stalled_in_the_handshake(daemon, crowd, sent, trickles):
    d = daemon(limits=dict(handshake_timeout="20s"))
    hello = client_hello(d.pki.ca)
    half = len(hello) // 2 if sent == "half" else 0
    address = d.address()
    for _ in range(STALLED):
        sock = socket.create_connection(address, timeout=30)
        if half:
            sock.sendall(hello[:half])
        crowd.add(sock)
    wait_for(lambda: connections(d)["handshaking"] == STALLED, "500 stalled handshakes")
    trickle = Trickle(crowd, hello, half) if trickles else lambda: None
    share = cpu_share(d, 5, trickle)
    assert share < 0.02, f"{share:.3f} of a core for stalled clients"
    assert crowd.closed() == 0
    assert d.client().get("/echo")[0] == 200, "another client was not served"

    def all_closed():
        trickle()
        return crowd.closed() == STALLED

    wait_for(all_closed, "all 500 to be dropped at their deadline")
    wait_for(lambda: timeouts(d)["handshake"] == STALLED, "500 counted handshake timeouts")
    assert d.client().get("/echo")[0] == 200


def test_500_trickling_headers(daemon, crowd):
    d = daemon(limits=dict(header_timeout="20s", idle_timeout="120s", handshake_timeout="120s"))
    address = d.address()
    context = mtls_client.make_context(d.pki.ca, d.pki.client(), "1.3")
    for _ in range(STALLED):
        raw = socket.create_connection(address, timeout=60)
        crowd.add(context.wrap_socket(raw, server_hostname="localhost"))
    head = b"GET /echo HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 1000
    for sock in crowd.sockets:
        sock.send(head[:20])
    trickle = Trickle(crowd, head, 20)
    share = cpu_share(d, 5, trickle)
    assert share < 0.02, f"{share:.3f} of a core for trickling clients"
    assert crowd.closed() == 0
    assert d.client().get("/echo")[0] == 200, "another client was not served"

    def all_closed():
        trickle()
        return crowd.closed() == STALLED

    wait_for(all_closed, "all 500 to be dropped at their deadline, however they trickle")
    assert timeouts(d)["header"] == STALLED
    assert d.ctl("show", "echo")["requests"]["total"] == 1
    assert d.client().get("/echo")[0] == 200


def test_slow_body(daemon):
    d = daemon(limits=dict(body_timeout="1s"))
    connection = d.tls_socket()
    connection.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
    connection.sock.settimeout(0.2)
    limit = time.monotonic() + 60
    closed = False
    while not closed and time.monotonic() < limit:
        # A byte now and then: an inactivity timer would never fire.
        try:
            connection.send(b"x")
            closed = connection.sock.recv(4096) == b""
        except TimeoutError:
            pass
        except OSError:
            closed = True
    assert closed, "a trickling body was never dropped"
    wait_for(lambda: timeouts(d)["body"] == 1, "a counted body timeout")
    assert d.ctl("show", "echo")["requests"]["inflight"] == 0
    assert d.client().get("/echo")[0] == 200


def test_slow_chunked_body(daemon):
    d = daemon(limits=dict(body_timeout="1s"))
    connection = d.tls_socket()
    connection.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    data = connection.receive_all()
    assert b" 200 " not in data
    wait_for(lambda: timeouts(d)["body"] == 1, "a counted body timeout")


@contextlib.contextmanager
def reader(d):
    """Asks for 8 MiB through a small window, so that the answer cannot hide in the kernel's buffers."""
    size = 8 << 20
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(60)
    raw.connect(d.address())
    with mtls_client.make_context(d.pki.ca, d.pki.client()).wrap_socket(raw, server_hostname="localhost") as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
        sock.sendall(b"x" * size)
        assert sock.recv(4) == b"HTTP"
        yield sock


BIG_ECHO = dict(name="echo", path="echo.so", memory=dict(soft="100MiB", hard="128MiB"), body_size="16MiB")


def test_slow_reader(daemon):
    d = daemon(limits=dict(write_timeout="2s", body_size="16MiB"), plugins=[BIG_ECHO])
    with reader(d):
        wait_for(lambda: timeouts(d)["write"] == 1, "a counted write timeout")
        wait_for(lambda: connections(d)["open"] == 0, "the connection to be gone")
    assert d.client().get("/echo")[0] == 200


def test_a_reader_that_trickles_is_dropped_too(daemon):
    """Bytes read now and then do not move the deadline: it is absolute."""
    d = daemon(limits=dict(write_timeout="3s", body_size="16MiB"), plugins=[BIG_ECHO])
    with reader(d) as sock:
        def dropped():
            try:
                sock.recv(64)
            except OSError:
                pass  # cut, as it should be
            return timeouts(d)["write"] == 1

        wait_for(dropped, "a counted write timeout", interval=0.1)


def test_idle_connections_are_closed(daemon):
    d = daemon(limits=dict(idle_timeout="1s"))
    silent, used = d.tls_socket(), d.tls_socket()
    used.send(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert used.receive_answer()[0] == 200
    assert silent.receive_all() == b"" and used.receive_all() == b""
    wait_for(lambda: timeouts(d)["idle"] == 2, "two counted idle timeouts")
    # The daemon's own view has to agree: nothing is left open.
    wait_for(lambda: connections(d)["open"] == 0, "no open connection")


def test_a_busy_connection_is_not_idle(daemon):
    d = daemon(limits=dict(idle_timeout="2s"))
    client = d.client()
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        assert client.get("/echo")[0] == 200
    assert client.connects == 1
    assert timeouts(d)["idle"] == 0
