# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the daemon does by itself about plugins: judges, dumps, evicts, restarts, refuses.

Times and amounts are small here, so that what takes hours in service takes seconds; all of them are settings that
anybody may write.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness import BUILD, HEAP_LAYER, ROOT, CtlError, wait_for

supervised = pytest.mark.skipif(not HEAP_LAYER, reason="plugins allocate unsupervised in this build")

#: Requests a verdict may need on a machine that is busy: patience is for those, not for the clock.
LONG = 240

#: What a catalog entry is found by, as etc/mtlsd.catalog has it.
IDS = {}


def event_ids():
    """{subject: MESSAGE_ID}, from the catalog."""
    if not IDS:
        text = (ROOT / "etc/mtlsd.catalog").read_text()
        IDS.update((subject, number) for number, subject in re.findall(r"^-- (\w{32})\nSubject: (.*)$", text, re.M))
    return IDS


def kind_of(record):
    """The kind of a record, by its MESSAGE_ID: what the catalog says about it, with the plugin left out."""
    for subject, number in event_ids().items():
        if number == record.fields["MESSAGE_ID"]:
            return subject.replace(" @MTLSD_PLUGIN@", "")
    raise AssertionError(f"no catalog entry for: {record}")


#: Short names of the kinds the tests ask for.
CONFIRMED, DUMPED = "Plugin leaks memory", "A dump of plugin was written"
EVICTED = "Plugin was asked to give memory back"
RESTARTED, STOPPED = "Plugin was replaced", "Restarting plugin does not help"
NOT_STARTED, SPENT = "Plugin could not be started", "No restart is left for plugin"
REFUSED, TRIED, ADMITTED = ("Requests of plugin are refused for a while", "One request of plugin is tried",
                            "Requests of plugin are served again")
PROBED, PROBE_ENDED = "Plugin is probed for a leak", "The probe of plugin has ended"
ABOVE_SOFT, PRESSURE = "Plugin holds more than its soft limit", "Memory is short on this machine"


def events(daemon, plugin, *kinds):
    """The records about a plugin, oldest first; only of some kinds if any are named."""
    found = [record for record in daemon.log()
             if record.fields.get("MTLSD_PLUGIN") == plugin and "MESSAGE_ID" in record.fields]
    return [record for record in found if not kinds or kind_of(record) in kinds]


def shown(daemon, plugin):
    return daemon.ctl("show", plugin)["plugin"]


def eager(**more):
    """memory.leak for tests: judged as soon as there is anything to judge."""
    return dict(dict(warm_up="0s", warm_up_requests=0, probe=dict(max_load=1, max_per_hour=16)), **more)


def hoard(memory=None, name="hoard", **settings):
    """A plugin entry; `restart` and `breaker` are the entry's own keys, all else is the plugin's."""
    own = {key: settings.pop(key) for key in ("restart", "breaker") if key in settings}
    return dict(name=name, path="hoard.so", config=settings, memory=memory or {}, **own)


# --- leaks ---------------------------------------------------------------------------------------------------


@supervised
def test_a_confirmed_leak_is_dumped_evicted_and_restarted_and_no_request_is_lost(daemon, tmp_path):
    dumps = tmp_path / "dumps"
    d = daemon(plugins=[hoard(dict(hard="1GiB", soft="512MiB",
                                   leak=eager(on_confirmed=["log", "dump", "evict", "restart"],
                                              restart_when=dict(quiet_wait="2s"))), leak=1000, cache=100)],
               settings=dict(dump_directory=str(dumps)))
    load = d.load("/hoard", connections=8)
    wait_for(lambda: events(d, "hoard", RESTARTED), "the restart", timeout=LONG)
    results = load.stop()
    assert results["failures"] == 0, results["first_failures"]

    story = [kind_of(record) for record in events(d, "hoard")]
    wanted = [PROBED, PROBE_ENDED, CONFIRMED, DUMPED, EVICTED, RESTARTED]
    assert [kind for kind in story if kind in wanted][:6] == wanted
    confirmed, restarted = events(d, "hoard", CONFIRMED)[0], events(d, "hoard", RESTARTED)[0]
    assert re.search(r"leaks 10\d\d ± [\d.]+ bytes per request at hoard_keep \(hoard\.c:\d+\), .* to its limit, "
                     r"confirmed by probe", confirmed)
    assert (confirmed.fields["MTLSD_VERDICT"], confirmed.fields["MTLSD_INSTANCE"]) == ("confirmed", "1")
    assert "instance 1 replaced by 2 for its leak" in restarted and "0 were cancelled" in restarted

    files = list(dumps.iterdir())
    assert len(files) == 1 and files[0].stat().st_mode & 0o7777 == 0o600
    assert re.fullmatch(r"hoard-1-\d{8}T\d{6}Z\.json", files[0].name)
    dump = json.loads(files[0].read_text())
    assert dump["instance"] == 1 and dump["sites"][0]["function"] == "hoard_keep"
    assert d.ctl("dump", "hoard", "--base", str(files[0]))["base"]["instance"] == 1
    assert shown(d, "hoard")["instance"] >= 2


