"""A pytest plugin: how long each file of tests took.

Odoo's tests freeze the time. pytest's own clock goes on, or nobody could tell.
"""

from collections import Counter

import freezegun

SHOWN = 15

freezegun.configure(extend_ignore_list=["_pytest.timing"])
seconds = Counter()


def pytest_runtest_logreport(report):
    seconds[report.location[0].rpartition("/")[2]] += report.duration


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section(f"the slowest of {len(seconds)} files", sep="-")
    for name, took in seconds.most_common(SHOWN):
        terminalreporter.write_line(f"{took:7.1f} s  {name}")
