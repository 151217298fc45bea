# SPDX-License-Identifier: LGPL-2.1-or-later
"""A signed message is taken once, whatever becomes of the plugin, the configuration and the daemon."""
import signal
import threading
import time

import pytest
from harness import CtlError, wait_for
from plugin_view import plugin

WINDOW = 3600


def once(nonces=None, **more):
    return plugin("once", nonces=dict(window=f"{WINDOW}s", capacity=1000) | (nonces or {}), **more)


@pytest.fixture
def d(daemon, tmp_path):
    return daemon(plugins=[once()], settings=dict(nonce_directory=str(tmp_path / "nonces")))


def send(d, nonce, ago=0):
    """The status of a message signed so many seconds ago."""
    return d.client().get("/once", headers={"Nonce": nonce, "Signed-At": str(int(time.time()) - ago)})[0]


def nonces(d):
    return d.ctl("show", "once")["nonces"]


def test_each_message_once(d):
    assert send(d, "a") == 200
    assert send(d, "a") == 409
    assert send(d, "b", ago=WINDOW + 60) == 401
    assert send(d, "b", ago=-120) == 401
    assert send(d, "b", ago=WINDOW - 600) == 200
    assert send(d, "x" * 257) == 400
    seen = nonces(d)
    assert (seen["accepted"], seen["repeated"], seen["untimely"]) == (2, 1, 2)
    assert (seen["remembered"], seen["capacity"], seen["window"], seen["skew"]) == (2, 1000, WINDOW, 30)
    assert "seen before" in d.ctl_text("show", "once")


def test_a_restarted_plugin_forgets_nothing(d):
    assert send(d, "a") == 200
    d.ctl("restart", "once")
    assert send(d, "a") == 409
    d.ctl("disable", "once")
    d.ctl("enable", "once")
    assert send(d, "a") == 409


def test_a_restarted_daemon_forgets_nothing(d, tmp_path):
    kept = tmp_path / "nonces" / "once"
    assert send(d, "a") == 200
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700
    d.stop()
    d.start()
    assert send(d, "a") == 409
    assert send(d, "b") == 200
    d.expected_exit = -signal.SIGKILL
    d.process.kill()
    d.wait_exit()
    d.expected_exit = 0
    d.start()
    assert [send(d, nonce) for nonce in "abc"] == [409, 409, 200]


def test_reloads(d, tmp_path):
    assert send(d, "a") == 200
    # More room, at once.
    d.edit(plugins=[once(dict(capacity=20000))])
    d.reload()
    assert nonces(d)["room"] == 65536 and send(d, "a") == 409
    # A longer window lets in nothing of what may be forgotten.
    d.edit(plugins=[once(dict(window="24h"))])
    d.reload()
    assert nonces(d)["window"] == 86400
    assert send(d, "a") == 409 and send(d, "b", ago=WINDOW + 600) == 401
    # A plugin that was away for a while.
    d.edit(plugins=[plugin("echo")], routes=[])
    d.reload()
    d.edit(plugins=[once()], routes=[dict(name="once", prefix="/once", allow=[dict(any=True)], handler="once")])
    d.reload()
    assert send(d, "a") == 409
    # Files do not move by themselves.
    d.edit(daemon=dict(nonce_directory=str(tmp_path)))
    with pytest.raises(CtlError, match="move the file"):
        d.reload()
    assert send(d, "a") == 409 and send(d, "c") == 200


def test_a_refused_reload_changes_nothing(d):
    d.edit(plugins=[once(dict(window="60s")), plugin("noinit")])
    with pytest.raises(CtlError):
        d.reload()
    assert nonces(d)["window"] == WINDOW
    assert send(d, "a", ago=1800) == 200


def test_a_full_store_refuses(daemon, tmp_path):
    d = daemon(plugins=[once(dict(capacity=64))], settings=dict(nonce_directory=str(tmp_path / "nonces")))
    answers = [send(d, f"n{i}") for i in range(200)]
    assert set(answers) == {200, 503} and answers[:64] == [200] * 64
    wait_for(lambda: any("is full" in record and record.fields.get("MTLSD_PLUGIN") == "once" for record in d.log()),
             "a record of the full store")
    assert send(d, "n0") == 409
    told, = (finding for finding in d.ctl("doctor")["findings"] if finding["check"] == "nonces")
    assert told["plugin"] == "once" and "raise nonces.capacity, which is 64" in told["sentence"]
    d.edit(plugins=[once(dict(capacity=1000))])
    d.reload()
    assert send(d, "n199") == 200 and send(d, "n0") == 409


def test_only_the_operators_word_drops_them(d):
    assert send(d, "a") == 200
    d.ctl("evict", "once", "--level", "state")
    assert send(d, "a") == 409
    with pytest.raises(CtlError, match="drop-replay-state"):
        d.ctl("evict", "once", "--level", "replay")
    d.ctl("evict", "once", "--level", "replay", "--drop-replay-state")
    assert nonces(d)["remembered"] == 0
    # There is room again, and what was signed before passes all the less.
    assert send(d, "a") == 401 and send(d, "b", ago=-29) in (200, 401)


def test_a_configuration_without_a_folder(daemon, tmp_path):
    d = daemon(plugins=[plugin("echo")], settings=dict(nonce_directory=str(tmp_path / "nonces")))
    del d.config["daemon"]["nonce_directory"]
    d.edit(plugins=[once()], routes=[])
    with pytest.raises(CtlError, match="add daemon.nonce_directory"):
        d.reload()
    d.edit(plugins=[plugin("once")])
    with pytest.raises(CtlError, match="set nonces.window"):
        d.reload()


def test_many_clients_one_winner(d):
    statuses, lock = [], threading.Lock()

    def run():
        client = d.client()
        for i in range(100):
            status = client.get("/once", headers={"Nonce": f"n{i}", "Signed-At": "now"})[0]
            with lock:
                statuses.append(status)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 100 + [409] * 300
