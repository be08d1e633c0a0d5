"""Fields that Odoo lacks."""

from odoo import fields
from odoo.exceptions import AccessError


class WriteOnlyChar(fields.Char):
    """A text that is entered and used, and handed out to nobody, whoever asks.

    Asking a little is asking: whoever may search, sort or group by a secret can
    guess it letter by letter. So the ORM has no SQL for it, and no record shows it; the
    model fetches it.
    """

    _description_searchable = False

    def _description_sortable(self, env):
        return False

    def _description_groupable(self, env):
        return False

    def get__entered(self, record):
        """Return what was entered and is not stored yet, "" if nothing was.

        No template can call a method with two underscores.
        """
        return record._cache.get(self.name) or ""

    def convert_to_record(self, value, record):
        return False

    def convert_to_read(self, value, record, use_display_name=True):
        return False

    def convert_to_export(self, value, record):
        return ""

    def convert_to_onchange(self, value, record, names):
        return False

    def to_sql(self, model, alias):
        raise self._refusal(model)

    def filter_function(self, records, field_expr, operator, value):
        raise self._refusal(records)

    def _refusal(self, records):
        return AccessError(
            records.env._(
                "Nobody can search, sort or group by “%s”.",
                self._description_string(records.env),
            )
        )
