# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of plugins ask again and again: a plugin's own counters, its numbers, its gate, its trace."""
import json

import pytest
from harness import HEAP_LAYER, wait_for

#: For what only the heap layer can do: count, limit, name, notice wrong frees, take back leaks, see plugins' threads.
needs_layer = pytest.mark.skipif(not HEAP_LAYER, reason="built without the heap layer")


def plugin(name, path=None, **more):
    """One row of the configuration's `plugins:`; the file is called like the plugin unless said otherwise."""
    return dict(name=name, path=path or f"{name}.so", **more)


def counters(d, name):
    """The counters the plugin registered, by name."""
    return d.ctl("show", name)["counters"]


def numbers(d, name):
    """The daemon's numbers of a plugin: its `requests` block, flat."""
    return d.ctl("show", name)["requests"]


def wait_counter(d, name, counter, value):
    """Polls until the plugin's counter has reached the value, and says so if it went past it."""
    wait_for(lambda: counters(d, name)[counter] >= value, f"{counter} of {name} to reach {value}")
    assert counters(d, name)[counter] == value


def wait_inflight(d, name, value):
    wait_for(lambda: numbers(d, name)["inflight"] == value, f"{value} requests inside {name}")


def is_watched(d, name, instance):
    """An instance's inspection begins with the overseer's next look, and has memory of its own."""
    _, out, _ = d.ctl_raw("--json", "explain", name)
    return out.strip() != "" and json.loads(out).get("instance") == instance


def settled(d, name):
    """The reply of `show` once nothing is inside the plugin: an answer reaches its client before `done` runs, and what
    a request kept is booked after that."""
    return wait_for(lambda: (lambda shown: shown if shown["requests"]["inflight"] == 0 else None)(d.ctl("show", name)),
                    f"{name} to be idle")


def serves(d, path="/echo"):
    """The neighbour answers."""
    status, _, _ = d.client().get(path)
    assert status == 200
    return True


class Gate:
    """A file fixtures wait for: closed until open() makes it."""

    def __init__(self, path):
        self.path = path

    def __str__(self):
        return str(self.path)

    def open(self):
        self.path.touch()

    def shut(self):
        self.path.unlink()


def trace(path):
    """The lines a fixture left, as (word, number)."""
    if not path.exists():
        return []
    return [(word, int(number)) for word, number in (line.split() for line in path.read_text().splitlines())]
