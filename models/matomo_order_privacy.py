from odoo import api, models
from odoo.tools import SQL

# The metadata of the guide, as stored on the order.
SHOPPER_FIELDS = (
    "matomo_ip_address",
    "matomo_user_agent",
    "matomo_accept_language",
    "matomo_client_hints",
    "matomo_visitor_id",
    "matomo_attribution_info",
)


def personal_index(*names):
    """The index of orders that hold personal data, by age: few, in a long history."""
    return models.Index(f"(date_order) WHERE num_nonnulls({', '.join(names)}) > 0")


class MatomoOrderMixin(models.AbstractModel):
    """The shopper's metadata on an order: nobody's to write, and not for ever."""

    _inherit = "matomo.order.mixin"

    # All stored fields with personal data.
    _matomo_personal_fields = SHOPPER_FIELDS

    # === WRITTEN BY NOBODY === #

    def _has_field_access(self, field, operation):
        """Override of the ORM: what is said about a shopper cannot be forged."""
        if operation == "write" and field.name.startswith("matomo_"):
            return self.env.su
        return super()._has_field_access(field, operation)

    @api.model
    def default_get(self, fields):
        """Override of the ORM: no default of a user's own is a shopper's."""
        values = super().default_get(fields)
        for name in self._matomo_personal_fields:
            values.pop(name, None)
        return values

    # === DELETED IN TIME === #

    def _matomo_personal_sql(self, model, alias, query):
        """The condition of ``personal_index``."""
        columns = [
            SQL.identifier(alias, name, to_flush=self._fields[name])
            for name in self._matomo_personal_fields
        ]
        return SQL("num_nonnulls(%s) > 0", SQL(", ").join(columns))

    def _anonymize_matomo_shopper(self):
        """Delete the shopper's metadata.

        By SQL: an order of long ago must not look as if somebody had worked on it,
        and no rule or chatter of the shop shall wake up.
        """
        names = self._matomo_personal_fields
        if not self:
            return
        self.flush_recordset(names)
        self.env.cr.execute(
            SQL(
                "UPDATE %s SET %s WHERE id = ANY(%s)",
                SQL.identifier(self._table),
                SQL(", ").join(
                    SQL("%s = NULL", SQL.identifier(name)) for name in names
                ),
                self.ids,
            )
        )
        self.invalidate_recordset(names, flush=False)

    def _forget_matomo_shopper(self):
        """Delete all that is personal of these orders, in the log, too."""
        self._anonymize_matomo_shopper()
        # sudo: nobody may write the log; whoever deletes a customer need not see it.
        rows = self.env["matomo.request"].sudo()
        rows.search([(self._matomo_order_field, "in", self.ids)])._forget()

    def _get_matomo_site_domain(self, site):
        """The orders of a site, by ``_get_matomo_site``; of none, if it is empty."""
        raise NotImplementedError

    # === HANDED OUT ON REQUEST === #

    def _export_matomo_data(self):
        """All that is known of these orders and of what was sent, for JSON."""
        # sudo: a Matomo manager, who asks, may have no right to sales.
        return [
            {
                "order": order.display_name,
                "date": order.date_order,
                **{name: order[name] or None for name in self._matomo_personal_fields},
                "requests": order.matomo_request_ids._export_data(),
            }
            for order in self.sudo()
        ]
