# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an operator is told of leaks and other trouble: doctor, explain, replay, and the verdicts in list and show."""
import json
import re
import subprocess

import harness
import pytest
from harness import ROOT, wait_for

RECORDS = ROOT / "tests/unit/records"
layered = pytest.mark.skipif(not harness.HEAP_LAYER, reason="built without the heap layer")

#: Judged at once.
YOUNG = dict(leak=dict(warm_up="0s", warm_up_requests=100))


def doctor(d, *arguments):
    """(exit code, the reply, what a person reads) of mtlsctl doctor."""
    code, out, err = d.ctl_raw("--json", "doctor", *arguments)
    assert code in (0, 10), err
    again, text, _ = d.ctl_raw("doctor", *arguments)
    assert again == code
    assert max(map(len, text.splitlines())) < 80
    return code, json.loads(out), text


def checks(reply, plugin=None):
    return {row["check"] for row in reply["findings"] if row.get("plugin") == plugin}


# --- doctor ------------------------------------------------------------------------------------------------------


@layered
def test_nothing_wrong_is_a_sentence_too(daemon):
    d = daemon(plugins=[dict(name="cache", path="cache.so")], tls=dict(warn_before="0s"))
    code, reply, text = doctor(d)
    assert code == 0 and reply["well"] and not reply["leak"] and reply["plugins"] == 1
    assert text.splitlines()[-1].startswith("nothing wrong: 1 plugin looked at")
    assert all(row["severity"] == "note" for row in reply["findings"])


@layered
def test_findings_come_worst_first_with_a_command_each(daemon):
    d = daemon(plugins=[dict(name="echo", path="echo.so"), dict(name="broken", path="noinit.so"),
                        dict(name="off", path="echo.so", enabled=False),
                        dict(name="greedy", path="overlimit.so", memory=dict(soft="1MiB", hard="1MiB"))])
    client = d.client()
    for _ in range(10):
        client.get("/greedy")
    code, reply, text = doctor(d)
    assert code == 0 and not reply["well"] and not reply["leak"]
    assert "failed" in checks(reply, "broken")
    assert "refused" in checks(reply, "greedy")
    assert "disabled" in checks(reply, "off")
    severities = [row["severity"] for row in reply["findings"]]
    assert severities == sorted(severities, key=["bad", "warning", "note"].index)
    refused = next(row for row in reply["findings"] if row["check"] == "refused")
    assert re.search(r"^\d+ allocations? got NULL at its hard limit of 1\.0MiB, .* overlimit_request "
                     r"\(overlimit\.c:\d+\)$", refused["sentence"])
    assert "-> mtlsctl dump greedy" in text and "nothing wrong" not in text
    # The commands it names are commands.
    for row in reply["findings"]:
        if row.get("next", "").startswith("mtlsctl ") and row["check"] != "failed":
            code, _, err = d.ctl_raw(*row["next"].split()[1:])
            assert code == 0, err


@layered
def test_one_plugin(daemon):
    d = daemon(plugins=[dict(name="echo", path="echo.so"), dict(name="broken", path="noinit.so")])
    _, reply, _ = doctor(d, "echo")
    assert {row["plugin"] for row in reply["findings"]} <= {"echo"}
    code, _, err = d.ctl_raw("doctor", "ecco")
    assert code == 4 and "echo" in err


@layered
def test_bad_frees_are_named(daemon):
    d = daemon(plugins=[dict(name="doublefree", path="doublefree.so")])
    client = d.client()
    for _ in range(3):
        client.get("/doublefree/double")
    _, reply, _ = doctor(d)
    row = next(row for row in reply["findings"] if row["check"] == "bad-frees")
    assert re.search(r"it freed \d+ times? .*doublefree\.c:\d+\)$", row["sentence"])


@layered
def test_what_only_errors_leave_behind(daemon):
    d = daemon(plugins=[dict(name="errors", path="leak.so", config={"when": "error"}),
                        dict(name="always", path="leak.so")])
    client = d.client()
    for name in ("errors", "always"):
        for _ in range(100):
            assert client.get(f"/{name}/error")[0] == 500
            assert client.get(f"/{name}")[0] == 200
    reply = wait_for(lambda: (found := doctor(d)[1]) and "error-escapes" in checks(found, "errors") and found,
                     "the finding")
    row = next(row for row in reply["findings"] if row["check"] == "error-escapes")
    assert row["plugin"] == "errors" and row["next"] == "mtlsctl escapes errors"
    assert re.match(r"requests of route errors that end with 5xx leave 16B each at leak_keep \(leak\.c:\d+\), ",
                    row["sentence"])
    assert "error-escapes" not in checks(reply, "always")


