from odoo import models

# What is anonymized instead of deleted.
MODELS = ("matomo.request", "matomo.cart.update")


class PrivacyLookupWizardLine(models.TransientModel):
    _inherit = "privacy.lookup.wizard.line"

    def action_unlink(self):
        """Override of `privacy_lookup` to delete the personal data of the order, too.

        A request itself stays, see ``matomo.request._delete_personal_data``.
        """
        if self.res_model not in MODELS or self.is_unlinked:
            return super().action_unlink()
        # sudo: an administrator may use this wizard without a right to write these.
        record = self.env[self.res_model].sudo().browse(self.res_id)
        record.exists()._delete_personal_data()
        self.execution_details = self.env._(
            "Deleted the personal data of Matomo record #%s and of its order",
            self.res_id,
        )
        self.is_unlinked = True
        return None
