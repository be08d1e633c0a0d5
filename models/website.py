from odoo import fields, models


class Website(models.Model):
    _inherit = "website"

    matomo_site_id = fields.Many2one(
        "matomo.site",
        copy=False,
        groups="base.group_system,matomo_order_tracking.group_matomo_user",
        help="Orders of this website are tracked on this Matomo site.",
    )
