# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual and completion say what the tables say; completion knows the plugins of the daemon that runs."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import harness
import pytest

BUILD = harness.BUILD


def program(*argv):
    return subprocess.run([str(BUILD / argv[0]), *argv[1:]], capture_output=True, text=True, check=True).stdout


def command_rows():
    return json.loads(program("mtlsd", "--print-commands")) + \
        json.loads(program("mtlsctl", "--print-commands"))["commands"]


def page(name):
    """The page as a reader sees it, in one line."""
    shown = subprocess.run(["man", "--warnings", "-E", "ascii", "-l", str(BUILD / "man" / name)], capture_output=True,
                           text=True, check=True, env={**os.environ, "MANWIDTH": "1000", "MAN_KEEP_FORMATTING": ""})
    assert shown.stderr == ""
    return re.sub(r"\s+", " ", re.sub(r".\x08", "", shown.stdout))


def test_what_is_printed_is_what_the_daemon_says(daemon):
    d = daemon()
    said = {row["name"]: row for row in d.varlink().call("io.mtlsd.Control.Commands")["commands"] if "name" in row}
    printed = {row["name"]: row for row in json.loads(program("mtlsd", "--print-commands"))}
    assert printed == said


def test_the_manual_has_every_command_and_option():
    text = page("mtlsctl.1")
    for row in command_rows():
        assert row["help"][1:] in text, row["name"]
        for argument in row["arguments"]:
            if not argument["positional"]:
                assert "--" + argument["name"].replace("_", "-") in text, (row["name"], argument["name"])


def test_the_manual_has_every_key_of_the_configuration():
    text = page("mtlsd.yaml.5")
    keys = re.findall(r"^([a-z_.\[\]]+)$", program("mtlsd", "--print-config-reference"), re.M)
    assert len(keys) > 50
    for key in keys:
        assert f" {key} " in text, key


def test_the_manual_has_every_service_for_plugins():
    text = page("mtlsd-plugin.3")
    header = (harness.ROOT / "plugins/include/mtlsd/plugin.h").read_text()
    host = header[header.index("typedef struct mtlsd_host {"):header.index("} mtlsd_host;")]
    services = re.findall(r"\(\*(\w+)\)", host)
    assert len(services) > 20
    for service in services:
        assert f"(*{service})" in text, service
    for section in ("THE STORY OF A REQUEST", "MEMORY", "THREADS", "ERRORS", "VERSIONS"):
        assert section in text


def test_the_manual_of_the_daemon_has_its_options():
    text = page("mtlsd.8")
    for option in re.findall(r"--[a-z-]+", program("mtlsd", "--help")):
        assert option in text, option


def test_the_manual_has_every_record_and_field_of_the_journal():
    text = page("mtlsd.8")
    catalog = program("mtlsd", "--print-catalog")
    assert catalog == (harness.ROOT / "etc/mtlsd.catalog").read_text(), "run: mtlsd --print-catalog >etc/mtlsd.catalog"
    kinds = re.findall(r"^# ([a-z-]+), (.*)\n-- ([0-9a-f]{32})\nSubject: (.*)\nDefined-By: mtlsd\n\n(.+)$", catalog,
                       re.M)
    assert len(kinds) == len(re.findall("^-- ", catalog, re.M)) > 40
    assert len({number for _, _, number, _, _ in kinds}) == len({word for word, *_ in kinds}) == len(kinds)
    for word, how, number, subject, _ in kinds:
        subject = re.sub(r"@MTLSD_([A-Z]+)@", r"\1", subject)
        assert f"{word} ({how}) {subject}. MESSAGE_ID={number}" in text, word
    named = set(re.findall(r"@(MTLSD_[A-Z]+)@", catalog))
    fields = {field for source in (harness.ROOT / "daemon").glob("*.c")
              for field in re.findall(r'\{"(MTLSD_[A-Z_]+)",', source.read_text())}
    assert len(fields) > 20 and named <= fields
    for field in fields:
        assert field in text, field


