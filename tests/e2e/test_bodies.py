# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bodies in both directions: buffered and streamed, with and without a length, cut short by either side."""
import http.client
import json
import ssl

import pytest
from harness import wait_for
from plugin_view import counters, numbers, plugin, wait_counter, wait_inflight

KIB, MIB = 1 << 10, 1 << 20


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % (1 << 64)
    return f"{value:016x}"


def pattern(length, start=0):
    return bytes(97 + i % 23 for i in range(start, start + length))


def chunked(data, size):
    """An iterator makes http.client send chunks."""
    return (data[i:i + size] for i in range(0, len(data), size))


# --- up ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 16384, 100000, MIB])
def test_a_buffered_body_arrives_whole(daemon, length):
    d = daemon(plugins=[plugin("echo")], limits={"body_size": "1MiB"})
    data = pattern(length)
    client = d.client()
    assert client.post("/echo", data)[::2] == (200, data)
    assert client.request("POST", "/echo", body=chunked(data, 1000),
                          headers={"Transfer-Encoding": "chunked"})[::2] == (200, data)
    assert client.connects == 1


def test_a_body_past_the_limit_is_413(daemon):
    d = daemon(plugins=[plugin("echo"), plugin("narrow", "echo.so", body_size="1KiB")], limits={"body_size": "64KiB"})
    assert d.client().post("/echo", pattern(64 * KIB))[0] == 200
    assert d.client().post("/narrow", pattern(KIB))[0] == 200
    refused = 0
    for path, length in (("/echo", 64 * KIB + 1), ("/narrow", KIB + 1)):
        for body, headers in ((pattern(length), {}), (chunked(pattern(length), 100), {"Transfer-Encoding": "chunked"})):
            assert d.client().request("POST", path, body=body, headers=headers)[0] == 413
            refused += 1
    assert refused == 4
    # The plugin was never asked for what could not arrive.
    assert counters(d, "echo")["echoed_bytes"] == 64 * KIB and counters(d, "narrow")["echoed_bytes"] == KIB


def test_curl_waits_for_100_continue(daemon):
    d = daemon(plugins=[plugin("upload")], limits={"body_size": "4MiB"})
    data = pattern(2 * MIB)
    (d.folder / "data").write_bytes(data)
    done = d.curl("--verbose", "--http1.1", "--header", "Expect: 100-continue",
                  "--data-binary", f"@{d.folder}/data", "/upload")
    assert done.returncode == 0
    assert json.loads(done.stdout)["fnv"] == fnv(data)
    assert "HTTP/1.1 100 Continue" in done.stderr


@pytest.mark.parametrize("length", [0, 1, 1000, 70000, 300000])
def test_a_streamed_body_is_handed_over_piece_by_piece(daemon, length):
    d = daemon(plugins=[plugin("upload")])
    data, client = pattern(length), d.client()
    told = json.loads(client.post("/upload", data)[2])
    assert told["bytes"] == length and told["fnv"] == fnv(data) and told["announced"] == length
    assert told["pieces"] >= (length > 0) + (length > 100000)
    told = json.loads(client.request("POST", "/upload", body=chunked(data, 777),
                                     headers={"Transfer-Encoding": "chunked"})[2])
    assert told["bytes"] == length and told["fnv"] == fnv(data) and told["announced"] == -1
    assert client.connects == 1
    wait_counter(d, "upload", "done_sent", 2)
    wait_counter(d, "upload", "states_released", 2)


def test_a_get_without_body_ends_at_once_for_a_streaming_plugin(daemon):
    d = daemon(plugins=[plugin("upload")])
    assert json.loads(d.client().get("/upload")[2]) == {"bytes": 0, "fnv": fnv(b""), "pieces": 0, "announced": 0}


