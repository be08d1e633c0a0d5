import json
import logging
from dataclasses import replace
from decimal import Decimal

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL, format_amount, format_date, hmac

from ..const import ACCEPTED_STATES, SHOPPER_FIELDS, STATES, USER_GROUP, Verdict
from ..matomo_api import reading
from ..matomo_api.browser import FEATURES
from ..matomo_api.items import (
    CENT,
    MAX_AMOUNT,
    MAX_NAME_LENGTH,
    Amounts,
    Item,
    Line,
    LineAmounts,
    Product,
    Totals,
    choose_categories,
    choose_sku,
    merge_lines,
    to_decimal,
)
from ..matomo_api.texts import clean_text
from ..matomo_api.tracking import Attribution, Order, Visitor
from ..outbox import refunds
from ..outbox.orders import find_once
from ..outbox.refunds import Refund
from ..outbox.transactions import caught
from ..tools.browsers import describe_browser
from ..tools.notices import notify
from ..tools.order_alert import get_alert_level
from ..tools.settlement import CountedLine, LineRole

_logger = logging.getLogger(__name__)

# The fields of a request that the list of orders shows.
SHOWN = ("state", "reason", "sent_date", "order_ref")
# How many changed items a note names at most.
NAMED = 5
# What a request is built from: of an order of Odoo, its products, their templates.
CONTENT_FIELDS = ("name", "state", "create_date", "date_order", "amount_total")
CONTENT_FIELDS += ("currency_id", "currency_rate", "company_id", "partner_id")
CONTENT_FIELDS += ("user_id",)
PRODUCT_FIELDS = ("default_code", "barcode", "product_tmpl_id")
PRODUCT_FIELDS += ("product_template_attribute_value_ids",)
TEMPLATE_FIELDS = ("name", "uom_id", "categ_id", "public_categ_ids")
# Key of the context: orders without a request are searched by their IDs.
SIDE_BY_SIDE = "matomo_side_by_side"
# The log entry of a field that stays empty because it could not be computed.
NOT_SHOWN = "%s of %s could not be computed"


