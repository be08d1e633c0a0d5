from odoo import api, fields, models
from odoo.fields import Domain

from ..matomo_api.setup import NewSite
from ..outbox.connect import Target


class MatomoConnectSite(models.TransientModel):
    """A site of Matomo that may be chosen; number 0 is one that is to be made."""

    _name = "matomo.connect.site"
    _description = "Matomo Site to Choose"
    # The likely one, what may be made, then all others.
    _order = "sequence, name, id"
    _rec_names_search = ["name", "main_url"]

    connect_id = fields.Many2one("matomo.connect", required=True, ondelete="cascade")
    sequence = fields.Integer()
    idsite = fields.Integer(readonly=True, aggregator=None)
    name = fields.Char(readonly=True)
    main_url = fields.Char(string="Main Address", readonly=True)
    currency = fields.Char(readonly=True)
    timezone = fields.Char(string="Time Zone", readonly=True)
    is_ecommerce = fields.Boolean(string="E-Commerce", readonly=True)
    access = fields.Char(readonly=True)
    keeps_token = fields.Boolean(
        readonly=True, help="Odoo has this site, with a token that works."
    )

    @api.depends("idsite", "name", "currency", "timezone", "is_ecommerce")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for line in self:
            line.display_name = line._describe()

    @api.model
    def _search_display_name(self, operator, value):
        """Override of the ORM: a site is found by its number, too."""
        domain = Domain(super()._search_display_name(operator, value))
        number = value.strip() if isinstance(value, str) else ""
        if operator == "ilike" and number.isdecimal() and len(number) < 10:
            domain |= Domain("idsite", "=", int(number))
        return domain

    def _describe(self):
        figures = {
            "name": self.name,
            "idsite": self.idsite,
            "currency": self.currency or "?",
            "timezone": self.timezone or "?",
        }
        if not self.idsite:
            return self.env._("Make a new site: %(name)s, %(currency)s", **figures)
        if not self.is_ecommerce:
            return self.env._(
                "%(name)s (site %(idsite)s, %(currency)s, %(timezone)s, e-commerce "
                "off)",
                **figures,
            )
        return self.env._(
            "%(name)s (site %(idsite)s, %(currency)s, %(timezone)s)", **figures
        )

    def _get_target(self):
        """Return what is to be done with this site in Matomo."""
        self.ensure_one()
        new = NewSite(self.name, self.main_url or "", self.currency, self.timezone)
        is_off = not self.is_ecommerce and self.access == "admin"
        return Target(self.idsite, new, is_off)
