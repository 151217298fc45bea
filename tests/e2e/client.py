# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients in Python: a keep-alive HTTP client and a bare TLS socket, both with a client certificate."""
import http.client
import socket
import ssl
import threading

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def make_context(ca, pair=None, version=None):
    """pair: (certificate, key) paths or None. version: "1.2", "1.3" or None for either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if pair:
        context.load_cert_chain(*pair)
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


class Client:
    """One keep-alive connection, opened at the first request and again after the server closed it.

    `connects` counts how often a connection was opened, `close_announced` whether the last answer said
    `Connection: close`.
    """

    def __init__(self, host, port, context, timeout=30):
        self.connects = 0
        self.close_announced = False
        self.session = None
        outer = self

        class Connection(http.client.HTTPSConnection):
            def connect(self):
                http.client.HTTPConnection.connect(self)
                outer.connects += 1
                self.sock = context.wrap_socket(self.sock, server_hostname="localhost", session=outer.session)

        self._connection = Connection(host, port, context=context, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body). A broken connection raises and is forgotten: the next request opens a new one."""
        try:
            headers = headers or {}
            chunked = headers.get("Transfer-Encoding") == "chunked"
            self._connection.request(method, path, body=body, headers=headers, encode_chunked=chunked)
            response = self._connection.getresponse()
            data = response.read()
        except BaseException:
            self._connection.close()
            raise
        self.close_announced = response.will_close
        return response.status, response.headers, data

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=b"", headers=None):
        return self.request("POST", path, body=body, headers=headers)

    @property
    def sock(self):
        """The TLS socket, connected if need be."""
        if self._connection.sock is None:
            self._connection.connect()
        return self._connection.sock

    @property
    def open(self):
        return self._connection.sock is not None

    def close(self):
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class TlsSocket:
    """Bytes in, bytes out, over a verified session: for what no HTTP client would send."""

    def __init__(self, address, context, timeout=30):
        raw = socket.create_connection(address, timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = context.wrap_socket(raw, server_hostname="localhost")
        except BaseException:
            raw.close()
            raise
        self.reset = False

    def send(self, data):
        self.sock.sendall(data)

    def send_bytewise(self, data):
        """Every byte in a TLS record of its own. Stops when the server has hung up already."""
        for index in range(len(data)):
            try:
                self.sock.sendall(data[index:index + 1])
            except OSError:
                return

    def receive_all(self):
        """Everything until the server closes. `reset` tells whether it ended by a reset."""
        chunks = []
        while True:
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                raise
            except (ConnectionError, ssl.SSLError):
                self.reset = True
                break
            if not data:
                break
            chunks.append(data)
        return b"".join(chunks)

    def receive_answer(self):
        """One answer with Content-Length: (status, head, body)."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError(f"closed after {data!r}")
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError("closed inside a body")
            body += more
        return int(head.split(b" ", 2)[1]), head, body

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Crowd:
    """Calls a function in n threads and hands back their results in order; an exception is re-raised."""

    def __init__(self, n, function):
        self._results, self._errors = [None] * n, []

        def run(index):
            try:
                self._results[index] = function(index)
            except BaseException as error:  # pylint: disable=broad-except
                self._errors.append(error)

        self._threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(n)]
        for thread in self._threads:
            thread.start()

    def results(self, timeout=60):
        for thread in self._threads:
            thread.join(timeout)
            if thread.is_alive():
                raise TimeoutError("a client thread did not end")
        if self._errors:
            raise self._errors[0]
        return self._results
