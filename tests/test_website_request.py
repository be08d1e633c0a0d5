"""The data that a shopper's HTTP request contains, true or false."""

from urllib.parse import urlsplit

from odoo.tests import tagged
from odoo.tools import config

from odoo.addons.http_routing.tests.common import MockRequest
from odoo.addons.matomo_order_tracking.tools.shopper import read_metadata

from .common import VISITOR, ShopperCommon


@tagged("post_install", "-at_install")
class TestAddress(ShopperCommon):
    """The IP address is the client's own: a header of a stranger cannot replace it."""

    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.run_matomo_js()

    def get_address(self, forwarded, proxy_mode=True):
        self.addCleanup(config._runtime_options.pop, "proxy_mode", None)
        config["proxy_mode"] = proxy_mode
        host = urlsplit(self.base_url()).netloc
        self.opener.headers.update(
            {"X-Forwarded-Host": host, "X-Forwarded-For": forwarded}
        )
        cart = self.add(self.chair)
        self.env.invalidate_all()
        return cart.matomo_ip_address

    def test_behind_a_proxy(self):
        self.assertEqual(self.get_address("203.0.113.9"), "203.0.113.9")

    def test_only_the_proxys_own_word_counts(self):
        self.assertEqual(self.get_address("198.51.100.1, 203.0.113.9"), "203.0.113.9")

    def set_config(self, **values):
        for name, value in values.items():
            self.addCleanup(config._runtime_options.pop, name, None)
            config[name] = value

    def test_behind_a_cdn_and_a_proxy(self):
        """All shoppers had the address of the CDN's edge, without a remedy."""
        self.assertEqual(self.get_address("203.0.113.9, 172.68.1.1"), "172.68.1.1")
        self.set_config(matomo_trusted_proxies="172.64.0.0/13")
        self.update(self.get_cart().order_line, 2)
        self.env.invalidate_all()
        cart = self.get_cart()
        # A changed address alone does not count, see ``merge_visit``.
        self.assertEqual(cart.matomo_ip_address, "172.68.1.1")
        cart.unlink()
        forwarded = "198.51.100.1, 203.0.113.9, 172.68.1.1"
        self.assertEqual(self.get_address(forwarded), "203.0.113.9")

    def test_the_header_of_a_cdn(self):
        self.set_config(
            matomo_trusted_proxies="172.64.0.0/13",
            matomo_client_address_header="CF-Connecting-IP",
        )
        self.opener.headers["CF-Connecting-IP"] = "203.0.113.9"
        self.assertEqual(self.get_address("172.68.1.1"), "203.0.113.9")

    def test_a_stranger_forges_no_address(self):
        self.opener.headers.update(
            {"CF-Connecting-IP": "198.51.100.1", "X-Real-IP": "198.51.100.1"}
        )
        self.set_config(
            matomo_trusted_proxies="172.64.0.0/13",
            matomo_client_address_header="CF-Connecting-IP",
        )
        forwarded = "198.51.100.1, 172.68.1.1, 203.0.113.9"
        self.assertEqual(self.get_address(forwarded), "203.0.113.9")

    def test_no_proxy_no_word(self):
        self.assertEqual(self.get_address("203.0.113.9", False), "127.0.0.1")

    def test_ipv6(self):
        self.assertEqual(self.get_address("2001:DB8:0:0::1"), "2001:db8::1")

    def test_ipv6_is_sent(self):
        self.assertEqual(self.get_address("2001:db8::1"), "2001:db8::1")
        cart = self.get_cart()
        self.confirm(cart)
        self.run_sender()
        self.assertRecorded(cart, cip="2001:db8::1")

    def test_ipv6_zone_is_any_text(self):
        address = "fe80::1%<script>"
        with MockRequest(self.env, website=self.website, remote_addr=address) as mock:
            mock.httprequest.headers = {}
            mock.httprequest.url = self.base_url()
            http_request = self.env["ir.http"]._get_matomo_http_request(self.env)
        values = read_metadata(http_request, self.site.sudo()._get_shopper_policy())
        self.assertEqual(values["matomo_ip_address"], "fe80::1")

    def test_ipv4_within_ipv6(self):
        self.assertEqual(self.get_address("::ffff:203.0.113.9"), "203.0.113.9")

    def test_nonsense(self):
        self.assertFalse(self.get_address("unknown"))


@tagged("post_install", "-at_install")
class TestForgedRequests(ShopperCommon):
    """Values that strangers send are checked before they are stored."""

    def test_a_broken_cookie_breaks_no_page(self):
        for value in ("{", "%%", "[" * 2000, "9" * 5000, "undefined", "\\"):
            with self.subTest(value=value[:10]):
                self.set_cookie("website_cookies_bar", value)
                self.assertIn("Chair", self.open("/shop?utm_campaign=spring").text)
                self.open("/shop/cart")

    # === READ-ONLY === #

    def test_a_read_only_page_stores_nothing(self):
        self.accept_cookies()
        cart = self.add(self.chair)
        self.run_matomo_js()
        self.open("/website/info")
        self.env.invalidate_all()
        self.assertFalse(cart.matomo_visitor_id)
        self.call("/website/get_current_currency")
        self.env.invalidate_all()
        self.assertFalse(cart.matomo_visitor_id)
        self.open("/shop")
        self.env.invalidate_all()
        self.assertEqual(cart.matomo_visitor_id, VISITOR)


@tagged("post_install", "-at_install")
class TestRequestsThatAreNoVisit(ShopperCommon):
    def setUp(self):
        super().setUp()
        self.accept_cookies()
        self.cart = self.add(self.chair)
        self.run_matomo_js()

    def assertVisitor(self, visitor):
        self.env.invalidate_all()
        self.assertEqual(self.cart.matomo_visitor_id, visitor)

    def test_a_page_that_the_browser_fetches_in_advance(self):
        """A browser that prefetched the cart was a visit; nobody had looked at it."""
        prefetch = {"Sec-Purpose": "prefetch;prerender"}
        self.open("/shop/cart", headers=prefetch)
        self.assertVisitor(False)
        self.open("/shop/cart")
        self.assertVisitor(VISITOR)


@tagged("post_install", "-at_install")
class TestClientHints(ShopperCommon):
    """A page asks the browser of a shopper who has agreed what it is."""

    def setUp(self):
        super().setUp()
        self.opener.headers["Sec-CH-UA"] = '"Chromium";v="146"'
        self.cart = self.add(self.chair)

    def get_asked(self):
        return self.open("/shop/cart").headers.get("Accept-CH")

    def test_only_shoppers_who_agree_are_asked(self):
        self.assertIsNone(self.get_asked())
        self.accept_cookies()
        self.assertIn("Sec-CH-UA-Full-Version-List", self.get_asked())
        self.opener.headers["DNT"] = "1"
        self.assertIsNone(self.get_asked())

    def test_the_answer_is_stored_and_not_asked_again(self):
        self.accept_cookies()
        self.run_matomo_js()
        self.open("/shop/cart")
        self.opener.headers.update(
            {
                "Sec-CH-UA-Full-Version-List": '"Chromium";v="146.0.7680.80"',
                "Sec-CH-UA-Platform-Version": '"15.3.1"',
            }
        )
        self.assertIsNone(self.get_asked())
        self.env.invalidate_all()
        self.assertIn("146.0.7680.80", self.cart.matomo_client_hints)
        self.assertIn('"platformVersion": "15.3.1"', self.cart.matomo_client_hints)
