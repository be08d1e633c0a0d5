"""Many carts that change all the time, while orders come in.

The limit is the hour: what changes in an hour must be sent in less. The table of what
waits may not grow with the changes, and an order may not wait behind the carts.
"""

import time

import machine
import matomo
import postgres
from chaos import comparison

from .figures import median, say_table
from .workers import workers

# So many carts, each of which changes so often.
CARTS, TURNS = 10_000, 3
SMOKE_CARTS = 40
# Carts that change between two runs of the sender, with an order among them.
PART = 250
HOUR = 3600


def main(database, is_smoke):
    """Change carts with one process, send with another, and print the table."""
    count = SMOKE_CARTS if is_smoke else CARTS
    part = min(PART, count)
    access = matomo.info()
    site = {"url": access["url"], "token": access["token"]}
    rows = []
    with workers(database, 2) as [shop, sender]:
        carts, orders = shop.ask(
            "carts.set_up",
            **site,
            idsite=comparison.make_site(),
            carts=count,
            orders=TURNS * count // part,
        )
        for turn in range(1, TURNS + 1):
            with machine.step(f"Change {count} carts, {turn} of {TURNS}"):
                start = time.perf_counter()
                for first in range(0, count, part):
                    some = carts[first : first + part]
                    shop.begin("carts.change", carts=some, order=orders.pop())
                    sender.ask("carts.send")
                    shop.end()
                sender.ask("carts.send")
                seconds = time.perf_counter() - start
            rows.append(_describe(turn, count, seconds, database, sender))
    heads = ["changes of each cart", "changes in an hour", "rows", "of them waiting"]
    heads += ["size (MB)", "an order waits (s)", "longest"]
    say_table(f"{count} carts", heads, rows)


def _describe(turn, count, seconds, database, sender):
    found = sender.ask("carts.count")
    [(size,)] = postgres.query(
        "SELECT pg_total_relation_size('matomo_cart_update')", database
    )
    waits = found["waits"]
    return [
        turn,
        f"{count / seconds * HOUR:.0f}",
        found["rows"],
        found["waiting"],
        f"{int(size) / 2**20:.1f}",
        f"{median(waits).value:.1f}",
        f"{max(waits):.1f}",
    ]
