"""From the lines of an order to the items of a Matomo order.

Matomo rounds the price of an item to two decimals, casts its quantity to a whole
number, multiplies the two, and keeps only the first of two items with the same SKU
(docs/matomo.md sections 7 and 14). These functions turn any lines into items whose
revenue is right under these rules.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, NamedTuple

from .texts import clean_text, decode_entities

CENT = Decimal("0.01")
# Python's usual 28 digits end at 1e26 with an error, and anybody may order 1e26 pieces.
WIDE = Context(prec=100)
# Matomo stores single precision: beyond this not even the whole units are right, and no
# shop sells for so much.
MAX_AMOUNT = Decimal("1e12")
# Above 65,535 Matomo clips the number of items of an order (docs/matomo.md section 7).
MAX_QUANTITY = 65535
MAX_CATEGORIES = 5
MAX_SKU_LENGTH = 255
MAX_NAME_LENGTH = 1000
MAX_CATEGORY_LENGTH = 255
# A unit price of two decimals may miss the amount of the line by at most this share.
MAX_PRICE_DEVIATION = Decimal("0.01")
# A rate is a float, often the inverse of the number that somebody has entered: what a
# conversion leaves beyond six decimals is noise.
NOISE = Decimal("0.000001")

# The texts that PHP compares as numbers, with an exponent of at most five digits.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?")


class Product(NamedTuple):
    """What Matomo gets of a product.

    :ivar unit: in which the shop counts it, whatever identifies it
    """

    sku: str
    name: str
    categories: tuple[str, ...]
    unit: Any


@dataclass(frozen=True)
class Line:
    """A bought line of an order, as the shop counts it.

    :ivar amount: before tax and after the line's own discount, in the currency of the
        Matomo site
    :ivar quantity: how much was bought, in the line's own unit
    :ivar unit: identifies that unit
    :ivar product_quantity: the same quantity in the unit of the product
    """

    sku: str
    name: str
    categories: tuple[str, ...]
    amount: Decimal
    quantity: Decimal
    unit: int
    product_quantity: Decimal


@dataclass(frozen=True)
class Item:
    """An item as Matomo stores it: its revenue is ``price`` x ``quantity``."""

    sku: str
    name: str
    categories: tuple[str, ...]
    price: Decimal
    quantity: int

    @property
    def revenue(self) -> Decimal:
        return self.price * self.quantity


@dataclass(frozen=True)
class MergedItem:
    """An item, and the sums of the lines that it was made of.

    :ivar amount: of the lines, before tax, in the currency of the Matomo site
    :ivar quantity: of the lines
    :ivar as_one: whether the item is sent as quantity 1 at that amount
    :ivar line_count: how many lines there were
    """

    item: Item
    amount: Decimal
    quantity: Decimal
    as_one: bool
    line_count: int = 1


@dataclass(frozen=True)
class Amounts:
    """An order's amounts in the currency of the Matomo site.

    ``revenue = subtotal + tax + shipping - discount``.

    :ivar left_out: names of lines whose product no longer exists
    :ivar tolerance: how far the subtotal may be from the items by rounding alone
    :ivar order_revenue: the revenue in the order's currency; None: it is not known
    :ivar order_rate: see ``Conversion.rate``; None: it is not known
    """

    revenue: Decimal
    subtotal: Decimal
    tax: Decimal
    shipping: Decimal
    discount: Decimal
    items: list[MergedItem]
    left_out: list[str]
    tolerance: Decimal
    order_revenue: Decimal | None = None
    order_rate: float | None = None


class Conversion(NamedTuple):
    """From the currency of an order to another one.

    :ivar rate: how much of the order's currency is one of the other
    :ivar coin: the smallest amount of the other currency
    """

    rate: float
    coin: Decimal

    def convert(self, amount: Decimal) -> Decimal:
        """Return an amount of the order in the other currency, in whole coins."""
        converted = WIDE.divide(amount, to_decimal(self.rate))
        # Zero has no sign: Matomo would get "-0.00".
        return round_to(converted.quantize(NOISE, context=WIDE), self.coin) + 0


class Totals(NamedTuple):
    """The totals of what is counted of an order, in one currency.

    :ivar revenue: with tax
    :ivar shipping: before tax
    :ivar discount: before tax, positive
    """

    revenue: Decimal
    tax: Decimal
    shipping: Decimal
    discount: Decimal

    @property
    def subtotal(self) -> Decimal:
        """Return what is left for the items: ``revenue - tax - shipping + discount``.

        Matomo does not add up: this figure makes the five of them agree to the cent.
        """
        return self.revenue - self.tax - self.shipping + self.discount

    def convert(self, conversion: Conversion) -> "Totals":
        """Return these totals in another currency, each of them rounded once."""
        return Totals(*map(conversion.convert, self))


class LineAmounts(NamedTuple):
    """What a line costs, as the shop has stored it, in the order's currency.

    :ivar line: the line, whatever identifies it
    :ivar untaxed: before tax
    :ivar quantity: of the line
    """

    line: Any
    untaxed: Decimal
    tax: Decimal
    quantity: float

    @property
    def total(self) -> Decimal:
        """Return the amount with tax."""
        return self.untaxed + self.tax

    @property
    def is_discount(self) -> bool:
        """Return whether the line takes something off.

        A line that costs something is bought, even if a fixed tax within its price
        leaves less than nothing before tax.
        """
        return self.untaxed < 0 and self.total < 0

    def portion(self, quantity: float, coin: Decimal) -> "LineAmounts":
        """Return the part of these amounts that ``quantity`` of the line costs.

        :param coin: the smallest amount of the order's currency
        """
        if quantity == self.quantity:
            return self
        share = Decimal(0)
        if self.quantity:
            share = to_decimal(quantity) / to_decimal(self.quantity)
        untaxed = round_to(self.untaxed * share, coin)
        total = round_to(self.total * share, coin)
        return self._replace(untaxed=untaxed, tax=total - untaxed, quantity=quantity)

    def without(self, quantity: float, coin: Decimal) -> "LineAmounts":
        """Return what ``portion`` of that quantity leaves: both add up to the whole."""
        part = self.portion(quantity, coin)
        return self._replace(
            untaxed=self.untaxed - part.untaxed,
            tax=self.tax - part.tax,
            quantity=self.quantity - quantity,
        )


def choose_sku(candidates: Iterable[str | None], fallback: str) -> str:
    """Return the first candidate that Matomo accepts as an SKU, else ``fallback``.

    Matomo drops a line whose SKU is empty or "0" (docs/matomo.md section 7).
    """
    for candidate in candidates:
        sku = clean_text(decode_entities(candidate or ""), MAX_SKU_LENGTH)
        if sku and sku != "0":
            return sku
    return fallback


def choose_categories(names: Iterable[str | None]) -> tuple[str, ...]:
    """Return the first five distinct names that Matomo keeps: not blank, not "0"."""
    return _clean_categories(names)[:MAX_CATEGORIES]


def get_left_out_categories(names: Iterable[str | None]) -> tuple[str, ...]:
    """Return the names that ``choose_categories`` leaves out, because five are kept."""
    return _clean_categories(names)[MAX_CATEGORIES:]


def _clean_categories(names: Iterable[str | None]) -> tuple[str, ...]:
    categories: dict[str, None] = {}
    for name in names:
        category = clean_text(decode_entities(name or ""), MAX_CATEGORY_LENGTH)
        if category and category != "0":
            categories.setdefault(category)
    return tuple(categories)


def merge_lines(lines: Iterable[Line]) -> list[MergedItem]:
    """Return one item for each SKU, in the sequence of the lines.

    Lines in different units are added up in the unit of the product: a dozen and
    three pieces are fifteen.

    Lines become one item of quantity 1 at their amount if their quantities do not add
    up to a whole number from 1 to 65,535, or if the unit price of two decimals would
    miss the amount by more than 1 %. Lines of quantity zero are left out.

    If two SKUs are the same number, for example "0123" and "123", the second one gets
    a "#" before it: Matomo would mix them up (docs/matomo.md section 15).
    """
    merged: dict[str, list[Line]] = {}
    for line in lines:
        if line.quantity:
            merged.setdefault(line.sku, []).append(line)
    numbers: set[Decimal] = set()
    items = []
    for sku, same in merged.items():
        if _NUMBER.fullmatch(sku):
            number = Decimal(sku)
            while number in numbers and sku in merged:
                sku = f"#{sku}"
            numbers.add(number)
        items.append(_make_item(sku, same))
    return items


def _make_item(sku: str, lines: list[Line]) -> MergedItem:
    first = lines[0]
    amount = sum((line.amount for line in lines), Decimal(0))
    is_mixed = len({line.unit for line in lines}) > 1
    quantity = sum(
        (line.product_quantity if is_mixed else line.quantity for line in lines),
        Decimal(0),
    )
    price = round_cents(amount / quantity) if quantity else amount
    is_countable = (
        quantity == quantity.to_integral_value() and 1 <= quantity <= MAX_QUANTITY
    )
    as_one = not (
        is_countable
        and abs(price * quantity - amount) <= abs(amount) * MAX_PRICE_DEVIATION
    )
    return MergedItem(
        item=Item(
            sku=sku,
            name=first.name,
            categories=next((x.categories for x in lines if x.categories), ()),
            price=round_cents(amount) if as_one else price,
            quantity=1 if as_one else int(quantity),
        ),
        amount=amount,
        quantity=quantity,
        as_one=as_one,
        line_count=len(lines),
    )


def to_decimal(amount: float) -> Decimal:
    """Return a float as the number that it is written as."""
    return Decimal(str(amount))


def round_to(amount: Decimal, coin: Decimal) -> Decimal:
    """Return the multiple of ``coin`` that is next to an amount; halves go outwards."""
    coins = WIDE.divide(amount, coin)
    return WIDE.multiply(coins.quantize(Decimal(1), ROUND_HALF_UP, WIDE), coin)


def round_cents(amount: Decimal) -> Decimal:
    """Return the amount with the two decimals that Matomo keeps."""
    return amount.quantize(CENT, ROUND_HALF_UP, WIDE)
