"""``tools.settlement``: who counts a line that settles a sales order."""

import pytest
from matomo_order_tracking.tools.settlement import (
    LineRole,
    SalesOrder,
    SoldLine,
    TillLine,
    counts_itself,
    get_counted_orders,
    get_left,
    get_original,
    get_role,
    get_surplus,
    get_undecided_orders,
    is_counted_at_till,
)

BOUGHT, SETTLEMENT, RETURN = LineRole.BOUGHT, LineRole.SETTLEMENT, LineRole.RETURN
ORDER, OTHER = 1, 2


def round_quantity(quantity):
    """Round as Odoo's units of measure do by default."""
    return round(quantity, 2)


def line(quantity=1.0, order=None, **facts):
    return TillLine(**{"key": 10, "quantity": quantity, "order": order, **facts})


@pytest.mark.parametrize(
    ("state", "is_in_matomo", "is_cancelled", "expected"),
    [
        # Its request waits or failed: it is sent one day, or a person sees to it.
        ("pending", False, False, True),
        ("failed", False, False, True),
        ("pending", False, True, False),
        ("failed", False, True, False),
        # It may be on its way, or Matomo has it: a cancellation changes nothing.
        ("pending", True, False, True),
        ("pending", True, True, True),
        ("sent", True, False, True),
        ("sent", True, True, True),
        ("verified", True, False, True),
        ("verified", True, True, True),
        # Nobody sends it.
        ("excluded", False, False, False),
        ("excluded", False, True, False),
        ("cancelled", False, False, False),
        ("cancelled", False, True, False),
    ],
)
def test_sales_order_counts_itself(state, is_in_matomo, is_cancelled, expected):
    assert counts_itself(SalesOrder(state, is_in_matomo, is_cancelled)) is expected


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_no_till_counts_an_order_whose_shopper_refused(is_cancelled):
    order = SalesOrder("excluded", is_cancelled=is_cancelled, is_refused=True)
    assert counts_itself(order)


def test_no_till_counts_an_order_that_a_person_left_out():
    assert counts_itself(SalesOrder("cancelled", is_left_out=True))


# Which sales order counts itself, and with which one Matomo has this POS order.
NOBODY, ITSELF, RECORDED = ((), ()), ((), (ORDER,)), ((ORDER,), ())
BOTH, ANOTHER = ((ORDER,), (ORDER,)), ((OTHER,), (ORDER,))


@pytest.mark.parametrize(
    ("facts", "orders", "expected"),
    [
        # The till's own lines.
        (line(), NOBODY, BOUGHT),
        (line(), ITSELF, BOUGHT),
        (line(0.0), NOBODY, BOUGHT),
        (line(-1.0), NOBODY, RETURN),
        (line(-1.0, is_refund=True), NOBODY, RETURN),
        # They settle a sales order.
        (line(order=ORDER), NOBODY, BOUGHT),
        (line(order=ORDER), ITSELF, SETTLEMENT),
        (line(order=ORDER), RECORDED, BOUGHT),
        # Confirmed again, it counts itself: Matomo has this part from the till.
        (line(order=ORDER), BOTH, BOUGHT),
        # Matomo has the POS order with another sales order's lines.
        (line(order=ORDER), ANOTHER, SETTLEMENT),
        (line(order=OTHER), ITSELF, BOUGHT),
        # A line of a sales order that takes something back.
        (line(-1.0, ORDER), NOBODY, RETURN),
        (line(-1.0, ORDER), ITSELF, SETTLEMENT),
        (line(-1.0, ORDER), RECORDED, RETURN),
        # A refund is one, wherever the line it takes back is counted.
        (line(-1.0, ORDER, is_refund=True), NOBODY, RETURN),
        (line(-1.0, ORDER, is_refund=True), ITSELF, RETURN),
        (line(-1.0, ORDER, is_refund=True), RECORDED, RETURN),
        # A down payment and its deduction.
        (line(1.0, ORDER, is_down_payment=True), NOBODY, BOUGHT),
        (line(1.0, ORDER, is_down_payment=True), ITSELF, SETTLEMENT),
        (line(-1.0, ORDER, is_down_payment=True), NOBODY, BOUGHT),
        (line(-1.0, ORDER, is_down_payment=True), ITSELF, SETTLEMENT),
        (line(-1.0, ORDER, is_down_payment=True), RECORDED, BOUGHT),
        (line(-1.0, ORDER, is_down_payment=True, is_refund=True), ITSELF, RETURN),
    ],
)
def test_role_of_a_till_line(facts, orders, expected):
    recorded, counting = orders
    assert get_role(facts, recorded, counting) is expected


