# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a leak may grow with, as the daemon counts it: read from the record an operator can save."""
from harness import wait_for
from plugin_view import needs_layer, plugin

pytestmark = needs_layer
NAMES = ("requests", "errors", "handshakes", "connections", "clients")


def last(d, name, path):
    """The newest reading of a plugin's instance; None: there is none yet."""
    path.unlink(missing_ok=True)
    d.ctl_raw("explain", name, "--record", path)
    lines = path.read_text().splitlines() if path.exists() else []
    words = next((line.split() for line in lines if line.startswith("last ")), None)
    return words and dict(zip(NAMES, map(int, words[1:6])), inflight=int(words[-2]), open=int(words[-1]))


def test_exposures_are_those_of_the_plugin(daemon, tmp_path):
    d = daemon(plugins=[plugin("leak", config={"when": "never"}), plugin("echo")])
    expected = dict(requests=4, errors=1, handshakes=2, connections=3, clients=2, inflight=0, open=2)
    alice, bob, neighbour = d.client("alice"), d.client("bob"), d.client("carol")
    for _ in range(2):
        assert alice.get("/leak")[0] == 200
    session = alice.sock.session
    alice.close()
    alice.session = session
    assert alice.get("/leak")[0] == 200 and alice.sock.session_reused
    assert bob.get("/leak/error")[0] == 500
    for _ in range(5):
        assert neighbour.get("/echo")[0] == 200  # reaches another plugin only
    wait_for(lambda: last(d, "leak", tmp_path / "record") == expected, f"the reading {expected}")
    bob.close()
    wait_for(lambda: (last(d, "leak", tmp_path / "record") or expected)["open"] == 1, "the connection's end")
    # The next instance begins anew, and meets an old connection for the first time.
    assert d.ctl("restart", "leak")["zombie"] is False
    assert alice.get("/leak")[0] == 200
    expected = dict(requests=1, errors=0, handshakes=0, connections=1, clients=1, inflight=0, open=1)
    wait_for(lambda: last(d, "leak", tmp_path / "record") == expected, f"the reading {expected}")
