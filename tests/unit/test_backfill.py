"""What a backfill would do: figures, times and sentences."""

from datetime import date

import pytest
from english import ENGLISH
from matomo_order_tracking.tools.backfill import (
    USUAL_RATE,
    Counts,
    Surroundings,
    describe_counts,
    describe_duration,
    describe_needs,
    estimate_seconds,
    get_first_kept_day,
    get_rate,
)


def thousands(number):
    return f"{number:,}"


EXAMPLE = Counts(
    found=3412,
    accepted=1204,
    waiting=2,
    failed=1,
    old=96,
    left_out={"A return: Matomo counts no refunds.": 37},
    before_start=1000,
)


# === FIGURES === #


def test_every_order_is_in_one_group():
    groups = EXAMPLE.accepted, EXAMPLE.waiting, EXAMPLE.failed, EXAMPLE.old
    assert sum(groups) + EXAMPLE.left_out_count + EXAMPLE.todo == EXAMPLE.found


def test_sums_keep_the_groups_apart():
    other = Counts(found=3, accepted=1, left_out={"B": 1})
    both = EXAMPLE + other
    assert (both.found, both.accepted, both.todo) == (3415, 1205, EXAMPLE.todo + 1)
    assert both.left_out == {"A return: Matomo counts no refunds.": 37, "B": 1}
    assert EXAMPLE + Counts() == EXAMPLE


@pytest.mark.parametrize(
    ("orders", "duration", "rate"),
    [
        (0, 0, USUAL_RATE),
        (19, 1, USUAL_RATE),
        (1000, 0, USUAL_RATE),
        # 13 ms of Matomo and 7 ms of Odoo.
        (1000, 13_000, 50),
        (50, 50_000, pytest.approx(1 / 1.007)),
    ],
)
def test_rate_is_measured_or_said_to_be_usual(orders, duration, rate):
    assert get_rate(orders, duration) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("counts", "seconds"),
    [
        ([], 0),
        ([(0, 40)], 0),
        ([(400, 40)], 70),
        # Sites wait for each other: one lane sends for all of them.
        ([(400, 40), (100, 1)], 170),
    ],
)
def test_estimate(counts, seconds):
    assert estimate_seconds(counts) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "about 2 minutes"),
        (120, "about 2 minutes"),
        (2560, "about 43 minutes"),
        (6000, "about 2 hours"),
        (36_000, "about 10 hours"),
    ],
)
def test_duration_is_not_exact(seconds, text):
    assert describe_duration(ENGLISH, seconds) == text


@pytest.mark.parametrize(
    ("days", "first"), [(0, None), (1, date(2026, 3, 10)), (10, date(2026, 3, 1))]
)
def test_first_day_with_all_raw_data(days, first):
    assert get_first_kept_day(date(2026, 3, 10), days) == first


# === SENTENCES === #


def test_counts_are_said_group_by_group():
    assert describe_counts(ENGLISH, EXAMPLE, thousands) == [
        "3,412 orders were found.",
        "2,072 are sent, except orders with which nothing was bought.",
        "1,000 of them are from before the tracking start, and are tracked from now.",
        "1,204 are in Matomo already.",
        "2 wait to be sent already.",
        "1 has failed before: look at it under Needs Attention.",
        "96 are older than Matomo keeps their raw data, and are never sent.",
        "37 are left out: A return: Matomo counts no refunds.",
    ]


def test_one_order_is_one():
    lines = describe_counts(ENGLISH, Counts(found=1, left_out={"No.": 1}))
    assert lines == ["1 order was found.", "1 is left out: No."]
    assert describe_counts(ENGLISH, Counts()) == ["No order of these days was found."]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"is_paused": True}, "Shop is paused"),
        ({"is_stopped": True}, "Shop needs attention"),
        ({"is_tested": False}, "press Test Connection first"),
        ({"raw_data_days": 180}, "Shop keeps single orders for 180 days"),
        (
            {"raw_data_days": 180, "is_raw_data_confirmed": False},
            "Nobody has compared how long Shop keeps single orders",
        ),
    ],
)
def test_what_is_not_sure_is_said(changed, text):
    always = describe_needs(ENGLISH, [Surroundings("Shop")])
    assert len(always) == 3
    needs = describe_needs(ENGLISH, [Surroundings("Shop", **changed)])
    assert needs[:3] == always
    assert len(needs) == 4
    assert text in needs[3]


def test_days_that_were_imported_into_matomo_are_warned_of():
    needs = describe_needs(ENGLISH, [Surroundings("Shop")])
    assert [text for text in needs if "Google Analytics" in text]
