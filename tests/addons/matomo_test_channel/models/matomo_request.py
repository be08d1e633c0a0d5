from odoo import fields, models


class MatomoRequest(models.Model):
    _inherit = "matomo.request"

    channel = fields.Selection(selection_add=[("ticket", "Tickets")])
    ticket_id = fields.Many2one(
        "matomo.test.ticket", readonly=True, index="btree_not_null", ondelete="cascade"
    )
    _ticket_unique = models.UniqueIndex("(ticket_id) WHERE kind = 'order'")
    _ticket_refund_unique = models.UniqueIndex("(ticket_id) WHERE kind = 'refund'")
