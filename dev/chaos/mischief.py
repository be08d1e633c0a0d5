"""Two threads beside the sales: one breaks things, one is the clock."""

import random
import threading
import time
from collections import Counter

import machine
import matomo

from . import server

# Seconds between two events of a kind, in random places of these ranges.
KILLS = (2.0, 6.0)
CUTS = (3.0, 9.0)
# Odoo wakes its cron workers once a minute, and the verifier is due every fifth.
MINUTE = 60 * server.TIME_FACTOR
# How long Matomo is without its database (seconds).
OUTAGE = 3
VERIFIER_MINUTES = 5


class Thread(threading.Thread):
    """A thread that can be stopped and that hands on the error that ended it."""

    def __init__(self):
        super().__init__(daemon=True)
        self._stop_event = threading.Event()
        self.trouble = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001
            self.trouble = error

    def work(self):
        raise NotImplementedError

    def sleep(self, seconds):
        """Wait; return whether the thread shall go on."""
        return not self._stop_event.wait(max(seconds, 0))

    def stop(self):
        """End the thread and raise the error that ended it, if one did."""
        self._stop_event.set()
        if self.is_alive():
            self.join(60)
        if self.trouble:
            raise self.trouble


class Clock(Thread):
    """Odoo's clock of scheduled actions, faster by the same factor as the waits."""

    def work(self):
        minute = 0
        while self.sleep(MINUTE):
            minute += 1
            server.wake("_cron_send")
            if minute % VERIFIER_MINUTES == 0:
                server.wake("_cron_verify")
            server.ring()


class Mischief(Thread):
    """Kills cron workers, cuts PostgreSQL's connections, restarts MariaDB once."""

    def __init__(self, seed):
        super().__init__()
        self.chance = random.Random(f"{seed} mischief")
        self.counts = Counter()
        self._restart = threading.Event()

    def restart_mariadb(self):
        """Let Matomo lose its database for a moment, soon."""
        self._restart.set()

    def work(self):
        kill = self._soon(KILLS)
        cut = self._soon(CUTS)
        while self.sleep(min(kill, cut, time.monotonic() + 0.2) - time.monotonic()):
            if self._restart.is_set() and not self.counts["MariaDB restarts"]:
                self.counts["MariaDB restarts"] += 1
                matomo.stop_mariadb()
                time.sleep(OUTAGE)
                matomo.restart_mariadb()
            if time.monotonic() >= kill:
                self.counts["kills"] += server.kill_cron_worker(self.chance)
                kill = self._soon(KILLS)
            if time.monotonic() >= cut:
                self.counts["connections cut"] += self._cut()
                cut = self._soon(CUTS)

    def _soon(self, span):
        return time.monotonic() + self.chance.uniform(*span)

    def _cut(self):
        try:
            return server.cut_connections(self.chance)
        except machine.Trouble:
            # The connection was gone before it could be cut.
            return 0
