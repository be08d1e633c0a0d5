from odoo import api, fields, models


class ResCompany(models.Model):
    _inherit = "res.company"

    matomo_site_id = fields.Many2one(
        "matomo.site",
        copy=False,
        groups="base.group_system,matomo_order_tracking.group_matomo_user",
        help="Orders keyed in by salespeople are tracked on this Matomo site.",
    )

    @api.constrains("matomo_site_id")
    def _check_matomo_site_company(self):
        self.env["matomo.site"]._check_holders(self)
