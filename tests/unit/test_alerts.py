"""What the managers of a site are told: a table of cases."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from matomo_order_tracking.tools.alerts import Alert, SiteFacts, find_alerts
from matomo_order_tracking.tools.sentences import ALERTS

NOW = datetime(2026, 3, 3, 10)
FINE = SiteFacts(now=NOW, web_count=40)
LONG, SHORT = NOW - timedelta(hours=2), NOW - timedelta(hours=1, minutes=59)

CASES = {
    "all is well": ({}, []),
    "orders wait for a moment": ({"waiting_date": SHORT}, []),
    "nothing sends them": ({"waiting_date": LONG}, [Alert("stalled", {"since": LONG})]),
    "they wait for Matomo": (
        {"waiting_date": LONG, "trouble_date": LONG},
        [Alert("outage", {"since": LONG})],
    ),
    "they wait for Matomo, not for long": (
        {"waiting_date": LONG, "trouble_date": SHORT},
        [],
    ),
    "a copy has no other trouble": (
        {"is_copy": True, "failed_count": 2, "stopped_actions": ("send",)},
        [Alert("copy")],
    ),
    "an action is off": (
        {"stopped_actions": ("send", "verify"), "waiting_date": LONG},
        [Alert("stopped", {"names": "send, verify"})],
    ),
    "all that is sent is refused": (
        {"refused_date": LONG},
        [Alert("refused", {"since": LONG})],
    ),
    "it is refused since a moment": ({"refused_date": SHORT}, []),
    "an outage is said, not what it refuses": (
        {"refused_date": LONG, "trouble_date": LONG},
        [Alert("outage", {"since": LONG})],
    ),
    "nobody reads": ({"unread_date": LONG}, [Alert("unread", {"since": LONG})]),
    "nobody reads for a moment": ({"unread_date": SHORT}, []),
    "orders failed": ({"failed_count": 2}, [Alert("failed", {"count": 2})]),
    "a tag sends orders": (
        {"tag_count": 37},
        [Alert("tag", {"count": 37, "total": 40})],
    ),
    "many visitors share few addresses": (
        {"visitor_count": 20, "address_count": 5},
        [Alert("addresses", {"count": 5, "total": 20})],
    ),
    "some share an address": ({"visitor_count": 20, "address_count": 6}, []),
    "too few visitors to tell": ({"visitor_count": 19, "address_count": 1}, []),
    "days differ": ({"different_days": 3}, [Alert("different", {"count": 3})]),
    "the worst comes first": (
        {"trouble_date": LONG, "failed_count": 1, "different_days": 1},
        [
            Alert("outage", {"since": LONG}),
            Alert("failed", {"count": 1}),
            Alert("different", {"count": 1}),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_alerts(case):
    values, expected = CASES[case]
    assert find_alerts(replace(FINE, **values)) == expected


def test_each_kind_has_a_sentence():
    said = {alert.kind for _values, alerts in CASES.values() for alert in alerts}
    assert said == ALERTS.keys()
