"""The parameters of a request, and order ids as Matomo compares them."""

import html
import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.items import Item
from matomo_order_tracking.matomo_api.tracking import (
    MAX_ORDER_REF_LENGTH,
    Attribution,
    Order,
    Page,
    Visitor,
    api_url,
    fit_order_ref,
    get_view_id,
    get_visitor_id,
    order_parameters,
    order_ref_key,
    page_view_parameters,
    refund_parameters,
    tracker_url,
    tracking_url,
)

ORDER = Order(
    ref="SO-1",
    time=datetime(2026, 11, 23, 14, 46, 9),
    revenue=Decimal("121"),
    subtotal=Decimal("110.5"),
    tax=Decimal("10.5"),
    shipping=Decimal("5"),
    discount=Decimal("5.00"),
    items=(
        Item("SKU1", "Red chair", ("Chairs", "Furniture"), Decimal("50"), 2),
        Item("SKU2", "Lamp", (), Decimal("10.50"), 1),
    ),
)
VISITOR = Visitor("0123456789abcdef")
PAGE = Page("https://shop.example.com/shop/confirmation", "Order")


def parameters(order=ORDER, visitor=VISITOR, page=PAGE):
    return order_parameters(3, order, visitor, page)


def test_order():
    items = (
        '[["SKU1","Red chair",["Chairs","Furniture"],50.0,2],["SKU2","Lamp",[],10.5,1]]'
    )
    assert parameters() == {
        "idsite": "3",
        "rec": "1",
        "apiv": "1",
        "bots": "1",
        "cip": "0.0.0.0",
        "cid": "0123456789abcdef",
        "cdt": "2026-11-23 14:46:09",
        "url": "https://shop.example.com/shop/confirmation",
        "action_name": "Order",
        "idgoal": "0",
        "revenue": "121.00",
        "ec_st": "110.50",
        "ec_tx": "10.50",
        "ec_sh": "5.00",
        "ec_dt": "5.00",
        "ec_items": items,
        "ec_id": "SO-1",
    }


def test_a_browser_without_cookies_is_recognized_only_as_a_whole():
    """An order with its features alone would join the visit of a stranger."""
    features = {"pdf": "1", "cookie": "1", "res": "1920x1080"}
    browser = replace(
        VISITOR,
        ip_address="203.0.113.9",
        user_agent="Firefox",
        browser_features=features,
    )
    whole = parameters(visitor=browser)
    assert {name: whole[name] for name in features} == features
    assert whole["_id"] == VISITOR.visitor_id
    assert "cid" not in whole
    assert get_visitor_id(whole) == VISITOR.visitor_id
    for name, value in (("ip_address", ""), ("user_agent", "")):
        part = parameters(visitor=replace(browser, **{name: value}))
        assert part["cid"] == get_visitor_id(part) == VISITOR.visitor_id
        assert not part.keys() & {"_id", *features}
    assert get_visitor_id({}) == ""
    refund = refund_parameters(3, "SO-1", Decimal("1"), ORDER.time, browser, PAGE)
    assert refund["cid"] == VISITOR.visitor_id
    assert not refund.keys() & {"_id", *features}


@pytest.mark.parametrize(
    ("country", "region", "city", "expected"),
    [
        ("BE", "VLG", " Gent\n", ("be", "VLG", "Gent")),
        ("be", "BE-vlg", "", ("be", "VLG", None)),
        ("DE", "", "München", ("de", None, "München")),
        ("JP", "Tōkyō", "x" * 300, ("jp", None, "x" * 255)),
        # Without a country a city could be anywhere.
        ("", "CA", "Springfield", (None, None, None)),
        ("Belgium", "", "Gent", (None, None, None)),
    ],
)
def test_place_in_the_form_of_matomos_maps(country, region, city, expected):
    visitor = replace(VISITOR, country=country, region=region, city=city)
    found = parameters(visitor=visitor)
    names = ("country", "region", "city")
    assert tuple(found.get(name) for name in names) == expected


