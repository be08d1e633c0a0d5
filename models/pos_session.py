from odoo import api, models


class PosSession(models.Model):
    _inherit = "pos.session"

    @api.model
    def _load_pos_data_relations(self, model, fields):
        """Override of `point_of_sale` to leave out what it leaves out without us.

        A till does not handle fields made by hand of a model that it loads whole;
        our list of its fields would make them part of what it sends.
        """
        relations = super()._load_pos_data_relations(model, fields)
        model_fields = self.env[model]._fields
        if any(name.startswith("matomo_") for name in model_fields):
            for name in [n for n in relations if model_fields[n].manual]:
                del relations[name]
        return relations
