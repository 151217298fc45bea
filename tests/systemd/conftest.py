# SPDX-License-Identifier: LGPL-2.1-or-later
"""One machine with the packages installed, shared by the tests of a run; `machine_factory` boots others."""

import machine as machine_module
import pytest
import service as service_module

import pki as pki_module # from tests/e2e, which service.py found

_refusals = []


def boot():
    try:
        return machine_module.Machine()
    except machine_module.NoMachine as error:
        _refusals.append(str(error))
        pytest.skip(f"no machine with a real systemd can be made here: {error}")


def pytest_terminal_summary(terminalreporter):
    if _refusals:
        terminalreporter.section("NOT TESTED UNDER A REAL SYSTEMD", sep="!", red=True)
        terminalreporter.line(f"This host lets no machine with its own systemd be made: {_refusals[0]}")
        terminalreporter.line("Nothing here says that units, sockets, restarts and packages work.")


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return pki_module.Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def bare(pki):
    """The service on a machine of its own, on which nothing is installed yet."""
    machine = boot()
    yield service_module.Service(machine, pki)
    machine.close()


@pytest.fixture(scope="session")
def installed(pki):
    machine = boot()
    one = service_module.Service(machine, pki)
    try:
        one.install()
        one.certificates()
        yield one
    finally:
        machine.close()


@pytest.fixture
def service(installed, request):
    """The installed service, stopped and as it was packaged, with a configuration for tests."""
    installed.reset()
    installed.certificates()
    installed.configure()
    yield installed
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        print(installed.journal()[-8000:])


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
