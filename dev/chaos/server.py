"""Odoo as in production: a prefork server with HTTP workers and two cron workers."""

import os
import re
import signal
import threading
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import machine
import postgres

import odoo

NAME = "odoo-chaos"
DATABASE = "mot_chaos"
# The addon that lets the delivery wait less, and by which factor.
HURRY = "matomo_hurry"
ADDONS = Path(__file__).with_name("addons")
TIME_FACTOR = 1 / 120
# A prefork server starts its own program anew for the web sockets, which `python -m` is
# not fit for. Nobody has one open here.
LAUNCHER = """\
import signal
import sys

if sys.argv[1] == "gevent":
    signal.pause()
from odoo.cli.command import main

main()
"""
SWITCHED_ON = "'ir_cron_send', 'ir_cron_verify', 'ir_cron_sweep'"
# The scheduled actions of the addon.
OURS = "code LIKE 'model.\\_cron\\_%' AND m.model = 'matomo.request'"
ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (\d+) ([A-Z]+) \S+ (\S+): (.*)")
BORN = re.compile(r"Worker Worker(\w+) \((\d+)\) alive")
REPLAY = re.compile(r"could not serialize|tries left|deadlock detected|number of tries")


# What a killed worker or a cut connection leaves in the log.
EXPLAINED = re.compile(
    r"psycopg2\.(Operational|Interface)Error|AdminShutdown|timed out"
    r"|(server closed the|terminating) connection|(connection|cursor) already closed"
)

# postgres.query() is for one at a time.
_asking = threading.Lock()


def query(statement, database=DATABASE):
    """Return the rows of a statement, for any thread."""
    with _asking:
        return postgres.query(statement, database)


class Entry(NamedTuple):
    """An entry of Odoo's log; a traceback belongs to the line before it."""

    pid: int
    level: str
    logger: str
    text: str


def start():
    """Start a server on a fresh database; return its address."""
    machine.stop(NAME)
    odoo.fresh_database(DATABASE)
    # fmt: off
    odoo.run(
        "server", "-d", DATABASE, "-i", HURRY,
        "--stop-after-init", "--no-http", "--max-cron-threads=0",
        log=HURRY, name=NAME, addons_path=_addons_path(),
    )
    # fmt: on
    _only_our_actions()
    address = f"http://127.0.0.1:{machine.free_port(NAME)}"
    limits = dict.fromkeys(("limit_time_cpu", "limit_time_real"), 1800)
    with machine.step("Start Odoo with two cron workers"):
        machine.start(
            NAME,
            _command(log_level="info", **limits),
            env=odoo.environment(),
            ready=lambda: _serves(address),
            timeout=180,
        )
    return address


def _command(**options):
    """The argv of the prefork server."""
    launcher = machine.folder("chaos") / "odoo-bin"
    launcher.write_text(LAUNCHER)
    arguments = ["server", "-d", DATABASE, "--workers=2", "--max-cron-threads=2"]
    options["addons_path"] = _addons_path()
    command = odoo.command(*arguments, name=NAME, **options)
    module = command.index("-m")
    return [*command[:module], launcher, *command[module + 2 :]]


def _addons_path():
    return f"{odoo.addons_dir()},{ADDONS}"


def stop():
    machine.stop(NAME)


