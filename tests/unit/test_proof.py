"""How far the proof of a connection is."""

from datetime import datetime, timedelta

import pytest
from matomo_order_tracking.tools.proof import ProofFacts, find_stage

NOW = datetime(2026, 3, 3, 10)
AGO = NOW - timedelta(seconds=5)
LONG_AGO = NOW - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        ({"has_order": False}, "no_order"),
        ({"asked": None}, "ready"),
        ({"asked": None, "state": "sent"}, "ready"),
        ({"asked": None, "state": "verified"}, "verified"),
        ({"state": "pending"}, "sending"),
        ({"state": "pending", "is_off": True}, "not_running"),
        ({"state": "pending", "asked": LONG_AGO}, "not_running"),
        ({"state": "pending", "is_tried": True}, "deferred"),
        ({"state": "pending", "is_tried": True, "asked": LONG_AGO}, "deferred"),
        ({"state": "sent", "sent": AGO}, "reading"),
        ({"state": "sent", "sent": LONG_AGO}, "not_running"),
        ({"state": "sent", "sent": AGO, "is_off": True}, "not_running"),
        ({"state": "verified"}, "verified"),
        ({"state": "different"}, "different"),
        ({"state": "failed"}, "failed"),
        ({"state": "excluded"}, "failed"),
        ({"state": "cancelled"}, "failed"),
        ({"state": ""}, "failed"),
    ],
)
def test_stages(facts, stage):
    facts = ProofFacts(**{"now": NOW, "has_order": True, "asked": AGO, **facts})
    assert find_stage(facts) == stage
