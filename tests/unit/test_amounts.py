"""Amounts as the shop has stored them: converted once, shared out, balanced."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.items import (
    CENT,
    Conversion,
    LineAmounts,
    Totals,
    round_to,
    to_decimal,
)

COINS = st.sampled_from(["0.001", "0.01", "0.05", "1", "10"]).map(Decimal)
AMOUNT = st.integers(-(10**12), 10**12).map(lambda number: Decimal(number) / 1000)
RATE = st.floats(1e-4, 1e5)
QUANTITY = st.one_of(
    st.integers(-50, 50), st.floats(-50, 50).map(lambda n: round(n, 3))
)


def d(text):
    return Decimal(text)


# === CONVERSION === #


@pytest.mark.parametrize(
    ("amount", "rate", "coin", "expected"),
    [
        ("115.00", 1.0, "0.01", "115.00"),
        # Odoo divides by the rate of the order: 4 euros to the dollar.
        ("230.00", 4.0, "0.01", "57.50"),
        # An amount of three decimals, of a site in its own currency.
        ("1.235", 1.0, "0.01", "1.24"),
        # Somebody has entered 0.917, Odoo divides by its inverse: exactly half a cent.
        ("15.00", 1 / 0.917, "0.01", "13.76"),
        ("5.00", 1 / 0.917, "0.01", "4.59"),
        ("-5.00", 1 / 0.917, "0.01", "-4.59"),
        # No coin of the yen is smaller than one, but Matomo gets cents.
        ("0.43", 1 / 150, "1", "65"),
        ("0.22", 1.0, "0.05", "0.20"),
        ("0.225", 1.0, "0.05", "0.25"),
        # Once: 0.0447 is no 0.045, and no 0.05.
        ("0.0447", 1.0, "0.01", "0.04"),
        ("0.00", 3.0, "0.01", "0.00"),
        ("-0.00", 3.0, "0.01", "0.00"),
        ("-0.001", 1.0, "0.01", "0.00"),
        # A tenth of a thousandth of a bitcoin is money.
        ("0.00012345", 1 / 60000, "0.01", "7.41"),
    ],
)
def test_convert(amount, rate, coin, expected):
    converted = Conversion(rate, d(coin)).convert(d(amount))
    assert converted == d(expected)
    assert f"{converted:.2f}" == f"{d(expected):.2f}"


@given(amount=AMOUNT, rate=RATE, coin=COINS)
def test_conversion_rounds_to_the_next_coin(amount, rate, coin):
    converted = Conversion(rate, coin).convert(amount)
    assert converted % coin == 0
    assert abs(converted - amount / to_decimal(rate)) <= coin / 2 + d("0.000001")
    assert Conversion(rate, coin).convert(-amount) == -converted
    assert converted or not converted.is_signed()


@given(amount=AMOUNT)
def test_amount_in_the_currency_of_the_site_is_not_converted(amount):
    assert Conversion(1.0, CENT).convert(amount) == round_to(amount, CENT)


# === TOTALS === #


@pytest.mark.parametrize(
    ("revenue", "tax", "shipping", "discount", "subtotal"),
    [
        ("115.00", "15.00", "0.00", "0.00", "100.00"),
        # The tax was 20 % when the order was made, whatever it is now.
        ("120.00", "20.00", "0.00", "0.00", "100.00"),
        ("217.87", "28.42", "0.00", "21.05", "210.50"),
        ("235.30", "30.30", "5.00", "0.00", "200.00"),
        # A discount of 100 % that leaves a cent.
        ("0.01", "0.00", "0.00", "25.38", "25.39"),
        # A fixed tax of 1.50 within a price of 1.00.
        ("1.00", "1.50", "0.00", "0.00", "-0.50"),
        # A module has added a fee of 5.00 to the total alone.
        ("120.00", "15.00", "0.00", "0.00", "105.00"),
        ("0.00", "0.00", "0.00", "0.00", "0.00"),
    ],
)
def test_subtotal_is_the_balance(revenue, tax, shipping, discount, subtotal):
    totals = Totals(d(revenue), d(tax), d(shipping), d(discount))
    assert totals.subtotal == d(subtotal)


@given(
    revenue=AMOUNT, tax=AMOUNT, shipping=AMOUNT, discount=AMOUNT, rate=RATE, coin=COINS
)
def test_totals_agree_to_the_cent(revenue, tax, shipping, discount, rate, coin):
    coin = max(coin, CENT)
    totals = Totals(revenue, tax, shipping, discount).convert(Conversion(rate, coin))
    sent = [Decimal(f"{amount:.2f}") for amount in totals]
    assert sent == list(totals)
    assert sent[0] == Decimal(f"{totals.subtotal:.2f}") + sent[1] + sent[2] - sent[3]


# === SHARES === #


@pytest.mark.parametrize(
    ("quantity", "untaxed", "tax"),
    [
        (3.0, "10.00", "1.50"),
        (1.0, "3.33", "0.50"),
        (2.0, "6.67", "1.00"),
        (0.0, "0.00", "0.00"),
        (4.0, "13.33", "2.00"),
    ],
)
def test_portion_of_a_line(quantity, untaxed, tax):
    whole = LineAmounts("line", d("10.00"), d("1.50"), 3.0)
    expected = ("line", d(untaxed), d(tax), quantity)
    assert whole.portion(quantity, CENT) == expected


def test_portion_has_its_share_of_the_total_with_tax():
    """33.33 of a price of 100.00 with 21 % in it, not 27.55 and 5.79."""
    part = LineAmounts("line", d("82.64"), d("17.36"), 3.0).portion(1.0, CENT)
    assert (part.untaxed, part.tax, part.total) == (d("27.55"), d("5.78"), d("33.33"))


def test_whole_line_is_not_rounded_again():
    whole = LineAmounts("line", d("0.3004"), d("0"), 0.0)
    assert whole.portion(0.0, CENT) is whole


def test_line_of_no_quantity_has_no_part():
    whole = LineAmounts("line", d("10.00"), d("1.50"), 0.0)
    assert whole.portion(1.0, CENT) == ("line", 0, 0, 1.0)


def test_two_halves_of_a_cent_are_a_cent():
    whole = LineAmounts("line", d("0.01"), d("0.00"), 2.0)
    assert whole.portion(1.0, CENT).total == d("0.01")
    assert whole.without(1.0, CENT).total == d("0.00")


@given(untaxed=AMOUNT, tax=AMOUNT, quantity=QUANTITY, part=QUANTITY, coin=COINS)
def test_shares_add_up(untaxed, tax, quantity, part, coin):
    whole = LineAmounts("line", round_to(untaxed, coin), round_to(tax, coin), quantity)
    taken, left = whole.portion(part, coin), whole.without(part, coin)
    assert taken.untaxed + left.untaxed == whole.untaxed
    assert taken.tax + left.tax == whole.tax
    assert taken.total + left.total == whole.total
    assert all(amount % coin == 0 for amount in (taken.untaxed, taken.tax, left.tax))
    if quantity:
        share = to_decimal(part) / to_decimal(quantity)
        assert abs(taken.total - whole.total * share) <= coin / 2 + d("0.000001")
        assert abs(taken.untaxed - whole.untaxed * share) <= coin / 2 + d("0.000001")


@pytest.mark.parametrize(
    ("untaxed", "tax", "expected"),
    [
        ("-10.00", "-1.50", True),
        ("10.00", "1.50", False),
        ("0.00", "0.00", False),
        # A fixed tax of 1.50 within a price of 1.00: it is bought.
        ("-0.50", "1.50", False),
        ("1.00", "-2.50", False),
    ],
)
def test_discount_takes_something_off(untaxed, tax, expected):
    line = LineAmounts("line", d(untaxed), d(tax), 1.0)
    assert line.is_discount is expected
