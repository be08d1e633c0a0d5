from odoo import models
from odoo.exceptions import AccessError
from odoo.fields import Domain


class ResPartner(models.Model):
    """The personal data that this addon keeps of a customer: delete or export them.

    Privacy laws such as the GDPR give a person the right to both.
    """

    _inherit = "res.partner"

    # === DELETION === #

    def write(self, vals):
        """Override of `base` to anonymize the orders of a contact made anonymous.

        Odoo does not let users delete a customer with orders. They replace the name and
        clear the e-mail address of the contact instead.
        """
        if "name" in vals and "email" in vals and not vals["email"]:
            named = self.filtered(lambda partner: partner.name != vals["name"])
            named._anonymize_matomo_data()
        return super().write(vals)

    def _anonymize_matomo_data(self, *args):
        """Delete the personal data of these customers' orders and of their requests.

        :param args: the arguments of ``_find_matomo_orders``, which selects the orders
        :return: the number of orders
        """
        orders = self._find_matomo_orders(*args) if self else ()
        for each in orders:
            each._anonymize_matomo_data()
        return sum(map(len, orders))

    def _find_matomo_orders(self, operator="in", domain=Domain.TRUE):
        """Return the orders of these customers, now or when their request was made.

        An order may get another customer later. It keeps the data of its shopper then.

        :param operator: ``in``, or ``child_of`` to include the orders of the customers'
            addresses
        :param domain: a ``Domain`` that further restricts the orders
        :return: list of recordsets in sudo, one for each model of orders
        """
        return [
            # sudo: the user may have no access right to some of these orders.
            # Each of the two searches can use an index; one search with "or" cannot.
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
        """Delete the personal data of these customers' orders; the button of a manager.

        :return: an action that shows a notification
        :raise AccessError: if the user is not a manager
        """
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
        """Return an action that downloads this customer's data; a manager's button.

        :raise AccessError: if the user is not a manager
        """
        self.ensure_one()
        self._get_matomo_criteria()
        return {
            "type": "ir.actions.act_url",
            "url": f"/matomo_order_tracking/partner/{self.id}",
            "target": "download",
        }

    def _export_matomo_data(self):
        """Return the personal data of this customer's orders, for JSON.

        :return: ``{"customer": name, model name: list of dicts, one for each order}``
        :raise AccessError: if the user is not a manager
        """
        self.ensure_one()
        found = self._find_matomo_orders(*self._get_matomo_criteria())
        return {
            "customer": self.display_name,
            **{orders._name: orders._export_matomo_data() for orders in found},
        }

    def _get_matomo_criteria(self):
        """Return which orders of these customers the current user may handle.

        A manager may handle them in all companies of theirs, and those of the
        customers' addresses, too.

        :return: the arguments of ``_find_matomo_orders``
        :raise AccessError: if the user is not a manager
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