@pytest.mark.parametrize(
    ("zone", "time", "expected"),
    [
        ("Europe/Brussels", datetime(2026, 11, 23, 23, 5, 9), ("0", "5", "9")),
        ("Europe/Brussels", datetime(2026, 7, 1, 10, 0, 0), ("12", "0", "0")),
        ("America/New_York", datetime(2026, 11, 23, 2, 59, 59), ("21", "59", "59")),
        ("UTC+5.5", datetime(2026, 11, 23, 18, 29, 1), ("23", "59", "1")),
        ("UTC", datetime(2026, 11, 23, 14, 46, 9), ("14", "46", "9")),
        # What is not known Matomo takes from UTC.
        ("", datetime(2026, 11, 23, 14, 46, 9), (None, None, None)),
        ("Mars/Olympus", datetime(2026, 11, 23, 14, 46, 9), (None, None, None)),
    ],
)
def test_what_the_clock_of_the_shop_shows(zone, time, expected):
    order, visitor = replace(ORDER, time=time), replace(VISITOR, timezone=zone)
    found = parameters(order, visitor)
    assert tuple(found.get(name) for name in ("h", "m", "s")) == expected
    assert found["cdt"] == str(time)


def test_page_view_of_an_order():
    """It is the order's visitor on its page at its time, and nothing is bought."""
    visitor = replace(VISITOR, country="BE", timezone="UTC", dimensions={1: "Till"})
    page = replace(PAGE, view_id=get_view_id("SO-1"))
    order = parameters(visitor=visitor, page=page)
    view = page_view_parameters(order)
    assert {name: order[name] for name in order.keys() - view.keys()} == {
        name: order[name]
        for name in parameters()
        if name.startswith("ec_") or name in ("idgoal", "revenue")
    }
    assert view.items() <= order.items()
    assert view["pv_id"] == order["pv_id"]
    assert page_view_parameters(parameters()) is None


@given(st.text())
def test_id_of_a_page_view(ref):
    assert len(get_view_id(ref)) == 6
    assert get_view_id(ref).isalnum()


def test_custom_dimensions():
    visitor = replace(VISITOR, dimensions={2: "Till\n1", 7: "", 5: "é" * 300})
    found = parameters(visitor=visitor)
    assert {n: v for n, v in found.items() if n.startswith("dimension")} == {
        "dimension2": "Till 1",
        "dimension5": "é" * 255,
    }


def test_visitor():
    visitor = Visitor(
        "0123456789abcdef",
        ip_address="203.0.113.9",
        user_agent="Mozilla/5.0\nX",
        accept_language="fr-BE,fr;q=0.9",
        client_hints='{"platform":"Linux"}',
        attribution=Attribution(
            "spring", "cabinet", 1762178400, "https://www.google.com/"
        ),
    )
    sent = parameters(visitor=visitor)
    assert {name: sent[name] for name in sent.keys() - parameters().keys()} == {
        "ua": "Mozilla/5.0 X",
        "lang": "fr-BE,fr;q=0.9",
        "uadata": '{"platform":"Linux"}',
        "_rcn": "spring",
        "_rck": "cabinet",
        "_refts": "1762178400",
        "_ref": "https://www.google.com/",
    }
    assert sent["cip"] == "203.0.113.9"


@pytest.mark.parametrize(
    ("ip_address", "cip"),
    [
        ("", "0.0.0.0"),
        ("2001:DB8::1", "2001:db8::1"),
        ("unknown", "0.0.0.0"),
        ("203.0.113.9, 10.0.0.1", "0.0.0.0"),
    ],
)
def test_ip_address(ip_address, cip):
    visitor = replace(VISITOR, ip_address=ip_address)
    assert parameters(visitor=visitor)["cip"] == cip


@pytest.mark.parametrize("ref", ["", "0"])
def test_an_order_without_id_would_be_a_cart(ref):
    with pytest.raises(ValueError, match="id"):
        parameters(replace(ORDER, ref=ref))


@pytest.mark.parametrize(
    "visitor_id", ["", "0123456789ABCDEF", "0123456789abcde", "g" * 16, "0" * 16 + "\n"]
)
def test_visitor_id(visitor_id):
    with pytest.raises(ValueError, match="16"):
        parameters(visitor=Visitor(visitor_id))


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        ("0", "0.00"),
        ("-0.00", "0.00"),
        ("-0.004", "0.00"),
        ("0.005", "0.01"),
        ("-3.1", "-3.10"),
        ("1234567.89", "1234567.89"),
        ("12345678901.5", "12345678901.50"),
    ],
)
def test_amount(amount, sent):
    assert parameters(replace(ORDER, revenue=Decimal(amount)))["revenue"] == sent


TEXT = st.text(max_size=30)