# --- completion ------------------------------------------------------------------------------------------------


def bash(d, *words):
    """What bash would offer for the last word."""
    script = f'''source {BUILD}/completion/mtlsctl
compopt() {{ :; }}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mtlsctl; printf '%s\\n' "${{COMPREPLY[@]}}"'''
    return shell(d, ["bash", "-c", script, "bash", "mtlsctl", *words])


def fish(d, *words):
    line = " ".join(("mtlsctl", *words))
    return [one.split("\t")[0] for one in
            shell(d, ["fish", "--no-config", "-c", f"source {BUILD}/completion/mtlsctl.fish; complete -C '{line}'"])]


def zsh(d, *words):
    """Types the line into a real zsh and presses Tab twice, as zsh completes nowhere else."""
    script = f'''zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=({BUILD}/completion \\$fpath); autoload -U compinit; compinit -u -D; stty columns 400"
zpty -w shell "zstyle ':completion:*' list-separator '<>'; zstyle ':completion:*' menu no; setopt auto_list list_packed"
zpty -w shell "LISTMAX=1000; echo ready-\\$((40 + 2))"
zpty -r shell text "*ready-42*"
zpty -n -w shell "mtlsctl {' '.join(words)}"$'\\t\\t'
zpty -n -w shell $'\\C-a\\C-kecho end-$((40 + 2))\\n'
zpty -r shell text "*end-42*"
print -r -- $text'''
    return re.findall(r"[\w.-]+", " ".join(shell(d, ["zsh", "-f", "-c", script])))


def shell(d, argv):
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    environment = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "MTLSCTL_SOCKET": d.socket, "TERM": "dumb",
                   "HOME": str(d.folder), "XDG_CONFIG_HOME": str(d.folder), "XDG_DATA_HOME": str(d.folder)}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment, timeout=60,
                          cwd=d.folder, stdin=subprocess.DEVNULL)
    return [line for line in done.stdout.splitlines() if line]


SHELLS = [bash, fish, zsh]


@pytest.fixture(scope="module")
def running(module_daemon):
    return module_daemon()


@pytest.mark.parametrize("complete", SHELLS)
def test_commands(running, complete):
    assert {row["name"] for row in command_rows()} <= set(complete(running, "''" if complete is fish else ""))


@pytest.mark.parametrize("complete", SHELLS)
def test_plugins_of_the_running_daemon(running, complete):
    for command in ("dump", "restart", "show"):
        found = complete(running, command, "" if complete is not fish else "''")
        assert {"echo", "whoami"} <= set(found), (command, found)


@pytest.mark.parametrize("complete", SHELLS)
def test_options_of_every_command(running, complete):
    for row in command_rows() if complete is not zsh else command_rows()[:6]:
        wanted = {"--" + a["name"].replace("_", "-") for a in row["arguments"] if not a["positional"]}
        found = set(complete(running, row["name"], "--"))
        assert wanted <= found, (row["name"], wanted - found)


@pytest.mark.parametrize("complete", [bash, fish])
def test_values(running, complete):
    (pathlib.Path(running.folder) / "some-file").write_text("")
    assert {"text", "json", "folded", "pprof"} <= set(complete(running, "dump", "echo", "--format", "''")
                                                     if complete is fish else
                                                     complete(running, "dump", "echo", "--format", ""))
    assert "some-file" in complete(running, "dump", "echo", "--output", "some")


def test_bash_knows_places(running):
    assert bash(running, "--json", "dump", "ec") == ["echo"]
    assert bash(running, "dump", "--top", "5", "wh") == ["whoami"]
    assert bash(running, "dump", "echo", "") == []
    assert bash(running, "--socket", running.socket, "show", "e") == ["echo"]
    assert bash(running, "--socket", "/nowhere", "show", "e") == []