@supervised
def test_a_cache_under_the_same_traffic_is_never_restarted(daemon):
    d = daemon(plugins=[hoard(dict(hard="1GiB", soft="512MiB",
                                   leak=eager(on_confirmed=["log", "restart"], restart_when=dict(quiet=False))),
                              cache=1000, entries=20000)])
    load = d.load("/hoard", connections=8)
    wait_for(lambda: load.count() > 60000, "60,000 requests", timeout=LONG)
    assert load.stop()["failures"] == 0
    assert events(d, "hoard", CONFIRMED, RESTARTED) == []
    assert shown(d, "hoard")["instance"] == 1


@supervised
def test_without_a_hook_it_is_restarted_when_likely_and_near_its_limit(daemon):
    """No probe can prove it: the time that is left decides."""
    d = daemon(plugins=[dict(name="leak", path="leak.so", config=dict(bytes=1000),
                             memory=dict(hard="4GiB", leak=eager(on_likely=["log", "restart"],
                                                                 restart_when=dict(time_to_limit="1d", quiet=False))))])
    load = d.load("/leak", connections=8)
    restarted = wait_for(lambda: events(d, "leak", RESTARTED), "the restart", timeout=LONG)[0]
    assert load.stop()["failures"] == 0
    assert "replaced by 2 for its leak" in restarted and restarted.fields["MTLSD_VERDICT"] == "likely"
    assert events(d, "leak", CONFIRMED, PROBED) == []


@supervised
def test_a_leak_through_a_library_ends_in_the_stop_rule(daemon):
    d = daemon(plugins=[hoard(dict(hard="8MiB", leak=eager()), by="library", restart=dict(on_exhausted="stay"))])
    load = d.load("/hoard", connections=8)
    stopped = wait_for(lambda: events(d, "hoard", STOPPED), "the end of the loop", timeout=LONG)[0]
    assert re.search(r"the restart took back \d+ % of [\d.]+MiB: [\d.]+MiB are foreign, held by libraries on its "
                     r"behalf, and outlive instances; it is not restarted for this any more", stopped)
    after = load.count()
    wait_for(lambda: load.count() > after + 3000, "more traffic", timeout=LONG)
    assert load.stop()["failures"] == 0
    assert len(events(d, "hoard", RESTARTED)) == 1 and len(events(d, "hoard", STOPPED)) == 1
    assert shown(d, "hoard")["instance"] == 2
    # Whoever restarts it himself has cured it, or will be told again.
    d.ctl("restart", "hoard")
    again = d.load("/hoard", connections=8)
    wait_for(lambda: len(events(d, "hoard", STOPPED)) == 2, "the second end", timeout=LONG)
    assert again.stop()["failures"] == 0


@supervised
def test_a_library_that_outgrows_the_limit_is_shut_out(daemon):
    d = daemon(plugins=[hoard(dict(hard="8MiB", leak=eager()), by="library", breaker=dict(open="1s"))])
    load = d.load("/hoard", connections=4, expect=(200, 503))
    wait_for(lambda: events(d, "hoard", REFUSED), "the breaker", timeout=LONG)
    assert load.stop()["failures"] == 0
    assert "near its limit, and no restart is left" in events(d, "hoard", REFUSED)[0]
    status, headers, _ = d.client().get("/hoard")
    assert status == 503 and int(headers["Retry-After"]) >= 1
    # Trials are good, but it still holds too much.
    served = d.ctl("show", "hoard")["requests"]["total"]
    client = d.client()
    wait_for(lambda: client.get("/hoard")[0] == 200, "a trial", timeout=LONG)
    wait_for(lambda: client.get("/hoard")[0] == 503, "the next refusal")
    assert d.ctl("show", "hoard")["requests"]["total"] <= served + 3
    assert events(d, "hoard", ADMITTED) == []


