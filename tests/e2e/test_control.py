# SPDX-License-Identifier: LGPL-2.1-or-later
"""The operator's socket: Varlink by hand, mtlsctl's exit codes, who may do what, and clients that misbehave."""
import contextlib
import json
import os
import pathlib
import re
import socket
import stat
import subprocess

import harness
import pytest
from harness import wait_for
from varlink import Varlink, VarlinkError

INTERFACE = "io.mtlsd.Control"
NOBODY = 65534


@pytest.fixture(scope="module")
def d(module_daemon):
    """A daemon with a read-only socket beside the main one."""
    made = module_daemon(start=False, plugins=[dict(name="echo", path="echo.so"), dict(name="leak", path="leak.so"),
                                               dict(name="cache", path="cache.so")])
    made.readonly = str(made.run_directory / "readonly.sock")
    made.config["control"]["readonly_socket"] = made.readonly
    made.config["control"]["readonly_mode"] = "0666"
    made.write()
    made.start()
    return made


def as_nobody(*groups):
    """A command in front of another that makes it run as another user, optionally in supplementary groups."""
    more = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), *more]


@pytest.fixture
def reachable(d):
    """Another user must be able to walk to the sockets; the mode of the sockets themselves is what is tested."""
    if not os.access(harness.BUILD / "mtlsctl", os.X_OK) or os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    probe = subprocess.run([*as_nobody(), "test", "-x", str(harness.BUILD / "mtlsctl"), "-a", "-x",
                            str(d.run_directory)], check=False)
    if probe.returncode != 0:
        pytest.skip(f"{harness.BUILD} is not reachable for other users")
    return d


# --- Varlink ----------------------------------------------------------------------------------------------------


def test_get_info(d):
    info = d.varlink().call("org.varlink.service.GetInfo")
    assert {"vendor", "product", "version", "url", "interfaces"} <= set(info)
    assert {"org.varlink.service", INTERFACE} <= set(info["interfaces"])


def test_interface_description_lists_every_command(d):
    link = d.varlink()
    text = link.call("org.varlink.service.GetInterfaceDescription", {"interface": INTERFACE})["description"]
    assert re.search(rf"^interface {re.escape(INTERFACE)}$", text, re.MULTILINE)
    methods = set(re.findall(r"^method (\w+)\(", text, re.MULTILINE))
    assert {"Status", "List", "Show", "Routes", "Dump", "Evict", "Restart", "Reload", "Enable", "Disable", "LogLevel",
            "Jobs"} <= methods
    errors = set(re.findall(r"^error (\w+)", text, re.MULTILINE))
    assert {"NoSuchPlugin", "InvalidArgument", "PermissionDenied", "Busy", "Failed", "Stale", "TimedOut"} <= errors
    # The table of commands and the interface are the same rows.
    commands = link.call(f"{INTERFACE}.Commands")["commands"]
    assert {command["method"] for command in commands if command.get("method")} <= methods
    assert "interface org.varlink.service" in link.call("org.varlink.service.GetInterfaceDescription",
                                                        {"interface": "org.varlink.service"})["description"]


@pytest.mark.parametrize("method,parameters,error", [
    ("org.varlink.service.GetInterfaceDescription", {"interface": "org.example.nothing"},
     "org.varlink.service.InterfaceNotFound"),
    ("org.example.nothing.Do", {}, "org.varlink.service.InterfaceNotFound"),
    (f"{INTERFACE}.NoSuchMethod", {}, "org.varlink.service.MethodNotFound"),
    (f"{INTERFACE}.Show", {"plugin": "nowhere"}, f"{INTERFACE}.NoSuchPlugin"),
])
def test_errors_have_their_names(d, method, parameters, error):
    link = d.varlink()
    with pytest.raises(VarlinkError) as failed:
        link.call(method, parameters)
    assert failed.value.name == error
    # An error ends the call, not the connection.
    assert link.call(f"{INTERFACE}.Status")["state"] == "running"


