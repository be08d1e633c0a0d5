"""Lines become items: no line is lost or doubled, amounts are exact to the cent."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.items import (
    CENT,
    MAX_QUANTITY,
    Conversion,
    Line,
    choose_categories,
    choose_sku,
    get_left_out_categories,
    merge_lines,
    round_cents,
)


def line(sku="SKU", amount="10.00", quantity="1", categories=(), name="Chair", unit=1):
    """Return a line whose unit is ``unit`` times the unit of the product."""
    quantity = Decimal(quantity)
    return Line(sku, name, categories, Decimal(amount), quantity, unit, quantity * unit)


def merge(*lines):
    return [(str(m.item.price), m.item.quantity, m.as_one) for m in merge_lines(lines)]


@pytest.mark.parametrize(
    ("amount", "quantity", "price", "sent", "as_one"),
    [
        ("100.00", "2", "50.00", 2, False),
        # docs/matomo.md section 14: 3.333333 x 3 is 9.99 there.
        ("10.00", "3", "3.33", 3, False),
        # 0.03 x 1000 is 10 % off 33.30.
        ("33.30", "1000", "33.30", 1, True),
        ("1.00", "0.35", "1.00", 1, True),
        ("5.50", "2.75", "5.50", 1, True),
        ("2.00", "65535", "2.00", 1, True),
        ("65535.00", "65535", "1.00", 65535, False),
        ("65536.00", "65536", "65536.00", 1, True),
        ("0.00", "4", "0.00", 4, False),
        ("0.01", "2", "0.01", 1, True),
        ("1234567.89", "1", "1234567.89", 1, False),
        ("10.00", "2.0", "5.00", 2, False),
    ],
)
def test_price_and_quantity(amount, quantity, price, sent, as_one):
    assert merge(line(amount=amount, quantity=quantity)) == [(price, sent, as_one)]


def test_lines_of_one_sku_are_one_item():
    lines = [
        line("A", "10.00", "1"),
        line("B", "5.00", "1"),
        line("A", "20.00", "2", categories=("Chairs",), name="Other"),
    ]
    first, second = merge_lines(lines)
    assert (first.item.sku, first.item.name) == ("A", "Chair")
    assert (first.item.categories, first.item.quantity) == (("Chairs",), 3)
    assert (first.amount, first.quantity) == (Decimal("30.00"), Decimal(3))
    assert second.item.sku == "B"


def test_lines_in_several_units_are_counted_in_the_products():
    dozen = line(amount="108.00", quantity="1", unit=12)
    assert merge(dozen) == [("108.00", 1, False)]
    assert merge(dozen, line(amount="27.00", quantity="3")) == [("9.00", 15, False)]


def test_quantity_zero_bought_nothing():
    assert merge(line(quantity="0")) == []
    assert merge(line(quantity="1"), line(quantity="-1")) == [("20.00", 1, True)]


def test_skus_that_are_one_number_to_matomo():
    skus = ["0123", "123", "123.0", "1.23e2", "#123", "0123x", "A", "a", "124"]
    items = [m.item.sku for m in merge_lines(map(line, skus))]
    assert items == [
        "0123",
        "##123",
        "#123.0",
        "#1.23e2",
        "#123",
        "0123x",
        "A",
        "a",
        "124",
    ]


AMOUNTS = st.decimals(0, 10**7, places=2)
QUANTITIES = st.one_of(
    st.integers(1, 70_000).map(Decimal), st.decimals("0.001", 1000, places=3)
)
LINES = st.builds(
    line,
    sku=st.sampled_from(["A", "B", "1", "01", "1.0", "#1", "#01", "é", "e"]),
    name=st.text(max_size=5),
    categories=st.just(()),
    amount=AMOUNTS,
    quantity=QUANTITIES,
    unit=st.sampled_from([1, 1, 1, 12]),
)


@given(st.lists(LINES, max_size=12))
def test_merged_lines(lines):
    merged = merge_lines(lines)
    skus = [m.item.sku for m in merged]
    assert len(skus) == len(set(skus)) == len({each.sku for each in lines})
    numbers = [Decimal(sku) for sku in skus if re.fullmatch(r"[0-9.]+", sku)]
    assert len(numbers) == len(set(numbers))
    assert sum(m.amount for m in merged) == sum(each.amount for each in lines)
    units = {}
    for each in lines:
        units.setdefault(each.sku, set()).add(each.unit)
    assert sum(m.quantity for m in merged) == sum(
        each.quantity if len(units[each.sku]) == 1 else each.product_quantity
        for each in lines
    )
    for m in merged:
        assert type(m.item.quantity) is int and 1 <= m.item.quantity <= MAX_QUANTITY
        assert m.item.price == m.item.price.quantize(CENT)
        if m.as_one:
            assert (m.item.quantity, m.item.price) == (1, m.amount)
        else:
            assert m.item.quantity == m.quantity
            assert abs(m.item.revenue - m.amount) <= m.amount / 100
            assert abs(m.item.revenue - m.amount) <= m.item.quantity * CENT / 2


# === TEXTS === #


@pytest.mark.parametrize(
    ("candidates", "sku"),
    [
        (["CHAIR-1"], "CHAIR-1"),
        ([None, False, "", "  ", "0", "5901234123457"], "5901234123457"),
        (["\x00\n\t", "B"], "B"),
        ([" A\nB "], "A B"),
        (["x" * 300], "x" * 255),
        # Matomo decodes them: both are one SKU there.
        (["A&amp;lt;B"], "A<B"),
        ([None], "product-7"),
        ([], "product-7"),
    ],
)
def test_sku(candidates, sku):
    assert choose_sku(candidates, "product-7") == sku


def test_categories():
    names = [
        "Chairs",
        None,
        "",
        "0",
        "Chairs",
        "B",
        "A &amp; C",
        "A & C",
        "D",
        "E",
        "F",
    ]
    assert choose_categories(names) == ("Chairs", "B", "A & C", "D", "E")
    assert get_left_out_categories(names) == ("F",)
    assert get_left_out_categories(["Chairs", "B"]) == ()


@pytest.mark.parametrize(
    "amount", ["1e26", "-1e26", "1e60", "99999999999999999999999999.995"]
)
def test_no_amount_is_too_large_to_be_rounded(amount):
    """Python's decimals end at 28 digits with an error; carts do not."""
    rounded = round_cents(Decimal(amount))
    assert abs(rounded - Decimal(amount)) <= Decimal("0.005")
    assert Conversion(2.0, Decimal("0.01")).convert(Decimal(amount)).is_finite()
