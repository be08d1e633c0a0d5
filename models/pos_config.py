from odoo import api, fields, models


class PosConfig(models.Model):
    _inherit = "pos.config"

    matomo_site_id = fields.Many2one(
        "matomo.site",
        copy=False,
        groups="base.group_system,matomo_order_tracking.group_matomo_user",
        help="Sales of this till are tracked on this Matomo site.",
    )

    @api.model
    def _load_pos_data_fields(self, config):
        """Override of `point_of_sale` to keep Matomo's fields out of the till."""
        names = super()._load_pos_data_fields(config) or list(
            self.fields_get(attributes=["type"])
        )
        return [name for name in names if not name.startswith("matomo_")]
