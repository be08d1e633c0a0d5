"""Reads Matomo back: which orders it has recorded, and what its reports say.

Everything here is what a server says, perhaps what a stranger has told that server.
Each visit, action and value is read by itself: what cannot be read is left aside or is
None, and never stops the rest.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from .client import Client
from .errors import MatomoError, ReportRefused, ServerTrouble
from .items import round_cents
from .tracking import order_ref_key

# What Matomo makes of an order id with its setting "Anonymize Order ID".
_ANONYMISED_REF = re.compile("[0-9a-f]{40}")
_VISITOR_ID = re.compile("[0-9a-fA-F]{16}")
# The address of a page: it is sent with every order and shown to people.
_ADDRESS = re.compile("https?://[^\\s\"'<>]{1,500}")
_EPOCH = datetime(1970, 1, 1)
# Seconds since 1970, until 2100: enough for any order, and far enough from the last
# moment that Python knows for every time zone.
_LAST_SECOND = 4_102_444_800
# Beyond this no amount is computed with.
_MAX_NUMBER = Decimal("1e15")
MAX_VERSION_LENGTH = 20
# Of a visit; an abandoned cart may have come after the order.
_STATUSES_WITH_ORDER = ("ordered", "orderedThenAbandonedCart")
# A segment is decoded three times before its value is compared, at the first time
# the value must not look like the end of a condition.
_SEGMENT_SPECIAL = str.maketrans({char: f"%2525{ord(char):02X}" for char in "%+,;\\"})


@dataclass(frozen=True)
class RecordedItem:
    """An item of an order; what cannot be read is None."""

    sku: str
    name: str
    categories: tuple[str, ...]
    price: Decimal | None
    quantity: int | None


@dataclass(frozen=True)
class RecordedOrder:
    """An order as Matomo has it; what it does not tell, or not legibly, is None.

    :ivar time: naive, on the clock of the Matomo site
    :ivar items: None if they were not told
    :ivar has_page: whether its visit has page views
    :ivar has_page_before: whether its visit has page views before the order
    """

    ref: str
    revenue: Decimal | None
    subtotal: Decimal | None = None
    tax: Decimal | None = None
    shipping: Decimal | None = None
    discount: Decimal | None = None
    visitor_id: str = ""
    time: datetime | None = None
    items: tuple[RecordedItem, ...] | None = None
    has_page: bool = False
    has_page_before: bool = False


@dataclass(frozen=True)
class ReadBack:
    """Orders that were looked for in Matomo.

    :ivar candidates: ``{order id that was looked for: orders}``. Matomo may have
        several whose ids are spelled alike, of which it takes some for the same and
        others not; the ones with the very id come first
    :ivar is_complete: whether what is not in it is not in Matomo. Matomo shows the
        first actions of a visit only, and a visit may not be legible
    """

    candidates: dict[str, list[RecordedOrder]] = field(default_factory=dict)
    is_complete: bool = True

    @property
    def orders(self) -> dict[str, RecordedOrder]:
        """Return the first candidate of each order id."""
        return {ref: orders[0] for ref, orders in self.candidates.items()}


@dataclass(frozen=True)
class SiteDescription:
    """A Matomo site as Matomo describes it."""

    name: str
    main_url: str
    currency: str
    timezone: str
    is_ecommerce: bool
    exclude_unknown_urls: bool = False
    excluded_ips: str = ""
    excluded_user_agents: str = ""


@dataclass(frozen=True)
class Totals:
    """What some orders come to, in the site's currency.

    :ivar revenue: with tax and shipping, less the discount
    :ivar shipping: before tax
    :ivar discount: before tax, positive
    :ivar items: how many pieces were bought
    """

    orders: int = 0
    revenue: Decimal = Decimal("0.00")
    tax: Decimal = Decimal("0.00")
    shipping: Decimal = Decimal("0.00")
    discount: Decimal = Decimal("0.00")
    items: int = 0


# === RIGHTS === #


def may_read(client: Client, idsite: int) -> bool:
    """Return whether the token may read the site.

    A refusal of another method concerns that method alone (docs/matomo.md section 15).

    :raise MatomoError: if Matomo does not say
    """
    try:
        return str(idsite) in read_idsites(client)
    except ReportRefused as error:
        if error.is_denied:
            return False
        raise


def read_idsites(client: Client, access: str = "AtLeastView") -> set[str]:
    """Return the IDs of the sites that the token may read.

    :param access: ``AtLeastView``, ``Write`` or ``Admin``: what it may do there
    :raise MatomoError: see :class:`Client`
    """
    idsites = client.call_api(
        # Without it Matomo tells the first hundred only.
        f"SitesManager.getSitesIdWith{access}Access",
        filter_limit="-1",
    )
    if not isinstance(idsites, list):
        raise _not_a_report()
    return set(map(str, idsites))


# === ORDERS === #


def read_orders(
    client: Client, idsite: int, refs: Sequence[str], first: date, last: date
) -> ReadBack:
    """Return the orders of ``refs`` that Matomo has recorded.

    Live.getLastVisitsDetails is never cached (docs/matomo.md section 10). An order
    that Matomo takes for the same, as "so-1" for "SO-1", is found as well.

    :param first: the first day, included, in the site's time zone: give a margin
    :param last: the last day, included
    :raise MatomoError: see :class:`Client`
    """
    # Without a value Matomo would look for all orders, or all visits.
    conditions = [
        f"orderId=={value}" for ref in refs if ref for value in segment_values(ref)
    ]
    if not conditions:
        return ReadBack()
    orders, is_complete = _live_orders(client, idsite, conditions, first, last)
    found: dict[str, list[RecordedOrder]] = {}
    for order in orders:
        found.setdefault(order_ref_key(order.ref), []).append(order)
    keys = {ref: order_ref_key(ref) for ref in refs}
    return ReadBack(
        {
            ref: sorted(found[key], key=lambda order, ref=ref: order.ref != ref)
            for ref, key in keys.items()
            if key in found
        },
        is_complete,
    )


def read_order_totals(
    client: Client, idsite: int, refs: Sequence[str], first: date, last: date
) -> Totals:
    """Return what Matomo's report of orders has of the visits with these orders.

    It needs no visits log, and counts orders that the log cuts off; but it counts all
    orders of a visit in which one of them is (docs/matomo.md section 15). That it
    shows none proves nothing: the report may be computed later.

    :param refs: order ids, at least one
    :param first: the first day, included, in the site's time zone: give a margin
    :param last: the last day, included
    :raise MatomoError: see :class:`Client`
    """
    report = client.call_api(
        "Goals.get",
        idSite=str(idsite),
        idGoal="ecommerceOrder",
        period="range",
        date=_date_range(first, last),
        segment=",".join(
            f"orderId=={value}" for ref in refs for value in segment_values(ref)
        ),
        format_metrics="0",
    )
    row = _first_record(report)
    orders, revenue = _count(row.get("nb_conversions")), _amount(row.get("revenue"))
    if orders is None or revenue is None:
        return Totals()
    return Totals(orders, revenue)


def read_anonymised_orders(
    client: Client, idsite: int, visitor_ids: Sequence[str], first: date, last: date
) -> list[RecordedOrder]:
    """Return the orders of these visitors whose id Matomo replaced by a random one.

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
    orders, _is_complete = _live_orders(client, idsite, conditions, first, last)
    return [order for order in orders if is_anonymised(order.ref)]


