"""From Odoo's own sales report of a day to the revenue that is compared with Matomo.

Facts in, steps out: each step names a difference and says how many orders and how much
money it is. All steps together lead from one figure to the other, to the coin. The
sentences are in the language of the environment that is handed in; nothing else of Odoo
is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

# So many differences of one kind are told apart.
DETAILS = 8


class Reported(NamedTuple):
    """An order of Odoo's sales report, in the currency of the company.

    :ivar untaxed: its *Untaxed Total*
    :ivar total: its *Total*, with tax
    :ivar lines: its number of lines
    :ivar is_of_reader: whether it is of the day in the reader's time zone
    :ivar is_of_site: whether it is of the day in the time zone of the Matomo site
    """

    untaxed: Decimal
    total: Decimal
    lines: int
    is_of_reader: bool
    is_of_site: bool


class Reason(NamedTuple):
    """Why only one of both counts an order: a key of ``TEXTS``, and what of it."""

    kind: str
    detail: str = ""


@dataclass
class Step:
    """A difference between Odoo's sales report and the comparison.

    :ivar kind: a key of ``TEXTS``
    :ivar detail: what the sentence of this kind names, or ""
    :ivar orders: how many more orders the comparison counts, perhaps negative
    :ivar amount: how much more money it counts, perhaps negative
    :ivar keys: of the orders
    """

    kind: str
    detail: str = ""
    orders: int = 0
    amount: Decimal = Decimal(0)
    keys: list[str] = field(default_factory=list)


def get_tolerance(lines: int, coin: Decimal, coin_compared: Decimal) -> Decimal:
    """Return by how much rounding alone may change an order, in the company's currency.

    :param lines: how many lines it has, each of which may be rounded
    :param coin: the smallest amount of a line
    :param coin_compared: the smallest amount of what is compared: it is rounded once
    """
    return coin * max(lines, 1) + coin_compared / 2


def walk(
    reported: Mapping[str, Reported],
    compared: Mapping[str, Decimal],
    reasons: Mapping[str, Reason],
    parts: Mapping[str, Mapping[str, Decimal]],
    tolerances: Mapping[str, Decimal],
    round_amount: Callable[[Decimal], Decimal],
) -> list[Step]:
    """Return the steps from the sales report's *Untaxed Total* to what is compared.

    :param reported: the orders of the sales report, of both days, by key
    :param compared: what each order that is compared comes to with tax, in the
        currency of the company, by key
    :param reasons: of the orders that only one of both counts, by key
    :param parts: known parts of what an order comes to here and not there:
        ``{key: {kind: amount}}``
    :param tolerances: of ``get_tolerance``, by key, of the orders that both count
    :param round_amount: rounds to coins of the company's currency
    :return: the first step is the sales report itself, of kind ``report``; then those
        that make a difference
    """
    steps: dict[tuple[str, str], Step] = {}

    def add(kind, key, orders, amount, detail=""):
        step = steps.setdefault((kind, detail), Step(kind, detail))
        step.orders += orders
        step.amount += amount
        step.keys.append(key)

    for key, order in reported.items():
        if order.is_of_reader:
            add("report", key, 1, order.untaxed)
            add("taxes", key, 0, order.total - order.untaxed)
        if order.is_of_reader and not order.is_of_site:
            add("other_day", key, -1, -order.total)
        elif order.is_of_site and not order.is_of_reader:
            add("this_day", key, 1, order.total)
        if order.is_of_site and key not in compared:
            kind, detail = reasons[key]
            add(kind, key, -1, -order.total, detail)
    for key, revenue in compared.items():
        order = reported.get(key)
        if order and order.is_of_site:
            left = revenue - order.total
            divided = _divide(left, parts.get(key, {}), tolerances[key])
            for kind, amount in divided.items():
                add(kind, key, 0, amount)
        else:
            kind, detail = reasons[key]
            add(kind, key, 1, revenue, detail)
    return _finish(steps, sum(compared.values(), Decimal(0)), round_amount)


def _divide(left, parts, tolerance):
    """Return ``{kind: amount}``: why an order comes to another amount here.

    :param left: how much more it comes to
    """
    left -= sum(parts.values(), Decimal(0))
    kind = "rounding" if abs(left) <= tolerance else "rest"
    return {**parts, kind: left} if left else dict(parts)


def _finish(steps, revenue, round_amount):
    """Return the steps in their sequence, rounded, so that they still add up.

    What is lost as they are rounded is a matter of rounding, too.
    """
    report = steps.setdefault(("report", ""), Step("report"))
    rounding = steps.setdefault(("rounding", ""), Step("rounding"))
    for step in steps.values():
        step.amount = round_amount(step.amount)
    known = sum(step.amount for step in steps.values())
    rounding.amount += round_amount(revenue) - known
    kinds = ["report", *TEXTS]
    ordered = sorted(
        (step for step in steps.values() if step.orders or step.amount),
        key=lambda step: (kinds.index(step.kind), -abs(step.amount)),
    )
    by_kind: dict[str, list[Step]] = {}
    for step in ordered:
        if step is not report:
            by_kind.setdefault(step.kind, []).append(step)
    return [report, *(step for same in by_kind.values() for step in _bound(same))]


def _bound(steps):
    """Return the first steps of a kind, and all others in one."""
    if len(steps) <= DETAILS + 1:
        return steps
    rest = steps[DETAILS:]
    orders, amount = (
        sum(getattr(step, name) for step in rest) for name in ("orders", "amount")
    )
    keys = [key for step in rest for key in step.keys]
    return [*steps[:DETAILS], Step(rest[0].kind, "", orders, amount, keys)]


# {kind: the sentence}, in the sequence of the screen.
TEXTS = {
    "taxes": lambda env, detail: env._("Taxes"),
    "other_day": lambda env, detail: env._(
        "Orders of this day on your clock, and of another day on Matomo's"
    ),
    "this_day": lambda env, detail: env._(
        "Orders of this day on Matomo's clock, and of another day on yours"
    ),
    "checkout": lambda env, detail: env._(
        "Orders that were checked out on one day and confirmed on another: Matomo "
        "counts them on the first, Odoo's report on the second"
    ),
    "site": lambda env, detail: env._("Orders of the Matomo site %s", detail),
    "excluded": lambda env, detail: (
        env._("Not tracked: %s", detail)
        if detail
        else env._("Not tracked, for other reasons")
    ),
    "unjudged": lambda env, detail: env._(
        "Orders without a verdict: the next nightly check looks at them"
    ),
    "hidden": lambda env, detail: env._(
        "Orders of others, which you may not see in Odoo's report"
    ),
    "returned": lambda env, detail: env._(
        "Taken back in an exchange: Odoo's report takes it off, Matomo counts what was "
        "bought"
    ),
    "document": lambda env, detail: env._(
        "What belongs to a whole order and to none of its lines, such as the tax that "
        "an early payment discount saves, and taxes that are rounded once an order"
    ),
    "settled": lambda env, detail: env._(
        "Sales orders that were paid at a till: Odoo's report counts all of it with "
        "the sales order, Matomo where it was sold"
    ),
    "rest": lambda env, detail: env._(
        "Orders that come to another amount in Odoo's report, such as tips that were "
        "added after the payment"
    ),
    "rounding": lambda env, detail: env._("Rounding"),
    "since": lambda env, detail: env._("Changed in Odoo since the day was compared"),
}
