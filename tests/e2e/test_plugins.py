# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plugins, well-behaved and not: each ends in its documented outcome, the right one is blamed, others serve on."""
import json
import os
import re
import shutil
import signal
import subprocess

import client as mtls_client
import pki as pki_module
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from harness import BUILD, ROOT, CtlError, wait_for
from plugin_view import (Gate, counters, needs_layer, numbers, plugin, serves, settled, trace, wait_counter,
                         wait_inflight)

MIB = 1 << 20


# --- the plugins that are shipped ----------------------------------------------------------------------------------


def test_echo_sends_back_the_body(daemon):
    d = daemon(plugins=[plugin("echo")])
    for body in (b"", b"x", b"\0\r\n\xff" * 5, b"long" * 10000):
        assert d.client().post("/echo", body)[::2] == (200, body)
    assert counters(d, "echo")["echoed_bytes"] == 1 + 20 + 40000


def test_echo_prefix_is_a_setting(daemon):
    d = daemon(plugins=[plugin("echo", config={"prefix": "you said: "})])
    assert d.client().post("/echo", b"hello")[2] == b"you said: hello"


def test_whoami_tells_the_verified_identity(daemon, pki):
    d = daemon(plugins=[plugin("whoami")])
    status, headers, body = d.client().get("/whoami")
    assert status == 200 and headers["Content-Type"] == "application/json"
    told = json.loads(body)
    certificate = pki.certificate("good")
    assert told["uri"] == ["spiffe://example.org/client"]
    assert told["dns"] == ["client.example.org"]
    assert told["email"] == ["client@example.org"]
    assert told["ip"] == []
    assert "CN=client" in told["subject"] and "CN=mtlsd test CA" in told["issuer"]
    assert int(told["serial"], 16) == certificate.serial_number
    assert told["certificate_sha256"] == certificate.fingerprint(pki_module.hashes.SHA256()).hex()
    assert re.fullmatch("[0-9a-f]{64}", told["spki_sha256"])
    assert told["not_before"] == certificate.not_valid_before.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert told["not_after"] == certificate.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert told["address"] == "127.0.0.1" and told["tls"] in ("TLS1.3", "TLSv1.3", "TLS 1.3")


def test_whoami_escapes_what_a_certificate_says(daemon, pki):
    word = 'quote" back\\slash <b> caf\u00e9 \u6c34'
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = pki.authority.issue(word, key, names=[x509.UniformResourceIdentifier('urn:x:"y"\\z')])
    (pki.folder / "odd.pem").write_bytes(pki_module.to_pem(certificate))
    pki_module.write_private(pki.folder / "odd-key.pem", key)
    d = daemon(plugins=[plugin("whoami")])
    status, _, body = d.client(cert="odd").get("/whoami")
    assert status == 200
    told = json.loads(body)
    assert told["uri"] == ['urn:x:"y"\\z']
    # RFC 4514 lets special characters be written as a backslash and two digits.
    assert word in re.sub(r"\\([0-9A-F]{2})", lambda pair: chr(int(pair[1], 16)), told["subject"])


