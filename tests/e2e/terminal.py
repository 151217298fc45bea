# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program on a terminal: a pseudo-terminal whose other end is the test.

    t = Terminal([program, ...], columns=80, lines=24)
    t.wait_page(lambda page: "leak" in page)    -> the last whole page it drew, without colours
    t.press("q"); t.wait_exit()                 -> its exit code, negative for a signal
"""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

from harness import wait_for

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    def __init__(self, command, columns=80, lines=24, env=None):
        self.master, self.slave = pty.openpty()
        self.raw = ""
        self.resize(columns, lines, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env={**os.environ, "TERM": "xterm", **(env or {})},
                                        preexec_fn=self._own_terminal)

    def _own_terminal(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, columns, lines, tell=True):
        # The kernel sends SIGWINCH to the foreground group by itself.
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self):
        """Takes in what is there."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.raw += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                break
        return self.raw

    def page(self):
        """The last page that was drawn whole, as plain text."""
        pages = re.findall(r"\x1b\[H(.*?)\x1b\[J", self.read(), re.DOTALL)
        return re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", pages[-1]).replace("\r", "") if pages else ""

    def pages(self):
        return self.read().count("\x1b[J")

    def wait_page(self, condition, what="the page"):
        def good():
            page = self.page()
            return page if page and condition(page) else None

        return wait_for(good, what)

    def wait_exit(self):
        wait_for(lambda: self.read() is not None and self.process.poll() is not None, "the program to end")
        return self.process.returncode

    def restored(self):
        """The terminal is as it was: its settings, its page, its cursor."""
        text = self.read()
        return (termios.tcgetattr(self.slave) == self.before and text.rfind(LEAVE) > text.rfind(ENTER)
                and text.rfind(SHOW) > text.rfind(HIDE))

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)
