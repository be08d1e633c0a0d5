from odoo import fields, models

from ..matomo_api.items import round_cents, to_decimal
from ..outbox import refunds
from ..outbox.refunds import Refund


class AccountMove(models.Model):
    _inherit = "account.move"

    def _post(self, soft=True):
        """Override of `account` to schedule credit notes for Matomo."""
        posted = super()._post(soft)
        credit_notes = posted.filtered(lambda move: move.move_type == "out_refund")
        if credit_notes:
            self.env["matomo.request"]._schedule(credit_notes)
        return posted

    def _matomo_enqueue(self):
        """Queue a refund for each sales order that these credit notes refund."""
        # sudo: an accountant has no right to requests.
        moves = self.sudo().filtered(lambda move: move.state == "posted")
        refunds.queue(
            moves.env,
            [
                Refund(order, order, fields.Datetime.now(), move)
                for move in moves
                for order in move.line_ids.sale_line_ids.order_id
            ],
        )

    def _get_matomo_refund_amount(self, order, site):
        """Return what this credit note refunds of an order.

        :param order: a ``sale.order``
        :param site: a ``matomo.site``
        :return: a positive ``Decimal`` with tax, in the site's currency
        """
        self.ensure_one()
        lines = self.invoice_line_ids.filtered(
            lambda line: line.sale_line_ids.order_id == order
        )
        amount = self.currency_id._convert(
            sum(lines.mapped("price_total")),
            site.currency_id,
            self.company_id,
            self.invoice_date or fields.Date.today(),
        )
        return round_cents(to_decimal(amount))
