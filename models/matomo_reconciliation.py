from datetime import MINYEAR

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_amount, format_date

from ..const import ACCEPTED_STATES
from ..matomo_api.items import CENT, to_decimal
from ..matomo_api.links import day_url
from ..matomo_api.tracking import order_ref_key
from ..outbox import carts, sales_report
from ..outbox.comparison import Comparison
from ..outbox.orders import OF_ORDERS
from ..tools import reconciliation
from ..tools.notices import notify
from ..tools.reconciliation import Cause
from ..tools.sales_report import TEXTS
from ..tools.sentences import describe_day, describe_rest

# A day lists so many causes one by one, and sums up the others.
MAX_CAUSES = 1000
# Orders that a retrack may bring to Matomo.
RETRACKED_KINDS = ("missing", "failed")


class MatomoReconciliation(models.Model):
    """One day of a Matomo site: its orders in Odoo and in Matomo, and why they differ.

    On screens this is the Daily Comparison. Odoo's figures are the sums of the orders
    as they are now; Matomo's figures come from its own report. A day is a day of the
    site's time zone. Both sides count bought lines with tax, in the site's currency.
    ``outbox/comparison.py`` asks Matomo; ``tools/reconciliation.py`` decides why the
    two differ; this model reads the orders and stores the result.
    """

    _name = "matomo.reconciliation"
    _inherit = ["matomo.amounts"]
    _description = "Matomo Daily Comparison"
    _order = "day desc, site_id"
    _rec_name = "day"

    # === FIELDS: THE DAY === #

    site_id = fields.Many2one(
        "matomo.site", required=True, readonly=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="site_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="site_id.currency_id", store=True)
    timezone = fields.Selection(related="site_id.timezone", string="Time Zone")
    day = fields.Date(
        required=True,
        readonly=True,
        help="A day of the time zone of the Matomo site.",
    )
    state = fields.Selection(
        [
            ("equal", "Equal"),
            ("explained", "Explained"),
            ("different", "Needs a Look"),
            ("unfinished", "Unfinished"),
        ],
        required=True,
        readonly=True,
        help="Explained: harmless causes add up to the difference. Needs a Look: an "
        "order is missing, failed, comes from elsewhere or has another amount in "
        "Matomo, or the causes do not add up. Unfinished: the day has not ended yet.",
    )
    is_explained = fields.Boolean(
        readonly=True, help="The listed causes add up to the difference."
    )
    checked_date = fields.Datetime(string="As Of", readonly=True)
    is_outdated = fields.Boolean(
        string="Outdated",
        readonly=True,
        help="An order of this day was sent after the day was compared, or somebody "
        "wants it to be compared again: that is done within the hour.",
    )

    # === FIELDS: BOTH SIDES === #

    odoo_order_count = fields.Integer(string="Orders in Odoo", readonly=True)
    odoo_revenue = fields.Monetary(
        string="Revenue in Odoo",
        readonly=True,
        help="Total including taxes of the orders that should be in Matomo.",
    )
    odoo_tax = fields.Monetary(string="Tax in Odoo", readonly=True)
    odoo_shipping = fields.Monetary(string="Shipping in Odoo", readonly=True)
    odoo_discount = fields.Monetary(string="Discount in Odoo", readonly=True)
    odoo_item_count = fields.Integer(string="Items in Odoo", readonly=True)
    matomo_order_count = fields.Integer(string="Orders in Matomo", readonly=True)
    matomo_revenue = fields.Monetary(string="Revenue in Matomo", readonly=True)
    matomo_tax = fields.Monetary(string="Tax in Matomo", readonly=True)
    matomo_shipping = fields.Monetary(string="Shipping in Matomo", readonly=True)
    matomo_discount = fields.Monetary(string="Discount in Matomo", readonly=True)
    matomo_item_count = fields.Integer(string="Items in Matomo", readonly=True)
    order_count_difference = fields.Integer(
        string="Order Difference",
        readonly=True,
        help="Orders in Matomo minus orders in Odoo.",
    )
    revenue_difference = fields.Monetary(
        readonly=True,
        help="Revenue in Matomo minus revenue in Odoo.",
    )
    tax_difference = fields.Monetary(compute="_compute_differences")
    shipping_difference = fields.Monetary(compute="_compute_differences")
    discount_difference = fields.Monetary(compute="_compute_differences")
    item_count_difference = fields.Integer(
        string="Item Difference", compute="_compute_differences"
    )
    difference = fields.Char(compute="_compute_difference")

    # === FIELDS: REFUNDS === #

    refund_count = fields.Integer(
        string="Refund Events",
        readonly=True,
        help="Refunds of this day that Matomo has as events. Its orders and revenue "
        "stay as they are.",
    )
    refunded = fields.Monetary(readonly=True, help="The amount of these refunds.")
    net_revenue = fields.Monetary(
        readonly=True, help="Revenue in Odoo, less what was refunded on this day."
    )

    # === FIELDS: ODOO'S OWN REPORT === #

    can_see_sales_report = fields.Boolean(compute="_compute_sales_report")
    sales_report = fields.Html(
        string="Odoo's Sales Report",
        compute="_compute_sales_report",
        sanitize=False,
        help="From what Odoo's own report says of this day to what is compared here.",
    )

    # === FIELDS: CAUSES === #

    cause_ids = fields.One2many(
        "matomo.reconciliation.cause",
        "reconciliation_id",
        string="Causes of the Difference",
        readonly=True,
    )
    missing_count = fields.Integer(
        string="Orders to Retrack",
        readonly=True,
        help="Orders that could not be sent, or that Matomo accepted and does not "
        "have.",
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
        help="Orders in Matomo that Odoo does not have: another system has sent them, "
        "or they were deleted in Odoo. They are counted on days that differ.",
    )

    # The index also serves searches for the days of a site.
    _site_day_unique = models.UniqueIndex("(site_id, day)")
    # The search for the days that are to be compared again.
    _outdated_index = models.Index("(site_id, day) WHERE is_outdated")

    # === COMPUTE === #

    @api.depends("site_id", "day")
    def _compute_display_name(self):
        for record in self:
            day = format_date(self.env, record.day)
            record.display_name = f"{record.site_id.display_name}, {day}"

    @api.depends(
        *(
            f"{side}_{name}"
            for side in ("odoo", "matomo")
            for name in ("tax", "shipping", "discount", "item_count")
        )
    )
    def _compute_differences(self):
        for record in self:
            for name in ("tax", "shipping", "discount", "item_count"):
                record[f"{name}_difference"] = (
                    record[f"matomo_{name}"] - record[f"odoo_{name}"]
                )

    @api.depends("order_count_difference", "revenue_difference")
    @api.depends_context("lang")
    def _compute_difference(self):
        for record in self:
            revenue = record.currency_id.round(record.revenue_difference)
            record.difference = describe_day(
                self.env,
                record.order_count_difference,
                revenue,
                format_amount(self.env, abs(revenue), record.currency_id),
            )

    @api.depends("site_id", "day", "odoo_order_count", "odoo_revenue")
    @api.depends_context("uid", "lang", "tz", "allowed_company_ids")
    def _compute_sales_report(self):
        for record in self:
            bridge = sales_report.build(record)
            record.can_see_sales_report = bridge is not None
            record.sales_report = bridge and record._render_sales_report(bridge)

    def _render_sales_report(self, bridge):
        """Return the way from Odoo's own report to what is compared, as HTML.

        :param bridge: a ``Bridge`` of ``outbox/sales_report.py``
        """
        self.ensure_one()
        site_currency, currency = self.currency_id, self.company_id.currency_id
        report, *steps = bridge.steps
        rows = [
            self._prepare_step(
                TEXTS[step.kind](self.env, step.detail),
                *(step.orders, step.amount, currency),
                names=names and [*names, *(["…"] if step.keys[len(names) :] else [])],
            )
            for step, names in zip(steps, bridge.names[1:], strict=True)
        ]
        if site_currency != currency:
            for label, amount, unit in (
                (self.env._("Together"), bridge.revenue, currency),
                (
                    self.env._("The same in the currency of the Matomo site"),
                    bridge.site_revenue,
                    site_currency,
                ),
            ):
                rows.append(self._prepare_step(label, bridge.orders, amount, unit))
        since = self.odoo_order_count - bridge.orders
        changed = to_decimal(self.odoo_revenue) - bridge.site_revenue
        if since or not site_currency.is_zero(float(changed)):
            label = TEXTS["since"](self.env, "")
            rows.append(self._prepare_step(label, since, changed, site_currency))
        first = self._prepare_step("", report.orders, report.amount, currency)
        last = self._prepare_step(
            "", self.odoo_order_count, self.odoo_revenue, site_currency
        )
        return self.env["ir.qweb"]._render(
            "matomo_order_tracking.sales_report",
            {"first": first, "rows": rows, "last": last},
        )

    def _prepare_step(self, label, orders, amount, currency, names=()):
        """Return a row of the way from Odoo's own report, as its template shows it."""
        return {
            "label": label,
            "orders": orders,
            "amount": format_amount(self.env, float(amount), currency),
            "names": ", ".join(names),
        }

    # === ACTIONS === #

    def action_view_requests(self):
        """Return an action that shows the requests of the day."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "matomo_order_tracking.matomo_request_action"
        )
        name = self.env._("Orders of %s", format_date(self.env, self.day))
        # The filters that the menu opens with would hide some of what was counted.
        return {
            **action,
            "name": name,
            # The client prefers it to the name.
            "display_name": name,
            "domain": self._get_requests_domain(self.site_id, self.day),
            "context": {},
        }

    def action_open_sales_report(self):
        """Return an action that shows Odoo's own sales report of the day."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "sale.action_order_report_all"
        )
        domain = sales_report.get_report_domain(*sales_report.get_reader_bounds(self))
        domain &= Domain("company_id", "=", self.company_id.id)
        return {**action, "domain": list(domain), "context": {}}

    def action_open_in_matomo(self):
        """Open the e-commerce report of the day in Matomo."""
        self.ensure_one()
        url = day_url(self.site_id.url, self.site_id.idsite, self.day)
        return {"type": "ir.actions.act_url", "url": url, "target": "new"}

    def action_compare_again(self):
        """Have these days compared again, in the background.

        :raise UserError: if Matomo no longer has their single orders
        """
        self.check_access("read")
        # sudo: nobody may write what was compared; pressing the button is the one way.
        kept = self.sudo().filtered(
            lambda row: row.site_id._has_raw_data_of_day(row.day)
        )
        if not kept:
            raise UserError(
                self.env._(
                    "Matomo no longer has the single orders of these days: what it "
                    "counted then does not change any more."
                )
            )
        kept.is_outdated = True
        self.env["matomo.request"]._wake_comparison()
        if not all(map(Comparison(kept.env).can_compare, kept.site_id)):
            return notify(
                self.env._(
                    "Matomo cannot be asked at the moment: its site says why. It is "
                    "asked again every hour."
                )
            )
        return notify(
            self.env._("Matomo is asked again within a minute. Then open the day anew.")
        )

    def action_compare_range(self):
        """Ask for which days and sites to compare; a button of the list."""
        return self.env["matomo.backfill"]._open("compare")

    def action_retrack_missing(self):
        """Retrack the orders that are missing in Matomo, and no others.

        Like *Retry* in the log, it is for all who see the log, also if they see no
        sales.
        """
        causes = self.cause_ids.filtered(lambda each: each.kind in RETRACKED_KINDS)
        causes.request_id.check_access("read")
        retracks = self.env["matomo.retrack"]
        actions = [
            # sudo: only the name of an order is told, as the causes tell it.
            retracks._retrack(orders.sudo())
            for orders in causes.request_id._get_orders()
        ]
        if not actions:
            return False
        messages = [action["params"]["message"] for action in actions]
        actions[-1]["params"]["message"] = "\n".join(messages)
        return actions[-1]

    # === COMPARING === #

    @api.model
    def _compare_day(self, site, day, totals, recorded=None, is_complete=True):
        """Compare one day, and create or update its record.

        :param day: a date in the site's time zone
        :param Totals totals: the figures of Matomo's report
        :param recorded: list of ``RecordedOrder``, the day's orders in Matomo; None if
            Matomo has not been asked for them
        :param is_complete: whether these are all
        :return: the record of that day
        """
        counted = self._get_counted_orders(site, day)
        amounts = self._get_amounts(site, counted)
        sales = self._prepare_sales(site, day, counted, amounts, recorded)
        odoo = reconciliation.add_up(amounts.values())
        causes = reconciliation.find_known_causes(sales)
        if recorded is not None:
            causes += self._find_recorded_causes(site, sales, recorded)
        clock = self._find_clock_causes(site, day, causes)
        causes = reconciliation.unite(causes + clock)
        if recorded is not None:
            causes += reconciliation.explain_report(
                totals, recorded, is_complete, clock
            )
        notes = self._find_notes(site, day, counted)
        rounded = reconciliation.add_up_rounding(sales)
        is_explained = reconciliation.is_explained(odoo, totals, causes, rounded)
        if is_explained:
            notes += reconciliation.explain_rounding(odoo, totals, causes)
        is_over = day < site._get_today()
        values = {
            **self._prepare_figures(odoo, totals),
            **self._prepare_refunds(site, day, odoo),
            **self._prepare_counts(causes + notes),
            "is_explained": is_explained,
            "state": reconciliation.get_state(is_explained, causes, is_over),
            "is_outdated": False,
            "checked_date": fields.Datetime.now(),
        }
        return self._store(site, day, values, causes + notes)

    @api.model
    def _store(self, site, day, values, causes):
        """Create or update the record of a day, with these causes alone."""
        record = self.search([("site_id", "=", site.id), ("day", "=", day)])
        if record:
            record.cause_ids.unlink()
            record.write(values)
        else:
            record = self.create({"site_id": site.id, "day": day, **values})

        def describe(cause):
            # Only what has no name needs the language of the company: to find out
            # which one that is took a quarter of the time of a day.
            if cause.name or not cause.count:
                return cause.name or False
            return describe_rest(site._get_message_env(), cause.count)

        self.env["matomo.reconciliation.cause"].create(
            [
                {
                    "reconciliation_id": record.id,
                    "kind": cause.kind,
                    "name": describe(cause),
                    "request_id": cause.request_id,
                    "order_count_difference": cause.orders,
                    "revenue_difference": float(cause.revenue),
                    "count": cause.count,
                }
                for cause in reconciliation.bound(causes, MAX_CAUSES)
            ]
        )
        return record

    @api.model
    def _prepare_figures(self, odoo, matomo):
        """Return the figures of both sides as values.

        :param Totals odoo: what Odoo counts
        :param Totals matomo: the figures of Matomo's report
        """
        values = {
            "order_count_difference": matomo.orders - odoo.orders,
            "revenue_difference": float(matomo.revenue - odoo.revenue),
        }
        for side, totals in (("odoo", odoo), ("matomo", matomo)):
            values |= {
                f"{side}_order_count": totals.orders,
                f"{side}_revenue": float(totals.revenue),
                f"{side}_tax": float(totals.tax),
                f"{side}_shipping": float(totals.shipping),
                f"{side}_discount": float(totals.discount),
                f"{side}_item_count": totals.items,
            }
        return values

    @api.model
    def _prepare_refunds(self, site, day, odoo):
        """Return the figures of the day's refunds as values.

        :param Totals odoo: what Odoo counts
        """
        [(count, refunded)] = self.env["matomo.request"]._read_group(
            [
                *self._get_requests_domain(site, day),
                ("kind", "=", "refund"),
                ("state", "in", ACCEPTED_STATES),
                ("currency_id", "=", site.currency_id.id),
            ],
            aggregates=["__count", "revenue:sum"],
        )
        return {
            "refund_count": count,
            "refunded": refunded or 0,
            "net_revenue": float(odoo.revenue) - (refunded or 0),
        }

    @api.model
    def _prepare_counts(self, causes):
        """Return how many causes of some kinds there are, as values."""

        def count(*kinds):
            return sum(each.kind in kinds for each in causes)

        return {
            "missing_count": count(*RETRACKED_KINDS),
            "bought_cart_count": count("cart"),
            "foreign_order_count": count("foreign"),
        }

    @api.model
    def _outdate(self, requests):
        """Have the days compared again for which Matomo has accepted these requests.

        Nothing is read for orders of today: the sender comes here with each batch.

        :param requests: requests that were just accepted
        """
        for site, same in requests.grouped("site_id").items():
            end = site._get_day_bounds(site._get_today())[0]
            # Not of others: the last day of all is on no clock east of Greenwich, the
            # first one on no clock west of it.
            late = {
                each
                for each in same.mapped("order_date")
                if each < end and each.year > MINYEAR
            }
            if late:
                self.search(
                    [
                        ("site_id", "=", site.id),
                        ("day", "in", [*{site._get_day(each) for each in late}]),
                        ("is_outdated", "!=", True),
                    ]
                ).is_outdated = True

    # === ODOO'S SIDE === #

    @api.model
    def _get_requests_domain(self, site, day):
        """Return the domain of the requests that are sent as of a day."""
        start, end = site._get_day_bounds(day)
        return [
            ("site_id", "=", site.id),
            ("order_date", ">=", start),
            ("order_date", "<", end),
        ]

    @api.model
    def _get_counted_orders(self, site, day):
        """Return the orders in Odoo that should be in Matomo.

        They are of the day that Matomo got: an order's own, or that of its checkout.

        :return: ``{order: its request}``
        """
        start, end = site._get_day_bounds(day)
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
                    counted[order] = request
        return counted

    @api.model
    def _get_amounts(self, site, counted):
        """Return what each order comes to now, in the site's currency.

        What was sent of an order is not computed again, unless its revenue is another
        one now, or its currency has decimals that are not sent.

        :param counted: of ``_get_counted_orders``
        :return: ``{order: Totals}``
        """
        requests = self.env["matomo.request"].union(*counted.values())
        is_sent_exactly = to_decimal(site.currency_id.rounding) >= CENT
        sent = requests._get_sent_totals() if is_sent_exactly else {}
        amounts = {}
        for order, request in counted.items():
            totals = sent.get(request.id)
            if not totals or not order._is_matomo_revenue_as_sent(request):
                totals = order._get_matomo_totals_now(request)
            amounts[order] = totals
        return amounts

    @api.model
    def _prepare_sales(self, site, day, counted, amounts, recorded):
        """Return the orders of the day, as ``Sale`` objects.

        :param counted: of ``_get_counted_orders``
        :param amounts: of ``_get_amounts``
        :param recorded: see ``_compare_day``
        """
        requests = self.env["matomo.request"]
        accepted = requests.search(
            [
                *self._get_requests_domain(site, day),
                ("kind", "=", "order"),
                ("state", "in", ACCEPTED_STATES),
            ]
        )
        counting = requests.union(*counted.values())
        accepted |= self._get_arrived_requests(counting, recorded or ())
        accepted_ids = set(accepted.ids)
        sales = [
            request._prepare_sale(
                order,
                revenue=amounts[order].revenue,
                is_counted=True,
                is_accepted=request.id in accepted_ids,
            )
            for order, request in counted.items()
        ]
        return sales + [
            request._prepare_sale(request._get_order(), is_accepted=True)
            for request in accepted - counting
        ]

    @api.model
    def _get_arrived_requests(self, requests, recorded):
        """Return the requests that still wait here although Matomo has their orders.

        The answer to them was lost: they are looked for in Matomo before they are sent
        again.

        :param requests: of the orders of the day
        :param recorded: list of ``RecordedOrder``, the orders of the day in Matomo
        """
        keys = {order_ref_key(order.ref) for order in recorded}
        return requests.filtered(
            lambda request: (
                request.attempt_count
                and request.state == "pending"
                # An order that could not be built has no number yet.
                and request.order_ref
                and order_ref_key(request.order_ref) in keys
            )
        )

    # === CAUSES === #

    @api.model
    def _find_recorded_causes(self, site, sales, recorded):
        """Return the causes of a difference that only Matomo's orders show.

        Wake the verifier for accepted orders that Matomo does not have: it decides
        whether they are sent again.

        :param sales: of ``_prepare_sales``
        :param recorded: list of ``RecordedOrder``, the orders of the day in Matomo
        :return: list of ``Cause``
        """
        requests = self.env["matomo.request"]
        is_ours = None
        if site.is_order_id_anonymised:
            # All in one set: what was sent is read for many of them at once.
            by_id = {
                each.id: each for each in requests.browse(s.request_id for s in sales)
            }

            def is_ours(id_, order):
                return by_id[id_]._is_ours(order)

        found = reconciliation.compare_orders(sales, recorded, is_ours)
        if found.missing:
            missing = requests.browse(found.missing)
            missing.write({"next_check_date": fields.Datetime.now()})
            missing._wake_verifier()
        keys = {
            key: site._get_order_ref_key(order.ref) for key, order in found.left.items()
        }
        known = requests.search(
            [*OF_ORDERS, ("order_ref_key", "in", list(keys.values()))]
        )
        senders = {request.order_ref_key: request for request in known}
        sent = {key for key in found.left if keys[key] in senders}
        causes = found.causes + reconciliation.find_elsewhere(sales, found.left, sent)
        return causes + [
            self._prepare_cause(site, order, senders.get(keys[key], requests))
            for key, order in found.left.items()
        ]

    @api.model
    def _find_clock_causes(self, site, day, causes):
        """Return the causes of orders for which Matomo's report has another day.

        Where the clock changes at midnight, it leaves an hour out or counts it on two
        days.

        :param causes: list of ``Cause``, those that are known
        """
        missing = {each.request_id for each in causes if each.kind == "missing"}
        found = []
        (start, end), reported = site._get_day_bounds(day), site._get_report_bounds(day)
        # A report that begins earlier, or ends later, than the day counts more.
        for first, last in ((reported[0], start), (end, reported[1])):
            if first == last:
                continue
            count = 1 if first < last else -1
            found += [
                Cause(
                    *("clock", request.order_ref, count),
                    *(count * request._get_recorded_revenue(), request.id),
                )
                for request in self.env["matomo.request"].search(
                    [
                        ("site_id", "=", site.id),
                        ("order_date", ">=", min(first, last)),
                        ("order_date", "<", max(first, last)),
                        ("kind", "=", "order"),
                        ("state", "in", ACCEPTED_STATES),
                        ("id", "not in", [*missing]),
                    ]
                )
            ]
        return found

    @api.model
    def _prepare_cause(self, site, recorded, request):
        """Return the ``Cause`` of an order that Matomo has and this day has not.

        :param recorded: a ``RecordedOrder``
        :param request: which has sent it, of any company; empty if none has
        """
        sender = None
        if request:
            sender = "here" if request.site_id == site else "site"
            if request.company_id != site.company_id:
                sender = "company"
        kind = reconciliation.get_kind_of_recorded(recorded.ref, sender)
        revenue = recorded.revenue or to_decimal(0)
        # An order of another company is not shown here.
        id_ = request.id if sender in ("here", "site") else 0
        return Cause(kind, recorded.ref, 1, revenue, id_)

    @api.model
    def _find_notes(self, site, day, counted):
        """Return what is good to know of a day and makes no difference.

        :param counted: of ``_get_counted_orders``
        :return: list of ``Cause``
        """
        start, end = site._get_day_bounds(day)
        notes = [
            Cause("refused", request.sale_order_id.name, request_id=request.id)
            for request in self._get_refused_requests(site, day)
        ]
        notes += [
            Cause("checkout", order._get_matomo_order_name(), request_id=request.id)
            for order, request in counted.items()
            if not start <= order.date_order < end
        ]
        bought = carts.get_bought_later(self.env, site, start, end).sale_order_id
        requests = bought._get_matomo_requests()
        return notes + [
            Cause("cart", order.name, request_id=requests[order.id].id)
            for order in bought
        ]

    @api.model
    def _get_refused_requests(self, site, day):
        """Return the requests of orders that are not sent: their shoppers refused.

        Neither side counts them.
        """
        requests = self.env["matomo.request"]
        if not site.exclude_refused:
            return requests
        return requests.search(
            [
                *self._get_requests_domain(site, day),
                ("state", "=", "excluded"),
                ("sale_order_id", "!=", False),
            ]
        ).filtered(lambda each: each.sale_order_id._get_matomo_refusal_verdict())
