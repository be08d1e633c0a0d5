"""A pytest plugin: what a test prints is for people to read, so it is shown.

pytest itself keeps what passing tests print to itself.
"""

# Of a test with subtests, pytest captures its own progress.
PROGRESS = set("u,. [%]0123456789\n")


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("passed", []):
        if report.when == "call" and not set(report.capstdout) <= PROGRESS:
            terminalreporter.section(report.nodeid.rpartition("/")[2], sep="-")
            terminalreporter.write(report.capstdout)
