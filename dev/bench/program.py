"""What `make bench` runs: one benchmark after the other, each on a database of its own.

BENCH names one of them; SMOKE makes them short, to see that they still run, and leaves
the longest one out.
"""

import os
import platform
from datetime import date

import machine
import matomo
import postgres

import odoo

from . import backfill, carts, drain, life, lists, statements

DATABASE = "mot_bench"
BENCHMARKS = {
    "drain": drain.main,
    "statements": statements.main,
    "lists": lists.main,
    "carts": carts.main,
    "life": life.main,
    "backfill": backfill.main,
}


def run():
    """Run the benchmarks that the environment asks for.

    :raise machine.Trouble: if there is none of that name
    """
    name, is_smoke = os.environ.get("BENCH"), bool(os.environ.get("SMOKE"))
    if name and name not in BENCHMARKS:
        raise machine.Trouble(f"BENCH is one of {', '.join(BENCHMARKS)}.")
    chosen = {name: BENCHMARKS[name]} if name else dict(BENCHMARKS)
    if is_smoke and not name:
        # Six starts of Odoo take minutes, however few orders there are.
        del chosen["life"]
    with machine.alone("bench"):
        machine.together(matomo.start, odoo.template)
        if is_smoke:
            _run(chosen, is_smoke)
            return
        with postgres.durable():
            _say_machine()
            _run(chosen, is_smoke)


def _run(benchmarks, is_smoke):
    for name, benchmark in benchmarks.items():
        machine.say(f"\n## {name}")
        odoo.fresh_database(DATABASE)
        try:
            benchmark(DATABASE, is_smoke)
        finally:
            odoo.discard(DATABASE)


def _say_machine():
    with open("/proc/meminfo") as lines:
        memory = int(next(lines).split()[1]) / 2**20
    [(version,)] = postgres.query("SHOW server_version")
    machine.say(
        f"{date.today()}: {os.cpu_count()} cores, {memory:.0f} GB, "
        f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"PostgreSQL {version.split()[0]}, Odoo {odoo.version()}, "
        f"Matomo {matomo.info()['version']}"
    )
