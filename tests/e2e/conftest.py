# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures: `pki`, one for the session; `daemon`, a factory whose daemons are ended and judged after the test."""
import pathlib
import tempfile

import harness
import pki as pki_module
import pytest


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return pki_module.Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def folder():
    """A short path: a Unix socket's is limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="mtlsd-") as path:
        yield pathlib.Path(path)


@pytest.fixture
def daemon(pki, folder, request):
    started = []

    def make(*, start=True, **arguments):
        made = harness.Daemon(pki, folder / f"d{len(started) + 1}", **arguments)
        started.append(made)
        if start:
            made.start()
        return made

    yield make
    failures = []
    for made in started:
        try:
            made.finish()
        except AssertionError as error:
            failures.append(str(error))
    report = getattr(request.node, "report_call", None)
    if failures or (report is not None and report.failed):
        for number, made in enumerate(started, 1):
            print(f"--- log of daemon {number}:\n{made.log_text()[-6000:]}")
    assert not failures, "\n".join(failures)


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
