# SPDX-License-Identifier: LGPL-2.1-or-later
"""What allocator benchmarks do to malloc, done inside a plugin: contents stay whole, and the books stay exact."""
import json

import pytest
from client import Crowd
from plugin_view import needs_layer, plugin, settled

KINDS = ("larson", "xmalloc", "scratch", "thrash")
KIB, MIB = 1 << 10, 1 << 20

pytestmark = needs_layer


def work(d, kind, lane=0):
    """The plugin's report of one workload."""
    status, _, body = d.client(timeout=300).get(f"/workload/{kind}?lane={lane}")
    assert status == 200, body
    report = json.loads(body)
    assert report["wrong"] == 0, f"{report['wrong']} bytes were not as they were left"
    assert report["threads_missing"] == 0
    return report


def own_sites(dump):
    return [row for row in dump["sites"] if row["scope"] == "plugin"]


def books_agree(d, blocks, least_bytes):
    """Nothing is live but what the plugin says it holds, and the dump's rows add up to the count that is kept."""
    own = settled(d, "workload")["own"]
    assert own["live_objects"] == blocks
    assert least_bytes <= own["live_bytes"] <= least_bytes * 1.3 + 16 * blocks
    assert own["faults"] == 0
    rows = own_sites(d.ctl("dump", "workload"))
    assert sum(row["bytes"] for row in rows) == own["live_bytes"]
    assert sum(row["objects"] for row in rows) == blocks
    return own


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_stay_whole_and_the_books_exact(daemon, kind):
    d = daemon(plugins=[plugin("workload")])
    report = work(d, kind)
    assert report["refused"] == 0
    assert (report["blocks"] > 1000) == (kind == "larson")
    own = books_agree(d, report["blocks"], report["bytes"])
    assert own["allocated_objects"] >= 10000
    freed = work(d, "free")
    assert (freed["blocks"], freed["bytes"]) == (0, 0)
    assert books_agree(d, 0, 0)["live_bytes"] == 0


def test_all_of_them_at_once(daemon):
    d = daemon(plugins=[plugin("workload", threads=4, queue=16, config={"rounds": 20000})])
    for _ in range(2):
        reports = Crowd(4, lambda lane: work(d, KINDS[lane], lane)).results(timeout=300)
        dump = d.ctl("dump", "workload")
        assert own_sites(dump), "somebody holds something"
    books_agree(d, sum(report["blocks"] for report in reports), sum(report["bytes"] for report in reports))
    d.ctl("evict", "workload")
    books_agree(d, sum(report["blocks"] for report in reports), sum(report["bytes"] for report in reports))
    Crowd(4, lambda lane: work(d, "free", lane)).results()
    assert books_agree(d, 0, 0)["live_bytes"] == 0
    full = settled(d, "workload")["own"]["resident_bytes"]
    d.ctl("evict", "workload")
    assert settled(d, "workload")["own"]["resident_bytes"] < max(full, 1), "free pages go back"


def test_at_the_limit_they_are_refused_and_nothing_else(daemon):
    d = daemon(plugins=[plugin("workload", memory=dict(hard="1MiB", on_limit="ignore"), config={"largest": "64KiB"})])
    report = work(d, "larson")
    assert report["refused"] > 0
    own = books_agree(d, report["blocks"], report["bytes"])
    # Who was refused may take from the reserve for error paths, a 64th of the limit; and threads serve themselves from
    # what lay free in their bins when another one was let past the limit because of it.
    assert own["live_bytes"] <= MIB + MIB // 8 and own["refused"] >= report["refused"]
    work(d, "free")
    assert books_agree(d, 0, 0)["live_bytes"] == 0
    assert work(d, "scratch")["refused"] == report["refused"], "there is room again"


def test_a_restart_takes_all_of_it_back(daemon):
    d = daemon(plugins=[plugin("workload")])
    held = work(d, "larson")["bytes"]
    restart = d.ctl("restart", "workload")
    assert restart["zombie"] is False and restart["freed_bytes"] >= held
    books_agree(d, 0, 0)
    report = work(d, "larson")
    books_agree(d, report["blocks"], report["bytes"])
