from dataclasses import replace

from odoo import api, fields, models
from odoo.fields import Domain

from ..const import SHOPPER_FIELDS
from ..matomo_api.items import to_decimal
from ..matomo_api.tracking import Page
from ..outbox.transactions import caught
from ..tools import settlement
from ..tools.settlement import CountedLine, LineRole, SoldLine
from .matomo_order_mixin import personal_index
from .matomo_request import GATHERED, Gathered
from .pos_load_mixin import PREFIX

# What a request is built from, of a POS order; of its lines, all is read.
ORDER_FIELDS = ("config_id", "lines", "pos_reference", "is_tipped", "tip_amount")


class PosOrder(models.Model):
    _name = "pos.order"
    _inherit = ["pos.order", "matomo.order.mixin"]

    _matomo_order_field = "pos_order_id"
    _matomo_quantity_field = "qty"
    _matomo_total_field = "price_subtotal_incl"
    _matomo_attempt_fields = ("state", "create_date")

    matomo_request_ids = fields.One2many(
        "matomo.request",
        "pos_order_id",
        string="Matomo Requests",
        groups="matomo_order_tracking.group_matomo_user",
    )

    _matomo_personal_index = personal_index(*SHOPPER_FIELDS)

    # === THE TILL === #

    @api.model
    def sync_from_ui(self, orders):
        """Override of `point_of_sale` to track all sales of a call in one step."""
        gathered = Gathered()
        till = self.with_context(**{GATHERED: gathered})
        try:
            return super(PosOrder, till).sync_from_ui(orders)
        finally:
            with caught("The sales of a till could not be scheduled: %s", gathered):
                self.env["matomo.request"]._schedule_gathered(gathered)

    @api.model
    def _process_order(self, order, existing_order):
        """Override of `point_of_sale`: a till cannot set Matomo's fields.

        Values for them are dropped, at any depth, so that the sale goes on: writing
        a field that the cashier may not write would raise an error.
        """
        _drop_matomo(order)
        return super()._process_order(order, existing_order)

    @api.model_create_multi
    def create(self, vals_list):
        """Override of `point_of_sale`: see ``write``."""
        if not self.env.su:
            _drop_matomo(vals_list)
        return super().create(vals_list)

    def write(self, vals):
        """Override of `point_of_sale`: a till also writes POS orders directly.

        No user may write Matomo's fields, not even one who may see them.
        """
        if not self.env.su:
            _drop_matomo(vals)
        return super().write(vals)

    def read(self, fields=None, load="_classic_read"):
        """Override of the ORM to leave out fields that a till may not read.

        ``pos_online_payment`` makes a till read all fields of a paid POS order.
        """
        if not fields and not load:
            fields = self._load_pos_data_fields(self.config_id[:1])
        return super().read(fields, load)

    # === THE ORDER === #

    def _is_matomo_sale(self):
        """Override of `matomo.order.mixin`: paid sales count."""
        return self.state in ("paid", "done")

    def _get_matomo_assumed_values(self):
        """Override of `matomo.order.mixin`: an open POS order is paid now."""
        return {"state": "paid"} if self.state == "draft" else {}

    def _get_matomo_sale_domain(self):
        """Override of `matomo.order.mixin`."""
        return [("state", "in", ("paid", "done"))]

    def _get_matomo_site(self):
        """Override of `matomo.order.mixin`: the till's site."""
        return self.config_id.matomo_site_id

    def _get_matomo_site_domain(self, site):
        """Override of `matomo.order.mixin`."""
        return Domain("config_id.matomo_site_id", "=", site.id)

    def _get_matomo_no_site_reason(self):
        """Override of `matomo.order.mixin`."""
        return self.env._(
            "No Matomo site is set for the till %s.", self.config_id.name or ""
        )

    def _get_matomo_channel(self):
        """Override of `matomo.order.mixin`."""
        return "till"

    def _get_matomo_order_name(self):
        """Override of `matomo.order.mixin`.

        The receipt number: the name repeats between the devices of a till.
        """
        return self.pos_reference or self.name

    def _get_matomo_page(self, site):
        """Override of `matomo.order.mixin`."""
        till = self.config_id.name or ""
        path = self.env["ir.http"]._slugify(till) or str(self.config_id.id)
        return Page(site._get_page_url("pos", path), till)

    def _get_matomo_till(self):
        """Override of `matomo.order.mixin`."""
        return self.config_id.name or ""

    def _get_matomo_visitor_key(self, site):
        """Override of `matomo.order.mixin`: a known customer, if the site wants it."""
        customer = self._get_matomo_known_customer()
        if site.identify_customers and customer:
            return customer._name, customer.id, site.id
        return super()._get_matomo_visitor_key(site)

    def _prepare_matomo_visitor(self, site):
        """Override of `matomo.order.mixin` to add the location of the shop.

        It is the address of the till's warehouse or, if that has no country, the
        company's.
        """
        address = self.config_id.picking_type_id.warehouse_id.partner_id
        if not address.country_id:
            address = self.company_id.partner_id
        visitor = super()._prepare_matomo_visitor(site)
        return replace(visitor, **address._prepare_matomo_place())

    def _matomo_lines(self):
        """Override of `matomo.order.mixin`.

        The till's cash rounding is no line, and no revenue. A tip that is added after
        the payment is one, although it is not in the total of the POS order
        (``pos_restaurant``: tip_screen.js).
        """
        return self.lines

    def _get_matomo_line_amounts(self):
        """Override of `matomo.order.mixin`: some lines a till stores in its own way.

        In an order that takes back at least what it sells, the screens store the
        amounts of each line with the opposite sign. A tip that is added after the
        payment has a price and no amounts: its amount stands on the order.
        """
        amounts = super()._get_matomo_line_amounts()
        for number, each in enumerate(amounts):
            line = each.line
            # A tax may be within the price, or on top of it.
            price = line.qty * line.price_unit * (1 - line.discount / 100)
            is_opposite = any(
                not self.currency_id.is_zero(price)
                and self.currency_id.is_zero(float(stored) + price)
                for stored in (each.untaxed, each.total)
            )
            if is_opposite:
                amounts[number] = each._replace(untaxed=-each.untaxed, tax=-each.tax)
            elif self.is_tipped and line.product_id == self.config_id.tip_product_id:
                tip = to_decimal(self.tip_amount)
                amounts[number] = each if each.total else each._replace(untaxed=tip)
        return amounts

    # === WHO COUNTS A LINE === #

    @api.model
    def _get_matomo_content_fields(self):
        """Override of `matomo.order.mixin` to add what a POS order consists of."""
        return {
            **self._get_matomo_order_fields(*ORDER_FIELDS),
            **self._get_matomo_product_fields("lines.product_id"),
        }

    def _get_matomo_line_roles(self):
        """Override of `matomo.order.mixin`.

        A line that settles a sales order is counted once: with that sales order if
        it counts itself, else here. See ``tools.settlement``.
        """
        self.ensure_one()
        lines = {line: line._prepare_matomo_till_line() for line in self.lines}
        # Not from the keys: these records read their requests for all orders at once.
        orders = {
            order.id: order
            for line in self.lines
            if (order := line._get_matomo_settled_order())
        }
        recorded = self._get_matomo_recorded_orders() if orders else set()
        counting = {
            key
            for key in settlement.get_undecided_orders(lines.values(), recorded)
            if orders[key]._matomo_counts_itself()
        }
        return {
            line: settlement.get_role(facts, recorded, counting)
            for line, facts in lines.items()
        }

    def _get_matomo_recorded_orders(self):
        """Return the ids of the sales orders that Matomo has a part of from here."""
        request = self._get_matomo_request()
        return set(request.counted_order_ids.ids if request._is_in_matomo() else ())

    def _get_matomo_counted_lines(self):
        """Override of `matomo.order.mixin` to add what is sold besides.

        What was ordered is counted with the sales order, the surplus here.
        """
        lines = super()._get_matomo_counted_lines()
        surplus = {
            each.line: quantity
            for each in lines
            if each.role is LineRole.SETTLEMENT
            and (quantity := self._get_matomo_surplus(each.line))
        }
        return [
            *(each for each in lines if each.line not in surplus),
            *(
                CountedLine(line, LineRole.SETTLEMENT, quantity)
                for line, quantity in surplus.items()
            ),
        ]

    def _get_matomo_surplus(self, line):
        """Return how much of a settlement was sold beyond what was ordered.

        :return: a quantity in the unit of the line, 0.0 if all of it was ordered
        """
        ordered = line.sale_order_line_id
        if not ordered:
            return 0.0
        return settlement.get_surplus(
            line._prepare_matomo_till_line(),
            [each._prepare_matomo_till_line() for each in ordered.pos_order_line_ids],
            ordered._convert_qty(ordered, ordered.product_uom_qty, "s2p"),
            line.product_uom_id.round,
        )

    def _get_matomo_report_parts(self, left):
        """Override of `matomo.order.mixin`: settled lines are of the sales order."""
        parts = super()._get_matomo_report_parts(left)
        if self.lines.sale_order_line_id:
            parts["settled"] = left - parts.get("returned", 0)
        return parts

    def _get_matomo_reported_lines(self):
        """Override of `matomo.order.mixin`."""
        return self.lines.filtered(lambda line: not line.sale_order_line_id)

    def _get_matomo_settled_orders(self):
        """Override of `matomo.order.mixin`."""
        return self.env["sale.order"].union(
            *(line._get_matomo_settled_order() for line in self.lines)
        )

    def _get_matomo_settled_here(self):
        """Override of `matomo.order.mixin`."""
        roles = self._get_matomo_line_roles()
        return self.env["sale.order"].browse(
            settlement.get_counted_orders(
                {line._prepare_matomo_till_line(): role for line, role in roles.items()}
            )
        )

    def _get_matomo_role_reason(self, role, lines):
        """Override of `matomo.order.mixin`."""
        if role is LineRole.SETTLEMENT:
            orders = self.env["sale.order"].union(
                *(line._get_matomo_settled_order() for line in lines)
            )
            refused = orders.filtered(lambda each: each._get_matomo_refusal_verdict())
            if refused:
                return self.env._(
                    "Settled sales order %s, whose shopper refused: its Matomo site is "
                    "set to get no orders of shoppers who refuse.",
                    ", ".join(refused.mapped("name")),
                )
            return self.env._(
                "Settled sales order %s, which is counted there.",
                ", ".join(orders.mapped("name")),
            )
        if refunded := lines.refunded_orderline_id.order_id:
            return self.env._(
                "Refund of %s: Matomo counts no refunds.",
                ", ".join(refunded.mapped("name")),
            )
        return super()._get_matomo_role_reason(role, lines)

    def _get_matomo_adjustments(self, amounts):
        """Override of `matomo.order.mixin` to tell what is sold besides."""
        return super()._get_matomo_adjustments(amounts) + [
            self.env._(
                "%(product)s: %(quantity)s more than sales order %(order)s has; only "
                "these are counted here.",
                product=each.line.product_id.name,
                quantity=f"{each.quantity:g}",
                order=each.line.sale_order_line_id.order_id.name,
            )
            for each in self._get_matomo_counted_lines()
            if each.role is LineRole.SETTLEMENT and each.quantity
        ]

    # === REFUNDS === #

    def _get_matomo_refunded_orders(self):
        """Override of `matomo.order.mixin`: a POS order may take back from several.

        :return: list of the POS orders, or the sales orders they settled, that
            Matomo has of what is taken back
        """
        if not self._is_matomo_sale():
            return []
        return list(dict.fromkeys(self._get_matomo_originals().values()))

    def _get_matomo_originals(self):
        """Return ``{line: order}``: the original of each line that gives back."""
        refunds = self.lines.filtered("refunded_orderline_id")
        roles = {}
        for sale in refunds.refunded_orderline_id.order_id:
            roles.update(sale._get_matomo_line_roles())
        originals = {}
        for line in refunds:
            sold = line.refunded_orderline_id
            order = sold._get_matomo_settled_order()
            original = settlement.get_original(
                SoldLine(
                    role=roles[sold],
                    pos_order=(sold.order_id._name, sold.order_id.id),
                    order=(order._name, order.id),
                    is_down_payment=sold.sale_order_line_id.is_downpayment,
                    is_order_confirmed=order.state == "sale",
                )
            )
            if original:
                model_name, id_ = original
                originals[line] = self.env[model_name].browse(id_)
        return originals

    def _get_matomo_refund_amount(self, original, site, left):
        """Override of `matomo.order.mixin`: what its lines take back."""
        originals = self._get_matomo_originals()
        total = sum(
            each.total
            for each in self._get_matomo_line_amounts()
            if originals.get(each.line) == original
        )
        rate = self.currency_rate
        return -original._convert_matomo_refund(float(total), self, rate, site)

    def _get_matomo_refund_moment(self):
        """Override of `matomo.order.mixin`: when it was made, or now if that is later.

        A till may sync it later, and it may be looked at years later.
        """
        return min(self.date_order, super()._get_matomo_refund_moment())

    def _get_matomo_documents(self):
        """Override of `matomo.order.mixin`: those that reverse the till's invoice."""
        return self.account_move.reversal_move_ids._filter_matomo_documents()

    def _get_matomo_counted_totals(self):
        """Return what these orders sold, by the order that counts it.

        :return: ``{order: amount}`` of POS orders and the sales orders they settled
        """
        totals = {}
        for order in self:
            for line, role in order._get_matomo_line_roles().items():
                is_settlement = role is LineRole.SETTLEMENT
                counting = line._get_matomo_settled_order() if is_settlement else order
                totals.setdefault(counting, 0.0)
                totals[counting] += line.price_subtotal_incl
        return totals

    def _get_matomo_returns(self):
        """Override of `matomo.order.mixin`."""
        return self.lines.refund_orderline_ids.order_id


def _drop_matomo(values):
    """Remove the values of this addon's fields and models from what a till sends.

    If this fails, the failure is logged and the sale goes on.

    :param values: dicts and lists, at any depth; changed in place
    """
    with caught("The fields of Matomo could not be dropped from what a till sends"):
        _drop_names(values)


def _drop_names(values):
    if isinstance(values, dict):
        # Models, too: a till names them to link records by their uuid.
        for name in [n for n in values if str(n).startswith((PREFIX, "matomo."))]:
            del values[name]
        for value in values.values():
            _drop_names(value)
    elif isinstance(values, list | tuple):
        for value in values:
            _drop_names(value)
