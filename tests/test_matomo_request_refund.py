from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, RefundCommon, lose


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestRefund(RefundCommon):
    """Refunds as Matomo events, for sites that want them."""

    def test_off_by_default(self):
        self.assertFalse(self.env["matomo.site"].default_get(["track_refunds"]))
        self.site.sudo().track_refunds = False
        order = self.track(self.make_order())
        self.cancel(order)
        self.run_sender()
        self.assertEvents()

    def test_cancelled_after_it_was_tracked(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.cancel(order)
        self.cancel(order)
        self.run_sender()
        self.run_sender()
        self.assertEvents((order.name, "230.00"))
        self.assertIn("no longer counts", order.matomo_notes)

    def test_cancelled_before_it_was_sent(self):
        order = self.confirm(self.make_order())
        self.cancel(order)
        self.run_sender()
        self.assertEvents()

    def test_credit_note_and_then_cancelled(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.credit(order, 40.0)
        self.run_sender()
        self.assertEvents((order.name, "46.00"))
        self.cancel(order)
        self.run_sender()
        self.assertEvents((order.name, "46.00"), (order.name, "184.00"))

    def test_cancelled_and_then_credited(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.cancel(order)
        self.run_sender()
        for amount in (150.0, 50.0):
            self.credit(order, amount)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))
        self.assertEqual(
            self.refund(order).filtered("refund_move_id").mapped("reason"),
            ["All that Matomo has of it is given back already."] * 2,
        )

    def test_cancelled_and_confirmed_again_before_it_is_reported(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.cancel(order)
        order.action_draft()
        self.confirm(order)
        self.run_sender()
        self.assertEvents()
        self.assertEqual(self.refund(order).reason, "The order was confirmed again.")
        self.cancel(order)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))

    def test_credit_note_withdrawn_before_it_is_reported(self):
        order = self.track(self.make_order((self.chair, 2)))
        move = self.credit(order, 100.0)
        move.button_draft()
        self.run_sender()
        self.assertEvents()
        self.assertEqual(self.refund(order).reason, "The credit note was withdrawn.")
        move.action_post()
        self.end_transaction()
        self.run_sender()
        self.assertEvents((order.name, "115.00"))

    def test_cancelled_order_of_which_a_till_has_sold_a_part(self):
        order = self.track(self.make_order((self.chair, 5)))
        sale = self.settle_at_till(order, 3)
        self.take_back_at_till(sale, 1)
        self.credit(order, 100.0)
        self.run_sender()
        self.cancel(order)
        self.run_sender()
        events = [(order.name, amount) for amount in ("115.00", "115.00", "115.00")]
        # Two chairs of the five are sold, and stay so until the till takes them back.
        self.assertEvents(*events)
        self.take_back_at_till(sale, 2)
        self.run_sender()
        self.assertEvents(*events, (order.name, "230.00"))

    def test_till_refund_and_cancellation_reported_together(self):
        order = self.track(self.make_order((self.chair, 5)))
        sale = self.settle_at_till(order, 3)
        self.cancel(order)
        self.take_back_at_till(sale, 1)
        self.run_sender()
        self.assertEvents((order.name, "230.00"), (order.name, "115.00"))

    @mute_logger(LOGGER)
    def test_cancelled_while_it_was_on_its_way(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        self.matomo.faults = [lose] * 2
        self.run_sender()
        self.assertState(order, "pending")
        self.cancel(order)
        with freeze_time("2026-03-03 12:00:00"):
            self.run_sender()
        self.assertRecorded(order, revenue="230.00")
        self.assertEvents((order.name, "230.00"))

    def test_down_payment_given_back(self):
        product = self.make_product(
            "Down payment", "DOWN", 0.0, type="service", taxes=self.env["account.tax"]
        )
        self.config.down_payment_product_id = product

        def pay_down(order):
            return self.sync(
                self.make_sale(
                    {
                        "product_id": product.id,
                        "price_unit": 100.0,
                        "sale_order_origin_id": order.id,
                    }
                )
            )

        def give_back(sale):
            self.sync(
                self.make_sale(
                    {
                        "product_id": product.id,
                        "qty": -1,
                        "price_unit": 100.0,
                        "refunded_orderline_id": sale.lines.id,
                    },
                    is_refund=True,
                )
            )

        first, second = (self.track(self.make_order((self.chair, 2))) for _ in "12")
        # The order stands: it may be paid in another way.
        give_back(pay_down(first))
        self.run_sender()
        self.assertEvents()
        self.cancel(first)
        self.run_sender()
        self.assertEvents((first.name, "230.00"))
        # Cancelled first: the shop keeps the down payment, until it gives it back.
        paid = pay_down(second)
        self.cancel(second)
        self.run_sender()
        give_back(paid)
        self.run_sender()
        self.assertEvents(
            (first.name, "230.00"), (second.name, "130.00"), (second.name, "100.00")
        )

    def test_till_refund(self):
        sale = self.sync(self.make_sale((self.chair, 3)))
        self.run_sender()
        line = {
            "product_id": self.chair.id,
            "qty": -1,
            "refunded_orderline_id": sale.lines.id,
        }
        refund = self.sync(self.make_sale(line, is_refund=True)) - sale
        exchange = self.sync(self.make_sale(line, (self.lamp, 1))) - sale
        self.run_sender()
        ref = sale.matomo_order_ref
        self.assertEvents((ref, "115.00"), (ref, "115.00"))
        self.assertState(refund, "excluded")
        self.assertRecorded(exchange, revenue="12.08")

    def test_till_takes_back_what_two_orders_count(self):
        order = self.confirm(self.make_order((self.chair, 2)))
        sale = self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "qty": 2,
                    "sale_order_origin_id": order.id,
                    "sale_order_line_id": order.order_line.id,
                },
                (self.lamp, 1),
            )
        )
        self.run_sender()
        values = self.make_sale(
            *(
                {
                    "product_id": line.product_id.id,
                    "qty": -line.qty,
                    "price_unit": line.price_unit,
                    "refunded_orderline_id": line.id,
                }
                for line in sale.lines
            ),
            is_refund=True,
        )
        refund = self.sync(dict(values))
        self.assertEqual(self.sync(dict(values)), refund)
        self.run_sender()
        self.assertEvents((order.name, "230.00"), (sale.matomo_order_ref, "12.08"))

    def test_refund_waits_for_its_order(self):
        sale = self.sync(self.make_sale((self.chair, 1)))
        self.site.sudo().next_attempt_date = "2026-03-03 10:30:00"
        refund = self.sync(
            self.make_sale(
                {
                    "product_id": self.chair.id,
                    "qty": -1,
                    "refunded_orderline_id": sale.lines.id,
                },
                is_refund=True,
            )
        )
        self.assertTrue(refund)
        self.run_sender()
        self.assertEvents()
        with freeze_time("2026-03-03 11:00:00"):
            self.run_sender()
            self.assertEvents((sale.matomo_order_ref, "115.00"))

    @mute_logger(LOGGER)
    def test_lost_answer_is_not_counted_twice(self):
        order = self.track(self.make_order())
        self.cancel(order)
        self.matomo.faults = [lose] * 2
        self.run_sender()
        self.assertEqual(len(self.matomo.events), 1)
        with freeze_time("2026-03-03 12:00:00"):
            self.run_sender()
        self.assertEvents((order.name, "115.00"))
        self.assertEqual(self.refund(order).state, "sent")

    # === ONE THAT MATOMO CANNOT TAKE === #

    def make_refunds(self):
        """Return two tracked orders that were cancelled after they were sent."""
        orders = self.track(self.make_order()), self.track(self.make_order())
        for order in orders:
            self.cancel(order)
        return orders

    def assertRestGoesOn(self):
        """Assert that other orders are still sent: the site must not wait."""
        order = self.track(self.make_order())
        self.assertState(order, "sent")
        self.assertFalse(self.site.next_attempt_date)
        self.assertFalse(self.site.failure_count)

    @mute_logger(LOGGER)
    def test_refund_that_breaks_matomo_fails_alone(self):
        bad, good = self.make_refunds()
        self.matomo.breaks = lambda p: p.get("e_n") == bad.name
        self.run_sender()
        self.assertEvents((good.name, "115.00"))
        self.assertEqual(self.refund(bad).state, "pending")
        self.assertRestGoesOn()
        for hour in (11, 12):
            with freeze_time(f"2026-03-03 {hour}:00:00"):
                self.run_sender()
        self.assertEqual(self.refund(bad).state, "failed")
        self.assertEqual(self.refund(bad).failure_type, "server")
        self.assertIn(
            "answered this refund 3 times with HTTP status 500", self.refund(bad).reason
        )
        self.assertRestGoesOn()
        # What was wrong is corrected.
        self.matomo.breaks = lambda p: False
        message = bad.action_matomo_retrack()["params"]["message"]
        self.assertIn("Its refund is queued to be sent.", message)
        self.run_sender()
        self.assertEvents((good.name, "115.00"), (bad.name, "115.00"))

    @mute_logger(LOGGER)
    def test_refused_refund_fails_alone(self):
        bad, good = self.make_refunds()
        self.matomo.refuses = lambda p: p.get("e_n") == bad.name
        self.run_sender()
        self.assertEvents((good.name, "115.00"))
        self.assertEqual(self.refund(bad).state, "failed")
        self.assertIn("Matomo refused this refund", self.refund(bad).reason)
        self.assertRestGoesOn()

    @mute_logger(LOGGER)
    def test_refund_that_may_be_there_waits_until_the_token_may_read(self):
        first, second = self.make_refunds()
        self.matomo.faults = [lose] * 2
        self.run_sender()
        self.matomo.may_read = False
        with freeze_time("2026-03-03 12:00:00"):
            self.run_sender()
            self.assertEvents((first.name, "115.00"), (second.name, "115.00"))
            self.assertEqual(self.refund(first).state, "pending")
            self.assertIn("does not let the token read", self.refund(first).reason)
            self.assertRestGoesOn()
        with freeze_time("2026-03-03 15:00:00"):
            self.run_sender()
        self.matomo.may_read = True
        with freeze_time("2026-03-03 18:00:00"):
            self.site.with_user(self.make_manager()).action_test_connection()
            self.run_sender()
        self.assertEvents((first.name, "115.00"), (second.name, "115.00"))
        self.assertEqual(self.refund(first).state, "sent")
        self.assertFalse(self.refund(first).reason)