def _serves(address):
    try:
        with urllib.request.urlopen(f"{address}/web/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


# ---- Scheduled actions ---------------------------------------------------------------


def _only_our_actions():
    """Switch off other addons' scheduled actions; switch on the second sender lane."""
    query(
        "UPDATE ir_cron SET active = false FROM ir_act_server a, ir_model m"
        " WHERE a.id = ir_actions_server_id AND m.id = a.model_id"
        f" AND NOT ({OURS})"
    )
    query(
        "UPDATE ir_cron SET active = true FROM ir_model_data d"
        " WHERE d.model = 'ir.cron' AND d.res_id = ir_cron.id"
        f" AND d.module = '{odoo.ADDON}' AND d.name IN ({SWITCHED_ON})"
    )


def wake(method):
    """Make the scheduled actions of a method due at once."""
    query(
        "INSERT INTO ir_cron_trigger (cron_id, call_at)"
        " SELECT c.id, now() AT TIME ZONE 'utc' FROM ir_cron c"
        " JOIN ir_act_server a ON a.id = c.ir_actions_server_id"
        f" WHERE a.code = 'model.{method}()' AND c.active"
    )


def run(method, patience):
    """Make a scheduled action due, and wait until it has run.

    :param patience: seconds
    """
    statement = (
        "SELECT coalesce(min(c.lastcall), '2000-01-01') FROM ir_cron c"
        " JOIN ir_act_server a ON a.id = c.ir_actions_server_id"
        f" WHERE a.code = 'model.{method}()' AND c.active"
    )
    before = query(statement)
    wake(method)
    end = time.monotonic() + patience
    while query(statement) == before and time.monotonic() < end:
        ring()
        time.sleep(1)


def ring():
    """Wake the cron workers, as Odoo does once a minute."""
    query(f"SELECT pg_notify('cron_trigger', '{DATABASE}')", "postgres")


def switched_off():
    """The names of our scheduled actions that are no longer active."""
    rows = query(
        "SELECT c.cron_name FROM ir_cron c JOIN ir_model_data d"
        f" ON d.model = 'ir.cron' AND d.res_id = c.id AND d.module = '{odoo.ADDON}'"
        f" WHERE d.name IN ({SWITCHED_ON}) AND NOT c.active"
    )
    return [name for (name,) in rows]


# ---- Processes and connections -------------------------------------------------------


def kill_cron_worker(chance):
    """Kill one of the two cron workers; return whether there was one."""
    workers = [pid for kind, pid in _workers() if kind == "Cron"]
    if workers:
        os.kill(chance.choice(workers), signal.SIGKILL)
    return bool(workers)


def http_workers():
    """The process ids of all HTTP workers there ever were."""
    return {pid for kind, pid in _born() if kind == "HTTP"}


def _workers():
    """The server's live worker processes: kind and process id."""
    parent = machine.pid(NAME)
    return [(kind, pid) for kind, pid in _born() if parent and _parent(pid) == parent]


def _born():
    text = machine.log_path(NAME).read_text(errors="replace")
    return [(kind, int(pid)) for kind, pid in BORN.findall(text)]


def _parent(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent, *_ = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(parent)


def cut_connections(chance):
    """Cut one or all connections to our database; return how many."""
    ours = f"FROM pg_stat_activity WHERE datname = '{DATABASE}' ORDER BY pid"
    backends = [pid for (pid,) in query(f"SELECT pid {ours}", "postgres")]
    if backends and chance.random() < 0.5:
        backends = [chance.choice(backends)]
    if backends:
        cut = ", ".join(f"pg_terminate_backend({pid})" for pid in backends)
        query(f"SELECT {cut}", "postgres")
    return len(backends)


# ---- The log -------------------------------------------------------------------------


def log_size():
    return machine.log_path(NAME).stat().st_size


def log_entries(start=0):
    """Return the log entries that the server wrote since its log had that size."""
    with machine.log_path(NAME).open("rb") as log:
        log.seek(start)
        text = log.read().decode(errors="replace")
    entries = []
    for line in text.splitlines():
        if found := ENTRY.match(line):
            pid, level, logger, message = found.groups()
            entries.append(Entry(int(pid), level, logger, message))
        elif entries:
            last = entries[-1]
            entries[-1] = last._replace(text=f"{last.text}\n{line}")
    return entries


def is_replay(entry):
    """Whether a transaction had to be done again."""
    return bool(REPLAY.search(entry.text))


def unexplained_errors():
    """The errors in the log that no kill and no cut explains."""
    return [
        entry
        for entry in log_entries()
        if entry.level in ("ERROR", "CRITICAL")
        and entry.logger != "odoo.sql_db"
        and not EXPLAINED.search(entry.text)
    ]
