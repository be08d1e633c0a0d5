"""What the addon adds to a sale: statements, own processor time, time.

The peer is the same Odoo without the addon: two databases are copies of one template,
and one of them has the addon. Each step is done here and there in turns.
"""

import machine
import matomo
from chaos import comparison

import odoo

from .figures import median, ratio, say_table
from .workers import Worker

WITHOUT = "mot_bench_without"
# What is done: its name, the task, how often in one round, and how many rounds.
STEPS = [
    ("confirm a sales order (of 20)", "confirm", 20, 30),
    ("sync a till's sale (alone)", "sync", 1, 30),
    ("sync a till's sale (of 100)", "sync", 100, 6),
    ("save a table's order (of 30 times)", "save_table", 30, 8),
    ("open a product's page", "open_product", 10, 15),
    ("put a first product into the cart", "fill_cart", 5, 15),
    ("change a line of the cart", "change_cart", 10, 15),
]


def main(database, is_smoke):
    """Measure, and print the table."""
    access = matomo.info()
    site = {"url": access["url"], "token": access["token"]}
    odoo.clone(odoo.template(), WITHOUT)
    sides = [Worker(WITHOUT), Worker(database)]
    try:
        sides[0].ask("sales.set_up")
        sides[1].ask("sales.set_up", site={**site, "idsite": comparison.make_site()})
        rows = [_measure(sides, *step, is_smoke) for step in STEPS]
    finally:
        for side in sides:
            side.stop()
        odoo.discard(WITHOUT)
    heads = ["per step", "rounds", "statements without", "with", "more"]
    heads += ["own CPU without (ms)", "with", "more", "ratio of time"]
    say_table("What the addon adds", heads, rows)


def _measure(sides, title, task, count, rounds, is_smoke):
    if is_smoke:
        rounds, count = 1, min(count, 2)
    with machine.step(f"{title}, {rounds} rounds"):
        costs = [[], []]
        # The first round fills the caches.
        for number in range(rounds + 1):
            order = (0, 1) if number % 2 else (1, 0)
            for side in order:
                costs[side].append(sides[side].ask(f"sales.{task}", count=count))
    figures = {
        name: [[cost[name] / count for cost in side[1:]] for side in costs]
        for name in ("seconds", "cpu", "statements")
    }
    statements = [median(side).value for side in figures["statements"]]
    cpu = [median(side).value * 1000 for side in figures["cpu"]]
    pairs = zip(*figures["cpu"], strict=True)
    more_cpu = median([(after - before) * 1000 for before, after in pairs])
    return [
        title,
        rounds,
        *(f"{value:.1f}" for value in statements),
        f"{statements[1] - statements[0]:.1f}",
        *(f"{value:.2f}" for value in cpu),
        more_cpu.format(),
        ratio(figures["seconds"][1], figures["seconds"][0]).format(3),
    ]
