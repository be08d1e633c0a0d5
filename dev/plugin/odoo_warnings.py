"""A pytest plugin: a test during which Odoo logs a warning or an error fails.

A test that provokes one says so as Odoo's own tests do, with `assertLogs` or
`mute_logger`: both keep the record from the root logger, where this listens.
"""

import logging

import pytest


class Listener(logging.Handler):
    """Keeps the warnings that reach Odoo's root logger until they are taken."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        if record.name.partition(".")[0] in ("odoo", "werkzeug"):
            text = self.format(record)
            self.messages.append(f"{record.levelname} {record.name}: {text}")

    def take(self):
        messages, self.messages = self.messages, []
        return messages


listener = Listener()


def _listened(outcome):
    """Hand on a phase's outcome unless Odoo complained while it ran."""
    if messages := listener.take():
        pytest.fail("Odoo logged:\n" + "\n".join(messages), pytrace=False)
    return outcome


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart():
    logging.getLogger().addHandler(listener)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    return _listened((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    return _listened((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    return _listened((yield))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """What came after the last test, from the server's threads, counts too."""
    if listener.messages and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for message in listener.take():
        terminalreporter.write_line(f"Odoo logged after the tests: {message}", red=True)
