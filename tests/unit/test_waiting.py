"""What waits to be sent, in words: every number of orders and refunds."""

import pytest
from english import ENGLISH
from matomo_order_tracking.tools.waiting import Waiting, describe_waiting


@pytest.mark.parametrize(
    ("waiting", "text"),
    [
        (Waiting(), "No order waits"),
        (Waiting(1), "1 order waits"),
        (Waiting(12), "12 orders wait"),
        (Waiting(0, 1), "1 refund waits"),
        (Waiting(0, 12), "12 refunds wait"),
        (Waiting(1, 1), "1 order and 1 refund wait"),
        (Waiting(1, 3), "1 order and 3 refunds wait"),
        (Waiting(2, 1), "2 orders and 1 refund wait"),
        (Waiting(3, 2), "3 orders and 2 refunds wait"),
        (Waiting(10_000, 0, is_more=True), "More than 10,000 orders wait"),
        (Waiting(9_999, 1, is_more=True), "More than 10,000 orders and refunds wait"),
    ],
)
def test_what_waits(waiting, text):
    assert describe_waiting(ENGLISH, waiting) == text
