"""Random cookies and headers."""

import json
from types import SimpleNamespace
from urllib.parse import quote

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from odoo.tests import tagged

from odoo.addons.http_routing.tests.common import MockRequest
from odoo.addons.matomo_order_tracking.tools.shopper import read_consent, read_metadata

from .common import VISITOR, ShopperCommon

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
class TestFuzz(ShopperCommon):
    """Random values are dropped, or checked before they are stored."""

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
            request.httprequest.url = "https://shop.example.com/shop/cart"
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
