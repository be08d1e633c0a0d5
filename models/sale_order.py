from dataclasses import replace
from decimal import Decimal

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.http import request
from odoo.tools import SQL, format_datetime

from ..const import SHOPPER_FIELDS, USER_GROUP, Verdict
from ..matomo_api.items import Conversion, LineAmounts, to_decimal
from ..matomo_api.tracking import Cart, Page
from ..outbox import carts
from ..outbox.transactions import caught, guarded
from ..tools import settlement
from ..tools.billing import Document
from ..tools.settlement import LineRole
from ..tools.shopper import Consent, is_visitor_known, merge_visit
from .matomo_order_mixin import NOT_SHOWN, personal_index

# The states in which an order is a cart or a quotation.
OPEN_STATES = ("draft", "sent")
# So many items of a cart are sent; an order is sent with all of its items.
MAX_CART_ITEMS = 200
# What a visit needs of an order.
_VISIT_FIELDS = ("website_id", "company_id", "matomo_consent_info", *SHOPPER_FIELDS)
# One of these is stored of each shopper whose data are stored.
_TELLING_FIELDS = ("matomo_ip_address", "matomo_user_agent", "matomo_visitor_id")
# A page of a customer who says no looks at this many of their orders. The next page
# looks at the next ones.
USED_LIMIT = 20
# Fields that change the prices of a cart.
CART_FIELDS = {"fiscal_position_id", "partner_id", "pricelist_id"}

# What a request is built from, of a sales order and of its lines.
ORDER_FIELDS = ("website_id", "amount_tax", "partner_shipping_id", "order_line")
ORDER_FIELDS += ("pos_order_line_ids", "matomo_cart_update_ids")
LINE_FIELDS = ("display_type", "name", "product_id", "product_uom_qty")
LINE_FIELDS += ("product_uom_id", "price_unit", "price_subtotal", "price_total")
LINE_FIELDS += ("is_delivery", "is_downpayment", "pos_order_line_ids")


