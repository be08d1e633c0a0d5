"""Tracking requests: the parameters of an order, a cart update and a refund.

The parameters and their names are those of Matomo's Tracking HTTP API; how a
live Matomo treats them stands in docs/matomo.md.
"""

import html
import ipaddress
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote, urlencode

from .items import (
    MAX_CATEGORY_LENGTH,
    MAX_NAME_LENGTH,
    MAX_SKU_LENGTH,
    Item,
    clean_text,
    decode_entities,
    round_cents,
)

# The guide's word for the token in a logged address.
ANONYMIZED = "XYZANONYMIZED"
# Matomo cuts a longer order id (docs/matomo.md section 6).
MAX_ORDER_REF_LENGTH = 100
REFUND_CATEGORY, REFUND_ACTION = "Ecommerce", "Refund"
# An address that is stored as none and that no site excludes (section 14).
NO_ADDRESS = "0.0.0.0"
MAX_USER_AGENT_LENGTH = 1024
MAX_LANGUAGE_LENGTH = 255
MAX_CLIENT_HINTS_LENGTH = 4096
MAX_CAMPAIGN_LENGTH = 255
MAX_REFERRER_LENGTH = 1024
MAX_PAGE_LENGTH = 2048
MAX_CITY_LENGTH = 255
MAX_DIMENSION_LENGTH = 255

_VISITOR_ID = re.compile(r"[0-9a-f]{16}")
_COUNTRY = re.compile(r"[a-z]{2}")
_REGION = re.compile(r"[A-Z0-9]{1,3}")


@dataclass(frozen=True)
class Attribution:
    """Where the shopper came from, as matomo.js keeps it in ``_pk_ref``.

    ``timestamp`` is in seconds since 1970 (UTC) or 0.
    """

    campaign: str = ""
    keyword: str = ""
    timestamp: int = 0
    referrer: str = ""


@dataclass(frozen=True)
class Visitor:
    """Who a request is about. Only ``visitor_id`` (16 hex digits) is needed.

    ``country`` (two letters) and ``region`` (of ISO 3166-2, with or without the
    country) say where; ``dimensions`` are custom dimensions of scope Visit, by their
    number.
    """

    visitor_id: str
    ip_address: str = ""
    user_agent: str = ""
    accept_language: str = ""
    client_hints: str = ""
    attribution: Attribution = field(default_factory=Attribution)
    country: str = ""
    region: str = ""
    city: str = ""
    dimensions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """The page a request is booked on; within the site's own addresses."""

    url: str
    title: str


@dataclass(frozen=True)
class Order:
    """A sale: amounts in the site's currency, ``time`` naive in UTC.

    ``revenue = subtotal + tax + shipping - discount``.
    """

    ref: str
    time: datetime
    revenue: Decimal
    subtotal: Decimal
    tax: Decimal
    shipping: Decimal
    discount: Decimal
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Cart:
    """What a cart holds; ``time``, naive in UTC, is when it changed."""

    time: datetime
    revenue: Decimal
    items: tuple[Item, ...]


def order_parameters(
    idsite: int, order: Order, visitor: Visitor, page: Page
) -> dict[str, str]:
    """The parameters of an order, without the token.

    :raise ValueError: if the visitor id is not 16 hex digits or there is no ref
    """
    if not order.ref or order.ref == "0":
        # Matomo would record a cart (docs/matomo.md section 1).
        raise ValueError("An order needs an id that is not empty and not 0.")
    return {
        **_common_parameters(idsite, order.time, visitor, page),
        "idgoal": "0",
        "revenue": _amount(order.revenue),
        "ec_st": _amount(order.subtotal),
        "ec_tx": _amount(order.tax),
        "ec_sh": _amount(order.shipping),
        "ec_dt": _amount(order.discount),
        "ec_items": _items(order.items),
        "ec_id": order.ref,
    }


def cart_parameters(
    idsite: int, cart: Cart, visitor: Visitor, page: Page
) -> dict[str, str]:
    """The parameters of a cart update, without the token.

    It is an order without an id: Matomo keeps one cart for each visit, always as
    it was sent last (docs/matomo.md sections 1 and 12).

    :raise ValueError: if the visitor id is not 16 hex digits
    """
    return {
        **_common_parameters(idsite, cart.time, visitor, page),
        "idgoal": "0",
        "revenue": _amount(cart.revenue),
        "ec_items": _items(cart.items),
    }


def refund_parameters(
    idsite: int,
    order_ref: str,
    amount: Decimal,
    time: datetime,
    visitor: Visitor,
    page: Page,
) -> dict[str, str]:
    """The parameters of a refund, an event without the token.

    ``ca`` makes it no page view; without ``idgoal`` it leaves orders and revenue
    alone (docs/matomo.md section 12). Matomo does not deduplicate events.

    :param amount: what is given back, positive, in the site's currency
    :raise ValueError: if the visitor id is not 16 hex digits
    """
    return {
        **_common_parameters(idsite, time, visitor, page),
        "e_c": REFUND_CATEGORY,
        "e_a": REFUND_ACTION,
        "e_n": order_ref,
        "e_v": _amount(amount),
        "ca": "1",
    }


