from odoo import api, fields, models

# So many orders are looked at in one transaction.
BATCH = 200


class MatomoRetrack(models.Model):
    """Orders that are to be looked at again while nobody waits for it.

    One row for each large selection of a person, or for what the addon itself has to
    reconsider (a sales order that a till has settled is cancelled). Asking costs one
    statement, however many orders there are, and locks none of them. What is done is
    taken off the row in the transaction that does it: after a crash the rest is still
    there, and looking at an order twice does no harm.
    """

    _name = "matomo.retrack"
    _description = "Orders to Be Retracked in Matomo"
    _order = "id"

    res_model = fields.Char(required=True, readonly=True)
    res_ids = fields.Json(readonly=True, help="The orders that are not done yet.")
    is_asked = fields.Boolean(
        readonly=True,
        help="A person, who created this, is told what came of it.",
    )
    order_count = fields.Integer(readonly=True)
    queued_count = fields.Integer(readonly=True)
    checked_count = fields.Integer(readonly=True)

    @api.model
    def _queue(self, orders, is_asked=False):
        """Have ``orders`` looked at soon, without reading any of them now."""
        # sudo: whoever makes or cancels a sale has no right to the queue.
        self.sudo().create(
            {
                "res_model": orders._name,
                "res_ids": orders.ids,
                "is_asked": is_asked,
                "order_count": len(orders),
            }
        )
        self.env["matomo.request"]._wake_retrack()

    def _retrack_next(self):
        """Look at the next batch of this request; how many orders it had."""
        ids = self.res_ids[:BATCH]
        orders = self.env[self.res_model].browse(ids).exists()
        failed = self.env["matomo.request"]._do_each(orders, self._retrack)
        # What broke was logged; what is gone needs nothing.
        if gone := set(ids) - set((orders - failed).ids):
            self._take_off(gone)
        if not self.res_ids:
            self._tell()
            self.unlink()
        return len(ids)

    def _retrack(self, orders):
        """Look at ``orders`` and take them off, in one transaction."""
        user = self.create_uid
        requests = self.env["matomo.request"].with_context(lang=user.lang)
        outcomes = requests._retrack_now(
            # What was sold long ago lets today's sales pass.
            orders.with_context(matomo_is_backfill=True),
            user if self.is_asked else None,
        )
        self.queued_count += requests._count_queued(outcomes)
        self.checked_count += requests._count_checked(outcomes)
        self._take_off(orders.ids)

    def _take_off(self, ids):
        self.res_ids = [id_ for id_ in self.res_ids if id_ not in set(ids)]

    def _tell(self):
        """Say to the person, if they are still there, what came of it."""
        user = self.create_uid
        if not self.is_asked:
            return
        message = (
            self.env["matomo.request"]
            .with_context(lang=user.lang)
            ._get_summary(self.order_count, self.queued_count, self.checked_count)
        )
        user._bus_send("simple_notification", {"type": "info", "message": message})
