import json
import subprocess
import sys
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import freeze_time, get_db_name, tagged
from odoo.tools import config

from odoo.addons.base.tests.test_ir_cron import CronMixinCase

from .common import MODULE, MatomoCommon

NOW = "2026-03-03 10:00:00"
# A server that is no Matomo, and an order that is to be sent to it. The numbers are
# the requests that have arrived there by then.
SHELL_SCRIPT = """
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

arrived = []

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        arrived.append(self.path)
        self.send_response(503)
        self.end_headers()

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
counts = {}
company = env.company
before = company.matomo_site_id
site = env["matomo.site"].create({
    "name": "Shell",
    "url": f"http://127.0.0.1:{server.server_port}/",
    "idsite": 1,
    "token_auth": "0" * 32,
    "date_start": "2026-01-01",
})
company.matomo_site_id = site
product = env["product.product"].create({"name": "Shell", "type": "service"})
partner = env["res.partner"].create({"name": "Shell"})
order = env["sale.order"].create({
    "partner_id": partner.id,
    "order_line": [(0, 0, {"product_id": product.id, "price_unit": 10})],
})
order.action_confirm()
counts["confirmed"] = len(arrived)
env.cr.commit()
try:
    counts["committed"] = len(arrived)
    counts["state"] = order.matomo_state
    env.ref("matomo_order_tracking.ir_cron_send").method_direct_trigger()
    counts["sender"] = len(arrived)
finally:
    # The database is as it was.
    env.cr.rollback()
    company.matomo_site_id = before
    order._action_cancel()
    for record in (order, site, product, partner):
        record.unlink()
    env.cr.commit()
print(json.dumps(counts))
"""


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestNoNetwork(MatomoCommon, CronMixinCase):
    """Only the scheduled actions talk to Matomo, whoever makes a sale and wherever."""

    def assertSilentUntilTheSenderRuns(self, orders):
        """Nothing has been sent; what then is shows that it would have been seen."""
        self.end_transaction()
        self.assertEqual(set(orders.mapped("matomo_state")), {"pending"})
        self.assertFalse(self.matomo.requests)
        self.run_sender()
        self.assertEqual(set(orders.mapped("matomo_state")), {"sent"})
        self.assertEqual(len(self.matomo.orders), len(orders))

    def test_trigger(self):
        order = self.make_order()
        with self.capture_triggers(f"{MODULE}.ir_cron_send") as wakeups:
            order.action_confirm()
            self.end_transaction()
            # A commit is what a trigger waits for; tests cannot make one.
            self.env.cr.postcommit.run()
        self.assertEqual(len(wakeups.records), 1)
        for name in ("send", "verify", "sweep", "retrack"):
            self.env.ref(f"{MODULE}.ir_cron_{name}").sudo()._trigger()
        self.env.cr.postcommit.run()
        self.assertSilentUntilTheSenderRuns(order)

    def test_import(self):
        names = [f"IMPORTED-{number}" for number in range(3)]
        columns = [
            *("name", "partner_id/.id", "company_id/.id", "state", "date_order"),
            *("order_line/product_id/.id", "order_line/product_uom_qty"),
        ]
        result = self.env["sale.order"].load(
            columns,
            [
                [
                    *(name, str(self.customer.id), str(self.company.id), "sale", NOW),
                    *(str(self.chair.id), "1"),
                ]
                for name in names
            ],
        )
        self.assertFalse(result["messages"])
        orders = self.env["sale.order"].browse(result["ids"])
        self.assertEqual(orders.mapped("name"), names)
        self.assertSilentUntilTheSenderRuns(orders)

    def test_while_the_registry_is_loading(self):
        order = self.confirm(self.make_order())
        loading = patch.object(self.registry, "ready", False)
        with loading:
            for name in ("send", "verify", "sweep", "retrack"):
                self.run_cron(f"ir_cron_{name}")
        self.assertSilentUntilTheSenderRuns(order)
        # The same for what reads Matomo back.
        asked = len(self.matomo.requests)
        with freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(days=1)):
            with loading:
                self.run_verifier()
                self.run_cron("ir_cron_sweep")
            self.assertEqual(len(self.matomo.requests), asked)
            self.assertState(order, "sent")
            self.run_verifier()
            self.assertState(order, "verified")
            asked = len(self.matomo.requests)
            self.run_cron("ir_cron_sweep")
            self.assertGreater(len(self.matomo.requests), asked)

    def test_shell(self):
        done = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "odoo", "shell", "-c", config["config"]),
                *("-d", get_db_name(), "--no-http", "--log-level=error"),
            ],
            input=SHELL_SCRIPT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertFalse(done.returncode, done.stderr)
        counts = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(
            counts,
            {"confirmed": 0, "committed": 0, "state": "pending", "sender": 1},
        )
