import json
from collections import defaultdict
from datetime import timedelta

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL, format_amount, format_date

from ..tools import overview

MODULE = "matomo_order_tracking"
# Of so many requests that wait, the one that waits longest is looked for.
FIRST = 100
# The periods of the bars: how many days before today they begin.
PERIODS = {"today": 0, "month": overview.DAYS - 1}


class MatomoOverview(models.Model):
    """How a Matomo site is doing, for people who look at it day by day.

    One record for each site that is not archived, with the id of the site. Nothing is
    stored: the figures are those of requests, checks and the Daily Comparison, as the
    reader may see them. ``tools/overview.py`` decides what is said first.
    """

    _name = "matomo.overview"
    _inherit = ["matomo.list"]
    _description = "Matomo Overview"
    _auto = False
    _order = "name, id"
    _depends = {"matomo.site": ["name", "active", "company_id", "currency_id"]}

    site_id = fields.Many2one("matomo.site", readonly=True)
    name = fields.Char(readonly=True)
    company_id = fields.Many2one("res.company", readonly=True)
    currency_id = fields.Many2one("res.currency", readonly=True)

    # === FIELDS: HEALTH === #

    level = fields.Selection(
        [
            ("bad", "Needs you"),
            ("look", "Have a look"),
            ("unknown", "Not tested"),
            ("good", "All is well"),
        ],
        compute="_compute_health",
    )
    sentence = fields.Text(compute="_compute_health")
    advice = fields.Text(compute="_compute_health")
    last_success_date = fields.Datetime(related="site_id.last_success_date")

    # === FIELDS: ORDERS === #

    today_bar = fields.Json(string="Orders of Today", compute="_compute_orders")
    month_bar = fields.Json(string="Orders of 30 Days", compute="_compute_orders")
    has_share = fields.Boolean(compute="_compute_orders")
    proven_share = fields.Float(
        string="Proven (%)",
        compute="_compute_orders",
        digits=(4, 1),
        aggregator=None,
        help="How many of the orders of 30 days that Odoo sends to Matomo were found "
        "there.",
    )
    waiting_count = fields.Integer(related="site_id.waiting_count")
    waiting_message = fields.Char(related="site_id.waiting_message")
    waiting_since = fields.Datetime(compute="_compute_waiting_since")
    failed_count = fields.Integer(compute="_compute_attention", aggregator=None)
    different_count = fields.Integer(compute="_compute_attention", aggregator=None)

    # === FIELDS: REVENUE === #

    compared_count = fields.Integer(
        string="Days Compared", compute="_compute_revenue", aggregator=None
    )
    different_day_count = fields.Integer(
        string="Days That Differ", compute="_compute_revenue", aggregator=None
    )
    odoo_revenue = fields.Monetary(
        string="Revenue in Odoo", compute="_compute_revenue", aggregator=None
    )
    matomo_revenue = fields.Monetary(
        string="Revenue in Matomo", compute="_compute_revenue", aggregator=None
    )
    revenue_lines = fields.Text(string="Revenue", compute="_compute_revenue")

    @property
    def _table_query(self):
        return SQL(
            "SELECT id, id AS site_id, name, company_id, currency_id"
            " FROM matomo_site WHERE active"
        )

    # === HEALTH === #

    @api.depends("site_id", "failed_count", "different_count")
    @api.depends_context("lang", "tz")
    def _compute_health(self):
        for each in self:
            site = each.site_id
            checks = site.check_ids
            each.level, source = overview.choose_health(
                site.state,
                checks.mapped("level"),
                bool(site.paused_date),
                site._is_silent(),
                bool(each.failed_count or each.different_count),
            )
            check = checks.filtered(lambda c, level=each.level: c.level == level)[:1]
            each.sentence, each.advice = each._describe_health(source, check)

    def _describe_health(self, source, check):
        """Return a sentence on the site and what to do, "" for nothing.

        :param source: see ``overview.choose_health``
        :param check: the first ``matomo.check`` of the site's level
        """
        texts = {
            "standstill": (self.site_id._describe_standstill(self.env), ""),
            "site": (self._describe_trouble(), ""),
            "check": (check.sentence or "", check.advice or ""),
            "orders": (
                self.env._(
                    "Matomo takes the orders. Some orders or refunds need a person."
                ),
                self.env._("Open what failed, or is different in Matomo."),
            ),
            "untested": (
                self.env._("Nobody has tested the connection yet."),
                self.env._("Press Test Connection on the form of the site."),
            ),
            "well": (self.env._("Matomo takes the orders and is read back."), ""),
        }
        return texts[source]

    @api.model
    def get_troubles(self):
        """Return the sites that take no orders now, for the banner above the log.

        :return: of each the ``id``, its ``name``, a ``sentence`` on what is wrong and
            until when, ``waiting`` (how many orders and refunds wait, False if none)
            and its ``level``, of those of an alert
        """
        troubles = []
        for each in self.search([("site_id", "!=", False)]):
            site = each.site_id
            waits = site._get_waiting_reason(self.env)
            if not waits and not overview.is_in_trouble(site.state, site.failure_count):
                continue
            troubles.append(
                {
                    "id": each.id,
                    "name": each.name,
                    "sentence": each._describe_trouble(),
                    "waiting": each.waiting_message,
                    "level": "danger" if site.state == "error" else "warning",
                }
            )
        return troubles

    def _describe_trouble(self):
        """Return what is wrong with the site, and until when; "" if nothing is."""
        waits = self.site_id._get_waiting_reason(self.env)
        return waits or self.site_id.state_message or ""

    # === ORDERS === #

    @api.depends("site_id")
    @api.depends_context("lang", "uid", "allowed_company_ids")
    def _compute_orders(self):
        by_period = {period: self._count_orders(period) for period in PERIODS}
        for each in self:
            for period, counts in by_period.items():
                each[f"{period}_bar"] = each._prepare_bar(
                    period, counts[each.site_id.id]
                )
            share = overview.get_proven_share(by_period["month"][each.site_id.id])
            each.has_share = share is not None
            each.proven_share = share or 0

    def _count_orders(self, period):
        """Return how many orders there are: ``{ID of a site: {state: count}}``.

        Each site has days of its own time zone; all are counted by one query.
        """
        counts = defaultdict(dict)
        starts = {each: each._get_period_start(period) for each in self}
        groups = self.env["matomo.request"]._read_group(
            Domain("kind", "=", "order")
            # What the index of these counts begins with.
            & Domain("company_id", "in", self.company_id.ids)
            & Domain("order_date", ">=", min(starts.values()))
            & Domain.OR(each._get_period_domain(period) for each in self),
            ["site_id", "state"],
            ["__count"],
        )
        for site, state, count in groups:
            counts[site.id][state] = count
        return counts

    def _get_period_domain(self, period):
        """Return the domain of the requests of this site in a period."""
        start = self._get_period_start(period)
        return Domain("site_id", "=", self.site_id.id) & Domain(
            "order_date", ">=", start
        )

    def _get_period_start(self, period):
        """Return when a period began for this site, naive UTC."""
        site = self.site_id
        first = site._get_today() - timedelta(days=PERIODS[period])
        return site._get_day_bounds(first)[0]

    def _prepare_bar(self, period, counts):
        """Return what the widget of a bar shows, as JSON."""
        labels = dict(
            self.env["matomo.request"]._fields["state"]._description_selection(self.env)
        )
        return {
            "period": period,
            "total": sum(counts.values()),
            "segments": [
                {**segment._asdict(), "label": labels[segment.state]}
                for segment in overview.get_segments(counts)
            ],
        }

    @api.depends("waiting_count")
    def _compute_waiting_since(self):
        requests = self.env["matomo.request"]
        for each in self:
            # Those that are sent first, by the sender's index. An old sale of a till
            # that was offline is one of them, and has come in last.
            first = requests
            if each.waiting_count:
                first = requests.search(
                    each._get_state_domain("pending"),
                    order="is_backfill, order_date, id",
                    limit=FIRST,
                )
            each.waiting_since = min(first.mapped("create_date"), default=False)

    def _get_state_domain(self, state):
        """Return the domain of the requests of this site in a state."""
        return Domain("site_id", "=", self.site_id.id) & Domain("state", "=", state)

    @api.depends("site_id")
    def _compute_attention(self):
        groups = self.env["matomo.request"]._read_group(
            [
                ("company_id", "in", self.company_id.ids),
                ("site_id", "in", self.site_id.ids),
                ("state", "in", overview.ATTENTION_STATES),
            ],
            ["site_id", "state"],
            ["__count"],
        )
        counts = {(site.id, state): count for site, state, count in groups}
        for each in self:
            each.failed_count = counts.get((each.site_id.id, "failed"), 0)
            each.different_count = counts.get((each.site_id.id, "different"), 0)

    # === REVENUE === #

    @api.depends("site_id")
    @api.depends_context("lang", "uid", "allowed_company_ids")
    def _compute_revenue(self):
        spans = {each: overview.get_days(each.site_id._get_today()) for each in self}
        rows = self.env["matomo.reconciliation"].search(
            Domain.OR(each._get_days_domain(days[0]) for each, days in spans.items())
        )
        by_site = rows.grouped("site_id")
        for each, days in spans.items():
            mine = by_site.get(each.site_id, rows.browse())
            each.compared_count = len(mine)
            each.different_day_count = len(
                mine.filtered(lambda row: row.state == "different")
            )
            each.odoo_revenue = sum(mine.mapped("odoo_revenue"))
            each.matomo_revenue = sum(mine.mapped("matomo_revenue"))
            each.revenue_lines = each._prepare_lines(days, mine)

    def _get_days_domain(self, first):
        """Return the domain of the days of this site that were compared."""
        return (
            Domain("site_id", "=", self.site_id.id)
            & Domain("day", ">=", first)
            & Domain("state", "!=", "unfinished")
        )

    def _prepare_lines(self, days, rows):
        """Return the two lines of the graph, as JSON in a text.

        :param days: the days, the oldest first
        :param rows: the days that were compared; the others are gaps
        """
        by_day = {row.day: row for row in rows}
        lines = []
        for name, key in (("odoo_revenue", "Odoo"), ("matomo_revenue", "Matomo")):
            values = []
            for day in days:
                row = by_day.get(day)
                amount = row and row[name]
                values.append(
                    {
                        "x": format_date(self.env, day, date_format="d MMM"),
                        "y": amount,
                        "label": row
                        and format_amount(self.env, amount, self.currency_id),
                    }
                )
            lines.append({"key": key, "values": values})
        return json.dumps(lines)

    # === ACTIONS === #

    def action_open_site(self):
        """Return an action that opens the site."""
        return self.site_id._get_form_action()

    def action_view_orders(self, period, state=None):
        """Return an action that shows the orders behind a bar, or a part of it.

        :param period: a key of ``PERIODS``
        :param state: of the orders; None: all of them
        """
        domain = Domain("kind", "=", "order") & self._get_period_domain(period)
        if state:
            domain &= Domain("state", "=", state)
        names = {"today": self.env._("Today"), "month": self.env._("Last 30 Days")}
        return self._view("matomo_request_action", names[period], domain)

    def action_view_proven(self):
        """Return an action that shows the orders that were found in Matomo."""
        return self.action_view_orders("month", "verified")

    def action_view_waiting(self):
        """Return an action that shows what waits to be sent."""
        return self._view_state(self.env._("Waiting"), "pending")

    def action_view_failed(self):
        """Return an action that shows what failed."""
        return self._view_state(self.env._("Failed"), "failed")

    def action_view_different(self):
        """Return an action that shows what Matomo has otherwise."""
        return self._view_state(self.env._("Different in Matomo"), "different")

    def _view_state(self, name, state):
        domain = self._get_state_domain(state)
        return self._view("matomo_request_action", name, domain)

    def action_view_days(self):
        """Return an action that shows the days behind the graph."""
        return self._view_days(self.env._("Daily Comparison"), Domain.TRUE)

    def action_view_different_days(self):
        """Return an action that shows the days on which both sides differ."""
        domain = Domain("state", "=", "different")
        return self._view_days(self.env._("Days That Differ"), domain)

    def _view_days(self, name, domain):
        first = overview.get_days(self.site_id._get_today())[0]
        domain &= self._get_days_domain(first)
        return self._view("matomo_reconciliation_action", name, domain)

    def _view(self, xmlid, name, domain):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(f"{MODULE}.{xmlid}")
        # The filters that a menu opens with would hide some of what was counted. The
        # web client shows the second name first.
        names = {"name": name, "display_name": name}
        return {**action, **names, "domain": list(domain), "context": {}}
