import logging
import os
from collections import Counter
from contextlib import closing
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import datetime, time, timedelta

import pytz

from odoo import api, fields, models
from odoo.exceptions import AccessError, ValidationError
from odoo.fields import Domain
from odoo.tools import SQL, config, format_datetime, hmac, ormcache
from odoo.tools.misc import str2bool

from ..const import ACCEPTED_STATES
from ..matomo_api.address import AddressRefused, address_key, check_address
from ..matomo_api.client import Client
from ..matomo_api.errors import MatomoError, Misconfigured, Unreadable
from ..matomo_api.facts import (
    Facts,
    find_changes,
    find_concerns,
    find_trouble,
    read_facts,
)
from ..matomo_api.items import CENT, Conversion, round_cents, to_decimal
from ..matomo_api.outcomes import (
    Policy,
    SiteRead,
    SiteReadRefused,
    SiteTrouble,
    SiteUnreadable,
    bulk_timeout,
)
from ..matomo_api.tag import read_parameters
from ..matomo_api.timezones import NAMES, get_converter, get_timezone, is_known
from ..matomo_api.tracking import get_visitor_id_of_user, order_ref_key
from ..outbox import health, schedule
from ..outbox.health import Health
from ..tools.alerts import SiteFacts, find_alerts
from ..tools.copies import is_same_database
from ..tools.fields import WriteOnlyChar
from ..tools.outside_token import find_token, get_name, get_old_name
from ..tools.sentences import (
    describe_alerts,
    describe_change,
    describe_error,
    describe_policy,
    describe_read_refusal,
    describe_refused_address,
    describe_unreadable,
    describe_visits,
    to_html,
)
from ..tools.shopper import ShopperPolicy
from ..tools.user_id import KNOWN_KINDS, Person, choose_kind, get_user_id

_logger = logging.getLogger(__name__)

MANAGER_ACTIVITY = "mail.mail_activity_data_warning"
ALERT_ACTIVITY = "matomo_order_tracking.mail_activity_type_alert"
CHANGE_ACTIVITY = "mail.mail_activity_data_todo"
MAX_TOKEN_LENGTH = 255
# What the tag on a page follows, whoever looks at it.
TAG_FIELDS = {
    "active",
    "consent_policy",
    "idsite",
    "respect_dnt",
    "tag_heartbeat",
    "tag_parameters",
    "url",
}
# How long the data of shoppers are kept whose orders belong to no site (days).
RETENTION_DAYS = 180
# How many orders of a site the autovacuum cleans at once.
GC_BATCH = 500
# Of how many orders of a site it is told in whose visit they stand.
MEASURED_ORDERS = 100


