from odoo import models
from odoo.fields import Domain


class ResUsers(models.Model):
    _inherit = "res.users"

    def _deactivate_portal_user(self, **post):
        """Override of `base`: who deletes their account is forgotten.

        Their contact stays where orders name it.
        """
        partners = self.filtered("share").partner_id
        partners._forget_in_matomo(Domain("partner_id", "in", partners.ids))
        return super()._deactivate_portal_user(**post)
