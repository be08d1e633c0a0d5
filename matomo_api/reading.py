"""Reading Matomo back: which orders it has recorded, and what its reports say."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from urllib.parse import quote

from .client import Client
from .items import round_cents

# Matomo's day is that of the site's time zone: look one day further on each side.
_SEGMENT_SPECIAL = str.maketrans({"\\": "\\\\", ",": "\\,", ";": "\\;"})


@dataclass(frozen=True)
class RecordedItem:
    sku: str
    name: str
    categories: tuple[str, ...]
    price: Decimal
    quantity: int


@dataclass(frozen=True)
class RecordedOrder:
    """An order as Matomo has it; ``time`` naive in UTC."""

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


def read_orders(
    client: Client, idsite: int, refs: Sequence[str], first: date, last: date
) -> dict[str, RecordedOrder]:
    """The orders of ``refs`` that Matomo has recorded from ``first`` to ``last``.

    Both days are included and stand in the site's time zone: give a margin of a
    day. Live.getLastVisitsDetails is never cached (MATOMO.md section 10).

    :raise MatomoError: see :class:`Client`
    """
    visits = client.call_api(
        "Live.getLastVisitsDetails",
        idSite=str(idsite),
        period="range",
        date=f"{first.isoformat()},{last.isoformat()}",
        segment=",".join(f"orderId=={_segment_value(ref)}" for ref in refs),
        filter_limit="-1",
        doNotFetchActions="0",
    )
    wanted = set(refs)
    orders = {}
    for visit in visits if isinstance(visits, list) else []:
        for action in visit.get("actionDetails") or []:
            if action.get("type") != "ecommerceOrder":
                continue
            order = _recorded_order(visit, action)
            if order.ref in wanted:
                orders[order.ref] = order
    return orders


def read_site(client: Client, idsite: int) -> SiteDescription:
    """What Matomo says about the site.

    :raise MatomoError: see :class:`Client`
    """
    site = client.call_api("SitesManager.getSiteFromId", idSite=str(idsite))
    if isinstance(site, list):
        site = site[0] if site else {}
    return SiteDescription(
        name=str(site.get("name") or ""),
        main_url=str(site.get("main_url") or ""),
        currency=str(site.get("currency") or ""),
        timezone=str(site.get("timezone") or ""),
        is_ecommerce=str(site.get("ecommerce")) == "1",
    )


def _segment_value(ref: str) -> str:
    # The API decodes the whole segment once more than the request's body.
    return quote(ref.translate(_SEGMENT_SPECIAL), safe="")


def _recorded_order(visit: dict, action: dict) -> RecordedOrder:
    return RecordedOrder(
        ref=_unescape(action.get("orderId")),
        revenue=_decimal(action.get("revenue")),
        subtotal=_decimal(action.get("revenueSubTotal")),
        tax=_decimal(action.get("revenueTax")),
        shipping=_decimal(action.get("revenueShipping")),
        discount=_decimal(action.get("revenueDiscount")),
        visitor_id=str(visit.get("visitorId") or ""),
        time=datetime.fromtimestamp(
            int(action.get("timestamp") or 0), timezone.utc
        ).replace(tzinfo=None),
        items=tuple(
            RecordedItem(
                sku=_unescape(item.get("itemSKU")),
                name=_unescape(item.get("itemName")),
                categories=tuple(_unescape(c) for c in item.get("categories") or []),
                price=_decimal(item.get("price")),
                quantity=int(item.get("quantity") or 0),
            )
            for item in action.get("itemDetails") or []
        ),
    )


def _unescape(text) -> str:
    return html.unescape(str(text or ""))


def _decimal(value) -> Decimal:
    try:
        return round_cents(Decimal(str(value or 0)))
    except InvalidOperation:
        return Decimal(0)
