# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket spoken to by hand: Varlink's JSON and NUL."""
import json
import socket


class VarlinkError(Exception):
    def __init__(self, reply):
        super().__init__(f"{reply['error']}: {reply.get('parameters', {})}")
        self.name = reply["error"]
        self.parameters = reply.get("parameters", {})


class Varlink:
    def __init__(self, path, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self._buffer = b""

    def send(self, data, fds=()):
        if fds:
            socket.send_fds(self.sock, [data], list(fds))
        else:
            self.sock.sendall(data)

    def receive(self):
        """One message, or None at the end of the stream."""
        while b"\0" not in self._buffer:
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, parameters=None, fds=(), **flags):
        message = {"method": method, "parameters": parameters or {}, **flags}
        self.send(json.dumps(message).encode() + b"\0", fds)
        reply = self.receive()
        if reply is None:
            raise ConnectionError(f"{method}: the daemon hung up")
        if "error" in reply:
            raise VarlinkError(reply)
        return reply.get("parameters", {})

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