# --- limits --------------------------------------------------------------------------------------------------


@supervised
def test_near_its_hard_limit_it_is_replaced_within_its_budget(daemon):
    d = daemon(plugins=[hoard(dict(hard="8MiB"), leak=2000,
                              restart=dict(planned=dict(max=2, within="1h"), on_exhausted="stay"))])
    load = d.load("/hoard", connections=4, pause=0.002, expect=(200, 503))
    wait_for(lambda: events(d, "hoard", SPENT), "the end of the budget", timeout=LONG)
    results = load.stop()
    # Growth is fast here: what finds it at 97 % and more is told to come again.
    assert set(results["statuses"]) <= {"200", "503"} and results["statuses"].get("503", 0) < 100, results
    restarts = events(d, "hoard", RESTARTED)
    assert len(restarts) == 2 and all("near its hard limit" in record for record in restarts)
    assert shown(d, "hoard")["instance"] == 3
    # Its allocations fail now, and it may be replaced by hand.
    d.ctl("restart", "hoard")
    assert d.client().get("/hoard")[0] == 200


@supervised
def test_above_its_soft_limit_it_is_asked_to_give_back(daemon):
    d = daemon(plugins=[hoard(dict(soft="2MiB", hard="16MiB"), cache=1000, entries=1000000)])
    load = d.load("/hoard", connections=4, pause=0.002)
    wait_for(lambda: events(d, "hoard", EVICTED), "an eviction", timeout=LONG)
    assert load.stop()["failures"] == 0
    assert events(d, "hoard", ABOVE_SOFT)
    assert "evicted above its soft limit: it claims" in events(d, "hoard", EVICTED)[0]
    assert events(d, "hoard", RESTARTED) == []


@supervised
def test_a_limit_may_be_ignored(daemon):
    d = daemon(plugins=[hoard(dict(hard="1MiB", on_limit="ignore"), leak=1000)])
    client = d.client()
    for _ in range(2000):
        assert client.get("/hoard")[0] == 200
    wait_for(lambda: d.ctl("show", "hoard")["own"]["refused"] > 0, "refused allocations")
    wait_for(lambda: events(d, "hoard", ABOVE_SOFT), "a look at it")
    assert shown(d, "hoard")["instance"] == 1


@supervised
def test_memory_pressure_evicts_the_largest_first(daemon, tmp_path):
    fifo = tmp_path / "pressure"
    os.mkfifo(fifo)
    d = daemon(plugins=[hoard(name="small", cache=1000), hoard(name="large", cache=10000),
                        hoard(name="none", leak=9000)],
               env={"MEMORY_PRESSURE_WATCH": str(fifo)})
    client = d.client()
    for name in ("small", "large", "none"):
        for _ in range(100):
            assert client.get(f"/{name}")[0] == 200

    def live(name):
        return d.ctl("show", name)["own"]["live_bytes"]
    before = live("small")
    writer = os.open(fifo, os.O_WRONLY)
    try:
        os.write(writer, b"!")
        wait_for(lambda: events(d, "large", PRESSURE), "the eviction")
    finally:
        os.close(writer)
    assert live("large") < 100000 and live("small") == before
    assert events(d, "small", PRESSURE) == []


# --- failures ------------------------------------------------------------------------------------------------


def sick(sick_when, **restart):
    return dict(name="sick", path="sick.so", config=dict(sick_when=str(sick_when)),
                restart=dict(dict(backoff=dict(initial="10ms", max="1s", jitter=0)), **restart))


def test_a_plugin_that_fails_to_start_is_tried_again_with_backoff(daemon, tmp_path):
    fever = tmp_path / "fever"
    fever.touch()
    d = daemon(plugins=[sick(fever, burst=dict(count=3, within="1h"))])
    wait_for(lambda: len(events(d, "sick", NOT_STARTED)) >= 4, "four failures")
    failures = events(d, "sick", NOT_STARTED)
    assert "not started: plugin sick is not healthy: the thermometer reads forty; the next try comes in 10.0ms" \
        in failures[0]
    assert "the next try comes in 20.0ms" in failures[1]
    assert all("the next try comes in 1.0s" in record for record in failures[2:])
    assert len(events(d, "sick", SPENT)) == 1
    assert "failed as often as restart.burst allows; it is tried again each restart.backoff.max" \
        in events(d, "sick", SPENT)[0]
    assert d.client().get("/sick")[0] == 503
    fever.unlink()
    wait_for(lambda: shown(d, "sick")["state"] == "ready", "the recovery")
    assert d.client().get("/sick")[0] == 200
    assert re.search(r"instance \d+ serves after \d+ failures", events(d, "sick", RESTARTED)[0])
    assert d.ctl("show", "sick")["restarts"]["crash"] == 1