def test_the_template_builds_by_itself_and_serves(daemon, tmp_path):
    folder = tmp_path / "template"
    shutil.copytree(ROOT / "plugins/template", folder)
    # As installed, but for the header, which lies in the source tree.
    include = f"pkg-config --define-variable=includedir={ROOT}/plugins/include"
    done = subprocess.run(["make", "-C", folder, f"PKG_CONFIG={include}", "CFLAGS=-O2 -Wall -Wextra -Werror"],
                          env={**os.environ, "PKG_CONFIG_PATH": str(BUILD / "plugins")}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    d = daemon(plugins=[plugin("template", str(folder / "template.so"), config={"greeting": "good day"})])
    status, _, body = d.client().get("/template")
    assert status == 200 and body.startswith(b"good day, ") and b"CN=client" in body
    assert counters(d, "template")["greeted"] == 1
    d.ctl("restart", "template")
    assert counters(d, "template")["greeted"] == 0


# --- the memory limit ----------------------------------------------------------------------------------------------


@needs_layer
@pytest.mark.parametrize("way", ["malloc", "calloc", "realloc", "memalign", "arena"])
def test_over_the_limit_is_a_clean_enomem(daemon, way):
    hard = 8 * MIB
    d = daemon(plugins=[plugin("overlimit", memory={"soft": hard, "hard": hard, "on_limit": "ignore"}), plugin("echo")])
    client = d.client()
    for _ in range(5):
        status, _, body = client.get(f"/overlimit?with={way}")
        told = json.loads(body)
        assert status == 200 and told["with"] == way and told["errno"] == "ENOMEM"
        assert 0.9 * hard <= told["got"] <= hard
        assert serves(d)
    shown = settled(d, "overlimit")
    assert shown["own"]["refused"] >= 5
    assert shown["own"]["live_bytes"] < hard // 10
    assert shown["own"]["peak_bytes"] <= hard
    assert d.ctl("show", "echo")["own"]["refused"] == 0


@needs_layer
def test_small_blocks_reach_the_limit_too(daemon):
    hard = 4 * MIB
    d = daemon(plugins=[plugin("overlimit", memory={"soft": hard, "hard": hard, "on_limit": "ignore"},
                               config={"chunk": 48})])
    for _ in range(3):
        told = json.loads(d.client().get("/overlimit")[2])
        assert told["errno"] == "ENOMEM" and 0.9 * hard <= told["got"] <= hard


@needs_layer
def test_a_leak_that_meets_its_limit_harms_nobody_else(daemon):
    d = daemon(plugins=[plugin("leak", config={"bytes": "64KiB"},
                               memory={"soft": "1MiB", "hard": "2MiB", "on_limit": "ignore"}),
                        plugin("echo")])
    client, statuses = d.client(), {}
    for _ in range(100):
        status, _, _ = client.get("/leak")
        statuses[status] = statuses.get(status, 0) + 1
        assert serves(d) if status != 200 else True
    assert statuses.get(200, 0) >= 20 and set(statuses) <= {200, 503, 507} and len(statuses) > 1
    assert d.ctl("show", "echo")["requests"]["answers"]["5xx"] == 0


# --- wrong frees ---------------------------------------------------------------------------------------------------


@needs_layer
@pytest.mark.parametrize("kind", ["double", "interior"])
def test_a_wrong_free_is_noticed_and_blamed(daemon, kind):
    d = daemon(plugins=[plugin("doublefree"), plugin("echo")])
    client = d.client()
    assert client.get("/doublefree/right")[0] == 200
    assert d.ctl("show", "doublefree")["plugin"]["faults"] == 0
    for count in range(1, 4):
        assert client.get(f"/doublefree/{kind}")[0] == 200
        assert d.ctl("show", "doublefree")["plugin"]["faults"] == count
    assert d.ctl("show", "echo")["plugin"]["faults"] == 0
    assert serves(d)
    assert any("doublefree" in line and "free" in line for line in d.log())


@needs_layer
def test_a_plugin_that_crashes_the_process_is_named(daemon):
    d = daemon(plugins=[plugin("crashy"), plugin("echo")])
    assert d.client().get("/crashy/fine")[0] == 200
    instance = d.ctl("show", "crashy")["plugin"]["instance"]
    with pytest.raises(OSError):
        d.client().get("/crashy/" + "x" * 1000 + "/crash")
    assert d.wait_exit() == -signal.SIGSEGV
    d.expected_exit = -signal.SIGSEGV
    told = [line for line in d.log() if "SIGSEGV" in line]
    assert len(told) == 1 and f"in plugin crashy#{instance}, route crashy, request /crashy/xxx" in told[0]
    assert "instruction 0x" in told[0] and "address 0x0" in told[0]


# --- wrong answers -------------------------------------------------------------------------------------------------


def test_wrong_answers_cost_one_500_each(daemon):
    d = daemon(plugins=[plugin("wrong")])
    client = d.client()
    for count, path in enumerate(("noanswer", "pass", "more", "odd", "fail"), 1):
        status, _, body = client.get(f"/wrong/{path}")
        assert status == 500 and b"must not be seen" not in body, path
        assert numbers(d, "wrong")["failed"] == count, path
    assert client.get("/wrong/refusals")[::2] == (200, b"10 of 10\n")
    assert client.get("/wrong/twice")[::2] == (200, b"the second\n")
    assert client.get("/wrong/big")[::2] == (200, b"b" * MIB)
    assert client.get("/wrong/huge")[::2] == (200, b"refused\n")
    assert client.connects == 1


# --- C++ -----------------------------------------------------------------------------------------------------------


@needs_layer
def test_a_cxx_plugin_keeps_its_strings_and_gives_them_back(daemon):
    d = daemon(plugins=[plugin("cxx", config={"bytes": 1000})])
    client = d.client()
    for number in range(200):
        assert client.get(f"/cxx/keep?k{number}")[::2] == (200, f"{number + 1}\n".encode())
    dump = d.ctl("dump", "cxx")
    assert dump["words"]["strings"] == 200
    # What std::string asks of new inside libstdc++ lies in the foreign heap: between them they hold it all.
    assert dump["live_bytes"] + dump["foreign_bytes"] >= 200 * 1000
    evicted = d.ctl("evict", "cxx")
    assert evicted["hook"] and evicted["claimed"] >= 200 * 1000
    assert d.ctl("dump", "cxx")["words"]["strings"] == 0
    after = d.ctl("dump", "cxx")
    assert after["live_bytes"] + after["foreign_bytes"] < dump["live_bytes"] + dump["foreign_bytes"] - 200 * 900
    wait_counter(d, "cxx", "witnesses", 200)


def test_cxx_exceptions_become_500(daemon):
    d = daemon(plugins=[plugin("cxx"), plugin("echo")])
    client = d.client()
    assert client.get("/cxx/throw")[0] == 500
    assert client.get("/cxx/throw-int")[0] == 500
    assert client.get("/cxx/fine")[0] == 200
    assert numbers(d, "cxx")["failed"] == 2
    wait_for(lambda: any("thrown on demand" in line for line in d.log()), "the exception's words in the log")
    wait_counter(d, "cxx", "witnesses", 3)
    assert client.connects == 1 and serves(d)


@needs_layer
def test_cxx_bad_alloc_at_the_limit_becomes_500(daemon):
    hard = 8 * MIB
    d = daemon(plugins=[plugin("cxx", memory={"soft": hard, "hard": hard, "on_limit": "ignore"}), plugin("echo")])
    client = d.client()
    for count in range(1, 4):
        assert client.get("/cxx/grow")[0] == 500
        assert numbers(d, "cxx")["failed"] == count
        assert serves(d)
    shown = settled(d, "cxx")
    assert shown["own"]["refused"] >= 3 and shown["own"]["live_bytes"] < hard // 10
    assert client.get("/cxx/fine")[0] == 200


def test_a_cxx_constructor_that_throws_is_a_refusal(daemon):
    d = daemon(plugins=[plugin("echo")])
    d.edit(plugins=[plugin("echo"), plugin("cxx", config={"fail": True})])
    with pytest.raises(CtlError, match="the constructor was told to fail"):
        d.reload()
    assert serves(d)


# --- who runs when -------------------------------------------------------------------------------------------------


def test_callbacks_of_a_plain_plugin_never_overlap(daemon):
    d = daemon(plugins=[plugin("counterp")], settings={"threads": 4})
    load = d.load("/counterp", connections=8)
    for _ in range(10):
        d.ctl("evict", "counterp")
        d.ctl("dump", "counterp")
    wait_for(lambda: load.count() > 500, "500 requests")
    results = load.stop()
    assert results["failures"] == 0
    own = counters(d, "counterp")
    assert own["overlaps"] == 0
    # The plain counter was never raced: it knows every request.
    assert own["requests_seen"] == results["requests"] == d.ctl("dump", "counterp")["words"]["number"]


def test_two_plugins_of_one_file_are_strangers(daemon):
    d = daemon(plugins=[plugin("one", "counterp.so"), plugin("two", "counterp.so")])
    client = d.client()
    for number in range(1, 4):
        assert client.get("/one")[2] == f"{number}\n".encode()
    assert client.get("/two")[2] == b"1\n"
    assert counters(d, "one")["requests_seen"] == 3 and counters(d, "two")["requests_seen"] == 1


def test_what_a_plugin_logs_names_it_and_is_bounded(daemon):
    d = daemon(plugins=[plugin("counterp")])
    client = d.client()
    assert client.get("/counterp/log?word-for-the-log")[0] == 200
    wait_for(lambda: any("told: word-for-the-log" in line and "counterp" in line for line in d.log()), "the log line")
    assert client.get("/counterp/flood")[0] == 200
    assert client.get("/counterp")[0] == 200
    assert 0 < sum("flood line" in line for line in d.log()) < 1000


def test_every_request_is_done_and_released_once(daemon):
    d = daemon(plugins=[plugin("never")])
    client = d.client()
    for _ in range(50):
        assert client.get("/never")[0] == 200
    for _ in range(10):
        assert client.post("/never", b"x" * 1000)[0] == 200
    wait_counter(d, "never", "calls_release", 60)
    own = counters(d, "never")
    assert own["calls_request"] == own["calls_done"] == 60 and own["calls_cancel"] == 0
    shown = settled(d, "never")["requests"]
    assert shown["total"] == shown["answers"]["2xx"] == 60 and shown["inflight"] == 0


# --- blocking ------------------------------------------------------------------------------------------------------


def test_a_blocking_plugin_with_a_full_queue_answers_503(daemon, tmp_path):
    gate = Gate(tmp_path / "gate")
    d = daemon(plugins=[plugin("blocking", threads=2, queue=2, config={"gate": gate}), plugin("echo")])
    crowd = mtls_client.Crowd(2, lambda _: d.client().get("/blocking"))
    wait_counter(d, "blocking", "started", 2)
    queued = mtls_client.Crowd(2, lambda _: d.client().get("/blocking"))
    wait_for(lambda: numbers(d, "blocking")["queued"] == 2, "two requests in the queue")
    for count in range(1, 4):
        status, headers, _ = d.client().get("/blocking")
        assert status == 503 and int(headers["Retry-After"]) >= 1
        assert numbers(d, "blocking")["refused_full"] == count
    assert serves(d)
    assert counters(d, "blocking")["started"] == 2
    gate.open()
    assert [status for status, _, _ in crowd.results() + queued.results()] == [200] * 4
    wait_counter(d, "blocking", "done_sent", 4)
    assert d.client().get("/blocking/quick")[0] == 200


def test_a_blocking_plugin_that_misses_its_deadline_is_answered_for(daemon, tmp_path):
    gate = Gate(tmp_path / "gate")
    d = daemon(plugins=[plugin("blocking", threads=1, queue=1, deadline="300ms", config={"gate": gate}),
                        plugin("echo")])
    status, _, _ = d.client().get("/blocking")
    assert status == 504
    assert numbers(d, "blocking")["deadline_missed"] == 1
    wait_counter(d, "blocking", "gave_up", 1)
    wait_inflight(d, "blocking", 0)
    assert d.client().get("/blocking/quick")[0] == 200 and serves(d)


# --- deferred and cancelled ----------------------------------------------------------------------------------------


def test_deferred_requests_are_answered_from_another_thread(daemon):
    d = daemon(plugins=[plugin("slow", config={"delay": "10ms"})])
    answers = mtls_client.Crowd(20, lambda _: [d.client().get("/slow")[::2] for _ in range(2)]).results()
    assert answers == [[(200, b"slow\n")] * 2] * 20
    wait_counter(d, "slow", "done_sent", 40)
    own = counters(d, "slow")
    assert own["deferred"] == own["finished"] == 40 and own["done_aborted"] == 0


def test_a_client_that_left_cancels_its_deferred_request(daemon, tmp_path):
    d = daemon(plugins=[plugin("slow", config={"gate": tmp_path / "never"}), plugin("echo")])
    sock = d.tls_socket()
    sock.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_counter(d, "slow", "deferred", 1)
    sock.close()
    wait_counter(d, "slow", "cancel_gone", 1)
    wait_counter(d, "slow", "done_aborted", 1)
    wait_inflight(d, "slow", 0)
    assert numbers(d, "slow")["answers"]["none"] == 1 and serves(d)


def test_a_deferred_request_meets_its_deadline(daemon, tmp_path):
    d = daemon(plugins=[plugin("slow", deadline="300ms", config={"gate": tmp_path / "never"}), plugin("echo")])
    client = d.client()
    assert client.get("/slow")[0] == 504
    assert numbers(d, "slow")["deadline_missed"] == 1
    wait_counter(d, "slow", "cancel_deadline", 1)
    wait_inflight(d, "slow", 0)
    assert counters(d, "slow")["finished"] == 1 and serves(d)


def test_a_request_that_ignores_cancel_stays_the_plugins_until_it_finishes(daemon):
    d = daemon(plugins=[plugin("stubborn", deadline="300ms"), plugin("echo")])
    assert d.client().get("/stubborn")[0] == 504
    wait_counter(d, "stubborn", "ignored", 1)
    assert numbers(d, "stubborn")["inflight"] == 1
    assert d.client().get("/stubborn/release")[2] == b"1\n"
    wait_inflight(d, "stubborn", 0)
    assert serves(d)


# --- filters -------------------------------------------------------------------------------------------------------


def chain(*filters, handler="attrs"):
    return [dict(name="chain", prefix="/chain", allow=[dict(any=True)], filters=list(filters), handler=handler)]


@pytest.fixture
def filtered(daemon):
    return daemon(plugins=[plugin("first", "filter.so", config={"name": "a", "value": "one"}),
                           plugin("second", "filter.so", config={"name": "b", "value": "two"}),
                           plugin("attrs", config={"names": ["a", "b", "c"]})],
                  routes=chain("first", "second"))


def test_filters_mark_requests_in_order(filtered):
    status, headers, body = filtered.client().post("/chain", b"12345")
    assert (status, body) == (200, b"a=one\nb=two\nc=(none)\nbody=5\n")
    assert headers.get_all("X-Filter") == ["one", "two"]
    for name in ("first", "second"):
        wait_counter(filtered, name, "done", 1)
        assert counters(filtered, name)["seen"] == 1


def test_a_filter_may_answer_itself(filtered):
    status, headers, body = filtered.client().get("/chain?deny")
    assert (status, body) == (401, b"denied\n") and headers["WWW-Authenticate"]
    wait_counter(filtered, "first", "done", 1)
    assert counters(filtered, "first")["denied"] == 1
    assert counters(filtered, "second")["seen"] == 0
    assert numbers(filtered, "attrs")["total"] == 0


def test_a_filter_may_pass_later_from_its_own_thread(filtered):
    client = filtered.client()
    for count in range(1, 20):
        status, headers, body = client.get("/chain?later")
        assert (status, body) == (200, b"a=one\nb=two\nc=(none)\nbody=0\n")
        assert headers.get_all("X-Filter") == ["one", "two"]
        wait_counter(filtered, "second", "done", count)


def test_a_filter_that_fails_ends_the_chain(filtered):
    assert filtered.client().get("/chain?broken")[0] == 500
    assert numbers(filtered, "first")["failed"] == 1
    assert numbers(filtered, "second")["total"] == numbers(filtered, "attrs")["total"] == 0


def test_only_filters_may_stand_in_a_chain(daemon):
    d = daemon(plugins=[plugin("echo")])
    d.edit(plugins=[plugin("echo"), plugin("attrs")], routes=chain("echo"))
    with pytest.raises(CtlError, match=r"(?i)echo.*filter"):
        d.reload()


# --- data of a connection ------------------------------------------------------------------------------------------


def test_connection_data_lives_and_ends_with_the_connection(daemon, tmp_path):
    told = tmp_path / "trace"
    d = daemon(plugins=[plugin("conn", config={"trace": told})])
    first, second = d.client(), d.client()
    assert [first.get("/conn")[2] for _ in range(3)] == [b"1\n", b"2\n", b"3\n"]
    assert second.get("/conn")[2] == b"1\n"
    assert trace(told) == [("made", 1), ("made", 2)]
    first.close()
    wait_counter(d, "conn", "released", 1)
    assert trace(told)[2:] == [("released", 1)]
    assert second.get("/conn")[2] == b"2\n"
    assert second.get("/conn/again")[2] == b"1\n"
    wait_counter(d, "conn", "released", 2)
    assert ("released", 2) in trace(told)
    second.close()
    wait_counter(d, "conn", "released", 3)
    assert counters(d, "conn")["made"] == 3


def test_connection_data_is_released_before_fini(daemon, tmp_path):
    told = tmp_path / "trace"
    d = daemon(plugins=[plugin("conn", config={"trace": told})])
    clients = [d.client() for _ in range(5)]
    for one in clients:
        assert one.get("/conn")[2] == b"1\n"
    restart = d.ctl("restart", "conn")
    assert not restart["zombie"]
    steps = trace(told)
    assert sorted(steps[5:10]) == [("released", number) for number in range(1, 6)]
    assert steps[10] == ("fini", 5) and len(steps) == 11
    # The connections live on, with data of the new instance.
    assert [one.get("/conn")[2] for one in clients] == [b"1\n"] * 5
    assert [one.connects for one in clients] == [1] * 5