@layered
def test_zombies(daemon, tmp_path):
    gate = tmp_path / "gate"
    d = daemon(plugins=[dict(name="thread", path="thread.so", config=dict(gate=str(gate)))])
    assert d.ctl("restart", "thread")["zombie"] is True
    row = next(row for row in doctor(d)[1]["findings"] if row["check"] == "zombies")
    assert row["sentence"].startswith("1 old instance could not be unloaded and keeps its memory: ")
    assert "thread" in row["sentence"].split(": ", 1)[1]
    gate.touch()
    wait_for(lambda: "zombies" not in checks(doctor(d)[1], "thread"), "the burial")


def test_settings_worth_a_note(daemon):
    d = daemon(plugins=[dict(name="echo", path="echo.so", memory=dict(leak=dict(watch=False))),
                        dict(name="cache", path="cache.so", memory=dict(leak=dict(probe=dict(allow=False))))])
    _, reply, text = doctor(d)
    assert {"no-evict-hook", "not-watched"} <= checks(reply, "echo")
    assert "no-probe" in checks(reply, "cache")
    assert "memory.leak.watch" in text


def test_what_ends_soon(daemon):
    """The certificates of these tests live for some days only."""
    d = daemon(tls=dict(warn_before="300d"))
    row = next(row for row in doctor(d)[1]["findings"] if row["check"] == "expiry")
    assert re.match(r"tls main: its (certificate \(CN=.*\)|client authority) expires in \d+", row["sentence"])


def test_the_readonly_socket_is_enough(daemon):
    d = daemon(start=False)
    readonly = str(d.run_directory / "readonly.sock")
    d.config["control"]["readonly_socket"] = readonly
    d.write()
    d.start()
    assert d.ctl_raw("doctor", socket=readonly)[0] == 0


# --- a leak ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leaking(module_daemon):
    """A plugin that keeps 16 bytes a request and has no evict hook: likely is as sure as it gets."""
    d = module_daemon(plugins=[dict(name="leak", path="leak.so", config=dict(bytes=16), memory=YOUNG),
                               dict(name="echo", path="echo.so", memory=YOUNG)])
    load, other = d.load("/leak", connections=4), d.load("/echo", connections=1)
    wait_for(lambda: verdict(d, "leak") == "likely", "the verdict", timeout=180)
    for one in (load, other):
        assert one.stop()["failures"] == 0
    return d


def verdict(d, plugin):
    return next(row for row in d.ctl("list")["plugins"] if row["name"] == plugin).get("verdict")


@layered
def test_a_leak_is_exit_code_10(leaking):
    code, reply, text = doctor(leaking)
    first = reply["findings"][0]
    assert code == 10 and reply["leak"] and not reply["well"]
    assert (first["check"], first["plugin"], first["next"]) == ("likely-leak", "leak", "mtlsctl explain leak")
    assert "leak_keep (leak.c:" in first["sentence"]
    assert text.startswith("bad      leak: ")
    assert "likely-leak" not in checks(reply, "echo")
    assert doctor(leaking, "echo")[0] == 0


@layered
def test_explain_tells_every_test(leaking):
    code, out, err = leaking.ctl_raw("--json", "explain", "leak")
    assert code == 10, err
    reply = json.loads(out)
    assert (reply["verdict"], reply["class"]) == ("likely", "leak")
    # Steady traffic does not tell requests from seconds.
    assert reply["growth"]["axis"] == "request" or not reply["growth"]["separable"]
    assert 12 <= reply["growth"]["per_request"] <= 20
    assert reply["sites"][0]["function"] == "leak_keep" and reply["sites"][0]["place"].startswith("leak.c:")
    assert len(reply["tests"]) >= 3 and any(test["passed"] for test in reply["tests"])
    for test in reply["tests"]:
        assert test["name"] and test["relation"] in (">=", "<=", ">", "<", "=")
    code, text, _ = leaking.ctl_raw("explain", "leak")
    assert code == 10 and re.search(r"^TEST +VALUE +WANTED +PASSED$", text, re.MULTILINE)
    assert "no evict hook" in text
    # A plugin that is well has its reasons too.
    assert leaking.ctl("explain", "echo")["leak"] is False
    assert leaking.ctl_raw("explain", "nobody")[0] == 4


@layered
def test_verdicts_in_list_show_status_and_top(leaking):
    assert re.search(r"^leak +ready +likely ", leaking.ctl_text("list"), re.MULTILINE)
    shown = leaking.ctl("show", "leak")
    assert shown["leak"]["verdict"] == "likely" and "leak_keep" in shown["leak"]["sentence"]
    assert "likely" in [row["event"] for row in shown["history"]]
    assert "verdicts and actions" in leaking.ctl_text("show", "leak")
    assert leaking.ctl("status")["plugins"]["leaks_likely"] == 1
    picture = json.loads(leaking.ctl_raw("--json", "top", "--once", "--interval", "100ms")[1])
    assert [plugin["name"] for plugin in picture["plugins"]] == ["leak", "echo"]
    assert picture["plugins"][0]["verdict"] == "likely" and picture["plugins"][0]["seconds_to_limit"] > 0


