"""Reading Matomo back: which orders it has recorded, and what its reports say."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from .client import Client
from .errors import ServerTrouble
from .items import decode_entities, round_cents
from .tracking import order_ref_key

# What Matomo makes of an order id with its setting "Anonymize Order ID".
_ANONYMISED_REF = re.compile("[0-9a-f]{40}")
_VISITOR_ID = re.compile("[0-9a-fA-F]{16}")
_EPOCH = datetime(1970, 1, 1)
# Of a visit; an abandoned cart may have come after the order.
_STATUSES_WITH_ORDER = ("ordered", "orderedThenAbandonedCart")
# A segment is decoded three times before its value is compared, at the first time
# the value must not look like the end of a condition.
_SEGMENT_SPECIAL = str.maketrans({char: f"%2525{ord(char):02X}" for char in "%+,;\\"})


@dataclass(frozen=True)
class RecordedItem:
    sku: str
    name: str
    categories: tuple[str, ...]
    price: Decimal
    quantity: int


@dataclass(frozen=True)
class RecordedOrder:
    """An order as Matomo has it; ``time``, naive, is that of the site's time zone."""

    ref: str
    revenue: Decimal
    subtotal: Decimal
    tax: Decimal
    shipping: Decimal
    discount: Decimal
    visitor_id: str
    time: datetime
    items: tuple[RecordedItem, ...]


@dataclass(frozen=True)
class SiteDescription:
    """A Matomo site as Matomo describes it."""

    name: str
    main_url: str
    currency: str
    timezone: str
    is_ecommerce: bool


@dataclass(frozen=True)
class DayTotals:
    """What Matomo's reports say of one day's orders, in the site's currency."""

    orders: int = 0
    revenue: Decimal = Decimal("0.00")


# === ORDERS === #


def read_orders(
    client: Client, idsite: int, refs: Sequence[str], first: date, last: date
) -> dict[str, RecordedOrder]:
    """The orders of ``refs`` that Matomo has recorded from ``first`` to ``last``.

    Both days are included and stand in the site's time zone: give a margin of a
    day. Live.getLastVisitsDetails is never cached (docs/matomo.md section 10). An order
    that Matomo takes for the same, as "so-1" for "SO-1", is found as well.

    :raise MatomoError: see :class:`Client`
    """
    # Without a value Matomo would look for all orders, or all visits.
    conditions = [
        f"orderId=={value}" for ref in refs if ref for value in _segment_values(ref)
    ]
    if not conditions:
        return {}
    found = {
        order_ref_key(order.ref): order
        for order in _live_orders(client, idsite, conditions, first, last)
    }
    return {
        ref: found[order_ref_key(ref)] for ref in refs if order_ref_key(ref) in found
    }


def read_anonymised_orders(
    client: Client, idsite: int, visitor_ids: Sequence[str], first: date, last: date
) -> list[RecordedOrder]:
    """The orders of these visitors whose id Matomo has replaced by a random one.

    It does so with its privacy setting "Anonymize Order ID" (plugin
    PrivacyManager: a SHA-1), and then refuses no order as a duplicate.

    :raise MatomoError: see :class:`Client`
    """
    # Asked for anything else, Matomo answers as if the token might not read.
    conditions = [
        f"visitorId=={visitor_id}"
        for visitor_id in visitor_ids
        if _VISITOR_ID.fullmatch(visitor_id)
    ]
    if not conditions:
        return []
    orders = _live_orders(client, idsite, conditions, first, last)
    return [order for order in orders if _ANONYMISED_REF.fullmatch(order.ref)]


def read_day_orders(client: Client, idsite: int, day: date) -> list[RecordedOrder]:
    """All orders that Matomo has on a day of the site's time zone, whoever sent them.

    :raise MatomoError: see :class:`Client`
    """
    # In Matomo a visit ends with its day, so that a visit's orders are the day's.
    conditions = [f"visitEcommerceStatus=={status}" for status in _STATUSES_WITH_ORDER]
    return _live_orders(client, idsite, conditions, day, day)


def is_refund_recorded(
    client: Client, idsite: int, payload: Mapping[str, str], first: date, last: date
) -> bool:
    """Whether Matomo has the event of a refund: same visitor, order and amount.

    :param payload: the parameters as they were sent
    :raise MatomoError: see :class:`Client`
    """
    margin = timedelta(days=1)
    actions = _live_actions(
        client,
        idsite,
        [f"visitorId=={payload['cid']}"],
        first - margin,
        last + margin,
    )
    return any(
        action.get("type") == "event"
        and _text(action.get("eventAction")) == payload["e_a"]
        and _text(action.get("eventName")) == payload["e_n"]
        and _amount(action.get("eventValue")) == Decimal(payload["e_v"])
        for _visit, action in actions
    )


def _live_orders(client, idsite, conditions, first, last) -> list[RecordedOrder]:
    """The orders in the visits that meet one of the conditions."""
    return [
        _recorded_order(visit, action)
        for visit, action in _live_actions(client, idsite, conditions, first, last)
        if action.get("type") == "ecommerceOrder"
    ]


