"""The cookies of matomo.js, and false ones that anybody may send."""

import hashlib
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.cookies import (
    consent,
    parse_attribution,
    parse_visitor_id,
    visitor_cookie,
)
from matomo_order_tracking.matomo_api.tracking import Attribution

NOW = 1_795_000_000
ID = "0123456789abcdef"
# As matomo.js writes it (docs/matomo.md section 18).
REFERRER = (
    "%5B%22spring-sale%22%2C%22cabinet%22%2C1762178400%2C"
    "%22https%3A%2F%2Fwww.google.com%2F%22%5D"
)
SPRING = Attribution("spring-sale", "cabinet", 1762178400, "https://www.google.com/")


# === VISITOR ID === #


@pytest.mark.parametrize(
    "cookies",
    [
        {"_pk_id.1.343e": f"{ID}.1762178400."},
        {"_pk_id.1.1fff": f"{ID}.1762178400"},
        {"_pk_id.1.343e": ID},
        {"_pk_id.1.343e": f"{ID}.1762178400.3.1762178400.1762178300."},
        {"_shop_id.1.343e": f"{ID}.1762178400."},
        {"id.1.343e": f"{ID}.1762178400."},
        {"__Secure-pk_id.1.343e": f"{ID}.1762178400."},
        {"other": "x", "_pk_id.1.343e": f"{ID}.1762178400.", "_pk_id.2.343e": "f" * 16},
        {"_pk_id.1.62df": f"{'f' * 16}.1.", "_pk_id.1.343e": f"{ID}.1762178400."},
        {"_pk_id.1.343e": f"{ID}.1762178400.", "_pk_id.1.62df": "f" * 16},
        {"_pk_id.1.343e": f"{ID}.1762178400.", "_pk_id.1.62df": "broken"},
    ],
)
def test_visitor_id(cookies):
    assert parse_visitor_id(cookies, 1) == ID


def make_name(place):
    return f"_pk_id.1.{hashlib.sha1(place.encode()).hexdigest()[:4]}"


@pytest.mark.parametrize(
    ("host", "path", "used", "others"),
    [
        # Another Matomo has a site 1, too, and its cookie on the whole domain.
        ("shop.example.com", "/", "shop.example.com/", [".example.com/"]),
        ("Shop.Example.com:8069", "/", "shop.example.com/", [".example.com/"]),
        ("shop.example.com.", "/", "shop.example.com/", ["example.com/"]),
        # A cookie of the host with setCookieDomain, and of the domain above.
        ("shop.example.com", "/", ".shop.example.com/", [".example.com/"]),
        # No cookie of this host: the nearest domain above it.
        ("a.b.example.com", "/", ".b.example.com/", [".example.com/", "b.com/"]),
        ("shop.example.com", "/", ".example.com/", ["blog.example.com/", "x/"]),
        ("shop.example.com", "/", "example.com/", ["blog.example.com/"]),
        # A country's shop below a path (matomo #8112: matomo.js leaves two cookies).
        ("example.com", "/de/shop", "example.com/de", ["example.com/", "x/"]),
        ("example.com", "/de/shop", "example.com/de/", ["example.com/"]),
        ("example.com", "/de/shop", "example.com/", ["example.com/fr"]),
        ("localhost:8069", "/shop", "localhost/", [".example.com/"]),
        ("127.0.0.1", "/shop", "127.0.0.1/", ["localhost/"]),
        # Below a host the visitor of a public suffix cannot have been set.
        ("shop.example.com", "/", "shop.example.com/", ["com/", ".com/"]),
    ],
)
def test_the_cookie_that_matomo_js_uses_on_this_page(host, path, used, others):
    """Of two Matomos on one domain the newer visitor was taken, whosever it was."""
    newer = {make_name(other): f"{'f' * 16}.1790000000." for other in others}
    own = {make_name(used): f"{ID}.1762178400."}
    for cookies in (newer | own, own | newer):
        assert parse_visitor_id(cookies, 1, host, path) == ID
    # One that is broken does not count.
    broken = newer | {make_name(used): "broken"}
    assert parse_visitor_id(broken, 1, host, path) == "f" * 16


