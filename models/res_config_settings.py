from odoo import api, fields, models
from odoo.exceptions import AccessError, ValidationError
from odoo.tools import format_date

from ..matomo_api.address import (
    AddressRefused,
    address_key,
    check_address,
    clean_address,
)
from ..matomo_api.errors import Misconfigured
from ..matomo_api.tracking import api_url
from ..outbox.lanes import MAX_LANES, get_lane_count, set_lane_count
from ..outbox.transactions import end_transaction
from ..tools.fields import WriteOnlyChar
from ..tools.sentences import describe_error, describe_policy

# Whose connection is tested: what has a field ``matomo_site_id``.
HOLDERS = ("website", "pos.config")
# Where a user of Matomo makes a token.
TOKEN_PAGE = "?module=UsersManager&action=userSecurity"


class ResConfigSettings(models.TransientModel):
    """Address, site ID and token of the selected website and the selected till.

    The ``matomo.site`` of the website or the till stores these values, not the table
    of the settings. The token is never read back: an empty token keeps the stored
    one.
    """

    _inherit = "res.config.settings"

    matomo_url = fields.Char(
        string="Matomo Address",
        compute="_compute_matomo_url",
        inverse="_inverse_matomo_website",
        store=False,
        readonly=False,
    )
    # A text: an empty integer shows as 0, which no site is.
    matomo_idsite = fields.Char(
        string="Matomo Site ID",
        compute="_compute_matomo_idsite",
        inverse="_inverse_matomo_website",
        store=False,
        readonly=False,
    )
    matomo_token_auth = WriteOnlyChar(
        string="Matomo Token",
        compute="_compute_matomo_token_auth",
        inverse="_inverse_matomo_website",
        store=False,
        readonly=False,
    )
    matomo_has_token = fields.Boolean(compute="_compute_matomo_token")
    matomo_outside_token_message = fields.Text(compute="_compute_matomo_token")
    matomo_token_page = fields.Char(compute="_compute_matomo_token_page")
    matomo_site_id = fields.Many2one("matomo.site", compute="_compute_matomo_website")
    matomo_site_name = fields.Char(related="matomo_site_id.name")
    matomo_state = fields.Selection(related="matomo_site_id.state")
    matomo_state_message = fields.Text(related="matomo_site_id.state_message")
    matomo_last_success_date = fields.Datetime(
        related="matomo_site_id.last_success_date"
    )
    matomo_left_out_message = fields.Text(compute="_compute_matomo_left_out")
    matomo_can_track_left_out = fields.Boolean(compute="_compute_matomo_left_out")
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
    matomo_has_sites = fields.Boolean(compute="_compute_matomo_has_sites")
    matomo_lane_count = fields.Integer(
        string="Matomo: Senders at the Same Time",
        compute="_compute_matomo_lane_count",
        inverse="_inverse_matomo_lane_count",
        store=False,
        readonly=False,
        groups="base.group_system",
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
    matomo_pos_website_id = fields.Many2one(
        related="pos_config_id.company_id.website_id",
        string="Website of the Company",
    )
    matomo_pos_url = fields.Char(
        string="Matomo Address of the Point of Sale",
        compute="_compute_matomo_pos_url",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_idsite = fields.Char(
        string="Matomo Site ID of the Point of Sale",
        compute="_compute_matomo_pos_idsite",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_token_auth = WriteOnlyChar(
        string="Matomo Token of the Point of Sale",
        compute="_compute_matomo_pos_token_auth",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_has_token = fields.Boolean(compute="_compute_matomo_pos_token")
    matomo_pos_outside_token_message = fields.Text(compute="_compute_matomo_pos_token")
    matomo_pos_site_id = fields.Many2one(
        "matomo.site",
        compute="_compute_matomo_till",
        string="Current Matomo Site of the Point of Sale",
    )
    matomo_pos_token_page = fields.Char(compute="_compute_matomo_pos_token_page")
    matomo_pos_site_name = fields.Char(
        related="matomo_pos_site_id.name", string="Name of the Point of Sale's Site"
    )
    matomo_pos_state = fields.Selection(
        related="matomo_pos_site_id.state", string="State of the Point of Sale's Site"
    )
    matomo_pos_state_message = fields.Text(
        related="matomo_pos_site_id.state_message",
        string="Message of the Point of Sale's Site",
    )
    matomo_pos_last_success_date = fields.Datetime(
        related="matomo_pos_site_id.last_success_date",
        string="Last Success of the Point of Sale's Site",
    )
    matomo_pos_is_copy = fields.Boolean(
        related="matomo_pos_site_id.is_copy",
        string="Point of Sale's Site in a Copied Database",
    )
    matomo_pos_has_others = fields.Boolean(compute="_compute_matomo_till")
    matomo_pos_for_all = fields.Boolean(
        string="Use for every Point of Sale of the company",
        compute="_compute_matomo_pos_for_all",
        inverse="_inverse_matomo_till",
        store=False,
        readonly=False,
    )
    matomo_pos_left_out_message = fields.Text(compute="_compute_matomo_pos_left_out")
    matomo_pos_can_track_left_out = fields.Boolean(
        compute="_compute_matomo_pos_left_out"
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

    # A method for each value that can be entered: Odoo leaves empty what is computed
    # together with a given one. A program that sets a token alone would stop tracking.

    @api.depends("website_id")
    def _compute_matomo_url(self):
        for settings in self:
            settings.matomo_url = settings.website_id.matomo_site_id.url

    @api.depends("website_id")
    def _compute_matomo_idsite(self):
        for settings in self:
            settings.matomo_idsite = _show_idsite(settings.website_id.matomo_site_id)

    @api.depends("website_id")
    def _compute_matomo_token_auth(self):
        self.matomo_token_auth = False

    @api.depends("website_id", "matomo_url", "matomo_idsite")
    def _compute_matomo_token(self):
        for settings in self:
            holder, url = settings.website_id, settings.matomo_url
            known = settings._describe_matomo_token(holder, url, settings.matomo_idsite)
            settings.matomo_has_token, settings.matomo_outside_token_message = known

    @api.depends("matomo_url")
    def _compute_matomo_token_page(self):
        for settings in self:
            settings.matomo_token_page = _get_token_page(settings.matomo_url)

    @api.depends("matomo_consent_policy")
    def _compute_matomo_consent_policy_meaning(self):
        for settings in self:
            settings.matomo_consent_policy_meaning = describe_policy(
                settings.env, settings.matomo_consent_policy
            )

    @api.depends("company_id")
    def _compute_matomo_has_sites(self):
        for settings in self:
            sites = self.env["matomo.site"]
            company = settings.company_id
            count = sites.search_count([("company_id", "=", company.id)], limit=1)
            settings.matomo_has_sites = bool(count)

    def _compute_matomo_lane_count(self):
        self.matomo_lane_count = get_lane_count(self.env)

    @api.depends("website_id", "company_id")
    def _compute_matomo_left_out(self):
        for settings in self:
            sites = settings.website_id.matomo_site_id
            sites |= settings.company_id.matomo_site_id
            sentences, is_trackable = settings._describe_matomo_left_out(sites)
            settings.matomo_left_out_message = sentences
            settings.matomo_can_track_left_out = is_trackable

    @api.depends("pos_config_id")
    def _compute_matomo_till(self):
        for settings in self:
            config = settings.pos_config_id
            site = config.matomo_site_id
            settings.matomo_pos_site_id = site
            settings.matomo_pos_has_others = bool(config._get_matomo_siblings())

    @api.depends("pos_config_id")
    def _compute_matomo_pos_url(self):
        for settings in self:
            settings.matomo_pos_url = settings.pos_config_id.matomo_site_id.url

    @api.depends("pos_config_id")
    def _compute_matomo_pos_idsite(self):
        for settings in self:
            site = settings.pos_config_id.matomo_site_id
            settings.matomo_pos_idsite = _show_idsite(site)

    @api.depends("pos_config_id")
    def _compute_matomo_pos_token_auth(self):
        self.matomo_pos_token_auth = False

    @api.depends("pos_config_id")
    def _compute_matomo_pos_for_all(self):
        self.matomo_pos_for_all = False

    @api.depends("pos_config_id", "matomo_pos_url", "matomo_pos_idsite")
    def _compute_matomo_pos_token(self):
        for settings in self:
            holder, url = settings.pos_config_id, settings.matomo_pos_url
            known = settings._describe_matomo_token(
                holder, url, settings.matomo_pos_idsite
            )
            settings.matomo_pos_has_token = known[0]
            settings.matomo_pos_outside_token_message = known[1]

    @api.depends("matomo_pos_url")
    def _compute_matomo_pos_token_page(self):
        for settings in self:
            settings.matomo_pos_token_page = _get_token_page(settings.matomo_pos_url)

    @api.depends("pos_config_id")
    def _compute_matomo_pos_left_out(self):
        for settings in self:
            site = settings.pos_config_id.matomo_site_id
            sentences, is_trackable = settings._describe_matomo_left_out(site)
            settings.matomo_pos_left_out_message = sentences
            settings.matomo_pos_can_track_left_out = is_trackable

    @api.depends("pos_config_id", "matomo_pos_url", "matomo_pos_idsite")
    def _compute_matomo_pos_site_source(self):
        """Show where the site of the till comes from.

        An address or site ID that the user enters means a site of its own.
        """
        for settings in self:
            config = settings.pos_config_id
            url, idsite = settings.matomo_pos_url, settings.matomo_pos_idsite
            site = config.matomo_site_id
            is_as_saved = (url or False, idsite) == (site.url, _show_idsite(site))
            if config.matomo_follows_website and is_as_saved:
                settings.matomo_pos_site_source = "website"
            elif url or idsite:
                settings.matomo_pos_site_source = "own"
            else:
                settings.matomo_pos_site_source = "none"

    def _describe_matomo_token(self, holder, url, idsite):
        """Return what is known of the token of what is entered.

        :return: tuple of whether a token is stored that will be used, and where it is
            kept if that is outside of the database, or False
        """
        site, url, _number = self._find_entered_site(holder, url, idsite)
        token = self._get__stored_token(holder, site, url) if url else ""
        return bool(token), bool(site) and site._describe_outside_token()

    def _describe_matomo_left_out(self, sites):
        """Return sentences on orders that wait for somebody to ask for them.

        :param sites: the ``matomo.site`` records that are set now
        :return: tuple of the sentences, False if there are none, and whether some of
            the orders can be tracked
        """
        retracks = self.env["matomo.retrack"]
        sentences, is_trackable = [], False
        for site in sites:
            count, since = retracks._count_left_out(site)
            old_count, _since = retracks._count_left_out(site, is_before_start=True)
            is_trackable = is_trackable or bool(count)
            if count:
                sentences.append(
                    self.env._(
                        "Orders left out because no Matomo site was set: %(count)s, "
                        "the first on %(day)s.",
                        count=count,
                        day=format_date(self.env, since),
                    )
                )
            if old_count:
                sentences.append(
                    self.env._(
                        "Orders left out before tracking began on %(day)s: %(count)s. "
                        "To track them, enter an earlier Tracking Start under More "
                        "Options.",
                        day=format_date(self.env, site.date_start),
                        count=old_count,
                    )
                )
        return "\n".join(sentences) or False, is_trackable

    # === INVERSE === #

    def _inverse_matomo_lane_count(self):
        for settings in self:
            # A form saves what it shows, too: 0 where a copied database has switched
            # all of them off.
            if settings.matomo_lane_count == get_lane_count(self.env):
                continue
            if not 1 <= settings.matomo_lane_count <= MAX_LANES:
                raise ValidationError(
                    self.env._(
                        "Enter how many scheduled actions send orders to Matomo at the "
                        "same time: a number from 1 to %s.",
                        MAX_LANES,
                    )
                )
            set_lane_count(self.env, settings.matomo_lane_count)

    def _inverse_matomo_website(self):
        for settings in self:
            settings._set_matomo_site(
                settings.website_id,
                settings.matomo_url,
                settings.matomo_idsite,
                settings._fields["matomo_token_auth"].get__entered(settings),
            )
        # Otherwise the token would stay in the cache, where a later read finds it.
        self.invalidate_recordset(["matomo_token_auth"], flush=False)

    def _inverse_matomo_till(self):
        for settings in self.filtered("pos_config_id"):
            config = settings.pos_config_id
            settings._set_matomo_till(config)
            if settings.matomo_pos_for_all:
                config._get_matomo_siblings()._follow_matomo_till(config)
        self.invalidate_recordset(["matomo_pos_token_auth"], flush=False)

    def _set_matomo_till(self, config):
        """Set the Matomo site of a till to what was chosen and entered."""
        if self.matomo_pos_site_source == "website":
            config.matomo_follows_website = True
            return
        if config.matomo_follows_website or self.matomo_pos_site_source == "none":
            # Without this, the values below would change the website's own site.
            config.matomo_site_id = False
        if self.matomo_pos_site_source == "own":
            self._set_matomo_site(
                config,
                self.matomo_pos_url,
                self.matomo_pos_idsite,
                self._fields["matomo_pos_token_auth"].get__entered(self),
            )

    @api.model
    def _set_matomo_site(self, holder, url, idsite, token):
        """Set the Matomo site of a website or a till to the entered values.

        :param holder: a ``website`` or ``pos.config``
        :param url: the entered address, or an empty value
        :param idsite: the entered site ID, or an empty value
        :param token: the entered token; an empty value keeps the stored one
        :raise ValidationError: if only one of address and site ID is entered
        """
        if not holder:
            return
        current = holder.matomo_site_id
        url, number = clean_address(url or ""), _read_idsite(idsite)
        if not url and number == 0:
            holder.matomo_site_id = False
            return
        if not url or not number:
            raise ValidationError(
                self.env._(
                    "Enter both the address of your Matomo and the site ID, a number"
                    " from 1, or leave both empty to track nothing for %s.",
                    holder.display_name,
                )
            )
        site = self._find_matomo_site(holder, current, url, number)
        if not site:
            site = self._create_matomo_site(holder.company_id, url, number)
        elif (site.address_key, site.idsite) != (address_key(url), number):
            values = {"url": url, "idsite": number}
            if site._has_given_name():
                values["name"] = site._get_first_name(url, number)
            site.write(values)
        is_stray = (
            current
            and current != site
            and current._has_given_name()
            and current._is_unused(holder)
        )
        holder.matomo_site_id = site
        if is_stray:
            # Somebody has corrected a mistake: nothing of it stays.
            current.unlink()
        if token:
            site.token_auth = token

    @api.model
    def _find_entered_site(self, holder, url, idsite):
        """Return the site that is meant, its address and its number.

        :param holder: a ``website`` or ``pos.config``
        :param url: as entered; None: what is saved is meant
        :return: tuple of the site, see ``_find_matomo_site``, the address, and the
            number, see ``_read_idsite``
        """
        current = holder.matomo_site_id
        if url is None:
            url, idsite = current.url, _show_idsite(current)
        elif holder._name == "pos.config" and holder.matomo_follows_website:
            # It is entered for the till: the website's site stays as it is.
            current = current.browse()
        url, number = clean_address(url or ""), _read_idsite(idsite)
        return self._find_matomo_site(holder, current, url, number), url, number

    @api.model
    def _find_matomo_site(self, holder, current, url, idsite):
        """Return the site that entered values mean, empty if it is a new one.

        A site that the company has already is used, however its address is spelled
        here. Otherwise the same site ID with another address means that the site has
        moved. Another site ID means another site, unless the old one was never used:
        then somebody corrects it.

        :param current: the site of its own that the holder has
        """
        key = address_key(url)
        if (current.address_key, current.idsite) == (key, idsite):
            return current
        same = self._get_matomo_domain(holder.company_id, url)
        sites = self.env["matomo.site"]
        if site := sites.search([*same, ("idsite", "=", idsite)], limit=1):
            return site
        is_moved = current and current.idsite == idsite
        if is_moved or (current.address_key == key and current._is_unused(holder)):
            return current
        return sites

    @api.model
    def _create_matomo_site(self, company, url, idsite):
        """Create the site, with the token of another one of the same Matomo."""
        sites = self.env["matomo.site"]
        other = sites.search(self._get_matomo_domain(company, url), limit=1)
        site = sites.create(
            {
                "name": url,
                "url": url,
                "idsite": idsite,
                "company_id": company.id,
                "currency_id": company.currency_id.id,
            }
        )
        site.name = site._get_first_name(url, idsite)
        # A guess, until Matomo says which one it is. sudo: readonly for all.
        site.sudo().is_currency_confirmed = False
        if other:
            site._copy__token(other)
        return site

    @api.model
    def _get_matomo_domain(self, company, url):
        """Return the domain of the company's sites of one Matomo."""
        return [
            ("company_id", "=", company.id),
            ("address_key", "=", address_key(url)),
        ]

    # === TEST === #

    @api.model
    def action_test_matomo_connection(
        self, holder_model, holder_id, url=None, idsite=None, token_auth=None
    ):
        """Test a connection as it is entered, saved or not. Nothing entered is stored.

        :param holder_model: ``website`` or ``pos.config``
        :param holder_id: the ID of the website or till
        :param url: the entered address; None: its site is tested as it is saved
        :param idsite: the entered site ID
        :param token_auth: the entered token; an empty value: the one that is stored
        :return: dict with ``type`` (as of a notification), ``title`` and ``message``,
            and with the site's ``state`` if a saved site was tested
        :raise AccessError: if the user may not change settings
        """
        if not self.env.is_system() or holder_model not in HOLDERS:
            raise AccessError(
                self.env._("Only administrators can test a connection that they enter.")
            )
        holder = self.env[holder_model].browse(holder_id)
        site, url, number = self._find_entered_site(holder, url, idsite)
        is_as_saved = (site.address_key, site.idsite) == (address_key(url), number)
        token = "".join((token_auth or "").split())
        # Sales would wait for what this transaction holds as long as Matomo is asked.
        end_transaction(self.env)
        if site and is_as_saved and not token:
            return {**site._test_connection(), "state": site.state}
        token = token or self._get__stored_token(holder, site, url)
        if missing := self._describe_missing(url, number, token, site):
            title = self.env._("The connection does not work yet")
            return {"type": "danger", "title": title, "message": "\n".join(missing)}
        values = {"url": url, "idsite": number, "company_id": holder.company_id.id}
        if not is_as_saved:
            values["is_currency_confirmed"] = False
        return site.new(values, origin=site)._test_entered(token)

    def _get__stored_token(self, holder, site, url):
        """Return the token that a site has once these values are saved, "" if none.

        :param site: see ``_find_matomo_site``
        :param url: the entered address
        """
        if site and site.address_key == address_key(url):
            return site._get__token()
        same = self._get_matomo_domain(holder.company_id, url)
        source = site or site.search(same, limit=1)
        # A token outside of the database is for one site at one address.
        if not source or source._get__outside_token():
            return ""
        return source._get__token()

    def _describe_missing(self, url, number, token, site):
        """Return sentences on what has to be entered before a test.

        :param site: see ``_find_matomo_site``
        """
        missing = []
        if not url:
            missing.append(
                self.env._(
                    "Enter the address of your Matomo, for example "
                    "https://matomo.example.com/"
                )
            )
        if not number:
            missing.append(
                self.env._(
                    "Enter the site ID: the number of the website in Matomo, under "
                    "Administration, Websites."
                )
            )
        outside = site._get__outside_token() if site and not token else None
        if outside:
            error = Misconfigured("token_of_other_address", name=outside.name)
            missing.append(describe_error(self.env, error))
        elif not token:
            missing.append(
                self.env._(
                    "Enter the token of a Matomo user with write access to this site."
                )
            )
        return missing

    # === ACTIONS === #

    def action_open_matomo_site(self):
        """Open the Matomo site of the website."""
        return self.matomo_site_id._get_form_action()

    def action_open_matomo_pos_site(self):
        """Open the Matomo site of the till."""
        return self.matomo_pos_site_id._get_form_action()

    def action_track_matomo_left_out(self):
        """Track what was left out before website and salespeople had a site."""
        sites = self.website_id.matomo_site_id | self.company_id.matomo_site_id
        return self.env["matomo.retrack"]._track_left_out(sites)

    def action_track_matomo_pos_left_out(self):
        """Track what was left out before the till had a site."""
        sites = self.pos_config_id.matomo_site_id
        return self.env["matomo.retrack"]._track_left_out(sites)


def _show_idsite(site):
    """Return a site's ID as the form shows it: a text, False without a site."""
    return str(site.idsite) if site.idsite else False


def _read_idsite(text):
    """Return the site ID that was entered: 0 for nothing, None if it is none."""
    text = "".join(str(text or "").split())
    if not text or not text.strip("0"):
        return 0
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _get_token_page(url):
    """Return the page of a Matomo on which its user makes a token, or False.

    :param url: as entered
    """
    url = clean_address(url or "")
    try:
        check_address(url)
    except AddressRefused:
        return False
    return api_url(url) + TOKEN_PAGE
