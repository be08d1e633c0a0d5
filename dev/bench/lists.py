"""How long lists and scheduled actions take beside many old orders.

The peer is the same database with fewer of them: what has its index stays as fast.
"""

import machine
import matomo
import postgres
from chaos import comparison

import odoo

from .figures import say_table
from .workers import workers

# How many old orders there are, one after the other.
SIZES = (200_000, 1_000_000)
YESTERDAY = 5_000
# How often each query is asked.
REPEAT = 5
SMOKE_SIZES, SMOKE_YESTERDAY = (1_000, 2_000), 200


def main(database, is_smoke):
    """Fill the database, measure at each size, and print the tables."""
    sizes = SMOKE_SIZES if is_smoke else SIZES
    late = SMOKE_YESTERDAY if is_smoke else YESTERDAY
    access = matomo.info()
    site = {"url": access["url"], "token": access["token"]}
    found, drained = [], []
    for size in sizes:
        # Of each size a shop of its own: its rows lie in the order of their time.
        odoo.fresh_database(database)
        with workers(database, 1) as [worker]:
            templates = worker.ask(
                "lists.set_up", **site, idsite=comparison.make_site()
            )
            if not drained:
                # The first ones fill the caches.
                drained = [_drain(worker, templates, turn) for turn in (1, 2)][1:]
            with machine.step(f"Fill up to {size} old orders"):
                worker.ask(
                    "lists.fill", templates=templates, count=size, yesterday=late
                )
                # PostgreSQL does it by itself soon after: indexes alone answer then.
                postgres.query("VACUUM ANALYZE", database)
            with machine.step(f"Look at them, {REPEAT} times"):
                found.append(
                    {
                        name: worker.ask("lists.look", name=name, repeat=REPEAT)
                        for name in worker.ask("lists.get_looks")
                    }
                )
            # At once: the next size may take long.
            _say(sizes[: len(found)], found)
            drained.append(_drain(worker, templates, size))
    heads = ["old orders", "PostgreSQL (ms an order)"]
    rows = zip((0, *sizes), (f"{each:.2f}" for each in drained), strict=True)
    say_table("Draining beside them", heads, rows)


def _drain(worker, templates, turn):
    # Numbers that no other order has.
    first = turn * 1_000 + 10_000_000
    return worker.ask("lists.drain", templates=templates, first=first)


def _say(sizes, found):
    heads = ["what"]
    for size in sizes:
        heads += [f"{size} (ms CPU)", "of it PostgreSQL"]
    heads += ["statements", "its slowest statement finds rows by"]
    rows = []
    for name, last in found[-1].items():
        row = [name]
        for each in found:
            row += [f"{each[name]['ms']:.1f}", f"{each[name]['sql']:.1f}"]
        rows.append([*row, last["statements"], last["plan"]])
    say_table("Lists and scheduled actions", heads, rows)
