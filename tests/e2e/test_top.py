# SPDX-License-Identifier: LGPL-2.1-or-later
"""mtlsctl top: on a terminal, in scripts, and when daemon or terminal go away."""
import json
import os
import re
import signal
import subprocess
import termios

import harness
import pytest
from harness import wait_for
from terminal import ENTER, Terminal

FAST = ["--interval", "100ms"]


@pytest.fixture(scope="module")
def d(module_daemon):
    return module_daemon(plugins=[dict(name="echo", path="echo.so"), dict(name="leak", path="leak.so"),
                                  dict(name="cache", path="cache.so")])


@pytest.fixture
def top():
    """Starts mtlsctl top on a terminal of its own."""
    made = []

    def make(daemon, *arguments, **terminal):
        made.append(Terminal([str(harness.BUILD / "mtlsctl"), "--socket", daemon.socket, "top", *arguments],
                             **terminal))
        return made[-1]

    yield make
    for one in made:
        one.close()


def names(page):
    """The plugins from above."""
    rows = page.splitlines()
    head = next(i for i, row in enumerate(rows) if row.startswith("NAME"))
    return [row.split()[0] for row in rows[head + 1:] if row.strip()]


def says(page, words):
    """Wherever its lines end."""
    return words in " ".join(page.split())


def pressed(one, key, condition):
    """Presses a key and waits for a page drawn since."""
    before = one.pages()
    one.press(key)
    return one.wait_page(lambda page: one.pages() > before and condition(page), f"what {key!r} does")


# --- live --------------------------------------------------------------------------------------------------------


def test_it_shows_and_ends(d, top):
    one = top(d, *FAST)
    page = one.wait_page(lambda page: len(names(page)) == 3)
    assert page.startswith("mtlsd ") and "sorted by verdict" in page
    assert max(map(len, page.splitlines())) < 80
    one.press("q")
    assert one.wait_exit() == 0
    assert one.restored()


def test_rates_are_live(d, top):
    client = d.client()
    one = top(d, *FAST)

    def counted(page):
        assert client.get("/leak")[0] == 200
        row = next(row for row in page.splitlines() if row.startswith("leak")).split()
        return row[6] not in ("-", "0")

    one.wait_page(lambda page: "leak" in page and counted(page), "a rate of requests")


def test_keys_sort(d, top):
    one = top(d, *FAST)
    one.wait_page(lambda page: True)
    assert names(pressed(one, "n", lambda page: "sorted by name" in page)) == ["cache", "echo", "leak"]
    assert names(pressed(one, "r", lambda page: "reversed" in page)) == ["leak", "echo", "cache"]
    pressed(one, "r", lambda page: "reversed" not in page)
    pressed(one, "l", lambda page: "sorted by live" in page)
    pressed(one, "\x1b[C", lambda page: "sorted by foreign" in page)
    pressed(one, "\x1b[D", lambda page: "sorted by live" in page)
    # Keys that mean nothing do nothing.
    for key in ("z", "\x1b", "\x1b[15~", "\t"):
        pressed(one, key, lambda page: "sorted by live" in page)
    one.press("q")
    assert one.wait_exit() == 0


def test_sort_option(d, top):
    one = top(d, *FAST, "--sort", "name", "--reverse")
    assert names(one.wait_page(lambda page: True)) == ["leak", "echo", "cache"]


def test_it_scrolls_where_there_is_no_room(d, top):
    one = top(d, *FAST, "--sort", "name", lines=6)
    assert names(one.wait_page(lambda page: True)) == ["cache"]
    assert names(pressed(one, "\x1b[B", lambda page: "cache" not in page)) == ["echo"]
    assert names(pressed(one, "\x1b[6~", lambda page: "echo" not in page)) == ["leak"]
    pressed(one, "\x1b[6~", lambda page: "leak" in page)
    assert names(pressed(one, "\x1b[A", lambda page: "leak" not in page)) == ["echo"]


def test_a_new_size_is_taken_up(d, top):
    one = top(d, "--interval", "1h", columns=80)
    assert "ERR/S" in one.wait_page(lambda page: True)
    one.resize(40, 24)
    page = one.wait_page(lambda page: "ERR/S" not in page, "the narrow page")
    assert max(map(len, page.splitlines())) < 40
    one.resize(120, 24)
    one.wait_page(lambda page: "RSTRT" in page, "the wide page")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"])
def test_signals_give_the_terminal_back(d, top, name):
    one = top(d, *FAST)
    one.wait_page(lambda page: True)
    assert not one.restored()
    one.process.send_signal(getattr(signal, name))
    assert one.wait_exit() == -getattr(signal, name)
    assert one.restored()


def test_a_terminal_that_takes_no_output_does_not_keep_it(d, top):
    one = top(d, *FAST)
    one.wait_page(lambda page: True)
    termios.tcflow(one.slave, termios.TCOOFF)
    try:
        # It stands inside a page then; how far it came is not to be seen from outside.
        one.process.send_signal(signal.SIGTERM)
        assert one.wait_exit() == -signal.SIGTERM
    finally:
        termios.tcflow(one.slave, termios.TCOON)
    assert termios.tcgetattr(one.slave) == one.before


