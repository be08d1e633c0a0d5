"""Whether an order in Matomo is ours, and what differs: a table of cases."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.matching import (
    Difference,
    Owner,
    describe_sent,
    find_differences,
    find_revenue,
    get_owner,
    get_visit_kind,
    is_anonymised_match,
    is_at_other_time,
    is_same_moment,
)
from matomo_order_tracking.matomo_api.privacy import anonymize_parameters
from matomo_order_tracking.matomo_api.reading import RecordedItem, RecordedOrder, Totals

NOW = datetime(2026, 3, 3, 10)
VISITOR, OTHER = "0123456789abcdef", "fedcba9876543210"
PAYLOAD = {
    "cid": VISITOR,
    "cdt": "2026-03-03 10:00:00",
    "revenue": "115.00",
    "ec_st": "100.00",
    "ec_tx": "15.00",
    "ec_sh": "0.00",
    "ec_dt": "0.00",
}
RECORDED = RecordedOrder(
    ref="A",
    revenue=Decimal("115.00"),
    subtotal=Decimal("100.00"),
    tax=Decimal("15.00"),
    shipping=Decimal("0.00"),
    discount=Decimal("0.00"),
    visitor_id=VISITOR,
    time=NOW,
    items=(),
)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def make_sent(created=NOW, cart_created=None, **values):
    return describe_sent(
        {**PAYLOAD, **values},
        created,
        revenue=115.0,
        time=NOW,
        cart_created=cart_created,
    )


def same(moment):
    return moment


def owner(sent, to_utc=same, now=NOW, **values):
    return get_owner(sent, replace(RECORDED, **values), to_utc, now)


def is_ours(sent, **values):
    return owner(sent, **values) == Owner.OURS


@pytest.mark.parametrize(
    ("sent", "recorded", "expected"),
    [
        ({}, {}, Owner.OURS),
        ({}, {"revenue": Decimal("115.01")}, Owner.OTHER),
        ({}, {"revenue": Decimal("-115.00")}, Owner.OTHER),
        ({}, {"revenue": Decimal("1e15")}, Owner.OTHER),
        ({}, {"revenue": None}, Owner.UNKNOWN),
        # Matomo keeps revenue in single precision.
        ({"revenue": "1234567.89"}, {"revenue": Decimal("1234567.88")}, Owner.OURS),
        ({"revenue": "1234567.89"}, {"revenue": Decimal("1234567.50")}, Owner.OTHER),
        # Matomo renames the visitor of a visit.
        ({}, {"visitor_id": OTHER}, Owner.OURS),
        # Another amount is a difference, and not another order.
        ({}, {"tax": Decimal("1.00")}, Owner.OURS),
        ({}, {"time": NOW + DAY}, Owner.OURS),
        ({}, {"time": NOW + DAY + SECOND}, Owner.OTHER),
        ({}, {"time": NOW - DAY}, Owner.OURS),
        ({}, {"time": NOW - DAY - SECOND}, Owner.OTHER),
        ({}, {"time": datetime(2100, 1, 1)}, Owner.OTHER),
        # A report tells no time.
        ({}, {"time": None}, Owner.OURS),
        ({}, {"time": None, "revenue": Decimal(1)}, Owner.UNKNOWN),
        # A time in the future was replaced by the moment of arrival.
        ({"cdt": "2026-03-09 10:00:00"}, {"time": NOW}, Owner.OURS),
        ({"cdt": "2026-03-09 10:00:00"}, {"time": NOW - DAY - SECOND}, Owner.OTHER),
        ({"cdt": "nonsense"}, {}, Owner.UNKNOWN),
        ({"cdt": ""}, {}, Owner.UNKNOWN),
    ],
)
def test_whose_order_it_is(sent, recorded, expected):
    assert owner(make_sent(**sent), **recorded) == expected


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        # The shopper's own visitor, whatever the total.
        ({"visitor_id": VISITOR, "revenue": Decimal(1)}, Owner.TAG),
        # Totals without tax, without delivery, without both.
        ({"revenue": Decimal("100.00")}, Owner.TAG),
        ({"revenue": Decimal("110.00")}, Owner.TAG),
        ({"revenue": Decimal("109.25")}, Owner.TAG),
        ({"revenue": Decimal("95.00")}, Owner.TAG),
        ({"revenue": Decimal("99.99")}, Owner.TAG),
        ({"revenue": Decimal("33.00")}, Owner.OTHER),
        ({"revenue": Decimal("0.00")}, Owner.OTHER),
        # An item, by its SKU or its name.
        ({"revenue": Decimal("33.00"), "items": ("chair", "")}, Owner.TAG),
        ({"revenue": Decimal("33.00"), "items": ("17", "Red Chair")}, Owner.TAG),
        ({"revenue": Decimal("33.00"), "items": ("LAMP", "Lamp")}, Owner.OTHER),
        # Nobody can have told of it before there was a cart.
        ({"revenue": Decimal("100.00"), "time": NOW - DAY}, Owner.OTHER),
        ({"revenue": Decimal("100.00"), "time": NOW + 5 * DAY}, Owner.TAG),
    ],
)
def test_a_tag_tells_of_the_same_sale(recorded, expected):
    sku, name = recorded.pop("items", ("", ""))
    items = (RecordedItem(sku, name, (), Decimal(1), 1),) if sku else ()
    sent = make_sent(
        cart_created=NOW - timedelta(minutes=5),
        ec_sh="5.00",
        ec_items='[["CHAIR","Red chair",[],50.0,2]]',
    )
    values = {"visitor_id": OTHER, "items": items, **recorded}
    assert owner(sent, **values) == expected
    # Tills and salespeople have no tag.
    assert owner(replace(sent, cart_created=None), **values) == Owner.OTHER


@pytest.mark.parametrize(
    ("payload", "recorded", "kind"),
    [
        ({}, {"has_page": True, "has_page_before": True}, "joined"),
        # Page views of another tag have renamed the visitor.
        (
            {},
            {"has_page": True, "has_page_before": True, "visitor_id": OTHER},
            "joined",
        ),
        ({}, {"has_page": True, "visitor_id": OTHER}, "apart"),
        ({}, {}, "apart"),
        ({}, {"visitor_id": OTHER}, "replaced"),
        # The page is the order's own.
        ({"pv_id": "abcdef"}, {"has_page": True, "has_page_before": True}, "apart"),
        # An ID that is only proposed may be refused.
        ({"cid": None, "_id": VISITOR}, {"visitor_id": OTHER}, "apart"),
        # Nothing of the shopper was sent, or it was removed since.
        ({"ua": None}, {"has_page": True, "has_page_before": True}, None),
        ({"ua": "XYZBLANKED"}, {}, None),
    ],
)
def test_in_whose_visit_an_order_stands(payload, recorded, kind):
    sent = {**PAYLOAD, "ua": "Firefox", **payload}
    sent = {name: value for name, value in sent.items() if value is not None}
    assert get_visit_kind(sent, replace(RECORDED, **recorded)) == kind


def test_the_times_of_matomo_are_those_of_its_site():
    sent = make_sent()
    late = NOW + DAY + timedelta(hours=1)
    assert not is_ours(sent, time=late)
    assert is_ours(sent, to_utc=lambda moment: moment - timedelta(hours=1), time=late)


@pytest.mark.parametrize(
    ("cdt", "recorded_at", "expected"),
    [
        (NOW, NOW, True),
        (NOW, NOW + SECOND, True),
        (NOW, NOW + 2 * SECOND, False),
        # A clock that is set back an hour tells this moment twice.
        (NOW, NOW + timedelta(hours=1), True),
        # A time in the future was replaced by the moment of arrival.
        (NOW + DAY, NOW + timedelta(minutes=3), True),
        (NOW + DAY, NOW - timedelta(minutes=3), False),
        (NOW, None, False),
    ],
)
def test_the_moment_that_was_sent(cdt, recorded_at, expected):
    sent = make_sent(cdt=str(cdt))
    assert is_same_moment(sent, recorded_at, NOW + timedelta(minutes=5)) is expected


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (timedelta(), False),
        (SECOND, False),
        (-8 * SECOND, True),
        (timedelta(minutes=3), True),
        # The time zone of the Matomo site is another than we know.
        (timedelta(hours=5, minutes=30), False),
        (-timedelta(hours=8), False),
        (timedelta(hours=8, seconds=-20), True),
    ],
)
def test_a_time_that_was_not_sent(gap, expected):
    assert is_at_other_time(make_sent(), NOW + gap, NOW) is expected


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ({}, True),
        ({"visitor_id": OTHER}, True),
        ({"time": NOW + 5 * SECOND}, False),
        ({"time": None}, False),
        ({"revenue": Decimal("115.01")}, False),
        ({"tax": Decimal("14.99")}, False),
    ],
)
def test_an_order_whose_id_was_replaced(recorded, expected):
    order = replace(RECORDED, ref="a" * 40, **recorded)
    assert is_anonymised_match(make_sent(), order, same, NOW) is expected


def test_without_personal_data_revenue_and_day_decide():
    sent = describe_sent(anonymize_parameters(PAYLOAD), NOW, revenue=115.0, time=NOW)
    assert is_ours(sent, visitor_id=OTHER)
    assert not is_ours(sent, revenue=Decimal("1.00"))


def test_without_parameters_the_request_decides():
    sent = describe_sent(None, NOW, revenue=115.0, time=NOW)
    assert is_ours(sent, visitor_id=OTHER)
    assert not is_ours(sent, time=NOW + 2 * DAY)
    assert find_differences(sent, RECORDED) == []


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        (Totals(), None),
        (Totals(1, Decimal("115.00")), Decimal("115.00")),
        (Totals(1, Decimal("7.00")), Decimal("7.00")),
        # Other orders of the same visit are counted, too.
        (Totals(3, Decimal("400.00")), Decimal("115.0")),
        (Totals(3, Decimal("50.00")), None),
    ],
)
def test_the_revenue_of_an_order_that_the_log_does_not_show(totals, expected):
    assert find_revenue(make_sent(), totals) == expected


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("subtotal", "ec_st"),
        ("tax", "ec_tx"),
        ("shipping", "ec_sh"),
        ("discount", "ec_dt"),
    ],
)
def test_amounts_that_differ_are_named(name, parameter):
    sent = make_sent()
    other = replace(RECORDED, **{name: Decimal("7.00")})
    expected = [Difference(name, Decimal("7.00"), PAYLOAD[parameter])]
    assert find_differences(sent, other) == expected
    assert find_differences(sent, RECORDED) == []


def test_an_amount_that_was_not_sent_is_not_compared():
    payload = {name: value for name, value in PAYLOAD.items() if name != "ec_tx"}
    sent = describe_sent(payload, NOW, revenue=115.0, time=NOW)
    assert find_differences(sent, replace(RECORDED, tax=Decimal(1))) == []


ITEMS = [["CHAIR", "Chair", [], 50.0, 2], ["LAMP", "Lamp", ["Light"], 10.5, 1]]


def make_items(*items):
    return tuple(
        RecordedItem(sku, "", (), Decimal(str(price)), quantity)
        for sku, quantity, price in items
    )


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ([("CHAIR", 2, "50.00"), ("LAMP", 1, "10.50")], []),
        ([("LAMP", 1, "10.50"), ("CHAIR", 2, "50.00")], []),
        (
            [("CHAIR", 1, "50.00"), ("LAMP", 1, "10.50")],
            [Difference("quantity", 1, 2, "CHAIR")],
        ),
        (
            [("CHAIR", 2, "50.01"), ("LAMP", 1, "10.50")],
            [Difference("price", Decimal("50.01"), Decimal("50.0"), "CHAIR")],
        ),
        ([("LAMP", 1, "10.50")], [Difference("item", None, 2, "CHAIR")]),
        (
            [("CHAIR", 2, "50.00"), ("LAMP", 1, "10.50"), ("RUG", 3, "1.00")],
            [Difference("other item", 3, None, "RUG")],
        ),
    ],
)
def test_items_that_differ_are_named(recorded, expected):
    sent = make_sent(ec_items=json.dumps(ITEMS))
    order = replace(RECORDED, items=make_items(*recorded))
    assert find_differences(sent, order) == expected


def test_skus_that_php_takes_for_equal_are_not_compared():
    """Matomo mixes up "0123" and "123" in one order (docs/matomo.md section 15)."""
    items = [["0123", "A", [], 5.0, 1], ["123", "B", [], 7.0, 1]]
    sent = make_sent(ec_items=json.dumps(items))
    order = replace(RECORDED, items=make_items(("0123", 1, "7.00")))
    assert find_differences(sent, order) == []


@pytest.mark.parametrize("items", ["", "[[", "{}", '[["A"]]', "[[1,2,3,4,5]]x"])
def test_items_that_cannot_be_read_are_not_compared(items):
    sent = make_sent(ec_items=items)
    order = replace(RECORDED, items=make_items(("CHAIR", 1, "7.00")))
    assert find_differences(sent, replace(order, items=None)) == []
    assert not [each for each in find_differences(sent, order) if items != "{}"]


@given(
    st.decimals(-999_999, 999_999, places=2),
    st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1)),
)
def test_what_was_sent_is_known_again(revenue, moment):
    moment = moment.replace(microsecond=0)
    sent = make_sent(moment, revenue=f"{revenue:.2f}", cdt=str(moment))
    assert is_ours(sent, revenue=revenue, time=moment)