def read_all_orders(
    client: Client, idsite: int, first: date, last: date
) -> tuple[list[RecordedOrder], bool]:
    """Return all orders that Matomo shows of some days, and whether these are all.

    :param first: the first day, included, in the site's time zone
    :param last: the last day, included
    :raise MatomoError: see :class:`Client`
    """
    # In Matomo a visit ends with its day, so that a visit's orders are the day's.
    conditions = [f"visitEcommerceStatus=={status}" for status in _STATUSES_WITH_ORDER]
    orders, is_complete = _live_orders(client, idsite, conditions, first, last)
    # Matomo shows an order of the first second of a day on the day before, too
    # (docs/matomo.md section 15).
    midnight = datetime.combine(last + timedelta(days=1), time.min)
    return [order for order in orders if order.time != midnight], is_complete


def is_anonymised(ref: str) -> bool:
    """Return whether an order id is one that Matomo made up."""
    return bool(_ANONYMISED_REF.fullmatch(ref))


def read_refund_times(
    client: Client, idsite: int, payload: Mapping[str, str], first: date, last: date
) -> tuple[list[datetime | None], bool]:
    """Return when Matomo recorded refund events of the same order and amount.

    They are looked for by the order: Matomo may have renamed the visitor of the visit
    (docs/matomo.md section 15). If that question fails, they are looked for among all
    refunds: something before Matomo may dislike the name of the order.

    :param payload: the parameters of the event, as they were sent
    :param first: the first day, included, in the site's time zone: give a margin
    :param last: the last day, included
    :return: naive times on the clock of the Matomo site; None for one that cannot be
        read. And whether these are all
    :raise MatomoError: see :class:`Client`
    """
    by_name = [f"eventName=={value}" for value in segment_values(payload["e_n"])]
    by_action = [f"eventAction=={value}" for value in segment_values(payload["e_a"])]
    try:
        actions, is_complete = _live_actions(client, idsite, by_name, first, last)
    except MatomoError as error:
        if not error.may_be_about_content or error.kind == "timeout":
            raise
        actions, is_complete = _live_actions(client, idsite, by_action, first, last)
    times = [
        _moment(action.get("timestamp"))
        for _visit, action in actions
        if action.get("type") == "event"
        and _text(action.get("eventAction")) == payload["e_a"]
        and _text(action.get("eventName")) == payload["e_n"]
        and _amount(action.get("eventValue")) == Decimal(payload["e_v"])
    ]
    return times, is_complete