class MatomoSite(models.Model):
    """A Matomo website and how to reach it.

    Its health fields (state and the ones below it) are written by the sender in
    transactions of their own and by nobody else.
    """

    _name = "matomo.site"
    _description = "Matomo Site"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "name, id"
    _check_company_auto = True

    # === FIELDS === #

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    url = fields.Char(
        string="Matomo Address",
        required=True,
        tracking=True,
        help="The address of your Matomo, for example https://matomo.example.com/",
    )
    address_key = fields.Char(
        compute="_compute_address_key",
        store=True,
        help="The address in one spelling: two sites of one Matomo have the same.",
    )
    idsite = fields.Integer(
        string="Site ID",
        required=True,
        tracking=True,
        aggregator=None,
        help="The number of the website in Matomo, under Administration, Websites.",
    )
    company_id = fields.Many2one(
        "res.company",
        required=True,
        tracking=True,
        default=lambda self: self.env.company,
    )
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        default=lambda self: self.env.company.currency_id,
        help="The currency of the site in Matomo. Amounts are converted into it.",
    )
    is_currency_confirmed = fields.Boolean(
        string="Currency Confirmed",
        readonly=True,
        copy=False,
        help="Whether Matomo or a person has said that this is the site's currency. "
        "No order is sent before.",
    )
    lang_id = fields.Many2one(
        "res.lang",
        string="Language of Product Names",
        required=True,
        default=lambda self: self._default_lang_id(),
        help="Products are named in one language, or Matomo's reports fall apart.",
    )
    timezone = fields.Selection(
        "_selection_timezone",
        string="Time Zone",
        required=True,
        default="UTC",
        help="The time zone of the site in Matomo: its days are Matomo's days. It is "
        "read from Matomo every night.",
    )
    page_url = fields.Char(
        string="Shop Address",
        help="The main address of the site in Matomo. Sales are booked on pages "
        "within it, so that a site that only accepts known addresses accepts them. It "
        "is read from Matomo every night.",
    )
    date_start = fields.Date(
        string="Tracking Start",
        required=True,
        default=fields.Date.context_today,
        tracking=True,
        help="Orders confirmed before this day are not tracked.",
    )
    order_timeout = fields.Integer(
        string="Order Timeout (s)", required=True, default=7, aggregator=None
    )
    cart_timeout = fields.Integer(
        string="Cart Timeout (s)", required=True, default=2, aggregator=None
    )
    batch_size = fields.Integer(
        required=True,
        default=50,
        aggregator=None,
        help="How many orders are sent in one request at most.",
    )
    order_prefix = fields.Char(
        help="Stands before the ID of each order in Matomo, for databases that share a "
        "Matomo site. Orders that were sent keep their ID.",
    )
    raw_data_days = fields.Integer(
        string="Raw Data Kept (days)",
        required=True,
        default=180,
        aggregator=None,
        help="How long Matomo keeps single visits and orders (Administration, "
        "Privacy, Anonymize data). Older orders cannot be read back and are never "
        "sent a second time. 0: for ever.",
    )
    track_refunds = fields.Boolean(
        help="Send an event (category Ecommerce, action Refund) for each cancelled "
        "order, credit note and till refund. Matomo counts no refunds: orders and "
        "revenue stay as they are.",
    )

    # === FIELDS: TOKEN AND DATABASE === #

    token_auth = WriteOnlyChar(
        string="Token",
        copy=False,
        prefetch=False,
        groups="base.group_system",
        help="An authentication token of a Matomo user with write access to this "
        "site. Do not use a superuser's token.",
    )
    database_uuid = fields.Char(
        readonly=True,
        copy=False,
        default=lambda self: self._get_database_uuid(),
        help="The database this site was set up in. A copy of it sends nothing.",
    )
    database_key = fields.Char(
        readonly=True,
        copy=False,
        default=lambda self: self._get_database_key(),
        help="The same as PostgreSQL knows it: a copy that PostgreSQL made has the "
        "identifier of the original.",
    )
    is_copy = fields.Boolean(string="In a Copied Database", compute="_compute_is_copy")

    # === FIELDS: SHOPPERS AND THEIR DATA === #

    consent_policy = fields.Selection(
        [
            ("cookie_bar", "Follow the website's cookie bar"),
            ("matomo_cookie", "If Matomo's own cookie is in the browser"),
            ("elsewhere", "Consent is obtained elsewhere"),
            ("cookieless", "Without cookies"),
            ("never", "Never"),
        ],
        string="Store Shoppers' Data",
        required=True,
        tracking=True,
        default="cookie_bar",
        help="When a shopper's IP address, browser, visitor ID and campaign may be "
        "kept with the order. Otherwise the order is sent anonymously.",
    )
    consent_policy_meaning = fields.Text(compute="_compute_consent_policy_meaning")
    visit_message = fields.Text(
        string="Orders in Their Shopper's Visit", compute="_compute_visit_message"
    )
    set_visitor_cookie = fields.Boolean(
        string="Set the Visitor Cookie",
        tracking=True,
        help="If consent is obtained elsewhere: where Matomo's tag is missing or "
        "blocked, the server sets Matomo's visitor cookie (_pk_id, 13 months) itself, "
        "so that a shopper who returns stays one visitor. Your consent has to cover "
        "this cookie. Without it such an order is a visitor of its own.",
    )
    exclude_refused = fields.Boolean(
        string="Send Nothing of Who Refused",
        tracking=True,
        help="No order of a shopper who refused is sent, not even anonymously: Matomo "
        "counts less than Odoo, and the order says why. A refusal after the order was "
        "sent cannot take it back: it is anonymized here, and you can delete it in "
        "Matomo. Silence is no refusal.",
    )
    respect_dnt = fields.Boolean(
        string="Honour Do Not Track",
        tracking=True,
        default=True,
        help="A browser that sends Do Not Track or Global Privacy Control does not "
        "agree, whatever was clicked.",
    )
    # On by default, as the guide has it: it concerns websites' carts only, so that
    # a site of tills or salespeople sends none.
    track_carts = fields.Boolean(
        default=True, help="Send changes of web shop carts to Matomo."
    )
    retention_days = fields.Integer(
        string="Personal Data Kept (days)",
        required=True,
        tracking=True,
        default=RETENTION_DAYS,
        aggregator=None,
        help="After this time IP address, browser, visitor ID, campaign and consent "
        "are deleted from orders and from the log. Verdicts and amounts stay. 0: for "
        "ever.",
    )
    ip_mask = fields.Selection(
        [
            ("0", "Store the whole address"),
            ("1", "Mask 1 byte, as 192.168.100.0"),
            ("2", "Mask 2 bytes, as 192.168.0.0"),
            ("3", "Mask 3 bytes, as 192.0.0.0"),
        ],
        string="Shorten IP Addresses",
        required=True,
        tracking=True,
        default="0",
        help="Shoppers' IP addresses are shortened before they are stored, as Matomo "
        "does it under Administration, Privacy. A shortened address still tells the "
        "country.",
    )
    exclude_employee_orders = fields.Boolean(
        string="Leave Out Employees' Orders",
        tracking=True,
        help="Do not track what employees order in the web shop with their own login, "
        "for example to test it.",
    )

    # === FIELDS: VISITS OF ORDERS === #

    send_page_views = fields.Boolean(
        string="Page View for Each Order",
        default=True,
        tracking=True,
        help="An order whose visit no browser has begun (of a till, a salesperson, a "
        "shopper without consent) begins it with a page view. Otherwise Matomo counts "
        "it as a returning customer's visit without any action. It costs a second "
        "request to Matomo for each such order.",
    )
    identify_customers = fields.Boolean(
        string="Known Customers at the Till",
        tracking=True,
        help="Till sales to a known customer become one visitor in Matomo. It gets a "
        "random-looking number, never a name or an e-mail address. Otherwise each "
        "till sale is a visitor of its own. User IDs do the same for all channels.",
    )
    send_user_id = fields.Boolean(
        string="User IDs of Customers",
        tracking=True,
        help="A customer who is logged in, or whom a cashier or a salesperson knows, "
        "is one visitor in Matomo on all devices, in the web shop and at the till. "
        "Matomo gets a random-looking number, never a name or an e-mail address. In "
        "the web shop only with the shopper's consent.",
    )
    tag_user_id = fields.Selection(
        [
            ("unknown", "I do not know"),
            ("none", "No user ID"),
            ("odoo_id", "The database ID of the user in Odoo"),
            ("login", "The login of the user"),
            ("email_hash", "The SHA-256 hash of the e-mail address in lower case"),
        ],
        string="User ID of the Shop's Own Tag",
        required=True,
        tracking=True,
        default="unknown",
        help="What a tag that you have put into the website yourself passes to "
        "setUserId. Orders carry the same with the shopper's consent, and stand in "
        "the tag's visit. As long as it is not known, orders of customers who are "
        "logged in may stand in a visit of their own.",
    )
    tag_heartbeat = fields.Boolean(
        string="Time on Pages",
        help="The tag tells Matomo every 15 seconds that a page is still looked at: "
        "Matomo then knows how long the last page of a visit was read. It costs "
        "Matomo a request each time.",
    )
    tag_parameters = fields.Char(
        string="More Address Parameters",
        tracking=True,
        help="Names, with spaces between them, of parameters that Matomo may learn of "
        "the address of a page. Campaigns (utm_, mtm_, pk_, matomo_), click IDs, "
        "search and page are sent anyway, everything else is left out: it may open a "
        "document to whoever has it.",
    )
    order_time = fields.Selection(
        [
            ("confirmation", "Confirmation of the order"),
            ("checkout", "Checkout of the shopper"),
        ],
        string="Time of Web Orders",
        required=True,
        default="confirmation",
        tracking=True,
        help="Which time Matomo gets of a web order that is paid later, as by bank "
        "transfer. Confirmation: it stands on Odoo's day, in a visit of its own, and "
        "Matomo counts its cart as abandoned. Checkout: it stands in the shopper's "
        "visit, with its traffic source and without an abandoned cart, on an earlier "
        "day than in Odoo's reports; the Daily Comparison uses that day.",
    )
    place_customers = fields.Boolean(
        string="Place of Customers",
        tracking=True,
        help="Salespeople's orders show country, region and city of the delivery "
        "address in Matomo. Off by default: a small place and an amount may tell who "
        "bought. POS orders show the shop's place, web orders only what the shopper's "
        "address on the internet tells.",
    )
    channel_dimension = fields.Integer(
        tracking=True,
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "whether a sale is the web shop's, a salesperson's or a till's. 0: none.",
    )
    till_dimension = fields.Integer(
        tracking=True,
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "the till. 0: none.",
    )
    salesperson_dimension = fields.Integer(
        tracking=True,
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "the salesperson. 0: none.",
    )

    # === FIELDS: HEALTH === #

    state = fields.Selection(
        [
            ("unknown", "Not Tested"),
            ("ok", "Working"),
            ("warning", "Interrupted"),
            ("error", "Needs Attention"),
        ],
        required=True,
        default="unknown",
        readonly=True,
        copy=False,
    )
    state_message = fields.Text(string="Message", readonly=True, copy=False)
    last_success_date = fields.Datetime(readonly=True, copy=False)
    next_attempt_date = fields.Datetime(readonly=True, copy=False)
    failure_count = fields.Integer(
        string="Failures in a Row", readonly=True, copy=False, aggregator=None
    )

    # === FIELDS: WHAT MATOMO SAYS OF ITSELF === #

    facts = fields.Json(string="Matomo's Settings", readonly=True, copy=False)
    facts_date = fields.Datetime(
        string="Matomo's Settings Read",
        readonly=True,
        copy=False,
        help="When Matomo last told currency, time zone and addresses of the site.",
    )
    settings_message = fields.Text(
        readonly=True,
        copy=False,
        help="What should be changed in Matomo's settings, although orders arrive.",
    )
    matomo_version = fields.Char(compute="_compute_matomo_version")

    bulk_limit = fields.Integer(
        string="Orders at Once, Learnt",
        readonly=True,
        copy=False,
        aggregator=None,
        help="More orders in one request were refused or took too long. It grows again "
        "with each success. 0: as many as the batch size allows.",
    )
    is_answer_dirty = fields.Boolean(
        string="Answers Contain Other Text",
        readonly=True,
        copy=False,
        help="Matomo's server mixes something of its own into Matomo's answers.",
    )
    can_read = fields.Boolean(
        string="Token May Read",
        default=True,
        readonly=True,
        copy=False,
        help="Whether the token may read Matomo back, which proves what it recorded.",
    )
    is_order_id_anonymised = fields.Boolean(
        string="Order IDs Anonymised",
        readonly=True,
        copy=False,
        help="Matomo replaces order IDs by random ones and refuses no duplicates.",
    )
    anonymised_request_id = fields.Many2one(
        "matomo.request",
        readonly=True,
        copy=False,
        groups="base.group_system",
        ondelete="set null",
        help="The first order that was found in Matomo under a random ID.",
    )
    trouble_date = fields.Datetime(string="In Trouble Since", readonly=True, copy=False)
    unread_date = fields.Datetime(string="Unread Since", readonly=True, copy=False)
    alert_message = fields.Text(compute="_compute_alert_message")
    tells_first_order = fields.Boolean(
        readonly=True,
        copy=False,
        help="The managers are told when the first order is proven to be in Matomo.",
    )
    told_alerts = fields.Char(
        readonly=True,
        copy=False,
        help="Of what the managers have been told; they are told once.",
    )
    next_read_date = fields.Datetime(
        readonly=True, copy=False, help="Before this moment Matomo is not read back."
    )
    read_failure_count = fields.Integer(
        string="Failures to Read in a Row", readonly=True, copy=False, aggregator=None
    )

    _url_idsite_unique = models.UniqueIndex(
        "(company_id, address_key, idsite) WHERE active",
        "This Matomo site already exists in this company.",
    )

    # === COMPUTE, DEFAULTS, CONSTRAINTS === #

    @api.depends("facts")
    def _compute_matomo_version(self):
        for site in self:
            site.matomo_version = (site.facts or {}).get("version")

    @api.depends("url")
    def _compute_address_key(self):
        for site in self:
            site.address_key = address_key(site.url or "")

    def _default_lang_id(self):
        langs = self.env["res.lang"]
        code = self.env.company.partner_id.lang or self.env.lang
        return langs._get_data(code=code).id or langs.search([], limit=1).id

    @api.model
    def _selection_timezone(self):
        return [(name, name) for name in NAMES]

    @api.constrains("idsite", "order_timeout", "cart_timeout", "batch_size")
    def _check_limits(self):
        """No CHECK of the database: its error shows the row, token included."""
        for site in self:
            if site.idsite < 1:
                raise ValidationError(
                    self.env._("The Matomo site ID is a number from 1.")
                )
            if not (
                1 <= site.order_timeout <= 60
                and 1 <= site.cart_timeout <= 60
                and 1 <= site.batch_size <= 200
            ):
                raise ValidationError(
                    self.env._(
                        "Timeouts are from 1 to 60 seconds, the batch size is from 1 to"
                        " 200."
                    )
                )

    @api.constrains("company_id")
    def _check_company_of_holders(self):
        for model_name in ("res.company", "website", "pos.config"):
            # sudo: whoever moves a site need not see all that uses it.
            holders = self.env[model_name].sudo()
            self._check_holders(holders.search([("matomo_site_id", "in", self.ids)]))

    @api.model
    def _check_holders(self, holders):
        """Refuse a company, website or till that sells into another one's Matomo."""
        for holder in holders:
            # sudo: the site may be one that whoever sets it cannot see.
            site = holder.sudo().matomo_site_id
            company = holder if holder._name == "res.company" else holder.company_id
            if site and site.company_id != company:
                raise ValidationError(
                    self.env._(
                        "%(holder)s cannot use the Matomo site of another company.",
                        holder=holder.display_name,
                    )
                )

    # === CRUD === #

    @api.model_create_multi
    def create(self, vals_list):
        tokens = [self._pop_token(vals) for vals in vals_list]
        sites = super().create([self._clean_values(vals) for vals in vals_list])
        for site, vals in zip(sites, vals_list, strict=True):
            site._follow_currency(vals)
        for site, token in zip(sites, tokens, strict=True):
            if token:
                site._set__token(token)
        if not self.env.is_system():
            self._check_outside_tokens(sites)
        return sites

    @api.model
    def _check_outside_tokens(self, sites):
        """Refuse new sites to whose number an administrator has given a token."""
        if any(site._get__outside_token() for site in sites):
            raise AccessError(
                self.env._(
                    "Only an administrator can create this site: a token is kept for "
                    "it outside of the database."
                )
            )

    def write(self, vals):
        """Override of the ORM: what is entered may move the site, or mend it.

        The token stays with the host it was entered for: somebody who may change the
        address but not see the token must not be able to have it sent elsewhere, nor
        scripts of elsewhere run in the shop.
        """
        self._check_required(vals)
        vals = self._clean_values(dict(vals))
        has_token = "token_auth" in vals
        token = self._pop_token(vals)
        if vals.get("url") and not self.env.is_system():
            self._leave_address(vals["url"])
        if vals.get("date_start"):
            self._reconsider(fields.Date.to_date(vals["date_start"]))
        unconfirmed = self.filtered(lambda site: not site.is_currency_confirmed)
        result = super().write(vals)
        self._follow_currency(vals)
        if vals.get("is_currency_confirmed"):
            stopped = unconfirmed.filtered(lambda site: site.state == "error")
            if stopped:
                stopped._resume()
        if has_token:
            self._set__token(token)
        if has_token or {"url", "idsite"} & vals.keys():
            self._reset_health()
        if TAG_FIELDS & vals.keys():
            # Odoo keeps whole pages for an hour, with the tag as it was.
            self.env.registry.clear_cache("templates")
        return result

    def _has_field_access(self, field, operation):
        """Override of the ORM: what the addon notes, users cannot write.

        Odoo takes ``readonly`` for a matter of its screens. A program of a manager
        could say that a site works, may be read, or belongs to this database.
        """
        if operation == "write" and field.readonly and field.store and not self.env.su:
            return False
        return super()._has_field_access(field, operation)

    def _follow_currency(self, vals):
        """Note whether values that a person has entered confirm the currency."""
        if "is_currency_confirmed" in vals:
            return
        if vals.get("currency_id") or vals.get("idsite"):
            # sudo: readonly for everybody.
            self.sudo().is_currency_confirmed = bool(vals.get("currency_id"))

    def _clean_values(self, vals):
        if vals.get("url"):
            vals["url"] = "".join(vals["url"].split())
        return vals

    def _reconsider(self, date_start):
        """Let the sweep judge anew what was left out for being too old."""
        for site in self.filtered(lambda site: date_start < site.date_start):
            # sudo: nobody may delete requests; these hold an outdated verdict.
            requests = self.env["matomo.request"].sudo()
            found = requests.search(
                [
                    ("site_id", "=", site.id),
                    ("state", "=", "excluded"),
                    ("order_date", "<", site._get_start()),
                ]
            )
            # These alone know that their order's customer is to be forgotten.
            marked = found.filtered(lambda each: each.is_anonymized)
            for orders in marked._get_orders():
                self.env["matomo.retrack"]._queue(orders)
            (found - marked).unlink()
            requests._wake_sweep()

    def _reset_health(self):
        """Forget the trouble and let what is queued flow again."""
        # sudo: health is readonly for everybody; this is the one reset.
        sites = self.sudo()
        sites.write(
            {
                "state": "unknown",
                "state_message": False,
                "next_attempt_date": False,
                "failure_count": 0,
                "next_read_date": False,
                "read_failure_count": 0,
                "can_read": True,
                "is_order_id_anonymised": False,
                "anonymised_request_id": False,
                "bulk_limit": 0,
                "is_answer_dirty": False,
                "trouble_date": False,
                "unread_date": False,
                "facts": False,
                "facts_date": False,
                "settings_message": False,
            }
        )
        # It asks Matomo for its settings, which no user waits for.
        sites.env["matomo.request"]._wake_sender()

    def _resume(self):
        """Let a site that was stopped be tried again at once."""
        # sudo: health is readonly for everybody.
        self.sudo().write(
            {
                "state": "unknown",
                "state_message": False,
                "next_attempt_date": False,
                "failure_count": 0,
            }
        )
        self.env["matomo.request"]._wake_sender()

    # === ACTIONS === #

    def action_confirm_currency(self):
        """Send amounts in this currency, although Matomo does not confirm it."""
        self.check_access("write")
        # sudo: readonly for everybody; pressing the button is the one way.
        self.sudo().is_currency_confirmed = True

    def action_sweep(self):
        """Find orders without a verdict now; the scheduled action does it nightly."""
        self.check_access("write")
        self.env["matomo.request"]._wake_sweep()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": self.env._(
                    "Orders since the tracking start that have no verdict are looked "
                    "for now. They appear under Requests."
                ),
            },
        }

    # === WHAT IS SENT, AND WHEN === #

    def _get_batch_size(self):
        """Return how many orders go into one request."""
        return self._get_health().most_at_once

    def _get_page_url(self, *path):
        """Return an address within the site's own, for a page of the channel."""
        # sudo: the base address is a system parameter.
        base = self.page_url or self.sudo().get_base_url()
        return "/".join([base.rstrip("/"), *path])

    def _has_raw_data(self, moment):
        """Return whether Matomo still has single orders of that time (naive, UTC)."""
        self.ensure_one()
        kept = timedelta(days=self.raw_data_days)
        return not kept or moment > fields.Datetime.now() - kept

    def _to_utc(self, moment):
        """Return a wall-clock time of the site's time zone as naive UTC."""
        self.ensure_one()
        return get_converter(self.timezone)(moment)

    def _get_start(self):
        """Return the moment tracking starts, naive in UTC."""
        self.ensure_one()
        return self._get_day_bounds(self.date_start)[0]

    def _get_today(self):
        """Return the day it is in the site's time zone."""
        self.ensure_one()
        now = pytz.utc.localize(fields.Datetime.now())
        return now.astimezone(get_timezone(self.timezone)).date()

    def _get_day_bounds(self, day):
        """Start and end (which is not part of it) of a day of the site, naive UTC."""
        self.ensure_one()
        days = day, day + timedelta(days=1)
        return tuple(self._to_utc(datetime.combine(d, time.min)) for d in days)

    def _get_conversion(self, currency, rate):
        """Return the ``Conversion`` of amounts to what is sent to this site.

        :param currency: of the amounts
        :param rate: how much of it is one of the site's currency
        """
        return get_conversion(currency, rate, self.currency_id)

    def _get_order_ref_key(self, ref):
        """Return what orders may not share that Matomo takes for one order."""
        self.ensure_one()
        return f"{self.idsite}@{self.address_key} {order_ref_key(ref)}"

    # === CONNECTION === #
    #
    # The way to a site's Matomo: whether it may be gone, and whether it works.

    # === COPIES ARE SILENT === #

    @api.depends("database_uuid", "database_key")
    def _compute_is_copy(self):
        uuid, key = self._get_database_uuid(), self._get_database_key()
        for site in self:
            site.is_copy = site.database_uuid != uuid or not is_same_database(
                site.database_key, key
            )

    @api.model
    def _get_database_uuid(self):
        # sudo: a system parameter.
        return self.env["ir.config_parameter"].sudo().get_param("database.uuid")

    @api.model
    @ormcache()
    def _get_database_key(self):
        """Return how PostgreSQL tells this database from all others.

        Odoo's own identifier is copied with the data by ``pg_dump``, and by templates
        of PostgreSQL. This key stays if the database is renamed. It changes if the
        database is restored, also when a shop moves to another server: a manager
        confirms that once. A copy of the server's disk has the same key.

        Some hosts do not let their customers ask for the identifier of the server.
        Then the key has none, see ``tools.copies``: a copy on the same server is found.
        """
        cr = self.env.cr
        cr.execute("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
        server = ""
        if cr.fetchone()[0]:
            cr.execute("SELECT system_identifier FROM pg_control_system()")
            [server] = cr.fetchone()
        cr.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        return f"{server}-{cr.fetchone()[0]}"

    def action_confirm_database(self):
        """Let this database send, although it was copied or restored.

        It is one database: this is true of all sites that the user may handle.
        """
        companies = self.env.user.company_ids.ids
        # Archived sites may be used again.
        every = self.with_context(allowed_company_ids=companies, active_test=False)
        mine = every.search([("company_id", "in", companies)])
        sites = self | mine.filtered("is_copy")
        sites.check_access("write")
        # sudo: readonly for everybody; pressing the button is the one way.
        sites.sudo().write(
            {
                "database_uuid": self._get_database_uuid(),
                "database_key": self._get_database_key(),
            }
        )
        sites._reset_health()

    def _may_send(self):
        """Copies are silent: neutralised ones, and other databases than ours."""
        self.ensure_one()
        return self.active and not self._is_silent()

    def _is_silent(self):
        """Return whether this database must not ask this Matomo anything."""
        return self.is_copy or self._is_neutralized()

    @api.model
    def _is_neutralized(self):
        # sudo: a system parameter.
        parameters = self.env["ir.config_parameter"].sudo()
        return bool(parameters.get_param("database.is_neutralized"))

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
            raise ValidationError(
                describe_refused_address(self.env, error.kind, url)
            ) from error

    # === THE CONNECTION === #

    def _get__client(self, **options):
        """Return the HTTP client for this site.

        Like the token it is out of reach for templates, see ``_get__token``.

        :param options: more of the client's options
        :raise Misconfigured: when there is no token, or in a silent copy
        """
        self.ensure_one()
        if not self._may_send():
            raise Misconfigured("copy")
        token = self._get__token()
        if not token:
            raise self._explain_missing_token()
        return self._open_client(token, **options)

    def _get_client_of_admin(self, token):
        """Return a client with a token that a person has entered for one action.

        Nothing keeps the token. An archived site may be asked, too: what Matomo has of
        people must be erased all the same.

        :raise Misconfigured: in a silent copy
        """
        self.ensure_one()
        if self._is_silent():
            raise Misconfigured("copy")
        return self._open_client(token)

    @api.model
    def _get__client_for_setup(self, url, token="", **secrets):
        """Return a client for a Matomo that is being connected.

        :param url: its address
        :param secrets: see ``Client``
        :raise Misconfigured: in a neutralized copy
        """
        if self._is_neutralized():
            raise Misconfigured("copy")
        return _open_client(url, token, secrets=secrets)

    def _open_client(self, token, **options):
        return _open_client(self.url, token, **options)

    def action_test_connection(self):
        """Ask Matomo about token and site, and answer in sentences."""
        self.ensure_one()
        self.check_access("write")
        try:
            with closing(
                self._get__client(report_timeout=schedule.READ_TIMEOUT)
            ) as client:
                facts = read_facts(client, self.idsite, self.order_timeout)
        except MatomoError as error:
            facts = Facts(refusal=error)
        trouble = self._apply_facts(facts, is_test=True)
        is_ok = self.state == "ok"
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "danger" if trouble else "success" if is_ok else "warning",
                "title": self.env._("The connection does not work yet.")
                if trouble
                else self.env._("Matomo accepts orders for this site."),
                "message": "\n".join(
                    self._describe_facts(self.env, facts, trouble)
                    or [self._describe_connection(self.env, facts)]
                ),
                "sticky": not is_ok,
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    # === WHAT MATOMO SAYS OF ITSELF === #

    def _needs_facts(self):
        """Return whether Matomo is asked for its settings before orders are sent."""
        self.ensure_one()
        is_asked = self.is_currency_confirmed and self.facts_date
        return not is_asked and not self._is_waiting("next_read_date")

    def _apply_facts(self, facts, is_test=False):
        """Follow what Matomo says of itself, and write down what it means.

        :param Facts facts: what Matomo has answered
        :param is_test: whether a person has asked: then no order waits because of it
        :return: the ``MatomoError`` because of which no order can be sent, or None
        """
        self.ensure_one()
        if facts.site:
            self._follow(facts)
        trouble = find_trouble(facts, self.is_currency_confirmed)
        if trouble:
            if is_test:
                self._apply_change(health.fail_test(self._get_health(), trouble))
            else:
                self._apply(SiteTrouble(trouble))
            return trouble
        env = self._get_message_env()
        message = "\n".join(self._describe_concerns(env, facts)) or False
        # sudo: health is readonly for everybody.
        self.sudo().settings_message = message
        now = fields.Datetime.now()
        self._apply_change(health.succeed(self._get_health(), now))
        if facts.may_read is False:
            self._apply(SiteReadRefused())
        elif facts.read_error:
            # Asked again and again, it does not wait longer each time.
            if not self._is_waiting("next_read_date"):
                self._apply(SiteUnreadable(Unreadable(facts.read_error)))
        else:
            self._apply(SiteRead())
            message = self._describe_connection(env, facts) if is_test else None
            self._apply_change(health.pass_checks(self._get_health(), message))
        return None

    def _follow(self, facts):
        """Take over what Matomo says of the site, and tell what has changed.

        :param Facts facts: with ``site``
        """
        site = facts.site
        before = dict(self.facts or {})
        if self.last_success_date:
            # Orders were sent with these.
            before |= {"currency": self.currency_id.name, "timezone": self.timezone}
            before |= {"main_url": self.page_url} if self.page_url else {}
        values = {"facts": facts.to_json(), "facts_date": fields.Datetime.now()}
        if currency := self._find_currency(site.currency):
            values |= {"currency_id": currency.id, "is_currency_confirmed": True}
        elif site.currency and site.currency != (self.facts or {}).get(
            # An older version sent all the same, and said so.
            "currency",
            self.last_success_date and site.currency,
        ):
            values["is_currency_confirmed"] = False
        if is_known(site.timezone):
            values["timezone"] = site.timezone
        if site.main_url:
            values["page_url"] = site.main_url
        # sudo: what Matomo says is not entered by the user; health is readonly.
        self.sudo().write(values)
        if changes := find_changes(before, site):
            self._tell_changes(changes)

    def _find_currency(self, name):
        return self.env["res.currency"].search([("name", "=", name)], limit=1)

    def _tell_changes(self, changes):
        """Tell the managers, once, what has changed in Matomo's settings."""
        env = self._get_message_env()
        text = "\n".join(describe_change(env, change) for change in changes)
        _logger.warning("Matomo site %s has changed: %s", self.id, changes)
        # sudo: whoever finds it may neither write on the site nor see the managers.
        site = self.sudo()
        site.message_post(body=to_html(text))

        def describe(env):
            return env._("The site has changed in Matomo"), "\n".join(
                describe_change(env, change) for change in changes
            )

        site._schedule_activities(CHANGE_ACTIVITY, describe)

    def _describe_concerns(self, env, facts):
        """Return sentences on what to change in Matomo, in the language of ``env``."""
        is_active = bool(facts.site and self._find_currency(facts.site.currency))
        concerns = find_concerns(
            facts, self.idsite, is_active, self.is_currency_confirmed
        )
        return [describe_error(env, each) for each in concerns]

    def _describe_facts(self, env, facts, trouble):
        """Return sentences on what is wrong, in the language of ``env``."""
        if trouble:
            return [describe_error(env, trouble)]
        sentences = self._describe_concerns(env, facts)
        if facts.may_read is False:
            sentences.append(describe_read_refusal(env, self.idsite))
        elif facts.read_error:
            sentences.append(describe_unreadable(env, facts.read_error))
        return sentences

    def _describe_connection(self, env, facts):
        name = facts.site.name if facts.site else ""
        return env._("Connected to “%s”.", name or self.name)

    # === TOKEN === #
    #
    # The secret: it comes in, goes into POST bodies, and nowhere else.

    # === TOKEN: READING === #

    # Odoo's safe_eval refuses every name with two underscores: the templates of website
    # designers, and other expressions that Odoo evaluates, cannot call these methods.

    def _get__token(self):
        """Return the token, "" if there is none for this address.

        It stands in the environment, in the configuration file, or in its column.
        """
        self.ensure_one()
        if outside := self._get__outside_token():
            return outside.token if self._is_for_here(outside) else ""
        rows = self.env.execute_query(
            SQL("SELECT token_auth FROM matomo_site WHERE id = %s", self.id)
        )
        return rows[0][0] or "" if rows else ""

    def _get__outside_token(self):
        """Return the ``OutsideToken`` of this site, None if there is none.

        It may be for another address.
        """
        self.ensure_one()
        name = get_name(self.env.cr.dbname, self.id)
        return find_token(name, os.environ, config.options)

    def _is_for_here(self, outside):
        return bool(outside.url) and address_key(outside.url) == self.address_key

    def _explain_missing_token(self):
        """Return a ``Misconfigured`` that says why there is no token."""
        if outside := self._get__outside_token():
            return Misconfigured("token_of_other_address", name=outside.name)
        old = get_old_name(self.id)
        if find_token(old, os.environ, config.options):
            name = get_name(self.env.cr.dbname, self.id)
            return Misconfigured("token_renamed", old=old, name=name)
        return Misconfigured("no_token", site=self.name)

    def _fetch_query(self, query, fields):
        """Override of the ORM: the token is in no cache, which templates can read."""
        token = self._fields["token_auth"]
        fetched = super()._fetch_query(
            query, [field for field in fields if field is not token]
        )
        if token in fields:
            token._insert_cache(fetched, [None] * len(fetched))
        return fetched

    @api.model
    def default_get(self, fields):
        """Override of the ORM: no default is a token."""
        values = super().default_get(fields)
        values.pop("token_auth", None)
        return values

    # === TOKEN: WRITING === #

    @api.model
    def _pop_token(self, vals):
        """Remove the token from values, which end in log lines when they fail."""
        if "token_auth" not in vals:
            return False
        self._check_field_access(self._fields["token_auth"], "write")
        token = "".join((vals.pop("token_auth") or "").split()).replace("\x00", "")
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValidationError(self.env._("This is too long for a token."))
        return token

    @api.model
    def _check_required(self, vals):
        """Refuse what PostgreSQL would refuse by showing the row, token included."""
        for name, value in vals.items():
            field = self._fields.get(name)
            if not field or not field.required:
                continue
            kept = field.convert_to_cache(value, self, validate=False)
            if kept is None or kept is False:
                raise ValidationError(
                    self.env._(
                        "“%s” must not be empty.", field._description_string(self.env)
                    )
                )

    def _leave_address(self, url):
        """Take token and tag away from sites that move to another address.

        :raise AccessError: when it is kept where only an administrator can do so
        """
        moved = self.filtered(lambda site: site.address_key != address_key(url))
        if moved.filtered(lambda site: site._get__outside_token()):
            raise AccessError(
                self.env._(
                    "Only an administrator can change this address: the token is kept "
                    "outside of the database and would travel to the new one."
                )
            )
        # The token is the administrators'; here it is only taken away.
        moved._set__token(False)
        # sudo: the tag loads a script from there, for all visitors, administrators
        # included; it is the website designers' to put scripts into a shop.
        websites = self.env["website"].sudo()
        websites.search(
            [("matomo_site_id", "in", moved.ids), ("matomo_tag", "=", True)]
        ).matomo_tag = False

    def _set__token(self, token):
        """Store the token by a statement that cannot fail.

        PostgreSQL logs a statement that fails with its values. So the rows are locked
        first: a conflict with the sender, which notes how the site is doing, ends that
        statement, which holds no token.
        """
        self._lock_rows()
        # Past Odoo's own cursor, which hands the values to its debug log and profiler.
        self.env.cr._obj.execute(
            "UPDATE matomo_site SET token_auth = %s WHERE id = ANY(%s)",
            [token or None, self.ids],
        )

    def _copy__token(self, other):
        """Store the token in the column of another site of the same Matomo."""
        self._lock_rows()
        self.env.cr.execute(
            SQL(
                "UPDATE matomo_site SET token_auth = other.token_auth"
                " FROM matomo_site AS other WHERE other.id = %s"
                " AND matomo_site.id = ANY(%s)",
                other.id,
                self.ids,
            )
        )

    def _lock_rows(self):
        self.env.cr.execute(
            SQL(
                "SELECT id FROM matomo_site WHERE id = ANY(%s)"
                " ORDER BY id FOR NO KEY UPDATE",
                self.ids,
            ),
            log_exceptions=False,
        )

    # === WAITING AND HEALTH === #
    #
    # How a site is doing: what the sender notes, and how long it waits.
    #
    # Taking orders and being read back are two things: a Matomo in maintenance, or
    # one that is slow to report, still records. So each has its own back-off.

    def _get_timeout(self, count):
        """Return how long an answer to ``count`` orders may take (seconds)."""
        self.ensure_one()
        return bulk_timeout(self.order_timeout, count)

    def _is_waiting(self, name):
        """Return whether the moment in the field ``name`` is still to come."""
        self.ensure_one()
        now = fields.Datetime.now()
        return bool(self[name]) and now < self[name] <= now + schedule.LONGEST_SITE_WAIT

    def _get_policy(self):
        """Return what the delivery has to know of this site."""
        self.ensure_one()
        return Policy(
            idsite=self.idsite,
            can_read=self.can_read,
            is_readable_now=not self._is_waiting("next_read_date"),
            anonymises=self.is_order_id_anonymised,
            read_failure_count=self.read_failure_count,
            order_timeout=self.order_timeout,
            cart_timeout=self.cart_timeout,
            now=fields.Datetime.now(),
            to_utc=get_converter(self.timezone),
        )

    # === HEALTH === #

    def _get_message_env(self):
        """Return the environment in the language of what is stored for others.

        It makes the messages of the site and the reasons of its requests. Whoever
        presses a button is answered in their own language.
        """
        self.ensure_one()
        return self.with_context(lang=self.company_id._get_matomo_lang()).env

    def _get_health(self):
        """Return what is known of this site, as ``outbox.health.Health``."""
        self.ensure_one()
        values = {each.name: self[each.name] for each in dataclass_fields(Health)}
        dates = {
            name: values[name] or None for name in values if name.endswith("_date")
        }
        message = self.settings_message or ""
        return Health(**{**values, **dates, "settings_message": message})

    def _apply(self, outcome):
        """Write down what a delivery has learnt of this site."""
        now = fields.Datetime.now()
        self._apply_change(health.learn(self._get_health(), outcome, now))

    def _apply_change(self, change):
        """Write down a ``outbox.health.Change`` of this site.

        A site that goes on working is hardly written: all lanes write one row.
        """
        self.ensure_one()
        if change.warning:
            said = self.id, self.url, change.warning
            _logger.warning("Matomo site %s (%s): %s", *said)
        if change.told:
            self._notify_managers(change.told)
        # sudo: health is readonly for everybody but the sender, and the activities are
        # the managers', whoever sees it mended.
        site = self.sudo()
        if change.is_mended:
            site.activity_unlink([MANAGER_ACTIVITY])
        values = {name: value or False for name, value in change.values.items()}
        if change.message:
            values["state_message"] = change.message(self._get_message_env()) or False
        if any(site[name] != value for name, value in values.items()):
            site.write(values)
        if change.wakes_verifier:
            self.env["matomo.request"]._wake_verifier(at=site.next_read_date)

    def _report_anonymised(self, request):
        """Say once that Matomo cannot tell two orders of one id apart.

        A shopper can track an order of their own under any ID: the orders of two
        visitors have to be found so.

        :param request: the order that was found under a random ID
        """
        if self.is_order_id_anonymised:
            return
        first = self.anonymised_request_id
        if not first:
            # sudo: health is readonly for everybody but the sender.
            self.sudo().anonymised_request_id = request
        elif first._get_visitor_id() != request._get_visitor_id():
            self._apply_change(health.find_anonymised())

    def _notify_managers(self, error):
        """Schedule an activity for each manager of the company, once while it lasts.

        :param MatomoError error: what happened; each reads it in their own language
        """
        # sudo: whoever finds the trouble may not see the other managers.
        site = self.sudo()
        if site.activity_search([MANAGER_ACTIVITY]):
            return

        def describe(env):
            # A text of ours may name a site, a host or an order.
            return env._("Matomo does not accept orders"), describe_error(env, error)

        site._schedule_activities(MANAGER_ACTIVITY, describe)

    def _schedule_activities(self, type_xmlid, describe):
        """Schedule an activity for each manager of the company, in their language.

        :param describe: turns an environment into summary and note, two texts
        """
        for user in self.company_id._get_matomo_managers():
            lang = user.lang or self.company_id._get_matomo_lang()
            translated = self.with_context(lang=lang)
            summary, note = describe(translated.env)
            translated.activity_schedule(
                type_xmlid,
                summary=summary,
                note=to_html(note),
                user_id=user.id,
            )

    def _tell_first_order(self, request):
        """Tell the managers, once, that an order is proven to be in Matomo.

        :param request: of the order
        """
        if not self.tells_first_order:
            return
        env = self._get_message_env()
        # sudo: whoever reads orders back need not see the managers; the field is
        # readonly for everybody.
        site = self.sudo()
        site.tells_first_order = False
        site.message_post(
            subject=env._("The first order is in Matomo"),
            body=env._(
                "The first order is in Matomo: %s. It was read back, and nothing is "
                "left to do.",
                request.order_ref,
            ),
            partner_ids=site.company_id._get_matomo_managers().partner_id.ids,
        )

    # === ALERTS === #
    #
    # Whatever stops the promise for hours is told to the managers, once.

    def _compute_alert_message(self):
        for site in self:
            alerts = find_alerts(site._get_facts()) if site._may_send() else []
            sentences = describe_alerts(site.env, alerts, format_datetime)
            site.alert_message = "\n".join(sentences) or False

    @api.model
    def _watch(self):
        """Tell the managers of each site what they have to know, or that it is over."""
        if self._is_neutralized():
            return
        for site in self.search([("active", "=", True)]):
            site._tell_alerts(find_alerts(site._get_facts()))

    def _get_facts(self):
        """Return how this site is doing, as ``SiteFacts``."""
        self.ensure_one()
        # sudo: whoever sees the site need not see the scheduled actions.
        site = self.sudo()
        requests = site.env["matomo.request"]
        now = fields.Datetime.now()
        mine = [("site_id", "=", site.id)]
        waiting = requests.search(
            [
                *mine,
                ("state", "=", "pending"),
                ("attempt_count", "=", 0),
                ("next_attempt_date", "=", False),
                ("is_backfill", "=", False),
            ],
            order="create_date",
            limit=1,
        )
        refused = requests.search(
            [
                *mine,
                ("state", "=", "pending"),
                ("error_count", ">=", schedule.MAX_ERRORS),
            ],
            order="broken_date",
            limit=1,
        )
        start, end = site._get_day_bounds(site._get_today())
        web = [
            *mine,
            ("kind", "=", "order"),
            ("channel", "=", "web"),
            ("state", "in", ACCEPTED_STATES),
            ("order_date", ">=", start),
            ("order_date", "<", end),
        ]
        return SiteFacts(
            now=now,
            is_copy=site.is_copy,
            trouble_date=site.trouble_date or None,
            unread_date=site.unread_date or None,
            waiting_date=waiting.create_date or None,
            refused_date=refused.broken_date or None,
            stopped_actions=requests._get_stopped_actions(),
            failed_count=requests.search_count([*mine, ("state", "=", "failed")]),
            different_days=site.env["matomo.reconciliation"].search_count(
                [*mine, ("state", "=", "different")]
            ),
            tag_count=requests.search_count([*web, ("is_told_by_tag", "=", True)]),
            web_count=requests.search_count(web),
            **site._count_addresses(now),
        )

    def _count_addresses(self, now):
        """Return how many visitors bought in the past week, and from which addresses.

        Addresses of which two bytes or more are masked say nothing.

        :param now: naive UTC
        :return: dict of the fields of ``SiteFacts``
        """
        if int(self.ip_mask) > 1:
            return {}
        [(visitor_count, address_count)] = self.env["sale.order"]._read_group(
            [
                ("website_id.matomo_site_id", "=", self.id),
                ("state", "=", "sale"),
                ("date_order", ">=", now - timedelta(days=7)),
                ("matomo_ip_address", "!=", False),
                ("matomo_visitor_id", "!=", False),
            ],
            aggregates=[
                "matomo_visitor_id:count_distinct",
                "matomo_ip_address:count_distinct",
            ],
        )
        return {"visitor_count": visitor_count, "address_count": address_count}

    def _tell_alerts(self, alerts):
        """Schedule one activity for each manager while there is something to say.

        Who has done with it is not told of the same again; what is over ends by itself.

        :param alerts: list of ``Alert``
        """
        # sudo: the activities are the managers', whoever finds the trouble.
        site = self.sudo()
        kinds = {alert.kind for alert in alerts}
        told = set((site.told_alerts or "").split(",")) - {""}
        if kinds != told:
            site.told_alerts = ",".join(sorted(kinds)) or False
        if not kinds:
            site.activity_unlink([ALERT_ACTIVITY])
            return
        if kinds <= told:
            return
        site.activity_unlink([ALERT_ACTIVITY])

        def describe(env):
            sentences = describe_alerts(env, alerts, format_datetime)
            return env._("Orders and Matomo need you"), "\n".join(sentences)

        site._schedule_activities(ALERT_ACTIVITY, describe)

    # === SHOPPERS === #
    #
    # Which data of shoppers are stored, and with whose consent.

    @api.depends("consent_policy")
    @api.depends_context("lang")
    def _compute_consent_policy_meaning(self):
        for site in self:
            site.consent_policy_meaning = describe_policy(site.env, site.consent_policy)

    @api.depends("consent_policy", "ip_mask", "can_read", "is_order_id_anonymised")
    @api.depends_context("lang")
    def _compute_visit_message(self):
        for site in self:
            # sudo: a settings page of somebody who may not read requests shows figures.
            found = (
                self.env["matomo.request"]
                .sudo()
                .search_fetch(
                    [("site_id", "=", site._origin.id), ("visit_kind", "!=", False)],
                    ["visit_kind"],
                    limit=MEASURED_ORDERS,
                )
            )
            site.visit_message = describe_visits(
                site.env,
                Counter(found.mapped("visit_kind")),
                can_read=site.can_read,
                anonymises=site.is_order_id_anonymised,
                masks=site.consent_policy == "cookieless" and site.ip_mask != "0",
            )

    def _get_shopper_policy(self):
        """Return the settings that decide what is stored of a shopper's visit."""
        self.ensure_one()
        return ShopperPolicy(
            idsite=self.idsite,
            consent=self.consent_policy,
            respect_dnt=self.respect_dnt,
            ip_mask=int(self.ip_mask),
            set_cookie=self.set_visitor_cookie,
        )

    def _has_tag(self):
        """Return whether the tag may run.

        On a copy of the database it may not: its page views would be sent, too.
        """
        return bool(self) and self._may_send() and self.consent_policy != "never"

    # === RETENTION === #
    #
    # How much of a shopper is kept with their order, and how long.

    @api.constrains("retention_days")
    def _check_retention_days(self):
        if any(site.retention_days < 0 for site in self):
            raise ValidationError(
                self.env._("Personal data cannot be kept for less than no days.")
            )

    @api.model
    def _get_sites_with_retention(self):
        """Return the sites whose data are deleted by age, and an empty one at the end.

        The empty one stands for what belongs to no site.

        :return: list of recordsets, archived sites included
        """
        sites = self.with_context(active_test=False)
        return [*sites.search([("retention_days", ">", 0)]), self.browse()]

    def _get_old_domains(self, name, margin=timedelta()):
        """Return the domains of the records that are older than the retention.

        A till may send a date of the future, which no time reaches: then the record is
        as old as its row. There are two domains, because each can use an index.

        :param name: of the field with the date, naive UTC
        :param margin: how much older
        """
        days = self.retention_days if self else RETENTION_DAYS
        now = fields.Datetime.now()
        limit = now - timedelta(days=days) - margin
        return [
            Domain(name, "<", limit),
            Domain(name, ">", now + timedelta(days=1))
            & Domain("create_date", "<", limit),
        ]

    @api.autovacuum
    def _gc_shoppers(self):
        """Delete the shoppers' metadata from orders older than their site's retention.

        Carts that never became an order hold such data, too; so do the orders of a
        website that has lost its site.

        :return: how many orders were cleaned, and whether there are more
        """
        done, is_more = 0, False
        searches = [
            (
                orders.with_context(active_test=False),
                old
                & Domain.custom(to_sql=orders._matomo_personal_sql)
                & orders._get_matomo_site_domain(site),
            )
            for site in self._get_sites_with_retention()
            for orders in self.env["matomo.order.mixin"]._get_matomo_order_models()
            for old in site._get_old_domains("date_order")
        ]
        for orders, domain in searches:
            found = orders.search(domain, order="date_order", limit=GC_BATCH)
            # An order that somebody works on is left for tomorrow.
            free = found.try_lock_for_update(allow_referencing=True)
            free._anonymize_matomo_shopper()
            done += len(free)
            is_more = is_more or bool(free and len(found) == GC_BATCH)
        return done, is_more

    # === VISITS OF ORDERS === #
    #
    # What the visit of a sale shows in Matomo: which customer, and three dimensions.
    #
    # Of custom dimensions only those of scope Visit get the values of an order: for
    # those of scope Action, Matomo drops them, an order being no page view.

    @api.constrains("channel_dimension", "till_dimension", "salesperson_dimension")
    def _check_dimensions(self):
        for site in self:
            numbers = [
                number
                for number in (
                    site.channel_dimension,
                    site.till_dimension,
                    site.salesperson_dimension,
                )
                if number
            ]
            if min(numbers, default=1) < 1 or len(set(numbers)) < len(numbers):
                raise ValidationError(
                    self.env._(
                        "Enter the number of a custom dimension in Matomo, each another"
                        " one, or 0 for none."
                    )
                )

    @api.constrains("tag_parameters")
    def _check_tag_parameters(self):
        for site in self:
            _names, wrong = read_parameters(site.tag_parameters or "")
            if wrong:
                raise ValidationError(
                    self.env._(
                        "Matomo may not learn these parameters of an address: %s. Enter"
                        " names of letters, digits, - and _, with spaces between them,"
                        " and none that may hold a secret or tell who somebody is.",
                        " ".join(wrong),
                    )
                )

    def _get_dimensions(self, order):
        """Return the site's custom dimensions of an order: ``{number: value}``.

        Channels are named in the site's one language.
        """
        self.ensure_one()
        requests = self.env["matomo.request"].with_context(lang=self.lang_id.code)
        channel = requests._fields["channel"]
        channels = dict(channel._description_selection(requests.env))
        dimensions = {
            self.channel_dimension: channels[order._get_matomo_channel()],
            self.till_dimension: order._get_matomo_till(),
            self.salesperson_dimension: order._get_matomo_salesperson(),
        }
        return {number: value for number, value in dimensions.items() if number}

    def _get_shopper_user_id(self, user, has_own_tag):
        """Return the user ID of a shopper of the website, "" without one.

        It is personal: whoever stores or sends it must have the shopper's consent.

        :param user: the ``res.users`` of the request
        :param has_own_tag: whether the tag on the page is the addon's
        """
        kind = choose_kind(self.tag_user_id, self.send_user_id and has_own_tag)
        is_shopper = user and not user._is_public() and not user._is_internal()
        # Without cookies nobody is followed from one device to another.
        if not kind or not is_shopper or self.consent_policy == "cookieless":
            return ""
        return get_user_id(kind, self._prepare_person(user.partner_id, user))

    def _get_customer_user_id(self, partner):
        """Return the user ID of a customer of a till or a salesperson, "" without one.

        :param partner: a ``res.partner``, empty for an unknown customer
        """
        if not self.send_user_id or not partner:
            return ""
        # sudo: whoever sells need not see logins.
        person = self._prepare_person(partner, partner.sudo().user_ids[:1])
        kind = choose_kind(self.tag_user_id, is_wanted=True)
        return get_user_id(kind, person) or person.pseudonym

    def _prepare_person(self, partner, user):
        """Return a customer as a ``tools.user_id.Person``.

        The pseudonym is another one on each site: nobody who sees two sites can tell
        that it is the same customer.
        """
        # sudo: the secret of the database.
        env = self.env(su=True)
        pseudonym = hmac(env, "matomo_user_id", (partner.id, self.id))
        return Person(
            pseudonym=pseudonym[:32],
            user_number=user.id or 0,
            login=user.login or "",
            email=partner.email or "",
        )

    def _get_visitor_ids_of(self, partners):
        """Return by which visitor IDs Matomo knows these customers: a set.

        The IDs of browsers are not among them: orders name those.

        :param partners: ``res.partner`` records, which need not have bought anything
        """
        if not self.send_user_id and self.tag_user_id not in KNOWN_KINDS:
            return set()
        user_ids = set()
        for partner in partners:
            # sudo: see _get_customer_user_id.
            for user in partner.sudo().user_ids:
                user_ids.add(self._get_shopper_user_id(user, has_own_tag=True))
            user_ids.add(self._get_customer_user_id(partner))
        return {get_visitor_id_of_user(user_id) for user_id in user_ids if user_id}

    def _without_salesperson(self, visitor):
        """Return a ``Visitor`` without the custom dimension of the salesperson."""
        dimensions = dict(visitor.dimensions)
        dimensions.pop(self.salesperson_dimension, None)
        return replace(visitor, dimensions=dimensions)


def get_conversion(currency, rate, site_currency):
    """Return the ``Conversion`` of amounts in a currency to a site's currency.

    An amount that is already in the site's currency is only rounded to cents.

    :param rate: how much of ``currency`` is one of ``site_currency``
    """
    if currency == site_currency:
        return Conversion(rate, CENT)
    coin = round_cents(to_decimal(site_currency.rounding))
    return Conversion(rate, max(coin, CENT))


def _open_client(url, token, **options):
    return Client(
        url,
        token,
        ca_bundle=config.get("matomo_ca_bundle") or "",
        allow_private=_allows_private_addresses(),
        **options,
    )


def _allows_private_addresses():
    """Return whether Matomo may be on this machine or in its network."""
    return not str2bool(config.get("matomo_forbid_private_addresses") or "", False)
