# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service manager's end of sd_notify: a datagram socket that remembers what the daemon said."""
import socket
import threading


class NotifySocket:
    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self.path)
        self._changed = threading.Condition()
        self._messages = []
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self):
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            if data == b"":
                return
            message = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            with self._changed:
                self._messages.append(message)
                self._changed.notify_all()

    def messages(self):
        with self._changed:
            return list(self._messages)

    def count(self, key, value="1"):
        return sum(message.get(key) == value for message in self.messages())

    def last(self, key):
        """The latest value of a key, or None."""
        for message in reversed(self.messages()):
            if key in message:
                return message[key]
        return None

    def wait(self, key, value="1", *, count=1, timeout=30, alive=lambda: True):
        """True once the pair was received `count` times; False after the timeout or when alive() turned false."""
        with self._changed:
            def seen():
                return sum(message.get(key) == value for message in self._messages) >= count
            while not seen() and timeout > 0 and alive():
                self._changed.wait(0.1)
                timeout -= 0.1
            return seen()

    def close(self):
        # Ends the receiving thread: shutdown does not wake a datagram socket, an empty datagram does.
        waker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            waker.sendto(b"", self.path)
        except OSError:
            pass
        waker.close()
        self._thread.join(5)
        self._socket.close()
