from odoo import api, fields, models

GROUPS = "base.group_system,matomo_order_tracking.group_matomo_user"


class PosConfig(models.Model):
    _inherit = "pos.config"

    matomo_follows_website = fields.Boolean(
        copy=False,
        groups=GROUPS,
        help="Orders of this Point of Sale are tracked on the Matomo site of the "
        "company's website. If the website gets another site, so do they.",
    )
    matomo_site_id = fields.Many2one(
        "matomo.site",
        compute="_compute_matomo_site_id",
        inverse="_inverse_matomo_site_id",
        store=True,
        readonly=False,
        copy=False,
        groups=GROUPS,
        help="Orders of this Point of Sale are tracked on this Matomo site.",
    )

    @api.depends("matomo_follows_website", "company_id.website_id.matomo_site_id")
    def _compute_matomo_site_id(self):
        """Follow the website's site; otherwise keep the site that was chosen."""
        for config in self:
            if config.matomo_follows_website:
                config.matomo_site_id = config.company_id.website_id.matomo_site_id
            else:
                config.matomo_site_id = config.matomo_site_id

    def _inverse_matomo_site_id(self):
        """Stop following the website when a person chooses a site for the till."""
        self.matomo_follows_website = False

    @api.model_create_multi
    def create(self, vals_list):
        """Override of `point_of_sale`: a new till does as the company's other ones.

        The first till follows the website, if that has a site.
        """
        configs = super().create(vals_list)
        chosen = {"matomo_site_id", "matomo_follows_website"}
        for config, vals in zip(configs, vals_list, strict=True):
            if chosen.isdisjoint(vals):
                # sudo: whoever opens a till need not see the Matomo site.
                config.sudo()._choose_matomo_site()
        return configs

    def _choose_matomo_site(self):
        if sibling := self._get_matomo_siblings()[-1:]:
            self._follow_matomo_till(sibling)
        elif self.company_id.website_id.matomo_site_id:
            self.matomo_follows_website = True

    def _get_matomo_siblings(self):
        """Return the other tills of the company, the oldest first."""
        mine = [("company_id", "=", self.company_id.id), ("id", "not in", self.ids)]
        return self.search(mine, order="id")

    def _follow_matomo_till(self, config):
        """Let these tills have the Matomo site that another one has."""
        if config.matomo_follows_website:
            self.matomo_follows_website = True
        else:
            self.matomo_site_id = config.matomo_site_id

    @api.constrains("matomo_site_id", "company_id")
    def _check_matomo_site_company(self):
        self.env["matomo.site"]._check_holders(self)
