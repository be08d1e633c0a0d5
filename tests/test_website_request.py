"""What a shopper's request says about them, and what strangers put into it."""

import json
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from odoo.tests import tagged
from odoo.tools import config

from odoo.addons.http_routing.tests.common import MockRequest
from odoo.addons.matomo_order_tracking.tools.shopper import read_consent, read_metadata

from .shopper import VISITOR, ShopperCommon


@tagged("post_install", "-at_install")
class TestAddress(ShopperCommon):
    """The client's own IP address, and nobody else's word for it."""

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
            http_request = self.env["ir.http"]._get_matomo_http_request(self.env)
        values = read_metadata(http_request, self.site.sudo()._get_shopper_policy())
        self.assertEqual(values["matomo_ip_address"], "fe80::1")

    def test_ipv4_within_ipv6(self):
        self.assertEqual(self.get_address("::ffff:203.0.113.9"), "203.0.113.9")

    def test_nonsense(self):
        self.assertFalse(self.get_address("unknown"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
# Wrong length, not hex, broken JSON, script, NUL, emoji, and any text.
ODDITIES = st.sampled_from(
    [
        "",
        VISITOR,
        f"{VISITOR}.1763000000.",
        VISITOR[:-1],
        VISITOR + "0",
        VISITOR.upper(),
        "g" * 16,
        "[",
        '["a","b",1763000000,"c"]',
        "[" * 2000,
        "9" * 5000,
        "\x00",
        "%00",
        "<script>alert(1)</script>",
        "%3Cscript%3E",
        "😀" * 16,
        '{"optional": true}',
        '{"optional": "<script>"}',
        '{"optional": {}}',
        "true",
        '"optional"',
        "null",
    ]
)
VALUES = st.one_of(
    ODDITIES,
    st.text(),
    JSON.map(json.dumps),
    JSON.map(lambda content: quote(json.dumps(content))),
    st.tuples(JSON, JSON, JSON, JSON).map(json.dumps),
)
NAMES = (
    "_pk_id.1.1fff",
    "_pk_ref.1.1fff",
    "website_cookies_bar",
    "mtm_consent",
    "mtm_consent_removed",
    "mtm_cookie_consent",
)
HUGE = "<" * 1_000_000


@tagged("post_install", "-at_install")
class TestStrangers(ShopperCommon):
    """Whatever strangers send, it ends as nothing or as something checked."""

    def setUp(self):
        super().setUp()
        self.order = self.make_order().sudo()

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[
            HealthCheck.differing_executors,
            HealthCheck.large_base_example,
            HealthCheck.too_slow,
        ],
    )
    @given(
        st.dictionaries(st.sampled_from(NAMES) | st.text(), VALUES, max_size=6),
        st.dictionaries(
            st.sampled_from(
                ["User-Agent", "Accept-Language", "Sec-CH-UA", "Sec-CH-UA-Platform"]
            ),
            st.text(),
        ),
    )
    @example(dict.fromkeys(NAMES, HUGE), {"User-Agent": HUGE, "Sec-CH-UA": HUGE})
    @example({"_pk_id.1.1fff": f"{VISITOR}.1763000000."}, {})
    def test_cookies_and_headers(self, cookies, headers):
        with MockRequest(self.env, website=self.website, cookies=cookies) as request:
            request.httprequest.headers = SimpleNamespace(get=headers.get)
            http_request = self.env["ir.http"]._get_matomo_http_request(self.env)
            policy = self.site.sudo()._get_shopper_policy()
            consent = read_consent(http_request, policy)
            values = read_metadata(http_request, policy)
        self.assertIn(consent.answer, (True, False, None))
        self.assertIn(values["matomo_visitor_id"], (False, VISITOR))
        info = values["matomo_attribution_info"] or {}
        self.assertLessEqual(len(info.get("referrer", "")), 2048)
        for text in (info.get("referrer"), info.get("campaign"), info.get("keyword")):
            self.assertNotIn("\x00", text or "")
        # PostgreSQL takes all of it.
        self.order.write(values)
        self.order.flush_recordset()

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
