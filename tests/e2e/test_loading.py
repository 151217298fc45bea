# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loading: what is no plugin, or a wrong one, is refused with a sentence that says why, and the daemon serves on."""
import re

import pytest
from harness import CtlError, default_route
from plugin_view import Gate, plugin, serves


REFUSED = {
    "badabi.so": r"ABI 99\.0.*ABI|built for plugin ABI 99",
    "badminor.so": r"needs plugin ABI 1\.99.*upgrade",
    "badmagic.so": r"MTLSD_MAGIC",
    "badflags.so": r"flag 0x40000000",
    "badname.so": r"name is not",
    "badsize.so": r"16 bytes",
    "norequest.so": r"no request callback",
    "nosymbol.so": r"mtlsd_plugin_descriptor",
    "noinit.so": r"the tide table could not be read",
    "sick.so": r"the thermometer reads forty",
    "imports.so": r"(setenv|exit)",
    "unique.so": r"-fno-gnu-unique",
}


def test_bad_plugins_are_refused_with_a_sentence_and_the_daemon_serves_on(daemon):
    d = daemon(plugins=[plugin("echo")])
    client = d.client()
    for file, sentence in REFUSED.items():
        d.edit(plugins=[plugin("echo"), plugin("bad", file)], routes=[default_route("echo"), default_route("bad")])
        with pytest.raises(CtlError) as refusal:
            d.reload()
        assert refusal.value.code == 1, file
        assert re.search(sentence, refusal.value.message), f"{file}: {refusal.value.message}"
        assert client.get("/echo")[0] == 200
        assert client.get("/bad")[0] == 404
        assert [row["name"] for row in d.ctl("list")["plugins"]] == ["echo"]
    assert client.connects == 1


@pytest.mark.parametrize("file", ["badabi.so", "imports.so", "unique.so", "nosymbol.so"])
def test_the_daemon_does_not_start_with_a_plugin_that_is_built_wrong(daemon, file):
    d = daemon(plugins=[plugin("echo"), plugin("bad", file)], start=False)
    d.start(wait=False)
    code = d.expected_exit = d.wait_exit()
    assert code != 0 and d.notify.count("READY") == 0
    assert re.search(REFUSED[file], d.log_text()), d.log_text()


@pytest.mark.parametrize("name, option", [("noinit", "fail_when"), ("sick", "sick_when")])
def test_the_daemon_starts_without_a_plugin_that_will_not(daemon, tmp_path, name, option):
    gate = Gate(tmp_path / "gate")
    gate.open()
    d = daemon(plugins=[plugin("echo"), plugin(name, config={option: gate})])
    assert serves(d)
    status, headers, _ = d.client().get(f"/{name}")
    assert status == 503 and int(headers["Retry-After"]) >= 1
    shown = d.ctl("show", name)["plugin"]
    assert shown["state"] == "failed" and re.search(REFUSED[f"{name}.so"], shown["last_error"])
    gate.shut()
    d.ctl("restart", name)
    assert d.client().get(f"/{name}")[0] == 200
    assert d.ctl("show", name)["plugin"]["state"] == "ready"


@pytest.mark.parametrize("content, sentence", [
    (None, r"(?i)no such file"),
    (b"", r"0 bytes"),
    (b"#!/bin/sh\necho no\n", r"not an ELF file"),
    (b"\x7fELF" + b"\0" * 60, r"(?i)elf|shared object"),
])
def test_a_file_that_is_no_plugin_is_refused(daemon, tmp_path, content, sentence):
    path = tmp_path / "thing.so"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o644)
    d = daemon(plugins=[plugin("echo")])
    d.edit(plugins=[plugin("echo"), plugin("thing", str(path))])
    with pytest.raises(CtlError) as refusal:
        d.reload()
    assert re.search(sentence, refusal.value.message), refusal.value.message
    assert "thing.so" in refusal.value.message
    assert serves(d)


def test_a_plugin_others_may_write_is_refused(daemon, tmp_path):
    d = daemon(plugins=[plugin("echo")])
    path = tmp_path / "open.so"
    path.write_bytes(open(d.config["plugins"][0]["path"], "rb").read())
    path.chmod(0o666)
    d.edit(plugins=[plugin("echo"), plugin("open", str(path))])
    with pytest.raises(CtlError, match="writable by others"):
        d.reload()
    path.chmod(0o644)
    d.reload()
    assert serves(d)


def test_a_cut_plugin_is_refused(daemon, tmp_path):
    d = daemon(plugins=[plugin("echo")])
    whole = open(d.config["plugins"][0]["path"], "rb").read()
    for size in (1, 63, 64, 1000, len(whole) // 2, len(whole) - 2000):
        path = tmp_path / f"cut{size}.so"
        path.write_bytes(whole[:size])
        path.chmod(0o644)
        d.edit(plugins=[plugin("echo"), plugin("cut", str(path))])
        with pytest.raises(CtlError) as refusal:
            d.reload()
        assert f"cut{size}.so" in refusal.value.message
    assert serves(d)


def test_imports_can_be_allowed_by_name(daemon):
    d = daemon(plugins=[plugin("echo"), plugin("imports", imports_allowed=["setenv", "exit"])])
    assert d.client().get("/imports")[::2] == (200, b"imports\n")
    d.edit(plugins=[plugin("echo"), plugin("imports", imports_allowed=["setenv"])])
    with pytest.raises(CtlError, match="exit"):
        d.reload()


SETTINGS = [
    (plugin("leak", config={"byte": 16}), r':\d+:\d+: .*"?byte"?.*bytes'),
    (plugin("leak", config={"bytes": "many"}), r":\d+:\d+: .*bytes"),
    (plugin("leak", config={"bytes": 0}), r":\d+:\d+: .*bytes"),
    (plugin("leak", config={"when": "sometimes"}), r":\d+:\d+: .*always.*error.*never|:\d+:\d+: .*always|error\|never"),
    (plugin("whoami", config={"anything": 1}), r":\d+:\d+: .*anything"),
    (plugin("reconf"), r"greeting"),
    (plugin("reconf", config={"greeting": "forbidden word"}), r":\d+:\d+: .*forbidden; choose a friendlier one"),
]


@pytest.mark.parametrize("row, sentence", SETTINGS)
def test_a_plugins_own_settings_are_checked(daemon, row, sentence):
    d = daemon(plugins=[plugin("echo")])
    d.edit(plugins=[plugin("echo"), row])
    with pytest.raises(CtlError) as refusal:
        d.reload()
    assert re.search(sentence, refusal.value.message), refusal.value.message
    assert serves(d)


def test_check_config_looks_into_plugins(daemon):
    d = daemon(plugins=[plugin("reconf", config={"greeting": "forbidden word"}), plugin("badabi")], start=False)
    code, out, err = d.ctl_raw("check-config", str(d.config_path))
    assert code == 1
    assert "friendlier" in out + err and "ABI 99" in out + err
