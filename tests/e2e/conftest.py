# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures: `pki`, one for the session; `daemon` and `module_daemon`, factories whose daemons are ended and judged
after the test or after the module's last one."""
import contextlib
import pathlib
import tempfile

import harness
import pki as pki_module
import pytest


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return pki_module.Pki(tmp_path_factory.mktemp("pki"))


@contextlib.contextmanager
def folder():
    """A short path: a Unix socket's is limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="mtlsd-") as path:
        # Open to other users, so that tests of permissions meet those of the files under test.
        pathlib.Path(path).chmod(0o755)
        yield pathlib.Path(path)


@contextlib.contextmanager
def daemons(pki, show_logs=lambda: False):
    """The factory, and the judgement of all it made."""
    with folder() as path:
        made = []

        def make(*, start=True, **arguments):
            one = harness.Daemon(pki, path / f"d{len(made) + 1}", **arguments)
            made.append(one)
            if start:
                one.start()
            return one

        yield make
        faults = []
        for one in made:
            try:
                one.finish()
            except AssertionError as error:
                faults.append(str(error))
        if faults or show_logs():
            for number, one in enumerate(made, 1):
                print(f"--- log of daemon {number}:\n{one.log_text()[-6000:]}")
        assert not faults, "\n".join(faults)


@pytest.fixture
def daemon(pki, request):
    def failed():
        report = getattr(request.node, "report_call", None)
        return report is not None and report.failed

    with daemons(pki, failed) as make:
        yield make


@pytest.fixture(scope="module")
def module_daemon(pki):
    with daemons(pki) as make:
        yield make


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
