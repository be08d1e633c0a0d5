"""The amounts of an order and of its lines, as plain values."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from ..matomo_api.items import MergedItem
from .settlement import LineRole


def to_decimal(amount: float) -> Decimal:
    """Return a float as Odoo computes amounts; its noise begins beyond six decimals."""
    return Decimal(f"{amount:.6f}")


@dataclass(frozen=True)
class Amounts:
    """An order's amounts in the currency of the Matomo site.

    ``revenue = subtotal + tax + shipping - discount``.

    :ivar left_out: names of lines whose product no longer exists
    :ivar tolerance: how far the subtotal may be from the items by rounding alone
    """

    revenue: Decimal
    subtotal: Decimal
    tax: Decimal
    shipping: Decimal
    discount: Decimal
    items: list[MergedItem]
    left_out: list[str]
    tolerance: Decimal


class CountedLine(NamedTuple):
    """What is counted of a line with its order.

    :ivar line: the line, whatever identifies it
    :ivar quantity: how much of it is counted, perhaps 0.0 of a line of no quantity;
        None: it is not counted with this order
    """

    line: Any
    role: LineRole
    quantity: float | None


class LineAmounts(NamedTuple):
    """What a line costs, in the order's currency.

    :ivar line: the line, whatever identifies it; None: a part of the order's total
        that belongs to no line
    :ivar untaxed: before tax
    :ivar quantity: of the line
    """

    line: Any
    untaxed: float
    tax: float
    quantity: float

    def portion(self, quantity: float, round_amount: Callable) -> "LineAmounts":
        """Return the part of these amounts that ``quantity`` of the line costs.

        :param round_amount: rounds an amount to the order's currency
        """
        if quantity == self.quantity:
            return self
        share = quantity / self.quantity if self.quantity else 0.0
        return self._replace(
            untaxed=round_amount(self.untaxed * share),
            tax=round_amount(self.tax * share),
            quantity=quantity,
        )
