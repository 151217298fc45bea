# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the daemon does by itself about plugins: judges, dumps, evicts, restarts, refuses.

Times and amounts are small here, so that what takes hours in service takes seconds; the numbers that decide are those
of the configuration, as anybody may set them.
"""
import json
import pathlib
import re

import pytest

from harness import HEAP_LAYER, wait_for

pytestmark = pytest.mark.skipif(not HEAP_LAYER, reason="plugins allocate unsupervised in this build")

#: A leak that is judged as soon as there is something to judge.
EAGER = dict(warm_up="0s", warm_up_requests=0, probe=dict(max_load=1, max_per_hour=100))


def events(daemon, plugin):
    """What was recorded of a plugin, oldest first: (message id's word in the text, record)."""
    return [record for record in daemon.log() if record.fields.get("MTLSD_PLUGIN") == plugin
            and "MESSAGE_ID" in record.fields]


def test_trial(daemon):
    d = daemon(plugins=[dict(name="leak", path="hoard.so", config={"leak": 1000, "cache": 100},
                             memory=dict(hard="1GiB", leak=dict(EAGER, on_confirmed=["log", "dump", "evict", "restart"],
                                                  restart_when=dict(quiet=False))))],
               settings=dict(dump_directory="/tmp/p-e2e/dumps", log_level="debug"))
    load = d.load("/leak", connections=8)
    try:
        wait_for(lambda: any("replaced by" in r for r in events(d, "leak")), "x", timeout=90)
    finally:
        print(load.count())
        print("\n".join(events(d, "leak")))
    print(load.stop())
