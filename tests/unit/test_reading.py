"""Orders and totals read from answers as Matomo gives them (docs/matomo.md)."""

from copy import deepcopy
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.client import clean_values
from matomo_order_tracking.matomo_api.errors import (
    MatomoError,
    ReportRefused,
    ServerTrouble,
)
from matomo_order_tracking.matomo_api.reading import (
    ReadBack,
    RecordedItem,
    SiteDescription,
    Totals,
    day_totals,
    may_read,
    read_all_orders,
    read_order_totals,
    read_orders,
    read_refund_times,
    read_site,
    read_version,
)

FIRST, LAST = date(2026, 11, 20), date(2026, 11, 22)


class FakeClient:
    """Answers every question with ``answer`` and notes the question."""

    def __init__(self, answer):
        self.answer = answer
        self.questions = []

    def call_api(self, method, **parameters):
        self.questions.append((method, parameters))
        if isinstance(self.answer, MatomoError):
            raise self.answer
        # As the client gives it to its callers.
        return clean_values(deepcopy(self.answer), str)


# === ORDERS === #


def visit(ref="H-1", **values):
    order = {
        "type": "ecommerceOrder",
        "orderId": ref,
        "revenue": 121,
        "revenueSubTotal": 110.5,
        "revenueTax": "10.5",
        "revenueShipping": 5,
        "revenueDiscount": 5,
        "items": 3,
        "itemDetails": [
            {
                "itemSKU": "SKU1",
                "itemName": "Red chair",
                "itemCategory": "Chairs",
                "price": 50,
                "quantity": 2,
                "categories": ["Chairs", "A &amp; B"],
            },
            {"itemSKU": "SKU2", "itemName": "Lamp", "price": "10.5", "quantity": "1"},
        ],
        "timestamp": 1763736369,
        **values,
    }
    cart = {"type": "ecommerceAbandonedCart", "revenue": 5}
    return {
        "visitorId": "0123456789abcdef",
        "actionDetails": [{"type": "action"}, cart, order],
    }


def read(answer, *refs):
    return read_orders(FakeClient(answer), 1, refs, FIRST, LAST).orders


def test_orders():
    order = read([visit(), visit("OTHER")], "H-1", "H-2").pop("H-1")
    assert order.ref == "H-1"
    assert order.visitor_id == "0123456789abcdef"
    assert order.time == datetime(2025, 11, 21, 14, 46, 9)
    assert [
        order.revenue,
        order.subtotal,
        order.tax,
        order.shipping,
        order.discount,
    ] == [Decimal(text) for text in ("121.00", "110.50", "10.50", "5.00", "5.00")]
    assert order.items == (
        RecordedItem("SKU1", "Red chair", ("Chairs", "A & B"), Decimal("50.00"), 2),
        RecordedItem("SKU2", "Lamp", (), Decimal("10.50"), 1),
    )


def test_the_question():
    client = FakeClient([])
    assert read_orders(client, 7, ["SO 1", "A&,%"], FIRST, LAST) == ReadBack()
    ((method, parameters),) = client.questions
    assert method == "Live.getLastVisitsDetails"
    assert parameters["idSite"] == "7"
    assert (parameters["period"], parameters["date"]) == (
        "range",
        "2026-11-20,2026-11-22",
    )
    assert parameters["segment"] == (
        "orderId==SO 1,orderId==A&amp%25253B%25252C%252525,orderId==A&%25252C%252525"
    )


@pytest.mark.parametrize("refs", [[], [""], ["", ""]])
def test_no_order_id_would_find_all_visits(refs):
    client = FakeClient([visit("")])
    assert read_orders(client, 1, refs, FIRST, LAST) == ReadBack()
    assert not client.questions


@pytest.mark.parametrize(
    ("ref", "recorded"),
    [
        ("A&B", "A&amp;B"),
        ("A&B", "A&B"),
        ("O'R\"<>", "O&#039;R&quot;&lt;&gt;"),
        # Matomo takes these for the same.
        ("SO-1", "so-1"),
        ("é", "e"),
    ],
)
def test_an_order_is_found_under_its_id_as_matomo_spells_it(ref, recorded):
    assert read([visit(recorded)], ref).keys() == {ref}


def test_all_orders_of_a_day_are_none_of_the_next_one():
    """Matomo shows an order of exactly midnight on both days."""

    def at(ref, *moment):
        moment = datetime(*moment, tzinfo=timezone.utc)
        return visit(ref, timestamp=int(moment.timestamp()))

    client = FakeClient(
        [
            at("FIRST", 2026, 11, 20, 0, 0, 0),
            at("LAST", 2026, 11, 22, 23, 59, 59),
            at("NEXT", 2026, 11, 23, 0, 0, 0),
            visit("ODD", timestamp="?"),
        ]
    )
    orders, is_complete = read_all_orders(client, 1, FIRST, LAST)
    assert [order.ref for order in orders] == ["FIRST", "LAST", "ODD"]
    assert is_complete