def _live_actions(client, idsite, conditions, first, last):
    """Pairs of a visit that meets one of the conditions and one of its actions."""
    visits = client.call_api(
        "Live.getLastVisitsDetails",
        idSite=str(idsite),
        period="range",
        date=_date_range(first, last),
        segment=",".join(conditions),
        filter_limit="-1",
        doNotFetchActions="0",
        # The rest of a visit is large, and personal.
        showColumns="visitorId,actionDetails",
    )
    return [
        (visit, action)
        for visit in _records(visits)
        for action in _records(visit.get("actionDetails") or [])
    ]


def _segment_values(ref: str) -> list[str]:
    """The values of ``orderId`` under which an order is found.

    Matomo keeps order ids HTML-escaped and compares them as they are.
    """
    escaped = html.escape(ref).replace("&#x27;", "&#039;")
    return [
        value.translate(_SEGMENT_SPECIAL) for value in dict.fromkeys((escaped, ref))
    ]


def _recorded_order(visit: Mapping, action: Mapping) -> RecordedOrder:
    return RecordedOrder(
        ref=_text(action.get("orderId")),
        revenue=_amount(action.get("revenue")),
        subtotal=_amount(action.get("revenueSubTotal")),
        tax=_amount(action.get("revenueTax")),
        shipping=_amount(action.get("revenueShipping")),
        discount=_amount(action.get("revenueDiscount")),
        visitor_id=str(visit.get("visitorId") or ""),
        time=_moment(action.get("timestamp")),
        items=tuple(
            RecordedItem(
                sku=_text(item.get("itemSKU")),
                name=_text(item.get("itemName")),
                categories=_texts(item.get("categories")),
                price=_amount(item.get("price")),
                quantity=_count(item.get("quantity")),
            )
            for item in _records(action.get("itemDetails") or [])
        ),
    )


# === SITE === #


def read_site(client: Client, idsite: int) -> SiteDescription:
    """What Matomo says about the site.

    :raise MatomoError: see :class:`Client`
    """
    site = client.call_api("SitesManager.getSiteFromId", idSite=str(idsite))
    if isinstance(site, list):
        site = site[0] if site else None
    (site,) = _records([site])
    return SiteDescription(
        name=_text(site.get("name")),
        main_url=_text(site.get("main_url")),
        currency=str(site.get("currency") or ""),
        timezone=str(site.get("timezone") or ""),
        is_ecommerce=str(site.get("ecommerce")) == "1",
    )


# === REPORTS === #


def day_totals(
    client: Client, idsite: int, first: date, last: date
) -> dict[date, DayTotals]:
    """Matomo's totals of orders for each day from ``first`` to ``last``.

    The days are those of the site's time zone. Today's totals may be a quarter of
    an hour old (docs/matomo.md section 10).

    :raise MatomoError: see :class:`Client`
    """
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if not days:
        return {}
    report = client.call_api(
        "Goals.get",
        idSite=str(idsite),
        idGoal="ecommerceOrder",
        period="day",
        date=_date_range(first, last),
        format_metrics="0",
    )
    if not isinstance(report, dict):
        raise _not_a_report()
    totals = {}
    for day in days:
        # A day without orders is an empty list, and its metrics may be missing.
        if day.isoformat() not in report:
            raise _not_a_report()
        row = report[day.isoformat()] or {}
        (row,) = _records([row])
        totals[day] = DayTotals(
            orders=_count(row.get("nb_conversions")),
            revenue=_amount(row.get("revenue")),
        )
    return totals


# === VALUES === #


def _date_range(first: date, last: date) -> str:
    return f"{first.isoformat()},{last.isoformat()}"


def _not_a_report() -> ServerTrouble:
    return ServerTrouble("not_a_report")


def _records(values) -> list[Mapping]:
    """``values`` if it is a list of JSON objects.

    What cannot be read must not pass for "Matomo has no such order".
    """
    if isinstance(values, list) and all(isinstance(each, dict) for each in values):
        return values
    raise _not_a_report()


def _texts(values) -> tuple[str, ...]:
    return tuple(map(_text, values)) if isinstance(values, list) else ()


def _text(value) -> str:
    # Escaped or not, by version of Matomo.
    return decode_entities(str(value or ""))


def _amount(value) -> Decimal:
    return round_cents(_number(value))


def _count(value) -> int:
    return int(_number(value))


def _number(value) -> Decimal:
    try:
        number = Decimal(str(value or 0))
    except InvalidOperation:
        raise _not_a_report() from None
    # Neither infinite nor beyond what amounts are computed with.
    if not number.is_finite() or abs(number) > Decimal("1e15"):
        raise _not_a_report()
    return number


def _moment(value) -> datetime:
    # Seconds since 1970, but of the site's clock, not of UTC.
    return _EPOCH + timedelta(seconds=max(0, min(_count(value), 253_402_300_799)))
