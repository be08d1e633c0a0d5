from dataclasses import replace

from odoo import api, fields, models
from odoo.fields import Domain

from ..const import SHOPPER_FIELDS
from ..matomo_api.tracking import Page
from .matomo_order_mixin import personal_index
from .pos_load_mixin import PREFIX


class PosOrder(models.Model):
    _name = "pos.order"
    _inherit = ["pos.order", "matomo.order.mixin"]

    _matomo_order_field = "pos_order_id"
    _matomo_quantity_field = "qty"

    matomo_request_ids = fields.One2many(
        "matomo.request",
        "pos_order_id",
        string="Matomo Requests",
        groups="matomo_order_tracking.group_matomo_user",
    )

    _matomo_personal_index = personal_index(*SHOPPER_FIELDS)

    # === THE TILL === #

    @api.model
    def _process_order(self, order, existing_order):
        """Override of `point_of_sale`: a till cannot set Matomo's fields.

        What it sends under their names, at any depth, is dropped, and the sale
        goes on: a field the cashier may not write would fail it.
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
        """Override of `point_of_sale`: a till also writes sales directly.

        Nobody enters Matomo's fields of a sale, not even who may see them.
        """
        if not self.env.su:
            _drop_matomo(vals)
        return super().write(vals)

    def read(self, fields=None, load="_classic_read"):
        """Override of the ORM for tills, which read without names of relations.

        ``pos_online_payment`` lets them read all fields of a sale once it is paid.
        """
        if not fields and not load:
            fields = self._load_pos_data_fields(self.config_id[:1])
        return super().read(fields, load)

    # === MATOMO === #

    def _get_matomo_refunded_orders(self):
        """Override of `matomo.order.mixin`: a sale may take back from several.

        :return: list of the till sales, or the sales orders they settled, that
            Matomo has of what is taken back
        """
        if not self._is_matomo_sale():
            return []
        lines = self._get_matomo_returned_lines()
        return list(dict.fromkeys(map(self._get_matomo_refunded_order, lines)))

    def _get_matomo_returned_lines(self):
        """The lines that take back what an earlier sale has sold.

        A down payment on a sales order is none, as long as that order stands.
        """
        lines = self.lines.filtered(
            lambda line: line.refunded_orderline_id
            and self._get_matomo_line_fate(line) == "returned"
        )
        return lines - lines.filtered(
            lambda line: line.refunded_orderline_id.sale_order_line_id.is_downpayment
            # "sale", not "paid" or "done": the sales order counts it, and stands.
            and self._get_matomo_refunded_order(line).state == "sale"
        )

    @api.model
    def _get_matomo_refunded_order(self, line):
        """The order that Matomo has of what a line takes back."""
        sold = line.refunded_orderline_id
        if sold.order_id._get_matomo_line_fate(sold) == "settled":
            return self._get_matomo_settled_order(sold)
        return sold.order_id

    def _get_matomo_refund_amount(self, refunded, site, left):
        """Override of `matomo.order.mixin`: what its lines take back."""
        returned = self._get_matomo_returned_lines().filtered(
            lambda line: self._get_matomo_refunded_order(line) == refunded
        )
        total = sum(
            computed.untaxed + computed.tax
            for computed in self._compute_matomo_lines()
            if computed.line in returned
        )
        return -self._get_matomo_converter(site)(total)

    def _get_matomo_revenue(self, row):
        """Override of `matomo.order.mixin`: a tip may not be in Odoo's total.

        Added after the payment, it is a line, and the till leaves the total as it was
        (``pos_restaurant``: tip_screen.js).
        """
        if self.is_tipped:
            return self._prepare_matomo_amounts(row.site_id).revenue
        return super()._get_matomo_revenue(row)

    def _is_matomo_sale(self):
        """Override of `matomo.order.mixin`: paid sales count."""
        return self.state in ("paid", "done")

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
        if site.identify_customers and self.partner_id:
            return self.partner_id._name, self.partner_id.id, site.id
        return super()._get_matomo_visitor_key(site)

    def _prepare_matomo_visitor(self, site):
        """Override of `matomo.order.mixin`: the buyer stands in the shop.

        Its address is that of the till's warehouse or, if that has no country, the
        company's.
        """
        address = self.config_id.picking_type_id.warehouse_id.partner_id
        if not address.country_id:
            address = self.company_id.partner_id
        return replace(
            super()._prepare_matomo_visitor(site),
            country=address.country_id.code or "",
            region=address.state_id.code or "",
            city=address.city or "",
        )

    def _matomo_lines(self):
        """Override of `matomo.order.mixin`."""
        return self.lines

    def _get_matomo_line_fate(self, line):
        """Override of `matomo.order.mixin`.

        A line that settles a sales order is counted where that order is: never
        twice, and here if it is counted nowhere else. There a down payment counts
        when it is paid, and its deduction reduces what is settled later.
        """
        if line.refunded_orderline_id:
            return "returned"
        settled = self._get_matomo_settled_order(line)
        if (
            settled
            and not self._is_matomo_counting(settled)
            and settled._is_matomo_counted()
        ):
            return "settled"
        if line.qty < 0 and not line.sale_order_line_id.is_downpayment:
            return "returned"
        return "bought"

    @api.model
    def _get_matomo_settled_order(self, line):
        """The sales order that a line settles."""
        return line.sale_order_origin_id or line.sale_order_line_id.order_id

    @api.model
    def _get_matomo_settled_orders(self, lines=None):
        """Override of `matomo.order.mixin`: of all its lines, or of some."""
        lines = self.lines if lines is None else lines
        return self.env["sale.order"].union(*map(self._get_matomo_settled_order, lines))

    def _get_matomo_settled_here(self):
        """The sales orders of which this sale counts what it has settled."""
        return self._get_matomo_settled_orders(
            self.lines.filtered(
                lambda line: self._get_matomo_line_fate(line) == "bought"
            )
        )

    def _is_matomo_counting(self, order):
        """Whether Matomo has what this sale has settled of a sales order from here."""
        row = self._get_matomo_row()
        return row._is_in_matomo() and order in row.counted_order_ids

    def _get_matomo_fate_reason(self, fate, lines):
        """Override of `matomo.order.mixin`."""
        if fate == "settled":
            orders = self._get_matomo_settled_orders(lines)
            return self.env._(
                "Settled sales order %s, which is counted there.",
                ", ".join(orders.mapped("name")),
            )
        refunded = lines.refunded_orderline_id.order_id
        if refunded:
            return self.env._(
                "Refund of %s: Matomo counts no refunds.",
                ", ".join(refunded.mapped("name")),
            )
        return self.env._("A return: Matomo counts no refunds.")

    def _prepare_matomo_base_lines(self):
        """Override of `matomo.order.mixin`.

        As ``pos.order.line`` prepares them (``is_refund`` decides what is rounded
        together), with the sign of the line's own quantity and without needing an
        income account. A till's cash rounding is no line, and no revenue.
        """
        return [
            self.env["account.tax"]._prepare_base_line_for_taxes_computation(
                line,
                partner_id=self.partner_id.commercial_partner_id,
                currency_id=self.currency_id,
                rate=self.currency_rate,
                product_id=line.product_id,
                tax_ids=line.tax_ids_after_fiscal_position,
                price_unit=line.price_unit,
                quantity=line.qty,
                discount=line.discount,
                is_refund=line.qty * line.price_unit < 0,
            )
            for line in self.lines
        ]

    # === MORE THAN WAS ORDERED === #

    def _get_matomo_surplus(self):
        """What this sale has sold of sales orders beyond what was ordered.

        Sales are taken as they were made: what a till has taken back since is no
        longer settled, and sold anew it is one more sale.

        :return: ``{line: quantity}``, of lines that are settled
        """
        surplus = {}
        for line in self.lines:
            ordered = line.sale_order_line_id
            if (
                not ordered
                or ordered.is_downpayment
                or self._get_matomo_line_fate(line) != "settled"
            ):
                continue
            sold = ordered.pos_order_line_ids.filtered(
                lambda other, line=line: other.id <= line.id
                and not other.refunded_orderline_id
                and other.order_id._is_matomo_sale()
            )
            limit = ordered._convert_qty(ordered, ordered.product_uom_qty, "s2p")
            over = line.product_uom_id.round(sum(sold.mapped("qty")) - limit)
            if (quantity := min(line.qty, over)) > 0:
                surplus[line] = quantity
        return surplus

    def _get_matomo_content_verdict(self):
        """Override of `matomo.order.mixin`: what is sold besides is bought here."""
        return (
            None
            if self._get_matomo_surplus()
            else super()._get_matomo_content_verdict()
        )

    def _compute_matomo_bought_lines(self):
        """Override of `matomo.order.mixin`: and what is sold besides."""
        lines = super()._compute_matomo_bought_lines()
        if surplus := self._get_matomo_surplus():
            lines += [
                computed.take(surplus[computed.line], self.currency_id)
                for computed in self._compute_matomo_lines()
                if computed.line in surplus
            ]
        return lines

    def _get_matomo_amount_notes(self, amounts):
        """Override of `matomo.order.mixin`."""
        return super()._get_matomo_amount_notes(amounts) + [
            self.env._(
                "%(product)s: %(quantity)s more than sales order %(order)s has; only "
                "these are counted here.",
                product=line.product_id.name,
                quantity=f"{quantity:g}",
                order=line.sale_order_line_id.order_id.name,
            )
            for line, quantity in self._get_matomo_surplus().items()
        ]


def _drop_matomo(values):
    """Take everything under the names of ours from what a till sends."""
    if isinstance(values, dict):
        # Models, too: a till names them where it links records by their uuid.
        for name in [n for n in values if str(n).startswith((PREFIX, "matomo."))]:
            del values[name]
        for value in values.values():
            _drop_matomo(value)
    elif isinstance(values, list | tuple):
        for value in values:
            _drop_matomo(value)
