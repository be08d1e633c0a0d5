from odoo import models


class PosOrder(models.Model):
    """Till sales that settle more of a sales order than was ordered.

    What was ordered counts where the sales order does, what is sold besides here.
    """

    _inherit = "pos.order"

    def _get_matomo_surplus(self):
        """What this sale has sold of sales orders beyond what was ordered.

        Sales are taken as they were made: what a till has taken back since is no
        longer settled, and sold anew it is one more sale.

        :return: ``{line: quantity}``, of lines that are settled
        """
        surplus = {}
        for line in self.lines:
            ordered = line.sale_order_line_id
            if (
                not ordered
                or ordered.is_downpayment
                or self._get_matomo_line_fate(line) != "settled"
            ):
                continue
            sold = ordered.pos_order_line_ids.filtered(
                lambda other, line=line: other.id <= line.id
                and not other.refunded_orderline_id
                and other.order_id._is_matomo_sale()
            )
            limit = ordered._convert_qty(ordered, ordered.product_uom_qty, "s2p")
            over = line.product_uom_id.round(sum(sold.mapped("qty")) - limit)
            if (quantity := min(line.qty, over)) > 0:
                surplus[line] = quantity
        return surplus

    def _get_matomo_content_verdict(self):
        """Override of `matomo.order.mixin`: what is sold besides is bought here."""
        return (
            None
            if self._get_matomo_surplus()
            else super()._get_matomo_content_verdict()
        )

    def _compute_matomo_bought_lines(self):
        """Override of `matomo.order.mixin`: and what is sold besides."""
        lines = super()._compute_matomo_bought_lines()
        if surplus := self._get_matomo_surplus():
            lines += [
                computed.take(surplus[computed.line], self.currency_id)
                for computed in self._compute_matomo_lines()
                if computed.line in surplus
            ]
        return lines

    def _get_matomo_amount_notes(self, amounts):
        """Override of `matomo.order.mixin`."""
        return super()._get_matomo_amount_notes(amounts) + [
            self.env._(
                "%(product)s: %(quantity)s more than sales order %(order)s has; only "
                "these are counted here.",
                product=line.product_id.name,
                quantity=f"{quantity:g}",
                order=line.sale_order_line_id.order_id.name,
            )
            for line, quantity in self._get_matomo_surplus().items()
        ]
