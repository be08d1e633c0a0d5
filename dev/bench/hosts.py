"""Cores of their own for Matomo, as if it were on a host of its own."""

import contextlib
import os

import machine

MATOMO = ("matomo-web", "matomo-mariadb")


@contextlib.contextmanager
def apart(team):
    """Give Matomo one half of the cores, and Odoo and PostgreSQL the other.

    What runs now is bound for the block, and what it starts.

    :param team: of ``workers``
    :return: how many cores either has; 0 if there is one for both
    """
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    postgres = machine.pid("postgres")
    ours = [os.getpid(), postgres, *(worker.pid for worker in team)]
    if half:
        _bind(map(machine.pid, MATOMO), cores[:half])
        _bind(ours, cores[half:])
    try:
        yield half
    finally:
        _bind([*map(machine.pid, MATOMO), *ours], cores)


def _bind(pids, cores):
    """Bind processes, with all that they have started and its threads, to cores."""
    children = _find_children()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, ())
        # A connection of PostgreSQL may end at this moment.
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), cores)


def _find_children():
    """Return ``{process id: [ids of the processes it has started]}``."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if facts := machine.facts(pid):
            children.setdefault(int(facts[1]), []).append(int(pid))
    return children
