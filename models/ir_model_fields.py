from odoo import api, models
from odoo.exceptions import ValidationError

from ..tools.fields import WriteOnlyChar


class IrModelFields(models.Model):
    _inherit = "ir.model.fields"

    @api.constrains("related")
    def _check_related_token(self):
        """A field of somebody's own must not show what ours hides."""
        for record in self.filtered(lambda record: record.related):
            target = record._related_field()
            field = self.env[target.model]._fields.get(target.name)
            if isinstance(field, WriteOnlyChar):
                raise ValidationError(
                    self.env._(
                        "“%s” is shown to nobody: no other field can be related to it.",
                        target.field_description,
                    )
                )
