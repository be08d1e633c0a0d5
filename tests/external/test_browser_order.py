"""The form of an order in a real Chromium, with and without the group of Matomo."""

from datetime import timedelta

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from ...outbox.preview import preview_order
from ..common import BROWSER, LOGGER, MatomoCommon, MatomoPosCommon
from ..common.browser import BrowserCase

SALES = "sales_team.group_sale_salesman_all_leads"
WIDTHS = (1400, 390)


class OrderCase(BrowserCase):
    """Reads forms of orders."""

    def open_preview(self, page, path):
        """Open the preview of an order. Return its dialog."""
        page.goto(path)
        page.wait_for_selector(".o_form_view [name='partner_id']")
        page.click(".o_notebook a[name='matomo']")
        page.click("button[name='action_matomo_preview']")
        page.wait_for_selector(".modal .o_form_view .alert")
        return page.locator(".modal")

    def assertFits(self, page):
        """Assert that no part of the dialog is cut off at its right."""
        is_cut = """body => body.scrollWidth > body.clientWidth + 1"""
        self.assertFalse(page.eval_on_selector(".modal .modal-body", is_cut))


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserOrder(MatomoCommon, OrderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()

    def setUp(self):
        super().setUp()
        self.failed = self.make_order()
        self.failed.sudo().write(
            {
                "matomo_ip_address": "203.0.113.9",
                "matomo_user_agent": BROWSER,
                "matomo_attribution_info": {"campaign": "spring-sale"},
            }
        )
        self.confirm(self.failed)
        with mute_logger(LOGGER):
            self.get_request(self.failed)._fail("data", "The order has no items.")
        self.quotation = self.make_order()
        self.ids = {
            "failed": (self.failed.id, self.get_request(self.failed).id),
            "quotation": (self.quotation.id, 0),
        }
        self.env.flush_all()

    def make_waiting(self):
        """Confirm an order that waits for hours, for a site that takes none."""
        waiting = self.confirm(self.make_order())
        self.ids["waiting"] = waiting.id, self.get_request(waiting).id
        now = fields.Datetime.now()
        self.site.sudo().write(
            {
                "state": "error",
                "state_message": "Matomo refuses the token.",
                "trouble_date": now - timedelta(hours=3),
                "next_attempt_date": now + timedelta(minutes=20),
            }
        )
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE matomo_request SET create_date = %s WHERE sale_order_id = %s",
            (now - timedelta(hours=2), waiting.id),
        )

    def open(self, page, which):
        page.goto(f"/odoo/sales/{self.ids[which][0]}")
        page.wait_for_selector(".o_form_view [name='partner_id']")

    @mute_logger(LOGGER)
    def test_a_matomo_user_finds_what_needs_a_person(self):
        groups = f"{SALES},matomo_order_tracking.group_matomo_user"
        self.make_user("mia", groups)
        self.make_waiting()
        for width in WIDTHS:
            with self.browse_as(
                "mia", viewport={"width": width, "height": 900}
            ) as page:
                self.open(page, "waiting")
                alert = page.inner_text(".alert-info:has([name='matomo_alert'])")
                self.assertIn("Matomo refuses the token. Nothing is lost", alert)
                # It is as wide as the form, and was half of it.
                is_narrow = """text => text.getBoundingClientRect().width
                    < text.closest(".alert").getBoundingClientRect().width / 2"""
                text = ".alert-info [name='matomo_alert']"
                self.assertFalse(page.eval_on_selector(text, is_narrow))
                self.take_picture(page, f"order-waiting-{width}")
                self.open(page, "failed")
                alert = page.inner_text(".alert-danger:has([name='matomo_alert'])")
                self.assertIn("The order has no items.", alert)
                page.click(".o_notebook a[name='matomo']")
                self.take_picture(page, f"order-{width}")
                tab = page.inner_text(".o_notebook .tab-pane.active")
                self.assertIn("Campaign: spring-sale", tab)
                self.assertIn("Chrome", tab)
                # Headers and addresses are behind the details.
                self.assertNotIn("Mozilla/5.0", tab)
                page.click("summary:has-text('Technical Details')")
                tab = page.inner_text(".o_notebook .tab-pane.active")
                self.assertIn("Mozilla/5.0", tab)
                self.open(page, "quotation")
                self.assertFalse(page.is_visible("button[name='action_view_matomo']"))
                self.assertFalse(page.is_visible("[name='matomo_alert']"))
        with self.browse_as("mia", viewport={"width": 1400, "height": 900}) as page:
            self.open(page, "failed")
            page.click("button[name='action_view_matomo']")
            page.wait_for_url(f"**/{self.ids['failed'][1]}")
            page.wait_for_selector(".o_form_view >> text=The order has no items.")

    @mute_logger(LOGGER)
    def test_a_matomo_user_previews_what_would_be_sent(self):
        # It pushed the quantities and amounts out of the dialog.
        self.lamp.default_code = "LAMP" * 30
        order = self.make_order((self.chair, 2), (self.chair, 1), (self.lamp, 0.5))
        sent = self.make_order((self.chair, 2))
        self.confirm(sent)
        request = self.get_request(sent)
        parameters = preview_order(sent.sudo()).values["payload"]
        request._update_state("sent", payload=parameters)
        sent.order_line.product_uom_qty = 3
        quotation, changed = (f"/odoo/sales/{each.id}" for each in (order, sent))
        self.env.flush_all()
        groups = f"{SALES},matomo_order_tracking.group_matomo_user"
        self.make_user("mia", groups)
        for width in WIDTHS:
            with self.browse_as(
                "mia", viewport={"width": width, "height": 900}
            ) as page:
                dialog = self.open_preview(page, quotation)
                text = dialog.inner_text()
                self.assertIn("the order is still open", text)
                self.assertIn("2 lines of the order are sent as one item", text)
                self.assertIn("cannot count a quantity of 0.5", text)
                self.assertIn("Furniture / Chairs", text)
                self.assertFits(page)
                self.take_picture(page, f"preview-{width}")
                dialog.locator(".o_notebook a[name='raw']").click()
                self.assertIn("ec_items", dialog.inner_text())
                self.assertFits(page)
                self.take_picture(page, f"preview-raw-{width}")
                dialog = self.open_preview(page, changed)
                text = dialog.inner_text()
                self.assertIn("It has changed since", text)
                self.assertIn("2 x Chair", text)
                self.assertIn("3 x Chair", text)
                self.assertFits(page)
                self.take_picture(page, f"preview-changed-{width}")
                dialog.locator(".o_notebook a[name='sent']").click()
                self.assertIn("230.00", dialog.inner_text())
                dialog.locator("footer button").click()
                page.wait_for_selector(".modal", state="detached")

    @mute_logger(LOGGER)
    def test_a_salesperson_reads_the_state(self):
        self.make_user("sam", SALES)
        self.company.sudo().matomo_site_id = False
        self.ids["foreign"] = self.confirm(self.make_order()).id, 0
        self.env.flush_all()
        with self.browse_as("sam", viewport={"width": 1400, "height": 900}) as page:
            self.open(page, "failed")
            self.assertFalse(page.is_visible(".o_notebook a[name='matomo']"))
            button = "button[name='action_view_matomo']"
            self.open(page, "foreign")
            self.assertFalse(page.is_visible(button))
            self.open(page, "failed")
            self.assertIn("Failed", page.inner_text(button))
            page.click(button)
            # No dead link: what a salesperson may not open is said.
            page.wait_for_selector(".o_notification >> text=The order has no items.")
            self.take_picture(page, "order-salesperson")


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserPosOrder(MatomoPosCommon, OrderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()

    @mute_logger(LOGGER)
    def test_a_matomo_user_reads_the_form_and_the_preview(self):
        sale = self.sync(self.make_sale((self.chair, 2), (self.lamp, 1)))
        sale.sudo().write({"matomo_user_agent": BROWSER})
        path = f"/odoo/action-point_of_sale.action_pos_pos_form/{sale.id}"
        self.env.flush_all()
        groups = "point_of_sale.group_pos_manager"
        groups += ",matomo_order_tracking.group_matomo_user"
        self.make_user("pia", groups)
        for width in WIDTHS:
            with self.browse_as(
                "pia", viewport={"width": width, "height": 900}
            ) as page:
                dialog = self.open_preview(page, path)
                text = dialog.inner_text()
                self.assertIn("This is sent within a minute.", text)
                self.assertIn("Furniture / Chairs", text)
                self.assertFits(page)
                self.take_picture(page, f"pos-preview-{width}")
                dialog.locator("footer button").click()
                page.wait_for_selector(".modal", state="detached")
                tab = page.inner_text(".o_notebook .tab-pane.active")
                self.assertIn("Waiting", tab)
                self.assertIn("Chrome", tab)
                self.take_picture(page, f"pos-order-{width}")
        # A cashier reads the state, and nothing else of Matomo.
        self.make_user("paul", "base.group_user,point_of_sale.group_pos_user")
        with self.browse_as("paul", viewport={"width": 1400, "height": 900}) as page:
            page.goto(path)
            page.wait_for_selector(".o_form_view [name='partner_id']")
            self.assertFalse(page.is_visible(".o_notebook a[name='matomo']"))
            page.click("button[name='action_view_matomo']")
            page.wait_for_selector(".o_notification >> text=Waiting")
