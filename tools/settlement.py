"""Who counts a line that settles a sales order: that order, or the till.

A POS order can pay a sales order (`pos_sale`), wholly or in part. Each line is
counted once: with the sales order if that counts itself, else with the POS order.
What Matomo has recorded stays where it is, whatever becomes of the orders later.

Nothing here imports Odoo. The models gather the facts, these functions decide, in
this sequence, so that no question leads back to itself:

1. ``is_counted_at_till``: with which lines Matomo has a part of a sales order. This
   follows from the request of the POS order alone.
2. ``get_left``: what is left of the sales order, and with it its verdict.
3. ``counts_itself``: whether the sales order counts itself.
4. ``get_role``: what the lines of a POS order are, which asks 3 for each sales order
   it settles (``get_undecided_orders``).
5. ``get_surplus``, ``get_counted_orders`` and ``get_original`` follow from the roles.

Keys are any hashable values that identify records.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from ..const import UNCOUNTED_STATES


class LineRole(Enum):
    """What a line is for the order it is a line of."""

    # Counted with this order.
    BOUGHT = "bought"
    # Settles a sales order, with which it is counted.
    SETTLEMENT = "settlement"
    # Takes something back.
    RETURN = "return"
    # No product: a down payment on the order itself.
    IGNORED = "ignored"


class CountedLine(NamedTuple):
    """What is counted of a line with its order.

    :ivar line: the line, whatever identifies it
    :ivar quantity: how much of it is counted, perhaps 0.0 of a line of no quantity;
        None: it is not counted with this order
    """

    line: Any
    role: LineRole
    quantity: float | None


# === FACTS === #


@dataclass(frozen=True)
class SalesOrder:
    """A sales order that a POS order has settled.

    :ivar state: the state of its request or, without one, of its verdict
    :ivar is_in_matomo: whether Matomo has it, or it may be on its way
    :ivar is_cancelled: whether it is cancelled in Odoo
    :ivar is_refused: whether its shopper refused, and its site gets nothing of them
    :ivar is_left_out: whether a person keeps it from Matomo
    """

    state: str
    is_in_matomo: bool = False
    is_cancelled: bool = False
    is_refused: bool = False
    is_left_out: bool = False


@dataclass(frozen=True)
class TillLine:
    """A line of a POS order.

    :ivar key: its id: lines that are sold later have greater ones
    :ivar quantity: in the unit of the product, negative if it is taken back
    :ivar order: key of the sales order it settles, if it does
    :ivar is_refund: whether it takes back a line of an earlier POS order
    :ivar is_down_payment: whether it settles a down payment of that sales order
    :ivar is_paid: whether its POS order is
    """

    key: int
    quantity: float
    order: Hashable = None
    is_refund: bool = False
    is_down_payment: bool = False
    is_paid: bool = True


@dataclass(frozen=True)
class SoldLine:
    """A line of a POS order that a later line takes back.

    :ivar role: on its own POS order
    :ivar pos_order: key of its own POS order
    :ivar order: key of the sales order it settled, if it did
    :ivar is_down_payment: see ``TillLine``
    :ivar is_order_confirmed: whether that sales order is confirmed, and stands
    """

    role: LineRole
    pos_order: Hashable
    order: Hashable = None
    is_down_payment: bool = False
    is_order_confirmed: bool = False


# === DECISIONS === #


def is_counted_at_till(line: TillLine, recorded: Collection) -> bool:
    """Return whether Matomo has a line's part of a sales order from the till.

    :param recorded: keys of the sales orders whose settled lines Matomo has with the
        POS order of this line
    """
    return line.order in recorded and get_role(line, recorded, ()) is LineRole.BOUGHT


def get_left(
    ordered: float, counted: Iterable[float], round_quantity: Callable
) -> float:
    """Return how much of a sales order line is counted with the sales order.

    :param ordered: the quantity of the line
    :param counted: what tills have counted of it, in its unit
    :param round_quantity: rounds a quantity to the precision of Odoo's units: 0.8
        less 0.1 and 0.7 is a little more than nothing for a computer
    """
    left = ordered - sum(counted)
    return left if round_quantity(left) > 0 else 0.0


def counts_itself(order: SalesOrder) -> bool:
    """Return whether a sales order is left to itself: Matomo has it, or will have it.

    Matomo forgets nothing: a cancellation after that is reported as a refund. An order
    that its shopper or a person keeps from Matomo counts nowhere: no till counts it.
    """
    if order.is_in_matomo or order.is_refused or order.is_left_out:
        return True
    return not order.is_cancelled and order.state not in UNCOUNTED_STATES


def get_undecided_orders(lines: Iterable[TillLine], recorded: Collection) -> set:
    """Return the sales orders of which ``get_role`` asks whether they count.

    :param lines: of a POS order
    :param recorded: see ``is_counted_at_till``
    """
    orders = {line.order for line in lines if not line.is_refund}
    return orders - {None, *recorded}


def get_role(line: TillLine, recorded: Collection, counting: Collection) -> LineRole:
    """Return the role of a line on its POS order.

    A down payment counts with the sales order when it is paid, and its deduction,
    of negative quantity, reduces what is settled later.

    :param recorded: see ``is_counted_at_till``
    :param counting: keys of the sales orders that count themselves
    """
    if line.is_refund:
        return LineRole.RETURN
    if line.order in counting and line.order not in recorded:
        return LineRole.SETTLEMENT
    if line.quantity < 0 and not line.is_down_payment:
        return LineRole.RETURN
    return LineRole.BOUGHT


def get_surplus(
    line: TillLine,
    sold: Iterable[TillLine],
    ordered: float,
    round_quantity: Callable,
) -> float:
    """Return how much of a settlement was sold beyond what was ordered.

    The POS order counts that part. Earlier POS orders count as they were made: what
    a till has taken back since is no longer settled, and sold anew it is one more
    sale.

    :param line: of role SETTLEMENT
    :param sold: all lines of tills that settle the same sales order line
    :param ordered: the quantity of that sales order line, in the unit of the product
    :param round_quantity: see ``get_left``
    :return: 0.0 if all of it was ordered
    """
    if line.is_down_payment:
        return 0.0
    total = sum(
        each.quantity
        for each in sold
        if each.key <= line.key and each.is_paid and not each.is_refund
    )
    return max(min(line.quantity, round_quantity(total - ordered)), 0.0)


def get_counted_orders(roles: Mapping[TillLine, LineRole]) -> set:
    """Return the sales orders whose settled lines a POS order counts."""
    orders = {line.order for line, role in roles.items() if role is LineRole.BOUGHT}
    return orders - {None}


def get_original(sold: SoldLine) -> Hashable:
    """Return the order that gives back what a later line takes back.

    :return: its key, or None: a down payment that is paid back leaves the sales
        order as it is, as long as that stands
    """
    if sold.role is not LineRole.SETTLEMENT:
        return sold.pos_order
    if sold.is_down_payment and sold.is_order_confirmed:
        return None
    return sold.order
