from odoo import api, fields, models

from ..tools.reconciliation import KINDS


class MatomoReconciliationCause(models.Model):
    """A unit of the difference between Odoo and Matomo on a day: an order, and why.

    The causes of a day are replaced whenever the day is compared anew.
    """

    _name = "matomo.reconciliation.cause"
    _inherit = ["matomo.amounts"]
    _description = "Cause of a Difference to Matomo"
    # They are stored as they are to be seen: what needs a look comes first.
    _order = "day desc, id"

    reconciliation_id = fields.Many2one(
        "matomo.reconciliation",
        string="Day of the Comparison",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    site_id = fields.Many2one(related="reconciliation_id.site_id", store=True)
    company_id = fields.Many2one(
        related="reconciliation_id.company_id", store=True, index=True
    )
    currency_id = fields.Many2one(related="reconciliation_id.currency_id", store=True)
    day = fields.Date(related="reconciliation_id.day", store=True)
    kind = fields.Selection(
        [
            ("missing", "Missing in Matomo, which had accepted it"),
            ("failed", "Could not be sent"),
            ("recorded", "Other amount in Matomo"),
            ("foreign", "In Matomo, but not in Odoo"),
            ("elsewhere", "Said to be from another system, and not in Matomo"),
            ("pending", "Waits to be sent"),
            ("unarchived", "Matomo has not added them up yet"),
            ("stale", "Matomo's report is older than its orders"),
            ("clock", "In an hour that Matomo's report leaves out or counts twice"),
            ("cancelled", "Cancelled, and confirmed again"),
            ("left_out", "Not sent, because a person has cancelled it"),
            ("withdrawn", "Cancelled in Odoo after it was sent"),
            ("changed", "Changed in Odoo after it was sent"),
            ("moved", "Sent for another day"),
            ("away", "Moved to another day in Odoo after it was sent"),
            ("late", "Counted by Matomo on this day, by Odoo on another"),
            ("currency", "Sent before the site got another currency"),
            ("site", "Sent by another Matomo site of this company"),
            ("company", "Of another company in this database"),
            ("test", "Test order of the connection"),
            ("rounding", "Rounded: Matomo keeps two decimals, and about seven digits"),
            ("refused", "Not sent, because the shopper refused"),
            ("checkout", "On another day in Odoo's reports"),
            ("cart", "Abandoned cart in Matomo, bought in a later visit"),
        ],
        string="Cause",
        required=True,
        readonly=True,
    )
    severity = fields.Selection(
        [("look", "Needs a Look"), ("harmless", "Harmless"), ("note", "Good to Know")],
        compute="_compute_severity",
        store=True,
        precompute=True,
    )
    name = fields.Char(
        string="Order",
        readonly=True,
        help="The order in Odoo, or its ID in Matomo.",
    )
    request_id = fields.Many2one(
        "matomo.request", readonly=True, index="btree_not_null", ondelete="set null"
    )
    count = fields.Integer(
        string="Number of Orders", readonly=True, default=1, required=True
    )
    order_count_difference = fields.Integer(
        string="Order Difference",
        readonly=True,
        help="How many more orders Matomo counts.",
    )
    revenue_difference = fields.Monetary(
        readonly=True, help="How much more revenue Matomo counts."
    )

    @api.depends("kind")
    def _compute_severity(self):
        for cause in self:
            cause.severity = KINDS.get(cause.kind)

    def action_open_order(self):
        """Return the action that opens the order in Odoo.

        An order that is Matomo's alone is looked at there. Who may not see sales opens
        the log of the order.
        """
        self.ensure_one()
        if not self.request_id:
            return self.reconciliation_id.action_open_in_matomo()
        order = self.request_id._get_order()
        record = order if order.has_access("read") else self.request_id
        return record.get_formview_action()
