from odoo import api, fields, models
from odoo.fields import Domain
from odoo.http import request
from odoo.tools import format_datetime

from ..const import SHOPPER_FIELDS, USER_GROUP, Verdict
from ..matomo_api.tracking import Cart, Page
from ..outbox import carts
from ..tools.shopper import is_visitor_known, merge_visit
from .matomo_order_mixin import ComputedLine, personal_index

# While it is one of these, an order is a cart or a quotation.
OPEN_STATES = ("draft", "sent")
# Writing one of these changes what a cart costs.
CART_FIELDS = {"fiscal_position_id", "partner_id", "pricelist_id"}


class SaleOrder(models.Model):
    _name = "sale.order"
    _inherit = ["sale.order", "matomo.order.mixin"]

    _matomo_order_field = "sale_order_id"
    _matomo_quantity_field = "product_uom_qty"

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
        """Override of `sale` to note what is given back, for Matomo."""
        result = super()._action_cancel()
        self._matomo_track()
        return result

    def _is_matomo_withdrawn(self):
        """Override of `matomo.order.mixin`: a quotation is not withdrawn."""
        return self.state == "cancel"

    def _is_matomo_sale(self):
        """Override of `matomo.order.mixin`: confirmed orders count."""
        return self.state == "sale"

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

    def _get_matomo_order_name(self):
        """Override of `matomo.order.mixin`."""
        return self.name

    def _get_matomo_page(self, site):
        """Override of `matomo.order.mixin`."""
        if self.website_id:
            return Page(site._get_page_url("shop", "confirmation"), "Web shop order")
        return Page(site._get_page_url("sales"), "Sales order")

    def _matomo_lines(self):
        """Override of `matomo.order.mixin`: sections and notes are no lines."""
        return self._get_priced_lines()

    def _get_matomo_line_fate(self, line):
        """Override of `matomo.order.mixin`: a down payment a till has counted."""
        if line.is_downpayment:
            # A payment, not a product: the products stand on their own lines.
            counted = self._get_matomo_counted_lines()
            return "bought" if line in counted.sale_order_line_id else "none"
        return "returned" if line.product_uom_qty < 0 else "bought"

    def _get_matomo_fate_reason(self, fate, lines):
        """Override of `matomo.order.mixin`: sales orders only know returns."""
        return self.env._("A return: Matomo counts no refunds.")

    def _is_matomo_delivery(self, line):
        """Override of `matomo.order.mixin`."""
        return line.is_delivery

    def _prepare_matomo_base_lines(self):
        """Override of `matomo.order.mixin`: what ``_compute_amounts`` adds up."""
        # Filtered lines no longer know those of the other orders that are looked at.
        lines = self._get_priced_lines().with_prefetch(self.order_line._prefetch_ids)
        return [
            *(line._prepare_base_line_for_taxes_computation() for line in lines),
            *self._add_base_lines_for_early_payment_discount(),
        ]

    # === SETTLED AT TILLS === #

    def _matomo_enqueue(self):
        """Override of `matomo.order.mixin`: what a till has settled counts there
        if its sales order is cancelled before Matomo has it.
        """
        rows = super()._matomo_enqueue()
        # sudo: who cancels an order need not be able to see the till's sales.
        cancelled = self.sudo().filtered(
            lambda order: order.state == "cancel" and order._get_matomo_settlements()
        )
        if cancelled:
            self.env["matomo.retrack"]._queue(cancelled)
        return rows

    @api.ondelete(at_uninstall=False)
    def _unlink_matomo(self):
        """What a till has settled counts there if the order is gone unsent."""
        # sudo: see _matomo_enqueue.
        orders = self.sudo().filtered(
            lambda order: order._get_matomo_settlements()
            and not order._get_matomo_row()._is_in_matomo()
        )
        if sales := orders._get_matomo_settlements().order_id:
            self.env["matomo.retrack"]._queue(sales)

    def _get_matomo_settlements(self):
        """The till's lines that settle these orders, of sales that are paid."""
        lines = self.pos_order_line_ids | self.order_line.pos_order_line_ids
        return lines.filtered(lambda line: line.order_id._is_matomo_sale())

    def _is_matomo_counted(self):
        """Whether Matomo has this order, or will have it (in sudo)."""
        self.ensure_one()
        row = self._get_matomo_row()
        if row._is_in_matomo():
            # Matomo forgets nothing: the cancellation is a refund's matter.
            return True
        if self.state == "cancel":
            return False
        if row:
            return row.state in ("pending", "failed")
        return self._get_matomo_verdict()[0].state != "excluded"

    def _get_matomo_counted_lines(self):
        """The till's lines by which Matomo has a part of this order (in sudo)."""
        self.ensure_one()
        return self._get_matomo_settlements().filtered(
            lambda line: line.order_id._is_matomo_counting(self)
            and line.order_id._get_matomo_line_fate(line) == "bought"
        )

    def _get_matomo_content_verdict(self):
        """Override of `matomo.order.mixin`: a till may have counted it already."""
        if counted := self._get_matomo_counted_lines():
            left = sum(
                computed.untaxed + computed.tax
                for computed in self._compute_matomo_bought_lines()
            )
            if self.currency_id.compare_amounts(left, 0) <= 0:
                return Verdict(
                    "excluded",
                    self.env._("Settled by %s, where it is counted.", _names(counted)),
                )
        return super()._get_matomo_content_verdict()

    def _compute_matomo_lines(self):
        """Override of `matomo.order.mixin` to take off what a till has counted."""
        computed_lines = super()._compute_matomo_lines()
        counted = self._get_matomo_counted_lines().grouped("sale_order_line_id")
        return [
            self._take_off_counted(computed, counted[computed.line])
            if computed.line in counted
            else computed
            for computed in computed_lines
        ]

    def _take_off_counted(self, computed, counted):
        """What is left of a line of which a till has counted a part.

        Of a product what was not taken away yet, at this order's price; of a down
        payment what was paid.
        """
        line = computed.line
        if line.is_downpayment:
            untaxed, tax = self._get_matomo_amounts_at_till(counted)
            return ComputedLine(line, -untaxed, -tax, 0.0)
        done = sum(
            line._convert_qty(line, quantity, "p2s")
            for quantity in counted.mapped("qty")
        )
        left = computed.quantity - done
        # 0.8 less 0.1 and 0.7 is a little more than nothing for a computer.
        is_left = line.product_uom_id.compare(left, 0.0) > 0
        return computed.take(left if is_left else 0.0, self.currency_id)

    def _get_matomo_amounts_at_till(self, lines):
        """What the tills' ``lines`` come to: untaxed and tax."""
        totals = [0.0, 0.0]
        for sale in lines.order_id:
            surplus = sale._get_matomo_surplus()
            for computed in sale._compute_matomo_lines():
                if computed.line in lines:
                    if computed.line in surplus:
                        left = computed.quantity - surplus[computed.line]
                        computed = computed.take(left, sale.currency_id)
                    for number, amount in enumerate((computed.untaxed, computed.tax)):
                        totals[number] += sale.currency_id._convert(
                            amount, self.currency_id, self.company_id, sale.date_order
                        )
        return totals

    def _get_matomo_refund_amount(self, original, site, left):
        """Override of `matomo.order.mixin`: all of it, but for what a till has sold.

        What a till has taken back and Matomo does not know of yet, the till's own
        refund will report.
        """
        refunds = self.env["matomo.request"]._get_refunds_of(self)
        pending = refunds.filtered(
            lambda refund: refund.state == "pending" and not refund._is_in_matomo()
        )
        return left - self._get_matomo_sold_at_tills(site, pending.pos_order_id)

    def _get_matomo_sold_at_tills(self, site, untold):
        """What tills have sold of this order and have not taken back, with tax.

        Only what is counted here, in the site's currency.

        :param untold: till sales that have taken back, and are left out
        """
        settled = self._get_matomo_settlements().filtered(
            lambda line: line.order_id._get_matomo_line_fate(line) == "settled"
        )
        returned = settled.refund_orderline_ids.filtered(
            lambda line: line.order_id._is_matomo_sale() and line.order_id not in untold
        )
        amounts = self._get_matomo_amounts_at_till(settled | returned)
        return self._get_matomo_converter(site)(sum(amounts))

    def _get_matomo_amount_notes(self, amounts):
        """Override of `matomo.order.mixin`."""
        notes = super()._get_matomo_amount_notes(amounts)
        if counted := self._get_matomo_counted_lines():
            notes.append(
                self.env._(
                    "Without what was settled by %s, where it is counted.",
                    _names(counted),
                )
            )
        return notes

    # === PRIVACY === #

    def _forget_matomo_shopper(self):
        """Override of `matomo.order.mixin`: carts are deleted."""
        # sudo: whoever deletes a customer need not see the log.
        self.sudo().matomo_cart_update_ids.unlink()
        return super()._forget_matomo_shopper()

    def _export_matomo_data(self):
        """Override of `matomo.order.mixin` to add the carts."""
        # sudo: a Matomo manager, who asks, may have no right to sales.
        return [
            {**data, "cart_updates": order.matomo_cart_update_ids._export_data()}
            for order, data in zip(
                self.sudo(), super()._export_matomo_data(), strict=True
            )
        ]

    # === THE RECEIPT === #

    @api.depends("matomo_consent_info", *SHOPPER_FIELDS)
    def _compute_matomo_consent(self):
        for order in self:
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
                "The shopper agreed in the website's cookie bar."
            ),
            (True, "matomo_cookie"): self.env._(
                "The shopper agreed by Matomo's own cookie."
            ),
            (True, "elsewhere"): self.env._(
                "The shopper's consent was obtained elsewhere."
            ),
            (False, "cookie_bar"): self.env._(
                "The shopper refused in the website's cookie bar."
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
                "The shopper left the cookie bar unanswered."
            ),
            (None, "not_asked"): self.env._(
                "The shopper was not asked: the website's cookie bar is off."
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

    # === THE SHOPPER'S VISIT === #

    def _fetch_matomo_open_orders(self):
        """Return those of these orders that exist and are open, in one query."""
        return self.search_fetch(
            [("id", "in", self.ids), ("state", "in", OPEN_STATES)],
            ["website_id", "company_id", "matomo_consent_info", *SHOPPER_FIELDS],
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
            self.write(values)
        if self.website_id and site.track_carts:
            is_known = is_visitor_known(self.matomo_visitor_id, visit.consent)
            if is_changed or (values and is_known and carts.has_waiting(self)):
                carts.queue(self, site, is_known)
        return values

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
        reads no field.
        """
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
        items = tuple(merged.item for merged in amounts.items)
        return Cart(
            time=time,
            # An emptied cart has no revenue, even if a delivery line is left.
            revenue=amounts.revenue if items else amounts.revenue * 0,
            items=items,
        )


def _names(lines):
    return ", ".join(lines.order_id.mapped("name"))
