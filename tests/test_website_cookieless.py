import json
from unittest.mock import patch

from odoo.tests import tagged

from odoo.addons.matomo_order_tracking.tools import shopper

from .common import BROWSER, ShopperCommon

ROUTE = "/matomo_order_tracking/browser"
# As the tag sends it.
TOLD = {
    **{"pdf": 1, "qt": 0, "realp": 0, "wma": 0, "fla": 0, "java": 0, "ag": 0},
    **{"cookie": 1, "res": "1920x1080"},
}
ATTRIBUTION = ["spring-sale", "", 1763000000, ""]


@tagged("post_install", "-at_install")
class TestCookieless(ShopperCommon):
    """Without cookies an order joins the visit of its browser, by what that tells."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.website.cookies_bar = False
        cls.site.sudo().consent_policy = "cookieless"

    def tell(self, content=TOLD, **options):
        """Tell what the browser can show, as the tag does."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        return self.url_open(ROUTE, data=body, headers=headers, timeout=60, **options)

    def get_cookies(self):
        """Return the cookies of Matomo in the browser."""
        cookies = self.opener.cookies.items()
        return {name: value for name, value in cookies if name.startswith("_pk_")}

    def assertKept(self, cart, is_kept):
        self.env.invalidate_all()
        self.assertEqual(bool(cart.matomo_browser_flags), is_kept)

    def test_an_order_tells_what_the_visit_is_found_by(self):
        self.run_matomo_js(attribution=ATTRIBUTION)
        before = self.get_cookies()
        self.open("/shop?utm_campaign=spring", headers={"Referer": "https://x.org/"})
        answer = self.tell()
        self.assertEqual((answer.status_code, answer.text), (204, ""))
        cart = self.add(self.chair)
        self.open("/shop/cart")
        # Nothing was read from or written to the browser's storage.
        self.assertEqual(self.get_cookies(), before)
        self.assertFalse(cart.matomo_visitor_id)
        self.assertFalse(cart.matomo_attribution_info)
        self.assertIn("did not object", cart.matomo_consent)
        self.confirm(cart)
        self.run_sender()
        recorded = self.recorded(cart)
        expected = {"cip": "127.0.0.1", "ua": BROWSER, "lang": "nl-BE,nl;q=0.9"}
        expected |= {name: str(value) for name, value in TOLD.items()}
        self.assertEqual({name: recorded.get(name) for name in expected}, expected)
        self.assertRegex(recorded["_id"], "^[0-9a-f]{16}$")
        self.assertFalse(recorded.keys() & {"cid", "_rcn", "_ref", "_refts"})
        self.run_verifier()
        self.assertState(cart, "verified")

    def test_the_share_of_orders_that_joined_is_told(self):
        site = self.site
        self.assertFalse(site.visit_message)
        self.tell()
        for has_pages in (True, False, True):
            cart = self.add(self.chair)
            self.confirm(cart)
            self.run_sender()
            self.matomo.has_pages = has_pages
            self.run_verifier()
            self.assertState(cart, "verified")
        kinds = self.env["matomo.request"].search([("visit_kind", "!=", False)])
        self.assertEqual(
            kinds.sorted("id").mapped("visit_kind"), ["joined", "apart", "joined"]
        )
        self.assertIn("Of the last 3 web orders", site.visit_message)
        self.assertIn("2 joined the shopper's own visit", site.visit_message)
        site.invalidate_recordset()
        # The rights are read, too.
        with self.assertQueryCount(5):
            self.assertTrue(site.visit_message)
        # An order without a shopper has no visit to join.
        self.site.sudo().consent_policy = "never"
        anonymous = self.add(self.lamp)
        self.confirm(anonymous)
        self.run_sender()
        self.run_verifier()
        self.assertFalse(self.get_request(anonymous).visit_kind)
        site.sudo().can_read = False
        self.assertIn("may not read Matomo", site.visit_message)

    def test_a_cart_and_its_order_have_one_visitor(self):
        self.open("/shop")
        self.tell()
        cart = self.add(self.chair)
        self.run_sender()
        [sent] = self.get_sent_carts()
        self.assertEqual(sent["pdf"], "1")
        self.confirm(cart)
        self.run_sender()
        self.assertEqual(self.recorded(cart)["_id"], sent["_id"])
        # Another shopper of the same browser and address is somebody else.
        self.tell()
        other = self.add(self.lamp)
        self.assertNotEqual(other, cart)
        self.confirm(other)
        self.run_sender()
        self.assertNotEqual(self.recorded(other)["_id"], sent["_id"])

    def test_a_browser_whose_tag_is_blocked_is_a_visitor_of_its_own(self):
        """Without the features Matomo would find a stranger's visit."""
        cart = self.add(self.chair)
        self.assertKept(cart, False)
        self.confirm(cart)
        self.run_sender()
        recorded = self.recorded(cart)
        self.assertRegex(recorded["cid"], "^[0-9a-f]{16}$")
        self.assertFalse(recorded.keys() & {"_id", "pdf", "cookie", "res"})

    def test_kept_for_the_visit_only(self):
        self.open("/shop")
        self.tell()
        with patch.object(shopper, "VISIT_LENGTH", -300):
            self.open("/shop")
        cart = self.add(self.chair)
        self.assertKept(cart, False)

    def test_objection_and_change_of_mind(self):
        self.open("/shop")
        self.tell()
        cart = self.add(self.chair)
        self.assertKept(cart, True)
        self.set_cookie("mtm_consent_removed", "1763000000001")
        self.open("/shop/cart")
        self.assertKept(cart, False)
        self.assertFalse(cart.matomo_ip_address)
        self.assertEqual(cart.matomo_consent_info["source"], "matomo_cookie")
        self.tell()
        self.opener.cookies.set("mtm_consent_removed", None)
        self.open("/shop/cart")
        # What was told before and during the objection is forgotten.
        self.assertKept(cart, False)
        self.assertTrue(cart.matomo_ip_address)
        self.tell()
        self.open("/shop/cart")
        self.assertKept(cart, True)

    def test_other_policies_keep_nothing(self):
        for policy in ("cookie_bar", "matomo_cookie", "elsewhere", "never"):
            with self.subTest(policy=policy):
                self.site.sudo().consent_policy = policy
                self.assertEqual(self.tell().status_code, 204)
                cart = self.add(self.chair)
                self.assertKept(cart, False)

    def test_hostile_bodies(self):
        for body in (b"{", b"[1]", b'{"pdf":2}', b'{"cid":1}', b"\xff" * 200):
            with self.subTest(body=body[:10]):
                self.assertEqual(self.tell(body).status_code, 204)
        self.assertEqual(self.tell(b" " * 10_000).status_code, 413)
        self.assertEqual(self.url_open(ROUTE, timeout=60).status_code, 405)
        self.assertKept(self.add(self.chair), False)

    def test_an_order_that_matomo_does_not_show_is_sent_without_its_browser(self):
        """It would join a stranger's visit if its browser alone were left out."""
        self.open("/shop")
        self.tell()
        cart = self.add(self.chair)
        self.confirm(cart)
        request = self.get_request(cart)
        request.sudo().missing_count = 1
        self.run_sender()
        recorded = self.recorded(cart)
        self.assertEqual(recorded["cip"], "0.0.0.0")
        self.assertTrue(recorded["cid"])
        self.assertFalse(recorded.keys() & {"_id", "pdf", "res", "ua"})