def test_missing_and_odd_values():
    odd = visit(revenue=None, revenueTax="", itemDetails=None, revenueShipping=[])
    order = read([odd], "H-1")["H-1"]
    assert (order.revenue, order.tax, order.items) == (0, 0, None)
    assert read([{"visitorId": None, "actionDetails": None}], "H-1") == {}


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ({"revenue": "NaN"}, "revenue", None),
        ({"revenue": "twelve"}, "revenue", None),
        ({"revenue": float("inf")}, "revenue", Decimal("1e15")),
        ({"revenue": "1e400"}, "revenue", Decimal("1e15")),
        ({"revenue": -1e300}, "revenue", Decimal("-1e15")),
        ({"timestamp": "yesterday"}, "time", None),
        ({"timestamp": 10**14}, "time", datetime(2100, 1, 1)),
        ({"timestamp": -5}, "time", datetime(1970, 1, 1)),
        ({"itemDetails": ["SKU1"]}, "items", ()),
        ({"itemDetails": "SKU1"}, "items", None),
    ],
)
def test_what_a_stranger_tracks_has_bounds(values, name, expected):
    """Anybody may track an order of 1e16 or of the year 9999 without a token."""
    orders = read([visit(**values), visit("OTHER")], "H-1", "OTHER")
    assert getattr(orders["H-1"], name) == expected
    assert orders["OTHER"].revenue == Decimal("121.00")


@pytest.mark.parametrize("answer", [None, True, "text", {}, {"value": 1}])
def test_what_is_no_report_does_not_pass_for_no_orders(answer):
    with pytest.raises(ServerTrouble, match="not the report"):
        read(answer, "H-1")


@pytest.mark.parametrize(
    "broken",
    [
        1,
        [visit()],
        {"actionDetails": [1]},
        {"actionDetails": {"0": 1}},
        {"actionDetails": [], "truncatedActionsCount": 3},
    ],
)
def test_a_visit_that_tells_not_all_stops_no_other(broken):
    answer = read_orders(FakeClient([broken, visit()]), 1, ["H-1"], FIRST, LAST)
    assert answer.orders.keys() == {"H-1"}
    assert not answer.is_complete
    assert read_orders(FakeClient([visit()]), 1, ["H-1"], FIRST, LAST).is_complete


@pytest.mark.parametrize("ours_first", [True, False])
def test_another_spelling_of_an_id_hides_no_order(ours_first):
    """Somebody tracks their order with a fullwidth S in the visit of ours."""
    orders = [visit("S-1"), visit("\uff33-1", revenue=1)]
    answer = FakeClient(orders if ours_first else orders[::-1])
    (found,) = read_orders(answer, 1, ["S-1"], FIRST, LAST).candidates.values()
    assert [order.ref for order in found] == ["S-1", "\uff33-1"]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "https://shop.example.com/ <b>",
        "https://a\nb/",
        "https://x.example.com/" + "a" * 600,
        "",
    ],
)
def test_what_is_no_address_is_none_of_the_shop(address):
    """Matomo's main address is sent with every order, and shown to people."""
    assert read_site(FakeClient({"main_url": address}), 1).main_url == ""
    assert read_site(FakeClient({"main_url": "https://x.de/a"}), 1).main_url


def test_the_totals_of_some_orders():
    client = FakeClient({"nb_conversions": 2, "revenue": 242.0, "items": 3})
    totals = read_order_totals(client, 1, ["A&B", "C"], FIRST, LAST)
    assert totals == Totals(2, Decimal("242.00"))
    ((method, parameters),) = client.questions
    assert method == "Goals.get"
    assert parameters["segment"] == "orderId==A&amp%25253BB,orderId==A&B,orderId==C"


@pytest.mark.parametrize("report", [[{}], {"nb_conversions": 1, "revenue": "much"}])
def test_a_report_without_the_order_counts_none(report):
    assert read_order_totals(FakeClient(report), 1, ["A"], FIRST, LAST) == Totals()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([1, 2], True),
        (["1"], True),
        ([2], False),
        ([], False),
        (ReportRefused("report_refused", answer="no", status=401), False),
        (ReportRefused("report_refused", answer="no", status=403), False),
        (
            ReportRefused("report_refused", answer="", text="requires 'view' access"),
            False,
        ),
    ],
)
def test_whether_the_token_may_read(answer, expected):
    assert may_read(FakeClient(answer), 1) is expected


@pytest.mark.parametrize(
    "answer",
    [
        {"value": "odd"},
        ReportRefused("report_refused", answer="", text="MySQL server has gone away"),
        ServerTrouble("status", status=502),
    ],
)
def test_nobody_says_whether_the_token_may_read(answer):
    with pytest.raises(MatomoError):
        may_read(FakeClient(answer), 1)


