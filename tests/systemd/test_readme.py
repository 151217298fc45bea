# SPDX-License-Identifier: LGPL-2.1-or-later
"""What README promises to who installs the packages, tried exactly so."""
import re

from service import ROOT, UNIT, packages


def transcript():
    """(command, what README shows below it) of the section on installing."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Installing"):text.index("## More")]
    found = re.findall(r"^    # (.*)\n((?:    (?!# ).*\n)*)", section, re.M)
    return [(command, [line[4:] for line in shown.splitlines()]) for command, shown in found]


def test_the_transcript(bare):
    steps = transcript()
    assert 5 < len(steps) < 10
    folder = "/root/packages"
    bare.machine.run("mkdir", folder)
    for path in packages("mtlsd", "mtlsctl"):
        bare.machine.path(f"{folder}/{path.name}").write_bytes(path.read_bytes())
    for command, shown in steps:
        if command.startswith("apt install "):
            command = command.replace("apt install", "apt-get -qq install -y")
        if command.startswith("cd "):
            folder = command[3:]
            continue
        output = bare.machine.run("sh", "-c", f"cd {folder}; {command}").splitlines()
        compare(command, shown, output)
    assert bare.show("ActiveState") == "active"
    assert bare.show("UnitFileState") == "enabled"
    assert "MTLSD" not in bare.machine.run("systemctl", "--failed", "--no-legend")
    assert bare.machine.run("journalctl", "-u", UNIT, "-p", "warning", "--no-pager", "-q") == ""


def words(line):
    """What is the same on every machine: sizes and random numbers are not."""
    return re.sub(r"\b[0-9a-f]{16,}\b|\b[\d.]+([KM]i)?B\b", "#", " ".join(line.split()))


def compare(command, shown, output):
    for number, line in enumerate(shown):
        if line == "...":
            break
        got = output[number]
        if line.endswith("..."):
            line = re.sub(r"[0-9a-f]{16,}\.\.\.$|\.\.\.$", "", line)
            assert got.startswith(line[:60]), (command, line, got)
        else:
            assert words(got) == words(line), (command, line, got)
    else:
        assert len(shown) == len(output) or not shown, (command, output)
