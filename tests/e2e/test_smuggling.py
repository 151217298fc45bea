# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests whose framing could be read in two ways: each gets one 400 and a close, and nothing after it is executed.

Every vector is sent in one piece and byte by byte, each byte in a TLS record of its own; the gate's answer may not
depend on the split. Behind each stands a second, innocent request: it must never reach a plugin.
"""
import re

import pytest

SMUGGLED = b"GET /never/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def get(*lines, target=b"/never/x", version=b"HTTP/1.1", host=b"Host: localhost", method=b"GET"):
    head = [method + b" " + target + b" " + version] + ([host] if host is not None else []) + list(lines)
    return b"\r\n".join(head) + b"\r\n\r\n"


def post(*lines, body=b"", **kind):
    return get(*lines, method=b"POST", **kind) + body


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

#: name -> (bytes, statuses allowed). 400 but where RFC 9110 or 9112 has a better word.
BAD = {
    # RFC 9112, 6.3: more than one way to tell the body's length
    "cl-then-te": (post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"), {400}),
    "te-then-cl": (post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), {400}),
    "two-different-cl": (post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"), {400}),
    "two-equal-cl": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), {400}),
    "cl-list": (post(b"Content-Length: 5, 5", body=b"hello"), {400}),
    "cl-plus": (post(b"Content-Length: +5", body=b"hello"), {400}),
    "cl-minus": (post(b"Content-Length: -5", body=b"hello"), {400}),
    "cl-hex": (post(b"Content-Length: 0x5", body=b"hello"), {400}),
    "cl-empty": (post(b"Content-Length:", body=b"hello"), {400}),
    "cl-space-inside": (post(b"Content-Length: 1 0", body=b"hello"), {400}),
    "cl-words": (post(b"Content-Length: five", body=b"hello"), {400}),
    "cl-overflow": (post(b"Content-Length: 18446744073709551621", body=b"hello"), {400, 413}),
    "cl-huge": (post(b"Content-Length: " + b"9" * 60, body=b"hello"), {400, 413}),
    # RFC 9112, 6.1: Transfer-Encoding is exactly "chunked" or refused
    "te-identity": (post(b"Transfer-Encoding: identity", body=CHUNKS), {400}),
    "te-gzip-chunked": (post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS), {400}),
    "te-chunked-identity": (post(b"Transfer-Encoding: chunked, identity", body=CHUNKS), {400}),
    "te-xchunked": (post(b"Transfer-Encoding: xchunked", body=CHUNKS), {400}),
    "te-quoted": (post(b'Transfer-Encoding: "chunked"', body=CHUNKS), {400}),
    "te-vertical-tab": (post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS), {400}),
    "te-twice": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=CHUNKS), {400}),
    "te-twice-odd": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=CHUNKS), {400}),
    "te-space-before-colon": (post(b"Transfer-Encoding : chunked", body=CHUNKS), {400}),
    "te-in-1.0": (post(b"Transfer-Encoding: chunked", version=b"HTTP/1.0", body=CHUNKS), {400}),
    "te-empty": (post(b"Transfer-Encoding:", body=CHUNKS), {400}),
    # RFC 9112, 3.2: exactly one valid Host
    "host-twice": (get(b"Host: evil.example"), {400}),
    "host-twice-equal": (get(b"Host: localhost"), {400}),
    "host-missing": (get(host=None), {400}),
    "host-with-path": (get(host=b"Host: localhost/x"), {400}),
    "host-with-user": (get(host=b"Host: user@localhost"), {400}),
    "host-with-space": (get(host=b"Host: local host"), {400}),
    "host-two-in-one": (get(host=b"Host: localhost, evil.example"), {400}),
    "host-bad-port": (get(host=b"Host: localhost:99999x"), {400}),
    # RFC 9112, 2.2: lines end with CR LF
    "bare-lf-everywhere": (b"GET /never/x HTTP/1.1\nHost: localhost\n\n", {400}),
    "bare-lf-one-header": (b"GET /never/x HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", {400}),
    "bare-lf-request-line": (b"GET /never/x HTTP/1.1\nHost: localhost\r\n\r\n", {400}),
    "bare-lf-hides-header": (b"GET /never/x HTTP/1.1\r\nHost: localhost\r\nX: y\nContent-Length: 5\r\n\r\n", {400}),
    "bare-lf-ends-head": (b"GET /never/x HTTP/1.1\r\nHost: localhost\r\n\n", {400}),
    "bare-cr": (b"GET /never/x HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", {400}),
    "cr-cr-lf": (b"GET /never/x HTTP/1.1\r\nHost: localhost\r\nX: a\r\r\n\r\n", {400}),
    # RFC 9112, 5.2: line folding
    "obs-fold-space": (get(b"X: a", b" b"), {400}),
    "obs-fold-tab": (get(b"X: a", b"\tb"), {400}),
    "obs-fold-first": (b"GET /never/x HTTP/1.1\r\n X: a\r\nHost: localhost\r\n\r\n", {400}),
    "obs-fold-te": (post(b"Transfer-Encoding:", b" chunked", body=CHUNKS), {400}),
    # RFC 9110, 5.5: what a field may hold
    "nul-in-value": (get(b"X: a\0b"), {400}),
    "nul-in-name": (get(b"X\0: a"), {400}),
    "nul-in-target": (get(target=b"/never/\0x"), {400}),
    "control-in-value": (get(b"X: a\x01b"), {400}),
    "del-in-value": (get(b"X: a\x7fb"), {400}),
    "space-before-colon": (get(b"X : a"), {400}),
    "tab-before-colon": (get(b"X\t: a"), {400}),
    "empty-name": (get(b": a"), {400}),
    "no-colon": (get(b"Xa"), {400}),
    "name-with-space": (get(b"X Y: a"), {400}),
    "name-with-parenthesis": (get(b"X(Y): a"), {400}),
    # RFC 9112, 2.3 and 3: the request line
    "version-1.2": (get(version=b"HTTP/1.2"), {400}),
    "version-2.0": (get(version=b"HTTP/2.0"), {400}),
    "version-0.9": (get(version=b"HTTP/0.9"), {400}),
    "version-10.1": (get(version=b"HTTP/10.1"), {400}),
    "version-1.01": (get(version=b"HTTP/1.01"), {400}),
    "version-lower-case": (get(version=b"http/1.1"), {400}),
    "version-missing": (b"GET /never/x\r\nHost: localhost\r\n\r\n", {400}),
    "two-spaces": (b"GET  /never/x HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "two-spaces-before-version": (b"GET /never/x  HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "tab-in-request-line": (b"GET\t/never/x HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "leading-space": (b" GET /never/x HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "method-with-nul": (b"G\0T /never/x HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "method-with-brace": (b"G{T /never/x HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "method-empty": (b" /never/x HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "preface-http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "tls-inside-tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    # Targets: origin-form with one reading only
    "absolute-form": (get(target=b"http://localhost/never/x"), {400}),
    "authority-form": (get(target=b"localhost:443", method=b"CONNECT"), {400, 405, 501}),
    "asterisk-form": (get(target=b"*", method=b"OPTIONS"), {400}),
    "no-leading-slash": (get(target=b"never/x"), {400}),
    "percent-00": (get(target=b"/never/%00x"), {400}),
    "percent-2f": (get(target=b"/never%2fx"), {400}),
    "percent-2F": (get(target=b"/never%2Fx"), {400}),
    "percent-5c": (get(target=b"/never%5cx"), {400}),
    "percent-dots": (get(target=b"/a/%2e%2e/never/x"), {400}),
    "percent-one-dot": (get(target=b"/never/%2e/x"), {400}),
    "percent-mixed-dots": (get(target=b"/a/.%2E/never/x"), {400}),
    "percent-cut": (get(target=b"/never/%2"), {400}),
    "percent-not-hex": (get(target=b"/never/%zz"), {400}),
    "percent-control": (get(target=b"/never/%0d%0ax"), {400}),
    "dot-segments": (get(target=b"/a/../never/x"), {400}),
    "dot-segment": (get(target=b"/never/./x"), {400}),
    "dot-segment-last": (get(target=b"/never/.."), {400}),
    "double-slash": (get(target=b"/never//x"), {400}),
    "double-slash-first": (get(target=b"//never/x"), {400}),
    "backslash": (get(target=b"/never\\x"), {400}),
    "fragment": (get(target=b"/never/x#y"), {400}),
    "raw-non-ascii": (get(target=b"/never/\xc3\xa9"), {400}),
    # RFC 9110, 10.1.1 and 7.8: what is not offered
    "expect-other": (post(b"Expect: 200-ok", b"Content-Length: 5", body=b"hello"), {400, 417}),
    "upgrade": (get(b"Connection: Upgrade", b"Upgrade: h2c"), {400, 501}),
    "connect": (get(target=b"/never/x", method=b"CONNECT"), {400, 405, 501}),
    "trace": (get(target=b"/never/x", method=b"TRACE"), {400, 405, 501}),
    # Limits
    "header-too-long": (get(b"X: " + b"a" * 100000), {400, 431}),
    "too-many-headers": (get(*[b"X-%d: y" % i for i in range(400)]), {400, 431}),
    "target-too-long": (get(target=b"/never/" + b"a" * 100000), {400, 414, 431}),
}

#: Bodies: the head is in order, so the request may have begun; the second one must not be executed all the same.
BAD_BODIES = {
    "chunk-size-not-hex": post(b"Transfer-Encoding: chunked", body=b"zz\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-plus": post(b"Transfer-Encoding: chunked", body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-0x": post(b"Transfer-Encoding: chunked", body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-space-before": post(b"Transfer-Encoding: chunked", body=b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-overflow": post(b"Transfer-Encoding: chunked", body=b"fffffffffffffffff5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-empty": post(b"Transfer-Encoding: chunked", body=b"\r\nhello\r\n0\r\n\r\n"),
    "chunk-bare-lf": post(b"Transfer-Encoding: chunked", body=b"5\nhello\r\n0\r\n\r\n"),
    "chunk-data-bare-lf": post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\n0\r\n\r\n"),
    "chunk-data-too-long": post(b"Transfer-Encoding: chunked", body=b"5\r\nhellooo\r\n0\r\n\r\n"),
    "chunk-extension-nul": post(b"Transfer-Encoding: chunked", body=b"5;a\0b\r\nhello\r\n0\r\n\r\n"),
    "chunk-extension-long": post(b"Transfer-Encoding: chunked", body=b"5;" + b"a" * 70000 + b"\r\nhello\r\n0\r\n\r\n"),
    "last-chunk-bare-lf": post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\n\n"),
}

#: What an honest client may send: the gate must let it through, executed as often as said.
GOOD = {
    "plain": (get(), 1),
    "http-1.0": (get(version=b"HTTP/1.0", host=None), 1),
    "host-with-port": (get(host=b"Host: localhost:8443"), 1),
    "host-ipv6": (get(host=b"Host: [::1]:8443"), 1),
    "no-space-after-colon": (get(b"X:y"), 1),
    "empty-value": (get(b"X:"), 1),
    "tab-in-value": (get(b"X: a\tb"), 1),
    "utf8-in-value": (get(b"X: caf\xc3\xa9"), 1),
    "repeated-ordinary-header": (get(b"X: a", b"X: b"), 1),
    "percent-space": (get(target=b"/never/a%20b"), 1),
    "percent-utf8": (get(target=b"/never/caf%C3%A9"), 1),
    "query-with-anything": (get(target=b"/never/x?next=//a/../b%2f%5c&y=%00"), 1),
    "content-length-0": (post(b"Content-Length: 0"), 1),
    "content-length": (post(b"Content-Length: 5", body=b"hello"), 1),
    "chunked": (post(b"Transfer-Encoding: chunked", body=CHUNKS), 1),
    "chunked-upper-case": (post(b"Transfer-Encoding: Chunked", body=CHUNKS), 1),
    "chunked-several": (post(b"Transfer-Encoding: chunked", body=b"1\r\nh\r\nA\r\n0123456789\r\n0\r\n\r\n"), 1),
    "pipelined": (get() + post(b"Content-Length: 5", body=b"hello") + get(target=b"/never/y"), 3),
    "pipelined-chunked": (post(b"Transfer-Encoding: chunked", body=CHUNKS) + get(), 2),
}


def parse_answers(data):
    """[(status, headers, body)] of complete answers; fails on anything in between."""
    answers = []
    while data:
        match = re.match(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n", data)
        assert match, f"not an answer: {data[:200]!r}"
        head, separator, rest = data.partition(b"\r\n\r\n")
        assert separator, f"a cut answer: {data[:200]!r}"
        headers = {}
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        status = int(match.group(1))
        if status == 100:
            data = rest
            continue
        length = int(headers.get(b"content-length", b"0"))
        assert len(rest) >= length, f"a cut body: {rest!r}"
        answers.append((status, headers, rest[:length]))
        data = rest[length:]
    return answers


@pytest.fixture(scope="module")
def d(module_daemon):
    return module_daemon(plugins=[dict(name="never", path="never.so")],
                         routes=[dict(name="all", prefix="/", allow=[dict(any=True)], handler="never")])


def requests(d):
    return d.ctl("show", "never")["requests"]["total"]


def exchange(d, data, split):
    with d.tls_socket() as connection:
        if split == "whole":
            try:
                connection.send(data)
            except OSError:
                pass  # the daemon may hang up before it has read everything
        else:
            connection.send_bytewise(data)
        return parse_answers(connection.receive_all())


SPLITS = ("whole", "bytewise")


def splits(vectors):
    """Long vectors are sent in one piece only: a record a byte would say nothing new about 100 KB."""
    return [(name, split) for name in vectors for split in SPLITS
            if split == "whole" or not ("long" in name or "many" in name)]


@pytest.mark.parametrize("name,split", splits(BAD))
def test_bad_head_gets_one_400_and_a_close(d, name, split):
    data, allowed = BAD[name]
    before = requests(d)
    answers = exchange(d, data + SMUGGLED, split)
    assert [status for status, _, _ in answers] in [[status] for status in allowed]
    assert answers[0][1].get(b"connection", b"").lower() == b"close"
    assert requests(d) == before, "a plugin was called"


@pytest.mark.parametrize("name,split", splits(BAD_BODIES))
def test_bad_body_executes_nothing_behind_it(d, name, split):
    before = requests(d)
    answers = exchange(d, BAD_BODIES[name] + SMUGGLED, split)
    # One answer at most, and no success: the connection may also just end.
    assert [status for status, _, _ in answers] in ([400], [413], [431], [])
    assert requests(d) == before, "a plugin was called"


@pytest.mark.parametrize("name,split", splits(GOOD))
def test_good_requests_pass(d, name, split):
    data, expected = GOOD[name]
    before = requests(d)
    # The last one asks for the close, so that the exchange ends.
    last = get(b"Connection: close", target=b"/never/last")
    if b"HTTP/1.0" in data:
        last, expected = b"", expected - 1
    answers = exchange(d, data + last, split)
    assert [status for status, _, _ in answers] == [200] * (expected + 1)
    assert requests(d) == before + expected + 1


def test_bad_request_after_good_ones_on_one_connection(d):
    """Keep-alive does not loosen the gate: two answers, then one 400 and the close."""
    before = requests(d)
    bad, _ = BAD["cl-then-te"]
    answers = exchange(d, get() + get() + bad + SMUGGLED, "whole")
    assert [status for status, _, _ in answers] == [200, 200, 400]
    assert requests(d) == before + 2


def test_bad_requests_are_counted(d):
    def counted():
        return d.ctl("status")["bad_requests"]

    before = counted()
    exchange(d, BAD["host-twice"][0], "whole")
    assert counted() == before + 1
