from odoo import fields, models
from odoo.tools import SQL

from .matomo_request import ACCEPTED_STATES

# A sales order whose row is in one of these states counts nowhere.
UNCOUNTED_STATES = ("excluded", "cancelled")


class MatomoRequest(models.Model):
    """Sales orders that a till has settled: counted once, here or there.

    They are counted where the sales order is, as long as it counts (``pos.order``
    asks ``sale.order._is_matomo_counted``). When it ceases to before Matomo has it,
    its settlements count; and of what one of them has brought to Matomo, the sales
    order no longer counts anything (``sale.order._compute_matomo_lines``).
    """

    _inherit = "matomo.request"

    counted_order_ids = fields.Many2many(
        "sale.order",
        string="Counts What It Settled",
        readonly=True,
        help="The sales orders whose lines this till sale was sent with.",
    )

    def _update_state(self, state, **values):
        """Override to let settlements count once their sales order does not."""
        before = self.filtered(lambda row: row.state not in UNCOUNTED_STATES)
        changed = super()._update_state(state, **values)
        orders = (changed & before).sale_order_id
        if state not in UNCOUNTED_STATES:
            orders = orders.filtered(
                lambda order: state == "failed" and order.state == "cancel"
            )
        settled = orders._get_matomo_settlements()
        if sales := (settled | settled.refund_orderline_ids).order_id:
            self.env["matomo.retrack"]._queue(sales)
        return changed

    def _is_in_matomo(self):
        """Whether Matomo has it, or it may be on its way at this moment."""
        return self.state in ACCEPTED_STATES or bool(
            self.state == "pending" and self.payload
        )

    def _build(self, order):
        """Override to remember which settlements Matomo gets from the till."""
        if self.kind == "order" and self.pos_order_id:
            self._hold_settled(order)
        is_built = super()._build(order)
        if is_built and self.kind == "order" and self.pos_order_id:
            settled = order._get_matomo_settled_here()
            # Writing it looks it up for this row alone; reading it does for all.
            if self.counted_order_ids != settled:
                self.counted_order_ids = settled
        return is_built

    def _hold_settled(self, sale):
        """Keep the sales orders that ``sale`` has settled from being built meanwhile.

        Two lanes, each building one of both without seeing what the other does,
        would send the same lines twice. A lane that comes second waits here, and
        starts over with what the first has decided, or skips the locked row.
        """
        if orders := sale._get_matomo_settled_orders(sale.lines):
            self.env.cr.execute(
                SQL(
                    """
                    SELECT id FROM matomo_request
                     WHERE kind = 'order' AND sale_order_id IN %s
                  ORDER BY id
                       FOR NO KEY UPDATE
                    """,
                    orders._ids,
                ),
                log_exceptions=False,
            )
