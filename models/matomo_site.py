from datetime import datetime, time, timedelta
from decimal import Decimal

import pytz

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ..matomo_api.tracking import order_ref_key, tracker_url


def to_decimal(amount):
    """A float as Odoo computes amounts; beyond six decimals its noise begins."""
    return Decimal(f"{amount:.6f}")


def to_utc(zone, moment):
    """Return a wall-clock time of a pytz time zone as naive UTC."""
    return zone.localize(moment).astimezone(pytz.utc).replace(tzinfo=None)


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
    idsite = fields.Integer(
        string="Site ID",
        required=True,
        tracking=True,
        aggregator=None,
        help="The number of the website in Matomo, under Administration, Websites.",
    )
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        default=lambda self: self.env.company.currency_id,
        help="The currency of the site in Matomo. Amounts are converted into it.",
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
        help="The time zone of the site in Matomo: its days are Matomo's days. "
        "Testing the connection reads it.",
    )
    page_url = fields.Char(
        string="Shop Address",
        help="The main address of the site in Matomo. Sales are booked on pages "
        "within it, so that a site that only accepts known addresses accepts them. "
        "Testing the connection reads it.",
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
    request_ids = fields.One2many("matomo.request", "site_id", string="Requests")

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
    _url_idsite_unique = models.UniqueIndex(
        "(company_id, url, idsite) WHERE active",
        "This Matomo site already exists in this company.",
    )

    # === COMPUTE, DEFAULTS, CONSTRAINTS === #

    def _default_lang_id(self):
        langs = self.env["res.lang"]
        code = self.env.company.partner_id.lang or self.env.lang
        return langs._get_data(code=code).id or langs.search([], limit=1).id

    @api.model
    def _selection_timezone(self):
        return [(name, name) for name in pytz.all_timezones]

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
        for vals in vals_list:
            self._clean_values(vals)
        return super().create(vals_list)

    def write(self, vals):
        """Override of the ORM to start afresh when the way to Matomo is mended."""
        if vals.get("date_start"):
            self._reconsider(fields.Date.to_date(vals["date_start"]))
        result = super().write(vals)
        if {"url", "idsite"} & vals.keys():
            self._mend()
        return result

    def _clean_values(self, vals):
        if vals.get("url"):
            vals["url"] = "".join(vals["url"].split())
        return vals

    def _reconsider(self, date_start):
        """Let the sweep judge anew what was left out for being too old."""
        for site in self.filtered(lambda site: date_start < site.date_start):
            # sudo: nobody may delete rows; these hold a verdict that is outdated.
            requests = self.env["matomo.request"].sudo()
            requests.search(
                [
                    ("site_id", "=", site.id),
                    ("state", "=", "excluded"),
                    ("order_date", "<", site._get_start()),
                ]
            ).unlink()
            requests._wake_sweep()

    def _mend(self):
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
            }
        )
        sites.env["matomo.request"]._wake_sender()

    # === ACTIONS === #

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
        """How many orders go into one request.

        Alone, if the token may not read: only then an answer says enough.
        """
        self.ensure_one()
        return self.batch_size if self.can_read else 1

    def _get_page_url(self, *path):
        """An address within the site's own, for a page of the channel."""
        # sudo: the base address is a system parameter.
        base = self.page_url or self.sudo().get_base_url()
        return "/".join([base.rstrip("/"), *path])

    def _has_raw_data(self, moment):
        """Whether Matomo still has single orders of that time (naive, UTC)."""
        self.ensure_one()
        kept = timedelta(days=self.raw_data_days)
        return not kept or moment > fields.Datetime.now() - kept

    def _to_utc(self, moment):
        """Return a wall-clock time of the site's time zone as naive UTC."""
        self.ensure_one()
        return to_utc(pytz.timezone(self.timezone), moment)

    def _get_start(self):
        """The moment tracking starts, naive in UTC."""
        self.ensure_one()
        return self._get_day_bounds(self.date_start)[0]

    def _get_today(self):
        """The day it is in the site's time zone."""
        self.ensure_one()
        now = pytz.utc.localize(fields.Datetime.now())
        return now.astimezone(pytz.timezone(self.timezone)).date()

    def _get_day_bounds(self, day):
        """Start and end (which is not part of it) of a day of the site, naive UTC."""
        self.ensure_one()
        days = day, day + timedelta(days=1)
        return tuple(self._to_utc(datetime.combine(d, time.min)) for d in days)

    def _get_order_ref_key(self, ref):
        """What orders may not share that Matomo takes for one order."""
        self.ensure_one()
        return f"{self.idsite}@{tracker_url(self.url)} {order_ref_key(ref)}"
