"""Installing, upgrading and uninstalling the addon beside many orders.

The peer is the same in a database without orders: what the addon does to each order, or
to its table, would show.
"""

import time

import machine
import postgres

import odoo

from .figures import say_table
from .workers import Worker

# Of each: sales orders and POS orders.
ORDERS = 1_000_000
SMOKE_ORDERS = 2_000
EMPTY = "mot_bench_empty"
TABLES = ("sale_order", "sale_order_line", "pos_order", "pos_order_line")
UNINSTALL = f"""
env["ir.module.module"].search(
    [("name", "=", "{odoo.ADDON}")]
).button_immediate_uninstall()
"""


def main(database, is_smoke):
    """Measure, and print the table."""
    count = SMOKE_ORDERS if is_smoke else ORDERS
    sides = (EMPTY, database)
    try:
        for side in sides:
            odoo.clone(odoo.template(), side)
        with machine.step(f"Make {count} sales orders and as many POS orders"):
            worker = Worker(database)
            worker.ask("life.set_up")
            worker.ask("life.fill", count=count)
            worker.stop()
            postgres.query("VACUUM ANALYZE", database)
        rows = [_measure(sides, *step) for step in STEPS]
    finally:
        odoo.discard(EMPTY)
    heads = [
        "step",
        "no orders (s)",
        f"{count} of each (s)",
        "more",
        "tables rewritten",
    ]
    say_table("Installing, upgrading, uninstalling", heads, rows)


def _measure(sides, title, step):
    with machine.step(title):
        before = _get_files(sides[1])
        seconds = []
        for side in sides:
            start = time.perf_counter()
            step(side)
            seconds.append(time.perf_counter() - start)
        files = _get_files(sides[1])
    rewritten = [table for table in TABLES if before[table] != files[table]]
    empty, full = seconds
    return [
        title,
        f"{empty:.1f}",
        f"{full:.1f}",
        f"{full - empty:.1f}",
        ", ".join(rewritten) or "none",
    ]


def _get_files(database):
    """Return the file of each table: PostgreSQL writes a new one if it rewrites it."""
    return {
        table: postgres.query(f"SELECT pg_relation_filenode('{table}')", database)
        for table in TABLES
    }


def _install(database):
    _run(database, "-i")


def _upgrade(database):
    _run(database, "-u")


def _run(database, option):
    # fmt: off
    odoo.run(
        "server", "-d", database, option, odoo.ADDON,
        "--stop-after-init", "--no-http", "--max-cron-threads=0",
        log=f"{database}-life",
    )
    # fmt: on


def _uninstall(database):
    odoo.run(
        "shell", "-d", database, "--no-http", log=f"{database}-life", code=UNINSTALL
    )


STEPS = [
    ("install", _install),
    ("upgrade", _upgrade),
    ("uninstall", _uninstall),
]
