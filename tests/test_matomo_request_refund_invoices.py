from odoo.tests import freeze_time, tagged

from .common import RefundCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-03 10:00:00")
class TestRefundInvoices(RefundCommon):
    """What an order's invoices and credit notes really refund."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # It is delivered when somebody says so.
        cls.hour = cls.make_product(
            "Hour", "HOUR", 100.0, type="service", invoice_policy="delivery"
        )

    def deliver(self, order, quantity):
        order.order_line.filtered("product_id")[:1].qty_delivered = quantity

    # === DOWN PAYMENTS === #

    def test_down_payment_credited(self):
        """The order stands: it may be paid in another way."""
        order = self.track(self.make_order((self.chair, 2)))
        move = self.pay_half_down(order)
        self.assertEqual(move.amount_total, 115.0)
        self.reverse(move)
        self.run_sender()
        self.assertEvents()
        self.assertEqual(
            self.refund(order).reason, "It credits a down payment: the order stands."
        )
        # It is paid at once instead, and returned.
        final = self.invoice(order)
        self.assertEqual(final.amount_total, 230.0)
        self.run_sender()
        self.assertEvents()
        self.reverse(final)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))

    def test_down_payment_credited_and_the_order_cancelled(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.reverse(self.pay_half_down(order))
        self.run_sender()
        self.cancel(order)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))

    def test_down_payment_kept_until_it_is_credited(self):
        order = self.track(self.make_order((self.chair, 2)))
        down_payment, final = self.pay_half_down(order), self.invoice(order)
        self.assertEqual(final.amount_total, 115.0)
        self.reverse(final)
        self.run_sender()
        self.assertEvents((order.name, "115.00"))
        self.reverse(down_payment)
        self.run_sender()
        self.assertEvents((order.name, "115.00"), (order.name, "115.00"))

    def test_down_payment_credited_before_the_rest(self):
        order = self.track(self.make_order((self.chair, 2)))
        down_payment, final = self.pay_half_down(order), self.invoice(order)
        self.reverse(down_payment)
        self.run_sender()
        self.assertEvents((order.name, "115.00"))
        self.reverse(final)
        self.run_sender()
        self.assertEvents((order.name, "115.00"), (order.name, "115.00"))

    def test_partial_delivery_that_pays_back_a_down_payment(self):
        """Odoo turns an invoice of less than the down payment into a credit note."""
        order = self.track(self.make_order((self.hour, 5)))
        self.pay_half_down(order)
        self.deliver(order, 1)
        move = self.invoice(order)
        self.assertEqual(move.move_type, "out_refund")
        self.assertGreater(move.amount_total, 0)
        self.run_sender()
        self.assertEvents()

    # === CORRECTIONS === #

    def test_reverse_and_create_invoice(self):
        """The address of an invoice is corrected; the customer returns all later."""
        order = self.track(self.make_order((self.chair, 2)))
        new = self.correct(self.invoice(order))
        self.run_sender()
        self.assertEvents()
        refund = self.refund(order)
        self.assertEqual(refund.state, "pending")
        self.assertIn("A draft invoice bills", refund.reason)
        self.post(new)
        with freeze_time("2026-03-03 12:00:00"):
            self.run_sender()
        self.assertEvents()
        self.assertEqual(refund.state, "cancelled")
        self.assertEqual(refund.reason, "What it credits was invoiced again.")
        self.reverse(new)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))
        self.assertEqual(refund.state, "cancelled")

    def test_reversed_and_invoiced_for_less(self):
        order = self.track(self.make_order((self.chair, 2)))
        new = self.correct(self.invoice(order))
        new.invoice_line_ids.price_unit = 80.0
        self.run_sender()
        self.post(new)
        with freeze_time("2026-03-03 12:00:00"):
            self.run_sender()
        self.assertEvents((order.name, "46.00"))
        self.reverse(new)
        self.run_sender()
        self.assertEvents((order.name, "46.00"), (order.name, "184.00"))

    def test_draft_that_is_not_posted(self):
        """The accountant thinks better of it, or forgets the draft."""
        deleted, forgotten = (
            self.track(self.make_order((self.chair, number))) for number in (1, 2)
        )
        drafts = [self.correct(self.invoice(each)) for each in (deleted, forgotten)]
        self.run_sender()
        drafts[0].unlink()
        with freeze_time("2026-03-03 12:00:00"):
            self.run_sender()
        self.assertEvents((deleted.name, "115.00"))
        with freeze_time("2026-04-01 12:00:00"):
            self.run_sender()
        self.assertEvents((deleted.name, "115.00"))
        with freeze_time("2026-04-03 12:00:00"):
            self.run_sender()
        self.assertEvents((deleted.name, "115.00"), (forgotten.name, "230.00"))

    def test_replacement_that_is_withdrawn(self):
        order = self.track(self.make_order((self.chair, 2)))
        new = self.post(self.correct(self.invoice(order)))
        self.run_sender()
        self.assertEqual(self.refund(order).state, "cancelled")
        new.button_cancel()
        self.end_transaction()
        self.run_sender()
        self.assertEvents((order.name, "230.00"))

    def test_correction_of_a_part(self):
        """The first of two deliveries is corrected; both are returned later."""
        order = self.track(self.make_order((self.hour, 2)))
        self.deliver(order, 1)
        first = self.post(self.correct(self.invoice(order)))
        self.run_sender()
        self.deliver(order, 2)
        second = self.invoice(order)
        self.assertEqual(second.amount_total, 115.0)
        self.run_sender()
        self.assertEvents()
        self.reverse(second)
        self.run_sender()
        self.assertEvents((order.name, "115.00"))
        self.reverse(first)
        self.run_sender()
        self.assertEvents((order.name, "115.00"), (order.name, "115.00"))

    def test_credit_note_that_is_reversed(self):
        order = self.track(self.make_order((self.chair, 2)))
        move = self.reverse(self.invoice(order))
        self.run_sender()
        new = self.reverse(move)
        self.assertEqual(new.move_type, "out_invoice")
        self.assertIn("was invoiced again", self.refund(order).notes)
        self.reverse(new)
        self.run_sender()
        # Matomo cannot take the first one back, so nothing is left.
        self.assertEvents((order.name, "230.00"))

    # === DELIVERED IN PARTS === #

    def test_partial_delivery(self):
        """Six of ten are delivered, and come back: the rest was not paid."""
        order = self.track(self.make_order((self.hour, 10)))
        self.deliver(order, 6)
        move = self.invoice(order)
        self.assertEqual(move.amount_total, 690.0)
        self.reverse(move)
        self.run_sender()
        self.assertEvents((order.name, "690.00"))
        # The rest is never delivered.
        self.cancel(order)
        self.run_sender()
        self.assertEvents((order.name, "690.00"), (order.name, "460.00"))

    def test_next_delivery_does_not_delay_a_refund(self):
        order = self.track(self.make_order((self.hour, 2)))
        self.deliver(order, 1)
        first = self.invoice(order)
        self.deliver(order, 2)
        self.assertEqual(order._create_invoices().state, "draft")
        self.reverse(first)
        self.run_sender()
        self.assertEvents((order.name, "115.00"))

    # === SEVERAL, AND OTHER LINES === #

    def test_several_credit_notes(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.invoice(order)
        for amount in (20.0, 30.0, 500.0):
            self.credit(order, amount)
        self.run_sender()
        self.assertEvents(
            (order.name, "23.00"), (order.name, "34.50"), (order.name, "172.50")
        )

    def test_credit_note_of_two_orders(self):
        """A line that names no order follows the others."""
        orders = [self.track(self.make_order((self.chair, n))) for n in (1, 3)]
        invoice = self.post(self.env["sale.order"].union(*orders)._create_invoices())
        self.assertEqual(invoice.amount_total, 460.0)
        move = self.reverse(invoice, ("Restocking", -40.0))
        self.assertEqual(move.amount_total, 420.0)
        self.run_sender()
        self.assertEqual(
            {event["e_n"]: event["e_v"] for event in self.matomo.events},
            {orders[0].name: "105.00", orders[1].name: "315.00"},
        )

    def test_credit_note_without_lines_of_the_order(self):
        """The accountant replaces the lines: the credit note follows its invoice."""
        order = self.track(self.make_order((self.chair, 2)))
        wizard = self.open_reversal(self.invoice(order))
        wizard.refund_moves()
        wizard.new_move_ids.invoice_line_ids.unlink()
        self.add_line(wizard.new_move_ids, "For the trouble", 40.0)
        self.post(wizard.new_move_ids)
        self.run_sender()
        self.assertEvents((order.name, "40.00"))

    def test_restocking_fee(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.reverse(self.invoice(order), ("Restocking", -30.0))
        self.run_sender()
        self.assertEvents((order.name, "200.00"))

    # === CHANGED AFTER THEY WERE SENT === #

    def test_credit_note_changed_after_it_was_sent(self):
        order = self.track(self.make_order((self.chair, 2)))
        move = self.credit(order, 100.0)
        self.run_sender()
        refund = self.refund(order)
        move.button_draft()
        move.invoice_line_ids.price_unit = 60.0
        self.post(move)
        self.assertIn("the credit note is now of $\xa069.00", refund.notes)
        # The next one makes up for it.
        self.credit(order, 100.0)
        self.run_sender()
        self.assertEvents((order.name, "115.00"), (order.name, "69.00"))

    def test_credit_note_withdrawn_after_it_was_sent(self):
        order = self.track(self.make_order((self.chair, 2)))
        move = self.credit(order, 100.0)
        self.run_sender()
        move.button_cancel()
        self.end_transaction()
        refund = self.refund(order)
        self.assertIn("The credit note was withdrawn after", refund.notes)
        move.button_draft()
        self.post(move)
        self.assertFalse(refund.notes)
        self.run_sender()
        self.assertEvents((order.name, "115.00"))

    def test_credit_notes_that_are_deleted(self):
        """Each leaves its log entry, and the accountant can delete it."""
        order = self.track(self.make_order((self.chair, 3)))
        for _number in "12":
            move = self.credit(order, 100.0)
            self.run_sender()
            move.button_draft()
            move.unlink()
            self.end_transaction()
        self.cancel(order)
        self.run_sender()
        self.assertEvents((order.name, "115.00"), (order.name, "230.00"))

    def test_confirmed_again_after_it_was_sent(self):
        order = self.track(self.make_order((self.chair, 2)))
        self.cancel(order)
        self.run_sender()
        order.action_draft()
        self.confirm(order)
        self.assertIn("The order was confirmed again", self.refund(order).notes)
        self.cancel(order)
        self.run_sender()
        self.assertEvents((order.name, "230.00"))