def test_the_terminals_own_interrupt_key(d, top):
    one = top(d, *FAST)
    one.wait_page(lambda page: True)
    one.press("\x03")
    assert one.wait_exit() == -signal.SIGINT
    assert one.restored()


def test_stopping_gives_the_terminal_to_the_shell(d, top):
    one = top(d, *FAST)
    one.wait_page(lambda page: True)
    one.process.send_signal(signal.SIGTSTP)
    wait_for(lambda: os.waitid(os.P_PID, one.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT), "it to stop")
    assert one.restored()
    one.process.send_signal(signal.SIGCONT)
    before = one.pages()
    one.wait_page(lambda page: one.pages() > before, "a page after the stop")
    assert not one.restored()
    one.press("q")
    assert one.wait_exit() == 0
    assert one.restored()


def test_count_ends_it(d, top):
    one = top(d, *FAST, "--count", "3")
    assert one.wait_exit() == 0
    assert one.pages() == 3 and one.restored()


def test_colours(d, top):
    one = top(d, "--once")
    assert one.wait_exit() == 0 and "\x1b" not in one.read(), "a picture for scripts is plain"
    one = top(d, *FAST, "--count", "1")
    assert one.wait_exit() == 0 and "\x1b[32mready" in one.read()
    one = top(d, *FAST, "--count", "1", env={"NO_COLOR": "1"})
    assert one.wait_exit() == 0 and "\x1b[32m" not in one.read() and ENTER in one.read()


def test_the_daemon_goes_and_comes_back(daemon, top):
    d = daemon()
    one = top(d, *FAST)
    one.wait_page(lambda page: "2 plugins" in page)
    d.stop()
    # The last picture stays, with the reason above it.
    page = one.wait_page(lambda page: says(page, "is not reachable: "), "word that the daemon is gone")
    assert names(page) == ["echo", "whoami"]
    d.start()
    one.wait_page(lambda page: page.startswith("mtlsd "), "the daemon's return")
    one.press("q")
    assert one.wait_exit() == 0
    assert one.restored()


def test_a_daemon_that_hangs_holds_no_key(daemon, top):
    d = daemon()
    one = top(d, *FAST)
    one.wait_page(lambda page: "2 plugins" in page)
    d.process.send_signal(signal.SIGSTOP)
    try:
        one.wait_page(lambda page: says(page, "it does not answer"), "word that the daemon hangs")
        assert names(pressed(one, "n", lambda page: "sorted by name" in page)) == ["echo", "whoami"]
    finally:
        d.process.send_signal(signal.SIGCONT)
    one.wait_page(lambda page: page.startswith("mtlsd "), "the daemon's answer")
    one.press("q")
    assert one.wait_exit() == 0 and one.restored()


def test_without_a_daemon_the_terminal_is_not_touched(d, top, tmp_path):
    class Nobody:
        socket = str(tmp_path / "nobody.sock")

    one = top(Nobody, *FAST)
    assert one.wait_exit() == 3
    assert Nobody.socket in one.read() and ENTER not in one.read()


# --- for scripts -------------------------------------------------------------------------------------------------


def test_once(d):
    rows = d.ctl_text("top", "--once", *FAST).splitlines()
    assert rows[0].startswith("mtlsd ") and re.match(r"NAME +STATE +VERDICT ", rows[3])
    assert {row.split()[0] for row in rows[4:]} == {"echo", "leak", "cache"}
    bare = d.ctl_text("--no-legend", "top", "--once", *FAST).splitlines()
    assert {row.split()[0] for row in bare} == {"echo", "leak", "cache"}


def test_batch(d):
    out = d.ctl_text("top", "--count", "3", *FAST)
    assert out.count("\nNAME") == 3 and "\x1b" not in out


def test_json(d):
    code, out, err = d.ctl_raw("--json", "top", "--count", "2", *FAST)
    assert code == 0, err
    pictures = [json.loads(line) for line in out.splitlines()]
    assert len(pictures) == 2
    for picture in pictures:
        assert picture["seconds"] > 0
        assert {plugin["name"] for plugin in picture["plugins"]} == {"echo", "leak", "cache"}
        assert all("requests_per_second" in plugin for plugin in picture["plugins"])


@pytest.mark.parametrize("arguments,word", [
    (["--sort", "weight"], "weight"), (["--interval", "1ms"], "interval"), (["--count", "0"], "count"),
    (["--interval", "soon"], "soon"), (["leak"], "leak"),
])
def test_wrong_usage(d, arguments, word):
    code, _, err = d.ctl_raw("top", *arguments)
    assert code == 2 and word in err, err


def test_help_needs_no_daemon(d, tmp_path):
    code, out, _ = d.ctl_raw("top", "--help", socket=str(tmp_path / "nobody"))
    assert code == 0 and "--sort" in out and "--once" in out


def test_a_script_learns_that_the_daemon_went(daemon):
    d = daemon()
    process = subprocess.Popen([str(harness.BUILD / "mtlsctl"), "--socket", d.socket, "top", "--batch", *FAST],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("mtlsd ")
        d.stop()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 3 and "not reachable" in err
