"""The screens show scripts that strangers send as text, and never run them."""

import json
from contextlib import nullcontext
from urllib.parse import quote

from odoo.tests import tagged
from odoo.tools import mute_logger

from ...matomo_api.errors import MatomoError
from ..common import LOGGER, CheckoutCommon, FakeResponse, MatomoCommon, open_page
from ..common.browser import CONSOLE, BrowserCase

# Each runs if it becomes part of a page; what is after it shows that it was shown.
SCRIPT = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{7*7}}'
    "'\"><svg onload=window.hacked=1>"
)
TEXT = "document.body.innerText"


class ScreensCase(BrowserCase):
    """An administrator opens the screens that show what strangers sent."""

    def setUp(self):
        super().setUp()
        admin = self.env.ref("base.user_admin")
        admin.sudo().write(
            {"company_ids": [(4, self.company.id)], "company_id": self.company.id}
        )

    def assertShown(self, page, path, *texts):
        """A screen shows these texts, and the script after them as text."""
        page.goto(path)
        page.wait_for_selector(".o_action_manager *")
        for text in texts:
            page.wait_for_function(
                f"[{TEXT}, ...[...document.querySelectorAll('input, textarea')].map("
                f"e => e.value)].some(t => t.includes({text + ' <img src=x'!r}))"
            )
        # A picture that cannot be loaded says so a moment later.
        page.evaluate("fetch('/web/health').then(answer => answer.text())")
        self.assertFalse(page.evaluate("window.hacked"), path)
        self.assertFalse(
            page.evaluate("document.querySelectorAll('img[src=x], svg[onload]').length")
        )

    def assertTabShown(self, page, *texts):
        """The tab of the order that is open shows these, with the script as text."""
        page.click("a[role='tab']:has-text('Matomo')")
        page.click("summary:has-text('Technical Details')")
        for text in texts:
            page.wait_for_function(f"{TEXT}.includes({text + ' <img src=x'!r})")
        self.assertFalse(page.evaluate("window.hacked"))


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserScripts(MatomoCommon, ScreensCase):
    def enter_registry_test_mode(self):
        """Do nothing: an ``HttpCase`` has entered the test mode already."""
        return nullcontext()

    def setUp(self):
        super().setUp()
        self.chair.name = f"Chair {SCRIPT}"
        self.site.sudo().name = f"Site {SCRIPT}"
        self.order = self.make_order()
        self.order.sudo().write(
            {
                "matomo_ip_address": SCRIPT,
                "matomo_user_agent": f"Browser {SCRIPT}",
                "matomo_accept_language": SCRIPT,
                "matomo_client_hints": f"Hints {SCRIPT}",
                "matomo_attribution_info": {
                    "campaign": f"Campaign {SCRIPT}",
                    "keyword": SCRIPT,
                    "timestamp": 1772500000,
                    "referrer": f"https://x.example/{SCRIPT}",
                },
                "matomo_consent_info": {
                    "answer": True,
                    "source": SCRIPT,
                    "date": "2026-03-03 10:00:00",
                },
            }
        )
        self.confirm(self.order)
        with mute_logger(LOGGER):
            # Matomo's own error page, then a site and an order that need somebody.
            page = f"<html>Errorpage {SCRIPT}</html>"
            self.matomo.faults = [FakeResponse(500, page.encode())] * 2
            self.run_sender()
            self.assertIn("Errorpage", self.get_request(self.order).answer_text)
            self.site._notify_managers(
                MatomoError("report_refused", answer=f"Trouble {SCRIPT}")
            )
            self.get_request(self.order)._fail("data", f"Reason {SCRIPT}")
            self.get_request(self.order).notes = f"Note {SCRIPT}"
            self.get_request(self.order).order_ref = f"Ref {SCRIPT}"
            self.site.sudo().write(
                {"state": "error", "state_message": f"Message {SCRIPT}"}
            )

    @mute_logger(
        CONSOLE,
    )
    def test_scripts_do_not_run(self):
        request = self.get_request(self.order)
        with self.browse_as("admin") as page:
            form = f"/odoo/sales/{self.order.id}"
            self.assertShown(page, form, "Chair", "Not in Matomo: Reason")
            self.assertTabShown(
                page, "Browser", "Hints", "Campaign", "Reason", "Note", "Ref"
            )
            self.assertShown(page, "/odoo/matomo-requests", "Reason")
            requests = f"/odoo/matomo-requests/{request.id}"
            self.assertShown(page, requests, "Note", "Chair", "Ref")
            page.click(".o_notebook .nav-link[name='technical']")
            page.wait_for_selector("[name='answer_text']:visible >> text=Errorpage")
            self.assertShown(
                page, f"/odoo/matomo-sites/{self.site.id}", "Site", "Message", "Trouble"
            )
            self.assertShown(page, "/odoo/matomo-sites", "Site")
            # Last: an order that is queued again needs nobody, and says no reason.
            self.assertShown(page, form, "Chair")
            page.click("a[role='tab']:has-text('Matomo')")
            page.click("button[name='action_matomo_retrack']")
            page.wait_for_selector(".o_notification")
            self.assertFalse(page.evaluate("window.hacked"))


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestBrowserScriptsOfShoppers(CheckoutCommon, ScreensCase):
    """Shoppers send scripts with a real browser, and the screens show them as text."""

    @mute_logger(
        CONSOLE,
        LOGGER,
    )
    def test_checkout(self):
        self.website.name = f"Website {SCRIPT}"
        self.site.sudo().name = f"Site {SCRIPT}"
        idsite = self.site.idsite
        product = self.chair.website_url
        with self.browse() as page:
            page.context.new_cdp_session(page).send(
                "Network.setUserAgentOverride",
                {
                    "userAgent": f"Browser {SCRIPT}",
                    "acceptLanguage": f"nl {SCRIPT}",
                    "userAgentMetadata": {
                        "brands": [{"brand": f"Brand {SCRIPT}", "version": "1"}],
                        "platform": f"Platform {SCRIPT}",
                        "platformVersion": "",
                        "architecture": "",
                        "model": "",
                        "mobile": False,
                    },
                },
            )
            self.add_cookie(f"_pk_id.{idsite}.1fff", quote(f"Id {SCRIPT}", safe=""))
            attribution = [
                f"Campaign {SCRIPT}",
                f"Keyword {SCRIPT}",
                1772500000,
                "https://x.example/?'\"><svg/onload=window.hacked=1>",
            ]
            self.add_cookie(
                f"_pk_ref.{idsite}.1fff", quote(json.dumps(attribution), safe="")
            )
            open_page(page, product, referer=f"https://x.example/?{SCRIPT}")
            page.click("#cookies-consent-all")
            page.wait_for_function("document.cookie.includes('website_cookies_bar')")
            page.click("#add_to_cart")
            page.wait_for_selector(".my_cart_quantity:visible:text-is('1')")
            self.check_out(page, self.demo, name=f"Shopper {SCRIPT}")
        order = self.get_cart()
        self.assertEqual(order.state, "sale")
        self.assertIn("<svg/onload", order.matomo_attribution_info["referrer"])
        # No id of a visitor: it may be one that the server has given since.
        self.assertRegex(order.matomo_visitor_id or "", "^([0-9a-f]{16})?$")
        page = f"<html>Errorpage {SCRIPT}</html>"
        self.matomo.faults = [FakeResponse(500, page.encode())] * 2
        self.run_sender()
        request = self.get_request(order)
        with self.browse_as("admin") as page:
            self.assertShown(page, f"/odoo/sales/{order.id}", "Shopper")
            self.assertTabShown(page, "Browser", "Platform", "Campaign", "Keyword")
            self.assertShown(page, f"/odoo/matomo-requests/{request.id}", "Campaign")
            page.click(".o_notebook .nav-link[name='technical']")
            page.wait_for_selector("[name='answer_text']:visible >> text=Errorpage")
            settings = "/odoo/action-website.action_website_configuration"
            self.assertShown(page, settings, "Website", "Site")
