from odoo import api, fields, models


class ResCompany(models.Model):
    _inherit = "res.company"

    matomo_site_id = fields.Many2one(
        "matomo.site",
        copy=False,
        groups="base.group_system,matomo_order_tracking.group_matomo_user",
        help="Orders that salespeople enter are tracked on this Matomo site.",
    )

    @api.constrains("matomo_site_id")
    def _check_matomo_site_company(self):
        self.env["matomo.site"]._check_holders(self)

    # === MATOMO: WHO READS WHAT IS STORED === #

    def _get_matomo_managers(self):
        """Return the active Matomo managers of this company, the first ones first."""
        self.ensure_one()
        # sudo: whoever finds trouble, or makes a sale, may not see the managers.
        group = self.sudo().env.ref("matomo_order_tracking.group_matomo_manager")
        return group.all_user_ids.filtered(
            lambda user: user.active and self in user.company_ids
        ).sorted("id")

    def _get_matomo_lang(self):
        """Return the code of the language of what is stored for others to read.

        A scheduled action has no language, and whoever presses a button is not the one
        who reads the message of a site or the reason of a request.
        """
        self.ensure_one()
        # sudo: whoever makes a sale need not see the company's contact.
        if code := self.sudo().partner_id.lang:
            return code
        return self._get_matomo_managers()[:1].lang or "en_US"