@pytest.mark.parametrize("method,parameters,word", [
    ("Show", {}, "plugin"),
    ("Show", {"plugin": 7}, "plugin"),
    ("Show", {"plugin": "leak", "colour": "red"}, "colour"),
    ("Evict", {"plugin": "leak", "level": "everything"}, "level"),
    ("Restart", {"plugin": "leak", "if_instance": -1}, "if_instance"),
    ("LogLevel", {"level": "loud"}, "level"),
])
def test_arguments_are_checked(d, method, parameters, word):
    with pytest.raises(VarlinkError) as failed:
        d.varlink().call(f"{INTERFACE}.{method}", parameters)
    assert failed.value.name in ("org.varlink.service.InvalidParameter", f"{INTERFACE}.InvalidArgument")
    assert word in json.dumps(failed.value.parameters)


def test_calls_are_answered_in_order(d):
    link = d.varlink()
    link.send(b"".join(json.dumps({"method": f"{INTERFACE}.Show", "parameters": {"plugin": name}}).encode() + b"\0"
                       for name in ("echo", "leak", "cache")))
    names = [link.receive()["parameters"]["plugin"]["name"] for _ in range(3)]
    assert names == ["echo", "leak", "cache"]


def test_a_call_in_pieces_is_a_call(d):
    link = d.varlink()
    for byte in json.dumps({"method": f"{INTERFACE}.Status"}).encode() + b"\0":
        link.send(bytes([byte]))
    assert link.receive()["parameters"]["state"] == "running"


def test_oneway_gets_no_reply(d):
    link = d.varlink()
    link.send(json.dumps({"method": f"{INTERFACE}.Status", "oneway": True}).encode() + b"\0")
    link.send(json.dumps({"method": f"{INTERFACE}.Show", "parameters": {"plugin": "echo"}}).encode() + b"\0")
    assert link.receive()["parameters"]["plugin"]["name"] == "echo"


# --- bad frames ---------------------------------------------------------------------------------------------------

BAD_FRAMES = {
    "not-json": b"hello\0",
    "empty": b"\0",
    "array": b"[]\0",
    "number": b"7\0",
    "no-method": b"{}\0",
    "method-number": b'{"method":7}\0',
    "method-without-dot": b'{"method":"Status"}\0',
    "parameters-list": b'{"method":"io.mtlsd.Control.Status","parameters":[]}\0',
    "duplicate-keys": b'{"method":"io.mtlsd.Control.Status","method":"io.mtlsd.Control.Reload"}\0',
    "not-utf8": b'{"method":"\xff\xfe"}\0',
    "cut-json": b'{"method":"io.mtlsd.Control.Status"\0',
    "trailing": b'{"method":"io.mtlsd.Control.Status"} x\0',
    "deep": b'{"method":"io.mtlsd.Control.Status","parameters":{"a":' + b"[" * 100000 + b"]" * 100000 + b"}}\0",
    "oversize": b'{"method":"' + b"a" * (2 << 20) + b'"}\0',
    "oversize-without-end": b"a" * (2 << 20),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\0",
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frames_harm_nobody(d, name):
    """An error or the end of that connection; never the daemon's, nor another client's."""
    neighbour = d.varlink()
    link = d.varlink()
    try:
        link.send(BAD_FRAMES[name])
        reply = link.receive()
        assert reply is None or "error" in reply
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert neighbour.call(f"{INTERFACE}.Status")["state"] == "running"
    assert d.varlink().call(f"{INTERFACE}.Status")["state"] == "running"


def test_a_client_that_does_not_read_is_dropped(d):
    link = d.varlink()
    link.sock.settimeout(30)
    call = json.dumps({"method": f"{INTERFACE}.Commands"}).encode() + b"\0"
    with pytest.raises((ConnectionError, TimeoutError)) as ended:
        for _ in range(20000):
            link.send(call)
    assert not isinstance(ended.value, TimeoutError), "neither dropped nor slowed down visibly"
    assert d.ctl("status")["state"] == "running"


def test_a_client_that_does_not_read_does_not_delay_others(d):
    """While its replies pile up, others are answered."""
    link = d.varlink()
    link.sock.setblocking(False)
    call = json.dumps({"method": f"{INTERFACE}.Commands"}).encode() + b"\0"
    try:
        for _ in range(2000):
            link.send(call)
    except OSError:
        pass
    assert d.varlink().call(f"{INTERFACE}.Status")["state"] == "running"


def test_connections_are_bounded(d):
    links = []
    try:
        for _ in range(200):
            links.append(Varlink(d.socket, timeout=30))
    except OSError:
        pass
    # However many were let in, leaving makes room again.
    for link in links:
        link.close()
    wait_for(lambda: d.ctl_raw("status")[0] == 0, "room for an operator")


def test_a_client_that_leaves_in_the_middle(d):
    for cut in (1, 10, 30):
        with Varlink(d.socket) as link:
            link.send(json.dumps({"method": f"{INTERFACE}.Status"}).encode()[:cut])
    # One that asks and leaves before the reply.
    for _ in range(50):
        # Whom the daemon has no room for, since those before are not all gone yet, it sends away at once.
        with Varlink(d.socket) as link, contextlib.suppress(BrokenPipeError):
            link.send(json.dumps({"method": f"{INTERFACE}.Dump", "parameters": {"plugin": "leak"}}).encode() + b"\0")
    wait_for(lambda: d.ctl_raw("status")[0] == 0, "the daemon to be done with them")


# --- mtlsctl -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments,code,words", [
    (["status"], 0, ["running"]),
    (["--help"], 0, ["status", "restart", "check-config"]),
    (["restart", "--help"], 0, ["--if-instance", "--no-block", "--dry-run"]),
    (["evict", "--help"], 0, ["--level"]),
    ([], 2, []),
    (["nonsense"], 2, ["nonsense"]),
    (["statsu"], 2, ["status"]),
    (["status", "--no-such-option"], 2, ["no-such-option"]),
    (["show"], 2, ["plugin"]),
    (["show", "leak", "more"], 2, ["more"]),
    (["restart", "leak", "--if-instance", "x"], 2, ["if-instance"]),
    (["show", "nowhere"], 4, ["nowhere"]),
    (["show", "leek"], 4, ["leek", "leak"]),
    (["restart", "nowhere"], 4, ["nowhere"]),
    (["restart", "leak", "--if-instance", "999999"], 1, ["999999"]),
])
def test_exit_codes(d, arguments, code, words):
    found, out, err = d.ctl_raw(*arguments)
    assert found == code, out + err
    for word in words:
        assert word in (out if code == 0 else err), out + err