@pytest.mark.parametrize(
    ("facts", "recorded", "expected"),
    [
        (line(order=ORDER), (), False),
        (line(order=ORDER), (ORDER,), True),
        (line(order=ORDER), (OTHER,), False),
        (line(), (ORDER,), False),
        (line(-1.0, ORDER), (ORDER,), False),
        (line(-1.0, ORDER, is_down_payment=True), (ORDER,), True),
        (line(-1.0, ORDER, is_refund=True), (ORDER,), False),
    ],
)
def test_part_of_a_sales_order_that_matomo_has_from_the_till(facts, recorded, expected):
    assert is_counted_at_till(facts, recorded) is expected


def test_only_settled_orders_that_are_not_recorded_are_asked():
    lines = [
        line(),
        line(order=ORDER),
        line(order=ORDER),
        line(order=OTHER),
        line(-1.0, 3, is_refund=True),
    ]
    assert get_undecided_orders(lines, ()) == {ORDER, OTHER}
    assert get_undecided_orders(lines, (ORDER,)) == {OTHER}
    assert get_undecided_orders([], (ORDER,)) == set()


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ({}, set()),
        ({line(): BOUGHT}, set()),
        ({line(order=ORDER): BOUGHT}, {ORDER}),
        ({line(order=ORDER): SETTLEMENT}, set()),
        ({line(-1.0, ORDER): RETURN}, set()),
        ({line(order=ORDER): SETTLEMENT, line(order=OTHER): BOUGHT}, {OTHER}),
        ({line(order=ORDER): BOUGHT, line(2.0, ORDER): BOUGHT}, {ORDER}),
    ],
)
def test_sales_orders_that_a_till_counts(roles, expected):
    assert get_counted_orders(roles) == expected


def sold(key, quantity, **facts):
    return TillLine(key=key, quantity=quantity, order=ORDER, **facts)


@pytest.mark.parametrize(
    ("ordered", "quantities", "expected"),
    [
        # All that tills sold of a sales order line, in turn, and each one's surplus.
        (2.0, (2.0,), (0.0,)),
        (2.0, (1.0, 1.0), (0.0, 0.0)),
        (3.0, (2.0, 4.0, 1.0), (0.0, 3.0, 1.0)),
        (2.0, (5.0,), (3.0,)),
        (0.0, (1.0,), (1.0,)),
        (0.8, (0.1, 0.7), (0.0, 0.0)),
        (0.8, (0.1, 0.8), (0.0, 0.1)),
        (1.0, (0.0,), (0.0,)),
        (1.0, (-1.0, 2.0, 1.0), (0.0, 0.0, 1.0)),
    ],
)
def test_surplus(ordered, quantities, expected):
    lines = [sold(*each) for each in enumerate(quantities)]
    # A till's line sees no later one, in whichever sequence it is given them.
    found = [get_surplus(each, lines[::-1], ordered, round_quantity) for each in lines]
    assert found == pytest.approx(list(expected))


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (sold(1, 2.0), 2.0),
        # The other POS order is not paid yet.
        (sold(1, 2.0, is_paid=False), 0.0),
        # What a till takes back stays sold: the next one is one more sale.
        (sold(1, -2.0, is_refund=True), 0.0),
        (sold(3, 2.0), 0.0),
    ],
)
def test_surplus_beside_another_line(earlier, expected):
    this = sold(2, 2.0)
    assert get_surplus(this, [earlier, this], 2.0, round_quantity) == expected


def test_down_payment_has_no_surplus():
    this = sold(2, 2.0, is_down_payment=True)
    assert get_surplus(this, [this], 0.0, round_quantity) == 0.0


@pytest.mark.parametrize(
    ("ordered", "counted", "expected"),
    [
        (5.0, (), 5.0),
        (5.0, (2.0,), 3.0),
        (5.0, (2.0, 3.0), 0.0),
        (5.0, (7.0,), 0.0),
        (0.8, (0.1, 0.7), 0.0),
        (0.8, (0.1, 0.6), 0.1),
        # Seven pieces of two dozen.
        (2.0, (7 / 12,), 2 - 7 / 12),
        (0.0, (1.0,), 0.0),
    ],
)
def test_what_is_left_of_a_sales_order_line(ordered, counted, expected):
    assert get_left(ordered, counted, round_quantity) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("role", "is_down_payment", "is_order_confirmed", "expected"),
    [
        (BOUGHT, False, False, "till"),
        (BOUGHT, False, True, "till"),
        # The till has counted the down payment, and gives it back.
        (BOUGHT, True, True, "till"),
        (RETURN, False, False, "till"),
        (SETTLEMENT, False, True, "order"),
        (SETTLEMENT, False, False, "order"),
        # The sales order stands: it was paid otherwise, and nothing is given back.
        (SETTLEMENT, True, True, None),
        (SETTLEMENT, True, False, "order"),
    ],
)
def test_original_of_a_returned_line(
    role, is_down_payment, is_order_confirmed, expected
):
    facts = SoldLine(role, "till", "order", is_down_payment, is_order_confirmed)
    assert get_original(facts) == expected