def test_refunds_are_found_by_their_order():
    """Matomo may have renamed the visitor of the visit."""

    def event(name="SO-1", value=30, **values):
        return {
            "type": "event",
            "eventAction": "Refund",
            "eventName": name,
            "eventValue": value,
            "timestamp": 1763736369,
            **values,
        }

    visits = [
        {"visitorId": "fedcba9876543210", "actionDetails": [event(), event(value=20)]},
        {"visitorId": "0123456789abcdef", "actionDetails": [event("SO-2")]},
        {"actionDetails": [event(timestamp="soon"), event(eventAction="Play")]},
    ]
    client = FakeClient(visits)
    payload = {
        "cid": "0123456789abcdef",
        "e_a": "Refund",
        "e_n": "SO-1",
        "e_v": "30.00",
    }
    times, _is_complete = read_refund_times(client, 1, payload, FIRST, LAST)
    assert times == [datetime(2025, 11, 21, 14, 46, 9), None]
    ((_method, parameters),) = client.questions
    assert parameters["segment"] == "eventName==SO-1"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["actionDetails", "type", "orderId", "revenue", "timestamp"]
            ),
            inner,
        )
    ),
    max_leaves=6,
)


@given(JSON)
def test_any_answer_is_read_or_refused(answer):
    for ask in (
        lambda client: read_orders(client, 1, ["H-1"], FIRST, LAST),
        lambda client: day_totals(client, 1, FIRST, LAST),
        lambda client: read_site(client, 1),
    ):
        try:
            assert ask(FakeClient(answer)) is not None
        except MatomoError:
            pass


# === SITE === #


@pytest.mark.parametrize("wrap", [lambda site: site, lambda site: [site]])
def test_site(wrap):
    answer = {
        "name": "A &amp; B",
        "main_url": "https://shop.example.com",
        "currency": "EUR",
        "timezone": "Europe/Brussels",
        "ecommerce": 1,
    }
    assert read_site(FakeClient(wrap(answer)), 1) == SiteDescription(
        "A & B", "https://shop.example.com", "EUR", "Europe/Brussels", True
    )


def test_what_a_site_excludes():
    answer = {
        "exclude_unknown_urls": "1",
        "excluded_ips": "203.0.113.*",
        "excluded_user_agents": "Bot &amp; Co",
    }
    site = read_site(FakeClient(answer), 1)
    assert (site.exclude_unknown_urls, site.excluded_ips) == (True, "203.0.113.*")
    assert site.excluded_user_agents == "Bot & Co"
    assert not site.is_ecommerce


@pytest.mark.parametrize(
    ("answer", "version"), [({"value": "5.3.1"}, "5.3.1"), ({"value": None}, "")]
)
def test_version(answer, version):
    assert read_version(FakeClient(answer)) == version


@pytest.mark.parametrize("answer", [[], None, "text", [1]])
def test_no_site(answer):
    with pytest.raises(ServerTrouble):
        read_site(FakeClient(answer), 1)


# === REPORTS === #


def test_day_totals():
    row = {
        "nb_conversions": 1,
        "nb_visits_converted": 1,
        "revenue": 121,
        "revenue_subtotal": 110.5,
        "revenue_tax": 10.5,
        "revenue_shipping": "5",
        "revenue_discount": 2,
        "items": 3,
    }
    empty = {"nb_conversions": 0, "revenue": 0}
    client = FakeClient({"2026-11-20": row, "2026-11-21": [], "2026-11-22": empty})
    assert day_totals(client, 1, FIRST, LAST) == {
        date(2026, 11, 20): Totals(
            orders=1,
            revenue=Decimal("121.00"),
            tax=Decimal("10.50"),
            shipping=Decimal("5.00"),
            discount=Decimal("2.00"),
            items=3,
        ),
        date(2026, 11, 21): Totals(),
        date(2026, 11, 22): Totals(),
    }
    ((method, parameters),) = client.questions
    assert (method, parameters) == (
        "Goals.get",
        {
            "idSite": "1",
            "idGoal": "ecommerceOrder",
            "period": "day",
            "date": "2026-11-20,2026-11-22",
            "format_metrics": "0",
        },
    )


def test_no_days():
    client = FakeClient({})
    assert day_totals(client, 1, LAST, FIRST) == {}
    assert not client.questions


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"2026-11-20": []}, {"nb_conversions": 1}, {"2026-11-20": [1]}, "text"],
)
def test_no_day_totals(answer):
    with pytest.raises(ServerTrouble):
        day_totals(FakeClient(answer), 1, FIRST, LAST)


# === THE VISIT OF AN ORDER === #


@pytest.mark.parametrize(
    ("actions", "has_page", "has_page_before"),
    [
        ([], False, False),
        ([{"type": "action", "timestamp": 1763736300}], True, True),
        ([{"type": "action", "timestamp": "1763736369"}], True, True),
        ([{"type": "action", "timestamp": 1763736400}], True, False),
        ([{"type": "action"}, {"type": "action", "timestamp": "x"}], True, True),
        ([{"type": "event", "timestamp": 1763736300}], False, False),
        ([None, 5, "action", {"type": None}], False, False),
    ],
)
def test_pages_in_the_visit_of_an_order(actions, has_page, has_page_before):
    answer = visit()
    answer["actionDetails"][:2] = actions
    order = read_orders(FakeClient([answer]), 1, ["H-1"], FIRST, LAST).orders["H-1"]
    assert (order.has_page, order.has_page_before) == (has_page, has_page_before)