def test_not_reachable_is_3(d, tmp_path):
    nobody = str(tmp_path / "nobody.sock")
    code, _, err = d.ctl_raw("status", socket=nobody)
    assert code == 3 and nobody in err
    # A socket file nobody listens at is the same.
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(nobody)
    assert d.ctl_raw("status", socket=nobody)[0] == 3
    # Help needs no daemon, and says what can be done without one.
    code, out, _ = d.ctl_raw("--help", socket=nobody)
    assert code == 0 and "check-config" in out


def test_the_socket_comes_from_the_environment_too(d):
    done = subprocess.run([str(harness.BUILD / "mtlsctl"), "--json", "status"], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "MTLSCTL_SOCKET": d.socket})
    assert done.returncode == 0 and json.loads(done.stdout)["pid"] == d.pid


def test_timeout_is_6(daemon):
    """A drain that outlasts the operator's patience."""
    d = daemon(plugins=[dict(name="slow", path="slow.so", config=dict(delay="60s"), deadline="2min",
                             drain_timeout="60s")])
    waiting = d.tls_socket()
    waiting.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_for(lambda: d.ctl("show", "slow")["requests"]["inflight"] == 1, "the request to be inside")
    code, _, err = d.ctl_raw("--timeout", "300ms", "restart", "slow")
    assert code == 6, err
    # The change goes on, and is listed.
    assert any("restart" in job["command"] for job in d.ctl("jobs")["jobs"])
    waiting.close()
    wait_for(lambda: all(job["state"] != "running" for job in d.ctl("jobs")["jobs"]), "the job to end")


def test_no_block_answers_with_a_job(d):
    reply = d.ctl("restart", "leak", "--no-block")
    number = reply["job"]
    wait_for(lambda: any(job["id"] == number and job["state"] == "done" for job in d.ctl("jobs")["jobs"]),
             "the job to be done")


def test_dry_run_changes_nothing(d):
    before = d.ctl("show", "leak")["plugin"]["instance"]
    assert "would" in d.ctl("restart", "leak", "--dry-run")
    assert "would" in d.ctl("disable", "leak", "--dry-run")
    after = d.ctl("show", "leak")["plugin"]
    assert (after["instance"], after["state"]) == (before, "ready")


