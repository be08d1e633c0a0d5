from odoo import models
from odoo.fields import Domain

from ..outbox.transactions import guarded
from .res_partner import NOT_DELETED


class ResUsers(models.Model):
    _inherit = "res.users"

    def _deactivate_portal_user(self, **post):
        """Override of `base` to anonymize the orders of users who delete their account.

        Odoo keeps their contact if orders refer to it.
        """
        with guarded(self.env.cr, NOT_DELETED, self):
            self.filtered("share").partner_id._anonymize_matomo_data()
        return super()._deactivate_portal_user(**post)

    def unlink(self):
        """Override of `base` to take a salesperson out of what was sent, too."""
        self.check_access("unlink")
        with guarded(self.env.cr, NOT_DELETED, self):
            self.partner_id._anonymize_matomo_sales()
        return super().unlink()

    def _get_matomo_companies_domain(self):
        """Return the domain of the orders that this user, a manager, may handle."""
        return Domain("company_id", "in", self.company_ids.ids)
