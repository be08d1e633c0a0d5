"""The Daily Comparison in a real Chromium, on a screen and on a telephone."""

from datetime import datetime, time, timedelta
from decimal import Decimal

from odoo.tests import tagged
from odoo.tools import mute_logger

from ...matomo_api.reading import RecordedOrder, Totals
from ..common import LOGGER, MatomoCommon
from ..common.browser import BrowserCase

GROUPS = "matomo_order_tracking.group_matomo_user,sales_team.group_sale_salesman"
GROUPS += "_all_leads"
PATH = "/odoo/matomo-daily-comparison"
ROWS = ".o_list_view .o_data_row"
TAB = ".o_notebook .nav-link[name='sales_report']"
STEPS = ".o_matomo_sales_report"
# What is wider than a telephone.
WIDE = """[...document.querySelectorAll('.o_form_sheet *')].filter(
    e => e.getBoundingClientRect().right > 391).map(e => e.outerHTML)"""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserComparison(MatomoCommon, BrowserCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()

    def setUp(self):
        super().setUp()
        self.make_user("mia", GROUPS)

    def make_day(self):
        """Sell two chairs: one fails. Matomo has one of a stranger, too."""
        day = self.site._get_today() - timedelta(days=1)
        orders = self.make_order() | self.make_order()
        self.confirm(orders)
        orders.date_order = datetime.combine(day, time(12))
        self.end_transaction()
        sent, failed = orders
        self.matomo.refuses = lambda parameters: parameters.get("ec_id") == failed.name
        self.run_sender()
        self.assertState(failed, "failed")
        days = self.env["matomo.reconciliation"].sudo()
        site = self.site.sudo()
        recorded = [RecordedOrder(sent.name, Decimal(115))]
        recorded.append(RecordedOrder("TAG-7", Decimal("12.50")))
        totals = Totals(2, Decimal("127.50"), Decimal(15), items=1)
        row = days._compare_day(site, day, totals, recorded)
        self.assertTrue(row.is_explained)
        days._compare_day(site, day - timedelta(days=1), Totals())
        return failed

    @mute_logger(LOGGER)
    def test_from_a_day_to_its_orders(self):
        failed = self.make_day()
        name = failed.name
        with self.browse_as("mia", viewport={"width": 1400, "height": 1000}) as page:
            page.goto(PATH)
            page.wait_for_selector(ROWS)
            # The day without orders is not in the way.
            self.assertEqual(page.locator(ROWS).count(), 1)
            self.take_picture(page, "comparison-days")
            text = page.inner_text(ROWS)
            self.assertIn("Needs a Look", text)
            self.assertIn("Matomo has $\N{NO-BREAK SPACE}102.50 less", text)
            page.click(f"{ROWS} td[name='day']")
            causes = "[name='cause_ids'] .o_data_row"
            page.wait_for_selector(causes)
            self.assertEqual(page.locator(causes).count(), 2)
            listed = page.inner_text("[name='cause_ids']")
            for words in (name, "Could not be sent", "TAG-7", "Needs a Look"):
                self.assertIn(words, listed)
            # The stranger's order has none in Odoo.
            buttons = f"{causes} button[name='action_open_order']"
            self.assertEqual(page.locator(buttons).count(), 1)
            page.click(buttons)
            page.wait_for_selector(".o_form_view [name='order_line']")
            page.go_back()
            page.wait_for_selector(causes)
            page.click("button[name='action_view_requests']")
            page.wait_for_selector(".o_list_view:has-text('Orders of') .o_data_row")
            self.assertEqual(page.locator(ROWS).count(), 2)
            page.go_back()
            page.wait_for_selector(causes)
            self.take_picture(page, "comparison-day")
            page.click("button[name='action_compare_again']")
            page.wait_for_selector(".o_notification:has-text('within a minute')")
            page.click("button[name='action_retrack_missing']")
            page.wait_for_selector(f".o_notification:has-text('{name}')")
            # From Odoo's own report to the day, and to that report.
            page.click(TAB)
            page.locator(STEPS).scroll_into_view_if_needed()
            steps = page.inner_text(STEPS)
            for words in ("Untaxed Total", "Taxes", "Compared Here"):
                self.assertIn(words, steps)
            self.take_picture(page, "comparison-sales-report")
            page.click("button[name='action_open_sales_report']")
            page.wait_for_selector(".o_graph_view, .o_pivot_view")
        self.assertState(failed, "pending")
        self.assertEqual(
            self.env["matomo.reconciliation"].search([]).mapped("is_outdated"),
            [True, False],
        )

    @mute_logger(LOGGER)
    def test_every_view(self):
        self.make_day()
        with self.browse_as("mia") as page:
            page.goto(PATH)
            for view in ("kanban", "graph", "pivot"):
                page.click(f".o_switch_view.o_{view}")
                page.wait_for_selector(f".o_{view}_view")
            page.goto("/odoo/matomo-causes")
            page.wait_for_selector(".o_group_header")
            self.assertEqual(page.locator(".o_group_header").count(), 2)
            self.assertIn("Could not be sent", page.inner_text(".o_list_view"))

    @mute_logger(LOGGER)
    def test_it_fits_a_telephone(self):
        self.make_day()
        viewport = {"width": 390, "height": 844}
        with self.browse_as(
            "mia", viewport=viewport, has_touch=True, is_mobile=True
        ) as page:
            page.goto(PATH)
            page.click(".o_kanban_record:has-text('Needs a Look')")
            page.wait_for_selector("[name='cause_ids'] .o_kanban_record")
            self.assertEqual(page.evaluate(WIDE), [])
            self.take_picture(page, "comparison-day-phone")
            page.click(TAB)
            page.locator(STEPS).scroll_into_view_if_needed()
            self.assertEqual(page.evaluate(WIDE), [])
            self.take_picture(page, "comparison-sales-report-phone")