def test_if_instance(d):
    instance = d.ctl("show", "leak")["plugin"]["instance"]
    assert d.ctl("restart", "leak", "--if-instance", instance)["old_instance"] == instance
    with pytest.raises(harness.CtlError) as stale:
        d.ctl("restart", "leak", "--if-instance", instance)
    assert stale.value.code == 1


def test_tables_are_tables(d):
    out = d.ctl_text("list")
    lines = out.splitlines()
    assert re.match(r"NAME\s+STATE\s", lines[0])
    assert {line.split()[0] for line in lines[1:4]} == {"echo", "leak", "cache"}
    assert max(map(len, lines)) <= 132
    bare = d.ctl_text("--no-legend", "list").splitlines()
    assert not any(line.startswith("NAME") for line in bare)
    assert "\x1b" not in out, "colours belong on terminals"


@pytest.mark.parametrize("arguments", (["status"], ["list"], ["show", "leak"], ["routes"], ["dump", "leak"], ["jobs"],
                                       ["log-level"]))
def test_every_reading_command_in_both_forms(d, arguments):
    assert isinstance(d.ctl(*arguments), dict)
    assert d.ctl_text(*arguments).strip() or arguments == ["jobs"]


def test_routes(d):
    rows = {(row["name"], row["path"], row["handler"]) for row in d.ctl("routes")["routes"]}
    assert rows == {(name, f"/{name}", name) for name in ("echo", "leak", "cache")}


# --- descriptors ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not harness.HEAP_LAYER, reason="built without the heap layer")
def test_dump_into_a_file_of_the_operator(d, tmp_path):
    client = d.client()
    for _ in range(20):
        assert client.get("/leak")[0] == 200
    target = tmp_path / "dump.txt"
    code, out, err = d.ctl_raw("dump", "leak", "--output", str(target))
    assert code == 0, err
    assert "leak_keep" in target.read_text()
    assert "leak_keep" not in out


@pytest.mark.skipif(not harness.HEAP_LAYER, reason="built without the heap layer")
def test_a_file_of_the_operator_is_replaced_whole_or_left_alone(d, tmp_path):
    target, link = tmp_path / "dump.json", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    arguments = ("--format", "json", "--output", str(link))
    code, _, err = d.ctl_raw("dump", "nobody", *arguments)
    assert code == 4, err
    assert target.read_text() == "old"
    code, _, err = d.ctl_raw("dump", "leak", *arguments)
    assert code == 0, err
    assert json.loads(target.read_text())["plugin"] == "leak"
    assert link.is_symlink() and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(("dump", "link"))) == [
        "dump.json", "link"]


