from odoo import fields, models
from odoo.fields import Domain

from ..matomo_api.tracking import Page


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
        """Override of `matomo.order.mixin`."""
        if line.is_downpayment:
            # A payment, not a product: the products stand on their own lines.
            return "none"
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
