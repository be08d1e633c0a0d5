"""Is what Matomo has recorded our order, and what does it say differently?

Pure comparisons of what was sent with what was read back; see
``docs/architecture.md``, "Whose order is it".
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from .privacy import ANONYMIZED
from .reading import RecordedItem, RecordedOrder, Totals
from .tracking import get_visitor_id

# Matomo's days are those of the site's time zone, and clocks differ.
DAY_MARGIN = timedelta(days=1)
# The same moment, told by a clock that is set back an hour in autumn.
_SECOND, _HOUR = timedelta(seconds=1), timedelta(hours=1)
# Time zones differ by a multiple of this.
_QUARTER = timedelta(minutes=15)
# Matomo keeps revenue in single precision: beyond 130,000 a cent is lost
# (docs/matomo.md section 7).
PRECISION = 1e-7
HALF_CENT = 0.005
# A tag computes its totals in its own way: a cent more or less is the same total.
_TAG_TOLERANCE = 0.021
# The amounts that are compared, and the parameters they are sent as.
COMPARED = {
    "subtotal": "ec_st",
    "tax": "ec_tx",
    "shipping": "ec_sh",
    "discount": "ec_dt",
}


class Owner(Enum):
    """Whose an order in Matomo is that has our order id."""

    OURS = "ours"
    # Somebody else, a JavaScript tag, told Matomo of this very sale.
    TAG = "tag"
    OTHER = "other"
    # It cannot be read well enough.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class SentItem:
    sku: str
    name: str
    price: Decimal
    quantity: int


@dataclass(frozen=True)
class Sent:
    """What an order was sent with, as far as it is still known.

    :param revenue: in the currency of the Matomo site
    :param time: ``cdt``, naive UTC
    :param created: when the order was queued, naive UTC
    :param visitor_id: 16 hex digits; "" once personal data were removed
    :param amounts: the amounts of ``COMPARED``, by their names, as they were sent
    :param items: the items as they were sent; None if that is not known
    :param cart_created: when Odoo created the cart of a website's order, naive UTC;
        None for orders that no website made
    """

    revenue: float
    time: datetime | None
    created: datetime
    visitor_id: str = ""
    amounts: Mapping[str, str] = field(default_factory=dict)
    items: tuple[SentItem, ...] | None = None
    cart_created: datetime | None = None


@dataclass(frozen=True)
class Difference:
    """Something that Matomo has recorded otherwise.

    :ivar name: an amount of ``COMPARED``; or ``item`` (Matomo has not got it),
        ``other item`` (it was not sent), ``quantity`` or ``price`` of an item
    :ivar sku: of the item
    """

    name: str
    recorded: Decimal | int | None
    sent: str | int | None
    sku: str = ""


def describe_sent(
    payload: Mapping[str, str] | None,
    created: datetime,
    *,
    revenue: float,
    time: datetime,
    cart_created: datetime | None = None,
) -> Sent:
    """Return what was sent, from the parameters of the request.

    :param payload: the parameters; None once they were removed
    :param created: when the order was queued, naive UTC
    :param revenue: the revenue sent, for an order without parameters
    :param time: the time sent, naive UTC, for an order without parameters
    :param cart_created: see ``Sent``
    """
    if not payload:
        return Sent(revenue, time, created, cart_created=cart_created)
    visitor_id = get_visitor_id(payload)
    return Sent(
        revenue=float(payload.get("revenue") or 0),
        time=_parse_time(payload.get("cdt")),
        created=created,
        visitor_id="" if visitor_id == ANONYMIZED else visitor_id,
        amounts={
            name: payload[parameter]
            for name, parameter in COMPARED.items()
            if parameter in payload
        },
        items=_parse_items(payload.get("ec_items")),
        cart_created=cart_created,
    )


# === WHOSE ORDER IS IT === #


def get_visit_kind(payload: Mapping[str, str], recorded: RecordedOrder) -> str | None:
    """Return in whose visit an order of a shopper stands.

    :param payload: the parameters, as they were sent
    :return: ``joined``: the shopper's own, with pages seen before; ``apart``: one that
        the order has begun; ``replaced``: that of a random visitor, in whose place
        Matomo refuses the one that was sent; None: nothing of a shopper was sent
    """
    if payload.get("ua", ANONYMIZED) == ANONYMIZED:
        return None
    if "pv_id" in payload:
        # The page that was seen before it is the order's own.
        return "apart"
    if recorded.has_page_before:
        return "joined"
    # A page view renames the visitor, too. That one is in the visit.
    is_replaced = "cid" in payload and payload["cid"] != recorded.visitor_id
    return "replaced" if is_replaced and not recorded.has_page else "apart"


def get_owner(
    sent: Sent,
    recorded: RecordedOrder,
    to_utc: Callable[[datetime], datetime],
    now: datetime,
) -> Owner:
    """Return whose an order in Matomo is.

    It is ours if it has our revenue and a time that we can have sent. Neither visitor
    nor visit matter: Matomo renames them (docs/matomo.md section 15).

    :param to_utc: turns a wall-clock time of the Matomo site into naive UTC
    :param now: naive UTC
    """
    if recorded.revenue is None or not sent.time:
        return Owner.UNKNOWN
    has_revenue = _is_close(float(recorded.revenue), sent.revenue)
    if recorded.time is None:
        # Read from a report, which tells no time.
        return Owner.OURS if has_revenue else Owner.UNKNOWN
    recorded_at = to_utc(recorded.time)
    if has_revenue and _is_plausible(sent, recorded_at, now):
        return Owner.OURS
    return Owner.TAG if _is_told_by_tag(sent, recorded, recorded_at) else Owner.OTHER


def is_same_moment(sent: Sent, recorded_at: datetime | None, now: datetime) -> bool:
    """Return whether Matomo has recorded something at the time that was sent.

    :param recorded_at: naive UTC; None if it is not known
    :param now: naive UTC
    """
    if not recorded_at or not sent.time:
        return False
    gap = abs(recorded_at - sent.time)
    if gap <= _SECOND or abs(gap - _HOUR) <= _SECOND:
        return True
    # Matomo replaces a time in the future by the moment of arrival.
    return sent.time > sent.created and sent.created <= recorded_at <= now + _HOUR


def is_at_other_time(sent: Sent, recorded_at: datetime, now: datetime) -> bool:
    """Return whether Matomo has our order at a time that we did not send.

    Whole quarters of an hour are no other time: the time zone of the Matomo site may
    not be known here.

    :param recorded_at: naive UTC
    :param now: naive UTC
    """
    if is_same_moment(sent, recorded_at, now):
        return False
    rest = abs(recorded_at - sent.time) % _QUARTER
    return _SECOND < rest < _QUARTER - _SECOND


def is_anonymised_match(
    sent: Sent,
    recorded: RecordedOrder,
    to_utc: Callable[[datetime], datetime],
    now: datetime,
) -> bool:
    """Return whether an order whose id Matomo replaced is the one that was sent.

    Its exact second and all its amounts have to agree.
    """
    return (
        recorded.revenue is not None
        and recorded.time is not None
        and _is_close(float(recorded.revenue), sent.revenue)
        and is_same_moment(sent, to_utc(recorded.time), now)
        and not _find_amount_differences(sent, recorded)
    )


def _is_close(recorded: float, sent: float) -> bool:
    return abs(recorded - sent) <= max(HALF_CENT, abs(sent) * PRECISION)


def _is_plausible(sent: Sent, recorded_at: datetime, now: datetime) -> bool:
    """Return whether Matomo can have recorded at this time what we sent."""
    return (
        abs(recorded_at - sent.time) <= DAY_MARGIN
        # Matomo replaces a time in the future by the moment of arrival.
        or sent.created - DAY_MARGIN <= recorded_at <= now + DAY_MARGIN
    )


def _is_told_by_tag(sent: Sent, recorded: RecordedOrder, recorded_at) -> bool:
    """Return whether a JavaScript tag told Matomo of this sale of a website.

    Nobody can have told of it before there was a cart; and what is told shares the
    visitor, a total or an item with our order.
    """
    if not sent.cart_created or recorded_at < sent.cart_created - _SECOND:
        return False
    if sent.visitor_id and sent.visitor_id == recorded.visitor_id:
        return True
    if any(
        abs(float(recorded.revenue) - total) <= _TAG_TOLERANCE
        for total in _get_totals(sent)
    ):
        return True
    names = {_fold(text) for item in sent.items or () for text in (item.sku, item.name)}
    return any(
        _fold(text) in names
        for item in recorded.items or ()
        for text in (item.sku, item.name)
        if text
    )


def _get_totals(sent: Sent) -> set[float]:
    """Return what a tag may take for the total of the order.

    With or without tax, with or without delivery, which is sent before tax.
    """
    tax = float(sent.amounts.get("tax") or 0)
    shipping = float(sent.amounts.get("shipping") or 0)
    untaxed = sent.revenue - tax
    rate = sent.revenue / untaxed if untaxed else 1.0
    totals = {
        sent.revenue,
        untaxed,
        sent.revenue - shipping,
        untaxed - shipping,
        sent.revenue - shipping * rate,
    }
    # Nearly nothing is the total of many carts.
    return {total for total in totals if total > _TAG_TOLERANCE}


def is_sum_of(revenues: Collection[Decimal], totals: Totals) -> bool:
    """Return whether a report counts exactly as many orders with these revenues."""
    tolerance = sum(max(HALF_CENT, abs(float(each)) * PRECISION) for each in revenues)
    gap = abs(float(totals.revenue) - float(sum(revenues)))
    return totals.orders == len(revenues) and gap <= tolerance


def find_revenue(sent: Sent, totals: Totals) -> Decimal | None:
    """Return an order's revenue by the report of the visit that it is in.

    If it is alone in its visit the report tells its revenue. Else it is there, and no
    more is known than that the visit has at least as much as was sent.

    :param totals: of the orders in the visit in which Matomo has this order
    :return: None if the report does not show it
    """
    if totals.orders == 1:
        return totals.revenue
    revenue = Decimal(str(sent.revenue))
    return revenue if totals.orders and totals.revenue >= revenue - 1 else None


# === WHAT DIFFERS === #


def find_differences(sent: Sent, recorded: RecordedOrder) -> list[Difference]:
    """Return what Matomo has recorded otherwise: amounts, to the cent, and items.

    What is no longer known to have been sent, or what Matomo does not tell, is not
    compared.
    """
    return [
        *_find_amount_differences(sent, recorded),
        *_find_item_differences(sent, recorded),
    ]


def _find_amount_differences(sent, recorded):
    return [
        Difference(name, value, amount)
        for name, amount in sent.amounts.items()
        for value in [getattr(recorded, name)]
        if value is not None and f"{value:.2f}" != amount
    ]


def _find_item_differences(sent, recorded):
    if sent.items is None or recorded.items is None:
        return []
    ours: dict[str, list[SentItem]] = {}
    for item in sent.items:
        ours.setdefault(_sku_key(item.sku), []).append(item)
    theirs: dict[str, list[RecordedItem]] = {}
    for item in recorded.items:
        theirs.setdefault(_sku_key(item.sku), []).append(item)
    differences = []
    for key, items in ours.items():
        found = theirs.pop(key, [])
        if len(items) > 1:
            # Numbers that PHP takes for equal: Matomo mixes them up by itself
            # (docs/matomo.md section 15).
            continue
        (item,) = items
        if not found:
            differences.append(Difference("item", None, item.quantity, item.sku))
            continue
        for name in ("quantity", "price"):
            value, wanted = getattr(found[0], name), getattr(item, name)
            if value is not None and value != wanted:
                differences.append(Difference(name, value, wanted, item.sku))
    differences += [
        Difference("other item", items[0].quantity, None, items[0].sku)
        for items in theirs.values()
    ]
    return differences


def _sku_key(sku: str) -> str:
    """Return a key that is equal for SKUs that Matomo cannot tell apart."""
    text = sku.strip()
    try:
        return f"number {Decimal(text).normalize()}" if text.isascii() else text
    except ArithmeticError:
        return text


def _fold(text: str) -> str:
    return text.strip().casefold()


# === PARSING === #


def _parse_time(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None


def _parse_items(text: str | None) -> tuple[SentItem, ...] | None:
    """Return the items of ``ec_items``, None if there are none to be read."""
    try:
        return tuple(
            SentItem(sku, name, Decimal(str(price)), int(quantity))
            for sku, name, _categories, price, quantity in json.loads(text or "")
        )
    except (ValueError, TypeError, ArithmeticError):
        return None
