from odoo import Command, models
from odoo.fields import Domain


class PrivacyLookupWizard(models.TransientModel):
    _inherit = "privacy.lookup.wizard"

    def action_lookup(self):
        """Override of `privacy_lookup` to find the log by the order's customer, too.

        By itself it finds the rows of those who were the customer when the row was
        made: an order, or a cart, may have got another one since.
        """
        action = super().action_lookup()
        lines = self.line_ids.grouped("res_model")
        partner_ids = lines.get("res.partner", self.line_ids[:0]).mapped("res_id")
        known = lines.get("matomo.request", self.line_ids[:0]).mapped("res_id")
        # sudo: an administrator, who asks, may have no right to the log.
        rows = self.env["matomo.request"].sudo()
        rows = rows.search(
            Domain.OR(
                Domain(f"{name}.partner_id", "in", partner_ids)
                for name in ("sale_order_id", "pos_order_id")
            )
            & Domain("is_blanked", "=", False)
            & Domain("is_forgotten", "=", False)
            & Domain("id", "not in", known)
        )
        model_id = self.env["ir.model"]._get_id(rows._name)
        self.line_ids = [
            Command.create(
                {"res_model_id": model_id, "res_id": row.id, "is_active": True}
            )
            for row in rows
        ]
        return action
