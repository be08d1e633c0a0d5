"""A backfill to a real Matomo, by two servers that are killed and started again."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta

from odoo.sql_db import db_connect
from odoo.tests import tagged
from odoo.tools import SQL, config

from ...outbox.schedule import LEASE
from ..common import CopyCase
from ..common.real_matomo import RealMatomo

_logger = logging.getLogger(__name__)

# `ORDERS=10000 make test` tries more.
ORDERS = int(os.environ.get("ORDERS") or 300)
DAYS = 30
# A server is killed so often, each time in the middle of the work; another goes on.
KILLS = 2
# So many scheduled actions send, on all servers together.
LANES = 3
# Nothing has been sent for so long: what is left is held for servers that are dead.
STILL = 6
# An order of today is sent within this time (seconds).
PROMPT = 60
# The program ends by itself before that, on the slowest machine (seconds).
PATIENCE = 120 + ORDERS / 5

# A shop that has sold for a month, connects to Matomo today, and backfills.
SET_UP = """
from datetime import datetime, time, timedelta
from odoo.addons.matomo_order_tracking.dev.bench.inside.rows import clone

env["ir.cron"].search([("model_id.model", "!=", "matomo.request")]).active = False
site = env["matomo.site"].create({{
    "name": "Shop", "url": "{url}", "idsite": {idsite}, "token_auth": "{token}",
    "is_currency_confirmed": True, "batch_size": {batch_size}, "order_timeout": 30,
}})
site.facts_date = datetime.now()
env["res.config.settings"].create({{"matomo_lane_count": {lanes}}}).execute()
env.company.matomo_site_id = site
product = env["product.product"].create({{"name": "Chair", "list_price": 100}})
order = env["sale.order"].create({{
    "partner_id": env["res.partner"].create({{"name": "Nora"}}).id,
    "order_line": [(0, 0, {{"product_id": product.id}})],
}})
order.state = "sale"
env.flush_all()
noon = datetime.combine(datetime.now().date(), time(12))
first, *_others = clone(
    order,
    {orders},
    name="'BF' || n",
    date_order=f"timestamp '{{noon}}' - interval '1 day' * (1 + n % {days})",
)
clone(order.order_line, {orders}, order_id=f"{{first}} + n - 1")
order.state = "draft"
env["matomo.request"].search([]).unlink()
env.cr.commit()
wizard = env["matomo.backfill"].browse(
    env["matomo.backfill"]._open("backfill", site)["res_id"]
)
wizard.action_count()
wizard.action_start()
env.cr.commit()
print(env["matomo.job"].search([]).found_count)
"""

# Somebody sells meanwhile, after so many orders of the backfill are sent.
SELL = """
import time

def look():
    env.cr.rollback()
    env.invalidate_all()
    return env["matomo.request"].search_count(
        [("state", "in", ("sent", "verified"))], limit={goal} + 1
    )

while look() <= {goal}:
    time.sleep(0.2)
order = env["sale.order"].search([("name", "=", "BF1")]).copy()
order.action_confirm()
env.cr.commit()
begun = time.monotonic()
while order.matomo_state == "pending":
    time.sleep(0.1)
    look()
