"""The wizard of a backfill and its job in a real Chromium, also on a telephone."""

from datetime import datetime, timedelta

from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import LOGGER, MatomoCommon
from ..common.browser import BrowserCase

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
PHONE["is_mobile"] = True
JOB = ".o_form_view .o_statusbar_status"


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserBackfill(MatomoCommon, BrowserCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()

    def setUp(self):
        super().setUp()
        self.site.sudo().date_start = datetime.now().date() - timedelta(days=2)
        moment = datetime.now() - timedelta(days=10)
        for _order in range(3):
            self.make_order(state="sale", date_order=moment)
        self.end_transaction()
        self.env["matomo.request"].sudo().search([]).unlink()
        self.make_manager()

    def open_wizard(self, page):
        page.goto("/odoo/action-matomo_order_tracking.matomo_backfill_action")
        page.wait_for_selector(".modal .o_form_view")

    def assertFits(self, page, selector):
        """Assert that nothing of it is wider than the telephone."""
        wide = page.evaluate(
            f"[...document.querySelectorAll('{selector} *')].filter("
            "e => e.getBoundingClientRect().right > 391"
            " && !e.closest('.o_list_renderer, .o_statusbar_status'))"
            ".map(e => e.outerHTML.slice(0, 200))"
        )
        self.assertEqual(wide, [])

    def press(self, page, name, label):
        """Press a button of the job, and wait until it says so."""
        page.click(f".o_form_view button[name='{name}']")
        if name == "action_stop":
            page.click(".modal button.btn-primary")
        page.wait_for_selector(
            f".o_statusbar_status button.o_arrow_button_current:has-text('{label}')"
        )

    @mute_logger(LOGGER)
    def test_count_start_pause_resume_stop(self):
        with self.browse_as(
            "matomo_manager", viewport={"width": 1400, "height": 900}
        ) as page:
            self.open_wizard(page)
            self.assertFalse(page.is_visible("button[name='action_start']"))
            self.take_picture(page, "wizard")
            page.click("button[name='action_count']")
            page.wait_for_selector(".modal .alert-info:has-text('3 orders were found')")
            text = page.inner_text(".modal .alert-info")
            self.assertIn("3 of them are from before the tracking start", text)
            self.assertIn("about 2 minutes", text)
            self.take_picture(page, "counted")
            page.click("button[name='action_start']")
            page.wait_for_selector(JOB)
            self.assertIn("Running", page.inner_text(JOB))
            self.take_picture(page, "job")
            self.press(page, "action_pause", "Paused")
            self.press(page, "action_resume", "Running")
            self.press(page, "action_stop", "Stopped")
            page.goto("/odoo/action-matomo_order_tracking.matomo_job_action")
            page.wait_for_selector(".o_list_view .o_data_row .o_progressbar")
            self.take_picture(page, "jobs")
            page.goto("/odoo/action-matomo_order_tracking.matomo_reconciliation_action")
            page.click("button[name='action_compare_range']")
            page.wait_for_selector(".modal .o_form_view")
            self.take_picture(page, "compare")
            page.click(".modal button[name='action_start']")
            page.wait_for_selector(JOB)
        job = self.env["matomo.job"].sudo().search([])
        self.assertEqual(job.mapped("state"), ["running", "stopped"])
        self.assertEqual(job.mapped("kind"), ["compare", "backfill"])

    @mute_logger(LOGGER)
    def test_it_fits_a_telephone(self):
        with self.browse_as("matomo_manager", **PHONE) as page:
            self.open_wizard(page)
            self.take_picture(page, "wizard-390")
            page.click("button[name='action_count']")
            page.wait_for_selector(".modal .alert-info:has-text('3 orders were found')")
            self.take_picture(page, "counted-390")
            self.assertFits(page, ".modal")
            page.click("button[name='action_start']")
            page.wait_for_selector(".o_form_view .o_progressbar")
            self.take_picture(page, "job-390")
            self.assertFits(page, ".o_form_view")
            page.goto("/odoo/action-matomo_order_tracking.matomo_job_action")
            page.wait_for_selector(".o_kanban_record .o_progressbar")
            self.take_picture(page, "jobs-390")
            self.assertFits(page, ".o_kanban_view")