@given(
    st.builds(
        Visitor,
        visitor_id=st.just("0123456789abcdef"),
        ip_address=TEXT,
        user_agent=TEXT,
        accept_language=TEXT,
        client_hints=TEXT,
        attribution=st.builds(
            Attribution, TEXT, TEXT, st.integers(0, 2**31), referrer=TEXT
        ),
    ),
    st.builds(Page, TEXT, TEXT),
    st.lists(
        st.builds(
            Item,
            TEXT,
            TEXT,
            st.lists(TEXT, max_size=5).map(tuple),
            st.decimals(0, 10**9, places=2),
            st.integers(1, 65535),
        ),
        max_size=5,
    ),
)
def test_any_texts_make_a_request_that_php_can_read(visitor, page, items):
    sent = parameters(replace(ORDER, items=tuple(items)), visitor, page)
    for name, value in sent.items():
        value.encode()  # half a character would make PHP drop the whole bulk
        assert "\x00" not in value, name
    decoded = json.loads(sent["ec_items"])
    assert [(row[3], row[4]) for row in decoded] == [
        (float(item.price), item.quantity) for item in items
    ]
    assert [Decimal(repr(row[3])) for row in decoded] == [item.price for item in items]


# === ADDRESSES === #


@pytest.mark.parametrize(
    ("url", "tracker", "api"),
    [
        (
            "https://m.example",
            "https://m.example/matomo.php",
            "https://m.example/index.php",
        ),
        (
            "https://m.example/",
            "https://m.example/matomo.php",
            "https://m.example/index.php",
        ),
        (
            "https://m.example/a/",
            "https://m.example/a/matomo.php",
            "https://m.example/a/index.php",
        ),
        (
            "https://m.example/a/piwik.php",
            "https://m.example/a/piwik.php",
            "https://m.example/a/index.php",
        ),
        (
            "https://m.example/index.php",
            "https://m.example/matomo.php",
            "https://m.example/index.php",
        ),
    ],
)
def test_addresses(url, tracker, api):
    assert (tracker_url(url), api_url(url)) == (tracker, api)


def test_tracking_url():
    url = tracking_url("https://m.example/", parameters())
    assert urlsplit(url).path == "/matomo.php"
    query = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert query.pop("token_auth") == ["XYZANONYMIZED"]
    assert query == {name: [value] for name, value in parameters().items()}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_values_are_escaped_as_the_library_does(value):
    url = tracking_url("https://m.example/", {"ua": value})
    assert url.startswith(f"https://m.example/matomo.php?ua={quote(value, safe='')}&")


# === ORDER IDS === #


@pytest.mark.parametrize(
    ("name", "suffix", "ref"),
    [
        ("S00042", "", "S00042"),
        ("S00042", "-2", "S00042-2"),
        (" Order\n00001-001-0001 ", "", "Order 00001-001-0001"),
        ("x" * 101, "", "x" * 100),
        ("x" * 101, "-2", "x" * 98 + "-2"),
        ("&" * 101, "", "&" * 20),
        ("A&amp;B&lt;", "", "A&B<"),
        ("", "", ""),
        ("x", "y" * 200, "y" * 200),
    ],
)
def test_fit_order_ref(name, suffix, ref):
    assert fit_order_ref(name, suffix) == ref


@given(st.text(max_size=150), st.sampled_from(["", "-2", "-1234"]))
def test_a_fitted_order_id_is_kept_whole(name, suffix):
    ref = fit_order_ref(name, suffix)
    assert ref.endswith(suffix)
    assert len(html.escape(ref)) <= MAX_ORDER_REF_LENGTH
    assert fit_order_ref(ref) == ref.strip()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("E-1", "e-1"),
        ("é", "E"),
        ("e\u0301", "é"),
        ("straße", "STRASE"),
        ("SO-1", "SO-1 "),
        ("A&lt;B", "A<B"),
        ("A&amp;lt;B", "A<B"),
        ("😀-1", "🎉-1"),
        ("😀-1", "\ufffd-1"),
        ("ᾳ", "α"),
        ("\u0345", "ι"),
        ("ı", "i"),
        ("ſ", "S"),
    ],
)
def test_one_order_id_to_matomo(one, other):
    assert order_ref_key(one) == order_ref_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("SO-1", "SO-2"), ("SO 1", "SO1"), ("S1", "S01"), ("1", "1.0")]
)
def test_two_order_ids_to_matomo(one, other):
    assert order_ref_key(one) != order_ref_key(other)


@given(st.text(max_size=60))
def test_the_key_of_a_key_is_itself(ref):
    key = order_ref_key(ref)
    assert order_ref_key(key) == key == order_ref_key(ref.swapcase() + "  ") or (
        # Some letters have no way back from their other case.
        order_ref_key(key) == key
    )


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_key_is_that_of_the_parts(one, other):
    joined = order_ref_key(one + "|" + other)
    assert joined == order_ref_key(
        order_ref_key(one + "|") + order_ref_key("|" + other)[1:]
    )
