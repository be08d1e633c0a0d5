import logging

from odoo import fields, models
from odoo.fields import Domain

from ..const import USER_GROUP
from ..outbox.transactions import guarded
from ..tools.sentences import describe_others_orders

_logger = logging.getLogger(__name__)

NOT_DELETED = "The personal data for Matomo of %s were not deleted: delete them by hand"


class ResPartner(models.Model):
    """The personal data that this addon keeps of a customer: delete or export them.

    Privacy laws such as the GDPR give a person the right to both.
    """

    _inherit = "res.partner"

    matomo_is_objector = fields.Boolean(
        string="Anonymous in Matomo",
        copy=False,
        groups=USER_GROUP,
        help="What this customer buys at the till or from a salesperson is sent to "
        "Matomo as nobody's. It is set when their personal data are deleted, and when "
        "they refuse in the web shop while they are logged in. In the web shop their "
        "own answer counts.",
    )

    # === PLACE === #

    def _prepare_matomo_place(self):
        """Return where this address is, as values of a ``tracking.Visitor``."""
        return {
            "country": self.country_id.code or "",
            "region": self.state_id.code or "",
            "city": self.city or "",
        }

    # === DELETION === #

    def write(self, vals):
        """Override of `base` to anonymize the orders of a contact made anonymous.

        Odoo does not let users delete a customer with orders. They replace the name and
        clear the e-mail address of the contact instead. A program that updates contacts
        may do the same: the contact's chatter says what it has caused.
        """
        if "name" in vals and "email" in vals and not vals["email"]:
            with guarded(self.env.cr, NOT_DELETED, self):
                named = self.filtered(
                    lambda partner: partner.email
                    and partner.name
                    and partner.name != vals["name"]
                )
                named._anonymize_matomo_renamed()
        return super().write(vals)

    def _anonymize_matomo_renamed(self):
        for partner in self:
            count = partner._anonymize_matomo_data()
            if not count:
                continue
            _logger.info(
                "Contact %s was made anonymous: so were %s orders", partner.id, count
            )
            partner._message_log(
                body=self.env._(
                    "The name was changed and the e-mail address removed. The addon "
                    "took this for a deletion: it deleted the personal data for Matomo "
                    "of this contact's orders (%s). Matomo itself still has them.",
                    count,
                )
            )

    def _anonymize_matomo_data(self):
        """Delete the personal data of these customers' orders and of their requests.

        :return: the number of orders
        """
        orders = self._find_matomo_orders() if self else ()
        for each in orders:
            each._anonymize_matomo_data()
        self._object_to_matomo()
        return sum(map(len, orders))

    def _object_to_matomo(self):
        """Let later sales to these customers be nobody's in Matomo."""
        # sudo: whoever deletes a customer's data need not be able to write contacts,
        # nor can a shopper who refuses.
        customers = self.sudo().filtered(lambda each: not each.matomo_is_objector)
        customers.matomo_is_objector = True

    def _find_matomo_orders(self, domain=Domain.TRUE):
        """Return the orders of these customers, now or when their request was made.

        An order may get another customer later. It keeps the data of its shopper then.

        :param domain: a ``Domain`` that further restricts the orders
        :return: list of recordsets in sudo, one for each model of orders
        """
        return [
            # sudo: the user may have no access right to some of these orders.
            # Each search can use an index; one search with "or" cannot.
            (orders := model.sudo()).union(
                *(
                    orders.search(Domain(path, "in", self.ids) & domain)
                    for path in orders._get_matomo_customer_paths()
                )
            )
            for model in self.env["matomo.order.mixin"]._get_matomo_order_models()
        ]

    def _get_matomo_family(self):
        """Return these customers with their addresses, without other people.

        Below a company, or a household, there are addresses and people.
        """
        # sudo: an address may be private, or of another company.
        partners = self.sudo().with_context(active_test=False)
        found = partners
        while partners := partners.child_ids.filtered(
            lambda child: child.type != "contact"
        ):
            found |= partners
        return found.sudo(False)

    # === DELETION: SALESPEOPLE === #

    def _find_matomo_sales(self, domain=Domain.TRUE):
        """Return the orders that have these contacts as the salesperson.

        :param domain: a ``Domain`` that further restricts the orders
        :return: list of ``(name, orders)``, in sudo
        """
        # sudo: see _find_matomo_orders; users who have left are archived.
        users = self.sudo().with_context(active_test=False).user_ids
        found = []
        for orders in self.env["matomo.order.mixin"]._get_matomo_order_models():
            if "user_id" not in orders._fields:
                continue
            for user in users:
                sold = orders.sudo().search(Domain("user_id", "=", user.id) & domain)
                found.append((user.name, sold))
        return found

    def _anonymize_matomo_sales(self, domain=Domain.TRUE):
        """Take these contacts out of the requests of what they have sold."""
        for name, orders in self._find_matomo_sales(domain):
            orders._anonymize_matomo_salesperson(name)

    # === ACTIONS === #

    def action_matomo_anonymize(self):
        """Return the wizard that deletes these customers' data; a manager's button.

        :raise AccessError: if the user is not a manager
        """
        self._check_matomo_manager()
        return self.env["matomo.erasure"]._open(self)

    def action_matomo_export(self):
        """Return an action that downloads this customer's data; a manager's button.

        :raise AccessError: if the user is not a manager
        """
        self.ensure_one()
        self._check_matomo_manager()
        return {
            "type": "ir.actions.act_url",
            "url": f"/matomo_order_tracking/partner/{self.id}",
            "target": "download",
        }

    def _export_matomo_data(self):
        """Return the personal data of this customer's orders, for JSON.

        A manager may export what the companies of theirs have.

        :return: ``{"customer": name, model name: list of dicts, one for each order,
            "sold": list of what was sent with this contact as salesperson,
            "left_out": list of sentences on what is not in it}``
        :raise AccessError: if the user is not a manager
        """
        self.ensure_one()
        self._check_matomo_manager()
        family = self._get_matomo_family()
        allowed = self.env.user._get_matomo_companies_domain()
        found = family._find_matomo_orders(allowed)
        return {
            "customer": self.display_name,
            **{orders._name: orders._export_matomo_data(family) for orders in found},
            "sold": [
                {"salesperson": name, "order": request.order_ref}
                for name, orders in self._find_matomo_sales(allowed)
                for request in orders._find_matomo_requests()
                if name in (request.payload or {}).values()
            ],
            "left_out": self._get_matomo_left_out(),
        }

    def _get_matomo_left_out(self):
        """Return sentences on whom and what a manager cannot handle with these."""
        family = self._get_matomo_family()
        others = ~self.env.user._get_matomo_companies_domain()
        count = sum(map(len, family._find_matomo_orders(others)))
        # sudo: they are only named.
        people = family.sudo().child_ids - family.sudo()
        sentences = []
        if count:
            sentences.append(
                describe_others_orders(self.env, count),
            )
        if people:
            sentences.append(
                self.env._(
                    "These contacts are people of their own, to be handled one by one: "
                    "%s.",
                    ", ".join(people.mapped("display_name")[:20]),
                )
            )
        return sentences

    def _check_matomo_manager(self):
        """Check that the user may see or delete all data of these customers.

        :raise AccessError: if the user is not a manager
        """
        self.env["matomo.erasure"]._check_manager()
        self.check_access("read")
