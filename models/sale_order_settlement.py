from odoo import api, models

from ..const import Verdict
from .matomo_order_amounts import ComputedLine


class SaleOrder(models.Model):
    """Sales orders that a till has settled, wholly or partly: what counts here.

    As a rule all of it does, and nothing at the till. What a till has brought to
    Matomo all the same, while the order did not count, is taken off here.
    """

    _inherit = "sale.order"

    def _matomo_enqueue(self):
        """Override of `matomo.order.mixin`: what a till has settled counts there
        if its sales order is cancelled before Matomo has it.
        """
        rows = super()._matomo_enqueue()
        # sudo: who cancels an order need not be able to see the till's sales.
        cancelled = self.sudo().filtered(
            lambda order: order.state == "cancel" and order._get_matomo_settlements()
        )
        if cancelled:
            self.env["matomo.retrack"]._queue(cancelled)
        return rows

    @api.ondelete(at_uninstall=False)
    def _unlink_matomo(self):
        """What a till has settled counts there if the order is gone unsent."""
        # sudo: see _matomo_enqueue.
        orders = self.sudo().filtered(
            lambda order: order._get_matomo_settlements()
            and not order._get_matomo_row()._is_in_matomo()
        )
        if sales := orders._get_matomo_settlements().order_id:
            self.env["matomo.retrack"]._queue(sales)

    def _get_matomo_settlements(self):
        """The till's lines that settle these orders, of sales that are paid."""
        lines = self.pos_order_line_ids | self.order_line.pos_order_line_ids
        return lines.filtered(lambda line: line.order_id._is_matomo_sale())

    def _is_matomo_counted(self):
        """Whether Matomo has this order, or will have it (in sudo)."""
        self.ensure_one()
        row = self._get_matomo_row()
        if row._is_in_matomo():
            # Matomo forgets nothing: the cancellation is a refund's matter.
            return True
        if self.state == "cancel":
            return False
        if row:
            return row.state in ("pending", "failed")
        return self._get_matomo_verdict()[0].state != "excluded"

    def _get_matomo_counted_lines(self):
        """The till's lines by which Matomo has a part of this order (in sudo)."""
        self.ensure_one()
        return self._get_matomo_settlements().filtered(
            lambda line: line.order_id._is_matomo_counting(self)
            and line.order_id._get_matomo_line_fate(line) == "bought"
        )

    def _get_matomo_content_verdict(self):
        """Override of `matomo.order.mixin`: a till may have counted it already."""
        if counted := self._get_matomo_counted_lines():
            left = sum(
                computed.untaxed + computed.tax
                for computed in self._compute_matomo_bought_lines()
            )
            if self.currency_id.compare_amounts(left, 0) <= 0:
                return Verdict(
                    "excluded",
                    self.env._("Settled by %s, where it is counted.", _names(counted)),
                )
        return super()._get_matomo_content_verdict()

    def _get_matomo_line_fate(self, line):
        """Override of `matomo.order.mixin`: a down payment a till has counted."""
        if line.is_downpayment and line in self._get_matomo_counted_lines().mapped(
            "sale_order_line_id"
        ):
            return "bought"
        return super()._get_matomo_line_fate(line)

    def _compute_matomo_lines(self):
        """Override of `matomo.order.mixin` to take off what a till has counted."""
        computed_lines = super()._compute_matomo_lines()
        counted = self._get_matomo_counted_lines().grouped("sale_order_line_id")
        return [
            self._take_off_counted(computed, counted[computed.line])
            if computed.line in counted
            else computed
            for computed in computed_lines
        ]

    def _take_off_counted(self, computed, counted):
        """What is left of a line of which a till has counted a part.

        Of a product what was not taken away yet, at this order's price; of a down
        payment what was paid.
        """
        line = computed.line
        if line.is_downpayment:
            untaxed, tax = self._get_matomo_amounts_at_till(counted)
            return ComputedLine(line, -untaxed, -tax, 0.0)
        done = sum(
            line._convert_qty(line, quantity, "p2s")
            for quantity in counted.mapped("qty")
        )
        left = computed.quantity - done
        # 0.8 less 0.1 and 0.7 is a little more than nothing for a computer.
        is_left = line.product_uom_id.compare(left, 0.0) > 0
        return computed.take(left if is_left else 0.0, self.currency_id)

    def _get_matomo_amounts_at_till(self, lines):
        """What the tills' ``lines`` come to: untaxed and tax."""
        totals = [0.0, 0.0]
        for sale in lines.order_id:
            surplus = sale._get_matomo_surplus()
            for computed in sale._compute_matomo_lines():
                if computed.line in lines:
                    if computed.line in surplus:
                        left = computed.quantity - surplus[computed.line]
                        computed = computed.take(left, sale.currency_id)
                    for number, amount in enumerate((computed.untaxed, computed.tax)):
                        totals[number] += sale.currency_id._convert(
                            amount, self.currency_id, self.company_id, sale.date_order
                        )
        return totals

    def _get_matomo_refund_amount(self, original, site, left):
        """Override of `matomo.order.mixin`: all of it, but for what a till has sold.

        What a till has taken back and Matomo does not know of yet, the till's own
        refund will report.
        """
        refunds = self.env["matomo.request"]._get_refunds_of(self)
        pending = refunds.filtered(
            lambda refund: refund.state == "pending" and not refund._is_in_matomo()
        )
        return left - self._get_matomo_sold_at_tills(site, pending.pos_order_id)

    def _get_matomo_sold_at_tills(self, site, untold):
        """What tills have sold of this order and have not taken back, with tax.

        Only what is counted here, in the site's currency.

        :param untold: till sales that have taken back, and are left out
        """
        settled = self._get_matomo_settlements().filtered(
            lambda line: line.order_id._get_matomo_line_fate(line) == "settled"
        )
        returned = settled.refund_orderline_ids.filtered(
            lambda line: line.order_id._is_matomo_sale() and line.order_id not in untold
        )
        amounts = self._get_matomo_amounts_at_till(settled | returned)
        return self._get_matomo_converter(site)(sum(amounts))

    def _get_matomo_amount_notes(self, amounts):
        """Override of `matomo.order.mixin`."""
        notes = super()._get_matomo_amount_notes(amounts)
        if counted := self._get_matomo_counted_lines():
            notes.append(
                self.env._(
                    "Without what was settled by %s, where it is counted.",
                    _names(counted),
                )
            )
        return notes


def _names(lines):
    return ", ".join(lines.order_id.mapped("name"))
