import json

import requests

from odoo.tests import tagged

from ..common import BROWSER
from ..common.real_orders import RealOrdersCommon
from ..test_website_cookieless import TOLD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
LANGUAGE = "nl-BE,nl;q=0.9,en;q=0.8"
# As matomo.js tells them in Chromium; a server sees the brands alone.
BRANDS = [{"brand": "Chromium", "version": "130"}]
HINTS = {
    "brands": BRANDS,
    "fullVersionList": [{"brand": "Chromium", "version": "130.0.6723.58"}],
    "mobile": False,
    "model": "",
    "platform": "Linux",
    "platformVersion": "6.1.0",
}
SERVER_HINTS = {"brands": BRANDS, "mobile": False, "platform": "Linux"}


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestRealCookieless(RealOrdersCommon):
    """A real Matomo finds the visit of a browser that has no cookies."""

    def setUp(self):
        super().setUp()
        self.site.sudo().consent_policy = "cookieless"
        self.website = self.env["website"].sudo().create({"name": "Shop"})
        self.website.write(
            {"company_id": self.company.id, "matomo_site_id": self.site.id}
        )

    def see_page(self, ip_address, user_agent=FIREFOX, language=LANGUAGE, **parameters):
        """Send the page view that matomo.js sends after ``disableCookies``."""
        answer = requests.post(
            f"{self.real.url}matomo.php",
            data={
                "idsite": str(self.real.idsite),
                "rec": "1",
                "url": "https://shop.example.com/shop",
                # matomo.js has no visitor ID then.
                "_id": "",
                "cip": ip_address,
                "token_auth": self.real.token,
                **TOLD,
                **parameters,
            },
            headers={"User-Agent": user_agent, "Accept-Language": language},
            timeout=60,
        )
        self.assertEqual(answer.status_code, 200)

    def sell(self, ip_address, told=TOLD, user_agent=FIREFOX, **values):
        """Return the order of a shopper whose tag has told these features, sent."""
        flags = {name: str(value) for name, value in (told or {}).items()}
        order = self.confirm(self.make_order(website_id=self.website.id))
        order.sudo().write(
            {
                "matomo_ip_address": ip_address,
                "matomo_user_agent": user_agent,
                "matomo_accept_language": LANGUAGE,
                "matomo_browser_flags": {**flags, "time": 1} if told else False,
                **values,
            }
        )
        self.end_transaction()
        self.run_sender()
        return order

    def assertVisit(self, order, kind):
        self.run_verifier()
        self.assertState(order, "verified")
        self.assertEqual(self.get_request(order).visit_kind, kind)

    def test_which_orders_join_the_visit_of_their_browser(self):
        cases = {
            "flags": (FIREFOX, {}, {}, "joined"),
            "without flags": (FIREFOX, {}, {"told": None}, "apart"),
            "other flags": (FIREFOX, {}, {"told": {**TOLD, "pdf": 0}}, "apart"),
            "another language": (
                FIREFOX,
                {},
                {"matomo_accept_language": "fr"},
                "apart",
            ),
            "Chromium": (
                BROWSER,
                {"uadata": json.dumps(HINTS)},
                {"matomo_client_hints": json.dumps(SERVER_HINTS)},
                "joined",
            ),
            "Chromium, no hints": (
                BROWSER,
                {"uadata": json.dumps(HINTS)},
                {},
                "joined",
            ),
        }
        for number, (name, case) in enumerate(cases.items()):
            user_agent, page, values, kind = case
            with self.subTest(name):
                ip_address = f"203.0.{number}.9"
                self.see_page(ip_address, user_agent, **page)
                order = self.sell(ip_address, user_agent=user_agent, **values)
                self.assertVisit(order, kind)
        self.assertIn("3 joined the shopper's own visit", self.site.visit_message)

    def test_each_order_without_a_visit_is_a_visitor(self):
        """Also where Matomo knows the browser from a visit that has ended."""
        first, second = self.sell("203.0.113.9"), self.sell("198.51.100.9")
        self.run_verifier()
        orders = self.real.orders()
        visitors = {orders[order.name]["visitor"] for order in first + second}
        self.assertEqual(len(visitors), 2)

    def test_a_matomo_that_randomizes_joins_nothing_and_it_is_said(self):
        with self.real.anonymised("randomizeConfigId"):
            self.see_page("203.0.113.9")
            order = self.sell("203.0.113.9", None, matomo_visitor_id="0123456789abcdef")
            self.assertVisit(order, "replaced")
        self.assertIn("Randomize config_ID", self.site.visit_message)
