from datetime import datetime, time

from odoo import fields, models

from ..outbox import refunds
from ..outbox.refunds import Refund
from ..outbox.transactions import caught
from ..tools.billing import Document

INVOICE_TYPES = ("out_invoice", "out_refund")


class AccountMove(models.Model):
    _inherit = "account.move"

    def _post(self, soft=True):
        """Override of `account` to schedule invoices and credit notes for Matomo."""
        posted = super()._post(soft)
        posted._matomo_schedule()
        return posted

    def button_draft(self):
        """Override of `account`: what is withdrawn may change what is refunded."""
        result = super().button_draft()
        self._matomo_schedule()
        return result

    def _matomo_schedule(self):
        """Schedule the customer invoices and credit notes among these for Matomo.

        If this fails, the failure is logged and the invoices go on.
        """
        with caught("Invoices could not be scheduled for Matomo: %s", self):
            moves = self.filtered(lambda move: move.move_type in INVOICE_TYPES)
            if moves:
                self.env["matomo.request"]._schedule(moves)

    def _matomo_enqueue(self):
        """Queue a refund for each order that these credit notes refund.

        An invoice may change what earlier credit notes of its order refund: these are
        looked at again. A new credit note comes first, see ``outbox.refunds``.
        """
        # sudo: an accountant has no right to requests.
        requests = self.env["matomo.request"].sudo()
        if not requests.site_id.search_count([("track_refunds", "=", True)], limit=1):
            return
        replaced = requests.search([("replacement_move_id", "in", self.ids)])
        # Most invoices of a company that sells otherwise, too, concern no order.
        moves = self.sudo().filtered(
            lambda move: move.reversed_entry_id
            or move.invoice_line_ids.sale_line_ids
            or move in replaced.replacement_move_id
        )
        orders_of = {move: list(move._get_matomo_shares()) for move in moves}
        known = requests._get_refunds_of(
            order for orders in orders_of.values() for order in orders
        ).filtered("is_credit_note")
        found = [
            (order, move)
            for move, orders in orders_of.items()
            if move._is_matomo_credit_note()
            for order in orders
        ]
        found_orders = {order for order, _move in found}
        found += [
            (request.refunded_id, request.refund_move_id)
            for request in known
            if request.refund_move_id._is_matomo_credit_note()
            and request.refunded_id not in found_orders
        ]
        refunds.queue(
            moves.env,
            [
                Refund(
                    source=order,
                    original=order,
                    moment=move._get_matomo_moment(order),
                    move=move,
                    replacement=move._get_matomo_replacement(),
                )
                for order, move in found
            ],
        )
        refunds.note_changes(known)

    def _filter_matomo_documents(self):
        """Return those that bill an order and were made at no till, drafts included."""
        return self.filtered(
            lambda move: move.move_type in INVOICE_TYPES
            and move.state != "cancel"
            and not move.pos_order_ids
        )

    def _is_matomo_credit_note(self):
        """Return whether this is a credit note, and posted."""
        return self.move_type == "out_refund" and self.state == "posted"

    # === WHICH ORDERS, AND HOW MUCH OF EACH === #

    def _get_matomo_order_lines(self):
        """Return ``{order: lines}``: the lines that bill one sales order each."""
        lines_of = {}
        for line in self.invoice_line_ids:
            order = line.sale_line_ids.order_id
            if len(order) == 1:
                lines_of[order] = lines_of.get(order, line.browse()) | line
        return lines_of

    def _get_matomo_shares(self):
        """Return the orders that this invoice or credit note bills, and their shares.

        The share is that of the lines that name no order. What names no order at
        all follows the document that it reverses or replaces. What a till has invoiced
        is left out: the POS order reports it.

        :return: ``{order: share}``; the shares make 1
        """
        if self.pos_order_ids:
            return {}
        amounts = {
            order: abs(sum(lines.mapped("price_total")))
            for order, lines in self._get_matomo_order_lines().items()
        }
        reversed_move = self.reversed_entry_id
        if not amounts and reversed_move.pos_order_ids:
            amounts = reversed_move.pos_order_ids._get_matomo_counted_totals()
        elif not amounts and reversed_move:
            return reversed_move._get_matomo_shares()
        elif not amounts:
            replaced = self.env["matomo.request"].search(
                [("replacement_move_id", "in", self.ids)], limit=1
            )
            credit_note = replaced.refund_move_id
            return credit_note._get_matomo_shares() if credit_note else {}
        total = sum(amounts.values())
        return {
            order: amount / total if total else 1 / len(amounts)
            for order, amount in amounts.items()
        }

    def _get_matomo_document(self, order, site, is_replacement=False):
        """Return what this invoice or credit note says about an order.

        :param order: one of ``_get_matomo_shares``
        :param site: a ``matomo.site``; the ``Document`` is in its currency
        :param is_replacement: whether it is known to replace a credited invoice
        """
        self.ensure_one()
        lines_of = self._get_matomo_order_lines()
        lines = lines_of.get(order, self.env["account.move.line"])
        shared = self.invoice_line_ids.filtered(
            lambda line: not any(line in each for each in lines_of.values())
        )
        down_payments = lines.filtered("sale_line_ids.is_downpayment")
        goods = sum((lines - down_payments).mapped("price_total"))
        share = self._get_matomo_shares().get(order, 0.0)
        goods += share * sum(shared.mapped("price_total"))

        def convert(amount):
            return order._convert_matomo_refund(
                amount * -self.direction_sign, self, self.invoice_currency_rate, site
            )

        return Document(
            goods=convert(goods),
            down_payments=convert(sum(down_payments.mapped("price_total"))),
            is_replacement=is_replacement
            or self.reversed_entry_id.move_type == "out_refund",
        )

    def _get_matomo_moment(self, order):
        """Return when this credit note refunds an order (naive, UTC).

        That is now, or noon of an earlier day that the credit note bears.
        """
        now, site = fields.Datetime.now(), refunds.get_site(order)
        day = self.invoice_date
        if not day or not site or day >= site._get_today():
            return now
        noon = site._to_utc(datetime.combine(day, time(12)))
        return max(noon, order.date_order)

    def _get_matomo_replacement(self):
        """Return the invoice that "Reverse and Create Invoice" made, or no record.

        It replaces the invoice that this credit note reverses.
        """
        original = self.reversed_entry_id
        wizards = self.env["account.move.reversal"].search(
            [("move_ids", "in", original.ids)]
        )
        return wizards.new_move_ids.filtered(
            lambda move: move.move_type == "out_invoice"
            and move.line_ids.sale_line_ids == original.line_ids.sale_line_ids
        ).sorted("id")[-1:]
