from odoo import models
from odoo.exceptions import AccessError
from odoo.fields import Domain


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
            named._forget_in_matomo()
        return super().write(vals)

    def _forget_in_matomo(self, *args):
        """Delete the personal data of these people's orders.

        :param args: of ``_find_matomo_orders``
        :return: how many orders were concerned
        """
        orders = self._find_matomo_orders(*args) if self else ()
        for each in orders:
            each._forget_matomo_shopper()
        return sum(map(len, orders))

    def _find_matomo_orders(self, operator="in", domain=Domain.TRUE):
        """The orders that are these people's now, or were when they were queued.

        An order may get another customer later; what it knows of its shopper stays.

        :return: for each model of orders a recordset, in sudo
        """
        return [
            # sudo: whoever asks for a person's data need not see all their orders.
            # Two searches, for each has an index.
            (orders := model.sudo()).union(
                *(
                    orders.search(Domain(path, operator, self.ids) & domain)
                    for path in ("partner_id", "matomo_request_ids.partner_id")
                )
            )
            for model in self.env["matomo.order.mixin"]._get_matomo_order_models()
        ]

    # === ACTIONS === #

    def action_matomo_forget(self):
        """Delete what is kept of this person, at a manager's click."""
        for partner in self:
            count = partner._forget_in_matomo(*partner._get_matomo_criteria())
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
        self._get_matomo_criteria()
        return {
            "type": "ir.actions.act_url",
            "url": f"/matomo_order_tracking/partner/{self.id}",
            "target": "download",
        }

    def _export_matomo_data(self):
        """All Matomo data of this person and their addresses, for JSON."""
        self.ensure_one()
        found = self._find_matomo_orders(*self._get_matomo_criteria())
        return {
            "customer": self.display_name,
            **{orders._name: orders._export_matomo_data() for orders in found},
        }

    def _get_matomo_criteria(self):
        """Which orders a manager means who asks for these people.

        Those of their addresses, too, in the companies of the manager.

        :return: the arguments of ``_find_matomo_orders``
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
        companies = self.env.user.company_ids
        return "child_of", Domain("company_id", "in", companies.ids)
