"""From Odoo's sales report of a day to the revenue that is compared with Matomo."""

from decimal import Decimal

import pytest
from english import ENGLISH
from matomo_order_tracking.tools.sales_report import (
    DETAILS,
    TEXTS,
    Reason,
    Reported,
    get_tolerance,
    walk,
)

CENT = Decimal("0.01")
A, B = "sale.order,1", "pos.order,1"


def cents(amount):
    return amount.quantize(CENT)


def reported(untaxed, total, lines=1, reader=True, site=True):
    return Reported(Decimal(untaxed), Decimal(total), lines, reader, site)


def run(orders, compared, reasons=None, parts=None):
    compared = {key: Decimal(amount) for key, amount in compared.items()}
    parts = {
        key: {kind: Decimal(amount) for kind, amount in of_order.items()}
        for key, of_order in (parts or {}).items()
    }
    reasons = {key: Reason(*reason) for key, reason in (reasons or {}).items()}
    tolerances = {
        key: get_tolerance(order.lines, CENT, CENT) for key, order in orders.items()
    }
    steps = walk(orders, compared, reasons, parts, tolerances, cents)
    total = sum(compared.values(), Decimal(0))
    assert sum(step.orders for step in steps) == len(compared)
    assert sum(step.amount for step in steps) == cents(total)
    return [
        (step.kind, *([step.detail] if step.detail else []), step.orders, step.amount)
        for step in steps
    ]


@pytest.mark.parametrize(
    ("orders", "compared", "reasons", "parts", "expected"),
    [
        # Nothing was sold.
        ({}, {}, {}, {}, []),
        # All is the same but tax.
        (
            {A: reported(100, 115)},
            {A: 115},
            {},
            {},
            [("report", 1, 100), ("taxes", 0, 15)],
        ),
        # The reader's day is another one than that of the site.
        (
            {
                A: reported(100, 115, site=False),
                B: reported(10, 12, reader=False),
            },
            {B: 12},
            {},
            {},
            [
                ("report", 1, 100),
                ("taxes", 0, 15),
                ("other_day", -1, -115),
                ("this_day", 1, 12),
            ],
        ),
        # Only Odoo's report counts them.
        (
            {A: reported(100, 115), B: reported(-10, -12)},
            {},
            {A: ("site", "Outlet"), B: ("excluded", "A return.")},
            {},
            [
                ("report", 2, 90),
                ("taxes", 0, 13),
                ("site", "Outlet", -1, -115),
                ("excluded", "A return.", -1, 12),
            ],
        ),
        # Only the comparison counts it.
        (
            {},
            {A: 115},
            {A: ("hidden",)},
            {},
            [("report", 0, 0), ("hidden", 1, 115)],
        ),
        # An exchange, a cent of rounding, and what nobody knows.
        (
            {B: reported(90, 100, lines=2)},
            {B: "150.01"},
            {},
            {B: {"returned": 50}},
            [
                ("report", 1, 90),
                ("taxes", 0, 10),
                ("returned", 0, 50),
                ("rounding", 0, Decimal("0.01")),
            ],
        ),
        (
            {B: reported(90, 100)},
            {B: 103},
            {},
            {},
            [("report", 1, 90), ("taxes", 0, 10), ("rest", 0, 3)],
        ),
        # Thirds of a cent: each figure on the screen is rounded, and they add up.
        (
            {A: reported("33.334", "38.334"), B: reported("33.334", "38.334")},
            {A: "38.33", B: "38.33"},
            {},
            {},
            [
                ("report", 2, Decimal("66.67")),
                ("taxes", 0, 10),
                ("rounding", 0, Decimal("-0.01")),
            ],
        ),
    ],
)
def test_steps_lead_from_the_report_to_the_comparison(
    orders, compared, reasons, parts, expected
):
    assert run(orders, compared, reasons, parts) == (expected or [("report", 0, 0)])


@pytest.mark.parametrize(
    ("coins", "total", "compared", "kind"),
    [
        # A cent of dollars is one and a half yen: Matomo's site is in dollars.
        (("1", "1.5"), "1999", "2000", "rounding"),
        (("1", "1.5"), "1999", "2001", "rest"),
        # A hundredth of a dinar is three cents.
        (("0.01", "0.0325"), "12.34", "12.32", "rounding"),
        (("0.01", "0.0325"), "12.34", "12.31", "rest"),
        (("0.01", "0.01"), "12.34", "12.32", "rest"),
        # A thousandth of a dinar.
        (("0.001", "0.001"), "1.235", "1.234", "rounding"),
        (("0.001", "0.001"), "1.235", "1.233", "rest"),
        (("0.001", "0.01"), "1.235", "1.24", "rounding"),
    ],
)
def test_rounding_depends_on_the_currencies(coins, total, compared, kind):
    """Yen and dinars that were converted passed for tips."""
    tolerances = {A: get_tolerance(1, *map(Decimal, coins))}
    orders, compared = {A: reported(total, total)}, {A: Decimal(compared)}
    steps = walk(orders, compared, {}, {}, tolerances, lambda amount: amount)
    assert [step.kind for step in steps] == ["report", kind]


def test_the_worst_reason_of_a_kind_comes_first():
    orders = {f"sale.order,{n}": reported(n, n) for n in (1, 2, 3)}
    reasons = {key: ("excluded", key) for key in orders}
    details = [step[1] for step in run(orders, {}, reasons)[1:]]
    assert details == ["sale.order,3", "sale.order,2", "sale.order,1"]


def test_few_reasons_are_told_apart():
    orders = {f"sale.order,{n}": reported(n, n) for n in range(1, 21)}
    reasons = {key: ("excluded", key) for key in orders}
    steps = run(orders, {}, reasons)[1:]
    assert len(steps) == DETAILS + 1
    assert steps[-1] == ("excluded", -12, -sum(range(1, 13)))


def test_an_order_without_a_reason_is_no_secret():
    """Whoever gathers the facts says why, of each order."""
    with pytest.raises(KeyError):
        run({A: reported(1, 1)}, {})


def test_every_kind_has_a_sentence():
    for kind, text in TEXTS.items():
        assert text(ENGLISH, "Outlet"), kind
