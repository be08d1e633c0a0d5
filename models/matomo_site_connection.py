import pytz

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import config
from odoo.tools.misc import str2bool

from ..matomo_api.address import AddressRefused, check_address
from ..matomo_api.client import Client
from ..matomo_api.errors import MatomoError, Misconfigured
from ..matomo_api.reading import read_site


class MatomoSite(models.Model):
    """The way to a site's Matomo: whether it may be gone, and whether it works."""

    _inherit = "matomo.site"

    database_uuid = fields.Char(
        readonly=True,
        copy=False,
        default=lambda self: self._get_database_uuid(),
        help="The database this site was set up in. A copy of it sends nothing.",
    )
    is_copy = fields.Boolean(string="In a Copied Database", compute="_compute_is_copy")

    # === COPIES ARE SILENT === #

    @api.depends("database_uuid")
    def _compute_is_copy(self):
        uuid = self._get_database_uuid()
        for site in self:
            site.is_copy = site.database_uuid != uuid

    @api.model
    def _get_database_uuid(self):
        # sudo: a system parameter.
        return self.env["ir.config_parameter"].sudo().get_param("database.uuid")

    def action_confirm_database(self):
        """Let this database send, although it was copied or restored."""
        self.check_access("write")
        # sudo: readonly for everybody; pressing the button is the one way.
        self.sudo().database_uuid = self._get_database_uuid()
        self._mend()

    def _may_send(self):
        """Copies are silent: neutralised ones, and other databases than ours."""
        self.ensure_one()
        # sudo: a system parameter.
        parameters = self.env["ir.config_parameter"].sudo()
        return self.active and not (
            parameters.get_param("database.is_neutralized") or self.is_copy
        )

    # === THE ADDRESS === #

    @api.constrains("url")
    def _check_url(self):
        for site in self:
            site._check_address(site.url)

    def _check_address(self, url):
        """Refuse an address the token must not travel to.

        The guide: "these requests must be sent using HTTPS".

        :raise ValidationError: with a sentence that says what to enter
        """
        try:
            check_address(url, _allows_private_addresses())
        except AddressRefused as error:
            sentences = {
                "malformed": self.env._(
                    "“%s” is not a web address. Enter the address of your Matomo, for "
                    "example https://matomo.example.com/",
                    url,
                ),
                "credentials": self.env._(
                    "Enter the address of your Matomo without user name, password, "
                    "question mark or #."
                ),
                "insecure": self.env._(
                    "The address of Matomo must begin with https://, because orders "
                    "and the token would travel unprotected. Only a Matomo on this "
                    "very machine may be reached by http://."
                ),
                "forbidden": self.env._(
                    "No Matomo can be at “%s”: the address belongs to the network's or "
                    "the cloud's own services. Enter the address of your Matomo.",
                    url,
                ),
                "private": self.env._(
                    "“%s” is in a private network, which this Odoo's configuration "
                    "file forbids (matomo_forbid_private_addresses).",
                    url,
                ),
            }
            raise ValidationError(sentences[error.kind]) from error

    # === THE CONNECTION === #

    def _get_client(self, **options):
        """The HTTP client for this site.

        :param options: more of the client's options
        :raise Misconfigured: when there is no token, or in a silent copy
        """
        self.ensure_one()
        if not self._may_send():
            raise Misconfigured(
                self.env._(
                    "This database is a copy: it sends nothing to Matomo until a "
                    "manager confirms the site here."
                )
            )
        token = self._get_token()
        if not token:
            raise Misconfigured(
                self.env._("No token is set for the Matomo site “%s”.", self.name)
            )
        return Client(
            self.url,
            token,
            ca_bundle=config.get("matomo_ca_bundle") or "",
            allow_private=_allows_private_addresses(),
            **options,
        )

    def action_test_connection(self):
        """Ask Matomo about token and site, and answer in a sentence."""
        self.ensure_one()
        self.check_access("write")
        try:
            self._test_connection()
        except MatomoError as error:
            self._report_trouble(error)
        is_ok = self.state in ("ok", "warning")
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": {"ok": "success", "warning": "warning"}.get(
                    self.state, "danger"
                ),
                "title": self.env._("Matomo accepts orders for this site.")
                if is_ok
                else self.env._("The connection does not work yet."),
                "message": self.state_message or "",
                "sticky": self.state != "ok",
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    def _test_connection(self):
        """Probe the token and take over what Matomo says about the site.

        :raise MatomoError: as the client does
        """
        client = self._get_client()
        client.probe(self.idsite, timeout=self.order_timeout)
        site = read_site(client, self.idsite)
        self._report_read()
        warnings = []
        values = {"can_read": True}
        currency = self.env["res.currency"].search(
            [("name", "=", site.currency)], limit=1
        )
        if currency:
            values["currency_id"] = currency.id
        else:
            warnings.append(
                self.env._(
                    "The site's currency in Matomo, %s, is not active in Odoo.",
                    site.currency,
                )
            )
        if site.timezone in pytz.all_timezones_set:
            values["timezone"] = site.timezone
        if site.main_url:
            values["page_url"] = site.main_url
        if not site.is_ecommerce:
            warnings.append(
                self.env._(
                    "E-commerce is not enabled for this site in Matomo: reports "
                    "will stay empty. Enable it under Administration, Websites."
                )
            )
        # sudo: what Matomo says is not entered by the user; health is readonly.
        self.sudo().write(values)
        self._report_success(
            message=" ".join(warnings)
            or self.env._("Connected to “%s”.", site.name or self.name),
            state="warning" if warnings else "ok",
        )


def _allows_private_addresses():
    """Whether Matomo may be on this machine or in its network, where it often is."""
    return not str2bool(config.get("matomo_forbid_private_addresses") or "", False)
