"""Refunds by cancellation, by credit note and at a till."""

from odoo import Command

from .till import MatomoPosCommon


class RefundCommon(MatomoPosCommon):
    """A Matomo site that tracks refunds, and the ways to refund something."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.sudo().track_refunds = True

    def track(self, order):
        self.confirm(order)
        self.run_sender()
        return order

    def assertEvents(self, *events):
        self.assertEqual(
            [(event["e_n"], event["e_v"]) for event in self.matomo.events],
            list(events),
        )
        for event in self.matomo.events:
            self.assertEqual((event["e_c"], event["e_a"]), ("Ecommerce", "Refund"))
            self.assertEqual(event["ca"], "1")
            self.assertNotIn("idgoal", event)

    def refund(self, order):
        requests = order.sudo().matomo_request_ids
        return requests.filtered(lambda request: request.kind == "refund")

    def settle_at_till(self, order, quantity):
        return self.sync(
            self.make_sale(
                {
                    "product_id": order.order_line.product_id.id,
                    "qty": quantity,
                    "sale_order_origin_id": order.id,
                    "sale_order_line_id": order.order_line.id,
                }
            )
        )

    def take_back_at_till(self, sale, quantity):
        return self.sync(
            self.make_sale(
                {
                    "product_id": sale.lines.product_id.id,
                    "qty": -quantity,
                    "refunded_orderline_id": sale.lines.id,
                },
                is_refund=True,
            )
        )

    # === INVOICING === #

    def post(self, move):
        move.action_post()
        self.end_transaction()
        return move

    def invoice(self, order, **values):
        """A posted invoice of what there is to invoice, as its wizard makes it."""
        before = order.invoice_ids
        wizard = self.env["sale.advance.payment.inv"].create(
            {"sale_order_ids": [Command.set(order.ids)], **values}
        )
        wizard.create_invoices()
        return self.post(order.invoice_ids - before)

    def pay_half_down(self, order):
        return self.invoice(order, advance_payment_method="percentage", amount=50)

    def reverse(self, move, *lines):
        """A posted credit note of all that was invoiced, with lines without tax."""
        wizard = self.open_reversal(move)
        wizard.refund_moves()
        for name, amount in lines:
            self.add_line(wizard.new_move_ids, name, amount)
        return self.post(wizard.new_move_ids)

    def add_line(self, move, name, amount):
        values = {"name": name, "price_unit": amount, "tax_ids": [Command.clear()]}
        move.invoice_line_ids = [Command.create(values)]

    def open_reversal(self, move):
        wizards = self.env["account.move.reversal"].with_context(
            active_model="account.move", active_ids=move.ids
        )
        return wizards.create({"journal_id": move.journal_id.id})

    def correct(self, move):
        """Press Reverse and Create Invoice; the new invoice, a draft."""
        wizard = self.open_reversal(move)
        wizard.modify_moves()
        self.end_transaction()
        self.assertEqual(wizard.new_move_ids.mapped("state"), ["draft"])
        return wizard.new_move_ids
