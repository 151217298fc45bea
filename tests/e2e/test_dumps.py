# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who holds what: escapes, dumps in every format, differences, peaks, callers of wrappers."""
import re

import pytest
from harness import CtlError, HEAP_LAYER, default_route
from plugin_view import plugin, settled

pytestmark = pytest.mark.skipif(not HEAP_LAYER, reason="nothing is attributed without the heap layer")

FIXTURES = "tests/plugins"


def requests(d, path, count):
    """Sends so many over one connection."""
    client = d.client()
    for _ in range(count):
        client.get(path)


# --- escapes --------------------------------------------------------------------------------------------------------


def test_escapes_are_told_by_route_and_class_of_answer(daemon):
    routes = [dict(default_route("leak"), name="one", prefix="/one"),
              dict(default_route("leak"), name="two", prefix="/two")]
    d = daemon(plugins=[plugin("leak", config={"bytes": 16})], routes=routes)
    requests(d, "/one", 30)
    requests(d, "/one/error", 20)
    requests(d, "/two", 10)
    settled(d, "leak")
    rows = d.ctl("escapes", "leak")["escapes"]
    told = {(row["route"], row["status"]): row for row in rows}
    assert {key: (row["blocks"], row["bytes"], row["requests"], row["per_request"]) for key, row in told.items()} == {
        ("one", "2xx"): (30, 480, 30, 16), ("one", "5xx"): (20, 320, 20, 16), ("two", "2xx"): (10, 160, 10, 16)}
    assert {(row["function"], re.sub(r":\d+$", "", row["place"])) for row in rows} == {("leak_keep", "leak.c")}
    assert d.ctl("escapes") == d.ctl("escapes", "leak")
    assert [row["bytes"] for row in rows] == [480, 320, 160]
    text = d.ctl_text("escapes", "leak")
    assert re.search(r"leak +one +2xx +480B +30 +30 +16B +leak_keep +leak\.c:\d+", text), text
    assert d.ctl("show", "leak")["escaped"] == {"bytes": 960, "blocks": 60}


def test_escapes_keep_the_name_of_a_route_that_moves_in_the_configuration(daemon):
    one, two = (dict(default_route("leak"), name=name, prefix=f"/{name}") for name in ("one", "two"))
    d = daemon(plugins=[plugin("leak", config={"bytes": 16})], routes=[one, two])
    requests(d, "/two", 5)
    settled(d, "leak")
    d.edit(routes=[two])
    d.reload()
    requests(d, "/two", 2)
    settled(d, "leak")
    assert [(row["route"], row["blocks"]) for row in d.ctl("escapes", "leak")["escapes"]] == [("two", 7)]


def test_escapes_of_nothing_and_of_nobody(daemon):
    d = daemon(plugins=[plugin("leak", config={"when": "never"})])
    requests(d, "/leak", 3)
    assert d.ctl("escapes", "leak") == {"escapes": []}
    assert "nothing escaped" in d.ctl_text("escapes")
    with pytest.raises(CtlError) as refusal:
        d.ctl("escapes", "leek")
    assert refusal.value.code == 4
