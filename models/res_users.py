from odoo import models


class ResUsers(models.Model):
    _inherit = "res.users"

    def _deactivate_portal_user(self, **post):
        """Override of `base`: who deletes their account is forgotten.

        Their contact stays where orders name it.
        """
        self.filtered("share").partner_id._forget_in_matomo()
        return super()._deactivate_portal_user(**post)
