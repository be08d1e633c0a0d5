from odoo import api, models
from odoo.exceptions import ValidationError

from ..tools.fields import WriteOnlyChar


class IrModelFields(models.Model):
    _inherit = "ir.model.fields"

    @api.constrains("related")
    def _check_related_token(self):
        """Forbid a related field that would show the value of a write-only field."""
        for record in self.filtered(lambda record: record.related):
            target = record._related_field()
            field = self.env[target.model]._fields.get(target.name)
            if isinstance(field, WriteOnlyChar):
                raise ValidationError(
                    self.env._(
                        "“%s” is write-only and cannot be used in related fields.",
                        target.field_description,
                    )
                )
