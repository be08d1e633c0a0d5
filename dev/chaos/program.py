"""Sell while everything breaks, then prove that Matomo has each order exactly once."""

import os
import secrets
import threading
import time
from datetime import datetime, timedelta, timezone

import machine
import matomo

from . import comparison, field, odoo_client, server, shop
from .mischief import Clock, Mischief
from .stand_in import StandIn

ORDERS = 2000
# So many scheduled actions send; two workers run them and all others.
LANES = 3
# How many of the orders are those of the till that was offline, at most.
OFFLINE_SALES = 500
# The program stops after this time in all and for each order (seconds).
LIMIT, LIMIT_PER_ORDER = 400, 1.0
# A proxy takes no larger bodies: two or three orders (bytes). It never goes away.
BODY_LIMIT = 2_500
# While the till closes there are fewer faults, so that the sender is really sending.
LESS_FAULTS = 0.1
# A bulk of 10 is given up after 3 s; a busy machine gets more (seconds).
WAIT_LIMIT = 8
# How long the delivery may go on when the faults have ended (seconds).
QUIET_LIMIT = 180
# How long the sweep and what managers are told may take then.
LAST_STEPS = 120


def main(seed=None, orders=None):
    """Run all phases; return the exit status."""
    seed = int(seed) if seed else secrets.randbelow(1_000_000)
    orders = int(orders) if orders else ORDERS
    with machine.alone("chaos"):
        machine.say(f"SEED={seed} ORDERS={orders}")
        matomo.start()
        try:
            return Chaos(seed, orders).run()
        finally:
            server.stop()


