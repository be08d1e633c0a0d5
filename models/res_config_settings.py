from urllib.parse import urlsplit

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..matomo_api.address import address_key
from ..tools.fields import WriteOnlyChar
from ..tools.sentences import describe_policy


class ResConfigSettings(models.TransientModel):
    """Address, site ID and token of the selected website and the selected till.

    The ``matomo.site`` of the website or the till stores these values, not the table
    of the settings. The token is never read back: an empty token keeps the stored
    one.
    """

    _inherit = "res.config.settings"

    matomo_url = fields.Char(
        string="Matomo Address",
        compute="_compute_matomo_website",
        inverse="_inverse_matomo_website",
        store=False,
        readonly=False,
    )
    matomo_idsite = fields.Integer(
        string="Matomo Site ID",
        compute="_compute_matomo_website",
        inverse="_inverse_matomo_website",
        store=False,
        readonly=False,
    )
    matomo_token_auth = WriteOnlyChar(
        string="Matomo Token",
        compute="_compute_matomo_website",
        inverse="_inverse_matomo_website",
        store=False,
        readonly=False,
    )
    matomo_has_token = fields.Boolean(compute="_compute_matomo_website")
    matomo_site_id = fields.Many2one("matomo.site", compute="_compute_matomo_website")
    matomo_is_copy = fields.Boolean(related="website_id.matomo_site_id.is_copy")

    matomo_consent_policy = fields.Selection(
        related="website_id.matomo_site_id.consent_policy", readonly=False
    )
    matomo_consent_policy_meaning = fields.Text(
        compute="_compute_matomo_consent_policy_meaning"
    )
    matomo_visit_message = fields.Text(
        related="website_id.matomo_site_id.visit_message"
    )
    matomo_set_visitor_cookie = fields.Boolean(
        related="website_id.matomo_site_id.set_visitor_cookie", readonly=False
    )
    matomo_exclude_refused = fields.Boolean(
        related="website_id.matomo_site_id.exclude_refused", readonly=False
    )
    matomo_respect_dnt = fields.Boolean(
        related="website_id.matomo_site_id.respect_dnt", readonly=False
    )
    matomo_track_carts = fields.Boolean(
        related="website_id.matomo_site_id.track_carts", readonly=False
    )
    matomo_tag = fields.Boolean(related="website_id.matomo_tag", readonly=False)
    matomo_send_user_id = fields.Boolean(
        related="website_id.matomo_site_id.send_user_id", readonly=False
    )
    matomo_tag_user_id = fields.Selection(
        related="website_id.matomo_site_id.tag_user_id", readonly=False
    )
    matomo_tag_heartbeat = fields.Boolean(
        related="website_id.matomo_site_id.tag_heartbeat", readonly=False
    )
    matomo_tag_parameters = fields.Char(
        related="website_id.matomo_site_id.tag_parameters", readonly=False
    )
    matomo_has_other_tag = fields.Boolean(compute="_compute_matomo_website")
    matomo_has_ecommerce_calls = fields.Boolean(compute="_compute_matomo_website")

    matomo_company_site_id = fields.Many2one(
        related="company_id.matomo_site_id",
        readonly=False,
        string="Matomo Site of Salespeople's Orders",
    )

    matomo_pos_site_source = fields.Selection(
        [
            ("website", "Same as the website"),
            ("own", "A site of its own"),
            ("none", "No site: POS orders are not tracked"),
        ],
        string="Matomo Site of the Point of Sale",
        compute="_compute_matomo_pos_site_source",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_website_site_id = fields.Many2one(
        "matomo.site",
        related="pos_config_id.company_id.website_id.matomo_site_id",
        string="Website's Matomo Site",
    )
    matomo_pos_url = fields.Char(
        string="Matomo Address of the Point of Sale",
        compute="_compute_matomo_till",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_idsite = fields.Integer(
        string="Matomo Site ID of the Point of Sale",
        compute="_compute_matomo_till",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_token_auth = WriteOnlyChar(
        string="Matomo Token of the Point of Sale",
        compute="_compute_matomo_till",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_has_token = fields.Boolean(compute="_compute_matomo_till")
    matomo_pos_current_site_id = fields.Many2one(
        "matomo.site",
        compute="_compute_matomo_till",
        string="Current Matomo Site of the Point of Sale",
    )

    # === COMPUTE === #

    @api.depends("website_id")
    def _compute_matomo_website(self):
        for settings in self:
            site = settings.website_id.matomo_site_id
            settings.matomo_site_id = site
            settings.matomo_has_other_tag = (
                settings.website_id
                and settings.website_id._has_other_matomo_tag(with_pages=True)
            )
            settings.matomo_has_ecommerce_calls = (
                site and settings.website_id._has_matomo_ecommerce_calls()
            )
            settings.matomo_url = site.url
            settings.matomo_idsite = site.idsite
            settings.matomo_token_auth = False
            settings.matomo_has_token = bool(site._get__token()) if site else False

    @api.depends("matomo_consent_policy")
    def _compute_matomo_consent_policy_meaning(self):
        for settings in self:
            settings.matomo_consent_policy_meaning = describe_policy(
                settings.env, settings.matomo_consent_policy
            )

    @api.depends("pos_config_id")
    def _compute_matomo_till(self):
        for settings in self:
            site = settings.pos_config_id.matomo_site_id
            settings.matomo_pos_current_site_id = site
            settings.matomo_pos_url = site.url
            settings.matomo_pos_idsite = site.idsite
            settings.matomo_pos_token_auth = False
            settings.matomo_pos_has_token = bool(site._get__token()) if site else False

    @api.depends("pos_config_id", "matomo_pos_url", "matomo_pos_idsite")
    def _compute_matomo_pos_site_source(self):
        """Show where the site of the till comes from.

        An address or site ID that the user enters means a site of its own.
        """
        for settings in self:
            config = settings.pos_config_id
            entered = settings.matomo_pos_url, settings.matomo_pos_idsite
            site = config.matomo_site_id
            if config.matomo_follows_website and entered == (site.url, site.idsite):
                settings.matomo_pos_site_source = "website"
            elif any(entered):
                settings.matomo_pos_site_source = "own"
            else:
                settings.matomo_pos_site_source = "none"

    # === INVERSE === #

    def _inverse_matomo_website(self):
        for settings in self:
            settings._set_matomo_site(
                settings.website_id,
                settings.website_id.company_id,
                settings.matomo_url,
                settings.matomo_idsite,
                settings._fields["matomo_token_auth"].get__entered(settings),
            )
        # Otherwise the token would stay in the cache, where a later read finds it.
        self.invalidate_recordset(["matomo_token_auth"], flush=False)

    def _inverse_matomo_till(self):
        for settings in self.filtered("pos_config_id"):
            config = settings.pos_config_id
            if settings.matomo_pos_site_source == "website":
                config.matomo_follows_website = True
                continue
            if config.matomo_follows_website or (
                settings.matomo_pos_site_source == "none"
            ):
                # Without this, the values below would change the website's own site.
                config.matomo_site_id = False
            if settings.matomo_pos_site_source == "own":
                settings._set_matomo_site(
                    config,
                    config.company_id,
                    settings.matomo_pos_url,
                    settings.matomo_pos_idsite,
                    settings._fields["matomo_pos_token_auth"].get__entered(settings),
                )
        self.invalidate_recordset(["matomo_pos_token_auth"], flush=False)

    @api.model
    def _set_matomo_site(self, holder, company, url, idsite, token):
        """Set the Matomo site of a website or a till to the entered values.

        A site that the company has already is used, however its address is spelled
        here. Otherwise the same site ID with another address means that the site has
        moved, and another site ID means a new site. That gets the token of the old one
        if both are on the same Matomo.

        :param holder: a ``website`` or ``pos.config``
        :param company: the ``res.company`` of the holder
        :param url: the entered address, or an empty value
        :param idsite: the entered site ID, or 0
        :param token: the entered token; an empty value keeps the stored one
        :raise ValidationError: if only one of address and site ID is entered
        """
        if not holder:
            return
        current = holder.matomo_site_id
        url = "".join((url or "").split())
        if not url and not idsite:
            holder.matomo_site_id = False
            return
        if not url or idsite < 1:
            raise ValidationError(
                self.env._(
                    "Enter both the address of your Matomo and the site ID, a number"
                    " from 1, or leave both empty to track nothing for %s.",
                    holder.display_name,
                )
            )
        sites = self.env["matomo.site"]
        key = address_key(url)
        if (current.address_key, current.idsite) == (key, idsite):
            site = current
        else:
            site = sites.search(
                [
                    ("company_id", "=", company.id),
                    ("address_key", "=", key),
                    ("idsite", "=", idsite),
                ],
                limit=1,
            )
            if not site and current.idsite == idsite:
                site = current
                site.url = url
            elif not site:
                site = sites.create(
                    {
                        "name": self.env._(
                            "%(host)s, site %(id)s",
                            host=urlsplit(url).hostname or url,
                            id=idsite,
                        ),
                        "url": url,
                        "idsite": idsite,
                        "company_id": company.id,
                        "currency_id": company.currency_id.id,
                    }
                )
                # A guess, until Matomo says which one it is. sudo: readonly for all.
                site.sudo().is_currency_confirmed = False
                if current.address_key == key:
                    site._copy__token(current)
            holder.matomo_site_id = site
        if token:
            site.token_auth = token

    # === ACTIONS === #

    def action_test_matomo_connection(self):
        """Test the saved Matomo site of the website.

        :return: an action that shows a notification with the result
        """
        return self.website_id.matomo_site_id.action_test_connection()

    def action_test_matomo_pos_connection(self):
        """Test the saved Matomo site of the till.

        :return: an action that shows a notification with the result
        """
        return self.pos_config_id.matomo_site_id.action_test_connection()
