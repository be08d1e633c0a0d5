from odoo import models


class ResUsers(models.Model):
    _inherit = "res.users"

    def _deactivate_portal_user(self, **post):
        """Override of `base` to anonymize the orders of users who delete their account.

        Odoo keeps their contact if orders refer to it.
        """
        self.filtered("share").partner_id._anonymize_matomo_data()
        return super()._deactivate_portal_user(**post)
