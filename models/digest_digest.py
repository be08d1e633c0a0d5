from collections import defaultdict

from odoo import fields, models
from odoo.exceptions import AccessError
from odoo.fields import Domain

from ..const import USER_GROUP
from ..tools import overview


class DigestDigest(models.Model):
    """Odoo's digest e-mails say how much of what was sold is in Matomo."""

    _inherit = "digest.digest"

    kpi_matomo_proven = fields.Boolean("Orders Proven in Matomo (%)")
    kpi_matomo_proven_value = fields.Float(compute="_compute_kpi_matomo_proven_value")
    kpi_matomo_difference = fields.Boolean("Revenue That Differs From Matomo")
    kpi_matomo_difference_value = fields.Monetary(
        compute="_compute_kpi_matomo_difference_value"
    )
    kpi_matomo_attention = fields.Boolean("Orders and Refunds That Need You in Matomo")
    kpi_matomo_attention_value = fields.Integer(
        compute="_compute_kpi_matomo_attention_value"
    )

    def _check_matomo_access(self):
        """Leave the lines out of the e-mail of a user who may not see the figures."""
        if not self.env.user.has_group(USER_GROUP):
            raise AccessError(
                self.env._("Only users of Matomo Order Tracking see its figures.")
            )

    def _compute_kpi_matomo_proven_value(self):
        self._check_matomo_access()
        start, end, companies = self._get_kpi_compute_parameters()
        groups = self.env["matomo.request"]._read_group(
            [
                ("kind", "=", "order"),
                ("company_id", "in", companies.ids),
                ("order_date", ">=", start),
                ("order_date", "<", end),
            ],
            ["company_id", "state"],
            ["__count"],
        )
        counts = defaultdict(dict)
        for company, state, count in groups:
            counts[company][state] = count
        for digest in self:
            company = digest.company_id or self.env.company
            share = overview.get_proven_share(counts[company])
            # A day without orders is no alarm.
            digest.kpi_matomo_proven_value = 100 if share is None else share

    def _compute_kpi_matomo_difference_value(self):
        """Sum up by how much Odoo and Matomo differ, whichever of them has more.

        The days of the period that were compared count, which today is not.
        """
        self._check_matomo_access()
        start, end, companies = self._get_kpi_compute_parameters()
        days = self.env["matomo.reconciliation"].search(
            [
                ("company_id", "in", companies.ids),
                ("day", ">=", fields.Date.to_date(start)),
                ("day", "<", fields.Date.to_date(end)),
                # West of Greenwich, yesterday may not be over.
                ("state", "!=", "unfinished"),
                ("revenue_difference", "!=", 0),
            ]
        )
        amounts = defaultdict(float)
        for day in days:
            amounts[day.company_id] += day.currency_id._convert(
                abs(day.revenue_difference),
                day.company_id.currency_id,
                day.company_id,
                day.day,
            )
        for digest in self:
            company = digest.company_id or self.env.company
            digest.kpi_matomo_difference_value = amounts[company]

    def _compute_kpi_matomo_attention_value(self):
        self._check_matomo_access()
        self._calculate_company_based_kpi(
            "matomo.request",
            "kpi_matomo_attention_value",
            date_field="order_date",
            additional_domain=Domain("state", "in", overview.ATTENTION_STATES),
        )

    def _compute_kpis_actions(self, company, user):
        actions = super()._compute_kpis_actions(company, user)
        menu = self.env.ref("matomo_order_tracking.matomo_menu_root").id
        target = "matomo_order_tracking.{}?menu_id={}"
        actions["kpi_matomo_proven"] = target.format("matomo_overview_action", menu)
        actions["kpi_matomo_difference"] = target.format(
            "matomo_reconciliation_action", menu
        )
        actions["kpi_matomo_attention"] = target.format("matomo_overview_action", menu)
        return actions
