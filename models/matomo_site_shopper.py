from odoo import fields, models

from ..tools.shopper import ShopperPolicy


class MatomoSite(models.Model):
    """Which data of shoppers are stored, and with whose consent."""

    _inherit = "matomo.site"

    consent_policy = fields.Selection(
        [
            ("cookie_bar", "Follow the website's cookie bar"),
            ("elsewhere", "Consent is obtained elsewhere"),
            ("never", "Never"),
        ],
        string="Store Shoppers' Data",
        required=True,
        default="cookie_bar",
        help="When a shopper's IP address, browser, visitor ID and campaign may be "
        "kept with the order. Otherwise the order is sent anonymously.",
    )
    respect_dnt = fields.Boolean(
        string="Honour Do Not Track",
        default=True,
        help="A browser that sends Do Not Track or Global Privacy Control does not "
        "agree, whatever was clicked.",
    )
    # On by default, as the guide has it: it concerns websites' carts only, so that
    # a site of tills or salespeople sends none.
    track_carts = fields.Boolean(
        default=True, help="Send changes of web shop carts to Matomo."
    )

    # === CONSENT === #

    def _get_shopper_policy(self):
        """Return the settings that decide what is stored of a shopper's visit."""
        self.ensure_one()
        return ShopperPolicy(
            idsite=self.idsite,
            consent=self.consent_policy,
            respect_dnt=self.respect_dnt,
            ip_mask=int(self.ip_mask),
        )

    def _has_tag(self):
        """Return whether the tag may run.

        On a copy of the database it may not: its page views would be sent, too.
        """
        return bool(self) and self._may_send() and self.consent_policy != "never"