class Chaos:
    """One run: the shop, the faults, and the proof."""

    def __init__(self, seed, orders):
        self.seed = seed
        self.orders = orders
        self.offline = min(OFFLINE_SALES, orders // 3)
        self.begun = time.monotonic()
        self.deadline = self.begun + LIMIT + LIMIT_PER_ORDER * orders
        self.problems = []

    def run(self):
        access = matomo.info()
        self.idsite = comparison.make_site()
        self.proxy = StandIn(access["url"], self.seed, secret=access["token"])
        self.proxy.rules = [field.queue(), field.refuse_larger(BODY_LIMIT)]
        address = server.start()
        self.proxy.start()
        clock = Clock()
        try:
            self._open_shop(address, access["token"])
            clock.start()
            with machine.step("Sell while everything breaks"):
                self._rush()
            with machine.step(f"A till syncs {self.offline} sales and closes"):
                self._close_a_till()
            with machine.step("Let the delivery finish, without faults"):
                self._become_quiet()
        finally:
            clock.stop()
            self.proxy.stop()
        return self._report()

    # ---- Set-up ----------------------------------------------------------------------

    def _open_shop(self, address, token):
        with machine.step("Open the shop"):
            self.admin = odoo_client.Client(address, server.DATABASE, "admin", "admin")
            start = datetime.now(timezone.utc).date() - timedelta(days=10)
            self.site, tills = shop.set_up(
                self.admin,
                {
                    "name": "Chaos",
                    "url": self.proxy.url,
                    "idsite": self.idsite,
                    "token_auth": token,
                    "timezone": "Europe/Brussels",
                    "page_url": "https://shop.example.com",
                    "date_start": str(start),
                    "order_timeout": 2,
                    # Small ones, so that many requests meet a fault.
                    "batch_size": 10,
                },
            )
            settings = self.admin.create("res.config.settings", matomo_lane_count=LANES)
            self.admin.call("res.config.settings", "execute", [settings])
            seller = odoo_client.Client(
                address, server.DATABASE, shop.SELLER, shop.PASSWORD
            )
            cashier = odoo_client.Client(
                address, server.DATABASE, shop.CASHIER, shop.PASSWORD
            )
            self.salesperson = shop.Salesperson(seller, self.seed)
            self.till, self.offline_till = (
                shop.Till(cashier, config, self.seed) for config in tills
            )

    # ---- The phases ------------------------------------------------------------------

    def _rush(self):
        """Sell through both channels while processes die and connections break."""
        self.mischief = Mischief(self.seed)
        rest = self.orders - self.offline
        at_the_desk = rest // 2
        sellers = [
            threading.Thread(target=sell, args=(count,), daemon=True)
            for sell, count in [
                (self._sell_at_the_desk, at_the_desk),
                (self._sell_at_the_till, rest - at_the_desk),
            ]
        ]
        self.sold = 0
        self.mischief.start()
        for thread in sellers:
            thread.start()
        try:
            while any(thread.is_alive() for thread in sellers):
                self._check_time()
                if self.sold > rest // 3:
                    self.mischief.restart_mariadb()
                time.sleep(0.2)
        finally:
            self.mischief.stop()

    def _sell_at_the_desk(self, count):
        while count and time.monotonic() < self.deadline:
            done = self.salesperson.sell(count)
            count -= done
            self.sold += done

    def _sell_at_the_till(self, count):
        while count:
            sales = self.till.sell_some(count)
            self.till.sync(sales)
            count -= len(sales)
            self.sold += len(sales)

    def _close_a_till(self):
        """Let a till sync all its sales and close while the sender sends them.

        No process and no connection is killed meanwhile: each failure is the addon's.
        """
        self.proxy.share = LESS_FAULTS
        # The sender must not wait: testing the connection ends its back-off.
        while comparison.ask(comparison.WAITING) == ("t",):
            self._check_time()
            self.admin.call("matomo.site", "action_test_connection", [self.site])
        sales = [self.offline_till.sell() for _number in range(self.offline)]
        start = server.log_size()
        for sale in sales:
            self._check_time()
            # One by one, as Odoo's tills do.
            self.offline_till.sync([sale])
        before = self._attempts()
        try:
            self.offline_till.close()
        except odoo_client.Refused as error:
            self.problems.append(f"the till was not closed: {error}")
        self.sent_meanwhile = before, self._attempts()
        workers = server.http_workers()
        self.replays = [
            entry
            for entry in server.log_entries(start)
            if entry.pid in workers
            and (server.is_replay(entry) or entry.level in ("ERROR", "CRITICAL"))
        ]
        if self.replays or self.offline_till.refusals:
            self.problems.append("the till met the sender")

    def _attempts(self):
        """Return how many sales of the till were sent, and all orders' attempts."""
        statement = (
            "SELECT count(*) FILTER (WHERE o.session_id = {0} AND r.attempt_count > 0),"
            " sum(r.attempt_count) FROM matomo_request r"
            " LEFT JOIN pos_order o ON o.id = r.pos_order_id"
        )
        row = comparison.ask(statement.format(self.offline_till.session)) or (0, 0)
        return tuple(int(count or 0) for count in row)

    def _become_quiet(self):
        """Stop the faults, sweep once, and wait until nothing is left to do.

        Then the hour is over after which managers are told, or what they were told
        ends.
        """
        self.proxy.calm()
        server.wake("_cron_sweep")
        patience = time.monotonic() + QUIET_LIMIT
        while time.monotonic() < patience:
            time.sleep(1)
            unfinished = comparison.ask(comparison.UNFINISHED)
            if unfinished == ("0",):
                server.run("_cron_sweep", LAST_STEPS)
                server.run("_cron_retrack", LAST_STEPS)
                return
        self.problems.append(f"{unfinished[0]} rows were still not settled")

    def _check_time(self):
        if time.monotonic() > self.deadline:
            raise machine.Trouble(
                f"Not finished in time: {self.sold} of {self.orders} were sold."
            )

    # ---- The proof -------------------------------------------------------------------

    def _report(self):
        channels = comparison.sold_orders()
        sold = [order for orders in channels.values() for order in orders]
        recorded = comparison.recorded_orders(self.idsite)
        result = comparison.compare(sold, recorded)
        result.lost.extend(
            comparison.broken_promises(
                self.salesperson.promised,
                [*self.till.promised, *self.offline_till.promised],
            )
        )
        self._say_what_befell()
        self._say_figures(channels, recorded)
        self._check_figures(sold, recorded, result)
        for name in [*result.lost[:20], *result.duplicated[:20]]:
            machine.say(f"  lost or duplicated: {name}")
        for problem in self.problems:
            machine.say(f"  PROBLEM: {problem}")
        self._say_how_it_went()
        verdict = f"{len(result.lost)} lost, {len(result.duplicated)} duplicated"
        if self.problems and not result.lost and not result.duplicated:
            verdict += f", but {len(self.problems)} problems"
        machine.say(verdict)
        return 1 if self.problems else 0

    def _say_what_befell(self):
        machine.say(f"\nSeed {self.seed}")
        faults = self.proxy.faults
        machine.say(f"Faults on the way to Matomo: {sum(faults.values())}")
        for kind, count in sorted(faults.items()):
            machine.say(f"  {kind:<28} {count:>5}")
        for file, count in sorted(self.proxy.seen.items()):
            machine.say(f"{f'requests of {file}':<30} {count:>5}")
        machine.say(f"{'answers by rules that stay':<30} {self.proxy.ruled:>5}")
        for kind, count in sorted(self.mischief.counts.items()):
            machine.say(f"{kind:<30} {count:>5}")
        replays = sum(map(server.is_replay, server.log_entries()))
        tries = self.salesperson.refusals + self.till.refusals
        machine.say(f"{'requests of sellers that failed':<30} {tries:>4}")
        machine.say(f"{'log lines of replays':<30} {replays:>5}")
        machine.say(
            f"{'longest wait for an answer':<30} {self.proxy.longest_wait:>5.1f} s"
        )

    def _say_figures(self, channels, recorded):
        total = sum(len(orders) for orders in channels.values())
        parts = ", ".join(f"{len(orders)} {name}" for name, orders in channels.items())
        machine.say(f"Orders in Odoo: {total} ({parts})")
        machine.say(f"Orders in Matomo: {len(recorded)}")
        self.report = comparison.reported(self.idsite, len(recorded))
        machine.say(f"Orders in Matomo's report: {self.report[0]}")
        (of_till, before), (_of_till, after) = self.sent_meanwhile
        machine.say(
            f"A till synced {self.offline} sales and closed, {of_till} of them being"
            f" sent before it closed and {after - before} orders while it did:"
            f" {self.offline_till.refusals} errors, {len(self.replays)} replays"
        )
        for entry in self.replays[:5]:
            machine.say(f"  {entry.logger}: {entry.text.splitlines()[0][:300]}")

    def _check_figures(self, sold, recorded, result):
        revenue = sum(amount for _name, amount in sold)
        in_matomo = sum(amount for _name, amount in recorded)
        machine.say(f"Revenue in Odoo {revenue}, in Matomo {in_matomo}")
        machine.say(f"Revenue in Matomo's report: {self.report[1]}")
        states = comparison.row_states()
        machine.say(f"Rows: {states}")
        if result.lost or result.duplicated:
            self.problems.append("Odoo and Matomo do not have the same orders")
        self.problems += result.findings[:20]
        if self.report != (len(sold), revenue) or in_matomo != revenue:
            self.problems.append("the totals differ")
        if states != {"verified": len(sold)}:
            self.problems.append("not every order is verified")
        if len(sold) < self.orders:
            self.problems.append(f"only {len(sold)} of {self.orders} were sold")
        self.problems += comparison.site_health()
        self.problems += [
            f"{entry.logger}: {entry.text[:1000]}"
            for entry in server.unexplained_errors()[:5]
        ]
        if self.proxy.leaks:
            self.problems.append(f"the token was seen {self.proxy.leaks} times")
        if self.proxy.followed:
            self.problems.append("a redirect was followed")
        if not self.proxy.ruled:
            self.problems.append("no request was too large")
        if self.proxy.longest_wait > WAIT_LIMIT:
            self.problems.append("a trickling answer was waited for beyond its timeout")

    def _say_how_it_went(self):
        seconds = time.monotonic() - self.begun
        machine.say(f"{seconds:.0f} s; Odoo's log: {machine.log_path(server.NAME)}")


def run():
    """What `make chaos` runs."""
    return main(os.environ.get("SEED"), os.environ.get("ORDERS"))
