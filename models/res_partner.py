from odoo import models
from odoo.exceptions import AccessError
from odoo.fields import Domain

from .matomo_request_retrack import ORDER_MODELS


class ResPartner(models.Model):
    """The right to know what is kept, and the right to be forgotten."""

    _inherit = "res.partner"

    # === WHO IS FORGOTTEN === #

    def write(self, vals):
        """Override of `base`: a contact that loses its name and e-mail is nobody.

        Odoo deletes no customer that has orders; this is what people do instead.
        """
        if "name" in vals and "email" in vals and not vals["email"]:
            named = self.filtered(lambda partner: partner.name != vals["name"])
            named._forget_in_matomo(Domain("partner_id", "in", named.ids))
        return super().write(vals)

    def _forget_in_matomo(self, domain):
        """Delete the personal data of these people's orders.

        :return: how many orders were concerned
        """
        count = 0
        for model_name in ORDER_MODELS if self else ():
            # sudo: whoever deletes a customer need not see all their orders.
            orders = self.env[model_name].sudo().search(domain)
            orders._forget_matomo_shopper()
            count += len(orders)
        return count

    # === ACTIONS === #

    def action_matomo_forget(self):
        """Delete what is kept of this person, at a manager's click."""
        for partner in self:
            count = partner._forget_in_matomo(partner._get_matomo_order_domain())
            partner._message_log(
                body=self.env._(
                    "The personal data for Matomo of %s orders were deleted.", count
                )
            )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._(
                    "The personal data for Matomo were deleted from orders and log."
                    " What Matomo itself has is deleted there (Administration,"
                    " Privacy, GDPR Tools)."
                ),
            },
        }

    def action_matomo_export(self):
        """Download what is kept of this person, at a manager's click."""
        self.ensure_one()
        self._get_matomo_order_domain()
        return {
            "type": "ir.actions.act_url",
            "url": f"/matomo_order_tracking/partner/{self.id}",
            "target": "download",
        }

    def _export_matomo_data(self):
        """All Matomo data of this person and their addresses, for JSON."""
        self.ensure_one()
        domain = self._get_matomo_order_domain()
        return {
            "customer": self.display_name,
            **{
                # sudo: a Matomo manager may have no right to sales.
                model_name: self.env[model_name]
                .sudo()
                .search(domain)
                ._export_matomo_data()
                for model_name in ORDER_MODELS
            },
        }

    def _get_matomo_order_domain(self):
        """The orders of these people in the companies of the manager who asks.

        :raise AccessError: for anybody else
        """
        if not self.env.user.has_group("matomo_order_tracking.group_matomo_manager"):
            raise AccessError(
                self.env._(
                    "Only managers of Matomo Order Tracking may see or delete all data "
                    "of a customer."
                )
            )
        self.check_access("read")
        return Domain("partner_id", "child_of", self.ids) & Domain(
            "company_id", "in", self.env.user.company_ids.ids
        )
