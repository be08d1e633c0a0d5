from odoo import fields, models

from .matomo_request import ACCEPTED_STATES

# A sales order whose row is in one of these states counts nowhere.
UNCOUNTED_STATES = ("excluded", "cancelled")


class MatomoRequest(models.Model):
    """Sales orders that a till has settled: counted once, here or there.

    They are counted where the sales order is, as long as it counts (``pos.order``
    asks ``sale.order._is_matomo_counted``). When it ceases to before Matomo has it,
    its settlements count; and once one of them does, the sales order no longer may.
    """

    _inherit = "matomo.request"

    counts_settled = fields.Boolean(
        string="Counts What It Settled",
        readonly=True,
        help="This till sale was sent with the sales orders' lines it settled.",
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
        if sales := orders._get_matomo_settlements().order_id:
            self.env["matomo.retrack"]._queue(sales)
        return changed

    def _is_in_matomo(self):
        """Whether Matomo has it, or it may be on its way at this moment."""
        return self.state in ACCEPTED_STATES or bool(
            self.state == "pending" and self.payload
        )

    def _build(self, order):
        """Override to remember which settlements Matomo gets from the till."""
        is_built = super()._build(order)
        if is_built and self.pos_order_id:
            self.counts_settled = order._is_matomo_settlement_bought()
        return is_built
