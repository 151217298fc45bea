# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mistakes in the configuration: each is named with its place and its cure, at the start, by --check-config and on
reload, where the running daemon takes no harm."""
import re
import signal
import subprocess

import harness
import pytest
from harness import wait_for

#: A small file that is right. Every mistake below replaces one piece of it.
SOUND = """\
daemon:
  threads: 2
  log_level: info
  run_directory: {run}
control:
  socket: {run}/control.sock
limits:
  handshake_timeout: 10s
  header_size: 8KiB
  connections: 100
tls:
  - name: main
    certificate: {certificate}
    key: {key}
    client_ca: {ca}
    client_crl: {crl}
    crl: required
listeners:
  - name: main
    address: 127.0.0.1:0
    tls: main
plugins:
  - name: echo
    path: {echo}
    memory:
      soft: 48MiB
      hard: 64MiB
  - name: leak
    path: {leak}
    config:
      bytes: 16
      when: never
routes:
  - name: echo
    prefix: /echo
    methods: [GET, POST]
    allow:
      - uri: "spiffe://example.org/*"
    handler: echo
  - name: leak
    prefix: /leak
    allow:
      - any: true
    handler: leak
"""

#: name -> (old text, new text, where in the new text the finger must point (None: anywhere), words of the message)
MISTAKES = {
    "unknown-section": ("limits:\n", "limit:\n", "limit:", ["limit", "limits"]),
    "unknown-key": ("  threads: 2", "  thread: 2", "thread:", ["thread", "threads"]),
    "unknown-listener-key": ("    address: 127", "    adress: 127", None, ["adress", "address"]),
    "unknown-plugin-key": ("    memory:", "    memmory:", "memmory", ["memmory", "memory"]),
    "unknown-tls-key": ("    client_ca:", "    client_cas:", None, ["client_cas", "client_ca"]),
    "wrong-type": ("  threads: 2", "  threads: two", "two", ["threads"]),
    "list-for-a-word": ("  log_level: info", "  log_level: [info]", "[info]", ["log_level"]),
    "mapping-for-a-list": ("listeners:\n  - name: main\n    address: 127.0.0.1:0\n    tls: main\n",
                           "listeners:\n  name: main\n", "name: main", ["listeners", "list"]),
    "bad-choice": ("  log_level: info", "  log_level: loud", "loud", ["loud", "info", "debug"]),
    "near-choice": ("    crl: required", "    crl: requird", "requird", ["requird", "required"]),
    "bare-number-duration": ("handshake_timeout: 10s", "handshake_timeout: 10", "10", ["handshake_timeout", "10s"]),
    "bad-duration-unit": ("handshake_timeout: 10s", "handshake_timeout: 10parsec", "10parsec", ["10parsec"]),
    "bad-size": ("header_size: 8KiB", "header_size: 16XB", "16XB", ["16XB"]),
    "out-of-range": ("  connections: 100", "  connections: 0", "0", ["connections"]),
    "negative": ("  connections: 100", "  connections: -5", "-5", ["connections"]),
    "soft-above-hard": ("      soft: 48MiB", "      soft: 96MiB", None, ["soft", "hard"]),
    "missing-key": ("    handler: leak\n", "", None, ["handler"]),
    "duplicate-key": ("  threads: 2\n", "  threads: 2\n  threads: 3\n", "threads: 3", ["threads"]),
    "duplicate-plugin": ("  - name: leak\n    path", "  - name: echo\n    path", None, ["echo"]),
    "duplicate-route": ("  - name: leak\n    prefix", "  - name: echo\n    prefix", None, ["echo"]),
    "same-match": ("    prefix: /leak", "    prefix: /echo", None, ["/echo"]),
    "unknown-plugin": ("    handler: leak", "    handler: leek", "leek", ["leek", "leak"]),
    "unknown-tls-set": ("    tls: main", "    tls: mian", "mian", ["mian", "main"]),
    "path-and-prefix": ("    prefix: /leak", "    prefix: /leak\n    path: /x", None, ["path", "prefix"]),
    "no-path": ("    prefix: /leak\n", "", None, ["path", "prefix"]),
    "relative-prefix": ("    prefix: /leak", "    prefix: leak", "leak", ["/"]),
    "no-allow": ("    allow:\n      - any: true\n", "", None, ["allow"]),
    "empty-allow": ("    allow:\n      - any: true\n", "    allow: []\n", None, ["allow"]),
    "bad-method": ("methods: [GET, POST]", "methods: [GET, \"PO ST\"]", None, ["PO ST"]),
    "bad-fingerprint": ("      - any: true", "      - fingerprint: abc", "abc", ["fingerprint", "64"]),
    "bad-address": ("address: 127.0.0.1:0", "address: 127.0.0.1", "127.0.0.1", ["address"]),
    "bad-port": ("address: 127.0.0.1:0", "address: 127.0.0.1:70000", "127.0.0.1:70000", ["address"]),
    "crl-without-file": ("    client_crl: {crl}\n", "", None, ["crl", "client_crl"]),
    "process-isolation": ("    path: {echo}\n", "    path: {echo}\n    isolation: process\n", "process",
                          ["process", "arena"]),
    "no-listeners": ("listeners:\n  - name: main\n    address: 127.0.0.1:0\n    tls: main\n", "", None, ["listener"]),
    "tab": ("  threads: 2", "\tthreads: 2", None, []),
    "unclosed-quote": ("  log_level: info", "  log_level: \"info", None, []),
    "bad-indent": ("  threads: 2\n  log_level", "  threads: 2\n log_level", None, []),
    "alias": ("  log_level: info", "  log_level: *loud", None, []),
    "tag": ("  threads: 2", "  threads: !!int 2", None, []),
    "plugin-unknown-setting": ("      bytes: 16", "      byte: 16", "byte", ["byte", "bytes"]),
    "plugin-bad-setting": ("      when: never", "      when: nevver", "nevver", ["nevver", "never"]),
    "plugin-setting-of-none": ("    path: {echo}\n", "    path: {echo}\n    config:\n      loud: true\n", None,
                               ["loud"]),
    "plugin-missing": ("    path: {leak}", "    path: nowhere.so", None, ["nowhere.so"]),
}


def fill(text, pki, run):
    """The text with its {placeholders} filled in."""
    known = dict(run=run, certificate=pki.server[0], key=pki.server[1], ca=pki.client_ca, crl=pki.crl,
                 echo=harness.plugin_path("echo.so"), leak=harness.plugin_path("leak.so"))
    return re.sub(r"\{(\w+)\}", lambda match: str(known[match.group(1)]), text)


def sound(pki, run):
    return fill(SOUND, pki, run)


def broken(pki, run, name):
    """(text, line the message must name or None) of a mistake."""
    old, new, finger, _ = MISTAKES[name]
    old, new, text = fill(old, pki, run), fill(new, pki, run), sound(pki, run)
    assert text.count(old) == 1, f"{name}: the replaced text stands {text.count(old)} times in the file"
    at = text.index(old)
    text = text.replace(old, new)
    if finger is None:
        return text, None
    return text, text.count("\n", 0, at + new.index(finger)) + 1


def check(text, path):
    path.write_text(text)
    done = subprocess.run([str(harness.BUILD / "mtlsd"), "--check-config", str(path)], capture_output=True, text=True,
                          timeout=60)
    return done.returncode, done.stdout + done.stderr


def assert_names_place_and_cure(name, line, message, path):
    places = re.findall(re.escape(str(path)) + r":(\d+):(\d+): (.+)", message)
    assert places, f"no file:line:column in: {message}"
    assert all(int(column) >= 1 for _, column, _ in places)
    if line is not None:
        assert line in [int(found) for found, _, _ in places], f"line {line} expected in: {message}"
    for word in MISTAKES[name][3]:
        assert word in message, f"{word!r} is missing in: {message}"
    # A place and two words are no explanation.
    assert max(len(text) for _, _, text in places) > 15, message


def test_check_config_looks_at_credentials_too(pki, tmp_path):
    text = sound(pki, tmp_path)
    assert text.count(pki.server[1]) == 1
    code, out = check(text.replace(pki.server[1], pki.client("good")[1]), tmp_path / "mtlsd.yaml")
    assert code == 1 and re.search(r"mtlsd\.yaml:\d+:\d+: tls main: .*key", out), out
    gone = re.sub(r"client_ca: .*", f"client_ca: {tmp_path}/nothing.pem", text)
    code, out = check(gone, tmp_path / "mtlsd.yaml")
    assert code == 1 and "nothing.pem" in out, out


def test_the_sound_file_passes(pki, tmp_path):
    code, text = check(sound(pki, tmp_path), tmp_path / "mtlsd.yaml")
    assert code == 0, text


@pytest.mark.parametrize("name", MISTAKES)
def test_check_config_names_place_and_cure(pki, tmp_path, name):
    path = tmp_path / "mtlsd.yaml"
    text, line = broken(pki, tmp_path, name)
    code, message = check(text, path)
    assert code == 1, message
    assert_names_place_and_cure(name, line, message, path)


def test_every_mistake_of_a_file_is_reported_at_once(pki, tmp_path):
    text = sound(pki, tmp_path)
    for name in ("unknown-key", "bad-choice", "bad-size", "unknown-plugin", "relative-prefix"):
        old, new, _, _ = MISTAKES[name]
        text = text.replace(old, new)
    code, message = check(text, tmp_path / "mtlsd.yaml")
    assert code == 1
    assert len(re.findall(r"mtlsd\.yaml:\d+:\d+: ", message)) >= 3, message


def test_mtlsctl_checks_too(pki, tmp_path):
    """check-config needs no daemon."""
    path = tmp_path / "mtlsd.yaml"
    for text, expected in ((sound(pki, tmp_path), 0), (broken(pki, tmp_path, "unknown-key")[0], 1)):
        path.write_text(text)
        done = subprocess.run([str(harness.BUILD / "mtlsctl"), "--socket", str(tmp_path / "nobody"), "check-config",
                               str(path)], capture_output=True, text=True, timeout=60)
        assert done.returncode == expected, done.stdout + done.stderr


@pytest.fixture(scope="module")
def running(module_daemon, pki):
    """One daemon that takes every mistake of this file on reload."""
    d = module_daemon(start=False)
    d.config_path.write_text(sound(pki, d.run_directory))
    d.start()
    d.steady = d.client()
    assert d.steady.get("/echo")[0] == 200
    return d


def state(d):
    status = d.ctl("status")
    return (status["generation"], status["state"], status["listeners"], d.ctl("routes"),
            [(plugin["name"], plugin["instance"], plugin["state"]) for plugin in d.ctl("list")["plugins"]])


@pytest.mark.parametrize("name", MISTAKES)
def test_reload_refuses_and_the_daemon_serves_on(running, pki, name):
    before = state(running)
    text, line = broken(pki, running.run_directory, name)
    running.config_path.write_text(text)
    try:
        with pytest.raises(harness.CtlError) as refused:
            running.reload()
        assert refused.value.code == 1
        assert_names_place_and_cure(name, line, f"{refused.value.message}\n{said(refused.value.reply)}",
                                    running.config_path)
        assert state(running) == before
        assert running.steady.get("/echo")[0] == 200 and running.steady.connects == 1
        with running.client() as fresh:
            assert fresh.get("/leak")[0] == 200
    finally:
        running.config_path.write_text(sound(pki, running.run_directory))


def said(reply):
    """All strings of a reply, one a line: places are looked for in what a person would read."""
    if isinstance(reply, str):
        return reply
    if isinstance(reply, dict):
        return "\n".join(said(value) for value in reply.values())
    if isinstance(reply, list):
        return "\n".join(said(value) for value in reply)
    return ""


def test_sighup_with_a_mistake_is_refused_in_the_log(running, pki):
    before = state(running)
    text, line = broken(pki, running.run_directory, "bad-choice")
    running.config_path.write_text(text)
    running.process.send_signal(signal.SIGHUP)
    wait_for(lambda: f"{running.config_path}:{line}:" in running.log_text(), "the mistake in the log")
    wait_for(lambda: running.notify.last("READY") == "1" and running.ctl("status")["state"] == "running",
             "the daemon to go on")
    running.config_path.write_text(sound(pki, running.run_directory))
    assert state(running) == before
    assert running.steady.get("/echo")[0] == 200 and running.steady.connects == 1


def test_a_missing_file_is_refused_on_reload(running, pki):
    before = state(running)
    running.config_path.unlink()
    with pytest.raises(harness.CtlError) as refused:
        running.reload()
    assert refused.value.code == 1
    assert str(running.config_path) in refused.value.message
    running.config_path.write_text(sound(pki, running.run_directory))
    assert state(running) == before


@pytest.mark.parametrize("name", ("unknown-key", "no-listeners", "plugin-missing"))
def test_a_start_with_a_mistake_fails_and_says_so(daemon, pki, name):
    d = daemon(start=False)
    text, line = broken(pki, d.run_directory, name)
    d.config_path.write_text(text)
    d.expected_exit = 1
    d.start(wait=False)
    assert d.wait_exit() == 1
    assert_names_place_and_cure(name, line, d.log_text(), d.config_path)
    assert d.notify.count("READY") == 0


def test_a_port_that_is_taken_is_said(daemon):
    first = daemon()
    second = daemon(start=False, listeners=[dict(name="main", address=f"127.0.0.1:{first.port()}", tls="main")])
    second.expected_exit = 1
    second.start(wait=False)
    assert second.wait_exit() == 1
    assert f"127.0.0.1:{first.port()}" in second.log_text()
    assert "in use" in second.log_text()


# --- a good reload takes effect ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ("mtlsctl", "SIGHUP"))
def test_a_new_route_and_a_removed_plugin(daemon, how):
    d = daemon()
    client = d.client()
    assert client.get("/echo")[0] == 200 and client.get("/new")[0] == 404
    d.edit(plugins=[dict(name="echo", path="echo.so")],
           routes=[harness.default_route("echo"),
                   dict(name="new", path="/new", allow=[dict(any=True)], handler="echo")])
    generation = d.ctl("status")["generation"]
    if how == "SIGHUP":
        d.process.send_signal(signal.SIGHUP)
        assert d.notify.wait("RELOADING")
        assert d.notify.wait("READY", count=2), "READY=1 after the reload"
    else:
        assert d.reload()["generation"] == generation + 1
    assert d.ctl("status")["generation"] == generation + 1
    assert [plugin["name"] for plugin in d.ctl("list")["plugins"]] == ["echo"]
    assert client.get("/new")[0] == 200
    assert client.get("/whoami")[0] == 404
    assert client.connects == 1, "a reload costs no connection"


def test_an_unchanged_plugin_keeps_its_instance(daemon):
    d = daemon(plugins=[dict(name="echo", path="echo.so"), dict(name="leak", path="leak.so", config=dict(bytes=16))])
    instances = {plugin["name"]: plugin["instance"] for plugin in d.ctl("list")["plugins"]}
    d.edit(plugins=[dict(name="echo", path="echo.so"), dict(name="leak", path="leak.so", config=dict(bytes=32))])
    d.reload()
    after = {plugin["name"]: plugin["instance"] for plugin in d.ctl("list")["plugins"]}
    assert after["echo"] == instances["echo"]
    assert after["leak"] != instances["leak"]
    assert d.ctl("show", "leak")["restarts"]["reload"] == 1


def test_the_log_level_changes(daemon):
    d = daemon()
    d.edit(daemon=dict(log_level="debug"))
    d.reload()
    assert d.ctl("log-level")["level"] == "debug"
    assert d.ctl("log-level", "warning")["level"] == "warning"
    assert d.ctl("status")["log_level"] == "warning"


def test_limits_change_for_new_connections(daemon):
    d = daemon(plugins=[dict(name="echo", path="echo.so")])
    assert d.client().post("/echo", b"x" * 5000)[0] == 200
    d.edit(limits=dict(body_size="4KiB"))
    d.reload()
    assert d.client().post("/echo", b"x" * 5000)[0] == 413
    assert d.client().post("/echo", b"x" * 4000)[0] == 200


def test_listeners_change(daemon):
    d = daemon()
    d.edit(listeners=[dict(name="one", address="127.0.0.1:0", tls="main"),
                      dict(name="two", address="[::1]:0", tls="main")])
    d.reload()
    listeners = d.ctl("status")["listeners"]
    assert [listener["name"] for listener in listeners] == ["one", "two"]
    assert d.client(listener=0).get("/echo")[0] == 200
    assert d.client(listener=1).get("/echo")[0] == 200


@pytest.mark.parametrize("rounds", (10, pytest.param(200, marks=pytest.mark.long)))
def test_reload_under_load_loses_nothing(daemon, pki, rounds):
    """Limits and server certificate change each time: every part of a snapshot is swapped under the requests."""
    d = daemon(plugins=[dict(name="echo", path="echo.so")])
    load = d.load("/echo", connections=8)
    for number in range(rounds):
        seen = load.count()
        certificate, key = (pki.other_server, pki.server)[number % 2]
        d.edit(limits=dict(connections=1000 + number), tls=[dict(d.config["tls"][0], certificate=certificate, key=key)])
        d.reload()
        wait_for(lambda: load.count() > seen + 50, "requests after the reload")
    results = load.stop()
    assert results["failures"] == 0, results
    assert results["connects"] == 8, results


# --- the reference ----------------------------------------------------------------------------------------------


def test_print_config_reference_names_every_key():
    done = subprocess.run([str(harness.BUILD / "mtlsd"), "--print-config-reference"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0
    for key in ("daemon", "run_directory", "limits", "handshake_timeout", "listeners", "address", "tls", "client_crl",
                "plugins", "memory", "hard", "routes", "allow", "fingerprint", "control", "readonly_socket"):
        assert re.search(rf"\b{key}\b", done.stdout), key
    assert "10s" in done.stdout, "defaults are missing"


def test_the_sample_is_described_by_the_reference():
    """Every key of the sample stands in the reference: neither was written by guessing."""
    sample = (harness.ROOT / "etc" / "mtlsd.yaml").read_text()
    reference = subprocess.run([str(harness.BUILD / "mtlsd"), "--print-config-reference"], capture_output=True,
                               text=True, timeout=60).stdout
    keys = set(re.findall(r"^\s*(?:- )?([a-z_]+):", sample, re.MULTILINE))
    assert len(keys) > 10
    missing = [key for key in keys if not re.search(rf"\b{key}\b", reference)]
    assert missing == []


def test_usage():
    for argument, code in (("--help", 0), ("--version", 0), ("--no-such-option", 2)):
        done = subprocess.run([str(harness.BUILD / "mtlsd"), argument], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (argument, done.stdout + done.stderr)
        assert "mtlsd" in done.stdout + done.stderr
