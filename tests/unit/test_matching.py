"""Whether an order in Matomo is ours, and what differs: a table of cases."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.matching import (
    Difference,
    describe_sent,
    find_differences,
    is_same_order,
)
from matomo_order_tracking.matomo_api.privacy import anonymize_parameters
from matomo_order_tracking.matomo_api.reading import RecordedOrder

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


def make_sent(created=NOW, **values):
    payload = {**PAYLOAD, **values}
    return describe_sent(payload, created, revenue=115.0, time=NOW)


def same(moment):
    return moment


def is_ours(sent, to_utc=same, **values):
    return is_same_order(sent, replace(RECORDED, **values), to_utc)


@pytest.mark.parametrize(
    ("sent", "recorded", "expected"),
    [
        ({}, {}, True),
        ({}, {"revenue": Decimal("115.01")}, False),
        ({}, {"revenue": Decimal("-115.00")}, False),
        # Matomo keeps revenue in single precision.
        ({"revenue": "1234567.89"}, {"revenue": Decimal("1234567.88")}, True),
        ({"revenue": "1234567.89"}, {"revenue": Decimal("1234567.50")}, False),
        ({}, {"visitor_id": OTHER}, False),
        ({"cid": OTHER}, {"visitor_id": OTHER}, True),
        # Another amount is a difference, and not another order.
        ({}, {"tax": Decimal("1.00")}, True),
        ({}, {"time": NOW + DAY}, True),
        ({}, {"time": NOW + DAY + SECOND}, False),
        ({}, {"time": NOW - DAY}, True),
        ({}, {"time": NOW - DAY - SECOND}, False),
        # A time in the future was replaced by the moment of arrival.
        ({"cdt": "2026-03-09 10:00:00"}, {"time": NOW}, True),
        ({"cdt": "2026-03-09 10:00:00"}, {"time": NOW - DAY - SECOND}, False),
        ({"cdt": "nonsense"}, {}, False),
        ({"cdt": ""}, {}, False),
    ],
)
def test_whose_order_it_is(sent, recorded, expected):
    assert is_ours(make_sent(**sent), **recorded) is expected


def test_the_times_of_matomo_are_those_of_its_site():
    sent = make_sent()
    late = NOW + DAY + timedelta(hours=1)
    assert not is_ours(sent, time=late)
    assert is_ours(sent, to_utc=lambda moment: moment - timedelta(hours=1), time=late)


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


@given(
    st.decimals(-999_999, 999_999, places=2),
    st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1)),
)
def test_what_was_sent_is_known_again(revenue, moment):
    moment = moment.replace(microsecond=0)
    sent = make_sent(moment, revenue=f"{revenue:.2f}", cdt=str(moment))
    assert is_ours(sent, revenue=revenue, time=moment)