class MatomoOrderMixin(models.AbstractModel):
    """An order that is tracked in Matomo, of whichever model.

    The order stores the metadata of the shopper, as the guide asks. Flag, verdict
    and URL are read from the order's request: the sender never writes an order. A
    model that inherits this says in ``_matomo_order_field`` which field of
    ``matomo.request`` names it, and implements the hooks at the end.
    """

    _name = "matomo.order.mixin"
    _description = "Order Tracked in Matomo"

    # === FIELDS === #

    matomo_ip_address = fields.Char(
        string="IP Address", copy=False, readonly=True, groups=USER_GROUP
    )
    matomo_user_agent = fields.Char(
        string="User Agent",
        copy=False,
        readonly=True,
        prefetch=False,
        groups=USER_GROUP,
    )
    matomo_accept_language = fields.Char(
        string="Languages",
        copy=False,
        readonly=True,
        prefetch=False,
        groups=USER_GROUP,
    )
    matomo_client_hints = fields.Char(
        string="Client Hints",
        copy=False,
        readonly=True,
        prefetch=False,
        groups=USER_GROUP,
    )
    matomo_browser_flags = fields.Json(
        string="Browser Features",
        copy=False,
        readonly=True,
        prefetch=False,
        groups=USER_GROUP,
        help="What the browser can show (plugins, cookies, screen), and when the tag "
        "told it. By it Matomo recognizes a browser without cookies.",
    )
    matomo_visitor_id = fields.Char(
        string="Visitor ID",
        size=16,
        copy=False,
        readonly=True,
        groups=USER_GROUP,
        help="The visitor's id in Matomo, 16 hexadecimal digits.",
    )
    matomo_user_id = fields.Char(
        string="User ID",
        copy=False,
        readonly=True,
        groups=USER_GROUP,
        help="By this Matomo knows a customer who was logged in, on all devices.",
    )
    matomo_attribution_info = fields.Json(
        string="Attribution",
        copy=False,
        readonly=True,
        prefetch=False,
        groups=USER_GROUP,
        help="Campaign, keyword, time and referrer the shopper came by.",
    )
    matomo_attribution = fields.Text(
        string="Traffic Source",
        compute="_compute_matomo_attribution",
        groups=USER_GROUP,
    )
    matomo_state = fields.Selection(
        STATES,
        string="Matomo",
        compute="_compute_matomo_verdict",
        search="_search_matomo_state",
        groups="base.group_user",
    )
    matomo_is_concerned = fields.Boolean(
        compute="_compute_matomo_verdict",
        groups="base.group_user",
        help="The order has a verdict, and is one of a Matomo site.",
    )
    matomo_reason = fields.Text(
        compute="_compute_matomo_reason",
        search="_search_matomo_reason",
        groups="base.group_user",
    )
    matomo_notes = fields.Text(
        compute="_compute_matomo_notes",
        groups="base.group_user",
    )
    matomo_tracked = fields.Boolean(
        string="Tracked in Matomo",
        compute="_compute_matomo_verdict",
        search="_search_matomo_tracked",
        groups="base.group_user",
        help="Matomo has accepted this order.",
    )
    matomo_tracked_date = fields.Datetime(
        string="Tracked On",
        compute="_compute_matomo_verdict",
        search="_search_matomo_tracked_date",
        groups="base.group_user",
    )
    matomo_order_ref = fields.Char(
        string="Order ID in Matomo",
        compute="_compute_matomo_verdict",
        search="_search_matomo_order_ref",
        groups="base.group_user",
    )
    matomo_alert = fields.Text(compute="_compute_matomo_alert", groups=USER_GROUP)
    matomo_alert_level = fields.Selection(
        [("info", "Good to Know"), ("warning", "Have a Look"), ("danger", "Needs You")],
        compute="_compute_matomo_alert",
        groups=USER_GROUP,
    )
    matomo_browser = fields.Char(
        string="Browser", compute="_compute_matomo_browser", groups=USER_GROUP
    )
    matomo_tracking_url = fields.Text(
        string="Audit URL",
        compute="_compute_matomo_tracking_url",
        groups=USER_GROUP,
        help="A GET address equal to what was sent, its token masked.",
    )

    # === COMPUTE AND SEARCH === #

    def _get_matomo_requests(self):
        """Return the requests of these orders: ``{order id: request}``, in sudo."""
        # sudo: employees see the verdict and may not read requests.
        requests = (
            self.env["matomo.request"]
            .sudo()
            # What a list of orders shows of them, by the same query.
            .search_fetch(
                [("kind", "=", "order"), (self._matomo_order_field, "in", self.ids)],
                [self._matomo_order_field, *SHOWN],
            )
        )
        return {request[self._matomo_order_field].id: request for request in requests}

    def _get_matomo_request(self):
        """Return the request of an order, empty if it has none. Call it in sudo."""
        return self.matomo_request_ids.filtered(lambda row: row.kind == "order")

    # A form of Odoo shows these fields: if one cannot be computed, it stays empty, the
    # log says so, and the order can be opened.

    @api.depends("matomo_attribution_info")
    def _compute_matomo_attribution(self):
        self.matomo_attribution = False
        for order in self:
            with caught(NOT_SHOWN, "matomo_attribution", order):
                order.matomo_attribution = order._describe_matomo_attribution()

    def _describe_matomo_attribution(self):
        info = self.matomo_attribution_info or {}
        labels = (
            ("campaign", lambda value: self.env._("Campaign: %s", value)),
            ("keyword", lambda value: self.env._("Keyword: %s", value)),
            ("referrer", lambda value: self.env._("Referrer: %s", value)),
        )
        found = ((describe, info.get(name)) for name, describe in labels)
        return "\n".join(describe(value) for describe, value in found if value)

    @api.depends("matomo_user_agent")
    def _compute_matomo_browser(self):
        """Name the browser and its system."""
        self.matomo_browser = False
        for order in self.filtered("matomo_user_agent"):
            with caught(NOT_SHOWN, "matomo_browser", order):
                name = describe_browser(order.matomo_user_agent)
                order.matomo_browser = name or self.env._("Unknown")

    def _depends_on_matomo_request(self):
        """Return the fields of the request that the verdict shows."""
        if not self._matomo_order_field:
            return []
        names = ("state", "reason", "notes", "sent_date", "order_ref", "tracking_url")
        names += ("order_revenue", "order_rate")
        return ["state", *(f"matomo_request_ids.{name}" for name in names)]

    @api.depends(_depends_on_matomo_request)
    def _compute_matomo_verdict(self):
        self.matomo_state = self.matomo_order_ref = False
        self.matomo_tracked = self.matomo_tracked_date = False
        self.matomo_is_concerned = False
        with caught(NOT_SHOWN, "matomo_state", self):
            by_order = self._get_matomo_requests()
            nothing = self.env["matomo.request"]
            for order in self:
                request = by_order.get(order._origin.id, nothing)
                order.matomo_state = request.state
                order.matomo_is_concerned = bool(request.site_id)
                order.matomo_tracked = request.state in ACCEPTED_STATES
                order.matomo_tracked_date = request.sent_date
                order.matomo_order_ref = request.order_ref

    @api.depends(_depends_on_matomo_request)
    def _compute_matomo_reason(self):
        """Say why an order has its verdict, or none.

        Apart from the verdict itself, because lists seldom show it: why orders have no
        verdict is looked for in their lines.
        """
        self.matomo_reason = False
        with caught(NOT_SHOWN, "matomo_reason", self):
            by_order = self._get_matomo_requests()
            for order in self:
                if request := by_order.get(order._origin.id):
                    # What keeps all orders of a site says until when, and comes first.
                    waiting = request._get_waiting_reason(names_site=True)
                    order.matomo_reason = waiting or request.reason
                else:
                    with caught(NOT_SHOWN, "matomo_reason", order):
                        order.matomo_reason = order._get_matomo_missing_reason()

    @api.depends(_depends_on_matomo_request)
    def _compute_matomo_alert(self):
        self.matomo_alert = self.matomo_alert_level = False
        with caught(NOT_SHOWN, "matomo_alert", self):
            by_order = self._get_matomo_requests()
            for order in self:
                if request := by_order.get(order._origin.id):
                    with caught(NOT_SHOWN, "matomo_alert", order):
                        level, text = order._get_matomo_alert(request)
                        order.matomo_alert_level = level
                        order.matomo_alert = text

    def _get_matomo_alert(self, request):
        """Return how the order calls a person (see ``tools/order_alert.py``), and why.

        :param request: the order's request, in sudo
        """
        is_too_much = (
            self._is_matomo_withdrawn()
            and not request.site_id.track_refunds
            and not self.sudo().matomo_request_ids.filtered(
                lambda each: each.kind == "refund"
            )
        )
        level = get_alert_level(
            request.state,
            is_too_much,
            request._get_stuck_date(),
            fields.Datetime.now(),
        )
        if not level:
            return False, False
        if request.state in ("failed", "different", "pending"):
            waiting = request._get_waiting_reason(names_site=True)
            return level, waiting or request.reason
        return level, self.env._(
            "The order no longer counts in Odoo, and Matomo still counts it: Matomo "
            "cannot remove orders. If Track Refunds is switched on at the Matomo site, "
            "Odoo tells Matomo what is given back."
        )

    def _depends_on_matomo_amount(self):
        """Return the fields by which an order can differ from what Matomo has."""
        if not self._matomo_order_field:
            return []
        return ["amount_total", "date_order", *self._depends_on_matomo_request()]

    @api.depends(_depends_on_matomo_amount)
    def _compute_matomo_notes(self):
        self.matomo_notes = False
        with caught(NOT_SHOWN, "matomo_notes", self):
            by_order = self._get_matomo_requests()
            for order in self:
                if request := by_order.get(order._origin.id):
                    with caught(NOT_SHOWN, "matomo_notes", order):
                        order.matomo_notes = order._describe_matomo_request(request)

    def _describe_matomo_request(self, request):
        """Return the sentences on what is sent of this order, or was, one a line."""
        notes = [request.notes, request._get_conversion_sentence()]
        notes += self._get_matomo_changes(request)
        return "\n".join(filter(None, notes))

    def _get_matomo_changes(self, request):
        """Return sentences on how the order has changed since Matomo accepted it."""
        # sudo: the site's currency, for an employee who may not read the site.
        order, site = self.sudo(), request.site_id
        if (
            request.state not in ACCEPTED_STATES
            or request.currency_id != site.currency_id
        ):
            return []
        changes = []
        has = format_amount(self.env, request.revenue, request.currency_id)
        if not order._is_matomo_sale():
            changes.append(
                self.env._("Matomo has %s, the order no longer counts.", has)
            )
        elif (now := order._get_matomo_revenue(request)) != request._get_sent_revenue():
            changes.append(
                self.env._(
                    "Matomo has %(has)s, the order is now %(now)s.",
                    has=has,
                    now=format_amount(self.env, float(now), request.currency_id),
                )
            )
        else:
            changes += order._get_matomo_item_changes(request)
        if not request.checkout_date and order.date_order != request.order_date:
            # Those of Matomo's reports and of the Daily Comparison, not of UTC.
            day, now = map(site._get_day, (request.order_date, order.date_order))
            if day != now:
                changes.append(
                    self.env._(
                        "Matomo has it on %(day)s, the order is now of %(now)s.",
                        day=format_date(self.env, day),
                        now=format_date(self.env, now),
                    )
                )
        return changes

    def _get_matomo_revenue(self, request):
        """Return the order's revenue as it is now, in the currency of its site.

        It is converted at the rate at which the request was sent: a rate that comes in
        later changes no order.

        :param request: the order's request
        :return: a ``Decimal``, rounded to cents
        """
        conversion = request._get_conversion(self.currency_id)
        if not conversion:
            return self._prepare_matomo_amounts(request.site_id).revenue
        return self._convert_matomo_revenue(conversion)

    def _get_matomo_exact_revenue(self, request):
        """Return ``_get_matomo_revenue`` with all decimals of the site's currency."""
        conversion = self._get_matomo_exact_conversion(request)
        if conversion.coin >= CENT:
            return self._get_matomo_revenue(request)
        return self._convert_matomo_revenue(conversion)

    def _convert_matomo_revenue(self, conversion):
        """Return the revenue of what is counted, by a ``Conversion``."""
        revenue, _tax = self._get_matomo_totals(self._get_matomo_counted_amounts())
        return conversion.convert(revenue)

    def _get_matomo_exact_conversion(self, request):
        """Return the ``Conversion`` of the order as it is in Odoo, not as it is sent.

        Some currencies have more decimals than Matomo keeps: the Kuwaiti dinar has
        three.

        :param request: the order's request
        """
        site = request.site_id
        conversion = request._get_conversion(self.currency_id)
        conversion = conversion or self._get_matomo_conversion(site)
        coin = to_decimal(site.currency_id.rounding)
        return conversion._replace(coin=min(coin, conversion.coin))

    def _is_matomo_revenue_as_sent(self, request):
        """Return whether the order's revenue is what was sent of it.

        :param request: the order's request
        """
        return bool(request._get_conversion(self.currency_id)) and (
            self._get_matomo_revenue(request) == request._get_sent_revenue()
        )

    def _get_matomo_totals_now(self, request):
        """Return what the order comes to now in Odoo, as ``reading.Totals``.

        :param request: the order's request
        """
        conversion = self._get_matomo_exact_conversion(request)
        if conversion.coin >= CENT:
            # Also what another module has for its orders.
            amounts = self._get_matomo_amounts_now(request)
        else:
            amounts = self._convert_matomo_amounts(request.site_id, conversion)
        return reading.Totals(
            orders=1,
            revenue=amounts.revenue,
            tax=amounts.tax,
            shipping=amounts.shipping,
            discount=amounts.discount,
            items=sum(each.item.quantity for each in amounts.items),
        )

    def _get_matomo_amounts_now(self, request):
        """Return the order's ``Amounts`` as they are now, in the currency of its site.

        See ``_get_matomo_revenue`` for the rate.

        :param request: the order's request
        """
        conversion = request._get_conversion(self.currency_id)
        if not conversion:
            return self._prepare_matomo_amounts(request.site_id)
        return self._convert_matomo_amounts(request.site_id, conversion)

    @api.depends(_depends_on_matomo_request)
    def _compute_matomo_tracking_url(self):
        self.matomo_tracking_url = False
        with caught(NOT_SHOWN, "matomo_tracking_url", self):
            by_order = self._get_matomo_requests()
            for order in self:
                if request := by_order.get(order._origin.id):
                    order.matomo_tracking_url = request.tracking_url

    def _search_matomo_request(self, field_name, domain, are_most=False):
        """Return the domain of the orders whose request matches ``domain``.

        :param field_name: the field that is searched; Odoo does not check read access
            to a field that has a search method
        :param are_most: whether these are most of the requests
        :raise AccessError: for a user who may not read this field
        """
        self._check_field_access(self._fields[field_name], "read")
        # sudo: see _get_matomo_requests.
        query = (
            self.env["matomo.request"]
            .sudo()
            ._search(
                Domain("kind", "=", "order")
                & Domain(self._matomo_order_field, "!=", False)
                & Domain(domain)
            )
        )
        found = query.subselect(self._matomo_order_field)
        if not are_most:
            return Domain("id", "in", found)
        # To find the first ones PostgreSQL would go through requests and orders side by
        # side, the oldest first. It cannot do so if it joins by an expression.
        return Domain.custom(
            to_sql=lambda _model, alias, _query: SQL(
                "%s + 0 IN %s", SQL.identifier(alias, "id"), found
            )
        )

    def _search_without_matomo_request(self, field_name):
        """Return the domain of the orders without a request.

        :raise AccessError: see ``_search_matomo_request``
        """
        self._check_field_access(self._fields[field_name], "read")
        return Domain.custom(to_sql=self._get_without_matomo_request_sql)

    def _get_without_matomo_request_sql(self, model, alias, query):
        """Return the condition as SQL: not ``NOT IN``, which would read all requests
        first.

        For a list, the request of each order is looked up: PostgreSQL would read those
        of all years unless it has to join by an expression. For orders of a range of
        IDs, as the context says, it is best to read both indexes side by side.
        """
        requests = self.env["matomo.request"]
        order_id = SQL.identifier(alias, "id")
        if not model.env.context.get(SIDE_BY_SIDE):
            order_id = SQL("%s + 0", order_id)
        return SQL(
            "NOT EXISTS (SELECT FROM %s request WHERE %s = 'order' AND %s = %s)",
            SQL.identifier(requests._table),
            SQL.identifier("request", "kind", to_flush=requests._fields["kind"]),
            SQL.identifier(
                "request",
                self._matomo_order_field,
                to_flush=requests._fields[self._matomo_order_field],
            ),
            order_id,
        )

    def _search_matomo_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        # Each part alone: an OR, even of nothing, keeps PostgreSQL from a join.
        domain = Domain.FALSE
        if states := [state for state in value if state]:
            domain |= self._search_matomo_request(
                "matomo_state",
                [("state", "in", states)],
                are_most=not set(states).isdisjoint(ACCEPTED_STATES),
            )
        if False in value:
            domain |= self._search_without_matomo_request("matomo_state")
        return domain

    def _search_matomo_tracked(self, operator, value):
        if operator != "in":
            return NotImplemented
        return self._search_matomo_request(
            "matomo_tracked", [("state", "in", ACCEPTED_STATES)], are_most=True
        )

    def _search_matomo_reason(self, operator, value):
        return self._search_matomo_value("matomo_reason", "reason", operator, value)

    def _search_matomo_tracked_date(self, operator, value):
        return self._search_matomo_value(
            "matomo_tracked_date", "sent_date", operator, value
        )

    def _search_matomo_order_ref(self, operator, value):
        return self._search_matomo_value(
            "matomo_order_ref", "order_ref", operator, value
        )

    def _search_matomo_value(self, field_name, name, operator, value):
        """Return the domain of a search by a value of the request.

        An order without a request has no value either.
        """
        if operator in Domain.NEGATIVE_OPERATORS:
            return NotImplemented
        domain = self._search_matomo_request(field_name, [(name, operator, value)])
        if operator == "in" and False in value:
            domain |= self._search_without_matomo_request(field_name)
        return domain

    def _field_to_sql(self, alias, field_expr, query=None):
        """Override of the ORM to group by the state, a column of the request."""
        if field_expr != "matomo_state":
            return super()._field_to_sql(alias, field_expr, query)
        self._check_field_access(self._fields[field_expr], "read")
        requests = self.env["matomo.request"]
        request = query.make_alias(alias, "matomo_request")
        order_id = SQL.identifier(alias, "id")
        if '"date_order"' in query.where_clause.code:
            # The orders of a period are looked up one by one, for which an array leaves
            # no other way: PostgreSQL tends to read the verdicts of all years, which
            # takes up to four times as long.
            order_id = SQL("ANY(ARRAY[%s])", order_id)
        query.add_join(
            "LEFT JOIN",
            request,
            SQL.identifier(requests._table),
            # An order has one request at most, so that this counts no order twice.
            SQL(
                "%s = 'order' AND %s = %s",
                SQL.identifier(request, "kind"),
                SQL.identifier(request, self._matomo_order_field),
                order_id,
            ),
        )
        return SQL.identifier(request, "state", to_flush=requests._fields["state"])

    # === TRACKING === #

    def _matomo_track(self):
        """Schedule these orders to be tracked; called by the automation rules.

        Costs nothing and reads nothing: see ``matomo.request._schedule``. If it fails,
        the failure is logged and the sale goes on: the sweep finds the orders.
        """
        with caught("Orders could not be scheduled for Matomo: %s", self):
            self.env["matomo.request"]._schedule(self)

    def _matomo_enqueue(self):
        """Create the request of each order that counts, and wake the sender.

        An order that has a request keeps it. If that was cancelled before it was sent
        and the order is confirmed again, the request gets a new verdict.

        :return: the requests that are new or have a new verdict
        """
        # sudo: the cashier, shopper or salesperson has no right to requests.
        orders = self.sudo()
        orders._matomo_enqueue_refunds()
        orders = orders.filtered(lambda order: order._is_matomo_sale())
        existing = orders._get_matomo_requests()
        new = orders.filtered(lambda order: order.id not in existing)
        requests = self.env["matomo.request"].sudo()
        # Else Odoo reads the user to know for which company default values are.
        requests = requests.with_company(orders.company_id[:1])
        changed = requests.create(
            [order._prepare_matomo_request_values() for order in new]
        )
        for order in orders - new:
            request = existing[order.id]
            if request.state == "cancelled" and not request.is_left_out:
                # Confirmed again after it was cancelled before it was sent.
                verdict, _site = order._get_matomo_verdict()
                request._update_state(
                    verdict.state,
                    reason=verdict.reason,
                    next_attempt_date=False,
                    # What Matomo's server answered before concerned another try.
                    error_count=0,
                    broken_date=False,
                )
                changed |= request
        if accepted := [
            order
            for order in orders - new
            if existing[order.id].state in ACCEPTED_STATES
        ]:
            refunds.note_changes(requests._get_refunds_of(accepted))
        if "pending" in changed.mapped("state"):
            requests._wake_sender()
        return changed

    def _matomo_enqueue_refunds(self):
        """Queue the refunds that these orders are, for sites that track refunds."""
        found = [
            Refund(order, refunded, order._get_matomo_refund_moment())
            for order in self
            for refunded in order._get_matomo_refunded_orders()
        ]
        if found:
            refunds.queue(self.env, found)

    def _matomo_enqueue_late_refunds(self):
        """Queue what was refunded of these orders before Matomo had them."""
        withdrawn = self.filtered(lambda order: order._is_matomo_withdrawn())
        withdrawn._matomo_enqueue_refunds()
        self._get_matomo_documents()._matomo_enqueue()
        self._get_matomo_returns()._matomo_enqueue_refunds()

    def _prepare_matomo_request_values(self):
        """Return the values of the order's request, with its verdict."""
        self.ensure_one()
        verdict, site = self._get_matomo_verdict()
        if verdict.state == "excluded":
            _logger.info("%s is not tracked in Matomo: %s", self, verdict.reason)
        return {
            self._matomo_order_field: self.id,
            "company_id": self.company_id.id,
            "site_id": site.id,
            "channel": self._get_matomo_channel(),
            **self._prepare_matomo_time(site),
            "is_backfill": self.env.context.get("matomo_is_backfill", False),
            "job_id": self._get_matomo_job_id(),
            "state": verdict.state,
            "reason": verdict.reason,
        }

    def _get_matomo_verdict(self):
        """Return the verdict on this order, and its Matomo site.

        :return: tuple of a ``Verdict`` and a ``matomo.site``, empty if none is set
        """
        self.ensure_one()
        # The verdict is in the company's language, whichever the salesperson uses.
        order = self.with_context(lang=self.company_id._get_matomo_lang())
        site = order._get_matomo_own_site()
        if not site:
            reason = order._get_matomo_foreign_site_reason()
            reason = reason or order._get_matomo_no_site_reason()
            verdict = Verdict("excluded", reason)
        elif order._is_matomo_before_start(site):
            verdict = Verdict(
                "excluded",
                order.env._(
                    "Confirmed before tracking began on %s.",
                    format_date(order.env, site.date_start),
                ),
            )
        else:
            verdict = order._get_matomo_content_verdict() or Verdict("pending")
        return verdict, site

    def _is_matomo_before_start(self, site):
        """Return whether this order is too old, and nobody has backfilled it."""
        if self.date_order >= site._get_start():
            return False
        # sudo: see _get_matomo_requests.
        request = self.sudo()._get_matomo_request()
        return not (request.job_id or self._get_matomo_job_id())

    def _get_matomo_job_id(self):
        """Return the ID of the backfill that queues this order at the moment, or False.

        Its context names the orders: others, whose verdict it asks for, are not its.
        """
        job_id, name, ids = self.env.context.get("matomo_job") or (False, "", ())
        return self._name == name and self.id in ids and job_id

    def _get_matomo_own_site(self):
        """Return the order's Matomo site, empty if it is another company's.

        Odoo checks the company of an order's website only when the order is created.
        """
        site = self._get_matomo_site()
        return site.filtered(lambda site: site.company_id == self.company_id)

    def _get_matomo_foreign_site_reason(self):
        """Return why the order's Matomo site does not get it, or False."""
        site = self._get_matomo_site()
        if not site or site.company_id == self.company_id:
            return False
        return self.env._(
            "It is an order of %(company)s, and its Matomo site belongs to "
            "%(other_company)s.",
            company=self.company_id.name,
            other_company=site.company_id.name,
        )

    def _get_matomo_missing_reason(self):
        """Return why an order that counts has no request, or False."""
        # sudo: the reason names the site, which an employee may not read.
        order = self.sudo()
        return order._is_matomo_sale() and order._get_matomo_verdict()[0].reason

    def action_matomo_anonymize(self):
        """Return the wizard that deletes the personal data of these orders.

        For people without a contact: a cart of the public user, an anonymous POS order.
        """
        return self.env["matomo.erasure"]._open(self)

    # === PREVIEW === #

    def action_matomo_preview(self):
        """Return the wizard that shows what would be sent of this order, and why."""
        return self.env["matomo.preview"]._open(self)

    # === RETRACK === #

    def action_matomo_retrack(self):
        """Re-evaluate these orders: send those that Matomo should have and has not."""
        self.check_access("read")
        return self.env["matomo.retrack"]._retrack(self)

    def action_view_matomo(self):
        """Open the order's request, or say its state to whoever may not open it."""
        self.ensure_one()
        self.check_access("read")
        request = self._get_matomo_requests().get(self.id)
        if request and request.sudo(False).has_access("read"):
            return {
                "type": "ir.actions.act_window",
                "res_model": request._name,
                "res_id": request.id,
                "views": [(False, "form")],
            }
        labels = dict(self._fields["matomo_state"]._description_selection(self.env))
        return notify(
            self.matomo_reason or self.env._("Nothing is to be done."),
            title=labels.get(self.matomo_state) or "Matomo",
        )

    def action_open_matomo(self):
        """Return an action that opens the order on Matomo's own screens."""
        self.ensure_one()
        self.check_access("read")
        request = self._get_matomo_requests().get(self.id)
        # Not in sudo: only who may read the request learns of its visitor.
        return request and request.sudo(False).action_open_matomo()

    # === TIME === #

    def _prepare_matomo_time(self, site):
        """Return the values of the order's request that tell its time in Matomo."""
        checkout = site.order_time == "checkout" and self._get_matomo_checkout_date()
        return {
            "order_date": checkout or self.date_order,
            "checkout_date": checkout,
        }

    # === CONTENT === #

    def _fetch_matomo_content(self, site):
        """Fetch what a request is built from, of all these orders together.

        The ORM would fetch all columns of each record, and each of those that are
        rarely read by a query of its own. What is not fetched here is read later.

        :param site: the ``matomo.site`` in whose language products are named
        """
        orders = self.with_context(lang=site.lang_id.code)
        for path, names in self._get_matomo_content_fields().items():
            (orders.mapped(path) if path else orders).fetch(names)

    @api.model
    def _get_matomo_content_fields(self):
        """Return what a request is built from, as ``{path: names of fields}``.

        A path comes after those that lead to it; the first one is that of the order.
        """
        return {"": self._matomo_personal_fields}

    @api.model
    def _get_matomo_order_fields(self, *names):
        """Return what is read of an order of Odoo and of what it names, as above.

        :param names: of more fields of the order
        """
        return {
            "": (*self._matomo_personal_fields, *CONTENT_FIELDS, *names),
            "company_id": ("matomo_site_id", "currency_id"),
            "partner_id": ("matomo_is_objector",),
        }

    @api.model
    def _get_matomo_product_fields(self, path):
        """Return what is read of the products of lines, as above.

        :param path: from the order to its products
        """
        template = f"{path}.product_tmpl_id"
        return {path: PRODUCT_FIELDS, template: TEMPLATE_FIELDS}

    def _get_matomo_once(self, method):
        """Return what a method on the order's lines returns, whose name is given.

        While the order is built it is called once, see ``outbox.orders.Known``.
        """
        key = method, self._name, self.id
        return find_once(self.env, "lines", key, getattr(self, method))

    def _get_matomo_counted_lines(self):
        """Return how much of each line is counted with this order.

        Both the verdict and the amounts follow from it.

        :return: list of ``CountedLine``, one for each line that may have a product,
            in the sequence in which they are sent
        """
        self.ensure_one()
        return [
            CountedLine(
                line,
                role,
                line[self._matomo_quantity_field] if role is LineRole.BOUGHT else None,
            )
            for line, role in self._get_matomo_line_roles().items()
        ]

    def _get_matomo_content_verdict(self):
        """Return a ``Verdict`` that follows from the order's lines, or None.

        Lines that only take something off are no order: its revenue would be
        negative, and Matomo would count one more (docs/matomo.md section 12).
        """
        self.ensure_one()
        if abs(self.amount_total) > MAX_AMOUNT:
            return Verdict(
                "excluded",
                self.env._(
                    "The amount is larger than Matomo can store. Correct the order, "
                    "then press Retrack."
                ),
            )
        lines = self._get_matomo_once("_get_matomo_counted_lines")
        counted = [each for each in lines if each.quantity]
        if any(each.line.price_unit >= 0 for each in counted):
            return None
        for role in (LineRole.SETTLEMENT, LineRole.RETURN):
            if affected := [each.line for each in lines if each.role is role]:
                reason = self._get_matomo_role_reason(
                    role, affected[0].union(*affected)
                )
                if counted:
                    reason += " " + self.env._(
                        "What it takes off besides is not told to Matomo."
                    )
                return Verdict("excluded", reason)
        if counted:
            return Verdict(
                "excluded",
                self.env._(
                    "Nothing is bought, something is given back: Matomo counts no "
                    "refunds."
                ),
            )
        return None

    # === AMOUNTS === #

    def _prepare_matomo_order(self, ref, time, amounts):
        """Return the order as Matomo gets it, as a ``tracking.Order``.

        :param ref: the order id
        :param time: of the sale, naive UTC
        :param amounts: of ``_prepare_matomo_amounts``
        """
        self.ensure_one()
        return Order(
            ref=ref,
            time=time,
            revenue=amounts.revenue,
            subtotal=amounts.subtotal,
            tax=amounts.tax,
            shipping=amounts.shipping,
            discount=amounts.discount,
            items=tuple(merged.item for merged in amounts.items),
        )

    def _prepare_matomo_amounts(self, site):
        """Return the ``Amounts`` of what is counted, in the site's currency.

        They are what Odoo has stored: taxes and prices may have changed since.
        """
        return self._convert_matomo_amounts(site, self._get_matomo_conversion(site))

    def _convert_matomo_amounts(self, site, conversion):
        """Return the ``Amounts`` of what is counted, by a ``Conversion``."""
        parts = self._get_matomo_counted_amounts()
        shipping = discount = Decimal(0)
        lines, left_out = [], []
        for part in parts:
            if self._is_matomo_delivery(part.line):
                shipping += part.untaxed
            elif part.is_discount:
                discount -= part.untaxed
            elif part.line.product_id:
                amount = conversion.convert(part.untaxed)
                lines.append(
                    self._prepare_matomo_line(part.line, amount, part.quantity, site)
                )
            else:
                left_out.append(part.line.name or "")
        stored = Totals(*self._get_matomo_totals(parts), shipping, discount)
        totals = stored.convert(conversion)
        # Each amount that is stored is rounded, and each amount that is converted.
        order_coin = self._get_matomo_coin() / to_decimal(conversion.rate)
        coin = max(conversion.coin, order_coin)
        return Amounts(
            revenue=totals.revenue,
            tax=totals.tax,
            shipping=totals.shipping,
            discount=totals.discount,
            subtotal=totals.subtotal,
            items=merge_lines(lines),
            left_out=left_out,
            tolerance=coin + coin / 2 * len(parts),
            order_revenue=stored.revenue,
            order_rate=conversion.rate,
        )

    def _get_matomo_totals(self, parts):
        """Return revenue and tax of what is counted, as ``Decimal``.

        :param parts: of ``_get_matomo_counted_amounts``
        :return: tuple of two amounts in the order's currency
        """
        tax = sum((part.tax for part in parts), Decimal(0))
        return sum((part.untaxed for part in parts), tax), tax

    def _get_matomo_counted_amounts(self):
        """Return the amounts of the parts of lines that are counted with this order.

        :return: list of ``LineAmounts``, in the order's currency
        """
        amounts = {each.line: each for each in self._get_matomo_line_amounts()}
        coin = self._get_matomo_coin()
        return [
            amounts[counted.line].portion(counted.quantity, coin)
            for counted in self._get_matomo_once("_get_matomo_counted_lines")
            if counted.quantity is not None
        ]

    def _get_matomo_line_amounts(self):
        """Return the amounts of whole lines, as Odoo has stored them.

        :return: list of ``LineAmounts``, in the order's currency
        """
        amounts = []
        for line in self._matomo_lines():
            untaxed = to_decimal(line.price_subtotal)
            tax = to_decimal(line[self._matomo_total_field]) - untaxed
            quantity = line[self._matomo_quantity_field]
            amounts.append(LineAmounts(line, untaxed, tax, quantity))
        return amounts

    def _get_matomo_coin(self):
        """Return the smallest amount of the order's currency, as a ``Decimal``."""
        return to_decimal(self.currency_id.rounding)

    def _get_matomo_conversion(self, site):
        """Return the ``Conversion`` of this order's amounts to a site's currency."""
        return site._get_conversion(
            self.currency_id, self._get_matomo_rate(site.currency_id)
        )

    def _get_matomo_rate(self, currency):
        """Return how much of the order's currency is one of another currency.

        Odoo's reports divide by the rate that is stored on the order, if it has one. A
        rate that comes in later does not change that.

        :param currency: the company's, or a third one: that is converted from the
            company's at the rate of the order's date
        """
        if currency == self.currency_id:
            return 1.0
        rate = self.currency_rate or 1.0
        company_currency = self.company_id.currency_id
        if currency == company_currency:
            return rate
        return rate / company_currency._get_conversion_rate(
            company_currency, currency, self.company_id, self.date_order.date()
        )

    def _convert_matomo_refund(self, amount, document, rate, site):
        """Return what a document gives back of this order, in the currency it was sent.

        At the rate of this order, so that a whole order is refunded by what was sent.

        :param amount: in the currency of the document
        :param document: a record with a currency and a company
        :param rate: from the currency of its company to that of the document, as
            stored; 0 counts as 1
        :return: a ``Decimal``, rounded to cents
        """
        if document.currency_id != self.currency_id:
            amount = document.company_id.currency_id._convert(
                amount / (rate or 1.0),
                self.company_id.currency_id,
                self.company_id,
                self.date_order.date(),
                round=False,
            )
            amount *= self.currency_rate or 1.0
        return self._get_matomo_sent_conversion(site).convert(to_decimal(amount))

    def _get_matomo_sent_conversion(self, site):
        """Return the ``Conversion`` by which this order was, or would be, sent.

        What is given back of it is converted as the order was: to the currency that
        the site had then.
        """
        sent = self._get_matomo_request()._get_sent_conversion(self.currency_id)
        return sent or self._get_matomo_conversion(site)

    def _prepare_matomo_line(self, line, amount, quantity, site):
        """Return a counted line as an item, in the site's language.

        :param amount: before tax, in the site's currency
        :param quantity: how much of the line is counted, in its unit
        """
        product = self._get_matomo_product(line.product_id, site)
        unit = line.product_uom_id
        in_product_unit = unit._compute_quantity(quantity, product.unit, round=False)
        return Line(
            sku=product.sku,
            name=product.name,
            categories=product.categories,
            amount=amount,
            quantity=Decimal(str(quantity)),
            unit=unit.id,
            product_quantity=Decimal(f"{in_product_unit:.6f}"),
        )

    def _get_matomo_product(self, product, site):
        """Return what Matomo gets of a product, as an ``items.Product``."""
        return find_once(
            self.env,
            "products",
            (self._name, product.id),
            lambda: self._prepare_matomo_product(product, site),
        )

    @api.model
    def _prepare_matomo_product(self, product, site):
        """Return what Matomo gets of a product, in the site's language."""
        product = product.with_context(
            lang=site.lang_id.code, display_default_code=False
        )
        candidates = product.default_code, product.barcode
        sku = choose_sku(candidates, f"product-{product.id}")
        return Product(
            sku=sku,
            # A name of control characters only is empty once it is cleaned.
            name=clean_text(product.display_name, MAX_NAME_LENGTH) or sku,
            categories=self._get_matomo_categories(product),
            unit=product.product_tmpl_id.uom_id,
        )

    @api.model
    def _get_matomo_categories(self, product):
        """Return the category names that Matomo gets of a product."""
        return choose_categories(self._get_matomo_category_names(product))

    @api.model
    def _get_matomo_category_names(self, product):
        """Return category names along the paths, public categories first."""
        # What a product has of its template is computed; of the template it is read.
        template = product.product_tmpl_id
        names = self._get_matomo_public_categories(template.public_categ_ids)
        category = template.categ_id
        path = category.browse(map(int, (category.parent_path or "").split("/")[:-1]))
        return [*names, *path.mapped("name")]

    @api.model
    def _get_matomo_public_categories(self, categories):
        """Return the names along the paths of public categories."""
        return [
            name
            for category in categories
            for name in category.parents_and_self.mapped("name")
        ]

    def _get_matomo_adjustments(self, amounts):
        """Return sentences on what is sent differently from the order, and why."""
        notes = [
            self.env._(
                "“%s” is left out of the items: its product no longer exists.", name
            )
            for name in amounts.left_out
        ]
        items_total = Decimal(0)
        for merged in amounts.items:
            item = merged.item
            items_total += merged.amount
            if merged.as_one:
                notes.append(
                    self.env._(
                        "%(product)s: Matomo cannot count a quantity of %(quantity)s at"
                        " this price; sent as 1 at %(amount)s.",
                        product=item.name,
                        quantity=f"{merged.quantity.normalize():f}",
                        amount=item.price,
                    )
                )
            elif item.revenue != merged.amount:
                notes.append(
                    self.env._(
                        "%(product)s: %(quantity)s x %(price)s make %(revenue)s in "
                        "Matomo, %(difference)s from the order's %(amount)s.",
                        product=item.name,
                        quantity=item.quantity,
                        price=item.price,
                        revenue=item.revenue,
                        difference=f"{item.revenue - merged.amount:+}",
                        amount=merged.amount,
                    )
                )
        balance = amounts.subtotal - items_total
        if abs(balance) > amounts.tolerance:
            notes.append(
                self.env._(
                    "The subtotal %(subtotal)s differs from the sum of the products"
                    " by %(difference)s.",
                    subtotal=amounts.subtotal,
                    difference=f"{balance:+}",
                )
            )
        return notes

    def _get_matomo_item_changes(self, request):
        """Return a sentence on the items, if they differ from what Matomo has.

        Meant for an order whose revenue is what was sent. Its items are looked at only
        if one of its lines was written since the order was queued.
        """
        lines = self._matomo_lines()
        if not any(line.write_date > request.create_date for line in lines):
            return []
        # The payload of an old request is deleted.
        if not (payload := request.payload):
            return []
        has = [Item(*item) for item in json.loads(payload["ec_items"])]
        now = [each.item for each in self._get_matomo_amounts_now(request).items]
        only_there, only_here = _describe_rest(has, now), _describe_rest(now, has)
        if not only_there and not only_here:
            return []
        nothing = self.env._("nothing of it")
        return [
            self.env._(
                "Matomo has %(has)s where the order now has %(now)s.",
                has=", ".join(only_there) or nothing,
                now=", ".join(only_here) or nothing,
            )
        ]

    # === VISITOR === #

    def _get_matomo_visitor_key(self, site):
        """Return what identifies the visitor of an order whose shopper is unknown.

        By default that is the order: each one gets a visitor of its own.
        """
        return self._name, self.id

    def _prepare_matomo_visitor(self, site):
        """Return the shopper's own visitor if it is known, else one of the order."""
        self.ensure_one()
        info = self.matomo_attribution_info or {}
        # A visitor whom a cookie has named needs none.
        flags = not self.matomo_visitor_id and self.matomo_browser_flags or {}
        return Visitor(
            visitor_id=self.matomo_visitor_id
            or self._hash_matomo_visitor(self._get_matomo_visitor_key(site)),
            user_id=self._get_matomo_user_id(site),
            ip_address=self.matomo_ip_address or "",
            user_agent=self.matomo_user_agent or "",
            accept_language=self.matomo_accept_language or "",
            client_hints=self.matomo_client_hints or "",
            browser_features={name: flags[name] for name in FEATURES if name in flags},
            attribution=Attribution(
                campaign=info.get("campaign") or "",
                keyword=info.get("keyword") or "",
                timestamp=info.get("timestamp") or 0,
                referrer=info.get("referrer") or "",
            ),
            timezone=site.timezone,
            dimensions=site._get_dimensions(self),
        )

    def _is_matomo_shopper(self, visitor):
        """Return whether a visitor is the shopper, whose browser Matomo knows.

        :param visitor: a ``tracking.Visitor``, of this order or of nobody
        """
        return (
            visitor.is_recognized_by_browser
            or visitor.visitor_id == self.matomo_visitor_id
            or bool(visitor.user_id and visitor.user_id == self.matomo_user_id)
        )

    def _prepare_matomo_nobody(self, site):
        """Return a visitor of this order alone, who tells neither buyer nor seller."""
        return replace(
            site._without_salesperson(self._prepare_matomo_visitor(site)),
            visitor_id=self._hash_matomo_visitor((self._name, self.id)),
            user_id="",
            ip_address="",
            user_agent="",
            accept_language="",
            client_hints="",
            browser_features={},
            attribution=Attribution(),
        )

    def _get_matomo_user_id(self, site):
        """Return the user ID of the customer, "" without one.

        A shopper's is stored with their consent. Of customers whom a cashier or a
        salesperson knows, the site decides.
        """
        return self.matomo_user_id or site._get_customer_user_id(
            self._get_matomo_known_customer()
        )

    def _get_matomo_known_customer(self):
        """Return the customer whom Matomo may recognize, empty if they object to it."""
        # sudo: whoever sells need not see what a customer has said.
        customer = self.partner_id.sudo()
        known = customer.filtered(lambda each: not each.matomo_is_objector)
        return known.with_env(self.env)

    def _hash_matomo_visitor(self, key):
        """Return a visitor ID for what identifies a visitor."""
        # sudo: the secret of the database.
        return hmac(self.env(su=True), "matomo_visitor_id", key)[:16]

    # === PRIVACY: ACCESS === #

    def _has_field_access(self, field, operation):
        """Override of the ORM: users cannot forge a shopper's metadata."""
        if operation == "write" and field.name.startswith("matomo_"):
            return self.env.su
        return super()._has_field_access(field, operation)

    @api.model
    def default_get(self, fields):
        """Override of the ORM: a user's default values are no shopper's metadata."""
        values = super().default_get(fields)
        for name in self._matomo_personal_fields:
            values.pop(name, None)
        return values

    # === PRIVACY: DELETION === #

    def _matomo_personal_sql(self, model, alias, query):
        """Return the condition of ``personal_index``, as SQL."""
        columns = [
            SQL.identifier(alias, name, to_flush=self._fields[name])
            for name in self._matomo_personal_fields
        ]
        return SQL("num_nonnulls(%s) > 0", SQL(", ").join(columns))

    def _anonymize_matomo_shopper(self):
        """Delete the shopper's metadata.

        It is deleted by SQL: an old order must not look as if somebody had edited it,
        and must trigger no automation rule and no tracking message.
        """
        names = self._matomo_personal_fields
        if not self:
            return
        self.flush_recordset(names)
        self.env.cr.execute(
            SQL(
                "UPDATE %s SET %s WHERE id = ANY(%s)",
                SQL.identifier(self._table),
                SQL(", ").join(
                    SQL("%s = NULL", SQL.identifier(name)) for name in names
                ),
                self.ids,
            )
        )
        self.invalidate_recordset(names, flush=False)

    def _anonymize_matomo_data(self):
        """Delete the personal data of these orders and of their requests."""
        self._anonymize_matomo_shopper()
        # sudo: no user may write requests, and the user who deletes a customer need
        # not be able to see them.
        orders = self.sudo()
        # The request keeps the mark that the order is to be sent as nobody's.
        orders.filtered(lambda order: order._is_matomo_due())._matomo_enqueue()
        orders._find_matomo_requests()._anonymize_when_done()

    def _find_matomo_requests(self):
        """Return all requests that tell Matomo of these orders. Call it in sudo.

        A refund may be another order's request, and is sent with this one's visitor and
        salesperson.
        """
        requests = self.env["matomo.request"]
        found = requests.search([(self._matomo_order_field, "in", self.ids)])
        return found | requests._get_refunds_of(self)

    def _anonymize_matomo_salesperson(self, name):
        """Take the salesperson of these orders out of their requests. Call it in sudo.

        :param name: of the salesperson
        """
        self._find_matomo_requests()._anonymize_salesperson(name)

    def _is_matomo_due(self):
        """Return whether the sweep would queue this order to be sent."""
        return (
            self._is_matomo_sale()
            and not self._get_matomo_request()
            and self._get_matomo_verdict()[0].state == "pending"
        )

    # === PRIVACY: EXPORT === #

    def _export_matomo_data(self, partners):
        """Return the personal data of these orders and of their requests, for JSON.

        An order may have had several customers. What is known of its shopper is handed
        out to the one whose it is; the others learn which order it is.

        :param partners: the customer who asks, with their addresses
        :return: list of dicts, one for each order
        """
        # sudo: a Matomo manager may export them without a right to sales.
        return [order._export_matomo_order(partners) for order in self.sudo()]

    def _export_matomo_order(self, partners):
        self.ensure_one()
        is_theirs = self._get_matomo_shopper() in partners
        names = self._matomo_personal_fields if is_theirs else ()
        return {
            "order": self.display_name,
            "date": self.date_order,
            **{name: self[name] or None for name in names},
            "requests": self.matomo_request_ids._export_data(is_theirs),
        }

    @api.model
    def _get_matomo_customer_paths(self):
        """Return the paths from an order to everybody who is or was its customer."""
        return ["partner_id", "matomo_request_ids.partner_id"]

    def _get_matomo_shopper(self):
        """Return whose the shopper's metadata of this order are, a ``res.partner``.

        The customer may be changed afterwards.
        """
        return self._get_matomo_request().partner_id or self.partner_id

    # === CHANNELS === #

    @api.model
    def _get_matomo_order_models(self):
        """Return an empty recordset of each model whose orders are tracked."""
        names = self.pool.descendants([MatomoOrderMixin._name], "_inherit")
        # In the same sequence whichever file was imported first: sales orders before
        # POS orders.
        ordered = sorted(names, reverse=True)
        return [self.env[name] for name in ordered if not self.env[name]._abstract]

    # === HOOKS === #

    # The field of ``matomo.request`` that names an order of this model.
    _matomo_order_field = None
    # The field of a line that says how much was bought.
    _matomo_quantity_field = None
    # The field of a line with its stored total with tax; ``price_subtotal`` is
    # without.
    _matomo_total_field = None
    # All stored fields with personal data.
    _matomo_personal_fields = SHOPPER_FIELDS
    # What an attempt to send the order is made from, besides its request.
    _matomo_attempt_fields = ("create_date",)

    def _is_matomo_sale(self):
        """Return whether Odoo counts this order as revenue."""
        raise NotImplementedError

    def _get_matomo_assumed_values(self):
        """Return what this order would be if it began to count now.

        The preview puts these values into the cache alone.

        :return: ``{stored field: value}``, empty if the order is no longer open
        """
        return {}

    def _get_matomo_sale_domain(self):
        """Return the domain of the orders for which ``_is_matomo_sale`` holds."""
        raise NotImplementedError

    def _is_matomo_withdrawn(self):
        """Return whether this order no longer counts as revenue.

        A module calls ``_matomo_track()`` when an order is withdrawn, too: a refund is
        queued then, if Matomo has the order.
        """
        return not self._is_matomo_sale()

    def _get_matomo_refunded_orders(self):
        """Return the orders of which these orders give something back.

        By default an order gives itself back when it is withdrawn after Matomo has
        accepted it.
        """
        return self.filtered(
            lambda order: order._is_matomo_withdrawn() and order.matomo_tracked
        )

    def _get_matomo_refund_moment(self):
        """Return when these orders give something back (naive, UTC): now."""
        return fields.Datetime.now()

    def _get_matomo_returns(self):
        """Return the orders, of whichever model, that take back something of these."""
        return self.browse()

    def _get_matomo_documents(self):
        """Return the invoices and credit notes of this order, drafts included."""
        return self.env["account.move"]

    def _get_matomo_till_documents(self, site):
        """Return what tills have billed of this order: ``billing.Document`` objects."""
        return []

    def _get_matomo_refund_amount(self, original, site, left):
        """Return what this order gives back of another one, or of itself.

        :param original: the order that Matomo has
        :param left: what Matomo has of it, less what was given back so far
        :return: positive, with tax, in the site's currency
        """
        return left

    def _get_matomo_report_parts(self, left):
        """Return why this order comes to another amount than in Odoo's sales report.

        The report adds up lines, and subtracts returns.

        :param left: how much more it comes to here
        :return: ``{kind: amount}``, see ``tools.sales_report``; in the currency of the
            company
        """
        self.ensure_one()
        roles = self._get_matomo_line_roles()
        reported = self._get_matomo_reported_lines()
        returned = sum(
            each.total
            for each in self._get_matomo_line_amounts()
            if each.line in reported and roles[each.line] is LineRole.RETURN
        )
        rate = to_decimal(self.currency_rate or 1.0)
        return {"returned": -returned / rate} if returned else {}

    def _get_matomo_reported_lines(self):
        """Return the lines that Odoo's sales report counts with this order."""
        return self._matomo_lines()

    def _get_matomo_settled_orders(self):
        """Return the sales orders that this order settles."""
        return self.env["sale.order"]

    def _get_matomo_settled_here(self):
        """Return the sales orders whose settled lines this order counts."""
        return self.env["sale.order"]

    def _get_matomo_site(self):
        """Return the Matomo site this order belongs to, empty if none is set."""
        raise NotImplementedError

    def _get_matomo_site_domain(self, site):
        """Return the domain of the orders whose ``_get_matomo_site`` is ``site``.

        :param site: a ``matomo.site``; empty: the orders without a site
        """
        raise NotImplementedError

    def _get_matomo_no_site_reason(self):
        """Return a sentence that names the record for which no Matomo site is set."""
        raise NotImplementedError

    def _get_matomo_channel(self):
        """Return a value of ``matomo.request.channel``."""
        raise NotImplementedError

    def _get_matomo_channel_domains(self):
        """Return ``{channel: domain}``: which orders of this model are of which one."""
        return {self.browse()._get_matomo_channel(): Domain.TRUE}

    def _get_matomo_till(self):
        """Return the name of the order's Point of Sale, empty if it has none."""
        return ""

    def _get_matomo_salesperson(self):
        """Return the name of the order's salesperson, empty if it has none."""
        return self.user_id.name or "" if "user_id" in self._fields else ""

    def _get_matomo_order_name(self):
        """Return the name of this order; it becomes the order id in Matomo."""
        return self.display_name

    def _get_matomo_cart_date(self):
        """Return when the cart of a website's order was created, naive UTC.

        From then on a JavaScript tag can have told Matomo of it. None for orders that
        no website made.
        """
        return None

    def _get_matomo_checkout_date(self):
        """Return when the shopper has checked out, naive UTC.

        None if it is not known, or if it is when the order was made.
        """
        return None

    def _get_matomo_page(self, site):
        """Return the ``tracking.Page`` on which Matomo shows the order."""
        raise NotImplementedError

    def _matomo_lines(self):
        """Return the lines that may have a product; by default an order has none."""
        return self.browse()

    def _get_matomo_line_roles(self):
        """Return ``{line: LineRole}`` of the lines that may have a product."""
        self.ensure_one()
        return {
            line: LineRole.RETURN
            if line[self._matomo_quantity_field] < 0
            else LineRole.BOUGHT
            for line in self._matomo_lines()
        }

    def _get_matomo_role_reason(self, role, lines):
        """Return why an order of which nothing is bought is not tracked.

        :param role: a ``LineRole`` that lines of it have instead
        :param lines: these lines
        """
        return self.env._("A return: Matomo counts no refunds.")

    def _is_matomo_delivery(self, line):
        """Return whether the line is the cost of the delivery."""
        return False


def personal_index(*names):
    """Return an index of the orders that hold personal data, by age.

    :param names: the fields with personal data
    """
    return models.Index(f"(date_order) WHERE num_nonnulls({', '.join(names)}) > 0")


def _describe_rest(items, others):
    """Return a text for each of the first items that are not among ``others``."""
    known = {(item.sku, float(item.price), item.quantity) for item in others}
    return [
        f"{item.quantity} x {item.name} ({item.price:.2f})"
        for item in items
        if (item.sku, float(item.price), item.quantity) not in known
    ][:NAMED]
