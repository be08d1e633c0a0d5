from odoo import models


class PrivacyLookupWizardLine(models.TransientModel):
    _inherit = "privacy.lookup.wizard.line"

    def action_unlink(self):
        """Override of `privacy_lookup` to anonymize a request instead of deleting it.

        A request that Matomo cannot have recorded is deleted, see
        ``matomo.request._delete_personal_data``.
        """
        if self.res_model != "matomo.request" or self.is_unlinked:
            return super().action_unlink()
        # sudo: an administrator may use this wizard without a right to write requests.
        request = self.env["matomo.request"].sudo().browse(self.res_id)
        request.exists()._delete_personal_data()
        self.execution_details = self.env._(
            "Deleted the personal data of Matomo request #%s", self.res_id
        )
        self.is_unlinked = True
        return None
