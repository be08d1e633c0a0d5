from datetime import date

import pytest
from matomo_order_tracking.const import STATES
from matomo_order_tracking.tools.overview import (
    BAR_STATES,
    choose_health,
    get_days,
    get_proven_share,
    get_segments,
    is_in_trouble,
)


def test_bar_has_every_state():
    assert sorted(BAR_STATES) == sorted(state for state, _label in STATES)


def test_segments_fill_the_bar_and_leave_out_empty_states():
    counts = {"failed": 1, "verified": 6, "sent": 0, "cancelled": 1}
    segments = get_segments(counts)
    assert [each.state for each in segments] == ["verified", "failed", "cancelled"]
    assert [each.width for each in segments] == [75, 12.5, 12.5]


def test_no_orders_are_no_bar():
    assert get_segments({}) == []
    assert get_segments({"verified": 0}) == []


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ({}, None),
        # Orders that belong into no report are no part of it.
        ({"excluded": 5, "cancelled": 2}, None),
        ({"verified": 3, "excluded": 5, "elsewhere": 1}, 100.0),
        ({"verified": 1, "sent": 1}, 50.0),
        ({"verified": 1, "pending": 1}, 50.0),
        ({"verified": 2, "different": 1}, 66.6),
        ({"failed": 2}, 0.0),
        # One order of a hundred thousand that is missing is to be seen.
        ({"verified": 99_999, "failed": 1}, 99.9),
    ],
)
def test_proven_share(counts, share):
    assert get_proven_share(counts) == share


@pytest.mark.parametrize(
    ("state", "levels", "is_paused", "is_copy", "needs_person", "expected"),
    [
        ("ok", [], False, False, False, ("good", "well")),
        ("ok", ["good", "unknown"], False, False, False, ("good", "well")),
        ("unknown", [], False, False, False, ("unknown", "untested")),
        ("ok", [], False, False, True, ("look", "orders")),
        ("ok", ["look"], False, False, True, ("look", "check")),
        ("unknown", ["look"], False, False, False, ("look", "check")),
        ("ok", ["look", "good"], False, False, False, ("look", "check")),
        ("warning", ["look"], False, False, False, ("look", "site")),
        ("warning", ["bad"], False, False, False, ("bad", "check")),
        ("error", ["bad"], False, False, False, ("bad", "site")),
        ("error", ["bad"], True, False, False, ("look", "standstill")),
        ("error", ["bad"], True, True, False, ("bad", "standstill")),
    ],
)
def test_the_worst_is_said_first(
    state, levels, is_paused, is_copy, needs_person, expected
):
    found = choose_health(state, levels, is_paused, is_copy, needs_person)
    assert found == expected


@pytest.mark.parametrize(
    ("state", "failure_count", "expected"),
    [
        ("error", 0, True),
        ("error", 1, True),
        ("warning", 2, True),
        # It takes orders, and cannot be read back.
        ("warning", 0, False),
        ("ok", 0, False),
        ("unknown", 0, False),
    ],
)
def test_a_site_in_trouble(state, failure_count, expected):
    assert is_in_trouble(state, failure_count) is expected


def test_today_is_not_compared():
    days = get_days(date(2026, 3, 1))
    assert (days[0], days[-1]) == (date(2026, 1, 31), date(2026, 2, 28))
    assert len(days) == 29
