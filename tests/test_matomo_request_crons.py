from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import freeze_time, tagged

from odoo.addons.base.tests.test_ir_cron import CronMixinCase

from .common import MODULE, MatomoCommon

NOW = "2026-03-03 10:00:00"


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestNoNetwork(MatomoCommon, CronMixinCase):
    """Only the scheduled actions send to Matomo, wherever an order comes from."""

    def assertSilentUntilTheSenderRuns(self, orders):
        """Assert that nothing is sent before the sender runs, and then something."""
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
