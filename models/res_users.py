from odoo import models


class ResUsers(models.Model):
    _inherit = "res.users"

    def _deactivate_portal_user(self, **post):
        """Override of `base` to delete the data of customers who delete their account.

        The contact itself stays if orders refer to it.
        """
        self.filtered("share").partner_id._anonymize_matomo_data()
        return super()._deactivate_portal_user(**post)
