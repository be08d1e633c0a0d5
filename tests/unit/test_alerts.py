"""What the managers of a site are told: a table of cases."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from matomo_order_tracking.tools.alerts import (
    GOOD_KINDS,
    KINDS,
    Limits,
    SiteFacts,
    add_good,
    find_alerts,
)
from matomo_order_tracking.tools.doctor import Finding
from matomo_order_tracking.tools.needed import Stopped
from matomo_order_tracking.tools.waiting import Waiting

NOW = datetime(2026, 3, 3, 10)
FINE = SiteFacts(now=NOW, web_count=40)
LONG, SHORT = NOW - timedelta(hours=2), NOW - timedelta(hours=1, minutes=59)
DAY = NOW - timedelta(days=1)
OFF = Stopped("ir_cron_send", "Send")
SINCE = {"since": "2026-03-03 08:00:00"}
OUTAGE = Finding("outage", "bad", {**SINCE, "waiting": Waiting()._asdict()})


def bad(kind, **figures):
    return Finding(kind, "bad", figures)


CASES = {
    "all is well": ({}, []),
    "orders wait for a moment": ({"waiting_date": SHORT}, []),
    "nothing sends them": ({"waiting_date": LONG}, [bad("stalled", **SINCE)]),
    "they wait for Matomo": (
        {"waiting_date": LONG, "trouble_date": LONG},
        [OUTAGE],
    ),
    "they wait for Matomo, not for long": (
        {"waiting_date": LONG, "trouble_date": SHORT},
        [],
    ),
    "a copy has no other trouble": (
        {"is_copy": True, "failed_count": 2, "stopped": (OFF,)},
        [bad("copy")],
    ),
    "an action is off": (
        {"stopped": (OFF,), "waiting_date": LONG},
        [bad("stopped", names={"ir_cron_send": "Send"})],
    ),
    "an action was deleted, and another one is off": (
        {"stopped": (OFF, Stopped("ir_cron_job", "Work", is_deleted=True))},
        [
            Finding(
                "stopped",
                "bad",
                {"names": {"ir_cron_send": "Send", "ir_cron_job": "Work"}},
                "deleted",
            )
        ],
    ),
    "all that is sent is refused": (
        {"refused_date": LONG},
        [bad("refused", **SINCE)],
    ),
    "it is refused since a moment": ({"refused_date": SHORT}, []),
    "an outage is said, not what it refuses": (
        {"refused_date": LONG, "trouble_date": LONG},
        [OUTAGE],
    ),
    "nobody reads": ({"unread_date": LONG}, [bad("unread", **SINCE)]),
    "nobody reads for a moment": ({"unread_date": SHORT}, []),
    "orders failed": ({"failed_count": 2}, [bad("failed", count=2)]),
    "a tag sends orders": (
        {"tag_count": 37},
        [bad("tag", count=37, total=40)],
    ),
    "many visitors share few addresses": (
        {"visitor_count": 20, "address_count": 5},
        [Finding("addresses", "look", {"count": 5, "total": 20})],
    ),
    "some share an address": ({"visitor_count": 20, "address_count": 6}, []),
    "too few visitors to tell": ({"visitor_count": 19, "address_count": 1}, []),
    "days differ": (
        {"different_days": 3},
        [Finding("different", "look", {"count": 3})],
    ),
    "orders are not proven": (
        {"unproven_count": 2},
        [bad("unproven", count=2, hours=24)],
    ),
    "a few may be unproven": (
        {"unproven_count": 2, "limits": Limits(unproven_limit=2)},
        [],
    ),
    "more are unproven than may be": (
        {"unproven_count": 3, "limits": Limits(unproven_limit=2, unproven_hours=6)},
        [bad("unproven", count=3, hours=6)],
    ),
    "a few may fail": ({"failed_count": 2, "limits": Limits(failed_limit=2)}, []),
    "an outage is borne longer": (
        {"trouble_date": LONG, "limits": Limits(outage_hours=3)},
        [],
    ),
    "a pause is nobody's news": ({"paused_date": LONG, "trouble_date": LONG}, []),
    "a pause is forgotten": (
        {
            "paused_date": DAY,
            "waiting_date": DAY,
            "waiting": Waiting(5, 2),
            "failed_count": 1,
        },
        [
            Finding(
                "paused",
                "look",
                {"since": "2026-03-02 10:00:00", "waiting": Waiting(5, 2)._asdict()},
            ),
            bad("failed", count=1),
        ],
    ),
    "nothing is proven in a pause": ({"paused_date": LONG, "unproven_count": 9}, []),
    "the worst comes first": (
        {"trouble_date": LONG, "failed_count": 1, "different_days": 1},
        [
            OUTAGE,
            bad("failed", count=1),
            Finding("different", "look", {"count": 1}),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_alerts(case):
    values, expected = CASES[case]
    assert find_alerts(replace(FINE, **values)) == expected


def test_each_kind_is_found():
    found = {each.kind for _values, findings in CASES.values() for each in findings}
    assert found == set(KINDS)


def test_what_is_quiet_is_good():
    assert {each.kind for each in add_good([])} == set(GOOD_KINDS)
    assert [each.level for each in add_good([bad("failed", count=1)])].count("bad") == 1
    # Nothing is said of a copy that sends nothing.
    assert add_good([bad("copy")]) == [bad("copy")]
