# SPDX-License-Identifier: LGPL-2.1-or-later
"""What shows only after long: a thousand restarts, millions of blocks."""
import json

import pytest
from harness import wait_for
from plugin_view import is_watched, needs_layer, plugin, settled

KIB, MIB = 1 << 10, 1 << 20

pytestmark = [pytest.mark.long, needs_layer]


def mappings(d):
    with open(f"/proc/{d.pid}/maps") as file:
        return len(file.readlines())


@pytest.mark.parametrize("name, config", [("leak", {"bytes": 1024}), ("cxx", {}), ("slow", {"delay": "1ms"})])
def test_a_thousand_restarts_under_load_are_flat(daemon, name, config):
    restarts, settled_after = (1000, 200) if name == "leak" else (300, 60)
    d = daemon(plugins=[plugin(name, config=config)])
    load = d.load(f"/{name}", connections=4, pause=0.002)
    seen = {}
    for done in range(1, restarts + 1):
        target = load.count() + 5
        restart = d.ctl("restart", name)
        assert restart["zombie"] is False and restart["cancelled"] == 0
        wait_for(lambda: load.count() >= target, "more requests", interval=0.002)
        if done in (settled_after, restarts):
            wait_for(lambda: is_watched(d, name, restart["new_instance"]), "the new instance to be watched")
            seen[done] = dict(rss=d.rss(), descriptors=d.descriptors(), mappings=mappings(d), threads=d.threads(),
                              own=d.ctl("status")["memory"]["in_use_bytes"])
    results = load.stop()
    print(f"{name}: {results['requests']} requests, {seen}")
    assert results["failures"] == 0, results["first_failures"]
    assert set(results["statuses"]) == {"200"} and results["connects"] == 4
    shown = settled(d, name)
    assert shown["restarts"]["operator"] == restarts and shown["plugin"]["zombies"] == 0
    assert shown["requests"]["total"] == results["requests"]
    before, after = seen[settled_after], seen[restarts]
    assert after["own"] - before["own"] < 64 * KIB, seen
    assert after["rss"] - before["rss"] < 4 * MIB, seen
    assert after["descriptors"] - before["descriptors"] <= 2, seen
    assert after["mappings"] - before["mappings"] < 20, seen
    assert after["threads"] == before["threads"], seen


def test_workloads_go_on_without_a_wrong_byte(daemon):
    d = daemon(plugins=[plugin("workload", threads=4, queue=16, config={"rounds": 200000, "threads": 8})])
    client = d.client(timeout=300)
    for kind in ("larson", "xmalloc", "scratch", "thrash") * 3:
        status, _, body = client.get(f"/workload/{kind}")
        assert status == 200 and json.loads(body)["wrong"] == 0, body
    held = json.loads(body)
    own = settled(d, "workload")["own"]
    assert own["live_objects"] == held["blocks"] and own["faults"] == 0
    rows = [row for row in d.ctl("dump", "workload")["sites"] if row["scope"] == "plugin"]
    assert sum(row["bytes"] for row in rows) == own["live_bytes"]
    client.get("/workload/free")
    assert settled(d, "workload")["own"]["live_bytes"] == 0