def _live_orders(client, idsite, conditions, first, last):
    """Return the orders in the visits that meet a condition, and whether it is all."""
    actions, is_complete = _live_actions(client, idsite, conditions, first, last)
    orders = [
        _recorded_order(visit, action)
        for visit, action in actions
        if action.get("type") == "ecommerceOrder"
    ]
    return orders, is_complete


def _live_actions(client, idsite, conditions, first, last):
    """Return pairs of a visit that meets one of the conditions and an action of it.

    And whether these are all: neither cut off by Matomo nor illegible.
    """
    visits = client.call_api(
        "Live.getLastVisitsDetails",
        idSite=str(idsite),
        period="range",
        date=_date_range(first, last),
        segment=",".join(conditions),
        filter_limit="-1",
        doNotFetchActions="0",
        # The rest of a visit is large, and personal.
        showColumns="visitorId,actionDetails,truncatedActionsCount",
    )
    # What is no list at all must not pass for "Matomo has no such order".
    if not isinstance(visits, list):
        raise _not_a_report()
    is_complete = True
    pairs = []
    for visit in visits:
        actions = visit.get("actionDetails") if isinstance(visit, dict) else None
        if not isinstance(actions, list):
            is_complete = False
            continue
        legible = [action for action in actions if isinstance(action, dict)]
        if len(legible) < len(actions) or visit.get("truncatedActionsCount"):
            is_complete = False
        pairs += [(visit, action) for action in legible]
    return pairs, is_complete


def segment_values(ref: str) -> list[str]:
    """Return the values under which a text is found by a segment.

    Matomo keeps order ids HTML-escaped and compares them as they are.
    """
    escaped = html.escape(ref).replace("&#x27;", "&#039;")
    return [
        value.translate(_SEGMENT_SPECIAL) for value in dict.fromkeys((escaped, ref))
    ]


def _recorded_order(visit: Mapping, action: Mapping) -> RecordedOrder:
    items = action.get("itemDetails")
    moment = _moment(action.get("timestamp"))
    pages = [
        _moment(each.get("timestamp"))
        for each in visit["actionDetails"]
        if isinstance(each, dict) and each.get("type") == "action"
    ]
    return RecordedOrder(
        ref=_text(action.get("orderId")),
        revenue=_amount(action.get("revenue")),
        subtotal=_amount(action.get("revenueSubTotal")),
        tax=_amount(action.get("revenueTax")),
        shipping=_amount(action.get("revenueShipping")),
        discount=_amount(action.get("revenueDiscount")),
        visitor_id=str(visit.get("visitorId") or ""),
        time=moment,
        has_page=bool(pages),
        has_page_before=any(page and moment and page <= moment for page in pages),
        items=tuple(
            RecordedItem(
                sku=_text(item.get("itemSKU")),
                name=_text(item.get("itemName")),
                categories=_texts(item.get("categories")),
                price=_amount(item.get("price")),
                quantity=_count(item.get("quantity")),
            )
            for item in items
            if isinstance(item, dict)
        )
        if isinstance(items, list)
        else None,
    )


# === SITE === #


def read_site(client: Client, idsite: int) -> SiteDescription:
    """Return what Matomo says about the site.

    :raise MatomoError: see :class:`Client`
    """
    site = _first_record(
        client.call_api("SitesManager.getSiteFromId", idSite=str(idsite))
    )
    return SiteDescription(
        name=_text(site.get("name")),
        main_url=_address(site.get("main_url")),
        currency=str(site.get("currency") or ""),
        timezone=str(site.get("timezone") or ""),
        is_ecommerce=str(site.get("ecommerce")) == "1",
        exclude_unknown_urls=str(site.get("exclude_unknown_urls")) == "1",
        excluded_ips=_text(site.get("excluded_ips")),
        excluded_user_agents=_text(site.get("excluded_user_agents")),
    )


