from odoo import api, models

from ..outbox.transactions import caught

PREFIX = "matomo_"


class PosLoadMixin(models.AbstractModel):
    _inherit = "pos.load.mixin"

    @api.model
    def _load_pos_data_fields(self, config):
        """Override of `point_of_sale` to load none of this addon's fields into a till.

        An empty list stands for all fields that the cashier may read. Some cashiers may
        read the fields of this addon, so that the other fields are listed instead.
        """
        names = super()._load_pos_data_fields(config)
        with caught("The till loads the fields of Matomo, too, of %s", self._name):
            return names or self._get_pos_fields_without_matomo()
        return names

    def _get_pos_fields_without_matomo(self):
        """Return the fields that a till loads, empty for all that it may read."""
        if not any(name.startswith(PREFIX) for name in self._fields):
            return []
        readable = self.fields_get(attributes=())
        return [name for name in readable if not name.startswith(PREFIX)]