seconds = time.monotonic() - begun
job = env["matomo.job"].search([])
print(order.name, round(seconds, 1), job.state)
"""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealBackfill(CopyCase):
    def start_server(self):
        """Start Odoo on the copy, with scheduled actions alone, as on a host more."""
        self.logs.append(f"{self.folder}/{len(self.logs)}.log")
        # fmt: off
        command = [
            sys.executable, "-P", "-m", "odoo", "server", "-d", self.copy,
            "-c", config["config"], "--no-http", "--max-cron-threads=2", "--workers=0",
            "--db-filter", f"^{self.copy}$", "--logfile", self.logs[-1],
        ]
        # fmt: on
        server = subprocess.Popen(command, start_new_session=True)
        self.addCleanup(self.kill, server)
        return server

    def kill(self, server):
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def wait_until(self, is_true, what):
        end = time.monotonic() + PATIENCE
        while not is_true():
            self.assertLess(time.monotonic(), end, f"{what}: {self.describe()}")
            self.ring()
            time.sleep(0.5)

    def ring(self):
        """Have the scheduler look for what is due, as it does once a minute."""
        with closing(db_connect("postgres").cursor()) as cr:
            cr._cnx.autocommit = True
            cr.execute(SQL("SELECT pg_notify('cron_trigger', %s)", self.copy))

    def describe(self):
        """Return how far the job and its requests are, for a failure's message."""
        return self.sql(
            "SELECT state, looked_count, queued_count FROM matomo_job;"
            "SELECT state, count(*) FROM matomo_request GROUP BY state"
        )

    def count(self, condition):
        return int(self.sql(f"SELECT count(*) FROM {condition}"))

    def let_time_pass(self):
        """Let the database believe that the lease of what was being sent has ended.

        A shopkeeper does nothing but wait: the orders of the batch in which the server
        was killed are due again after ten minutes, all others at once. All moments at
        which something is due come nearer by that time, as they do when it passes.
        """
        minutes = LEASE.total_seconds() / 60 + 1
        self.sql(
            "UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'utc'"
            " WHERE cron_name LIKE 'Matomo:%';"
            "UPDATE matomo_request SET next_attempt_date = next_attempt_date"
            f" - interval '{minutes} minutes' WHERE state = 'pending';"
        )

    def sell_meanwhile(self):
        """Sell an order after the last server was killed. Return what becomes of it."""
        goal = ORDERS * KILLS // (KILLS + 2) + ORDERS // 5
        thread = self.enterContext(ThreadPoolExecutor(max_workers=1))
        script = SELL.format(goal=goal)
        return thread.submit(
            self.odoo, "shell", "--no-http", script=script, timeout=PATIENCE
        )

    def test_each_order_once_and_on_its_day_though_the_server_is_killed(self):
        real = RealMatomo()
        found = self.odoo(
            "shell",
            "--no-http",
            script=SET_UP.format(
                url=real.url,
                idsite=real.idsite,
                token=real.token,
                orders=ORDERS,
                days=DAYS,
                lanes=LANES,
                batch_size=min(50, max(ORDERS // 30, 1)),
            ),
        )
        self.assertEqual(int(found), ORDERS)
        sent = "matomo_request WHERE state IN ('sent', 'verified')"
        begun = time.monotonic()
        selling = self.sell_meanwhile()
        servers = [self.start_server(), self.start_server()]
        for kill in range(1, KILLS + 1):
            goal = ORDERS * kill // (KILLS + 2)
            self.wait_until(lambda goal=goal: self.count(sent) > goal, "sending")
            self.kill(servers.pop(0))
            self.assertLess(self.count(sent), ORDERS, "It was killed too late.")
            servers.append(self.start_server())
        last, since = 0, time.monotonic()

        def is_done():
            nonlocal last, since
            if self.sql("SELECT state FROM matomo_job") == "done":
                return True
            if (count := self.count(sent)) != last:
                last, since = count, time.monotonic()
            elif time.monotonic() - since > STILL:
                self.let_time_pass()
                since = time.monotonic()
            return False

        self.wait_until(is_done, "finishing")
        seconds = time.monotonic() - begun
        _logger.info("%s orders, killed %s times: %.0f s", ORDERS, KILLS, seconds)
        name, waited, state = selling.result().split()
        _logger.info("An order that was sold meanwhile waited %s s", waited)
        self.assertEqual(state, "running", "It was sold too late.")
        self.assertLess(float(waited), PROMPT)
        self.assertEqual(self.count("matomo_request"), ORDERS + 1)
        senders = [log for log in self.logs if "Tracked ecommerce order" in _read(log)]
        self.assertGreaterEqual(len(senders), 2)
        rows = real.query(
            "SELECT idorder, DATE(server_time) AS day FROM matomo_log_conversion"
            " WHERE idsite = %s AND idgoal = 0",
            real.idsite,
        )
        self.assertEqual(
            Counter(row["idorder"] for row in rows),
            Counter([name, *(f"BF{number}" for number in range(1, ORDERS + 1))]),
        )
        today = date.today()
        self.expected[today] = 1
        for number in range(1, ORDERS + 1):
            self.expected[today - timedelta(days=1 + number % DAYS)] += 1
        self.assertEqual(Counter(row["day"] for row in rows), self.expected)
        # Matomo's report of today may be a quarter of an hour old.
        for day in (min(self.expected), today - timedelta(days=1)):
            report = real.report(day, day)
            self.assertEqual(report["nb_conversions"], self.expected[day])

    def setUp(self):
        super().setUp()
        self.expected = Counter()
        self.logs = []
        folder = tempfile.TemporaryDirectory(prefix="backfill-")
        self.folder = self.enterContext(folder)


def _read(path):
    with open(path, errors="replace") as log:
        return log.read()
