# SPDX-License-Identifier: LGPL-2.1-or-later
"""The walls around the process: what a plugin can still reach, what it may if its needs say so, and that a reload which
needs more is refused."""
import ctypes
import errno
import os

import pytest
from harness import wait_for

LANDLOCK_CREATE_RULESET = 444  # the same on every architecture


def landlock_abi():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))


needs_landlock = pytest.mark.skipif(landlock_abi() < 1, reason="this kernel has no Landlock")
needs_landlock_tcp = pytest.mark.skipif(landlock_abi() < 4, reason="this kernel's Landlock knows no TCP")


def start(daemon, needs=None, walls=None, **more):
    plugin = dict(name="reach", path="reach.so", imports_allowed=["fork", "_exit", "unshare"])
    if needs:
        plugin["needs"] = needs
    return daemon(plugins=[plugin, dict(name="echo", path="echo.so")],
                  settings=dict(walls=walls or {"files": True, "calls": True}, **more))


def reach(d, what):
    status, _, body = d.client().get(f"/reach?{what}")
    assert status == 200
    return int(body.split()[1])


@pytest.fixture
def outside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "file").write_text("x")
    return folder


@needs_landlock
def test_files_outside_the_configuration(daemon, outside):
    d = start(daemon)
    assert reach(d, f"read={outside}/file") == errno.EACCES
    assert reach(d, f"write={outside}/new") == errno.EACCES
    assert reach(d, "write=/etc/passwd") == errno.EACCES
    assert reach(d, "read=/etc/passwd") == 0  # as the C library does
    assert reach(d, f"read={d.pki.server[0]}") == 0
    assert d.ctl("status")["state"] == "running" and d.ctl("list") and d.ctl("dump", "reach")
    assert d.ctl("restart", "reach")["new_instance"]
    d.ctl("reload")
    assert reach(d, f"read={outside}/file") == errno.EACCES


@needs_landlock
def test_needs_open_the_way(daemon, outside):
    d = start(daemon, needs={"read": [str(outside)]})
    assert reach(d, f"read={outside}/file") == 0
    assert reach(d, f"write={outside}/file") == errno.EACCES
    d.finish()
    d = start(daemon, needs={"write": [str(outside)]})
    assert reach(d, f"write={outside}/new") == 0


@needs_landlock_tcp
def test_tcp(daemon):
    d = start(daemon)
    assert reach(d, f"connect={d.port()}") == errno.EACCES
    d.finish()
    d = start(daemon, needs={"network": True})
    assert reach(d, f"connect={d.port()}") == 0


def test_system_calls(daemon):
    d = start(daemon)
    assert [reach(d, what) for what in ("ptrace", "unshare", "exec")] == [errno.EPERM] * 3
    assert reach(d, "thread") == 0
    d.finish()
    d = start(daemon, needs={"exec": True})
    assert reach(d, "exec") == 0 and reach(d, "ptrace") == errno.EPERM


def test_without_walls(daemon, outside):
    d = start(daemon, walls={"files": False, "calls": False})
    assert [reach(d, what) for what in (f"read={outside}/file", f"write={outside}/new", f"connect={d.port()}", "exec",
                                        "unshare")] == [0] * 5


@needs_landlock
@pytest.mark.parametrize("change, word", [
    (lambda config, outside: config["plugins"][0].update(needs={"read": [str(outside)]}), "outside"),
    (lambda config, outside: config["plugins"][0].update(needs={"network": True}), "needs.network"),
    (lambda config, outside: config["plugins"][0].update(needs={"exec": True}), "needs.exec"),
    (lambda config, outside: config["daemon"]["walls"].update(files=False), "walls.files"),
    (lambda config, outside: config["daemon"]["walls"].update(calls=False), "walls.calls"),
    (lambda config, outside: config["daemon"].update(access_log={"to": "file", "path": f"{outside}/log"}), "outside"),
])
def test_a_reload_that_needs_more_is_refused(daemon, outside, change, word):
    d = start(daemon)
    change(d.config, outside)
    d.write()
    code, _, err = d.ctl_raw("reload")
    assert code == 1 and word in err and "needs a restart" in err, err
    assert d.client().get("/echo/x")[0] == 200


@needs_landlock
def test_certificates_may_be_replaced_by_renaming(daemon, pki):
    d = start(daemon)
    certificate = pki.server[0]
    fresh = certificate + ".new"
    with open(certificate, "rb") as old, open(fresh, "wb") as new:
        new.write(old.read())
    os.replace(fresh, certificate)
    d.ctl("reload")
    assert d.client().get("/echo/x")[0] == 200


@needs_landlock
def test_the_access_log_is_within_the_walls(daemon, tmp_path):
    log = tmp_path / "logs" / "access.log"
    log.parent.mkdir()
    d = start(daemon, access_log=dict(to="file", path=str(log)))
    d.client().get("/echo/x")
    wait_for(lambda: log.exists() and "/echo/x" in log.read_text())
    log.rename(log.with_suffix(".1"))
    d.ctl("reload")
    d.client().get("/echo/y")
    wait_for(lambda: log.exists() and "/echo/y" in log.read_text())
