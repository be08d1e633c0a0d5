from decimal import Decimal
from typing import NamedTuple

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import format_amount, format_date

from ..const import ACCEPTED_STATES, TEST_ORDER_PREFIX
from ..matomo_api.tracking import order_ref_key
from ..outbox import carts

# The explanation names at most this many orders for one cause.
NAMED = 20
HALF_CENT = Decimal("0.005")
# The relative error of a revenue in Matomo, which stores it in single precision
# (docs/matomo.md section 7).
PRECISION = Decimal("1e-6")


class Cause(NamedTuple):
    """One order that Odoo and Matomo do not count in the same way, and why.

    :ivar kind: the reason, a key of the labels in ``_get_sentences``
    :ivar name: the name of the order, or its order ID in Matomo
    :ivar orders: how many more orders Matomo counts: 1, 0 or -1
    :ivar revenue: how much more revenue Matomo counts, perhaps negative, in the
        currency of the site
    """

    kind: str
    name: str
    orders: int
    revenue: Decimal


class MatomoReconciliation(models.Model):
    """One day of a Matomo site: its orders in Odoo and in Matomo, and why they differ.

    On screens this is the Daily Comparison. Odoo's figures are the sums of the orders
    as they are now; Matomo's figures come from its own report. A day is a day of the
    site's time zone. Both sides count bought lines with tax, in the site's currency.
    ``outbox/comparison.py`` asks Matomo; this model compares and stores the result.
    """

    _name = "matomo.reconciliation"
    _description = "Matomo Daily Comparison"
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
        help="Total including taxes of the orders that should be in Matomo.",
    )
    matomo_order_count = fields.Integer(string="Orders in Matomo", readonly=True)
    matomo_revenue = fields.Monetary(string="Revenue in Matomo", readonly=True)
    order_count_difference = fields.Integer(
        string="Order Difference",
        readonly=True,
        help="Orders in Matomo minus orders in Odoo.",
    )
    revenue_difference = fields.Monetary(
        readonly=True,
        help="Revenue in Matomo minus revenue in Odoo.",
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
        readonly=True, help="Why Odoo and Matomo differ, and which orders cause it."
    )
    bought_cart_count = fields.Integer(
        string="Abandoned Carts Bought Later",
        readonly=True,
        help="Of the carts that Matomo counts as abandoned on this day, so many became "
        "orders in a later visit. Matomo cannot take them back.",
    )
    foreign_order_count = fields.Integer(
        string="Orders From Elsewhere",
        readonly=True,
        aggregator=None,
        help="Orders in Matomo that were not sent from here. They are counted on days "
        "that differ.",
    )
    checked_date = fields.Datetime(readonly=True)

    # The index also serves searches for the days of a site.
    _site_day_unique = models.UniqueIndex("(site_id, day)")

    @api.depends("site_id", "day")
    def _compute_display_name(self):
        for record in self:
            day = format_date(self.env, record.day)
            record.display_name = f"{record.site_id.display_name}, {day}"

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
    def _compare_day(self, site, day, totals, recorded=None):
        """Compare one day, and create or update its record.

        :param day: a date in the site's time zone
        :param Totals totals: the figures of Matomo's report
        :param recorded: list of ``RecordedOrder``, the day's orders in Matomo; None if
            Matomo has not been asked for them
        :return: the record of that day. Its state is "different" if the causes that are
            known do not add up to the difference
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
        if recorded is not None:
            accepted |= self._get_arrived_requests(counted, recorded)
        causes = self._get_causes(site, counted, accepted)
        if recorded is not None:
            causes += self._get_recorded_causes(site, accepted, recorded)
        bought = carts.get_bought_later(self.env, site, start, end)
        remarks = [
            *self._get_sentences(
                site, causes + self._get_refused_orders(site, start, end)
            ),
            *self._get_day_sentences(site, counted, start, end),
            *self._get_cart_sentences(site, bought),
        ]
        values = {
            **self._prepare_figures(counted, causes, totals),
            "explanation": "\n".join(remarks) or False,
            "bought_cart_count": len(bought),
            "foreign_order_count": sum(each.kind == "foreign" for each in causes),
            "checked_date": fields.Datetime.now(),
        }
        record = self.search([("site_id", "=", site.id), ("day", "=", day)])
        if record:
            record.write(values)
            return record
        return self.create({"site_id": site.id, "day": day, **values})

    @api.model
    def _prepare_figures(self, counted, causes, totals):
        """Return a day's figures and their state, as values.

        :param counted: see ``_get_counted_orders``
        :param causes: list of ``Cause``, why Matomo has something else
        :param Totals totals: the figures of Matomo's report
        """
        revenue = sum((now for _request, now in counted.values()), Decimal("0.00"))
        differences = totals.orders - len(counted), totals.revenue - revenue
        explained = sum(c.orders for c in causes), sum(c.revenue for c in causes)
        is_explained = explained[0] == differences[0] and (
            abs(explained[1] - differences[1]) <= _tolerance(revenue)
        )
        state = "explained" if causes else "equal"
        return {
            "odoo_order_count": len(counted),
            "odoo_revenue": float(revenue),
            "matomo_order_count": totals.orders,
            "matomo_revenue": float(totals.revenue),
            "order_count_difference": differences[0],
            "revenue_difference": float(differences[1]),
            "state": state if is_explained else "different",
        }

    @api.model
    def _get_counted_orders(self, site, start, end):
        """Return the orders in Odoo that should be in Matomo.

        They are of the day that Matomo got: an order's own, or that of its checkout.

        :param start: naive UTC, inclusive
        :param end: naive UTC, exclusive
        :return: ``{order: (its request, its revenue now)}``; the revenue is a
            ``Decimal`` in the site's currency
        """
        counted = {}
        checked_out = self.env["matomo.request"].search(
            [
                ("site_id", "=", site.id),
                ("checkout_date", ">=", start),
                ("checkout_date", "<", end),
            ]
        )
        for orders in self.env["matomo.order.mixin"]._get_matomo_order_models():
            earlier = checked_out[orders._matomo_order_field]
            orders = orders.search(
                Domain.AND(
                    [
                        orders._get_matomo_sale_domain(),
                        [("company_id", "=", site.company_id.id)],
                        Domain("id", "in", earlier.ids)
                        | (
                            Domain("date_order", ">=", start)
                            & Domain("date_order", "<", end)
                        ),
                    ]
                )
            )
            order_requests = orders._get_matomo_requests()
            for order in orders:
                request = order_requests.get(order.id)
                if not request or request.site_id != site:
                    continue
                moment = request.checkout_date or order.date_order
                if start <= moment < end and request.state != "excluded":
                    counted[order] = request, order._get_matomo_revenue(request)
        return counted

    @api.model
    def _get_refused_orders(self, site, start, end):
        """Return the orders that are not sent because their shoppers refused.

        Neither side counts them: they explain nothing, and are named all the same.

        :param start: naive UTC, inclusive
        :param end: naive UTC, exclusive
        :return: list of ``Cause``
        """
        if not site.exclude_refused:
            return []
        requests = self.env["matomo.request"].search(
            [
                ("site_id", "=", site.id),
                ("state", "=", "excluded"),
                ("sale_order_id", "!=", False),
                ("order_date", ">=", start),
                ("order_date", "<", end),
            ]
        )
        refused = requests.sale_order_id.filtered(
            lambda order: order._get_matomo_refusal_verdict()
        )
        return [
            Cause(
                "refused",
                order._get_matomo_order_name(),
                0,
                order._prepare_matomo_amounts(site).revenue,
            )
            for order in refused
        ]

    @api.model
    def _get_arrived_requests(self, counted, recorded):
        """Return the requests that still wait here although Matomo has their orders.

        The answer to them was lost: they are looked for in Matomo before they are sent
        again.

        :param counted: the orders of the day, see ``_get_counted_orders``
        :param recorded: list of ``RecordedOrder``, the orders of the day in Matomo
        """
        keys = {order_ref_key(order.ref) for order in recorded}
        requests = self.env["matomo.request"].union(
            *(request for request, _revenue in counted.values())
        )
        return requests.filtered(
            lambda request: (
                request.attempt_count
                and (request.state == "pending" or request.is_left_out)
                and order_ref_key(request.order_ref) in keys
            )
        )

    @api.model
    def _get_causes(self, site, counted, accepted):
        """Return the causes of a difference that Odoo knows without asking Matomo.

        :param site: the ``matomo.site``
        :param counted: the orders of the day, see ``_get_counted_orders``
        :param accepted: the requests of the day that Matomo has accepted
        :return: list of ``Cause``
        """
        causes = []
        accepted_ids = set(accepted._ids)
        for order, (request, revenue) in counted.items():
            if request.id not in accepted_ids:
                kind = request.state
                if kind in ACCEPTED_STATES:
                    kind = "moved"
                elif request.is_left_out:
                    kind = "left_out"
                name = order._get_matomo_order_name()
                causes.append(Cause(kind, name, -1, -revenue))
                continue
            has = request._get_recorded_revenue()
            sent = request._get_sent_revenue()
            if sent != revenue:
                # Matomo converts nothing when its site gets another currency.
                is_converted = request.currency_id == site.currency_id
                kind = "changed" if is_converted else "currency"
                causes.append(Cause(kind, request.order_ref, 0, sent - revenue))
            if abs(has - sent) > _tolerance(sent):
                causes.append(Cause("recorded", request.order_ref, 0, has - sent))
        for request in accepted:
            if request._get_order() not in counted:
                has = request._get_recorded_revenue()
                causes.append(Cause("gone", request.order_ref, 1, has))
        return causes

    @api.model
    def _get_recorded_causes(self, site, accepted, recorded):
        """Return the causes of a difference that only Matomo's orders show.

        Wake the verifier for accepted orders that Matomo does not have: it decides
        whether they are sent again.

        :param accepted: the requests of the day that Matomo has accepted
        :param recorded: list of ``RecordedOrder``, the orders of the day in Matomo
        :return: list of ``Cause``
        """
        causes = []
        missing = accepted.browse()
        left = {order_ref_key(order.ref): order for order in recorded}
        elsewhere = accepted.filtered(lambda request: request.state == "elsewhere")
        for request in accepted - elsewhere:
            sent = request._get_recorded_revenue()
            ref = request.order_ref
            order = left.pop(order_ref_key(ref), None)
            if not order and site.is_order_id_anonymised:
                keys = (key for key, each in left.items() if request._is_ours(each))
                order = left.pop(next(keys, None), None)
            if not order:
                missing |= request
                causes.append(Cause("missing", ref, -1, -sent))
            elif order.revenue is None:
                # Matomo tells no legible amount: no cause is known of a difference.
                continue
            elif abs(order.revenue - sent) > _tolerance(sent):
                causes.append(Cause("recorded", ref, 0, order.revenue - sent))
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
        known = {order_ref_key(request.order_ref): request for request in known}
        for request in elsewhere:
            causes += self._get_causes_of_elsewhere(request, left, known)
        for key, order in left.items():
            kind = self._get_kind_of_recorded(site, order.ref, known.get(key))
            causes.append(Cause(kind, order.ref, 1, order.revenue or Decimal(0)))
        return causes

    @api.model
    def _get_causes_of_elsewhere(self, request, left, known):
        """Return the causes of an order that Matomo has from another system.

        It may have another ID there: then its revenue tells which one it is.

        :param left: ``{key: RecordedOrder}``, what no request has explained. The one
            that is found is taken out
        :param known: ``{key: request}``, those that Odoo has sent on another day
        """
        sent = request._get_recorded_revenue()
        key = order_ref_key(request.order_ref)
        if key not in left:
            key = next(
                (
                    each
                    for each, order in left.items()
                    if each not in known
                    and order.revenue is not None
                    and abs(order.revenue - sent) <= _tolerance(sent)
                ),
                None,
            )
        if key is None:
            return [Cause("elsewhere", request.order_ref, -1, -sent)]
        revenue = left.pop(key).revenue
        if revenue is None or abs(revenue - sent) <= _tolerance(sent):
            return []
        return [Cause("recorded", request.order_ref, 0, revenue - sent)]

    @api.model
    def _get_kind_of_recorded(self, site, ref, request):
        """Return the kind of cause of an order that Matomo has and this day has not.

        :param ref: its order ID in Matomo
        :param request: which has sent it, of any company; None if none has
        """
        if not request:
            return "test" if ref.startswith(TEST_ORDER_PREFIX) else "foreign"
        if request.site_id == site:
            return "late"
        return "company" if request.company_id != site.company_id else "site"

    @api.model
    def _get_day_sentences(self, site, counted, start, end):
        """Return a sentence on the orders that Odoo's reports have on another day.

        :param counted: the orders of the day, see ``_get_counted_orders``
        """
        names = [
            order._get_matomo_order_name()
            for order in counted
            if not start <= order.date_order < end
        ]
        if not names:
            return []
        env = site._get_message_env()
        return [
            env._(
                "Counted on the day of the checkout, in Odoo's reports on another day "
                "(%(count)s): %(names)s",
                count=len(names),
                names=_name_some(names),
            )
        ]

    @api.model
    def _get_cart_sentences(self, site, bought):
        """Return a sentence on the abandoned carts of the day that became orders.

        :param bought: of ``carts.get_bought_later``
        """
        if not bought:
            return []
        env = site._get_message_env()
        return [
            env._(
                "Matomo counts as abandoned and cannot take back, bought in a later "
                "visit (%(count)s): %(names)s",
                count=len(bought),
                names=_name_some(bought.sale_order_id.mapped("name")),
            )
        ]

    @api.model
    def _get_sentences(self, site, causes):
        """Return a sentence for each kind of cause, with figures and order names.

        :return: list of texts in the language of the site's messages
        """
        env = site._get_message_env()
        kinds = {
            "pending": env._("Waiting to be sent"),
            "failed": env._("Failed"),
            "cancelled": env._("Cancelled, and confirmed again"),
            "left_out": env._("Not sent, because a person has cancelled it"),
            "elsewhere": env._("Said to be from another system, and not found there"),
            "moved": env._("Sent for another day"),
            "gone": env._("In Matomo, and no longer counted in Odoo on this day"),
            "changed": env._("Changed in Odoo after they were sent"),
            "currency": env._(
                "Sent in another currency, before the one of the site was changed"
            ),
            "missing": env._("Accepted by Matomo, but not recorded"),
            "recorded": env._("Recorded by Matomo with another amount"),
            "late": env._("Booked by Matomo on this day, not on their own"),
            "company": env._("Of another company here"),
            "site": env._("Sent by another Matomo site of this company"),
            "foreign": env._("In Matomo, and not sent from here"),
            "test": env._("Test orders that were sent when Matomo was connected"),
            "refused": env._(
                "Not sent and not counted here, because the shopper refused"
            ),
        }
        sentences = []
        for kind, label in kinds.items():
            same = [cause for cause in causes if cause.kind == kind]
            if not same:
                continue
            revenue = float(sum(cause.revenue for cause in same))
            sentences.append(
                env._(
                    "%(cause)s (%(count)s, %(revenue)s): %(names)s",
                    cause=label,
                    count=len(same),
                    revenue=format_amount(env, revenue, site.currency_id),
                    names=_name_some([cause.name for cause in same]),
                )
            )
        return sentences


def _name_some(names):
    """Return the first of these names as a text."""
    text = ", ".join(names[:NAMED])
    return text if len(names) <= NAMED else f"{text} …"


def _tolerance(revenue):
    """Return by how much Matomo may miss a revenue only by rounding, a ``Decimal``."""
    return HALF_CENT + abs(revenue) * PRECISION