def _common_parameters(
    idsite: int, time: datetime, visitor: Visitor, page: Page
) -> dict[str, str]:
    if not _VISITOR_ID.fullmatch(visitor.visitor_id):
        raise ValueError("A visitor id has 16 hexadecimal digits.")
    attribution = visitor.attribution
    # One character that is none in UTF-8 would make Matomo drop the whole bulk.
    optional = {
        "ua": clean_text(visitor.user_agent, MAX_USER_AGENT_LENGTH),
        "lang": clean_text(visitor.accept_language, MAX_LANGUAGE_LENGTH),
        "uadata": clean_text(visitor.client_hints, MAX_CLIENT_HINTS_LENGTH),
        "_rcn": clean_text(attribution.campaign, MAX_CAMPAIGN_LENGTH),
        "_rck": clean_text(attribution.keyword, MAX_CAMPAIGN_LENGTH),
        "_refts": str(attribution.timestamp) if attribution.timestamp else "",
        "_ref": clean_text(attribution.referrer, MAX_REFERRER_LENGTH),
        **_place(visitor),
        **{
            f"dimension{number}": clean_text(value, MAX_DIMENSION_LENGTH)
            for number, value in visitor.dimensions.items()
        },
    }
    return {
        "idsite": str(idsite),
        "rec": "1",
        "apiv": "1",
        # Real orders of shoppers whose browser looks like a robot count too.
        "bots": "1",
        # With the QueuedTracking plugin an answer would say nothing.
        "queuedtracking": "0",
        # Without it Matomo takes the sender's address, which it may exclude.
        "cip": _ip_address(visitor.ip_address),
        "cid": visitor.visitor_id,
        "cdt": time.strftime("%Y-%m-%d %H:%M:%S"),
        "url": clean_text(page.url, MAX_PAGE_LENGTH),
        "action_name": clean_text(page.title, MAX_NAME_LENGTH),
        **{name: value for name, value in optional.items() if value},
    }


def _place(visitor: Visitor) -> dict[str, str]:
    """Where the visitor is, in the one form Matomo's maps know.

    Matomo stores what it gets: "BE" is another country than "be", "BE-VLG" is cut to
    a region "BE-" that nobody knows.
    """
    country = visitor.country.lower()
    if not _COUNTRY.fullmatch(country):
        return {}
    region = visitor.region.upper().rpartition("-")[2]
    return {
        "country": country,
        "region": region if _REGION.fullmatch(region) else "",
        "city": clean_text(visitor.city, MAX_CITY_LENGTH),
    }


def _ip_address(text: str) -> str:
    # Matomo would store what is no address as none, without a word.
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return NO_ADDRESS


def _amount(amount: Decimal) -> str:
    # Adding zero takes the sign from a zero.
    return f"{round_cents(amount) + 0:.2f}"


def _items(items: Iterable[Item]) -> str:
    # Numbers, not texts: Matomo's own SDK sends them so. Two decimals survive a
    # float unchanged.
    return json.dumps(
        [
            [
                clean_text(item.sku, MAX_SKU_LENGTH),
                clean_text(item.name, MAX_NAME_LENGTH),
                [clean_text(name, MAX_CATEGORY_LENGTH) for name in item.categories],
                float(round_cents(item.price)),
                item.quantity,
            ]
            for item in items
        ],
        ensure_ascii=False,
    )


def tracking_url(base_url: str, parameters: Mapping[str, str]) -> str:
    """The GET address equal to a request, for people: its token is masked."""
    query = urlencode({**parameters, "token_auth": ANONYMIZED}, quote_via=quote)
    return f"{tracker_url(base_url)}?{query}"


def tracker_url(base_url: str) -> str:
    """Where requests go, for a Matomo address with or without ``matomo.php``."""
    base_url = base_url.removesuffix("/index.php")
    if base_url.endswith(".php"):
        return base_url
    return base_url.rstrip("/") + "/matomo.php"


def api_url(base_url: str) -> str:
    """Where reports are, for a Matomo address with or without ``matomo.php``."""
    return tracker_url(base_url).rpartition("/")[0] + "/index.php"


def fit_order_ref(name: str, suffix: str = "") -> str:
    """An order id Matomo keeps whole: ``name`` cut to make room for ``suffix``.

    Matomo decodes its HTML entities, stores it HTML-escaped and cuts that at 100
    characters.
    """
    ref = clean_text(decode_entities(name), MAX_ORDER_REF_LENGTH)
    while ref and len(html.escape(ref + suffix)) > MAX_ORDER_REF_LENGTH:
        ref = ref[:-1].rstrip()
    return ref + suffix


def order_ref_key(ref: str) -> str:
    """What two order ids share if Matomo takes them for the same.

    Its unique key, of collation utf8mb4_general_ci, compares without case and
    accents and takes all characters beyond the basic plane for one (docs/matomo.md
    section 6). This key is at least as coarse, so that two different keys never
    collide there.
    """
    text = decode_entities(ref)
    text = "".join("\ufffd" if ord(char) > 0xFFFF else char for char in text)
    # Alone this accent counts as an iota, within a letter it does not count.
    text = text.replace("\u0345", "ι")
    while (folded := _fold(text)) != text:
        text = folded
    return text.rstrip()


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    # The collation takes ß for one s, Python's upper case for two.
    return bare.replace("ß", "s").upper()
