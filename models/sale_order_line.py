from odoo import api, models

# Writing one of these changes what a cart holds or costs.
CART_LINE_FIELDS = {
    "discount",
    "order_id",
    "price_unit",
    "product_id",
    "product_uom_id",
    "product_uom_qty",
    "tax_ids",
}


class SaleOrderLine(models.Model):
    """A line whose changes are changes of its cart."""

    _inherit = "sale.order.line"

    @api.model_create_multi
    def create(self, vals_list):
        """Override of `sale` to collect the carts that get a line."""
        lines = super().create(vals_list)
        lines.order_id._collect_matomo_carts()
        return lines

    def write(self, vals):
        """Override of `sale` to collect the carts of which a line changes."""
        if not CART_LINE_FIELDS & vals.keys():
            return super().write(vals)
        self.order_id._collect_matomo_carts()
        result = super().write(vals)
        if "order_id" in vals:
            # Both carts change: the one the line was in and the one it is in now.
            self.order_id._collect_matomo_carts()
        return result

    def unlink(self):
        """Override of `sale` to collect the carts that lose a line."""
        self.order_id._collect_matomo_carts()
        return super().unlink()