def test_a_pipe_is_written_as_it_is(d, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        code, _, err = d.ctl_raw("dump", "leak", "--output", str(pipe))
        assert code == 0, err
        assert os.read(reader, 65536)
        assert stat.S_ISFIFO(pipe.stat().st_mode)
    finally:
        os.close(reader)


def test_descriptors_that_are_not_asked_for_are_closed(d):
    before = d.descriptors()
    link = d.varlink()
    with open(os.devnull, "rb") as null:
        for _ in range(20):
            link.call(f"{INTERFACE}.Status", fds=[null.fileno()] * 3)
    link.close()
    wait_for(lambda: d.descriptors() <= before, "the passed descriptors to be closed")


def test_a_pipe_nobody_reads_does_not_hang_the_daemon(d):
    client = d.client()
    for number in range(20):
        assert client.get(f"/cache/{number}")[0] == 200
    reader, writer = os.pipe()
    os.close(reader)
    link = d.varlink()
    try:
        link.call(f"{INTERFACE}.Dump", {"plugin": "cache", "output": True}, fds=[writer])
    except (VarlinkError, ConnectionError):
        pass
    finally:
        os.close(writer)
    assert d.ctl("status")["state"] == "running"


# --- permissions ----------------------------------------------------------------------------------------------------


def test_modes_of_the_sockets(d):
    assert stat.S_IMODE(os.stat(d.socket).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(d.readonly).st_mode) == 0o666


def test_the_readonly_socket_reads(d):
    code, out, err = d.ctl_raw("--json", "status", socket=d.readonly)
    assert code == 0, err
    assert json.loads(out)["state"] == "running"


def standing(d):
    """What a change would change."""
    return [(plugin["instance"], plugin["state"]) for plugin in d.ctl("list")["plugins"]], d.ctl("status")["generation"]


@pytest.mark.parametrize("arguments", (["restart", "leak"], ["evict", "cache"], ["reload"], ["disable", "leak"],
                                       ["enable", "leak"], ["log-level", "debug"]))
def test_the_readonly_socket_changes_nothing_even_for_root(d, arguments):
    before = standing(d)
    code, out, err = d.ctl_raw(*arguments, socket=d.readonly)
    assert code == 5, out + err
    assert standing(d) == before


def test_another_user_reads_only(reachable):
    d = reachable
    code, out, err = d.ctl_raw("--json", "status", socket=d.readonly, wrapper=as_nobody())
    assert code == 0, err
    code, _, err = d.ctl_raw("restart", "leak", socket=d.readonly, wrapper=as_nobody())
    assert code == 5, err
    # The main socket is closed to him by its mode.
    code, _, err = d.ctl_raw("status", wrapper=as_nobody())
    assert code == 3 and "ermission" in err, err


def test_admins_are_those_the_configuration_names(daemon, reachable):
    """Whoever may open the main socket may read; whoever is named may change."""
    del reachable
    for names, expected in ((dict(admin_users=["root"]), 5), (dict(admin_users=["nobody"]), 0),
                            (dict(admin_groups=["nogroup"]), 0), (dict(admin_groups=["daemon"]), 5)):
        d = daemon(plugins=[dict(name="leak", path="leak.so")], control=dict(mode="0666", **names))
        assert d.ctl_raw("status", wrapper=as_nobody())[0] == 0
        code, out, err = d.ctl_raw("restart", "leak", wrapper=as_nobody())
        assert code == expected, (names, out, err)
        assert d.ctl_raw("restart", "leak")[0] == 0, "root may always"


def test_every_change_leaves_a_record_with_uid_and_pid(d):
    for arguments, command in ((["restart", "leak"], "restart"), (["evict", "cache"], "evict"), (["reload"], "reload"),
                               (["disable", "leak"], "disable"), (["enable", "leak"], "enable"),
                               (["log-level", "info"], "log-level")):
        before = len(d.log())
        process = subprocess.Popen([str(harness.BUILD / "mtlsctl"), "--socket", d.socket, *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out

        def recorded():
            return [record.fields for record in d.log()[before:]
                    if record.fields.get("MTLSD_PID") == str(process.pid)]

        fields = wait_for(recorded, f"a record of {command}")[-1]
        assert fields["MTLSD_UID"] == str(os.getuid())
        assert fields["MTLSD_COMMAND"] == command
        if len(arguments) > 1 and command != "log-level":
            assert fields["MTLSD_PLUGIN"] == arguments[1]


def test_a_refused_change_is_recorded_too(d):
    before = len(d.log())
    assert d.ctl_raw("restart", "leak", socket=d.readonly)[0] == 5
    wait_for(lambda: any(record.fields.get("MTLSD_COMMAND") == "restart" and "MTLSD_UID" in record.fields
                         for record in d.log()[before:]), "a record of the refusal")


def test_reading_leaves_no_record(d):
    wait_for(lambda: True)
    before = len(d.log())
    for arguments in (["status"], ["list"], ["show", "leak"], ["dump", "leak"], ["routes"]):
        d.ctl(*arguments)
    assert [record for record in d.log()[before:] if "MTLSD_COMMAND" in record.fields] == []


# --- the socket file ------------------------------------------------------------------------------------------------


def test_a_stale_socket_file_is_replaced(daemon):
    d = daemon(start=False)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(d.socket)
    d.start()
    assert d.ctl("status")["state"] == "running"


def test_a_socket_somebody_serves_is_not_taken(daemon):
    first = daemon()
    second = daemon(start=False, control=dict(socket=first.socket))
    second.expected_exit = 1
    second.start(wait=False)
    assert second.wait_exit() == 1
    assert first.socket in second.log_text()
    assert first.ctl("status")["pid"] == first.pid


def test_no_key_in_any_reply(d, pki):
    text = "".join(json.dumps(d.ctl(*arguments)) for arguments in (["status"], ["show", "echo"], ["dump", "leak"]))
    secret = "".join(pathlib.Path(pki.server[1]).read_text().splitlines()[1:-1])[:40]
    assert secret not in text
