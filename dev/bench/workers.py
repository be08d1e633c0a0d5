"""Processes of Odoo's own Python, each with a database, that do what they are asked."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import environments
import machine

import odoo

NAME = "odoo-bench"
HERE = Path(__file__).parent


class Worker:
    """A process that has loaded Odoo's models of a database; see ``inside``."""

    def __init__(self, database):
        self.database = database
        environment = odoo.environment()
        environment["PYTHONPATH"] += f"{os.pathsep}{_packages()}"
        log = machine.log_path(NAME)
        config = odoo.config(NAME, max_cron_threads=0, logfile=log, log_level="info")
        with log.with_suffix(".errors").open("a") as errors:
            self._process = subprocess.Popen(
                # -P: the folder this is called from holds another `odoo`.
                [environments.python("odoo"), "-P", "-m", "inside", database, config],
                env={**os.environ, **environment},
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @property
    def pid(self):
        """Return the number of the process."""
        return self._process.pid

    def begin(self, task, **arguments):
        """Have the worker do something; ``end`` returns the result."""
        self._process.stdin.write(json.dumps([task, arguments]) + "\n")
        self._process.stdin.flush()

    def end(self):
        """Wait for the result of what was begun, and return it.

        :raise machine.Trouble: if it has failed
        """
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "The worker has ended."}
        if "error" in answer:
            log = machine.log_path(NAME)
            raise machine.Trouble(f"{answer['error']}\nOdoo's log is {log}")
        return answer["result"]

    def ask(self, task, **arguments):
        """Have the worker do something; return the result."""
        self.begin(task, **arguments)
        return self.end()

    def stop(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _packages():
    """Return a folder with the packages that a worker imports, and no `odoo`."""
    folder = machine.folder("bench")
    for package in (HERE / "inside", HERE.parent / "chaos"):
        link = folder / package.name
        # Never without it: another worker may be importing it.
        if not link.is_symlink():
            link.symlink_to(package)
    return folder


@contextlib.contextmanager
def workers(database, count):
    """Start workers on a database; they end with the block."""
    started = []
    try:
        for _number in range(count):
            started.append(Worker(database))
        for each in started:
            each.ask("wait")
        yield started
    finally:
        for each in started:
            each.stop()


def ask_all(team, task, shares):
    """Have each worker do its share at the same time; return the results.

    :param shares: a dict of arguments for each worker
    """
    for worker, arguments in zip(team, shares, strict=True):
        worker.begin(task, **arguments)
    return [worker.end() for worker in team]
