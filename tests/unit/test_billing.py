"""``tools.billing``: how much of an order is really refunded."""

from decimal import Decimal

import pytest
from matomo_order_tracking.tools.billing import Document, get_refunded

REVENUE = 230


def goods(amount, down_payments=0):
    return Document(Decimal(amount), Decimal(down_payments))


def down_payment(amount):
    return goods(0, amount)


def replacement(amount):
    return Document(Decimal(amount), is_replacement=True)


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        # === CREDIT NOTES === #
        ([], 0),
        ([goods(230)], 0),
        ([goods(230), goods(-230)], 230),
        ([goods(230), goods(-46), goods(-40)], 86),
        # The order was never invoiced, or is invoiced later.
        ([goods(-46)], 46),
        ([goods(-46), goods(230)], 46),
        # More is credited than was sold.
        ([goods(230), goods(-300)], 230),
        ([goods(-300)], 230),
        # === INVOICED AGAIN === #
        ([goods(230), goods(-230), goods(230)], 0),
        ([goods(230), goods(-230), goods(230), goods(-230)], 230),
        ([goods(230), goods(-230), goods(200)], 30),
        ([goods(230), goods(-230), goods(230), goods(-230), goods(230)], 0),
        ([goods(230), goods(-230), replacement(230)], 0),
        ([goods(230), goods(-230), replacement(230), goods(-230)], 230),
        # === DELIVERED IN PARTS === #
        ([goods(115)], 0),
        ([goods(115), goods(-115)], 115),
        ([goods(115), goods(-46), goods(115)], 46),
        # The first part is returned, the second delivered.
        ([goods(115), goods(-115), goods(115)], 115),
        ([goods(115), goods(-115), goods(115), goods(-115)], 230),
        # The first part was corrected.
        ([goods(115), goods(-115), replacement(115)], 0),
        ([goods(115), goods(-115), replacement(115), goods(115)], 0),
        ([goods(115), goods(-115), replacement(115), goods(115), goods(-115)], 115),
        # === MORE THAN WAS SENT === #
        # What was added to the order after it was sent is taken off again.
        ([goods(300), goods(-70)], 0),
        ([goods(300), goods(-230)], 160),
        ([goods(300), goods(-300)], 230),
        # === DOWN PAYMENTS === #
        ([down_payment(115)], 0),
        # The order stands.
        ([down_payment(115), down_payment(-115)], 0),
        ([down_payment(115), down_payment(-115), goods(230)], 0),
        ([down_payment(115), goods(230, -115)], 0),
        # The shop keeps the down payment, until it credits that, too.
        ([down_payment(115), goods(230, -115), goods(-230, 115)], 115),
        (
            [down_payment(115), goods(230, -115), goods(-230, 115), down_payment(-115)],
            230,
        ),
        ([down_payment(115), goods(230, -115), goods(-230, 115), goods(230, -115)], 0),
        # In the other sequence.
        ([down_payment(115), goods(230, -115), down_payment(-115)], 115),
        # A part is delivered, the rest of the down payment is paid back at once.
        ([down_payment(115), goods(46, -115)], 0),
        ([down_payment(115), goods(46, -115), goods(184)], 0),
        ([down_payment(115), goods(115, -115), goods(-115, 115)], 115),
    ],
)
def test_refunded(documents, expected):
    for each in (documents, documents[::-1]):
        assert get_refunded(Decimal(REVENUE), each) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (goods(230), 0),
        (goods(-46), 46),
        (goods(-230, 115), 115),
        (down_payment(-115), 115),
        # An invoice of a part that pays back the rest of a down payment.
        (goods(46, -115), 69),
    ],
)
def test_credited(document, expected):
    assert document.credited == expected