def test_a_streaming_plugin_may_answer_before_the_body_is_there(daemon):
    d = daemon(plugins=[plugin("upload")])
    for path, status in (("/upload/early", 403), ("/upload/half", 202)):
        sock = d.tls_socket()
        sock.send(b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\nfirst" % path.encode())
        got, head, _ = sock.receive_answer()
        # The rest of the body is not wanted: the connection cannot be used again.
        assert got == status and b"\r\nconnection: close" in head.lower()
        sock.close()
    wait_inflight(d, "upload", 0)
    wait_counter(d, "upload", "states_released", 1)
    assert json.loads(d.client().post("/upload", b"x")[2])["bytes"] == 1


def test_a_client_that_leaves_in_its_upload_leaves_nothing_behind(daemon):
    d = daemon(plugins=[plugin("upload")])
    for _ in range(10):
        sock = d.tls_socket()
        sock.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n" + pattern(5000))
        wait_inflight(d, "upload", 1)
        sock.close()
        wait_inflight(d, "upload", 0)
    wait_counter(d, "upload", "states_released", 10)
    assert counters(d, "upload")["done_aborted"] == 10
    assert numbers(d, "upload")["answers"]["none"] == 10


def test_a_streamed_body_may_end_deferred(daemon):
    d = daemon(plugins=[plugin("upload")])
    sock = d.tls_socket()
    sock.send(b"POST /upload/keep HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
    client = d.client()
    wait_for(lambda: client.get("/upload/let-go")[0] == 200, "the kept request to be there and be let go")
    status, _, body = sock.receive_answer()
    assert status == 200 and json.loads(body)["fnv"] == fnv(b"hello")


# --- down ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("pause", [0, 1])
@pytest.mark.parametrize("length", [0, 1, 1000, 50000])
def test_a_streamed_answer_arrives_whole(daemon, known, pause, length):
    d = daemon(plugins=[plugin("stream")])
    client = d.client()
    for _ in range(2):
        status, headers, body = client.get(f"/stream?bytes={length}&known={known}&pause={pause}")
        assert status == 200 and body == pattern(length)
        assert headers["Content-Length"] == (str(length) if known else None)
        assert headers["Transfer-Encoding"] == (None if known else "chunked")
    assert client.connects == 1
    wait_counter(d, "stream", "released", 2)
    wait_counter(d, "stream", "done_sent", 2)
    if pause and length:
        assert counters(d, "stream")["wakes"] >= 2 * (length // 1000)


def test_a_long_stream_under_company(daemon):
    d = daemon(plugins=[plugin("stream"), plugin("echo")])
    load = d.load("/stream?bytes=20000&pause=1", connections=8)
    status, _, body = d.client().get(f"/stream?bytes={4 * MIB}")
    assert status == 200 and body == pattern(4 * MIB)
    results = load.stop()
    assert results["failures"] == 0
    own = counters(d, "stream")
    wait_counter(d, "stream", "released", own["opened"])
    assert own["opened"] == results["requests"] + 1


@pytest.mark.parametrize("known", [0, 1])
def test_a_stream_that_breaks_is_cut_not_ended(daemon, known):
    d = daemon(plugins=[plugin("stream"), plugin("echo")])
    with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
        d.client().get(f"/stream?bytes=50000&break=30000&known={known}")
    wait_counter(d, "stream", "released", 1)
    wait_counter(d, "stream", "done_aborted", 1)
    assert d.client().get("/echo")[0] == 200


def test_a_client_that_leaves_in_a_stream_releases_it(daemon):
    d = daemon(plugins=[plugin("stream")])
    for pause in (0, 1):
        sock = d.tls_socket()
        sock.send(b"GET /stream?bytes=1000000000&pause=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % pause)
        assert sock.sock.recv(1000)
        sock.close()
    wait_counter(d, "stream", "released", 2)
    wait_counter(d, "stream", "done_aborted", 2)
    wait_inflight(d, "stream", 0)


def test_head_has_the_headers_and_no_body(daemon):
    d = daemon(plugins=[plugin("stream"), plugin("whoami")])
    client = d.client()
    status, headers, body = client.request("HEAD", "/stream?bytes=5000&known=1")
    assert status == 200 and body == b"" and headers["Content-Length"] == "5000"
    status, headers, body = client.request("HEAD", "/whoami")
    assert status == 200 and body == b"" and int(headers["Content-Length"]) > 0
    assert client.get("/whoami")[0] == 200
    wait_counter(d, "stream", "released", 1)
    assert client.connects == 1