@pytest.mark.parametrize(
    ("host", "cookie", "is_used"),
    [
        ("shop.example.com", "shop.example.com/", True),
        ("shop.example.com", ".shop.example.com/", True),
        ("shop.example.com", ".example.com/", False),
        ("shop.example.com", "example.com/", False),
        ("a.shop.example.com:8069", ".example.com/", False),
        # A proxy has told Odoo another host than the browser has.
        ("odoo.internal", "shop.example.com/", True),
        ("localhost:8069", "localhost/", True),
        ("127.0.0.1", ".0.0.1/", True),
        ("[::1]:8069", "shop.example.com/", True),
    ],
)
def test_another_matomo_of_the_domain(host, cookie, is_used):
    """Its cookie counted as consent, where the addon's own tag had set none."""
    cookies = {make_name(cookie): f"{ID}.1762178400."}
    assert parse_visitor_id(cookies, 1, host, "/shop", True) == ID * is_used
    assert parse_visitor_id(cookies, 1, host, "/shop") == ID
    sent = {name.replace("_id", "_ref"): REFERRER for name in cookies}
    found = parse_attribution(sent, 1, NOW, host, "/shop", True)
    assert found == (SPRING if is_used else Attribution())


def test_of_unknown_cookies_the_newest():
    cookies = {
        "_pk_id.1.aaaa": f"{'f' * 16}.1762178400.",
        "_pk_id.1.bbbb": f"{ID}.1762178401.",
        "_pk_id.1.cccc": "e" * 16,
    }
    assert parse_visitor_id(cookies, 1, "shop.example.com", "/shop") == ID


@pytest.mark.parametrize(
    "host", ["", "[", "[::1]:8069", "." * 300, "ä.example", "\x00"]
)
@pytest.mark.parametrize("path", ["", "/", "/" * 5000, "/ä/\udc80", "x" * 5000])
def test_pages_of_strangers(host, path):
    cookies = {"_pk_id.1.343e": f"{ID}.1762178400."}
    assert parse_visitor_id(cookies, 1, host, path) == ID


def test_the_attribution_of_this_page():
    def make(campaign, time):
        return quote(json.dumps([campaign, "", time, ""]))

    cookies = {
        "_pk_ref.1.62df": make("blog", 1_762_178_500),
        "_pk_ref.1.343e": make("shop", 1_762_178_400),
    }
    found = parse_attribution(cookies, 1, NOW, "shop.example.com", "/shop")
    assert found.campaign == "shop"
    cookies["_pk_ref.1.343e"] = "broken"
    found = parse_attribution(cookies, 1, NOW, "shop.example.com", "/shop")
    assert found.campaign == "blog"


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "0",
        ID[:-1],
        ID + "0",
        ID.upper(),
        "g" * 16,
        "０" * 16,
        f"{ID}.now.",
        f"{ID}.{'9' * 11}.",
        f"{ID}.1762178400.<script>alert(1)</script>",
        f"{ID}\n",
        f"{ID}\x00",
        f"{ID};",
        f" {ID}",
        "<script>alert(1)</script>",
        ID * 65_536,
        "%",
        "😀" * 16,
        "[" * 16,
    ],
)
def test_no_visitor_id(value):
    assert parse_visitor_id({"_pk_id.1.343e": value}, 1) == ""


@pytest.mark.parametrize(
    "name",
    [
        "_pk_id.11.343e",
        "_pk_id.2.343e",
        "_pk_id.1",
        "_pk_id",
        "_pk_ses.1.343e",
        "_pk_id.1.343e.x",
        "_pk_id.1.<b>",
        "<b>_pk_id.1.343e",
        "x" * 300 + "id.1.343e",
    ],
)
def test_cookies_of_others(name):
    assert parse_visitor_id({name: f"{ID}.1762178400."}, 1) == ""


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("shop.example.com", "_pk_id.1.343e"),
        ("Shop.Example.com:8069", "_pk_id.1.343e"),
        ("shop.example.com.", "_pk_id.1.343e"),
    ],
)
def test_visitor_cookie(host, name):
    assert visitor_cookie(1, host, ID, 1762178400.9) == (name, f"{ID}.1762178400.")


