from odoo import models

from ..tools.settlement import TillLine


class PosOrderLine(models.Model):
    _inherit = "pos.order.line"

    def _get_matomo_settled_order(self):
        """Return the ``sale.order`` that this line settles, perhaps empty."""
        self.ensure_one()
        return self.sale_order_origin_id or self.sale_order_line_id.order_id

    def _prepare_matomo_till_line(self):
        """Return this line as a ``tools.settlement.TillLine``, without Odoo."""
        return TillLine(
            key=self.id,
            quantity=self.qty,
            order=self._get_matomo_settled_order().id or None,
            is_refund=bool(self.refunded_orderline_id),
            is_down_payment=self.sale_order_line_id.is_downpayment,
            is_paid=self.order_id._is_matomo_sale(),
        )