class SaleOrder(models.Model):
    _name = "sale.order"
    _inherit = ["sale.order", "matomo.order.mixin"]

    _matomo_order_field = "sale_order_id"
    _matomo_quantity_field = "product_uom_qty"
    _matomo_total_field = "price_total"
    _matomo_attempt_fields = ("state", "create_date", "website_id")

    matomo_request_ids = fields.One2many(
        "matomo.request",
        "sale_order_id",
        string="Matomo Requests",
        groups="matomo_order_tracking.group_matomo_user",
    )

    matomo_cart_update_ids = fields.One2many(
        "matomo.cart.update",
        "sale_order_id",
        string="Matomo Cart Updates",
        groups="matomo_order_tracking.group_matomo_user",
    )
    matomo_consent_info = fields.Json(
        copy=False,
        readonly=True,
        prefetch=False,
        groups=USER_GROUP,
        help="What the shopper answered (true, false or null), where, and when.",
    )
    matomo_consent = fields.Text(
        string="Consent", compute="_compute_matomo_consent", groups=USER_GROUP
    )

    _matomo_personal_fields = (*SHOPPER_FIELDS, "matomo_consent_info")
    _matomo_personal_index = personal_index(*_matomo_personal_fields)

    # === THE ORDER === #

    def _action_cancel(self):
        """Override of `sale` to schedule the refund of a cancelled order."""
        result = super()._action_cancel()
        self._matomo_track()
        return result

    def _is_matomo_withdrawn(self):
        """Override of `matomo.order.mixin`: a quotation is not withdrawn."""
        return self.state == "cancel"

    def _is_matomo_sale(self):
        """Override of `matomo.order.mixin`: confirmed orders count."""
        return self.state == "sale"

    def _get_matomo_assumed_values(self):
        """Override of `matomo.order.mixin`: a quotation is confirmed now."""
        if self.state not in OPEN_STATES:
            return {}
        values = self._prepare_confirmation_values()
        date = values.get("date_order") or self.date_order
        currency = self.company_id.currency_id
        return {
            "state": "sale",
            "date_order": date,
            # As `sale` computes it as soon as the date changes.
            "currency_rate": currency._get_conversion_rate(
                currency, self.currency_id, self.company_id, date.date()
            ),
        }

    def _get_matomo_sale_domain(self):
        """Override of `matomo.order.mixin`."""
        return [("state", "=", "sale")]

    def _get_matomo_site(self):
        """Override of `matomo.order.mixin`: the website's site, or the company's."""
        return (self.website_id or self.company_id).matomo_site_id

    def _get_matomo_site_domain(self, site):
        """Override of `matomo.order.mixin`."""
        return (
            Domain("website_id", "!=", False)
            & Domain("website_id.matomo_site_id", "=", site.id)
        ) | (
            Domain("website_id", "=", False)
            & Domain("company_id.matomo_site_id", "=", site.id)
        )

    def _get_matomo_no_site_reason(self):
        """Override of `matomo.order.mixin`."""
        if self.website_id:
            return self.env._(
                "No Matomo site is set for the website %s.", self.website_id.name
            )
        return self.env._(
            "No Matomo site is set for salespeople's orders of %s.",
            self.company_id.name,
        )

    def _get_matomo_channel(self):
        """Override of `matomo.order.mixin`."""
        return "web" if self.website_id else "desk"

    def _get_matomo_channel_domains(self):
        """Override of `matomo.order.mixin`."""
        return {
            "web": Domain("website_id", "!=", False),
            "desk": Domain("website_id", "=", False),
        }

    def _get_matomo_order_name(self):
        """Override of `matomo.order.mixin`."""
        return self.name

    def _get_matomo_cart_date(self):
        """Override of `matomo.order.mixin`."""
        return self.create_date if self.website_id else None

    def _get_matomo_checkout_date(self):
        """Override of `matomo.order.mixin`: when the payment was begun.

        Odoo sets the date of the order anew when it is confirmed, which for a bank
        transfer is days later.
        """
        if not self.website_id:
            return None
        transactions = self.transaction_ids
        paid = transactions.filtered(lambda each: each.state in ("authorized", "done"))
        begun = paid or transactions.filtered(lambda each: each.state == "pending")
        dates = [self.date_order, *begun.mapped("create_date")]
        checkout = min(dates).replace(microsecond=0)
        return checkout if checkout < self.date_order else None

    def _get_matomo_visitor_key(self, site):
        """Override of `matomo.order.mixin`.

        A browser without cookies is recognized anew in each visit: an ID that Matomo
        knows from a visit of yesterday would begin a visit beside today's.
        """
        key = super()._get_matomo_visitor_key(site)
        flags = self.matomo_browser_flags
        return (*key, flags["time"]) if flags else key

    def _get_matomo_page(self, site):
        """Override of `matomo.order.mixin`."""
        if self.website_id:
            return Page(site._get_page_url("shop", "confirmation"), "Web shop order")
        return Page(site._get_page_url("sales"), "Sales order")

    def _prepare_matomo_visitor(self, site):
        """Override of `matomo.order.mixin` to add the place of the delivery.

        Only to orders of salespeople, if the site wants it: a web shopper who has not
        agreed tells no place, and one who has tells it by their address.
        """
        visitor = super()._prepare_matomo_visitor(site)
        if self.website_id or not site.place_customers:
            return visitor
        return replace(visitor, **self.partner_shipping_id._prepare_matomo_place())

    def _prepare_matomo_nobody(self, site):
        """Override of `matomo.order.mixin`: nobody lives anywhere."""
        nobody = super()._prepare_matomo_nobody(site)
        return replace(nobody, country="", region="", city="")

    def _matomo_lines(self):
        """Override of `matomo.order.mixin`: sections and notes are no lines."""
        # What is read of one line, or of its product, is read of all orders at once.
        return self._get_priced_lines().with_prefetch(self.order_line._prefetch_ids)

    def _is_matomo_delivery(self, line):
        """Override of `matomo.order.mixin`."""
        return line.is_delivery

    def _get_matomo_totals(self, parts):
        """Override of `matomo.order.mixin`: a whole order has totals of its own.

        Its lines need not add up to them: taxes are rounded once for the whole order,
        an early-payment discount lowers the tax alone, a module adds a fee.
        """
        counted = {part.line: part.quantity for part in parts}
        is_part = self._get_matomo_once("_get_matomo_lines_counted_at_till") or any(
            counted.get(line) != line.product_uom_qty
            and (line.price_subtotal or line.price_total)
            for line in self._matomo_lines()
        )
        if is_part:
            return super()._get_matomo_totals(parts)
        return to_decimal(self.amount_total), to_decimal(self.amount_tax)

    def _get_matomo_revenue(self, request):
        """Override of `matomo.order.mixin`: the same total is the same revenue.

        Lines are read only for an order whose total is not what was sent.
        """
        if request._get_conversion(self.currency_id) and (
            self.currency_id.compare_amounts(self.amount_total, request.order_revenue)
            == 0
        ):
            return request._get_sent_revenue()
        return super()._get_matomo_revenue(request)

    # === SETTLED AT TILLS === #

    def _matomo_enqueue(self):
        """Override of `matomo.order.mixin`.

        If a sales order is cancelled before Matomo has it, tills count what they
        settled of it.
        """
        requests = super()._matomo_enqueue()
        # sudo: the user who cancels an order need not be able to see POS orders.
        cancelled = self.sudo().filtered(
            lambda order: order.state == "cancel" and order._get_matomo_settlements()
        )
        if cancelled:
            self.env["matomo.retrack"]._queue(cancelled)
        return requests

    def unlink(self):
        """Override of `sale`: tills count what they settled of an unsent order."""
        self.check_access("unlink")
        sales, message = None, "What %s settle at tills could not be queued for Matomo"
        with guarded(self.env.cr, message, self):
            # sudo: see _matomo_enqueue.
            unsent = self.sudo().filtered(
                lambda order: order._get_matomo_settlements()
                and not order._get_matomo_request()._is_in_matomo()
            )
            sales = unsent._get_matomo_settlements().order_id
        result = super().unlink()
        if sales:
            with guarded(self.env.cr, message, self):
                self.env["matomo.retrack"]._queue(sales)
        return result

    def _get_matomo_settlements(self):
        """Return the lines that settle these orders, of POS orders that are paid."""
        lines = self.pos_order_line_ids
        if others := self.order_line.pos_order_line_ids:
            lines |= others
        return lines and lines.filtered(lambda line: line.order_id._is_matomo_sale())

    def _get_matomo_report_parts(self, left):
        """Override of `matomo.order.mixin`.

        Odoo's report counts what tills settle here, and knows no discount and no
        rounding of the whole order.
        """
        parts = super()._get_matomo_report_parts(left)
        if self._get_matomo_settlements():
            parts["settled"] = left - parts.get("returned", 0)
        elif not parts:
            lines = sum(self._matomo_lines().mapped(self._matomo_total_field))
            document = to_decimal(self.currency_id.round(self.amount_total - lines))
            if document:
                rate = to_decimal(self.currency_rate or 1.0)
                parts["document"] = document / rate
        return parts

    def _matomo_counts_itself(self):
        """Return whether Matomo has this order, or will have it (in sudo)."""
        self.ensure_one()
        order_request = self._get_matomo_request()
        return settlement.counts_itself(
            settlement.SalesOrder(
                state=order_request.state or self._get_matomo_verdict()[0].state,
                is_in_matomo=order_request._is_in_matomo(),
                is_cancelled=self.state == "cancel",
                is_refused=self._get_matomo_refusal_verdict() is not None,
                is_left_out=order_request.is_left_out,
            )
        )

    def _get_matomo_lines_counted_at_till(self):
        """Return the POS lines by which Matomo has a part of this order (in sudo)."""
        self.ensure_one()
        settlements = self._get_matomo_settlements()
        return settlements and settlements.filtered(
            lambda line: settlement.is_counted_at_till(
                line._prepare_matomo_till_line(),
                line.order_id._get_matomo_recorded_orders(),
            )
        )

    def _get_matomo_content_verdict(self):
        """Override of `matomo.order.mixin`.

        The shopper may have refused that it is sent at all, it may be a test of the web
        shop, or tills may have counted all of it.
        """
        if verdict := self._get_matomo_refusal_verdict():
            return verdict
        if self._is_matomo_test():
            return Verdict(
                "excluded",
                self.env._(
                    "An employee ordered it in the web shop. The Matomo site is set to "
                    "leave out employees' orders."
                ),
            )
        if at_till := self._get_matomo_once("_get_matomo_lines_counted_at_till"):
            left = sum(each.total for each in self._get_matomo_counted_amounts())
            if left <= 0:
                return Verdict(
                    "excluded",
                    self.env._(
                        "Settled by %s, where it is counted.", _get_names(at_till)
                    ),
                )
        return super()._get_matomo_content_verdict()

    def _is_matomo_test(self):
        """Return whether an employee's own order in the web shop is to be left out."""
        return (
            bool(self.website_id)
            and self._get_matomo_site().exclude_employee_orders
            and any(not user.share for user in self.partner_id.user_ids)
        )

    @api.model
    def _get_matomo_content_fields(self):
        """Override of `matomo.order.mixin` to add the web shop, lines and tills."""
        return {
            **self._get_matomo_order_fields(*ORDER_FIELDS),
            "website_id": ("matomo_site_id",),
            "order_line": LINE_FIELDS,
            **self._get_matomo_product_fields("order_line.product_id"),
        }

    def _get_matomo_line_roles(self):
        """Override of `matomo.order.mixin`.

        A down payment is no product: the products stand on their own lines. If a
        till has counted it, it takes off what was paid.
        """
        roles = super()._get_matomo_line_roles()
        if paid_before := [line for line in roles if line.is_downpayment]:
            at_till = self._get_matomo_lines_counted_at_till().sale_order_line_id
            for line in paid_before:
                roles[line] = LineRole.BOUGHT if line in at_till else LineRole.IGNORED
        return roles

    def _get_matomo_counted_lines(self):
        """Override of `matomo.order.mixin` to take off what tills have counted."""
        lines = super()._get_matomo_counted_lines()
        at_till = self._get_matomo_once("_get_matomo_lines_counted_at_till")
        if not at_till:
            return lines
        at_till = at_till.grouped("sale_order_line_id")
        return [
            each._replace(quantity=_get_left(each.line, at_till[each.line]))
            if each.quantity is not None and each.line in at_till
            else each
            for each in lines
        ]

    def _get_matomo_line_amounts(self):
        """Override of `matomo.order.mixin`.

        A down payment that tills have counted takes off what was paid.
        """
        amounts = super()._get_matomo_line_amounts()
        if not any(each.line.is_downpayment for each in amounts):
            return amounts
        at_till = self._get_matomo_lines_counted_at_till().grouped("sale_order_line_id")
        for number, each in enumerate(amounts):
            if each.line in at_till and each.line.is_downpayment:
                untaxed, tax = self._get_matomo_amounts_at_till(
                    {line: 0.0 for line in at_till[each.line]}
                )
                amounts[number] = LineAmounts(each.line, -untaxed, -tax, 0.0)
        return amounts

    def _get_matomo_amounts_at_till(self, surplus):
        """Return what POS lines come to, in the currency of this order.

        Both orders have stored the rate of the company's currency.

        :param surplus: ``{line: quantity}`` of POS order lines, and how much of each
            is left out
        :return: tuple of the untaxed amount and the tax, as ``Decimal``
        """
        untaxed = tax = Decimal(0)
        for sale in self.env["pos.order.line"].union(*surplus).order_id:
            rate = 1.0
            if sale.currency_id != self.currency_id:
                currency = self.company_id.currency_id
                rate = sale._get_matomo_rate(currency) / self._get_matomo_rate(currency)
            conversion = Conversion(rate, self._get_matomo_coin())
            for each in sale._get_matomo_line_amounts():
                if each.line in surplus:
                    part = each.without(surplus[each.line], sale._get_matomo_coin())
                    untaxed += conversion.convert(part.untaxed)
                    tax += conversion.convert(part.tax)
        return untaxed, tax

    # === REFUNDS === #

    def _get_matomo_documents(self):
        """Override of `matomo.order.mixin`: those that bill its lines.

        And those that reverse them, or what a till has invoiced of it, although they
        may have other lines.
        """
        moves = self.order_line.invoice_lines.move_id
        moves |= self._get_matomo_settlements().order_id.account_move
        return (moves | moves.reversal_move_ids)._filter_matomo_documents()

    def _get_matomo_till_documents(self, site):
        """Override of `matomo.order.mixin`: what tills have sold, and down payments.

        What they take back is left out: their refunds report it. Down payments that
        they pay back are no refund as long as this order stands.
        """
        surplus = self._get_matomo_till_surplus()
        down_payments = {
            line: left_out
            for line, left_out in surplus.items()
            if line.sale_order_line_id.is_downpayment
        }
        goods = {line: surplus[line] for line in surplus.keys() - down_payments.keys()}
        for line in self.env["pos.order.line"].union(*down_payments):
            for refund in line.refund_orderline_ids:
                if refund.order_id._is_matomo_sale():
                    down_payments[refund] = 0.0
        convert = self._get_matomo_sent_conversion(site).convert
        return [
            Document(
                goods=convert(sum(self._get_matomo_amounts_at_till(goods))),
                down_payments=convert(
                    sum(self._get_matomo_amounts_at_till(down_payments))
                ),
            )
        ]

    def _get_matomo_returns(self):
        """Override of `matomo.order.mixin`: what tills take back of settlements."""
        return self._get_matomo_settlements().refund_orderline_ids.order_id

    def _get_matomo_refund_amount(self, original, site, left):
        """Override of `matomo.order.mixin`: all of it, except what tills have sold.

        A POS refund that Matomo does not have yet reports itself what it takes back.
        """
        refunds = self.env["matomo.request"]._get_refunds_of(self)
        pending = refunds.filtered(
            lambda refund: refund.state == "pending" and not refund._is_in_matomo()
        )
        return left - self._get_matomo_sold_at_tills(site, pending.pos_order_id)

    def _get_matomo_sold_at_tills(self, site, pending):
        """Return what tills have sold of this order and have not taken back.

        :param pending: POS orders whose returns are left out: their refund is pending
        :return: with tax, in the site's currency; only what this order counts
        """
        surplus = self._get_matomo_till_surplus()
        settled = self.env["pos.order.line"].union(*surplus)
        for line in settled.refund_orderline_ids:
            if line.order_id._is_matomo_sale() and line.order_id not in pending:
                surplus[line] = 0.0
        convert = self._get_matomo_sent_conversion(site).convert
        return convert(sum(self._get_matomo_amounts_at_till(surplus)))

    def _get_matomo_till_surplus(self):
        """Return what tills have sold of this order, and it counts.

        :return: ``{line: quantity}`` of lines of POS orders, and how much of each this
            order does not count
        """
        settlements = self._get_matomo_settlements()
        return {
            each.line: each.quantity or 0.0
            for sale in settlements.order_id
            for each in sale._get_matomo_counted_lines()
            if each.line in settlements and each.role is LineRole.SETTLEMENT
        }

    # === SENTENCES === #

    def _get_matomo_adjustments(self, amounts):
        """Override of `matomo.order.mixin` to tell what tills have counted."""
        notes = super()._get_matomo_adjustments(amounts)
        if at_till := self._get_matomo_once("_get_matomo_lines_counted_at_till"):
            notes.append(
                self.env._(
                    "Without what was settled by %s, where it is counted.",
                    _get_names(at_till),
                )
            )
        return notes

    # === PRIVACY === #

    def _anonymize_matomo_shopper(self):
        """Override of `matomo.order.mixin`: a no outlives the deletion of its date."""
        # sudo: whoever deletes a customer need not be able to see requests.
        orders = self.sudo()
        orders.fetch(["matomo_consent_info"])
        refused = orders.filtered(lambda order: order._has_matomo_refusal())
        refused._get_matomo_request().filtered(
            lambda row: row.state in ("excluded", "failed") and not row.is_refused
        ).is_refused = True
        return super()._anonymize_matomo_shopper()

    def _anonymize_matomo_data(self):
        """Override of `matomo.order.mixin`: carts are deleted."""
        # sudo: the user who deletes a customer need not be able to see cart updates.
        self.sudo().matomo_cart_update_ids.unlink()
        return super()._anonymize_matomo_data()

    def _anonymize_matomo_salesperson(self, name):
        """Override of `matomo.order.mixin`: what was sent of carts is deleted."""
        self.matomo_cart_update_ids.filtered("payload").unlink()
        return super()._anonymize_matomo_salesperson(name)

    def _export_matomo_order(self, partners):
        """Override of `matomo.order.mixin` to add the updates of their own cart."""
        data = super()._export_matomo_order(partners)
        is_theirs = self._get_matomo_shopper() in partners
        updates = self.matomo_cart_update_ids.filtered(
            lambda update: update.partner_id in partners
            or (is_theirs and update._is_nobodys())
        )
        return {**data, "cart_updates": updates._export_data()}

    @api.model
    def _get_matomo_customer_paths(self):
        """Override of `matomo.order.mixin`: a cart may have had another customer."""
        return [
            *super()._get_matomo_customer_paths(),
            "matomo_cart_update_ids.partner_id",
        ]

    def _get_matomo_shopper(self):
        """Override of `matomo.order.mixin`: before it is confirmed, the cart knows."""
        updates = self.matomo_cart_update_ids.filtered(
            lambda update: not update._is_nobodys()
        )
        return (
            self._get_matomo_request().partner_id
            or updates[:1].partner_id
            or self.partner_id
        )

    # === CONSENT === #

    @api.depends("matomo_consent_info", *SHOPPER_FIELDS)
    def _compute_matomo_consent(self):
        self.matomo_consent = False
        for order in self:
            with caught(NOT_SHOWN, "matomo_consent", order):
                order.matomo_consent = order._get_matomo_receipt()

    def _get_matomo_receipt(self):
        """Return what the shopper allowed and what was withheld, in sentences.

        :return: False if no visit has been registered
        """
        info = self.matomo_consent_info
        if not info:
            return False
        sources = {
            (True, "cookie_bar"): self.env._(
                "The shopper agreed in the website's Cookies Bar."
            ),
            (True, "matomo_cookie"): self.env._(
                "The shopper agreed by Matomo's own cookie."
            ),
            (True, "visitor_cookie"): self.env._(
                "Matomo's visitor cookie is in the shopper's browser: the website's "
                "consent manager let Matomo run."
            ),
            (True, "elsewhere"): self.env._(
                "The shopper's consent was obtained elsewhere."
            ),
            (True, "cookieless"): self.env._(
                "The shopper did not object: the Matomo site works without cookies."
            ),
            (False, "cookie_bar"): self.env._(
                "The shopper refused in the website's Cookies Bar."
            ),
            (False, "matomo_cookie"): self.env._(
                "The shopper refused by Matomo's own cookie."
            ),
            (False, "do_not_track"): self.env._(
                "The shopper's browser asks not to be tracked."
            ),
            (False, "never"): self.env._(
                "The Matomo site is set to store nothing of shoppers."
            ),
            (None, "not_answered"): self.env._(
                "The shopper left the Cookies Bar unanswered."
            ),
            (None, "no_visitor_cookie"): self.env._(
                "Matomo's visitor cookie is not in the shopper's browser: the "
                "website's consent manager has not let Matomo run."
            ),
            (None, "not_asked"): self.env._(
                "The shopper was not asked: the website's Cookies Bar is off."
            ),
        }
        kept = [name for name in SHOPPER_FIELDS if self[name]]
        withheld = [name for name in SHOPPER_FIELDS if name not in kept]

        def labels(names):
            return ", ".join(
                self._fields[name]._description_string(self.env) for name in names
            )

        lines = [
            sources.get((info.get("answer"), info.get("source")), ""),
            self.env._("Last answer: %s.", format_datetime(self.env, info.get("date"))),
        ]
        if kept:
            lines.append(self.env._("Stored: %s.", labels(kept)))
        if not info.get("answer") and withheld:
            lines.append(self.env._("Withheld: %s.", labels(withheld)))
        elif withheld:
            lines.append(self.env._("Not known: %s.", labels(withheld)))
        return "\n".join(filter(None, lines))

    def _get_matomo_user_id(self, site):
        """Override of `matomo.order.mixin`: on the web only the shopper can agree."""
        if self.website_id or self._has_matomo_refusal():
            return self.matomo_user_id or ""
        return super()._get_matomo_user_id(site)

    # === VISIT === #

    def _fetch_matomo_open_orders(self):
        """Return those of these orders that exist and are open, in one query."""
        return self.search_fetch(
            [("id", "in", self.ids), ("state", "in", OPEN_STATES)],
            _VISIT_FIELDS,
        )

    def _register_matomo_visit(self, site, visit, is_changed):
        """Store a shopper's visit and queue an update of their cart.

        Nothing is written if the visit says nothing new.

        :param site: the order's ``matomo.site``
        :param visit: a ``tools.shopper.Visit``
        :param is_changed: whether the visit has changed the cart
        :return: the values that were written
        """
        self.ensure_one()
        stored = {name: self[name] for name in SHOPPER_FIELDS}
        values = merge_visit(stored, self.matomo_consent_info, visit)
        if values:
            self._lock_matomo_shopper()
            self.write(values)
        if visit.consent.is_refusal:
            carts.delete(self)
        elif self.website_id and site.track_carts:
            is_known = is_visitor_known(self.matomo_visitor_id, visit.consent)
            if is_changed or (values and is_known and carts.has_waiting(self)):
                carts.queue(self, site, is_known)
        return values

    def _lock_matomo_shopper(self):
        """Lock these orders before a shopper's metadata are written.

        If another transaction has changed the order, this statement fails. Odoo and
        PostgreSQL log a statement that fails with its values, and this one has none of
        the shopper's.
        """
        self.env.cr.execute(
            SQL(
                "SELECT id FROM sale_order WHERE id IN %s FOR NO KEY UPDATE", self._ids
            ),
            log_exceptions=False,
        )

    # === A SHOPPER WHO SAYS NO === #

    def _has_matomo_refusal(self):
        """Return whether the shopper of this order has said no."""
        info = self.matomo_consent_info or {}
        return Consent(info.get("answer"), info.get("source")).is_refusal

    def _get_matomo_refusal_verdict(self):
        """Return a ``Verdict`` if the refusal of the shopper keeps the order back.

        :return: None if it may be sent, perhaps anonymously
        """
        if not self._get_matomo_site().exclude_refused or not (
            self._has_matomo_refusal() or self._get_matomo_request().is_refused
        ):
            return None
        return Verdict(
            "excluded",
            self.env._(
                "The shopper refused, and the Matomo site is set to get no orders of "
                "shoppers who refuse."
            ),
        )

    @api.model
    def _fetch_matomo_used_orders(self, order_ids, partner, website):
        """Return the orders for which the data of the present shopper are used.

        :param order_ids: the orders that the shopper's session names
        :param partner: the customer who is logged in, empty for a visitor
        :param website: the ``website`` of the request
        :return: existing orders; at most ``USED_LIMIT`` of the customer's
        """
        orders = self.browse(order_ids).exists()
        if partner:
            here = Domain("website_id", "=", website.id) | (
                Domain("website_id", "=", False)
                & Domain("company_id", "=", website.company_id.id)
            )
            used = Domain.OR(Domain(name, "!=", False) for name in _TELLING_FIELDS)
            own = Domain("partner_id", "=", partner.id)
            orders |= self.search(own & here & used, limit=USED_LIMIT)
        orders.fetch(_VISIT_FIELDS)
        return orders

    def _withdraw_matomo_consent(self, visit):
        """Forget the shopper of this order, who has said no.

        What waits for Matomo is sent anonymously, or not at all if the site says so
        and Matomo cannot have it. Nothing waits here for a lock.

        :param visit: a ``tools.shopper.Visit`` with the refusal
        :return: whether all is forgotten; otherwise another transaction works on it
        """
        self.ensure_one()
        if not self.try_lock_for_update(allow_referencing=True):
            return False
        rows = self._find_matomo_requests().filtered(lambda row: not row.is_anonymized)
        free = rows.try_lock_for_update()
        free.filtered(lambda row: not row.to_anonymize)._anonymize_when_done()
        stored = {name: self[name] for name in SHOPPER_FIELDS}
        receipt = self.matomo_consent_info
        if values := merge_visit(stored, receipt, visit):
            self._anonymize_matomo_shopper()
            self._write_matomo_receipt(values.get("matomo_consent_info", receipt))
        waiting = (free & self._get_matomo_request()).filtered(
            lambda row: row.state == "pending" and not row.unconfirmed_count
        )
        company_lang = self.company_id._get_matomo_lang()
        verdict = self.with_context(lang=company_lang)._get_matomo_refusal_verdict()
        if waiting and verdict:
            waiting._update_state(
                verdict.state, reason=verdict.reason, next_attempt_date=False
            )
        return carts.delete(self) and free == rows

    def _write_matomo_receipt(self, receipt):
        """Store the shopper's answer, by SQL like ``_anonymize_matomo_shopper``."""
        field = self._fields["matomo_consent_info"]
        self.env.cr.execute(
            SQL(
                "UPDATE sale_order SET matomo_consent_info = %s WHERE id = %s",
                field.convert_to_column(receipt, self),
                self.id,
            )
        )
        self.invalidate_recordset([field.name], flush=False)

    # === CARTS === #

    @api.model_create_multi
    def create(self, vals_list):
        """Override of `sale` to notice a new cart."""
        orders = super().create(vals_list)
        orders._collect_matomo_carts()
        return orders

    def write(self, vals):
        """Override of `sale` to notice a cart whose prices change."""
        if CART_FIELDS & vals.keys():
            self._collect_matomo_carts()
        return super().write(vals)

    def _collect_matomo_carts(self):
        """Remember until the end of a shopper's request that these carts change.

        Outside such a request, see ``ir.http._dispatch``, this does nothing. It
        reads no field. If it fails, the failure is logged and the cart changes.
        """
        with caught("The change of carts could not be noticed: %s", self):
            carts = getattr(request, "matomo_carts", None) if request else None
            if isinstance(carts, set):
                carts.update(self.ids)

    def _is_matomo_cart(self):
        """Return whether this is still a cart, perhaps waiting for its payment."""
        return bool(self.website_id) and self.state in OPEN_STATES

    def _prepare_matomo_cart(self, site, time):
        """Return the cart as Matomo gets it.

        :param site: the ``matomo.site`` that gets it, in its currency
        :param time: when it changed (naive, UTC)
        """
        amounts = self._prepare_matomo_amounts(site)
        # Anybody may fill a cart with thousands of lines, and change it every minute.
        items = tuple(merged.item for merged in amounts.items[:MAX_CART_ITEMS])
        return Cart(
            time=time,
            # An emptied cart has no revenue, even if a delivery line is left.
            revenue=amounts.revenue if items else amounts.revenue * 0,
            items=items,
        )


def _get_left(line, at_till):
    """Return how much of a sales order line is not counted at tills, in its unit.

    :param at_till: the POS lines by which Matomo has a part of it
    """
    if line.is_downpayment:
        # It has no quantity.
        return 0.0
    return settlement.get_left(
        line.product_uom_qty,
        [
            line._convert_qty(line, quantity, "p2s")
            for quantity in at_till.mapped("qty")
        ],
        line.product_uom_id.round,
    )


def _get_names(lines):
    return ", ".join(lines.order_id.mapped("name"))
