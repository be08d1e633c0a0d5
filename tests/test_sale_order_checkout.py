from datetime import timedelta

from odoo import fields
from odoo.tests import tagged

from .common import CheckoutCommon


@tagged("post_install", "-at_install")
class TestCheckout(CheckoutCommon):
    """A web order that is paid two days after the checkout, by bank transfer."""

    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.run_matomo_js()
        now = fields.Datetime.now().replace(hour=12, minute=0, second=0)
        self.checkout = now - timedelta(days=3)
        self.payment = now - timedelta(days=1)

    def buy(self, **values):
        """Return an order that was sent: checked out first, and confirmed later.

        :param values: of the site
        """
        self.site.sudo().write(values)
        cart = self.fill_cart()
        self.run_sender()
        updates = cart.sudo().matomo_cart_update_ids
        self.assertEqual(updates.mapped("state"), ["sent"])
        transaction = self.pay(cart, self.wire)
        self.open("/payment/custom/process", data={"reference": transaction.reference})
        self.come_back()
        self.env.invalidate_all()
        for records, name, moment in (
            (transaction, "create_date", self.checkout),
            (updates, "changed_date", self.checkout - timedelta(minutes=5)),
        ):
            self.env.cr.execute(
                f"UPDATE {records._table} SET {name} = %s WHERE id IN %s",
                (moment, records._ids),
            )
        self.env.invalidate_all()
        self.confirm(cart)
        cart.date_order = self.payment
        self.run_sender()
        return cart

    def compare(self):
        """Run the nightly comparison. Return its records: ``{day: record}``."""
        self.run_cron("ir_cron_sweep")
        rows = self.env["matomo.reconciliation"].search([])
        return {row.day: row for row in rows}

    def assertDay(self, row, count, *notes):
        self.assertEqual((row.odoo_order_count, row.matomo_order_count), (count, count))
        self.assertEqual(row.state, "equal")
        found = [(cause.kind, cause.name) for cause in row.cause_ids]
        self.assertEqual(found, list(notes))
        self.assertFalse(any(row.cause_ids.mapped("revenue_difference")))

    def test_time_of_the_confirmation(self):
        """Matomo keeps the cart as abandoned, and Odoo says that it was bought."""
        order = self.buy()
        self.assertRecorded(order, cdt=str(self.payment))
        self.assertIn("goes on counting the cart", order.matomo_notes)
        self.assertFalse(self.get_request(order).checkout_date)
        days = self.compare()
        self.assertDay(
            days[self.checkout.date()],
            0,
            ("cart", order.name),
        )
        self.assertEqual(days[self.checkout.date()].bought_cart_count, 1)
        self.assertDay(days[self.payment.date()], 1)
        self.assertEqual(sum(row.bought_cart_count for row in days.values()), 1)

    def test_time_of_the_checkout(self):
        """The order stands on the day of the checkout, and takes its cart back."""
        order = self.buy(order_time="checkout")
        self.assertRecorded(order, cdt=str(self.checkout))
        self.assertFalse(order.matomo_notes)
        self.assertEqual(self.get_request(order).order_date, self.checkout)
        self.run_verifier()
        self.assertState(order, "verified")
        days = self.compare()
        self.assertDay(
            days[self.checkout.date()],
            1,
            ("checkout", order.name),
        )
        self.assertDay(days[self.payment.date()], 0)
        self.assertFalse(sum(row.bought_cart_count for row in days.values()))
        # What was sent stays what it is.
        self.site.sudo().order_time = "confirmation"
        self.assertDay(self.compare()[self.payment.date()], 0)
        self.assertFalse(order.matomo_notes)

    def test_cart_of_a_day_that_is_not_bought(self):
        self.fill_cart()
        self.run_sender()
        days = self.compare()
        self.assertFalse(sum(row.bought_cart_count for row in days.values()))

    def test_orders_that_are_not_of_a_website_have_no_checkout(self):
        self.site.sudo().order_time = "checkout"
        order = self.confirm(self.make_order())
        self.run_sender()
        self.assertRecorded(order, cdt=str(order.date_order))
        self.assertFalse(self.get_request(order).checkout_date)
