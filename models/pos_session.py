from odoo import api, models

from ..outbox.transactions import caught
from .pos_load_mixin import PREFIX


class PosSession(models.Model):
    _inherit = "pos.session"

    @api.model
    def _load_pos_data_relations(self, model, fields):
        """Override of `point_of_sale` to keep manual fields out of the relations.

        A till cannot handle manual fields, which are made on the screen and not in
        code. Odoo leaves them out for models of which it loads all fields. Because
        ``pos.load.mixin`` of this addon lists these fields one by one, Odoo would load
        the manual ones, too.
        """
        relations = super()._load_pos_data_relations(model, fields)
        with caught("The till loads the manual fields, too, of %s", model):
            self._drop_manual_relations_with_matomo(model, relations)
        return relations

    @api.model
    def _drop_manual_relations_with_matomo(self, model, relations):
        """Drop the manual fields of a model that has fields of this addon.

        :param relations: what the till is told of the model; changed in place
        """
        model_fields = self.env[model]._fields
        if any(name.startswith(PREFIX) for name in model_fields):
            for name in [n for n in relations if model_fields[n].manual]:
                del relations[name]
