from odoo import models
from odoo.exceptions import AccessError
from odoo.fields import Domain


class ResPartner(models.Model):
    """A person's rights to get a copy of their data and to have them deleted."""

    _inherit = "res.partner"

    # === DELETION === #

    def write(self, vals):
        """Override of `base` to delete the data of a contact that is made anonymous.

        Odoo refuses to delete a customer with orders. People change the name and
        remove the e-mail address instead.
        """
        if "name" in vals and "email" in vals and not vals["email"]:
            named = self.filtered(lambda partner: partner.name != vals["name"])
            named._anonymize_matomo_data()
        return super().write(vals)

    def _anonymize_matomo_data(self, *args):
        """Delete the personal data of the orders of these people.

        :param args: the arguments of ``_find_matomo_orders``
        :return: the number of orders
        """
        orders = self._find_matomo_orders(*args) if self else ()
        for each in orders:
            each._anonymize_matomo_data()
        return sum(map(len, orders))

    def _find_matomo_orders(self, operator="in", domain=Domain.TRUE):
        """Return the orders that belong to these people, or did when they were queued.

        An order may get another customer later and keeps the data of its shopper.

        :param operator: ``in``, or ``child_of`` for the orders of their addresses, too
        :param domain: a further condition on the orders
        :return: list of a recordset for each model of orders, in sudo
        """
        return [
            # sudo: a user who asks for a person's data may not see all their orders.
            # Two searches, because each one has an index.
            (orders := model.sudo()).union(
                *(
                    orders.search(Domain(path, operator, self.ids) & domain)
                    for path in ("partner_id", "matomo_request_ids.partner_id")
                )
            )
            for model in self.env["matomo.order.mixin"]._get_matomo_order_models()
        ]

    # === ACTIONS === #

    def action_matomo_anonymize(self):
        """Delete the Matomo data of these people; the button of a manager."""
        for partner in self:
            count = partner._anonymize_matomo_data(*partner._get_matomo_criteria())
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
        """Download the Matomo data of this person; the button of a manager.

        :raise AccessError: for a user who is not a manager
        """
        self.ensure_one()
        self._get_matomo_criteria()
        return {
            "type": "ir.actions.act_url",
            "url": f"/matomo_order_tracking/partner/{self.id}",
            "target": "download",
        }

    def _export_matomo_data(self):
        """Return all Matomo data of this person and their addresses, for JSON.

        :return: a dict with the name, and a list of orders for each model
        :raise AccessError: for a user who is not a manager
        """
        self.ensure_one()
        found = self._find_matomo_orders(*self._get_matomo_criteria())
        return {
            "customer": self.display_name,
            **{orders._name: orders._export_matomo_data() for orders in found},
        }

    def _get_matomo_criteria(self):
        """Return which orders a manager gets for these people.

        That is also the orders of their addresses, in the companies of the manager.

        :return: the arguments of ``_find_matomo_orders``
        :raise AccessError: for a user who is not a manager
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
