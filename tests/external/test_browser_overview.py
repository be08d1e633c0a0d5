"""The Overview in a real Chromium, used by people of few rights and of many."""

from datetime import timedelta

from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import LOGGER, MatomoCommon
from ..common.browser import BrowserCase

# Odoo misses a script that some of its packages leave out.
BUNDLES = "odoo.addons.base.models.assetsbundle"


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserOverview(MatomoCommon, BrowserCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()

    def make_reader(self, name, groups):
        user = self.make_user(name, groups)
        user.write({"password": f"{name}-{name}", "odoobot_state": "disabled"})
        return self.authenticate(name, f"{name}-{name}")

    def make_day(self):
        """Sell three chairs: one is verified, one fails, one waits."""
        verified, failed, _waiting = (
            self.confirm(self.make_order()) for _each in range(3)
        )
        requests = self.get_request(verified), self.get_request(failed)
        requests[0].write({"state": "sent"})
        requests[0].write({"state": "verified"})
        requests[1]._fail("data", "It has no items.")
        self.env["matomo.reconciliation"].sudo().create(
            {
                "site_id": self.site.id,
                "day": self.site._get_today() - timedelta(days=1),
                "odoo_revenue": 345,
                "matomo_revenue": 115,
                "state": "different",
            }
        )
        self.site.sudo().state = "ok"

    def count_rows(self, page, count):
        """Wait for a list of so many rows, and go back to the Overview."""
        page.wait_for_function(
            f"document.querySelectorAll('.o_list_view .o_data_row').length === {count}"
        )
        page.go_back()
        page.wait_for_selector(".o_matomo_overview")

    @mute_logger(LOGGER, BUNDLES)
    def test_each_number_leads_to_its_rows(self):
        session = self.make_reader("mia", "matomo_order_tracking.group_matomo_user")
        self.make_day()
        with self.browse() as page:
            self.add_cookie("session_id", session.sid)
            page.goto("/odoo/action-matomo_order_tracking.matomo_connect_app_action")
            page.wait_for_selector(".o_matomo_overview canvas")
            text = page.inner_text(".o_matomo_overview .o_kanban_record")
            self.assertIn("33.3 % proven", text)
            self.assertIn("Some of them need a person", text)
            self.assertIn("Days compared: 1, different: 1", text)
            for selector, count in (
                (".o_field_widget[name='month_bar'] button.btn-link", 3),
                (".o_field_widget[name='today_bar'] .progress-bar.bg-danger", 1),
                (".o_field_widget[name='month_bar'] [data-state='verified']", 1),
                ("a[name='action_view_waiting']", 1),
                ("a[name='action_view_failed']", 1),
                ("a[name='action_view_days']", 1),
            ):
                page.click(f".o_matomo_overview {selector}")
                self.count_rows(page, count)
            page.click(".o_matomo_overview a[name='action_open_site']")
            page.wait_for_selector(
                ".o_form_view [name='state_message'], .o_form_view h1"
            )

    @mute_logger(LOGGER, BUNDLES)
    def test_it_fits_a_telephone(self):
        session = self.make_reader("mia", "matomo_order_tracking.group_matomo_user")
        self.make_day()
        viewport = {"width": 390, "height": 844}
        with self.browse(viewport=viewport, has_touch=True, is_mobile=True) as page:
            self.add_cookie("session_id", session.sid)
            page.goto("/odoo/matomo")
            page.wait_for_selector(".o_matomo_overview canvas")
            wide = page.evaluate(
                "[...document.querySelectorAll('.o_matomo_overview *')].filter("
                "e => e.getBoundingClientRect().right > 391).map(e => e.outerHTML)"
            )
            self.assertEqual(wide, [])
            page.click("a[name='action_view_failed']")
            page.wait_for_selector(".o_kanban_view, .o_list_view")

    @mute_logger(LOGGER, BUNDLES)
    def test_a_new_database_shows_the_way_to_the_wizard(self):
        self.company.sudo().matomo_site_id = False
        self.env["matomo.site"].sudo().search([]).active = False
        groups = "base.group_system,matomo_order_tracking.group_matomo_manager"
        session = self.make_reader("anna", groups)
        with self.browse() as page:
            self.add_cookie("session_id", session.sid)
            page.goto("/odoo/matomo")
            page.click(".o_view_nocontent a:has-text('Connect to Matomo')")
            page.wait_for_selector(".modal .o_form_view")
