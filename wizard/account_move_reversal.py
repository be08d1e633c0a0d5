from odoo import models


class AccountMoveReversal(models.TransientModel):
    _inherit = "account.move.reversal"

    def reverse_moves(self, is_modify=False):
        """Override of `account` to tell Matomo's log which invoice is a replacement.

        The credit notes were scheduled as they were posted; the new invoices are made
        after that.
        """
        action = super().reverse_moves(is_modify)
        if is_modify:
            self.move_ids.reversal_move_ids._matomo_schedule()
        return action
