from odoo import fields, models


class MatomoRequest(models.Model):
    """Attempts of which nobody knows whether Matomo recorded the order.

    Sending again is safe as long as Matomo has the first one's raw data: it refuses
    the second, and both can be told apart. Later it would count it twice, and nobody
    would see it (MATOMO.md section 14).
    """

    _inherit = "matomo.request"

    unsettled_count = fields.Integer(
        string="Attempts Unsettled",
        readonly=True,
        aggregator=None,
        help="Of so many attempts it is not known whether Matomo recorded them.",
    )

    def _may_count_twice(self):
        """Whether Matomo may have had it, and would no longer refuse it."""
        return bool(
            self.unsettled_count and not self.site_id._has_raw_data(self.order_date)
        )

    def _note_unrecorded(self):
        """Of the last attempt of each row it is known: nothing was recorded."""
        for row in self:
            row.unsettled_count = max(row.unsettled_count - 1, 0)

    def _set_unsure(self):
        """Matomo may have had it, and is not seen to have it."""
        for row in self:
            # As every verdict, in the company's language.
            env = row.with_context(lang=row.company_id.partner_id.lang).env
            lost = env._("It was sent, and Matomo's answer was lost.")
            row._fail("network", f"{lost} {row._get_too_old_reason()}")

    def _get_too_old_reason(self):
        # As every verdict, in the company's language.
        env = self.with_context(lang=self.company_id.partner_id.lang).env
        return env._(
            "It is older than Matomo keeps its raw data: it cannot be looked for "
            "there, and sent again it might count twice."
        )