def test_a_plugin_may_be_left_alone_after_a_burst(daemon, tmp_path):
    fever = tmp_path / "fever"
    fever.touch()
    d = daemon(plugins=[sick(fever, burst=dict(count=2, within="1h"), on_exhausted="stay"),
                        dict(name="echo", path="echo.so")])
    wait_for(lambda: events(d, "sick", SPENT), "the end of the burst")
    assert "left alone until somebody restarts it" in events(d, "sick", SPENT)[0]
    failures = len(events(d, "sick", NOT_STARTED))
    with pytest.raises(CtlError, match="forty"):
        d.ctl("restart", "sick")
    fever.unlink()
    d.ctl("restart", "sick")
    assert d.client().get("/sick")[0] == 200
    assert len(events(d, "sick", NOT_STARTED)) == failures == 2


def test_the_breaker_opens_and_closes(daemon, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    d = daemon(plugins=[hoard(fail_while=str(trouble), breaker=dict(failures=3, open="1s", max_open="2s")),
                        dict(name="echo", path="echo.so")])
    client = d.client()
    assert [client.get("/hoard")[0] for _ in range(3)] == [500, 500, 500]
    status, headers, body = client.get("/hoard")
    assert (status, headers["Retry-After"]) == (503, "1") and b"recovering" in body
    assert client.get("/echo")[0] == 200  # its neighbour is not meant
    wait_for(lambda: events(d, "hoard", REFUSED), "the record")
    requests = d.ctl("show", "hoard")["requests"]
    assert requests["answers"]["5xx"] == requests["total"] < 10
    # A trial that fails keeps it shut.
    wait_for(lambda: client.get("/hoard")[0] == 500, "a trial")
    assert client.get("/hoard")[0] == 503
    trouble.unlink()
    wait_for(lambda: client.get("/hoard")[0] == 200, "the recovery")
    assert [client.get("/hoard")[0] for _ in range(20)] == [200] * 20
    wait_for(lambda: events(d, "hoard", ADMITTED), "the record")
    story = [kind_of(record) for record in events(d, "hoard", REFUSED, TRIED, ADMITTED)]
    assert story[0] == REFUSED and story[-1] == ADMITTED


def test_without_a_breaker_failures_shut_nobody_out(daemon, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    d = daemon(plugins=[hoard(fail_while=str(trouble))])
    client = d.client()
    assert {client.get("/hoard")[0] for _ in range(200)} == {500}
    trouble.unlink()
    assert client.get("/hoard")[0] == 200


# --- configuration and catalog -------------------------------------------------------------------------------


def test_what_is_missing_is_told_at_load(daemon):
    d = daemon(plugins=[hoard()])
    for entry, words in [
            (hoard(dict(leak=dict(on_confirmed=["dump"]))), "on_confirmed says dump, but there is no folder"),
            (hoard(dict(leak=dict(on_likely=["restart"])), restart=dict(planned=dict(max=0))),
             "on_likely says restart, but restart.planned.max is 0"),
            (hoard(dict(leak=dict(restart_when=dict(quiet=False)))), "no list says restart"),
            (hoard(dict(leak=dict(on_suspect=["reboot"]))), "on_suspect"),
    ]:
        d.edit(plugins=[entry])
        with pytest.raises(CtlError, match=re.escape(words)):
            d.reload()


def test_journalctl_takes_the_catalog(tmp_path):
    done = subprocess.run([str(BUILD / "mtlsd"), "--print-catalog"], capture_output=True, text=True, check=True)
    if not shutil.which("journalctl"):
        pytest.skip("no journalctl")
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    (folder / "mtlsd.catalog").write_text(done.stdout)
    update = subprocess.run(["journalctl", f"--root={tmp_path}", "--update-catalog"], capture_output=True, text=True)
    assert update.returncode == 0, update.stderr
    assert (tmp_path / "var/lib/systemd/catalog/database").stat().st_size > len(done.stdout) // 2
    assert pathlib.Path(ROOT / "etc/mtlsd.catalog").read_text().isascii()
