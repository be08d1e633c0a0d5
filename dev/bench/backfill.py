"""How long a backfill takes, how much memory it needs, and how fast its buttons are.

The peer is the same program with fewer orders. The Matomo that the orders are sent to
takes everything at once: its own time is not measured here.
"""

import os

import machine
import matomo
import postgres
from chaos import comparison

import odoo

from .figures import say_table
from .workers import workers

# `ORDERS=100000 make bench BENCH=backfill` measures one size alone.
SIZES = tuple(map(int, os.environ.get("ORDERS", "10000 100000").split()))
SMOKE_SIZES = (400,)
# Time and memory are read so often.
PARTS = 10
BEFORE = ("open the wizard", "Count", "Start", "Pause", "Resume", "look at the job")
AFTER = ("look at the job", "Stop")


def main(database, is_smoke):
    """Backfill some orders, then many, and print the tables."""
    sizes = SMOKE_SIZES if is_smoke else SIZES
    buttons = {}
    for number, size in enumerate(sizes):
        if number:
            odoo.discard(database)
            odoo.fresh_database(database)
        with workers(database, 1) as [worker]:
            _fill(worker, database, size)
            costs = [(name, _press(worker, name)) for name in BEFORE]
            work = _backfill(worker, size)
            costs += [(f"{name} (sent)", _press(worker, name)) for name in AFTER]
        heads = ["sent", "seconds", "memory (MB)", "its peak (MB)"]
        say_table(f"A backfill of {size} orders", heads, work)
        for name, cost in costs:
            row = buttons.setdefault(name, [name])
            row += [f"{cost['ms']:.0f}", cost["statements"]]
    heads = ["button"]
    for size in sizes:
        heads += [f"{size} orders (ms)", "statements"]
    say_table("Its buttons", heads, buttons.values())


def _fill(worker, database, size):
    access = matomo.info()
    site = {"url": access["url"], "token": access["token"]}
    idsite = comparison.make_site()
    templates = worker.ask("backfill.set_up", **site, idsite=idsite)
    with machine.step(f"Make {size} orders"):
        worker.ask("backfill.fill", templates=templates, count=size)
        postgres.query("VACUUM ANALYZE", database)


def _backfill(worker, size):
    """Send the orders, and return a row for each part."""
    rows, seconds = [], 0
    for part in range(1, PARTS + 1):
        goal = size * part // PARTS
        with machine.step(f"Backfill {goal} of {size} orders"):
            done = worker.ask("backfill.work", count=goal)
        seconds += done["seconds"]
        memory = (f"{done[name]:.0f}" for name in ("memory", "peak"))
        rows.append([done["sent"], f"{seconds:.0f}", *memory])
    return rows


def _press(worker, name):
    return worker.ask("backfill.press", button=name)
