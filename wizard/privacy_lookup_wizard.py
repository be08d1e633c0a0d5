from odoo import Command, models
from odoo.fields import Domain


class PrivacyLookupWizard(models.TransientModel):
    _inherit = "privacy.lookup.wizard"

    def action_lookup(self):
        """Override of `privacy_lookup` to search by the orders' current customer, too.

        The original finds requests and cart updates by their own customer, who was the
        customer of the order when they were made. The order may have another one now.
        """
        action = super().action_lookup()
        lines = self.line_ids.grouped("res_model")
        partner_ids = lines.get("res.partner", self.line_ids[:0]).mapped("res_id")
        # sudo: an administrator may use this wizard without a right to read requests.
        requests = self.env["matomo.request"].sudo()
        updates = self.env["matomo.cart.update"].sudo()
        found = [
            requests.search(
                Domain.OR(
                    Domain(f"{name}.partner_id", "in", partner_ids)
                    for name in requests._get_order_fields()
                )
                & Domain("is_anonymized", "=", False)
                & Domain("to_anonymize", "=", False)
            ),
            updates.search([("sale_order_id.partner_id", "in", partner_ids)]),
        ]
        for records in found:
            known = lines.get(records._name, self.line_ids[:0]).mapped("res_id")
            model_id = self.env["ir.model"]._get_id(records._name)
            self.line_ids = [
                Command.create(
                    {"res_model_id": model_id, "res_id": record_id, "is_active": True}
                )
                for record_id in records.ids
                if record_id not in known
            ]
        return action
