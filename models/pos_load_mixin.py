from odoo import api, models

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
        if names or not any(name.startswith(PREFIX) for name in self._fields):
            return names
        readable = self.fields_get(attributes=())
        return [name for name in readable if not name.startswith(PREFIX)]
