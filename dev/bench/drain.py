"""How fast the queue is drained to the real Matomo, and where the time goes.

The peer is a bare loop: it posts the same orders in ready-made bodies of the same size
to another site of the same Matomo. Sender and loop run in turns, in short rounds.
"""

import json
import time
from pathlib import Path

import machine
import matomo
from chaos import comparison

from .figures import median, ratio, say_table
from .hosts import apart
from .workers import ask_all, workers

SDK = Path(__file__).with_name("sdk.php")
# The orders of a round, and the rounds for each number of lanes. The first bulk is
# built before Matomo has anything to do: a short round would be made of that.
ORDERS, ROUNDS = 1000, 4
LANES = (1, 2, 4)
# The orders of one request, as a new site has it.
BATCH = 50
# One round of the SDK is enough after so many rounds.
SDK_EVERY = 2


class Drain:
    """A shop whose orders are drained, and the bare loop beside it."""

    def __init__(self, team, orders):
        self.team = team
        self.orders = orders
        self.access = matomo.info()
        self.site, self.other = comparison.make_site(), comparison.make_site()
        self.sold = 0
        self.posted = 0
        self.templates = team[0].ask(
            "drain.set_up",
            url=self.access["url"],
            token=self.access["token"],
            idsite=self.site,
        )

    def sell(self):
        """Put the orders of a round into the queue; return their ids."""
        first = self.sold
        self.sold += self.orders
        return self.team[0].ask(
            "drain.sell", templates=self.templates, count=self.orders, first=first
        )

    def send(self, lanes):
        """Drain one round; return what it cost, and what was sent."""
        orders = self.sell()
        cost = self._run("drain.send", [{}] * lanes)
        return cost, self.team[0].ask("drain.get_sent", orders=orders)

    def post(self, lanes, payloads):
        """Post the same by as many bare loops; return what it cost."""
        bulks = range(0, len(payloads), BATCH)
        for number, worker in enumerate(self.team[:lanes]):
            mine = [payloads[at : at + BATCH] for at in bulks[number::lanes]]
            worker.ask(
                "drain.prepare",
                payloads=sum(mine, []),
                idsite=self.other,
                token=self.access["token"],
                size=BATCH,
            )
        self.posted += len(payloads)
        return self._run("drain.post", [{"url": self.access["url"]}] * lanes)

    def _run(self, task, shares):
        start = time.perf_counter()
        costs = ask_all(self.team[: len(shares)], task, shares)
        seconds = time.perf_counter() - start
        return {
            "speed": self.orders / seconds,
            "cpu": sum(cost["cpu"] for cost in costs) * 1000 / self.orders,
            "statements": sum(cost["statements"] for cost in costs) / self.orders,
        }

    def post_one_by_one(self, payloads):
        """Post each order by itself with Matomo's own SDK; return what it cost."""
        task = {
            "sdk": self.access["sdk"],
            "url": self.access["url"],
            "token": self.access["token"],
            "idsite": comparison.make_site(),
            "orders": payloads,
        }
        done = machine.run(
            [*self.access["php"], SDK],
            input=json.dumps(task),
            stdin=None,
            capture_output=True,
            trouble="Matomo's SDK failed:",
        )
        cost = json.loads(done.stdout)
        self._check(task["idsite"], len(payloads))
        return {
            "speed": len(payloads) / cost["seconds"],
            "cpu": cost["cpu"] * 1000 / len(payloads),
        }

    def check(self):
        """Check that Matomo has each order exactly once.

        :raise machine.Trouble: if it has not
        """
        self._check(self.site, self.sold)
        self._check(self.other, self.posted)

    def _check(self, idsite, count):
        recorded = comparison.recorded_orders(idsite)
        if len(recorded) != count or len(set(recorded)) != count:
            raise machine.Trouble(f"Matomo has {len(recorded)} of {count} orders.")


def main(database, is_smoke):
    """Measure, and print the tables."""
    orders, rounds = (40, 1) if is_smoke else (ORDERS, ROUNDS)
    lanes = LANES[:2] if is_smoke else LANES
    with workers(database, max(lanes)) as team:
        shop = Drain(team, orders)
        # Nobody is measured while caches are empty.
        for count in lanes:
            _cost, payloads = shop.send(count)
            shop.post(count, payloads)
        rows = []
        for count in lanes:
            with machine.step(f"Drain {rounds} x {orders} orders by {count} lanes"):
                rows.append(_compare(shop, count, rounds))
        on_hosts = []
        with apart(team) as cores:
            for count in lanes if cores else ():
                with machine.step(
                    f"The same, Matomo on cores of its own, {count} lanes"
                ):
                    on_hosts.append(_compare(shop, count, rounds))
        with machine.step("Post them one by one"):
            one_by_one = _compare_with_sdk(shop, max(rounds // SDK_EVERY, 1))
        stages = _profile(shop, rounds)
        shop.check()
    _say_speed(
        "Draining",
        [
            *(("bare loop", row) for row in rows),
            ("SDK, one request an order", one_by_one),
        ],
    )
    if on_hosts:
        _say_speed(
            f"Draining, {cores} of the cores for Matomo and as many for Odoo",
            [("bare loop", row) for row in on_hosts],
        )
    _say_stages(stages, rounds * orders)


def _compare(shop, lanes, rounds):
    ours, bare = [], []
    for _round in range(rounds):
        cost, payloads = shop.send(lanes)
        ours.append(cost)
        bare.append(shop.post(lanes, payloads))
    return lanes, ours, bare


def _compare_with_sdk(shop, rounds):
    ours, sdk = [], []
    for _round in range(rounds):
        cost, payloads = shop.send(1)
        ours.append(cost)
        sdk.append(shop.post_one_by_one(payloads))
    return 1, ours, sdk


def _profile(shop, rounds):
    """Return the sums of what the stages of the sender cost, of several rounds."""
    stages = {}
    for _round in range(rounds):
        shop.sell()
        for stage, cost in shop.team[0].ask("drain.send_profiled").items():
            row = stages.setdefault(stage, dict.fromkeys(cost, 0))
            for name, value in cost.items():
                row[name] += value
    return stages


def _say_speed(title, rows):
    heads = ["peer", "lanes", "sender (orders/s)", "peer (orders/s)", "ratio"]
    heads += ["sender's own CPU (ms an order)", "peer's", "statements an order"]
    table = []
    for peer, (lanes, ours, others) in rows:
        speeds = [[each["speed"] for each in side] for side in (ours, others)]
        table.append(
            [
                peer,
                lanes,
                *(f"{median(side).value:.0f}" for side in speeds),
                ratio(*speeds).format(),
                *(
                    f"{median([each['cpu'] for each in side]).value:.2f}"
                    for side in (ours, others)
                ),
                f"{median([each['statements'] for each in ours]).value:.1f}",
            ]
        )
    say_table(title, heads, table)


def _say_stages(stages, orders):
    heads = ["stage", "ms", "of it own CPU", "of it PostgreSQL", "statements"]
    ordered = sorted(stages.items(), key=lambda item: -item[1]["seconds"])
    rows = [(stage, *_per_order(cost, orders)) for stage, cost in ordered]
    total = {
        name: sum(cost[name] for cost in stages.values())
        for name in ("seconds", "cpu", "sql", "statements")
    }
    rows.append(("**all**", *_per_order(total, orders)))
    say_table("One lane, where the time of an order goes", heads, rows)


def _per_order(cost, orders):
    return [
        *(f"{cost[name] * 1000 / orders:.3f}" for name in ("seconds", "cpu", "sql")),
        f"{cost['statements'] / orders:.2f}",
    ]
