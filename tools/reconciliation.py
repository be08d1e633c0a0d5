"""Why a day differs between Odoo and Matomo: facts in, causes and a state out.

Nothing here knows Odoo; ``matomo.reconciliation`` reads the facts and stores what is
decided here. Each cause is a unit of the difference, and all of them together add up to
it, or the day says that they do not.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from ..const import ACCEPTED_STATES, TEST_ORDER_PREFIX
from ..matomo_api.reading import RecordedOrder, Totals
from ..matomo_api.tracking import order_ref_key

HALF_CENT = Decimal("0.005")
# The relative error of a revenue in Matomo, which stores it in single precision
# (docs/matomo.md section 7).
PRECISION = Decimal("1e-6")
_FIGURES = tuple(each.name for each in fields(Totals))
# What a person should look at; what is well although both sides differ; what differs in
# no figure.
LOOK, HARMLESS, NOTE = "look", "harmless", "note"
SEVERITIES = (LOOK, HARMLESS, NOTE)
# What a difference comes from, in the sequence of the screens.
KINDS = {
    "missing": LOOK,
    "failed": LOOK,
    "recorded": LOOK,
    "foreign": LOOK,
    "elsewhere": LOOK,
    "pending": HARMLESS,
    "unarchived": HARMLESS,
    "stale": HARMLESS,
    "clock": HARMLESS,
    "cancelled": HARMLESS,
    "left_out": HARMLESS,
    "withdrawn": HARMLESS,
    "changed": HARMLESS,
    "moved": HARMLESS,
    "away": HARMLESS,
    "late": HARMLESS,
    "currency": HARMLESS,
    "site": HARMLESS,
    "company": HARMLESS,
    "test": HARMLESS,
    "rounding": NOTE,
    "refused": NOTE,
    "checkout": NOTE,
    "cart": NOTE,
}

# What an order is besides that Matomo no longer has, and what no longer matters then.
_OF_MISSING = ("changed", "recorded", "currency", "withdrawn")


class Cause(NamedTuple):
    """An order that Odoo and Matomo do not count in the same way, or several.

    :ivar kind: the reason, a key of ``KINDS``
    :ivar name: the name of the order, or its order ID in Matomo; "" if several orders
        are summed up
    :ivar orders: how many more orders Matomo counts: 1, 0 or -1
    :ivar revenue: how much more revenue Matomo counts, perhaps negative, in the
        currency of the site
    :ivar request_id: of the order's request, 0 without one
    :ivar count: how many orders these are, 0 of what is of no order
    """

    kind: str
    name: str
    orders: int = 0
    revenue: Decimal = Decimal(0)
    request_id: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Sale:
    """An order that Odoo counts on a day, or that Matomo has accepted for it.

    :ivar request_id: of its request
    :ivar name: in Odoo
    :ivar ref: its order ID in Matomo
    :ivar state: of its request
    :ivar revenue: as Odoo has it now, with all decimals of the currency of the site
    :ivar sent: the revenue that was sent, with the two decimals that Matomo keeps
    :ivar recorded: the revenue that Matomo has, as far as it was read back
    :ivar is_counted: whether Odoo counts it on this day
    :ivar is_accepted: whether Matomo has accepted it for this day
    :ivar is_sale: whether Odoo counts it on any day
    :ivar is_same_currency: whether it was sent in the currency that the site has
    :ivar is_left_out: whether a person has cancelled its request
    """

    request_id: int
    name: str
    ref: str
    state: str
    revenue: Decimal
    sent: Decimal
    recorded: Decimal
    is_counted: bool
    is_accepted: bool
    is_sale: bool = True
    is_same_currency: bool = True
    is_left_out: bool = False


class Comparison(NamedTuple):
    """What an order-by-order comparison with Matomo has found.

    :ivar causes: list of ``Cause``
    :ivar missing: the requests of orders that Matomo has accepted and does not show
    :ivar left: ``{order_ref_key: RecordedOrder}``: orders that are none of the day's
    """

    causes: list[Cause]
    missing: list[int]
    left: dict[str, RecordedOrder]


def get_tolerance(revenue: Decimal) -> Decimal:
    """Return by how much Matomo may miss a revenue only by rounding."""
    return HALF_CENT + abs(revenue) * PRECISION


def add_up(amounts: Iterable[Totals]) -> Totals:
    """Return the sum of what orders come to."""
    figures = zip(*map(attrgetter(*_FIGURES), amounts), strict=True)
    return Totals(
        **{name: sum(each) for name, each in zip(_FIGURES, figures, strict=False)}
    )


# === CAUSES === #


def find_known_causes(sales: Iterable[Sale]) -> list[Cause]:
    """Return the causes of a difference that Odoo knows without asking Matomo."""
    return [cause for sale in sales for cause in _explain(sale)]


def _explain(sale: Sale) -> list[Cause]:
    if not sale.is_accepted:
        kind = "left_out" if sale.is_left_out else sale.state
        if sale.state in ACCEPTED_STATES:
            kind = "moved"
        return [Cause(kind, sale.name, -1, -sale.revenue, sale.request_id)]
    if not sale.is_counted:
        kind = "away" if sale.is_sale else "withdrawn"
        return [Cause(kind, sale.ref, 1, sale.recorded, sale.request_id)]
    causes = []
    if not _is_rounded(sale):
        # Matomo converts nothing when its site gets another currency.
        kind = "changed" if sale.is_same_currency else "currency"
        change = sale.sent - sale.revenue
        causes.append(Cause(kind, sale.ref, 0, change, sale.request_id))
    if abs(sale.recorded - sale.sent) > get_tolerance(sale.sent):
        deviation = sale.recorded - sale.sent
        causes.append(Cause("recorded", sale.ref, 0, deviation, sale.request_id))
    return causes


def add_up_rounding(sales: Iterable[Sale]) -> Decimal:
    """Return how much more revenue Matomo got because it keeps two decimals."""
    return sum(
        (
            sale.sent - sale.revenue
            for sale in sales
            if sale.is_counted and sale.is_accepted and _is_rounded(sale)
        ),
        Decimal(0),
    )


def _is_rounded(sale):
    """Return whether an order was sent as it is, but for decimals Matomo has not."""
    return abs(sale.sent - sale.revenue) <= HALF_CENT


def compare_orders(
    sales: Iterable[Sale],
    recorded: Iterable[RecordedOrder],
    is_ours: Callable[[int, RecordedOrder], bool] | None = None,
) -> Comparison:
    """Compare the orders that Matomo has accepted for a day with those that it shows.

    :param recorded: the orders of the day in Matomo
    :param is_ours: whether an order in Matomo is the one that a request has sent; only
        of a Matomo that replaces order IDs
    """
    causes, missing = [], []
    left = {order_ref_key(order.ref): order for order in recorded}
    for sale in sales:
        if not sale.is_accepted or sale.state == "elsewhere":
            continue
        order = left.pop(order_ref_key(sale.ref), None)
        if not order and is_ours:
            keys = (key for key, each in left.items() if is_ours(sale.request_id, each))
            order = left.pop(next(keys, None), None)
        if not order:
            missing.append(sale.request_id)
            lost = -sale.recorded
            causes.append(Cause("missing", sale.ref, -1, lost, sale.request_id))
        # If Matomo tells no legible amount, no cause is known of a difference.
        elif order.revenue is not None:
            deviation = order.revenue - sale.recorded
            if abs(deviation) > get_tolerance(sale.recorded):
                cause = Cause("recorded", sale.ref, 0, deviation, sale.request_id)
                causes.append(cause)
    return Comparison(causes, missing, left)


def unite(causes: Iterable[Cause]) -> list[Cause]:
    """Return the causes, each order once of each kind, without those of nothing.

    What is known of an order and what Matomo shows now may both be of another amount.
    An order that Matomo no longer has differs by all that Odoo counts of it, whatever
    has changed in between; one that was cancelled since is on neither side.
    """
    causes = list(causes)
    missing = {each.request_id for each in causes if each.kind == "missing"}
    united: dict[tuple, Cause] = {}
    for number, cause in enumerate(causes):
        if cause.request_id in missing and cause.kind in _OF_MISSING:
            cause = cause._replace(kind="missing")
        # Those of no request stay as they are.
        key = cause.kind, cause.request_id or -number
        known = united.get(key)
        if known:
            cause = known._replace(
                orders=known.orders + cause.orders,
                revenue=known.revenue + cause.revenue,
            )
        united[key] = cause
    return [each for each in united.values() if each.orders or each.revenue]


def find_elsewhere(
    sales: Iterable[Sale], left: dict[str, RecordedOrder], sent: Container[str]
) -> list[Cause]:
    """Return the causes of orders that Matomo is said to have from another system.

    It may have such an order under another ID: then its revenue tells which one it is.

    :param left: the orders in Matomo that nothing has explained, by their keys; those
        that are found are taken out
    :param sent: the keys of those that Odoo has sent, on another day
    """
    causes = []
    for sale in sales:
        if sale.state != "elsewhere":
            continue
        key = _find_elsewhere_key(sale, left, sent)
        if key is None:
            lost = -sale.recorded
            causes.append(Cause("elsewhere", sale.ref, -1, lost, sale.request_id))
            continue
        revenue = left.pop(key).revenue
        if revenue is not None and _differ(revenue, sale.recorded):
            deviation = revenue - sale.recorded
            causes.append(Cause("recorded", sale.ref, 0, deviation, sale.request_id))
    return causes


def _find_elsewhere_key(sale, left, sent):
    key = order_ref_key(sale.ref)
    if key in left:
        return key
    same = (
        key
        for key, order in left.items()
        if key not in sent
        and order.revenue is not None
        and not _differ(order.revenue, sale.recorded)
    )
    return next(same, None)


def _differ(revenue, expected):
    return abs(revenue - expected) > get_tolerance(expected)


def get_kind_of_recorded(ref: str, sender: str | None) -> str:
    """Return the kind of cause of an order that Matomo has and this day has not.

    :param ref: its order ID in Matomo
    :param sender: who has sent it: "here" (this site), "site" (another one of this
        company), "company" (another company); None if nobody has
    """
    if sender:
        return "late" if sender == "here" else sender
    return "test" if ref.startswith(TEST_ORDER_PREFIX) else "foreign"


def explain_report(
    totals: Totals,
    recorded: Sequence[RecordedOrder],
    is_complete: bool,
    clock: Sequence[Cause] = (),
) -> list[Cause]:
    """Return a cause if Matomo's report of a day does not fit its own orders.

    Matomo may compute its reports later than it records orders (docs/matomo.md section
    10). And it does not compute anew what it has computed if orders are deleted, or if
    the site gets another time zone. The report does not tell which orders it counts.

    :param totals: of Matomo's report
    :param recorded: the orders of the day in Matomo
    :param is_complete: whether Matomo shows all of them
    :param clock: the causes of the hour that the report leaves out or counts twice
    """
    count = totals.orders - len(recorded) - sum(each.orders for each in clock)
    revenue = sum((order.revenue or Decimal(0) for order in recorded), Decimal(0))
    revenue += sum((each.revenue for each in clock), Decimal(0))
    deviation = totals.revenue - revenue
    if count < 0:
        return [Cause("unarchived", "", count, deviation, count=-count)]
    is_legible = all(order.revenue is not None for order in recorded)
    if not is_complete or not is_legible:
        return []
    if not count and abs(deviation) <= get_tolerance(totals.revenue):
        return []
    return [Cause("stale", "", count, deviation, count=max(count, 1))]


def bound(causes: Iterable[Cause], limit: int) -> list[Cause]:
    """Return the causes, the worst first, and those beyond a limit summed up.

    The sums are one cause of each kind without a name.
    """
    kinds = list(KINDS)
    ordered = sorted(causes, key=lambda each: kinds.index(each.kind))
    rest: dict[str, Cause] = {}
    for cause in ordered[limit:]:
        known = rest.get(cause.kind, Cause(cause.kind, "", count=0))
        rest[cause.kind] = known._replace(
            orders=known.orders + cause.orders,
            revenue=known.revenue + cause.revenue,
            count=known.count + cause.count,
        )
    return [*ordered[:limit], *rest.values()]


# === THE STATE === #


def is_explained(
    odoo: Totals, matomo: Totals, causes: Sequence[Cause], rounded: Decimal
) -> bool:
    """Return whether the causes add up to the difference of orders and revenue.

    :param rounded: of ``add_up_rounding``
    """
    orders = sum(cause.orders for cause in causes)
    revenue = sum((cause.revenue for cause in causes), rounded)
    deviation = revenue - (matomo.revenue - odoo.revenue)
    # An order that only Matomo counts may be larger than all of Odoo's.
    larger = max(abs(odoo.revenue), abs(matomo.revenue))
    return orders == matomo.orders - odoo.orders and abs(deviation) <= get_tolerance(
        larger
    )


def explain_rounding(
    odoo: Totals, matomo: Totals, causes: Sequence[Cause]
) -> list[Cause]:
    """Return what is left of a difference that is explained: Matomo's rounding.

    With it, the causes add up to the last unit.
    """
    known = sum((cause.revenue for cause in causes), Decimal(0))
    rest = matomo.revenue - odoo.revenue - known
    return [Cause("rounding", "", 0, rest, count=0)] if rest else []


def get_state(is_explained: bool, causes: Iterable[Cause], is_over: bool) -> str:
    """Return the state of a day.

    :param is_explained: whether the causes add up to the difference
    :param is_over: whether the day has ended; before, it says nothing
    """
    if not is_over:
        return "unfinished"
    severities = {KINDS[cause.kind] for cause in causes}
    if not is_explained or LOOK in severities:
        return "different"
    return "explained" if HARMLESS in severities else "equal"
