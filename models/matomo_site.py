import logging
import os
from collections import Counter
from contextlib import closing
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import pytz

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import SQL, config, format_date, format_datetime, hmac, ormcache
from odoo.tools.misc import str2bool

from ..const import ACCEPTED_STATES
from ..matomo_api.address import (
    AddressRefused,
    address_key,
    check_address,
    clean_address,
)
from ..matomo_api.client import Client
from ..matomo_api.errors import MatomoError, Misconfigured, Unreadable
from ..matomo_api.facts import Facts, find_changes, find_trouble, read_facts
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
from ..matomo_api.timezones import (
    NAMES,
    get_converter,
    get_day_bounds,
    get_report_bounds,
    get_timezone,
    is_known,
)
from ..matomo_api.tracking import get_visitor_id_of_user, order_ref_key
from ..outbox import health, schedule
from ..outbox.health import Health
from ..outbox.transactions import guarded, run_in_transaction
from ..outbox.waking import get_stopped_actions
from ..tools import alerts
from ..tools.alerts import Limits, SiteFacts
from ..tools.backfill import Surroundings
from ..tools.copies import is_same_database
from ..tools.doctor import WRONG_LEVELS
from ..tools.fields import WriteOnlyChar
from ..tools.findings import POINTS, describe_finding
from ..tools.notices import CLOSE, notify
from ..tools.outside_token import find_token, get_name, get_old_name
from ..tools.sentences import (
    describe_change,
    describe_error,
    describe_policy,
    describe_refused_address,
    describe_site,
    describe_trouble,
    describe_visits,
    describe_way_out,
    to_html,
)
from ..tools.shopper import ShopperPolicy
from ..tools.user_id import KNOWN_KINDS, PSEUDONYM, Person, choose_kind, get_user_id
from ..tools.waiting import Waiting, describe_waiting

_logger = logging.getLogger(__name__)

MANAGER_ACTIVITY = "mail.mail_activity_data_warning"
ALERT_ACTIVITY = "matomo_order_tracking.mail_activity_type_alert"
CHANGE_ACTIVITY = "mail.mail_activity_data_todo"
MAX_TOKEN_LENGTH = 255
# Points that deserve a look and are said as soon as a connection is tested.
SAID_AT_ONCE = ("currency", "reading")
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
# What may use a site.
HOLDERS = ("res.company", "website", "pos.config")
# The visits of so many orders tell how a site joins orders and visits.
MEASURED_ORDERS = 100


