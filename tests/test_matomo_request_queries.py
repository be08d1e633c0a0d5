from datetime import timedelta

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.matomo_order_tracking.outbox.sender import Sender

from .common import LOGGER, VerdictsCommon, lose

NOW = "2026-03-03 10:00:00"
# What grows with the orders shows between these as well as up to a thousand.
FEW, MANY = 50, 250
# Many orders in so many requests take as many queries as a few do.
BULKS = 5
# How many orders Matomo is asked for at a time.
READ_BACK = 50


@tagged("post_install", "-at_install")
@freeze_time(NOW)
class TestQueryCounts(VerdictsCommon):
    """The number of queries does not grow with the number of orders."""

    def clone(self, count):
        """Return confirmed orders without a verdict."""
        return self.clone_orders(self.make_order((self.chair, 1), state="sale"), count)

    def clone_till(self, count):
        return self.clone_sales(self.sync(self.make_sale((self.chair, 1))), count)

    def queue(self, orders):
        """Queue orders. The number of bulks does not depend on their count."""
        self.site.sudo().batch_size = len(orders) // BULKS
        self.env["matomo.request"]._schedule(orders)
        self.end_transaction()
        return orders

    def assertStates(self, orders, state):
        self.assertEqual(set(orders.mapped("matomo_state")), {state})

    def assertGrowsBy(self, queries, step):
        """Assert a limit of the queries that many orders need more than a few."""
        few, many = step(FEW), step(MANY)
        self.assertLessEqual(many - few, queries, (few, many))

    # === THE SENDER === #

    def send(self, orders):
        cost = self.counted(self.run_sender)
        self.assertStates(orders, "sent")
        return cost

    def test_sending_sales_orders(self):
        # PostgreSQL is given a hundred changed rows at a time.
        self.assertGrowsBy(20, lambda count: self.send(self.queue(self.clone(count))))

    def test_sending_till_sales(self):
        self.assertGrowsBy(
            20, lambda count: self.send(self.queue(self.clone_till(count)))
        )

    @mute_logger(LOGGER)
    def test_sending_again(self):
        """The answers were lost: Matomo refuses the orders, and they are read back."""

        def send_again(count):
            orders = self.queue(self.clone(count))
            self.matomo.faults = [lose] * 2
            self.run_sender()
            with freeze_time(fields.Datetime.to_datetime(NOW) + timedelta(hours=1)):
                return self.send(orders)

        self.assertGrowsBy(20, send_again)

    def test_looking_for_due_sites(self):
        """Many sites are looked at by as many queries as one is."""

        def look():
            self.assertIn(self.site, Sender(self.env(su=True))._get_due_sites())

        self.queue(self.clone(BULKS))
        # What is the same for all sites is looked up once.
        look()
        one = self.counted(look)
        for idsite in range(2, 7):
            self.site.sudo().copy({"idsite": idsite})
        self.assertEqual(self.counted(look), one)

    # === THE VERIFIER === #

    def test_verifying(self):
        def verify(count):
            orders = self.queue(self.clone(count))
            self.run_sender()
            cost = self.counted(self.run_verifier)
            self.assertStates(orders, "verified")
            return cost

        # Each time Matomo is asked it is also seen which orders are gone by then.
        self.assertGrowsBy((MANY - FEW) // READ_BACK * 18, verify)

    # === THE SWEEP === #

    def sweep(self, orders):
        cost = self.counted(lambda: self.run_cron("ir_cron_sweep"))
        self.assertStates(orders, "pending")
        return cost

    def test_sweeping_sales_orders(self):
        self.run_cron("ir_cron_sweep")
        self.assertGrowsBy(40, lambda count: self.sweep(self.clone(count)))

    def test_sweeping_till_sales(self):
        self.run_cron("ir_cron_sweep")
        self.assertGrowsBy(40, lambda count: self.sweep(self.clone_till(count)))

    # === LISTS === #

    def list(self, orders):
        self.queue(orders)
        self.run_sender()
        names = [name for name in orders._fields if name.startswith("matomo_")]
        self.assertGreater(len(names), 10)
        cost = self.counted(lambda: orders.read(names))
        self.assertLess(cost, 40)
        return cost

    def test_list_of_sales_orders(self):
        self.assertGrowsBy(5, lambda count: self.list(self.clone(count)))

    def test_list_of_till_sales(self):
        self.assertGrowsBy(5, lambda count: self.list(self.clone_till(count)))

    def test_list_of_changed_orders(self):
        """Odoo computes the amounts of each changed order anew, in few queries."""

        def read(count):
            orders = self.queue(self.clone(count))
            self.run_sender()
            self.env.cr.execute(
                "UPDATE sale_order_line SET price_unit = 50 WHERE order_id IN %s",
                [orders._ids],
            )
            orders.flush_recordset()
            orders.write({"amount_total": 57.5})
            cost = self.counted(lambda: orders.read(["matomo_notes"]))
            self.assertTrue(all(orders.mapped("matomo_notes")))
            return cost

        self.assertGrowsBy(5, read)
