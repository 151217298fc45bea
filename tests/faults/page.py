# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page shared with inject.c: what is to fail, how often such calls were made, where it was hit."""
import errno
import mmap
import re
import struct
import subprocess

OFF, ONCE, ON, COUNT = range(4)
SHORT = 1000

#: Classes of calls and what can happen to them, in the order inject.c knows.
CLASSES = {
    "memory": ["ENOMEM"],
    "map": ["ENOMEM"],
    "thread": ["EAGAIN"],
    "open": ["EMFILE", "ENFILE"],
    # Not EAGAIN: no kernel says it while there is something to read.
    "read": ["SHORT", "EINTR", "ECONNRESET", "EIO"],
    "write": ["SHORT", "EINTR", "EAGAIN", "ECONNRESET", "EPIPE", "ENOSPC"],
    "file": ["EIO", "ENOSPC"],
    "wait": ["EINTR"],
    "random": ["EINTR", "EIO"],
    "net": ["ENOBUFS"],
    "watch": ["ENOSPC", "ENOMEM"],
    "close": ["EINTR", "EIO"],
    "storm": ["EINTR"],
    "library": ["ENOMEM"],
}
KINDS = {name: number for number, name in enumerate(CLASSES, 1)}

STACKS, FRAMES = 1 << 14, 24
STACK = 8 * (3 + FRAMES)
HEAD, TEXT = 80, 4096
TABLE = HEAD + TEXT
SIZE = TABLE + STACK * STACKS


def number(error):
    return SHORT if error == "SHORT" else getattr(errno, error)


class Page:
    def __init__(self, path):
        self.path, self.mode = str(path), OFF
        with open(path, "wb+") as file:
            file.truncate(SIZE)
            self._map = mmap.mmap(file.fileno(), SIZE)

    def _get(self, form, at):
        return struct.unpack_from(form, self._map, at)[0]

    def arm(self, name, error, n=0, mode=ONCE):
        self.disarm()
        self.mode = mode
        if mode == COUNT:
            self._map[TABLE:SIZE] = bytes(SIZE - TABLE)
            struct.pack_into("<I", self._map, 44, 0)
        self._map[48:TABLE] = bytes(TABLE - 48)
        struct.pack_into("<III", self._map, 4, KINDS[name], number(error), 0)
        struct.pack_into("<QQ", self._map, 16, n, 0)
        struct.pack_into("<I", self._map, 0, mode)

    def disarm(self):
        struct.pack_into("<I", self._map, 0, OFF)

    @property
    def is_starved(self):
        """No descriptor is to be had until disarm()."""
        return self._get("<I", 0) == ON and self._get("<I", 4) == KINDS["open"]

    @property
    def is_mute(self):
        """Nothing can be written until disarm(), the log neither."""
        return self._get("<I", 0) == ON and self._get("<I", 4) == KINDS["write"]

    @property
    def may_leave_files(self):
        """What fails for good, and a file that cannot be removed: the next life has to do it."""
        return self.mode == ON or self._get("<I", 4) == KINDS["file"]

    @property
    def calls(self):
        return self._get("<Q", 24)

    @property
    def hits(self):
        return self._get("<I", 12)

    def _stacks(self):
        for at in range(TABLE, SIZE, STACK):
            if self._get("<Q", at):
                yield struct.unpack_from(f"<{2 + FRAMES}Q", self._map, at + 8)

    def points(self):
        """The first and the last call of each distinct stack, in order."""
        return sorted({call for first, last, *_ in self._stacks() for call in (first, last)})

    def points_in(self, program, function):
        """The same, of stacks that pass through a function of the program."""
        stacks = [(first, last, [frame - 1 for frame in frames if 0 < frame < 1 << 30])
                  for first, last, *frames in self._stacks()]
        offsets = sorted({frame for _, _, frames in stacks for frame in frames})
        done = subprocess.run(["addr2line", "-f", "-i", "-a", "-e", str(program)], text=True, capture_output=True,
                              input="".join(f"{offset:#x}\n" for offset in offsets))
        names, at = {}, None
        for line in done.stdout.splitlines():
            if line.startswith("0x"):
                at = names.setdefault(int(line, 16), set())
            else:
                at.add(line)
        return sorted({call for first, last, frames in stacks if any(function in names.get(frame, ())
                                                                     for frame in frames) for call in (first, last)})

    def ask_for_leaks(self):
        struct.pack_into("<I", self._map, 32, self._get("<I", 32) + 1)

    def leaks(self):
        """True or False once the helper has looked, None before."""
        return None if self._get("<I", 32) != self._get("<I", 36) else self._get("<I", 40) != 0

    @property
    def function(self):
        return self._map[48:80].split(b"\0")[0].decode()

    def frames(self):
        """Where it was hit, innermost first: (file, offset, symbol)."""
        text = self._map[HEAD:TABLE].split(b"\0")[0].decode(errors="replace")
        return [line.split(" ") for line in text.splitlines() if line.count(" ") == 2]


def name_frames(frames):
    """'function (file:line)' for each frame; of libraries, the symbol."""
    named, wanted = [], {}
    for file, offset, _ in frames:
        wanted.setdefault(file, []).append(hex(int(offset, 16) - 1))
    found = {}
    for file, offsets in wanted.items():
        if re.search(r"/lib/|/usr/", file):
            continue
        done = subprocess.run(["addr2line", "-fs", "-e", file, *offsets], capture_output=True, text=True)
        lines = done.stdout.splitlines()
        if len(lines) == 2 * len(offsets):
            found.update({(file, offset): (lines[2 * i], lines[2 * i + 1]) for i, offset in enumerate(offsets)})
    for file, offset, symbol in frames:
        function, place = found.get((file, hex(int(offset, 16) - 1)), (symbol, file.rsplit("/", 1)[-1]))
        if not file.endswith("/inject.so"):
            named.append(f"{symbol if function == '??' else function} ({place})")
    return named
