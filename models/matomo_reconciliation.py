import logging
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import format_amount, format_date

from ..const import ACCEPTED_STATES
from ..matomo_api.errors import MatomoError
from ..matomo_api.reading import day_totals, read_day_orders
from ..matomo_api.tracking import order_ref_key
from ..outbox.transactions import end_transaction, run_in_transaction

_logger = logging.getLogger(__name__)

# How many past days are compared again every night: a till may sync late.
DAYS = 31
# How many orders the explanation names for one cause.
NAMED = 20
HALF_CENT = Decimal("0.005")
# The relative error of revenue: Matomo stores it in single precision (docs/matomo.md
# section 7).
PRECISION = Decimal("1e-6")


class Cause(NamedTuple):
    """A reason for which an order makes the two sides differ.

    :ivar kind: of the reason
    :ivar name: of the order
    :ivar orders: how many more orders Matomo has because of it, perhaps negative
    :ivar revenue: how much more revenue Matomo has because of it, in its currency
    """

    kind: str
    name: str
    orders: int
    revenue: Decimal


class MatomoReconciliation(models.Model):
    """A day of a Matomo site in Odoo and in Matomo, and why the two differ.

    The figures of Odoo are the sums of the orders as they are now. The figures of
    Matomo come from its own report. A day is a day of the site's time zone. Both sides
    count bought lines with tax, in the site's currency.
    """

    _name = "matomo.reconciliation"
    _description = "Matomo Reconciliation"
    _order = "day desc, site_id"
    _rec_name = "day"

    site_id = fields.Many2one(
        "matomo.site", required=True, readonly=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="site_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="site_id.currency_id", store=True)
    day = fields.Date(
        required=True,
        readonly=True,
        help="A day of the time zone of the Matomo site.",
    )
    odoo_order_count = fields.Integer(string="Orders in Odoo", readonly=True)
    odoo_revenue = fields.Monetary(
        string="Revenue in Odoo",
        readonly=True,
        help="The bought lines with tax of the orders that belong into Matomo.",
    )
    matomo_order_count = fields.Integer(string="Orders in Matomo", readonly=True)
    matomo_revenue = fields.Monetary(string="Revenue in Matomo", readonly=True)
    order_count_difference = fields.Integer(
        string="Orders Too Many",
        readonly=True,
        help="Orders in Matomo less orders in Odoo.",
    )
    revenue_difference = fields.Monetary(
        string="Difference",
        readonly=True,
        help="Revenue in Matomo less revenue in Odoo.",
    )
    state = fields.Selection(
        [
            ("equal", "Equal"),
            ("explained", "Explained"),
            ("different", "Different"),
        ],
        required=True,
        readonly=True,
        help="Explained: the listed reasons add up to the difference.",
    )
    explanation = fields.Text(
        readonly=True, help="What makes the two sides differ, in plain words."
    )
    checked_date = fields.Datetime(readonly=True)

    # One row for each day. The index also finds the days of a site.
    _site_day_unique = models.UniqueIndex("(site_id, day)")

    @api.depends("site_id", "day")
    def _compute_display_name(self):
        for row in self:
            day = format_date(self.env, row.day)
            row.display_name = f"{row.site_id.display_name}, {day}"

    # === ACTIONS === #

    def action_view_requests(self):
        """Return an action that shows the requests of the day."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "matomo_order_tracking.matomo_request_action"
        )
        start, end = self.site_id._get_day_bounds(self.day)
        return {
            **action,
            "domain": [
                ("site_id", "=", self.site_id.id),
                ("order_date", ">=", start),
                ("order_date", "<", end),
            ],
        }

    # === COMPARING === #

    @api.model
    def _reconcile(self):
        """Compare the past days of all sites, after the nightly sweep.

        Today is left out: Matomo's report of it may be a quarter of an hour old
        (docs/matomo.md section 10).
        """
        if not self.env.registry.ready:
            return
        for site in self.env["matomo.site"].search([("can_read", "=", True)]):
            if not site._may_send() or not site._get_token():
                continue
            last = site._get_today() - timedelta(days=1)
            # Matomo does not count the days anew whose raw data it has deleted
            # (docs/matomo.md section 14).
            days = min(DAYS, site.raw_data_days or DAYS)
            self._compare_site(
                site, max(site.date_start, last - timedelta(days=days - 1)), last
            )

    @api.model
    def _compare_site(self, site, first, last):
        """Compare the days from ``first`` to ``last`` and write down the results.

        No transaction is open while Matomo is asked. If Matomo cannot be asked, the
        ledger keeps its rows; the sender reports the trouble on the site.

        :param first: a day of the site's time zone, as ``last``
        """
        idsite = site.idsite
        end_transaction(self.env)
        if last < first:
            return
        try:
            with closing(site._get_client()) as client:
                end_transaction(self.env)
                for day, totals in day_totals(client, idsite, first, last).items():
                    row = run_in_transaction(
                        self.env,
                        lambda d=day, t=totals: self._compare_day(site, d, t),
                    )
                    if row.state != "different":
                        continue
                    end_transaction(self.env)
                    recorded = read_day_orders(client, idsite, day)
                    run_in_transaction(
                        self.env,
                        lambda d=day, t=totals, r=recorded: self._compare_day(
                            site, d, t, r
                        ),
                    )
        except MatomoError as error:
            _logger.warning(
                "The ledger of Matomo site %s (%s) waits: %s", site.id, site.url, error
            )

    @api.model
    def _compare_day(self, site, day, totals, recorded=None):
        """Compare one day.

        :param day: of the site's time zone
        :param DayTotals totals: the figures of Matomo's report
        :param recorded: the day's orders in Matomo; None: they are not known yet
        :return: the row of that day
        """
        start, end = site._get_day_bounds(day)
        counted = self._get_counted_orders(site, start, end)
        accepted = self.env["matomo.request"].search(
            [
                ("kind", "=", "order"),
                ("site_id", "=", site.id),
                ("state", "in", ACCEPTED_STATES),
                ("order_date", ">=", start),
                ("order_date", "<", end),
            ]
        )
        causes = self._get_causes(counted, accepted)
        if recorded is not None:
            causes += self._get_recorded_causes(site, accepted, recorded)
        revenue = sum((now for _row, now in counted.values()), Decimal("0.00"))
        differences = totals.orders - len(counted), totals.revenue - revenue
        explained = sum(c.orders for c in causes), sum(c.revenue for c in causes)
        is_explained = explained[0] == differences[0] and (
            abs(explained[1] - differences[1]) <= _tolerance(revenue)
        )
        values = {
            "odoo_order_count": len(counted),
            "odoo_revenue": float(revenue),
            "matomo_order_count": totals.orders,
            "matomo_revenue": float(totals.revenue),
            "order_count_difference": differences[0],
            "revenue_difference": float(differences[1]),
            "state": "different"
            if not is_explained
            else "explained"
            if causes
            else "equal",
            "explanation": "\n".join(self._get_sentences(site, causes)) or False,
            "checked_date": fields.Datetime.now(),
        }
        row = self.search([("site_id", "=", site.id), ("day", "=", day)])
        if row:
            row.write(values)
            return row
        return self.create({"site_id": site.id, "day": day, **values})

    @api.model
    def _get_counted_orders(self, site, start, end):
        """Return the orders of Odoo that should be in Matomo.

        :param start: naive UTC
        :param end: naive UTC, not part of the time
        :return: ``{order: (its request, its revenue now)}``
        """
        counted = {}
        for orders in self.env["matomo.order.mixin"]._get_matomo_order_models():
            orders = orders.search(
                Domain.AND(
                    [
                        orders._get_matomo_sale_domain(),
                        [
                            ("company_id", "=", site.company_id.id),
                            ("date_order", ">=", start),
                            ("date_order", "<", end),
                        ],
                    ]
                )
            )
            rows = orders._get_matomo_rows()
            for order in orders:
                row = rows.get(order.id)
                if row and row.site_id == site and row.state != "excluded":
                    counted[order] = row, order._get_matomo_revenue(row)
        return counted

    @api.model
    def _get_causes(self, counted, accepted):
        """Return the causes of a difference that Odoo knows by itself.

        :param counted: of ``_get_counted_orders``
        :param accepted: the requests of the day that Matomo has accepted
        """
        causes = []
        accepted_ids = set(accepted._ids)
        for order, (row, revenue) in counted.items():
            if row.id not in accepted_ids:
                kind = "moved" if row.state in ACCEPTED_STATES else row.state
                name = order._get_matomo_order_name()
                causes.append(Cause(kind, name, -1, -revenue))
            elif (sent := row._get_sent_revenue()) != revenue:
                causes.append(Cause("changed", row.order_ref, 0, sent - revenue))
        for row in accepted:
            if row._get_order() not in counted:
                causes.append(Cause("gone", row.order_ref, 1, row._get_sent_revenue()))
        return causes

    @api.model
    def _get_recorded_causes(self, site, accepted, recorded):
        """Return the causes of a difference that only Matomo's orders show.

        The verifier is to look for accepted orders that Matomo does not have.

        :param accepted: the requests of the day that Matomo has accepted
        :param recorded: the orders of the day in Matomo
        """
        causes = []
        missing = accepted.browse()
        left = {order_ref_key(order.ref): order for order in recorded}
        for row in accepted:
            sent = row._get_sent_revenue()
            order = left.pop(order_ref_key(row.order_ref), None)
            if not order and site.is_order_id_anonymised:
                key = next((k for k, each in left.items() if row._is_ours(each)), None)
                order = left.pop(key, None)
            if not order:
                missing |= row
                causes.append(Cause("missing", row.order_ref, -1, -sent))
            elif abs(order.revenue - sent) > _tolerance(sent):
                causes.append(Cause("recorded", row.order_ref, 0, order.revenue - sent))
        if missing:
            missing.write({"next_check_date": fields.Datetime.now()})
            missing._wake_verifier()
        known = self.env["matomo.request"].search(
            [
                (
                    "order_ref_key",
                    "in",
                    [site._get_order_ref_key(order.ref) for order in left.values()],
                )
            ]
        )
        known = {order_ref_key(row.order_ref) for row in known}
        for key, order in left.items():
            kind = "late" if key in known else "foreign"
            causes.append(Cause(kind, order.ref, 1, order.revenue))
        return causes

    @api.model
    def _get_sentences(self, site, causes):
        """Return a sentence for each kind of cause, which names the orders."""
        env = site._get_message_env()
        kinds = {
            "pending": env._("Waiting to be sent"),
            "failed": env._("Failed"),
            "cancelled": env._("Cancelled, and confirmed again"),
            "moved": env._("Sent for another day"),
            "gone": env._("In Matomo, and no longer counted in Odoo on this day"),
            "changed": env._("Changed in Odoo after they were sent"),
            "missing": env._("Accepted by Matomo, but not recorded"),
            "recorded": env._("Recorded by Matomo with another amount"),
            "late": env._("Booked by Matomo on this day, not on their own"),
            "foreign": env._("In Matomo, and not sent from here"),
        }
        sentences = []
        for kind, label in kinds.items():
            same = [cause for cause in causes if cause.kind == kind]
            if not same:
                continue
            names = ", ".join(cause.name for cause in same[:NAMED])
            revenue = float(sum(cause.revenue for cause in same))
            sentences.append(
                env._(
                    "%(cause)s (%(count)s, %(revenue)s): %(names)s",
                    cause=label,
                    count=len(same),
                    revenue=format_amount(env, revenue, site.currency_id),
                    names=names if len(same) <= NAMED else f"{names} …",
                )
            )
        return sentences


def _tolerance(revenue):
    return HALF_CENT + abs(revenue) * PRECISION