@given(st.integers(1, 10**6), st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
def test_visitor_cookie_is_read_back(idsite, visitor_id):
    cookies = dict([visitor_cookie(idsite, "shop.example.com", visitor_id, NOW)])
    assert parse_visitor_id(cookies, idsite) == visitor_id
    assert parse_visitor_id(cookies, idsite + 1) == ""


# === ATTRIBUTION === #


def attribution(content, name="_pk_ref.1.343e"):
    value = content if isinstance(content, str) else quote(json.dumps(content))
    return parse_attribution({name: value}, 1, now=NOW)


def test_attribution():
    assert attribution(REFERRER) == SPRING
    assert attribution(
        '["spring-sale","cabinet",1762178400,"https://www.google.com/"]'
    ) == (SPRING)
    assert attribution(REFERRER, "_shop_ref.1.343e") == SPRING
    assert attribution(REFERRER, "_pk_ref.2.343e") == Attribution()


def test_the_latest_attribution():
    cookies = {
        "_pk_ref.1.62df": quote(json.dumps(["old", "", 1_600_000_000, ""])),
        "_pk_ref.1.343e": REFERRER,
        "_pk_ref.1.aaaa": "broken",
    }
    assert parse_attribution(cookies, 1, now=NOW) == SPRING


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[",
        "[" * 5000,
        "%5B%5B",
        "%FF%FE",
        "x" * 1_000_000,
        "1" * 5000,
        "{}",
        '{"0":"a","1":"b","2":1762178400,"3":""}',
        [],
        ["a"],
        ["a", "b", 1762178400],
        ["a", "b", 1762178400, "", ""],
        [["a"], {"b": 1}, [1762178400], ["https://www.google.com/"]],
        [None, True, None, 1],
        [1, 2, "1762178400", False],
        ["", "", NOW + 10**6, ""],
        ["", "", 10**400, ""],
        ["", "", -1, ""],
        ["", "", 0, ""],
        ["", "", True, ""],
        ["", "", 1762178400.5, ""],
        '["","",NaN,""]',
        '["","",Infinity,""]',
        '["","",1e999,""]',
        ["", "", 0, "javascript:alert(1)"],
        ["", "", 0, "data:text/html,x"],
        ["", "", 0, "//evil.example/"],
        ["", "", 0, "https://"],
        ["", "", 0, "https://[/"],
        ["", "", 0, "https://user:secret@example.com/"],
        ["", "", 0, "https://example.com/a b"],
        ["", "", 0, "https://example.com/\r\nX: 1"],
        ["\x00", "\n\t", 0, ""],
        ["\ud800", "\udfff", 0, ""],
    ],
)
def test_no_attribution(content):
    assert attribution(content) == Attribution()


def test_attribution_is_bounded():
    long = attribution(
        ["c" * 300, "k" * 300, 1762178400, f"https://e.com/{'r' * 2000}"]
    )
    assert (len(long.campaign), len(long.keyword), len(long.referrer)) == (
        255,
        255,
        1024,
    )


def test_a_script_stays_a_text():
    script = "<script>alert(1)</script>"
    found = attribution([script, "😀\x00", 1762178400, ""])
    assert found == Attribution(script, "😀", 1762178400, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
VALUES = st.one_of(
    st.text(),
    JSON.map(json.dumps),
    JSON.map(lambda content: quote(json.dumps(content))),
    st.tuples(JSON, JSON, JSON, JSON).map(json.dumps),
    st.text().map(lambda text: f"{ID}.{text}"),
)
NAMES = st.sampled_from(["_pk_id.1.343e", "_pk_ref.1.343e"]) | st.text()


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_anything_ends_as_nothing_or_as_checked(cookies):
    assert re.fullmatch("([0-9a-f]{16})?", parse_visitor_id(cookies, 1))
    found = parse_attribution(cookies, 1, now=NOW)
    assert len(found.campaign) <= 255 and len(found.keyword) <= 255
    assert found.timestamp == 0 or 10**9 <= found.timestamp <= NOW + 86_400
    assert not found.referrer or found.referrer.startswith(("http", "HTTP"))
    for text in (found.campaign, found.keyword, found.referrer):
        text.encode()
        assert "\x00" not in text and "\n" not in text


# === CONSENT === #


@pytest.mark.parametrize(
    ("cookies", "said"),
    [
        ({}, None),
        ({"mtm_consent": "1762178400000"}, True),
        ({"mtm_cookie_consent": "1762178400000"}, True),
        ({"mtm_consent_removed": "1762178400000"}, False),
        ({"mtm_consent": "1", "mtm_consent_removed": "1"}, False),
        ({"mtm_consent": ""}, None),
        ({"mtm_consent_removed": ""}, None),
    ],
)
def test_consent(cookies, said):
    assert consent(cookies) is said
