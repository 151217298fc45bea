# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon's whole life under valgrind's memcheck: no error, and nothing definitely lost at its end.

With the heap layer memcheck sees what the daemon and libraries allocate, and the layer's own code at work; in a build
without it, where plugins allocate from the C library, it sees their blocks too. `./dev valgrind` runs both.
"""
import shutil

import pytest
from harness import HEAP_LAYER, ROOT, CtlError, wait_for
from plugin_view import plugin, settled

pytestmark = [pytest.mark.long, pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")]

MEMCHECK = (str(ROOT / "tests/memcheck"),)


def test_a_whole_life_is_clean(daemon):
    d = daemon(plugins=[plugin(name) for name in ("echo", "whoami", "cache", "cxx", "stream", "upload", "slow", "conn",
                                                  "blocking")],
               wrapper=MEMCHECK, limits=dict(handshake_timeout="2min", header_timeout="2min"))
    client = d.client(timeout=120)
    for _ in range(3):
        for path in ("/echo", "/whoami", "/cache/a?b", "/cxx/keep?x", "/stream?bytes=50000&pause=1", "/slow", "/conn",
                     "/blocking/quick"):
            assert client.get(path)[0] == 200, path
        assert client.post("/upload", b"x" * 20000)[0] == 200
        assert client.post("/echo", b"x" * 5000)[2] == b"x" * 5000
        assert client.get("/nowhere")[0] == 404
        assert client.get("/cxx/throw")[0] == 500
    for certificate in (None, "revoked", "expired"):
        with pytest.raises(OSError):
            with d.client(cert=certificate, timeout=120) as refused:
                refused.get("/echo")
    for name in ("cache", "cxx", "slow", "conn"):
        assert d.ctl("restart", name)["zombie"] is False
        assert client.get(f"/{name}")[0] == 200
    d.ctl("evict", "cache")
    d.ctl("dump", "cache")
    for words in (("status",), ("list",), ("routes",), ("show", "cxx")):
        d.ctl(*words)
    with pytest.raises(CtlError):
        d.ctl("restart", "nobody")
    d.edit(plugins=[plugin("echo"), plugin("cxx", config={"bytes": 10})])
    d.edit(routes=[route for route in d.config["routes"] if route["name"] in ("echo", "cxx")])
    d.reload()
    assert client.get("/cxx/keep?y")[0] == 200
    settled(d, "cxx")
    client.close()
    d.stop(timeout=300)  # asserts exit code 0; an error or a leak would make it 99


@pytest.mark.skipif(not HEAP_LAYER, reason="limits are of supervised heaps")
def test_what_is_done_by_itself_is_clean(daemon, tmp_path):
    fever = tmp_path / "fever"
    fever.touch()
    eager = dict(warm_up="0s", warm_up_requests=0, on_suspect=["log", "dump", "evict"])
    d = daemon(plugins=[plugin("hoard", config=dict(leak="20KiB", cache=1000), memory=dict(hard="4MiB", leak=eager)),
                        plugin("sick", config=dict(sick_when=str(fever)))],
               settings=dict(dump_directory=str(tmp_path / "dumps")),
               wrapper=MEMCHECK, limits=dict(handshake_timeout="2min", header_timeout="2min"))
    client = d.client(timeout=120)

    def text():
        client.get("/hoard")
        return d.log_text()
    wait_for(lambda: "instance 1 replaced by" in text(), "the restart near the limit", timeout=300)
    wait_for(lambda: "the next try comes in" in text(), "the backoff")
    fever.unlink()
    wait_for(lambda: "serves after" in text(), "the start", timeout=300)
    d.ctl("explain", "hoard")
    client.close()
    d.stop(timeout=300)
