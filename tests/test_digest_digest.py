from datetime import timedelta

from odoo import fields
from odoo.tests import freeze_time, tagged
from odoo.tools import mute_logger

from .common import LOGGER, MatomoCommon

NOW = "2026-03-03 10:00:00"


@freeze_time(NOW)
@tagged("post_install", "-at_install")
class TestDigest(MatomoCommon):
    """The e-mail that Odoo sends anyway says whether Matomo has what was sold."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.digest = (
            cls.env["digest.digest"]
            .sudo()
            .create(
                {
                    "name": "Matomo",
                    "company_id": cls.company.id,
                    "kpi_res_users_connected": False,
                    "kpi_mail_message_total": False,
                    "kpi_matomo_proven": True,
                    "kpi_matomo_difference": True,
                    "kpi_matomo_attention": True,
                }
            )
        )
        cls.mia = cls.make_user("mia", "matomo_order_tracking.group_matomo_user")

    def read_lines(self, user):
        """Return what the e-mail says of the past 30 days: ``{line: value}``."""
        self.env.flush_all()
        kpis = self.digest._compute_kpis(self.company, user)
        return {
            kpi["kpi_name"].removeprefix("kpi_matomo_"): kpi["kpi_col3"]["value"]
            for kpi in kpis
        }

    def add_day(self, days_ago, difference, state="different"):
        self.env["matomo.reconciliation"].sudo().create(
            {
                "site_id": self.site.id,
                "day": fields.Date.today() - timedelta(days=days_ago),
                "revenue_difference": difference,
                "state": state,
            }
        )

    @mute_logger(LOGGER)
    def test_lines_of_the_email(self):
        verified = self.confirm(self.make_order())
        self.run_sender()
        self.run_verifier()
        self.assertState(verified, "verified")
        self.matomo.refuses = lambda parameters: True
        failed = self.confirm(self.make_order())
        self.run_sender()
        self.assertState(failed, "failed")
        self.env["matomo.request"].sudo().search([]).write(
            {"order_date": "2026-03-02 10:00:00"}
        )
        # More on one day and less on another is no equality.
        self.add_day(2, 30)
        self.add_day(3, -12)
        self.add_day(40, 100)
        # In America yesterday may not be over: what is on its way is no difference.
        self.add_day(1, -1000, "unfinished")
        lines = self.read_lines(self.mia)
        self.assertEqual((lines["proven"], lines["attention"]), ("50.00", 1))
        self.assertIn("42", lines["difference"])
        self.digest.user_ids = self.mia
        self.digest.action_send_manual()
        [mail] = self.env["mail.mail"].sudo().search([], order="id desc", limit=1)
        self.assertIn("Orders Proven in Matomo (%)", mail.body_html)
        self.assertIn("matomo_overview_action", mail.body_html)

    def test_a_day_without_orders_is_no_alarm(self):
        lines = self.read_lines(self.mia)
        self.assertEqual((lines["proven"], lines["attention"]), ("100.00", 0))

    def test_whoever_may_not_see_the_figures_gets_none(self):
        sara = self.make_user("sara", "sales_team.group_sale_manager")
        self.assertEqual(self.read_lines(sara), {})
