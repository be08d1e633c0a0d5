"""The log in a real Chromium, as a Matomo user without any other right uses it."""

from contextlib import contextmanager, nullcontext

from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import LOGGER, MODULE, VerdictsCommon
from ..common.browser import BrowserCase

PASSWORD = "mia-the-matomo-user"
LOG = "/odoo/matomo-requests"
ROW = ".o_data_row:has-text('{}')"
# It misses a script of Odoo's that some packages of Odoo leave out.
BUNDLES = "odoo.addons.base.models.assetsbundle"


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserLog(VerdictsCommon, BrowserCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()
        # The name belongs to the browser's session from here on.
        cls.till_session, cls.session = cls.session, None
        cls.mia = cls.make_user("mia", f"{MODULE}.group_matomo_user")
        # OdooBot would open a window over the form of a telephone.
        cls.mia.sudo().write(
            {"name": "Mia", "password": PASSWORD, "odoobot_state": "disabled"}
        )

    def enter_registry_test_mode(self):
        """Do nothing: an ``HttpCase`` has entered the test mode already."""
        return nullcontext()

    def setUp(self):
        super().setUp()
        self.verified = self.confirm(self.make_order((self.chair, 2)))
        self.run_sender()
        self.run_verifier()
        self.retried, self.cancelled = self.make_failed(), self.make_failed()
        orders = self.verified, self.retried, self.cancelled
        # Read beforehand: the browser's requests share the cursor of the test.
        self.request_ids = {order: self.get_request(order).id for order in orders}
        self.names = {order: order.name for order in orders}

    @contextmanager
    def open_log(self, **options):
        session = self.authenticate(self.mia.login, PASSWORD)
        with mute_logger(LOGGER, BUNDLES), self.browse(**options) as page:
            self.add_cookie("session_id", session.sid)
            page.goto(LOG)
            yield page

    def choose_filter(self, page, name):
        page.click(".o_searchview_dropdown_toggler")
        page.click(f".o_filter_menu .o_menu_item:text-is('{name}')")
        page.wait_for_selector(f".o_searchview_facet:has-text('{name}')")
        page.click(".o_searchview_dropdown_toggler")

    def open_form(self, page, order):
        page.goto(f"{LOG}/{self.request_ids[order]}")
        page.wait_for_selector(f".o_form_view h1 >> text={self.names[order]}")

    def test_use_of_the_log(self):
        with self.open_log() as page:
            for order in self.verified, self.retried, self.cancelled:
                page.wait_for_selector(ROW.format(self.names[order]))
            # A selection is retried: of what is verified, nothing.
            page.click(
                f"{ROW.format(self.names[self.verified])} .o_list_record_selector"
            )
            page.click(
                f"{ROW.format(self.names[self.retried])} .o_list_record_selector"
            )
            page.click(".o_control_panel button[name='action_retry']:visible")
            answer = page.wait_for_selector(".o_notification").inner_text()
            self.assertIn("Tried again now: 1 of 2. Verified already: 1.", answer)
            page.wait_for_selector(
                f"{ROW.format(self.names[self.retried])}:has-text('Waiting')"
            )
            self.choose_filter(page, "Failed")
            page.wait_for_selector(
                ROW.format(self.names[self.verified]), state="detached"
            )
            self.assertTrue(page.is_visible(ROW.format(self.names[self.cancelled])))
            # On the form, one is cancelled, and says who did it.
            self.open_form(page, self.cancelled)
            # No right to sales: no dead link.
            self.assertFalse(page.is_visible("button[name='action_open_order']"))
            page.click("button[name='action_cancel']")
            page.click(".modal .btn-primary")
            page.wait_for_selector(".o_form_view .alert >> text=Mia has cancelled it")
            self.assertFalse(page.is_visible("button[name='action_cancel']"))
            self.assertTrue(page.is_visible("button[name='action_retry']"))
            # What was sent, and every attempt.
            self.open_form(page, self.verified)
            sent = page.inner_text("[name='sent_html']")
            for text in ("Chair", "Furniture / Chairs", "Subtotal", "200.00", "230.00"):
                self.assertIn(text, sent)
            self.assertFalse(page.is_visible("[name='tracking_url']"))
            page.click(".o_notebook .nav-link[name='attempts']")
            page.wait_for_selector(
                "[name='attempts_html'] >> text=Read back from Matomo"
            )
            page.click(".o_notebook .nav-link[name='technical']")
            page.wait_for_selector("[name='tracking_url']:visible")
        self.assertState(self.retried, "pending")
        self.assertState(self.cancelled, "cancelled")

    def test_on_a_telephone(self):
        with self.open_log(viewport={"width": 390, "height": 844}) as page:
            card = f".o_kanban_record:has-text('{self.names[self.retried]}')"
            page.wait_for_selector(f"{card}:has-text('Failed')")
            page.click(card)
            page.wait_for_selector(
                f".o_form_view h1 >> text={self.names[self.retried]}"
            )
            width = page.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(width, 390)
