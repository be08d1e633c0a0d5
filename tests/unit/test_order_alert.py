from datetime import datetime, timedelta

import pytest
from matomo_order_tracking.const import STATES
from matomo_order_tracking.tools.order_alert import get_alert_level

NOW = datetime(2026, 3, 3, 10)
JUST_NOW, LONG = NOW - timedelta(minutes=9), NOW - timedelta(minutes=10)


@pytest.mark.parametrize(
    ("state", "is_too_much", "since", "level"),
    [
        (None, False, None, ""),
        ("failed", False, None, "danger"),
        ("different", False, None, "warning"),
        ("verified", True, None, "warning"),
        ("sent", True, None, "warning"),
        ("elsewhere", True, None, "warning"),
        # What Matomo does not have it does not count.
        ("cancelled", True, None, ""),
        ("excluded", True, None, ""),
        ("pending", False, None, ""),
        ("pending", False, JUST_NOW, ""),
        ("pending", False, LONG, "info"),
        # It waits for nothing any more.
        ("verified", False, LONG, ""),
    ],
)
def test_alert_level(state, is_too_much, since, level):
    assert get_alert_level(state, is_too_much, since, NOW) == level


def test_an_order_that_is_well_calls_nobody():
    quiet = {state for state, _label in STATES} - {"failed", "different"}
    assert {get_alert_level(state, False, None, NOW) for state in quiet} == {""}
