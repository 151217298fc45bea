# SPDX-License-Identifier: LGPL-2.1-or-later
"""The access log: what a request leaves in it, how it is rotated, and that no request ever waits for it."""
import json
import os
import re

import pytest
from harness import wait_for


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def log(tmp_path):
    return tmp_path / "access.log"


def start(daemon, log, **settings):
    return daemon(plugins=[dict(name="echo", path="echo.so"), dict(name="stream", path="stream.so")],
                  settings=dict(access_log=dict(to="file", path=str(log), **settings)))


def test_combined(daemon, log):
    d = start(daemon, log)
    client = d.client()
    client.get("/echo/a%20b?token=secret", headers={"Referer": "https://a/\"b", "User-Agent": "test"})
    client.get("/nowhere")
    wait_for(lambda: len(lines(log)) == 2)
    first, second = lines(log)
    assert re.fullmatch(r'127\.0\.0\.1 - "?[^"]*CN=client[^"]*"? \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                        r'"GET /echo/a%20b HTTP/1\.1" 200 \d+ "https://a/\\x22b" "test"', first), first
    assert '"GET /nowhere HTTP/1.1" 404 ' in second
    assert "secret" not in log.read_text()


def test_json(daemon, log):
    d = start(daemon, log, format="json", query=True)
    client = d.client()
    client.get("/echo/x?q=1")
    _, _, body = client.get("/stream?bytes=70000")
    wait_for(lambda: len(lines(log)) == 2)
    first, second = map(json.loads, lines(log))
    assert (first["method"], first["target"], first["status"]) == ("GET", "/echo/x?q=1", 200)
    assert (first["route"], first["plugin"], first["peer"], first["host"]) == ("echo", "echo", "127.0.0.1", "127.0.0.1")
    assert "CN=client" in first["subject"] and first["tls"].startswith("TLS1.") and first["instance"] >= 1
    assert first["duration_us"] >= 0 and "aborted" not in first
    assert second["bytes"] == len(body) == 70000


def test_rotation(daemon, log):
    d = start(daemon, log)
    client = d.client()
    client.get("/echo/1")
    wait_for(lambda: len(lines(log)) == 1)
    old = log.with_suffix(".1")
    log.rename(old)
    d.ctl("reload")
    client.get("/echo/2")
    wait_for(lambda: len(lines(log)) == 1)
    assert "/echo/1" in old.read_text() and "/echo/2" in log.read_text()
    assert d.ctl("status")["access_log"] == {"written": 2, "dropped": 0}


def test_off_and_on_by_reload(daemon, log):
    d = start(daemon, log)
    d.client().get("/echo/1")
    wait_for(lambda: len(lines(log)) == 1)
    d.config["daemon"]["access_log"] = {"to": "off"}
    d.write()
    d.ctl("reload")
    d.client().get("/echo/2")
    d.config["daemon"]["access_log"] = {"to": "file", "path": str(log)}
    d.write()
    d.ctl("reload")
    d.client().get("/echo/3")
    wait_for(lambda: len(lines(log)) == 2)
    assert ["/echo/1" in line or "/echo/3" in line for line in lines(log)] == [True, True]


def test_a_reader_that_stands_still_delays_nobody(daemon, log):
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        d = start(daemon, log)
        client = d.client()
        for i in range(1500):  # a pipe holds 64 KiB
            assert client.get(f"/echo/{i}")[0] == 200
        wait_for(lambda: sum(d.ctl("status")["access_log"].values()) == 1500)
        assert d.ctl("status")["access_log"]["dropped"] > 0
        wait_for(lambda: "access log:" in d.log_text() and "were not written" in d.log_text())
    finally:
        os.close(reader)


def test_a_file_that_cannot_be_opened_is_refused(daemon, log, tmp_path):
    d = start(daemon, log)
    d.config["daemon"]["access_log"] = {"to": "file", "path": str(tmp_path)}
    d.write()
    code, _, err = d.ctl_raw("reload")
    assert code == 1 and str(tmp_path) in err and "the old configuration stays" in err
    d.client().get("/echo/still")
    wait_for(lambda: any("/echo/still" in line for line in lines(log)))


def test_journal_form(daemon):
    d = daemon(settings=dict(access_log=dict(to="journal"), log_level="error"))
    d.client().get("/echo/x?q")
    wait_for(lambda: "MTLSD_ROUTE=echo" in d.log_text())
    line = next(line for line in d.log_text().splitlines() if "MTLSD_ROUTE=echo" in line)
    for field in ("GET /echo/x 200", "MTLSD_PEER=127.0.0.1", "MTLSD_PLUGIN=echo", "MTLSD_STATUS=200", "CN=client"):
        assert field in line, line
