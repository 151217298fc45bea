# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of instances: leaks seen and taken back, eviction, restarts under load, drains, zombies, reloads."""
import client as mtls_client
import pytest
from harness import ROOT, CtlError, default_route, wait_for
from plugin_view import (Gate, counters, is_watched, needs_layer, numbers, plugin, settled, trace, wait_counter,
                         wait_inflight)

KIB, MIB = 1 << 10, 1 << 20


def show(d, name):
    return d.ctl("show", name)


def site(dump, function):
    """The one row of the dump whose call site lies in the function."""
    rows = [row for row in dump["sites"] if row.get("function") == function]
    assert len(rows) == 1, f"{len(rows)} rows for {function}: {dump['sites']}"
    return rows[0]


def line_of(function):
    """file:line of the allocation inside a fixture's function, from its source."""
    lines = (ROOT / "tests/plugins/leak.c").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{function}("))
    return next(i + 1 for i in range(start, len(lines)) if "alloc(" in lines[i])


# --- leaks are seen ------------------------------------------------------------------------------------------------


@needs_layer
@pytest.mark.parametrize("size, count", [(16, 2000), (1024, 500)])
def test_a_dump_names_who_leaks_and_how_much(daemon, size, count):
    d = daemon(plugins=[plugin("leak", config={"bytes": size}), plugin("echo")])
    client = d.client()
    assert all(client.get("/leak")[0] == 200 for _ in range(count))
    assert counters(d, "leak")["leaks"] == count
    settled(d, "leak")
    dump = d.ctl("dump", "leak")
    first = dump["sites"][0]
    assert first["function"] == "leak_keep"
    assert first["file"].endswith("leak.c") and first["line"] == line_of("leak_keep")
    assert first["scope"] == "plugin"
    assert first["objects"] == count and first["bytes"] == size * count
    # Ages are counted in requests: the first leak has seen all the others, the last one none.
    assert first["oldest"] >= count - 1 and first["youngest"] <= 1
    assert settled(d, "leak")["escaped"] == {"bytes": size * count, "blocks": count}
    assert dump["live_bytes"] >= size * count
    assert "leak_keep" in d.ctl_text("dump", "leak") and "leak.c:" in d.ctl_text("dump", "leak")
    assert all(row.get("function") != "leak_keep" for row in d.ctl("dump", "echo")["sites"])
    assert settled(d, "echo")["escaped"] == {"bytes": 0, "blocks": 0}


@needs_layer
def test_two_leaking_sites_are_told_apart(daemon):
    d = daemon(plugins=[plugin("leak", config={"bytes": 16, "other": 512})])
    client = d.client()
    assert all(client.get("/leak")[0] == 200 for _ in range(300))
    dump = d.ctl("dump", "leak")
    assert (site(dump, "leak_other")["bytes"], site(dump, "leak_other")["objects"]) == (300 * 512, 300)
    assert (site(dump, "leak_keep")["bytes"], site(dump, "leak_keep")["objects"]) == (300 * 16, 300)
    assert dump["sites"][0]["function"] == "leak_other"
    assert site(dump, "leak_other")["line"] == line_of("leak_other")


@needs_layer
def test_old_blocks_can_be_asked_for_alone(daemon):
    d = daemon(plugins=[plugin("leak")])
    client = d.client()
    for _ in range(200):
        client.get("/leak")
    old = site(d.ctl("dump", "leak", "--min-age", 100), "leak_keep")
    assert 95 <= old["objects"] <= 101 and old["youngest"] >= 100
    assert sum(row["bytes"] for row in d.ctl("dump", "leak")["ages"]) >= 200 * 16


@needs_layer
def test_a_leak_on_the_error_path_escapes_only_there(daemon):
    d = daemon(plugins=[plugin("leak", config={"when": "error", "bytes": 256})])
    client = d.client()
    assert [client.get("/leak/fine")[0] for _ in range(100)] == [200] * 100
    assert settled(d, "leak")["escaped"] == {"bytes": 0, "blocks": 0}
    assert [client.get("/leak/error")[0] for _ in range(30)] == [500] * 30
    shown = settled(d, "leak")
    assert shown["escaped"] == {"bytes": 30 * 256, "blocks": 30}
    assert shown["requests"]["answers"]["5xx"] == 30 and shown["requests"]["failed"] == 0
    assert [client.get("/leak/fine")[0] for _ in range(100)] == [200] * 100
    assert settled(d, "leak")["escaped"]["blocks"] == 30
    assert site(d.ctl("dump", "leak"), "leak_keep")["objects"] == 30


def test_who_keeps_nothing_escapes_nothing(daemon):
    d = daemon(plugins=[plugin("whoami"), plugin("leak", config={"when": "never"}),
                        plugin("slow", config={"delay": "1ms"})])
    client = d.client()
    for path in ("/whoami", "/leak", "/slow"):
        for _ in range(50):
            assert client.get(path)[0] == 200
    wait_counter(d, "slow", "done_sent", 50)
    for name in ("whoami", "leak", "slow"):
        wait_inflight(d, name, 0)
        assert settled(d, name)["escaped"] == {"bytes": 0, "blocks": 0}, name
        assert show(d, name)["own"]["arena_bytes"] == 0, name


# --- eviction ------------------------------------------------------------------------------------------------------


@needs_layer
def test_evict_gives_memory_back_claimed_and_measured(daemon):
    d = daemon(plugins=[plugin("cache", config={"value_bytes": "4KiB"})])
    client = d.client()
    for number in range(1000):
        assert client.get(f"/cache/{number}")[2] == b"miss\n"
    assert client.get("/cache/7")[2] == b"hit\n"
    before = d.ctl("dump", "cache")
    assert before["words"]["entries"] == 1000 and before["words"]["hits"] == 1
    assert before["sites"][0]["function"] == "cache_keep"
    evicted = d.ctl("evict", "cache")
    assert evicted["hook"] is True
    assert evicted["claimed"] == before["words"]["bytes"]
    # A block costs at least what was asked for, and no more than a quarter beyond.
    assert evicted["claimed"] <= evicted["measured"] <= evicted["claimed"] * 1.3
    assert evicted["live_before"] - evicted["live_after"] == evicted["measured"]
    assert evicted["resident_before"] - evicted["resident_after"] >= 3 * MIB
    after = d.ctl("dump", "cache")
    assert after["words"]["entries"] == 0 and after["words"]["evictions"] == 1000
    assert not [row for row in after["sites"] if row.get("function") == "cache_keep"]
    assert client.get("/cache/7")[2] == b"miss\n"


def test_evict_takes_about_what_it_is_asked_for(daemon):
    d = daemon(plugins=[plugin("cache", config={"value_bytes": "4KiB"})])
    client = d.client()
    for number in range(200):
        client.get(f"/cache/{number}")
    evicted = d.ctl("evict", "cache", "--bytes", 100 * KIB)
    assert 100 * KIB <= evicted["claimed"] <= 105 * KIB
    # The oldest went first.
    assert client.get("/cache/199")[2] == b"hit\n" and client.get("/cache/0")[2] == b"miss\n"


def test_evict_respects_levels(daemon):
    d = daemon(plugins=[plugin("cache")])
    client = d.client()
    for level in (1, 2, 3):
        for number in range(10):
            client.get(f"/cache/{number}?level={level}")

    def kept():
        words = d.ctl("dump", "cache")["words"]
        return [words[f"bytes_level_{level}"] > 0 for level in (1, 2, 3)]

    assert kept() == [True, True, True]
    d.ctl("evict", "cache", "--level", "caches")
    assert kept() == [False, True, True]
    d.ctl("evict", "cache", "--level", "state")
    assert kept() == [False, False, True]
    with pytest.raises(CtlError, match="drop-replay-state"):
        d.ctl("evict", "cache", "--level", "replay")
    assert kept() == [False, False, True]
    d.ctl("evict", "cache", "--level", "replay", "--drop-replay-state")
    assert kept() == [False, False, False]


@needs_layer
def test_evict_without_a_hook_says_so(daemon):
    d = daemon(plugins=[plugin("leak")])
    d.client().get("/leak")
    evicted = d.ctl("evict", "leak")
    assert evicted["hook"] is False and evicted["claimed"] == 0 and evicted["measured"] == 0


# --- restart -------------------------------------------------------------------------------------------------------


@needs_layer
def test_restart_begins_with_fresh_statics_and_a_fresh_heap(daemon):
    d = daemon(plugins=[plugin("counterp"), plugin("leak", config={"bytes": 1024})])
    client = d.client()
    for number in range(1, 101):
        assert client.get("/counterp")[2] == f"{number}\n".encode()
        assert client.get("/leak")[0] == 200
    before = show(d, "leak")
    assert before["own"]["live_bytes"] >= 100 * 1024
    restart = d.ctl("restart", "leak")
    assert restart["new_instance"] != restart["old_instance"] == before["plugin"]["instance"]
    assert restart["freed_bytes"] >= 100 * 1024 and restart["cancelled"] == 0 and restart["zombie"] is False
    after = settled(d, "leak")
    assert after["plugin"]["instance"] == restart["new_instance"]
    assert after["own"]["live_bytes"] < 16 * KIB and after["escaped"]["bytes"] == 0
    assert after["restarts"]["operator"] == 1 and after["plugin"]["zombies"] == 0
    assert after["requests"]["total"] == 100, "the plugin's own history goes on"
    assert after["counters"]["leaks"] == 0, "the instance's counters do not"
    assert client.get("/counterp")[2] == b"101\n", "the neighbour was not touched"
    d.ctl("restart", "counterp")
    assert client.get("/counterp")[2] == b"1\n"
    assert client.connects == 1


@needs_layer
def test_restart_gives_the_pages_back(daemon):
    d = daemon(plugins=[plugin("leak", config={"bytes": "1MiB"})])
    client = d.client()
    for _ in range(32):
        assert client.get("/leak")[0] == 200
    full = d.rss()
    d.ctl("restart", "leak")
    assert full - d.rss() >= 30 * MIB


def test_restart_only_of_the_instance_that_was_meant(daemon):
    d = daemon(plugins=[plugin("echo")])
    number = show(d, "echo")["plugin"]["instance"]
    with pytest.raises(CtlError):
        d.ctl("restart", "echo", "--if-instance", number + 7)
    assert show(d, "echo")["plugin"]["instance"] == number
    assert d.ctl("restart", "echo", "--if-instance", number)["old_instance"] == number
    with pytest.raises(CtlError):
        d.ctl("restart", "echo", "--if-instance", number)


def test_restart_of_nobody_is_no_such_object(daemon):
    d = daemon(plugins=[plugin("echo")])
    with pytest.raises(CtlError, match="echo") as refusal:
        d.ctl("restart", "ecko")
    assert refusal.value.code == 4


@pytest.mark.parametrize("name, option, sentence", [
    ("noinit", "fail_when", "tide table"), ("sick", "sick_when", "thermometer reads forty")])
def test_a_restart_that_fails_leaves_the_old_instance_serving(daemon, tmp_path, name, option, sentence):
    gate = Gate(tmp_path / "gate")
    d = daemon(plugins=[plugin(name, config={option: gate})])
    client = d.client()
    number = show(d, name)["plugin"]["instance"]
    gate.open()
    for _ in range(3):
        with pytest.raises(CtlError, match=sentence) as refusal:
            d.ctl("restart", name)
        assert refusal.value.code == 1
        assert client.get(f"/{name}")[0] == 200
    shown = show(d, name)
    assert shown["plugin"]["instance"] == number and shown["plugin"]["state"] == "ready"
    assert shown["plugin"]["zombies"] == 0 and sentence in shown["plugin"]["last_error"]
    gate.shut()
    assert d.ctl("restart", name)["old_instance"] == number
    assert client.get(f"/{name}")[0] == 200 and client.connects == 1


def test_restart_rereads_the_file_unless_told_otherwise(daemon, tmp_path):
    path = tmp_path / "changing.so"
    d = daemon(plugins=[plugin("echo"), plugin("counterp")])
    files = {row["name"]: open(row["path"], "rb").read() for row in d.config["plugins"]}
    path.write_bytes(files["counterp"])
    path.chmod(0o644)
    d.edit(plugins=[plugin("changing", str(path))], routes=[default_route("changing")])
    d.reload()
    client = d.client()
    assert client.get("/changing")[2] == b"1\n"
    before = show(d, "changing")["plugin"]["sha256"]
    # In place, as a careless copy would: the running instance must not notice.
    path.write_bytes(files["echo"])
    assert client.get("/changing")[2] == b"2\n"
    d.ctl("restart", "changing", "--kept-image")
    assert client.get("/changing")[2] == b"1\n" and show(d, "changing")["plugin"]["sha256"] == before
    d.ctl("restart", "changing")
    assert client.post("/changing", b"hello")[2] == b"hello"
    assert show(d, "changing")["plugin"]["sha256"] != before
    path.write_bytes(b"nonsense")
    with pytest.raises(CtlError):
        d.ctl("restart", "changing")
    assert client.post("/changing", b"still")[2] == b"still" and client.connects == 1


def many_restarts(d, restarts, name="leak"):
    load = d.load(f"/{name}", connections=16)
    for done in range(1, restarts + 1):
        restart = d.ctl("restart", name)
        assert restart["zombie"] is False and restart["cancelled"] == 0
        # Every instance gets some of the load.
        target = load.count() + 20
        wait_for(lambda: load.count() >= target, "more requests")
        yield done
    results = load.stop()
    assert results["failures"] == 0, results["first_failures"]
    assert set(results["statuses"]) == {"200"} and results["connects"] == 16
    shown = settled(d, name)
    assert shown["restarts"]["operator"] == restarts and shown["plugin"]["zombies"] == 0
    assert shown["requests"]["total"] == results["requests"]
    assert shown["requests"]["answers"]["2xx"] == results["requests"]


def resident_beside_arenas(d):
    """Bytes, without libc's arenas: what is free in them depends on which threads met, what is in use is counted."""
    size, counts = 0, True
    with open(f"/proc/{d.pid}/smaps") as file:
        for words in map(str.split, file):
            if ":" not in words[0]:
                start, end = (int(word, 16) for word in words[0].split("-"))
                arena = len(words) == 5 and start % (64 * MIB) == 0 and end - start < 64 * MIB
                counts = not arena and words[-1] != "[heap]"
            elif words[0] == "Rss:" and counts:
                size += int(words[1]) * KIB
    return size


@needs_layer
def test_a_hundred_restarts_under_load_lose_nothing_and_keep_nothing(daemon):
    d = daemon(plugins=[plugin("leak", config={"bytes": 1024}), plugin("echo")])
    resident, own, descriptors, maps = {}, {}, {}, {}
    for done in many_restarts(d, 100):
        if done in (20, 100):
            for name in ("leak", "echo"):
                wait_for(lambda: is_watched(d, name, show(d, name)["plugin"]["instance"]), f"{name} to be watched")
            resident[done], descriptors[done] = resident_beside_arenas(d), d.descriptors()
            own[done] = d.ctl("status")["memory"]["in_use_bytes"]
            with open(f"/proc/{d.pid}/maps") as file:
                maps[done] = len(file.readlines())
    # 80 more restarts and their load may not be seen: neither in memory nor in descriptors nor in mappings.
    assert own[100] - own[20] < 64 * KIB, own
    assert resident[100] - resident[20] < MIB, resident
    assert descriptors[100] - descriptors[20] <= 2, descriptors
    assert maps[100] - maps[20] < 20, maps
    with open(f"/proc/{d.pid}/maps") as file:
        assert sum("leak" in line and "r-xp" in line for line in file) == 1, "old images are still mapped"


def test_restarts_under_deferred_load_lose_nothing(daemon):
    d = daemon(plugins=[plugin("slow", config={"delay": "5ms"})])
    for _ in many_restarts(d, 20, "slow"):
        pass


def test_restarts_of_a_blocking_plugin_lose_nothing(daemon):
    d = daemon(plugins=[plugin("blocking", threads=4, queue=64)])
    for _ in many_restarts(d, 20, "blocking"):
        pass


# --- drain ---------------------------------------------------------------------------------------------------------


def test_requests_under_way_finish_in_the_old_instance(daemon, tmp_path):
    gate, told = Gate(tmp_path / "gate"), tmp_path / "trace"
    d = daemon(plugins=[plugin("slow", config={"gate": gate, "trace": told}, drain_timeout="60s"), plugin("echo")])
    number = show(d, "slow")["plugin"]["instance"]
    crowd = mtls_client.Crowd(5, lambda _: d.client().get("/slow")[::2])
    wait_counter(d, "slow", "deferred", 5)
    restart = mtls_client.Crowd(1, lambda _: d.ctl("restart", "slow"))
    wait_for(lambda: show(d, "slow")["plugin"]["instance"] != number, "the new instance to serve")
    # The old ones wait in the old instance, a new one goes to the new.
    later = mtls_client.Crowd(1, lambda _: d.client().get("/slow")[::2])
    wait_counter(d, "slow", "deferred", 1)
    assert d.client().get("/echo")[0] == 200
    gate.open()
    assert crowd.results() + later.results() == [(200, b"slow\n")] * 6
    outcome = restart.results()[0]
    assert outcome["cancelled"] == 0 and outcome["drained"] == 5 and not outcome["zombie"]
    assert trace(told).count(("fini", 0)) == 1 and not [step for step in trace(told) if step[0] == "cancel"]


def test_a_plugin_can_be_looked_at_while_it_drains(daemon, tmp_path):
    gate = Gate(tmp_path / "gate")
    d = daemon(plugins=[plugin("slow", config={"gate": gate}, drain_timeout="60s")])
    crowd = mtls_client.Crowd(2, lambda _: d.client().get("/slow")[0])
    wait_counter(d, "slow", "deferred", 2)
    restart = mtls_client.Crowd(1, lambda _: d.ctl("restart", "slow"))
    wait_for(lambda: show(d, "slow")["plugin"]["state"] == "draining", "the drain to begin")
    new = show(d, "slow")["plugin"]["instance"]
    assert show(d, "slow")["requests"]["inflight"] == 2
    assert d.ctl("dump", "slow")["instance"] == new and counters(d, "slow")["deferred"] == 0
    for change in ("restart", "disable", "evict"):
        with pytest.raises(CtlError, match="being changed"):
            d.ctl(change, "slow")
    gate.open()
    assert crowd.results() == [200, 200]
    assert restart.results()[0]["drained"] == 2
    assert show(d, "slow")["plugin"]["state"] == "ready"


def test_requests_that_do_not_finish_are_cancelled_with_503(daemon, tmp_path):
    gate, told = Gate(tmp_path / "gate"), tmp_path / "trace"
    d = daemon(plugins=[plugin("slow", config={"gate": gate, "trace": told})])
    crowd = mtls_client.Crowd(3, lambda _: d.client().get("/slow"))
    wait_counter(d, "slow", "deferred", 3)
    restart = d.ctl("restart", "slow", "--drain-timeout", "200ms")
    assert restart["cancelled"] == 3 and not restart["zombie"]
    for status, headers, _ in crowd.results():
        assert status == 503 and int(headers["Retry-After"]) >= 1
    steps = trace(told)
    assert steps.count(("cancel", 3)) == 3
    assert len([step for step in steps if step[0] == "done"]) == 3 and steps[-1] == ("fini", 0)
    assert numbers(d, "slow")["cancelled"] == 3


# --- zombies -------------------------------------------------------------------------------------------------------


@needs_layer
def test_a_thread_left_running_makes_a_zombie_that_can_be_buried(daemon, tmp_path):
    gate = Gate(tmp_path / "gate")
    d = daemon(plugins=[plugin("thread", config={"gate": gate}), plugin("echo")])
    client = d.client()
    assert client.get("/thread")[0] == 200
    assert show(d, "thread")["plugin"]["threads"] == 1
    restart = d.ctl("restart", "thread")
    assert restart["zombie"] is True and "thread" in restart["zombie_reason"]
    assert show(d, "thread")["plugin"]["zombies"] == 1
    assert client.get("/thread")[0] == 200, "the new instance serves"
    gate.open()
    wait_for(lambda: show(d, "thread")["plugin"]["zombies"] == 0, "the zombie to be buried")
    assert client.get("/thread")[0] == 200


@needs_layer
def test_a_thread_that_is_joined_makes_no_zombie(daemon):
    d = daemon(plugins=[plugin("thread", config={"stop": True})])
    for _ in range(5):
        assert d.ctl("restart", "thread")["zombie"] is False
    assert show(d, "thread")["plugin"]["zombies"] == 0 and show(d, "thread")["plugin"]["threads"] == 1


def test_a_request_that_is_kept_makes_a_zombie_that_can_be_buried(daemon, tmp_path):
    gate, told = Gate(tmp_path / "gate"), tmp_path / "trace"
    d = daemon(plugins=[plugin("stubborn", config={"gate": gate, "trace": told}), plugin("echo")])
    crowd = mtls_client.Crowd(1, lambda _: d.client().get("/stubborn")[0])
    wait_counter(d, "stubborn", "held", 1)
    restart = d.ctl("restart", "stubborn", "--drain-timeout", "200ms")
    assert restart["zombie"] is True and "request" in restart["zombie_reason"]
    assert crowd.results() == [503]
    assert show(d, "stubborn")["plugin"]["zombies"] == 1
    assert trace(told) == [("cancel", 3)], "fini must not run while a request is kept"
    gate.open()
    wait_for(lambda: show(d, "stubborn")["plugin"]["zombies"] == 0, "the zombie to be buried")
    assert [word for word, _ in trace(told)] == ["cancel", "done", "fini"]
    assert d.client().get("/echo")[0] == 200


def test_shared_statics_make_a_zombie(daemon):
    d = daemon(plugins=[plugin("unique", imports_allowed=["gnu-unique"])])
    client = d.client()
    assert [client.get("/unique")[2] for _ in range(2)] == [b"1\n", b"2\n"]
    restart = d.ctl("restart", "unique")
    assert restart["zombie"] is True and "mapped" in restart["zombie_reason"]
    # What the operator allowed with open eyes: the new instance goes on with the statics of the old one.
    assert client.get("/unique")[2] == b"3\n"
    assert show(d, "unique")["plugin"]["zombies"] == 1


@needs_layer
def test_a_daemon_with_zombies_still_stops(daemon):
    d = daemon(plugins=[plugin("thread")])
    d.ctl("restart", "thread")
    assert show(d, "thread")["plugin"]["zombies"] == 1
    d.stop()


# --- enable, disable ------------------------------------------------------------------------------------------------


def test_disable_answers_503_and_enable_begins_anew(daemon, tmp_path):
    told = tmp_path / "trace"
    d = daemon(plugins=[plugin("conn", config={"trace": told}), plugin("echo")])
    client = d.client()
    assert client.get("/conn")[2] == b"1\n"
    d.ctl("disable", "conn")
    assert trace(told) == [("made", 1), ("released", 1), ("fini", 1)]
    for count in range(1, 4):
        status, headers, _ = client.get("/conn")
        assert status == 503 and int(headers["Retry-After"]) >= 1
        assert numbers(d, "conn")["refused_disabled"] == count
    shown = show(d, "conn")
    assert shown["plugin"]["state"] == "disabled" and shown["own"]["live_bytes"] == 0
    assert client.get("/echo")[0] == 200
    assert d.ctl("enable", "conn")["state"] == "ready"
    assert client.get("/conn")[2] == b"1\n"
    assert client.connects == 1


def test_disabled_by_the_configuration(daemon):
    d = daemon(plugins=[plugin("echo", enabled=False), plugin("whoami")])
    assert d.client().get("/echo")[0] == 503
    assert show(d, "echo")["plugin"]["state"] == "disabled"
    d.ctl("enable", "echo")
    assert d.client().get("/echo")[0] == 200


# --- reload --------------------------------------------------------------------------------------------------------


def test_reload_reconfigures_or_replaces(daemon):
    d = daemon(plugins=[plugin("reconf", config={"greeting": "hello"})])
    client = d.client()

    def wish(greeting):
        d.edit(plugins=[plugin("reconf", config={"greeting": greeting})])
        return d.reload()

    first = show(d, "reconf")["plugin"]["instance"]
    assert [client.get("/reconf")[2] for _ in range(2)] == [b"hello 1\n", b"hello 2\n"]
    wish("good day")
    assert client.get("/reconf")[2] == b"good day 3\n"
    with pytest.raises(CtlError, match="cannot be taken while running"):
        wish("refuse this")
    assert client.get("/reconf")[2] == b"good day 4\n"
    with pytest.raises(CtlError, match="friendlier"):
        wish("forbidden")
    assert client.get("/reconf")[2] == b"good day 5\n"
    assert show(d, "reconf")["plugin"]["instance"] == first
    wish("replace me")
    assert client.get("/reconf")[2] == b"replace me 1\n"
    assert show(d, "reconf")["plugin"]["instance"] != first
    assert show(d, "reconf")["restarts"]["reload"] == 1
    assert client.connects == 1


def test_reload_without_a_change_touches_no_instance(daemon):
    d = daemon(plugins=[plugin("counterp"), plugin("leak")])
    client = d.client()
    assert client.get("/counterp")[2] == b"1\n"
    before = {name: show(d, name)["plugin"]["instance"] for name in ("counterp", "leak")}
    for _ in range(3):
        d.reload()
    assert client.get("/counterp")[2] == b"2\n"
    assert {name: show(d, name)["plugin"]["instance"] for name in ("counterp", "leak")} == before


def test_reload_ends_what_is_gone_and_starts_what_is_new(daemon, tmp_path):
    told = tmp_path / "trace"
    d = daemon(plugins=[plugin("conn", config={"trace": told}), plugin("echo")])
    client = d.client()
    assert client.get("/conn")[2] == b"1\n"
    d.edit(plugins=[plugin("echo"), plugin("counterp")], routes=[default_route("echo"), default_route("counterp")])
    d.reload()
    assert trace(told)[-1] == ("fini", 1) and ("released", 1) in trace(told)
    assert client.get("/conn")[0] == 404 and client.get("/counterp")[2] == b"1\n" and client.get("/echo")[0] == 200
    assert sorted(row["name"] for row in d.ctl("list")["plugins"]) == ["counterp", "echo"]
    assert client.connects == 1


def test_reload_changes_limits_in_place(daemon):
    d = daemon(plugins=[plugin("counterp", memory={"soft": "1MiB", "hard": "2MiB"})])
    client = d.client()
    assert client.get("/counterp")[2] == b"1\n"
    d.edit(plugins=[plugin("counterp", memory={"soft": "3MiB", "hard": "4MiB"})])
    d.reload()
    assert show(d, "counterp")["limits"] == {"soft": 3 * MIB, "hard": 4 * MIB}


def test_a_reload_in_which_one_plugin_fails_changes_nothing(daemon):
    d = daemon(plugins=[plugin("counterp")])
    client = d.client()
    assert client.get("/counterp")[2] == b"1\n"
    d.edit(plugins=[plugin("echo"), plugin("noinit")], routes=[default_route("echo")])
    with pytest.raises(CtlError, match="tide table"):
        d.reload()
    assert client.get("/counterp")[2] == b"2\n" and client.get("/echo")[0] == 404
    assert [row["name"] for row in d.ctl("list")["plugins"]] == ["counterp"]


# --- the end -------------------------------------------------------------------------------------------------------


def test_every_instance_gets_its_fini_when_the_daemon_stops(daemon, tmp_path):
    told = tmp_path / "trace"
    d = daemon(plugins=[plugin("conn", config={"trace": told})])
    client = d.client()
    assert client.get("/conn")[2] == b"1\n"
    d.stop()
    assert trace(told) == [("made", 1), ("released", 1), ("fini", 1)]


@needs_layer
def test_the_dump_of_a_busy_plugin_disturbs_no_request(daemon):
    d = daemon(plugins=[plugin("leak", config={"bytes": 64})])
    load = d.load("/leak", connections=8)
    for _ in range(20):
        dump = d.ctl("dump", "leak")
        row = site(dump, "leak_keep")
        assert row["bytes"] == 64 * row["objects"]
    results = load.stop()
    assert results["failures"] == 0
    assert site(d.ctl("dump", "leak"), "leak_keep")["objects"] == results["requests"]