@layered
def test_record_and_replay(leaking, tmp_path):
    record = tmp_path / "leak.record"
    code, text, err = leaking.ctl_raw("explain", "leak", "--record", str(record))
    assert code == 10, err
    assert "recorded" in text and record.read_text().startswith("mtlsd-record 1\n")
    # The same verdict, without a daemon.
    code, out, err = leaking.ctl_raw("--json", "replay", str(record), socket=str(tmp_path / "nobody"))
    assert code == 10, err
    replayed = json.loads(out)
    assert (replayed["verdict"], replayed["class"]) == ("likely", "leak")
    assert replayed["sites"][0]["function"] == "leak_keep"
    # A file nobody can write to is refused before the daemon is asked.
    code, _, err = leaking.ctl_raw("explain", "leak", "--record", str(tmp_path / "no" / "such" / "folder"))
    assert code == 1 and "No such file" in err


def eager(**limits):
    """memory: judged and probed as soon as there is anything to judge."""
    return dict(leak=dict(warm_up="0s", warm_up_requests=0, probe=dict(max_load=1, max_per_hour=16)), **limits)


@layered
def test_a_confirmed_leak_beside_a_cache(daemon):
    d = daemon(plugins=[dict(name="hoard", path="hoard.so", config=dict(leak=48, cache=64, entries=200),
                             memory=eager(soft="512MiB", hard="1GiB")),
                        dict(name="cache", path="hoard.so", config=dict(cache=64, entries=200), memory=eager())])
    load, other = d.load("/hoard", connections=4), d.load("/cache", connections=2)
    wait_for(lambda: verdict(d, "hoard") == "confirmed", "the verdict", timeout=240)
    code, reply, text = doctor(d)
    assert load.stop()["failures"] == 0 and other.stop()["failures"] == 0
    first = reply["findings"][0]
    assert code == 10 and (first["check"], first["plugin"], first["severity"]) == ("leak", "hoard", "bad")
    assert re.match(r"leaks \d+(\.\d+)? .*bytes per \w+ .*at hoard_keep \(hoard\.c:\d+\), .*to its limit, "
                    r"confirmed by probe", first["sentence"])
    assert not checks(reply, "cache") & {"leak", "likely-leak"}
    code, out, err = d.ctl_raw("--json", "explain", "hoard")
    assert code == 10, err
    explained = json.loads(out)
    assert explained["probe"]["confirmed"] and explained["probe"]["residual_first"] > 0
    assert 36 <= explained["growth"]["per_request"] <= 60
    assert explained["sites"][0]["function"] == "hoard_keep"
    assert [row["event"] for row in explained["history"]][:2] == ["probe", "probe-ended"]
    history = [row["event"] for row in d.ctl("show", "hoard")["history"]]
    assert history.index("likely") < history.index("confirmed")
    assert d.ctl_raw("explain", "cache")[0] == 0


@layered
def test_a_leak_through_a_library_is_no_case_for_restarts(daemon):
    d = daemon(plugins=[dict(name="hoard", path="hoard.so", config=dict(by="library"), memory=eager(hard="8MiB"),
                             restart=dict(on_exhausted="stay"))])
    load = d.load("/hoard", connections=8)
    reply = wait_for(lambda: (found := doctor(d)[1]) and "restarts-stopped" in checks(found, "hoard") and found,
                     "the end of restarts", timeout=240)
    load.stop()
    row = next(row for row in reply["findings"] if row["check"] == "restarts-stopped")
    assert row["severity"] == "bad" and row["next"] == "mtlsctl dump hoard"
    assert "held by libraries on its behalf, and outlive instances" in row["sentence"]


# --- replay ------------------------------------------------------------------------------------------------------


def replay(tmp_path, *arguments):
    done = subprocess.run([str(harness.BUILD / "mtlsctl"), "--socket", str(tmp_path / "nobody"), "replay", *arguments],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name,code,word", [
    ("sixteen-bytes", 10, "confirmed"), ("sixteen-bytes-no-hook", 10, "likely"), ("one-byte", 10, "confirmed"),
    ("full-cache", 0, "ok"),
])
def test_replay(tmp_path, name, code, word):
    found, out, err = replay(tmp_path, str(RECORDS / f"{name}.record"))
    assert found == code, err
    assert re.search(rf"^verdict +{word}$", out, re.MULTILINE)


def test_replay_refuses_what_is_no_record(tmp_path):
    good = (RECORDS / "one-byte.record").read_text().splitlines(keepends=True)
    bad = tmp_path / "bad"
    bad.write_text("".join(good[:5] + ["nonsense\n"] + good[5:]))
    code, out, err = replay(tmp_path, str(bad))
    assert code == 1 and out == "" and str(bad) in err and "6" in err
    bad.write_bytes(b"\0\xff" * 1000)
    assert replay(tmp_path, str(bad))[0] == 1
    assert replay(tmp_path, str(tmp_path / "nowhere"))[0] == 1
    assert replay(tmp_path, str(tmp_path))[0] == 1
    assert replay(tmp_path)[0] == 2