class MatomoSite(models.Model):
    """A Matomo website and how to reach it.

    Its health fields (state and the ones below it) are written by the sender in
    transactions of their own and by nobody else.
    """

    _name = "matomo.site"
    _description = "Matomo Site"
    _inherit = ["matomo.list", "mail.thread", "mail.activity.mixin"]
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
    is_raw_data_confirmed = fields.Boolean(
        string="Looked Up in Matomo",
        copy=False,
        help="Matomo does not tell how long it keeps raw data. Tick this when you have "
        "compared the number of days.",
    )
    token_end = fields.Date(
        string="Token Expires On",
        tracking=True,
        copy=False,
        help="The day on which the token expires. Matomo does not tell it: look it up "
        "there and enter it here. Two weeks before it, each manager of the company "
        "gets an activity.",
    )
    is_token_endless = fields.Boolean(
        string="Token Never Expires", tracking=True, copy=False
    )
    are_exclusions_confirmed = fields.Boolean(
        string="No Shopper Excluded on All Sites",
        copy=False,
        help="Under Administration, Websites, Settings, Matomo excludes addresses and "
        "browsers on all sites. It does not tell which ones. Tick this when you have "
        "looked and no shopper is among them.",
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
            ("cookie_bar", "Follow the website's Cookies Bar"),
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
        string="Honor Do Not Track",
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
        "whether a sale is the web shop's, a salesperson's or a till's. Leave it empty "
        "for none.",
    )
    till_dimension = fields.Integer(
        tracking=True,
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "the till. Leave it empty for none.",
    )
    salesperson_dimension = fields.Integer(
        tracking=True,
        aggregator=None,
        help="The number of the custom dimension (scope Visit) in Matomo that shows "
        "the salesperson. Leave it empty for none.",
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

    paused_date = fields.Datetime(string="Paused Since", readonly=True, copy=False)
    paused_user_id = fields.Many2one(
        "res.users", string="Paused By", readonly=True, copy=False
    )
    check_ids = fields.One2many("matomo.check", "site_id", readonly=True)

    # === FIELDS: FROM WHERE ON MANAGERS ARE TOLD === #

    outage_hours = fields.Integer(
        string="Outage (hours)",
        required=True,
        default=2,
        aggregator=None,
        help="When Matomo has taken no orders for so many hours, or could not be read, "
        "each manager of the company gets an activity. What only a person can correct, "
        "such as a token that Matomo refuses, is told at once. An order that waits for "
        "longer stands under Needs Attention.",
    )
    unproven_hours = fields.Integer(
        string="Proof of Orders (hours)",
        required=True,
        default=24,
        aggregator=None,
        help="So many hours after it was accepted, an order should have been found in "
        "Matomo.",
    )
    unproven_limit = fields.Integer(
        string="Orders Without Proof",
        aggregator=None,
        help="Each manager of the company gets an activity when more orders than these "
        "have not been found in Matomo in time. With 0, the first one is told.",
    )
    failed_limit = fields.Integer(
        string="Failed Orders and Refunds",
        aggregator=None,
        help="Each manager of the company gets an activity when more orders and "
        "refunds than these have failed. With 0, the first one is told.",
    )
    difference_orders = fields.Integer(
        string="Difference of a Day (orders)",
        aggregator=None,
        help="Each manager of the company gets an activity when Odoo and Matomo differ "
        "on a day by more orders than these, or by more revenue, and it is not known "
        "why.",
    )
    difference_percent = fields.Float(
        string="Difference of a Day (% of revenue)", aggregator=None
    )

    # === FIELDS: WHO USES IT === #

    waiting_count = fields.Integer(
        string="Waiting",
        compute="_compute_waiting",
        aggregator=None,
        help="Orders and refunds that wait to be sent.",
    )
    waiting_message = fields.Char(compute="_compute_waiting")
    day_count = fields.Integer(
        string="Days That Differ", compute="_compute_day_count", aggregator=None
    )
    website_count = fields.Integer(
        string="Websites", compute="_compute_holder_counts", aggregator=None
    )
    till_count = fields.Integer(
        string="Points of Sale", compute="_compute_holder_counts", aggregator=None
    )
    has_token = fields.Boolean(compute="_compute_token")
    outside_token_message = fields.Text(compute="_compute_token")
    is_currency_told = fields.Boolean(compute="_compute_told")
    is_timezone_told = fields.Boolean(compute="_compute_told")
    is_address_told = fields.Boolean(compute="_compute_told")

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
    comparison_date = fields.Datetime(
        readonly=True,
        copy=False,
        help="Past days that were not compared since are still to be compared.",
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

    @api.constrains(
        *("outage_hours", "unproven_hours", "unproven_limit", "failed_limit"),
        *("difference_orders", "difference_percent"),
    )
    def _check_alert_limits(self):
        for site in self:
            limits = [site.unproven_limit, site.failed_limit, site.difference_orders]
            hours = [site.outage_hours, site.unproven_hours]
            if min(*limits, site.difference_percent) < 0 or min(hours) < 1:
                raise ValidationError(
                    self.env._(
                        "Enter 1 hour or more for an outage and for the proof of "
                        "orders, and limits of 0 or more."
                    )
                )

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
        for model_name in HOLDERS:
            self._check_holders(self._get_holders(model_name))

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

    # === WHO USES IT === #

    @api.depends_context("lang")
    def _compute_waiting(self):
        for site in self:
            waiting = site._count_waiting()
            site.waiting_count = waiting.total
            site.waiting_message = (
                describe_waiting(self.env, waiting) if waiting.total else False
            )

    def _count_waiting(self):
        """Return what waits to be sent to this site, as ``Waiting``."""
        # sudo: whoever sees the site need not see requests; these are figures.
        requests = self.env["matomo.request"].sudo()
        # Millions may wait.
        limit = schedule.MAX_REMAINING
        domain = [("site_id", "=", self.id), ("state", "=", "pending")]
        counts = dict(
            requests._read_group(
                [("id", "in", requests._search(domain, limit=limit))],
                ["kind"],
                ["__count"],
            )
        )
        refunds = counts.pop("refund", 0)
        orders = sum(counts.values())
        return Waiting(orders, refunds, orders + refunds >= limit)

    def _compute_day_count(self):
        for site in self:
            site.day_count = len(site._get_different_days())

    def _compute_holder_counts(self):
        for site in self:
            site.website_count = len(site._get_holders("website"))
            site.till_count = len(site._get_holders("pos.config"))

    @api.depends("facts", "currency_id", "timezone", "page_url")
    def _compute_told(self):
        """Whether Matomo dictates what stands here, so that nobody changes it."""
        for site in self:
            facts = site.facts or {}
            site.is_currency_told = facts.get("currency") == site.currency_id.name
            site.is_timezone_told = facts.get("timezone") == site.timezone
            site.is_address_told = facts.get("main_url") == (site.page_url or "")

    @api.depends("token_auth", "url")
    @api.depends_context("lang")
    def _compute_token(self):
        for site in self:
            saved = site._origin
            site.has_token = bool(saved.id and saved._get__token())
            site.outside_token_message = saved.id and saved._describe_outside_token()

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
        if token:
            self._check_token_is_here()
        if vals.get("url") and not self.env.is_system():
            self._leave_address(vals["url"])
        if has_token and not {"token_end", "is_token_endless"} & vals.keys():
            # They were the other token's.
            vals |= {"token_end": False, "is_token_endless": False}
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
            self._note_token(token)
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
            vals["url"] = clean_address(vals["url"])
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
            self.env["matomo.sweep"]._begin_anew(site.company_id)
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

    def action_view_requests(self):
        """Return an action that shows the orders of the site."""
        return self._view("matomo_order_tracking.matomo_request_action", "site_id")

    def action_view_days(self):
        """Return an action that shows the Daily Comparison of the site."""
        action = "matomo_order_tracking.matomo_reconciliation_action"
        return self._view(action, "site_id")

    def action_view_websites(self):
        """Return an action that shows the websites that use the site."""
        return self._view("website.action_website_list", "matomo_site_id")

    def action_view_tills(self):
        """Return an action that shows the tills that use the site."""
        action = "point_of_sale.action_pos_config_tree"
        return self._view(action, "matomo_site_id")

    def _view(self, xmlid, field_name):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        return {**action, "domain": [(field_name, "=", self.id)], "context": {}}

    def action_sweep(self):
        """Find orders without a verdict now; the scheduled action does it nightly."""
        self.check_access("write")
        self.env["matomo.sweep"]._begin_anew(self.company_id)
        self.env["matomo.request"]._wake_sweep()
        return notify(
            self.env._(
                "Orders since the tracking start that have no verdict are looked "
                "for now. They appear under Requests."
            )
        )

    def action_backfill(self):
        """Ask which older orders of these sites to send."""
        return self.env["matomo.backfill"]._open("backfill", self)

    def _get_surroundings(self):
        """Return what decides whether old orders get into the reports of this site."""
        return Surroundings(
            name=self.name,
            is_paused=bool(self.paused_date),
            is_stopped=self.state == "error" or not self._may_send(),
            is_tested=bool(self.last_success_date or self.facts_date),
            raw_data_days=self.raw_data_days,
            is_raw_data_confirmed=self.is_raw_data_confirmed,
        )

    # === HOLDERS === #

    def _is_unused(self, holder):
        """Return whether nothing was ever to be sent here, and nobody else sells here.

        :param holder: the website or till that has the site
        """
        self.ensure_one()
        # sudo: whoever sets up a website need not see the log, nor other websites.
        site = self.with_context(active_test=False).sudo()
        mine = [("site_id", "=", site.id)]
        logs = ("matomo.request", "matomo.cart.update", "matomo.reconciliation")
        if any(site.env[name].search_count(mine, limit=1) for name in logs):
            return False
        return all(
            each == holder
            for name in HOLDERS
            for each in site._get_holders(name)
            # A till that follows its website has no site of its own.
            if name != "pos.config" or not each.matomo_follows_website
        )

    def _get_form_action(self):
        """Return the action that opens this site."""
        return {
            "type": "ir.actions.act_window",
            "res_model": self._name,
            "res_id": self.id,
            "views": [(False, "form")],
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
        oldest = self._get_oldest_raw_data()
        return not oldest or moment > oldest

    def _has_raw_data_of_day(self, day):
        """Return whether Matomo still has all single orders of a day of the site."""
        return self._has_raw_data(self._get_day_bounds(day)[0])

    def _get_oldest_raw_data(self):
        """Return since when Matomo has all single orders, naive UTC; None: always."""
        self.ensure_one()
        kept = timedelta(days=self.raw_data_days)
        return fields.Datetime.now() - kept if kept else None

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
        return self._get_day(fields.Datetime.now())

    def _get_day(self, moment):
        """Return the day of the site's time zone on which a naive UTC moment is."""
        self.ensure_one()
        moment = pytz.utc.localize(moment)
        return moment.astimezone(get_timezone(self.timezone)).date()

    def _get_day_bounds(self, day):
        """Start and end (which is not part of it) of a day of the site, naive UTC."""
        self.ensure_one()
        return get_day_bounds(get_timezone(self.timezone), day)

    def _get_report_bounds(self, day):
        """Start and end of what Matomo's report of a day counts, naive UTC."""
        self.ensure_one()
        return get_report_bounds(get_timezone(self.timezone), day)

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

    def _get_client_of_admin(self, token, **options):
        """Return a client with a token that a person has entered for one action.

        Nothing keeps the token. An archived site may be asked, too: what Matomo has of
        people must be erased all the same.

        :raise Misconfigured: in a silent copy
        """
        self.ensure_one()
        if self._is_silent():
            raise Misconfigured("copy")
        return self._open_client(token, **options)

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
        result = self._test_connection()
        return notify(**result, sticky=result["type"] != "success", next=CLOSE)

    def _test_connection(self):
        """Ask Matomo about token and site, and write down what it says.

        The sender may have written on the site while Matomo was asked.

        :return: see ``_describe_test``
        """
        self.ensure_one()
        self.check_access("write")
        facts = self._read_facts(self._get__client)
        return run_in_transaction(
            self.env, lambda: self._describe_test(facts, *self._apply_test(facts))
        )

    def _apply_test(self, facts):
        """Write down what Matomo has said to somebody who tests the connection.

        :return: the ``MatomoError`` because of which no order can be sent, or None, and
            a list of ``Finding``
        """
        trouble = self._apply_facts(facts, is_test=True)
        checks = self.env["matomo.check"]
        checks._watch(self)
        # How orders do is said on the form.
        told = self.check_ids.filtered(lambda check: check.kind not in alerts.KINDS)
        return trouble, [check._get_finding() for check in told]

    def _test_entered(self, token):
        """Ask Matomo about a site that is not saved: a new record, which stays so.

        :param token: as entered; nothing keeps it
        :return: see ``_describe_test``
        """
        facts = self._read_facts(partial(self._get_client_of_admin, token))
        currency = self._find_currency(facts.site.currency) if facts.site else False
        if currency:
            self.update({"currency_id": currency.id, "is_currency_confirmed": True})
        trouble = find_trouble(facts, self.is_currency_confirmed)
        findings = self.env["matomo.check"]._examine_entered(self, facts)
        return self._describe_test(facts, trouble, findings)

    def _read_facts(self, open_client):
        """Return what Matomo says of this site, as ``Facts``."""
        try:
            client = open_client(report_timeout=schedule.READ_TIMEOUT)
            with closing(client):
                return read_facts(client, self.idsite, self.order_timeout)
        except MatomoError as error:
            return Facts(refusal=error)

    def _describe_test(self, facts, trouble, findings):
        """Return the result of a test: a dict with ``type``, ``title``, ``message``.

        :param trouble: the ``MatomoError`` because of which no order can be sent
        :param findings: list of ``Finding`` on what Matomo says of itself
        """
        if trouble:
            return {
                "type": "danger",
                "title": describe_trouble(self.env, trouble),
                "message": describe_error(self.env, trouble),
            }
        wrong = self._describe_wrong(findings)
        sentences = [self._describe_connection(self.env, facts), *wrong]
        if facts.site:
            sentences.insert(1, describe_site(self.env, facts.site))
        if self.id and (count := [each.level for each in findings].count("look")):
            sentences.append(
                self.env._("Points of this site that deserve a look: %s.", count)
            )
        return {
            "type": "warning" if wrong else "success",
            # Odoo puts a full stop behind it.
            "title": self.env._("Matomo accepts orders for this site"),
            "message": "\n".join(sentences),
        }

    def _describe_wrong(self, findings):
        """Return what has to be changed although Matomo takes orders, a text for each.

        :param findings: list of ``Finding``
        """
        return self._describe_findings(
            self.env,
            [
                each
                for each in findings
                if each.level == "bad"
                or (each.level == "look" and each.kind in SAID_AT_ONCE)
            ],
        )

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
        findings = []
        # Whatever the doctor stumbles over, orders are sent.
        with guarded(self.env.cr, "The doctor could not examine %s", self):
            findings = self.env["matomo.check"]._examine(self, facts)
        trouble = find_trouble(facts, self.is_currency_confirmed)
        if trouble:
            if is_test:
                self._apply_change(health.fail_test(self._get_health(), trouble))
            else:
                self._apply(SiteTrouble(trouble))
            return trouble
        env = self._get_message_env()
        # sudo: health is readonly for everybody.
        self.sudo().settings_message = self._describe_settings(env, findings)
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
        if site.name and self._has_given_name():
            values["name"] = site.name
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

    def _get_first_name(self, url, idsite):
        """Return how a site is called until Matomo tells its name."""
        env = self._get_message_env()
        host = urlsplit(url).hostname or url
        return env._("%(host)s, site %(id)s", host=host, id=idsite)

    def _has_given_name(self):
        """Return whether the name is not a person's: Matomo's, or the first one."""
        known = (self.facts or {}).get("name")
        return self.name in (known, self._get_first_name(self.url, self.idsite))

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

        # The doctor tells of e-commerce, and when it is on again.
        if any(change.name != "is_ecommerce" for change in changes):
            site._schedule_activities(CHANGE_ACTIVITY, describe)

    def _describe_settings(self, env, findings):
        """Return what is wrong although Matomo takes orders, in the language of env."""
        # Whether orders can be read back is said by the site's health.
        wrong = [e for e in findings if e.level == "bad" and e.kind != "reading"]
        return "\n".join(self._describe_findings(env, wrong)) or False

    def _describe_findings(self, env, findings):
        """Return what is said of findings and what to do, a text for each."""
        return [
            " ".join(describe_finding(env, each, format_date, format_datetime))
            for each in findings
        ]

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

    def _describe_outside_token(self):
        """Return where the token is kept that precedes the field, False if nowhere."""
        if not (outside := self._get__outside_token()):
            return False
        if not self._is_for_here(outside):
            return describe_error(self.env, self._explain_missing_token())
        return self.env._(
            "Odoo's server keeps the token of this site outside of the database, as "
            "%s. It is changed there.",
            outside.name,
        )

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

    def _check_token_is_here(self):
        """Refuse a token that would be stored and never be used."""
        for site in self:
            if message := site._describe_outside_token():
                raise UserError(message)

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
        self.invalidate_recordset(["has_token"], flush=False)

    def _note_token(self, token):
        """Note in the chatter who has entered or removed the token, not which one."""
        for site in self:
            # sudo: the author of the note stays the user.
            site.sudo().message_post(
                body=self.env._("The token was changed.")
                if token
                else self.env._("The token was removed.")
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
        if change.is_mended and site.activity_search([MANAGER_ACTIVITY]):
            site.activity_unlink([MANAGER_ACTIVITY])
            env = self._get_message_env()
            self._note_health(env._("Matomo accepts orders again."))
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
        waiting = site._count_waiting()

        def describe(env):
            # A text of ours may name a site, a host or an order.
            sentences = [describe_error(env, error), describe_way_out(env, waiting)]
            return env._("Matomo does not accept orders"), "\n".join(sentences)

        site._schedule_activities(MANAGER_ACTIVITY, describe)
        self._note_health(describe_error(self._get_message_env(), error))

    def _note_health(self, text):
        """Note in the chatter what has begun to go wrong, or is over."""
        # sudo: whoever finds it may not write on the site.
        self.sudo().message_post(body=to_html(text))

    def _schedule_activities(self, type_xmlid, describe):
        """Schedule an activity for each manager of the company, in their language.

        :param describe: turns an environment into summary and note, two texts
        """
        # A site that nothing uses is nobody's trouble.
        if not self._is_used():
            return
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

    @api.model
    def _watch(self):
        """Tell the managers of each site what they have to know, or that it is over."""
        if self._is_neutralized():
            return
        for site in self.search([("active", "=", True)]):
            if site._is_used():
                self.env["matomo.check"]._watch(site)

    def _is_used(self):
        """Return whether orders go to this site, or wait for it."""
        self.ensure_one()
        # sudo: whoever sees the site need not see requests.
        pending = [("site_id", "=", self.id), ("state", "=", "pending")]
        return any(self._get_holders(name) for name in HOLDERS) or bool(
            self.env["matomo.request"].sudo().search_count(pending, limit=1)
        )

    def _get_holders(self, model_name):
        """Return the websites, tills or companies that use these sites."""
        # sudo: whoever handles a site need not see all that uses it.
        holders = self.env[model_name].sudo()
        return holders.search([("matomo_site_id", "in", self.ids)])

    def _get_facts(self):
        """Return how this site is doing, as ``SiteFacts``."""
        self.ensure_one()
        # sudo: whoever sees the site need not see the scheduled actions.
        site = self.sudo()
        requests = site.env["matomo.request"]
        now = fields.Datetime.now()
        mine = [("site_id", "=", site.id)]
        waiting = requests.search(
            [*mine, *requests._get_stalled_domain()], order="create_date", limit=1
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
            paused_date=site.paused_date or None,
            trouble_date=site.trouble_date or None,
            unread_date=site.unread_date or None,
            waiting_date=waiting.create_date or None,
            waiting=site._count_waiting(),
            refused_date=refused.broken_date or None,
            stopped=get_stopped_actions(self.env),
            failed_count=requests.search_count(
                [
                    *mine,
                    ("company_id", "=", site.company_id.id),
                    ("state", "=", "failed"),
                ]
            ),
            unproven_count=requests.search_count(site._get_unproven_domain()),
            different_days=len(site._get_different_days()),
            tag_count=requests.search_count([*web, ("is_told_by_tag", "=", True)]),
            web_count=requests.search_count(web),
            **site._count_addresses(now),
            limits=Limits(
                **{each.name: site[each.name] for each in dataclass_fields(Limits)}
            ),
        )

    def _get_unproven_domain(self):
        """Return the domain of the orders that should have been found in Matomo."""
        since = fields.Datetime.now() - timedelta(hours=self.unproven_hours)
        return [
            ("site_id", "=", self.id),
            ("kind", "=", "order"),
            ("state", "=", "sent"),
            ("sent_date", "<", since),
            # Matomo is not asked for what it may have deleted.
            ("next_check_date", "!=", False),
        ]

    def _get_different_days(self):
        """Return the days that differ by more than the limits of the site."""
        # sudo: whoever sees the site need not see the Daily Comparison.
        days = self.env["matomo.reconciliation"].sudo()
        found = days.search(
            [
                ("site_id", "=", self.id),
                ("state", "=", "different"),
                ("is_explained", "=", False),
            ]
        )
        return found.filtered(
            lambda day: (
                abs(day.order_count_difference) > self.difference_orders
                or abs(day.revenue_difference)
                > abs(day.odoo_revenue) * self.difference_percent / 100
            )
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

    def _get_told(self):
        """Return of what the managers have been told: ``{kind: level}``."""
        pairs = (each.partition(":") for each in (self.told_alerts or "").split(","))
        # Older versions kept kinds alone.
        return {kind: level or "bad" for kind, _colon, level in pairs if kind}

    def _tell_worse(self, checks, told):
        """Schedule one activity for each manager while there is something to say.

        Who has done with it is not told of the same again; what is over ends by itself.

        :param checks: the ``matomo.check`` records that people have to know
        :param told: what they have been told, see ``_get_told``
        """
        # sudo: the activities are the managers', whoever finds the trouble.
        site = self.sudo()
        if not site._is_used():
            return
        if site.activity_search([MANAGER_ACTIVITY]):
            # They know why already.
            checks = checks.filtered(lambda each: each.kind != "outage")
        now = {check.kind: check.level for check in checks}
        if now == told:
            return
        site.told_alerts = ",".join(f"{kind}:{now[kind]}" for kind in sorted(now))
        news = checks.filtered(
            lambda each: told.get(each.kind) not in (each.level, "bad")
        )
        self._note_worse(news, told.keys() - now.keys())
        if news or not now:
            site.activity_unlink([ALERT_ACTIVITY])
        if not news:
            return

        def describe(env):
            lines = [" ".join(filter(None, check._describe(env))) for check in checks]
            return env._("Orders and Matomo need you"), "\n".join(lines)

        site._schedule_activities(ALERT_ACTIVITY, describe)

    def _note_worse(self, news, over):
        """Note in the chatter what has begun and what is over.

        :param news: ``matomo.check`` records
        :param over: kinds of which the managers had been told
        """
        env = self._get_message_env()
        lines = [check._describe(env)[0] for check in news]
        # What is good again may have no record any more.
        names = [POINTS[kind].name(env) for kind in sorted(over) if kind in POINTS]
        lines += [env._("Good again: %s", name) for name in names]
        if lines:
            self._note_health("\n".join(lines))

    # === FOR MONITORS === #

    @api.model
    def _report_health(self):
        """Return how the sites are doing that the user may see, for a monitor.

        It costs the same few queries for one site and for a hundred. What the checks
        say may be an hour old; whether somebody works at all is asked now, or the
        checks would stay good for ever.

        :return: dict that can be written as JSON, without secrets and shoppers
        """
        self.check_access("read")
        sites = self.search([("active", "=", True)])
        # sudo: these are figures and names of scheduled actions.
        requests = self.env["matomo.request"].sudo()
        stopped = get_stopped_actions(self.env)
        waiting = requests._count_by_site(sites, [("state", "=", "pending")])
        failed = requests._count_by_site(sites, [("state", "=", "failed")])
        sent = requests._count_by_site(sites, [("state", "=", "sent")])
        stalled = requests._count_by_site(sites, requests._get_stalled_domain())
        used = set().union(
            *(sites._get_holders(name).matomo_site_id.ids for name in HOLDERS)
        )
        reports = [
            {
                **site._prepare_report(),
                "is_used": site.id in used or bool(waiting[site.id]["count"]),
                "waiting": waiting[site.id],
                "unproven": sent[site.id],
                "failed": failed[site.id]["count"],
            }
            for site in sites
        ]
        is_bad = stopped or any(
            report["state"] == "error"
            or any(finding["level"] == "bad" for finding in report["findings"])
            or site._has_waited_long(stalled[site.id]["since"])
            for site, report in zip(sites, reports, strict=True)
            # A site that nothing uses is nobody's trouble.
            if report["is_used"]
        )
        return {
            "status": "bad" if is_bad else "good",
            "stopped": [each.name for each in stopped],
            "sites": reports,
        }

    def _prepare_report(self):
        """Return what a monitor reads of the site itself and of its findings."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "paused_since": self.paused_date or None,
            "last_success": self.last_success_date or None,
            "findings": [
                {
                    "kind": check.kind,
                    "level": check.level,
                    "since": check.since,
                    "message": check.sentence,
                }
                for check in self.check_ids
                if check.level in WRONG_LEVELS
            ],
        }

    def _has_waited_long(self, since):
        """Return whether orders wait longer than managers are patient, unpaused."""
        patience = timedelta(hours=self.outage_hours)
        is_long = since and since < fields.Datetime.now() - patience
        return bool(is_long) and not self.paused_date

    def _get_waiting_reason(self, env, names_site=False):
        """Return why the orders of this site wait, and until when; "" if they do not.

        :param env: in the language and time zone of the reader
        :param names_site: whether the reader does not see which site it is
        """
        reason = self._describe_standstill(env) or self._describe_trouble(env)
        if not reason or not names_site:
            return reason
        return env._(
            "Nothing is sent to the Matomo site %(site)s now. %(reason)s",
            site=self.name,
            reason=reason,
        )

    def _describe_standstill(self, env):
        """Return why Odoo asks this Matomo nothing until a person acts; "" if it does.

        It is the sentence of ``_may_run``: for an order, a job and the Overview alike.
        """
        if not self:
            return ""
        if not self.active:
            return env._(
                "The Matomo site is archived: everything waits until somebody "
                "unarchives it."
            )
        if self._is_neutralized():
            return env._(
                "This database is a neutralized copy: it sends nothing to Matomo and "
                "asks it nothing."
            )
        if self.is_copy:
            return env._(
                "This database is a copy or was restored: it sends nothing to Matomo "
                "and asks it nothing. If it is the shop's own, press “Send From This "
                "Database” on the Matomo site."
            )
        if self.paused_date:
            return env._(
                "The Matomo site is paused: everything waits until somebody presses "
                "Resume there, and nothing is lost."
            )
        return ""

    def _describe_trouble(self, env):
        """Return with what Odoo waits for this Matomo, and until when; "" if not."""
        if self.state not in ("warning", "error") or not self._is_waiting(
            "next_attempt_date"
        ):
            return ""
        return env._(
            "%(trouble)s Nothing is lost: the next attempt is at %(time)s.",
            trouble=self.state_message or "",
            time=format_datetime(env, self.next_attempt_date),
        ).strip()

    # === PAUSE, RESUME, SEND NOW === #

    def _may_run(self):
        """Return whether scheduled actions may ask this Matomo anything now."""
        self.ensure_one()
        return not self.paused_date and self._may_send()

    def action_pause(self):
        """Send nothing and ask nothing until somebody resumes; orders wait."""
        self.check_access("write")
        # sudo: readonly for everybody; pressing the button is the one way.
        sites = self.sudo().filtered(lambda site: not site.paused_date)
        sites.write(
            {"paused_date": fields.Datetime.now(), "paused_user_id": self.env.user.id}
        )
        for site in sites:
            site.message_post(
                body=self.env._(
                    "The site is paused: orders wait, and nothing is sent to Matomo."
                )
            )

    def action_resume(self):
        """Send again, first of all what has waited."""
        self.check_access("write")
        # sudo: see action_pause.
        sites = self.sudo().filtered("paused_date")
        sites.write({"paused_date": False, "paused_user_id": False})
        for site in sites:
            site.message_post(body=self.env._("The site sends again."))
            self.env["matomo.check"]._watch(site.sudo(False))
        self.env["matomo.request"]._wake_sender()
        self.env["matomo.request"]._wake_verifier()

    def action_send_now(self):
        """Send at once what waits, although the site may wait for Matomo.

        :return: an action that shows a notification
        """
        self.ensure_one()
        self.check_access("write")
        if self.paused_date:
            raise UserError(
                self.env._("The site is paused. Press Resume to send what waits.")
            )
        count = self.waiting_count
        self._resume()
        message = (
            self.env._("Sent now, orders and refunds: %s.", count)
            if count
            else self.env._("No order and no refund waits.")
        )
        return notify(message, next=CLOSE)

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
        dimensions = {
            self.channel_dimension: self._get_channel_name,
            self.till_dimension: lambda order: order._get_matomo_till(),
            self.salesperson_dimension: lambda order: order._get_matomo_salesperson(),
        }
        return {number: get(order) for number, get in dimensions.items() if number}

    def _get_channel_name(self, order):
        """Return what an order's channel is called in the site's language."""
        requests = self.env["matomo.request"].with_context(lang=self.lang_id.code)
        return requests._get_channel_names()[order._get_matomo_channel()]

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
        kinds = self._get_used_user_id_kinds()
        user_ids = set()
        for partner in partners if kinds else ():
            # sudo: see _get_customer_user_id.
            users = partner.sudo().user_ids
            for person in [
                self._prepare_person(partner, user) for user in users or [users]
            ]:
                user_ids |= {get_user_id(kind, person) for kind in kinds}
        return {get_visitor_id_of_user(user_id) for user_id in user_ids if user_id}

    def _get_used_user_id_kinds(self):
        """Return the kinds of user IDs by which Matomo may know customers: a set.

        Matomo goes on to know the user IDs that were sent under earlier settings. The
        chatter tells that a setting has been another one.
        """
        names = ("send_user_id", "tag_user_id")
        # sudo: a user who may not see the chatter's values may delete a person.
        changes = self.env["mail.tracking.value"].sudo()
        changes = changes.search(
            [
                ("mail_message_id.model", "=", self._name),
                ("mail_message_id.res_id", "=", self.id),
                ("field_id.name", "in", names),
            ]
        )
        changed = set(changes.field_id.mapped("name"))
        kinds = {choose_kind(self.tag_user_id, is_wanted=False)} - {""}
        if self.send_user_id or "send_user_id" in changed:
            kinds.add(PSEUDONYM)
        if "tag_user_id" in changed:
            kinds |= set(KNOWN_KINDS)
        return kinds

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
