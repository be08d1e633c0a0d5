"""The log in a real Chromium, as a Matomo user and a merchant use it."""

from contextlib import contextmanager, nullcontext
from datetime import timedelta

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import LOGGER, MODULE, VerdictsCommon
from ..common.browser import BrowserCase

LOG = "/odoo/matomo-requests"
ROW = ".o_data_row:has-text('{}')"
# {button: the state it leads to, and what the chatter of the order says}
ACTIONS = {
    "action_retry": ("Waiting", "Retrack in Matomo"),
    "action_cancel": ("Cancelled", "Matomo: Cancel"),
    "action_send_as_other": ("Waiting", "under another number"),
    "action_accept": ("From Another System", "from another system"),
}


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserLog(VerdictsCommon, BrowserCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_office()
        cls.mia = cls.make_user("mia", f"{MODULE}.group_matomo_user")
        cls.mia.sudo().name = "Mia"

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
    def open_log(self, path=LOG, **options):
        with mute_logger(LOGGER), self.browse_as("mia", **options) as page:
            page.goto(path)
            yield page

    def make_different(self, count):
        """Return orders of which Matomo has something else under their numbers."""
        orders = [self.confirm(self.make_order()) for _number in range(count)]
        self.run_sender()
        for order in orders:
            self.get_request(order)._update_state("different", reason="Another.")
        return orders

    def make_cart(self):
        """Put an update of a cart into its log: 5,000 that belong to no sum."""
        self.env["matomo.cart.update"].sudo().create(
            {
                "company_id": self.company.id,
                "site_id": self.site.id,
                "sale_order_id": self.make_order().id,
                "changed_date": fields.Datetime.now(),
                "state": "sent",
                "revenue": 5000,
                "currency_id": self.company.currency_id.id,
            }
        )

    def add_currency(self):
        """Return the ID of a currency without a rate."""
        values = {"name": "MTC", "symbol": "M"}
        return self.env["res.currency"].sudo().create(values).id

    def break_site(self):
        self.site.sudo().write(
            {
                "state": "error",
                "state_message": "Matomo refuses the token.",
                "next_attempt_date": fields.Datetime.now() + timedelta(minutes=20),
            }
        )

    def press(self, page, button, place=""):
        """Press a button of the form, of a row or of a selection, and confirm."""
        page.click(f"{place} button[name='{button}']:visible".strip())
        # Who tries again cannot do harm, and is not asked.
        if button != "action_retry":
            page.click(".modal .btn-primary")
            page.wait_for_selector(".modal", state="detached")

    def assertTold(self, order, text):
        """Assert that Mia's name and a text stand in the chatter of an order."""
        note = order.message_ids.filtered(lambda each: text in (each.body or ""))
        self.assertEqual(note.author_id, self.mia.partner_id, order.message_ids)

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

    def test_each_action_on_a_row_on_a_selection_and_on_a_form(self):
        orders = dict.fromkeys(ACTIONS, ())
        orders["action_retry"] = [self.make_failed() for _place in range(3)]
        orders["action_cancel"] = [self.make_failed() for _place in range(3)]
        different = self.make_different(6)
        orders["action_send_as_other"] = different[:3]
        orders["action_accept"] = different[3:]
        rows = {
            action: [ROW.format(order.name) for order in some]
            for action, some in orders.items()
        }
        self.env.flush_all()
        with self.open_log() as page:
            for action, (state, _text) in ACTIONS.items():
                by_row, by_selection, by_form = rows[action]
                self.press(page, action, by_row)
                page.wait_for_selector(f"{by_row}:has-text('{state}')")
                page.click(f"{by_selection} .o_list_record_selector")
                self.press(page, action, ".o_control_panel")
                page.wait_for_selector(f"{by_selection}:has-text('{state}')")
                page.click(f"{by_form} td[name='order_name']")
                self.press(page, action, ".o_form_view")
                page.wait_for_selector(f".o_arrow_button_current:has-text('{state}')")
                page.go_back()
                page.wait_for_selector(f"{by_form}:has-text('{state}')")
        for action, (_state, text) in ACTIONS.items():
            for order in orders[action]:
                self.assertTold(order, text)

    def test_use_by_a_merchant(self):
        """A merchant comes by the menu, looks at sums, and goes to the order."""
        self.mia.sudo().group_ids += self.env.ref("sales_team.group_sale_manager")
        self.make_cart()
        [another] = self.make_different(1)
        self.names[another] = another.name
        self.site.sudo().track_refunds = True
        self.cancel(self.verified)
        self.run_sender()
        # It has no amount yet, which made the sum of the list 0.00.
        self.confirm(self.make_order())
        row = {each: ROW.format(name) for each, name in self.names.items()}
        self.env.flush_all()
        with self.open_log("/odoo/matomo") as page:
            page.click(".o_menu_sections a:has-text('Requests')")
            page.wait_for_selector(row[self.verified])
            self.assertFalse(page.is_visible(".o_matomo_trouble"))
            self.assertIn("575.00", page.inner_text(".o_list_view tfoot"))
            # Pivot and graph sum orders: no cart, and no refund. 230.00 and 3 x 115.00.
            page.click(".o_switch_view.o_pivot")
            total = page.inner_text(".o_pivot tbody tr:first-child td:last-child")
            self.assertIn("575.00", total)
            page.click(".o_switch_view.o_graph")
            page.wait_for_selector(".o_graph_view canvas")
            page.click(".o_switch_view.o_list")
            page.wait_for_selector(row[another])
            # A form, from the filter.
            self.choose_filter(page, "Failed")
            page.wait_for_selector(row[another], state="detached")
            page.click(f"{row[self.retried]} td[name='order_name']")
            page.wait_for_selector(".o_form_view .alert >> text=Matomo refused")
            page.click("button[name='action_retry']")
            page.wait_for_selector(".o_notification >> text=It is tried again now")
            # To the order, which names who did it, and back.
            page.click("button[name='action_open_order']")
            page.wait_for_selector(".o-mail-Chatter >> text=Retrack in Matomo")
            page.click("button[name='action_view_matomo']")
            page.wait_for_selector("button[name='action_open_order']")
            # Carts have a list of their own.
            page.click(".o_menu_sections a:has-text('Carts')")
            page.wait_for_selector(".o_data_row:has-text('5,000.00')")
            with self.between_pages():
                self.break_site()
                waiting = self.env["matomo.request"].search_count(
                    [("state", "=", "pending"), ("site_id", "=", self.site.id)]
                )
            page.goto("/odoo/matomo-requests-failed")
            banner = page.inner_text(".o_matomo_trouble")
            self.assertIn("Test site", banner)
            self.assertIn("Matomo refuses the token. Nothing is lost", banner)
            page.click(f".o_matomo_trouble a:has-text('{waiting} orders wait')")
            page.wait_for_selector(f".o_pager_limit >> text={waiting}")
            page.click(".o_matomo_trouble a:has-text('Open the site')")
            page.wait_for_selector(".o_form_view .o_field_widget[name='state']")
            # A site has a currency without a rate: sums are missing, and it says why.
            with self.between_pages():
                self.site.sudo().copy({"idsite": 9, "currency_id": self.add_currency()})
            for view in ("list", "pivot", "graph"):
                page.goto(f"/odoo/matomo-requests?view_type={view}")
                notice = page.wait_for_selector(
                    f".o_{view}_view .o_matomo_rates"
                ).inner_text()
                self.assertIn("has no rate for MTC", notice)
                self.assertNotIn("Open the currencies", notice)
        self.assertTold(self.retried, "Retrack in Matomo")

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
