# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packages: installed, upgraded, removed, purged."""
import re
import subprocess

from harness import wait_for
from service import CONFIG, UNIT, Storm, packages


#: Somebody's memory of what happened, not a part of the package.
MEMORIES = ("/var/lib/dpkg", "/var/lib/apt", "/var/log", "/var/cache", "/root", "/home", "/proc", "/sys")


def everything(machine):
    """All files of the machine but those."""
    pruned = " -o ".join(f"-path {path}" for path in MEMORIES)
    return set(machine.run("sh", "-c", f"find / -xdev \\( {pruned} \\) -prune -o -print").splitlines())


def test_from_nothing_to_nothing(bare):
    machine = bare.machine
    before = everything(machine)
    users = machine.run("getent", "passwd")
    groups = machine.run("getent", "group")
    bare.install("mtlsd", "mtlsctl", "mtlsd-dev")
    assert bare.show("ActiveState") == "inactive"
    assert bare.show("UnitFileState") == "disabled"
    assert machine.run("stat", "-c", "%U:%G %a", "/etc/mtlsd/tls").strip() == "root:mtlsd 750"
    bare.certificates()
    bare.configure()
    bare.systemctl("enable", "--now", UNIT)
    assert bare.get("/whoami")[0] == 200

    machine.run("dpkg", "--remove", "mtlsd", "mtlsctl", "mtlsd-dev")
    assert machine.try_run("pidof", "mtlsd")[0] != 0
    assert machine.try_run("test", "-e", CONFIG)[0] == 0
    assert machine.try_run("test", "-e", "/etc/mtlsd/tls/server.key")[0] == 0

    machine.run("dpkg", "--purge", "mtlsd", "mtlsctl", "mtlsd-dev")
    left = {path for path in everything(machine) - before if "mtlsd" in path or "mtlsctl" in path}
    assert left == set()
    assert machine.run("getent", "passwd") == users
    assert machine.run("getent", "group") == groups


def newer(path, folder):
    """The same package as a later version, whose sample configuration has changed."""
    tree = folder / path.stem
    subprocess.run(["dpkg-deb", "-R", str(path), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(^Version: \S+|mtlsctl \(= [^)]+)", r"\1+later", control.read_text(), flags=re.M))
    sample = tree / "etc/mtlsd/mtlsd.yaml"
    if sample.exists():
        sample.write_text(sample.read_text() + "# later\n")
    (tree / "DEBIAN/md5sums").unlink()
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), str(folder / path.name)], check=True,
                   stdout=subprocess.DEVNULL)
    return folder / path.name


def test_an_upgrade_keeps_configuration_state_and_clients(bare, tmp_path):
    bare.install()
    bare.certificates()
    bare.configure()
    bare.systemctl("start", UNIT)
    config = bare.machine.path(CONFIG).read_bytes()
    bare.machine.run("sh", "-c", "echo kept >/var/lib/mtlsd/file")
    process = bare.pid
    storm = Storm(bare, 4)
    try:
        wait_for(lambda: storm.served > 4, "clients to be served")
        bare.install(paths=[newer(path, tmp_path) for path in packages("mtlsd", "mtlsctl")])
        after = storm.served
        wait_for(lambda: storm.served > after + 4 or storm.failures, "clients to be served after the upgrade")
    finally:
        storm.stop()
    assert storm.failures == []
    assert bare.pid not in (0, process), "an upgrade restarts what runs"
    assert bare.machine.run("dpkg-query", "-W", "-f", "${Version}", "mtlsd").endswith("+later")
    assert bare.machine.path(CONFIG).read_bytes() == config
    assert bare.machine.path("/var/lib/mtlsd/file").read_text() == "kept\n"
