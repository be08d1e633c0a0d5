"""The settings in a real Chromium: what is typed is tested, and then saved or not."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from odoo.tests import tagged
from odoo.tools import mute_logger

from ..common import LOGGER, MatomoPosCommon
from ..common.browser import BrowserCase
from ..common.real_matomo import RealMatomo

WEBSITE, TILL = "#matomo_setting", "#matomo_pos_setting"
ACTIONS = {
    WEBSITE: "/odoo/action-website.action_website_configuration",
    TILL: "/odoo/action-point_of_sale.action_pos_configuration",
}
PREFIXES = {WEBSITE: "matomo", TILL: "matomo_pos"}
# A port on which nothing listens.
NOWHERE = "http://127.0.0.1:1/"
WORKS = "Matomo accepts orders for this site"


class Shop(BaseHTTPRequestHandler):
    """Any other web server."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>A shop</html>")

    def log_message(self, *_arguments):
        """Say nothing."""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserSettings(MatomoPosCommon, BrowserCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website = cls.env["website"].create(
            {"name": "Shop", "company_id": cls.company.id}
        )
        cls.config.matomo_site_id = False
        cls.company.sudo().matomo_site_id = False
        cls.site.sudo().unlink()
        # Otherwise Odoo asks whether to archive them as soon as the settings open.
        pricelists = cls.env.ref("product.group_product_pricelist")
        cls.env.ref("base.group_user").sudo().implied_ids += pricelists
        # No group of Matomo's: an administrator of Odoo enters the token.
        groups = "base.group_system,point_of_sale.group_pos_manager"
        cls.admin = cls.make_user("anna", groups)

    def startPatch(self, matomo):
        """Do not replace the network: requests reach the real Matomo."""

    def setUp(self):
        super().setUp()
        self.real = RealMatomo(currency=self.company.currency_id.name)
        # Wrong tokens are tried here: Matomo locks out who tries too many.
        self.addCleanup(self.real.unlock)

    # === THE FORM === #

    @contextmanager
    def open_settings(self, form, **options):
        """Yield the page with the settings open, as the administrator sees them."""
        with mute_logger(LOGGER), self.browse_as("anna", **options) as page:
            self.form = form
            self.show(page)
            yield page

    def show(self, page):
        page.goto(ACTIONS[self.form])
        page.wait_for_selector(f"{self.form} .o_matomo_connection, {self.form} input")

    def enter(self, page, **values):
        for name, value in values.items():
            page.fill(f"{self.form} [name={PREFIXES[self.form]}_{name}] input", value)

    def press_test(self, page):
        """Press Test Connection at once after the last letter. Return the result."""
        with page.expect_response("**/action_test_matomo_connection"):
            page.click(f"{self.form} .o_matomo_test")
        page.wait_for_selector(f"{self.form} .o_matomo_test:not([disabled])")
        result = page.inner_text(f"{self.form} .o_matomo_connection .alert")
        self.assertFalse(page.is_visible(".modal"))
        return result

    def save(self, page):
        """Press Save, after which Odoo loads the page anew."""
        page.evaluate("window.isOld = true")
        page.click(".o_form_button_save")
        page.wait_for_function("!window.isOld")
        page.wait_for_selector(f"{self.form} .o_matomo_connection, {self.form} input")

    def get_badge(self, page):
        """Return what the badge says, once what was saved is tested by itself."""
        badge = f"{self.form} .badge:not(:text('Not Tested'))"
        page.wait_for_selector(f"{self.form} .o_matomo_test:not([disabled])")
        return page.inner_text(badge)

    def get_sites(self):
        sites = self.env["matomo.site"].sudo().with_context(active_test=False)
        return sites.search([("company_id", "=", self.company.id)])

    def give_access(self, access):
        self.real.call(
            "UsersManager.setUserAccess",
            userLogin=self.real.info["write_login"],
            access=access,
            **{"idSites[]": str(self.real.idsite)},
        )

    @contextmanager
    def another_server(self):
        """Yield the address of a server that is no Matomo."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            server.server_close()

    # === TESTS === #

    def assertEachTruth(self, page):
        """Type and test each mistake, and what is right. Nothing is saved."""
        idsite = str(self.real.idsite)
        self.assertIn("Enter the address", self.press_test(page))
        self.enter(page, url=NOWHERE, idsite=idsite, token_auth=self.real.token)
        self.assertIn("Matomo cannot be reached", self.press_test(page))
        with self.another_server() as url:
            self.enter(page, url=url)
            self.assertIn("Check the address of Matomo", self.press_test(page))
        self.enter(page, url=f"{self.real.url}index.php?module=CoreHome#?idSite=1")
        self.enter(page, token_auth="0" * 32)
        self.assertIn("Check the token", self.press_test(page))
        self.enter(page, idsite="99999", token_auth=self.real.token)
        self.assertIn("Check the site ID", self.press_test(page))
        self.enter(page, idsite=idsite)
        self.give_access("view")
        self.assertIn("Check the access of the token's user", self.press_test(page))
        self.give_access("write")
        result = self.press_test(page)
        self.assertIn(WORKS, result)
        self.assertIn("Connected to “Test”", result)
        self.assertTrue(page.is_visible(".o_dirty_warning"))
        self.assertFalse(page.is_visible(f"{self.form} .badge"))

    def test_website(self):
        with self.open_settings(WEBSITE) as page:
            self.assertEachTruth(page)
            with self.between_pages():
                self.assertFalse(self.get_sites())
            self.show(page)
            # A typo is saved, found out and corrected: one site is left.
            token = self.real.token
            self.enter(page, url=NOWHERE, idsite="99999", token_auth=token)
            self.save(page)
            self.assertEqual(self.get_badge(page), "Interrupted")
            self.enter(page, idsite=str(self.real.idsite))
            self.save(page)
            self.enter(page, url=self.real.url)
            self.assertIn(WORKS, self.press_test(page))
            self.save(page)
            self.assertEqual(self.get_badge(page), "Working")
            self.assertIn("Test", page.inner_text(f"{self.form} .o_matomo_connection"))
            # What is typed and discarded was tested, and changes nothing.
            self.enter(page, url=NOWHERE)
            self.assertIn("Matomo cannot be reached", self.press_test(page))
            page.click(".o_form_button_cancel")
            page.wait_for_selector(".o_dirty_warning", state="hidden")
            page.wait_for_selector(f"{self.form} .badge")
            self.assertEqual(self.get_badge(page), "Working")
            self.assertFalse(page.is_visible(f"{self.form} .alert-danger"))
        site = self.website.sudo().matomo_site_id
        self.assertEqual(self.get_sites(), site)
        self.assertEqual((site.url, site.name), (self.real.url, "Test"))
        self.assertEqual((site.state, site._get__token()), ("ok", self.real.token))

    def test_till_on_a_telephone(self):
        telephone = {"viewport": {"width": 390, "height": 844}}
        with self.open_settings(TILL, **telephone) as page:
            page.click(f"{TILL} .o_field_radio label >> text=A site of its own")
            self.assertEachTruth(page)
            self.save(page)
            self.assertEqual(self.get_badge(page), "Working")
            page.click(f"{TILL} .o_field_radio label >> text=Same as the website")
            self.assertIn("Enter the address", self.press_test(page))
            page.click(f"{TILL} .o_field_radio label >> text=A site of its own")
            self.assertIn(WORKS, self.press_test(page))
        self.assertEqual(self.get_sites(), self.config.sudo().matomo_site_id)
