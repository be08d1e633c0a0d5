from odoo import api, fields, models

from ..matomo_api.tracking import Page


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

    # === THE TILL === #

    @api.model
    def _load_pos_data_fields(self, config):
        """Override of `point_of_sale` to keep Matomo's fields out of the till.

        An empty list means all readable fields, for a user who may read ours too.
        """
        names = super()._load_pos_data_fields(config) or list(
            self.fields_get(attributes=["type"])
        )
        return [name for name in names if not name.startswith("matomo_")]

    @api.model
    def _process_order(self, order, existing_order):
        """Override of `point_of_sale`: a till cannot set Matomo's fields.

        What it sends under their names is dropped, and the sale goes on.
        """
        for values in (order, *order.get("relations_uuid_mapping", {}).values()):
            _drop_matomo_keys(values)
        for fields_by_uuid in order.get("relations_uuid_mapping", {}).values():
            for values in fields_by_uuid.values():
                _drop_matomo_keys(values)
        return super()._process_order(order, existing_order)

    # === MATOMO === #

    def _is_matomo_refund(self):
        """Override of `matomo.order.mixin`: a sale that takes something back."""
        return self._is_matomo_sale() and bool(self._get_matomo_returned_lines())

    def _get_matomo_returned_lines(self):
        """The lines that take back what an earlier sale has sold."""
        return self.lines.filtered(
            lambda line: line.refunded_orderline_id
            and self._get_matomo_line_fate(line) == "returned"
        )

    def _get_matomo_returned_amount(self, site):
        """What the returned lines give back, with tax, in the site's currency."""
        returned = self._get_matomo_returned_lines()
        total = sum(
            untaxed + tax
            for line, untaxed, tax in self._compute_matomo_lines()
            if line in returned
        )
        return -self._get_matomo_converter(site)(total)

    def _is_matomo_sale(self):
        """Override of `matomo.order.mixin`: paid sales count."""
        return self.state in ("paid", "done")

    def _get_matomo_sale_domain(self):
        """Override of `matomo.order.mixin`."""
        return [("state", "in", ("paid", "done"))]

    def _get_matomo_site(self):
        """Override of `matomo.order.mixin`: the till's site."""
        return self.config_id.matomo_site_id

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
        if settled and settled.state != "cancel" and settled._get_matomo_site():
            return "settled"
        if line.qty < 0 and not line.sale_order_line_id.is_downpayment:
            return "returned"
        return "bought"

    @api.model
    def _get_matomo_settled_order(self, line):
        """The sales order that a line settles."""
        return line.sale_order_origin_id or line.sale_order_line_id.order_id

    def _get_matomo_fate_reason(self, fate, lines):
        """Override of `matomo.order.mixin`."""
        if fate == "settled":
            orders = self.env["sale.order"].union(
                *(self._get_matomo_settled_order(line) for line in lines)
            )
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


def _drop_matomo_keys(values):
    for name in [name for name in values if name.startswith("matomo_")]:
        del values[name]