def read_version(client: Client) -> str:
    """Return the version of Matomo, as "5.3.1".

    :raise MatomoError: see :class:`Client`
    """
    answer = _first_record(client.call_api("API.getMatomoVersion"))
    return str(answer.get("value") or "")[:MAX_VERSION_LENGTH]


def read_site_urls(client: Client, idsite: int) -> tuple[str, ...]:
    """Return all addresses of the site, the main one first.

    :raise MatomoError: see :class:`Client`
    """
    urls = client.call_api("SitesManager.getSiteUrlsFromId", idSite=str(idsite))
    if not isinstance(urls, list):
        raise _not_a_report()
    return tuple(filter(None, map(_address, urls)))


def read_flag(
    client: Client, method: str, default: bool = False, **parameters: str
) -> bool:
    """Return a switch that Matomo tells, or ``default`` if it tells no value.

    :raise MatomoError: see :class:`Client`
    """
    answer = client.call_api(method, **parameters)
    value = answer.get("value") if isinstance(answer, Mapping) else None
    return default if value is None else value in (True, 1, "1")


def is_plugin_active(client: Client, name: str) -> bool:
    """Return whether a plugin of Matomo is switched on.

    :raise MatomoError: see :class:`Client`
    """
    answer = client.call_api("API.isPluginActivated", pluginName=name)
    return str(_first_record(answer).get("value")).lower() in ("1", "true")


def has_visits_log(client: Client, idsite: int) -> bool:
    """Return whether Matomo shows single visits of the site.

    :raise MatomoError: see :class:`Client`
    """
    try:
        client.call_api(
            "Live.getLastVisitsDetails",
            idSite=str(idsite),
            period="day",
            date="today",
            filter_limit="1",
            doNotFetchActions="1",
        )
    except ReportRefused as error:
        if error.is_log_off:
            return False
        raise
    return True


def read_global_exclusions(client: Client) -> tuple[str, str]:
    """Return which IP addresses and browsers Matomo excludes on all sites.

    Only an administrator of some site is told (docs/matomo.md section 16).

    :raise MatomoError: see :class:`Client`
    """

    def read(name):
        answer = _first_record(client.call_api(f"SitesManager.{name}"))
        # Nothing that is set is false.
        return _text(answer.get("value"))

    return read("getExcludedIpsGlobal"), read("getExcludedUserAgentsGlobal")


# === REPORTS === #


def day_totals(
    client: Client, idsite: int, first: date, last: date
) -> dict[date, Totals]:
    """Return Matomo's totals of orders for each day from ``first`` to ``last``.

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
        row = _first_record(report[day.isoformat()] or {})
        figures = Totals(
            orders=_count(row.get("nb_conversions")),
            revenue=_amount(row.get("revenue")),
            tax=_amount(row.get("revenue_tax")),
            shipping=_amount(row.get("revenue_shipping")),
            discount=_amount(row.get("revenue_discount")),
            items=_count(row.get("items")),
        )
        if None in astuple(figures):
            raise _not_a_report()
        totals[day] = figures
    return totals


# === VALUES === #


def _date_range(first: date, last: date) -> str:
    return f"{first.isoformat()},{last.isoformat()}"


def _not_a_report() -> ServerTrouble:
    return ServerTrouble("not_a_report")


def _first_record(value) -> Mapping:
    """Return a JSON object, or the first one of a list.

    :raise ServerTrouble: if it is neither
    """
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        raise _not_a_report()
    return value


def _texts(values) -> tuple[str, ...]:
    return tuple(map(_text, values)) if isinstance(values, list) else ()


def _text(value) -> str:
    return str(value or "")


def _address(value) -> str:
    """Return an address of the web, "" if the value is no such address."""
    text = _text(value).strip()
    return text if _ADDRESS.fullmatch(text) else ""


def _amount(value) -> Decimal | None:
    number = _number(value)
    return None if number is None else round_cents(number)


def _count(value) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _number(value) -> Decimal | None:
    """Return a number of Matomo's within bounds: nothing is 0, no number is None."""
    try:
        number = Decimal(str(value or 0))
    except InvalidOperation:
        return None
    if number.is_nan():
        return None
    # A stranger may have tracked 1e300: it is an order, and not ours.
    return max(-_MAX_NUMBER, min(number, _MAX_NUMBER))


def _moment(value) -> datetime | None:
    # Seconds since 1970, but of the site's clock, not of UTC.
    seconds = _count(value)
    if seconds is None:
        return None
    return _EPOCH + timedelta(seconds=max(0, min(seconds, _LAST_SECOND)))
